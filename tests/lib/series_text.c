/* promqltest's series notation. A metric is read by PromQL's own selector parser, whose
 * equality matchers are the labels; a values word is VALUE, VALUExN, VALUE+STEPxN,
 * VALUE-STEPxN, `stale`, `_` or `_xN`, where N counts the repetitions after the first.
 */
#include "tests/lib/series_text.h"

#include "base/numfmt.h"
#include "base/vec.h"
#include "model/value.h"
#include "promql/hist_math.h"
#include "promql/parser.h"
#include "tests/lib/histogram_parse.h"

enum { VALUES_MAX = 1000000 }; /* of one line: a test that means more is a mistake */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice skip_spaces(struct slice text)
{
    while (text.len > 0 && is_space(text.ptr[0])) text = slice_skip(text, 1);
    return text;
}

/* Bytes of the metric: up to a blank that is neither in braces nor in quotes. */
static size_t metric_len(struct slice line)
{
    bool in_braces = false;
    char quote = 0;

    for (size_t i = 0; i < line.len; i++) {
        char c = line.ptr[i];
        if (quote) {
            if (c == '\\' && quote != '`') i++;
            else if (c == quote) quote = 0;
        } else if (c == '"' || c == '\'' || c == '`') {
            quote = c;
        } else if (c == '{') {
            in_braces = true;
        } else if (c == '}') {
            return i + 1;
        } else if (is_space(c) && !in_braces) {
            /* `m {a="b"}` is one metric. */
            struct slice after = skip_spaces(slice_skip(line, i));
            bool histogram = after.len > 1 && after.ptr[1] == '{';
            if (after.len == 0 || after.ptr[0] != '{' || histogram) return i;
        } else if (c == '@' && !in_braces) { /* starts follow: querier_mem.h */
            return i;
        }
    }
    return line.len;
}

static status labels_of(struct labels *out, const struct vector_expr *vec, struct arena *arena,
                        struct err *err)
{
    struct label *labels = arena_try_array(arena, vec->n_matchers + 1, sizeof(*labels));
    size_t n = vec->n_matchers;

    if (!labels) return err_set(err, ST_NO_MEMORY, "labels");
    for (size_t i = 0; i < n; i++) {
        const struct matcher *m = &vec->matchers[i];
        if (m->op != MATCH_EQ) return err_set(err, ST_INVALID, "a series has no matchers");
        labels[i] = (struct label){arena_copy(arena, m->name), arena_copy(arena, m->value)};
        if (!labels[i].name.ptr || !labels[i].value.ptr)
            return err_set(err, ST_NO_MEMORY, "labels");
    }
    TRY(labels_canonicalise(labels, &n, err));
    *out = (struct labels){labels, n};
    return ST_OK;
}

status series_text_labels(struct labels *out, struct slice *rest, struct slice line,
                          struct arena *arena, struct err *err)
{
    line = skip_spaces(line);
    size_t len = metric_len(line);
    struct slice metric = slice_of(line.ptr, len);

    *rest = skip_spaces(slice_skip(line, len));
    if (slice_is(metric, "{}")) {
        *out = (struct labels){0};
        return ST_OK;
    }

    struct ast ast;
    ast_init(&ast, NULL);
    status st = promql_parse_selector(&ast, metric, err);
    if (st == ST_OK) st = labels_of(out, &ast.root->vec, arena, err);
    ast_release(&ast);
    if (st != ST_OK) return err_wrap(err, st, "series \"" SLICE_FMT "\"", SLICE_ARG(metric));
    return ST_OK;
}

/* ---- values --------------------------------------------------------------------- */

struct value_list {
    struct text_value *ptr;
    size_t len, cap;
};

static status push_run(struct value_list *list, struct text_value first, double step, uint64_t n,
                       struct err *err)
{
    if (n > VALUES_MAX) return err_set(err, ST_INVALID, "too many values");
    if (!vec_reserve(list, n)) return err_set(err, ST_NO_MEMORY, "values");
    for (uint64_t i = 0; i < n; i++) {
        list->ptr[list->len++] = first;
        first.value += step;
    }
    return ST_OK;
}

/* The bytes of a number at the start of text: up to a sign that is no exponent's, or x. */
static size_t number_len(struct slice text)
{
    for (size_t i = 1; i < text.len; i++) {
        char c = text.ptr[i], before = text.ptr[i - 1];
        bool sign = (c == '+' || c == '-') && before != 'e' && before != 'E';
        if (sign || c == 'x') return i;
    }
    return text.len;
}

