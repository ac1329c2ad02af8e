/* Goal: a restart knows every living series without reading a segment's series table,
 * whatever the power took between two steps of a checkpoint; damage of any of the
 * registry's files costs a rebuild and nothing else; replay with threads gives what replay
 * without them gives. Method: small databases on a disk that loses power after its n-th
 * change, or whose files are damaged while it is closed. */
#include "base/bits.h"
#include "base/log.h"
#include "engine/db_priv.h"
#include "model/histogram.h"
#include "tests/lib/db_rig.h"
#include "tests/lib/vfs_crash.h"
#include "tests/lib/vfs_fault.h"
#include "tests/unit/engine/engine_suites.h"

static const struct time_range all = {TS_MIN, TS_MAX};

static void open_on(struct db_rig *rig, struct vfs *vfs)
{
    log_set_level(LOG_OFF);
    db_rig_init_on(rig, 1, vfs);
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
}

static void put(struct db_rig *rig, const char *name, int i, ts_time ts)
{
    char series[64];
    snprintf(series, sizeof(series), "%s{i=\"%d\"}", name, i);
    status st = db_rig_put(rig, series, ts, (double)i);
    ck_assert_msg(st == ST_OK, "%s: %s", series, status_name(st));
}

static size_t count(struct db_rig *rig, const char *name, int i)
{
    char series[64];
    struct points pts = {0};
    snprintf(series, sizeof(series), "%s{i=\"%d\"}", name, i);
    status st = db_rig_read(rig, series, all, &pts, NULL);
    size_t n = st == ST_OK ? pts.n : 0;
    points_release(&pts);
    return n;
}

static void check(struct db_rig *rig)
{
    struct err err = {.st = ST_OK};
    db_rig_settle(rig);
    ck_assert_msg(db_check(rig->db, &err) == ST_OK, "%s", err.text);
}

static void close_and_free(struct db_rig *rig)
{
    ck_assert_msg(db_rig_close(rig) == ST_OK, "%s", rig->err.text);
    db_rig_release(rig);
}

/* Ten series a flush, three flushes: a snapshot and two deltas. */
static void make_chain(struct vfs *vfs)
{
    struct db_rig rig;
    open_on(&rig, vfs);
    for (int flush = 0; flush < 3; flush++) {
        for (int i = 0; i < 10; i++) put(&rig, "m", 10 * flush + i, 1000 + flush);
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    }
    ck_assert_uint_eq(rig.db->registry_catalog.deltas.len, 2);
    close_and_free(&rig);
}

/* How many series tables could be read, had they to be: they are all damaged. */
static status damage(struct vfs *vfs, const char *path, size_t at)
{
    struct vfs_file *file;
    uint8_t byte;
    TRY(vfs_open(vfs, &file, path, VFS_WRITE, NULL));
    status st = vfs_read(file, at, &byte, 1, NULL);
    byte ^= 0x10;
    if (st == ST_OK) st = vfs_write(file, at, &byte, 1, NULL);
    vfs_close(file);
    return st;
}

START_TEST(test_a_start_reads_no_series_table)
{
    struct vfs *vfs = vfs_mem_new();
    struct db_rig rig;
    make_chain(vfs);
    open_on(&rig, vfs);
    struct catalog *cat = &rig.db->catalog;
    ck_assert_uint_ge(cat->n, 3);
    layout_path tables[8];
    size_t n = cat->n;
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(layout_join(tables[i], cat->entries[i].path,
                                     slice_str(LAYOUT_SEG_SERIES), NULL), ST_OK);
    close_and_free(&rig);
    for (size_t i = 0; i < n; i++) ck_assert_int_eq(damage(vfs, tables[i], 40), ST_OK);

    open_on(&rig, vfs);
    struct db_stats stats;
    db_stats(rig.db, &stats);
    ck_assert(stats.n_series == 30 && stats.n_quarantined == 0 && stats.replay_frames == 0);
    for (int i = 0; i < 30; i++) ck_assert_uint_eq(count(&rig, "m", i), 1);
    close_and_free(&rig);
    vfs_free(vfs);
}
END_TEST

