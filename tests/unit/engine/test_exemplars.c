/* Goal: the store keeps the newest exemplars of each series, in order, within its limits and
 * its account, and whoever puts the same again changes nothing. Method: small cases by hand; a
 * random history against a naive list; walks while things go; refused memory. */
#include "engine/exemplars.h"
#include <math.h>
#include "base/rng.h"
#include "base/thread.h"
#include "base/vec.h"
#include "tests/lib/mem_fault.h"
#include "tests/unit/engine/engine_suites.h"

static const struct time_range all = {TS_MIN, TS_MAX};

static struct exemplar ex(ts_time ts, double value, const char *id)
{
    static uint8_t bytes[8][32]; /* of the last eight */
    static unsigned next;
    uint8_t *at = bytes[next++ % 8];
    size_t len = strlen(id);
    memcpy(at, "\x01\x01t", 3);
    at[3] = (uint8_t)len;
    memcpy(at + 4, id, len);
    return (struct exemplar){.ts = ts, .value = value, .has_ts = true,
                             .labels = slice_of(at, 4 + len)};
}

static enum exemplar_verdict put(struct exemplars *store, series_id id, ts_time ts, double value)
{
    struct exemplar e = ex(ts, value, "x");
    return exemplars_put(store, id, &e);
}

static struct exemplars *make(uint32_t total, uint32_t per_series, struct account *account)
{
    struct exemplar_limits limits = {total, per_series};
    struct exemplars *store = exemplars_new(&limits, account);
    ck_assert_ptr_nonnull(store);
    return store;
}

/* "ts ts ts" of a series in range. */
static const char *says(struct exemplars *store, series_id id, struct time_range range)
{
    static char text[4096];
    struct arena arena;
    struct exemplar *list = NULL;
    size_t n = 0, len = 0;
    arena_init(&arena, NULL, 1024);
    ck_assert_int_eq(exemplars_read(store, id, range, &arena, &list, &n), ST_OK);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        ck_assert(exemplar_packed_valid(list[i].labels));
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%" PRId64, i ? " " : "",
                                list[i].ts);
    }
    arena_release(&arena);
    return text;
}

static void check(struct exemplars *store)
{
    struct err err = {.st = ST_OK};
    ck_assert_msg(exemplars_check(store, &err) == ST_OK, "%s", err.text);
}

static struct exemplar_stats stats_of(struct exemplars *store)
{
    struct exemplar_stats stats;
    exemplars_stats(store, &stats);
    return stats;
}

START_TEST(test_order_and_duplicates)
{
    struct exemplars *store = make(100, 10, NULL);
    struct exemplar a = ex(10, 1, "a"), b = ex(10, 1, "b"), c = ex(9, 5, "c"), d = ex(10, 0.5, "d");
    ck_assert_int_eq(exemplars_put(store, 1, &a), EXEMPLAR_STORED);
    ck_assert_int_eq(exemplars_put(store, 1, &a), EXEMPLAR_DUPLICATE);
    ck_assert_int_eq(exemplars_put(store, 1, &c), EXEMPLAR_OUT_OF_ORDER);
    ck_assert_int_eq(exemplars_put(store, 1, &d), EXEMPLAR_OUT_OF_ORDER);
    ck_assert_int_eq(exemplars_put(store, 1, &b), EXEMPLAR_STORED); /* labels tell them apart */
    ck_assert_int_eq(exemplars_put(store, 1, &a), EXEMPLAR_OUT_OF_ORDER);
    ck_assert_int_eq(exemplars_put(store, 2, &c), EXEMPLAR_STORED); /* another series */
    ck_assert_int_eq(put(store, 2, 9, NAN), EXEMPLAR_STORED);
    ck_assert_int_eq(put(store, 2, 9, NAN), EXEMPLAR_DUPLICATE);
    struct exemplar scraped = ex(20, 1, "s"), again = scraped;
    scraped.has_ts = again.has_ts = false;
    again.ts = 35;
    ck_assert_int_eq(exemplars_put(store, 1, &scraped), EXEMPLAR_STORED);
    ck_assert_int_eq(exemplars_put(store, 1, &again), EXEMPLAR_DUPLICATE);
    struct exemplar_stats s = stats_of(store);
    ck_assert(s.n_stored == 5 && s.n_duplicate == 3 && s.n_out_of_order == 3 && s.n_series == 2);
    ck_assert_uint_eq(s.n_exemplars, 5);
    ck_assert_str_eq(says(store, 1, all), "10 10 20");
    ck_assert_str_eq(says(store, 1, (struct time_range){11, 20}), "20");
    ck_assert_str_eq(says(store, 3, all), "");
    check(store);
    exemplars_free(store);
    exemplars_free(NULL);
}
END_TEST

