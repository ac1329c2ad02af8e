/* Goal: fetch() gives the series that matchers and tenant allow, in the order of their
 * labels, with the samples of one moment, from memory and from segments alike. Method:
 * the engine on a file system in memory (tests/lib/db_rig.h); every case runs before and
 * after a flush, and once more after a restart. */
#include "base/panic.h"
#include "query/querier_local.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/query/query_suites.h"

struct local {
    struct db_rig rig;
    struct account account;
    struct querier *querier;
    struct query_budget budget;
    struct arena arena;
};

static const char *const stored[] = {
    "up{job=\"a\",instance=\"2\"}",
    "up{job=\"a\",instance=\"10\"}",
    "down{job=\"b\"}",
    "up{job=\"a\",__tsink_tenant__=\"t\"}",
};

static void open_rig(struct local *l)
{
    status st = db_rig_open(&l->rig);
    ck_assert_msg(st == ST_OK, "%s", l->rig.err.text);
    l->querier = querier_local_new(l->rig.db, &l->account);
}

static void close_rig(struct local *l)
{
    querier_local_free(l->querier);
    ck_assert_uint_eq(account_used(&l->account), 0);
    ck_assert_int_eq(db_rig_close(&l->rig), ST_OK);
}

static void put(struct local *l, const char *series, ts_time ts, double v)
{
    ck_assert_msg(db_rig_put(&l->rig, series, ts, v) == ST_OK, "%s", series);
}

static void local_init(struct local *l)
{
    memset(l, 0, sizeof(*l));
    db_rig_init(&l->rig, unit_seed());
    account_init(&l->account, "query", NULL, 0);
    arena_init(&l->arena, NULL, 4096);
    open_rig(l);
}

/* Ten samples a series: 1000, 2000 ... 10000; the value is 100 * series + tens. */
static void fill(struct local *l)
{
    for (size_t s = 0; s < ARRAY_LEN(stored); s++) {
        for (int i = 1; i <= 10; i++) put(l, stored[s], i * 1000, (double)s * 100 + i);
    }
}

static void local_release(struct local *l)
{
    close_rig(l);
    db_rig_release(&l->rig);
    arena_release(&l->arena);
}

