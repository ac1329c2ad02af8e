/* Figures of the whole server in one flat struct: what /metrics and INFO print. */
#ifndef TSINK_SERVER_SERVER_STATS_H
#define TSINK_SERVER_SERVER_STATS_H

#include "engine/db.h"
#include "server/server.h"

/* All uint64_t: rows of metrics.def name them. */
struct server_stats {
    struct db_stats db;
    uint64_t resp_connections, resp_accepted, resp_requests, resp_bytes_in, resp_bytes_out;
    uint64_t resp_rejected, resp_bad_input;
    uint64_t http_connections, http_accepted, http_requests, http_bytes_in, http_bytes_out;
    uint64_t http_rejected, http_bad_input;
    uint64_t n_commands, n_command_errors, n_http, n_http_errors;
    uint64_t n_queries, n_query_errors, n_queries_cancelled, n_queries_running;
    uint64_t n_queries_refused, n_queries_slow;
    uint64_t n_rows_in, n_rows_stored, n_rows_refused, n_bad_bodies;
    uint64_t n_exemplars_refused, n_metadata_lost;
    uint64_t n_exemplar_queries, n_exemplar_query_series, n_exemplar_query_results;
    uint64_t exemplars_max, exemplars_per_series_max, exemplars_per_request_max;
    uint64_t maintenance_pending, query_pending;
    uint64_t memory_used, memory_net, memory_query;
    uint64_t rss_bytes, cpu_ns, uptime_s, start_s, n_fds;
    uint64_t ready, durable;
};

/* Owner. */
void server_stats(struct server *srv, struct server_stats *out);

/* CONFIG RESETSTAT: what INFO shows counts from now; /metrics counters never go back. */
void server_reset_stats(struct server *srv);
const struct server_stats *server_baseline(const struct server *srv);

/* Tells those that keep copies of the configuration. Owner. */
void server_apply_config(struct server *srv);

#endif
