/* Remote write 1.0. See prom_write.h.
 *
 *     WriteRequest   1 TimeSeries*   3 MetricMetadata*
 *     TimeSeries     1 Label*   2 Sample*   3 Exemplar*   4 Histogram*
 *     Label          1 name   2 value
 *     Sample         1 value (double)   2 timestamp (ms)
 *
 * The tail split. Nearly every TimeSeries is its labels and one sample behind them, and
 * a sample of our century takes 18 bytes. Where the last 18 bytes look like one, the
 * bytes before them are hashed as they are, without a walk. If the hash is known, these
 * very bytes were once walked and found to be whole label fields and nothing else, so
 * the split is right and the series is read. (The hashes of label runs are a key space
 * of their own: no other spelling of a series may have the same bytes.)
 *
 * Everything else is read from left to right. Senders put the labels first, so they are
 * one run of bytes; its hash says whether the series is known, and then the labels are
 * never looked into. When a label turns up behind the run, the hash meant something else:
 * the rows are taken back and the series is read again the slow way, all its labels
 * gathered from wherever they lie.
 *
 * Metadata is only checked in the main walk and handed on after it, in a second walk over
 * the top level.
 */
#include "ingest/prom_write.h"

#include <inttypes.h>
#include <stdio.h>

#include "ingest/exemplar_row.h"
#include "ingest/prom_rows_priv.h"

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
    META_TYPE = 1,
    META_FAMILY = 2,
    META_HELP = 4,
    META_UNIT = 5,
};

enum {
    TAG_LABELS = SERIES_LABELS << 3 | WIRE_BYTES,
    TAG_SAMPLES = SERIES_SAMPLES << 3 | WIRE_BYTES,
    TAG_HISTOGRAMS = SERIES_HISTOGRAMS << 3 | WIRE_BYTES,
};

/* A TimeSeries that was looked at and waits to be read. */
struct peeked {
    struct slice msg;
    size_t run_len;            /* bytes that were hashed: the labels at its beginning */
    struct hash128 raw;        /* of those bytes */
    enum value_type kind;      /* of the first row */
    bool split;                /* at the tail: only a known hash confirms it */
    int64_t ms;                /* the sample of the tail */
    uint64_t bits;
};

enum {
    AHEAD = 16,                /* series between the look and the reading; measured */
    SPLITS_WRONG_MAX = 16,     /* so many splits in vain: a sender of many samples a series */
};

struct ctx {
    struct prom_ctx base;
    uint64_t n_timeseries;     /* read */
    uint64_t n_peeked;         /* looked at */
    unsigned n_wrong;          /* splits that were none */
    struct peeked ahead[AHEAD];
};

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
    return w.why ? prom_damaged(&ctx->base, "label", &w) : true;
}

/* All label fields of a TimeSeries, wherever they stand. */
static bool read_labels(struct ctx *ctx, struct prom_series *s, struct slice msg)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    size_t n = 0, n_read = 0;

    while (wire_next(&f, &w)) n += f.number == SERIES_LABELS;
    if (w.why) return prom_damaged(&ctx->base, "series", &w);

    /* One above the limit is kept, so that validation says what is wrong. */
    size_t n_max = (size_t)ctx->base.env->limits->labels_max + 1;
    if (n > n_max) n = n_max;
    struct label *ptr = arena_try_array(&ctx->base.batch->arena, n, sizeof(*ptr));
    if (!ptr) return prom_fail(&ctx->base, ST_NO_MEMORY, "out of memory");
    w = wire_of(msg);
    while (wire_next(&f, &w)) {
        struct label label;
        if (f.number != SERIES_LABELS) continue;
        if (!wire_is(&w, &f, WIRE_BYTES)) return prom_damaged(&ctx->base, "series", &w);
        if (!read_label(&label, ctx, f.bytes)) return false;
        if (n_read < n) ptr[n_read++] = label;
    }
    if (n == n_max) {
        char text[64];
        (void)snprintf(text, sizeof(text), "more than %u labels",
                       ctx->base.env->limits->labels_max);
        prom_refuse_series(&ctx->base, s, ST_BAD_LABEL, text);
        return true;
    }
    return prom_name_series(&ctx->base, s, ptr, n);
}

/* ---- rows ----------------------------------------------------------------- */

/* Walks an Exemplar; its labels go to ptr, at most n_max of them. False: damaged. */
static bool walk_exemplar(struct ctx *ctx, struct slice msg, struct label *ptr, size_t n_max,
                          size_t *n, uint64_t *value, uint64_t *ms)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    struct label label;
    *n = 0;
    *value = *ms = 0;
    while (wire_next(&f, &w)) {
        if (f.number == EXEMPLAR_LABELS) {
            if (!wire_is(&w, &f, WIRE_BYTES)) break;
            if (!read_label(&label, ctx, f.bytes)) return false;
            if (*n < n_max) ptr[*n] = label;
            ++*n;
        } else if (f.number == EXEMPLAR_VALUE) {
            if (!wire_is(&w, &f, WIRE_FIXED64)) break;
            *value = f.bits;
        } else if (f.number == EXEMPLAR_TIMESTAMP) {
            if (!wire_is(&w, &f, WIRE_VARINT)) break;
            *ms = f.bits;
        }
    }
    return w.why ? prom_damaged(&ctx->base, "exemplar", &w) : true;
}

