/* Selectors and what follows an expression: braces with matchers, [range],
 * [range:resolution], offset, @, anchored, smoothed.
 *
 * Suffixes bind tighter than every operator. Where one may not stand (an offset after a
 * parenthesis, a range after an offset) the grammar lets it pass and an action complains
 * with the position of the expression, as Prometheus does. A selector's node is entered
 * in the tree before its matchers are read, so that a failure cannot leak a regex.
 */
#include "promql/parser_priv.h"

#include <math.h>
#include <stdio.h>

#include "promql/regex_words.h"

static const struct place at_matcher = {"label matching", "identifier or \"}\""};
static const struct place after_matcher = {"label matching", "\",\" or \"}\""};
static const struct place after_name = {"label matching", "label matching operator"};
static const struct place at_value = {"label matching", "string"};
static const struct place at_offset = {"offset", "number, duration, step(), or range()"};
static const struct place at_time = {"@", "timestamp"};
static const struct place at_range = {"subquery or range selector",
                                      "number, duration, step(), or range()"};
static const struct place after_range = {"subquery or range", "\":\" or \"]\""};
static const struct place at_step = {"subquery selector",
                                     "number, duration, step(), range(), or \"]\""};
static const struct place after_step = {"subquery selector", "\"]\""};

/* ---- matchers ------------------------------------------------------------------- */

static bool push_matcher(struct parser *p, struct vector_expr *vec, size_t *cap,
                         enum match_op op, struct slice name, struct slice value, uint32_t start)
{
    struct err err = {0};

    if (!parser_count(p, start)) return false;
    if (vec->n_matchers == *cap) {
        size_t more = *cap ? 2 * *cap : 4;
        struct matcher *ms = arena_try_array(&p->ast->arena, more, sizeof(*ms));
        if (!ms) {
            parser_no_memory(p);
            return false;
        }
        if (vec->n_matchers) memcpy(ms, vec->matchers, vec->n_matchers * sizeof(*ms));
        vec->matchers = ms;
        *cap = more;
    }
    status st = matcher_init(&vec->matchers[vec->n_matchers], op, name, value, &err);
    if (st == ST_OK) {
        vec->n_matchers++;
        return true;
    }
    if (st == ST_INVALID) {
        struct strbuf words;
        strbuf_init(&words, 0);
        regex_words(&words, slice_str(err_text(&err, st)));
        parser_fail(p, st, start, "%s", strbuf_cstr(&words));
        strbuf_release(&words);
    } else {
        parser_fail(p, st, start, "%s", err_text(&err, st));
    }
    return false;
}

static bool take_match_op(struct parser *p, enum match_op *out)
{
    switch (parser_peek(p)->kind) {
    case TOKEN_EQL: *out = MATCH_EQ; break;
    case TOKEN_NEQ: *out = MATCH_NE; break;
    case TOKEN_EQL_REGEX: *out = MATCH_RE; break;
    case TOKEN_NEQ_REGEX: *out = MATCH_NRE; break;
    default: return false;
    }
    (void)parser_take(p);
    return true;
}

/* name="v", "name"="v", or "metric" alone. */
static bool parse_matcher(struct parser *p, struct vector_expr *vec, size_t *cap)
{
    struct token t = *parser_peek(p);
    struct slice name, value;
    enum match_op op;

    if (t.kind != TOKEN_IDENTIFIER && t.kind != TOKEN_STRING) {
        parser_unexpected(p);
        return false;
    }
    (void)parser_take(p);
    name = t.text;
    if (t.kind == TOKEN_STRING && !parser_unquote(p, &name, &t)) return false;
    if (!take_match_op(p, &op)) {
        if (t.kind == TOKEN_STRING && p->st == ST_OK)
            return push_matcher(p, vec, cap, MATCH_EQ, SLICE_LIT(LABEL_NAME), name, t.start);
        p->place = &after_name;
        parser_unexpected(p);
        return false;
    }
    p->place = &at_value;
    if (!parser_is(p, TOKEN_STRING)) {
        parser_unexpected(p);
        return false;
    }
    struct token text = parser_take(p);
    return parser_unquote(p, &value, &text) &&
           push_matcher(p, vec, cap, op, name, value, t.start);
}

static bool parse_matchers(struct parser *p, struct vector_expr *vec, size_t *cap)
{
    const struct place *outer = p->place;
    bool ok = true;

    (void)parser_take(p);
    p->place = &at_matcher;
    while (ok && !parser_accept(p, TOKEN_RBRACE)) {
        p->place = &at_matcher;
        ok = parse_matcher(p, vec, cap);
        if (!ok) break;
        p->place = &after_matcher;
        if (parser_accept(p, TOKEN_RBRACE)) break;
        ok = parser_expect(p, TOKEN_COMMA);
        p->place = &at_matcher;
    }
    p->place = outer;
    return ok && p->st == ST_OK;
}

