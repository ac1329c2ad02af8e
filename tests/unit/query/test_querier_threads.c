/* Goal: a fetch shows the database at one moment, whole requests only, while the owner
 * writes, flushes, makes series and overwrites old samples. Method: real workers read
 * all the time; request t (1, 2, ...) writes
 *
 *     m{k="0"}   at t, value t, and at time 1 again, value t
 *     m{k="i"}   at t, value t, for each i >= 1 with i * BIRTH_EVERY <= t
 *
 * every second series with start timestamps, value + START,
 * so whoever sees T samples of series 0 must see time 1 at value T, and of each other
 * series exactly its samples up to T. The owner is the test's own thread. */
#include <sched.h>

#include "base/mailbox.h"
#include "base/panic.h"
#include "base/workers.h"
#include "query/querier_local.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/query/query_suites.h"

enum { REQUESTS = 600, BIRTH_EVERY = 20, READERS = 2, FLUSH_EVERY = 97 };
enum { START = 1000 };

struct world {
    struct mailbox box;
    struct workers *workers;
    struct vfs *vfs;
    struct rng rng;
    struct db *db;
    struct querier *querier;
    bool stop;        /* owner */
    int n_jobs;       /* owner */
    _Atomic uint64_t n_fetches, n_samples;
    _Atomic uint64_t n_seen_most; /* T of the latest moment anybody saw */
    char failure[256];            /* the first one; written once, read after all ended */
    _Atomic bool failed;
};

struct read_job {
    struct job job;
    struct world *world;
};

static void note_fault(struct world *w, const char *what, uint64_t a, uint64_t b)
{
    if (atomic_exchange(&w->failed, true)) return;
    snprintf(w->failure, sizeof(w->failure), "%s: %" PRIu64 ", %" PRIu64, what, a, b);
}

/* Series i of a moment in which T requests were there. */
static void check_series(struct world *w, uint64_t i, uint64_t T, const struct points *pts)
{
    uint64_t first = i ? i * BIRTH_EVERY : 1;
    uint64_t want = T >= first ? T - first + 1 : 0;
    if (pts->n != want) {
        note_fault(w, "samples of a series, wanted", pts->n, want);
        return;
    }
    for (size_t k = 0; k < pts->n; k++) {
        double v = bits_f64(pts->val[k].bits), right = (double)(first + k);
        if (i == 0 && k == 0) right = (double)T; /* written again by each request */
        if (pts->ts[k] != (ts_time)(first + k)) note_fault(w, "time of a sample", k, first);
        if (v != right) note_fault(w, "value of a sample", (uint64_t)v, (uint64_t)right);
    }
}

/* A start for each sample of the moment, or for none. */
static status check_starts(struct world *w, uint64_t i, struct series_set *set, size_t s,
                           const struct points *pts, struct points *starts, struct err *err)
{
    starts->n = 0;
    TRY(set->ops->starts(set, s, starts, err));
    if (starts->n != (i % 2 ? 0 : pts->n)) {
        note_fault(w, "starts of a series, samples", starts->n, pts->n);
        return ST_OK;
    }
    for (size_t k = 0; k < starts->n; k++)
        if (starts->ts[k] != pts->ts[k] ||
            (double)(ts_time)starts->val[k].bits != bits_f64(pts->val[k].bits) + START)
            note_fault(w, "start of a sample", starts->val[k].bits, k);
    return ST_OK;
}

static status check_set(struct world *w, struct series_set *set, struct err *err)
{
    uint64_t T = 0, n_seen = 0;
    struct points pts = {0}, starts = {0};
    status st = ST_OK;
    for (int pass = 0; pass < 2 && st == ST_OK; pass++) {
        for (size_t s = 0; s < set->n && st == ST_OK; s++) {
            uint64_t i = strtoull(labels_get(set->labels[s], SLICE_LIT("k")).ptr, NULL, 10);
            if (pass == 0 && i != 0) continue;
            pts.n = 0;
            st = series_read(set, s, &pts, err);
            if (pass == 0) T = pts.n;
            if (st == ST_OK) check_series(w, i, T, &pts);
            if (st == ST_OK) st = check_starts(w, i, set, s, &pts, &starts, err);
            atomic_fetch_add(&w->n_samples, pts.n);
            n_seen += pass == 1 && pts.n > 0;
        }
    }
    if (T && n_seen != 1 + T / BIRTH_EVERY) note_fault(w, "series", n_seen, 1 + T / BIRTH_EVERY);
    uint64_t most = atomic_load(&w->n_seen_most);
    while (most < T && !atomic_compare_exchange_weak(&w->n_seen_most, &most, T)) {}
    points_release(&pts);
    points_release(&starts);
    return st;
}

static status read_run(struct job *job)
{
    struct world *w = container_of(job, struct read_job, job)->world;
    struct matcher m = {.op = MATCH_EQ, .name = SLICE_LIT(LABEL_NAME), .value = SLICE_LIT("m")};
    struct select select = {.matchers = {&m, 1}, .range = {TS_MIN, TS_MAX}};
    struct query_budget budget = {.series_max = 0};
    struct series_set *set;
    struct fetch *fetch;
    status st =
        querier_fetch(w->querier, &fetch, &set, &select, 1, SLICE_LIT(""), &budget, &job->err);
    if (st != ST_OK) return st;
    st = check_set(w, set, &job->err);
    querier_done(w->querier, fetch);
    atomic_fetch_add(&w->n_fetches, 1);
    return st;
}

