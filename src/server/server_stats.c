/* Gathers the figures. See server_stats.h. */
#include "server/server_stats.h"

#include <stdio.h>
#include <string.h>

#include "base/cgroup.h"
#include "base/mem.h"

struct server_baseline {
    struct server_stats at;
};

static void take_conns(struct conn_hub *hub, enum conn_proto proto, uint64_t *open,
                       uint64_t *accepted, uint64_t *requests, uint64_t *in, uint64_t *out,
                       uint64_t *rejected, uint64_t *bad)
{
    struct conn_stats st;
    conn_hub_stats(hub, proto, &st);
    *open = (uint64_t)gauge_read(&st.n_open);
    *accepted = counter_read(&st.n_accepted);
    *requests = counter_read(&st.n_requests);
    *in = counter_read(&st.n_bytes_in);
    *out = counter_read(&st.n_bytes_out);
    *rejected = counter_read(&st.n_over_max) + counter_read(&st.n_over_source) +
                counter_read(&st.n_over_fds);
    *bad = counter_read(&st.n_bad_input) + counter_read(&st.n_cross_protocol);
}

static void take_app(const struct app_stats *app, struct server_stats *out)
{
    out->n_commands = counter_read(&app->n_commands);
    out->n_command_errors = counter_read(&app->n_command_errors);
    out->n_http = counter_read(&app->n_http);
    out->n_http_errors = counter_read(&app->n_http_errors);
    out->n_queries = counter_read(&app->n_queries);
    out->n_query_errors = counter_read(&app->n_query_errors);
    out->n_queries_cancelled = counter_read(&app->n_queries_cancelled);
    out->n_queries_refused = counter_read(&app->n_queries_refused);
    out->n_queries_slow = counter_read(&app->n_queries_slow);
    out->n_queries_running = (uint64_t)gauge_read(&app->n_queries_running);
    out->n_rows_in = counter_read(&app->n_rows_in);
    out->n_rows_stored = counter_read(&app->n_rows_stored);
    out->n_rows_refused = counter_read(&app->n_rows_refused);
    out->n_bad_bodies = counter_read(&app->n_bad_bodies);
    out->n_exemplars_refused = counter_read(&app->n_exemplars_refused);
    out->n_metadata_lost = counter_read(&app->n_metadata_lost);
    out->n_exemplar_queries = counter_read(&app->n_exemplar_queries);
    out->n_exemplar_query_series = counter_read(&app->n_exemplar_query_series);
    out->n_exemplar_query_results = counter_read(&app->n_exemplar_query_results);
}

void server_stats(struct server *srv, struct server_stats *out)
{
    memset(out, 0, sizeof(*out));
    if (srv->app.db) db_stats(srv->app.db, &out->db);
    const struct db_options *engine = &server_config(srv)->engine;
    out->exemplars_max = engine->exemplars_max;
    out->exemplars_per_series_max = engine->exemplars_per_series;
    out->exemplars_per_request_max = engine->exemplars_per_request;
    take_conns(srv->hub, CONN_RESP, &out->resp_connections, &out->resp_accepted,
               &out->resp_requests, &out->resp_bytes_in, &out->resp_bytes_out,
               &out->resp_rejected, &out->resp_bad_input);
    take_conns(srv->hub, CONN_HTTP, &out->http_connections, &out->http_accepted,
               &out->http_requests, &out->http_bytes_in, &out->http_bytes_out,
               &out->http_rejected, &out->http_bad_input);
    take_app(&srv->app.stats, out);
    out->maintenance_pending = workers_pending(srv->workers, JOB_MAINTENANCE);
    out->query_pending = workers_pending(srv->workers, JOB_QUERY);
    out->memory_used = account_used(&srv->account);
    out->memory_net = account_used(&srv->net_account);
    out->memory_query = account_used(&srv->query_account);
    out->rss_bytes = cgroup_resident();
    out->cpu_ns = (uint64_t)clock_process_cpu_ns();
    out->uptime_s = (uint64_t)((clock_wall(srv->app.clock) - srv->began_ms) / 1000);
    out->start_s = (uint64_t)(srv->began_ms / 1000);
    out->ready = atomic_load_explicit(&srv->app.ready, memory_order_relaxed);
    out->durable = server_config(srv)->engine.wal_sync == DB_WAL_APPEND;
}

void server_reset_stats(struct server *srv)
{
    if (!srv->baseline) srv->baseline = mem_zalloc(sizeof(*srv->baseline));
    server_stats(srv, &srv->baseline->at);
}

const struct server_stats *server_baseline(const struct server *srv)
{
    static const struct server_stats zero;
    return srv->baseline ? &srv->baseline->at : &zero;
}
