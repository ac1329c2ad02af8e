/* Remote write 1.0. See prom_write.h.
 *
 *     WriteRequest   1 TimeSeries*   3 MetricMetadata*
 *     TimeSeries     1 Label*   2 Sample*   3 Exemplar*   4 Histogram*
 *     Label          1 name   2 value
 *     Sample         1 value (double)   2 timestamp (ms)
 *
 * A TimeSeries is read from left to right. Senders put the labels first, so they are one
 * run of bytes; its hash says whether the series is known, and then the labels are never
 * looked into: the same bytes were found good before. When a label turns up behind the
 * run, the hash meant something else: the rows are taken back and the series is read
 * again the slow way, all its labels gathered from wherever they lie.
 *
 * Entries of the batch are made with the first row of their kind, so a TimeSeries without
 * samples leaves nothing. Metadata is only checked in the main walk and handed on after
 * it, in a second walk over the top level.
 *
 * A failed function has set ctx->failed (and err); everything returns early on it.
 */
#include "ingest/prom_write.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/utf8.h"
#include "ingest/format_priv.h"
#include "ingest/prom_hist.h"
#include "ingest/wire.h"

/* Field numbers of the published prometheus messages. */
enum {
    WRITE_TIMESERIES = 1,
    WRITE_METADATA = 3,
    SERIES_LABELS = 1,
    SERIES_SAMPLES = 2,
    SERIES_EXEMPLARS = 3,
    SERIES_HISTOGRAMS = 4,
    LABEL_FIELD_NAME = 1,
    LABEL_FIELD_VALUE = 2,
    SAMPLE_VALUE = 1,
    SAMPLE_TIMESTAMP = 2,
    EXEMPLAR_LABELS = 1,
    EXEMPLAR_VALUE = 2,
    EXEMPLAR_TIMESTAMP = 3,
    META_TYPE = 1,
    META_FAMILY = 2,
    META_HELP = 4,
    META_UNIT = 5,
};

enum {
    TAG_LABELS = SERIES_LABELS << 3 | WIRE_BYTES,
    TAG_VALUE = SAMPLE_VALUE << 3 | WIRE_FIXED64,
    TAG_TIMESTAMP = SAMPLE_TIMESTAMP << 3 | WIRE_VARINT,
};

/* A TimeSeries that was looked at and waits to be read. */
struct peeked {
    struct slice msg;
    size_t run_len;            /* bytes of the labels at its beginning */
    struct hash128 raw;        /* of those bytes */
};

enum { AHEAD = 16 };           /* series between the look and the reading; measured */

struct ctx {
    struct batch *batch;
    struct slice body;
    const struct decode_env *env;
    struct decode_report *report;
    struct err *err;
    status failed; /* of the whole request */
    uint64_t n_timeseries;     /* read */
    uint64_t n_peeked;         /* looked at */
    struct peeked ahead[AHEAD];
};

/* The TimeSeries being read. */
struct series {
    uint64_t idx;              /* in the request */
    struct batch_series entry; /* what both kinds of entry have */
    int64_t floats, hists;     /* their entries, or -1 */
    status st;                 /* ST_OK, or why all rows are refused */
};

static bool damaged(struct ctx *ctx, const char *what, const struct wire *w)
{
    size_t off = (size_t)((const char *)w->at - ctx->body.ptr);
    ctx->failed = err_set(ctx->err, ST_PROTOCOL, "remote write: %s at byte %zu: %s", what, off,
                          w->why);
    return false;
}

static bool fail(struct ctx *ctx, status st, const char *text)
{
    ctx->failed = err_set(ctx->err, st, "remote write: %s", text);
    return false;
}

/* ---- labels --------------------------------------------------------------- */

