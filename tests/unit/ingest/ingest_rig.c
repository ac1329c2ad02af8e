/* See ingest_rig.h. */
#include "tests/unit/ingest/ingest_rig.h"

#include <inttypes.h>

#include "base/numfmt.h"
#include "model/histogram.h"
#include "tests/unit/unit.h"

static bool is_known(void *ctx, struct hash128 raw, uint32_t *ordinal, uint32_t *gen)
{
    struct rig *rig = ctx;
    rig->n_asked++;
    for (size_t i = 0; i < rig->n_known; i++) {
        if (rig->known[i].raw.lo != raw.lo || rig->known[i].raw.hi != raw.hi) continue;
        *ordinal = rig->known[i].ordinal;
        *gen = 7;
        return true;
    }
    return false;
}

static void keep_metadata(void *ctx, const struct metric_meta *meta)
{
    struct rig *rig = ctx;
    strbuf_printf(&rig->metadata, "%.*s %s '%.*s' '%.*s';", SLICE_ARG(meta->family),
                  metric_type_name(meta->type), SLICE_ARG(meta->help), SLICE_ARG(meta->unit));
}

void rig_init(struct rig *rig)
{
    *rig = (struct rig){.limits = limits_default};
    account_init(&rig->account, "rig", NULL, 0);
    strbuf_init(&rig->metadata, 0);
    rig->env = (struct decode_env){
        .limits = &rig->limits,
        .precision = PRECISION_MS,
        .window = time_window_at(RIG_NOW, 3600000, 60000),
        .now = RIG_NOW,
        .exemplars_max = 100,
        .known = is_known,
        .metadata = keep_metadata,
        .ctx = rig,
    };
}

void rig_release(struct rig *rig)
{
    batch_free(rig->batch);
    free(rig->body);
    strbuf_release(&rig->metadata);
    ck_assert_uint_eq(account_used(&rig->account), 0);
}

status rig_decode(struct rig *rig, decode_fn *decode, struct slice body)
{
    batch_free(rig->batch);
    free(rig->body);
    rig->batch = batch_new(&rig->account);
    rig->body = malloc(body.len ? body.len : 1);
    if (body.len) memcpy(rig->body, body.ptr, body.len);
    rig->err = (struct err){.st = ST_OK};
    rig->n_asked = 0;
    strbuf_reset(&rig->metadata);
    return decode(rig->batch, slice_of(rig->body, body.len), &rig->env, &rig->report, &rig->err);
}

void rig_learn(struct rig *rig)
{
    for (size_t i = 0; i < rig->batch->n_series; i++) {
        struct hash128 raw = batch_name_of(&rig->batch->series[i])->raw_hash;
        if (raw.lo == 0 && raw.hi == 0) continue;
        ck_assert_uint_lt(rig->n_known, RIG_KNOWN_MAX);
        rig->known[rig->n_known].raw = labels_hash_as(raw, rig->batch->series[i].type);
        rig->known[rig->n_known].ordinal = 100 + (uint32_t)rig->n_known;
        rig->n_known++;
    }
}

const char *rig_exemplars(struct rig *rig, struct strbuf *out)
{
    const struct batch *b = rig->batch;
    struct arena arena;
    arena_init(&arena, NULL, 1024);
    strbuf_reset(out);
    for (size_t i = 0; i < b->n_exemplars; i++) {
        const struct batch_exemplar *e = &b->exemplars[i];
        ck_assert_uint_lt(e->series, b->n_series);
        ck_assert(exemplar_packed_valid(e->ex.labels));
        struct labels set = exemplar_labels(e->ex.labels, &arena);
        strbuf_printf(out, "%u{", e->series);
        for (size_t k = 0; k < set.n; k++)
            strbuf_printf(out, "%s" SLICE_FMT "=" SLICE_FMT, k ? "," : "",
                          SLICE_ARG(set.ptr[k].name), SLICE_ARG(set.ptr[k].value));
        strbuf_printf(out, "} %g@%" PRId64 "%s;", e->ex.value, e->ex.ts - RIG_NOW,
                      e->ex.has_ts ? "" : "?");
    }
    arena_release(&arena);
    return strbuf_cstr(out);
}

const char *rig_text(struct rig *rig, struct strbuf *out)
{
    const struct batch *b = rig->batch;
    strbuf_reset(out);
    for (size_t i = 0; i < b->n_series; i++) {
        const struct batch_series *s = &b->series[i];
        if (s->ordinal != ORDINAL_NONE) strbuf_printf(out, "#%u", s->ordinal);
        else labels_print(out, batch_name_of(s)->labels);
        if (s->st != ST_OK) strbuf_printf(out, "!%s", status_name(s->st));
        for (size_t row = 0; row < b->n_rows; row++) {
            char text[NUMFMT_MAX];
            if (b->row_series[row] != i) continue;
            strbuf_char(out, ' ');
            if (s->type == VALUE_HISTOGRAM)
                strbuf_printf(out, "hist(%g)", b->val[row].hist ? b->val[row].hist->count : -1);
            else
                strbuf_put(out, text, numfmt_prom(text, bits_f64(b->val[row].bits)));
            strbuf_printf(out, "@%" PRId64, b->ts[row] - RIG_NOW);
            ts_time start = batch_start_of(b, row);
            if (start != START_NONE) strbuf_printf(out, "^%" PRId64, start - RIG_NOW);
            if (b->result[row]) strbuf_printf(out, "!%s", status_name((status)b->result[row]));
        }
        strbuf_char(out, ';');
    }
    return strbuf_cstr(out);
}
