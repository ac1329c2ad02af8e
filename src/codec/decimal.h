/* Value codec 7: a whole column of f64, i64 or u64 values <-> bytes, in blocks of 128.
 *
 * i64 and u64 are integer columns (int_column.h). f64 takes the first of these that
 * holds:
 *
 *     decimal       v = n / 10^e     one e <= 15 for all, |n| < 2^53, n an integer column;
 *                                    NaN, infinities, -0 and misfits are exceptions
 *     decimal+ulp   v = n / 10^e + u steps of the last mantissa bit: two integer columns;
 *                                    what went through float arithmetic
 *     raw           the bit patterns as an integer column
 *
 * What goes in comes out bit for bit. The exact length of an encoding is known after
 * decimal_encode(), so that a chooser compares by encoding.
 *
 * Encoders cannot fail; decoders trust nothing and read nothing but src[0..len) (no
 * bytes beyond it are needed). Pure, any thread; memory is the caller's. Layout:
 * docs/formats/chunk.md, "Codec 7".
 */
#ifndef TSINK_CODEC_DECIMAL_H
#define TSINK_CODEC_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "codec/int_column.h"
#include "model/value.h"

enum {
    DECIMAL_BLOCK = INT_BLOCK,
    DECIMAL_COLUMN_MAX = INT_COLUMN_MAX,
    DECIMAL_EXPONENT_MAX = 15,
};

/* Working memory of an encoder, reused from column to column. All zero is valid. */
struct decimal_scratch {
    uint64_t *words;
    size_t cap; /* values it serves */
};

/* Makes room for columns of n values: 40 bytes a value. ST_NO_MEMORY. */
CHECKED status decimal_scratch_reserve(struct decimal_scratch *scratch, size_t n);
void decimal_scratch_release(struct decimal_scratch *scratch);

/* No column of n numeric values is longer than this. */
size_t decimal_bound(size_t n);

/* Encodes val[0..n), 1 <= n <= DECIMAL_COLUMN_MAX, type f64, i64 or u64, to dst, which
 * has room for decimal_bound(n). scratch is reserved for n; it may be NULL when
 * n <= DECIMAL_BLOCK. Returns the bytes written. */
size_t decimal_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n,
                      struct decimal_scratch *scratch);

/* The same for n <= DECIMAL_BLOCK, made for the 17..32 values of a head's tail. *hint
 * says what became of the series' block before, is tried first, and then says what
 * became of this one. 0 is the best start; any value will do. */
size_t decimal_encode_block(uint8_t *dst, enum value_type type, const union value *val,
                            size_t n, uint8_t *hint);

/* A column read in order. Fields are private; src must outlive it. */
struct decimal_reader {
    uint8_t form, exponent;
    size_t n, at;                 /* values in the column, values given out */
    struct int_reader main;       /* the integers, or the bit patterns */
    struct int_reader ulp;        /* decimal+ulp only */
    const uint8_t *exc, *exc_end; /* exceptions not yet given out */
    size_t exc_next;              /* where the next one counts from */
    uint64_t exc_last;            /* the bits of the last one */
};

/* Reads the head. ST_CORRUPT. */
CHECKED status decimal_open(struct decimal_reader *rd, enum value_type type, size_t n,
                            const uint8_t *src, size_t len);

/* The next block: DECIMAL_BLOCK values or what is left; *n = 0 at the end. val has room
 * for DECIMAL_BLOCK. The last block must end where src does. After a failure the
 * reader is void. */
CHECKED status decimal_next(struct decimal_reader *rd, union value *val, size_t *n);

/* Passes over n_blocks blocks, or to the end, without making values. */
CHECKED status decimal_skip(struct decimal_reader *rd, size_t n_blocks);

/* All of it: exactly n values to val[0..n). */
CHECKED status decimal_decode(union value *val, enum value_type type, size_t n,
                              const uint8_t *src, size_t len);

/* ---- residuals apart from their packing: for a coder of one's own ---------------- */

/* A column taken apart: everything but the residuals as bytes, and up to two streams
 * of residuals (two with decimal+ulp), which are in the scratch until its next use. */
struct decimal_parts {
    size_t head_len;
    size_t n_streams;     /* 1 or 2 */
    const uint64_t *r[2];
    size_t n_r[2];
};

/* Takes val[0..n) apart; the head goes to dst, which has room for decimal_bound(n).
 * scratch is reserved for n. judge() says what a stream of residuals would cost: its
 * least decides between their forms. */
void decimal_split(struct decimal_parts *out, uint8_t *dst, enum value_type type,
                   const union value *val, size_t n, struct decimal_scratch *scratch,
                   size_t (*judge)(const uint64_t *r, size_t n));

/* Opens the head that decimal_split() wrote; *used is its length. Then, for each block,
 * give each stream's decimal_join_wants() residuals to decimal_join(). */
CHECKED status decimal_join_open(struct decimal_reader *rd, enum value_type type, size_t n,
                                 size_t *used, const uint8_t *src, size_t len);
size_t decimal_join_streams(const struct decimal_reader *rd);
size_t decimal_join_wants(const struct decimal_reader *rd, size_t stream);

/* r0 and r1 (NULL with one stream) have room for DECIMAL_BLOCK + 16 and are written
 * over. Otherwise as decimal_next(). */
CHECKED status decimal_join(struct decimal_reader *rd, union value *val, size_t *n,
                            uint64_t *r0, uint64_t *r1);

#endif