/* Any field may be missing: then the text is empty. */
static bool read_label(struct label *out, struct ctx *ctx, struct slice msg)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    *out = (struct label){SLICE_LIT(""), SLICE_LIT("")};
    while (wire_next(&f, &w)) {
        if (f.number != LABEL_FIELD_NAME && f.number != LABEL_FIELD_VALUE) continue;
        if (!wire_is(&w, &f, WIRE_BYTES)) break;
        if (f.number == LABEL_FIELD_NAME) out->name = f.bytes;
        else out->value = f.bytes;
    }
    return w.why ? damaged(ctx, "label", &w) : true;
}

static void refuse_series(struct ctx *ctx, struct series *s, status st, const char *text)
{
    s->st = st;
    report_first(ctx->report, st, "series %" PRIu64 ": %s", s->idx, text);
}

/* Labels to a canonical set with identity and hash, or the series refused. */
static bool name_series(struct ctx *ctx, struct series *s, struct label *ptr, size_t n)
{
    struct err why = {0};
    struct arena *arena = &ctx->batch->arena;

    for (size_t i = 0; i < n; i++) {
        if (ptr[i].name.len) continue;
        refuse_series(ctx, s, ST_BAD_LABEL, "a label has an empty name");
        return true;
    }
    status st = labels_canonicalise(ptr, &n, &why);
    struct labels set = {ptr, n};
    if (st == ST_OK) st = validate_labels(set, ctx->env->limits, false, &why);
    if (st != ST_OK) {
        refuse_series(ctx, s, st, err_text(&why, st));
        return true;
    }
    size_t len = labels_identity_len(set);
    uint8_t *identity = arena_try(arena, len);
    if (!identity) return fail(ctx, ST_NO_MEMORY, "out of memory");
    (void)labels_identity(identity, set);
    s->entry.labels = set;
    s->entry.identity = slice_of(identity, len);
    s->entry.hash = hash128(identity, len);
    return true;
}

/* All label fields of a TimeSeries, wherever they stand. */
static bool read_labels(struct ctx *ctx, struct series *s, struct slice msg)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    size_t n = 0, n_read = 0;

    while (wire_next(&f, &w)) n += f.number == SERIES_LABELS;
    if (w.why) return damaged(ctx, "series", &w);

    /* One above the limit is kept, so that validation says what is wrong. */
    size_t n_max = (size_t)ctx->env->limits->labels_max + 1;
    if (n > n_max) n = n_max;
    struct label *ptr = arena_try_array(&ctx->batch->arena, n, sizeof(*ptr));
    if (!ptr) return fail(ctx, ST_NO_MEMORY, "out of memory");
    w = wire_of(msg);
    while (wire_next(&f, &w)) {
        struct label label;
        if (f.number != SERIES_LABELS) continue;
        if (!wire_is(&w, &f, WIRE_BYTES)) return damaged(ctx, "series", &w);
        if (!read_label(&label, ctx, f.bytes)) return false;
        if (n_read < n) ptr[n_read++] = label;
    }
    if (n == n_max) {
        char text[64];
        (void)snprintf(text, sizeof(text), "more than %u labels", ctx->env->limits->labels_max);
        refuse_series(ctx, s, ST_BAD_LABEL, text);
        return true;
    }
    return name_series(ctx, s, ptr, n);
}

/* ---- rows ----------------------------------------------------------------- */

