/* JSON files with a checksum. See json_file.h.
 *
 * The checksum is a member of the object that it covers: the bytes before `,"crc32c":`.
 * The reader looks at the fixed-width end of the text, so nothing is parsed before it
 * is known to be what was written. */
#include "storage/json_file.h"

#include <stdio.h>

#include "base/crc32c.h"
#include "base/durable.h"
#include "base/mem.h"
#include "base/panic.h"

#define CRC_KEY ",\"crc32c\":\""
enum {
    CRC_KEY_LEN = sizeof(CRC_KEY) - 1,
    CRC_HEX = 8,
    TAIL_LEN = CRC_KEY_LEN + CRC_HEX + 2, /* "} */
    BYTES_HEX_MAX = 64,
};

void json_file_begin(struct json_writer *w, struct strbuf *out)
{
    json_writer_init(w, out);
    json_open_object(w);
}

status json_file_end(struct json_writer *w, struct err *err)
{
    char hex[CRC_HEX + 1];
    struct strbuf *out = w->out;

    if (out->failed) return err_set(err, ST_NO_MEMORY, "no memory for a JSON file");
    (void)snprintf(hex, sizeof(hex), "%08x", crc32c(0, out->ptr, out->len));
    json_field_text(w, "crc32c", slice_of(hex, CRC_HEX));
    json_close_object(w);
    if (out->failed) return err_set(err, ST_NO_MEMORY, "no memory for a JSON file");
    ASSERT(out->len > TAIL_LEN);
    ASSERT(memcmp(out->ptr + out->len - TAIL_LEN, CRC_KEY, CRC_KEY_LEN) == 0);
    return ST_OK;
}

static bool hex_digit(unsigned *out, char c)
{
    if (c >= '0' && c <= '9') *out = (unsigned)(c - '0');
    else if (c >= 'a' && c <= 'f') *out = (unsigned)(c - 'a') + 10;
    else return false;
    return true;
}

static bool parse_hex(uint64_t *out, struct slice text)
{
    uint64_t v = 0;
    if (text.len == 0 || text.len > 16) return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit;
        if (!hex_digit(&digit, text.ptr[i])) return false;
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

status json_file_parse(struct json **out, struct slice text, size_t len_max, struct err *err)
{
    struct json *root;
    uint64_t crc;

    /* A newline that an editor added at the end is no damage. */
    if (text.len > 0 && text.ptr[text.len - 1] == '\n') text.len--;
    if (text.len <= TAIL_LEN || text.len > len_max) {
        return err_set(err, ST_CORRUPT, "%zu bytes are no such file", text.len);
    }
    size_t body = text.len - TAIL_LEN;
    const char *tail = text.ptr + body;
    if (memcmp(tail, CRC_KEY, CRC_KEY_LEN) != 0 || memcmp(tail + TAIL_LEN - 2, "\"}", 2) != 0 ||
        !parse_hex(&crc, slice_of(tail + CRC_KEY_LEN, CRC_HEX))) {
        return err_set(err, ST_CORRUPT, "does not end with its checksum");
    }
    uint32_t real = crc32c(0, text.ptr, body);
    if (real != crc) {
        return err_set(err, ST_CORRUPT, "checksum is %08x, the file says %08x", real,
                       (uint32_t)crc);
    }
    status st = json_doc_parse(&root, text, len_max, err);
    if (st == ST_NO_MEMORY) return st;
    if (st != ST_OK) return err_wrap(err, ST_CORRUPT, "not JSON");
    if (json_kind_of(root) != JSON_KIND_OBJECT) {
        json_doc_free(root);
        return err_set(err, ST_CORRUPT, "not a JSON object");
    }
    *out = root;
    return ST_OK;
}

status json_file_read(struct json **out, struct vfs *vfs, const char *path, size_t len_max,
                      struct err *err)
{
    uint8_t *text;
    size_t len;

    status st = vfs_read_file(vfs, path, len_max, &text, &len, err);
    if (st == ST_TOO_LARGE) return err_set(err, ST_CORRUPT, "%s: longer than any such file", path);
    if (st != ST_OK) return st;
    st = json_file_parse(out, slice_of(text, len), len_max, err);
    mem_free(text);
    return st == ST_OK ? ST_OK : err_wrap(err, st, "%s", path);
}

/* ---- members ---- */

static status bad_member(const char *name, struct err *err)
{
    return err_set(err, ST_CORRUPT, "member \"%s\" is missing or wrong", name);
}

status json_file_i64(int64_t *out, const struct json *obj, const char *name, struct err *err)
{
    return json_get_i64(out, json_member(obj, name)) ? ST_OK : bad_member(name, err);
}

status json_file_u64(uint64_t *out, const struct json *obj, const char *name, struct err *err)
{
    int64_t v;
    if (!json_get_i64(&v, json_member(obj, name)) || v < 0) return bad_member(name, err);
    *out = (uint64_t)v;
    return ST_OK;
}

status json_file_text(struct slice *out, const struct json *obj, const char *name,
                      struct err *err)
{
    return json_get_text(out, json_member(obj, name)) ? ST_OK : bad_member(name, err);
}

status json_file_hex_value(uint64_t *out, const struct json *value, const char *name,
                           struct err *err)
{
    struct slice text;
    if (!json_get_text(&text, value) || text.len != 16 || !parse_hex(out, text)) {
        return bad_member(name, err);
    }
    return ST_OK;
}

status json_file_hex(uint64_t *out, const struct json *obj, const char *name, struct err *err)
{
    return json_file_hex_value(out, json_member(obj, name), name, err);
}

void json_file_put_hex(struct json_writer *w, const char *name, uint64_t v)
{
    char text[17];
    (void)snprintf(text, sizeof(text), "%016llx", (unsigned long long)v);
    json_field_text(w, name, slice_of(text, 16));
}

status json_file_bytes(uint8_t *out, size_t len, const struct json *obj, const char *name,
                       struct err *err)
{
    struct slice text;
    uint8_t bytes[BYTES_HEX_MAX];

    ASSERT(len <= sizeof(bytes));
    if (!json_get_text(&text, json_member(obj, name)) || text.len != 2 * len) {
        return bad_member(name, err);
    }
    for (size_t i = 0; i < len; i++) {
        unsigned hi, lo;
        if (!hex_digit(&hi, text.ptr[2 * i]) || !hex_digit(&lo, text.ptr[2 * i + 1])) {
            return bad_member(name, err);
        }
        bytes[i] = (uint8_t)(hi << 4 | lo);
    }
    memcpy(out, bytes, len);
    return ST_OK;
}

void json_file_put_bytes(struct json_writer *w, const char *name, const uint8_t *src, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * BYTES_HEX_MAX];

    ASSERT(len <= BYTES_HEX_MAX);
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[src[i] >> 4];
        text[2 * i + 1] = digits[src[i] & 15];
    }
    json_field_text(w, name, slice_of(text, 2 * len));
}
