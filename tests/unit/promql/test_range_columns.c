/* Goal: what range functions and selectors compute over whole columns is what they compute
 * window by window, to the last bit. Method: random series (shared times, jitter, gaps,
 * resets, decimals, numbers of every size, NaN, stale markers) and random queries, each from
 * a querier that lends columns and from one that does not; the printed results are equal. */
#include "base/hash.h"
#include "base/rng.h"
#include "tests/unit/promql/eval_rig.h"

enum { N_SERIES = 8, POINTS_MAX = 400, SHAPES = 40, QUERIES = 60, STEP = 15000 };

static const char *const called[] = {
    "rate", "increase", "delta", "irate", "idelta", "changes", "resets", "avg_over_time",
    "sum_over_time", "min_over_time", "max_over_time", "count_over_time", "present_over_time",
    "stddev_over_time", "stdvar_over_time", "last_over_time", "first_over_time",
    "ts_of_first_over_time", "ts_of_last_over_time", "ts_of_min_over_time",
    "ts_of_max_over_time", "mad_over_time", "deriv", "absent_over_time",
};

/* Kinds of values; a series has one. */
enum kind { COUNTER, EVENTS, DECIMALS, WILD, ZEROS, WITH_NAN, WITH_STALE, EQUAL, VAST, N_KINDS };

static double draw_wild(struct rng *rng)
{
    static const double odd[] = {0.0, -0.0, 1e-310, 1e308, -1e308, INFINITY, -INFINITY, 5e-324};
    if (rng_below(rng, 4) == 0) return odd[rng_below(rng, sizeof(odd) / sizeof(odd[0]))];
    return ldexp(rng_unit(rng) - 0.5, (int)rng_below(rng, 200) - 100);
}

static double draw(struct rng *rng, enum kind kind, double before)
{
    double stale;
    uint64_t bits = VALUE_STALE_BITS;

    switch (kind) {
    case COUNTER:
        if (rng_below(rng, 90) == 0) return (double)rng_below(rng, 50);
        return before + (double)rng_below(rng, 30);
    case EVENTS: return before + (double)rng_below(rng, 1000) / 100;
    case DECIMALS: return (double)rng_below(rng, 100000) / 100 - 300;
    case WILD: return draw_wild(rng);
    case ZEROS: return rng_below(rng, 2) ? 0.0 : -0.0;
    case WITH_NAN: return rng_below(rng, 6) ? (double)rng_below(rng, 50) : NAN;
    case WITH_STALE:
        memcpy(&stale, &bits, sizeof(stale));
        return rng_below(rng, 30) ? before == before ? before + 1 : 0 : stale;
    case EQUAL: return 7;
    case VAST: return rng_unit(rng) * 1.7e308;
    case N_KINDS: break;
    }
    return 0;
}

static size_t draw_times(struct rng *rng, ts_time *ts, bool regular)
{
    size_t n = rng_below(rng, POINTS_MAX), len = 0;
    uint64_t jitter = rng_below(rng, 3) ? 0 : 900, gaps = rng_below(rng, 2) ? 0 : 25;

    if (regular) {
        n = POINTS_MAX;
        jitter = gaps = 0;
    }

    for (size_t i = 0; i < n; i++) {
        if (gaps && rng_below(rng, gaps) == 0) i += rng_below(rng, 30);
        ts[len++] = (ts_time)i * STEP + (ts_time)(jitter ? rng_below(rng, jitter) : 0);
    }
    return len;
}

static void fill(struct querier_mem *mem, struct rng *rng, bool regular)
{
    ts_time ts[POINTS_MAX];
    struct point points[POINTS_MAX];
    struct err err = {0};
    char number[24];
    size_t n = 0;

    for (size_t i = 0; i < N_SERIES; i++) {
        enum kind kind = (enum kind)rng_below(rng, N_KINDS);
        double v = kind == COUNTER ? (double)rng_below(rng, 3) * 1000 : 0;
        if (i % 3 == 0) n = draw_times(rng, ts, regular);
        for (size_t k = 0; k < n; k++) {
            v = draw(rng, kind, v);
            points[k].ts = ts[k];
            memcpy(&points[k].val.bits, &v, sizeof(v));
        }
        snprintf(number, sizeof(number), "%zu", i);
        struct label label[2] = {{SLICE_LIT("__name__"), SLICE_LIT("x_total")},
                                 {SLICE_LIT("i"), slice_str(number)}};
        ck_assert_int_eq(querier_mem_add(mem, (struct labels){label, 2}, VALUE_F64, points, n,
                                         &err), ST_OK);
    }
}

