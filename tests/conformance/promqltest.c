/* Runs promqltest scripts against parser, plan and evaluator over literal series: no
 * server, no engine (tests/lib/querier_mem.h).
 *
 *     promqltest [FILE]...    one TAP line an eval, exit status 1 when one fails; without
 *                             files all of $TSINK_TOP/tests/conformance/promql
 *
 * The language is Prometheus':
 *
 *     clear
 *     load 5m
 *       metric{a="b"} 0+10x5 _ stale
 *     eval instant at 5m sum(metric)
 *       {} 10
 *     eval range from 0 to 10m step 5m metric
 *       expect no_warn
 *       metric{a="b"} 0 10 20
 *
 * with `expect fail|warn|info|no_warn|no_info [msg: TEXT|regex: RE]`, `expect ordered`,
 * `expect string "..."` and the older eval_fail, eval_ordered, eval_warn and eval_info.
 * An instant query is also asked as the middle step of a range query and must give the
 * same. Of histograms the API's form is compared: count, sum, buckets that are not empty.
 * After load_with_nhcb only what asks for classic buckets by name runs.
 */
#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/mem.h"
#include "base/numfmt.h"
#include "base/panic.h"
#include "model/histogram_buckets.h"
#include "promql/eval.h"
#include "promql/hist_quantile.h"
#include "promql/parser.h"
#include "promql/quote.h"
#include "tests/lib/querier_mem.h"
#include "tests/lib/series_text.h"

enum { LINES_MAX = 100000, EXPECTS_MAX = 256, DETAIL_MAX = 1024 };

enum expect_kind { EXPECT_FAIL, EXPECT_WARN, EXPECT_INFO, EXPECT_NO_WARN, EXPECT_NO_INFO };

struct expect {
    enum expect_kind kind;
    bool is_regex;
    struct slice text; /* empty: any */
};

struct wanted {
    struct labels labels;
    struct text_value *values;
    size_t n;
    bool found;
};

struct eval_case {
    struct slice expr;
    bool instant, ordered, is_scalar, is_string;
    int64_t start_ms, end_ms, step_ms;
    struct slice string;
    double scalar;
    struct expect expects[EXPECTS_MAX];
    size_t n_expects;
    struct wanted series[EXPECTS_MAX];
    size_t n_series;
};

struct script {
    const char *file;
    struct slice *lines; /* trimmed; comments are empty */
    size_t n_lines, at;
    struct querier_mem mem;
    struct arena arena;  /* of one eval */
    bool classic_only;   /* up to the next clear: custom-bucket twins were not made */
    size_t n_cases, n_failed, n_skipped;
};

static char detail[DETAIL_MAX]; /* why the current case fails */

#define FAIL(...) (snprintf(detail, sizeof(detail), __VA_ARGS__), false)

/* ---- reading ---------------------------------------------------------------------- */

static struct slice trim(struct slice s)
{
    while (s.len > 0 && strchr(" \t\r", s.ptr[0])) s = slice_skip(s, 1);
    while (s.len > 0 && strchr(" \t\r", s.ptr[s.len - 1])) s.len--;
    return s;
}

/* The first word; *rest is what follows it. */
static struct slice take_word(struct slice *rest)
{
    struct slice s = trim(*rest);
    size_t len = 0;

    while (len < s.len && s.ptr[len] != ' ' && s.ptr[len] != '\t') len++;
    *rest = trim(slice_skip(s, len));
    return slice_of(s.ptr, len);
}

static bool take_literal(struct slice *rest, const char *word)
{
    struct slice after = *rest;
    if (!slice_is(take_word(&after), word)) return false;
    *rest = after;
    return true;
}

/* "5m", "-30s", "90", "1.5" */
static bool parse_ms(int64_t *out, struct slice text)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    double seconds;

    if (negative) text = slice_skip(text, 1);
    if (!duration_parse_ms(out, text)) {
        if (!parse_f64(&seconds, text) || !(fabs(seconds) < 1e15)) return false;
        *out = (int64_t)round(seconds * 1000);
    }
    if (negative) *out = -*out;
    return true;
}

static void fatal(const struct script *s, const char *what)
{
    fprintf(stderr, "%s:%zu: %s\n", s->file, s->at + 1, what);
    exit(2);
}