/* A delta, the snapshot and the catalogue: flipped, missing, and the catalogue alone. */
static const struct loss {
    const char *name, *path;
    bool missing;
} losses[] = {
    {"snapshot flipped", LAYOUT_REGISTRY, false},
    {"snapshot missing", LAYOUT_REGISTRY, true},
    {"delta flipped", LAYOUT_REGISTRY_DELTA_DIR "/delta-0000000000000002.bin", false},
    {"delta missing", LAYOUT_REGISTRY_DELTA_DIR "/delta-0000000000000003.bin", true},
    {"catalogue flipped", LAYOUT_REGISTRY_CATALOG, false},
    {"catalogue missing", LAYOUT_REGISTRY_CATALOG, true},
};

START_TEST(test_a_damaged_registry_is_rebuilt)
{
    const struct loss *loss = &losses[_i];
    struct vfs *vfs = vfs_mem_new();
    struct db_rig rig;
    make_chain(vfs);
    ck_assert_msg((loss->missing ? vfs_remove(vfs, loss->path, NULL)
                                 : damage(vfs, loss->path, 30)) == ST_OK, "%s", loss->name);
    open_on(&rig, vfs);
    struct db_stats stats;
    db_stats(rig.db, &stats);
    ck_assert_msg(stats.n_series == 30 && stats.n_quarantined > 0, "%s: %d series", loss->name,
                  (int)stats.n_series);
    put(&rig, "new", 1, 5000);
    put(&rig, "m", 29, 5000);
    check(&rig);
    close_and_free(&rig); /* writes a new snapshot */

    open_on(&rig, vfs);
    db_stats(rig.db, &stats);
    ck_assert_msg(stats.n_series == 31 && stats.n_quarantined == 0, "%s: repaired", loss->name);
    ck_assert_uint_eq(count(&rig, "m", 29), 2);
    ck_assert_uint_eq(count(&rig, "new", 1), 1);
    check(&rig);
    close_and_free(&rig);
    vfs_free(vfs);
}
END_TEST

/* A death is in the next delta, and stays dead although the WAL still defines the series. */
START_TEST(test_the_dead_stay_dead)
{
    struct vfs_crash *disk = vfs_crash_new();
    struct db_rig rig;
    open_on(&rig, vfs_crash_vfs(disk));
    for (int i = 0; i < 8; i++) put(&rig, "m", i, 1000);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    struct cell *cell = &rig.db->cell;
    uint32_t ordinal = db_rig_ordinal(&rig, "m{i=\"3\"}");
    ck_assert(vec_push(&cell->pending_deaths, registry_entry(cell->registry, ordinal)->id));
    registry_remove(cell->registry, ordinal);
    cell_head(cell, ordinal)->flags = 0;
    put(&rig, "m", 20, 1000);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    ck_assert_uint_eq(cell->pending_deaths.len, 0);
    put(&rig, "m", 21, 1000); /* in the WAL alone */

    struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_KEEP_ALL, 1);
    vfs_crash_stop_after(disk, vfs_crash_n_changes(disk));
    (void)db_rig_close(&rig);
    db_rig_release(&rig);
    vfs_crash_free(disk);
    open_on(&rig, vfs_crash_vfs(after));
    ck_assert_uint_eq(db_rig_ordinal(&rig, "m{i=\"3\"}"), ORDINAL_NONE);
    ck_assert_uint_eq(registry_counts(db_registry(rig.db)).n_series, 9);
    ck_assert_uint_eq(count(&rig, "m", 21), 1);
    put(&rig, "m", 3, 2000); /* born again, with another id */
    check(&rig);
    close_and_free(&rig);
    open_on(&rig, vfs_crash_vfs(after));
    ck_assert_uint_eq(registry_counts(db_registry(rig.db)).n_series, 10);
    check(&rig);
    close_and_free(&rig);
    vfs_crash_free(after);
}
END_TEST

