/* Value codec 8: the head of codec 7, then class streams of its residuals (entropy.h);
 * with two, the first behind its length. For chunks' values and for columns of histograms.
 * Private to codec. Layout: docs/formats/chunk.md. */
#ifndef TSINK_CODEC_CLASS_COLUMN_PRIV_H
#define TSINK_CODEC_CLASS_COLUMN_PRIV_H

#include "base/status.h"
#include "codec/column_work_priv.h"
#include "codec/decimal.h"
#include "codec/entropy.h"
#include "model/value.h"

/* Encodes val[0..n) of a numeric type to dst, which has room for class_column_bound().
 * Returns the bytes written, SIZE_MAX when memory is refused. Uses work's words and its
 * decimal scratch. */
size_t class_column_bound(size_t n);
size_t class_column_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n,
                           struct work *work);

/* A column read in order. About 50 KiB; src must outlive it. */
struct class_reader {
    struct decimal_reader decimal;
    struct entropy_reader stream[2];
    uint64_t r[2][DECIMAL_BLOCK + 16];
};

CHECKED status class_reader_open(struct class_reader *rd, enum value_type type, size_t n,
                                 const uint8_t *src, size_t len);

/* The next block, as decimal_next(). At the end ST_CORRUPT when bytes are left. */
CHECKED status class_reader_next(struct class_reader *rd, union value *val, size_t *n);

#endif
