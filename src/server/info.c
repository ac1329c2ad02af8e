/* INFO: sections of "name:value" lines in Redis' form, with the fields that tools read
 * (resp.md 3) and a section of our own. Owner. */
#include <string.h>
#include <unistd.h>

#include "api/command_stats.h"
#include "api/keyspace.h"
#include "api/version.h"
#include "base/panic.h"
#include "server/server_stats.h"

void server_runtime(void *ctx, struct app_runtime *out)
{
    struct server *srv = ctx;
    struct db_stats stats = {0};
    memset(out, 0, sizeof(*out));
    if (srv->app.db) db_stats(srv->app.db, &stats);
    if (!getcwd(out->cwd, sizeof(out->cwd))) out->cwd[0] = '\0';
    if (gethostname(out->hostname, sizeof(out->hostname) - 1) != 0) out->hostname[0] = '\0';
    out->config_ms = srv->config_ms;
    out->config_ok = srv->config_ok;
    out->n_corruptions = stats.n_quarantined;
    out->n_threads = srv->n_threads;
    out->n_cpus = srv->n_cpus;
    out->memory_limit = stats.memory_limit;
    out->retention_ms = server_config(srv)->engine.retention_ms;
}

struct info {
    struct server *srv;
    const struct server_stats *now, *base; /* base: at the last CONFIG RESETSTAT */
    struct strbuf *out;
};

#define LINE(info, ...) strbuf_printf((info)->out, __VA_ARGS__), strbuf_str((info)->out, "\r\n")

static unsigned long long since(const struct info *info, size_t off)
{
    uint64_t now, base;
    memcpy(&now, (const char *)info->now + off, sizeof(now));
    memcpy(&base, (const char *)info->base + off, sizeof(base));
    return now - base;
}
#define SINCE(info, field) since(info, offsetof(struct server_stats, field))

static void section_server(const struct info *info)
{
    const struct server *srv = info->srv;
    LINE(info, "redis_version:%s", API_REDIS_VERSION);
    LINE(info, "tsink_version:%s", API_VERSION);
    LINE(info, "redis_mode:standalone");
    LINE(info, "arch_bits:%zu", sizeof(void *) * 8);
    LINE(info, "multiplexing_api:epoll");
    LINE(info, "process_id:%ld", (long)getpid());
    LINE(info, "tcp_port:%u", srv->app.resp_port);
    LINE(info, "http_port:%u", srv->app.http_port);
    LINE(info, "uptime_in_seconds:%llu", (unsigned long long)info->now->uptime_s);
    LINE(info, "uptime_in_days:%llu", (unsigned long long)info->now->uptime_s / 86400);
    LINE(info, "hz:10");
    LINE(info, "io_threads_active:%d", srv->app.loops.n > 1);
    LINE(info, "config_file:%s", srv->config_file ? srv->config_file : "");
}

static void section_clients(const struct info *info)
{
    LINE(info, "connected_clients:%llu", (unsigned long long)info->now->resp_connections);
    LINE(info, "http_connections:%llu", (unsigned long long)info->now->http_connections);
    LINE(info, "maxclients:%llu", (unsigned long long)server_config(info->srv)->max_clients);
    LINE(info, "blocked_clients:0");
}

static void section_memory(const struct info *info)
{
    LINE(info, "used_memory:%llu", (unsigned long long)info->now->memory_used);
    LINE(info, "used_memory_rss:%llu", (unsigned long long)info->now->rss_bytes);
    LINE(info, "used_memory_head:%llu", (unsigned long long)info->now->db.head_bytes);
    LINE(info, "used_memory_registry:%llu", (unsigned long long)info->now->db.registry_bytes);
    LINE(info, "used_memory_net:%llu", (unsigned long long)info->now->memory_net);
    LINE(info, "used_memory_query:%llu", (unsigned long long)info->now->memory_query);
    LINE(info, "used_memory_wal:%llu", (unsigned long long)info->now->db.wal_buffer_bytes);
    LINE(info, "used_memory_lists:%llu", (unsigned long long)info->now->db.list_bytes);
    LINE(info, "maxmemory:%llu", (unsigned long long)info->now->db.memory_limit);
}

