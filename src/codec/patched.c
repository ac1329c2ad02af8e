/* Patched packing. The width is the one with the fewest bytes in total, found exactly
 * from a histogram of bit lengths:
 *
 *     bytes(w) = pack_len(n, w) + sum over v >= 2^w of (1 + varint_len(v >> w))
 *
 * The high bits of a patched number go into the patch and its low bits stay in
 * place, so decoding is: unpack, then OR the patches in. Patches are rare or the
 * width would have been larger. */
#include "codec/patched.h"

#include "base/bits.h"
#include "base/varint.h"
#include "codec/bitio.h"
#include "codec/codec_priv.h"

/* The first byte: the width, and whether a list of patches follows the values. */
enum { PATCHED_FLAG = 0x80, PATCHED_WIDTH = 0x7f };

size_t patched_bound(size_t n)
{
    return 1 + 8 * n;
}

/* The width with the fewest bytes, and those. A patch is a position and a varint of
 * the b - w bits that are left of a number of b bits. */
static unsigned best_width(size_t *bytes, const uint64_t *v, size_t n)
{
    uint8_t by_width[65] = {0};
    unsigned top = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned b = bit_width(v[i]);
        by_width[b]++;
        if (b > top) top = b;
    }
    unsigned best = top;
    *bytes = 1 + pack_len(n, top);
    size_t n_patches = 0;
    for (unsigned w = top; w-- > 0;) {
        n_patches += by_width[w + 1];
        /* Two bytes a patch at least: once they alone are too many, they stay so. */
        if (2 * n_patches >= *bytes) break;
        size_t len = 2 + pack_len(n, w) + n_patches;
        for (unsigned b = w + 1; b <= top; b++) {
            len += by_width[b] * (size_t)((b - w + 6) / 7);
        }
        if (len < *bytes) {
            *bytes = len;
            best = w;
        }
    }
    return best;
}

size_t patched_cost(const uint64_t *v, size_t n)
{
    size_t bytes;
    (void)best_width(&bytes, v, n);
    return bytes;
}

static inline uint64_t low_bits(unsigned width)
{
    return width >= 64 ? ~0ull : (1ull << width) - 1;
}

size_t patched_encode(uint8_t *dst, const uint64_t *v, size_t n)
{
    size_t bytes;
    unsigned width = best_width(&bytes, v, n);
    uint64_t mask = low_bits(width);
    struct bit_writer w = {.dst = dst + 1};
    size_t n_patches = 0;

    for (size_t i = 0; i < n; i++) {
        n_patches += v[i] > mask;
        if (width) bit_put(&w, v[i] & mask, width);
    }
    size_t at = 1 + bit_finish(&w);
    dst[0] = (uint8_t)(width | (n_patches ? PATCHED_FLAG : 0));
    if (n_patches == 0) return at;

    dst[at++] = (uint8_t)n_patches;
    for (size_t i = 0; i < n; i++) {
        if (v[i] <= mask) continue;
        dst[at++] = (uint8_t)i;
        at += varint_put(dst + at, v[i] >> width);
    }
    return at;
}

static status apply_patches(uint64_t *v, size_t n, unsigned width, struct span *in)
{
    unsigned n_patches, pos, before = 0;

    if (!span_byte(&n_patches, in) || n_patches == 0 || n_patches > n || width >= 64) {
        return ST_CORRUPT;
    }
    for (unsigned i = 0; i < n_patches; i++) {
        uint64_t high;
        if (!span_byte(&pos, in) || pos >= n || (i > 0 && pos <= before)) return ST_CORRUPT;
        if (!span_varint(&high, in) || high == 0 || high > low_bits(64 - width)) {
            return ST_CORRUPT;
        }
        v[pos] |= high << width;
        before = pos;
    }
    return ST_OK;
}

status patched_decode(uint64_t *v, size_t n, size_t *used, const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    unsigned head;

    if (!span_byte(&head, &in)) return ST_CORRUPT;
    unsigned width = head & PATCHED_WIDTH;
    if (width > 64) return ST_CORRUPT;
    const uint8_t *packed = span_take(&in, pack_len(n, width));
    if (!packed) return ST_CORRUPT;
    unpack_bits(v, n, width, packed);
    if (head & PATCHED_FLAG) TRY(apply_patches(v, n, width, &in));
    *used = len - in.len;
    return ST_OK;
}
