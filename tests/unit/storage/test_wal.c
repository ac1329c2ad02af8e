/* Goal: what is appended is acknowledged by the rule of the mode and comes back after a
 * restart, in order, and files rotate, are recycled and are kept as promised. Method:
 * small rings and files on a file system in memory, stepped by hand. */
#include "tests/unit/storage/wal_fixture.h"

#include "base/rng.h"
#include "base/thread.h"
#include "storage/layout.h"
#include "storage/wal_priv.h"
#include "tests/lib/vfs_fault.h"

static struct wal_fixture fix;
static struct vfs *disk;

static void setup(void)
{
    disk = vfs_mem_new();
    wal_fixture_init(&fix, disk);
}

static void teardown(void)
{
    if (fix.wal) ck_assert_int_ne(wal_close(fix.wal, NULL), -1);
    fix.wal = NULL;
    vfs_free(disk);
}

static void replay_all(struct seen *seen, struct wal_replay_stats *stats)
{
    struct wal_replay_options opt = wal_fixture_replay_options(WAL_REPLAY_STRICT);
    struct wal_replay *replay;
    struct err err = {.st = ST_OK};

    status st = wal_replay_open(&replay, fix.vfs, &opt, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    wal_fixture_see(seen, replay);
    if (stats) wal_replay_stats(replay, stats);
    wal_replay_close(replay);
}

START_TEST(test_wal_returns_what_was_appended)
{
    static const enum wal_type types[] = {WAL_SERIES, WAL_SAMPLES, WAL_ATTRS,
                                          WAL_DELETE, WAL_META,    WAL_POLICY};
    struct seen seen;
    struct wal_replay_stats stats;

    wal_fixture_open(&fix);
    for (lsn i = 1; i <= 500; i++) {
        lsn seq = wal_fixture_put(fix.wal, types[i % 6], 0, 0, (size_t)(i * 37 % 900));
        ck_assert_uint_eq(seq, i);
        if (i % 3 == 0) {
            wal_fixture_flush(fix.wal);
            ck_assert_uint_eq(wal_acked(fix.wal), i);
            ck_assert_uint_eq(wal_synced(fix.wal), i);
        }
    }
    wal_fixture_flush(fix.wal);
    struct wal_stats ws;
    wal_stats(fix.wal, &ws);
    ck_assert_uint_eq(ws.n_frames, 500);
    ck_assert_uint_ge(ws.n_rotations, 10);
    ck_assert_uint_eq(ws.live_bytes, ws.n_bytes);
    wal_fixture_close(&fix);

    replay_all(&seen, &stats);
    ck_assert_uint_eq(seen.frames.len, 500);
    for (size_t i = 0; i < seen.frames.len; i++) {
        ck_assert_uint_eq(seen.frames.ptr[i].seq, i + 1);
        ck_assert_int_eq(seen.frames.ptr[i].type, types[(i + 1) % 6]);
        ck_assert_uint_eq(seen.frames.ptr[i].len, (i + 1) * 37 % 900);
    }
    ck_assert_uint_eq(stats.n_torn, 0);
    ck_assert_uint_eq(stats.n_frames, 500);
    vec_release(&seen.frames);
}
END_TEST

START_TEST(test_wal_goes_on_after_each_restart)
{
    struct seen seen;
    lsn last = 0;

    for (int life = 0; life < 8; life++) {
        wal_fixture_open(&fix);
        ck_assert_uint_eq(wal_acked(fix.wal), last);
        for (int i = 0; i < 20; i++) last = wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 200);
        wal_fixture_flush(fix.wal);
        if (life % 2) wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 100); /* never published */
        wal_fixture_close(&fix);
    }
    replay_all(&seen, NULL);
    ck_assert_uint_eq(seen.frames.len, 160);
    ck_assert_uint_eq(seen.frames.ptr[159].seq, last);
    vec_release(&seen.frames);
}
END_TEST

/* What a mode promises after `publish` and a step: acknowledged, synced at once, and
 * synced after the interval. */
static const struct mode {
    const char *name;
    enum wal_sync sync;
    bool acked, synced, synced_later;
} modes[] = {
    {"append", WAL_SYNC_APPEND, true, true, true},
    {"periodic", WAL_SYNC_PERIODIC, true, false, true},
    {"off", WAL_SYNC_OFF, true, false, false},
};

