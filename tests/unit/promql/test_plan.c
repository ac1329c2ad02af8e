/* Goal: a plan asks for exactly the samples that can matter, marks what no step changes,
 * and keeps window edges exact in every precision. Method: tables of queries over one
 * frame with the ranges of their selects; marks read off the tree; frames and duration
 * arithmetic that must be refused. */
#include "promql/plan.h"
#include "promql/parser.h"
#include "tests/unit/promql/promql_suites.h"

/* Steps at 1000 s, 1060 s, ... 1600 s unless a row says otherwise. */
static const struct plan_options frame = {
    .start_ms = 1000000, .end_ms = 1600000, .step_ms = 60000, .precision = PRECISION_MS,
};

static status make(struct plan *plan, struct ast *ast, const char *text,
                   const struct plan_options *opt, struct err *err)
{
    ast_init(ast, NULL);
    ck_assert_msg(promql_parse(ast, slice_str(text), NULL, err) == ST_OK, "%s: %s", text,
                  err->text);
    return plan_make(plan, ast, opt, err);
}

/* ---- ranges --------------------------------------------------------------------- */

static const struct {
    const char *text;
    ts_time from, to; /* of the first select */
    const char *func;
    int64_t range, step;
} ranges[] = {
    /* (t - lookback, t] over all steps; the last step is 1600 s */
    {"m", 700001, 1600000, "", 0, 60000},
    {"m offset 1m", 640001, 1540000, "", 0, 60000},
    {"m offset -1m", 760001, 1660000, "", 0, 60000},
    {"m offset 0.0005", 700001, 1600000, "", 0, 60000},
    {"m @ 100", -199999, 100000, "", 0, 60000},
    {"m @ 100 offset 10s", -209999, 90000, "", 0, 60000},
    {"m @ start()", 700001, 1000000, "", 0, 60000},
    {"m @ end() offset -5s", 1305001, 1605000, "", 0, 60000},
    {"rate(m[2m])", 880001, 1600000, "rate", 120000, 60000},
    {"rate(m[2m] offset 1m)", 820001, 1540000, "rate", 120000, 60000},
    {"rate(m[2m] @ 500)", 380001, 500000, "rate", 120000, 60000},
    {"sum(m)", 700001, 1600000, "sum", 0, 60000},
    {"sum(abs((m)))", 700001, 1600000, "abs", 0, 60000},
    {"abs(m + 1)", 700001, 1600000, "", 0, 60000},
    {"m[step() + 1]", 939001, 1600000, "", 61000, 60000},
    {"m[range()]", 400001, 1600000, "", 600000, 60000},
    {"m offset (-step() * 2)", 820001, 1720000, "", 0, 60000},
    {"m[min_of(max_of(10, step()), 90s)]", 940001, 1600000, "", 60000, 60000},
    /* the extended selectors look around the range */
    {"rate(m[2m] anchored)", 580001, 1600000, "rate", 120000, 60000},
    {"rate(m[2m] smoothed)", 580001, 1900000, "rate", 120000, 60000},
    {"m smoothed", 700001, 1900000, "", 0, 60000},
    /* subqueries: steps are multiples of the resolution inside (t - range, t] */
    {"m[10m:1m]", 120001, 1600000, "", 0, 60000},
    {"m[10m:]", 120001, 1600000, "", 0, 60000},
    {"m[10m:7s]", 106001, 1600000, "", 0, 7000},
    {"m[10m:1m] offset 30s", 120001, 1570000, "", 0, 60000},
    {"m[10m:1m] @ 700", -179999, 700000, "", 0, 60000},
    {"rate(m[2m])[10m:1m]", 300001, 1600000, "rate", 120000, 60000},
    {"max_over_time(rate(m[2m] offset 1m)[10m:1m] offset 2m)", 120001, 1420000, "rate", 120000,
     60000},
    {"m[10m:1m] @ end() offset 1000s", -239999, 600000, "", 0, 60000},
};

