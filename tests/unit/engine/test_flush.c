/* Goal: a flush that fails, or that a crash cuts short, changes nothing that anyone can
 * see, then or after a restart. Method: single situations on disks that fail or lose
 * power at a chosen place; each was a way to lose data. */
#include "base/bits.h"
#include "base/log.h"
#include "base/sync_point.h"
#include "engine/db_priv.h"
#include "engine/flush_priv.h"
#include "tests/lib/db_rig.h"
#include "tests/lib/vfs_crash.h"
#include "tests/lib/vfs_fault.h"
#include "tests/unit/engine/engine_suites.h"

static const struct time_range all = {TS_MIN, TS_MAX};

static void open_on(struct db_rig *rig, struct vfs *vfs)
{
    log_set_level(LOG_OFF);
    db_rig_init_on(rig, 1, vfs);
    rig->options.fail_fast = false;
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
}

static void put(struct db_rig *rig, const char *series, ts_time from, int n)
{
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(db_rig_put(rig, series, from + i, (double)(from + i)), ST_OK);
}

enum { MANY = 1100 }; /* more than a flush cuts in one step */

/* One sample of each of so many series. */
static void put_many(struct db_rig *rig)
{
    static char name[MANY][24]; /* until the batch is freed */
    struct batch *batch = db_rig_batch(NULL);
    for (int i = 0; i < MANY; i++) {
        snprintf(name[i], sizeof(name[i]), "many{i=\"%d\"}", i);
        int64_t idx = db_rig_add_series(batch, name[i]);
        batch->series[idx].first_row = (uint32_t)batch->n_rows;
        batch->series[idx].n_rows = 1;
        ck_assert(batch_add_row(batch, (size_t)idx, i, (union value){.bits = f64_bits(1)}, 0));
    }
    db_rig_send(rig, batch);
    ck_assert_uint_eq(batch->n_refused, 0);
    batch_free(batch);
}

static size_t count(struct db_rig *rig, const char *series)
{
    struct points pts = {0};
    ck_assert_msg(db_rig_read(rig, series, all, &pts, NULL) == ST_OK, "%s", rig->err.text);
    size_t n = pts.n;
    points_release(&pts);
    return n;
}

static void check(struct db_rig *rig)
{
    struct err err = {.st = ST_OK};
    db_rig_settle(rig);
    ck_assert_msg(db_check(rig->db, &err) == ST_OK, "%s", err.text);
}

static void del(struct db_rig *rig, const char *series, ts_time from, ts_time to)
{
    lsn at;
    uint32_t ordinal = db_rig_ordinal(rig, series);
    struct time_range range = {from, to};
    ck_assert_int_eq(db_delete(rig->db, &ordinal, 1, range, &at, &rig->err), ST_OK);
}

static void no_answer(void *ctx, status st)
{
    (void)ctx;
    (void)st;
}

/* The disk as the power goes now, everything synced and unsynced there. The rig that ran
 * on the old one is closed on a dead disk. */
static struct vfs_crash *pull_the_plug(struct db_rig *rig, struct vfs_crash *disk)
{
    struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_KEEP_ALL, 1);
    vfs_crash_stop_after(disk, vfs_crash_n_changes(disk));
    (void)db_rig_close(rig);
    db_rig_release(rig);
    vfs_crash_free(disk);
    return after;
}

/* A delete carries the order of the last flush begun; when that one was never published,
 * the next flush after a restart must not get the same order. */
static void delete_during_lost_flush(bool through_file)
{
    struct vfs_crash *disk = vfs_crash_new();
    struct db_rig rig;
    open_on(&rig, vfs_crash_vfs(disk));
    put(&rig, "m", 0, 20);
    db_flush(rig.db, no_answer, NULL); /* begun; its jobs do not run */
    del(&rig, "m", 5, 9);
    disk = pull_the_plug(&rig, disk);

    open_on(&rig, vfs_crash_vfs(disk));
    ck_assert_uint_eq(count(&rig, "m"), 15);
    if (through_file) { /* the record goes to the store of deletes, the WAL is released */
        put(&rig, "other", 0, 1);
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
        ck_assert_int_eq(db_rig_close(&rig), ST_OK);
        ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    }
    put(&rig, "m", 6, 2);
    ck_assert_uint_eq(count(&rig, "m"), 17);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    ck_assert_uint_eq(count(&rig, "m"), 17);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_uint_eq(count(&rig, "m"), 17);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
    vfs_crash_free(disk);
}