static void run_load(struct script *s, struct slice rest)
{
    int64_t step;

    if (!parse_ms(&step, rest)) fatal(s, "load without a step");
    for (; s->at + 1 < s->n_lines && s->lines[s->at + 1].len > 0; s->at++) {
        struct slice line = s->lines[s->at + 1];
        struct err err = {0};

        char *text = arena_printf(&s->arena, SLICE_FMT, SLICE_ARG(line));

        if (!text) fatal(s, "out of memory");
        status st = querier_mem_load(&s->mem, step, text, &err);
        if (st != ST_OK) fatal(s, err.text);
    }
}

static bool add_expect(struct script *s, struct eval_case *c, struct slice rest)
{
    static const struct {
        const char *word;
        enum expect_kind kind;
    } kinds[] = {
        {"fail", EXPECT_FAIL},       {"warn", EXPECT_WARN},       {"info", EXPECT_INFO},
        {"no_warn", EXPECT_NO_WARN}, {"no_info", EXPECT_NO_INFO},
    };
    struct slice word = take_word(&rest);

    if (slice_is(word, "ordered")) {
        c->ordered = true;
        return true;
    }
    if (slice_is(word, "string")) {
        c->is_string = true;
        return unquote_text(&c->string, rest, &s->arena);
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!slice_is(word, kinds[i].word)) continue;
        struct expect *e = &c->expects[c->n_expects++];
        *e = (struct expect){.kind = kinds[i].kind};
        if (slice_starts(rest, SLICE_LIT("msg:"))) {
            e->text = trim(slice_skip(rest, 4));
        } else if (slice_starts(rest, SLICE_LIT("regex:"))) {
            e->is_regex = true;
            e->text = trim(slice_skip(rest, 6));
        } else if (rest.len > 0) {
            return false;
        }
        return true;
    }
    return false;
}

/* What an eval expects, line by line. False when it is beyond this runner. */
static bool read_expected(struct script *s, struct eval_case *c)
{
    bool readable = true;

    for (; s->at + 1 < s->n_lines && s->lines[s->at + 1].len > 0; s->at++) {
        struct slice line = s->lines[s->at + 1], rest = line;
        struct err err = {0};

        if (c->n_expects >= EXPECTS_MAX || c->n_series >= EXPECTS_MAX) fatal(s, "too long");
        if (take_literal(&rest, "expect")) {
            readable &= add_expect(s, c, rest);
        } else if (parse_f64(&c->scalar, line)) {
            c->is_scalar = true;
        } else {
            struct wanted *w = &c->series[c->n_series++];
            status st = series_text_labels(&w->labels, &rest, line, &s->arena, &err);
            if (st == ST_OK) st = series_text_values(&w->values, &w->n, rest, &s->arena, &err);
            if (st != ST_OK) fatal(s, err.text);
        }
    }
    return readable;
}

static void read_eval(struct script *s, struct eval_case *c, struct slice word, struct slice rest)
{
    static const struct {
        const char *word;
        enum expect_kind kind;
    } old[] = {{"eval_fail", EXPECT_FAIL}, {"eval_warn", EXPECT_WARN}, {"eval_info", EXPECT_INFO}};
    bool ok;

    *c = (struct eval_case){.ordered = slice_is(word, "eval_ordered")};
    for (size_t i = 0; i < ARRAY_LEN(old); i++)
        if (slice_is(word, old[i].word)) c->expects[c->n_expects++].kind = old[i].kind;
    if (take_literal(&rest, "instant")) {
        c->instant = true;
        ok = take_literal(&rest, "at") && parse_ms(&c->start_ms, take_word(&rest));
        c->end_ms = c->start_ms;
    } else {
        ok = take_literal(&rest, "range") && take_literal(&rest, "from") &&
             parse_ms(&c->start_ms, take_word(&rest)) && take_literal(&rest, "to") &&
             parse_ms(&c->end_ms, take_word(&rest)) && take_literal(&rest, "step") &&
             parse_ms(&c->step_ms, take_word(&rest));
    }
    if (!ok) fatal(s, "eval without its times");
    c->expr = rest;
}

/* ---- evaluating ------------------------------------------------------------------- */

struct answer {
    struct ast ast;
    struct plan plan;
    struct fetch *fetch;
    struct arena arena;
    struct promql_result result;
    status st;
    struct err err;
};

