/* Trees as JSON. The members of an object are in alphabetical order, as Go prints its maps.
 *
 * Trees may be deeper than a json_writer nests, so the text is put together by hand; the
 * parser's limit of depth bounds the recursion. */
#include "api/expr_json.h"

#include <inttypes.h>

#include "base/json_write.h"
#include "base/numfmt.h"

enum { FIXED_MAX = 400 }; /* numfmt_fixed() needs 350 */

/* ---- members ------------------------------------------------------------------- */

static void put_text(struct strbuf *out, const char *key, struct slice text)
{
    strbuf_str(out, key);
    json_quote(out, text);
}

static void put_bool(struct strbuf *out, const char *key, bool v)
{
    strbuf_str(out, key);
    strbuf_str(out, v ? "true" : "false");
}

/* Whole milliseconds, cut as Go's time.Duration does. */
static void put_duration(struct strbuf *out, const char *key, const struct duration *d)
{
    strbuf_printf(out, "%s%" PRId64, key, d->expr ? 0 : d->ns / 1000000);
}

static void put_texts(struct strbuf *out, const char *key, const struct slice *texts, size_t n)
{
    strbuf_str(out, key);
    strbuf_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i) strbuf_char(out, ',');
        json_quote(out, texts[i]);
    }
    strbuf_char(out, ']');
}

static void put_child(struct strbuf *out, const char *key, const struct expr *e)
{
    strbuf_str(out, key);
    if (e) expr_json(out, e);
    else strbuf_str(out, "null");
}

/* ---- selectors ------------------------------------------------------------------ */

static void put_matchers(struct strbuf *out, const struct vector_expr *vec)
{
    strbuf_str(out, ",\"matchers\":[");
    for (size_t i = 0; i < vec->n_matchers; i++) {
        const struct matcher *m = &vec->matchers[i];
        put_text(out, i ? ",{\"name\":" : "{\"name\":", m->name);
        put_text(out, ",\"type\":", slice_str(match_op_text(m->op)));
        put_text(out, ",\"value\":", m->value);
        strbuf_char(out, '}');
    }
    strbuf_char(out, ']');
}

static void put_offset(struct strbuf *out, const struct modifiers *mod)
{
    static const struct duration none;
    put_duration(out, ",\"offset\":", mod->has_offset ? &mod->offset : &none);
}

static void put_start_or_end(struct strbuf *out, const struct modifiers *mod)
{
    strbuf_str(out, mod->at == AT_START ? ",\"startOrEnd\":\"start\""
                    : mod->at == AT_END ? ",\"startOrEnd\":\"end\""
                                        : ",\"startOrEnd\":null");
}

static void put_timestamp(struct strbuf *out, const struct modifiers *mod)
{
    if (mod->at == AT_TIME) strbuf_printf(out, ",\"timestamp\":%" PRId64, mod->at_ms);
    else strbuf_str(out, ",\"timestamp\":null");
}

/* A matrix has its range, a vector NULL. */
static void put_selector(struct strbuf *out, const struct vector_expr *vec,
                         const struct duration *range)
{
    put_bool(out, "{\"anchored\":", vec->anchored);
    put_matchers(out, vec);
    put_text(out, ",\"name\":", vec->name);
    put_offset(out, &vec->mod);
    if (range) put_duration(out, ",\"range\":", range);
    put_bool(out, ",\"smoothed\":", vec->smoothed);
    put_start_or_end(out, &vec->mod);
    put_timestamp(out, &vec->mod);
    strbuf_str(out, range ? ",\"type\":\"matrixSelector\"}" : ",\"type\":\"vectorSelector\"}");
}

static void put_subquery(struct strbuf *out, const struct subquery_expr *sub)
{
    static const struct duration none;
    put_child(out, "{\"expr\":", sub->expr);
    put_offset(out, &sub->mod);
    put_duration(out, ",\"range\":", &sub->range);
    put_start_or_end(out, &sub->mod);
    put_duration(out, ",\"step\":", sub->has_step ? &sub->step : &none);
    put_timestamp(out, &sub->mod);
    strbuf_str(out, ",\"type\":\"subquery\"}");
}

/* ---- operators and calls ---------------------------------------------------------- */

static const char *card_text(enum match_card card)
{
    switch (card) {
    case CARD_ONE_TO_ONE: return "one-to-one";
    case CARD_MANY_TO_ONE: return "many-to-one";
    case CARD_ONE_TO_MANY: return "one-to-many";
    case CARD_MANY_TO_MANY: break;
    }
    return "many-to-many";
}