START_TEST(test_limits)
{
    struct exemplars *store = make(5, 3, NULL);
    for (int i = 0; i < 4; i++) ck_assert_int_eq(put(store, 1, i, 1), EXEMPLAR_STORED);
    ck_assert_str_eq(says(store, 1, all), "1 2 3");
    for (int i = 0; i < 2; i++) ck_assert_int_eq(put(store, 2, i, 1), EXEMPLAR_STORED);
    ck_assert_int_eq(put(store, 3, 0, 1), EXEMPLAR_STORED); /* what came first goes */
    ck_assert_str_eq(says(store, 1, all), "2 3");
    ck_assert_int_eq(put(store, 1, 4, 1), EXEMPLAR_STORED); /* even of the series itself */
    ck_assert_str_eq(says(store, 1, all), "3 4");
    for (int i = 10; i < 15; i++) ck_assert_int_eq(put(store, (series_id)i, 0, 1), EXEMPLAR_STORED);
    ck_assert_uint_eq(stats_of(store).n_exemplars, 5);
    ck_assert_uint_eq(stats_of(store).n_series, 5);
    ck_assert_uint_eq(stats_of(store).n_evicted, 8);
    check(store);
    exemplars_free(store);
    store = make(0, 3, NULL);
    ck_assert_int_eq(put(store, 1, 1, 1), EXEMPLAR_NO_ROOM);
    ck_assert_uint_eq(stats_of(store).n_no_room, 1);
    exemplars_free(store);
    store = make(1, 1, NULL);
    for (int i = 0; i < 5; i++) ck_assert_int_eq(put(store, 7, i, 1), EXEMPLAR_STORED);
    ck_assert_str_eq(says(store, 7, all), "4");
    check(store);
    exemplars_free(store);
}
END_TEST