START_TEST(test_a_delete_during_a_lost_flush_hides_nothing_later)
{
    delete_during_lost_flush(_i != 0);
}
END_TEST

/* A series that has nothing in memory when a flush begins, and that is deleted before the
 * flush has come to it: what it gets then is behind the delete. */
START_TEST(test_a_delete_before_the_cut_hides_nothing_later)
{
    struct vfs *vfs = vfs_mem_new();
    struct db_rig rig;
    open_on(&rig, vfs);
    put_many(&rig);
    put(&rig, "m", 0, 20);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    put(&rig, "other", 0, 1);
    db_flush(rig.db, no_answer, NULL);
    ck_assert_int_eq(rig.db->cell.flush->phase, FLUSH_CUTTING);
    del(&rig, "m", 0, 50);
    struct batch *batch = db_rig_batch("m");
    for (int i = 0; i < 3; i++)
        ck_assert(batch_add_row(batch, 0, 10 + i, (union value){.bits = f64_bits(1)}, 0));
    bool done = false;
    batch->done = db_rig_done;
    batch->ctx = &done;
    sink_write(db_sink(rig.db), batch);
    db_rig_settle(&rig);
    ck_assert(done && batch->n_refused == 0);
    batch_free(batch);
    ck_assert_uint_eq(count(&rig, "m"), 3);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_uint_eq(count(&rig, "m"), 3);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
    vfs_free(vfs);
}
END_TEST

/* A delete that comes while a flush waits to name its segments is in no synced part of the
 * log: the flush must not make it durable before what was written before it. */
START_TEST(test_a_flush_stores_no_delete_that_the_log_may_lose)
{
    struct vfs_crash *disk = vfs_crash_new();
    struct db_rig rig;
    log_set_level(LOG_OFF);
    db_rig_init_on(&rig, 1, vfs_crash_vfs(disk));
    rig.options.wal_sync = DB_WAL_PERIODIC;
    rig.options.wal_sync_interval_ms = 3600 * 1000;
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    put(&rig, "m", 0, 20);
    rig.db->catalog_busy = true;
    db_flush(rig.db, no_answer, NULL);
    for (int i = 0; i < 1000; i++) {
        (void)exec_sim_step(rig.exec);
        (void)db_tick(rig.db);
    }
    ck_assert_int_eq(rig.db->cell.flush->phase, FLUSH_SYNCING);
    lsn synced = wal_synced(rig.db->cell.wal);
    put(&rig, "other", 0, 1);
    del(&rig, "m", 5, 9);
    rig.db->catalog_busy = false;
    db_rig_settle(&rig);
    ck_assert(!rig.db->cell.flush);
    ck_assert_uint_eq(wal_synced(rig.db->cell.wal), synced);
    ck_assert_uint_eq(rig.db->cell.pending_deletes.len, 1);

    struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_DROP_ALL, 1);
    vfs_crash_stop_after(disk, vfs_crash_n_changes(disk));
    (void)db_rig_close(&rig);
    db_rig_release(&rig);
    vfs_crash_free(disk);
    open_on(&rig, vfs_crash_vfs(after));
    ck_assert_uint_eq(db_rig_ordinal(&rig, "other"), ORDINAL_NONE);
    ck_assert_uint_eq(count(&rig, "m"), 20);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
    vfs_crash_free(after);
}
END_TEST

/* A failed catalog write must not leave its covered lsn behind for the next writer of the
 * catalog, which is an expiry. */
