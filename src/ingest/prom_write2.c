/* Remote write 2.0. See prom_write2.h.
 *
 *     Request      4 symbols (string)*   5 TimeSeries*
 *     TimeSeries   1 labels_refs (packed)   2 Sample*   3 Histogram*   4 Exemplar*
 *                  5 Metadata   6 created (ms; older drafts)
 *     Sample       1 value (double)   2 timestamp (ms)   3 start timestamp (ms)
 *     Exemplar     1 labels_refs   2 value   3 timestamp
 *     Metadata     1 type   3 help_ref   4 unit_ref
 *
 * Senders put the symbols first: that run is gathered, then the series are read. When a
 * symbol stands behind it, all is dropped and begun again, with one walk that gathers the
 * symbols wherever they stand and a second for the series.
 *
 * The key of a series. Each symbol has a hash of 128 bits, under the process's secret. The
 * references come in pairs (name, value); the pair at place i adds
 *
 *     (name.lo + k[4i]) * (value.lo + k[4i+1])   to one sum of 128 bits, and
 *     (name.hi + k[4i+2]) * (value.hi + k[4i+3]) to another,
 *
 * the k being secret too (the NH construction of UMAC, Black et al. 1999). Each sum is
 * folded and mixed to a half of the key. So the key depends on every symbol and its place.
 * Series of a target stand side by side and differ in a label or two, and sums can be
 * corrected: the bytes of a run are compared with those of the series before, and only
 * pairs that differ are decoded and multiplied.
 *
 * A key stands for one packed run of references at the beginning of the series. What is
 * spelled differently is read the slow way, without a key.
 */
#include "ingest/prom_write2.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/vec.h"
#include "ingest/exemplar_row.h"
#include "ingest/prom_rows_priv.h"

enum {
    REQUEST_SYMBOLS = 4,
    REQUEST_TIMESERIES = 5,
    SERIES2_REFS = 1,
    SERIES2_SAMPLES = 2,
    SERIES2_HISTOGRAMS = 3,
    SERIES2_EXEMPLARS = 4,
    SERIES2_METADATA = 5,
    SERIES2_CREATED = 6,
    META2_TYPE = 1,
    META2_HELP = 3,
    META2_UNIT = 4,
};

enum {
    TAG_SYMBOL = REQUEST_SYMBOLS << 3 | WIRE_BYTES,
    TAG_TIMESERIES = REQUEST_TIMESERIES << 3 | WIRE_BYTES,
    TAG_REFS = SERIES2_REFS << 3 | WIRE_BYTES,
    TAG_SAMPLE2 = SERIES2_SAMPLES << 3 | WIRE_BYTES,
    TAG_HISTOGRAM2 = SERIES2_HISTOGRAMS << 3 | WIRE_BYTES,
    TAG_METADATA2 = SERIES2_METADATA << 3 | WIRE_BYTES,
    TAG_START = 3 << 3 | WIRE_VARINT,
};

enum {
    AHEAD = 16,       /* series between the look and the reading, as in prom_write.c */
    PAIRS_KEYED = 64, /* labels of a series that has a key; above: the slow way */
};

struct peeked {
    struct slice msg, refs;
    struct hash128 key;
    enum value_type kind;      /* of the first row */
    bool keyed;
};

/* What a metadata message says, and of which symbol as name. */
struct meta_ref {
    uint32_t name, help, unit;
    enum metric_type type;
};

struct pair {
    uint32_t name, value;
    uint32_t end;                    /* in the run, in bytes */
    unsigned __int128 lo, hi;        /* what it adds to the sums */
};

/* A run of references, its pairs, and their sums. */
struct pair_sums {
    unsigned __int128 lo, hi;        /* of pairs [0, n) */
    size_t n;
    struct slice run;                /* of the body; n pairs fill it */
    struct pair pair[PAIRS_KEYED];
};

