/* Choosing a form, and encoding by it.
 *
 * One pass over the column gives the range of values and of differences and the OR of
 * all distances from v[0]. The OR tells the power of two in the common factor. The odd
 * part is a gcd that is 1 after a few values as a rule; while it is not, each value
 * costs a multiplication to verify (d is a multiple of an odd g when d / g, taken modulo
 * 2^64, is at most 2^64 / g). The forms are then tried on every fourth block, and the
 * column is encoded once.
 *
 * A counter that was reset has a few large negative differences. DELTA_LEAST by the
 * least of all would widen every residual; by the least that is not negative, a reset
 * wraps around to a large residual and becomes a patch.
 *
 * A short column (the block of a head's tail) has no time for that: the ranges tell the
 * bits of each form without patches. The better of the two delta forms is counted with
 * patches and taken unless FOR is shorter still without any.
 *
 * Nothing depends on these choices being right: any parameters whose factor divides the
 * differences give the column back, modulo 2^64. */
#include "codec/int_column.h"

#include <string.h>

#include "base/bits.h"
#include "base/panic.h"
#include "base/varint.h"
#include "codec/kernels.h"
#include "codec/pfor.h"

enum {
    SAMPLE_EVERY = 4,  /* blocks; estimates on these stand for all */
    RARE = 128,        /* one in so many differences is negative: resets, not a walk */
    FORMS_MAX = 5,
    FORM_BITS = 3,
    ODD_PAYS_BITS = 64, /* of a column; below, an odd factor is not looked for */
    QUICK = 64,         /* values; so short a column is not tried in all forms */
    FACTOR_FLAG = 8,
    FACTOR_SHIFT_MASK = 63,
    FACTOR_ODD_FLAG = 64,
};

_Static_assert((int)INT_BLOCK == (int)PFOR_BLOCK && (int)INT_BLOCK == (int)KERNEL_BLOCK,
               "one block everywhere");

/* ---- the common factor ----------------------------------------------------------- */

/* 1 / odd modulo 2^64: each step doubles the number of right bits, from 5. */
static uint64_t inverse_of(uint64_t odd)
{
    uint64_t x = (3 * odd) ^ 2;
    for (int i = 0; i < 4; i++) x *= 2 - odd * x;
    return x;
}

static uint64_t size_of(uint64_t diff)
{
    return (int64_t)diff < 0 ? 0 - diff : diff;
}

/* Of two odd numbers, or 0 and one. */
static uint64_t gcd_odd(uint64_t a, uint64_t b)
{
    if (a == 0) return b;
    while (b) {
        b >>= trailing_zeros(b);
        uint64_t less = a < b ? a : b; /* no branches: nothing here can be predicted */
        b = a < b ? b - a : a - b;
        a = less;
    }
    return a;
}

/* The odd part of the common factor of all differences. */
static uint64_t odd_factor(const uint64_t *v, size_t n)
{
    uint64_t g = 0, inverse = 0, most = 0;

    for (size_t i = 1; i < n; i++) {
        uint64_t d = size_of(v[i] - v[i - 1]);
        if (d == 0 || (g && d * inverse <= most)) continue;
        g = gcd_odd(g, d >> trailing_zeros(d));
        if (g == 1) return 1;
        inverse = inverse_of(g);
        most = UINT64_MAX / g;
    }
    return g ? g : 1;
}

static size_t factor_len(uint64_t factor)
{
    uint64_t odd = factor >> trailing_zeros(factor);
    return odd > 1 ? 1 + varint_len(odd) : 1;
}

/* The common factor, or 1 when it would not pay. */
static uint64_t choose_factor(const struct int_scan *scan, const uint64_t *v, size_t n)
{
    unsigned shift = trailing_zeros(scan->bits);
    unsigned width = bit_width((uint64_t)scan->d_high - (uint64_t)scan->d_low);
    uint64_t factor = 1ull << shift;

    if (width > shift && n * (width - shift) > ODD_PAYS_BITS) factor *= odd_factor(v, n);
    return n * (bit_width(factor) - 1) > 8 * factor_len(factor) ? factor : 1;
}