struct expr *parse_selector(struct parser *p, const struct token *metric)
{
    uint32_t start = metric ? metric->start : parser_peek(p)->start;
    struct expr *e = parser_node(p, EXPR_VECTOR, start);
    size_t cap = 0;

    if (!e) return NULL;
    e->type = KIND_VECTOR;
    e->end = p->last_end;
    if (metric) e->vec.name = metric->text;
    if (parser_is(p, TOKEN_LBRACE)) {
        if (!parse_matchers(p, &e->vec, &cap)) return NULL;
        e->end = p->last_end;
    }
    if (metric && !push_matcher(p, &e->vec, &cap, MATCH_EQ, SLICE_LIT(LABEL_NAME), metric->text,
                                start))
        return NULL;
    return p->st == ST_OK ? e : NULL;
}

/* ---- modifiers ------------------------------------------------------------------ */

/* Where the modifiers of e are; NULL when it can have none. */
static struct modifiers *modifiers_of(struct expr *e)
{
    switch (e->kind) {
    case EXPR_VECTOR: return &e->vec.mod;
    case EXPR_MATRIX: return &e->matrix.vec->vec.mod;
    case EXPR_SUBQUERY: return &e->subquery.mod;
    default: return NULL;
    }
}

static bool parse_offset(struct parser *p, struct expr *e)
{
    const struct place *outer = p->place;
    struct modifiers *mod = modifiers_of(e);
    struct duration offset;

    (void)parser_take(p);
    p->place = &at_offset;
    bool ok = parse_offset_duration(p, &offset);
    p->place = outer;
    if (!ok) return false;
    if (!mod) {
        parser_fail(p, ST_INVALID, e->start,
                    "offset modifier must be preceded by an instant vector selector or range "
                    "vector selector or a subquery");
        return false;
    }
    if (mod->has_offset) {
        parser_fail(p, ST_INVALID, e->start, "offset may not be set multiple times");
        return false;
    }
    mod->offset = offset;
    mod->has_offset = offset.expr || offset.ns != 0;
    e->end = p->last_end;
    return true;
}

/* %f of Go: NaN, +Inf, -Inf, or six decimals. */
static void fail_bounds(struct parser *p, const struct expr *e, double t)
{
    char text[400];

    if (isnan(t)) snprintf(text, sizeof(text), "NaN");
    else if (isinf(t)) snprintf(text, sizeof(text), "%s", t > 0 ? "+Inf" : "-Inf");
    else snprintf(text, sizeof(text), "%f", t);
    parser_fail(p, ST_INVALID, e->start, "timestamp out of bounds for @ modifier: %s", text);
}

static bool set_at(struct parser *p, struct expr *e, enum at_kind at, double t)
{
    struct modifiers *mod = modifiers_of(e);

    if (at == AT_TIME && !(t > -0x1p63 && t < 0x1p63)) {
        fail_bounds(p, e, t);
        return false;
    }
    if (!mod) {
        parser_fail(p, ST_INVALID, e->start,
                    "@ modifier must be preceded by an instant vector selector or range vector "
                    "selector or a subquery");
        return false;
    }
    if (mod->at != AT_NONE) {
        parser_fail(p, ST_INVALID, e->start, "@ <timestamp> may not be set multiple times");
        return false;
    }
    mod->at = at;
    if (at == AT_TIME) {
        double ms = round(t * 1000);
        mod->at_ms = ms >= 0x1p63 ? INT64_MAX : ms <= -0x1p63 ? INT64_MIN : (int64_t)ms;
    }
    e->end = p->last_end;
    return true;
}

static bool parse_timestamp(struct parser *p, double *out)
{
    bool negative = parser_is(p, TOKEN_SUB);

    if (negative || parser_is(p, TOKEN_ADD)) (void)parser_take(p);
    if (!parser_is(p, TOKEN_NUMBER) && !parser_is(p, TOKEN_DURATION)) {
        parser_unexpected(p);
        return false;
    }
    struct token t = parser_take(p);
    bool ok = t.kind == TOKEN_NUMBER ? parse_number(p, out, &t)
                                     : parse_duration_literal(p, out, &t);
    if (negative) *out = -*out;
    return ok;
}

