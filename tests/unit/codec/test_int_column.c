/* Goal: integer columns come back whatever they hold, by the form that suits them, in
 * one piece, block by block, and from bare residuals. Method: named shapes at many
 * lengths; every encoding cut short; random bytes. */
#include "base/panic.h"
#include "base/rng.h"
#include "codec/int_column.h"
#include "codec/kernels.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

enum shape_id {
    CONSTANT, RAMP, COUNTER, RESET, WALK, GAUGE, DRIFT, MULTIPLES, THOUSANDS, EXTREMES, ANYTHING,
    N_SHAPES,
};

static const struct {
    const char *name;
    int form;          /* of 2048 values; -1 does not matter */
    uint64_t factor;   /* 0 does not matter */
    double len_max;    /* bytes a value, of 2048 */
} shapes[N_SHAPES] = {
    [CONSTANT] = {"constant", INT_RAMP, 1, 0.01},
    [RAMP] = {"ramp", INT_RAMP, 1, 0.01},
    [COUNTER] = {"counter", INT_DELTA_LEAST, 1, 0.9},
    [RESET] = {"counter with resets", INT_DELTA_LEAST, 1, 0.95},
    [WALK] = {"walk", INT_DELTA, 1, 0.52},
    [GAUGE] = {"gauge", INT_FOR, 1, 0.9},
    [DRIFT] = {"drifting counter", INT_DELTA2, 1, 0.52},
    [MULTIPLES] = {"multiples of 4096", -1, 4096, 0.9},
    [THOUSANDS] = {"multiples of 1000", -1, 1000, 0.9},
    [EXTREMES] = {"both ends of the range", -1, 0, 9},
    [ANYTHING] = {"anything", -1, 0, 9},
};

static void fill(uint64_t *v, size_t n, enum shape_id shape, struct rng *rng)
{
    uint64_t x = 1000000 + rng_below(rng, 100000), d = 5000;

    for (size_t i = 0; i < n; i++) {
        switch (shape) {
        case CONSTANT: break;
        case RAMP: x += 15000; break;
        case COUNTER: x += 1000 + rng_below(rng, 100); break;
        case RESET: x = i % 700 == 699 ? 0 : x + 1000 + rng_below(rng, 100); break;
        case WALK: x += rng_below(rng, 13) - 6; break;
        case GAUGE: x = 5000 + rng_below(rng, 100); break;
        case DRIFT: x += d += rng_below(rng, 13) - 6; break;
        case MULTIPLES: x = 4096 * rng_below(rng, 100); break;
        case THOUSANDS: x = 77 + 1000 * rng_below(rng, 100); break;
        case EXTREMES: x = rng_below(rng, 2) ? INT64_MAX : (uint64_t)INT64_MIN; break;
        case ANYTHING: x = rng_next(rng) >> rng_below(rng, 64); break;
        case N_SHAPES: break;
        }
        v[i] = x;
    }
}

static void check_bare(const uint64_t *v, size_t n, const char *name)
{
    uint64_t *r = malloc(n * sizeof(r[0]) + 1), block[KERNEL_ROOM];
    struct int_params params;
    struct int_restore st;
    size_t taken = 0, got;

    int_params_choose(&params, v, n);
    size_t n_r = int_residuals(r, &params, v, n);
    ck_assert_uint_eq(n_r, n - int_form_skip(params.form, n));
    int_restore_init(&st, &params, n);
    for (size_t at = 0; at < n; at += got) {
        size_t want = int_restore_wants(&st);
        ck_assert_uint_le(taken + want, n_r);
        memcpy(block, r + taken, want * sizeof(r[0]));
        taken += want;
        got = int_restore_next(&st, block, block);
        ck_assert_msg(memcmp(block, v + at, got * sizeof(v[0])) == 0, "%s at %zu", name, at);
    }
    ck_assert_uint_eq(taken, n_r);
    ck_assert_uint_eq(int_restore_values(&st), 0);
    free(r);
}

/* Skips 1, reads 1, skips 2, reads 2... */
static void check_skips(const uint64_t *v, size_t n, const uint8_t *src, size_t len)
{
    uint64_t block[KERNEL_ROOM];
    struct int_reader rd;
    size_t got;

    ck_assert_int_eq(int_reader_open(&rd, NULL, n, src, len), ST_OK);
    for (size_t run = 1, at = 0; at < n; run++) {
        ck_assert_int_eq(int_reader_skip(&rd, run), ST_OK);
        at += run * INT_BLOCK;
        for (size_t i = 0; i < run && at < n; i++, at += got) {
            ck_assert_int_eq(int_reader_next(&rd, block, &got), ST_OK);
            ck_assert_mem_eq(block, v + at, got * sizeof(v[0]));
        }
    }
    ck_assert_int_eq(int_reader_next(&rd, block, &got), ST_OK);
    ck_assert_uint_eq(got, 0);
}