static struct matcher match(enum match_op op, const char *name, const char *value)
{
    struct matcher m;
    struct err err = {.st = ST_OK};
    status st = matcher_init(&m, op, slice_str(name), slice_str(value), &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    return m;
}

/* "up{instance="10",job="a"}=7,8,9; ..." of a set. */
static void print_set(struct local *l, char *text, size_t cap, struct series_set *set)
{
    size_t len = 0;
    text[0] = 0;
    for (size_t i = 0; i < set->n; i++) {
        struct points pts = {0};
        struct strbuf name;
        struct err err = {.st = ST_OK};
        strbuf_init(&name, 0);
        labels_print(&name, set->labels[i]);
        status st = series_read(set, i, &pts, &err);
        ck_assert_msg(st == ST_OK, "%s", err.text);
        len += (size_t)snprintf(text + len, cap - len, "%s%s=", i ? "; " : "",
                                strbuf_cstr(&name));
        for (size_t k = 0; k < pts.n; k++) {
            if (k > 0) ck_assert_int_lt(pts.ts[k - 1], pts.ts[k]);
            len += (size_t)snprintf(text + len, cap - len, "%s%g", k ? "," : "",
                                    bits_f64(pts.val[k].bits));
        }
        ck_assert_int_eq(set->types[i], VALUE_F64);
        ck_assert_uint_eq(registry_by_id(db_registry(l->rig.db), set->ids[i]) == ORDINAL_NONE,
                          false);
        strbuf_release(&name);
        points_release(&pts);
    }
    ck_assert_uint_lt(len, cap);
}

static const struct fetch_case {
    const char *name, *tenant;
    struct {
        enum match_op op;
        const char *name, *value;
    } m[2];
    struct select select;
    const char *want;
} cases[] = {
    {"a metric", "", {{MATCH_EQ, "__name__", "up"}}, {.range = {3000, 5000}},
     "up{instance=\"10\",job=\"a\"}=103,104,105; up{instance=\"2\",job=\"a\"}=3,4,5"},
    {"everything", "", {{0}}, {.range = {10000, 20000}},
     "down{job=\"b\"}=210; up{instance=\"10\",job=\"a\"}=110; up{instance=\"2\",job=\"a\"}=10"},
    {"a tenant's, its label hidden", "t", {{MATCH_EQ, "job", "a"}}, {.range = {1000, 1000}},
     "up{job=\"a\"}=301"},
    {"nothing", "", {{MATCH_EQ, "job", "none"}}, {.range = {TS_MIN, TS_MAX}}, ""},
    {"an empty range", "", {{MATCH_EQ, "job", "b"}}, {.range = {5000, 4000}}, "down{job=\"b\"}="},
    {"between samples", "", {{MATCH_EQ, "job", "b"}}, {.range = {3001, 3999}}, "down{job=\"b\"}="},
    {"and its edges", "", {{MATCH_EQ, "job", "b"}}, {.range = {3001, 3999}, .edges = true},
     "down{job=\"b\"}=203,204"},
    {"edges beside samples", "", {{MATCH_EQ, "job", "b"}},
     {.range = {3000, 5000}, .edges = true}, "down{job=\"b\"}=202,203,204,205,206"},
    {"no edge before the first", "", {{MATCH_EQ, "job", "b"}},
     {.range = {1000, 1000}, .edges = true}, "down{job=\"b\"}=201,202"},
    {"no edge after the last", "", {{MATCH_EQ, "job", "b"}},
     {.range = {9500, TS_MAX}, .edges = true}, "down{job=\"b\"}=209,210"},
    {"a far edge", "", {{MATCH_EQ, "job", "b"}},
     {.range = {-400000000, -300000000}, .edges = true}, "down{job=\"b\"}=201"},
    {"labels only, no data there", "", {{MATCH_EQ, "job", "b"}},
     {.range = {20000, 30000}, .hint = {.labels_only = true}}, ""},
    {"labels only, kept", "", {{MATCH_EQ, "job", "b"}},
     {.range = {20000, 30000}, .hint = {.labels_only = true}, .keep_empty = true},
     "down{job=\"b\"}="},
    {"two matchers", "", {{MATCH_EQ, "__name__", "up"}, {MATCH_NE, "instance", "2"}},
     {.range = {1000, 1000}}, "up{instance=\"10\",job=\"a\"}=101"},
};

static void run_cases(struct local *l, const char *stage)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct fetch_case *c = &cases[i];
        struct matcher ms[2];
        struct select select = c->select;
        struct series_set *set;
        struct fetch *fetch;
        struct err err = {.st = ST_OK};
        char got[1024];
        size_t n = 0;
        for (; n < 2 && c->m[n].name; n++) {
            ms[n] = match(c->m[n].op, c->m[n].name, c->m[n].value);
        }
        select.matchers = (struct matchers){ms, n};
        status st = querier_fetch(l->querier, &fetch, &set, &select, 1, slice_str(c->tenant),
                                  &l->budget, &err);
        ck_assert_msg(st == ST_OK, "%s: %s", c->name, err.text);
        print_set(l, got, sizeof(got), set);
        ck_assert_msg(strcmp(got, c->want) == 0, "%s, %s: got %s, want %s", stage, c->name, got,
                      c->want);
        querier_done(l->querier, fetch);
        db_rig_settle(&l->rig);
    }
}

START_TEST(test_fetch_from_memory_and_segments)
{
    struct local l;
    local_init(&l);
    fill(&l);
    run_cases(&l, "memory");
    ck_assert_int_eq(db_rig_flush(&l.rig), ST_OK);
    run_cases(&l, "segment");
    close_rig(&l);
    open_rig(&l);
    run_cases(&l, "restart");
    local_release(&l);
}
END_TEST

static void note_flush(void *ctx, status st)
{
    ck_assert_int_eq(st, ST_OK);
    *(bool *)ctx = true;
}

