/* The owner's work, by itself: workers and the WAL thread are real, files are in memory,
 * wal-sync append. Batches of 2000 rows are made beside the clock; what is timed is
 * sink_write() and every message that the owner runs.
 *
 *     new       series with five labels are made
 *     known     one sample a series, steady and jittering, round after round
 *     view      known rounds while a thread captures all series again and again
 *     flush     bytes on disk a sample
 *
 * Times are processor time of the owner's thread. Lines:
 * BENCH engine.<series>.known.ns_per_sample=... The first argument is the largest number
 * of series (default 1000000); a tenth of it is measured first.
 *
 * "memory N M" instead: what each of N series costs, with 1, 3, 10, 120 and 480 samples of set
 * C (tests/lib/series_kinds.h), put into the heads directly, up to M samples. RSS is what the
 * process holds of the system beyond what it held before the first series; workers is what
 * encoding costs them. */
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/panic.h"
#include "base/thread.h"
#include "base/workers.h"
#include "engine/db_priv.h"
#include "engine/view.h"
#include "tests/lib/series_kinds.h"

enum { BATCH = 2000, ROUNDS = 40, STEP_MS = 15000 };

struct host {
    struct mailbox box;
    struct workers *workers;
    struct vfs *vfs;
    struct rng rng;
    struct db *db;
    size_t n_series;
    ts_time now;
    int64_t ns, ns_max;        /* of the owner: all of it, the longest step */
    _Atomic bool over;
    _Atomic size_t n_captures;
};

static void post(void *ctx, struct task *task)
{
    mailbox_push(&((struct host *)ctx)->box, task);
}

static mono_ns now_ns(void)
{
    return clock_mono(clock_system());
}

/* Processor time of the owner: the machine has other things to do, too. */
static int64_t cpu_ns(void)
{
    return clock_thread_cpu_ns();
}

static void note(struct host *host, int64_t begun)
{
    int64_t ns = cpu_ns() - begun;
    host->ns += ns;
    if (ns > host->ns_max) host->ns_max = ns;
}

static void serve(void *ctx)
{
    struct host *host = ctx;
    if (mailbox_empty(&host->box)) {
        sched_yield();
        return;
    }
    int64_t begun = cpu_ns();
    (void)mailbox_drain(&host->box, 1);
    note(host, begun);
}

static void batch_done(struct batch *batch)
{
    *(bool *)batch->ctx = true;
}

static void name_series(struct batch *batch, struct batch_series *series, size_t i)
{
    ASSERT(batch_name_series(batch, series));
    struct batch_name *out = series->name;
    static const char *const names[] = {LABEL_NAME, "cpu", "instance", "job", "mode"};
    const char *formats[] = {"node_cpu_seconds_total", "%zu", "host-%zu.example:9100", "node",
                             "mode-%zu"};
    size_t values[] = {0, i % 8, i / 64, 0, i / 8 % 8};
    struct label *label = arena_try_array(&batch->arena, 5, sizeof(*label));
    ASSERT(label);
    for (int k = 0; k < 5; k++) {
        char *text = arena_try(&batch->arena, 40);
        ASSERT(text);
        int len = k == 0 || k == 3 ? snprintf(text, 40, "%s", formats[k])
                                   : snprintf(text, 40, formats[k], values[k]);
        label[k] = (struct label){slice_str(names[k]), {text, (size_t)len}};
    }
    size_t n = 5;
    ASSERT(labels_canonicalise(label, &n, NULL) == ST_OK);
    out->labels = (struct labels){label, n};
    size_t len = labels_identity_len(out->labels);
    uint8_t *identity = arena_try(&batch->arena, len);
    ASSERT(identity);
    out->identity = slice_of(identity, labels_identity(identity, out->labels));
    out->hash = hash128(identity, len);
}

