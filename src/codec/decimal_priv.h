/* The head of a decimal column, as its writer and its reader see it. Private to codec.
 *
 *     parameters of the integer column     its nibble: 0..12 the exponent, 13 see next
 *     [ u8 exponent | form << 4 | exceptions? << 6 ]        when the nibble is 13
 *     [ varint len, exceptions ]                            when there are any
 *     [ parameters of the ulp column ]                      form ulp
 *
 * An exception is varint((position - the one before - 1) << 3 | kind), and 8 bytes when
 * the kind is EXC_BITS. */
#ifndef TSINK_CODEC_DECIMAL_PRIV_H
#define TSINK_CODEC_DECIMAL_PRIV_H

#include "codec/decimal.h"

enum decimal_form {
    DECIMAL_PLAIN = 0,
    DECIMAL_ULP = 1,
    DECIMAL_RAW = 2,
    DECIMAL_INTS = 3, /* i64 and u64: not told, the type says so */
};

enum {
    DECIMAL_NIBBLE_EXPONENT_MAX = 12,
    DECIMAL_NIBBLE_EXTENDED = 13,
    DECIMAL_FORM_SHIFT = 4,
    DECIMAL_FORM_MASK = 3,
    DECIMAL_HAS_EXCEPTIONS = 0x40,
};

/* Stored: never renumber. */
enum exception_kind {
    EXC_BITS = 0, /* as they follow */
    EXC_STALE = 1,
    EXC_NAN = 2,       /* Prometheus' */
    EXC_QUIET_NAN = 3, /* the hardware's positive one */
    EXC_INF = 4,
    EXC_MINUS_INF = 5,
    EXC_MINUS_ZERO = 6,
    EXC_AGAIN = 7, /* the bits of the exception before */
    EXC_KIND_BITS = 3,
};

/* Bits of the kinds EXC_STALE to EXC_MINUS_ZERO. */
extern const uint64_t decimal_special_bits[8];

#endif