START_TEST(test_select_covers_what_matters)
{
    struct err err = {0};
    struct plan plan;
    struct ast ast;

    ck_assert_int_eq(make(&plan, &ast, ranges[_i].text, &frame, &err), ST_OK);
    ck_assert_uint_eq(plan.n_selects, 1);
    const struct select *s = &plan.selects[ast.vectors[0]->vec.select];
    ck_assert_msg(s->range.from == ranges[_i].from && s->range.to == ranges[_i].to,
                  "%s: from %" PRId64 " to %" PRId64, ranges[_i].text, s->range.from,
                  s->range.to);
    ck_assert_msg(slice_is(s->hint.func, ranges[_i].func), "%s: " SLICE_FMT, ranges[_i].text,
                  SLICE_ARG(s->hint.func));
    ck_assert_int_eq(s->hint.range, ranges[_i].range);
    ck_assert_int_eq(s->hint.step, ranges[_i].step);
    ck_assert_ptr_eq(s->matchers.ptr, ast.vectors[0]->vec.matchers);
    ck_assert_uint_eq(s->matchers.n, ast.vectors[0]->vec.n_matchers);
    ast_release(&ast);
}
END_TEST

START_TEST(test_selectors_have_their_own_selects)
{
    struct err err = {0};
    struct plan plan;
    struct ast ast;

    ck_assert_int_eq(make(&plan, &ast, "a / on(x) (b offset 1m) + sum(rate(c[5m]))", &frame, &err),
                     ST_OK);
    ck_assert_uint_eq(plan.n_selects, 3);
    for (size_t i = 0; i < ast.n_vectors; i++) {
        size_t idx = ast.vectors[i]->vec.select;
        ck_assert_uint_eq(idx, i);
        ck_assert_ptr_eq(plan.selects[idx].matchers.ptr, ast.vectors[i]->vec.matchers);
    }
    ck_assert_int_eq(plan.selects[1].range.to, 1540000);
    ast_release(&ast);
}
END_TEST

/* ---- precision ------------------------------------------------------------------ */

static const struct {
    enum precision precision;
    const char *text;
    int64_t ticks_per_ms, scale;
    ts_time start;      /* of a query at 1.5 s, in query ticks */
    ts_time from, to;   /* of the select, in the database's ticks */
} precisions[] = {
    /* (1.5 s - 2 s, 1.5 s]: seconds 0 and 1 */
    {PRECISION_S, "m[2s]", 1, 1000, 1500, 0, 1},
    /* (1.5 s - 1.5 s, 1.5 s]: second 0 is on the open end */
    {PRECISION_S, "m[1500ms]", 1, 1000, 1500, 1, 1},
    /* (1.5 s - 3.5 s, 1.5 s]: -2 s is on the open end */
    {PRECISION_S, "m[3500ms]", 1, 1000, 1500, -1, 1},
    {PRECISION_MS, "m[2s]", 1, 1, 1500, -499, 1500},
    {PRECISION_US, "m[2s]", 1000, 1, 1500000, -499999, 1500000},
    {PRECISION_NS, "m[2s]", 1000000, 1, 1500000000, -499999999, 1500000000},
    {PRECISION_US, "m[0.0000015]", 1000, 1, 1500000, 1500000, 1500000},
    {PRECISION_NS, "m[0.0000015]", 1000000, 1, 1500000000, 1499998501, 1500000000},
};

START_TEST(test_precision_keeps_edges_exact)
{
    struct plan_options opt = {.start_ms = 1500, .end_ms = 1500,
                               .precision = precisions[_i].precision};
    struct err err = {0};
    struct plan plan;
    struct ast ast;

    ck_assert_int_eq(make(&plan, &ast, precisions[_i].text, &opt, &err), ST_OK);
    ck_assert(plan.instant);
    ck_assert_uint_eq(plan.n_steps, 1);
    ck_assert_int_eq(plan.ticks_per_ms, precisions[_i].ticks_per_ms);
    ck_assert_int_eq(plan.sample_scale, precisions[_i].scale);
    ck_assert_int_eq(plan.start, precisions[_i].start);
    ck_assert_msg(plan.selects[0].range.from == precisions[_i].from &&
                      plan.selects[0].range.to == precisions[_i].to,
                  "%s in %s: from %" PRId64 " to %" PRId64, precisions[_i].text,
                  precision_name(opt.precision), plan.selects[0].range.from,
                  plan.selects[0].range.to);
    ck_assert(plan_seconds(&plan, plan.start) == 1.5);
    ck_assert_int_eq(plan_sample_time(&plan, 2), 2 * precisions[_i].scale);
    ast_release(&ast);
}
END_TEST