/* Exact division by a factor: an arithmetic shift and a multiplication. */
struct divisor {
    unsigned shift;
    uint64_t inverse;
};

static struct divisor divisor_of(uint64_t factor)
{
    if (factor == 1) return (struct divisor){0, 1};
    unsigned shift = trailing_zeros(factor);
    return (struct divisor){shift, inverse_of(factor >> shift)};
}

static uint64_t divide(uint64_t d, struct divisor by)
{
    return (uint64_t)((int64_t)d >> by.shift) * by.inverse;
}

/* ---- residuals ------------------------------------------------------------------- */

static void divide_all(uint64_t *r, size_t n, struct divisor by)
{
    if (by.shift || by.inverse != 1) kernels()->scale(r, r, n, 0, by.shift, by.inverse);
}

/* The residuals of values [start, start + n), n <= INT_BLOCK, without those that the
 * start of a column lacks. r has room for KERNEL_ROOM. */
static size_t block_residuals(uint64_t *r, const struct int_params *p, const uint64_t *v,
                              size_t start, size_t n)
{
    const struct kernels *k = kernels();
    struct divisor by = divisor_of(p->factor);
    size_t skip = start ? 0 : int_form_skip(p->form, n);
    size_t count = n - skip;
    uint64_t d[KERNEL_ROOM];

    if (count == 0 || p->form == INT_RAMP) return 0;
    v += start + skip;
    switch (p->form) {
    case INT_FOR:
        k->scale(r, v, count, p->first, by.shift, by.inverse);
        break;
    case INT_DELTA:
        k->deltas(r, v, count);
        divide_all(r, count, by);
        k->zigzag(r, r, count);
        break;
    case INT_DELTA_LEAST:
        k->deltas(r, v, count);
        divide_all(r, count, by);
        k->subtract(r, r, count, p->step);
        break;
    case INT_DELTA2:
        k->deltas(d, v - 1, count + 1);
        divide_all(d, count + 1, by);
        k->deltas(r, d + 1, count);
        k->zigzag(r, r, count);
        break;
    case INT_RAMP:
        break;
    }
    return count;
}

size_t int_residuals(uint64_t *r, const struct int_params *params, const uint64_t *v,
                     size_t n)
{
    uint64_t block[KERNEL_ROOM];
    size_t at = 0;

    for (size_t start = 0; start < n; start += INT_BLOCK) {
        size_t left = n - start < INT_BLOCK ? n - start : INT_BLOCK;
        size_t count = block_residuals(block, params, v, start, left);
        memcpy(r + at, block, count * sizeof(r[0]));
        at += count;
    }
    return at;
}

/* ---- the choice ------------------------------------------------------------------ */

static size_t signed_len(uint64_t v)
{
    return varint_len(zigzag((int64_t)v));
}

static bool form_has_step(enum int_form form)
{
    return form == INT_DELTA_LEAST || form == INT_DELTA2 || form == INT_RAMP;
}

/* Bits of a column by one in `every` of its blocks. Stops when they pass `limit`. */
static size_t estimate(const struct int_params *p, const uint64_t *v, size_t n, size_t every,
                       size_t limit)
{
    size_t bits = 8 * (signed_len(p->first) + (form_has_step(p->form) ? signed_len(p->step) : 0));
    uint64_t r[KERNEL_ROOM];

    for (size_t start = 0; start < n && bits < limit; start += every * INT_BLOCK) {
        size_t left = n - start < INT_BLOCK ? n - start : INT_BLOCK;
        size_t count = block_residuals(r, p, v, start, left);
        if (count) bits += every * pfor_bits(r, count);
    }
    return bits;
}