static bool parse_at(struct parser *p, struct expr *e)
{
    const struct place *outer = p->place;
    enum at_kind at = AT_TIME;
    double t = 0;
    bool ok;

    (void)parser_take(p);
    p->place = &at_time;
    if (parser_is(p, TOKEN_START) || parser_is(p, TOKEN_END)) {
        at = parser_take(p).kind == TOKEN_START ? AT_START : AT_END;
        ok = parser_expect(p, TOKEN_LPAREN) && parser_expect(p, TOKEN_RPAREN);
    } else {
        ok = parse_timestamp(p, &t);
    }
    p->place = outer;
    return ok && set_at(p, e, at, t);
}

static bool parse_extension(struct parser *p, struct expr *e)
{
    struct token t = parser_take(p);
    bool anchored = t.kind == TOKEN_ANCHORED;
    const char *word = anchored ? "anchored" : "smoothed";
    struct vector_expr *vec = NULL;

    parser_experimental(p, e->start, "%s modifier is experimental and not enabled", word);
    if (e->kind == EXPR_VECTOR) vec = &e->vec;
    if (e->kind == EXPR_MATRIX) vec = &e->matrix.vec->vec;
    if (!vec) {
        const char *why = e->kind == EXPR_SUBQUERY ? "is not supported for subqueries"
                                                   : "not implemented";
        parser_fail(p, ST_INVALID, e->start, "%s modifier %s", word, why);
        return false;
    }
    if (anchored) vec->anchored = true;
    else vec->smoothed = true;
    if (vec->anchored && vec->smoothed) {
        parser_fail(p, ST_INVALID, e->start,
                    "anchored and smoothed modifiers cannot be used together");
        return false;
    }
    e->end = p->last_end;
    return p->st == ST_OK;
}

/* ---- brackets ------------------------------------------------------------------- */

static struct expr *make_matrix(struct parser *p, struct expr *e, uint32_t bracket,
                                const struct duration *range)
{
    const char *why = NULL;

    if (e->kind != EXPR_VECTOR) why = "ranges only allowed for vector selectors";
    else if (e->vec.mod.has_offset && !e->vec.mod.offset.expr)
        why = "no offset modifiers allowed before range";
    else if (e->vec.mod.at == AT_TIME) why = "no @ modifiers allowed before range";
    if (why) {
        parser_fail(p, ST_INVALID, bracket, "%s", why);
        return NULL;
    }
    struct expr *m = parser_node(p, EXPR_MATRIX, e->start);
    if (!m) return NULL;
    m->type = KIND_MATRIX;
    m->matrix = (struct matrix_expr){.vec = e, .range = *range};
    m->end = p->last_end;
    return parser_done(p, m);
}

static struct expr *make_subquery(struct parser *p, struct expr *e, const struct duration *range,
                                  const struct duration *step)
{
    struct expr *s = parser_node(p, EXPR_SUBQUERY, e->start);

    if (!s) return NULL;
    s->type = KIND_MATRIX;
    s->subquery = (struct subquery_expr){.expr = e, .range = *range};
    if (step) {
        s->subquery.has_step = true;
        s->subquery.step = *step;
    }
    s->end = p->last_end;
    return parser_done(p, s);
}

static struct expr *parse_brackets(struct parser *p, struct expr *e)
{
    struct token bracket = parser_take(p);
    struct duration range, step;

    p->place = &at_range;
    if (!parse_positive_duration(p, &range)) return NULL;
    p->place = &after_range;
    if (parser_accept(p, TOKEN_RBRACKET)) return make_matrix(p, e, bracket.start, &range);
    if (!parser_expect(p, TOKEN_COLON)) return NULL;
    p->place = &at_step;
    if (parser_accept(p, TOKEN_RBRACKET)) return make_subquery(p, e, &range, NULL);
    if (!parse_positive_duration(p, &step)) return NULL;
    p->place = &after_step;
    if (!parser_expect(p, TOKEN_RBRACKET)) return NULL;
    return make_subquery(p, e, &range, &step);
}

struct expr *parse_suffixes(struct parser *p, struct expr *e)
{
    const struct place *outer = p->place;

    for (;;) {
        bool ok = true;
        switch (parser_peek(p)->kind) {
        case TOKEN_LBRACKET:
            e = parse_brackets(p, e);
            p->place = outer;
            ok = e != NULL;
            break;
        case TOKEN_OFFSET: ok = parse_offset(p, e); break;
        case TOKEN_AT: ok = parse_at(p, e); break;
        case TOKEN_ANCHORED:
        case TOKEN_SMOOTHED: ok = parse_extension(p, e); break;
        default: return p->st == ST_OK ? e : NULL;
        }
        if (!ok) return NULL;
    }
}