static void send_batch(struct host *host, size_t first, bool fresh)
{
    struct batch *batch = batch_new(NULL);
    bool done = false;
    ASSERT(batch);
    for (size_t i = first; i < first + BATCH && i < host->n_series; i++) {
        int64_t idx = batch_add_series(batch);
        uint64_t jitter = i % 4 == 3 ? hash_mix(i + (uint64_t)host->now) % 9 : 0;
        ts_time ts = host->now + (ts_time)jitter;
        double v = (double)(host->now / STEP_MS) * (double)(i % 10) + sin((double)i);
        ASSERT(idx >= 0);
        if (fresh) {
            name_series(batch, &batch->series[idx], i);
        } else {
            batch->series[idx].ordinal = (uint32_t)i;
            const struct registry *registry = db_registry(host->db);
            batch->series[idx].gen = entry_gen(registry_entry(registry, (uint32_t)i));
        }
        ASSERT(batch_add_row(batch, (size_t)idx, ts, (union value){.bits = f64_bits(v)}, 0));
    }
    batch->done = batch_done;
    batch->ctx = &done;
    int64_t begun = cpu_ns();
    sink_write(db_sink(host->db), batch);
    note(host, begun);
    while (!done) serve(host);
    ASSERT(batch->n_refused == 0);
    batch_free(batch);
    begun = cpu_ns();
    (void)db_tick(host->db);
    note(host, begun);
}

static void one_round(struct host *host, bool fresh)
{
    for (size_t i = 0; i < host->n_series; i += BATCH) send_batch(host, i, fresh);
    host->now += STEP_MS;
}

static void print(const struct host *host, const char *what, double value)
{
    printf("BENCH engine.%zu.%s=%.1f\n", host->n_series, what, value);
    fflush(stdout);
}

static void print_owner(struct host *host, const char *what, const char *unit, double n)
{
    char name[64];
    snprintf(name, sizeof(name), "%s.ns_per_%s", what, unit);
    print(host, name, (double)host->ns / n);
    snprintf(name, sizeof(name), "%s.step_max_us", what);
    print(host, name, (double)host->ns_max / 1e3);
    host->ns = host->ns_max = 0;
}

static void host_open(struct host *host, size_t n_series)
{
    struct db_options options;
    memset(host, 0, sizeof(*host));
    host->n_series = n_series;
    mailbox_init(&host->box, NULL, NULL);
    host->vfs = vfs_mem_new();
    rng_init(&host->rng, 1);
    const struct workers_options with = {.n_threads = {2, 1, 1}, .post = post, .post_ctx = host};
    ASSERT(workers_open(&host->workers, &with, NULL) == ST_OK);
    db_options_init(&options);
    options.retention_ms = 0;
    options.wal_size_limit = options.wal_flush_bytes = 1ull << 40;
    struct db_ports ports = {.vfs = host->vfs,
                             .clock = clock_system(),
                             .rng = &host->rng,
                             .exec = workers_exec(host->workers),
                             .wal_thread = true};
    ASSERT(db_open(&host->db, &options, &ports, NULL) == ST_OK);
    host->now = 1767225600000;
}

static void host_close(struct host *host)
{
    (void)db_close(host->db, 0, serve, host, NULL);
    workers_close(host->workers);
    (void)mailbox_drain(&host->box, SIZE_MAX);
    vfs_free(host->vfs);
}

static void capture_all(void *ctx)
{
    struct host *host = ctx;
    struct captured *series = calloc(host->n_series, sizeof(*series));
    ASSERT(series);
    while (!atomic_load(&host->over)) {
        struct view *view;
        if (db_pin(host->db, &view, NULL) != ST_OK) break;
        for (size_t i = 0; i < host->n_series; i++) series[i].ordinal = (uint32_t)i;
        if (view_capture(view, series, host->n_series, NULL) == ST_OK)
            atomic_fetch_add(&host->n_captures, 1);
        db_unpin(host->db, view);
    }
    free(series);
    atomic_store(&host->over, false);
}

/* Everything that waits for a worker or to be freed. */
static void settle(struct host *host)
{
    struct db_stats stats;
    do {
        int64_t begun = cpu_ns();
        (void)db_tick(host->db);
        note(host, begun);
        serve(host);
        db_stats(host->db, &stats);
    } while (stats.n_retired || workers_pending(host->workers, JOB_MAINTENANCE));
}