/* Numbers and histograms of one name come back as two series from the log, and from files. */
START_TEST(test_histograms_beside_numbers)
{
    const struct histogram hist = {.count = 3, .sum = 1.5, .zero_count = 3, .is_int = true};
    struct vfs_crash *disk = vfs_crash_new();
    struct db_rig rig;
    open_on(&rig, vfs_crash_vfs(disk));
    put(&rig, "m", 1, 1000);
    struct batch *batch = db_rig_batch("m{i=\"1\"}");
    batch->series[0].type = VALUE_HISTOGRAM;
    ck_assert(batch_add_row(batch, 0, 2000, (union value){.hist = &hist}, 0));
    db_rig_send(&rig, batch);
    ck_assert_uint_eq(batch->n_refused, 0);
    batch_free(batch);

    struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_KEEP_ALL, 1);
    vfs_crash_stop_after(disk, vfs_crash_n_changes(disk));
    (void)db_rig_close(&rig);
    db_rig_release(&rig);
    vfs_crash_free(disk);
    for (int i = 0; i < 2; i++) {
        open_on(&rig, vfs_crash_vfs(after));
        ck_assert_uint_eq(registry_counts(db_registry(rig.db)).n_series, 2);
        ck_assert_uint_eq(count(&rig, "m", 1), 1);
        put(&rig, "m", 1, 1000); /* the same sample: neither is made anew */
        ck_assert_uint_eq(registry_counts(db_registry(rig.db)).n_series, 2);
        check(&rig);
        close_and_free(&rig);
    }
    vfs_crash_free(after);
}
END_TEST

/* Power goes after the n-th change, for every n of two flushes with births, in each way in
 * which a disk may lose what was not synced: all acknowledged series are there. */
START_TEST(test_power_goes_at_every_step_of_a_checkpoint)
{
    uint64_t n_before = 0, n_changes = 1;
    for (uint64_t n = 0; n < n_changes; n++) {
        struct vfs_crash *disk = vfs_crash_new();
        struct db_rig rig;
        int acked = 0;
        open_on(&rig, vfs_crash_vfs(disk));
        rig.db->options.fail_fast = false;
        n_before = vfs_crash_n_changes(disk);
        vfs_crash_stop_after(disk, n ? n_before + n : UINT64_MAX);
        for (int i = 0; i < 12; i++) {
            char series[32];
            snprintf(series, sizeof(series), "m{i=\"%d\"}", i);
            if (db_rig_put(&rig, series, 1000 + i, i) == ST_OK && !vfs_crash_stopped(disk))
                acked = i + 1;
            if (i % 5 == 4) (void)db_rig_flush(&rig);
        }
        if (n == 0) n_changes = vfs_crash_n_changes(disk) - n_before;
        struct vfs_crash *after = vfs_crash_cut(
            disk, n % 2 ? VFS_CRASH_KEEP_ALL : VFS_CRASH_DROP_ALL, n);
        (void)db_rig_close(&rig);
        db_rig_release(&rig);
        vfs_crash_free(disk);

        open_on(&rig, vfs_crash_vfs(after));
        for (int i = 0; i < acked; i++)
            ck_assert_msg(count(&rig, "m", i) == 1, "change %d: series %d of %d", (int)n, i,
                          acked);
        ck_assert_uint_eq(rig.db->n_quarantined, 0);
        put(&rig, "later", (int)n, 9000);
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
        check(&rig);
        close_and_free(&rig);
        open_on(&rig, vfs_crash_vfs(after));
        ck_assert_uint_eq(count(&rig, "later", (int)n), 1);
        check(&rig);
        close_and_free(&rig);
        vfs_crash_free(after);
    }
    ck_assert_uint_gt(n_changes, 20);
}
END_TEST

/* The registry's catalogue is there although its replacement failed, and names a delta: the
 * next checkpoint must not write another one in its place. Power goes after each change of
 * that checkpoint. */
START_TEST(test_a_delta_that_may_be_named_is_not_replaced)
{
    uint64_t n_changes = 1;
    for (uint64_t n = 0; n < n_changes; n++) {
        struct vfs_crash *disk = vfs_crash_new();
        struct vfs_fault *fault = vfs_fault_new(vfs_crash_vfs(disk), 1);
        struct db_rig rig;
        open_on(&rig, vfs_fault_vfs(fault));
        rig.db->options.fail_fast = false;
        for (int i = 0; i < 5; i++) put(&rig, "m", i, 1000);
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
        for (int i = 5; i < 10; i++) put(&rig, "m", i, 1000);
        /* Two come with the segment. */
        struct vfs_fault_rule rule = {
            .ops = VFS_OP(SYNC_DIR), .glob = ".", .nth = 3, .st = ST_IO};
        unsigned number = vfs_fault_add(fault, &rule);
        ck_assert_int_ne(db_rig_flush(&rig), ST_OK);
        ck_assert_uint_eq(vfs_fault_n_fired(fault, number), 1);
        for (int i = 10; i < 15; i++) put(&rig, "m", i, 1000);
        uint64_t before = vfs_crash_n_changes(disk);
        vfs_crash_stop_after(disk, n ? before + n : UINT64_MAX);
        (void)db_rig_flush(&rig);
        if (n == 0) n_changes = vfs_crash_n_changes(disk) - before;
        struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_KEEP_ALL, n);
        (void)db_rig_close(&rig);
        db_rig_release(&rig);
        vfs_fault_free(fault);
        vfs_crash_free(disk);

        open_on(&rig, vfs_crash_vfs(after));
        ck_assert_msg(rig.db->n_quarantined == 0, "change %d: the registry is lost", (int)n);
        for (int i = 0; i < 15; i++)
            ck_assert_msg(count(&rig, "m", i) == 1, "change %d: series %d", (int)n, i);
        check(&rig);
        close_and_free(&rig);
        vfs_crash_free(after);
    }
    ck_assert_uint_gt(n_changes, 5);
}
END_TEST