/* The batch's entry for this kind of value, made on first use; -1 when refused. */
static int64_t entry_for(struct ctx *ctx, struct series *s, enum value_type type)
{
    int64_t *idx = type == VALUE_F64 ? &s->floats : &s->hists;
    if (*idx >= 0) return *idx;

    int64_t at = batch_add_series(ctx->batch);
    if (at < 0) {
        (void)fail(ctx, ST_NO_MEMORY, "out of memory");
        return -1;
    }
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
static status place_row(ts_time *ts, struct row *row, const struct ctx *ctx)
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

static bool add_row(struct ctx *ctx, struct series *s, struct row row)
{
    ts_time ts;
    int64_t entry = entry_for(ctx, s, row.type);
    if (entry < 0) return false;
    if (++ctx->report->n_samples > ctx->env->limits->batch_samples_max)
        return fail(ctx, ST_TOO_LARGE, "too many samples in one request");

    status placed = place_row(&ts, &row, ctx);
    if (row.st == ST_OK) row.st = s->st == ST_OK ? placed : s->st;
    if (!batch_add_row(ctx->batch, (size_t)entry, ts, row.val, 0))
        return fail(ctx, ST_NO_MEMORY, "out of memory");
    if (likely(row.st == ST_OK)) return true;

    ctx->batch->result[ctx->batch->n_rows - 1] = (uint8_t)row.st;
    ctx->report->n_refused++;
    report_first(ctx->report, row.st, "series %" PRIu64 ", timestamp %" PRId64 ": %s", s->idx,
                 row.ms, row.why ? row.why : status_text(row.st));
    return true;
}

static bool read_sample(struct ctx *ctx, struct series *s, struct slice msg)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    uint64_t value = 0, ms = 0;

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
        }
    }
    if (w.why) return damaged(ctx, "sample", &w);

found:
    return add_row(ctx, s, (struct row){VALUE_F64, (int64_t)ms, {.bits = value}, ST_OK, NULL});
}

static bool read_histogram(struct ctx *ctx, struct series *s, struct slice msg)
{
    struct err why = {0};
    struct wire w = {0};
    const struct histogram *hist = NULL;
    int64_t ms = 0;

    status st = prom_hist_decode(&hist, &ms, &ctx->batch->arena, msg, &w.why, &w.at, &why);
    if (st == ST_PROTOCOL) return damaged(ctx, "histogram", &w);
    if (st == ST_NO_MEMORY) return fail(ctx, ST_NO_MEMORY, "out of memory");
    ctx->report->n_histograms++;
    return add_row(ctx, s, (struct row){VALUE_HISTOGRAM, ms, {.hist = hist}, st, why.text});
}

static bool check_exemplar(struct ctx *ctx, struct slice msg)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    struct label label;
    ctx->report->n_exemplars++;
    while (wire_next(&f, &w)) {
        if (f.number == EXEMPLAR_LABELS) {
            if (!wire_is(&w, &f, WIRE_BYTES)) break;
            if (!read_label(&label, ctx, f.bytes)) return false;
        } else if (f.number == EXEMPLAR_VALUE) {
            if (!wire_is(&w, &f, WIRE_FIXED64)) break;
        } else if (f.number == EXEMPLAR_TIMESTAMP) {
            if (!wire_is(&w, &f, WIRE_VARINT)) break;
        }
    }
    return w.why ? damaged(ctx, "exemplar", &w) : true;
}

/* Everything but labels. *late_label tells that a label stood behind the first row. */
static bool read_rows(struct ctx *ctx, struct series *s, struct wire *w, bool *late_label)
{
    struct wire_field f;
    while (wire_next(&f, w)) {
        if (f.number > SERIES_HISTOGRAMS) continue;
        if (!wire_is(w, &f, WIRE_BYTES)) break;
        switch (f.number) {
        case SERIES_LABELS: *late_label = true; break;
        case SERIES_SAMPLES:
            if (!read_sample(ctx, s, f.bytes)) return false;
            break;
        case SERIES_EXEMPLARS:
            if (!check_exemplar(ctx, f.bytes)) return false;
            break;
        case SERIES_HISTOGRAMS:
            if (!read_histogram(ctx, s, f.bytes)) return false;
            break;
        }
    }
    return w->why ? damaged(ctx, "series", w) : true;
}

/* ---- series --------------------------------------------------------------- */

static struct series series_at(uint64_t idx)
{
    return (struct series){
        .idx = idx,
        .entry = {.ordinal = ORDINAL_NONE},
        .floats = -1,
        .hists = -1,
        .st = ST_OK,
    };
}