struct ctx {
    struct prom_ctx base;
    struct slice *symbols;           /* in the batch's arena, as hashes */
    struct hash128 *hashes;
    size_t n_symbols;
    uint64_t secret[4 * PAIRS_KEYED];
    size_t n_secret;                 /* pairs that have theirs */
    struct pair_sums sums;           /* of the series before */
    uint64_t n_timeseries, n_peeked; /* read, looked at */
    struct peeked ahead[AHEAD];
    VEC(struct meta_ref) metas;
    uint32_t *meta_of;               /* for each symbol: 1 + its last entry in metas; or NULL */
    struct slice last_meta;          /* bytes of the metadata before, */
    uint32_t last_name;              /* and the name it was for */
};

/* ---- symbols -------------------------------------------------------------- */

static bool room_for_symbols(struct ctx *ctx, size_t n)
{
    struct arena *arena = &ctx->base.batch->arena;
    ctx->symbols = arena_try_array(arena, n, sizeof(*ctx->symbols));
    ctx->hashes = arena_try_array(arena, n, sizeof(*ctx->hashes));
    if (ctx->symbols && ctx->hashes) return true;
    return prom_fail(&ctx->base, ST_NO_MEMORY, "out of memory");
}

static inline void put_symbol(struct ctx *ctx, struct slice text)
{
    ctx->symbols[ctx->n_symbols] = text;
    ctx->hashes[ctx->n_symbols++] = hash128(text.ptr, text.len);
}

static bool first_is_empty(struct ctx *ctx)
{
    if (ctx->n_symbols == 0 || ctx->symbols[0].len == 0) return true;
    return prom_fail(&ctx->base, ST_PROTOCOL, "the first symbol is not empty");
}

/* The run of symbols at the beginning of the body; *w goes behind it. */
static bool read_first_symbols(struct ctx *ctx, struct wire *w)
{
    struct slice text;
    struct wire ahead = *w;
    size_t n = 0;
    for (; ahead.at < ahead.end && *ahead.at == TAG_SYMBOL; n++) {
        ahead.at++;
        if (!wire_bytes(&text, &ahead)) return prom_damaged(&ctx->base, "request", &ahead);
    }
    if (!room_for_symbols(ctx, n)) return false;
    while (ctx->n_symbols < n) {
        w->at++;
        if (!wire_bytes(&text, w)) return prom_damaged(&ctx->base, "request", w);
        put_symbol(ctx, text);
    }
    return first_is_empty(ctx);
}

/* All symbols, wherever they stand. The whole top level is sound then. */
static bool read_all_symbols(struct ctx *ctx)
{
    struct wire w = wire_of(ctx->base.body);
    struct wire_field f;
    size_t n = 0;
    bool foreign = false; /* series and metadata of 1.0 */

    while (wire_next(&f, &w)) {
        foreign |= f.number < REQUEST_SYMBOLS;
        if (f.number != REQUEST_SYMBOLS && f.number != REQUEST_TIMESERIES) continue;
        if (!wire_is(&w, &f, WIRE_BYTES)) break;
        n += f.number == REQUEST_SYMBOLS;
    }
    if (w.why) return prom_damaged(&ctx->base, "request", &w);
    if (n == 0 && foreign)
        return prom_fail(&ctx->base, ST_PROTOCOL, "the body is of version 1.0, the type of 2.0");
    if (n == 0) return true;
    if (!room_for_symbols(ctx, n)) return false;

    w = wire_of(ctx->base.body);
    while (ctx->n_symbols < n && wire_next(&f, &w))
        if (f.number == REQUEST_SYMBOLS) put_symbol(ctx, f.bytes);
    return first_is_empty(ctx);
}

/* ---- keys ----------------------------------------------------------------- */

static void make_secret(struct ctx *ctx, size_t n_pairs)
{
    for (; ctx->n_secret < n_pairs; ctx->n_secret++) {
        uint64_t *at = &ctx->secret[4 * ctx->n_secret];
        for (unsigned half = 0; half < 2; half++) {
            uint8_t what[16] = "prom2 symbols ";
            what[14] = (uint8_t)ctx->n_secret;
            what[15] = (uint8_t)half;
            struct hash128 h = hash128(what, sizeof(what));
            at[2 * half] = h.lo;
            at[2 * half + 1] = h.hi;
        }
    }
}