static void section_persistence(const struct info *info)
{
    const struct app *app = &info->srv->app;
    LINE(info, "loading:%d", !info->now->ready);
    if (!info->now->ready) {
        LINE(info, "loading_phase:%s",
             atomic_load_explicit(&app->start_phase, memory_order_relaxed));
        LINE(info, "loading_loaded_perc:%u",
             atomic_load_explicit(&app->start_percent, memory_order_relaxed));
    }
    uint64_t saved_ms = info->now->db.jobs[DB_JOB_FLUSH].last_success_ms;
    LINE(info, "async_loading:0");
    LINE(info, "rdb_changes_since_last_save:%llu", (unsigned long long)info->now->db.n_unflushed);
    LINE(info, "rdb_bgsave_in_progress:0");
    LINE(info, "rdb_last_save_time:%lld",
         (long long)(saved_ms ? (int64_t)saved_ms : app->start_wall_ms) / 1000);
    LINE(info, "rdb_last_bgsave_status:%s",
         info->now->db.jobs[DB_JOB_FLUSH].n_in_a_row ? "err" : "ok");
    LINE(info, "aof_enabled:0");
    LINE(info, "wal_live_bytes:%llu", (unsigned long long)info->now->db.wal_live_bytes);
    LINE(info, "wal_syncs:%llu", (unsigned long long)info->now->db.wal_syncs);
    LINE(info, "flushes:%llu", (unsigned long long)info->now->db.n_flushes);
    LINE(info, "unflushed_samples:%llu", (unsigned long long)info->now->db.n_unflushed);
}

static void section_stats(const struct info *info)
{
    LINE(info, "total_connections_received:%llu", SINCE(info, resp_accepted));
    LINE(info, "total_commands_processed:%llu", SINCE(info, n_commands));
    LINE(info, "instantaneous_ops_per_sec:%llu", (unsigned long long)info->srv->ops_per_s);
    LINE(info, "total_net_input_bytes:%llu", SINCE(info, resp_bytes_in));
    LINE(info, "total_net_output_bytes:%llu", SINCE(info, resp_bytes_out));
    LINE(info, "rejected_connections:%llu", SINCE(info, resp_rejected));
    LINE(info, "total_error_replies:%llu", SINCE(info, n_command_errors));
    LINE(info, "total_http_requests:%llu", SINCE(info, n_http));
    LINE(info, "total_queries:%llu", SINCE(info, n_queries));
    LINE(info, "keyspace_hits:0");
    LINE(info, "keyspace_misses:0");
    LINE(info, "evicted_keys:0");
    LINE(info, "expired_keys:%llu",
         (unsigned long long)keyspace_n_expired(&info->srv->app));
}

static void section_replication(const struct info *info)
{
    LINE(info, "role:master");
    LINE(info, "connected_slaves:0");
    LINE(info, "master_link_status:up");
}

static void section_cpu(const struct info *info)
{
    LINE(info, "used_cpu_sys:0.000000");
    LINE(info, "used_cpu_user:%.6f", (double)info->now->cpu_ns / 1e9);
}

static void section_cluster(const struct info *info)
{
    LINE(info, "cluster_enabled:0");
}

static void section_modules(const struct info *info)
{
    LINE(info, "module:name=timeseries,ver=%d,api=1,filters=0,usedby=[],using=[],options=[]",
         API_TS_MODULE_VERSION);
}

static void section_keyspace(const struct info *info)
{
    if (info->now->db.n_series)
        LINE(info, "db0:keys=%llu,expires=%llu,avg_ttl=0",
             (unsigned long long)info->now->db.n_series,
             (unsigned long long)keyspace_n_expires(&info->srv->app));
}