START_TEST(test_wal_acknowledges_by_mode)
{
    const struct mode *m = &modes[_i];

    fix.opt.sync = m->sync;
    fix.opt.sync_interval_ns = 1000000000;
    wal_fixture_open(&fix);
    lsn seq = wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 10);
    ck_assert_uint_eq(wal_head(fix.wal), 0);
    ck_assert(!wal_acked(fix.wal));
    int before = fix.n_notified;
    wal_fixture_flush(fix.wal);
    ck_assert_uint_eq(wal_head(fix.wal), seq);
    ck_assert_msg((wal_acked(fix.wal) == seq) == m->acked, "%s", m->name);
    ck_assert_msg((wal_synced(fix.wal) == seq) == m->synced, "%s", m->name);
    ck_assert_int_gt(fix.n_notified, before);

    /* Idle: the interval passes without another append. */
    clock_sim_advance_ms(&fix.clock, 999);
    while (wal_step(fix.wal)) {
    }
    ck_assert_msg((wal_synced(fix.wal) == seq) == m->synced, "%s", m->name);
    if (m->sync == WAL_SYNC_PERIODIC) ck_assert_int_eq(wal_wait_ns(fix.wal), 1000000);
    clock_sim_advance_ms(&fix.clock, 1);
    while (wal_step(fix.wal)) {
    }
    ck_assert_msg((wal_synced(fix.wal) == seq) == m->synced_later, "%s", m->name);

    wal_want_sync(fix.wal);
    while (wal_step(fix.wal)) {
    }
    ck_assert_uint_eq(wal_synced(fix.wal), seq);
}
END_TEST

START_TEST(test_wal_switches_modes_without_taking_answers_back)
{
    fix.opt.sync = WAL_SYNC_OFF;
    wal_fixture_open(&fix);
    for (int i = 0; i < 60; i++) { /* through several files, none synced */
        wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 1000);
        wal_fixture_flush(fix.wal);
    }
    ck_assert_uint_eq(wal_acked(fix.wal), 60);
    ck_assert_uint_eq(wal_synced(fix.wal), 0);
    wal_set_sync(fix.wal, WAL_SYNC_APPEND, 0);
    while (wal_step(fix.wal)) {
    }
    ck_assert_uint_eq(wal_acked(fix.wal), 60);
    ck_assert_uint_eq(wal_synced(fix.wal), 60);
}
END_TEST

START_TEST(test_wal_refuses_when_the_ring_is_full_and_never_less)
{
    size_t max;
    int n = 0;

    wal_fixture_open(&fix);
    max = wal_payload_max(fix.wal);
    ck_assert_ptr_null(wal_begin(fix.wal, max + 1));
    while (wal_room(fix.wal) >= 2 * (700 + WAL_HEAD_LEN + WAL_RUN_LEN)) {
        wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 690);
        n++;
    }
    while (wal_begin(fix.wal, 690)) {
        wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 687);
        n++;
    }
    ck_assert_int_gt(n, 10);
    ck_assert_uint_lt(wal_room(fix.wal), 690 + WAL_HEAD_LEN + WAL_RUN_LEN + 700);
    wal_fixture_flush(fix.wal);
    ck_assert_uint_eq(wal_room(fix.wal), 16 << 10); /* 12 KiB, rounded up */

    /* With an empty ring the largest frame fits, wherever the ring stands. */
    for (int i = 0; i < 50; i++) {
        wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, max - 3);
        n++;
        wal_fixture_flush(fix.wal);
        wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, (size_t)i * 13);
        n++;
        wal_fixture_flush(fix.wal);
    }
    wal_fixture_close(&fix);
    struct seen seen;
    replay_all(&seen, NULL);
    ck_assert_uint_eq(seen.frames.len, (size_t)n);
    vec_release(&seen.frames);
}
END_TEST

/* A log whose thread keeps up stays in the first part of its ring; one that does not uses
 * all of it. What is skipped is not counted as waiting. */