/* A reference: two bytes for most. */
static inline bool take_ref(uint64_t *out, struct wire *w)
{
    if (likely(w->end - w->at >= 2 && w->at[1] < 0x80 && w->at[0] >= 0x80)) {
        *out = (uint64_t)(w->at[0] & 0x7f) | (uint64_t)w->at[1] << 7;
        w->at += 2;
        return true;
    }
    return wire_varint(out, w);
}

static uint64_t fold(unsigned __int128 sum)
{
    return hash_mix((uint64_t)sum ^ (uint64_t)(sum >> 64));
}

/* Pair i is this one now. */
static inline void put_pair(struct ctx *ctx, size_t i, uint32_t name, uint32_t value,
                            uint32_t end)
{
    if (unlikely(i >= ctx->n_secret)) make_secret(ctx, i + 1);
    const uint64_t *k = &ctx->secret[4 * i];
    const struct hash128 *a = &ctx->hashes[name], *b = &ctx->hashes[value];
    struct pair *pair = &ctx->sums.pair[i];
    if (i < ctx->sums.n) {
        ctx->sums.lo -= pair->lo;
        ctx->sums.hi -= pair->hi;
    } else {
        ctx->sums.n = i + 1;
    }
    pair->name = name;
    pair->value = value;
    pair->end = end;
    pair->lo = (unsigned __int128)(a->lo + k[0]) * (b->lo + k[1]);
    pair->hi = (unsigned __int128)(a->hi + k[2]) * (b->hi + k[3]);
    ctx->sums.lo += pair->lo;
    ctx->sums.hi += pair->hi;
}

/* How many bytes two runs have in common at their beginning. */
static inline size_t common_bytes(const char *a, const char *b, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t diff = load_u64(a + i) ^ load_u64(b + i);
        if (diff) return i + (size_t)__builtin_ctzll(diff) / 8;
    }
    while (i < n && a[i] == b[i]) i++;
    return i;
}

/* Whether all from byte `from` on is as it was, at the same place. */
static inline bool rest_is_same(const struct pair_sums *sums, struct slice run, size_t from)
{
    return run.len == sums->run.len &&
           common_bytes(run.ptr + from, sums->run.ptr + from, run.len - from) == run.len - from;
}

/* Brings the sums from the run before to this one; false when there is anything odd. */
static bool take_run(struct ctx *ctx, struct slice run)
{
    struct pair_sums *sums = &ctx->sums;
    size_t max = run.len < sums->run.len ? run.len : sums->run.len;
    size_t same = common_bytes(run.ptr, sums->run.ptr, max), n = 0;
    struct wire w = wire_of(run);

    while (n < sums->n && sums->pair[n].end <= same) n++;
    if (n) w.at += sums->pair[n - 1].end;
    for (; w.at < w.end; n++) {
        uint64_t name, value;
        if (n == PAIRS_KEYED || !take_ref(&name, &w) || !take_ref(&value, &w)) return false;
        if (name >= ctx->n_symbols || value >= ctx->n_symbols) return false;
        uint32_t end = (uint32_t)((const char *)w.at - run.ptr);
        bool aligned = n < sums->n && sums->pair[n].end == end;
        if (n < sums->n && sums->pair[n].name == name && sums->pair[n].value == value)
            sums->pair[n].end = end;
        else
            put_pair(ctx, n, (uint32_t)name, (uint32_t)value, end);
        if (aligned && rest_is_same(sums, run, end)) return true;
    }
    for (; sums->n > n; sums->n--) {
        sums->lo -= sums->pair[sums->n - 1].lo;
        sums->hi -= sums->pair[sums->n - 1].hi;
    }
    return true;
}

/* The key of a run of references; false when there is anything odd about it: then the
 * slow way finds what. */