/* One thread, three, and three that have so little memory that tails are encoded while the
 * log is read. */
enum { RUNS = 3 };
static const struct {
    unsigned n_threads;
    uint64_t memory_limit;
} runs[RUNS] = {{1, 0}, {3, 0}, {3, 1 << 20}};

/* Several windows, because deletes end them; late samples among them. */
START_TEST(test_threads_replay_the_same)
{
    enum { SERIES = 40, ROWS = 600 };
    struct vfs_crash *disk = vfs_crash_new(), *after[RUNS];
    struct db_rig rig;
    open_on(&rig, vfs_crash_vfs(disk));
    for (int row = 0; row < ROWS; row++) {
        struct batch *batch = NULL;
        for (int i = 0; i < SERIES; i++) {
            static char names[SERIES][32]; /* the batch borrows them */
            char *series = names[i];
            snprintf(series, sizeof(names[i]), "m{i=\"%d\"}", i);
            if (!batch) batch = db_rig_batch(series);
            else (void)db_rig_add_series(batch, series);
            ts_time ts = row % 9 == 4 ? 100 * row - 777 : 100 * row;
            union value val = {.bits = f64_bits(i + row * 0.5)};
            ck_assert(batch_add_row(batch, (size_t)i, ts, val, 0));
        }
        db_rig_send(&rig, batch);
        batch_free(batch);
        if (row % 200 != 150) continue;
        lsn at;
        uint32_t ordinal = db_rig_ordinal(&rig, "m{i=\"7\"}");
        struct time_range range = {1000, 100 * row / 2};
        ck_assert_int_eq(db_delete(rig.db, &ordinal, 1, range, &at, &rig.err), ST_OK);
    }
    for (int i = 0; i < RUNS; i++) after[i] = vfs_crash_cut(disk, VFS_CRASH_KEEP_ALL, 1);
    vfs_crash_stop_after(disk, vfs_crash_n_changes(disk));
    (void)db_rig_close(&rig);
    db_rig_release(&rig);
    vfs_crash_free(disk);

    struct points got[RUNS][SERIES] = {{{0}}};
    for (int run = 0; run < RUNS; run++) {
        db_rig_init_on(&rig, 1, vfs_crash_vfs(after[run]));
        rig.recover_threads = runs[run].n_threads;
        rig.options.memory_limit = runs[run].memory_limit;
        ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s", rig.err.text);
        ck_assert_uint_gt(rig.db->cell.stats.replay_samples, SERIES * ROWS / 2);
        for (int i = 0; i < SERIES; i++) {
            char series[32];
            snprintf(series, sizeof(series), "m{i=\"%d\"}", i);
            ck_assert_int_eq(db_rig_read(&rig, series, all, &got[run][i], NULL), ST_OK);
        }
        check(&rig);
        close_and_free(&rig);
        vfs_crash_free(after[run]);
    }
    for (int i = 0; i < SERIES; i++) {
        for (int run = 1; run < RUNS; run++) {
            ck_assert_uint_eq(got[0][i].n, got[run][i].n);
            ck_assert_mem_eq(got[0][i].ts, got[run][i].ts, got[0][i].n * sizeof(ts_time));
            ck_assert_mem_eq(got[0][i].val, got[run][i].val, got[0][i].n * sizeof(union value));
        }
        for (int run = 0; run < RUNS; run++) points_release(&got[run][i]);
    }
}
END_TEST

