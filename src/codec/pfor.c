/* The width is found exactly (kernels.h): the least of
 *
 *     bits(w) = n * w + (patches ? 16 or 24 + patches * (position + widest - w) : 8)
 *
 * where a patch is a value of more than w bits. A patched value keeps its low w bits in
 * place, so decoding is: unpack, then OR the high bits in. Kernels read whole vectors;
 * near the end of the bytes a block is copied to where they may. */
#include "codec/pfor.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "codec/bitio.h"
#include "codec/kernels.h"

enum {
    FLAG_PATCHED = 0x80,
    WIDTH_MASK = 0x7f,
    FEW = 3,          /* patches told in the low two bits of the second byte, less 1 */
    MANY_FROM = 4,    /* the third byte counts from here */
    PAYLOAD_MAX = 8 * PFOR_BLOCK + (7 + 64) * PFOR_BLOCK / 8 + 1,
};

static unsigned position_bits(size_t n)
{
    return bit_width(n - 1);
}

size_t pfor_bits(const uint64_t *r, size_t n)
{
    struct width_choice choice;
    kernels()->choose_width(&choice, r, n);
    return choice.bits;
}

static size_t put_patches(uint8_t *dst, unsigned width, unsigned high, const uint64_t *r,
                          size_t n)
{
    uint8_t at[PFOR_BLOCK + 1];
    struct bit_writer w = {.dst = dst};
    size_t k = 0;

    for (size_t i = 0; i < n; i++) {
        at[k] = (uint8_t)i;
        k += r[i] >> width != 0; /* width < 64 where there are patches */
    }
    for (size_t i = 0; i < k; i++) bit_put(&w, at[i], position_bits(n));
    for (size_t i = 0; i < k; i++) bit_put(&w, r[at[i]] >> width, high);
    return bit_finish(&w);
}

size_t pfor_put(uint8_t *dst, const struct width_choice *choice, const uint64_t *r, size_t n)
{
    unsigned width = choice->width, high = choice->top - width;
    size_t at = 0, n_patches = choice->n_patches;

    dst[at++] = (uint8_t)(width | (n_patches ? FLAG_PATCHED : 0));
    if (n_patches > FEW) {
        dst[at++] = (uint8_t)((high - 1) << 2 | FEW);
        dst[at++] = (uint8_t)(n_patches - MANY_FROM);
    } else if (n_patches) {
        dst[at++] = (uint8_t)((high - 1) << 2 | (n_patches - 1));
    }
    if (width) kernels()->pack(dst + at, r, n, width);
    at += pack_len(n, width);
    if (n_patches) at += put_patches(dst + at, width, high, r, n);
    return at;
}

size_t pfor_encode(uint8_t *dst, const uint64_t *r, size_t n)
{
    struct width_choice choice;
    kernels()->choose_width(&choice, r, n);
    return pfor_put(dst, &choice, r, n);
}

/* The head of a block as read. */
struct plan {
    unsigned width, high; /* bits in place, bits of a patch */
    size_t n_patches;
};

/* Reads the head of a block, so that what follows is known to be there. */
static status get_plan(struct plan *plan, size_t *payload, size_t n, const uint8_t **at,
                       const uint8_t *end)
{
    const uint8_t *src = *at;

    if (src == end) return ST_CORRUPT;
    *plan = (struct plan){.width = *src & WIDTH_MASK};
    if (*src++ & FLAG_PATCHED) {
        if (src == end) return ST_CORRUPT;
        plan->high = (*src >> 2) + 1u;
        plan->n_patches = (*src++ & FEW) + 1u;
        if (plan->n_patches > FEW) {
            if (src == end) return ST_CORRUPT;
            plan->n_patches = MANY_FROM + (size_t)*src++;
        }
        if (plan->n_patches > n) return ST_CORRUPT;
    }
    if (plan->width + plan->high > 64) return ST_CORRUPT;
    *payload = pack_len(n, plan->width) +
               pack_len(plan->n_patches, position_bits(n) + plan->high);
    if (*payload > (size_t)(end - src)) return ST_CORRUPT;
    *at = src;
    return ST_OK;
}

/* width (0..64) bits from bit `at` on; nine bytes are readable there. */
static inline uint64_t bits_at(const uint8_t *src, size_t at, unsigned width)
{
    unsigned shift = at & 7;
    uint64_t v = load_u64(src + (at >> 3)) >> shift;

    if (shift) v |= (uint64_t)src[(at >> 3) + 8] << (64 - shift);
    return width < 64 ? v & ((1ull << width) - 1) : v;
}

static status apply_patches(uint64_t *r, size_t n, const struct plan *plan, const uint8_t *src)
{
    unsigned pos_bits = position_bits(n);
    size_t high_at = plan->n_patches * pos_bits;

    for (size_t i = 0; i < plan->n_patches; i++) {
        size_t pos = (size_t)bits_at(src, i * pos_bits, pos_bits);
        if (pos >= n) return ST_CORRUPT;
        r[pos] |= bits_at(src, high_at + i * plan->high, plan->high) << plan->width;
    }
    return ST_OK;
}

status pfor_decode(uint64_t *r, size_t n, const uint8_t **at, const uint8_t *end)
{
    uint8_t copy[PAYLOAD_MAX + KERNEL_SLACK];
    struct plan plan;
    size_t payload;

    TRY(get_plan(&plan, &payload, n, at, end));
    const uint8_t *src = *at;
    *at += payload;
    if ((size_t)(end - src) < payload + KERNEL_SLACK) {
        memcpy(copy, src, payload);
        memset(copy + payload, 0, KERNEL_SLACK);
        src = copy;
    }
    if (plan.width) {
        kernels()->unpack(r, src, n, plan.width);
    } else {
        memset(r, 0, n * sizeof(r[0]));
    }
    if (plan.n_patches == 0) return ST_OK;
    return apply_patches(r, n, &plan, src + pack_len(n, plan.width));
}

status pfor_skip(size_t n, const uint8_t **at, const uint8_t *end)
{
    struct plan plan;
    size_t payload;

    TRY(get_plan(&plan, &payload, n, at, end));
    *at += payload;
    return ST_OK;
}
