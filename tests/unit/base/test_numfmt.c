/* Goal: numbers are written as each protocol's clients expect and read back to the same
 * bits; what is no number is refused. Method: tables per layout, then random bit patterns
 * through every writer that must round-trip. */
#include <math.h>

#include "base/bytes.h"
#include "base/numfmt.h"
#include "base/panic.h"
#include "base/rng.h"
#include "tests/unit/unit.h"

Suite *suite_numfmt(void);

static const struct layout {
    double v;
    const char *prom, *go, *resp2, *resp3;
} layouts[] = {
    {0, "0", "0", "0", "0"},
    {-0.0, "-0", "-0", "0", "-0"},
    {1, "1", "1", "1", "1"},
    {-1, "-1", "-1", "-1", "-1"},
    {0.5, "0.5", "0.5", "5E-1", "0.5"},
    {0.1, "0.1", "0.1", "1E-1", "0.1"},
    {99.99, "99.99", "99.99", "99.99", "99.99"},
    {100000, "100000", "100000", "100000", "100000"},
    {1000000, "1000000", "1e+06", "1000000", "1000000"},
    {1048576, "1048576", "1.048576e+06", "1048576", "1048576"},
    {1e7, "10000000", "1e+07", "10000000", "10000000"},
    {1e8, "100000000", "1e+08", "100000000", "1e+8"},
    {123456789, "123456789", "1.23456789e+08", "123456789", "123456789"},
    {1e15, "1000000000000000", "1e+15", "1000000000000000", "1e+15"},
    {1e16, "10000000000000000", "1e+16", "1E16", "1e+16"},
    {12345678901234568, "12345678901234568", "1.2345678901234568e+16", "12345678901234568",
     "12345678901234568"},
    {1e20, "100000000000000000000", "1e+20", "1E20", "1e+20"},
    {1.2345678901234567e19, "12345678901234567000", "1.2345678901234567e+19",
     "1.2345678901234567E19", "12345678901234567000"},
    {1e21, "1e+21", "1e+21", "1E21", "1e+21"},
    {1e-6, "0.000001", "1e-06", "1E-6", "0.000001"},
    {1e-7, "1e-07", "1e-07", "1E-7", "1e-7"},
    {1.5e-10, "1.5e-10", "1.5e-10", "1.5E-10", "1.5e-10"},
    {0.0001, "0.0001", "0.0001", "1E-4", "0.0001"},
    {0.00001, "0.00001", "1e-05", "1E-5", "0.00001"},
    {1.7976931348623157e308, "1.7976931348623157e+308", "1.7976931348623157e+308",
     "1.7976931348623157E308", "1.7976931348623157e+308"},
    {5e-324, "5e-324", "5e-324", "5E-324", "5e-324"},
    {-123.456, "-123.456", "-123.456", "-123.456", "-123.456"},
    {INFINITY, "+Inf", "+Inf", "Infinity", "inf"},
    {-INFINITY, "-Inf", "-Inf", "-Infinity", "-inf"},
    {NAN, "NaN", "NaN", "NaN", "nan"},
};

static void check_text(const char *what, double v, const char *got, size_t len, const char *want)
{
    ck_assert_msg(slice_is(slice_of(got, len), want), "%s(%a): %.*s, want %s", what, v, (int)len,
                  got, want);
}

/* Short decimals have a way of their own to their digits, and the next doubles must not go
 * it: both ways agree. */
START_TEST(test_decimals_have_the_shortest_digits)
{
    struct rng rng;
    char got[NUMFMT_MAX], want[400];
    rng_init(&rng, 20261122);
    for (int i = 0; i < 200000; i++) {
        uint64_t n = rng_next(&rng) >> rng_below(&rng, 64);
        double v = (double)n / pow(10, (double)rng_below(&rng, 9));
        if (i % 3 == 1) v = nextafter(v, 0);
        if (i % 5 == 1) v = -v;
        if (fabs(v) < 1e-6 || fabs(v) >= 1e21) continue;
        size_t len = numfmt_prom(got, v);
        size_t want_len = numfmt_fixed(want, v, sizeof(want));
        ck_assert_msg(slice_eq(slice_of(got, len), slice_of(want, want_len)), "%a: %.*s, want %.*s",
                      v, (int)len, got, (int)want_len, want);
    }
}
END_TEST