static void bench_view(struct host *host)
{
    struct thread thread;
    ASSERT(thread_start(&thread, "reader", capture_all, host, NULL) == ST_OK);
    for (int i = 0; i < 5; i++) one_round(host, false);
    atomic_store(&host->over, true);
    while (atomic_load(&host->over)) serve(host);
    thread_join(&thread);
    print(host, "view.captures", (double)atomic_load(&host->n_captures));
    print_owner(host, "view", "sample", 5.0 * (double)host->n_series);
}

static void flushed(void *ctx, status st)
{
    ASSERT(st == ST_OK);
    *(bool *)ctx = true;
}

static void bench_flush(struct host *host)
{
    bool done = false;
    struct db_stats stats;
    mono_ns begun = now_ns();
    db_flush(host->db, flushed, &done);
    while (!done) {
        int64_t step = cpu_ns();
        (void)db_tick(host->db);
        note(host, step);
        serve(host);
    }
    db_stats(host->db, &stats);
    double n = (double)stats.n_flush_samples;
    print(host, "flush.bytes_per_sample", (double)stats.n_flush_bytes / n);
    print(host, "flush.samples_per_us", n * 1e3 / (double)(now_ns() - begun));
    print_owner(host, "flush", "sample", n);
}

static void bench(size_t n_series)
{
    static struct host host;
    struct db_stats stats;
    double n = (double)n_series;
    host_open(&host, n_series);
    one_round(&host, true);
    print_owner(&host, "new", "series", n);
    db_stats(host.db, &stats);
    print(&host, "new.registry_bytes_per_series", (double)stats.registry_bytes / n);
    print(&host, "new.head_bytes_per_series", (double)stats.head_bytes / n);
    int rounds = n_series > 200000 ? ROUNDS / 4 : ROUNDS;
    for (int i = 0; i < rounds; i++) one_round(&host, false);
    print_owner(&host, "known", "sample", n * rounds);
    bench_view(&host);
    settle(&host);
    print_owner(&host, "settle", "series", n);
    db_stats(host.db, &stats);
    print(&host, "known.head_bytes_per_series", (double)stats.head_bytes / n);
    bench_flush(&host);
    settle(&host);
    print_owner(&host, "collect", "series", n);
    db_stats(host.db, &stats);
    print(&host, "flushed.head_bytes_per_series", (double)stats.head_bytes / n);
    host_close(&host);
}

/* --- memory a series ---------------------------------------------------------------- */

/* Processor time of all other threads. */
static double others_ns(void)
{
    return (double)(clock_process_cpu_ns() - clock_thread_cpu_ns());
}

/* Without the files, which are in memory here. */
static double rss_bytes(struct host *host)
{
    struct vfs_space space;
    ASSERT(vfs_space(host->vfs, &space, NULL) == ST_OK);
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total, resident;
    ASSERT(file && fscanf(file, "%lu %lu", &total, &resident) == 2);
    fclose(file);
    return (double)resident * 4096 + (double)space.free_bytes;
}

enum { MIX_SERIES = 1000, MIX_SAMPLES = 480 };

/* Set C: MIX_SERIES series in the shares of the set, for all others to repeat. */
static union value *mix_new(void)
{
    union value *mix = calloc((size_t)MIX_SERIES * MIX_SAMPLES, sizeof(*mix));
    struct rng rng;
    size_t i = 0;
    ASSERT(mix);
    rng_init(&rng, 1);
    for (int kind = 0; kind < N_SERIES_KINDS; kind++) {
        size_t n = kind_share(kind) * (MIX_SERIES / 100);
        for (size_t end = i + n; i < end; i++)
            kind_fill(mix + i * MIX_SAMPLES, MIX_SAMPLES, kind, &rng);
    }
    ASSERT(i == MIX_SERIES);
    return mix;
}