START_TEST(test_wal_uses_the_ring_from_its_start_while_it_is_empty)
{
    enum { LEN = 100 << 10, CAP = 16 << 20 };
    struct seen seen;
    struct wal_stats ws;
    uint64_t most = 0;
    size_t n = 0;

    fix.opt.buffer_bytes = CAP;
    fix.opt.file_bytes = 64 << 20;
    wal_fixture_open(&fix);
    for (int i = 0; i < 400; i++, n++) {
        wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, LEN);
        wal_publish(fix.wal);
        wal_stats(fix.wal, &ws);
        ck_assert_uint_lt(ws.buffered_bytes, LEN + 100);
        wal_fixture_flush(fix.wal);
        if ((fix.wal->build & (CAP - 1)) > most) most = fix.wal->build & (CAP - 1);
        ck_assert_uint_eq(wal_room(fix.wal), CAP);
    }
    ck_assert_uint_lt(most, CAP / 8 + LEN + 100);
    while (wal_begin(fix.wal, LEN)) {
        wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, LEN - 3);
        n++;
    }
    ck_assert_uint_lt(wal_room(fix.wal), 2 * LEN);
    wal_fixture_flush(fix.wal);
    wal_fixture_close(&fix);
    replay_all(&seen, NULL);
    ck_assert_uint_eq(seen.frames.len, n);
    vec_release(&seen.frames);
}
END_TEST

/* ---- runs ---- */

START_TEST(test_wal_replays_only_finished_runs)
{
    struct seen seen;
    struct wal_replay_stats stats;

    wal_fixture_open(&fix);
    wal_fixture_put(fix.wal, WAL_SAMPLES, 7, 0, 10);          /* 1: finished by 4 */
    wal_fixture_put(fix.wal, WAL_SAMPLES, 8, 0, 10);          /* 2: never finished */
    wal_fixture_put(fix.wal, WAL_SERIES, 0, 0, 10);           /* 3: alone */
    wal_fixture_put(fix.wal, WAL_SAMPLES, 7, WAL_COMMIT, 10); /* 4 */
    wal_fixture_put(fix.wal, WAL_SAMPLES, 8, 0, 10);          /* 5 */
    wal_fixture_put(fix.wal, WAL_SAMPLES, 9, WAL_COMMIT, 10); /* 6: a run of one */
    wal_fixture_flush(fix.wal);
    wal_fixture_close(&fix);

    /* The next process uses the number 8 again: the old run stays unfinished. */
    wal_fixture_open(&fix);
    wal_fixture_put(fix.wal, WAL_SAMPLES, 8, 0, 10);          /* 7 */
    wal_fixture_put(fix.wal, WAL_SAMPLES, 8, WAL_COMMIT, 10); /* 8 */
    wal_fixture_flush(fix.wal);
    wal_fixture_close(&fix);

    replay_all(&seen, &stats);
    static const lsn expect[] = {1, 3, 4, 6, 7, 8};
    ck_assert_uint_eq(seen.frames.len, ARRAY_LEN(expect));
    for (size_t i = 0; i < ARRAY_LEN(expect); i++) {
        ck_assert_uint_eq(seen.frames.ptr[i].seq, expect[i]);
    }
    ck_assert_uint_eq(stats.n_runs_dropped, 1);
    ck_assert_uint_eq(stats.n_frames_dropped, 2);
    ck_assert_uint_eq(stats.n_frames, 8);
    vec_release(&seen.frames);
}
END_TEST

/* ---- files ---- */

struct wal_dir {
    uint64_t n_logs, n_others;
};

static status count_entry(void *ctx, const struct vfs_entry *entry)
{
    struct wal_dir *dir = ctx;
    uint64_t id;

    if (layout_wal_id(&id, entry->name)) dir->n_logs++;
    else dir->n_others++;
    return ST_OK;
}

static struct wal_dir count_files(void)
{
    struct wal_dir dir = {0};
    ck_assert_int_eq(vfs_list(disk, LAYOUT_WAL_DIR, count_entry, &dir, NULL), ST_OK);
    return dir;
}

START_TEST(test_wal_recycles_released_files)
{
    struct wal_stats ws;
    struct seen seen;
    lsn last = 0;

    fix.opt.n_spare_max = 3;
    wal_fixture_open(&fix);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 60; i++) {
            last = wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 1000);
            wal_fixture_flush(fix.wal);
        }
        wal_release(fix.wal, last - 10);
        while (wal_step(fix.wal)) {
        }
        ck_assert_uint_le(count_files().n_logs, 3 + 3);
        ck_assert_uint_lt(wal_bytes(fix.wal), 3 * (16 << 10));
    }
    wal_stats(fix.wal, &ws);
    ck_assert_uint_ge(ws.n_recycled, 40);
    ck_assert_uint_le(ws.n_created, 45);
    ck_assert_uint_gt(ws.n_removed, 0);
    ck_assert_uint_eq(ws.n_errors, 0);
    wal_fixture_close(&fix);

    /* What replays is a tail of the log that holds everything not released. */
    replay_all(&seen, NULL);
    ck_assert_uint_ge(seen.frames.len, 10);
    ck_assert_uint_lt(seen.frames.len, 60);
    for (size_t i = 0; i < seen.frames.len; i++) {
        ck_assert_uint_eq(seen.frames.ptr[i].seq, last - seen.frames.len + 1 + i);
    }
    vec_release(&seen.frames);
}
END_TEST

