/* Goal: patched runs come back, at the size that was promised, and outliers do not
 * widen the rest. Method: named shapes, every truncation, and bytes that a writer
 * would not write. */
#include "base/panic.h"
#include "base/rng.h"
#include "codec/patched.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

static const struct shape {
    const char *name;
    size_t n;
    unsigned width;     /* of the ordinary numbers */
    unsigned every;     /* one in so many is an outlier; 0: none */
    size_t len_max;     /* what it may take */
} shapes[] = {
    {"one zero", 1, 0, 0, 1},        {"all zero", 128, 0, 0, 1},
    {"small", 128, 3, 0, 1 + 48},    {"one outlier", 128, 3, 100, 1 + 48 + 1 + 2 * 11},
    {"few outliers", 128, 0, 20, 1 + 1 + 7 * 11}, {"many outliers", 128, 2, 2, 1 + 1024},
    {"full width", 128, 64, 0, 1 + 1024}, {"an odd number", 77, 5, 0, 1 + 49},
};

static void fill(uint64_t *v, const struct shape *s, struct rng *rng)
{
    for (size_t i = 0; i < s->n; i++) {
        v[i] = s->width == 64 ? rng_next(rng) | 1ull << 63 : rng_below(rng, 1ull << s->width);
        if (s->every && i % s->every == s->every - 1) v[i] = rng_next(rng);
    }
}

START_TEST(test_round_trip)
{
    const struct shape *s = &shapes[_i];
    uint64_t v[PATCHED_MAX], back[PATCHED_MAX];
    struct rng rng;
    size_t used;
    rng_init(&rng, unit_seed());
    fill(v, s, &rng);

    uint8_t *bytes = malloc(patched_bound(s->n));
    size_t len = patched_encode(bytes, v, s->n);
    ck_assert_msg(len <= s->len_max, "%s: %zu bytes", s->name, len);
    ck_assert_uint_eq(len, patched_cost(v, s->n));
    ck_assert_int_eq(patched_decode(back, s->n, &used, bytes, len), ST_OK);
    ck_assert_uint_eq(used, len);
    ck_assert_mem_eq(v, back, s->n * sizeof(v[0]));
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, bytes, cut);
        ck_assert_int_eq(patched_decode(back, s->n, &used, part, cut), ST_CORRUPT);
        free(part);
    }
    free(bytes);
}
END_TEST

START_TEST(test_refuses_what_no_writer_writes)
{
    static const struct bad {
        const char *name;
        size_t n, len;
        uint8_t bytes[16];
    } bad[] = {
        {"width 65", 1, 10, {65, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
        {"no patches", 2, 2, {0x80, 0}},
        {"more patches than numbers", 2, 8, {0x80, 3, 0, 1, 1, 1, 1, 1}},
        {"patch outside", 2, 4, {0x80, 1, 2, 1}},
        {"patch of nothing", 2, 4, {0x80, 1, 0, 0}},
        {"patches out of order", 3, 6, {0x80, 2, 1, 1, 0, 1}},
        {"patch twice", 3, 6, {0x80, 2, 1, 1, 1, 1}},
        {"patch beyond 64 bits", 1, 12, {0x81, 0, 1, 0, 255, 255, 255, 255, 255, 255, 255, 255}},
    };
    const struct bad *b = &bad[_i];
    uint64_t v[4];
    size_t used;
    ck_assert_msg(patched_decode(v, b->n, &used, b->bytes, b->len) == ST_CORRUPT, "%s", b->name);
}
END_TEST

Suite *suite_patched(void)
{
    Suite *s = suite_create("patched");
    TCase *tc = tcase_create("patched");
    tcase_add_loop_test(tc, test_round_trip, 0, ARRAY_LEN(shapes));
    tcase_add_loop_test(tc, test_refuses_what_no_writer_writes, 0, 8);
    suite_add_tcase(s, tc);
    return s;
}
