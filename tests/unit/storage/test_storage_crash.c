/* Goal: power may go after any change to the disk, and any call may fail; afterwards what
 * was promised is there, nothing is there that was not written, and nothing is half there.
 * Method: one history for each protocol (the log with rotation and recycling, segments
 * with their catalog, the store of deletes) on a disk that loses power after its n-th
 * change, for every n, in every way that disks are known to lose it. TSINK_LONG=1 takes
 * every n and more seeds; otherwise a sample. */
#include "tests/unit/storage/segment_fixture.h"
#include "tests/unit/storage/wal_fixture.h"

#include "base/log.h"
#include "base/rng.h"
#include "storage/catalog.h"
#include "storage/tombstone_file.h"
#include "tests/lib/vfs_crash.h"
#include "tests/lib/vfs_fault.h"

static uint64_t n_step(uint64_t sample)
{
    return getenv("TSINK_LONG") ? 1 : sample;
}

/* ---- the log ---- */

enum { FRAMES = 130 };

/* What the history wrote and was promised. */
struct promise {
    uint64_t run[FRAMES + 1];      /* of the frame; 0: alone */
    lsn commit_seq[FRAMES + 1];    /* of its run's last frame; 0: never written */
    lsn written;                   /* the last frame ever published */
    lsn synced, released;
};

/* Appends with steps of one to four frames, runs that interleave, releases, and now and
 * then an idle second; ends early when the log fails. */
static void write_history(struct wal_fixture *fix, struct promise *p, uint64_t seed)
{
    struct rng rng;
    uint64_t open[2] = {0, 0}, next_run = 1;

    rng_init(&rng, seed);
    *p = (struct promise){0};
    if (wal_open(&fix->wal, fix->vfs, &fix->opt, NULL, NULL) != ST_OK) {
        fix->wal = NULL;
        return;
    }
    while (p->written < FRAMES - 4 && wal_failed(fix->wal, NULL) == ST_OK) {
        for (uint64_t k = 1 + rng_below(&rng, 4); k > 0; k--) {
            size_t slot = rng_below(&rng, 4), len = rng_below(&rng, 1500);
            uint64_t run = 0;
            bool commit = false;
            if (slot < 2) {
                if (!open[slot]) open[slot] = next_run++;
                run = open[slot];
                commit = rng_below(&rng, 3) == 0;
                if (commit) open[slot] = 0;
            }
            if (wal_room(fix->wal) < 2 * (len + 3 + WAL_HEAD_LEN + WAL_RUN_LEN)) break;
            lsn seq = wal_fixture_put(fix->wal, WAL_SAMPLES, run, commit ? WAL_COMMIT : 0, len);
            p->run[seq] = run;
            p->written = seq;
            for (lsn s = 1; run && commit && s <= seq; s++) {
                if (p->run[s] == run) p->commit_seq[s] = seq;
            }
        }
        wal_fixture_flush(fix->wal);
        if (rng_below(&rng, 10) == 0) clock_sim_advance_ms(&fix->clock, 1100);
        if (rng_below(&rng, 8) == 0 && wal_synced(fix->wal) > 20) {
            wal_release(fix->wal, wal_synced(fix->wal) - 20);
            p->released = wal_synced(fix->wal) - 20;
        }
    }
    p->synced = wal_synced(fix->wal);
}

static void end_history(struct wal_fixture *fix)
{
    if (fix->wal) (void)wal_close(fix->wal, NULL); /* fails on a dead disk */
    fix->wal = NULL;
}

/* What replay hands on is what was promised. */
static void check_seen(const struct seen *seen, const struct promise *p, lsn last,
                       const char *where)
{
    bool there[FRAMES + 1] = {false};
    lsn before = 0;

    for (size_t i = 0; i < seen->frames.len; i++) {
        const struct seen_frame *f = &seen->frames.ptr[i];
        ck_assert_msg(f->seq > before && f->seq <= p->written, "%s: phantom frame %" PRIu64,
                      where, f->seq);
        ck_assert_msg(f->run == p->run[f->seq], "%s: frame %" PRIu64 " of another run", where,
                      f->seq);
        before = f->seq;
        there[f->seq] = true;
    }
    for (lsn s = p->released + 1; s <= p->written; s++) {
        bool whole = p->run[s] == 0 ? s <= last : p->commit_seq[s] && p->commit_seq[s] <= last;
        /* A run whose beginning was released need not come back. */
        for (lsn t = 1; p->run[s] && t <= p->released; t++) whole &= p->run[t] != p->run[s];
        if (whole) ck_assert_msg(there[s], "%s: frame %" PRIu64 " is lost", where, s);
        if (p->run[s] && (!p->commit_seq[s] || p->commit_seq[s] > last)) {
            ck_assert_msg(!there[s], "%s: frame %" PRIu64 " of an unfinished run", where, s);
        }
    }
}

