/* Encoding a column of doubles.
 *
 *   exponent    the least e for which nearly all of up to 128 sampled values pass the
 *               decimal test; a caller's hint is tried first
 *   convert     all values by e; those that do not pass become exceptions, up to one in
 *               16 (kinds that take no 8 bytes count a quarter)
 *   ulp         failing that: the e for which the whole parts and the distances of the
 *               values from them take the fewest bits together, if under 48 a value and
 *               fewer than the bare bit patterns
 *   raw         failing that
 *
 * Where an exception stands the integer column goes on as if nothing had happened: a
 * single one repeats the last difference, a run is a straight line to what follows it. */
#include "codec/decimal.h"

#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/varint.h"
#include "codec/decimal_priv.h"
#include "codec/kernels_priv.h"
#include "codec/pfor.h"

enum {
    SAMPLE = KERNEL_BLOCK,  /* values on which the exponent is guessed */
    STREAMS = 5,            /* arrays in the scratch: see struct column */
    EXCEPTION_BITS = 80,    /* what one costs, about: 8 bytes and its position */
    SAMPLE_MISFITS = 8,     /* one in so many of a sample may fail */
    SPECIAL_WEIGHT = 1,     /* exceptions: 4 * EXC_BITS + others <= n / 4 */
    BITS_WEIGHT = 4,
    WEIGHT_SHARE = 4,
    ULP_BITS_MAX = 48,      /* a value, both streams together */
    MAIN_LEN_MAX = 3,       /* bytes of a varint below 2^21 */
    NO_EXPONENT = 255,
    HINT_ULP = 0x40,        /* the block before was decimal+ulp; its exponent is below */
    HINT_RAW = 0x80,        /* the block before was raw: ulps are not looked for */
    HINT_NONE = 0xc0,
};

_Static_assert(sizeof(union value) == sizeof(uint64_t), "columns are arrays of 64 bits");

const uint64_t decimal_special_bits[8] = {
    [EXC_STALE] = VALUE_STALE_BITS,         [EXC_NAN] = VALUE_NAN_BITS,
    [EXC_QUIET_NAN] = 0x7ff8000000000000,   [EXC_INF] = 0x7ff0000000000000,
    [EXC_MINUS_INF] = 0xfff0000000000000,   [EXC_MINUS_ZERO] = 0x8000000000000000,
};

/* A column of doubles on its way to bytes. */
struct column {
    const uint64_t *bits;
    size_t n;
    enum decimal_form form;
    unsigned e;
    uint64_t *ints, *ulps; /* from the scratch, like the next three */
    uint8_t *exc;
    uint64_t *r[2];
    size_t exc_len;
    size_t exc_weight;
    size_t exc_next;   /* one past the last exception */
    uint64_t exc_last; /* its bits */
};

static size_t stream_words(size_t n)
{
    return n + KERNEL_ROOM;
}

status decimal_scratch_reserve(struct decimal_scratch *scratch, size_t n)
{
    if (n <= scratch->cap) return ST_OK;
    size_t cap = n < 2 * scratch->cap ? 2 * scratch->cap : n;
    uint64_t *words = mem_try_array(STREAMS * stream_words(cap), sizeof(words[0]));
    if (!words) return ST_NO_MEMORY;
    mem_free(scratch->words);
    *scratch = (struct decimal_scratch){words, cap};
    return ST_OK;
}

void decimal_scratch_release(struct decimal_scratch *scratch)
{
    mem_free(scratch->words);
    *scratch = (struct decimal_scratch){0};
}

size_t decimal_bound(size_t n)
{
    return 9 * n + n / 64 + 128;
}

static void place(struct column *c, uint64_t *words, size_t cap)
{
    size_t step = stream_words(cap);
    c->ints = words;
    c->ulps = words + step;
    c->exc = (uint8_t *)(words + 2 * step);
    c->r[0] = words + 3 * step;
    c->r[1] = words + 4 * step;
}

/* ---- exceptions ------------------------------------------------------------------ */

static enum exception_kind kind_of(uint64_t bits)
{
    for (unsigned kind = EXC_STALE; kind <= EXC_MINUS_ZERO; kind++) {
        if (bits == decimal_special_bits[kind]) return (enum exception_kind)kind;
    }
    return EXC_BITS;
}