static status parse_word(struct value_list *list, struct slice word, struct err *err)
{
    struct text_value value = {.present = true};
    double step = 0;
    uint64_t n = 1;
    struct slice rest;

    if (word.ptr[0] == '_') {
        value.present = false;
        rest = slice_skip(word, 1);
    } else if (word.len >= 5 && memcmp(word.ptr, "stale", 5) == 0) {
        uint64_t bits = VALUE_STALE_BITS;
        memcpy(&value.value, &bits, sizeof(bits));
        rest = slice_skip(word, 5);
    } else {
        size_t len = number_len(word);
        if (!parse_f64(&value.value, slice_of(word.ptr, len))) return ST_INVALID;
        rest = slice_skip(word, len);
        if (rest.len > 0 && rest.ptr[0] != 'x') {
            len = number_len(rest);
            if (!parse_f64(&step, slice_of(rest.ptr, len))) return ST_INVALID;
            rest = slice_skip(rest, len);
            if (rest.len == 0) return ST_INVALID;
        }
    }
    if (rest.len > 0) {
        if (rest.ptr[0] != 'x' || !parse_u64(&n, slice_skip(rest, 1))) return ST_INVALID;
        /* _xN is N gaps; a value is there once before its N repetitions. */
        if (value.present) n++;
    }
    return push_run(list, value, step, n, err);
}

/* "}}" and what follows it on the word. */
static bool past_braces(struct slice *inside, struct slice *rest, struct slice text)
{
    for (size_t i = 2; i + 1 < text.len; i++) {
        if (text.ptr[i] != '}' || text.ptr[i + 1] != '}') continue;
        *inside = slice_of(text.ptr + 2, i - 2);
        *rest = slice_skip(text, i + 2);
        return true;
    }
    return false;
}

static bool begins_histogram(struct slice text)
{
    return text.len > 3 && text.ptr[0] == '{' && text.ptr[1] == '{';
}

static status push_histograms(struct value_list *list, const struct histogram *first,
                              const struct histogram *step, int sign, uint64_t n,
                              struct arena *arena, struct err *err)
{
    struct hist_work work = {.arena = arena};
    struct hist_sum sum = {0};
    struct hist_notes notes = {0};

    if (n > VALUES_MAX) return err_set(err, ST_INVALID, "too many values");
    if (!vec_reserve(list, n)) return err_set(err, ST_NO_MEMORY, "values");
    if (hist_sum_set(&work, &sum, first) != HIST_DONE) return ST_NO_MEMORY;
    for (uint64_t i = 0; i < n; i++) {
        const struct histogram *h = step && i ? hist_sum_value(arena, &sum) : first;
        if (!h) return err_set(err, ST_NO_MEMORY, "values");
        list->ptr[list->len++] = (struct text_value){.present = true, .hist = h};
        if (step && hist_sum_add(&work, &sum, step, sign, &notes) != HIST_DONE)
            return err_set(err, ST_INVALID, "histograms that do not add up");
    }
    return ST_OK;
}

/* {{...}}, {{...}}xN or {{...}}+{{...}}xN at the start of *text. */
static status parse_histograms(struct value_list *list, struct slice *text, struct arena *arena,
                               struct err *err)
{
    const struct histogram *first, *step = NULL;
    struct slice inside, rest;
    uint64_t n = 0;
    int sign = 1;
    size_t len = 0;

    if (!past_braces(&inside, &rest, *text)) return ST_INVALID;
    TRY(histogram_parse(&first, inside, arena, err));
    if (rest.len > 0 && (rest.ptr[0] == '+' || rest.ptr[0] == '-')) {
        sign = rest.ptr[0] == '+' ? 1 : -1;
        rest = slice_skip(rest, 1);
        if (!begins_histogram(rest) || !past_braces(&inside, &rest, rest)) return ST_INVALID;
        TRY(histogram_parse(&step, inside, arena, err));
    }
    while (len < rest.len && !is_space(rest.ptr[len])) len++;
    if (len > 0) {
        if (rest.ptr[0] != 'x' || !parse_u64(&n, slice_of(rest.ptr + 1, len - 1)))
            return err_set(err, ST_INVALID, "a histogram is followed by xN");
    }
    *text = slice_skip(rest, len);
    return push_histograms(list, first, step, sign, n + 1, arena, err);
}

status series_text_values(struct text_value **out, size_t *n, struct slice text,
                          struct arena *arena, struct err *err)
{
    struct value_list list = {0};
    status st = ST_OK;

    for (text = skip_spaces(text); text.len > 0 && st == ST_OK; text = skip_spaces(text)) {
        size_t len = 0;
        if (begins_histogram(text)) {
            st = parse_histograms(&list, &text, arena, err);
            continue;
        }
        while (len < text.len && !is_space(text.ptr[len])) len++;
        struct slice word = slice_of(text.ptr, len);
        text = slice_skip(text, len);
        st = parse_word(&list, word, err);
        if (st == ST_INVALID)
            st = err_set(err, ST_INVALID, "\"" SLICE_FMT "\" is no value", SLICE_ARG(word));
    }
    if (st == ST_OK) {
        struct text_value *values = arena_try_array(arena, list.len + 1, sizeof(*values));
        if (!values) {
            st = err_set(err, ST_NO_MEMORY, "values");
        } else {
            if (list.len) memcpy(values, list.ptr, list.len * sizeof(*values));
            *out = values;
            *n = list.len;
        }
    }
    vec_release(&list);
    return st;
}
