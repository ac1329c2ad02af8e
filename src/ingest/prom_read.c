/* Remote read. See prom_read.h. */
#include "ingest/prom_read.h"

#include <inttypes.h>

#include "base/crc32c.h"
#include "ingest/prom_chunk.h"
#include "ingest/prom_hist.h"
#include "ingest/wire_write.h"

/* Field numbers of the published messages. */
enum {
    READ_QUERIES = 1,
    READ_ACCEPTED = 2,
    QUERY_START = 1,
    QUERY_END = 2,
    QUERY_MATCHERS = 3,
    MATCHER_TYPE = 1,
    MATCHER_NAME = 2,
    MATCHER_VALUE = 3,
    RESPONSE_RESULTS = 1,
    RESULT_SERIES = 1,
    SERIES_LABELS = 1,
    SERIES_SAMPLES = 2,
    SERIES_HISTOGRAMS = 4,
    LABEL_FIELD_NAME = 1,
    LABEL_FIELD_VALUE = 2,
    SAMPLE_FIELD_VALUE = 1,
    SAMPLE_FIELD_TIME = 2,
    CHUNKED_SERIES = 1,
    CHUNKED_QUERY = 2,
    CHUNKS = 2,
    CHUNK_FROM = 1,
    CHUNK_TO = 2,
    CHUNK_TYPE = 3,
    CHUNK_DATA = 4,
};

enum { ACCEPT_SAMPLES, ACCEPT_STREAMED };

/* ---- the request ---------------------------------------------------------- */

static status damaged(struct err *err, const char *what, const struct wire *w)
{
    return err_set(err, ST_PROTOCOL, "remote read: %s: %s", what, w->why ? w->why : "damaged");
}

/* What the arrays have to hold. */
struct read_counts {
    size_t n_queries, n_matchers;
};

static status count(struct read_counts *out, struct slice body, struct err *err)
{
    struct wire w = wire_of(body);
    struct wire_field f;
    while (wire_next(&f, &w)) {
        if (f.number != READ_QUERIES) continue;
        if (!wire_is(&w, &f, WIRE_BYTES)) break;
        struct wire query = wire_of(f.bytes);
        struct wire_field g;
        out->n_queries++;
        while (wire_next(&g, &query)) out->n_matchers += g.number == QUERY_MATCHERS;
        if (query.why) return damaged(err, "query", &query);
    }
    if (w.why) return damaged(err, "request", &w);
    if (out->n_queries > PROM_READ_QUERIES_MAX)
        return err_set(err, ST_TOO_LARGE, "remote read: more than %d queries",
                       PROM_READ_QUERIES_MAX);
    if (out->n_matchers > PROM_READ_MATCHERS_MAX)
        return err_set(err, ST_TOO_LARGE, "remote read: more than %d matchers",
                       PROM_READ_MATCHERS_MAX);
    return ST_OK;
}

static status read_matcher(struct matcher *out, struct slice msg, struct err *err)
{
    static const enum match_op ops[] = {MATCH_EQ, MATCH_NE, MATCH_RE, MATCH_NRE};
    struct wire w = wire_of(msg);
    struct wire_field f;
    uint64_t type = 0;
    struct slice name = SLICE_LIT(""), value = SLICE_LIT("");
    while (wire_next(&f, &w)) {
        if (f.number < MATCHER_TYPE || f.number > MATCHER_VALUE) continue;
        if (!wire_is(&w, &f, f.number == MATCHER_TYPE ? WIRE_VARINT : WIRE_BYTES)) break;
        if (f.number == MATCHER_TYPE) type = f.bits;
        else if (f.number == MATCHER_NAME) name = f.bytes;
        else value = f.bytes;
    }
    if (w.why) return damaged(err, "matcher", &w);
    if (type >= ARRAY_LEN(ops))
        return err_set(err, ST_INVALID, "invalid matcher type %" PRIu64, type);
    if (name.len == 0) return err_set(err, ST_INVALID, "a matcher has no label name");
    return matcher_init(out, ops[type], name, value, err);
}