START_TEST(test_fetch_is_one_moment)
{
    bool flushed = false;
    struct local l;
    local_init(&l);
    fill(&l);
    struct matcher m = match(MATCH_EQ, "job", "b"), all = match(MATCH_NE, "job", "");
    struct select selects[2] = {{.matchers = {&m, 1}, .range = {9000, TS_MAX}},
                                {.matchers = {&all, 1}, .range = {10000, TS_MAX}}};
    struct series_set *sets[2];
    struct fetch *fetch;
    char got[512];
    ck_assert_int_eq(querier_fetch(l.querier, &fetch, sets, selects, 2, SLICE_LIT(""), &l.budget,
                                   NULL), ST_OK);
    put(&l, "down{job=\"b\"}", 11000, 999);           /* after the pin */
    put(&l, "late{job=\"b\"}", 11000, 999);
    db_flush(l.rig.db, note_flush, &flushed);         /* and everything moves to disk */
    for (int i = 0; i < 100; i++) {
        clock_sim_advance_ms(&l.rig.clock, 1);
        db_rig_settle(&l.rig);
    }
    struct db_stats stats;
    db_stats(l.rig.db, &stats);
    ck_assert_uint_eq(stats.n_segments, 1);
    print_set(&l, got, sizeof(got), sets[0]);
    ck_assert_str_eq(got, "down{job=\"b\"}=209,210");
    print_set(&l, got, sizeof(got), sets[1]);
    ck_assert_str_eq(got, "down{job=\"b\"}=210; up{instance=\"10\",job=\"a\"}=110; "
                          "up{instance=\"2\",job=\"a\"}=10");
    querier_done(l.querier, fetch);
    for (int i = 0; i < 100; i++) {
        clock_sim_advance_ms(&l.rig.clock, 1);
        db_rig_settle(&l.rig);
    }
    ck_assert(flushed); /* which had waited for the view */
    ck_assert_int_eq(querier_fetch(l.querier, &fetch, sets, selects, 1, SLICE_LIT(""), &l.budget,
                                   NULL), ST_OK);
    print_set(&l, got, sizeof(got), sets[0]);
    ck_assert_str_eq(got, "down{job=\"b\"}=209,210,999; late{job=\"b\"}=999");
    querier_done(l.querier, fetch);
    local_release(&l);
}
END_TEST

START_TEST(test_fetch_obeys_its_budget)
{
    struct local l;
    local_init(&l);
    fill(&l);
    struct select select = {.range = {TS_MIN, TS_MAX}};
    struct series_set *set;
    struct fetch *fetch;
    struct err err = {.st = ST_OK};
    struct points pts = {0};

    struct query_budget budget = {.series_max = 2};
    ck_assert_int_eq(querier_fetch(l.querier, &fetch, &set, &select, 1, SLICE_LIT(""), &budget,
                                   &err), ST_LIMIT);
    ck_assert_msg(strstr(err.text, "3"), "%s", err.text);
    budget = (struct query_budget){.bytes_max = 100};
    ck_assert_int_eq(querier_fetch(l.querier, &fetch, &set, &select, 1, SLICE_LIT(""), &budget,
                                   &err), ST_NO_MEMORY);
    _Atomic bool cancelled = true;
    budget = (struct query_budget){.cancelled = &cancelled};
    ck_assert_int_eq(querier_fetch(l.querier, &fetch, &set, &select, 1, SLICE_LIT(""), &budget,
                                   &err), ST_CANCELLED);
    budget = (struct query_budget){.samples_max = 15};
    ck_assert_int_eq(querier_fetch(l.querier, &fetch, &set, &select, 1, SLICE_LIT(""), &budget,
                                   &err), ST_OK);
    ck_assert_int_eq(series_read(set, 0, &pts, &err), ST_OK);
    ck_assert_uint_eq(pts.n, 10);
    ck_assert_int_eq(series_read(set, 1, &pts, &err), ST_LIMIT);
    ck_assert_uint_eq(pts.n, 10); /* nothing half */
    querier_done(l.querier, fetch);
    points_release(&pts);
    local_release(&l);
}
END_TEST