/* Recovers on disk; goes on writing; recovers again. */
static void recover_log(struct vfs *disk, const struct promise *p, lsn promised,
                        const char *where)
{
    struct wal_replay_options opt = wal_fixture_replay_options(WAL_REPLAY_STRICT);
    struct wal_fixture fix;
    struct wal_replay *replay;
    struct err err = {.st = ST_OK};
    struct seen seen;

    opt.covered = p->released;
    status st = wal_replay_open(&replay, disk, &opt, &err);
    ck_assert_msg(st == ST_OK, "%s: %s", where, err.text);
    wal_fixture_see(&seen, replay);
    lsn last = wal_replay_last(replay);
    ck_assert_msg(last >= promised, "%s: ends at %" PRIu64 ", promised %" PRIu64, where, last,
                  promised);
    check_seen(&seen, p, last, where);
    size_t n = seen.frames.len;
    vec_release(&seen.frames);

    wal_fixture_init(&fix, disk);
    fix.opt.covered = p->released;
    st = wal_open(&fix.wal, disk, &fix.opt, replay, &err);
    ck_assert_msg(st == ST_OK, "%s: %s", where, err.text);
    wal_replay_close(replay);
    for (int i = 0; i < 3; i++) wal_fixture_put(fix.wal, WAL_META, 0, 0, 700);
    wal_fixture_flush(fix.wal);
    wal_fixture_close(&fix);

    st = wal_replay_open(&replay, disk, &opt, &err);
    ck_assert_msg(st == ST_OK, "%s, again: %s", where, err.text);
    wal_fixture_see(&seen, replay);
    ck_assert_msg(seen.frames.len == n + 3, "%s, again: %zu frames, not %zu", where,
                  seen.frames.len, n + 3);
    vec_release(&seen.frames);
    wal_replay_close(replay);
}

static const struct crash_case {
    const char *name;
    enum wal_sync sync;
} crash_cases[] = {{"append", WAL_SYNC_APPEND}, {"periodic", WAL_SYNC_PERIODIC},
                   {"off", WAL_SYNC_OFF}};

START_TEST(test_crash_of_the_log)
{
    const struct crash_case *c = &crash_cases[_i];
    uint64_t seed = unit_seed(), n_changes = UINT64_MAX;
    struct promise p;
    struct wal_fixture fix;
    char where[128];

    for (uint64_t n = 1; n < n_changes; n += n_step(7)) {
        struct vfs_crash *disk = vfs_crash_new();
        vfs_crash_stop_after(disk, n);
        wal_fixture_init(&fix, vfs_crash_vfs(disk));
        fix.opt.sync = c->sync;
        fix.opt.n_spare_max = 2;
        write_history(&fix, &p, seed);
        if (!vfs_crash_stopped(disk)) n_changes = n;
        for (int v = 0; v < VFS_CRASH_VARIANTS; v++) {
            struct vfs_crash *after = vfs_crash_cut(disk, (enum vfs_crash_variant)v, seed + n);
            (void)snprintf(where, sizeof(where), "%s, %s after change %" PRIu64, c->name,
                           vfs_crash_variant_name((enum vfs_crash_variant)v), n);
            recover_log(vfs_crash_vfs(after), &p, p.synced, where);
            vfs_crash_free(after);
        }
        end_history(&fix);
        vfs_crash_free(disk);
    }
}
END_TEST

