/* Goal: a view is exactly the state after some whole batch, however long its worker takes
 * to look (architecture, section 7). Method: one owner thread writes a known sequence with
 * real workers and a real WAL thread: batch k writes value k at time k to every series,
 * now and then with late samples over older values, births, a delete behind it, a flush
 * beside it. Reader threads pin, capture and read everything meanwhile, held back between
 * loading the roots and the journal, and compare with what the sequence says.
 *
 * What a reader saw acknowledged before its pin must be in its view. To be run under
 * SAN=thread and SAN=address; TSINK_ROUNDS multiplies the number of batches. */
#include <math.h>
#include <sched.h>
#include <stdarg.h>

#include "base/bits.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/sync_point.h"
#include "base/thread.h"
#include "base/workers.h"
#include "engine/view.h"
#include "tests/fault/fault_suites.h"
#include "tests/lib/db_rig.h"

enum {
    FIRST_SERIES = 280,   /* more than a slice of the write path holds */
    BIRTHS = 5,
    BIRTH_EVERY = 12,
    LATE_EVERY = 5,
    DELETE_EVERY = 37,
    FLUSH_EVERY = 41,
    READERS = 3,
    STEPS = 400,
    VIEWS_MIN = 10,           /* that are read before the owner may end */
};

/* --- the sequence: pure ------------------------------------------------------------ */

static long n_series_at(long k)
{
    return FIRST_SERIES + k / BIRTH_EVERY * BIRTHS;
}

static long born_at(long s)
{
    return s < FIRST_SERIES ? 0 : ((s - FIRST_SERIES) / BIRTHS + 1) * BIRTH_EVERY;
}

/* Steady for two series of three, with jitter for the third. */
static ts_time time_of(long s, long k)
{
    return k * 10 + (s % 3 == 1 ? k * 7 % 5 : 0);
}

/* What series s holds for step t after batch k; deleted: the delete behind batch k too. */
static bool expected(long s, long t, long k, bool deleted, double *v)
{
    long late = t + 2;
    bool there = t >= born_at(s) && t <= k;
    *v = (double)t;
    if (late % LATE_EVERY == 0 && late <= k && s < n_series_at(late)) {
        there = true;
        *v = 1e6 + (double)late;
    }
    long last = deleted ? k : k - 1; /* deletes come at multiples of DELETE_EVERY, up to here */
    for (long d = DELETE_EVERY; d <= last && there; d += DELETE_EVERY)
        if (t >= d - 20 && t <= d - 15) there = false;
    return there;
}

/* --- the host: an owner with workers ------------------------------------------------ */

struct host {
    struct mailbox box;
    struct workers *workers;
    struct vfs *vfs;
    struct rng rng;
    struct db *db;
    _Atomic long started, applied, deleted; /* batches, and the batch of the last delete */
    _Atomic bool over;
    _Atomic long n_views, n_readers;
    struct mutex mutex;
    char failure[200];                      /* under mutex: the first */
};

