/* Goal: patched blocks come back, at the size that was promised, and outliers do not
 * widen the rest. Method: named shapes by every set of kernels, every truncation, and
 * bytes that a writer would not write. */
#include "base/panic.h"
#include "base/rng.h"
#include "codec/kernels.h"
#include "codec/pfor.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

static const struct shape {
    const char *name;
    size_t n;
    unsigned width; /* of the ordinary numbers */
    unsigned every; /* one in so many is an outlier of 20 bits; 0: none */
    size_t len_max; /* what it may take */
} shapes[] = {
    {"one zero", 1, 0, 0, 1},
    {"all zero", 128, 0, 0, 1},
    {"small", 128, 3, 0, 1 + 48},
    {"one outlier", 128, 3, 100, 2 + 48 + 4},
    {"three outliers", 128, 3, 42, 2 + 48 + 11},
    {"four outliers", 128, 3, 32, 3 + 48 + 14},
    {"few outliers", 128, 0, 20, 3 + 21},
    {"many outliers", 128, 2, 2, 1 + 320},
    {"full width", 128, 64, 0, 1 + 1024},
    {"wide and odd", 77, 61, 0, 1 + 588},
    {"an odd number", 77, 5, 0, 1 + 49},
};

static void fill(uint64_t *v, const struct shape *s, struct rng *rng)
{
    for (size_t i = 0; i < s->n; i++) {
        v[i] = s->width == 64 ? rng_next(rng) | 1ull << 63 : rng_below(rng, 1ull << s->width);
        if (s->every && i % s->every == s->every - 1) v[i] = rng_below(rng, 1 << 20) | 1 << 19;
    }
}

START_TEST(test_round_trip)
{
    const struct shape *s = &shapes[_i];
    uint64_t v[PFOR_BLOCK], back[KERNEL_ROOM];
    struct rng rng;
    rng_init(&rng, unit_seed());
    fill(v, s, &rng);

    for (unsigned set = 0; kernels_nth(set); set++) {
        kernels_use(kernels_nth(set));
        uint8_t *bytes = malloc(1 + 8 * s->n + PFOR_SPILL);
        size_t len = pfor_encode(bytes, v, s->n);
        ck_assert_msg(len <= s->len_max, "%s: %zu bytes", s->name, len);
        ck_assert_uint_ge(8 * len, pfor_bits(v, s->n));
        uint8_t *exact = malloc(len);
        memcpy(exact, bytes, len);
        const uint8_t *at = exact;
        ck_assert_int_eq(pfor_decode(back, s->n, &at, exact + len), ST_OK);
        ck_assert_ptr_eq(at, exact + len);
        ck_assert_mem_eq(v, back, s->n * sizeof(v[0]));
        at = exact;
        ck_assert_int_eq(pfor_skip(s->n, &at, exact + len), ST_OK);
        ck_assert_ptr_eq(at, exact + len);
        for (size_t cut = 0; cut < len; cut++) {
            at = exact;
            if (pfor_decode(back, s->n, &at, exact + cut) == ST_CORRUPT) continue;
            ck_abort_msg("%s cut to %zu bytes", s->name, cut);
        }
        free(bytes);
        free(exact);
    }
    kernels_use(NULL);
}
END_TEST

/* The example of docs/formats/chunk.md. */
START_TEST(test_the_page_is_right)
{
    static const uint64_t v[8] = {0, 0, 6, 0, 0, 0, 0, 0};
    uint8_t bytes[1 + 8 * 8 + PFOR_SPILL];
    ck_assert_uint_eq(pfor_encode(bytes, v, 8), 3);
    ck_assert_mem_eq(bytes, "\x80\x08\x32", 3);
}
END_TEST

static const struct bad {
    const char *name;
    uint8_t bytes[8];
    size_t len, n;
    status want;
} bads[] = {
    {"width 65", {65, 0, 0, 0, 0, 0, 0, 0}, 8, 1, ST_CORRUPT},
    {"a patch past 64 bits", {0x80 | 60, 5 << 2, 0, 0, 0, 0, 0, 0}, 8, 1, ST_CORRUPT},
    {"more patches than values", {0x80, 1, 0xff, 0, 0, 0, 0, 0}, 8, 1, ST_CORRUPT},
    {"a position past the end", {0x80, 0, 0xff, 0, 0, 0, 0, 0}, 2 + 1, 3, ST_CORRUPT},
    {"no second byte", {0x80}, 1, 4, ST_CORRUPT},
    {"no third byte", {0x80, 3}, 2, 4, ST_CORRUPT},
    {"a patch of one bit", {0x80, 0, 0x06}, 3, 4, ST_OK},
};

START_TEST(test_refuses_what_no_writer_writes)
{
    const struct bad *b = &bads[_i];
    uint64_t v[KERNEL_ROOM];
    uint8_t *exact = malloc(b->len);
    memcpy(exact, b->bytes, b->len);
    const uint8_t *at = exact;
    ck_assert_msg(pfor_decode(v, b->n, &at, exact + b->len) == b->want, "%s", b->name);
    if (b->want == ST_OK) ck_assert(v[2] == 1 && v[0] == 0 && v[3] == 0);
    free(exact);
}
END_TEST

Suite *suite_pfor(void)
{
    Suite *s = suite_create("pfor");
    TCase *t = tcase_create("pfor");
    tcase_add_loop_test(t, test_round_trip, 0, (int)ARRAY_LEN(shapes));
    tcase_add_test(t, test_the_page_is_right);
    tcase_add_loop_test(t, test_refuses_what_no_writer_writes, 0, (int)ARRAY_LEN(bads));
    suite_add_tcase(s, t);
    return s;
}