static bool key_of(struct hash128 *out, struct ctx *ctx, struct slice run)
{
    struct pair_sums *sums = &ctx->sums;
    if (!take_run(ctx, run)) {
        sums->lo = sums->hi = 0;
        sums->n = 0;
        sums->run = slice_of(run.ptr, 0);
        return false;
    }
    sums->run = run;
    *out = (struct hash128){fold(sums->lo), fold(sums->hi + sums->n)};
    return sums->n > 0;
}

/* ---- labels --------------------------------------------------------------- */

static bool next_ref(uint64_t *out, struct ctx *ctx, struct wire *w)
{
    if (take_ref(out, w)) return true;
    w->why = "bad varint";
    return prom_damaged(&ctx->base, "labels_refs", w);
}

/* One more reference: the name or the value of a label. */
static const char *put_ref(struct label *ptr, size_t n, size_t n_max, const struct ctx *ctx,
                           uint64_t ref)
{
    if (n >= 2 * n_max) return NULL; /* counted only */
    if (ref >= ctx->n_symbols) return "a label's reference is outside the symbols";
    struct slice text = ctx->symbols[ref];
    if (n % 2) ptr[n / 2].value = text;
    else ptr[n / 2] = (struct label){text, SLICE_LIT("")};
    return NULL;
}

/* All references of a series, packed or not, wherever they stand. */
static bool read_labels(struct ctx *ctx, struct prom_series *s, struct slice msg)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    const char *why = NULL;
    uint32_t labels_max = ctx->base.env->limits->labels_max;
    size_t n = 0, n_max = (size_t)labels_max + 1; /* one more, so that it shows */
    struct label *ptr = arena_try_array(&ctx->base.batch->arena, n_max, sizeof(*ptr));
    char text[64];
    if (!ptr) return prom_fail(&ctx->base, ST_NO_MEMORY, "out of memory");

    while (wire_next(&f, &w)) {
        if (f.number != SERIES2_REFS) continue;
        struct wire refs = wire_of(f.bytes);
        uint64_t ref = f.bits;
        if (f.type == WIRE_VARINT) {
            const char *fault = put_ref(ptr, n++, n_max, ctx, ref);
            if (!why) why = fault;
            continue;
        }
        if (!wire_is(&w, &f, WIRE_BYTES)) break;
        while (refs.at < refs.end) {
            if (!next_ref(&ref, ctx, &refs)) return false;
            const char *fault = put_ref(ptr, n++, n_max, ctx, ref);
            if (!why) why = fault;
        }
    }
    if (w.why) return prom_damaged(&ctx->base, "series", &w);
    if (!why && n > 2 * (size_t)labels_max) {
        (void)snprintf(text, sizeof(text), "more than %u labels", labels_max);
        why = text;
    }
    if (!why && n % 2) why = "a label has a name and no value";
    if (!why) return prom_name_series(&ctx->base, s, ptr, n / 2);
    prom_refuse_series(&ctx->base, s, ST_BAD_LABEL, why);
    return true;
}

/* ---- metadata ------------------------------------------------------------- */

/* The symbol of the metric's name; false: none. Labels are sorted, so it is the first pair
 * unless a label begins with an upper-case letter. */
static bool name_of(uint32_t *out, const struct ctx *ctx, struct slice refs)
{
    struct wire w = wire_of(refs);
    uint64_t name, value;
    while (w.at < w.end && take_ref(&name, &w) && take_ref(&value, &w)) {
        if (name >= ctx->n_symbols || value >= ctx->n_symbols) return false;
        if (!slice_is(ctx->symbols[name], LABEL_NAME)) continue;
        *out = (uint32_t)value;
        return true;
    }
    return false;
}

