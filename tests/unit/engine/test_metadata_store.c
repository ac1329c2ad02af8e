/* Goal: the store keeps the newest word about each family, in order, tells news from what it
 * has, and stays bounded. Method: puts in any order against what a walk then says, a random
 * history against a sorted list; the limits; refused memory. */
#include "engine/metadata_store.h"
#include "base/rng.h"
#include "tests/lib/mem_fault.h"
#include "tests/unit/engine/engine_suites.h"

enum { FAMILIES = 100000 };

static struct metric_meta meta(const char *family, enum metric_type type, const char *help,
                               const char *unit)
{
    return (struct metric_meta){.family = slice_str(family),
                                .type = type,
                                .help = slice_str(help),
                                .unit = slice_str(unit)};
}

static status put_line(void *ctx, const struct metric_meta *m)
{
    char *text = ctx;
    size_t len = strlen(text);

    snprintf(text + len, 1024 - len, SLICE_FMT ":%s:" SLICE_FMT ":" SLICE_FMT ";",
             SLICE_ARG(m->family), metric_type_name(m->type), SLICE_ARG(m->help),
             SLICE_ARG(m->unit));
    return ST_OK;
}

static void walk(struct metadata_store *store,
                 status (*each)(void *ctx, const struct metric_meta *meta), void *ctx)
{
    struct metadata_walk at = {.len = 0};
    for (bool more = true; more;)
        ck_assert_int_eq(metadata_store_walk(store, &at, each, ctx, &more), ST_OK);
}

static void assert_says(struct metadata_store *store, const char *want)
{
    char text[1024] = "";

    walk(store, put_line, text);
    ck_assert_str_eq(text, want);
}

START_TEST(test_metadata_store_newest_word_in_order)
{
    struct metadata_store *store = metadata_store_new(FAMILIES, NULL);
    char family[] = "up", help[] = "Is it.";
    struct metric_meta m = meta(family, METRIC_GAUGE, help, "");

    assert_says(store, "");
    (void)metadata_store_put(store, &m);
    memset(family, 'x', 2); /* texts are copied */
    memset(help, 'x', 2);
    m = meta("a_total", METRIC_COUNTER, "", "");
    (void)metadata_store_put(store, &m);
    m = meta("zz", METRIC_HISTOGRAM, "h", "seconds");
    (void)metadata_store_put(store, &m);
    assert_says(store, "a_total:counter::;up:gauge:Is it.:;zz:histogram:h:seconds;");
    (void)metadata_store_put(store, &m); /* the same again */
    m = meta("up", METRIC_GAUGE, "A longer text than before.", "bytes");
    (void)metadata_store_put(store, &m);
    assert_says(store, "a_total:counter::;up:gauge:A longer text than before.:bytes;"
                       "zz:histogram:h:seconds;");
    m = meta("up", METRIC_UNKNOWN, "", "");
    (void)metadata_store_put(store, &m);
    assert_says(store, "a_total:counter::;up:unknown::;zz:histogram:h:seconds;");
    metadata_store_free(store);
    metadata_store_free(NULL);
}
END_TEST

struct lengths {
    size_t n, help_max;
};

static status measure(void *ctx, const struct metric_meta *m)
{
    struct lengths *lengths = ctx;

    lengths->n++;
    if (m->help.len > lengths->help_max) lengths->help_max = m->help.len;
    return ST_OK;
}

START_TEST(test_metadata_store_is_bounded)
{
    struct metadata_store *store = metadata_store_new(FAMILIES, NULL);
    struct lengths lengths = {0, 0};
    char name[32], *longest = calloc(1, META_TEXT_MAX + 2);

    memset(longest, 'h', META_TEXT_MAX + 1);
    struct metric_meta m = meta("", METRIC_GAUGE, "no family", "");
    (void)metadata_store_put(store, &m);
    m = meta(longest, METRIC_GAUGE, "too long a family", "");
    (void)metadata_store_put(store, &m);
    walk(store, measure, &lengths);
    ck_assert_uint_eq(lengths.n, 0);
    m = meta("a", METRIC_GAUGE, longest, longest);
    (void)metadata_store_put(store, &m);
    for (int i = 0; i < FAMILIES + 10; i++) {
        snprintf(name, sizeof(name), "m%08d", i); /* ascending: inserts move nothing */
        m = meta(name, METRIC_GAUGE, "", "");
        (void)metadata_store_put(store, &m);
    }
    walk(store, measure, &lengths);
    ck_assert_uint_eq(lengths.n, FAMILIES);
    ck_assert_uint_eq(lengths.help_max, META_TEXT_MAX);
    free(longest);
    metadata_store_free(store);
}
END_TEST

START_TEST(test_metadata_store_lives_without_memory)
{
    struct metric_meta old = meta("up", METRIC_GAUGE, "old", "");
    struct metric_meta newer = meta("up", METRIC_GAUGE, "new", "");
    struct metric_meta other = meta("other", METRIC_GAUGE, "", "");

    mem_fault_install();
    int64_t live = mem_fault_live();
    for (uint64_t n = 1;; n++) {
        struct metadata_store *store = metadata_store_new(FAMILIES, NULL);
        (void)metadata_store_put(store, &old);
        mem_fault_arm(n, 1);
        (void)metadata_store_put(store, &newer);
        (void)metadata_store_put(store, &other);
        bool hit = mem_fault_disarm() > 0;
        if (n == 1) assert_says(store, "other:gauge::;up:gauge:old:;");
        if (n == 2) assert_says(store, "up:gauge:new:;");
        metadata_store_free(store);
        ck_assert_int_eq(mem_fault_live(), live);
        if (!hit) break;
        ck_assert_uint_lt(n, 10);
    }
    mem_fault_arm(1, 0);
    ck_assert_ptr_null(metadata_store_new(FAMILIES, NULL));
    mem_fault_disarm();
}
END_TEST

