/* Goal: every set of kernels gives what plain C gives, bit by bit. Method: random and
 * extreme inputs of every length, each kernel of each set beside the scalar one; inputs
 * of encoders are from malloc at their exact size. */
#include <math.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/panic.h"
#include "base/rng.h"
#include "codec/kernels.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

static uint64_t any_word(struct rng *rng)
{
    static const uint64_t special[] = {0, 1, UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN,
                                       1ull << 53, (1ull << 53) - 1, (1ull << 53) + 1,
                                       0x7ff8000000000000, 0x7ff0000000000000, 1ull << 52};
    uint64_t v = rng_next(rng);
    switch (rng_below(rng, 4)) {
    case 0: return special[rng_below(rng, ARRAY_LEN(special))];
    case 1: return v >> rng_below(rng, 64);
    case 2: return 0 - (v >> rng_below(rng, 64));
    }
    return v;
}

static uint64_t *words(size_t n, struct rng *rng)
{
    uint64_t *v = malloc(n * sizeof(v[0]));
    for (size_t i = 0; i < n; i++) v[i] = any_word(rng);
    return v;
}

/* Check counts every assertion with a message; only a failure makes one here. */
static void assert_that(bool holds, const char *what, const struct kernels *k, size_t n)
{
    if (!holds) ck_abort_msg("%s of %s, n %zu", what, k->name, n);
}

static void assert_equal(const void *a, const void *b, size_t len, const char *what,
                         const struct kernels *k, size_t n)
{
    assert_that(memcmp(a, b, len) == 0, what, k, n);
}

/* Every set but the first, against the first. */
static const struct kernels *other(unsigned i)
{
    return kernels_nth(i + 1);
}

START_TEST(test_unpack_and_pack)
{
    struct rng rng;
    rng_init(&rng, unit_seed());
    for (unsigned width = 1; width <= 64; width++) {
        for (size_t n = 1; n <= KERNEL_BLOCK; n += n < 20 ? 1 : 27) {
            size_t len = (n * width + 7) / 8;
            uint8_t *bytes = malloc(len + KERNEL_SPILL);
            uint8_t *padded = calloc(1, len + KERNEL_SLACK);
            uint64_t *v = words(n, &rng), back[KERNEL_ROOM];
            uint64_t mask = width < 64 ? (1ull << width) - 1 : ~0ull;

            kernels_nth(0)->pack(padded, v, n, width);
            for (unsigned i = 0; kernels_nth(i); i++) {
                const struct kernels *k = kernels_nth(i);
                k->pack(bytes, v, n, width);
                assert_equal(bytes, padded, len, "pack", k, n);
                k->unpack(back, padded, n, width);
                for (size_t j = 0; j < n; j++) {
                    assert_that(back[j] == (v[j] & mask), "unpack", k, n);
                }
            }
            free(bytes);
            free(padded);
            free(v);
        }
    }
}
END_TEST

/* One length: every kernel that restores. */
static void compare_undo(const struct kernels *k, size_t n, struct rng *rng)
{
    uint64_t *r = words(KERNEL_ROOM, rng), a[KERNEL_ROOM], b[KERNEL_ROOM];
    const struct kernels *plain = kernels_nth(0);
    uint64_t factor = rng_below(rng, 2) ? 1 : any_word(rng), base = any_word(rng);
    uint64_t step = any_word(rng), last[2] = {base, base}, delta[2] = {step, step};
    size_t len = n * sizeof(a[0]);

    plain->undo_for(a, r, n, factor, base);
    k->undo_for(b, r, n, factor, base);
    assert_equal(a, b, len, "undo_for", k, n);
    assert_that(plain->undo_delta(a, r, n, factor, base) ==
                    k->undo_delta(b, r, n, factor, base),
                "sum of undo_delta", k, n);
    assert_equal(a, b, len, "undo_delta", k, n);
    assert_that(plain->undo_least(a, r, n, factor, base, step) ==
                    k->undo_least(b, r, n, factor, base, step),
                "sum of undo_least", k, n);
    assert_equal(a, b, len, "undo_least", k, n);
    plain->undo_delta2(a, r, n, factor, &last[0], &delta[0]);
    k->undo_delta2(b, r, n, factor, &last[1], &delta[1]);
    assert_equal(a, b, len, "undo_delta2", k, n);
    assert_that(last[0] == last[1] && delta[0] == delta[1], "sums of undo_delta2", k, n);
    for (unsigned e = 0; e <= 15; e++) {
        plain->to_f64(a, r, n, e);
        k->to_f64(b, r, n, e);
        assert_equal(a, b, len, "to_f64", k, n);
    }
    free(r);
}

