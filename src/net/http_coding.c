/* gzip and deflate through zlib.
 *
 * Decoding grows the output by what was produced, never by what the input claims,
 * and stops at the limit. A gzip body may have several members (RFC 1952 2.2); what
 * follows the last must be another member or nothing.
 *
 * "deflate" means the zlib format (RFC 9110 8.4.1.2), but some clients send the bare
 * stream: the first two bytes tell them apart (a zlib header is a multiple of 31
 * and names method 8).
 */
#include "net/http_coding.h"

#include <string.h>
#include <zlib.h>

#include "base/panic.h"

enum {
    WINDOW_GZIP = 15 + 16,
    WINDOW_ZLIB = 15,
    WINDOW_RAW = -15,
    STEP = 64 << 10,     /* output grows by at least this */
    LEVEL = 1,           /* the network is near: speed before size; a guess */
};

const char *http_coding_name(enum http_coding coding)
{
    switch (coding) {
    case HTTP_CODING_IDENTITY: return "identity";
    case HTTP_CODING_GZIP: return "gzip";
    case HTTP_CODING_DEFLATE: return "deflate";
    case HTTP_CODING_OTHER: break;
    }
    return "other";
}

enum http_coding http_coding_of(struct slice name)
{
    if (name.len == 0 || slice_is_nocase(name, "identity")) return HTTP_CODING_IDENTITY;
    if (slice_is_nocase(name, "gzip") || slice_is_nocase(name, "x-gzip")) {
        return HTTP_CODING_GZIP;
    }
    if (slice_is_nocase(name, "deflate")) return HTTP_CODING_DEFLATE;
    return HTTP_CODING_OTHER;
}

/* ---- Accept-Encoding -------------------------------------------------------------- */

static struct slice trim(struct slice text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) text = slice_skip(text, 1);
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

/* "0", "0.5", "1.000" to thousandths; anything else is 0: not wanted. */
static int read_weight(struct slice text)
{
    int weight = 0, scale = 1000;

    if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1')) return 0;
    weight = (text.ptr[0] - '0') * 1000;
    if (text.len > 1 && text.ptr[1] != '.') return 0;
    for (size_t i = 2; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return 0;
        scale /= 10;
        weight += (text.ptr[i] - '0') * scale;
    }
    return weight > 1000 ? 0 : weight;
}

/* One element "name;q=0.5": the name is left in *item. */
static int split_weight(struct slice *item)
{
    const char *semi = item->len ? memchr(item->ptr, ';', item->len) : NULL;

    if (!semi) {
        *item = trim(*item);
        return 1000;
    }
    struct slice param = trim(slice_skip(*item, (size_t)(semi - item->ptr) + 1));
    *item = trim(slice_of(item->ptr, (size_t)(semi - item->ptr)));
    if (param.len < 2 || (param.ptr[0] != 'q' && param.ptr[0] != 'Q') || param.ptr[1] != '=') {
        return 1000;
    }
    return read_weight(slice_skip(param, 2));
}

enum http_coding http_coding_accepted(struct slice list)
{
    int gzip = -1, deflate = -1, any = -1;

    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.ptr) : list.len;
        struct slice item = slice_of(list.ptr, len);
        list = slice_skip(list, comma ? len + 1 : len);
        int weight = split_weight(&item);
        if (slice_is(item, "*")) any = weight;
        else if (http_coding_of(item) == HTTP_CODING_GZIP) gzip = weight;
        else if (http_coding_of(item) == HTTP_CODING_DEFLATE) deflate = weight;
    }
    if (gzip < 0) gzip = any;
    if (deflate < 0) deflate = any;
    if (gzip > 0 && gzip >= deflate) return HTTP_CODING_GZIP;
    return deflate > 0 ? HTTP_CODING_DEFLATE : HTTP_CODING_IDENTITY;
}

/* ---- Decoding ---------------------------------------------------------------------- */

static int window_for(enum http_coding coding, struct slice src)
{
    if (coding == HTTP_CODING_GZIP) return WINDOW_GZIP;
    if (src.len >= 2) {
        unsigned a = (unsigned char)src.ptr[0], b = (unsigned char)src.ptr[1];
        if ((a & 15) == 8 && (a * 256 + b) % 31 == 0) return WINDOW_ZLIB;
    }
    return WINDOW_RAW;
}

static bool is_bomb(size_t out, size_t in)
{
    return out > HTTP_RATIO_FREE && out / HTTP_RATIO_MAX > in;
}

/* Room for the next step, never beyond the limit by more than one byte: that byte is
 * how an overrun shows. */