/* A fill that JSON has no number for is null, as one that is not there. */
static void put_fill(struct strbuf *out, const char *key, bool has, double v)
{
    struct json_writer w;
    strbuf_str(out, key);
    json_writer_init(&w, out);
    if (has) json_put_f64(&w, v);
    else json_put_null(&w);
}

static void put_matching(struct strbuf *out, const struct vector_matching *m)
{
    if (!m) {
        strbuf_str(out, ",\"matching\":null");
        return;
    }
    put_text(out, ",\"matching\":{\"card\":", slice_str(card_text(m->card)));
    put_fill(out, ",\"fillValues\":{\"lhs\":", m->has_fill_left, m->fill_left);
    put_fill(out, ",\"rhs\":", m->has_fill_right, m->fill_right);
    put_texts(out, "},\"include\":", m->include, m->n_include);
    put_texts(out, ",\"labels\":", m->labels, m->n_labels);
    put_bool(out, ",\"on\":", m->on);
    strbuf_char(out, '}');
}

static void put_binary(struct strbuf *out, const struct binary_expr *bin)
{
    put_bool(out, "{\"bool\":", bin->return_bool);
    put_child(out, ",\"lhs\":", bin->lhs);
    put_matching(out, bin->matching);
    put_text(out, ",\"op\":", slice_str(binary_op_text(bin->op)));
    put_child(out, ",\"rhs\":", bin->rhs);
    strbuf_str(out, ",\"type\":\"binaryExpr\"}");
}

static void put_call(struct strbuf *out, const struct call_expr *call)
{
    const struct function *f = call->func;
    strbuf_str(out, "{\"args\":[");
    for (size_t i = 0; i < call->n_args; i++) put_child(out, i ? "," : "", call->args[i]);
    strbuf_str(out, "],\"func\":{\"argTypes\":[");
    for (size_t i = 0; i < f->n_args; i++)
        put_text(out, i ? "," : "", slice_str(value_kind_name(f->args[i])));
    put_text(out, "],\"name\":", slice_str(f->name));
    put_text(out, ",\"returnType\":", slice_str(value_kind_name(f->ret)));
    strbuf_printf(out, ",\"variadic\":%d},\"type\":\"call\"}", f->variadic);
}

static void put_aggregate(struct strbuf *out, const struct aggregate_expr *agg)
{
    put_child(out, "{\"expr\":", agg->expr);
    put_texts(out, ",\"grouping\":", agg->grouping, agg->n_grouping);
    put_text(out, ",\"op\":", slice_str(aggregator_name(agg->op)));
    put_child(out, ",\"param\":", agg->param);
    put_bool(out, ",\"type\":\"aggregation\",\"without\":", agg->without);
    strbuf_char(out, '}');
}

static void put_number(struct strbuf *out, double v)
{
    char text[FIXED_MAX];
    strbuf_str(out, "{\"type\":\"numberLiteral\",\"val\":\"");
    strbuf_put(out, text, numfmt_fixed(text, v, sizeof(text)));
    strbuf_str(out, "\"}");
}

void expr_json(struct strbuf *out, const struct expr *e)
{
    switch (e->kind) {
    case EXPR_NUMBER: put_number(out, e->number.value); return;
    case EXPR_STRING:
        put_text(out, "{\"type\":\"stringLiteral\",\"val\":", e->string);
        break;
    case EXPR_VECTOR: put_selector(out, &e->vec, NULL); return;
    case EXPR_MATRIX: put_selector(out, &e->matrix.vec->vec, &e->matrix.range); return;
    case EXPR_SUBQUERY: put_subquery(out, &e->subquery); return;
    case EXPR_CALL: put_call(out, &e->call); return;
    case EXPR_AGGREGATE: put_aggregate(out, &e->agg); return;
    case EXPR_BINARY: put_binary(out, &e->bin); return;
    case EXPR_UNARY:
        put_child(out, "{\"expr\":", e->unary.expr);
        strbuf_str(out, e->unary.negative ? ",\"op\":\"-\",\"type\":\"unaryExpr\""
                                          : ",\"op\":\"+\",\"type\":\"unaryExpr\"");
        break;
    case EXPR_PAREN:
        put_child(out, "{\"expr\":", e->paren);
        strbuf_str(out, ",\"type\":\"parenExpr\"");
        break;
    }
    strbuf_char(out, '}');
}
