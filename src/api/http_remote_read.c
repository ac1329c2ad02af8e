/* /api/v1/read: Prometheus remote read, as samples or as streamed chunks. The request is
 * decoded, fetched and encoded by one query job; all its queries see one state of the
 * database. Samples go out as they are stored, stale markers included; of several samples in
 * one millisecond of a finer database the last one goes out. */
#include <stdlib.h>

#include "api/http_handlers.h"
#include "api/op_promql.h"
#include "api/work.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/vec.h"
#include "ingest/body.h"
#include "ingest/prom_read.h"

#define TYPE_SAMPLES "application/x-protobuf"
#define TYPE_STREAMED "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"

/* Samples of one kind of the series in hand. */
struct column {
    VEC(int64_t) ms;
    VEC(union value) val;
};

struct remote_read {
    struct query_work work;
    struct http_call *call;
    struct prom_read read;
    struct points points;
    struct column floats, hists;
    struct prom_read_scratch scratch;
    struct strbuf body;        /* of the request, decoded */
    struct strbuf result;      /* samples: of the query in hand */
    struct strbuf response;    /* samples: of all */
};

static void free_read(struct remote_read *rr)
{
    points_release(&rr->points);
    vec_release(&rr->floats.ms);
    vec_release(&rr->floats.val);
    vec_release(&rr->hists.ms);
    vec_release(&rr->hists.val);
    prom_read_release(&rr->read);
    prom_read_scratch_release(&rr->scratch);
    strbuf_release(&rr->body);
    strbuf_release(&rr->result);
    strbuf_release(&rr->response);
    query_work_release(&rr->work);
    mem_free(rr);
}

static status no_memory(struct remote_read *rr)
{
    return err_set(&rr->work.err, ST_LIMIT, "the result is larger than a query may be");
}

/* --- samples of a series ----------------------------------------------------------------- */

static bool put_point(struct column *col, int64_t ms, union value val)
{
    size_t n = col->ms.len;
    if (n && col->ms.ptr[n - 1] == ms) {
        col->val.ptr[n - 1] = val;
        return true;
    }
    return vec_push(&col->ms, ms) && vec_push(&col->val, val);
}

static status take_points(struct remote_read *rr, enum value_type type)
{
    enum precision precision = db_options(rr->work.app->db)->precision;
    struct column *col = type == VALUE_HISTOGRAM ? &rr->hists : &rr->floats;
    for (size_t i = 0; i < rr->points.n; i++) {
        union value val = rr->points.val[i];
        if (type != VALUE_HISTOGRAM && type != VALUE_F64)
            val.bits = f64_bits(value_to_f64(type, val));
        if (!put_point(col, time_to_ms(rr->points.ts[i], precision), val)) return no_memory(rr);
    }
    return ST_OK;
}

/* The samples of the series at order[i] and of those behind it with the same labels, whose
 * number is *n: histograms stand beside floats, and keys may be hidden. */
static status read_series(struct remote_read *rr, struct series_set *set, const uint32_t *order,
                          size_t i, size_t *n)
{
    size_t first = i;
    vec_clear(&rr->floats.ms);
    vec_clear(&rr->floats.val);
    vec_clear(&rr->hists.ms);
    vec_clear(&rr->hists.val);
    for (; i < set->n && labels_eq(set->labels[order[i]], set->labels[order[first]]); i++) {
        enum value_type type = set->types[order[i]];
        if (type == VALUE_BYTES) continue; /* no form in this protocol */
        rr->points.n = 0;
        TRY(series_read(set, order[i], &rr->points, &rr->work.err));
        TRY(take_points(rr, type));
    }
    *n = i - first;
    return ST_OK;
}

static struct prom_run run_of(const struct column *col)
{
    return (struct prom_run){col->ms.ptr, col->val.ptr, col->ms.len};
}

/* --- sets --------------------------------------------------------------------------------- */

static int by_labels(const void *a, const void *b, void *arg)
{
    const struct labels *labels = arg;
    return labels_cmp(labels[*(const uint32_t *)a], labels[*(const uint32_t *)b]);
}

/* Series by labels as the reader sees them: without the key the order may be another one. */
static status order_of(struct remote_read *rr, struct series_set *set, uint32_t **out)
{
    uint32_t *order = arena_try_array(&rr->work.arena, set->n + 1, sizeof(*order));
    const struct labels *before = set->labels;
    if (!order) return no_memory(rr);
    for (size_t i = 0; i < set->n; i++) order[i] = (uint32_t)i;
    if (op_hide_keys(set, &rr->work.arena) != ST_OK) return no_memory(rr);
    if (set->labels != before)
        qsort_r(order, set->n, sizeof(*order), by_labels, (void *)(uintptr_t)set->labels);
    *out = order;
    return ST_OK;
}