/* One length: every kernel that encodes, over exactly n values. */
static void compare_do(const struct kernels *k, size_t n, struct rng *rng)
{
    uint64_t *v = words(n + 1, rng), a[KERNEL_ROOM], b[KERNEL_ROOM];
    const struct kernels *plain = kernels_nth(0);
    uint64_t less = any_word(rng), inverse = rng_below(rng, 2) ? 1 : any_word(rng);
    unsigned shift = (unsigned)rng_below(rng, 64);
    struct width_choice choices[2];
    struct int_scan scans[2];
    size_t len = n * sizeof(a[0]);

    plain->scale(a, v + 1, n, less, shift, inverse);
    k->scale(b, v + 1, n, less, shift, inverse);
    assert_equal(a, b, len, "scale", k, n);
    plain->deltas(a, v + 1, n);
    k->deltas(b, v + 1, n);
    assert_equal(a, b, len, "deltas", k, n);
    plain->zigzag(a, v + 1, n);
    k->zigzag(b, v + 1, n);
    assert_equal(a, b, len, "zigzag", k, n);
    plain->subtract(a, v + 1, n, less);
    k->subtract(b, v + 1, n, less);
    assert_equal(a, b, len, "subtract", k, n);
    unsigned narrow = (unsigned)rng_below(rng, 64);
    for (size_t i = 1; i <= n && rng_below(rng, 8); i++) v[i] >>= narrow;
    memset(choices, 0, sizeof(choices)); /* padding */
    plain->choose_width(&choices[0], v + 1, n);
    k->choose_width(&choices[1], v + 1, n);
    assert_equal(&choices[0], &choices[1], sizeof(choices[0]), "choose_width", k, n);
    plain->scan(&scans[0], v, n + 1);
    k->scan(&scans[1], v, n + 1);
    assert_equal(&scans[0], &scans[1], sizeof(scans[0]), "scan", k, n);
    free(v);
}

START_TEST(test_sets_agree)
{
    struct rng rng;
    rng_init(&rng, unit_seed());
    for (unsigned i = 0; other(i); i++) {
        for (size_t n = 1; n <= KERNEL_BLOCK; n++) {
            for (int round = 0; round < 3; round++) {
                compare_undo(other(i), n, &rng);
                compare_do(other(i), n, &rng);
            }
        }
    }
}
END_TEST

/* Doubles near which a careless division would err: decimals of e digits, halves in
 * between, their neighbours, and anything. */
static uint64_t any_double(unsigned e, struct rng *rng)
{
    double n = (double)(int64_t)(rng_next(rng) >> (11 + rng_below(rng, 50)));
    uint64_t bits = f64_bits(n / pow(10, e));

    switch (rng_below(rng, 6)) {
    case 0: return any_word(rng);
    case 1: return bits + rng_below(rng, 5) - 2;
    case 2: return f64_bits((n + 0.5) / pow(10, e));
    case 3: return bits | 1ull << 63;
    }
    return bits;
}

START_TEST(test_the_decimal_test_agrees)
{
    struct rng rng;
    rng_init(&rng, unit_seed());
    for (int round = 0; round < 1000; round++) {
        unsigned e = (unsigned)rng_below(&rng, 16);
        size_t n = 1 + rng_below(&rng, KERNEL_BLOCK);
        uint64_t *v = malloc(n * sizeof(v[0])), a[KERNEL_ROOM], b[KERNEL_ROOM], bad[2][2];
        for (size_t i = 0; i < n; i++) v[i] = any_double(e, &rng);

        kernels_nth(0)->to_decimal(a, bad[0], v, n, e);
        for (unsigned i = 0; other(i); i++) {
            other(i)->to_decimal(b, bad[1], v, n, e);
            assert_equal(bad[0], bad[1], sizeof(bad[0]), "misfits", other(i), n);
            for (size_t j = 0; j < n; j++) {
                if (!(fabs(bits_f64(v[j]) * pow(10, e)) < 0x1p53)) continue;
                assert_that(a[j] == b[j], "to_decimal", other(i), n);
            }
        }
        for (size_t j = 0; j < n; j++) {
            bool fits = !(bad[0][j / 64] >> (j % 64) & 1);
            assert_that(!fits || f64_bits((double)(int64_t)a[j] / pow(10, e)) == v[j],
                        "the decimal test", kernels_nth(0), n);
        }
        free(v);
    }
}
END_TEST

START_TEST(test_a_named_set_is_used)
{
    const struct kernels *best = kernels();
    kernels_use(kernels_nth(0));
    ck_assert_str_eq(kernels()->name, "scalar");
    kernels_use(NULL);
    ck_assert_ptr_eq(kernels(), best);
}
END_TEST

Suite *suite_kernels(void)
{
    Suite *s = suite_create("kernels");
    TCase *t = tcase_create("kernels");
    tcase_add_test(t, test_unpack_and_pack);
    tcase_add_test(t, test_sets_agree);
    tcase_add_test(t, test_the_decimal_test_agrees);
    tcase_add_test(t, test_a_named_set_is_used);
    suite_add_tcase(s, t);
    return s;
}