static bool read_metadata(struct meta_ref *out, struct ctx *ctx, struct slice msg)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    while (wire_next(&f, &w)) {
        if (f.number != META2_TYPE && f.number != META2_HELP && f.number != META2_UNIT) continue;
        if (!wire_is(&w, &f, WIRE_VARINT)) break;
        if (f.number == META2_TYPE)
            out->type = f.bits < N_METRIC_TYPES ? (enum metric_type)f.bits : METRIC_UNKNOWN;
        else if (f.number == META2_HELP)
            out->help = f.bits < ctx->n_symbols ? (uint32_t)f.bits : UINT32_MAX;
        else
            out->unit = f.bits < ctx->n_symbols ? (uint32_t)f.bits : UINT32_MAX;
    }
    return w.why ? prom_damaged(&ctx->base, "metadata", &w) : true;
}

static bool keep_metadata(struct ctx *ctx, const struct meta_ref *meta)
{
    if (!ctx->meta_of) {
        ctx->meta_of = arena_try_zero(&ctx->base.batch->arena,
                                      ctx->n_symbols * sizeof(*ctx->meta_of));
        if (!ctx->meta_of) return prom_fail(&ctx->base, ST_NO_MEMORY, "out of memory");
    }
    uint32_t *at = &ctx->meta_of[meta->name];
    if (*at) {
        const struct meta_ref *had = &ctx->metas.ptr[*at - 1];
        if (had->help == meta->help && had->unit == meta->unit && had->type == meta->type)
            return true;
    }
    if (!vec_push(&ctx->metas, *meta)) return prom_fail(&ctx->base, ST_NO_MEMORY, "out of memory");
    *at = (uint32_t)ctx->metas.len;
    return true;
}

/* Of a series with these references. What is like the one before was looked at already. */
static bool take_metadata(struct ctx *ctx, struct slice refs, struct slice msg, uint64_t idx)
{
    struct meta_ref meta = {.type = METRIC_UNKNOWN};
    bool named = name_of(&meta.name, ctx, refs);
    if (named && meta.name == ctx->last_name && slice_eq(msg, ctx->last_meta)) return true;
    if (!read_metadata(&meta, ctx, msg)) return false;
    if (!named) return true; /* the series has no name and is refused for that */
    ctx->last_name = meta.name;
    ctx->last_meta = msg;
    if (meta.help == UINT32_MAX || meta.unit == UINT32_MAX) {
        report_first(ctx->base.report, ST_INVALID,
                     "series %" PRIu64 ": a reference of its metadata is outside the symbols", idx);
        return true;
    }
    bool empty = meta.type == METRIC_UNKNOWN && meta.help == 0 && meta.unit == 0;
    return empty || keep_metadata(ctx, &meta);
}

/* The family that a metric of this name and type belongs to. */
static struct slice family_of(struct slice name, enum metric_type type)
{
    static const char *const ends[] = {"_bucket", "_count", "_sum"};
    bool hist = type == METRIC_HISTOGRAM || type == METRIC_GAUGE_HISTOGRAM;
    if (!hist && type != METRIC_SUMMARY) return name;
    for (size_t i = hist ? 0 : 1; i < ARRAY_LEN(ends); i++) {
        struct slice end = slice_str(ends[i]);
        if (name.len <= end.len) continue;
        if (!slice_eq(slice_of(name.ptr + name.len - end.len, end.len), end)) continue;
        return slice_of(name.ptr, name.len - end.len);
    }
    return name;
}

static void hand_on_metadata(struct ctx *ctx)
{
    const struct decode_env *env = ctx->base.env;
    for (size_t i = 0; i < ctx->metas.len; i++) {
        const struct meta_ref *ref = &ctx->metas.ptr[i];
        struct metric_meta meta = {
            .family = family_of(ctx->symbols[ref->name], ref->type),
            .help = ctx->symbols[ref->help],
            .unit = ctx->symbols[ref->unit],
            .type = ref->type,
        };
        const char *fault = prom_metadata_fault(&meta, env->limits);
        if (fault) {
            report_first(ctx->base.report, ST_INVALID, "metadata: %s", fault);
            continue;
        }
        ctx->base.report->n_metadata++;
        if (env->metadata) env->metadata(env->ctx, &meta);
    }
}

/* ---- rows ----------------------------------------------------------------- */