static status make_room(struct strbuf *dst, size_t produced, size_t len_max, struct err *err)
{
    size_t step = produced > STEP ? produced : STEP;

    if (step > len_max + 1 - produced) step = len_max + 1 - produced;
    if (!strbuf_reserve(dst, step)) return err_set(err, ST_NO_MEMORY, "no memory for the body");
    return ST_OK;
}

static status decode_stream(z_stream *z, struct strbuf *dst, enum http_coding coding,
                            size_t len_max, struct err *err)
{
    size_t start = dst->len, total = z->avail_in;

    for (;;) {
        size_t produced = dst->len - start;
        TRY(make_room(dst, produced, len_max, err));
        size_t room = dst->cap - dst->len;
        if (room > len_max + 1 - produced) room = len_max + 1 - produced;
        z->next_out = (Bytef *)dst->ptr + dst->len;
        z->avail_out = (uInt)room;
        int code = inflate(z, Z_NO_FLUSH);
        dst->len += room - z->avail_out;
        produced = dst->len - start;
        if (produced > len_max || is_bomb(produced, total)) {
            return err_set(err, ST_TOO_LARGE, "decoded body larger than %zu bytes", len_max);
        }
        if (code == Z_MEM_ERROR) return err_set(err, ST_NO_MEMORY, "no memory for the body");
        if (code == Z_STREAM_END) {
            if (z->avail_in == 0) return ST_OK;
            if (coding != HTTP_CODING_GZIP) {
                return err_set(err, ST_INVALID, "bytes after the end of the deflate body");
            }
            if (inflateReset(z) != Z_OK) return err_set(err, ST_INTERNAL, "inflateReset");
            continue;
        }
        if (code != Z_OK && code != Z_BUF_ERROR) {
            return err_set(err, ST_INVALID, "damaged %s body", http_coding_name(coding));
        }
        if (z->avail_in == 0 && z->avail_out > 0) {
            return err_set(err, ST_INVALID, "%s body is cut short", http_coding_name(coding));
        }
    }
}

status http_decode(struct strbuf *dst, enum http_coding coding, struct slice src,
                   size_t len_max, struct err *err)
{
    z_stream z = {0};

    if (coding == HTTP_CODING_IDENTITY) {
        if (src.len > len_max) {
            return err_set(err, ST_TOO_LARGE, "body larger than %zu bytes", len_max);
        }
        strbuf_slice(dst, src);
        return dst->failed ? err_set(err, ST_NO_MEMORY, "no memory for the body") : ST_OK;
    }
    if (coding == HTTP_CODING_OTHER) return err_set(err, ST_UNSUPPORTED, "unknown content coding");
    /* zlib counts in unsigned int; the limits of both sides are far below. */
    if (src.len > (1u << 30) || len_max >= (1u << 30)) {
        return err_set(err, ST_TOO_LARGE, "body too large to decode");
    }
    if (inflateInit2(&z, window_for(coding, src)) != Z_OK) {
        return err_set(err, ST_NO_MEMORY, "no memory for the body");
    }
    z.next_in = (Bytef *)(uintptr_t)src.ptr;
    z.avail_in = (uInt)src.len;
    status st = decode_stream(&z, dst, coding, len_max, err);
    inflateEnd(&z);
    return st;
}

/* ---- Encoding ---------------------------------------------------------------------- */

/* Runs deflate until the input in hand is used up (or, finishing, until the end). */
static bool encode_some(z_stream *z, struct iobuf *dst, int flush)
{
    enum { ROOM = 4096 };
    int code;

    do {
        char *at = iobuf_reserve(dst, ROOM);
        if (!at) return false;
        z->next_out = (Bytef *)at;
        z->avail_out = ROOM;
        code = deflate(z, flush);
        iobuf_commit(dst, ROOM - z->avail_out);
    } while (z->avail_out == 0 || (flush == Z_FINISH && code == Z_OK));
    return true;
}

bool http_encode(struct iobuf *dst, enum http_coding coding, const struct iobuf *src)
{
    int window = coding == HTTP_CODING_GZIP ? WINDOW_GZIP : WINDOW_ZLIB;
    z_stream z = {0};
    bool ok = true;

    DASSERT(coding == HTTP_CODING_GZIP || coding == HTTP_CODING_DEFLATE);
    if (deflateInit2(&z, LEVEL, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        dst->failed = true;
        return false;
    }
    for (struct iobuf_block *block = src->first; block && ok; block = block->next) {
        z.next_in = (Bytef *)block->data + block->start;
        z.avail_in = (uInt)block->len;
        ok = encode_some(&z, dst, Z_NO_FLUSH);
    }
    if (ok) ok = encode_some(&z, dst, Z_FINISH);
    deflateEnd(&z);
    return ok;
}
