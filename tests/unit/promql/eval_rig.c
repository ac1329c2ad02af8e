/* See eval_rig.h. */
#include "tests/unit/promql/eval_rig.h"

#include "promql/annotations.h"
#include "promql/hist_quantile.h"

void rig_load(struct querier_mem *mem, struct eval_data data)
{
    struct err err = {0};

    querier_mem_init(mem);
    for (size_t i = 0; data.lines[i]; i++) {
        ck_assert_msg(querier_mem_load(mem, data.gap, data.lines[i], &err) == ST_OK, "%s: %s",
                      data.lines[i], err.text);
    }
}

static void put_value(struct strbuf *out, const struct prom_point *p)
{
    char text[40];

    strbuf_char(out, ' ');
    if (p->hist) histogram_text(out, p->hist);
    else strbuf_str(out, go_float(text, p->val));
}

/* Returns the number of values. */
static size_t put_series(struct strbuf *out, const struct promql_result *r,
                         const struct prom_series *s)
{
    struct prom_point p;
    size_t at = 0, step = 0, n = 0;

    labels_print(out, s->labels);
    while (promvalue_next(r, s, &at, &p)) {
        if (s->ts) {
            put_value(out, &p);
            strbuf_printf(out, "@%lld", (long long)promvalue_ms(r, p.ts));
            continue;
        }
        for (; r->start + (int64_t)step * r->step < p.ts; step++) strbuf_str(out, " _");
        put_value(out, &p);
        step++;
        n++;
    }
    for (; !s->ts && step < r->n_steps; step++) strbuf_str(out, " _");
    strbuf_char(out, '\n');
    ck_assert_uint_eq(s->ts ? at : n, s->n_samples);
    return s->n_samples;
}

static void put_result(struct strbuf *out, const struct promql_result *r)
{
    char text[40];

    if (r->type == KIND_SCALAR) strbuf_printf(out, "scalar %s\n", go_float(text, r->scalar));
    if (r->type == KIND_STRING) {
        strbuf_printf(out, "string \"" SLICE_FMT "\"\n", SLICE_ARG(r->string));
    }
    uint64_t n = 0;
    for (size_t i = 0; i < r->n_series; i++) n += put_series(out, r, &r->series[i]);
    ck_assert_uint_eq(promvalue_n_points(r), n);
    for (size_t i = 0; i < r->n_warnings; i++) {
        strbuf_printf(out, "warning: " SLICE_FMT "\n", SLICE_ARG(r->warnings[i]));
    }
    for (size_t i = 0; i < r->n_infos; i++) {
        strbuf_printf(out, "info: " SLICE_FMT "\n", SLICE_ARG(r->infos[i]));
    }
}

status rig_run(struct querier_mem *mem, const struct eval_case *c, const struct rig_options *opt,
               struct strbuf *out)
{
    static const struct rig_options plain;
    struct ast ast;
    struct plan plan;
    struct arena arena;
    struct promql_result result = {0};
    struct err err = {0};
    struct fetch *fetch = NULL;
    struct series_set *sets[32];
    struct query_budget unlimited = {0};

    if (!opt) opt = &plain;
    struct plan_options po = {.start_ms = c->from,
                              .end_ms = c->step ? c->to : c->from,
                              .step_ms = c->step,
                              .precision = opt->precision_set ? opt->precision : PRECISION_MS};
    struct promql_options eo = {.budget = opt->budget, .stable = opt->stable,
                                .exec = opt->exec, .n_helpers = opt->n_helpers};
    ast_init(&ast, NULL);
    arena_init(&arena, opt->account, 512);
    status st = promql_parse(&ast, slice_str(c->query), NULL, &err);
    if (st == ST_OK) st = plan_make(&plan, &ast, &po, &err);
    if (st == ST_OK) {
        ck_assert_uint_le(plan.n_selects, sizeof(sets) / sizeof(sets[0]));
        st = querier_fetch(&mem->base, &fetch, sets, plan.selects, plan.n_selects, SLICE_LIT(""),
                           opt->budget ? opt->budget : &unlimited, &err);
    }
    if (st == ST_OK) st = promql_eval(&result, &plan, ast.text, sets, &eo, &arena, &err);
    if (st == ST_OK) put_result(out, &result);
    else strbuf_printf(out, "error: %s\n", err_text(&err, st));
    querier_done(&mem->base, fetch);
    arena_release(&arena);
    ast_release(&ast);
    return st;
}

void rig_check(struct eval_data data, const struct eval_case *c)
{
    struct querier_mem mem;
    struct strbuf out;

    rig_load(&mem, data);
    strbuf_init(&out, 0);
    (void)rig_run(&mem, c, NULL, &out); /* a failure is in the text */
    ck_assert_msg(strcmp(strbuf_cstr(&out), c->want) == 0,
                  "%s from %" PRId64 " to %" PRId64 " step %" PRId64 "\nwant:\n%sgot:\n%s",
                  c->query, c->from, c->to, c->step, c->want, strbuf_cstr(&out));
    strbuf_release(&out);
    querier_mem_release(&mem);
}
