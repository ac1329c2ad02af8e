/* Goal: results have the right shape, order and names; limits and refused memory end a
 * query cleanly. Method: tables of queries over literal series; the same query under
 * every budget and with every allocation failing. */
#include "tests/lib/mem_fault.h"
#include "tests/unit/promql/eval_rig.h"

static const char *const lines[] = {
    "m{a=\"2\"} 10 20 30 40",
    "m{a=\"1\"} 1 2 3 _x9 5",
    "n{a=\"1\"} 7 7 7 7",
    "c_total{a=\"1\"} 0+60x10",
    "d_total{a=\"1\"} 0+30x10",
    "early 1",
    "late _x5 2",
    NULL,
};
static const struct eval_data data = {60000, lines};

static const struct eval_case shapes[] = {
    /* scalars and strings */
    {"1 + 2 * 3", 0, 0, 0, "scalar 7\n"},
    {"-2 ^ 2", 0, 0, 0, "scalar -4\n"},
    {"1 > bool 2", 0, 0, 0, "scalar 0\n"},
    {"(\"x\")", 0, 0, 0, "string \"x\"\n"},
    {"time()", 0, 120000, 60000, "{} 0 60 120\n"},
    {"\"x\"", 0, 60000, 60000,
     "error: invalid expression type \"string\" for range query, must be Scalar or instant "
     "Vector\n"},
    {"m[1m]", 0, 60000, 60000,
     "error: invalid expression type \"range vector\" for range query, must be Scalar or instant "
     "Vector\n"},
    /* vectors in the order of the selector; ranges in the order of labels */
    {"m", 60000, 0, 0, "m{a=\"1\"} 2\nm{a=\"2\"} 20\n"},
    {"m", 60000, 180000, 60000, "m{a=\"1\"} 2 3 3\nm{a=\"2\"} 20 30 40\n"},
    {"n or m", 60000, 0, 0, "n{a=\"1\"} 7\nm{a=\"2\"} 20\n"},
    {"sort_desc(m)", 60000, 60000, 60000, "m{a=\"1\"} 2\nm{a=\"2\"} 20\n"},
    {"nothing", 0, 0, 0, ""},
    {"nothing", 0, 60000, 60000, ""},
    /* matrices keep the samples' times */
    {"m[90s]", 120000, 0, 0, "m{a=\"1\"} 2@60000 3@120000\nm{a=\"2\"} 20@60000 30@120000\n"},
    {"(m{a=\"2\"}[2m:30s])", 90000, 0, 0, "m{a=\"2\"} 10@0 10@30000 20@60000 20@90000\n"},
    {"(-m)[1m:1m]", 60000, 0, 0, "{a=\"1\"} -2@60000\n{a=\"2\"} -20@60000\n"},
    /* gaps */
    {"m{a=\"1\"}", 0, 720000, 240000, "m{a=\"1\"} 1 3 _ 5\n"},
};

START_TEST(test_shapes)
{
    rig_check(data, &shapes[_i]);
}
END_TEST

static const struct eval_case names[] = {
    {"-m{a=\"2\"}", 0, 0, 0, "{a=\"2\"} -10\n"},
    {"+m{a=\"2\"}", 0, 0, 0, "m{a=\"2\"} 10\n"},
    {"m{a=\"2\"} * 1", 0, 0, 0, "{a=\"2\"} 10\n"},
    {"m{a=\"2\"} > 1", 0, 0, 0, "m{a=\"2\"} 10\n"},
    {"m{a=\"2\"} > bool 1", 0, 0, 0, "{a=\"2\"} 1\n"},
    {"abs(-m{a=\"2\"}) > 1", 0, 0, 0, "{a=\"2\"} 10\n"},
    {"last_over_time(m{a=\"2\"}[1m])", 0, 0, 0, "m{a=\"2\"} 10\n"},
    {"last_over_time(abs(m{a=\"2\"})[1m:1m])", 0, 0, 0, "{a=\"2\"} 10\n"},
    {"label_replace(rate({__name__=~\"._total\"}[2m]), \"n\", \"$1\", \"__name__\", \"(.*)\")",
     300000, 0, 0, "{a=\"1\",n=\"c_total\"} 1\n{a=\"1\",n=\"d_total\"} 0.5\n"},
    {"rate({__name__=~\"._total\"}[2m])", 300000, 0, 0,
     "error: vector cannot contain metrics with the same labelset\n"},
    {"sum by (a) (rate({__name__=~\"._total\"}[2m]))", 300000, 0, 0, "{a=\"1\"} 1.5\n"},
    {"sum by (__name__) (m)", 0, 0, 0, "m 11\n"},
    {"-m{a=\"2\"} or -n", 0, 0, 0, "{a=\"2\"} -10\n{a=\"1\"} -7\n"},
};

