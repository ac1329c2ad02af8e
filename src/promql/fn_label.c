/* Labels and order: label_replace, label_join, sort*, sort_by_label*.
 *
 * Rewritten labels can bring two series to the same set. As long as they have no value at
 * the same step they become one series; else the query fails.
 */
#include "promql/eval_priv.h"

#include <stdlib.h>

#include "base/regex.h"
#include "base/strbuf.h"
#include "base/utf8.h"

/* No label that a query makes is longer: nested joins double it each time. */
enum { LABEL_TEXT_MAX = 1 << 20 };

static status label_too_long(struct eval *ev, const char *func)
{
    return err_set(ev->err, ST_LIMIT, "%s() makes a label of more than %d bytes", func,
                   LABEL_TEXT_MAX);
}

static bool label_name_valid(struct slice name)
{
    return name.len > 0 && utf8_valid(name);
}

static status bad_label(struct eval *ev, const char *what, const char *func, struct slice name)
{
    return err_set(ev->err, ST_EXECUTION, "invalid %s label name in %s(): " SLICE_FMT, what,
                   func, SLICE_ARG(name));
}

/* Sets dst in a column's labels; a value in __name__ is there to stay. */
static status set_label(struct eval *ev, struct column *c, struct slice dst, struct slice value)
{
    struct slice kept = arena_copy(ev->arena, value);

    if (!kept.ptr) return eval_oom(ev);
    c->labels = labels_with(ev->arena, c->labels, dst, kept);
    if (!c->labels.ptr) return eval_oom(ev);
    if (slice_is(dst, LABEL_NAME)) c->drop_name = false;
    return ST_OK;
}

/* ---- label_replace ---------------------------------------------------------------- */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The group that $name or ${name} means: a number or a name; empty when there is none. */
static struct slice group_text(const struct regex *re, const struct slice *groups, size_t n,
                               struct slice name)
{
    uint64_t number = 0;
    bool digits = name.len > 0;

    for (size_t i = 0; i < name.len && digits; i++) {
        digits = name.ptr[i] >= '0' && name.ptr[i] <= '9';
        if (digits && number < 1000000) number = number * 10 + (uint64_t)(name.ptr[i] - '0');
    }
    if (digits && number < n) return groups[number];
    if (digits) return SLICE_LIT("");
    int at = regex_group_index(re, name);
    return at >= 0 && (size_t)at < n ? groups[at] : SLICE_LIT("");
}

/* Go's regexp.Expand: $1, $name (as long as it goes), ${name}, $$. */
static void expand(struct strbuf *out, struct slice repl, const struct regex *re,
                   const struct slice *groups, size_t n)
{
    while (repl.len) {
        if (repl.ptr[0] != '$' || repl.len == 1) {
            strbuf_char(out, repl.ptr[0]);
            repl = slice_skip(repl, 1);
            continue;
        }
        if (repl.ptr[1] == '$') {
            strbuf_char(out, '$');
            repl = slice_skip(repl, 2);
            continue;
        }
        size_t from = repl.ptr[1] == '{' ? 2 : 1, to = from;
        while (to < repl.len && is_word(repl.ptr[to])) to++;
        bool closed = from == 1 || (to < repl.len && repl.ptr[to] == '}');
        if (to == from || !closed) { /* malformed: a dollar like any character */
            strbuf_char(out, '$');
            repl = slice_skip(repl, 1);
            continue;
        }
        struct slice g = group_text(re, groups, n, slice_of(repl.ptr + from, to - from));
        if (g.len) strbuf_slice(out, g);
        repl = slice_skip(repl, to + (from == 2));
    }
}

static status replace_one(struct eval *ev, const struct expr *call, const struct regex *re,
                          struct column *c, struct strbuf *buf)
{
    struct slice dst = eval_string(call->call.args[1]), repl = eval_string(call->call.args[2]);
    struct slice src = labels_get(c->labels, eval_string(call->call.args[3]));
    struct slice groups[REGEX_GROUPS_MAX + 1] = {{NULL, 0}};
    size_t n = regex_n_groups(re) + 1;