START_TEST(test_absurd_times_saturate)
{
    struct plan_options opt = frame;
    struct err err = {0};
    struct plan plan;
    struct ast ast;

    opt.precision = PRECISION_S;
    ck_assert_int_eq(make(&plan, &ast, "m @ 9e15 offset -292y + n @ -9e15 offset 292y", &opt, &err),
                     ST_OK);
    ck_assert_int_le(plan.selects[0].range.from, plan.selects[0].range.to);
    ck_assert_int_le(plan.selects[1].range.from, plan.selects[1].range.to);
    ck_assert_int_eq(plan_sample_time(&plan, TS_MAX), TS_MAX);
    ck_assert_int_eq(plan_sample_time(&plan, TS_MIN), TS_MIN);
    ast_release(&ast);

    opt.precision = PRECISION_NS;
    ck_assert_int_eq(make(&plan, &ast, "m @ 9e15", &opt, &err), ST_OK);
    ck_assert_int_eq(plan.root->vec.mod.at_ticks, TS_MAX);
    ast_release(&ast);
}
END_TEST

/* ---- invariants ------------------------------------------------------------------- */

static const struct {
    const char *text;
    const char *marks; /* a letter a node, parent first: I marked, . not */
} marks[] = {
    {"m", "."},
    {"1", "."},
    {"m @ 1", "I"},
    {"m @ start()", "I"},
    {"1 + 2", "I.."},
    {"m + 1", "..."},
    {"m + n @ 1", "..I"},
    {"(m @ 1) + n @ end()", "I..."},
    {"sum(m @ 1)", "I."},
    {"topk(scalar(n @ 1), m)", ".I.."},
    {"rate(m[5m] @ 1)", "I.."},
    {"rate(m[5m])", "..."},
    {"m[5m] @ 1", ".."},
    {"time()", "."},
    {"vector(time())", ".."},
    {"vector(1) + m", ".I.."},
    {"pi() + step()", "I.."},
    {"timestamp(m @ 1)", ".."},
    {"timestamp(abs(m @ 1))", ".I."},
    {"hour(m @ 1)", ".I"},
    {"predict_linear(m[5m] @ 1, 60)", "...."},
    {"sum_over_time(m[5m:1m] @ 1)", "I.."},
    {"sum_over_time((m @ 1)[5m:1m])", "..I."},
    {"sum_over_time((m @ 1)[5m:1m] @ 2)", "I.I."},
    {"sum_over_time(m[5m:1m])", "..."},
    {"'x'", "."},
};

static void put_marks(struct strbuf *out, const struct expr *e)
{
    const struct expr *child;

    strbuf_char(out, e->invariant ? 'I' : '.');
    for (size_t i = 0; (child = expr_child(e, i)); i++) put_marks(out, child);
}

START_TEST(test_invariant_subtrees_are_marked)
{
    struct err err = {0};
    struct strbuf out;
    struct plan plan;
    struct ast ast;

    strbuf_init(&out, 0);
    ck_assert_int_eq(make(&plan, &ast, marks[_i].text, &frame, &err), ST_OK);
    put_marks(&out, ast.root);
    ck_assert_msg(strcmp(strbuf_cstr(&out), marks[_i].marks) == 0, "%s: wants %s gets %s",
                  marks[_i].text, marks[_i].marks, strbuf_cstr(&out));
    ck_assert_int_eq(plan_make(&plan, &ast, &frame, &err), ST_OK);
    strbuf_reset(&out);
    put_marks(&out, ast.root);
    ck_assert_str_eq(strbuf_cstr(&out), marks[_i].marks); /* planning again changes nothing */
    strbuf_release(&out);
    ast_release(&ast);
}
END_TEST

/* ---- frames --------------------------------------------------------------------- */

