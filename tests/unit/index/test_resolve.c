/* Goal: resolve() gives exactly the living series whose labels the matchers accept.
 * Method: literal cases with the expected series spelt out; then random registries,
 * with deaths, reuse and folding, and random matchers, compared with a walk over all
 * series that asks each matcher (matchers_accept). */
#include "index/resolve.h"

#include "tests/unit/index/index_fixture.h"
#include "tests/unit/index/index_suites.h"

static const char *const series[] = {
    "up,job=a,instance=1",                /* 0 */
    "up,job=a,instance=2",                /* 1 */
    "up,job=b,instance=1",                /* 2 */
    "down,job=b",                         /* 3 */
    "key:s1,room=x",                      /* 4 */
    "key:s2,room=y,job=a",                /* 5 */
    "up,job=a,__tsink_tenant__=t",        /* 6 */
    "key:s1,room=x,__tsink_tenant__=t",   /* 7 */
    "dead,job=a",                         /* 8, removed */
};

static const struct resolve_case {
    const char *matchers, *tenant, *want;
} cases[] = {
    {"", "", "0 1 2 3 4 5"},
    {"", "t", "6 7"},
    {"", "nobody", ""},
    {"job=a", "", "0 1 5"},
    {"job=a", "t", "6"},
    {"job=a;__name__=up", "", "0 1"},
    {"job=zzz", "", ""},
    {"nolabel=x", "", ""},
    {"nolabel=", "", "0 1 2 3 4 5"},
    {"nolabel!=x", "", "0 1 2 3 4 5"},
    {"nolabel!=", "", ""},
    {"job=", "", "4"},
    {"job!=", "", "0 1 2 3 5"},
    {"job!=a", "", "2 3 4"},
    {"job!=zzz", "", "0 1 2 3 4 5"},
    {"job!=a;job!=b", "", "4"},
    {"job=~a|b", "", "0 1 2 3 5"},
    {"job=~a|", "", "0 1 4 5"},
    {"job!~a|b", "", "4"},
    {"job!~a|", "", "2 3"},
    {"job=~.*", "", "0 1 2 3 4 5"},
    {"job=~.+", "", "0 1 2 3 5"},
    {"job!~.*", "", ""},
    {"job!~.+", "", "4"},
    {"job=~[a-b]", "", "0 1 2 3 5"},
    {"job=~[^a]", "", "2 3"},
    {"job=~[^a]?", "", "2 3 4"},
    {"job!~[^a]?", "", "0 1 5"},
    {"job=~u.*", "", ""},
    {"__name__=~u.*;instance=1", "", "0 2"},
    {"__name__=~u.*;instance!=1", "", "1"},
    {"__key__=s1", "", "4"},
    {"__key__=s1", "t", "7"},
    {"__key__=s1;room=x", "", "4"},
    {"__key__=s1;room=y", "", ""},
    {"__key__=s1;__key__=s2", "", ""},
    {"__key__=s1;__key__!=s2", "", "4"},
    {"__key__=nokey", "", ""},
    {"__key__=", "", "0 1 2 3"},
    {"__key__!=", "", "4 5"},
    {"__key__=~s.*;job=a", "", "5"},
    {"__key__!~s1|", "", "5"},
    {"__name__=dead", "", ""},
    {"__tsink_tenant__=t", "", ""}, /* nobody looks over the fence */
    {"__tsink_tenant__=~.*", "", "0 1 2 3 4 5"},
    {"__tsink_tenant__=", "t", ""},
};

static void add_all(struct index_fixture *fx)
{
    fixture_init(fx);
    for (size_t i = 0; i < ARRAY_LEN(series); i++) fixture_add(fx, series[i]);
    registry_remove(fx->reg, 8);
}

