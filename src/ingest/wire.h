/* The protobuf wire format, read in place: a message is a run of fields, a field a tag
 * (number << 3 | type) and a value. Nothing is copied or allocated; every length is
 * checked against the message around it, so a child cannot leave its parent.
 *
 *     type 0  varint        1  8 bytes, little-endian
 *     type 2  length, bytes 5  4 bytes, little-endian       3, 4 (groups), 6, 7: refused
 *
 * Pure, any thread; a cursor has one owner.
 */
#ifndef TSINK_INGEST_WIRE_H
#define TSINK_INGEST_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/panic.h"
#include "base/slice.h"
#include "base/varint.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

enum { WIRE_NUMBER_MAX = (1 << 29) - 1 };

struct wire {
    const uint8_t *at, *end;
    const char *why; /* NULL, or why the bytes from `at` on are no field */
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t bits;       /* varint, 8 or 4 bytes */
    struct slice bytes;  /* WIRE_BYTES */
};

static inline struct wire wire_of(struct slice bytes)
{
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    return (struct wire){at, at + bytes.len, NULL};
}

static inline bool wire_varint(uint64_t *out, struct wire *w)
{
    if (likely(w->at < w->end && *w->at < 0x80)) {
        *out = *w->at++;
        return true;
    }
    size_t n = varint_get(out, w->at, (size_t)(w->end - w->at));
    w->at += n;
    return n > 0;
}

/* The length in front of bytes, and the bytes. */
static inline bool wire_bytes(struct slice *out, struct wire *w)
{
    uint64_t len;
    if (!wire_varint(&len, w)) {
        w->why = "bad length";
        return false;
    }
    if (len > (uint64_t)(w->end - w->at)) {
        w->why = "length beyond the message around it";
        return false;
    }
    *out = slice_of(w->at, (size_t)len);
    w->at += len;
    return true;
}

static inline bool wire_fixed(uint64_t *out, struct wire *w, size_t len)
{
    if ((size_t)(w->end - w->at) < len) {
        w->why = "ends early";
        return false;
    }
    *out = len == 8 ? load_u64(w->at) : load_u32(w->at);
    w->at += len;
    return true;
}

/* The next field; false at the end (why NULL) and on damage (why set). */
static inline bool wire_next(struct wire_field *out, struct wire *w)
{
    uint64_t tag;
    if (w->at == w->end || w->why) return false;
    if (!wire_varint(&tag, w)) {
        w->why = "bad tag";
        return false;
    }
    if (tag >> 3 == 0 || tag >> 3 > WIRE_NUMBER_MAX) {
        w->why = "bad field number";
        return false;
    }
    *out = (struct wire_field){.number = (uint32_t)(tag >> 3), .type = (enum wire_type)(tag & 7)};
    switch (tag & 7) {
    case WIRE_VARINT:
        if (wire_varint(&out->bits, w)) return true;
        w->why = "bad varint";
        return false;
    case WIRE_FIXED64: return wire_fixed(&out->bits, w, 8);
    case WIRE_FIXED32: return wire_fixed(&out->bits, w, 4);
    case WIRE_BYTES: return wire_bytes(&out->bytes, w);
    default: w->why = "wire type of a group or none"; return false;
    }
}

/* Whether a known field has the type its message gives it; sets why when not. */
static inline bool wire_is(struct wire *w, const struct wire_field *field, enum wire_type type)
{
    if (likely(field->type == type)) return true;
    w->why = "wrong wire type for the field";
    return false;
}

#endif