static status put_series(struct remote_read *rr, size_t query, struct labels labels)
{
    struct prom_run floats = run_of(&rr->floats), hists = run_of(&rr->hists);
    if (floats.n + hists.n == 0) return ST_OK;
    if (!rr->read.streamed) {
        prom_read_put_series(&rr->result, labels, floats, hists, &rr->scratch);
        return rr->result.failed ? no_memory(rr) : ST_OK;
    }
    struct strbuf frames;
    strbuf_init(&frames, rr->work.budget.bytes_max);
    prom_read_put_frames(&frames, query, labels, floats, hists, &rr->scratch);
    bool failed = frames.failed;
    if (!failed) iobuf_adopt(&rr->work.out, &frames);
    strbuf_release(&frames);
    return failed || rr->work.out.failed ? no_memory(rr) : ST_OK;
}

static status put_set(struct remote_read *rr, size_t query, struct series_set *set)
{
    uint32_t *order = NULL;
    TRY(order_of(rr, set, &order));
    for (size_t i = 0, n; i < set->n; i += n) {
        TRY(read_series(rr, set, order, i, &n));
        TRY(put_series(rr, query, set->labels[order[i]]));
    }
    if (rr->read.streamed) return ST_OK;
    prom_read_put_result(&rr->response, &rr->result);
    return rr->response.failed ? no_memory(rr) : ST_OK;
}

/* --- the job -------------------------------------------------------------------------------- */

static status decode_request(struct remote_read *rr)
{
    struct query_work *work = &rr->work;
    struct slice body = rr->call->body_view;
    struct slice coding = rr->call->body.len ? (struct slice){"", 0} /* net took gzip off */
                                             : http_value(rr->call->req, HTTP_F_CONTENT_ENCODING);
    enum body_coding kind = body_coding_of(coding);
    if (kind != BODY_PLAIN) {
        TRY(body_decode(&rr->body, kind, body, app_settings(work->app)->body_decoded_max,
                        &work->err));
        body = strbuf_view(&rr->body);
    }
    return prom_read_decode(&rr->read, body, &work->arena, &work->err);
}

static status compress(struct remote_read *rr)
{
    struct strbuf packed;
    strbuf_init(&packed, 0);
    body_put_snappy(&packed, strbuf_view(&rr->response));
    bool room = !packed.failed;
    if (room) iobuf_adopt(&rr->work.out, &packed);
    strbuf_release(&packed);
    return room && !rr->work.out.failed ? ST_OK : no_memory(rr);
}

static status answer_queries(struct remote_read *rr, struct select *selects,
                             struct series_set **sets)
{
    struct query_work *work = &rr->work;
    enum precision precision = db_options(work->app->db)->precision;
    size_t n = rr->read.n_queries;
    struct fetch *fetch = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct prom_read_query *q = &rr->read.queries[i];
        /* The whole of the last millisecond, whatever the database's tick. */
        ts_time to = time_from_ms_clamped(sat_add(q->to_ms, 1), precision);
        if (precision_ticks_per_ms(precision) > 0 && to != TS_MAX) to--;
        else to = time_from_ms_clamped(q->to_ms, precision);
        selects[i] = (struct select){
            .matchers = {q->matchers, q->n},
            .range = {time_from_ms_clamped(q->from_ms, precision), to}};
    }
    TRY(querier_fetch(work->app->querier, &fetch, sets, selects, n, (struct slice){"", 0},
                      &work->budget, &work->err));
    status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++) st = put_set(rr, i, sets[i]);
    querier_done(work->app->querier, fetch);
    return st;
}

static status read_run(struct query_work *work)
{
    struct remote_read *rr = container_of(work, struct remote_read, work);
    TRY(decode_request(rr));
    size_t n = rr->read.n_queries;
    struct select *selects = arena_try_array(&work->arena, n + 1, sizeof(*selects));
    struct series_set **sets = arena_try_array(&work->arena, n + 1, sizeof(*sets));
    if (!selects || !sets) return no_memory(rr);
    TRY(answer_queries(rr, selects, sets));
    return rr->read.streamed ? ST_OK : compress(rr);
}

static void read_finish(struct query_work *work)
{
    static const struct http_extra snappy = {"Content-Encoding", "snappy"};
    struct remote_read *rr = container_of(work, struct remote_read, work);
    struct http_call *call = rr->call;
    if (work->st != ST_OK) {
        http_call_error(call, work->st, &work->err);
    } else if (rr->read.streamed) {
        http_call_data(call, 200, TYPE_STREAMED, &work->out);
    } else {
        call->extra = &snappy;
        call->n_extra = 1;
        http_call_data(call, 200, TYPE_SAMPLES, &work->out);
    }
    free_read(rr);
}

void http_remote_read(struct http_call *call)
{
    struct remote_read *rr = mem_try_zero(sizeof(*rr));
    if (!rr) {
        http_call_error(call, ST_NO_MEMORY, NULL);
        return;
    }
    rr->call = call;
    query_work_init(&rr->work, call->app, call->slot, 0, read_run, read_finish);
    size_t bytes_max = rr->work.budget.bytes_max;
    strbuf_init(&rr->result, bytes_max);
    strbuf_init(&rr->response, bytes_max);
    rr->work.out.len_max = bytes_max;
    query_work_start(&rr->work);
}
