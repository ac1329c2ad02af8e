/* Goal: one set, one identity, for ever. Method: sets in any order against golden identity
 * bytes and selector texts; identities cut, bent and read back. */
#include "base/hash.h"
#include "base/panic.h"
#include "base/rng.h"
#include "model/label.h"
#include "tests/unit/unit.h"

Suite *suite_label(void);

#define L(name, value) {SLICE_LIT(name), SLICE_LIT(value)}
enum { LABELS_MAX = 6 };

static const struct sample {
    struct label in[LABELS_MAX];
    size_t n, n_out;
    const char *identity;
    size_t identity_len;
    const char *text;
} samples[] = {
    {{L("__name__", "up")}, 1, 1, "\2up", 3, "up"},
    {{L("job", "a"), L("__name__", "up"), L("instance", "h:1")}, 3, 3,
     "\2up\10instance\3h:1\3job\1a", 22, "up{instance=\"h:1\",job=\"a\"}"},
    {{L("b", "2"), L("a", "1")}, 2, 2, "\0\1a\1""1\1b\1""2", 9, "{a=\"1\",b=\"2\"}"},
    {{L("A", "1"), L("__name__", "m"), L("z", "")}, 3, 2, "\1m\1A\1""1", 6, "m{A=\"1\"}"},
    {{L("__name__", "a.b"), L("job", "x")}, 2, 2, "\3a.b\3job\1x", 10, "{\"a.b\",job=\"x\"}"},
    {{L("__name__", "a.b")}, 1, 1, "\3a.b", 4, "{\"a.b\"}"},
    {{L("__name__", "m"), L("x.y", "q\"\\\n")}, 2, 2, "\1m\3x.y\4q\"\\\n", 11,
     "m{\"x.y\"=\"q\\\"\\\\\\n\"}"},
    {{L("__name__", "")}, 1, 0, "\0", 1, "{}"},
    {{L("__key__", "k"), L("__name__", "a:b")}, 2, 2, "\3a:b\7__key__\1k", 14,
     "a:b{__key__=\"k\"}"},
};

START_TEST(test_sets_have_one_identity)
{
    const struct sample *s = &samples[_i];
    struct label set[LABELS_MAX];
    struct arena arena;
    struct labels back;
    struct strbuf buf;
    size_t n = s->n;

    memcpy(set, s->in, sizeof(set));
    ck_assert_int_eq(labels_canonicalise(set, &n, NULL), ST_OK);
    ck_assert_uint_eq(n, s->n_out);
    struct labels labels = {set, n};
    ck_assert_uint_eq(labels_identity_len(labels), s->identity_len);
    uint8_t *bytes = malloc(s->identity_len);
    ck_assert_uint_eq(labels_identity(bytes, labels), s->identity_len);
    ck_assert_msg(memcmp(bytes, s->identity, s->identity_len) == 0, "%s", s->text);

    arena_init(&arena, NULL, 0);
    ck_assert_int_eq(labels_from_identity(&back, &arena, slice_of(bytes, s->identity_len)), ST_OK);
    ck_assert(labels_eq(back, labels));
    struct labels copy = labels_copy(&arena, labels);
    ck_assert(labels_eq(copy, labels) && copy.ptr != labels.ptr);

    strbuf_init(&buf, 0);
    labels_print(&buf, labels);
    ck_assert_str_eq(strbuf_cstr(&buf), s->text);
    strbuf_release(&buf);
    arena_release(&arena);
    free(bytes);
}
END_TEST

START_TEST(test_double_names_are_refused)
{
    struct label set[] = {L("b", "1"), L("a", "1"), L("b", "")};
    struct err err = {0};
    size_t n = 3;
    ck_assert_int_eq(labels_canonicalise(set, &n, &err), ST_BAD_LABEL);
    ck_assert(strstr(err.text, "\"b\"") != NULL);
}
END_TEST

START_TEST(test_many_labels_sort_too)
{
    struct label set[100];
    char names[100][4];
    size_t n = 100;
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof(names[i]), "%03d", (i * 37) % 100);
        set[i] = (struct label){slice_str(names[i]), SLICE_LIT("v")};
    }
    ck_assert_int_eq(labels_canonicalise(set, &n, NULL), ST_OK);
    for (size_t i = 1; i < n; i++) ck_assert(slice_cmp(set[i - 1].name, set[i].name) < 0);
}
END_TEST