/* Under load, as with a thread: the next file grows with the current one, each round has
 * one sync of the log, and released files go in a while. */
START_TEST(test_wal_upkeep_keeps_pace)
{
    struct wal_stats ws;
    lsn last = 0;

    fix.opt.file_bytes = 4 << 20;
    wal_fixture_open(&fix);
    fix.wal->paced = true;
    for (int i = 0; i < 9000; i++) {
        last = wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 1000);
        wal_publish(fix.wal);
        wal_step(fix.wal); /* one round; the clock stands still */
        ck_assert_uint_eq(wal_acked(fix.wal), last);
        uint64_t made = fix.wal->ready.len ? 4 << 20 : fix.wal->prep.done;
        ck_assert_uint_ge(made + WAL_PIECE, fix.wal->off);
    }
    wal_stats(fix.wal, &ws);
    ck_assert_uint_eq(ws.n_files, 3);
    ck_assert_uint_eq(ws.n_rotations, 2);

    wal_release(fix.wal, last);
    for (int i = 0; i < 600; i++) { /* 600 ms of light load: never quiet */
        wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 10);
        wal_publish(fix.wal);
        uint64_t n_syncs = ws.n_syncs;
        wal_step(fix.wal);
        wal_stats(fix.wal, &ws);
        ck_assert_uint_eq(ws.n_syncs, i ? n_syncs + 1 : ws.n_syncs);
        if (i == 0) ck_assert_uint_lt(wal_bytes(fix.wal), 4 << 20);
        clock_sim_advance_ms(&fix.clock, 1);
    }
    wal_stats(fix.wal, &ws);
    ck_assert_uint_eq(ws.n_files, 1);
    ck_assert_uint_eq(ws.n_recycled, 2);
    ck_assert_int_eq(wal_upkeep_wait_ns(fix.wal), -1);
    wal_fixture_close(&fix);
}
END_TEST

static uint64_t room_on_disk(uint64_t id)
{
    struct vfs_file *file;
    layout_path path;
    uint64_t len;
    layout_wal(path, id);
    ck_assert_int_eq(vfs_open(disk, &file, path, VFS_READ, NULL), ST_OK);
    ck_assert_int_eq(vfs_len(file, &len, NULL), ST_OK);
    vfs_close(file);
    return len;
}

/* A start waits for a small file only; the log goes on in whole ones, and what is small
 * is made whole when it is used again. */
START_TEST(test_wal_first_file_is_small)
{
    enum { FRAMES = 3200 };
    struct seen seen;
    lsn last = 0;

    fix.opt.file_bytes = 4 << 20;
    wal_fixture_open(&fix);
    ck_assert_uint_eq(fix.wal->room, WAL_FIRST_MIN);
    ck_assert_uint_eq(room_on_disk(fix.wal->cur.id), WAL_FIRST_MIN);
    for (int i = 0; i < FRAMES; i++) {
        last = wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 1000);
        wal_fixture_flush(fix.wal);
        ck_assert_uint_le(fix.wal->off, fix.wal->room);
    }
    ck_assert_uint_eq(fix.wal->files.len, 1);
    ck_assert_uint_eq(fix.wal->room, fix.opt.file_bytes);
    ck_assert_uint_eq(room_on_disk(fix.wal->cur.id), fix.opt.file_bytes);
    wal_release(fix.wal, last); /* the small one is recycled */
    while (wal_step(fix.wal)) {
    }
    ck_assert_uint_ge(fix.wal->ready.len, 1);
    for (size_t i = 0; i < fix.wal->ready.len; i++)
        ck_assert_uint_eq(fix.wal->ready.ptr[i].room, fix.opt.file_bytes);
    wal_fixture_close(&fix);
    replay_all(&seen, NULL);
    ck_assert_uint_gt(seen.frames.len, 0);
    ck_assert_uint_eq(seen.frames.ptr[seen.frames.len - 1].seq, last);
    vec_release(&seen.frames);
}
END_TEST