START_TEST(test_the_account_is_a_limit)
{
    struct account account;
    account_init(&account, "exemplars", NULL, 16 << 10);
    struct exemplars *store = make(100000, 100, &account);
    for (int i = 0; i < 5000; i++) {
        enum exemplar_verdict v = put(store, (series_id)(1 + i % 50), i, 1);
        ck_assert(v == EXEMPLAR_STORED || v == EXEMPLAR_NO_ROOM);
    }
    ck_assert_uint_gt(stats_of(store).n_evicted, 4000);
    ck_assert_uint_gt(stats_of(store).n_exemplars, 20);
    check(store);
    exemplars_free(store);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

/* The naive store. */
struct kept {
    series_id id;
    struct exemplar ex;
};
static struct {
    struct kept *ptr;
    size_t len, cap;
} naive;

static void naive_remove(size_t at)
{
    memmove(naive.ptr + at, naive.ptr + at + 1, (naive.len - at - 1) * sizeof(naive.ptr[0]));
    naive.len--;
}

static void naive_put(series_id id, const struct exemplar *e, size_t total, size_t per_series)
{
    size_t n = 0, first = 0;
    const struct kept *newest = NULL;
    for (size_t i = naive.len; i-- > 0;) {
        if (naive.ptr[i].id != id) continue;
        if (!newest) newest = &naive.ptr[i];
        n++;
        first = i;
    }
    if (newest && (exemplar_same(&newest->ex, e) || exemplar_cmp(e, &newest->ex) < 0)) return;
    if (n >= per_series) naive_remove(first);
    else if (naive.len >= total) naive_remove(0);
    ck_assert(vec_push(&naive, ((struct kept){id, *e})));
}

static void compare(struct exemplars *store, series_id id)
{
    char want[4096] = "";
    for (size_t i = 0; i < naive.len; i++) {
        size_t len = strlen(want);
        if (naive.ptr[i].id == id)
            snprintf(want + len, sizeof(want) - len, "%s%" PRId64, len ? " " : "",
                     naive.ptr[i].ex.ts);
    }
    ck_assert_str_eq(says(store, id, all), want);
}

START_TEST(test_random_history)
{
    enum { SERIES = 40, TOTAL = 150, PER_SERIES = 12 };
    struct account account;
    struct rng rng;
    account_init(&account, "exemplars", NULL, 0);
    rng_init(&rng, unit_seed());
    struct exemplars *store = make(TOTAL, PER_SERIES, &account);
    for (int step = 0; step < 20000; step++) {
        series_id id = 1 + rng_below(&rng, SERIES);
        unsigned what = (unsigned)rng_below(&rng, 100);
        struct time_range range = {(ts_time)rng_below(&rng, 20000), 0};
        range.to = range.from + (ts_time)rng_below(&rng, 500);
        if (what < 96) {
            struct exemplar e = {.ts = step + (ts_time)rng_below(&rng, 3) - 1, .value = 1,
                                 .has_ts = true, .labels = {"\0", 1}};
            (void)exemplars_put(store, id, &e);
            naive_put(id, &e, TOTAL, PER_SERIES);
        } else if (what < 98) {
            exemplars_drop(store, id);
            for (size_t i = naive.len; i-- > 0;)
                if (naive.ptr[i].id == id) naive_remove(i);
        } else {
            uint64_t ids[2] = {id, 1 + rng_below(&rng, SERIES + 5)};
            exemplars_delete(store, ids, 2, range);
            for (size_t i = naive.len; i-- > 0;)
                if ((naive.ptr[i].id == ids[0] || naive.ptr[i].id == ids[1]) &&
                    range_has(range, naive.ptr[i].ex.ts))
                    naive_remove(i);
        }
        compare(store, id);
        if (step % 500 == 0) check(store);
    }
    ck_assert_uint_eq(stats_of(store).n_exemplars, naive.len);
    check(store);
    exemplars_free(store);
    ck_assert_uint_eq(account_used(&account), 0);
    vec_release(&naive);
}
END_TEST

static status note_ts(void *ctx, series_id id, const struct exemplar *e)
{
    char *text = ctx;
    size_t len = strlen(text);
    snprintf(text + len, 256 - len, "%" PRIu64 "@%" PRId64 " ", id, e->ts);
    return ST_OK;
}

START_TEST(test_walks_pass_over_what_goes)
{
    struct exemplars *store = make(100, 10, NULL);
    struct exemplar_walk walk, other;
    char text[256] = "", whole[256] = "";
    bool more;
    for (int i = 0; i < 6; i++) (void)put(store, (series_id)(1 + i % 2), i, 1);
    uint64_t mark = exemplars_mark(store);
    (void)put(store, 3, 9, 1); /* behind the mark */
    exemplars_walk_begin(store, &walk, mark);
    exemplars_walk_begin(store, &other, UINT64_MAX);
    ck_assert_int_eq(exemplars_walk(store, &walk, 2, note_ts, text, &more), ST_OK);
    ck_assert(more);
    uint64_t id = 1;
    exemplars_delete(store, &id, 1, (struct time_range){2, 2}); /* where the walk stands */
    exemplars_drop(store, 2);
    (void)put(store, 4, 1, 1);
    ck_assert_int_eq(exemplars_walk(store, &walk, 100, note_ts, text, &more), ST_OK);
    ck_assert(!more);
    ck_assert_str_eq(text, "1@0 2@1 1@4 ");
    ck_assert_int_eq(exemplars_walk(store, &other, 100, note_ts, whole, &more), ST_OK);
    ck_assert_str_eq(whole, "1@0 1@4 3@9 4@1 ");
    exemplars_walk_end(store, &walk);
    exemplars_walk_end(store, &other);
    check(store);
    exemplars_free(store);
}
END_TEST

START_TEST(test_versions_tell_changes)
{
    struct exemplars *store = make(10, 10, NULL);
    uint64_t v = exemplars_version(store);
    (void)put(store, 1, 1, 1);
    ck_assert_uint_ne(exemplars_version(store), v);
    v = exemplars_version(store);
    (void)put(store, 1, 1, 1);
    exemplars_drop(store, 9);
    ck_assert_uint_eq(exemplars_version(store), v);
    exemplars_drop(store, 1);
    ck_assert_uint_ne(exemplars_version(store), v);
    exemplars_free(store);
}
END_TEST

/* --- threads --------------------------------------------------------------------- */

struct party {
    struct exemplars *store;
    unsigned role;
    _Atomic bool *over;
};

static status see_sound(void *ctx, series_id id, const struct exemplar *e)
{
    size_t *n = ctx;
    ck_assert(id != 0 && exemplar_packed_valid(e->labels));
    ++*n;
    return ST_OK;
}

/* The owner. */
static void change(const struct party *p)
{
    struct rng rng;
    rng_init(&rng, 1);
    for (int i = 0; i < 30000; i++) {
        series_id id = 1 + rng_below(&rng, 60);
        unsigned what = (unsigned)rng_below(&rng, 50);
        struct time_range range = {i - 100, i - 50};
        if (what == 0) exemplars_drop(p->store, id);
        else if (what == 1) exemplars_delete(p->store, &id, 1, range);
        else (void)put(p->store, id, i, 1);
    }
    atomic_store(p->over, true);
}

static void read_all(const struct party *p, struct arena *arena)
{
    uint64_t *found = NULL;
    size_t n = 0, n_of = 0;
    struct exemplar *list = NULL;
    ck_assert_int_eq(exemplars_series(p->store, arena, &found, &n), ST_OK);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(exemplars_read(p->store, found[i], all, arena, &list, &n_of), ST_OK);
        for (size_t k = 1; k < n_of; k++) ck_assert(exemplar_cmp(&list[k - 1], &list[k]) < 0);
        for (size_t k = 0; k < n_of; k++) ck_assert(exemplar_packed_valid(list[k].labels));
    }
    arena_reset(arena);
}

