/* Writing the protobuf wire format: the other half of wire.h. Appends to a strbuf, whose
 * `failed` tells about refused memory. A message inside another is made in a buffer of its
 * own, because its length stands in front of it. Fields that have the default value are
 * left out, as proto3 does. Pure, any thread.
 */
#ifndef TSINK_INGEST_WIRE_WRITE_H
#define TSINK_INGEST_WIRE_WRITE_H

#include "base/strbuf.h"
#include "ingest/wire.h"

static inline void wire_put_raw(struct strbuf *out, uint64_t v)
{
    uint8_t bytes[VARINT_MAX];
    strbuf_put(out, bytes, varint_put(bytes, v));
}

static inline void wire_put_tag(struct strbuf *out, uint32_t number, enum wire_type type)
{
    wire_put_raw(out, (uint64_t)number << 3 | type);
}

/* int64, uint64, int32, bool, enum: negative ones take ten bytes. */
static inline void wire_put_varint(struct strbuf *out, uint32_t number, uint64_t v)
{
    if (v == 0) return;
    wire_put_tag(out, number, WIRE_VARINT);
    wire_put_raw(out, v);
}

/* sint32, sint64 */
static inline void wire_put_signed(struct strbuf *out, uint32_t number, int64_t v)
{
    wire_put_varint(out, number, zigzag(v));
}

/* double; only +0 is the default, -0 is not. */
static inline void wire_put_double(struct strbuf *out, uint32_t number, double v)
{
    uint64_t bits = f64_bits(v);
    if (bits == 0) return;
    wire_put_tag(out, number, WIRE_FIXED64);
    strbuf_put(out, &bits, sizeof(bits));
}

/* string, bytes, a message: also when it is empty. */
static inline void wire_put_bytes(struct strbuf *out, uint32_t number, struct slice bytes)
{
    wire_put_tag(out, number, WIRE_BYTES);
    wire_put_raw(out, bytes.len);
    strbuf_slice(out, bytes);
}

/* The message that was made in child, which is emptied for the next. */
static inline void wire_put_message(struct strbuf *out, uint32_t number, struct strbuf *child)
{
    wire_put_bytes(out, number, strbuf_view(child));
    if (child->failed) out->failed = true;
    child->len = 0;
}

#endif