START_TEST(test_wal_keeps_files_while_held)
{
    lsn last = 0;

    wal_fixture_open(&fix);
    for (int i = 0; i < 100; i++) {
        last = wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 1000);
        wal_fixture_flush(fix.wal);
    }
    uint64_t before = count_files().n_logs;
    wal_hold(fix.wal);
    wal_release(fix.wal, last);
    while (wal_step(fix.wal)) {
    }
    ck_assert_uint_eq(count_files().n_logs, before);
    ck_assert_uint_lt(wal_bytes(fix.wal), 16 << 10); /* no longer live all the same */
    wal_unhold(fix.wal);
    while (wal_step(fix.wal)) {
    }
    ck_assert_uint_gt(before, 5);
    struct wal_stats ws;
    wal_stats(fix.wal, &ws);
    ck_assert_uint_eq(ws.n_files, 1);
}
END_TEST

START_TEST(test_wal_empty_files_of_a_crash_are_used_again)
{
    wal_fixture_open(&fix);
    wal_fixture_flush(fix.wal); /* makes the next file ready */
    uint64_t before = count_files().n_logs;
    for (int life = 0; life < 5; life++) {
        wal_fixture_close(&fix);
        wal_fixture_open(&fix);
        wal_fixture_flush(fix.wal);
    }
    ck_assert_uint_le(count_files().n_logs, before + 1);
    ck_assert_uint_eq(count_files().n_others, 0);
}
END_TEST

START_TEST(test_wal_begins_behind_what_is_covered)
{
    struct seen seen;

    wal_fixture_open(&fix);
    for (int i = 0; i < 50; i++) wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 100);
    wal_fixture_close(&fix);

    fix.opt.covered = 1000; /* an old copy of the log beside newer segments */
    wal_fixture_open(&fix);
    ck_assert_uint_eq(wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 100), 1001);
    wal_fixture_flush(fix.wal);
    wal_fixture_close(&fix);
    replay_all(&seen, NULL);
    ck_assert_uint_eq(seen.frames.len, 1);
    ck_assert_uint_eq(seen.frames.ptr[0].seq, 1001);
    vec_release(&seen.frames);

    struct err err;
    ck_assert_int_eq(wal_open(&fix.wal, fix.vfs, &fix.opt, NULL, &err), ST_EXISTS);
}
END_TEST

/* ---- failures ---- */

START_TEST(test_wal_failed_sync_is_final)
{
    struct vfs_fault *fault = vfs_fault_new(disk, 1);
    struct err err;

    fix.vfs = vfs_fault_vfs(fault);
    wal_fixture_open(&fix);
    wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 100);
    wal_fixture_flush(fix.wal);
    vfs_fault_add(fault, &(struct vfs_fault_rule){.ops = VFS_OP(SYNC), .nth = 1, .st = ST_IO});
    int before = fix.n_notified;
    wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 100);
    wal_fixture_flush(fix.wal);
    ck_assert_int_eq(wal_failed(fix.wal, &err), ST_IO);
    ck_assert_int_gt(fix.n_notified, before);
    ck_assert_uint_eq(wal_acked(fix.wal), 1);

    uint64_t writes = vfs_fault_n_calls(fault, VFS_OP_CHANGES);
    wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 100);
    wal_fixture_flush(fix.wal);
    ck_assert_uint_eq(wal_acked(fix.wal), 1);
    ck_assert_int_eq(wal_wait_ns(fix.wal), -1);
    ck_assert_int_eq(wal_close(fix.wal, &err), ST_IO);
    fix.wal = NULL;
    ck_assert_uint_eq(vfs_fault_n_calls(fault, VFS_OP_CHANGES), writes);
    vfs_fault_free(fault);
}
END_TEST