static void walk_all(const struct party *p)
{
    struct exemplar_walk walk;
    size_t n = 0;
    bool more = true;
    exemplars_walk_begin(p->store, &walk, exemplars_mark(p->store));
    while (more)
        ck_assert_int_eq(exemplars_walk(p->store, &walk, 7, see_sound, &n, &more), ST_OK);
    exemplars_walk_end(p->store, &walk);
}

static void run_party(void *ctx)
{
    const struct party *p = ctx;
    struct arena arena;
    if (p->role == 0) {
        change(p);
        return;
    }
    arena_init(&arena, NULL, 4096);
    while (!atomic_load(p->over)) {
        if (p->role == 1) read_all(p, &arena);
        else walk_all(p);
    }
    arena_release(&arena);
}

START_TEST(test_readers_and_walks_beside_the_owner)
{
    _Atomic bool over = false;
    struct exemplars *store = make(300, 8, NULL);
    struct party parties[] = {{store, 0, &over}, {store, 1, &over}, {store, 2, &over},
                              {store, 2, &over}};
    threads_together("party", run_party, parties, sizeof(parties[0]), 4);
    check(store);
    exemplars_free(store);
}
END_TEST

START_TEST(test_lives_without_memory)
{
    mem_fault_install();
    int64_t live = mem_fault_live();
    for (uint64_t n = 1;; n++) {
        struct account account;
        account_init(&account, "exemplars", NULL, 0);
        struct exemplars *store = make(100, 10, &account);
        mem_fault_arm(n, 1);
        enum exemplar_verdict a = put(store, 1, 1, 1), b = put(store, 2, 1, 1);
        bool hit = mem_fault_disarm() > 0;
        check(store);
        ck_assert_int_eq(strcmp(says(store, 1, all), "1") == 0, a == EXEMPLAR_STORED);
        ck_assert_int_eq(strcmp(says(store, 2, all), "1") == 0, b == EXEMPLAR_STORED);
        exemplars_free(store);
        ck_assert_uint_eq(account_used(&account), 0);
        ck_assert_int_eq(mem_fault_live(), live);
        if (!hit) break;
        ck_assert_uint_lt(n, 10);
    }
    mem_fault_arm(1, 0);
    ck_assert_ptr_null(exemplars_new(&(struct exemplar_limits){1, 1}, NULL));
    mem_fault_disarm();
}
END_TEST

Suite *suite_exemplars(void)
{
    Suite *suite = suite_create("exemplars");
    TCase *tc = tcase_create("exemplars");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_order_and_duplicates);
    tcase_add_test(tc, test_limits);
    tcase_add_test(tc, test_the_account_is_a_limit);
    tcase_add_test(tc, test_random_history);
    tcase_add_test(tc, test_walks_pass_over_what_goes);
    tcase_add_test(tc, test_versions_tell_changes);
    tcase_add_test(tc, test_readers_and_walks_beside_the_owner);
    tcase_add_test(tc, test_lives_without_memory);
    suite_add_tcase(suite, tc);
    return suite;
}