static void draw_query(char *text, size_t cap, struct rng *rng)
{
    static const char *const ranges[] = {"5m", "1m", "16s", "37s", "1h", "15s", "2h", "10ms"};
    static const char *const offsets[] = {"", "", "", " offset 3m", " @ 600", " @ end()",
                                          " offset -1m"};
    const char *range = ranges[rng_below(rng, sizeof(ranges) / sizeof(ranges[0]))];
    const char *offset = offsets[rng_below(rng, sizeof(offsets) / sizeof(offsets[0]))];
    size_t f = rng_below(rng, sizeof(called) / sizeof(called[0]) + 4);

    switch (f - sizeof(called) / sizeof(called[0])) {
    case 0: snprintf(text, cap, "x_total%s", offset); break;
    case 1: snprintf(text, cap, "timestamp(x_total%s)", offset); break;
    case 2:
        snprintf(text, cap, "quantile_over_time(%g, x_total[%s]%s)", rng_unit(rng) * 1.1, range,
                 offset);
        break;
    case 3: snprintf(text, cap, "predict_linear(x_total[%s]%s, 60)", range, offset); break;
    default: snprintf(text, cap, "%s(x_total[%s]%s)", called[f], range, offset);
    }
}

/* Where two texts part: a little of both from there. */
static void check_same(const char *lent, const char *copied, const struct eval_case *c,
                       uint64_t seed)
{
    size_t at = 0;

    while (lent[at] && lent[at] == copied[at]) at++;
    if (lent[at] == copied[at]) return;
    size_t from = at < 60 ? 0 : at - 60;
    ck_abort_msg("seed %" PRIu64 ": %s from %" PRId64 " to %" PRId64 " step %" PRId64
                 "\ncolumns: %.120s\nwindows: %.120s",
                 seed, c->query, c->from, c->to, c->step, lent + from, copied + from);
}

START_TEST(test_columns_are_windows)
{
    uint64_t seed = unit_seed() + (uint64_t)_i;
    struct rng rng;
    struct querier_mem mem;
    char text[160];

    rng_init(&rng, seed);
    querier_mem_init(&mem);
    fill(&mem, &rng, false);
    for (size_t k = 0; k < QUERIES; k++) {
        static const int64_t steps[] = {0, 15000, 15000, 60000, 7000, 1};
        struct eval_case c = {.query = text, .from = (int64_t)rng_below(&rng, 300) * 5000};
        struct strbuf lent, copied;
        c.step = steps[rng_below(&rng, 6)];
        c.to = c.from + c.step * (int64_t)rng_below(&rng, 400);
        draw_query(text, sizeof(text), &rng);
        strbuf_init(&lent, 0);
        strbuf_init(&copied, 0);
        mem.no_reader = false;
        (void)rig_run(&mem, &c, NULL, &lent); /* a failure is in the text */
        mem.no_reader = true;
        (void)rig_run(&mem, &c, NULL, &copied);
        check_same(strbuf_cstr(&lent), strbuf_cstr(&copied), &c, seed);
        strbuf_release(&lent);
        strbuf_release(&copied);
    }
    querier_mem_release(&mem);
}
END_TEST

/* A subquery in the step of regular samples sees just these: its lent columns are compared
 * with windows over copied samples. */