START_TEST(test_a_failed_flush_covers_no_wal)
{
    struct vfs_crash *disk = vfs_crash_new();
    struct vfs_fault *fault = vfs_fault_new(vfs_crash_vfs(disk), 1);
    struct db_rig rig;
    log_set_level(LOG_OFF);
    db_rig_init_on(&rig, 1, vfs_fault_vfs(fault));
    rig.options.retention_ms = 3600 * 1000;
    rig.options.compaction_interval_ms = 1000;
    rig.options.fail_fast = false;
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ts_time now = clock_wall(&rig.clock.clock);
    put(&rig, "old", now - 3599 * 1000, 3);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    put(&rig, "new", now, 5);
    struct vfs_fault_rule rule = {
        .ops = VFS_OP_CHANGES, .glob = "*catalog*", .nth = 1, .forever = true, .st = ST_IO};
    (void)vfs_fault_add(fault, &rule);
    ck_assert_int_ne(db_rig_flush(&rig), ST_OK);
    vfs_fault_clear(fault);
    clock_sim_advance_ms(&rig.clock, 4000); /* the first segment expires */
    db_rig_settle(&rig);
    struct db_stats stats;
    db_stats(rig.db, &stats);
    ck_assert_uint_eq(stats.n_segments_expired, 1);
    check(&rig);

    struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_KEEP_ALL, 1);
    vfs_crash_stop_after(disk, vfs_crash_n_changes(disk));
    (void)db_rig_close(&rig);
    db_rig_release(&rig);
    vfs_fault_free(fault);
    vfs_crash_free(disk);
    open_on(&rig, vfs_crash_vfs(after));
    ck_assert_uint_eq(count(&rig, "new"), 5);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
    vfs_crash_free(after);
}
END_TEST

static struct series_attrs attrs_of(struct db_rig *rig, const char *series)
{
    const struct series_attrs *attrs =
        entry_attrs(registry_entry(db_registry(rig->db), db_rig_ordinal(rig, series)));
    return attrs ? *attrs : (struct series_attrs){.retention_ms = -1};
}

/* Changed attributes are in the WAL until a registry file has them. */
static status count_dir(void *ctx, const struct vfs_entry *entry)
{
    *(size_t *)ctx += entry->is_dir;
    return ST_OK;
}

/* Segments of flushes that failed do not pile up: a disk that is full stays as full as it
 * was. Which of them the catalog on disk names nobody knows until one can be written. */
START_TEST(test_segments_of_failed_flushes_go)
{
    struct vfs *disk = vfs_mem_new();
    struct vfs_fault *fault = vfs_fault_new(disk, 1);
    struct db_rig rig;
    size_t n = 0;
    open_on(&rig, vfs_fault_vfs(fault));
    put(&rig, "m", 0, 20);
    struct vfs_fault_rule rule = {.ops = _i ? VFS_OP(SYNC_DIR) : VFS_OP(WRITE),
                                  .glob = _i ? "." : LAYOUT_CATALOG ".tmp",
                                  .nth = _i ? 4 : 1, /* a segment: 2, the registry: 1 */
                                  .forever = true,
                                  .st = ST_NO_SPACE};
    (void)vfs_fault_add(fault, &rule);
    for (int i = 0; i < 3; i++) ck_assert_int_ne(db_rig_flush(&rig), ST_OK);
    vfs_fault_clear(fault);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    db_rig_settle(&rig);
    ck_assert_int_eq(vfs_list(rig.vfs, "lane_numeric/l0", count_dir, &n, NULL), ST_OK);
    ck_assert_uint_eq(n, rig.db->cell.manifest->n_segments);
    ck_assert_uint_eq(count(&rig, "m"), 20);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
    vfs_fault_free(fault);
    vfs_free(disk);
}
END_TEST

START_TEST(test_changed_attributes_survive_a_failed_flush)
{
    struct vfs *disk = vfs_mem_new();
    struct vfs_fault *fault = vfs_fault_new(disk, 1);
    struct db_rig rig;
    lsn at;
    open_on(&rig, vfs_fault_vfs(fault));
    put(&rig, "m{__key__=\"m\"}", 0, 3);
    put(&rig, "other", -1, 1); /* no births later: they would save the registry, too */
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    struct series_attrs attrs = {.retention_ms = 777, .policy = DUP_MAX};
    ck_assert_int_eq(db_set_attrs(rig.db, db_rig_ordinal(&rig, "m{__key__=\"m\"}"), &attrs, &at,
                                  &rig.err), ST_OK);
    ck_assert_uint_le(at, db_durable(rig.db));
    struct vfs_fault_rule rule = {
        .ops = VFS_OP_CHANGES, .glob = "*series_index*", .nth = 1, .forever = true, .st = ST_IO};
    (void)vfs_fault_add(fault, &rule);
    put(&rig, "m{__key__=\"m\"}", 10, 1);
    ck_assert_int_ne(db_rig_flush(&rig), ST_OK);
    vfs_fault_clear(fault);
    /* Enough to let the WAL files of before be released and written over. */
    for (int round = 0; round < 12; round++) {
        struct batch *batch = db_rig_batch("other");
        for (int i = 0; i < 3000; i++)
            ck_assert(batch_add_row(batch, 0, round * 10000 + i,
                                    (union value){.bits = hash_mix((uint64_t)i)}, 0));
        db_rig_send(&rig, batch);
        ck_assert_uint_eq(batch->n_refused, 0);
        batch_free(batch);
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    }
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_int_eq(attrs_of(&rig, "m{__key__=\"m\"}").retention_ms, 777);
    ck_assert_int_eq(attrs_of(&rig, "m{__key__=\"m\"}").policy, DUP_MAX);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
    vfs_fault_free(fault);
    vfs_free(disk);
}
END_TEST

