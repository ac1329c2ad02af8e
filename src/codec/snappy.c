/* Snappy blocks through snappy-c. The library trusts the length that a block begins
 * with; eight hostile bytes that claim 4 GiB have made servers allocate 4 GiB. So the
 * claim is held against the caller's limit and against what the bytes that follow can
 * yield at all: an element makes at most 64 bytes out of 3 (a copy with a two-byte
 * offset), 64 / 3 < 22 for each byte. */
#include "codec/snappy.h"

#include <snappy-c.h>

#include "base/varint.h"

enum { SNAPPY_YIELD_MAX = 22 };

status snappy_block_len(size_t *out, const void *src, size_t len, size_t len_max,
                        struct err *err)
{
    uint64_t claim;
    size_t used = varint_get(&claim, src, len);

    if (used == 0 || used > 5 || claim > UINT32_MAX) {
        return err_set(err, ST_INVALID, "not a snappy block: no length at its start");
    }
    if (claim > len_max) {
        return err_set(err, ST_TOO_LARGE, "snappy block of %llu bytes, the limit is %zu",
                       (unsigned long long)claim, len_max);
    }
    if (claim > (uint64_t)(len - used) * SNAPPY_YIELD_MAX) {
        return err_set(err, ST_INVALID, "snappy block of %zu bytes cannot hold the %llu it claims",
                       len, (unsigned long long)claim);
    }
    *out = (size_t)claim;
    return ST_OK;
}

status snappy_block_decode(void *dst, size_t dst_len, const void *src, size_t len,
                           struct err *err)
{
    size_t claim = 0, got = dst_len;

    if (snappy_uncompressed_length(src, len, &claim) != SNAPPY_OK || claim != dst_len ||
        snappy_uncompress(src, len, dst, &got) != SNAPPY_OK || got != dst_len) {
        return err_set(err, ST_INVALID, "snappy block of %zu bytes is damaged", len);
    }
    return ST_OK;
}

size_t snappy_block_bound(size_t len)
{
    return snappy_max_compressed_length(len);
}

size_t snappy_block_encode(void *dst, const void *src, size_t len)
{
    size_t out = snappy_max_compressed_length(len);
    return snappy_compress(src, len, dst, &out) == SNAPPY_OK ? out : 0;
}
