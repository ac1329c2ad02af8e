/* Change over a range of native histograms: what rate, increase, delta, irate and idelta do
 * with them. fn_rate.c decides that a window has histograms alone and extrapolates.
 *
 * A counter's change is the last histogram less the first, and for every reset between them
 * the histogram before it on top. Whether there was a reset between two neighbours is found
 * once for a series (samples_is_reset), however many windows they are in. When the first
 * was lost in a reset right after it, its layout does not matter, nor does it count.
 */
#include "promql/fn_histogram_priv.h"

static bool no_memory(struct range_call *rc)
{
    rc->failed = true;
    return false;
}

static bool reset_between(struct range_call *rc, const struct histogram *prev,
                          const struct histogram *h)
{
    bool reset = false;

    if (histogram_is_reset(&rc->ev->hist, h, prev, &reset) == HIST_REFUSED) rc->failed = true;
    return reset;
}

bool samples_is_reset(struct range_call *rc, const struct samples *s, size_t i)
{
    enum { UNKNOWN, NO, YES };
    struct samples *own = (struct samples *)(uintptr_t)s; /* a cache beside the samples */

    if (own->hist_reset.len < s->ht.len) {
        size_t more = s->ht.len - own->hist_reset.len;
        if (!vec_reserve(&own->hist_reset, more)) return no_memory(rc);
        memset(own->hist_reset.ptr + own->hist_reset.len, UNKNOWN, more);
        own->hist_reset.len = s->ht.len;
    }
    uint8_t *known = &own->hist_reset.ptr[i];
    if (*known == UNKNOWN) {
        bool reset = samples_restarted(s, s->ht.ptr[i - 1], s->ht.ptr[i]) ||
                     reset_between(rc, s->h.ptr[i - 1], s->h.ptr[i]);
        *known = reset ? YES : NO;
    }
    return *known == YES;
}

/* ---- what is said ----------------------------------------------------------------- */

static void warn_kind(struct range_call *rc, const char *kind)
{
    annotations_warn(&rc->ev->annos, rc->pos, "this native histogram metric is not a %s: %s", kind,
                     range_metric(rc));
}

/* What one addition has to say; notes are taken. */
static void note_sum(struct eval *ev, struct text_pos pos, struct labels labels,
                     enum hist_outcome outcome, int sign, struct hist_notes *notes)
{
    if (outcome == HIST_MIXED) {
        warn_mixed_schemas(ev, pos, labels_get(labels, SLICE_LIT(LABEL_NAME)));
    } else if (notes->reconciled) {
        annotations_info(&ev->annos, pos, "mismatched custom buckets were reconciled during %s",
                         sign > 0 ? "addition" : "subtraction");
    }
    *notes = (struct hist_notes){0}; /* resets are seen to by the caller */
}

/* Adds to the change; false: there is no value. */
static bool add_change(struct range_call *rc, const struct histogram *h, int sign)
{
    struct hist_notes notes = {0};
    enum hist_outcome outcome =
        hist_sum_add(&rc->ev->hist, &rc->ev->hist_change, h, sign, &notes);

    if (outcome == HIST_REFUSED) return no_memory(rc);
    note_sum(rc->ev, rc->pos, rc->labels, outcome, sign, &notes);
    return outcome == HIST_DONE;
}

bool hist_change_add(struct range_call *rc, const struct histogram *h)
{
    return add_change(rc, h, 1);
}

bool hist_take(struct range_call *rc, const struct histogram **out)
{
    struct hist_sum *sum = &rc->ev->hist_change;

    sum->reset = HIST_GAUGE;
    *out = hist_sum_value(&rc->ev->temp, sum);
    return *out ? true : no_memory(rc);
}

static bool warn_schemas(struct range_call *rc)
{
    warn_mixed_schemas(rc->ev, rc->pos, labels_get(rc->labels, SLICE_LIT(LABEL_NAME)));
    return false;
}

/* The first and the last histogram of a gauge are gauges, with the same kind of buckets. */
static bool check_gauge(struct range_call *rc, const struct hist_run *run)
{
    const struct histogram *first = run->h[0], *last = run->h[run->n - 1];

    if (histogram_is_custom(first) != histogram_is_custom(last)) return warn_schemas(rc);
    if (first->reset != HIST_GAUGE || last->reset != HIST_GAUGE) warn_kind(rc, "gauge");
    return true;
}

/* No histogram of a counter is a gauge, and all have the same kind of buckets; first is
 * what the first of them counts as. */