size_t int_column_bits(const struct int_params *params, const uint64_t *v, size_t n)
{
    return estimate(params, v, n, 1, SIZE_MAX);
}

/* The forms worth a try. */
static size_t candidates(struct int_params *out, const struct int_scan *s, uint64_t factor,
                         const uint64_t *v, size_t n)
{
    struct divisor by = divisor_of(factor);
    struct int_params p = {.factor = factor, .first = v[0]};
    size_t k = 0;

    if (s->n_down * RARE > n || s->n_down == 0 || n <= INT_BLOCK) {
        p.form = INT_DELTA_LEAST;
        p.step = divide((uint64_t)s->d_low, by);
        out[k++] = p;
    }
    if (s->d_low < 0 && s->d_high >= 0 && s->n_down * 4 < n) {
        p.form = INT_DELTA_LEAST;
        p.step = divide((uint64_t)s->d_low_up, by);
        out[k++] = p;
    }
    p.step = 0;
    p.form = INT_DELTA;
    if (s->d_low < 0) out[k++] = p;
    p.form = INT_FOR;
    p.first = v[0] + (uint64_t)s->low;
    out[k++] = p;
    p.form = INT_DELTA2;
    p.first = v[0];
    p.step = divide(v[1] - v[0], by);
    if (n > 4) out[k++] = p;
    return k;
}

/* The better delta form of a short column that is no ramp, and FOR with its bits. */
static size_t quick_forms(struct int_params *delta, struct int_params *base,
                          const struct int_scan *s, const uint64_t *v, size_t n)
{
    uint64_t factor = choose_factor(s, v, n);
    struct divisor by = divisor_of(factor);
    uint64_t least = divide((uint64_t)s->d_low, by), most = divide((uint64_t)s->d_high, by);
    uint64_t range = divide((uint64_t)s->high - (uint64_t)s->low, by);
    unsigned with_sign = bit_width(zigzag((int64_t)least) | zigzag((int64_t)most));

    *delta = (struct int_params){INT_DELTA, factor, v[0], 0};
    if ((n - 1) * (with_sign - bit_width(most - least)) > 8 * signed_len(least)) {
        delta->form = INT_DELTA_LEAST;
        delta->step = least;
    }
    *base = (struct int_params){INT_FOR, factor, v[0] + (uint64_t)s->low, 0};
    return 8 + n * bit_width(range) + 8 * signed_len(base->first);
}

/* What a short column takes, its residuals and their width. */
static size_t choose_quickly(struct int_params *out, struct width_choice *choice,
                             uint64_t *r, const uint64_t *v, size_t n)
{
    struct int_params base;
    struct int_scan scan;

    kernels()->scan(&scan, v, n);
    if (scan.d_low == scan.d_high) {
        *out = (struct int_params){INT_RAMP, 1, v[0], (uint64_t)scan.d_low};
        return 0;
    }
    size_t base_bits = quick_forms(out, &base, &scan, v, n);
    size_t count = block_residuals(r, out, v, 0, n);
    kernels()->choose_width(choice, r, count);
    size_t step_len = out->form == INT_DELTA_LEAST ? signed_len(out->step) : 0;
    if (base_bits < choice->bits + 8 * (signed_len(out->first) + step_len)) {
        *out = base;
        count = block_residuals(r, out, v, 0, n);
        kernels()->choose_width(choice, r, count);
    }
    return count;
}

void int_params_choose(struct int_params *out, const uint64_t *v, size_t n)
{
    struct int_params p[FORMS_MAX];
    struct int_scan scan;

    *out = (struct int_params){.form = INT_RAMP, .factor = 1, .first = v[0]};
    if (n < 2) return;
    if (n <= QUICK) {
        struct width_choice choice;
        uint64_t r[KERNEL_ROOM];
        (void)choose_quickly(out, &choice, r, v, n);
        return;
    }
    out->step = v[1] - v[0];
    kernels()->scan(&scan, v, n);
    if (scan.d_low == scan.d_high) return;

    size_t every = n > INT_BLOCK ? SAMPLE_EVERY : 1, best = SIZE_MAX;
    size_t k = candidates(p, &scan, choose_factor(&scan, v, n), v, n);
    for (size_t i = 0; i < k; i++) {
        size_t bits = estimate(&p[i], v, n, every, best);
        if (bits >= best) continue;
        best = bits;
        *out = p[i];
    }
}