/* Neither a decimal at any exponent nor dear as an exception. */
static bool is_special(uint64_t bits)
{
    return (bits << 1) >= 0x7ffull << 53 || bits == 1ull << 63;
}

static void forget_exceptions(struct column *c)
{
    c->exc_len = c->exc_weight = c->exc_next = 0;
}

/* A single place repeats the last difference; a run is a line to what follows. */
static void bridge(struct column *c, size_t from, size_t to)
{
    uint64_t *v = c->ints, before = from > 0 ? v[from - 1] : to < c->n ? v[to] : 0;
    uint64_t step = 0;

    if (to - from == 1) {
        step = from >= 2 ? before - v[from - 2] : 0;
    } else if (from > 0 && to < c->n) {
        step = (uint64_t)((int64_t)(v[to] - before) / (int64_t)(to - from + 1));
    }
    for (size_t i = from; i < to; i++) v[i] = before + (i - from + 1) * step;
}

/* False when that makes too many of them. */
static bool add_exception(struct column *c, size_t pos)
{
    uint64_t bits = c->bits[pos];
    enum exception_kind kind = kind_of(bits);

    if (kind == EXC_BITS && c->exc_len && bits == c->exc_last) kind = EXC_AGAIN;
    c->exc_weight += kind == EXC_BITS ? BITS_WEIGHT : SPECIAL_WEIGHT;
    if (c->exc_weight > c->n / WEIGHT_SHARE) return false;
    c->exc_len += varint_put(c->exc + c->exc_len,
                             (uint64_t)(pos - c->exc_next) << EXC_KIND_BITS | kind);
    if (kind == EXC_BITS) {
        store_u64(c->exc + c->exc_len, bits);
        c->exc_len += 8;
    }
    c->exc_last = bits;
    c->exc_next = pos + 1;
    return true;
}

/* Run by run, once all values are converted. */
static void bridge_all(struct column *c)
{
    const uint8_t *at = c->exc, *end = c->exc + c->exc_len;
    size_t from = 0, to = 0, pos = 0;
    uint64_t head = 0;

    while (at < end) {
        at += varint_get(&head, at, (size_t)(end - at));
        if ((head & ((1u << EXC_KIND_BITS) - 1)) == EXC_BITS) at += 8;
        pos = to + (size_t)(head >> EXC_KIND_BITS);
        if (pos > to && to > from) bridge(c, from, to);
        if (pos > to || to == from) from = pos;
        to = pos + 1;
    }
    if (to > from) bridge(c, from, to);
}

/* ---- the exponent ---------------------------------------------------------------- */

static unsigned count_bits(const uint64_t *misfits)
{
    return (unsigned)(__builtin_popcountll(misfits[0]) + __builtin_popcountll(misfits[1]));
}

/* The largest exponent at which |v| * 10^e of all is below 2^50, where the product's
 * errors cannot change the rounding. What is a decimal at any lesser exponent is one at
 * this, so one test tells whether a column is decimal at all. 0 when there is none. */
static unsigned largest_exponent(const uint64_t *bits, size_t n)
{
    uint64_t most = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t size = bits[i] & INT64_MAX;
        if (size > most && !is_special(size)) most = size;
    }
    unsigned e = DECIMAL_EXPONENT_MAX;
    while (e > 0 && bits_f64(most) * kernel_pow10[e] >= 0x1p50) e--;
    return e;
}

/* The exponent at which these take the fewest bits, exceptions included. */
static unsigned guess_exponent(const uint64_t *bits, size_t n)
{
    uint64_t ints[KERNEL_ROOM], misfits[2];
    size_t best = SIZE_MAX;
    unsigned best_e = NO_EXPONENT;

    if (n == 0) return 0;
    unsigned e_max = largest_exponent(bits, n);
    kernels()->to_decimal(ints, misfits, bits, n, e_max);
    if (count_bits(misfits) * SAMPLE_MISFITS > n) return NO_EXPONENT;
    for (unsigned e = 0; e <= e_max; e++) {
        kernels()->to_decimal(ints, misfits, bits, n, e);
        size_t bad = count_bits(misfits);
        size_t cost = bad * EXCEPTION_BITS + e * n * 10 / 3;
        if (bad * SAMPLE_MISFITS <= n && cost < best) {
            best = cost;
            best_e = e;
        }
        if (bad == 0) break;
    }
    return best_e;
}