static void ask(struct script *s, struct answer *a, struct slice expr,
                const struct plan_options *opt)
{
    struct query_budget budget = {0};

    *a = (struct answer){0};
    ast_init(&a->ast, NULL);
    arena_init(&a->arena, NULL, 4096);
    a->st = promql_parse(&a->ast, expr, NULL, &a->err);
    if (a->st == ST_OK) a->st = plan_make(&a->plan, &a->ast, opt, &a->err);
    if (a->st != ST_OK) return;

    struct series_set **sets = arena_try_array(&a->arena, a->plan.n_selects + 1, sizeof(*sets));
    if (!sets) abort();
    a->st = querier_fetch(&s->mem.base, &a->fetch, sets, a->plan.selects, a->plan.n_selects,
                          (struct slice){"", 0}, &budget, &a->err);
    if (a->st != ST_OK) return;
    a->st = promql_eval(&a->result, &a->plan, a->ast.text, sets,
                        &(struct promql_options){.budget = &budget}, &a->arena, &a->err);
}

static void drop(struct script *s, struct answer *a)
{
    querier_done(&s->mem.base, a->fetch);
    arena_release(&a->arena);
    ast_release(&a->ast);
}

/* ---- comparing -------------------------------------------------------------------- */

/* Within a relative 1e-6, as Prometheus' own runner compares. */
static bool close_to(double a, double b)
{
    uint64_t a_bits, b_bits;

    memcpy(&a_bits, &a, sizeof(a));
    memcpy(&b_bits, &b, sizeof(b));
    if ((a_bits == VALUE_STALE_BITS) != (b_bits == VALUE_STALE_BITS)) return false;
    if (isnan(a) && isnan(b)) return true;
    if (a == b) return true;
    if (isinf(a) || isinf(b) || isnan(a) || isnan(b)) return false;
    double diff = fabs(a - b), sum = fabs(a) + fabs(b);
    if (a == 0 || b == 0 || sum < 0x1p-1022) return diff < 1e-6 * 0x1p-1022;
    return diff / fmin(sum, 0x1.fffffffffffffp1023) < 1e-6;
}

static const char *labels_text(struct script *s, struct labels labels)
{
    struct strbuf out;

    strbuf_init(&out, 0);
    labels_print(&out, labels);
    const char *text = arena_printf(&s->arena, SLICE_FMT, SLICE_ARG(strbuf_view(&out)));
    strbuf_release(&out);
    return text ? text : "?";
}

/* The next bucket that is not empty. */
static bool next_bucket(struct hist_buckets *at, struct hist_bucket *b)
{
    while (hist_buckets_next(at, b)) {
        if (b->count != 0) return true;
    }
    return false;
}

static bool same_histograms(const struct histogram *a, const struct histogram *b)
{
    struct hist_buckets at_a, at_b;
    struct hist_bucket x, y;

    if (!a || !b) return a == b;
    if (!close_to(a->count, b->count) || !close_to(a->sum, b->sum)) return false;
    hist_buckets_begin(&at_a, a, false);
    hist_buckets_begin(&at_b, b, false);
    for (;;) {
        bool more_a = next_bucket(&at_a, &x), more_b = next_bucket(&at_b, &y);
        if (!more_a || !more_b) return more_a == more_b;
        if (!close_to(x.lower, y.lower) || !close_to(x.upper, y.upper)) return false;
        if (!close_to(x.count, y.count) || x.lower_closed != y.lower_closed) return false;
        if (x.upper_closed != y.upper_closed) return false;
    }
}

static const char *hist_text(struct script *s, const struct histogram *h)
{
    struct strbuf out;

    if (!h) return "a float";
    strbuf_init(&out, 0);
    histogram_text(&out, h);
    const char *text = arena_printf(&s->arena, SLICE_FMT, SLICE_ARG(strbuf_view(&out)));
    strbuf_release(&out);
    return text ? text : "?";
}

