/* /api/v1/export: what is stored, as JSON lines or CSV. One view for all of it; the answer goes out
 * in parts of PART_LEN, and a client that reads slowly stops the query until it has read, so
 * memory holds one series' samples and a few parts. A view that holds back too much memory
 * meanwhile is ended by the engine (engine/view.h): the connection then breaks off, which a
 * client sees as a chunked body without its end. */
#include "api/export_csv.h"
#include "api/export_line.h"
#include "api/http_handlers.h"
#include "api/http_match.h"
#include "api/http_pick.h"
#include "base/mem.h"
#include "base/panic.h"

enum { PART_LEN = 256 << 10, LINE_SAMPLES = 10000 /* of one line; longer series have several */ };

struct http_export {
    struct query_work work;
    struct http_call *call;
    struct http_matches matches;
    struct time_range range;
    struct export_csv *csv;    /* owned; NULL: JSON lines */
    bool skip_other;           /* histograms and bytes are left out instead of refused */
    bool begun;                /* the head of the answer is out */
    /* Between parts: */
    struct http_picks picks;
    size_t at;                 /* series */
    bool loaded;               /* its samples are in points */
    struct points points;
    size_t sample;             /* the next of them */
};

static void free_export(struct http_export *ex)
{
    mem_free(ex->csv);
    mem_free(ex);
}

static bool is_number(enum value_type type)
{
    return type != VALUE_HISTOGRAM && type != VALUE_BYTES;
}

static status pick(struct http_export *ex)
{
    struct query_work *work = &ex->work;
    size_t n = 0;
    TRY(http_pick(work, &ex->picks, ex->matches.groups, ex->matches.n, ex->range, false));
    for (size_t i = 0; i < ex->picks.n; i++) {
        if (is_number(picked_type(&ex->picks.ptr[i]))) ex->picks.ptr[n++] = ex->picks.ptr[i];
        else if (!ex->skip_other)
            return err_set(&work->err, ST_EXECUTION,
                           "a selected series holds native histograms or bytes, which lines do "
                           "not carry; skip_histograms=1 leaves such series out");
    }
    ex->picks.n = n;
    return ST_OK;
}

/* The samples of the series in hand. A series may have as many as a query may load. */
static status load(struct http_export *ex)
{
    struct picked *p = &ex->picks.ptr[ex->at];
    ex->points.n = ex->sample = 0;
    ex->work.budget.n_samples = 0;
    TRY(series_read(p->set, p->idx, &ex->points, &ex->work.err));
    ex->loaded = true;
    return ST_OK;
}

static void put_lines(struct http_export *ex, struct strbuf *out)
{
    struct picked *p = &ex->picks.ptr[ex->at];
    while (ex->sample < ex->points.n && out->len < PART_LEN) {
        size_t left = ex->points.n - ex->sample, n = left < LINE_SAMPLES ? left : LINE_SAMPLES;
        enum precision precision = db_options(ex->work.app->db)->precision;
        if (ex->csv)
            export_csv_lines(out, ex->csv, picked_labels(p), picked_type(p), &ex->points,
                             ex->sample, ex->sample + n, precision);
        else
            export_line(out, picked_labels(p), picked_type(p), &ex->points, ex->sample,
                        ex->sample + n, precision);
        ex->sample += n;
    }
    if (ex->sample < ex->points.n) return;
    ex->loaded = false;
    ex->at++;
}

static status export_run(struct query_work *work)
{
    struct http_export *ex = container_of(work, struct http_export, work);
    struct strbuf out;
    status st = ST_OK;
    if (!ex->picks.fetch) TRY(pick(ex));
    strbuf_init(&out, 0);
    while (st == ST_OK && ex->at < ex->picks.n && out.len < PART_LEN) {
        if (!ex->loaded) st = load(ex);
        if (st == ST_OK) put_lines(ex, &out);
        if (out.failed) st = err_set(&work->err, ST_NO_MEMORY, "out of memory");
    }
    work->more = ex->at < ex->picks.n;
    if (st == ST_OK) iobuf_adopt(&work->out, &out);
    strbuf_release(&out);
    return st;
}

static void export_leave(struct query_work *work)
{
    struct http_export *ex = container_of(work, struct http_export, work);
    http_unpick(work, &ex->picks);
    points_release(&ex->points);
}

static void go_on(void *arg)
{
    struct http_export *ex = arg;
    query_work_resume(&ex->work);
}

static void begin(struct http_export *ex)
{
    if (!ex->begun)
        http_call_stream_begin(ex->call, ex->csv ? "text/csv; charset=utf-8"
                                                 : "application/stream+json; charset=utf-8");
    ex->begun = true;
}

static void export_part(struct query_work *work)
{
    struct http_export *ex = container_of(work, struct http_export, work);
    begin(ex);
    http_call_stream_part(ex->call, &work->out, go_on, ex);
}

static void export_finish(struct query_work *work)
{
    struct http_export *ex = container_of(work, struct http_export, work);
    if (work->st == ST_OK) {
        begin(ex);
        http_call_stream_part(ex->call, &work->out, NULL, NULL);
        http_matches_release(&ex->matches);
        http_call_stream_end(ex->call);
    } else {
        http_matches_release(&ex->matches);
        if (ex->begun) http_call_stream_abort(ex->call);
        else http_call_error(ex->call, work->st, &work->err);
    }
    query_work_release(work);
    free_export(ex);
}

/* Takes csv. */
static void start_export(struct http_call *call, struct export_csv *csv)
{
    int64_t timeout_ms;
    bool skip;
    if (!http_arg_duration(call, "timeout", &timeout_ms) ||
        !http_arg_bool(call, "skip_histograms", &skip)) {
        mem_free(csv);
        return;
    }
    struct http_export *ex = mem_zalloc(sizeof(*ex));
    ex->csv = csv;
    ex->call = call;
    ex->skip_other = skip;
    if (!http_arg_range(call, &ex->range) ||
        !http_matches_take(call, &ex->matches, HTTP_MATCH_BAD)) {
        http_matches_release(&ex->matches);
        free_export(ex);
        return;
    }
    query_work_init(&ex->work, call->app, call->slot, timeout_ms, export_run, export_finish);
    ex->work.part = export_part;
    ex->work.leave = export_leave;
    /* As long as the client reads it goes on, unless it asks for an end. */
    if (timeout_ms == 0) ex->work.budget.deadline = 0;
    query_work_start(&ex->work);
}

static bool has_matches(struct http_call *call)
{
    if (http_matches_count(call)) return true;
    http_call_bad(call, "no match[] parameter provided");
    return false;
}

void http_export(struct http_call *call)
{
    if (has_matches(call)) start_export(call, NULL);
}

void http_export_csv(struct http_call *call)
{
    struct err err = {.st = ST_OK};
    struct slice text = http_arg(call, "format");
    if (!has_matches(call)) return;
    if (text.len == 0) {
        http_call_bad(call, "no format parameter provided");
        return;
    }
    struct export_csv *csv = mem_try(sizeof(*csv));
    if (!csv) {
        http_call_error(call, err_set(&err, ST_NO_MEMORY, "the columns of a CSV format"), &err);
        return;
    }
    if (export_csv_parse(csv, text, &err) == ST_OK) {
        start_export(call, csv);
        return;
    }
    mem_free(csv);
    http_call_bad(call, "invalid parameter \"format\": %s", err.text);
}
