/* Bodies of samples: remote write and exposition text. Decoding happens here, on the
 * connection's loop; the batch goes to the owner and comes back; the answer waits for
 * the WAL. */
#include <stdio.h>

#include "api/http_handlers.h"
#include "api/work.h"
#include "api/write_space.h"
#include "base/mem.h"
#include "base/panic.h"
#include "ingest/body.h"
#include "ingest/csv.h"
#include "ingest/json_lines.h"
#include "ingest/prom_text.h"
#include "ingest/prom_write.h"
#include "ingest/prom_write2.h"

struct http_write {
    struct write_work work;
    struct app *app;
    struct http_call *call;
    decode_fn *decode;
    struct write_space *space; /* the decoded body, the batch */
    struct slice body;
    struct decode_report report;
    const struct identity *known; /* while the body is decoded */
    bool text;                 /* line-based: say how many lines were bad */
    bool counts;               /* remote write 2.0: the answer says what was written */
    struct csv_format *csv;    /* owned; NULL: no CSV */
    bool again;                /* decoded for the second time, without probes */
};

static void free_write(struct http_write *hw)
{
    if (hw->space) write_space_give(hw->app, hw->space); /* the call may be gone */
    mem_free(hw->csv);
    mem_free(hw);
}

/* --- decoding ------------------------------------------------------------------------ */

static bool is_known(void *ctx, struct hash128 raw, uint32_t *ordinal, uint32_t *gen)
{
    const struct http_write *hw = ctx;
    return identity_get(hw->known, raw, ordinal, gen);
}

static void prefetch(void *ctx, struct hash128 raw)
{
    const struct http_write *hw = ctx;
    identity_prefetch(hw->known, raw);
}

/* Senders repeat what they have said: only news go along with the batch. Without memory for
 * one it comes the next time. */
static void keep_metadata(void *ctx, const struct metric_meta *meta)
{
    struct http_write *hw = ctx;
    struct arena *arena = &hw->work.batch->arena;
    if (metadata_store_has(db_metadata(hw->app->db), meta)) return;
    struct metric_meta copy = {.family = arena_copy(arena, meta->family),
                               .help = arena_copy(arena, meta->help),
                               .unit = arena_copy(arena, meta->unit),
                               .type = meta->type};
    if (!copy.family.ptr || !copy.help.ptr || !copy.unit.ptr ||
        !batch_add_meta(hw->work.batch, &copy))
        counter_add(&hw->app->stats.n_metadata_lost, 1);
}

static status decode(struct http_write *hw, struct err *err)
{
    struct app *app = hw->call->app;
    const struct db_options *opt = db_options(app->db);
    struct decode_env env = {.limits = &opt->limits,
                             .precision = opt->precision,
                             .window = db_window(app->db),
                             .exemplars_max = opt->exemplars_per_request,
                             .csv = hw->csv,
                             .known = hw->again ? NULL : is_known,
                             .prefetch = hw->again ? NULL : prefetch,
                             .metadata = keep_metadata,
                             .ctx = hw};
    int64_t now_ms = clock_wall(app->clock);
    if (!time_from_ms(&env.now, now_ms, opt->precision))
        env.now = time_from_ms_clamped(now_ms, opt->precision);
    memset(&hw->report, 0, sizeof(hw->report));
    int slot = db_reader_enter(app->db);
    hw->known = registry_identity(db_registry(app->db));
    status st = hw->decode(hw->work.batch, hw->body, &env, &hw->report, err);
    db_reader_leave(app->db, slot);
    return st;
}

/* --- answering ------------------------------------------------------------------------ */

/* Whether a probe went stale on the way: then the labels must be decoded after all. */
static bool probe_was_stale(const struct batch *batch)
{
    for (size_t i = 0; i < batch->n_series; i++)
        if (batch->series[i].st == ST_AGAIN) return true;
    return false;
}

static const char *first_reason(const struct http_write *hw)
{
    const struct batch *batch = hw->work.batch;
    if (hw->report.first.text[0]) return hw->report.first.text;
    for (size_t i = 0; i < batch->n_rows; i++)
        if (batch->result[i] != ST_OK) return status_text((status)batch->result[i]);
    return "refused";
}