/* The exponent by a sample from all over the column, special values left out. */
static unsigned sample_exponent(const struct column *c)
{
    uint64_t sample[SAMPLE];
    size_t step = (c->n + SAMPLE - 1) / SAMPLE, k = 0;

    for (size_t i = 0; i < c->n; i += step) {
        sample[k] = c->bits[i];
        k += !is_special(c->bits[i]);
    }
    return guess_exponent(sample, k);
}

/* ---- decimal --------------------------------------------------------------------- */

static bool note_misfits(struct column *c, const uint64_t *misfits, size_t start)
{
    for (unsigned half = 0; half < 2; half++) {
        for (uint64_t left = misfits[half]; left; left &= left - 1) {
            size_t pos = start + 64 * half + trailing_zeros(left);
            if (!add_exception(c, pos)) return false;
        }
    }
    return true;
}

/* All values by the exponent e; false when too many are not such decimals, and *bad is
 * then the start of the block where it showed. */
static bool convert(struct column *c, unsigned e, size_t *bad)
{
    uint64_t misfits[2];

    c->e = e;
    c->form = DECIMAL_PLAIN;
    forget_exceptions(c);
    for (size_t start = 0; start < c->n; start += KERNEL_BLOCK) {
        size_t n = c->n - start < KERNEL_BLOCK ? c->n - start : KERNEL_BLOCK;
        *bad = start;
        kernels()->to_decimal(c->ints + start, misfits, c->bits + start, n, e);
        if ((misfits[0] | misfits[1]) && !note_misfits(c, misfits, start)) return false;
    }
    if (c->exc_len) bridge_all(c);
    return true;
}

/* By the looks of three, a smaller exponent would do. */
static bool all_tens(const struct column *c)
{
    const uint64_t *v = c->ints;
    return (int64_t)v[0] % 10 == 0 && (int64_t)v[c->n / 2] % 10 == 0 &&
           (int64_t)v[c->n - 1] % 10 == 0;
}

/* A hint that costs no exceptions, and no zeros, is taken as it is. */
static bool try_decimal(struct column *c, unsigned hint)
{
    size_t bad = 0;

    if (hint <= DECIMAL_EXPONENT_MAX && convert(c, hint, &bad) && c->exc_len == 0 &&
        (hint == 0 || !all_tens(c))) {
        return true;
    }
    unsigned e = sample_exponent(c);
    if (e == NO_EXPONENT) return false;
    if (convert(c, e, &bad)) return true;
    /* The sample was not like the block that failed. */
    size_t n = c->n - bad < KERNEL_BLOCK ? c->n - bad : KERNEL_BLOCK;
    unsigned other = guess_exponent(c->bits + bad, n);
    return other != NO_EXPONENT && other > e && convert(c, other, &bad);
}

/* ---- decimal and units of the last place ----------------------------------------- */

/* n <= KERNEL_BLOCK. False when a value is out of reach of the exponent. Special ones
 * become 0 and 0: their bits are an exception's. */
static bool split_ulps(uint64_t *ints, uint64_t *ulps, const uint64_t *bits, size_t n,
                       unsigned e)
{
    uint64_t near[KERNEL_ROOM], misfits[2];
    double limit = KERNEL_DECIMAL_LIMIT / kernel_pow10[e] / 2;

    for (size_t i = 0; i < n; i++) {
        near[i] = is_special(bits[i]) ? 0 : bits[i];
        if (bits_f64(near[i] & INT64_MAX) >= limit) return false;
    }
    kernels()->to_decimal(ints, misfits, near, n, e);
    memcpy(ulps, near, n * sizeof(ulps[0]));
    kernels()->to_f64(near, ints, n, e);
    for (size_t i = 0; i < n; i++) ulps[i] -= near[i];
    return true;
}

static size_t delta_bits(const uint64_t *v, size_t n)
{
    uint64_t r[KERNEL_ROOM];
    kernels()->deltas(r, v + 1, n - 1);
    kernels()->zigzag(r, r, n - 1);
    return pfor_bits(r, n - 1);
}

