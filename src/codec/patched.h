/* Patched packing: small integers at one width, the few large ones patched in. A run
 * of numbers whose outliers do not cost everybody their width. Pure, any thread.
 * Layout: docs/formats/chunk.md, "Patched run".
 */
#ifndef TSINK_CODEC_PATCHED_H
#define TSINK_CODEC_PATCHED_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { PATCHED_MAX = 128 };

/* No run of n numbers is longer; n <= PATCHED_MAX throughout. */
size_t patched_bound(size_t n);

/* Exact bytes of patched_encode(). */
size_t patched_cost(const uint64_t *v, size_t n);

size_t patched_encode(uint8_t *dst, const uint64_t *v, size_t n);

/* Decodes n numbers and stores the bytes used. ST_CORRUPT for anything that does not
 * fit or that patched_encode() does not write. */
CHECKED status patched_decode(uint64_t *v, size_t n, size_t *used, const uint8_t *src,
                              size_t len);

#endif