/* A refusal that a retry can mend must not look like bad data. */
static status transient(const struct batch *batch)
{
    for (size_t i = 0; i < batch->n_rows; i++)
        if (batch->result[i] != ST_OK && status_retry((status)batch->result[i]))
            return (status)batch->result[i];
    return ST_OK;
}

/* Rows that are stored now, those that were there already among them. */
static void count_written(const struct http_write *hw, uint64_t *n_samples, uint64_t *n_hists)
{
    const struct batch *batch = hw->work.batch;
    *n_samples = *n_hists = 0;
    if (batch->st != ST_OK) return;
    if (batch->n_refused == 0 && hw->report.n_histograms == 0) {
        *n_samples = batch->n_rows; /* nearly always: no look at the rows */
        return;
    }
    for (size_t i = 0; i < batch->n_rows; i++) {
        if (batch->result[i] != ST_OK && batch->result[i] != ST_IGNORED) continue;
        if (batch->series[batch->row_series[i]].type == VALUE_HISTOGRAM) ++*n_hists;
        else ++*n_samples;
    }
}

/* The fields of a 2.0 answer; texts and extra live until the call was answered. What was
 * there already counts as written. */
struct counts {
    char samples[24], hists[24], exemplars[24];
    struct http_extra extra[3];
};

static void say_written(const struct http_write *hw, struct counts *c, bool applied)
{
    struct http_call *call = hw->call;
    uint64_t n_samples = 0, n_hists = 0, n_exemplars = 0;
    if (applied) n_exemplars = hw->work.batch->n_exemplars_kept;
    if (applied) count_written(hw, &n_samples, &n_hists);
    snprintf(c->samples, sizeof(c->samples), "%llu", (unsigned long long)n_samples);
    snprintf(c->hists, sizeof(c->hists), "%llu", (unsigned long long)n_hists);
    snprintf(c->exemplars, sizeof(c->exemplars), "%llu", (unsigned long long)n_exemplars);
    c->extra[0] = (struct http_extra){"X-Prometheus-Remote-Write-Samples-Written", c->samples};
    c->extra[1] = (struct http_extra){"X-Prometheus-Remote-Write-Histograms-Written", c->hists};
    c->extra[2] = (struct http_extra){"X-Prometheus-Remote-Write-Exemplars-Written",
                                     c->exemplars};
    call->extra = c->extra;
    call->n_extra = 3;
}

/* Refuses the whole body. */
static void refuse(struct http_write *hw, status st, const struct err *err)
{
    struct counts counts;
    counter_add(&hw->call->app->stats.n_bad_bodies, 1);
    if (hw->counts) say_written(hw, &counts, false);
    struct http_call *call = hw->call;
    free_write(hw);
    http_call_error(call, st, err);
}

static void answer(struct http_write *hw)
{
    struct batch *batch = hw->work.batch;
    struct http_call *call = hw->call;
    uint64_t gate = batch->durable_at;
    status st = batch->st != ST_OK ? batch->st : transient(batch);
    struct counts counts;
    if (hw->counts) say_written(hw, &counts, true);
    counter_add(&hw->app->stats.n_exemplars_refused, hw->report.n_exemplars_refused);
    if (st != ST_OK) {
        http_call_error(call, st, &batch->err);
    } else if (batch->n_refused || hw->report.n_bad_lines) {
        if (hw->text)
            http_call_bad(call, "%llu samples stored, %llu refused, %llu bad lines; first: %s",
                          (unsigned long long)batch->n_stored, (unsigned long long)batch->n_refused,
                          (unsigned long long)hw->report.n_bad_lines, first_reason(hw));
        else
            http_call_bad(call, "%llu samples refused, %llu stored; first: %s",
                          (unsigned long long)batch->n_refused, (unsigned long long)batch->n_stored,
                          first_reason(hw));
    } else {
        http_call_empty_at(call, 204, gate);
    }
    free_write(hw);
}

static void write_finish(struct write_work *work);

static void decode_and_send(struct http_write *hw)
{
    struct http_call *call = hw->call;
    struct err err = {.st = ST_OK};
    uint64_t n_deaths = hw->again ? 0 : db_deaths(call->app->db) + 1;
    status st = decode(hw, &err);
    if (st != ST_OK) {
        refuse(hw, st, &err);
        return;
    }
    hw->work.batch->n_deaths = n_deaths;
    hw->work.batch->deferrable = true; /* a keyed series may be under another policy */
    write_work_start(&hw->work, call->app, conn_loop_loop(conn_home(call->conn)), hw->work.batch,
                     write_finish);
}

