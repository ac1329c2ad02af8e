/* Protobuf by hand. See pb_write.h. */
#include "tests/lib/pb_write.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/varint.h"

void pb_raw_varint(struct strbuf *out, uint64_t v)
{
    uint8_t bytes[VARINT_MAX];
    strbuf_put(out, bytes, varint_put(bytes, v));
}

void pb_tag(struct strbuf *out, uint64_t number, enum pb_type type)
{
    pb_raw_varint(out, number << 3 | type);
}

void pb_varint(struct strbuf *out, uint32_t number, uint64_t v)
{
    pb_tag(out, number, PB_VARINT);
    pb_raw_varint(out, v);
}

void pb_sint(struct strbuf *out, uint32_t number, int64_t v)
{
    pb_varint(out, number, zigzag(v));
}

void pb_double(struct strbuf *out, uint32_t number, double v)
{
    uint8_t bytes[8];
    store_u64(bytes, f64_bits(v));
    pb_tag(out, number, PB_FIXED64);
    strbuf_put(out, bytes, sizeof(bytes));
}

void pb_bytes(struct strbuf *out, uint32_t number, struct slice bytes)
{
    pb_tag(out, number, PB_BYTES);
    pb_raw_varint(out, bytes.len);
    strbuf_slice(out, bytes);
}

void pb_text(struct strbuf *out, uint32_t number, const char *text)
{
    pb_bytes(out, number, slice_str(text));
}

void pb_message(struct strbuf *out, uint32_t number, struct strbuf *child)
{
    pb_bytes(out, number, strbuf_view(child));
    strbuf_reset(child);
}

void pb_label(struct strbuf *series, const char *name, const char *value)
{
    struct strbuf label;
    strbuf_init(&label, 0);
    pb_text(&label, 1, name);
    pb_text(&label, 2, value);
    pb_message(series, 1, &label);
    strbuf_release(&label);
}

void pb_sample(struct strbuf *series, double value, int64_t ms)
{
    struct strbuf sample;
    strbuf_init(&sample, 0);
    pb_double(&sample, 1, value);
    pb_varint(&sample, 2, (uint64_t)ms);
    pb_message(series, 2, &sample);
    strbuf_release(&sample);
}

void pb_metadata(struct strbuf *request, unsigned type, const char *family, const char *help,
                 const char *unit)
{
    struct strbuf meta;
    strbuf_init(&meta, 0);
    if (type) pb_varint(&meta, 1, type);
    pb_text(&meta, 2, family);
    if (help) pb_text(&meta, 4, help);
    if (unit) pb_text(&meta, 5, unit);
    pb_message(request, 3, &meta);
    strbuf_release(&meta);
}