/* Where the batch and the report stood before a series. */
struct mark {
    size_t n_series, n_rows;
    uint64_t n_samples, n_refused, n_exemplars, n_histograms;
    status first;
};

static struct mark mark_of(const struct ctx *ctx)
{
    const struct decode_report *r = ctx->report;
    return (struct mark){ctx->batch->n_series, ctx->batch->n_rows, r->n_samples, r->n_refused,
                         r->n_exemplars,       r->n_histograms,    r->first.st};
}

static void take_back(struct ctx *ctx, const struct mark *mark)
{
    struct decode_report *r = ctx->report;
    ctx->batch->n_series = mark->n_series;
    ctx->batch->n_rows = mark->n_rows;
    r->n_samples = mark->n_samples;
    r->n_refused = mark->n_refused;
    r->n_exemplars = mark->n_exemplars;
    r->n_histograms = mark->n_histograms;
    if (mark->first == ST_OK) r->first = (struct err){.st = ST_OK};
}

/* Labels stand in several places: read them all first. Rare, and correct. */
static bool read_scattered(struct ctx *ctx, struct slice msg)
{
    struct series s = series_at(ctx->n_timeseries);
    struct wire w = wire_of(msg);
    bool late_label = false;
    return read_labels(ctx, &s, msg) && read_rows(ctx, &s, &w, &late_label);
}

static bool read_waiting(struct ctx *ctx);

/* Finds the run of labels at the beginning and its hash. */
static bool peek_series(struct peeked *out, struct ctx *ctx, struct slice msg)
{
    struct wire w = wire_of(msg);
    while (w.at < w.end && *w.at == TAG_LABELS) {
        struct slice label;
        w.at++;
        if (!wire_bytes(&label, &w)) return read_waiting(ctx) && damaged(ctx, "series", &w);
    }
    out->msg = msg;
    out->run_len = (size_t)((const char *)w.at - msg.ptr);
    out->raw = hash128(msg.ptr, out->run_len);
    if (ctx->env->prefetch) ctx->env->prefetch(ctx->env->ctx, out->raw);
    return true;
}

static bool read_series(struct ctx *ctx, const struct peeked *peeked)
{
    const struct decode_env *env = ctx->env;
    struct series s = series_at(ctx->n_timeseries);
    struct slice run = slice_of(peeked->msg.ptr, peeked->run_len);
    struct wire w = wire_of(slice_skip(peeked->msg, peeked->run_len));
    struct mark before = mark_of(ctx);
    bool late_label = false;

    if (!env->known || !env->known(env->ctx, peeked->raw, &s.entry.ordinal, &s.entry.gen)) {
        s.entry.raw_hash = peeked->raw; /* for whoever makes or finds the series to remember */
        if (!read_labels(ctx, &s, run)) return false;
    }
    if (!read_rows(ctx, &s, &w, &late_label)) return false;
    if (likely(!late_label)) return true;

    take_back(ctx, &before);
    return read_scattered(ctx, peeked->msg);
}

static bool read_waiting(struct ctx *ctx)
{
    for (; ctx->n_timeseries < ctx->n_peeked; ctx->n_timeseries++)
        if (!read_series(ctx, &ctx->ahead[ctx->n_timeseries % AHEAD])) return false;
    return true;
}

/* Series wait a little after they were looked at, while the lines of memory that say
 * whether they are known come in: a dozen misses at once cost little more than one. */
static bool take_series(struct ctx *ctx, struct slice msg)
{
    if (ctx->n_peeked == ctx->env->limits->batch_series_max)
        return fail(ctx, ST_TOO_LARGE, "too many series in one request");
    if (ctx->n_peeked - ctx->n_timeseries == AHEAD) {
        if (!read_series(ctx, &ctx->ahead[ctx->n_timeseries % AHEAD])) return false;
        ctx->n_timeseries++;
    }
    if (!peek_series(&ctx->ahead[ctx->n_peeked % AHEAD], ctx, msg)) return false;
    ctx->n_peeked++;
    return true;
}

