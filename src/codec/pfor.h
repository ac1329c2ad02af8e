/* Patched frame of reference: 1..128 u64 at one width, outliers patched.
 *
 *     +-----------------+ +----------------------+ +---------+ +-----------------------+
 *     | width, patched? | | patches, their width | | low     | | positions, high bits  |
 *     | u8              | | 1 or 2 bytes, if so  | | bits    | | of the patches, if so |
 *     +-----------------+ +----------------------+ +---------+ +-----------------------+
 *
 * The width is the one with the fewest bits in total. Encoding cannot fail; decoding
 * trusts nothing and reads nothing past `end`. Pure, any thread. Layout:
 * docs/formats/chunk.md, "Patched block".
 */
#ifndef TSINK_CODEC_PFOR_H
#define TSINK_CODEC_PFOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "codec/kernels.h"

enum {
    PFOR_BLOCK = 128,
    PFOR_BOUND = 1 + 8 * PFOR_BLOCK, /* bytes of a block */
    PFOR_SPILL = 16,                 /* bytes past the end that encoding may overwrite */
};

/* The bits that r[0..n) take: what pfor_encode() would write, unrounded. */
size_t pfor_bits(const uint64_t *r, size_t n);

/* The second half of pfor_encode(), by what kernels()->choose_width() said of r. */
size_t pfor_put(uint8_t *dst, const struct width_choice *choice, const uint64_t *r, size_t n);

/* Encodes r[0..n), 1 <= n <= PFOR_BLOCK; returns the bytes written, at most 1 + 8 n.
 * Up to PFOR_SPILL bytes after them are overwritten. */
size_t pfor_encode(uint8_t *dst, const uint64_t *r, size_t n);

/* Decodes n values from *at to r, which has room for KERNEL_ROOM - 2 entries whatever
 * n is, and moves *at past them. ST_CORRUPT. */
CHECKED status pfor_decode(uint64_t *r, size_t n, const uint8_t **at, const uint8_t *end);

/* Moves *at past a block of n values. */
CHECKED status pfor_skip(size_t n, const uint8_t **at, const uint8_t *end);

#endif
