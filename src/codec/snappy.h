/* The door to snappy, raw block format (what remote write and remote read speak; not
 * the framing format). The claimed length is checked before anything is allocated.
 * Pure, any thread.
 */
#ifndef TSINK_CODEC_SNAPPY_H
#define TSINK_CODEC_SNAPPY_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* The length that the block says it has once decompressed. ST_INVALID when there is
 * no such number or when src could not yield as much (a snappy byte makes at most
 * about 22 bytes), ST_TOO_LARGE above len_max. */
CHECKED status snappy_block_len(size_t *out, const void *src, size_t len, size_t len_max,
                                struct err *err);

/* Decompresses into dst[0..dst_len), dst_len from snappy_block_len(). ST_INVALID when
 * the block does not yield exactly that. */
CHECKED status snappy_block_decode(void *dst, size_t dst_len, const void *src, size_t len,
                                   struct err *err);

/* The most that snappy_block_encode() makes of len bytes. */
size_t snappy_block_bound(size_t len);

/* Compresses to dst, which has room for snappy_block_bound(len); returns the length. */
size_t snappy_block_encode(void *dst, const void *src, size_t len);

#endif