/* One series against what is wanted at the times start, start + step, ... */
static bool check_series(struct script *s, const struct eval_case *c, const struct answer *a,
                         const struct prom_series *series, const struct wanted *w)
{
    size_t at = 0, n_present = 0, n_points = 0;
    struct prom_point p;

    for (size_t i = 0; i < w->n; i++) n_present += w->values[i].present;
    while (promvalue_next(&a->result, series, &at, &p)) {
        int64_t ms = promvalue_ms(&a->result, p.ts);
        size_t i = c->instant ? 0 : (size_t)((ms - c->start_ms) / c->step_ms);

        n_points++;
        if (c->instant && ms != c->start_ms)
            return FAIL("%s is at %" PRId64 " ms", labels_text(s, series->labels), ms);
        if (i >= w->n || !w->values[i].present)
            return FAIL("%s has %g at %" PRId64 " ms, wanted none",
                        labels_text(s, series->labels), p.val, ms);
        const struct histogram *want = w->values[i].hist;
        if (p.hist || want) {
            if (same_histograms(p.hist, want)) continue;
            return FAIL("%s is %s, wanted %s", labels_text(s, series->labels),
                        hist_text(s, p.hist), hist_text(s, want));
        }
        if (!close_to(p.val, w->values[i].value))
            return FAIL("%s is %.17g at %" PRId64 " ms, wanted %.17g",
                        labels_text(s, series->labels), p.val, ms, w->values[i].value);
    }
    if (n_points == n_present) return true;
    return FAIL("%s has %zu values, wanted %zu", labels_text(s, series->labels), n_points,
                n_present);
}

static bool check_vector(struct script *s, struct eval_case *c, const struct answer *a)
{
    const struct promql_result *r = &a->result;

    for (size_t i = 0; i < c->n_series; i++) c->series[i].found = false;
    for (size_t i = 0; i < r->n_series; i++) {
        struct wanted *w = NULL;
        for (size_t k = 0; k < c->n_series && !w; k++)
            if (labels_eq(c->series[k].labels, r->series[i].labels)) w = &c->series[k];
        if (!w) return FAIL("%s is not wanted", labels_text(s, r->series[i].labels));
        if (w->found) return FAIL("%s is there twice", labels_text(s, w->labels));
        if (c->ordered && w != &c->series[i])
            return FAIL("%s is at place %zu", labels_text(s, w->labels), i + 1);
        w->found = true;
        if (!check_series(s, c, a, &r->series[i], w)) return false;
    }
    for (size_t i = 0; i < c->n_series; i++) {
        bool empty = true;
        for (size_t k = 0; k < c->series[i].n; k++) empty &= !c->series[i].values[k].present;
        if (!c->series[i].found && !empty)
            return FAIL("%s is missing", labels_text(s, c->series[i].labels));
    }
    return true;
}

static bool text_fits(struct script *s, const struct expect *e, struct slice text)
{
    struct regex *re = NULL;
    struct err err = {0};

    if (e->text.len == 0) return true;
    if (!e->is_regex) return slice_eq(e->text, text);
    char *pattern = arena_printf(&s->arena, ".*(?:" SLICE_FMT ").*", SLICE_ARG(e->text));
    if (!pattern || regex_new(&re, slice_str(pattern), &err) != ST_OK) fatal(s, err.text);
    bool fits = regex_match(re, text);
    regex_free(re);
    return fits;
}

static bool check_annotation(struct script *s, const struct expect *e, const struct slice *texts,
                             size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (text_fits(s, e, texts[i])) return true;
    return FAIL("no %s \"" SLICE_FMT "\" among %zu: \"" SLICE_FMT "\"", what, SLICE_ARG(e->text), n,
                SLICE_ARG(n ? texts[0] : e->text));
}

static bool check_annotations(struct script *s, const struct eval_case *c,
                              const struct promql_result *r)
{
    for (size_t i = 0; i < c->n_expects; i++) {
        const struct expect *e = &c->expects[i];
        bool ok = true;
        if (e->kind == EXPECT_WARN)
            ok = check_annotation(s, e, r->warnings, r->n_warnings, "warning");
        if (e->kind == EXPECT_INFO) ok = check_annotation(s, e, r->infos, r->n_infos, "info");
        if (e->kind == EXPECT_NO_WARN && r->n_warnings)
            ok = FAIL("warning: " SLICE_FMT, SLICE_ARG(r->warnings[0]));
        if (e->kind == EXPECT_NO_INFO && r->n_infos)
            ok = FAIL("info: " SLICE_FMT, SLICE_ARG(r->infos[0]));
        if (!ok) return false;
    }
    return true;
}