    if (n > ARRAY_LEN(groups)) n = ARRAY_LEN(groups);
    if (!src.ptr) src = SLICE_LIT("");
    if (!regex_groups(re, src, groups, n)) return ST_OK;
    strbuf_reset(buf);
    expand(buf, repl, re, groups, n);
    if (buf->failed) return label_too_long(ev, "label_replace");
    return set_label(ev, c, dst, strbuf_view(buf));
}

status fn_label_replace(struct eval *ev, const struct frame *f, const struct expr *call,
                        struct sink *sink)
{
    struct slice dst = eval_string(call->call.args[1]);
    struct slice pattern = eval_string(call->call.args[4]);
    struct regex *re;
    struct strbuf buf;
    struct matrix m;

    if (regex_new(&re, pattern, NULL) != ST_OK) {
        return err_set(ev->err, ST_EXECUTION,
                       "invalid regular expression in label_replace(): " SLICE_FMT,
                       SLICE_ARG(pattern));
    }
    if (!label_name_valid(dst)) {
        regex_free(re);
        return bad_label(ev, "destination", "label_replace", dst);
    }
    strbuf_init(&buf, LABEL_TEXT_MAX);
    status st = eval_matrix(ev, f, call->call.args[0], &m);
    for (size_t i = 0; st == ST_OK && i < m.n; i++) {
        st = replace_one(ev, call, re, &m.s[i], &buf);
    }
    strbuf_release(&buf);
    regex_free(re);
    if (st != ST_OK) return st;
    TRY(matrix_join_same(ev, f, &m));
    return matrix_put(ev, &m, sink);
}

/* ---- label_join ------------------------------------------------------------------- */

static void join_values(struct strbuf *buf, const struct expr *call, struct labels set)
{
    struct slice sep = eval_string(call->call.args[2]);

    strbuf_reset(buf);
    for (size_t i = 3; i < call->call.n_args; i++) {
        if (i > 3) strbuf_slice(buf, sep);
        strbuf_slice(buf, labels_get(set, eval_string(call->call.args[i])));
    }
}

status fn_label_join(struct eval *ev, const struct frame *f, const struct expr *call,
                     struct sink *sink)
{
    struct slice dst = eval_string(call->call.args[1]);
    struct strbuf buf;
    struct matrix m;

    for (size_t i = 3; i < call->call.n_args; i++) {
        struct slice src = eval_string(call->call.args[i]);
        if (!label_name_valid(src)) return bad_label(ev, "source", "label_join", src);
    }
    if (!label_name_valid(dst)) return bad_label(ev, "destination", "label_join", dst);

    strbuf_init(&buf, LABEL_TEXT_MAX);
    status st = eval_matrix(ev, f, call->call.args[0], &m);
    for (size_t i = 0; st == ST_OK && i < m.n; i++) {
        join_values(&buf, call, m.s[i].labels);
        st = buf.failed ? label_too_long(ev, "label_join")
                        : set_label(ev, &m.s[i], dst, strbuf_view(&buf));
    }
    strbuf_release(&buf);
    if (st != ST_OK) return st;
    TRY(matrix_join_same(ev, f, &m));
    return matrix_put(ev, &m, sink);
}

/* ---- sort ------------------------------------------------------------------------- */

/* The order of an instant vector. Range results are ordered by labels in the end, so there
 * sorting does nothing. */
struct sort_key {
    const struct expr *call; /* sort_by_label: args from 1 are names */
    struct column col;
    size_t idx;              /* ties keep their order */
};

static int compare_up(const void *pa, const void *pb)
{
    const struct sort_key *a = pa, *b = pb;
    double x = a->col.val[0], y = b->col.val[0];

    if (isnan(x) || isnan(y)) { /* NaN is last both ways */
        if (isnan(x) != isnan(y)) return isnan(x) ? 1 : -1;
    } else if (x != y) {
        return x < y ? -1 : 1;
    }
    return a->idx < b->idx ? -1 : 1;
}

static int compare_down(const void *pa, const void *pb)
{
    const struct sort_key *a = pa, *b = pb;
    double x = a->col.val[0], y = b->col.val[0];

    if (!isnan(x) && !isnan(y) && x != y) return x > y ? -1 : 1;
    return compare_up(pa, pb);
}

