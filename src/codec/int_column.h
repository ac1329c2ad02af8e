/* The integer stage: a column of 1..65535 64-bit integers <-> bytes, in blocks of 128.
 *
 * Every column is told as
 *
 *     FOR           x[i] = first + factor * r[i]                        gauges
 *     DELTA         x[i] = x[i-1] + factor * unzigzag(r[i])             walks
 *     DELTA_LEAST   x[i] = x[i-1] + factor * (step + r[i])              counters
 *     DELTA2        d[i] = d[i-1] + factor * unzigzag(r[i]), x[i] = x[i-1] + d[i]
 *     RAMP          x[i] = first + i * factor * step                    idle, steady
 *
 * with small residuals r, which are packed by pfor.h. In the delta forms x[0] = first
 * and there is no r[0]; in DELTA2 d[1] = factor * step and there is no r[1] either
 * (int_form_skip()). factor is a common factor of all differences. All arithmetic
 * wraps modulo 2^64, so that signed and unsigned columns are the same to it and
 * nothing overflows.
 *
 * Encoders cannot fail; decoders trust nothing and read nothing but src[0..len).
 * Pure, any thread, nothing allocated. Layout: docs/formats/chunk.md, "Integer column".
 */
#ifndef TSINK_CODEC_INT_COLUMN_H
#define TSINK_CODEC_INT_COLUMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    INT_BLOCK = 128,        /* values a block, the last may be shorter */
    INT_COLUMN_MAX = 65535, /* values a column */
    INT_PARAMS_MAX = 32,    /* bytes of the parameters */
};

/* Stored in columns: never renumber. */
enum int_form {
    INT_FOR = 0,
    INT_DELTA = 1,
    INT_DELTA_LEAST = 2,
    INT_DELTA2 = 3,
    INT_RAMP = 4,
};

/* How a column becomes residuals and comes back. */
struct int_params {
    enum int_form form;
    uint64_t factor; /* not 0 */
    uint64_t first;  /* FOR: the base; otherwise x[0] */
    uint64_t step;   /* DELTA_LEAST, DELTA2, RAMP */
};

/* How many values at the start of a column have no residual: 0, 1, 2; all with RAMP. */
static inline size_t int_form_skip(enum int_form form, size_t n)
{
    size_t skip = form == INT_FOR ? 0 : form == INT_DELTA2 ? 2 : form == INT_RAMP ? n : 1;
    return skip < n ? skip : n;
}

/* Chooses the form with the fewest bytes, judged by every fourth block. 1 <= n. */
void int_params_choose(struct int_params *out, const uint64_t *v, size_t n);

/* The form whose residuals, told to judge(), are least: `room` has n words for them. */
void int_params_choose_by(struct int_params *out, const uint64_t *v, size_t n,
                          size_t (*judge)(const uint64_t *r, size_t n), uint64_t *room);

/* Parameters as bytes; `extra` (0..15) is a nibble of the caller's that travels in the
 * first byte. put() writes at most INT_PARAMS_MAX; get() says how many were read. */
size_t int_params_put(uint8_t *dst, const struct int_params *params, unsigned extra);
CHECKED status int_params_get(struct int_params *out, unsigned *extra, size_t *used,
                              const uint8_t *src, size_t len);

/* The residuals of all n values, n - int_form_skip() of them, to r. Returns how many. */
size_t int_residuals(uint64_t *r, const struct int_params *params, const uint64_t *v,
                     size_t n);

/* The way back, block by block and in order. at counts values given out. */
struct int_restore {
    struct int_params params;
    size_t n, at;
    uint64_t last, last_delta; /* x[at-1], and d[at-1] divided by factor */
};

void int_restore_init(struct int_restore *st, const struct int_params *params, size_t n);

/* Values of the next block (0 at the end), and the residuals that it takes. */
size_t int_restore_values(const struct int_restore *st);
size_t int_restore_wants(const struct int_restore *st);

/* The next block from its int_restore_wants() residuals; returns its values. v and r
 * have room for INT_BLOCK + 16 each, and may be the same. */
size_t int_restore_next(struct int_restore *st, uint64_t *v, uint64_t *r);

/* ---- residuals packed: the whole column as bytes ------------------------------- */

/* No column of n is longer than this. */
size_t int_column_bound(size_t n);

/* Encodes v[0..n) to dst; returns the bytes written. */
size_t int_column_encode(uint8_t *dst, const uint64_t *v, size_t n, unsigned extra);

/* The same by parameters that the caller has chosen (they must hold for v). */
size_t int_column_encode_as(uint8_t *dst, const struct int_params *params, const uint64_t *v,
                            size_t n, unsigned extra);

/* Its blocks alone, without the parameters. */
size_t int_blocks_encode(uint8_t *dst, const struct int_params *params, const uint64_t *v,
                         size_t n);

/* The bits of such a column, within a byte a block: every block is counted. */
size_t int_column_bits(const struct int_params *params, const uint64_t *v, size_t n);

/* A column read in order. Fields are private; src must outlive it. */
struct int_reader {
    struct int_restore restore;
    const uint8_t *at, *end;
};

/* Reads the parameters. extra may be NULL: the nibble must then be 0. */
CHECKED status int_reader_open(struct int_reader *rd, unsigned *extra, size_t n,
                               const uint8_t *src, size_t len);

/* The same over blocks alone. 1 <= n <= INT_COLUMN_MAX. */
void int_reader_init(struct int_reader *rd, const struct int_params *params, size_t n,
                     const uint8_t *src, size_t len);

/* The next block to v, which has room for INT_BLOCK + 16; *n = 0 at the end. The last
 * block must end where src does, else ST_CORRUPT; after a failure the reader is void. */
CHECKED status int_reader_next(struct int_reader *rd, uint64_t *v, size_t *n);

/* Passes over n_blocks blocks, or to the end. Free with FOR and RAMP, otherwise about
 * half of decoding. */
CHECKED status int_reader_skip(struct int_reader *rd, size_t n_blocks);

/* All of it: exactly n values to v[0..n). */
CHECKED status int_column_decode(uint64_t *v, size_t n, const uint8_t *src, size_t len);

#endif