static bool read_exemplar(struct ctx *ctx, struct prom_series *s, struct slice msg)
{
    struct label labels[PROM_EXEMPLAR_LABELS];
    struct prom_ctx *base = &ctx->base;
    size_t n;
    uint64_t value, ms;
    if (!walk_exemplar(ctx, msg, labels, ARRAY_LEN(labels), &n, &value, &ms)) return false;
    if (!exemplar_wanted(base->batch, base->env, base->report)) return true;
    if (n <= ARRAY_LEN(labels))
        return prom_add_exemplar(base, s, labels, n, bits_f64(value), (int64_t)ms);
    exemplar_refused(base->report, ST_BAD_LABEL, "too many labels");
    return true;
}

/* Everything but labels. *late_label tells that a label stood behind the first row. */
static bool read_rows(struct ctx *ctx, struct prom_series *s, struct wire *w, bool *late_label)
{
    struct wire_field f;
    while (wire_next(&f, w)) {
        if (f.number > SERIES_HISTOGRAMS) continue;
        if (!wire_is(w, &f, WIRE_BYTES)) break;
        switch (f.number) {
        case SERIES_LABELS: *late_label = true; break;
        case SERIES_SAMPLES:
            if (!prom_read_sample(&ctx->base, s, f.bytes)) return false;
            break;
        case SERIES_EXEMPLARS:
            if (!read_exemplar(ctx, s, f.bytes)) return false;
            break;
        case SERIES_HISTOGRAMS:
            if (!prom_read_histogram(&ctx->base, s, f.bytes)) return false;
            break;
        }
    }
    return w->why ? prom_damaged(&ctx->base, "series", w) : true;
}

/* ---- series --------------------------------------------------------------- */

/* Labels stand in several places, or rows of both kinds came: read all labels first. Rare,
 * and correct. */
static bool read_scattered(struct ctx *ctx, struct slice msg)
{
    struct prom_series s = prom_series_at(ctx->n_timeseries);
    struct wire w = wire_of(msg);
    bool late_label = false;
    return read_labels(ctx, &s, msg) && read_rows(ctx, &s, &w, &late_label);
}

static bool read_waiting(struct ctx *ctx);

/* The key of a run of labels, apart from hashes of anything else. */
static struct hash128 run_key(const char *ptr, size_t len)
{
    struct hash128 key = hash128(ptr, len);
    key.hi ^= UINT64_C(0x70726f6d31726177); /* "prom1raw" */
    return key;
}

static bool is_known(const struct ctx *ctx, const struct peeked *peeked, uint32_t *ordinal,
                     uint32_t *gen)
{
    const struct decode_env *env = ctx->base.env;
    return env->known &&
           env->known(env->ctx, labels_hash_as(peeked->raw, peeked->kind), ordinal, gen);
}

/* Whether the message may end with the field of one sample:
 *
 *     | 0x12 | 16 | 0x09 | value: 8 bytes | 0x10 | time: varint of 6 bytes | */
static bool split_tail(struct peeked *out, struct slice msg)
{
    enum { TAIL = 18 };
    if (msg.len <= TAIL || msg.ptr[0] != TAG_LABELS) return false;

    const uint8_t *tail = (const uint8_t *)msg.ptr + msg.len - TAIL;
    if (tail[0] != TAG_SAMPLES || tail[1] != TAIL - 2 || tail[2] != TAG_VALUE ||
        tail[11] != TAG_TIMESTAMP || !prom_varint6(&out->ms, tail + 12))
        return false;
    out->bits = load_u64(tail + 3);
    out->run_len = msg.len - TAIL;
    out->kind = VALUE_F64;
    return true;
}

/* Finds the run of labels at the beginning by walking it; false: *w says what is wrong. */
static bool walk_run(struct peeked *out, struct wire *w)
{
    while (w->at < w->end && *w->at == TAG_LABELS) {
        struct slice label;
        w->at++;
        if (!wire_bytes(&label, w)) return false;
    }
    out->run_len = (size_t)((const char *)w->at - out->msg.ptr);
    out->kind = prom_kind_at(*w, TAG_HISTOGRAMS);
    return true;
}