START_TEST(test_layouts_match_the_protocols)
{
    const struct layout *l = &layouts[_i];
    char *dst = malloc(NUMFMT_MAX); /* exact, so that the sanitizer sees one byte too many */

    check_text("prom", l->v, dst, numfmt_prom(dst, l->v), l->prom);
    check_text("go", l->v, dst, numfmt_go(dst, l->v), l->go);
    check_text("resp2", l->v, dst, numfmt_resp2(dst, l->v), l->resp2);
    check_text("resp3", l->v, dst, numfmt_resp3(dst, l->v), l->resp3);
    free(dst);
}
END_TEST

START_TEST(test_fixed_never_has_an_exponent)
{
    char dst[350], want[400];
    static const double vs[] = {1e300, -1e-300, 5e-324, 123456789.125, 1e6, 0.1};

    for (size_t i = 0; i < ARRAY_LEN(vs); i++) {
        double back;
        size_t len = numfmt_fixed(dst, vs[i], sizeof(dst));
        ck_assert(memchr(dst, 'e', len) == NULL);
        ck_assert(parse_f64(&back, slice_of(dst, len)));
        ck_assert(back == vs[i]);
    }
    snprintf(want, sizeof(want), "1%0300d", 0);
    check_text("fixed", 1e300, dst, numfmt_fixed(dst, 1e300, sizeof(dst)), want);
    check_text("fixed", INFINITY, dst, numfmt_fixed(dst, INFINITY, sizeof(dst)), "+Inf");
}
END_TEST

START_TEST(test_random_bits_read_back)
{
    struct rng rng;
    rng_init(&rng, unit_seed());
    for (int i = 0; i < 20000; i++) {
        double v = bits_f64(rng_next(&rng)), back;
        char *dst = malloc(NUMFMT_MAX);
        if (i % 4 == 0) v = (double)(int64_t)(rng_next(&rng) >> (rng_next(&rng) % 64)) / 1000;
        if (isnan(v)) {
            free(dst);
            continue;
        }
        size_t (*const writers[])(char *, double) = {numfmt_prom, numfmt_go, numfmt_resp2,
                                                     numfmt_resp3};
        for (size_t w = 0; w < ARRAY_LEN(writers); w++) {
            size_t len = writers[w](dst, v);
            ck_assert_uint_le(len, NUMFMT_MAX);
            ck_assert_msg(parse_f64(&back, slice_of(dst, len)) && back == v, "%zu: %a", w, v);
        }
        free(dst);
    }
}
END_TEST

static const struct reading {
    const char *text;
    bool ok, json_ok; /* parse_f64, parse_f64_json with NaN allowed */
    double v;
} readings[] = {
    {"1", true, true, 1},
    {"-0", true, true, -0.0},
    {"0.1", true, true, 0.1},
    {"1e3", true, true, 1000},
    {"1E+20", true, true, 1e20},
    {"1e-400", true, true, 0},
    {"-1e-400", true, true, -0.0},
    {"0.000e999999999999", true, true, 0},
    {"5e-324", true, true, 5e-324},
    {"+5", true, false, 5},
    {".5", true, false, 0.5},
    {"5.", true, false, 5},
    {"007", true, false, 7},
    {"1e400", true, false, INFINITY},
    {"-1e400", true, false, -INFINITY},
    {"1e99999999999999999999", true, false, INFINITY},
    {"0.00001e500", true, false, INFINITY},
    {"inf", true, false, INFINITY},
    {"+Inf", true, false, INFINITY},
    {"-Infinity", true, false, -INFINITY},
    {"NaN", true, true, NAN},
    {"-nan", true, true, NAN},
    {"", false, false, 0},
    {"-", false, false, 0},
    {".", false, false, 0},
    {"e5", false, false, 0},
    {"1e", false, false, 0},
    {"1e+", false, false, 0},
    {" 1", false, false, 0},
    {"1 ", false, false, 0},
    {"0x10", false, false, 0},
    {"1_000", false, false, 0},
    {"--1", false, false, 0},
    {"+-1", false, false, 0},
    {"nan(1)", false, false, 0},
    {"infin", false, false, 0},
    {"1,5", false, false, 0},
    {"1..2", false, false, 0},
};

