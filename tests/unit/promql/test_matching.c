/* Goal: filters see the right part of a label set and groups keep apart what differs.
 * Method: small sets by hand; then ten thousand sets, each its own group. */
#include <string.h>

#include "base/rng.h"
#include "promql/matching.h"
#include "tests/unit/promql/promql_suites.h"

#define L(n, v) {{n, sizeof(n) - 1}, {v, sizeof(v) - 1}}
static const struct label some[] = {L("__name__", "m"), L("__type__", "counter"), L("a", "1"),
                                    L("b", "2"), L("c", "3")};
static const struct labels set = {some, 5};

static void check_text(struct labels got, const char *want)
{
    struct strbuf buf;

    strbuf_init(&buf, 0);
    labels_text(&buf, got);
    ck_assert_str_eq(strbuf_cstr(&buf), want);
    strbuf_release(&buf);
}

START_TEST(test_filters_keep_or_drop)
{
    struct arena arena;
    struct label_filter f;
    struct slice names[] = {SLICE_LIT("c"), SLICE_LIT("a"), SLICE_LIT("zz"), SLICE_LIT("a")};

    arena_init(&arena, NULL, 256);
    ck_assert_int_eq(label_filter_init(&f, &arena, names, 4, true, SLICE_LIT("")), ST_OK);
    ck_assert_uint_eq(f.n, 3);
    check_text(label_filter_apply(&arena, &f, set), "{a=\"1\", c=\"3\"}");
    ck_assert_int_eq(label_filter_init(&f, &arena, names, 4, false, SLICE_LIT("__name__")), ST_OK);
    check_text(label_filter_apply(&arena, &f, set), "{__type__=\"counter\", b=\"2\"}");
    ck_assert_int_eq(label_filter_init(&f, &arena, NULL, 0, true, SLICE_LIT("")), ST_OK);
    check_text(label_filter_apply(&arena, &f, set), "{}");
    check_text(labels_without_meta(&arena, set), "{a=\"1\", b=\"2\", c=\"3\"}");
    arena_release(&arena);
}
END_TEST

START_TEST(test_a_label_is_set_replaced_or_removed)
{
    struct arena arena;
    struct labels ab = {some + 2, 2};

    arena_init(&arena, NULL, 256);
    check_text(labels_with(&arena, ab, SLICE_LIT("aa"), SLICE_LIT("x")),
               "{a=\"1\", aa=\"x\", b=\"2\"}");
    check_text(labels_with(&arena, ab, SLICE_LIT("z"), SLICE_LIT("q\"\\\n")),
               "{a=\"1\", b=\"2\", z=\"q\\\"\\\\\\n\"}");
    check_text(labels_with(&arena, ab, SLICE_LIT("A"), SLICE_LIT("0")),
               "{A=\"0\", a=\"1\", b=\"2\"}");
    check_text(labels_with(&arena, ab, SLICE_LIT("a"), SLICE_LIT("9")), "{a=\"9\", b=\"2\"}");
    check_text(labels_with(&arena, ab, SLICE_LIT("a"), SLICE_LIT("")), "{b=\"2\"}");
    check_text(labels_with(&arena, ab, SLICE_LIT("z"), SLICE_LIT("")), "{a=\"1\", b=\"2\"}");
    arena_release(&arena);
}
END_TEST

START_TEST(test_groups_are_numbered_in_order)
{
    struct arena arena;
    struct label_groups g;
    struct slice names[] = {SLICE_LIT("g")};
    bool is_new;

    arena_init(&arena, NULL, 256);
    label_groups_init(&g, &arena, (struct label_filter){.names = names, .n = 1, .keep = true});
    ck_assert_int_eq(label_groups_find(&g, set), -1);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 10000; i++) {
            struct label *two = arena_try_array(&arena, 2, sizeof(*two));
            char *v = arena_printf(&arena, "%d", i), *w = arena_printf(&arena, "%d", pass);
            two[0] = (struct label){SLICE_LIT("g"), slice_str(v)};
            two[1] = (struct label){SLICE_LIT("h"), slice_str(w)}; /* not looked at */
            ck_assert_int_eq(label_groups_add(&g, (struct labels){two, 2}, &is_new), i);
            ck_assert_int_eq(is_new, pass == 0);
        }
    }
    ck_assert_uint_eq(g.n, 10000);
    ck_assert_int_eq(label_groups_find(&g, set), -1);
    ck_assert_int_eq(label_groups_add(&g, set, &is_new), 10000); /* a part without labels */
    arena_release(&arena);
}
END_TEST

