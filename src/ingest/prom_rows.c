/* Rows of remote write. See prom_rows_priv.h.
 *
 * Entries of the batch are made with the first row of their kind, so a series without
 * samples leaves nothing; unless it has exemplars: then an entry that makes no series.
 */
#include "ingest/prom_rows_priv.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/utf8.h"
#include "ingest/exemplar_row.h"
#include "ingest/prom_hist.h"

bool prom_damaged(struct prom_ctx *ctx, const char *what, const struct wire *w)
{
    size_t off = (size_t)((const char *)w->at - ctx->body.ptr);
    ctx->failed = err_set(ctx->err, ST_PROTOCOL, "remote write: %s at byte %zu: %s", what, off,
                          w->why);
    return false;
}

bool prom_fail(struct prom_ctx *ctx, status st, const char *text)
{
    ctx->failed = err_set(ctx->err, st, "remote write: %s", text);
    return false;
}

/* ---- series --------------------------------------------------------------- */

struct prom_series prom_series_at(uint64_t idx)
{
    return (struct prom_series){
        .idx = idx,
        .entry = {.ordinal = ORDINAL_NONE},
        .floats = -1,
        .hists = -1,
        .bare = -1,
        .st = ST_OK,
    };
}

void prom_refuse_series(struct prom_ctx *ctx, struct prom_series *s, status st,
                        const char *text)
{
    s->st = st;
    report_first(ctx->report, st, "series %" PRIu64 ": %s", s->idx, text);
}

bool prom_name_series(struct prom_ctx *ctx, struct prom_series *s, struct label *ptr, size_t n)
{
    struct err why = {0};
    struct arena *arena = &ctx->batch->arena;

    for (size_t i = 0; i < n; i++) {
        if (ptr[i].name.len) continue;
        prom_refuse_series(ctx, s, ST_BAD_LABEL, "a label has an empty name");
        return true;
    }
    status st = labels_canonicalise(ptr, &n, &why);
    struct labels set = {ptr, n};
    if (st == ST_OK) st = validate_labels(set, ctx->env->limits, false, &why);
    if (st != ST_OK) {
        prom_refuse_series(ctx, s, st, err_text(&why, st));
        return true;
    }
    size_t len = labels_identity_len(set);
    uint8_t *identity = arena_try(arena, len);
    if (!identity || !batch_name_series(ctx->batch, &s->entry))
        return prom_fail(ctx, ST_NO_MEMORY, "out of memory");
    (void)labels_identity(identity, set);
    *s->entry.name = (struct batch_name){.labels = set,
                                         .identity = slice_of(identity, len),
                                         .hash = hash128(identity, len),
                                         .raw_hash = s->raw};
    return true;
}

struct prom_mark prom_mark(const struct prom_ctx *ctx)
{
    const struct decode_report *r = ctx->report;
    return (struct prom_mark){.n_series = ctx->batch->n_series,
                              .n_rows = ctx->batch->n_rows,
                              .n_batch_exemplars = ctx->batch->n_exemplars,
                              .n_samples = r->n_samples,
                              .n_refused = r->n_refused,
                              .n_exemplars = r->n_exemplars,
                              .n_exemplars_refused = r->n_exemplars_refused,
                              .n_histograms = r->n_histograms,
                              .first = r->first.st};
}

void prom_take_back(struct prom_ctx *ctx, const struct prom_mark *mark)
{
    struct decode_report *r = ctx->report;
    batch_take_back(ctx->batch, mark->n_series, mark->n_rows);
    ctx->batch->n_exemplars = mark->n_batch_exemplars;
    r->n_samples = mark->n_samples;
    r->n_refused = mark->n_refused;
    r->n_exemplars = mark->n_exemplars;
    r->n_exemplars_refused = mark->n_exemplars_refused;
    r->n_histograms = mark->n_histograms;
    if (mark->first == ST_OK) r->first = (struct err){.st = ST_OK};
}

/* ---- rows ----------------------------------------------------------------- */