static bool check_counter(struct range_call *rc, const struct hist_run *run,
                          const struct histogram *first)
{
    bool gauge = run->h[0]->reset == HIST_GAUGE, mixed = false;

    for (size_t i = 1; i < run->n; i++) {
        gauge = gauge || run->h[i]->reset == HIST_GAUGE;
        mixed = mixed || histogram_is_custom(run->h[i]) != histogram_is_custom(first);
    }
    if (gauge) warn_kind(rc, "counter");
    return mixed ? warn_schemas(rc) : true;
}

/* ---- change ----------------------------------------------------------------------- */

/* The coarsest schema among those that matter. */
static int32_t coarsest(const struct hist_run *run, bool counter, const struct histogram *first)
{
    int32_t schema = first->schema;

    for (size_t i = counter ? 1 : run->n - 1; i < run->n; i++) {
        if (run->h[i]->schema < schema) schema = run->h[i]->schema;
    }
    return schema;
}

bool hist_change(struct range_call *rc, const struct hist_run *run, bool counter)
{
    struct hist_sum *sum = &rc->ev->hist_change;
    struct histogram nothing = {0};
    const struct histogram *first = run->h[0], *last = run->h[run->n - 1];

    if (counter && run->n > 1 && run->is_reset(rc, run, 1)) {
        nothing.schema = run->h[1]->schema;
        nothing.custom = run->h[1]->custom;
        nothing.n_custom = run->h[1]->n_custom;
        first = &nothing;
    }
    if (counter ? !check_counter(rc, run, first) : !check_gauge(rc, run)) return false;
    sum->compensated = false;
    if (hist_sum_set(&rc->ev->hist, sum, last) != HIST_DONE) return no_memory(rc);
    hist_sum_reduce(sum, coarsest(run, counter, first));
    if (!add_change(rc, first, -1)) return false;
    for (size_t i = 2; counter && i < run->n; i++) {
        if (run->is_reset(rc, run, i) && !add_change(rc, run->h[i - 1], 1)) return false;
    }
    return !rc->failed;
}

static bool window_reset(struct range_call *rc, const struct hist_run *run, size_t i)
{
    return samples_is_reset(rc, run->samples, run->from + i);
}

bool hist_window_change(struct range_call *rc, const struct window *w, bool counter)
{
    struct hist_run run = {
        .h = w->h, .n = w->hn, .is_reset = window_reset, .samples = w->all, .from = w->hlo};

    return hist_change(rc, &run, counter);
}

bool hist_instant_change(struct range_call *rc, const struct window *w, size_t at, bool rate)
{
    const struct histogram *a = w->h[at - 1], *b = w->h[at];
    struct hist_sum *sum = &rc->ev->hist_change;
    bool gauges = a->reset == HIST_GAUGE && b->reset == HIST_GAUGE;

    if (rate && (a->reset == HIST_GAUGE || b->reset == HIST_GAUGE)) warn_kind(rc, "counter");
    if (!rate && !gauges) warn_kind(rc, "gauge");
    sum->compensated = false;
    if (hist_sum_set(&rc->ev->hist, sum, b) != HIST_DONE) return no_memory(rc);
    if (rate && samples_is_reset(rc, w->all, w->hlo + at)) return !rc->failed;
    return !rc->failed && add_change(rc, a, -1);
}

/* ---- between two histograms ------------------------------------------------------- */

enum hist_outcome hist_between(struct eval *ev, struct text_pos pos, struct labels labels,
                               const struct histogram *a, const struct histogram *b, double part,
                               bool reset, const struct histogram **out)
{
    struct hist_sum *sum = &ev->hist_change;
    struct hist_notes notes = {0};
    enum hist_outcome outcome;

    sum->compensated = false;
    outcome = hist_sum_set(&ev->hist, sum, b);
    if (histogram_is_custom(a) != histogram_is_custom(b)) outcome = HIST_MIXED;
    if (outcome == HIST_DONE && !reset) {
        outcome = hist_sum_add(&ev->hist, sum, a, -1, &notes);
        note_sum(ev, pos, labels, outcome, -1, &notes);
    } else if (outcome == HIST_MIXED) {
        note_sum(ev, pos, labels, outcome, -1, &notes);
    }
    if (outcome != HIST_DONE) return outcome;
    hist_sum_scale(sum, part);
    if (!reset) {
        outcome = hist_sum_add(&ev->hist, sum, a, 1, &notes);
        note_sum(ev, pos, labels, outcome, 1, &notes);
    }
    bool gauge = a->reset == HIST_GAUGE || b->reset == HIST_GAUGE;
    sum->reset = gauge ? HIST_GAUGE : HIST_RESET_UNKNOWN;
    if (outcome == HIST_DONE) *out = hist_sum_value(ev->arena, sum);
    return outcome == HIST_DONE && !*out ? HIST_REFUSED : outcome;
}