START_TEST(test_names_go_at_the_end)
{
    rig_check(data, &names[_i]);
}
END_TEST

static const struct eval_case stable[] = {
    {"label_join(-m{a=\"2\"}, \"n\", \"\", \"__name__\")", 0, 0, 0, "{a=\"2\"} -10\n"},
    {"count(-{a=\"1\"})", 60000, 0, 0,
     "error: vector cannot contain metrics with the same labelset\n"},
    {"count(-m)", 0, 60000, 60000, "{} 2 2\n"},
    {"early + 0 or late + 0", 0, 400000, 400000, "{} 1 2\n"},
    {"-{__name__=~\"early|late\"}", 0, 400000, 400000,
     "error: vector cannot contain metrics with the same labelset\n"},
    {"abs({__name__=~\"early|late\"})", 0, 400000, 400000, "{} 1 2\n"},
    {"sum_over_time(abs({__name__=~\"early|late\"})[400s:200s])", 400000, 0, 0, "{} 3\n"},
    {"abs({__name__=~\"early|late\"})[400s:200s]", 400000, 0, 0, "{} 1@200000 2@400000\n"},
    {"label_replace(last_over_time(m{a=\"1\"}[1m]), \"n\", \"$1\", \"__name__\", \"(.)\")", 0, 0, 0,
     "m{a=\"1\",n=\"m\"} 1\n"},
};

START_TEST(test_stable_drops_names_at_once)
{
    struct querier_mem mem;
    struct strbuf out;
    struct rig_options opt = {.stable = true};

    rig_load(&mem, data);
    strbuf_init(&out, 0);
    (void)rig_run(&mem, &stable[_i], &opt, &out); /* a failure is in the text */
    ck_assert_str_eq(strbuf_cstr(&out), stable[_i].want);
    strbuf_release(&out);
    querier_mem_release(&mem);
}
END_TEST

/* Microseconds: the window (now - 1ms, now] has exact edges. */
START_TEST(test_fine_precision_is_kept)
{
    struct querier_mem mem;
    struct strbuf out;
    struct err err;
    struct rig_options opt = {.precision = PRECISION_US, .precision_set = true};
    struct eval_case c = {"m[1ms]", 3, 0, 0, ""}, t = {"timestamp(m)", 3, 0, 0, ""};

    querier_mem_init(&mem);
    ck_assert_int_eq(querier_mem_load(&mem, 500, "m 0 1 2 3 4 5 6 7", &err), ST_OK);
    strbuf_init(&out, 0);
    ck_assert_int_eq(rig_run(&mem, &c, &opt, &out), ST_OK);
    ck_assert_str_eq(strbuf_cstr(&out), "m 5@2 6@3\n");
    strbuf_reset(&out);
    ck_assert_int_eq(rig_run(&mem, &t, &opt, &out), ST_OK);
    ck_assert_str_eq(strbuf_cstr(&out), "{} 0.003\n");
    strbuf_release(&out);
    querier_mem_release(&mem);
}
END_TEST

/* ---- what must end a query ---------------------------------------------------------- */

/* Something of everything that allocates. */
static const struct eval_case rich = {
    "label_replace(sum by (a) (rate(c_total[2m])) + on (a) group_left m * on (a) m > -1 or "
    "topk(1, m) or count_values(\"v\", m) or quantile(0.5, sort_by_label(m, \"a\")) or "
    "histogram_quantile(0.9, m) or info(m) or absent(m) or "
    "quantile_over_time(0.5, avg(m)[2m:30s]) or label_join(m, \"j\", \",\", \"a\"), "
    "\"x\", \"$1\", \"a\", \"(.)\")",
    0, 180000, 60000, ""};