START_TEST(test_metadata_store_tells_news)
{
    struct metadata_store *store = metadata_store_new(2, NULL);
    char *longest = calloc(1, META_TEXT_MAX + 8);
    struct metadata_stats stats;
    struct metric_meta a = meta("a", METRIC_GAUGE, "help", ""), b = a;

    ck_assert(!metadata_store_has(store, &a));
    ck_assert_int_eq(metadata_store_put(store, &a), METADATA_CHANGED);
    ck_assert(metadata_store_has(store, &a));
    uint64_t version = metadata_store_version(store);
    ck_assert_int_eq(metadata_store_put(store, &a), METADATA_SAME);
    ck_assert_uint_eq(metadata_store_version(store), version);
    b.type = METRIC_COUNTER;
    ck_assert(!metadata_store_has(store, &b));
    ck_assert_int_eq(metadata_store_put(store, &b), METADATA_CHANGED);
    ck_assert_uint_ne(metadata_store_version(store), version);
    /* A text that is cut is the same when it comes again, and no character is halved. */
    memset(longest, 'h', META_TEXT_MAX - 1);
    memcpy(longest + META_TEXT_MAX - 1, "\xe2\x82\xac", 3);
    b.help = slice_str(longest);
    ck_assert_uint_eq(metadata_cut(&b).help.len, META_TEXT_MAX - 1);
    ck_assert_int_eq(metadata_store_put(store, &b), METADATA_CHANGED);
    ck_assert_int_eq(metadata_store_put(store, &b), METADATA_SAME);
    ck_assert(metadata_store_has(store, &b));
    b = meta("b", METRIC_GAUGE, "", "");
    ck_assert_int_eq(metadata_store_put(store, &b), METADATA_CHANGED);
    b = meta("c", METRIC_GAUGE, "", "");
    ck_assert_int_eq(metadata_store_put(store, &b), METADATA_REFUSED);
    metadata_store_stats(store, &stats);
    ck_assert(stats.n_families == 2 && stats.n_changed == 4 && stats.n_refused == 1);
    metadata_store_begin_stats(store);
    metadata_store_stats(store, &stats);
    ck_assert(stats.n_families == 2 && stats.n_changed == 0 && stats.n_refused == 0);
    free(longest);
    metadata_store_free(store);
}
END_TEST

struct order {
    char last[16];
    size_t n;
};

static status see_order(void *ctx, const struct metric_meta *m)
{
    struct order *order = ctx;
    char name[16];
    snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(m->family));
    ck_assert_str_gt(name, order->last);
    memcpy(order->last, name, sizeof(name));
    order->n++;
    return ST_OK;
}

static void see_one(void *ctx, const struct metric_meta *m)
{
    *(enum metric_type *)ctx = m->type;
}

START_TEST(test_metadata_store_random_history)
{
    enum { NAMES = 5000 };
    static uint8_t type[NAMES]; /* 1 + the type put last; 0: none */
    struct account account;
    struct rng rng;
    struct order order = {.n = 0};
    size_t n = 0;
    account_init(&account, "metadata", NULL, 0);
    struct metadata_store *store = metadata_store_new(FAMILIES, &account);
    rng_init(&rng, unit_seed());
    for (int i = 0; i < 20000; i++) {
        char name[16];
        size_t at = rng_below(&rng, NAMES);
        enum metric_type t = (enum metric_type)rng_below(&rng, N_METRIC_TYPES);
        snprintf(name, sizeof(name), "m%zu", at);
        struct metric_meta m = meta(name, t, "", "");
        ck_assert_int_eq(metadata_store_put(store, &m),
                         type[at] == 1 + t ? METADATA_SAME : METADATA_CHANGED);
        n += type[at] == 0;
        type[at] = (uint8_t)(1 + t);
    }
    walk(store, see_order, &order);
    ck_assert_uint_eq(order.n, n);
    for (size_t i = 0; i < NAMES; i++) {
        char name[16];
        enum metric_type t = N_METRIC_TYPES;
        snprintf(name, sizeof(name), "m%zu", i);
        metadata_store_get(store, slice_str(name), see_one, &t);
        ck_assert_int_eq(t, type[i] ? type[i] - 1 : N_METRIC_TYPES);
    }
    ck_assert_uint_gt(account_used(&account), n * 40);
    metadata_store_free(store);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

START_TEST(test_metadata_store_obeys_its_account)
{
    struct account account;
    account_init(&account, "metadata", NULL, 64 << 10);
    struct metadata_store *store = metadata_store_new(FAMILIES, &account);
    size_t n_refused = 0;
    for (int i = 0; i < 2000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "m%d", i);
        struct metric_meta m = meta(name, METRIC_GAUGE, "some help", "");
        n_refused += metadata_store_put(store, &m) == METADATA_REFUSED;
        ck_assert_uint_le(account_used(&account), 64 << 10);
    }
    ck_assert(n_refused > 0 && n_refused < 2000);
    metadata_store_free(store);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

Suite *suite_metadata_store(void)
{
    Suite *suite = suite_create("metadata_store");
    TCase *tcase = tcase_create("store");
    tcase_set_timeout(tcase, 60);

    tcase_add_test(tcase, test_metadata_store_newest_word_in_order);
    tcase_add_test(tcase, test_metadata_store_is_bounded);
    tcase_add_test(tcase, test_metadata_store_lives_without_memory);
    tcase_add_test(tcase, test_metadata_store_tells_news);
    tcase_add_test(tcase, test_metadata_store_random_history);
    tcase_add_test(tcase, test_metadata_store_obeys_its_account);
    suite_add_tcase(suite, tcase);
    return suite;
}