/* The same with calls that fail while the power stays: what was acknowledged is there. */
START_TEST(test_failing_calls_of_the_log)
{
    static const status kinds[] = {ST_IO, ST_NO_SPACE};
    struct promise p;
    struct wal_fixture fix;
    char where[128];

    for (uint64_t nth = 1;; nth += n_step(5)) {
        struct vfs *disk = vfs_mem_new();
        struct vfs_fault *fault = vfs_fault_new(disk, 1);
        unsigned rule = vfs_fault_add(
            fault, &(struct vfs_fault_rule){
                       .ops = VFS_OP_ALL, .nth = nth, .st = kinds[_i], .short_max = 100});
        wal_fixture_init(&fix, vfs_fault_vfs(fault));
        fix.opt.n_spare_max = 2;
        write_history(&fix, &p, 3);
        end_history(&fix);
        bool fired = vfs_fault_n_fired(fault, rule) > 0;
        vfs_fault_free(fault);
        (void)snprintf(where, sizeof(where), "%s at call %" PRIu64, status_name(kinds[_i]), nth);
        recover_log(disk, &p, p.synced, where);
        vfs_free(disk);
        if (!fired) break;
    }
}
END_TEST

/* ---- segments and catalog ---- */

enum { SERIES = 12 };

/* Flush, flush, compaction; returns how many steps were acknowledged. */
static int write_segments(struct vfs *disk)
{
    static const uint64_t sources[] = {1, 2};
    struct catalog cat;
    int n_done = 0;

    catalog_init(&cat, &segment_fixture_db);
    for (uint64_t id = 1; id <= 3; id++) {
        struct segment_options opt = segment_fixture_options(id);
        struct catalog_entry entry = {.tier = TIER_HOT};
        if (id == 3) {
            opt.level = 1;
            opt.order_min = 1;
            opt.order_max = 2;
            opt.sources = sources;
            opt.n_sources = 2;
        }
        if (segment_fixture_write_as(&entry.info, disk, &opt, SERIES, NULL) != ST_OK) break;
        layout_segment(entry.path, LANE_NUMERIC, opt.level, id);
        cat.next_segment_id = id + 1;
        cat.last_order = opt.order_max;
        cat.covered_lsn = opt.wal_lsn;
        ck_assert_int_eq(catalog_add(&cat, &entry, NULL), ST_OK);
        if (id == 3) {
            ck_assert(catalog_drop(&cat, LANE_NUMERIC, 1));
            ck_assert(catalog_drop(&cat, LANE_NUMERIC, 2));
        }
        if (catalog_write(disk, &cat, NULL) != ST_OK) break;
        n_done++;
    }
    size_t n;
    if (n_done == 3) (void)!catalog_sweep(&n, disk, &cat, NULL);
    catalog_release(&cat);
    return n_done;
}

static void report_bad(void *ctx, const char *path, status st, const struct err *err)
{
    ck_abort_msg("%s: %s is half there: %s (%s)", (const char *)ctx, path, status_name(st),
                 err->text);
}

/* Every segment is whole, and what was acknowledged is visible once. */
static void recover_segments(struct vfs *disk, int n_done, char *where)
{
    struct err err = {.st = ST_OK};
    struct catalog cat;
    bool scanned, flushed[3] = {false};
    size_t n;

    ck_assert_int_eq(layout_sweep(disk, NULL), ST_OK);
    status st = catalog_load(&cat, &scanned, disk, &segment_fixture_db, report_bad, where, &err);
    ck_assert_msg(st == ST_OK, "%s: %s", where, err.text);
    for (size_t i = 0; i < cat.n; i++) {
        struct segment *seg;
        st = segment_open(&seg, disk, cat.entries[i].path, &segment_fixture_db, &err);
        ck_assert_msg(st == ST_OK, "%s: %s", where, err.text);
        segment_fixture_check(seg, SERIES, where);
        const struct segment_info *info = segment_info(seg);
        for (uint64_t order = info->order_min; order <= info->order_max; order++) {
            ck_assert_msg(!flushed[order], "%s: flush %" PRIu64 " is visible twice", where, order);
            flushed[order] = true;
        }
        segment_unref(seg);
    }
    for (int order = 1; order <= n_done && order <= 2; order++) {
        ck_assert_msg(flushed[order], "%s: flush %d is lost", where, order);
    }
    if (n_done > 0 && !scanned) ck_assert_uint_ge(cat.covered_lsn, (uint64_t)n_done * 100);
    ck_assert_int_eq(catalog_write(disk, &cat, NULL), ST_OK);
    ck_assert_int_eq(catalog_sweep(&n, disk, &cat, NULL), ST_OK);
    catalog_release(&cat);
}

