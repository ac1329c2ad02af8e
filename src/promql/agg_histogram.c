/* Sums and means of native histograms: see agg_histogram_priv.h. The arithmetic is that of
 * hist_math.h; here is what Prometheus says about it. */
#include "promql/agg_histogram_priv.h"

void warn_mixed_schemas(struct eval *ev, struct text_pos pos, struct slice metric)
{
    annotations_warn(&ev->annos, pos,
                     "vector contains a mix of histograms with exponential and custom buckets "
                     "schemas for metric name %s",
                     go_quote(ev->arena, metric));
}

static enum hist_outcome fold_in(struct eval *ev, struct hist_fold *fold,
                                 const struct histogram *h, struct hist_notes *notes)
{
    struct hist_mean *mean = &fold->mean;

    if (fold->is_mean) return hist_mean_add(&ev->hist, mean, h, notes);
    mean->sum.compensated = true;
    if (mean->n++ == 0) return hist_sum_set(&ev->hist, &mean->sum, h);
    return hist_sum_add(&ev->hist, &mean->sum, h, 1, notes);
}

status hist_fold_add(struct eval *ev, struct hist_fold *fold, const struct histogram *h,
                     struct text_pos pos, struct slice metric)
{
    struct hist_notes notes = {0};
    enum hist_outcome outcome = fold_in(ev, fold, h, &notes);

    fold->reset_seen = fold->reset_seen || h->reset == HIST_RESET_YES;
    fold->no_reset_seen = fold->no_reset_seen || h->reset == HIST_RESET_NO;
    if (notes.reconciled) {
        annotations_info(&ev->annos, pos,
                         "mismatched custom buckets were reconciled during aggregation");
    }
    if (outcome == HIST_MIXED) {
        warn_mixed_schemas(ev, pos, metric);
        fold->failed = true;
    }
    return outcome == HIST_REFUSED ? eval_oom(ev) : ST_OK;
}

status hist_fold_finish(struct eval *ev, struct arena *arena, struct hist_fold *fold,
                        struct text_pos pos, const struct histogram **out)
{
    if (fold->reset_seen && fold->no_reset_seen) {
        annotations_warn(&ev->annos, pos,
                         "conflicting counter resets during histogram aggregation");
    }
    *out = NULL;
    if (fold->failed) return ST_OK;
    *out = fold->is_mean ? hist_mean_value(arena, &fold->mean)
                         : hist_sum_value(arena, &fold->mean.sum);
    return *out ? ST_OK : eval_oom(ev);
}

void hist_fold_reset(struct hist_fold *fold)
{
    struct hist_sum_side pos = fold->mean.sum.pos, neg = fold->mean.sum.neg;

    *fold = (struct hist_fold){.is_mean = fold->is_mean};
    fold->mean.sum.pos = pos;
    fold->mean.sum.neg = neg;
}