static bool peek_series(struct peeked *out, struct ctx *ctx, struct slice msg)
{
    const struct decode_env *env = ctx->base.env;
    out->msg = msg;
    out->split = ctx->n_wrong < SPLITS_WRONG_MAX && env->known && split_tail(out, msg);
    struct wire w = wire_of(msg);
    if (!out->split && !walk_run(out, &w))
        return read_waiting(ctx) && prom_damaged(&ctx->base, "series", &w);
    out->raw = run_key(msg.ptr, out->run_len);
    if (env->prefetch) env->prefetch(env->ctx, labels_hash_as(out->raw, out->kind));
    return true;
}

static bool read_series(struct ctx *ctx, struct peeked *peeked)
{
    uint32_t ordinal = ORDINAL_NONE, gen = 0;
    struct wire w = wire_of(peeked->msg);
    bool known = is_known(ctx, peeked, &ordinal, &gen);
    if (peeked->split) {
        if (likely(known))
            return prom_known_row(&ctx->base, ctx->n_timeseries, ordinal, gen, peeked->ms,
                                  peeked->bits);
        size_t guess = peeked->run_len;
        if (!walk_run(peeked, &w)) return prom_damaged(&ctx->base, "series", &w);
        if (peeked->run_len != guess) {
            ctx->n_wrong++;
            peeked->raw = run_key(peeked->msg.ptr, peeked->run_len);
            known = is_known(ctx, peeked, &ordinal, &gen);
        }
    }
    struct slice run = slice_of(peeked->msg.ptr, peeked->run_len);
    struct prom_mark before = prom_mark(&ctx->base);
    bool late_label = false;
    w = wire_of(slice_skip(peeked->msg, peeked->run_len));
    struct prom_series s = prom_series_at(ctx->n_timeseries);
    s.entry.ordinal = ordinal;
    s.entry.gen = gen;
    s.known = known;
    s.kind = peeked->kind;
    if (!known) {
        s.raw = peeked->raw;
        if (!read_labels(ctx, &s, run)) return false;
    }
    if (!read_rows(ctx, &s, &w, &late_label)) return false;
    if (likely(!late_label && !s.other_kind)) return true;

    prom_take_back(&ctx->base, &before);
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
    if (ctx->n_peeked == ctx->base.env->limits->batch_series_max)
        return prom_fail(&ctx->base, ST_TOO_LARGE, "too many series in one request");
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
    return w.why ? prom_damaged(&ctx->base, "metadata", &w) : true;
}

static bool check_metadata(struct ctx *ctx, struct slice msg, uint64_t idx)
{
    struct metric_meta meta;
    if (!read_metadata(&meta, ctx, msg)) return false;
    const char *fault = prom_metadata_fault(&meta, ctx->base.env->limits);
    if (fault) report_first(ctx->base.report, ST_INVALID, "metadata %" PRIu64 ": %s", idx, fault);
    else ctx->base.report->n_metadata++;
    return true;
}

static void hand_on_metadata(struct ctx *ctx)
{
    struct wire w = wire_of(ctx->base.body);
    struct wire_field f;
    struct metric_meta meta;
    const struct decode_env *env = ctx->base.env;
    while (wire_next(&f, &w)) {
        if (f.number != WRITE_METADATA || !read_metadata(&meta, ctx, f.bytes)) continue;
        if (!prom_metadata_fault(&meta, env->limits)) env->metadata(env->ctx, &meta);
    }
}

/* ---- the request ---------------------------------------------------------- */

static bool read_request(struct ctx *ctx)
{
    struct wire w = wire_of(ctx->base.body);
    struct wire_field f;
    uint64_t n_metadata = 0;
    bool foreign = false; /* symbols and series of 2.0 */
    while (wire_next(&f, &w)) {
        foreign |= (f.number == 4 || f.number == 5) && f.type == WIRE_BYTES;
        if (f.number != WRITE_TIMESERIES && f.number != WRITE_METADATA) continue;
        if (!wire_is(&w, &f, WIRE_BYTES)) break;
        if (f.number == WRITE_METADATA) {
            if (!check_metadata(ctx, f.bytes, n_metadata++)) return false;
            continue;
        }
        if (!take_series(ctx, f.bytes)) return false;
    }
    if (!read_waiting(ctx)) return false;
    /* An empty answer to such a body would be a success that stored nothing. */
    if (!w.why && foreign && ctx->n_peeked == 0 && n_metadata == 0)
        return prom_fail(&ctx->base, ST_PROTOCOL, "the body is of version 2.0, the type of 1.0");
    return w.why ? prom_damaged(&ctx->base, "request", &w) : true;
}

status prom_write_decode(struct batch *batch, struct slice body, const struct decode_env *env,
                         struct decode_report *report, struct err *err)
{
    struct ctx ctx = {
        .base = {.batch = batch, .body = body, .env = env, .report = report, .err = err}};
    *report = (struct decode_report){0};
    if (!read_request(&ctx)) return ctx.base.failed;
    report->n_series = batch->n_series;
    if (report->n_metadata && env->metadata) hand_on_metadata(&ctx);
    return ST_OK;
}