static status read_query(struct prom_read *read, struct slice msg, struct err *err)
{
    struct prom_read_query *q = &read->queries[read->n_queries++];
    struct wire w = wire_of(msg);
    struct wire_field f;
    *q = (struct prom_read_query){.matchers = read->matchers + read->n_matchers};
    while (wire_next(&f, &w)) {
        if (f.number < QUERY_START || f.number > QUERY_MATCHERS) continue;
        if (!wire_is(&w, &f, f.number == QUERY_MATCHERS ? WIRE_BYTES : WIRE_VARINT)) break;
        if (f.number == QUERY_START) q->from_ms = (int64_t)f.bits;
        if (f.number == QUERY_END) q->to_ms = (int64_t)f.bits;
        if (f.number != QUERY_MATCHERS) continue;
        TRY(read_matcher(&q->matchers[q->n], f.bytes, err));
        q->n++;
        read->n_matchers++;
    }
    return w.why ? damaged(err, "query", &w) : ST_OK;
}

/* The kinds of answer that are accepted, packed or one by one; the first known one holds. */
struct accepted {
    bool any, known;
    bool streamed;
};

static void accept_kind(struct accepted *a, uint64_t kind)
{
    a->any = true;
    if (a->known || kind > ACCEPT_STREAMED) return;
    a->known = true;
    a->streamed = kind == ACCEPT_STREAMED;
}

static status read_accepted(struct accepted *a, const struct wire_field *f, struct err *err)
{
    struct wire w = wire_of(f->bytes);
    uint64_t kind;
    if (f->type == WIRE_VARINT) {
        accept_kind(a, f->bits);
        return ST_OK;
    }
    if (!wire_is(&w, f, WIRE_BYTES)) return damaged(err, "accepted_response_types", &w);
    while (w.at < w.end) {
        if (!wire_varint(&kind, &w)) return damaged(err, "accepted_response_types", &w);
        accept_kind(a, kind);
    }
    return ST_OK;
}

static status read_request(struct prom_read *read, struct slice body, struct err *err)
{
    struct wire w = wire_of(body);
    struct wire_field f;
    struct accepted accepted = {.any = false};
    while (wire_next(&f, &w)) { /* counting found the fields sound */
        if (f.number == READ_QUERIES) TRY(read_query(read, f.bytes, err));
        if (f.number == READ_ACCEPTED) TRY(read_accepted(&accepted, &f, err));
    }
    if (accepted.any && !accepted.known)
        return err_set(err, ST_INVALID,
                       "server does not support any of the requested response types; supported: "
                       "SAMPLES, STREAMED_XOR_CHUNKS");
    read->streamed = accepted.streamed;
    return ST_OK;
}

status prom_read_decode(struct prom_read *out, struct slice body, struct arena *arena,
                        struct err *err)
{
    struct read_counts n = {0, 0};
    *out = (struct prom_read){.n_queries = 0};
    TRY(count(&n, body, err));
    out->queries = arena_try_array(arena, n.n_queries + 1, sizeof(*out->queries));
    out->matchers = arena_try_array(arena, n.n_matchers + 1, sizeof(*out->matchers));
    if (!out->queries || !out->matchers) return err_set(err, ST_NO_MEMORY, "out of memory");
    status st = read_request(out, body, err);
    if (st != ST_OK) prom_read_release(out);
    return st;
}

void prom_read_release(struct prom_read *read)
{
    for (size_t i = 0; i < read->n_matchers; i++) matcher_release(&read->matchers[i]);
    read->n_matchers = read->n_queries = 0;
}

/* ---- samples -------------------------------------------------------------- */

void prom_read_scratch_release(struct prom_read_scratch *scratch)
{
    strbuf_release(&scratch->series);
    strbuf_release(&scratch->part);
}

static void put_labels(struct strbuf *out, struct labels labels, struct strbuf *part)
{
    for (size_t i = 0; i < labels.n; i++) {
        wire_put_bytes(part, LABEL_FIELD_NAME, labels.ptr[i].name);
        wire_put_bytes(part, LABEL_FIELD_VALUE, labels.ptr[i].value);
        wire_put_message(out, SERIES_LABELS, part);
    }
}