/* The references of an Exemplar, as names and values of labels. n counts references. */
static bool put_exemplar_refs(struct ctx *ctx, const struct wire_field *f, struct label *ptr,
                              size_t *n, const char **why)
{
    struct wire refs = wire_of(f->bytes);
    uint64_t ref = f->bits;
    const char *fault;
    if (f->type == WIRE_VARINT) {
        fault = put_ref(ptr, (*n)++, PROM_EXEMPLAR_LABELS, ctx, ref);
        if (!*why) *why = fault;
        return true;
    }
    while (refs.at < refs.end) {
        if (!next_ref(&ref, ctx, &refs)) return false;
        fault = put_ref(ptr, (*n)++, PROM_EXEMPLAR_LABELS, ctx, ref);
        if (!*why) *why = fault;
    }
    return true;
}

static bool read_exemplar(struct ctx *ctx, struct prom_series *s, struct slice msg)
{
    struct prom_ctx *base = &ctx->base;
    struct label labels[PROM_EXEMPLAR_LABELS];
    struct wire w = wire_of(msg);
    struct wire_field f;
    const char *why = NULL;
    size_t n = 0;
    uint64_t value = 0, ms = 0;
    while (wire_next(&f, &w)) {
        if (f.number == EXEMPLAR_LABELS) {
            if (f.type != WIRE_VARINT && !wire_is(&w, &f, WIRE_BYTES)) break;
            if (!put_exemplar_refs(ctx, &f, labels, &n, &why)) return false;
        } else if (f.number == EXEMPLAR_VALUE) {
            if (!wire_is(&w, &f, WIRE_FIXED64)) break;
            value = f.bits;
        } else if (f.number == EXEMPLAR_TIMESTAMP) {
            if (!wire_is(&w, &f, WIRE_VARINT)) break;
            ms = f.bits;
        }
    }
    if (w.why) return prom_damaged(base, "exemplar", &w);
    if (!exemplar_wanted(base->batch, base->env, base->report)) return true;
    if (!why && n % 2) why = "a label has a name and no value";
    if (!why && n > 2 * (size_t)PROM_EXEMPLAR_LABELS) why = "too many labels";
    if (!why) return prom_add_exemplar(base, s, labels, n / 2, bits_f64(value), (int64_t)ms);
    exemplar_refused(base->report, ST_BAD_LABEL, why);
    return true;
}

/* What an older draft has for all rows of the series, usually behind them. */
static int64_t find_created(struct wire w)
{
    struct wire_field f;
    int64_t created = 0;
    while (wire_next(&f, &w))
        if (f.number == SERIES2_CREATED && f.type == WIRE_VARINT) created = (int64_t)f.bits;
    return created;
}

/* Everything but the references. *late tells that some stood behind the first field. */
static bool read_rows(struct ctx *ctx, struct prom_series *s, const struct peeked *peeked,
                      struct wire *w, bool *late)
{
    struct wire_field f;
    s->created = find_created(*w);
    while (wire_next(&f, w)) {
        if (f.number > SERIES2_METADATA) continue;
        if (f.number == SERIES2_REFS) {
            if (f.type != WIRE_VARINT && !wire_is(w, &f, WIRE_BYTES)) break;
            *late = true;
            continue;
        }
        if (!wire_is(w, &f, WIRE_BYTES)) break;
        bool good = true;
        switch (f.number) {
        case SERIES2_SAMPLES: good = prom_read_sample(&ctx->base, s, f.bytes); break;
        case SERIES2_HISTOGRAMS: good = prom_read_histogram(&ctx->base, s, f.bytes); break;
        case SERIES2_EXEMPLARS: good = read_exemplar(ctx, s, f.bytes); break;
        case SERIES2_METADATA:
            good = take_metadata(ctx, peeked->refs, f.bytes, s->idx);
            break;
        }
        if (!good) return false;
    }
    return w->why ? prom_damaged(&ctx->base, "series", w) : true;
}