/* ---- metadata ------------------------------------------------------------- */

static bool read_metadata(struct metric_meta *out, struct ctx *ctx, struct slice msg)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    *out = (struct metric_meta){SLICE_LIT(""), SLICE_LIT(""), SLICE_LIT(""), METRIC_UNKNOWN};
    while (wire_next(&f, &w)) {
        bool is_type = f.number == META_TYPE;
        bool is_text = f.number == META_FAMILY || f.number == META_HELP || f.number == META_UNIT;
        if (!is_type && !is_text) continue;
        if (!wire_is(&w, &f, is_type ? WIRE_VARINT : WIRE_BYTES)) break;
        if (is_type && f.bits < N_METRIC_TYPES) out->type = (enum metric_type)f.bits;
        if (f.number == META_FAMILY) out->family = f.bytes;
        if (f.number == META_HELP) out->help = f.bytes;
        if (f.number == META_UNIT) out->unit = f.bytes;
    }
    return w.why ? damaged(ctx, "metadata", &w) : true;
}

/* Why an entry cannot be kept, or NULL. */
static const char *metadata_fault(const struct metric_meta *meta, const struct limits *limits)
{
    if (meta->family.len == 0) return "no metric family";
    if (meta->family.len > limits->metric_name_len_max) return "the name of the family is too long";
    size_t text_len = meta->help.len > meta->unit.len ? meta->help.len : meta->unit.len;
    if (text_len > limits->label_value_len_max)
        return "help or unit is too long";
    if (!utf8_valid(meta->family) || !utf8_valid(meta->help) || !utf8_valid(meta->unit))
        return "not UTF-8";
    return NULL;
}

static bool check_metadata(struct ctx *ctx, struct slice msg, uint64_t idx)
{
    struct metric_meta meta;
    if (!read_metadata(&meta, ctx, msg)) return false;
    const char *fault = metadata_fault(&meta, ctx->env->limits);
    if (fault) report_first(ctx->report, ST_INVALID, "metadata %" PRIu64 ": %s", idx, fault);
    else ctx->report->n_metadata++;
    return true;
}

static void hand_on_metadata(struct ctx *ctx)
{
    struct wire w = wire_of(ctx->body);
    struct wire_field f;
    struct metric_meta meta;
    while (wire_next(&f, &w)) {
        if (f.number != WRITE_METADATA || !read_metadata(&meta, ctx, f.bytes)) continue;
        if (!metadata_fault(&meta, ctx->env->limits)) ctx->env->metadata(ctx->env->ctx, &meta);
    }
}

/* ---- the request ---------------------------------------------------------- */

static bool read_request(struct ctx *ctx)
{
    struct wire w = wire_of(ctx->body);
    struct wire_field f;
    uint64_t n_metadata = 0;
    while (wire_next(&f, &w)) {
        if (f.number != WRITE_TIMESERIES && f.number != WRITE_METADATA) continue;
        if (!wire_is(&w, &f, WIRE_BYTES)) break;
        if (f.number == WRITE_METADATA) {
            if (!check_metadata(ctx, f.bytes, n_metadata++)) return false;
            continue;
        }
        if (!take_series(ctx, f.bytes)) return false;
    }
    if (!read_waiting(ctx)) return false;
    return w.why ? damaged(ctx, "request", &w) : true;
}

status prom_write_decode(struct batch *batch, struct slice body, const struct decode_env *env,
                         struct decode_report *report, struct err *err)
{
    struct ctx ctx = {.batch = batch, .body = body, .env = env, .report = report, .err = err};
    *report = (struct decode_report){0};
    if (!read_request(&ctx)) return ctx.failed;
    report->n_series = batch->n_series;
    if (report->n_metadata && env->metadata) hand_on_metadata(&ctx);
    return ST_OK;
}
