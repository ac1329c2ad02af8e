/* Goal: bits come back in order at every width, and a reader never looks past its
 * end. Method: every width 0..64, random values, buffers of exact size. */
#include "base/bits.h"
#include "base/rng.h"
#include "codec/bitio.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

static uint64_t mask_of(unsigned width)
{
    return width >= 64 ? ~0ull : (1ull << width) - 1;
}

START_TEST(test_pack_round_trip)
{
    unsigned width = (unsigned)_i;
    struct rng rng;
    rng_init(&rng, unit_seed() + width);

    for (size_t n = 0; n <= 130; n += 13) {
        uint64_t v[130], back[130];
        for (size_t i = 0; i < n; i++) v[i] = rng_next(&rng) & mask_of(width);
        uint8_t *bytes = malloc(pack_len(n, width) + (pack_len(n, width) == 0));
        ck_assert_uint_eq(pack_bits(bytes, v, n, width), pack_len(n, width));
        unpack_bits(back, n, width, bytes);
        ck_assert_mem_eq(v, back, n * sizeof(v[0]));
        for (size_t i = 0; i < n; i++) back[i] = pack_at(bytes, i, width);
        ck_assert_mem_eq(v, back, n * sizeof(v[0]));
        free(bytes);
    }
}
END_TEST

START_TEST(test_mixed_widths_round_trip)
{
    enum { N = 2000 };
    struct rng rng;
    rng_init(&rng, unit_seed());
    static uint64_t v[N], back[N];
    static unsigned width[N];
    size_t n_bits = 0;

    for (size_t i = 0; i < N; i++) {
        width[i] = 1 + (unsigned)rng_below(&rng, 64);
        v[i] = rng_next(&rng) & mask_of(width[i]);
        n_bits += width[i];
    }
    size_t len = (n_bits + 7) / 8;
    uint8_t *bytes = malloc(len);
    struct bit_writer w = {.dst = bytes};
    for (size_t i = 0; i < N; i++) bit_put(&w, v[i], width[i]);
    ck_assert_uint_eq(bit_finish(&w), len);

    struct bit_reader r = {.src = bytes, .len = len};
    for (size_t i = 0; i < N; i++) back[i] = bit_get(&r, width[i]);
    ck_assert_mem_eq(v, back, sizeof(v));
    ck_assert(bit_done(&r));
    free(bytes);
}
END_TEST

START_TEST(test_reader_knows_its_end)
{
    static const struct end_case {
        const char *name;
        uint8_t byte;
        size_t len;
        unsigned read;
        bool done;
    } cases[] = {
        {"all bits", 0xff, 1, 8, true},        {"five, the rest zero", 0x1f, 1, 5, true},
        {"five, the rest not zero", 0x3f, 1, 5, false}, {"a byte left over", 0, 2, 8, false},
        {"one bit too many", 0xff, 1, 9, false}, {"nothing of nothing", 0, 0, 0, true},
    };
    const struct end_case *c = &cases[_i];
    uint8_t *bytes = calloc(1, c->len + (c->len == 0));
    memset(bytes, 0, c->len);
    if (c->len) bytes[0] = c->byte;
    struct bit_reader r = {.src = bytes, .len = c->len};

    for (unsigned i = 0; i < c->read; i++) {
        uint64_t bit = bit_get(&r, 1);
        ck_assert_uint_eq(bit, i < 8 ? c->byte >> i & 1u : 0);
    }
    ck_assert_msg(bit_done(&r) == c->done, "%s", c->name);
    free(bytes);
}
END_TEST

Suite *suite_bitio(void)
{
    Suite *s = suite_create("bitio");
    TCase *tc = tcase_create("bitio");
    tcase_add_loop_test(tc, test_pack_round_trip, 0, 65);
    tcase_add_test(tc, test_mixed_widths_round_trip);
    tcase_add_loop_test(tc, test_reader_knows_its_end, 0, 6);
    suite_add_tcase(s, tc);
    return s;
}