/* The batch's entry for this kind of value, made on first use; -1 when refused. */
static int64_t entry_for(struct prom_ctx *ctx, struct prom_series *s, enum value_type type)
{
    int64_t *idx = type == VALUE_F64 ? &s->floats : &s->hists;
    if (*idx >= 0) return *idx;

    int64_t at = batch_add_series(ctx->batch);
    if (at < 0) {
        (void)prom_fail(ctx, ST_NO_MEMORY, "out of memory");
        return -1;
    }
    if (unlikely(s->known && type != s->kind)) s->other_kind = true;
    s->entry.type = type;
    s->entry.st = s->st;
    ctx->batch->series[at] = s->entry;
    return *idx = at;
}

/* A value as decoded: with st not ST_OK it is refused for the reason in why. */
struct row {
    enum value_type type;
    int64_t ms;
    union value val;
    status st;
    const char *why; /* NULL: what the status says */
};

/* Converts and checks the time; the status of the row. */
static status place_row(ts_time *ts, struct row *row, const struct prom_ctx *ctx)
{
    const struct decode_env *env = ctx->env;
    *ts = row->ms;
    if (env->precision != PRECISION_MS && !time_from_ms(ts, row->ms, env->precision)) {
        *ts = 0;
        row->why = "the precision of the database cannot hold the timestamp";
        return ST_INVALID;
    }
    return validate_time(*ts, env->window);
}

static bool add_row(struct prom_ctx *ctx, struct prom_series *s, struct row row)
{
    ts_time ts;
    bool other = row.type == VALUE_F64 ? s->hists >= 0 : s->floats >= 0;
    int64_t entry = entry_for(ctx, s, row.type);
    if (entry < 0) return false;
    if (++ctx->report->n_samples > ctx->env->limits->batch_samples_max)
        return prom_fail(ctx, ST_TOO_LARGE, "too many samples in one request");

    status placed = place_row(&ts, &row, ctx);
    if (row.st == ST_OK) row.st = s->st == ST_OK ? placed : s->st;
    if (row.st == ST_OK && s->one_kind && other) {
        row.st = ST_INVALID;
        row.why = "a series has samples or histograms, not both";
    }
    if (!batch_add_row(ctx->batch, (size_t)entry, ts, row.val, 0))
        return prom_fail(ctx, ST_NO_MEMORY, "out of memory");
    if (likely(row.st == ST_OK)) return true;

    ctx->batch->result[ctx->batch->n_rows - 1] = (uint8_t)row.st;
    ctx->report->n_refused++;
    report_first(ctx->report, row.st, "series %" PRIu64 ", timestamp %" PRId64 ": %s", s->idx,
                 row.ms, row.why ? row.why : status_text(row.st));
    return true;
}

bool prom_known_row(struct prom_ctx *ctx, uint64_t idx, uint32_t ordinal, uint32_t gen,
                    int64_t ms, uint64_t bits)
{
    const struct decode_env *env = ctx->env;
    bool plain = env->precision == PRECISION_MS && ms >= env->window.oldest &&
                 ms <= env->window.newest;
    if (likely(plain && ctx->report->n_samples < env->limits->batch_samples_max)) {
        ctx->report->n_samples++;
        if (batch_add_known(ctx->batch, ordinal, gen, ms, (union value){.bits = bits}))
            return true;
        return prom_fail(ctx, ST_NO_MEMORY, "out of memory");
    }
    struct prom_series s = prom_series_at(idx);
    s.entry.ordinal = ordinal;
    s.entry.gen = gen;
    return add_row(ctx, &s, (struct row){VALUE_F64, ms, {.bits = bits}, ST_OK, NULL});
}

bool prom_start_row(struct prom_ctx *ctx, int64_t start)
{
    ts_time ts = start;
    enum precision precision = ctx->env->precision;
    if (start == 0) return true;
    if (precision != PRECISION_MS && !time_from_ms(&ts, start, precision)) return true;
    return batch_start_row(ctx->batch, ts) || prom_fail(ctx, ST_NO_MEMORY, "out of memory");
}