static void write_finish(struct write_work *work)
{
    struct http_write *hw = container_of(work, struct http_write, work);
    if (work->batch->st == ST_OK && !hw->again && probe_was_stale(work->batch)) {
        hw->again = true; /* nothing of it was applied */
        batch_reset(work->batch);
        decode_and_send(hw);
        return;
    }
    answer(hw);
}

/* Takes the body's own coding off and starts. Takes csv. */
static void start_csv(struct http_call *call, decode_fn *decode_body, struct csv_format *csv)
{
    struct app *app = call->app;
    struct http_write *hw = mem_zalloc(sizeof(*hw));
    struct slice coding = call->body.len ? (struct slice){"", 0} /* net took gzip off */
                                         : http_value(call->req, HTTP_F_CONTENT_ENCODING);
    struct err err = {.st = ST_OK};
    status st = ST_OK;
    hw->app = app;
    hw->call = call;
    hw->csv = csv;
    hw->decode = decode_body;
    hw->text = decode_body != prom_write_decode && decode_body != prom_write2_decode;
    hw->counts = decode_body == prom_write2_decode;
    hw->space = write_space_take(app, conn_home(call->conn));
    hw->body = call->body_view;
    enum body_coding kind = body_coding_of(coding);
    if (hw->space) hw->work.batch = hw->space->batch;
    else st = ST_NO_MEMORY;
    if (st == ST_OK && kind != BODY_PLAIN) {
        st = body_decode(&hw->space->plain, kind, call->body_view,
                         app_settings(app)->body_decoded_max, &err);
        hw->body = strbuf_view(&hw->space->plain);
    }
    if (st != ST_OK) {
        refuse(hw, st, &err);
        return;
    }
    decode_and_send(hw);
}

static void start_write(struct http_call *call, decode_fn *decode_body)
{
    start_csv(call, decode_body, NULL);
}

/* --- routes --------------------------------------------------------------------------- */

void http_remote_write(struct http_call *call)
{
    struct slice type = http_value(call->req, HTTP_F_CONTENT_TYPE);
    const struct format *format = format_by_type(type);
    struct err err = {.st = ST_OK};
    /* How vmagent asks whether it may send zstd. */
    if (call->body_view.len == 0 && slice_is(http_arg(call, "get_vm_proto_version"), "1")) {
        http_call_text(call, 200, "text/plain; charset=utf-8", SLICE_LIT("1"));
        return;
    }
    if (!format ||
        (format->id != FORMAT_PROM_WRITE && format->id != FORMAT_PROM_WRITE2)) {
        (void)err_set(&err, ST_UNSUPPORTED,
                      "unsupported content type; application/x-protobuf with proto="
                      "prometheus.WriteRequest or io.prometheus.write.v2.Request is taken");
        http_call_error(call, ST_UNSUPPORTED, &err);
        return;
    }
    start_write(call, format->decode);
}

void http_import_lines(struct http_call *call)
{
    start_write(call, json_lines_decode);
}

void http_import_csv(struct http_call *call)
{
    struct err err = {.st = ST_OK};
    struct slice text = http_arg(call, "format");
    /* The parameters outlive the decoding. */
    struct csv_format *csv = mem_try(sizeof(*csv));
    if (!csv) {
        http_call_error(call, err_set(&err, ST_NO_MEMORY, "the columns of a CSV format"), &err);
        return;
    }
    if (csv_format_parse(csv, text, &err) == ST_OK) {
        start_csv(call, csv_decode, csv);
        return;
    }
    mem_free(csv);
    http_call_bad(call, "invalid parameter \"format\": %s", err.text);
}

void http_import_text(struct http_call *call)
{
    struct slice type = http_value(call->req, HTTP_F_CONTENT_TYPE);
    struct slice open = SLICE_LIT("application/openmetrics-text");
    bool openmetrics = type.len >= open.len && strncasecmp(type.ptr, open.ptr, open.len) == 0;
    start_write(call, openmetrics ? openmetrics_decode : prom_text_decode);
}