START_TEST(test_crash_of_segments_and_catalog)
{
    uint64_t seed = unit_seed(), n_changes = UINT64_MAX;
    char where[128];

    log_set_level(LOG_OFF);
    for (uint64_t n = 0; n < n_changes; n += n_step(1)) {
        struct vfs_crash *disk = vfs_crash_new();
        vfs_crash_stop_after(disk, n);
        int n_done = write_segments(vfs_crash_vfs(disk));
        if (!vfs_crash_stopped(disk)) n_changes = n;
        for (int v = 0; v < VFS_CRASH_VARIANTS; v++) {
            struct vfs_crash *after = vfs_crash_cut(disk, (enum vfs_crash_variant)v, seed + n);
            (void)snprintf(where, sizeof(where), "%s after change %" PRIu64,
                           vfs_crash_variant_name((enum vfs_crash_variant)v), n);
            recover_segments(vfs_crash_vfs(after), n_done, where);
            vfs_crash_free(after);
        }
        vfs_crash_free(disk);
    }
    log_set_level(LOG_INFO);
}
END_TEST

/* ---- deletes ---- */

static const struct database_id db = {{7}};

/* Ten records, a rewrite without the first four, two more. Returns those acknowledged. */
static uint64_t write_deletes(struct vfs *disk)
{
    struct tombstone_file *file;
    struct tombstones *set = NULL, *next;
    uint64_t acked = 0;

    if (tombstone_file_open(&file, &set, disk, &db, NULL) != ST_OK) return 0;
    for (uint64_t gen = 1; gen <= 12; gen++) {
        uint64_t ids[] = {gen, gen + 100};
        struct delete_rec rec = {ids, 2, {0, 9}, gen, gen};
        if (tombstone_file_append(file, &rec, NULL) != ST_OK) break;
        acked = gen;
        ck_assert_int_eq(tombstones_add(&next, set, &rec), ST_OK);
        tombstones_unref(set);
        set = next;
        if (gen != 10) continue;
        ck_assert_int_eq(tombstones_trim(&next, set, 5), ST_OK);
        tombstones_unref(set);
        set = next;
        if (tombstone_file_rewrite(file, set, NULL) != ST_OK) break;
    }
    tombstones_unref(set);
    tombstone_file_close(file);
    return acked;
}

START_TEST(test_crash_of_deletes)
{
    uint64_t seed = unit_seed(), n_changes = UINT64_MAX;

    for (uint64_t n = 0; n < n_changes; n += n_step(1)) {
        struct vfs_crash *disk = vfs_crash_new();
        vfs_crash_stop_after(disk, n);
        uint64_t acked = write_deletes(vfs_crash_vfs(disk));
        if (!vfs_crash_stopped(disk)) n_changes = n;
        for (int v = 0; v < VFS_CRASH_VARIANTS; v++) {
            struct vfs_crash *after = vfs_crash_cut(disk, (enum vfs_crash_variant)v, seed + n);
            const char *name = vfs_crash_variant_name((enum vfs_crash_variant)v);
            struct tombstone_file *file;
            struct tombstones *set;
            struct err err = {.st = ST_OK};
            ck_assert_int_eq(layout_sweep(vfs_crash_vfs(after), NULL), ST_OK);
            status st = tombstone_file_open(&file, &set, vfs_crash_vfs(after), &db, &err);
            ck_assert_msg(st == ST_OK, "%s after %" PRIu64 ": %s", name, n, err.text);
            for (uint64_t gen = 5; gen <= acked; gen++) {
                ck_assert_msg(tombstones_hides(set, gen + 100, 3, gen),
                              "%s after %" PRIu64 ": delete %" PRIu64 " is lost", name, n, gen);
            }
            ck_assert_uint_le(tombstones_gen(set), acked + 1);
            tombstones_unref(set);
            tombstone_file_close(file);
            vfs_crash_free(after);
        }
        vfs_crash_free(disk);
    }
}
END_TEST

Suite *suite_storage_crash(void)
{
    Suite *suite = suite_create("storage_crash");
    TCase *tc = tcase_create("storage_crash");

    tcase_set_timeout(tc, getenv("TSINK_LONG") ? 1800 : 120);
    tcase_add_loop_test(tc, test_crash_of_the_log, 0, ARRAY_LEN(crash_cases));
    tcase_add_loop_test(tc, test_failing_calls_of_the_log, 0, 2);
    tcase_add_test(tc, test_crash_of_segments_and_catalog);
    tcase_add_test(tc, test_crash_of_deletes);
    suite_add_tcase(suite, tc);
    return suite;
}