static void put_round(struct host *host, const union value *mix, int k)
{
    struct cell *cell = &host->db->cell;
    for (size_t i = 0; i < host->n_series; i += BATCH) {
        union value v[BATCH];
        size_t end = i + BATCH < host->n_series ? i + BATCH : host->n_series;
        /* 7 has no factor of MIX_SERIES: neighbours are of different kinds. */
        for (size_t s = i; s < end; s++)
            v[s - i] = mix[s * 7 % MIX_SERIES * MIX_SAMPLES + (size_t)k];
        int64_t begun = cpu_ns();
        for (size_t s = i; s < end; s++) {
            if (s % WRITE_SLICE_ROWS == 0) ASSERT(head_reserve(cell, WRITE_SLICE_ROWS) == ST_OK);
            if (s + 16 < end) __builtin_prefetch(cell_head(cell, (uint32_t)s + 16), 1);
            if (s + 8 < end) head_prefetch(cell_head(cell, (uint32_t)s + 8));
            head_append(cell, (uint32_t)s, host->now, v[s - i]);
        }
        encode_plan(cell);
        cell_collect(cell);
        note(host, begun);
        while (encode_waiting(&cell->encode) > 4096) serve(host);
    }
    host->now += STEP_MS;
}

static void print_memory(struct host *host, int n_samples, double rss_before)
{
    static const int points[] = {1, 3, 10, 120, 480};
    struct db_stats stats;
    char what[64];
    double n = (double)host->n_series;
    bool wanted = false;
    for (size_t i = 0; i < ARRAY_LEN(points); i++) wanted |= points[i] == n_samples;
    if (!wanted) return;
    settle(host);
    db_stats(host->db, &stats);
    const struct node_space *space = &host->db->cell.space;
    const struct {
        const char *name;
        double bytes;
    } rows[] = {
        {"rss", rss_bytes(host) - rss_before},
        {"registry", (double)stats.registry_bytes},
        {"heads_and_nodes", (double)stats.head_bytes},
        {"tails", (double)space->own.used_bytes},
        {"runs", (double)space->shared.used_bytes},
        {"tail_spans", (double)space->own.n_spans * SPAN_LEN},
        {"run_spans", (double)space->shared.n_spans * SPAN_LEN},
        {"idle_spans", (double)(space->own.n_warm + space->shared.n_warm) * SPAN_LEN},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(what, sizeof(what), "memory.%d.%s_bytes_per_series", n_samples, rows[i].name);
        print(host, what, rows[i].bytes / n);
    }
}

static void bench_memory(size_t n_series, int n_samples)
{
    static struct host host;
    union value *mix = mix_new();
    host_open(&host, n_series);
    double rss_before = rss_bytes(&host), others_before = others_ns();
    one_round(&host, true);
    print_owner(&host, "memory.new", "series", (double)n_series);
    print_memory(&host, 1, rss_before);
    for (int k = 1; k < n_samples; k++) {
        put_round(&host, mix, k);
        if (k == 9) {
            print_owner(&host, "memory.young", "sample", 9.0 * (double)n_series);
            others_before = others_ns();
        }
        print_memory(&host, k + 1, rss_before);
    }
    if (n_samples > 10) {
        double n = (double)(n_samples - 10) * (double)n_series;
        print_owner(&host, "memory.old", "sample", n);
        print(&host, "memory.old.workers_ns_per_sample", (others_ns() - others_before) / n);
    }
    free(mix);
    host_close(&host);
}

int main(int argc, char **argv)
{
    log_set_level(LOG_WARN);
    hash_seed(1);
    if (argc > 1 && strcmp(argv[1], "memory") == 0) {
        int n_samples = argc > 3 ? atoi(argv[3]) : MIX_SAMPLES;
        if (n_samples < 1 || n_samples > MIX_SAMPLES) return 2;
        bench_memory(argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000, n_samples);
        return 0;
    }
    size_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    if (n >= 20000) bench(n / 10);
    bench(n);
    return 0;
}