START_TEST(test_budget_ends_a_query)
{
    struct querier_mem mem;
    struct strbuf out;
    _Atomic bool cancelled = true;
    struct query_budget budget = {.cancelled = &cancelled};
    struct rig_options opt = {.budget = &budget};

    rig_load(&mem, data);
    strbuf_init(&out, 0);
    ck_assert_int_eq(rig_run(&mem, &rich, &opt, &out), ST_CANCELLED);
    cancelled = false;
    ck_assert_int_eq(rig_run(&mem, &rich, &opt, &out), ST_OK);
    ck_assert_uint_gt(budget.peak_samples, 10);
    uint64_t peak = budget.peak_samples;
    size_t n_refused = 0;
    for (uint64_t max = 1; max <= peak; max++) {
        budget = (struct query_budget){.samples_max = max, .cancelled = &cancelled};
        strbuf_reset(&out);
        status st = rig_run(&mem, &rich, &opt, &out);
        n_refused += st == ST_LIMIT;
        ck_assert_msg(st == ST_LIMIT || st == ST_OK, "%" PRIu64 ": %s", max, strbuf_cstr(&out));
    }
    ck_assert_uint_ge(n_refused, peak - 1);
    strbuf_release(&out);
    querier_mem_release(&mem);
}
END_TEST

START_TEST(test_values_held_are_limited)
{
    struct querier_mem mem;
    struct strbuf out;
    struct query_budget budget = {.samples_max = 40};
    struct rig_options opt = {.budget = &budget};
    struct eval_case c = {"m * 1", 0, 180000, 1000, ""};

    rig_load(&mem, data);
    strbuf_init(&out, 0);
    ck_assert_int_eq(rig_run(&mem, &c, &opt, &out), ST_LIMIT);
    ck_assert_str_eq(strbuf_cstr(&out), "error: query processing would load too many samples into "
                                        "memory in query execution\n");
    strbuf_release(&out);
    querier_mem_release(&mem);
}
END_TEST

/* Refused memory fails the query or, for an annotation, nothing; it never leaks. */
START_TEST(test_refused_memory_ends_a_query)
{
    struct querier_mem mem;
    struct strbuf out;
    bool failed = false;

    mem_fault_install();
    rig_load(&mem, data);
    strbuf_init(&out, 0);
    ck_assert_int_eq(rig_run(&mem, &rich, NULL, &out), ST_OK);
    struct strbuf whole = out;
    int64_t live = mem_fault_live();
    for (uint64_t n = 1;; n++) {
        strbuf_init(&out, 0);
        mem_fault_arm(n, 1);
        status st = rig_run(&mem, &rich, NULL, &out);
        bool hit = mem_fault_disarm() > 0;
        failed = failed || st != ST_OK;
        ck_assert_msg(st == ST_OK || hit, "allocation %" PRIu64 ": %s", n, strbuf_cstr(&out));
        if (!hit) ck_assert_str_eq(strbuf_cstr(&out), strbuf_cstr(&whole));
        strbuf_release(&out);
        ck_assert_int_eq(mem_fault_live(), live);
        if (!hit) break;
    }
    ck_assert(failed);
    strbuf_release(&whole);
    querier_mem_release(&mem);
}
END_TEST

/* The arena's account refuses at every possible size. */
START_TEST(test_refused_arena_ends_a_query)
{
    struct querier_mem mem;
    struct strbuf out;
    struct account account;
    struct rig_options opt = {.account = &account};

    rig_load(&mem, data);
    strbuf_init(&out, 0);
    account_init(&account, "query", NULL, 0);
    ck_assert_int_eq(rig_run(&mem, &rich, &opt, &out), ST_OK);
    size_t peak = account.peak;
    for (size_t limit = 512; limit < peak; limit += 512) {
        account_init(&account, "query", NULL, limit);
        status st = rig_run(&mem, &rich, &opt, &out);
        ck_assert_msg(st == ST_NO_MEMORY || st == ST_OK, "%zu", limit);
        ck_assert_uint_eq(account_used(&account), 0);
    }
    strbuf_release(&out);
    querier_mem_release(&mem);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_eval(void)
{
    Suite *s = suite_create("eval");
    TCase *tc = tcase_create("eval");

    tcase_add_loop_test(tc, test_shapes, 0, N(shapes));
    tcase_add_loop_test(tc, test_names_go_at_the_end, 0, N(names));
    tcase_add_loop_test(tc, test_stable_drops_names_at_once, 0, N(stable));
    tcase_add_test(tc, test_fine_precision_is_kept);
    tcase_add_test(tc, test_budget_ends_a_query);
    tcase_add_test(tc, test_values_held_are_limited);
    tcase_add_test(tc, test_refused_memory_ends_a_query);
    tcase_add_test(tc, test_refused_arena_ends_a_query);
    suite_add_tcase(s, tc);
    return s;
}