/* The next run of digits or of other characters. */
static struct slice next_chunk(struct slice *text)
{
    bool digit = text->ptr[0] >= '0' && text->ptr[0] <= '9';
    size_t len = 1;

    while (len < text->len && (text->ptr[len] >= '0' && text->ptr[len] <= '9') == digit) len++;
    struct slice chunk = slice_of(text->ptr, len);
    *text = slice_skip(*text, len);
    return chunk;
}

static bool chunk_number(struct slice chunk, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < chunk.len; i++) {
        if (chunk.ptr[i] < '0' || chunk.ptr[i] > '9') return false;
        if (__builtin_mul_overflow(*out, 10, out)) return false;
        if (__builtin_add_overflow(*out, (uint64_t)(chunk.ptr[i] - '0'), out)) return false;
    }
    return *out <= INT64_MAX;
}

bool natural_less(struct slice a, struct slice b)
{
    while (a.len && b.len) {
        uint64_t x, y;
        struct slice ca = next_chunk(&a), cb = next_chunk(&b);
        if (chunk_number(ca, &x) && chunk_number(cb, &y)) {
            if (x != y) return x < y;
        } else if (!slice_eq(ca, cb)) {
            return slice_cmp(ca, cb) < 0;
        }
        if (!a.len) return true;
        if (!b.len) return false;
    }
    return false;
}

static int compare_labels(const void *pa, const void *pb)
{
    const struct sort_key *a = pa, *b = pb;

    for (size_t i = 1; i < a->call->call.n_args; i++) {
        struct slice name = eval_string(a->call->call.args[i]);
        struct slice x = labels_get(a->col.labels, name), y = labels_get(b->col.labels, name);
        if (slice_eq(x, y)) continue;
        if (!x.len || !y.len) return x.len ? 1 : -1;
        return natural_less(x, y) ? -1 : 1;
    }
    return labels_cmp(a->col.labels, b->col.labels);
}

static int compare_labels_down(const void *a, const void *b)
{
    return compare_labels(b, a);
}

static status sort_call(struct eval *ev, const struct frame *f, const struct expr *call,
                        struct sink *sink, int (*compare)(const void *, const void *),
                        bool by_value)
{
    struct matrix m;
    size_t n = 0;

    if (f->n > 1) {
        annotations_warn(&ev->annos, expr_pos(call),
                         "sort is ineffective for range queries since results are always ordered "
                         "by labels");
        if (!by_value) return eval_vector(ev, f, call->call.args[0], sink);
    }
    TRY(eval_matrix(ev, f, call->call.args[0], &m));
    struct sort_key *keys = arena_try_array(ev->arena, m.n + 1, sizeof(*keys));
    if (!keys) return eval_oom(ev);
    for (size_t i = 0; i < m.n; i++) {
        if (by_value) (void)column_drop_hist(f, &m.s[i]); /* they have no order */
        if (!bit_any(m.s[i].has, f->n)) continue;
        keys[n] = (struct sort_key){.call = call, .col = m.s[i], .idx = n};
        n++;
    }
    if (f->n == 1 && n > 1) qsort(keys, n, sizeof(*keys), compare);
    for (size_t i = 0; i < n; i++) TRY(sink_put(sink, &keys[i].col));
    return ST_OK;
}

status fn_sort(struct eval *ev, const struct frame *f, const struct expr *call,
               struct sink *sink)
{
    return sort_call(ev, f, call, sink, compare_up, true);
}

status fn_sort_desc(struct eval *ev, const struct frame *f, const struct expr *call,
                    struct sink *sink)
{
    return sort_call(ev, f, call, sink, compare_down, true);
}

status fn_sort_by_label(struct eval *ev, const struct frame *f, const struct expr *call,
                        struct sink *sink)
{
    return sort_call(ev, f, call, sink, compare_labels, false);
}

status fn_sort_by_label_desc(struct eval *ev, const struct frame *f, const struct expr *call,
                             struct sink *sink)
{
    return sort_call(ev, f, call, sink, compare_labels_down, false);
}