static const struct {
    const char *bytes;
    size_t len;
} broken[] = {
    {"", 0},                              /* not even a name */
    {"\3up", 3},                          /* shorter than it says */
    {"\2up\1a", 5},                       /* a name without a value */
    {"\2up\1a\0", 6},                     /* an empty value */
    {"\2up\0\1x", 6},                     /* an empty name */
    {"\2up\1b\1x\1a\1x", 11},             /* not ascending */
    {"\2up\1a\1x\1a\1y", 11},             /* twice */
    {"\2up\10__name__\1x", 14},           /* the metric again */
    {"\x82\0up", 4},                      /* a length written longer than needed */
    {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
    {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10},
};

START_TEST(test_broken_identities_are_corrupt)
{
    struct arena arena;
    struct labels out;
    uint8_t *bytes = malloc(broken[_i].len ? broken[_i].len : 1);
    memcpy(bytes, broken[_i].bytes, broken[_i].len);
    arena_init(&arena, NULL, 0);
    ck_assert_int_eq(labels_from_identity(&out, &arena, slice_of(bytes, broken[_i].len)),
                     ST_CORRUPT);
    arena_release(&arena);
    free(bytes);
}
END_TEST

/* Random damage: whatever is accepted must be what labels_identity() would write. */
START_TEST(test_damaged_identities_never_differ)
{
    struct rng rng;
    rng_init(&rng, unit_seed());
    for (int round = 0; round < 20000; round++) {
        const struct sample *s = &samples[rng_below(&rng, ARRAY_LEN(samples))];
        size_t len = rng_below(&rng, s->identity_len + 1);
        uint8_t *bytes = malloc(len ? len : 1);
        struct arena arena;
        struct labels out;
        memcpy(bytes, s->identity, len);
        if (len) bytes[rng_below(&rng, len)] = (uint8_t)rng_next(&rng);
        arena_init(&arena, NULL, 0);
        if (labels_from_identity(&out, &arena, slice_of(bytes, len)) == ST_OK) {
            uint8_t again[64];
            ck_assert_uint_eq(labels_identity_len(out), len);
            ck_assert_uint_eq(labels_identity(again, out), len);
            ck_assert_mem_eq(again, bytes, len);
        }
        arena_release(&arena);
        free(bytes);
    }
}
END_TEST

START_TEST(test_look_ups_and_order)
{
    struct label a[] = {L("__name__", "up"), L("job", "a")};
    struct label b[] = {L("__name__", "up"), L("job", "b")};
    struct labels one = {a, 1}, two = {a, 2}, other = {b, 2};
    ck_assert(slice_is(labels_get(two, SLICE_LIT("job")), "a"));
    ck_assert_uint_eq(labels_get(two, SLICE_LIT("instance")).len, 0);
    ck_assert(labels_has(two, SLICE_LIT("job")) && !labels_has(two, SLICE_LIT("zone")));
    ck_assert(labels_cmp(one, two) < 0 && labels_cmp(two, one) > 0 && labels_cmp(two, two) == 0);
    ck_assert(labels_cmp(two, other) < 0 && !labels_eq(two, other) && !labels_eq(one, two));
}
END_TEST

START_TEST(test_keys_place_alone)
{
    struct label keyed[] = {L("__key__", "sensor:1"), L("area", "x")};
    struct label plain[] = {L("__name__", "up"), L("job", "a")};
    uint8_t bytes[64];
    size_t len = labels_identity(bytes, (struct labels){keyed, 2});
    ck_assert_uint_eq(labels_place((struct labels){keyed, 2}, slice_of(bytes, len)),
                      hash_place("sensor:1", 8));
    len = labels_identity(bytes, (struct labels){plain, 2});
    ck_assert_uint_eq(labels_place((struct labels){plain, 2}, slice_of(bytes, len)),
                      hash_place(bytes, len));
    /* frozen: a change here moves every series of every cluster */
    ck_assert_uint_eq(hash_place("\2up\3job\1a", 9), labels_place((struct labels){plain, 2},
                                                                slice_of(bytes, len)));
}
END_TEST

/* Frozen: companions are found by these bytes, in memory and in every file. */
START_TEST(test_a_companion_is_named_after_its_parent)
{
    struct starts_name name;
    uint64_t parent, place;
    starts_name_make(&name, 0x1234, 0xfedcba9876543210);
    struct labels set = {&name.label, 1};
    ck_assert(slice_is(name.label.value, "0000000000001234fedcba9876543210"));
    ck_assert_mem_eq(name.identity, "\0\x10__tsink_starts__\x20", 19);
    struct slice identity = slice_of(name.identity, STARTS_IDENTITY_LEN);
    ck_assert_uint_eq(labels_identity_len(set), STARTS_IDENTITY_LEN);
    ck_assert_uint_eq(labels_place(set, identity), 0xfedcba9876543210); /* beside its parent */
    ck_assert(starts_name_parse(set, &parent, &place));
    ck_assert(parent == 0x1234 && place == 0xfedcba9876543210);

    static const char *const others[] = {"", "0000000000001234fedcba987654321",
                                         "0000000000001234fedcba98765432100",
                                         "000000000000123gfedcba9876543210",
                                         "000000000000123Afedcba9876543210"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        ck_assert_msg(!starts_value_parse(slice_str(others[i]), &parent, &place), "%s", others[i]);
    struct label two[] = {name.label, L("a", "b")};
    ck_assert(!starts_name_parse((struct labels){two, 2}, &parent, &place));
    two[0].name = SLICE_LIT("__name__");
    ck_assert(!starts_name_parse((struct labels){two, 1}, &parent, &place));
}
END_TEST

START_TEST(test_plain_names)
{
    ck_assert(label_name_is_plain(SLICE_LIT("_a9")) && !label_name_is_plain(SLICE_LIT("9a")));
    ck_assert(!label_name_is_plain(SLICE_LIT("")) && !label_name_is_plain(SLICE_LIT("a:b")));
    ck_assert(metric_name_is_plain(SLICE_LIT("a:b_c1")) && metric_name_is_plain(SLICE_LIT(":")));
    ck_assert(!metric_name_is_plain(SLICE_LIT("a.b")) && !metric_name_is_plain(SLICE_LIT("1")));
    ck_assert(!metric_name_is_plain(SLICE_LIT("")));
}
END_TEST

Suite *suite_label(void)
{
    Suite *suite = suite_create("label");
    TCase *tc = tcase_create("label");
    tcase_add_loop_test(tc, test_sets_have_one_identity, 0, ARRAY_LEN(samples));
    tcase_add_test(tc, test_double_names_are_refused);
    tcase_add_test(tc, test_many_labels_sort_too);
    tcase_add_loop_test(tc, test_broken_identities_are_corrupt, 0, ARRAY_LEN(broken));
    tcase_add_test(tc, test_damaged_identities_never_differ);
    tcase_add_test(tc, test_look_ups_and_order);
    tcase_add_test(tc, test_keys_place_alone);
    tcase_add_test(tc, test_a_companion_is_named_after_its_parent);
    tcase_add_test(tc, test_plain_names);
    suite_add_tcase(suite, tc);
    return suite;
}