static void section_jobs(const struct info *info)
{
    int64_t now = clock_mono(info->srv->app.clock);
    for (int i = 0; i < DB_JOB_KINDS; i++) {
        const struct db_job *job = &info->now->db.jobs[i];
        long long retry_ms = job->retry_at > now ? (job->retry_at - now) / 1000000 : 0;
        LINE(info,
             "job_%s:runs=%llu,failures=%llu,in_a_row=%llu,last_success_ms=%llu,"
             "last_failure_ms=%llu,retry_in_ms=%lld,last_error=%s",
             db_job_name((enum db_job_kind)i), (unsigned long long)job->n_runs,
             (unsigned long long)job->n_failures, (unsigned long long)job->n_in_a_row,
             (unsigned long long)job->last_success_ms, (unsigned long long)job->last_failure_ms,
             retry_ms, job->last_error);
    }
}

static void section_commandstats(const struct info *info)
{
    command_stats_print(info->out, &info->srv->app);
}

static void section_tsink(const struct info *info)
{
    LINE(info, "series:%llu", (unsigned long long)info->now->db.n_series);
    LINE(info, "samples_stored:%llu", SINCE(info, db.n_rows_stored));
    LINE(info, "samples_refused:%llu", SINCE(info, db.n_rows_refused));
    LINE(info, "segments:%llu", (unsigned long long)info->now->db.n_segments);
    LINE(info, "segment_bytes:%llu", (unsigned long long)info->now->db.n_segment_bytes);
    LINE(info, "segment_samples:%llu", (unsigned long long)info->now->db.n_segment_samples);
    LINE(info, "views:%llu", (unsigned long long)info->now->db.n_views_live);
    LINE(info, "retired_items:%llu", (unsigned long long)info->now->db.n_retired);
    LINE(info, "retired_bytes:%llu", (unsigned long long)info->now->db.n_retired_bytes);
    for (size_t i = 0; i < info->srv->app.loops.n; i++) {
        struct loop *loop = conn_loop_loop(info->srv->app.loops.ptr[i]);
        const struct histogram_us *steps = loop_step_times(loop);
        LINE(info, "loop_%s_step_us:p50=%llu,p99=%llu,max=%llu", loop_name(loop),
             (unsigned long long)histogram_us_quantile(steps, 0.5),
             (unsigned long long)histogram_us_quantile(steps, 0.99),
             (unsigned long long)histogram_us_max(steps));
    }
}

static const struct section {
    const char *name, *title;
    void (*print)(const struct info *info);
    bool on_request; /* not among the default ones */
} sections[] = {
    {.name = "server", .title = "Server", .print = section_server},
    {.name = "clients", .title = "Clients", .print = section_clients},
    {.name = "memory", .title = "Memory", .print = section_memory},
    {.name = "persistence", .title = "Persistence", .print = section_persistence},
    {.name = "stats", .title = "Stats", .print = section_stats},
    {.name = "replication", .title = "Replication", .print = section_replication},
    {.name = "cpu", .title = "CPU", .print = section_cpu},
    {.name = "modules", .title = "Modules", .print = section_modules},
    {.name = "cluster", .title = "Cluster", .print = section_cluster},
    {.name = "keyspace", .title = "Keyspace", .print = section_keyspace},
    {.name = "commandstats", .title = "Commandstats", .print = section_commandstats,
     .on_request = true},
    {.name = "jobs", .title = "Jobs", .print = section_jobs},
    {.name = "tsink", .title = "tsink", .print = section_tsink},
};

static bool wanted(const struct section *section, const struct slice *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_is_nocase(names[i], section->name)) return true;
        if (slice_is_nocase(names[i], "all") || slice_is_nocase(names[i], "everything"))
            return true;
        if (slice_is_nocase(names[i], "default") && !section->on_request) return true;
    }
    return n == 0 && !section->on_request;
}

void server_info(void *ctx, struct strbuf *out, const struct slice *names, size_t n)
{
    struct server *srv = ctx;
    struct server_stats now;
    server_stats(srv, &now);
    struct info info = {.srv = srv, .now = &now, .base = server_baseline(srv), .out = out};
    bool first = true;
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (!wanted(&sections[i], names, n)) continue;
        if (!first) strbuf_str(out, "\r\n");
        first = false;
        strbuf_printf(out, "# %s\r\n", sections[i].title);
        sections[i].print(&info);
    }
}