bool prom_read_sample(struct prom_ctx *ctx, struct prom_series *s, struct slice msg)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    uint64_t value = 0, ms = 0, start = 0;

    /* What every sender writes: value, then timestamp, nothing else. */
    if (likely(msg.len > 10 && w.at[0] == TAG_VALUE && w.at[9] == TAG_TIMESTAMP)) {
        struct wire rest = {w.at + 10, w.end, NULL};
        if (likely(wire_varint(&ms, &rest) && rest.at == rest.end)) {
            value = load_u64(w.at + 1);
            goto found;
        }
        ms = 0;
    }
    while (wire_next(&f, &w)) {
        if (f.number == SAMPLE_VALUE) {
            if (!wire_is(&w, &f, WIRE_FIXED64)) break;
            value = f.bits;
        } else if (f.number == SAMPLE_TIMESTAMP) {
            if (!wire_is(&w, &f, WIRE_VARINT)) break;
            ms = f.bits;
        } else if (f.number == SAMPLE_START && s->one_kind) {
            if (!wire_is(&w, &f, WIRE_VARINT)) break;
            start = f.bits;
        }
    }
    if (w.why) return prom_damaged(ctx, "sample", &w);

found:
    if (!add_row(ctx, s, (struct row){VALUE_F64, (int64_t)ms, {.bits = value}, ST_OK, NULL}))
        return false;
    return prom_start_row(ctx, start ? (int64_t)start : s->created);
}

bool prom_read_histogram(struct prom_ctx *ctx, struct prom_series *s, struct slice msg)
{
    struct err why = {0};
    struct wire w = {0};
    const struct histogram *hist = NULL;
    int64_t ms = 0, start = 0;

    status st =
        prom_hist_decode(&hist, &ms, &start, &ctx->batch->arena, msg, &w.why, &w.at, &why);
    if (st == ST_PROTOCOL) return prom_damaged(ctx, "histogram", &w);
    if (st == ST_NO_MEMORY) return prom_fail(ctx, ST_NO_MEMORY, "out of memory");
    ctx->report->n_histograms++;
    if (!add_row(ctx, s, (struct row){VALUE_HISTOGRAM, ms, {.hist = hist}, st, why.text}))
        return false;
    if (!s->one_kind) return true;
    return prom_start_row(ctx, start ? start : s->created);
}

/* ---- exemplars ------------------------------------------------------------ */

/* The entry of its rows, or one without rows. -1: the request has failed. */
static int64_t exemplar_entry(struct prom_ctx *ctx, struct prom_series *s)
{
    if (s->floats >= 0) return s->floats;
    if (s->hists >= 0) return s->hists;
    if (s->bare >= 0) return s->bare;
    int64_t at = batch_add_series(ctx->batch);
    if (at < 0) {
        (void)prom_fail(ctx, ST_NO_MEMORY, "out of memory");
        return -1;
    }
    struct batch_series *entry = &ctx->batch->series[at];
    *entry = s->entry;
    entry->type = s->known ? s->kind : VALUE_F64;
    entry->st = s->st;
    entry->make = MAKE_NEVER;
    return s->bare = at;
}

bool prom_add_exemplar(struct prom_ctx *ctx, struct prom_series *s, struct label *ptr, size_t n,
                       double value, int64_t ms)
{
    struct exemplar_row row = {
        .labels = ptr, .n = n, .value = value, .has_ts = ms != 0, .st = ST_OK};
    if (s->st != ST_OK) {
        exemplar_refused(ctx->report, s->st, "its series is refused");
        return true;
    }
    int64_t entry = exemplar_entry(ctx, s);
    if (entry < 0) return false;
    if (!time_from_ms(&row.ts, ms, ctx->env->precision)) row.st = ST_INVALID;
    return exemplar_add(ctx->batch, (size_t)entry, &row, ctx->env, ctx->report) ||
           prom_fail(ctx, ST_NO_MEMORY, "out of memory");
}

/* ---- metadata ------------------------------------------------------------- */

const char *prom_metadata_fault(const struct metric_meta *meta, const struct limits *limits)
{
    if (meta->family.len == 0) return "no metric family";
    if (meta->family.len > limits->metric_name_len_max) return "the name of the family is too long";
    size_t text_len = meta->help.len > meta->unit.len ? meta->help.len : meta->unit.len;
    if (text_len > limits->label_value_len_max) return "help or unit is too long";
    if (!utf8_valid(meta->family) || !utf8_valid(meta->help) || !utf8_valid(meta->unit))
        return "not UTF-8";
    return NULL;
}