static size_t size_bits(const uint64_t *v, size_t n)
{
    uint64_t r[KERNEL_ROOM];
    kernels()->zigzag(r, v, n);
    return pfor_bits(r, n);
}

/* The exponent that suits a block in the middle. */
static unsigned ulp_exponent(const struct column *c)
{
    uint64_t ints[KERNEL_ROOM], ulps[KERNEL_ROOM];
    size_t start = c->n / 2 / KERNEL_BLOCK * KERNEL_BLOCK;
    size_t n = c->n - start < KERNEL_BLOCK ? c->n - start : KERNEL_BLOCK;
    size_t best = ULP_BITS_MAX * n;
    unsigned best_e = NO_EXPONENT;

    if (n < 2) return NO_EXPONENT;
    for (unsigned e = 0; e <= DECIMAL_EXPONENT_MAX; e++) {
        if (!split_ulps(ints, ulps, c->bits + start, n, e)) break;
        size_t bits = delta_bits(ints, n) + size_bits(ulps, n);
        if (bits >= best) continue;
        best = bits;
        best_e = e;
    }
    return best_e;
}

static bool convert_ulps(struct column *c, unsigned e)
{
    c->e = e;
    c->form = DECIMAL_ULP;
    forget_exceptions(c);
    for (size_t start = 0; start < c->n; start += KERNEL_BLOCK) {
        size_t n = c->n - start < KERNEL_BLOCK ? c->n - start : KERNEL_BLOCK;
        if (!split_ulps(c->ints + start, c->ulps + start, c->bits + start, n, e)) return false;
        for (size_t i = start; i < start + n; i++) {
            if (is_special(c->bits[i]) && !add_exception(c, i)) return false;
        }
    }
    if (c->exc_len) bridge_all(c);
    return true;
}

/* Takes the form when it beats raw by the bits of the whole column. */
static bool try_ulps(struct column *c, struct int_params p[2], const struct int_params *raw,
                     unsigned hint)
{
    if (hint == HINT_RAW) return false;
    unsigned e = hint >= HINT_ULP && hint < HINT_RAW ? hint & 15 : ulp_exponent(c);

    if (e == NO_EXPONENT || !convert_ulps(c, e)) return false;
    int_params_choose(&p[0], c->ints, c->n);
    int_params_choose(&p[1], c->ulps, c->n);
    size_t bits = int_column_bits(&p[0], c->ints, c->n) +
                  int_column_bits(&p[1], c->ulps, c->n) + 8 * c->exc_len;
    return bits < ULP_BITS_MAX * c->n && bits < int_column_bits(raw, c->bits, c->n);
}

/* ---- bytes ----------------------------------------------------------------------- */

/* What a column is made of, once its form is settled. */
struct streams {
    const uint64_t *v[2];
    struct int_params p[2];
    size_t n;
};

/* is_decimal: what try_decimal() said. */
static void settle(struct streams *out, struct column *c, bool is_decimal, unsigned hint)
{
    struct int_params raw;

    *out = (struct streams){.v = {c->ints, c->ulps}, .n = 1};
    if (is_decimal) {
        int_params_choose(&out->p[0], c->ints, c->n);
        return;
    }
    int_params_choose(&raw, c->bits, c->n);
    if (try_ulps(c, out->p, &raw, hint)) {
        out->n = 2;
        return;
    }
    forget_exceptions(c);
    c->form = DECIMAL_RAW;
    c->e = 0;
    out->v[0] = c->bits;
    out->p[0] = raw;
}

/* Nothing but an integer column, whose nibble is the exponent. */
static bool is_simple(const struct column *c)
{
    return c->form == DECIMAL_PLAIN && c->exc_len == 0 && c->e <= DECIMAL_NIBBLE_EXPONENT_MAX;
}