static void check_column(const uint64_t *v, size_t n, const char *name)
{
    uint8_t *bytes = malloc(int_column_bound(n));
    size_t len = int_column_encode(bytes, v, n, 0);
    ck_assert_uint_le(len, int_column_bound(n));
    uint8_t *exact = malloc(len);
    uint64_t *back = malloc(n * sizeof(back[0]));

    memcpy(exact, bytes, len);
    for (unsigned set = 0; kernels_nth(set); set++) {
        kernels_use(kernels_nth(set));
        ck_assert_int_eq(int_column_decode(back, n, exact, len), ST_OK);
        ck_assert_msg(memcmp(back, v, n * sizeof(v[0])) == 0, "%s of %zu", name, n);
        ck_assert_uint_eq(int_column_encode(bytes, v, n, 0), len);
        ck_assert_mem_eq(bytes, exact, len);
    }
    kernels_use(NULL);
    for (size_t cut = 0; cut < len; cut += 1 + cut / 20) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, bytes, cut);
        ck_assert_int_eq(int_column_decode(back, n, part, cut), ST_CORRUPT);
        free(part);
    }
    check_skips(v, n, exact, len);
    check_bare(v, n, name);
    free(bytes);
    free(exact);
    free(back);
}

START_TEST(test_round_trip)
{
    static const size_t lengths[] = {1, 2, 3, 4, 5, 16, 32, 127, 128, 129, 130, 131, 257, 2048};
    uint64_t *v = malloc(2048 * sizeof(v[0]));
    struct rng rng;

    rng_init(&rng, unit_seed());
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        uint64_t *exact = malloc(lengths[i] * sizeof(v[0]));
        fill(exact, lengths[i], (enum shape_id)_i, &rng);
        check_column(exact, lengths[i], shapes[_i].name);
        free(exact);
    }
    free(v);
}
END_TEST

START_TEST(test_the_form_suits)
{
    uint64_t v[2048];
    uint8_t *bytes = malloc(int_column_bound(2048));
    struct int_params params;
    struct rng rng;

    rng_init(&rng, unit_seed());
    fill(v, 2048, (enum shape_id)_i, &rng);
    int_params_choose(&params, v, 2048);
    size_t len = int_column_encode(bytes, v, 2048, 0);
    if (shapes[_i].form >= 0) ck_assert_int_eq((int)params.form, shapes[_i].form);
    if (shapes[_i].factor) ck_assert_uint_eq(params.factor, shapes[_i].factor);
    ck_assert_msg((double)len <= 2048 * shapes[_i].len_max, "%s: %zu bytes", shapes[_i].name, len);
    /* The promise is the sum of what each block takes, a byte more for each. */
    size_t bits = int_column_bits(&params, v, 2048);
    ck_assert_uint_le(8 * len, bits + 8 * (16 + INT_PARAMS_MAX));
    free(bytes);
}
END_TEST

START_TEST(test_any_parameters_restore)
{
    static const uint64_t factors[] = {1, 2, 4096, 3, 1ull << 63, UINT64_MAX, 1000};
    uint64_t v[300], r[300], block[KERNEL_ROOM];
    struct rng rng;

    rng_init(&rng, unit_seed());
    for (size_t f = 0; f < ARRAY_LEN(factors); f++) {
        for (int form = INT_FOR; form <= INT_DELTA2; form++) {
            struct int_params p = {(enum int_form)form, factors[f], rng_next(&rng), 0};
            if (form >= INT_DELTA_LEAST) p.step = rng_next(&rng);
            for (size_t i = 0; i < 300; i++) v[i] = p.first + p.factor * rng_next(&rng);
            if (form != INT_FOR) v[0] = p.first;
            if (form == INT_DELTA2) v[1] = v[0] + p.factor * p.step;
            struct int_restore st;
            size_t taken = 0, got;
            (void)int_residuals(r, &p, v, 300);
            int_restore_init(&st, &p, 300);
            for (size_t at = 0; at < 300; at += got) {
                size_t want = int_restore_wants(&st);
                memcpy(block, r + taken, want * sizeof(r[0]));
                taken += want;
                got = int_restore_next(&st, block, block);
                ck_assert_mem_eq(block, v + at, got * sizeof(v[0]));
            }
        }
    }
}
END_TEST

START_TEST(test_hostile_bytes)
{
    uint64_t v[400];
    struct rng rng;

    rng_init(&rng, unit_seed());
    for (int round = 0; round < 10000; round++) {
        size_t len = rng_below(&rng, 60), n = 1 + rng_below(&rng, 400);
        uint8_t *bytes = malloc(len + 1);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)(rng_next(&rng) >> rng_below(&rng, 8));
        }
        if (len) bytes[0] &= 15;
        status st = int_column_decode(v, n, bytes, len);
        if (st != ST_OK && st != ST_CORRUPT) ck_abort_msg("status %d", (int)st);
        free(bytes);
    }
}
END_TEST

Suite *suite_int_column(void)
{
    Suite *s = suite_create("int_column");
    TCase *t = tcase_create("int_column");
    tcase_add_loop_test(t, test_round_trip, 0, N_SHAPES);
    tcase_add_loop_test(t, test_the_form_suits, 0, N_SHAPES);
    tcase_add_test(t, test_any_parameters_restore);
    tcase_add_test(t, test_hostile_bytes);
    suite_add_tcase(s, t);
    return s;
}