/* The sample that senders write: value, time, perhaps the start. */
static bool plain_sample(int64_t *ms, uint64_t *bits, uint64_t *start, struct slice msg)
{
    struct wire w = wire_of(msg);
    uint64_t time;
    if (msg.len < 11 || w.at[0] != TAG_VALUE || w.at[9] != TAG_TIMESTAMP) return false;
    *bits = load_u64(w.at + 1);
    w.at += 10;
    if (likely(msg.len == 16 && prom_varint6(ms, w.at))) return true;
    if (!wire_varint(&time, &w)) return false;
    *ms = (int64_t)time;
    if (w.at == w.end) return true;
    if (*w.at++ != TAG_START) return false;
    return wire_varint(start, &w) && w.at == w.end;
}

/* A known series of one sample, metadata perhaps behind it: what nearly all are. False:
 * it is something else, or *good is false and the request has failed. */
static bool read_plain(struct ctx *ctx, const struct peeked *peeked, struct wire w,
                       uint32_t ordinal, uint32_t gen, bool *good)
{
    struct slice sample, meta;
    int64_t ms;
    uint64_t bits, start = 0;
    if (w.at == w.end || *w.at++ != TAG_SAMPLE2 || !wire_bytes(&sample, &w)) return false;
    if (!plain_sample(&ms, &bits, &start, sample)) return false;
    if (w.at < w.end) {
        if (*w.at++ != TAG_METADATA2 || !wire_bytes(&meta, &w) || w.at != w.end) return false;
        *good = take_metadata(ctx, peeked->refs, meta, ctx->n_timeseries);
        if (!*good) return false;
    }
    *good = prom_known_row(&ctx->base, ctx->n_timeseries, ordinal, gen, ms, bits);
    if (start && *good) *good = prom_start_row(&ctx->base, (int64_t)start);
    return *good;
}

/* ---- series --------------------------------------------------------------- */

static void peek_series(struct peeked *out, struct ctx *ctx, struct slice msg)
{
    const struct decode_env *env = ctx->base.env;
    struct wire w = wire_of(msg);
    *out = (struct peeked){.msg = msg, .refs = slice_of(msg.ptr, 0)};
    if (w.at == w.end || *w.at++ != TAG_REFS || !wire_bytes(&out->refs, &w)) return;
    out->keyed = key_of(&out->key, ctx, out->refs);
    out->kind = prom_kind_at(w, TAG_HISTOGRAM2);
    if (out->keyed && env->prefetch)
        env->prefetch(env->ctx, labels_hash_as(out->key, out->kind));
}

static struct wire behind_refs(const struct peeked *peeked)
{
    const uint8_t *at = (const uint8_t *)peeked->refs.ptr + peeked->refs.len;
    return (struct wire){at, (const uint8_t *)peeked->msg.ptr + peeked->msg.len, NULL};
}

static bool read_series(struct ctx *ctx, const struct peeked *peeked)
{
    const struct decode_env *env = ctx->base.env;
    struct wire w = behind_refs(peeked);
    bool good = true, late = false;
    uint32_t ordinal, gen;
    bool known = peeked->keyed && env->known &&
                 env->known(env->ctx, labels_hash_as(peeked->key, peeked->kind), &ordinal, &gen);
    if (known && likely(read_plain(ctx, peeked, w, ordinal, gen, &good))) return true;
    if (!good) return false;

    struct prom_series s = prom_series_at(ctx->n_timeseries);
    struct prom_mark before = prom_mark(&ctx->base);
    s.one_kind = true;
    if (known) {
        s.entry.ordinal = ordinal;
        s.entry.gen = gen;
        s.known = true;
        s.kind = peeked->kind;
        if (!read_rows(ctx, &s, peeked, &w, &late)) return false;
    } else if (peeked->keyed) {
        s.raw = peeked->key;
        if (!read_labels(ctx, &s, slice_of(peeked->msg.ptr,
                                           (size_t)((const char *)w.at - peeked->msg.ptr))))
            return false;
        if (!read_rows(ctx, &s, peeked, &w, &late)) return false;
    } else {
        late = true;
    }
    if (likely(!late && !s.other_kind)) return true;

    prom_take_back(&ctx->base, &before);
    s = prom_series_at(ctx->n_timeseries);
    s.one_kind = true;
    w = wire_of(peeked->msg);
    return read_labels(ctx, &s, peeked->msg) && read_rows(ctx, &s, peeked, &w, &late);
}