static void wrong(struct host *host, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void wrong(struct host *host, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    mutex_lock(&host->mutex);
    if (!host->failure[0]) vsnprintf(host->failure, sizeof(host->failure), format, args);
    mutex_unlock(&host->mutex);
    va_end(args);
}

static void post(void *ctx, struct task *task)
{
    mailbox_push(&((struct host *)ctx)->box, task);
}

static void serve(void *ctx)
{
    struct host *host = ctx;
    if (mailbox_drain(&host->box, 64) == 0) sched_yield();
}

static void host_open(struct host *host)
{
    struct db_options options;
    struct err err = {.st = ST_OK};
    memset(host, 0, sizeof(*host));
    host->applied = -1;
    host->deleted = -1;
    mutex_init(&host->mutex, LOCK_LEAF);
    mailbox_init(&host->box, NULL, NULL);
    host->vfs = vfs_mem_new();
    rng_init(&host->rng, 1);
    const struct workers_options with = {.n_threads = {2, 2, 1}, .post = post, .post_ctx = host};
    ck_assert_int_eq(workers_open(&host->workers, &with, &err), ST_OK);
    db_options_init(&options);
    options.retention_ms = 0;
    options.chunk_points = 64;
    options.wal_file_bytes = 256 << 10;
    options.wal_buffer_bytes = 256 << 10;
    struct db_ports ports = {.vfs = host->vfs,
                             .clock = clock_system(),
                             .rng = &host->rng,
                             .exec = workers_exec(host->workers),
                             .wal_thread = true};
    ck_assert_msg(db_open(&host->db, &options, &ports, &err) == ST_OK, "%s", err.text);
}

static void host_close(struct host *host)
{
    struct err err = {.st = ST_OK};
    mono_ns deadline = clock_mono(clock_system()) + INT64_C(20000000000);
    ck_assert_msg(db_close(host->db, deadline, serve, host, &err) == ST_OK, "%s", err.text);
    workers_close(host->workers);
    (void)mailbox_drain(&host->box, SIZE_MAX);
    vfs_free(host->vfs);
    mutex_release(&host->mutex);
}

/* --- the owner ---------------------------------------------------------------------- */

static struct batch *make_batch(long k)
{
    struct batch *batch = db_rig_batch(NULL);
    bool late = k >= 2 && k % LATE_EVERY == 0;
    for (long s = 0; s < n_series_at(k); s++) {
        char *name = arena_try(&batch->arena, 32);
        ck_assert_ptr_nonnull(name);
        snprintf(name, 32, "v{s=\"%ld\"}", s);
        size_t idx = (size_t)db_rig_add_series(batch, name);
        union value now = {.bits = f64_bits((double)k)};
        union value then = {.bits = f64_bits(1e6 + (double)k)};
        bool ok = true;
        if (late && s % 2) ok = batch_add_row(batch, idx, time_of(s, k - 2), then, 0);
        ok = ok && batch_add_row(batch, idx, time_of(s, k), now, 0);
        if (late && s % 2 == 0) ok = ok && batch_add_row(batch, idx, time_of(s, k - 2), then, 0);
        ck_assert(ok);
        batch->series[idx].n_rows = late ? 2 : 1;
        batch->series[idx].first_row = (uint32_t)(batch->n_rows - batch->series[idx].n_rows);
    }
    return batch;
}

static void write_step(struct host *host, long k)
{
    struct batch *batch = make_batch(k);
    bool done = false;
    batch->done = db_rig_done;
    batch->ctx = &done;
    atomic_store(&host->started, k);
    sink_write(db_sink(host->db), batch);
    while (!done) {
        serve(host);
        (void)db_tick(host->db);
    }
    if (batch->n_refused) wrong(host, "batch %ld: %s", k, err_text(&batch->err, batch->st));
    atomic_store(&host->applied, k);
    batch_free(batch);
}

static void delete_step(struct host *host, long k)
{
    static uint32_t ordinals[FIRST_SERIES * 64];
    size_t n = (size_t)n_series_at(k);
    lsn at;
    struct err err = {.st = ST_OK};
    ck_assert_uint_le(n, sizeof(ordinals) / sizeof(ordinals[0]));
    for (size_t i = 0; i < n; i++) ordinals[i] = (uint32_t)i;
    struct time_range range = {(k - 20) * 10, (k - 15) * 10 + 9};
    status st;
    while ((st = db_delete(host->db, ordinals, n, range, &at, &err)) == ST_OVERLOAD) serve(host);
    if (st != ST_OK) wrong(host, "delete after batch %ld: %s", k, err.text);
    atomic_store(&host->deleted, k);
}

static void flushed(void *ctx, status st)
{
    if (st != ST_OK) wrong(ctx, "a flush failed: %s", status_text(st));
}

/* --- the readers -------------------------------------------------------------------- */

/* Holds the worker until the owner has gone on, or seems to wait for us. */
static void let_the_owner_write(void *ctx)
{
    struct host *host = ctx;
    long from = atomic_load(&host->applied);
    for (int i = 0; i < 2000 && atomic_load(&host->applied) < from + 2; i++) sched_yield();
}

static void check_series(struct host *host, const struct points *pts, long s, long k,
                         bool deleted)
{
    size_t at = 0;
    double v;
    for (long t = 0; t <= k; t++) {
        if (!expected(s, t, k, deleted, &v)) continue;
        if (at == pts->n || pts->ts[at] != time_of(s, t) || pts->val[at].bits != f64_bits(v)) {
            wrong(host, "after batch %ld%s: series %ld, step %ld: have %lld = %g, want %lld = %g",
                  k, deleted ? " and its delete" : "", s, t,
                  at < pts->n ? (long long)pts->ts[at] : -1,
                  at < pts->n ? bits_f64(pts->val[at].bits) : NAN, (long long)time_of(s, t), v);
            return;
        }
        at++;
    }
    if (at < pts->n)
        wrong(host, "after batch %ld: series %ld has %zu samples too many", k, s, pts->n - at);
}

/* Whether series 0 says that the delete behind batch k is in this view. */
static bool sees_delete(const struct points *pts, long k)
{
    if (k < DELETE_EVERY || k % DELETE_EVERY) return false;
    for (size_t i = 0; i < pts->n; i++)
        if (pts->ts[i] == time_of(0, k - 18)) return false;
    return true;
}

static bool read_one(struct host *host, struct view *view, const struct captured *at,
                     struct points *pts)
{
    struct err err = {.st = ST_OK};
    pts->n = 0;
    if (view_read(view, at, (struct time_range){TS_MIN, TS_MAX}, pts, NULL, &err) == ST_OK)
        return true;
    wrong(host, "view_read: %s", err.text);
    return false;
}

static void check_view(struct host *host, struct view *view, long acked, long acked_delete)
{
    struct err err = {.st = ST_OK};
    struct points pts = {0};
    size_t n = (size_t)view_births(view);
    if (n == 0) return; /* before the first batch */
    struct captured *series = calloc(n, sizeof(*series));
    for (size_t i = 0; i < n; i++) series[i].ordinal = (uint32_t)i;
    if (view_capture(view, series, n, &err) != ST_OK) wrong(host, "capture: %s", err.text);
    sched_yield();
    if (!read_one(host, view, &series[0], &pts)) goto out;
    long k = pts.n ? (long)(pts.ts[pts.n - 1] / 10) : -1;
    bool deleted = sees_delete(&pts, k);
    if (k < acked) wrong(host, "batch %ld was acknowledged before the pin, %ld is there", acked, k);
    if (k == acked_delete && !deleted) wrong(host, "the delete after batch %ld is not there", k);
    if (n != (size_t)n_series_at(k)) wrong(host, "%zu series after batch %ld", n, k);
    for (size_t i = 0; i < n && !host->failure[0]; i++)
        if (read_one(host, view, &series[i], &pts))
            check_series(host, &pts, (long)i, k, deleted);
out:
    points_release(&pts);
    free(series);
}

static void reader_main(void *ctx)
{
    struct host *host = ctx;
    while (!atomic_load(&host->over)) {
        struct view *view;
        struct err err = {.st = ST_OK};
        long acked_delete = atomic_load(&host->deleted), acked = atomic_load(&host->applied);
        if (db_pin(host->db, &view, &err) != ST_OK) {
            wrong(host, "pin: %s", err.text);
            break;
        }
        check_view(host, view, acked, acked_delete);
        db_unpin(host->db, view);
        atomic_fetch_add(&host->n_views, 1);
    }
    atomic_fetch_sub(&host->n_readers, 1);
}

START_TEST(test_a_view_is_the_state_after_a_whole_batch)
{
    static struct host host;
    struct thread readers[READERS];
    long n_steps = STEPS * fault_rounds(1, 50);
    log_set_level(LOG_WARN);
    hash_seed(unit_seed());
    host_open(&host);
    host.n_readers = READERS;
    sync_point_set("view:between-roots-and-journal", let_the_owner_write, &host);
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(thread_start(&readers[i], "reader", reader_main, &host, NULL), ST_OK);
    /* A release build has no sync points that would hold the owner back for the readers. */
    for (long k = 0; !host.failure[0]; k++) {
        if (k >= n_steps && atomic_load(&host.n_views) >= VIEWS_MIN) break;
        write_step(&host, k);
        if (k >= DELETE_EVERY && k % DELETE_EVERY == 0) delete_step(&host, k);
        if (k % FLUSH_EVERY == 0) db_flush(host.db, flushed, &host);
    }
    atomic_store(&host.over, true);
    sync_point_clear_all();
    /* A reader may wait for its pin: the owner serves them until the last has ended. */
    while (atomic_load(&host.n_readers) > 0) serve(&host);
    for (int i = 0; i < READERS; i++) thread_join(&readers[i]);
    ck_assert_msg(!host.failure[0], "%s", host.failure);
    ck_assert_int_ge(atomic_load(&host.n_views), VIEWS_MIN);
    host_close(&host);
}
END_TEST

Suite *suite_view_exact(void)
{
    Suite *s = suite_create("view_exact");
    TCase *tc = tcase_create("view_exact");
    tcase_set_timeout(tc, 24 * 3600);
    tcase_add_test(tc, test_a_view_is_the_state_after_a_whole_batch);
    suite_add_tcase(s, tc);
    return s;
}