void prom_read_put_series(struct strbuf *out, struct labels labels, struct prom_run floats,
                          struct prom_run hists, struct prom_read_scratch *scratch)
{
    struct strbuf *series = &scratch->series, *part = &scratch->part;
    series->len = part->len = 0;
    put_labels(series, labels, part);
    for (size_t i = 0; i < floats.n; i++) {
        wire_put_double(part, SAMPLE_FIELD_VALUE, bits_f64(floats.val[i].bits));
        wire_put_varint(part, SAMPLE_FIELD_TIME, (uint64_t)floats.ms[i]);
        wire_put_message(series, SERIES_SAMPLES, part);
    }
    for (size_t i = 0; i < hists.n; i++) {
        prom_hist_encode(part, hists.ms[i], hists.val[i].hist);
        wire_put_message(series, SERIES_HISTOGRAMS, part);
    }
    wire_put_message(out, RESULT_SERIES, series);
}

void prom_read_put_result(struct strbuf *out, struct strbuf *result)
{
    wire_put_message(out, RESPONSE_RESULTS, result);
}

/* ---- streamed ------------------------------------------------------------- */

/* One frame of the series message that is together so far. */
static void put_frame(struct strbuf *out, size_t query, struct strbuf *series,
                      struct strbuf *part)
{
    uint8_t head[VARINT_MAX + 4];
    part->len = 0;
    wire_put_message(part, CHUNKED_SERIES, series);
    wire_put_varint(part, CHUNKED_QUERY, query);
    size_t n = varint_put(head, part->len);
    store_u32(head + n, __builtin_bswap32(crc32c(0, part->ptr, part->len)));
    strbuf_put(out, head, n + 4);
    strbuf_slice(out, strbuf_view(part));
    if (part->failed) out->failed = true;
    part->len = 0;
}

static void put_chunk(struct strbuf *series, enum prom_chunk_kind kind, struct prom_run run,
                      struct prom_read_scratch *scratch)
{
    struct strbuf *part = &scratch->part, data = {0};
    strbuf_init(&data, 0);
    if (kind == PROM_CHUNK_XOR) prom_chunk_floats(&data, run.ms, run.val, run.n);
    else prom_chunk_hists(&data, kind, run.ms, run.val, run.n);
    part->len = 0;
    wire_put_varint(part, CHUNK_FROM, (uint64_t)run.ms[0]);
    wire_put_varint(part, CHUNK_TO, (uint64_t)run.ms[run.n - 1]);
    wire_put_varint(part, CHUNK_TYPE, kind);
    wire_put_bytes(part, CHUNK_DATA, strbuf_view(&data));
    if (data.failed) part->failed = true;
    strbuf_release(&data);
    wire_put_message(series, CHUNKS, part);
}

static void skip(struct prom_run *run, size_t n)
{
    run->ms += n;
    run->val += n;
    run->n -= n;
}

/* How many of run come before the other kind's next one, at most a chunk. */
static size_t turn_of(const struct prom_run *run, const struct prom_run *other)
{
    size_t n = 0;
    while (n < run->n && n < PROM_CHUNK_MAX && (other->n == 0 || run->ms[n] < other->ms[0])) n++;
    return n;
}

/* The next chunk, taken off its run. At one time a float comes before a histogram. */
static void next_chunk(struct strbuf *series, struct prom_run *floats, struct prom_run *hists,
                       struct prom_read_scratch *scratch)
{
    enum prom_chunk_kind kind = PROM_CHUNK_XOR;
    bool float_turn = floats->n && (hists->n == 0 || floats->ms[0] <= hists->ms[0]);
    struct prom_run *run = float_turn ? floats : hists;
    size_t n = turn_of(run, float_turn ? hists : floats);
    if (n == 0) n = 1; /* both at the same time */
    if (!float_turn) n = prom_hist_run(&kind, run->val, n);
    put_chunk(series, kind, (struct prom_run){run->ms, run->val, n}, scratch);
    skip(run, n);
}

void prom_read_put_frames(struct strbuf *out, size_t query, struct labels labels,
                          struct prom_run floats, struct prom_run hists,
                          struct prom_read_scratch *scratch)
{
    struct strbuf *series = &scratch->series;
    while (floats.n + hists.n && !out->failed) {
        series->len = scratch->part.len = 0;
        put_labels(series, labels, &scratch->part);
        while (floats.n + hists.n && series->len < PROM_FRAME && !series->failed)
            next_chunk(series, &floats, &hists, scratch);
        put_frame(out, query, series, &scratch->part);
    }
}
