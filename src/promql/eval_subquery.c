/* Subqueries: an expression evaluated in a frame of its own, whose columns become the
 * samples of a range.
 *
 * The inner steps are the multiples of the resolution since the epoch, whatever the
 * query's own steps are: the same subquery sees the same inner times from every step.
 * One frame serves all windows of the outer frame: it begins at the first multiple after
 * the oldest window's open left end and goes to the newest window's end.
 */
#include "promql/eval_range_priv.h"

/* Inner steps of one subquery. A guess: at 8 bytes a value more than this is no query
 * but a mistake (Prometheus has only its limit on samples). */
enum { SUBQUERY_STEPS_MAX = 10000000 };

status subquery_frame(struct eval *ev, const struct frame *f, const struct expr *sub,
                      struct frame *out, bool *empty)
{
    const struct subquery_expr *s = &sub->subquery;
    int64_t step = s->step.ticks;
    ts_time from = sat_sub(modified_time(&s->mod, f->start), s->range.ticks);
    ts_time to = modified_time(&s->mod, frame_time(f, f->n - 1));

    *empty = true;
    if (step <= 0) return err_set(ev->err, ST_EXECUTION, "zero step in a subquery");
    ts_time rest = from % step;
    if (rest < 0) rest += step;
    ts_time first = sat_add(sat_sub(from, rest), step); /* always after from */
    if (first > to) return ST_OK;
    uint64_t n = ((uint64_t)to - (uint64_t)first) / (uint64_t)step + 1;
    if (n > SUBQUERY_STEPS_MAX) {
        return err_set(ev->err, ST_LIMIT, "subquery has %llu steps, more than %d",
                       (unsigned long long)n, SUBQUERY_STEPS_MAX);
    }
    *out = (struct frame){.start = first, .step = step, .n = (size_t)n};
    *empty = false;
    return ST_OK;
}

status subquery_columns(struct eval *ev, const struct frame *inner, const struct expr *sub,
                        struct sink *sink)
{
    const struct expr *e = sub->subquery.expr;
    struct matrix m;

    if (ev->delayed || e->kind == EXPR_VECTOR) return eval_vector(ev, inner, e, sink);
    /* Where names go at once, what were two series may be one, if they do not meet. */
    TRY(eval_matrix(ev, inner, e, &m));
    TRY(matrix_join_same(ev, inner, &m));
    return matrix_put(ev, &m, sink);
}

/* A hint speaks of the sample before, which need not be the one of the step before. */
static const struct histogram *without_hint(struct eval *ev, const struct histogram *h)
{
    if (h->reset == HIST_RESET_UNKNOWN || h->reset == HIST_GAUGE) return h;
    struct histogram *out = arena_try(ev->arena, sizeof(*out));
    if (!out) return NULL;
    *out = *h;
    out->reset = HIST_RESET_UNKNOWN;
    return out;
}

status samples_from_column(struct eval *ev, const struct frame *f, const struct column *col,
                           struct samples *out)
{
    size_t n = bit_count(col->has, f->n);

    samples_clear(out);
    if (!vec_reserve(&out->t, n) || !vec_reserve(&out->v, n)) return eval_oom(ev);
    if (col->hist && (!vec_reserve(&out->ht, n) || !vec_reserve(&out->h, n))) {
        return eval_oom(ev);
    }
    FOR_EACH_BIT(i, col->has, f->n) {
        const struct histogram *h = column_hist(col, i);
        if (h) {
            out->ht.ptr[out->ht.len++] = frame_time(f, i);
            out->h.ptr[out->h.len++] = without_hint(ev, h);
            if (!out->h.ptr[out->h.len - 1]) return eval_oom(ev);
        } else {
            out->t.ptr[out->t.len++] = frame_time(f, i);
            out->v.ptr[out->v.len++] = col->val[i];
        }
    }
    return ST_OK;
}
