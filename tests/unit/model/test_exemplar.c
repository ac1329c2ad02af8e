/* Goal: labels come back from their packed form as they went in, whatever is wrong with
 * them is said, no bytes that we did not pack are taken for packed labels, and the order
 * of exemplars is the one that the store relies on. Method: tables; every prefix and every
 * changed byte of a packed form; random bytes from a printed seed. */
#include "model/exemplar.h"
#include <math.h>
#include "base/rng.h"
#include "tests/unit/unit.h"

Suite *suite_exemplar(void);

#define RUNES_8 "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xe2\x82\xac\xf0\x9f\x98\x80xy"
#define RUNES_64 RUNES_8 RUNES_8 RUNES_8 RUNES_8 RUNES_8 RUNES_8 RUNES_8 RUNES_8

static struct label pair(const char *name, const char *value)
{
    return (struct label){slice_str(name), slice_str(value)};
}

START_TEST(test_labels_come_back_sorted)
{
    struct arena arena;
    struct slice packed;
    struct err err = {.st = ST_OK};
    struct label in[] = {pair("trace_id", "abc"), pair("a", "1"), pair("gone", ""),
                         pair("span\xc3\xa4", "\xe2\x82\xac")};
    arena_init(&arena, NULL, 1024);
    ck_assert_int_eq(exemplar_pack(&packed, &arena, in, 4, &err), ST_OK);
    ck_assert(exemplar_packed_valid(packed));
    struct labels back = exemplar_labels(packed, &arena);
    ck_assert_uint_eq(back.n, 3);
    ck_assert(slice_is(back.ptr[0].name, "a") && slice_is(back.ptr[0].value, "1"));
    ck_assert(slice_is(back.ptr[1].name, "span\xc3\xa4"));
    ck_assert(slice_is(back.ptr[2].name, "trace_id") && slice_is(back.ptr[2].value, "abc"));
    ck_assert_int_eq(exemplar_pack(&packed, &arena, in, 0, &err), ST_OK);
    ck_assert_uint_eq(packed.len, 1);
    ck_assert(exemplar_packed_valid(packed));
    ck_assert_uint_eq(exemplar_labels(packed, &arena).n, 0);
    arena_release(&arena);
}
END_TEST

static const struct bad {
    const char *what;
    struct label labels[2];
    size_t n;
} bads[] = {
    {"no name", {{{"", 0}, {"v", 1}}}, 1},
    {"a name twice", {{{"a", 1}, {"1", 1}}, {{"a", 1}, {"2", 1}}}, 2},
    {"a name that is not UTF-8", {{{"\xff", 1}, {"1", 1}}}, 1},
    {"a value that is not UTF-8", {{{"a", 1}, {"\xc3", 1}}}, 1},
    {"129 characters", {{{"a", 1}, {RUNES_64 RUNES_64, 2 * (sizeof(RUNES_64) - 1)}}}, 1},
};

START_TEST(test_bad_labels_are_refused)
{
    const struct bad *bad = &bads[_i];
    struct arena arena;
    struct slice packed = {NULL, 7};
    struct err err = {.st = ST_OK};
    struct label in[2] = {bad->labels[0], bad->labels[1]};
    arena_init(&arena, NULL, 1024);
    ck_assert_msg(exemplar_pack(&packed, &arena, in, bad->n, &err) == ST_BAD_LABEL, "%s",
                  bad->what);
    ck_assert(err.text[0] && packed.len == 7);
    arena_release(&arena);
}
END_TEST

START_TEST(test_128_characters_are_fine)
{
    struct arena arena;
    struct slice packed;
    struct label in[] = {
        {SLICE_LIT(RUNES_64), slice_of(RUNES_64, sizeof(RUNES_64) - 1)}};
    arena_init(&arena, NULL, 1024);
    ck_assert_int_eq(exemplar_pack(&packed, &arena, in, 1, NULL), ST_OK);
    ck_assert(exemplar_packed_valid(packed) && packed.len < EXEMPLAR_PACKED_MAX);
    arena_release(&arena);
}
END_TEST