START_TEST(test_subqueries_are_windows)
{
    static const char *const ranges[] = {"5m", "1m", "16s", "37s", "20m", "15s"};
    uint64_t seed = unit_seed() + (uint64_t)_i;
    struct rng rng;
    struct querier_mem mem;
    char inner[160], plain[160];

    rng_init(&rng, seed);
    querier_mem_init(&mem);
    fill(&mem, &rng, true);
    for (size_t k = 0; k < QUERIES; k++) {
        const char *range = ranges[rng_below(&rng, sizeof(ranges) / sizeof(ranges[0]))];
        size_t f = rng_below(&rng, sizeof(called) / sizeof(called[0]) - 1); /* not absent */
        struct eval_case c = {.query = inner, .step = 15000 + (int64_t)rng_below(&rng, 3) * 7000};
        struct strbuf lent, copied;
        c.from = 20 * 60000 + (int64_t)rng_below(&rng, 100) * 1000;
        c.to = c.from + (POINTS_MAX - 1 - 100) * (int64_t)STEP;
        snprintf(inner, sizeof(inner), "%s(x_total[%s:15s])", called[f], range);
        snprintf(plain, sizeof(plain), "%s(x_total[%s])", called[f], range);
        strbuf_init(&lent, 0);
        strbuf_init(&copied, 0);
        mem.no_reader = false;
        ck_assert_int_eq(rig_run(&mem, &c, NULL, &lent), ST_OK);
        mem.no_reader = true;
        c.query = plain;
        ck_assert_int_eq(rig_run(&mem, &c, NULL, &copied), ST_OK);
        check_same(strbuf_cstr(&lent), strbuf_cstr(&copied), &c, seed);
        strbuf_release(&lent);
        strbuf_release(&copied);
    }
    querier_mem_release(&mem);
}
END_TEST

/* The values of an aggregation without labels, appended: "{} 1 2 3\n". Without any: gaps. */
static void put_values(struct querier_mem *mem, const struct eval_case *c, struct strbuf *out)
{
    struct strbuf text;

    strbuf_init(&text, 0);
    ck_assert_int_eq(rig_run(mem, c, NULL, &text), ST_OK);
    struct slice line = slice_str(strbuf_cstr(&text));
    if (slice_starts(line, SLICE_LIT("{}"))) {
        const char *end = memchr(line.ptr, '\n', line.len);
        strbuf_put(out, line.ptr + 2, (size_t)(end - line.ptr) - 2);
    }
    for (int64_t t = c->from; line.len == 0 && t <= c->to; t += c->step) strbuf_str(out, " _");
    strbuf_release(&text);
}

/* Goal: aggregations fold 64 steps at once as they fold one. Method: a query of many steps,
 * and the same steps in queries of fewer than 64. */
START_TEST(test_words_are_steps)
{
    static const char *const ops[] = {"sum", "avg", "min", "max", "count", "group", "stddev",
                                      "stdvar"};
    enum { STEPS = 300, PART = 37 };
    uint64_t seed = unit_seed() + (uint64_t)_i;
    struct rng rng;
    struct querier_mem mem;
    char query[64];

    rng_init(&rng, seed);
    querier_mem_init(&mem);
    fill(&mem, &rng, _i % 2 == 0);
    for (size_t k = 0; k < sizeof(ops) / sizeof(ops[0]); k++) {
        struct eval_case c = {.query = query, .step = STEP, .to = (STEPS - 1) * STEP};
        struct strbuf whole, parts;
        snprintf(query, sizeof(query), "%s(x_total)", ops[k]);
        strbuf_init(&whole, 0);
        strbuf_init(&parts, 0);
        put_values(&mem, &c, &whole);
        for (int64_t i = 0; i < STEPS; i += PART) {
            struct eval_case part = c;
            part.from = i * STEP;
            part.to = (i + PART < STEPS ? i + PART - 1 : STEPS - 1) * STEP;
            put_values(&mem, &part, &parts);
        }
        check_same(strbuf_cstr(&whole), strbuf_cstr(&parts), &c, seed);
        strbuf_release(&whole);
        strbuf_release(&parts);
    }
    querier_mem_release(&mem);
}
END_TEST

Suite *suite_range_columns(void)
{
    Suite *s = suite_create("range_columns");
    TCase *tc = tcase_create("range_columns");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_columns_are_windows, 0, SHAPES);
    tcase_add_loop_test(tc, test_subqueries_are_windows, 0, SHAPES / 4);
    tcase_add_loop_test(tc, test_words_are_steps, 0, SHAPES);
    suite_add_tcase(s, tc);
    return s;
}
