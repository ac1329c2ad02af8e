/* CRC32C: the SSE4.2 instruction on three interleaved streams would be faster
 * still, but one stream (about 8 GB/s) is not the bottleneck of any caller.
 * The portable version goes eight bytes at a time over eight tables
 * ("slicing by 8", Kounavis and Berry 2005). */
#include "base/crc32c.h"

#include <stdbool.h>

#include "base/bytes.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

enum { POLY = 0x82f63b78 }; /* reflected 0x1edc6f41 */

static uint32_t tables[8][256];
static bool have_instruction;

__attribute__((constructor)) static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? (uint32_t)POLY : 0);
        tables[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++)
            tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff];
#if defined(__x86_64__)
    have_instruction = __builtin_cpu_supports("sse4.2") != 0;
#endif
}

uint32_t crc32c_portable(uint32_t crc, const void *src, size_t len)
{
    const uint8_t *at = src;
    crc = ~crc;
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t v = load_u64(at) ^ crc;
        crc = 0;
        for (int t = 0; t < 8; t++) crc ^= tables[7 - t][(v >> (8 * t)) & 0xff];
    }
    for (; len > 0; at++, len--) crc = (crc >> 8) ^ tables[0][(crc ^ *at) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_instruction(uint32_t crc, const void *src,
                                                                  size_t len)
{
    const uint8_t *at = src;
    uint64_t wide = ~crc;
    for (; len >= 8; at += 8, len -= 8) wide = _mm_crc32_u64(wide, load_u64(at));
    crc = (uint32_t)wide;
    for (; len > 0; at++, len--) crc = _mm_crc32_u8(crc, *at);
    return ~crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *src, size_t len)
{
#if defined(__x86_64__)
    if (have_instruction) return crc_instruction(crc, src, len);
#endif
    return crc32c_portable(crc, src, len);
}