static const struct text_case {
    const char *name, *tenant, *job; /* job NULL: no groups */
    struct time_range range;
    size_t limit;
    const char *want;
} texts[] = {
    {"", "", NULL, {TS_MIN, TS_MAX}, 0, "__name__ instance job"},
    {"", "", NULL, {TS_MIN, TS_MAX}, 2, "__name__ instance+"},
    {"", "t", NULL, {TS_MIN, TS_MAX}, 0, "__name__ job"},
    {"job", "", NULL, {TS_MIN, TS_MAX}, 0, "a b"},
    {"job", "", "b", {TS_MIN, TS_MAX}, 0, "b"},
    {"job", "t", "b", {TS_MIN, TS_MAX}, 0, ""},
    {"instance", "", "a", {TS_MIN, TS_MAX}, 0, "10 2"},
    {"instance", "", "a", {20000, 30000}, 0, ""},
    {"instance", "", "a", {10000, 30000}, 1, "10+"},
    {"__tsink_tenant__", "", NULL, {TS_MIN, TS_MAX}, 0, ""},
    {"never", "", NULL, {TS_MIN, TS_MAX}, 0, ""},
};

static void run_texts(struct local *l, size_t n_texts, const char *stage)
{
    for (size_t i = 0; i < n_texts; i++) {
        const struct text_case *c = &texts[i];
        struct matcher m = match(MATCH_EQ, "job", c->job ? c->job : "");
        struct matchers group = {&m, 1};
        struct slice *out;
        size_t n;
        bool more;
        struct err err = {.st = ST_OK};
        char got[256] = "";
        status st = l->querier->ops->label_texts(
            l->querier, slice_str(c->name), &group, c->job ? 1 : 0, c->range,
            slice_str(c->tenant), c->limit, &l->arena, &out, &n, &more, &l->budget, &err);
        ck_assert_msg(st == ST_OK, "%s", err.text);
        for (size_t k = 0; k < n; k++) {
            snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s" SLICE_FMT,
                     k ? " " : "", SLICE_ARG(out[k]));
        }
        if (more) snprintf(got + strlen(got), sizeof(got) - strlen(got), "+");
        ck_assert_msg(strcmp(got, c->want) == 0, "%s, case %zu: got %s, want %s", stage, i, got,
                      c->want);
        db_rig_settle(&l->rig);
    }
}

START_TEST(test_label_texts)
{
    struct local l;
    local_init(&l);
    fill(&l);
    run_texts(&l, ARRAY_LEN(texts), "memory");
    ck_assert_int_eq(db_rig_flush(&l.rig), ST_OK);
    run_texts(&l, ARRAY_LEN(texts), "segment");
    local_release(&l);
    /* Without tenants the whole is read from the lists alone: the same first answers. */
    local_init(&l);
    for (size_t s = 0; s < 3; s++) put(&l, stored[s], 1000, 1);
    run_texts(&l, 2, "one tenant");
    local_release(&l);
}
END_TEST

static void put_started(struct local *l, const char *series, ts_time ts, ts_time start)
{
    struct batch *batch = db_rig_batch(series);
    ck_assert(batch_add_row(batch, 0, ts, (union value){.bits = f64_bits(1)}, 0));
    ck_assert(batch_start_row(batch, start));
    db_rig_send(&l->rig, batch);
    ck_assert_uint_eq(batch->n_stored, 1);
    batch_free(batch);
}