START_TEST(test_numbers_are_read_strictly)
{
    const struct reading *r = &readings[_i];
    double v = 42;
    struct slice text = slice_str(r->text);

    ck_assert_msg(parse_f64(&v, text) == r->ok, "%s", r->text);
    if (r->ok) ck_assert_msg(isnan(r->v) ? isnan(v) : f64_bits(v) == f64_bits(r->v), "%s", r->text);
    ck_assert_msg(parse_f64_json(&v, text, true) == r->json_ok, "json %s", r->text);
    if (isnan(r->v)) ck_assert(!parse_f64_json(&v, text, false));
}
END_TEST

START_TEST(test_integers_keep_their_ends)
{
    char dst[NUMFMT_MAX];
    int64_t i;
    uint64_t u;

    check_text("i64", 0, dst, numfmt_i64(dst, INT64_MIN), "-9223372036854775808");
    check_text("u64", 0, dst, numfmt_u64(dst, UINT64_MAX), "18446744073709551615");
    check_text("u64", 0, dst, numfmt_u64(dst, 0), "0");
    check_text("grouped", 0, dst, numfmt_grouped(dst, 0), "0");
    check_text("grouped", 0, dst, numfmt_grouped(dst, 999), "999");
    check_text("grouped", 0, dst, numfmt_grouped(dst, 11000), "11,000");
    check_text("grouped", 0, dst, numfmt_grouped(dst, UINT64_MAX), "18,446,744,073,709,551,615");
    ck_assert(parse_i64(&i, SLICE_LIT("-9223372036854775808")) && i == INT64_MIN);
    ck_assert(parse_i64(&i, SLICE_LIT("+7")) && i == 7);
    ck_assert(!parse_i64(&i, SLICE_LIT("9223372036854775808")));
    ck_assert(!parse_i64(&i, SLICE_LIT("-9223372036854775809")));
    ck_assert(!parse_i64(&i, SLICE_LIT("-+1")) && !parse_i64(&i, SLICE_LIT("-")));
    ck_assert(parse_u64(&u, SLICE_LIT("18446744073709551615")) && u == UINT64_MAX);
    ck_assert(!parse_u64(&u, SLICE_LIT("18446744073709551616")));
    ck_assert(!parse_u64(&u, SLICE_LIT("-1")) && !parse_u64(&u, SLICE_LIT("")));
    ck_assert(!parse_u64(&u, SLICE_LIT("1a")) && !parse_u64(&u, SLICE_LIT("+")));
}
END_TEST

Suite *suite_numfmt(void)
{
    Suite *suite = suite_create("numfmt");
    TCase *tc = tcase_create("numfmt");
    tcase_add_test(tc, test_decimals_have_the_shortest_digits);
    tcase_add_loop_test(tc, test_layouts_match_the_protocols, 0, ARRAY_LEN(layouts));
    tcase_add_test(tc, test_fixed_never_has_an_exponent);
    tcase_add_test(tc, test_random_bits_read_back);
    tcase_add_loop_test(tc, test_numbers_are_read_strictly, 0, ARRAY_LEN(readings));
    tcase_add_test(tc, test_integers_keep_their_ends);
    suite_add_tcase(suite, tc);
    return suite;
}