static bool check_answer(struct script *s, struct eval_case *c, const struct answer *a)
{
    const struct promql_result *r = &a->result;

    for (size_t i = 0; i < c->n_expects; i++) {
        if (c->expects[i].kind != EXPECT_FAIL) continue;
        if (a->st == ST_OK) return FAIL("does not fail");
        if (text_fits(s, &c->expects[i], slice_str(a->err.text))) return true;
        return FAIL("fails with: %s", a->err.text);
    }
    if (a->st != ST_OK) return FAIL("%s", a->err.text);
    if (!check_annotations(s, c, r)) return false;
    if (c->is_string)
        return (r->type == KIND_STRING && slice_eq(r->string, c->string)) || FAIL("wrong string");
    if (r->type == KIND_SCALAR)
        return (c->is_scalar && close_to(r->scalar, c->scalar)) ||
               FAIL("is scalar %.17g, wanted %.17g", r->scalar, c->scalar);
    if (c->is_scalar) return FAIL("is no scalar");
    return check_vector(s, c, a);
}

/* Words whose meaning is the frame of the query: a range query gives them another. */
static bool names_frame(struct slice expr)
{
    static const char *const words[] = {"start()", "end()", "step()", "range()"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (memmem(expr.ptr, expr.len, words[i], strlen(words[i]))) return true;
    return false;
}

static bool point_at(const struct promql_result *r, const struct prom_series *series, int64_t ms,
                     struct prom_point *p)
{
    size_t at = 0;

    while (promvalue_next(r, series, &at, p))
        if (promvalue_ms(r, p->ts) == ms) return true;
    return false;
}

static bool same_at(struct script *s, const struct promql_result *range,
                    const struct prom_series *series, const struct promql_result *instant,
                    int64_t ms)
{
    struct prom_point p, want;

    if (!point_at(range, series, ms, &p)) return true;
    if (instant->type == KIND_SCALAR)
        return close_to(p.val, instant->scalar) || FAIL("as a range: %.17g", p.val);
    for (size_t i = 0; i < instant->n_series; i++) {
        if (!labels_eq(instant->series[i].labels, series->labels)) continue;
        if (!point_at(instant, &instant->series[i], ms, &want)) continue;
        bool hist = p.hist || want.hist;
        if (hist ? same_histograms(p.hist, want.hist) : close_to(p.val, want.val)) return true;
    }
    if (p.hist) {
        return FAIL("as a range: %s is %s", labels_text(s, series->labels), hist_text(s, p.hist));
    }
    return FAIL("as a range: %s is %.17g", labels_text(s, series->labels), p.val);
}

/* The same instant as the middle step of a range query. */
static bool check_as_range(struct script *s, const struct eval_case *c,
                           const struct answer *instant)
{
    struct plan_options opt = {.start_ms = c->start_ms - 60000, .end_ms = c->start_ms + 60000,
                               .step_ms = 60000, .precision = PRECISION_MS};
    size_t n_points = 0;
    struct answer a;
    bool ok;

    if (names_frame(c->expr)) return true;
    ask(s, &a, c->expr, &opt);
    ok = a.st == ST_OK || FAIL("as a range: %s", a.err.text);
    for (size_t i = 0; ok && i < a.result.n_series; i++) {
        struct prom_point p;
        n_points += point_at(&a.result, &a.result.series[i], c->start_ms, &p);
        ok = same_at(s, &a.result, &a.result.series[i], &instant->result, c->start_ms);
    }
    if (ok && instant->result.type == KIND_VECTOR && n_points != instant->result.n_series)
        ok = FAIL("as a range: %zu series, wanted %zu", n_points, instant->result.n_series);
    drop(s, &a);
    return ok;
}

/* Whether a name ends in _bucket: what load_with_nhcb leaves as it is. */
static bool names_buckets(struct slice expr)
{
    const char *at = expr.ptr, *end = expr.ptr + expr.len;

    while ((at = memmem(at, (size_t)(end - at), "_bucket", 7))) {
        at += 7;
        if (at == end || !(*at == '_' || (*at >= 'a' && *at <= 'z'))) return true;
    }
    return false;
}

static void run_eval(struct script *s, struct slice word, struct slice rest)
{
    struct eval_case *c = mem_try(sizeof(*c));
    size_t line = s->at + 1;

    if (!c) fatal(s, "out of memory");
    read_eval(s, c, word, rest);
    s->n_cases++;
    bool readable = read_expected(s, c);
    if (s->classic_only && !names_buckets(c->expr)) readable = false;
    if (!readable) {
        s->n_skipped++;
        printf("ok - %s:%zu # SKIP\n", s->file, line);
    } else {
        struct plan_options opt = {.start_ms = c->start_ms, .end_ms = c->end_ms,
                                   .step_ms = c->step_ms, .precision = PRECISION_MS};
        struct answer a;

        ask(s, &a, c->expr, &opt);
        bool ok = check_answer(s, c, &a);
        if (ok && c->instant && a.st == ST_OK &&
            (a.result.type == KIND_VECTOR || a.result.type == KIND_SCALAR))
            ok = check_as_range(s, c, &a);
        s->n_failed += !ok;
        printf("%s - %s:%zu " SLICE_FMT "\n", ok ? "ok" : "not ok", s->file, line,
               SLICE_ARG(c->expr));
        if (!ok) printf("# %s\n", detail);
        drop(s, &a);
    }
    mem_free(c);
}

/* ---- scripts ---------------------------------------------------------------------- */

static void run_script(struct script *s)
{
    for (s->at = 0; s->at < s->n_lines; s->at++) {
        struct slice rest = s->lines[s->at];
        if (rest.len == 0) continue;

        struct slice word = take_word(&rest);
        arena_reset(&s->arena);
        if (slice_is(word, "clear")) {
            querier_mem_clear(&s->mem);
            s->classic_only = false;
        } else if (slice_is(word, "load")) {
            run_load(s, rest);
        } else if (slice_is(word, "load_with_nhcb")) {
            s->classic_only = true;
            run_load(s, rest);
        } else if (slice_starts(word, SLICE_LIT("eval"))) {
            run_eval(s, word, rest);
        } else {
            fatal(s, "no command");
        }
    }
}

/* The whole file; the lines point into it. */
static char *read_lines(struct script *s)
{
    FILE *f = fopen(s->file, "r");
    size_t len = 0, cap = 1 << 22;
    char *text = malloc(cap);

    if (!f || !text) {
        fprintf(stderr, "%s: %s\n", s->file, strerror(errno));
        exit(2);
    }
    len = fread(text, 1, cap - 1, f);
    fclose(f);
    text[len] = '\n';
    s->lines = calloc(LINES_MAX, sizeof(*s->lines));
    if (!s->lines) exit(2);
    for (char *at = text; at < text + len && s->n_lines < LINES_MAX;) {
        char *end = memchr(at, '\n', (size_t)(text + len + 1 - at));
        struct slice line = trim(slice_of(at, (size_t)(end - at)));
        if (line.len > 0 && line.ptr[0] == '#') line.len = 0;
        s->lines[s->n_lines++] = line;
        at = end + 1;
    }
    return text;
}

/* One file; its counts are added to *total. */
static void run_file(const char *file, struct script *total)
{
    struct script s = {.file = file};
    char *text = read_lines(&s);

    querier_mem_init(&s.mem);
    arena_init(&s.arena, NULL, 4096);
    run_script(&s);
    querier_mem_release(&s.mem);
    arena_release(&s.arena);
    free(s.lines);
    free(text);
    total->n_cases += s.n_cases;
    total->n_failed += s.n_failed;
    total->n_skipped += s.n_skipped;
}

int main(int argc, char **argv)
{
    const char *top = getenv("TSINK_TOP");
    struct script total = {0};
    char pattern[4096];
    glob_t found = {0};

    for (int i = 1; i < argc; i++) run_file(argv[i], &total);
    if (argc < 2) {
        snprintf(pattern, sizeof(pattern), "%s/tests/conformance/promql/*.test",
                 top ? top : ".");
        if (glob(pattern, 0, NULL, &found) != 0) {
            fprintf(stderr, "no scripts: %s\n", pattern);
            return 2;
        }
        for (size_t i = 0; i < found.gl_pathc; i++) run_file(found.gl_pathv[i], &total);
        globfree(&found);
    }
    printf("1..%zu\n# %zu failed, %zu skipped\n", total.n_cases, total.n_failed,
           total.n_skipped);
    return total.n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