START_TEST(test_wal_full_disk_is_noticed_before_it_hurts)
{
    struct vfs_fault *fault = vfs_fault_new(disk, 1);
    struct vfs_fault_rule full = {
        .ops = VFS_OP(ALLOCATE), .nth = 1, .forever = true, .st = ST_NO_SPACE};
    lsn last = 0;

    fix.vfs = vfs_fault_vfs(fault);
    wal_fixture_open(&fix);
    wal_fixture_flush(fix.wal);
    ck_assert(wal_space_ok(fix.wal));
    vfs_fault_add(fault, &full);

    /* Into the file that is ready; there is no next one then. */
    while (wal_space_ok(fix.wal)) {
        last = wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 1000);
        wal_fixture_flush(fix.wal);
        ck_assert_uint_eq(wal_acked(fix.wal), last);
        ck_assert_uint_lt(last, 100);
    }
    /* To the end of the current file all goes well; then frames wait. */
    lsn end = last;
    while (wal_acked(fix.wal) == end) {
        end = wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 1000);
        wal_fixture_flush(fix.wal);
        ck_assert_uint_lt(end, 100);
    }
    ck_assert_int_eq(wal_failed(fix.wal, NULL), ST_OK);
    ck_assert_uint_eq(wal_acked(fix.wal), end - 1);
    ck_assert_int_gt(wal_wait_ns(fix.wal), 0);

    /* Space returns: everything resumes by itself. */
    vfs_fault_clear(fault);
    clock_sim_advance_ms(&fix.clock, 200);
    ck_assert_int_eq(wal_wait_ns(fix.wal), 0);
    while (wal_step(fix.wal)) {
    }
    ck_assert_uint_eq(wal_acked(fix.wal), end);
    ck_assert(wal_space_ok(fix.wal));
    wal_fixture_close(&fix);
    struct seen seen;
    replay_all(&seen, NULL);
    ck_assert_uint_eq(seen.frames.len, end);
    vec_release(&seen.frames);
    vfs_fault_free(fault);
}
END_TEST

/* ---- with a thread ---- */

START_TEST(test_wal_thread_acknowledges_everything)
{
    struct rng rng;
    struct seen seen;

    rng_init(&rng, unit_seed());
    fix.opt.clock = clock_system();
    fix.opt.sync = (enum wal_sync)_i;
    fix.opt.sync_interval_ns = 1000000;
    wal_fixture_open(&fix);
    ck_assert_int_eq(wal_start_thread(fix.wal, NULL), ST_OK);
    lsn last = 0;
    for (int i = 0; i < 3000; i++) {
        size_t len = rng_below(&rng, 600);
        while (wal_room(fix.wal) < 2 * (len + 3 + WAL_HEAD_LEN + WAL_RUN_LEN)) thread_relax();
        last = wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, len);
        if (rng_below(&rng, 4) == 0) wal_publish(fix.wal);
        if (i % 500 == 499) wal_release(fix.wal, last - 400);
        if (i % 700 == 0) { /* let it fall asleep */
            wal_publish(fix.wal);
            while (wal_acked(fix.wal) < last) thread_relax();
        }
    }
    wal_publish(fix.wal);
    while (wal_acked(fix.wal) < last) thread_relax();
    wal_want_sync(fix.wal);
    while (wal_synced(fix.wal) < last) thread_relax();
    wal_fixture_close(&fix);
    replay_all(&seen, NULL);
    ck_assert_uint_ge(seen.frames.len, 400);
    ck_assert_uint_eq(seen.frames.ptr[seen.frames.len - 1].seq, last);
    vec_release(&seen.frames);
}
END_TEST

Suite *suite_wal(void)
{
    Suite *suite = suite_create("wal");
    TCase *tc = tcase_create("wal");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_wal_returns_what_was_appended);
    tcase_add_test(tc, test_wal_goes_on_after_each_restart);
    tcase_add_loop_test(tc, test_wal_acknowledges_by_mode, 0, ARRAY_LEN(modes));
    tcase_add_test(tc, test_wal_switches_modes_without_taking_answers_back);
    tcase_add_test(tc, test_wal_refuses_when_the_ring_is_full_and_never_less);
    tcase_add_test(tc, test_wal_uses_the_ring_from_its_start_while_it_is_empty);
    tcase_add_test(tc, test_wal_replays_only_finished_runs);
    tcase_add_test(tc, test_wal_recycles_released_files);
    tcase_add_test(tc, test_wal_upkeep_keeps_pace);
    tcase_add_test(tc, test_wal_first_file_is_small);
    tcase_add_test(tc, test_wal_keeps_files_while_held);
    tcase_add_test(tc, test_wal_empty_files_of_a_crash_are_used_again);
    tcase_add_test(tc, test_wal_begins_behind_what_is_covered);
    tcase_add_test(tc, test_wal_failed_sync_is_final);
    tcase_add_test(tc, test_wal_full_disk_is_noticed_before_it_hurts);
    tcase_add_loop_test(tc, test_wal_thread_acknowledges_everything, 0, 3);
    suite_add_tcase(suite, tc);
    return suite;
}
