/* Goal: a companion is found through its parent and by nobody else, and comes and goes
 * without a trace. Method: series with and without one; every way to look; removal of either
 * side; the invariants at the end of each. */
#include "index/label_scan.h"
#include "tests/unit/index/index_fixture.h"
#include "tests/unit/index/index_suites.h"

static size_t n_matches(struct index_fixture *fx, const char *spelling, bool all_tenants)
{
    struct ordinals set = {.ptr = NULL};
    struct resolve_args args = {.matchers = fixture_matchers(fx, spelling),
                                .all_tenants = all_tenants};
    ck_assert_int_eq(resolve(&set, fx->reg, &args, NULL), ST_OK);
    size_t n = set.n;
    /* What is born while somebody looks is tested series by series. */
    set.n = set.n_births = 0;
    ck_assert_int_eq(resolve_births(&set, fx->reg, &args, registry_n_births(fx->reg), NULL), ST_OK);
    ck_assert_uint_eq(set.n, n);
    fixture_matchers_free(args.matchers);
    ordinals_release(&set);
    return n;
}

START_TEST(test_companions_are_found_by_their_parent)
{
    struct index_fixture fx;
    fixture_init(&fx);
    uint32_t a = fixture_add(&fx, "up,job=a"), b = fixture_add(&fx, "up,job=b");
    uint32_t of_a = fixture_add_starts(&fx, a);
    const struct series_entry *entry = registry_entry(fx.reg, of_a);

    ck_assert_uint_eq(registry_starts(fx.reg, a), of_a);
    ck_assert_uint_eq(registry_starts(fx.reg, b), ORDINAL_NONE);
    ck_assert_uint_eq(registry_starts(fx.reg, of_a), ORDINAL_NONE);
    ck_assert_uint_eq(registry_parent(fx.reg, of_a), a);
    ck_assert_uint_eq(registry_parent(fx.reg, a), ORDINAL_NONE);
    ck_assert_uint_eq(entry->place, registry_entry(fx.reg, a)->place);
    ck_assert(entry_visible(registry_entry(fx.reg, a)) && !entry_visible(entry));
    struct labels labels = registry_labels(fx.reg, of_a, &fx.arena);
    uint64_t parent, place;
    ck_assert(starts_name_parse(labels, &parent, &place));
    ck_assert(parent == registry_entry(fx.reg, a)->id && place == entry->place);
    ck_assert_uint_eq(registry_key(fx.reg, of_a).len, 0);

    registry_set_started(fx.reg, a, false);
    ck_assert_uint_eq(registry_starts(fx.reg, a), ORDINAL_NONE);
    registry_set_started(fx.reg, a, true);
    registry_remove(fx.reg, of_a); /* the mark may be out of date */
    ck_assert_uint_eq(registry_starts(fx.reg, a), ORDINAL_NONE);
    uint32_t again = fixture_add_starts(&fx, a);
    ck_assert_uint_eq(registry_starts(fx.reg, a), again);
    registry_remove(fx.reg, a);
    ck_assert_uint_eq(registry_parent(fx.reg, again), ORDINAL_NONE);
    fixture_release(&fx);
}
END_TEST

START_TEST(test_companions_are_seen_by_nobody)
{
    static const char *const selectors[] = {"", "job=", "job!=x", "job=~.*", "nothing=",
                                            "__name__=", "__key__=", "__key__!=k",
                                            "__tsink_starts__=", "a!=b;c!~d", "__name__!~up"};
    struct index_fixture fx;
    size_t before[ARRAY_LEN(selectors)];
    fixture_init(&fx);
    uint32_t a = fixture_add(&fx, "up,job=a"), k = fixture_add(&fx, "key:k,room=x");
    fixture_add(&fx, "__tsink_tenant__=t,job=a");
    for (size_t i = 0; i < ARRAY_LEN(selectors); i++)
        before[i] = n_matches(&fx, selectors[i], i % 2 == 0);
    struct registry_counts counts = registry_counts(fx.reg);

    uint32_t of_a = fixture_add_starts(&fx, a), of_k = fixture_add_starts(&fx, k);
    ck_assert_uint_eq(registry_n_hidden(fx.reg), 2);
    for (size_t i = 0; i < ARRAY_LEN(selectors); i++)
        ck_assert_msg(n_matches(&fx, selectors[i], i % 2 == 0) == before[i], "%s", selectors[i]);
    ck_assert_uint_eq(n_matches(&fx, "__tsink_starts__!=", true), 0);
    ck_assert_uint_eq(n_matches(&fx, "__tsink_starts__=~.+", true), 0);
    struct label_scan scan;
    ck_assert_int_eq(label_scan_values(&scan, fx.reg, slice_str("__key__"), NULL, 0, NULL,
                                       &fx.arena), ST_OK);
    ck_assert_uint_eq(scan.n, 1);
    ck_assert_int_eq(label_scan_names(&scan, fx.reg, NULL, 0, NULL, &fx.arena), ST_OK);
    for (size_t i = 0; i < scan.n; i++) ck_assert(!slice_is(scan.ptr[i], LABEL_STARTS));
    ck_assert_int_eq(label_scan_values(&scan, fx.reg, slice_str(LABEL_STARTS), NULL, 0, NULL,
                                       &fx.arena), ST_OK);
    ck_assert(scan.n == 0 && !registry_has_name(fx.reg, slice_str(LABEL_STARTS)));
    struct registry_counts now = registry_counts(fx.reg);
    ck_assert(now.n_series == counts.n_series && now.n_pairs == counts.n_pairs &&
              now.n_names == counts.n_names && now.n_values == counts.n_values);
    registry_remove(fx.reg, of_a);
    registry_remove(fx.reg, of_k);
    ck_assert_uint_eq(registry_n_hidden(fx.reg), 0);
    ck_assert_uint_eq(registry_counts(fx.reg).n_series, counts.n_series);
    (void)fixture_purge(&fx);
    fixture_release(&fx);
}
END_TEST

Suite *suite_registry_starts(void)
{
    Suite *suite = suite_create("registry_starts");
    TCase *tc = tcase_create("companions");
    tcase_add_test(tc, test_companions_are_found_by_their_parent);
    tcase_add_test(tc, test_companions_are_seen_by_nobody);
    suite_add_tcase(suite, tc);
    return suite;
}