void int_params_choose_by(struct int_params *out, const uint64_t *v, size_t n,
                          size_t (*judge)(const uint64_t *r, size_t n), uint64_t *room)
{
    struct int_params p[FORMS_MAX];
    struct int_scan scan;
    size_t best = SIZE_MAX;

    int_params_choose(out, v, n);
    if (out->form == INT_RAMP) return;
    kernels()->scan(&scan, v, n);
    size_t k = candidates(p, &scan, choose_factor(&scan, v, n), v, n);
    for (size_t i = 0; i < k; i++) {
        size_t bits = judge(room, int_residuals(room, &p[i], v, n));
        if (bits >= best) continue;
        best = bits;
        *out = p[i];
    }
}

/* ---- bytes ----------------------------------------------------------------------- */

size_t int_params_put(uint8_t *dst, const struct int_params *params, unsigned extra)
{
    bool factored = params->factor != 1;
    size_t at = 0;

    DASSERT(extra < 16 && params->factor != 0);
    dst[at++] = (uint8_t)(params->form | (factored ? FACTOR_FLAG : 0) | extra << 4);
    if (factored) {
        unsigned shift = trailing_zeros(params->factor);
        uint64_t odd = params->factor >> shift;
        dst[at++] = (uint8_t)(shift | (odd > 1 ? FACTOR_ODD_FLAG : 0));
        if (odd > 1) at += varint_put(dst + at, odd);
    }
    at += varint_put(dst + at, zigzag((int64_t)params->first));
    if (form_has_step(params->form)) {
        at += varint_put(dst + at, zigzag((int64_t)params->step));
    }
    return at;
}

size_t int_column_bound(size_t n)
{
    return INT_PARAMS_MAX + 8 * n + n / INT_BLOCK + 1 + PFOR_SPILL;
}

size_t int_blocks_encode(uint8_t *dst, const struct int_params *params, const uint64_t *v,
                         size_t n)
{
    uint64_t r[KERNEL_ROOM];
    size_t at = 0;

    for (size_t start = 0; start < n; start += INT_BLOCK) {
        size_t left = n - start < INT_BLOCK ? n - start : INT_BLOCK;
        size_t count = block_residuals(r, params, v, start, left);
        if (count) at += pfor_encode(dst + at, r, count);
    }
    return at;
}

size_t int_column_encode_as(uint8_t *dst, const struct int_params *params, const uint64_t *v,
                            size_t n, unsigned extra)
{
    size_t at = int_params_put(dst, params, extra);
    return at + int_blocks_encode(dst + at, params, v, n);
}

static size_t encode_quickly(uint8_t *dst, const uint64_t *v, size_t n, unsigned extra)
{
    struct width_choice choice;
    struct int_params params;
    uint64_t r[KERNEL_ROOM];

    size_t count = choose_quickly(&params, &choice, r, v, n);
    size_t at = int_params_put(dst, &params, extra);
    return count ? at + pfor_put(dst + at, &choice, r, count) : at;
}

size_t int_column_encode(uint8_t *dst, const uint64_t *v, size_t n, unsigned extra)
{
    struct int_params params;

    ASSERT(n >= 1 && n <= INT_COLUMN_MAX);
    if (n > 1 && n <= QUICK) return encode_quickly(dst, v, n, extra);
    int_params_choose(&params, v, n);
    return int_column_encode_as(dst, &params, v, n, extra);
}
