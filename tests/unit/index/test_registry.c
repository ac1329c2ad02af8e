/* Goal: a series is found by everything that names it while it lives and by nothing
 * afterwards; ids are never used again, ordinals only after purge and grace; a refused
 * add leaves nothing behind. Method: literal series, then random histories checked by
 * registry_check(), then an add under every memory limit. */
#include "index/registry.h"

#include "tests/unit/index/index_fixture.h"
#include "tests/unit/index/index_suites.h"

static void check_ok(struct index_fixture *fx)
{
    struct err err = {.st = ST_OK};
    status st = registry_check(fx->reg, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
}

START_TEST(test_registry_gives_back_labels)
{
    static const char *const spellings[] = {
        "up",
        "up,job=a,instance=h:1",
        "key:sensor:1",
        "key:sensor:1b,__name__=sensor",
        "key:k,A=before,zone=after",
        "key:k2,zone=after,__aaa=1,__zzz=2",
        "__tsink_tenant__=t,key:k",
        "nameless=1",
    };
    struct index_fixture fx;
    fixture_init(&fx);
    for (uint32_t i = 0; i < ARRAY_LEN(spellings); i++) {
        struct labels labels = fixture_labels(&fx, spellings[i]);
        ck_assert_uint_eq(fixture_find(&fx, labels), ORDINAL_NONE);
        ck_assert_uint_eq(fixture_add_labels(&fx, labels), i);
        struct labels back = registry_labels(fx.reg, i, &fx.arena);
        ck_assert_msg(labels_eq(labels, back), "%s", spellings[i]);
        ck_assert_uint_eq(fixture_find(&fx, labels), i);
        for (size_t l = 0; l < labels.n; l++) {
            ck_assert(slice_eq(registry_label(fx.reg, i, labels.ptr[l].name),
                               labels.ptr[l].value));
        }
        ck_assert_uint_eq(registry_label(fx.reg, i, SLICE_LIT("absent")).len, 0);
        ck_assert_uint_eq(registry_entry(fx.reg, i)->id, i + 1);
        ck_assert_uint_eq(registry_by_id(fx.reg, i + 1), i);
    }
    ck_assert_uint_eq(registry_n_births(fx.reg), ARRAY_LEN(spellings));
    ck_assert_uint_eq(registry_by_id(fx.reg, 0), ORDINAL_NONE);
    ck_assert_uint_eq(registry_by_id(fx.reg, 99), ORDINAL_NONE);
    fixture_release(&fx);
}
END_TEST

START_TEST(test_registry_key_belongs_to_a_tenant)
{
    struct index_fixture fx;
    fixture_init(&fx);
    uint32_t ours = fixture_add(&fx, "key:k");
    uint32_t theirs = fixture_add(&fx, "key:k,__tsink_tenant__=t");
    ck_assert_uint_eq(registry_by_key(fx.reg, SLICE_LIT(""), SLICE_LIT("k")), ours);
    ck_assert_uint_eq(registry_by_key(fx.reg, SLICE_LIT("t"), SLICE_LIT("k")), theirs);
    ck_assert_uint_eq(registry_by_key(fx.reg, SLICE_LIT("u"), SLICE_LIT("k")), ORDINAL_NONE);
    ck_assert_uint_eq(registry_by_key(fx.reg, SLICE_LIT(""), SLICE_LIT("kk")), ORDINAL_NONE);
    registry_remove(fx.reg, ours);
    ck_assert_uint_eq(registry_by_key(fx.reg, SLICE_LIT(""), SLICE_LIT("k")), ORDINAL_NONE);
    ck_assert_uint_eq(registry_by_key(fx.reg, SLICE_LIT("t"), SLICE_LIT("k")), theirs);
    fixture_release(&fx);
}
END_TEST

START_TEST(test_registry_learns_spellings)
{
    struct index_fixture fx;
    fixture_init(&fx);
    uint32_t ordinal = fixture_add(&fx, "up,job=a"), found, gen;
    struct hash128 raw = hash128("raw", 3);
    ck_assert(!identity_get(registry_identity(fx.reg), raw, &found, &gen));
    registry_learn(fx.reg, raw, ordinal);
    ck_assert(identity_get(registry_identity(fx.reg), raw, &found, &gen));
    ck_assert(found == ordinal && gen == entry_gen(registry_entry(fx.reg, ordinal)));
    registry_remove(fx.reg, ordinal);
    ck_assert(identity_get(registry_identity(fx.reg), raw, &found, &gen));
    ck_assert_uint_ne(gen, entry_gen(registry_entry(fx.reg, ordinal))); /* seen as stale */
    fixture_release(&fx);
}
END_TEST

START_TEST(test_registry_histograms_have_names_of_their_own)
{
    struct index_fixture fx;
    fixture_init(&fx);
    uint32_t numbers = fixture_add(&fx, "a,job=x"), hists;
    struct slice id = SLICE_LIT("\1a\3job\1x");
    struct hash128 hash = hash128(id.ptr, id.len), raw = {1, 2};
    ck_assert_uint_eq(registry_find(fx.reg, id, hash, VALUE_I64), numbers); /* the caller looks */
    ck_assert_uint_eq(registry_find(fx.reg, id, hash, VALUE_HISTOGRAM), ORDINAL_NONE);
    struct series_new make = {.labels = fixture_labels(&fx, "a,job=x"), .identity = id,
                              .hash = hash, .type = VALUE_HISTOGRAM};
    ck_assert_int_eq(registry_add(&hists, fx.reg, &make), ST_OK);
    ck_assert_uint_ne(hists, numbers);
    ck_assert_uint_eq(registry_find(fx.reg, id, hash, VALUE_HISTOGRAM), hists);
    ck_assert_uint_eq(registry_find(fx.reg, id, hash, VALUE_F64), numbers);
    registry_learn(fx.reg, raw, numbers);
    registry_learn(fx.reg, raw, hists);
    uint32_t got, gen;
    ck_assert(identity_get(registry_identity(fx.reg), raw, &got, &gen) && got == numbers);
    raw = labels_hash_as(raw, VALUE_HISTOGRAM);
    ck_assert(identity_get(registry_identity(fx.reg), raw, &got, &gen) && got == hists);
    ck_assert_int_eq(registry_check(fx.reg, NULL), ST_OK);
    registry_remove(fx.reg, numbers);
    ck_assert_uint_eq(registry_find(fx.reg, id, hash, VALUE_F64), ORDINAL_NONE);
    ck_assert_uint_eq(registry_find(fx.reg, id, hash, VALUE_HISTOGRAM), hists);
    fixture_release(&fx);
}
END_TEST

START_TEST(test_registry_ids_are_never_used_again)
{
    struct index_fixture fx;
    fixture_init(&fx);
    struct labels a = fixture_labels(&fx, "a"), b = fixture_labels(&fx, "b");
    struct slice id_a = SLICE_LIT("\1a"), id_b = SLICE_LIT("\1b");
    uint32_t ordinal, again;
    struct series_new make = {.labels = a, .identity = id_a, .hash = hash128("\1a", 2),
                              .id = 500, .type = VALUE_I64, .label_version = 7};
    ck_assert_int_eq(registry_add(&ordinal, fx.reg, &make), ST_OK);
    ck_assert_uint_eq(registry_entry(fx.reg, ordinal)->label_version, 7);
    ck_assert_uint_eq(registry_entry(fx.reg, ordinal)->type, VALUE_I64);
    ck_assert_uint_eq(registry_next_id(fx.reg), 501);
    make = (struct series_new){.labels = b, .identity = id_b, .hash = hash128("\1b", 2),
                               .id = 500, .type = VALUE_F64};
    ck_assert_int_eq(registry_add(&again, fx.reg, &make), ST_EXISTS);
    make.id = UINT64_MAX;
    ck_assert_int_eq(registry_add(&again, fx.reg, &make), ST_LIMIT);
    make.id = 3; /* older ids may come late in a replay */
    ck_assert_int_eq(registry_add(&again, fx.reg, &make), ST_OK);
    ck_assert_uint_eq(registry_next_id(fx.reg), 501);
    registry_raise_next_id(fx.reg, 400);
    ck_assert_uint_eq(registry_next_id(fx.reg), 501);
    registry_remove(fx.reg, ordinal);
    uint32_t c = fixture_add(&fx, "c");
    ck_assert_uint_eq(registry_entry(fx.reg, c)->id, 501);
    registry_raise_next_id(fx.reg, UINT64_MAX);
    struct labels d = fixture_labels(&fx, "d");
    ck_assert_int_eq(fixture_try_add(&again, &fx, d, NULL), ST_LIMIT);
    fixture_release(&fx);
}
END_TEST

START_TEST(test_registry_attrs_are_copied)
{
    struct index_fixture fx;
    fixture_init(&fx);
    struct series_attrs attrs = {.retention_ms = 1000, .policy = DUP_MAX};
    uint32_t with, without = fixture_add(&fx, "b");
    ck_assert_int_eq(fixture_try_add(&with, &fx, fixture_labels(&fx, "a"), &attrs), ST_OK);
    attrs.retention_ms = 5;
    const struct series_entry *entry = registry_entry(fx.reg, with);
    ck_assert_int_eq(entry_attrs(entry)->retention_ms, 1000);
    const struct series_attrs *old = entry_attrs(entry);
    ck_assert_int_eq(registry_set_attrs(fx.reg, with, &attrs), ST_OK);
    ck_assert_int_eq(entry_attrs(entry)->retention_ms, 5);
    ck_assert_int_eq(old->retention_ms, 1000); /* until the grace period is over */
    ck_assert_int_eq(registry_set_attrs(fx.reg, with, NULL), ST_OK);
    ck_assert_ptr_null(entry_attrs(entry));
    ck_assert_ptr_null(entry_attrs(registry_entry(fx.reg, without)));
    fixture_release(&fx);
}
END_TEST

START_TEST(test_registry_ordinals_return_after_purge_and_grace)
{
    struct index_fixture fx;
    fixture_init(&fx);
    for (int i = 0; i < 5000; i++) {
        char text[64];
        snprintf(text, sizeof(text), "up,job=j%d,instance=i%d", i % 2, i);
        fixture_add(&fx, text);
        arena_reset(&fx.arena);
    }
    fixture_fold(&fx);
    ck_assert(!fixture_purge(&fx)); /* nobody is dead */
    for (uint32_t i = 100; i < 200; i++) registry_remove(fx.reg, i);
    check_ok(&fx);
    uint32_t gen = entry_gen(registry_entry(fx.reg, 150));
    ck_assert_uint_eq(fixture_add(&fx, "new,x=1"), 5000); /* still in quarantine */
    ck_assert(fixture_purge(&fx));
    ck_assert_uint_eq(fixture_add(&fx, "new,x=2"), 5001); /* readers may hold old lists */
    check_ok(&fx);
    fixture_grace(&fx);
    check_ok(&fx);
    ck_assert_uint_eq(registry_counts(fx.reg).n_dead, 0);
    uint32_t again = fixture_add(&fx, "new,x=3");
    ck_assert(again >= 100 && again < 200);
    ck_assert_uint_eq(entry_gen(registry_entry(fx.reg, again)), gen);
    ck_assert_uint_eq(registry_entry(fx.reg, again)->id, 5003);
    fixture_release(&fx);
}
END_TEST

START_TEST(test_registry_purge_that_fails_keeps_the_quarantine)
{
    struct index_fixture fx;
    fixture_init(&fx);
    for (int i = 0; i < 20; i++) {
        char text[64];
        snprintf(text, sizeof(text), "up,job=j,instance=i%d", i);
        fixture_add(&fx, text);
    }
    for (uint32_t i = 0; i < 10; i++) registry_remove(fx.reg, i);
    struct registry_rebuild *rb = registry_purge_plan(fx.reg);
    ck_assert_ptr_nonnull(rb);
    ck_assert_ptr_null(registry_purge_plan(fx.reg)); /* one at a time */
    ck_assert(!registry_rebuild_due(fx.reg));
    _Atomic bool cancelled = true;
    ck_assert_int_eq(registry_rebuild_run(rb, &cancelled), ST_CANCELLED);
    registry_rebuild_publish(fx.reg, rb, ST_CANCELLED);
    fixture_grace(&fx);
    ck_assert_uint_eq(registry_counts(fx.reg).n_dead, 10);
    check_ok(&fx);
    ck_assert(fixture_purge(&fx));
    fixture_grace(&fx);
    ck_assert_uint_eq(registry_counts(fx.reg).n_dead, 0);
    ck_assert(!fixture_purge(&fx));
    fixture_release(&fx);
}
END_TEST

/* Generations that have labels of their own, and share some with all others. A reader of
 * one generation reads its labels until the grace period is over. */
START_TEST(test_registry_churn_leaves_nothing_behind)
{
    enum { GENERATIONS = 60, EACH = 200, ALIVE = 3, EVER = 6 };
    static uint32_t ordinals[GENERATIONS][EACH];
    struct index_fixture fx;
    size_t bytes = 0;
    fixture_init(&fx);
    for (int g = 0; g < GENERATIONS; g++) {
        for (int i = 0; i < EACH; i++) {
            char text[96];
            snprintf(text, sizeof(text), "up,job=j%d,generation=g%d,pod=pod-%d-%d", i % 3, g, g, i);
            ordinals[g][i] = fixture_add(&fx, text);
            arena_reset(&fx.arena);
        }
        registry_forget_births(fx.reg, registry_n_births(fx.reg));
        if (g < ALIVE) continue;
        struct labels labels = registry_labels(fx.reg, ordinals[g - ALIVE][7], &fx.arena);
        char want[32];
        snprintf(want, sizeof(want), "pod-%d-7", g - ALIVE);
        for (int i = 0; i < EACH; i++) registry_remove(fx.reg, ordinals[g - ALIVE][i]);
        fixture_fold(&fx);
        (void)fixture_purge(&fx);
        ck_assert(slice_is(labels_get(labels, SLICE_LIT("pod")), want));
        fixture_grace(&fx);
        fixture_grace(&fx); /* texts go after their pairs */
        if (g % 10 == 0) check_ok(&fx);
        struct registry_counts counts = registry_counts(fx.reg);
        ck_assert_uint_le(registry_n_ordinals(fx.reg), EVER * EACH);
        ck_assert_uint_le(counts.n_dead, EACH);
        ck_assert_uint_le(counts.n_pairs, EVER * EACH);
        ck_assert_uint_le(counts.n_values, EVER * EACH);
        if (g == GENERATIONS / 3) bytes = counts.n_bytes;
        if (g > GENERATIONS / 3) ck_assert_uint_le(counts.n_bytes, bytes + bytes / 8);
    }
    fixture_release(&fx);
}
END_TEST

/* A pair that is found again before it left is the same; one that has left is another. */
START_TEST(test_registry_pairs_are_born_again)
{
    struct index_fixture fx;
    fixture_init(&fx);
    registry_remove(fx.reg, fixture_add(&fx, "up,pod=a"));
    uint32_t back = fixture_add(&fx, "up,pod=a");
    ck_assert(fixture_purge(&fx));
    check_ok(&fx);
    ck_assert_uint_eq(registry_counts(fx.reg).n_pairs, 2);
    registry_remove(fx.reg, back);
    ck_assert(fixture_purge(&fx));
    ck_assert_uint_eq(registry_counts(fx.reg).n_pairs, 0);
    uint32_t again = fixture_add(&fx, "up,pod=a"); /* before the grace is over */
    check_ok(&fx);
    fixture_grace(&fx);
    fixture_grace(&fx);
    check_ok(&fx);
    ck_assert_uint_eq(registry_counts(fx.reg).n_pairs, 2);
    ck_assert_uint_eq(fixture_find(&fx, fixture_labels(&fx, "up,pod=a")), again);
    fixture_release(&fx);
}
END_TEST

START_TEST(test_registry_random_history)
{
    enum { NAMES = 3000 };
    static uint32_t where[NAMES];
    struct index_fixture fx;
    struct rng rng;
    fixture_init(&fx);
    rng_init(&rng, unit_seed());
    for (size_t i = 0; i < NAMES; i++) where[i] = ORDINAL_NONE;
    uint64_t n_alive = 0;

    for (int step = 0; step < 20000; step++) {
        uint32_t i = (uint32_t)rng_below(&rng, NAMES);
        char text[96];
        snprintf(text, sizeof(text), "m%u,job=j%u,pod=p%u%s%u", i % 7, i % 3, i,
                 i % 5 ? ",z=" : ",key:k", i);
        struct labels labels = fixture_labels(&fx, text);
        ck_assert_uint_eq(fixture_find(&fx, labels), where[i]);
        if (where[i] == ORDINAL_NONE) {
            where[i] = fixture_add_labels(&fx, labels);
            n_alive++;
        } else if (rng_below(&rng, 3) == 0) {
            registry_remove(fx.reg, where[i]);
            where[i] = ORDINAL_NONE;
            n_alive--;
        }
        arena_reset(&fx.arena);
        if (rng_below(&rng, 300) == 0) (void)fixture_purge(&fx); /* maybe nothing to do */
        if (rng_below(&rng, 300) == 0) fixture_fold(&fx);
        if (rng_below(&rng, 200) == 0) fixture_grace(&fx);
        if (step % 4000 == 0) check_ok(&fx);
    }
    ck_assert_uint_eq(registry_counts(fx.reg).n_series, n_alive);
    ck_assert_uint_lt(registry_n_ordinals(fx.reg), 2 * NAMES);
    fixture_release(&fx);
}
END_TEST

START_TEST(test_registry_refused_add_leaves_no_series)
{
    struct index_fixture fx;
    fixture_init(&fx);
    struct series_attrs attrs = {.retention_ms = 1};
    uint32_t n = 0, n_refused = 0;
    for (int i = 0; i < 400; i++) {
        char text[96];
        snprintf(text, sizeof(text), "m%d,job=j%d,pod=p%d,key:k%d", i % 7, i % 90, i, i);
        struct labels labels = fixture_labels(&fx, text);
        /* Room grows until the add fits: every allocation is refused once on the way. */
        for (size_t room = 0;; room += 1000) {
            uint32_t ordinal;
            atomic_store(&fx.account.limit, account_used(&fx.account) + room + 1);
            status st = fixture_try_add(&ordinal, &fx, labels, &attrs);
            atomic_store(&fx.account.limit, 0);
            if (st == ST_OK) break;
            ck_assert_int_eq(st, ST_NO_MEMORY);
            ck_assert_uint_eq(fixture_find(&fx, labels), ORDINAL_NONE);
            ck_assert_uint_eq(registry_n_births(fx.reg), n);
            n_refused++;
        }
        n++;
        arena_reset(&fx.arena);
    }
    ck_assert_uint_gt(n_refused, 50);
    check_ok(&fx);
    fixture_release(&fx);
}
END_TEST

Suite *suite_registry(void)
{
    Suite *suite = suite_create("registry");
    TCase *tc = tcase_create("registry");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_registry_gives_back_labels);
    tcase_add_test(tc, test_registry_key_belongs_to_a_tenant);
    tcase_add_test(tc, test_registry_learns_spellings);
    tcase_add_test(tc, test_registry_histograms_have_names_of_their_own);
    tcase_add_test(tc, test_registry_ids_are_never_used_again);
    tcase_add_test(tc, test_registry_attrs_are_copied);
    tcase_add_test(tc, test_registry_ordinals_return_after_purge_and_grace);
    tcase_add_test(tc, test_registry_purge_that_fails_keeps_the_quarantine);
    tcase_add_test(tc, test_registry_churn_leaves_nothing_behind);
    tcase_add_test(tc, test_registry_pairs_are_born_again);
    tcase_add_test(tc, test_registry_random_history);
    tcase_add_test(tc, test_registry_refused_add_leaves_no_series);
    suite_add_tcase(suite, tc);
    return suite;
}