START_TEST(test_resolve_literal)
{
    const struct resolve_case *c = &cases[_i];
    struct index_fixture fx;
    add_all(&fx);
    struct account account;
    account_init(&account, "query", NULL, 0);
    struct resolve_args args = {.matchers = fixture_matchers(&fx, c->matchers),
                                .tenant = slice_str(c->tenant),
                                .account = &account};
    struct ordinals got = {.ptr = NULL};
    struct err err = {.st = ST_OK};
    status st = resolve(&got, fx.reg, &args, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);

    char text[128] = "";
    for (size_t i = 0; i < got.n; i++) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u", i ? " " : "",
                 got.ptr[i]);
        ck_assert(resolve_test(fx.reg, got.ptr[i], &args));
    }
    ck_assert_msg(strcmp(text, c->want) == 0, "{%s} of \"%s\": got %s, want %s", c->matchers,
                  c->tenant, text, c->want);
    for (uint32_t i = 0; i < ARRAY_LEN(series); i++) {
        bool in = false;
        for (size_t k = 0; k < got.n; k++) in |= got.ptr[k] == i;
        ck_assert_msg(resolve_test(fx.reg, i, &args) == in, "{%s}: %u", c->matchers, i);
    }
    ck_assert_uint_eq(got.n_births, 9);
    ordinals_release(&got);
    ck_assert_uint_eq(account_used(&account), 0);
    fixture_matchers_free(args.matchers);
    fixture_release(&fx);
}
END_TEST

START_TEST(test_resolve_all_tenants)
{
    struct index_fixture fx;
    add_all(&fx);
    struct resolve_args args = {.matchers = fixture_matchers(&fx, "__key__=s1"),
                                .all_tenants = true};
    struct ordinals got = {.ptr = NULL};
    ck_assert_int_eq(resolve(&got, fx.reg, &args, NULL), ST_OK);
    ck_assert(got.n == 2 && got.ptr[0] == 4 && got.ptr[1] == 7);
    ordinals_release(&got);
    fixture_matchers_free(args.matchers);
    fixture_release(&fx);
}
END_TEST

START_TEST(test_resolve_limits)
{
    struct index_fixture fx;
    add_all(&fx);
    struct ordinals got = {.ptr = NULL};
    struct err err = {.st = ST_OK};
    struct resolve_args args = {.limit = 5};
    ck_assert_int_eq(resolve(&got, fx.reg, &args, &err), ST_LIMIT);
    ck_assert_msg(strstr(err.text, "limit is 5"), "%s", err.text);
    args.limit = 6;
    ck_assert_int_eq(resolve(&got, fx.reg, &args, NULL), ST_OK);
    ordinals_release(&got);

    _Atomic bool cancelled = true;
    args.cancelled = &cancelled;
    ck_assert_int_eq(resolve(&got, fx.reg, &args, NULL), ST_CANCELLED);
    args.cancelled = NULL;
    struct account account;
    account_init(&account, "query", NULL, 1);
    args.account = &account;
    ck_assert_int_eq(resolve(&got, fx.reg, &args, NULL), ST_NO_MEMORY);
    ck_assert_uint_eq(account_used(&account), 0);
    fixture_release(&fx);
}
END_TEST

START_TEST(test_resolve_births_after)
{
    struct index_fixture fx;
    add_all(&fx);
    struct resolve_args args = {.matchers = fixture_matchers(&fx, "job=a")};
    struct ordinals got = {.ptr = NULL};
    ck_assert_int_eq(resolve(&got, fx.reg, &args, NULL), ST_OK);
    ck_assert_uint_eq(got.n, 3);
    fixture_add(&fx, "late,job=a");
    fixture_add(&fx, "late,job=b");
    uint32_t gone = fixture_add(&fx, "late,job=a,gone=1");
    registry_remove(fx.reg, gone);
    ck_assert_int_eq(resolve_births(&got, fx.reg, &args, registry_n_births(fx.reg), NULL),
                     ST_OK);
    ck_assert(got.n == 4 && got.ptr[3] == 9 && got.n_births == 12);
    got.n_births = 0; /* known ones again: nothing is there twice */
    ck_assert_int_eq(resolve_births(&got, fx.reg, &args, registry_n_births(fx.reg), NULL),
                     ST_OK);
    ck_assert_uint_eq(got.n, 4);
    args.limit = 4;
    fixture_add(&fx, "later,job=a");
    ck_assert_int_eq(resolve_births(&got, fx.reg, &args, registry_n_births(fx.reg), NULL),
                     ST_LIMIT);
    ordinals_release(&got);
    fixture_matchers_free(args.matchers);
    fixture_release(&fx);
}
END_TEST

/* ---- random sets against brute force ---- */