static const struct {
    struct plan_options opt;
    size_t n_steps; /* 0: refused */
    const char *error;
} frames[] = {
    {{.start_ms = 0, .end_ms = 0}, 1, NULL},
    {{.start_ms = 0, .end_ms = 0, .step_ms = 1}, 1, NULL},
    {{.start_ms = 0, .end_ms = 10, .step_ms = 3}, 4, NULL},
    {{.start_ms = -10, .end_ms = 10, .step_ms = 20}, 2, NULL},
    {{.start_ms = INT64_MIN, .end_ms = INT64_MAX, .step_ms = INT64_MAX, .precision = PRECISION_MS},
     3, NULL},
    {{.start_ms = 1, .end_ms = 0, .step_ms = 1}, 0, "end timestamp must not be before start time"},
    {{.start_ms = 0, .end_ms = 1, .step_ms = -1}, 0,
     "zero or negative query resolution step widths are not accepted. Try a positive integer"},
    {{.start_ms = INT64_MAX / 1000, .end_ms = INT64_MAX / 1000, .precision = PRECISION_NS}, 0,
     "a time of the query does not fit the precision ns"},
};

START_TEST(test_frame_has_its_steps)
{
    struct err err = {0};
    struct plan plan;
    struct ast ast;

    status st = make(&plan, &ast, "m", &frames[_i].opt, &err);
    if (frames[_i].error) {
        ck_assert_int_eq(st, ST_INVALID);
        ck_assert_str_eq(err.text, frames[_i].error);
    } else {
        ck_assert_msg(st == ST_OK, "%s", err.text);
        ck_assert_uint_eq(plan.n_steps, frames[_i].n_steps);
        ck_assert(plan.instant == (frames[_i].opt.step_ms == 0));
        ck_assert_int_ge(plan.step, 1);
    }
    ast_release(&ast);
}
END_TEST

static const struct {
    const char *text, *error; /* in an instant query: step() and range() are 0 */
} durations[] = {
    {"m[step()]", "2:8: duration must be greater than 0"},
    {"m[1m - 2m]", "2:9: duration must be greater than 0"},
    {"m[5m:range() * 2]", "5:16: duration must be greater than 0"},
    {"m[1m / step()]", "2:13: division by zero"},
    {"m[1m % (2 - 2)]", "2:13: modulo by zero"},
    {"m[10 ^ 30]", "2:9: duration is out of range"},
    {"m offset (0 - 10 ^ 30)", "10:21: duration is out of range"},
    {"m offset (0 / 5)", NULL},
    {"m offset (1 - 2)", NULL},
    {"m[1 + (step() % 7)]", NULL},
};

START_TEST(test_duration_arithmetic_has_its_messages)
{
    struct plan_options opt = {.precision = PRECISION_MS};
    struct err err = {0};
    struct plan plan;
    struct ast ast;

    status st = make(&plan, &ast, durations[_i].text, &opt, &err);
    ck_assert_msg((st == ST_OK) == !durations[_i].error, "%s: %s", durations[_i].text, err.text);
    if (durations[_i].error) {
        ck_assert_int_eq(st, ST_INVALID);
        ck_assert_msg(strcmp(err.text, durations[_i].error) == 0, "%s: %s", durations[_i].text,
                      err.text);
    }
    ast_release(&ast);
}
END_TEST

START_TEST(test_defaults_and_overrides)
{
    struct plan_options opt = frame;
    struct err err = {0};
    struct plan plan;
    struct ast ast;

    opt.lookback_ms = 10000;
    opt.subquery_step_ms = 5000;
    ck_assert_int_eq(make(&plan, &ast, "m[1m:]", &opt, &err), ST_OK);
    ck_assert_int_eq(plan.lookback, 10000);
    ck_assert_int_eq(ast.root->subquery.step.ticks, 5000);
    ck_assert_int_eq(plan.selects[0].hint.step, 5000);
    ck_assert_int_eq(plan.selects[0].range.from, 945000 - 10000 + 1);
    ast_release(&ast);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_plan(void)
{
    Suite *s = suite_create("plan");
    TCase *tc = tcase_create("plan");

    tcase_add_loop_test(tc, test_select_covers_what_matters, 0, N(ranges));
    tcase_add_test(tc, test_selectors_have_their_own_selects);
    tcase_add_loop_test(tc, test_precision_keeps_edges_exact, 0, N(precisions));
    tcase_add_test(tc, test_absurd_times_saturate);
    tcase_add_loop_test(tc, test_invariant_subtrees_are_marked, 0, N(marks));
    tcase_add_loop_test(tc, test_frame_has_its_steps, 0, N(frames));
    tcase_add_loop_test(tc, test_duration_arithmetic_has_its_messages, 0, N(durations));
    tcase_add_test(tc, test_defaults_and_overrides);
    suite_add_tcase(s, tc);
    return s;
}