/* Texts at the same places, equal texts at others, and names that change from set to set: a
 * group is what its texts are. The naive way: a text of every group. */
START_TEST(test_groups_go_by_texts_wherever_they_are)
{
    static const char *const names[][3] = {{"a", "g", "z"}, {"g", "h", "i"}, {"b", "c", "g"}};
    static const char *const values[] = {"1", "2", "10", "x"};
    struct slice by[] = {SLICE_LIT("c"), SLICE_LIT("g")};
    struct label_filter filter = {.names = by, .n = 2, .keep = true};
    struct arena arena;
    struct label_groups g;
    struct rng rng;
    const char *seen[128];
    int64_t n_seen = 0;

    arena_init(&arena, NULL, 256);
    rng_init(&rng, 20261123);
    label_groups_init(&g, &arena, filter);
    for (int i = 0; i < 20000; i++) {
        const char *const *row = names[rng_below(&rng, 3)];
        struct label *three = arena_try_array(&arena, 3, sizeof(*three));
        for (int k = 0; k < 3; k++) {
            struct slice v = slice_str(values[rng_below(&rng, 4)]);
            if (rng_below(&rng, 3) == 0) v = arena_copy(&arena, v);
            struct slice name = slice_str(row[k]);
            if (rng_below(&rng, 50) == 0) name = arena_copy(&arena, name);
            three[k] = (struct label){name, v};
        }
        struct labels all = {three, 3}, part = label_filter_apply(&arena, &filter, all);
        struct strbuf text;
        strbuf_init(&text, 0);
        labels_text(&text, part);
        int64_t want = 0;
        while (want < n_seen && strcmp(seen[want], strbuf_cstr(&text)) != 0) want++;
        if (want == n_seen) seen[n_seen++] = arena_printf(&arena, "%s", strbuf_cstr(&text));
        strbuf_release(&text);
        bool is_new;
        int64_t found = label_groups_find(&g, all), at = label_groups_add(&g, all, &is_new);
        ck_assert_int_eq(at, want);
        ck_assert_int_eq(is_new, found < 0);
        if (!is_new) ck_assert_int_eq(found, want);
    }
    arena_release(&arena);
}
END_TEST

START_TEST(test_refused_memory_is_told)
{
    struct account account;
    struct arena arena;
    struct label_groups g;
    struct label_filter f;

    account_init(&account, "test", NULL, 1);
    arena_init(&arena, &account, 256);
    label_groups_init(&g, &arena, (struct label_filter){0});
    ck_assert_int_eq(label_groups_add(&g, set, NULL), -1);
    ck_assert_int_eq(label_filter_init(&f, &arena, NULL, 0, true, SLICE_LIT("")), ST_NO_MEMORY);
    struct labels out = labels_without_meta(&arena, set);
    ck_assert(out.ptr == NULL && out.n > 0);
    out = labels_with(&arena, set, SLICE_LIT("a"), SLICE_LIT(""));
    ck_assert(out.ptr == NULL && out.n > 0);
    arena_release(&arena);
}
END_TEST

Suite *suite_matching(void)
{
    Suite *s = suite_create("matching");
    TCase *tc = tcase_create("matching");

    tcase_add_test(tc, test_filters_keep_or_drop);
    tcase_add_test(tc, test_a_label_is_set_replaced_or_removed);
    tcase_add_test(tc, test_groups_are_numbered_in_order);
    tcase_add_test(tc, test_groups_go_by_texts_wherever_they_are);
    tcase_add_test(tc, test_refused_memory_is_told);
    suite_add_tcase(s, tc);
    return s;
}