static const char *const atoms[] = {
    "job=j0",       "job=j1",         "job!=j1",        "job=",          "job!=",
    "job=~j0|j2",   "job!~j0|j2",     "job=~j.*",       "job=~.+",       "job=~.*",
    "pod=p17",      "pod!=p17",       "pod=~p1.*",      "pod!~p1.*",     "pod=~.*7",
    "pod=~p5|p6|p7", "pod!=",         "even=1",         "even=",         "even!=1",
    "__name__=m0",  "__name__=~m[12]", "__name__!=m0",  "__key__=k10",   "__key__!=",
    "__key__=~k1.*", "__key__=",      "absent=",        "absent!=",      "pod=~(p3)?",
};

static void compare(struct index_fixture *fx, const char *spelling)
{
    struct resolve_args args = {.matchers = fixture_matchers(fx, spelling)};
    struct ordinals got = {.ptr = NULL};
    struct err err = {.st = ST_OK};
    status st = resolve(&got, fx->reg, &args, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    size_t at = 0;
    for (uint32_t i = 0; i < registry_n_ordinals(fx->reg); i++) {
        if (!(entry_flags(registry_entry(fx->reg, i)) & SERIES_LIVE)) continue;
        struct arena arena;
        arena_init(&arena, NULL, 512);
        bool want = matchers_accept(args.matchers, registry_labels(fx->reg, i, &arena));
        arena_release(&arena);
        bool is = at < got.n && got.ptr[at] == i;
        if (is != want) ck_abort_msg("{%s}: series %u, got %d want %d", spelling, i, is, want);
        at += is;
    }
    ck_assert_msg(at == got.n, "{%s}: %zu of %zu", spelling, at, got.n);
    ordinals_release(&got);
    fixture_matchers_free(args.matchers);
}

START_TEST(test_resolve_like_brute_force)
{
    struct index_fixture fx;
    struct rng rng;
    fixture_init(&fx);
    rng_init(&rng, unit_seed());
    uint32_t n_made = 0;

    for (int round = 0; round < 6; round++) {
        /* From a few to 10,000: in place, pages, bases with and without delta. */
        for (uint32_t i = 0; i < (round < 2 ? 60 : 2500); i++, n_made++) {
            char text[128];
            int len = snprintf(text, sizeof(text), "m%u,pod=p%u", (unsigned)rng_below(&rng, 4),
                               n_made);
            if (rng_below(&rng, 8)) {
                len += snprintf(text + len, sizeof(text) - (size_t)len, ",job=j%u",
                                (unsigned)rng_below(&rng, 3));
            }
            if (n_made % 2 == 0) len += snprintf(text + len, 16, ",even=1");
            if (n_made % 10 == 0) len += snprintf(text + len, 16, ",key:k%u", n_made);
            fixture_add(&fx, text);
            arena_reset(&fx.arena);
        }
        for (uint32_t i = 0; i < registry_n_ordinals(fx.reg) / 40; i++) {
            uint32_t victim = (uint32_t)rng_below(&rng, registry_n_ordinals(fx.reg));
            if (entry_flags(registry_entry(fx.reg, victim)) & SERIES_LIVE) {
                registry_remove(fx.reg, victim);
            }
        }
        if (round % 2) fixture_fold(&fx);
        if (round % 3 == 2) {
            while (fixture_purge(&fx)) {}
            fixture_grace(&fx);
        }
        for (int q = 0; q < 40; q++) {
            char spelling[256] = "";
            for (uint64_t n = 1 + rng_below(&rng, 4); n > 0; n--) {
                snprintf(spelling + strlen(spelling), sizeof(spelling) - strlen(spelling),
                         "%s%s", *spelling ? ";" : "", atoms[rng_below(&rng, ARRAY_LEN(atoms))]);
            }
            compare(&fx, spelling);
            arena_reset(&fx.arena);
        }
    }
    fixture_release(&fx);
}
END_TEST

Suite *suite_resolve(void)
{
    Suite *suite = suite_create("resolve");
    TCase *tc = tcase_create("resolve");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_resolve_literal, 0, (int)ARRAY_LEN(cases));
    tcase_add_test(tc, test_resolve_all_tenants);
    tcase_add_test(tc, test_resolve_limits);
    tcase_add_test(tc, test_resolve_births_after);
    tcase_add_test(tc, test_resolve_like_brute_force);
    suite_add_tcase(suite, tc);
    return suite;
}