/* A copy at its exact length, for the sanitizer. */
static bool valid(const uint8_t *src, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    if (len) memcpy(copy, src, len);
    bool good = exemplar_packed_valid(slice_of(copy, len));
    if (good) {
        struct arena arena;
        arena_init(&arena, NULL, 1024);
        struct labels set = exemplar_labels(slice_of(copy, len), &arena);
        for (size_t i = 0; i < set.n; i++) ck_assert(set.ptr[i].name.len && set.ptr[i].value.len);
        arena_release(&arena);
    }
    free(copy);
    return good;
}

START_TEST(test_hostile_bytes)
{
    static const char *const no[] = {"", "\x01", "\x01\x01" "a", "\x01\x01" "a\x00",
                                     "\x01\x00\x01" "v", "\x02\x01" "b\x01" "1\x01" "a\x01" "1",
                                     "\x02\x01" "a\x01" "1\x01" "a\x01" "1", "\x80\x00",
                                     "\x01\x81\x00" "a\x01" "1"};
    static const size_t len[] = {0, 1, 3, 4, 4, 9, 9, 2, 6};
    for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++)
        ck_assert_msg(!valid((const uint8_t *)no[i], len[i]), "case %zu", i);
    const uint8_t good[] = "\x02\x01" "a\x01" "1\x01" "b\x02" "22";
    ck_assert(valid(good, 10));
    for (size_t n = 0; n < 10; n++) ck_assert(!valid(good, n));
    ck_assert(!valid(good, 11));
    uint8_t random[40];
    struct rng rng;
    uint64_t seed = unit_seed();
    rng_init(&rng, seed);
    for (int i = 0; i < 20000; i++) {
        size_t n = rng_next(&rng) % sizeof(random);
        for (size_t k = 0; k < n; k++) random[k] = (uint8_t)(rng_next(&rng) % 8);
        (void)valid(random, n);
    }
}
END_TEST

START_TEST(test_order_and_sameness)
{
    const struct exemplar a = {.ts = 5, .value = 1, .has_ts = true, .labels = {"\0", 1}};
    struct exemplar b = a;
    ck_assert(exemplar_cmp(&a, &b) == 0 && exemplar_same(&a, &b));
    b.ts = 6;
    ck_assert(exemplar_cmp(&a, &b) < 0 && exemplar_cmp(&b, &a) > 0 && !exemplar_same(&a, &b));
    b = a;
    b.value = 2;
    ck_assert(exemplar_cmp(&a, &b) < 0 && !exemplar_same(&a, &b));
    b.value = NAN;
    ck_assert(exemplar_cmp(&a, &b) < 0 && exemplar_cmp(&b, &b) == 0 && exemplar_same(&b, &b));
    b = a;
    b.labels = slice_of("\1\1a\1b", 5);
    ck_assert(exemplar_cmp(&a, &b) < 0 && !exemplar_same(&a, &b));
    /* Without a time of its own it is the same whenever it is scraped. */
    struct exemplar c = {.ts = 5, .value = 1, .labels = a.labels}, d = c;
    d.ts = 20;
    ck_assert(exemplar_same(&c, &d) && !exemplar_same(&a, &d));
}
END_TEST

Suite *suite_exemplar(void)
{
    Suite *suite = suite_create("exemplar");
    TCase *tc = tcase_create("exemplar");
    tcase_add_test(tc, test_labels_come_back_sorted);
    tcase_add_loop_test(tc, test_bad_labels_are_refused, 0, sizeof(bads) / sizeof(bads[0]));
    tcase_add_test(tc, test_128_characters_are_fine);
    tcase_add_test(tc, test_hostile_bytes);
    tcase_add_test(tc, test_order_and_sameness);
    suite_add_tcase(suite, tc);
    return suite;
}