static bool take_series(struct ctx *ctx, struct slice msg)
{
    if (ctx->n_peeked == ctx->base.env->limits->batch_series_max)
        return prom_fail(&ctx->base, ST_TOO_LARGE, "too many series in one request");
    if (ctx->n_peeked - ctx->n_timeseries == AHEAD) {
        if (!read_series(ctx, &ctx->ahead[ctx->n_timeseries % AHEAD])) return false;
        ctx->n_timeseries++;
    }
    peek_series(&ctx->ahead[ctx->n_peeked % AHEAD], ctx, msg);
    ctx->n_peeked++;
    return true;
}

static bool read_waiting(struct ctx *ctx)
{
    for (; ctx->n_timeseries < ctx->n_peeked; ctx->n_timeseries++)
        if (!read_series(ctx, &ctx->ahead[ctx->n_timeseries % AHEAD])) return false;
    return true;
}

/* The series behind the first symbols. *late tells that there are more symbols: then
 * nothing holds that was read. */
static bool read_behind(struct ctx *ctx, struct wire w, bool *late)
{
    struct slice msg;
    struct wire_field f;
    for (;;) {
        while (likely(w.at < w.end && *w.at == TAG_TIMESERIES)) {
            w.at++;
            if (!wire_bytes(&msg, &w)) return prom_damaged(&ctx->base, "request", &w);
            if (!take_series(ctx, msg)) return false;
        }
        if (!wire_next(&f, &w)) break;
        *late |= f.number == REQUEST_SYMBOLS;
        if (f.number != REQUEST_SYMBOLS && f.number != REQUEST_TIMESERIES) continue;
        if (!wire_is(&w, &f, WIRE_BYTES)) break;
        if (*late) return true;
        if (!take_series(ctx, f.bytes)) return false;
    }
    if (w.why) return prom_damaged(&ctx->base, "request", &w);
    return read_waiting(ctx);
}

static void begin_again(struct ctx *ctx)
{
    prom_take_back(&ctx->base, &(struct prom_mark){.first = ST_OK});
    ctx->n_symbols = ctx->n_timeseries = ctx->n_peeked = 0;
    ctx->sums.n = ctx->sums.run.len = 0;
    ctx->sums.lo = ctx->sums.hi = 0;
    ctx->metas.len = 0;
    ctx->meta_of = NULL;
    ctx->last_name = UINT32_MAX;
}

static bool read_request(struct ctx *ctx)
{
    struct wire w = wire_of(ctx->base.body);
    struct wire_field f;
    bool late = false;
    if (w.at < w.end && *w.at == TAG_SYMBOL) {
        if (!read_first_symbols(ctx, &w) || !read_behind(ctx, w, &late)) return false;
        if (likely(!late)) return true;
        begin_again(ctx);
    }
    if (!read_all_symbols(ctx)) return false;
    w = wire_of(ctx->base.body);
    while (wire_next(&f, &w)) /* the first walk found the fields sound */
        if (f.number == REQUEST_TIMESERIES && !take_series(ctx, f.bytes)) return false;
    return read_waiting(ctx);
}

status prom_write2_decode(struct batch *batch, struct slice body, const struct decode_env *env,
                          struct decode_report *report, struct err *err)
{
    struct ctx ctx = {
        .base = {.batch = batch, .body = body, .env = env, .report = report, .err = err},
        .last_name = UINT32_MAX,
        .last_meta = slice_of("", 0),
    };
    *report = (struct decode_report){0};
    bool good = read_request(&ctx);
    if (good) {
        report->n_series = batch->n_series;
        hand_on_metadata(&ctx);
    }
    vec_release(&ctx.metas);
    return good ? ST_OK : ctx.base.failed;
}