/* The store of deletes fails once: the flush fails, the next one opens the store anew. */
START_TEST(test_the_store_of_deletes_recovers)
{
    static const unsigned ops[] = {VFS_OP(WRITE), VFS_OP(SYNC)};
    struct vfs *disk = vfs_mem_new();
    struct vfs_fault *fault = vfs_fault_new(disk, 1);
    struct db_rig rig;
    open_on(&rig, vfs_fault_vfs(fault));
    put(&rig, "m", 0, 20);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    del(&rig, "m", 5, 9);
    struct vfs_fault_rule rule = {
        .ops = ops[_i], .glob = "tomb*", .nth = 1, .st = ST_NO_SPACE, .short_max = 10};
    (void)vfs_fault_add(fault, &rule);
    ck_assert_int_ne(db_rig_flush(&rig), ST_OK);
    ck_assert_uint_eq(count(&rig, "m"), 15);
    ck_assert_msg(db_rig_flush(&rig) == ST_OK, "the store does not recover");
    ck_assert_uint_eq(count(&rig, "m"), 15);
    ck_assert_uint_eq(rig.db->cell.pending_deletes.len, 0);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_uint_eq(count(&rig, "m"), 15);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
    vfs_fault_free(fault);
    vfs_free(disk);
}
END_TEST

/* A batch larger than the ring meets a full disk half way: it ends, with what was taken
 * of it in the log as a whole. */
START_TEST(test_a_batch_that_meets_a_full_disk_ends)
{
    enum { ROWS = 100000 };
    struct vfs *disk = vfs_mem_new();
    struct vfs_fault *fault = vfs_fault_new(disk, 1);
    struct db_rig rig;
    open_on(&rig, vfs_fault_vfs(fault));
    put(&rig, "m", 0, 1);
    struct vfs_fault_rule rule = {
        .ops = VFS_OP(ALLOCATE), .nth = 1, .forever = true, .st = ST_NO_SPACE};
    (void)vfs_fault_add(fault, &rule);
    struct batch *batch = db_rig_batch("m");
    for (int i = 0; i < ROWS; i++)
        ck_assert(batch_add_row(batch, 0, 1 + i, (union value){.bits = hash_mix((uint64_t)i)}, 0));
    db_rig_send(&rig, batch);
    size_t n = 0;
    while (n < ROWS && batch->result[n] == ST_OK) n++;
    ck_assert_uint_gt(n, 0);
    ck_assert_uint_lt(n, ROWS);
    for (size_t i = n; i < ROWS; i++) ck_assert_int_eq(batch->result[i], ST_NO_SPACE);
    ck_assert_uint_eq(batch->n_stored, n);
    ck_assert_uint_eq(count(&rig, "m"), n + 1);
    ck_assert_uint_gt(batch->durable_at, db_durable(rig.db)); /* its end is not on disk yet */

    vfs_fault_clear(fault);
    for (int i = 0; i < 100 && batch->durable_at > db_durable(rig.db); i++) {
        clock_sim_advance_ms(&rig.clock, 1000);
        db_rig_settle(&rig);
    }
    ck_assert_uint_le(batch->durable_at, db_durable(rig.db));
    batch_free(batch);
    ck_assert_int_eq(db_close(rig.db, 0, NULL, NULL, &rig.err), ST_OK); /* no flush */
    rig.db = NULL;
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_uint_eq(count(&rig, "m"), n + 1);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
    vfs_fault_free(fault);
    vfs_free(disk);
}
END_TEST

