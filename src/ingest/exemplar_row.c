/* Exemplars into a batch. See exemplar_row.h. */
#include "ingest/exemplar_row.h"

#include <math.h>

#include "model/exemplar.h"

bool exemplar_wanted(struct batch *batch, const struct decode_env *env,
                     struct decode_report *report)
{
    report->n_exemplars++;
    if (batch->n_exemplars < env->exemplars_max) return true;
    report->n_exemplars_refused++;
    return false;
}

void exemplar_refused(struct decode_report *report, status st, const char *why)
{
    report->n_exemplars_refused++;
    if (report->exemplar.text[0]) return;
    (void)err_set(&report->exemplar, st, "%s", why);
}

bool exemplar_add(struct batch *batch, size_t series, const struct exemplar_row *row,
                  const struct decode_env *env, struct decode_report *report)
{
    struct err why = {.st = ST_OK};
    struct exemplar ex = {.ts = row->ts, .value = row->value, .has_ts = row->has_ts};
    if (isnan(ex.value)) ex.value = bits_f64(VALUE_NAN_BITS);
    status st = row->st != ST_OK ? row->st : validate_time(row->ts, env->window);
    if (st == ST_OK) st = exemplar_pack(&ex.labels, &batch->arena, row->labels, row->n, &why);
    if (st == ST_NO_MEMORY) return false;
    if (st == ST_OK) return batch_add_exemplar(batch, series, &ex);
    exemplar_refused(report, st, err_text(&why, st));
    return true;
}