/* Long names: definitions for several windows. Ordinals are given in the order of the log,
 * with one thread and with three. */
START_TEST(test_threads_define_the_same)
{
    enum { SERIES = 3000, LONG = 2000 };
    struct vfs_crash *disk = vfs_crash_new(), *after[2];
    struct db_rig rig;
    static char name[LONG + 64];
    open_on(&rig, vfs_crash_vfs(disk));
    for (int i = 0; i < SERIES; i++) {
        int len = snprintf(name, sizeof(name), "m{i=\"%d\",long=\"", i);
        memset(name + len, 'a' + i % 7, LONG);
        strcpy(name + len + LONG, "\"}");
        ck_assert_int_eq(db_rig_put(&rig, name, 10, i), ST_OK);
    }
    for (int i = 0; i < 2; i++) after[i] = vfs_crash_cut(disk, VFS_CRASH_KEEP_ALL, 1);
    vfs_crash_stop_after(disk, vfs_crash_n_changes(disk));
    (void)db_rig_close(&rig);
    db_rig_release(&rig);
    vfs_crash_free(disk);

    for (int run = 0; run < 2; run++) {
        db_rig_init_on(&rig, 1, vfs_crash_vfs(after[run]));
        rig.recover_threads = run ? 3 : 1;
        ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s", rig.err.text);
        const struct registry *reg = rig.db->cell.registry;
        ck_assert_uint_eq(registry_counts(reg).n_series, SERIES);
        ck_assert_uint_eq(rig.db->cell.stats.replay_samples, SERIES);
        for (uint32_t i = 0; i < SERIES; i++) {
            char want[16];
            snprintf(want, sizeof(want), "%u", i);
            struct slice got = registry_label(reg, i, slice_str("i"));
            ck_assert(slice_is(got, want));
        }
        check(&rig);
        close_and_free(&rig);
        vfs_crash_free(after[run]);
    }
}
END_TEST

static bool give_up(void *ctx, const char *phase, uint64_t done, uint64_t total)
{
    int *left = ctx;
    (void)phase;
    (void)done;
    (void)total;
    return --*left > 0;
}

/* Whoever is told how far it is may stop it, anywhere, and nothing is lost. */
START_TEST(test_recovery_is_stopped)
{
    struct vfs *vfs = vfs_mem_new();
    struct db_rig rig;
    make_chain(vfs);
    for (int n = 1; n < 100; n++) {
        int left = n;
        struct err err = {.st = ST_OK};
        db_rig_init_on(&rig, 1, vfs);
        struct db_ports ports = {.vfs = vfs,
                                 .clock = &rig.clock.clock,
                                 .rng = &rig.rng,
                                 .exec = exec_sim_exec(rig.exec),
                                 .progress = give_up,
                                 .progress_ctx = &left};
        status st = db_open(&rig.db, &rig.options, &ports, &err);
        bool stopped = st == ST_CANCELLED;
        ck_assert_msg(stopped || st == ST_OK, "%s", err.text);
        if (stopped) ck_assert_int_eq(left, 0);
        if (!stopped) ck_assert_int_eq(db_rig_close(&rig), ST_OK);
        else rig.db = NULL;
        db_rig_release(&rig);
        if (!stopped) break;
        ck_assert_int_lt(n, 99);
    }
    open_on(&rig, vfs);
    ck_assert_uint_eq(registry_counts(db_registry(rig.db)).n_series, 30);
    close_and_free(&rig);
    vfs_free(vfs);
}
END_TEST

Suite *suite_recover(void)
{
    Suite *suite = suite_create("recover");
    TCase *tc = tcase_create("recover");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_a_start_reads_no_series_table);
    tcase_add_loop_test(tc, test_a_damaged_registry_is_rebuilt, 0, (int)ARRAY_LEN(losses));
    tcase_add_test(tc, test_the_dead_stay_dead);
    tcase_add_test(tc, test_histograms_beside_numbers);
    tcase_add_test(tc, test_power_goes_at_every_step_of_a_checkpoint);
    tcase_add_test(tc, test_a_delta_that_may_be_named_is_not_replaced);
    tcase_add_test(tc, test_threads_replay_the_same);
    tcase_add_test(tc, test_threads_define_the_same);
    tcase_add_test(tc, test_recovery_is_stopped);
    suite_add_tcase(suite, tc);
    return suite;
}