static void read_publish(struct job *job, status st);
static const struct job_ops read_ops = {
    .name = "read", .lane = JOB_QUERY, .run = read_run, .publish = read_publish};

static void read_publish(struct job *job, status st)
{
    struct read_job *rd = container_of(job, struct read_job, job);
    if (st != ST_OK) note_fault(rd->world, job->err.text, (uint64_t)st, 0);
    if (rd->world->stop || st != ST_OK) {
        rd->world->n_jobs--;
        return;
    }
    job_init(&rd->job, &read_ops);
    exec_submit(workers_exec(rd->world->workers), &rd->job);
}

static void post(void *ctx, struct task *task)
{
    mailbox_push(ctx, task);
}

static void serve(void *ctx)
{
    if (mailbox_drain(&((struct world *)ctx)->box, 64) == 0) (void)sched_yield();
}

static void world_open(struct world *w)
{
    struct db_options options;
    struct err err = {.st = ST_OK};
    struct workers_options opt = {
        .n_threads = {1, READERS, 1}, .post = post, .post_ctx = &w->box};
    mailbox_init(&w->box, NULL, NULL);
    ck_assert_int_eq(workers_open(&w->workers, &opt, &err), ST_OK);
    w->vfs = vfs_mem_new();
    rng_init(&w->rng, unit_seed());
    db_options_init(&options);
    options.retention_ms = 0;
    options.wal_file_bytes = 256 << 10;
    options.wal_buffer_bytes = 1 << 20;
    struct db_ports ports = {.vfs = w->vfs,
                             .clock = clock_system(),
                             .rng = &w->rng,
                             .exec = workers_exec(w->workers),
                             .wal_thread = true};
    status st = db_open(&w->db, &options, &ports, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    w->querier = querier_local_new(w->db, NULL);
}

static void batch_over(struct batch *batch)
{
    *(bool *)batch->ctx = true;
}

static void add_row(struct batch *batch, int64_t series, uint64_t ts, uint64_t v, bool started)
{
    ck_assert(batch_add_row(batch, (size_t)series, (ts_time)ts,
                            (union value){.bits = f64_bits((double)v)}, 0));
    ck_assert(batch_start_row(batch, started ? (ts_time)v + START : START_NONE));
}

static void write_request(struct world *w, uint64_t t)
{
    bool done = false;
    struct batch *batch = db_rig_batch(NULL);
    for (uint64_t i = 0; i * BIRTH_EVERY <= t; i++) {
        const char *name = arena_printf(&batch->arena, "m{k=\"%" PRIu64 "\"}", i);
        ck_assert_ptr_nonnull(name); /* the batch borrows it */
        int64_t series = db_rig_add_series(batch, name);
        add_row(batch, series, t, t, i % 2 == 0);
        if (i == 0) add_row(batch, series, 1, t, true);
    }
    batch->done = batch_over;
    batch->ctx = &done;
    batch->deferrable = true;
    sink_write(db_sink(w->db), batch);
    while (!done) serve(w);
    for (size_t i = 0; i < batch->n_rows; i++) ck_assert_int_eq(batch->result[i], ST_OK);
    batch_free(batch);
}

static void flush_over(void *ctx, status st)
{
    if (st != ST_OK) note_fault(ctx, "flush", (uint64_t)st, 0);
}

START_TEST(test_fetch_beside_a_writer)
{
    static struct world w;
    struct read_job jobs[READERS];
    struct err err = {.st = ST_OK};
    world_open(&w);
    for (int i = 0; i < READERS; i++) {
        jobs[i].world = &w;
        job_init(&jobs[i].job, &read_ops);
        w.n_jobs++;
        exec_submit(workers_exec(w.workers), &jobs[i].job);
    }
    for (uint64_t t = 1; t <= REQUESTS && !atomic_load(&w.failed); t++) {
        write_request(&w, t);
        if (t % FLUSH_EVERY == 0) db_flush(w.db, flush_over, &w);
        (void)db_tick(w.db); /* how long until the next: we do not sleep */
        serve(&w);
    }
    /* Until somebody has seen the last request. */
    while (atomic_load(&w.n_seen_most) < REQUESTS && !atomic_load(&w.failed)) serve(&w);
    w.stop = true;
    while (w.n_jobs > 0) serve(&w);
    ck_assert_msg(!atomic_load(&w.failed), "%s", w.failure);
    printf("# %" PRIu64 " fetches, %" PRIu64 " samples\n", atomic_load(&w.n_fetches),
           atomic_load(&w.n_samples));

    querier_local_free(w.querier);
    status st = db_close(w.db, clock_mono(clock_system()) + 10000000000, serve, &w, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    workers_close(w.workers);
    while (mailbox_drain(&w.box, 64)) {}
    vfs_free(w.vfs);
}
END_TEST

Suite *suite_querier_threads(void)
{
    Suite *suite = suite_create("querier_threads");
    TCase *tc = tcase_create("querier_threads");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_fetch_beside_a_writer);
    suite_add_tcase(suite, tc);
    return suite;
}