/* "10:7 20:7; 10:3; " of a set's series. */
static void print_starts(char *text, size_t cap, struct series_set *set)
{
    size_t len = 0;
    for (size_t i = 0; i < set->n; i++) {
        struct points pts = {0};
        struct err err = {.st = ST_OK};
        ck_assert(points_push(&pts, -1, (union value){.bits = 1})); /* stays: it is appended to */
        ck_assert_msg(set->ops->starts(set, i, &pts, &err) == ST_OK, "%s", err.text);
        ck_assert(pts.n >= 1 && pts.ts[0] == -1);
        for (size_t k = 1; k < pts.n; k++)
            len += (size_t)snprintf(text + len, cap - len, "%s%lld:%lld", k > 1 ? " " : "",
                                    (long long)pts.ts[k], (long long)pts.val[k].bits);
        len += (size_t)snprintf(text + len, cap - len, "; ");
        points_release(&pts);
    }
    ck_assert_uint_lt(len, cap);
}

static const struct starts_case {
    const char *metric;
    struct time_range range;
    const char *want;
} starts_cases[] = {
    {"c", {TS_MIN, TS_MAX}, "10:7 30:25; ; 10:3; "},
    {"c", {11, 30}, "30:25; ; ; "},
    {"c", {31, 40}, "; ; ; "},
    {"d", {TS_MIN, TS_MAX}, "; "},
    {"__tsink_starts__", {TS_MIN, TS_MAX}, ""},
    {"", {TS_MIN, TS_MAX}, "10:7 30:25; ; 10:3; ; "}, /* four series, and no more */
};

/* Start timestamps come with their samples, of the same moment, and are nobody's series. */
static void run_starts(struct local *l, const char *stage)
{
    for (size_t i = 0; i < ARRAY_LEN(starts_cases); i++) {
        const struct starts_case *c = &starts_cases[i];
        struct matcher m = match(c->metric[0] ? MATCH_EQ : MATCH_NE, "__name__",
                                 c->metric[0] ? c->metric : "x");
        struct select selects[2] = {{.matchers = {&m, 1}, .range = c->range},
                                    {.matchers = {&m, 1}, .range = {0, 0}}};
        struct series_set *sets[2];
        struct fetch *fetch;
        struct err err = {.st = ST_OK};
        char got[256] = "";
        status st = querier_fetch(l->querier, &fetch, sets, selects, 2, slice_str(""), &l->budget,
                                  &err);
        ck_assert_msg(st == ST_OK, "%s", err.text);
        put_started(l, "c{i=\"1\"}", 40, 35); /* too late for this one */
        print_starts(got, sizeof(got), sets[0]);
        ck_assert_msg(strcmp(got, c->want) == 0, "%s, case %zu: got %s, want %s", stage, i, got,
                      c->want);
        querier_done(l->querier, fetch);
        uint32_t ordinal = db_rig_ordinal(&l->rig, "c{i=\"1\"}");
        lsn at;
        ck_assert_int_eq(db_delete(l->rig.db, &ordinal, 1, (struct time_range){40, 40}, &at,
                                   &l->rig.err), ST_OK);
        db_rig_settle(&l->rig);
    }
}

START_TEST(test_starts_come_with_their_samples)
{
    struct local l;
    local_init(&l);
    put_started(&l, "c{i=\"1\"}", 10, 7);
    put_started(&l, "c{i=\"1\"}", 20, START_NONE);
    put_started(&l, "c{i=\"1\"}", 30, 25);
    put_started(&l, "c{i=\"2\"}", 10, START_NONE);
    put_started(&l, "c{i=\"3\"}", 10, 3);
    put_started(&l, "d", 10, START_NONE);
    run_starts(&l, "memory");
    ck_assert_int_eq(db_rig_flush(&l.rig), ST_OK);
    run_starts(&l, "segment");
    close_rig(&l);
    open_rig(&l);
    run_starts(&l, "restart");
    local_release(&l);
}
END_TEST

Suite *suite_querier_local(void)
{
    Suite *suite = suite_create("querier_local");
    TCase *tc = tcase_create("querier_local");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_fetch_from_memory_and_segments);
    tcase_add_test(tc, test_fetch_is_one_moment);
    tcase_add_test(tc, test_fetch_obeys_its_budget);
    tcase_add_test(tc, test_label_texts);
    tcase_add_test(tc, test_starts_come_with_their_samples);
    suite_add_tcase(suite, tc);
    return suite;
}