static size_t put_head(uint8_t *dst, const struct column *c, const struct streams *s)
{
    bool simple = is_simple(c);
    size_t at = int_params_put(dst, &s->p[0], simple ? c->e : DECIMAL_NIBBLE_EXTENDED);

    if (simple) return at;
    dst[at++] = (uint8_t)(c->e | c->form << DECIMAL_FORM_SHIFT |
                          (c->exc_len ? DECIMAL_HAS_EXCEPTIONS : 0));
    if (c->exc_len) {
        at += varint_put(dst + at, c->exc_len);
        memcpy(dst + at, c->exc, c->exc_len);
        at += c->exc_len;
    }
    if (s->n == 2) at += int_params_put(dst + at, &s->p[1], 0);
    return at;
}

/* The length of the first stream goes before it, when there is a second. */
static size_t put_blocks(uint8_t *dst, const struct streams *s, size_t n)
{
    if (s->n == 1) return int_blocks_encode(dst, &s->p[0], s->v[0], n);
    size_t len = int_blocks_encode(dst + MAIN_LEN_MAX, &s->p[0], s->v[0], n);
    size_t at = varint_put(dst, len);
    ASSERT(at <= MAIN_LEN_MAX);
    memmove(dst + at, dst + MAIN_LEN_MAX, len);
    return at + len + int_blocks_encode(dst + at + len, &s->p[1], s->v[1], n);
}

static size_t encode_f64(uint8_t *dst, struct column *c, unsigned hint)
{
    struct streams s;
    bool is_decimal = try_decimal(c, hint);

    if (is_decimal && is_simple(c)) return int_column_encode(dst, c->ints, c->n, c->e);
    settle(&s, c, is_decimal, hint);
    size_t at = put_head(dst, c, &s);
    return at + put_blocks(dst + at, &s, c->n);
}

size_t decimal_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n,
                      struct decimal_scratch *scratch)
{
    uint8_t no_hint = HINT_NONE;

    ASSERT(n >= 1 && n <= DECIMAL_COLUMN_MAX);
    if (n <= DECIMAL_BLOCK) return decimal_encode_block(dst, type, val, n, &no_hint);
    ASSERT(scratch && scratch->cap >= n);
    if (type != VALUE_F64) return int_column_encode(dst, &val[0].bits, n, 0);
    struct column c = {.bits = &val[0].bits, .n = n};
    place(&c, scratch->words, scratch->cap);
    return encode_f64(dst, &c, HINT_NONE);
}

size_t decimal_encode_block(uint8_t *dst, enum value_type type, const union value *val,
                            size_t n, uint8_t *hint)
{
    uint64_t words[3 * (KERNEL_BLOCK + KERNEL_ROOM)];

    ASSERT(n >= 1 && n <= DECIMAL_BLOCK);
    if (type != VALUE_F64) return int_column_encode(dst, &val[0].bits, n, 0);
    struct column c = {.bits = &val[0].bits, .n = n};
    c.ints = words;
    c.ulps = words + stream_words(KERNEL_BLOCK);
    c.exc = (uint8_t *)(words + 2 * stream_words(KERNEL_BLOCK));
    size_t len = encode_f64(dst, &c, *hint);
    *hint = c.form == DECIMAL_PLAIN ? (uint8_t)c.e
            : c.form == DECIMAL_ULP ? (uint8_t)(HINT_ULP | c.e)
                                    : HINT_RAW;
    return len;
}

void decimal_split(struct decimal_parts *out, uint8_t *dst, enum value_type type,
                   const union value *val, size_t n, struct decimal_scratch *scratch,
                   size_t (*judge)(const uint64_t *r, size_t n))
{
    struct column c = {.bits = &val[0].bits, .n = n};
    struct streams s = {.v = {&val[0].bits}, .n = 1};

    ASSERT(n >= 1 && n <= DECIMAL_COLUMN_MAX && scratch && scratch->cap >= n);
    place(&c, scratch->words, scratch->cap);
    if (type == VALUE_F64) settle(&s, &c, try_decimal(&c, HINT_NONE), HINT_NONE);
    for (size_t i = 0; i < s.n; i++) {
        int_params_choose_by(&s.p[i], s.v[i], n, judge, c.r[i]);
        out->n_r[i] = int_residuals(c.r[i], &s.p[i], s.v[i], n);
        out->r[i] = c.r[i];
    }
    out->n_streams = s.n;
    out->head_len = type == VALUE_F64 ? put_head(dst, &c, &s) : int_params_put(dst, &s.p[0], 0);
}