/* While a worker encodes what lies above the nodes of a flush, the flush is published and
 * its nodes go. */
START_TEST(test_encoding_above_a_flush_that_goes)
{
    for (uint64_t seed = 1; seed < 30; seed++) {
        struct db_rig rig;
        log_set_level(LOG_OFF);
        db_rig_init(&rig, seed);
        ck_assert_int_eq(db_rig_open(&rig), ST_OK);
        put(&rig, "m", 0, 40);
        db_rig_settle(&rig);
        db_flush(rig.db, no_answer, NULL);
        for (int i = 0; i < 200; i++) { /* fills tails while the jobs run in any order */
            struct batch *batch = db_rig_batch("m");
            bool done = false;
            ck_assert(batch_add_row(batch, 0, 40 + i, (union value){.bits = f64_bits(i)}, 0));
            batch->ctx = &done;
            batch->done = db_rig_done;
            sink_write(db_sink(rig.db), batch);
            ck_assert(done);
            batch_free(batch);
            if (i % 7 == 0) (void)exec_sim_step(rig.exec);
            if (i % 20 == 0) (void)db_tick(rig.db);
        }
        db_rig_settle(&rig);
        ck_assert_msg(count(&rig, "m") == 240, "seed %llu", (unsigned long long)seed);
        check(&rig);
        ck_assert_int_eq(db_rig_close(&rig), ST_OK);
        db_rig_release(&rig);
    }
}
END_TEST

static void count_answer(void *ctx, status st)
{
    ck_assert_int_eq(st, ST_OK);
    ++*(int *)ctx;
}

/* Whoever asks while a flush is under way is answered when his samples are in a segment. */
START_TEST(test_asking_during_a_flush_waits_for_the_next)
{
    struct vfs *disk = vfs_mem_new();
    struct db_rig rig;
    struct db_stats stats;
    int n_first = 0, n_second = 0;
    open_on(&rig, disk);
    put(&rig, "m", 0, 1);
    db_flush(rig.db, count_answer, &n_first);
    (void)db_tick(rig.db); /* cut: what comes now is not in it */
    struct batch *batch = db_rig_batch("m");
    bool done = false;
    ck_assert(batch_add_row(batch, 0, 1, (union value){.bits = 0}, 0));
    batch->done = db_rig_done;
    batch->ctx = &done;
    sink_write(db_sink(rig.db), batch);
    ck_assert(done);
    batch_free(batch);
    ck_assert_int_eq(n_first, 0);
    db_flush(rig.db, count_answer, &n_second);
    for (int i = 0; i < 10000 && !n_second; i++)
        if (!exec_sim_step(rig.exec)) (void)db_tick(rig.db);
    ck_assert_int_eq(n_first, 1);
    ck_assert_int_eq(n_second, 1);
    db_stats(rig.db, &stats);
    ck_assert_uint_eq(stats.n_segment_samples, 2);
    db_flush(rig.db, count_answer, &n_first); /* nothing new: at once */
    ck_assert_int_eq(n_first, 2);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
    vfs_free(disk);
}
END_TEST

Suite *suite_flush(void)
{
    Suite *s = suite_create("flush");
    TCase *tc = tcase_create("flush");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_a_delete_during_a_lost_flush_hides_nothing_later, 0, 2);
    tcase_add_test(tc, test_a_delete_before_the_cut_hides_nothing_later);
    tcase_add_test(tc, test_a_flush_stores_no_delete_that_the_log_may_lose);
    tcase_add_test(tc, test_a_failed_flush_covers_no_wal);
    tcase_add_loop_test(tc, test_segments_of_failed_flushes_go, 0, 2);
    tcase_add_test(tc, test_changed_attributes_survive_a_failed_flush);
    tcase_add_loop_test(tc, test_the_store_of_deletes_recovers, 0, 2);
    tcase_add_test(tc, test_a_batch_that_meets_a_full_disk_ends);
    tcase_add_test(tc, test_asking_during_a_flush_waits_for_the_next);
    tcase_add_test(tc, test_encoding_above_a_flush_that_goes);
    suite_add_tcase(s, tc);
    return s;
}
