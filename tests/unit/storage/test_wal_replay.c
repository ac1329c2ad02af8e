/* Goal: replay gives back what was synced, cuts what was torn, refuses what rotted, and
 * never hands on a frame that was not written. Method: logs made by the real writer on a
 * file system in memory, then cut at every length, flipped at every bit, overwritten and
 * rearranged. */
#include "tests/unit/storage/wal_fixture.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "storage/layout.h"
#include "storage/quarantine.h"

static struct wal_fixture fix;
static struct vfs *disk;

static void setup(void)
{
    disk = vfs_mem_new();
    wal_fixture_init(&fix, disk);
}

static void teardown(void)
{
    vfs_free(disk);
}

struct result {
    status st;
    struct err err;
    struct seen seen;
    struct wal_replay_stats stats;
};

static struct result replay(const struct wal_replay_options *opt)
{
    struct result r = {.st = ST_OK};
    struct wal_replay *replay;

    r.st = wal_replay_open(&replay, disk, opt, &r.err);
    if (r.st != ST_OK) return r;
    wal_fixture_see(&r.seen, replay);
    wal_replay_stats(replay, &r.stats);
    wal_replay_close(replay);
    return r;
}

static struct result replay_mode(enum wal_replay_mode mode)
{
    struct wal_replay_options opt = wal_fixture_replay_options(mode);
    return replay(&opt);
}

static void done(struct result *r)
{
    vec_release(&r->seen.frames);
}

/* ---- files as bytes ---- */

struct bytes {
    uint8_t *ptr;
    size_t len;
};

static struct bytes read_log(uint64_t id)
{
    struct bytes b;
    layout_path path;
    layout_wal(path, id);
    ck_assert_int_eq(vfs_read_file(disk, path, 1 << 20, &b.ptr, &b.len, NULL), ST_OK);
    return b;
}

static void write_log(uint64_t id, const uint8_t *src, size_t len)
{
    struct vfs_file *file;
    layout_path path;
    layout_wal(path, id);
    ck_assert_int_eq(vfs_open(disk, &file, path, VFS_TRUNCATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 0, src, len, NULL), ST_OK);
    ck_assert_int_eq(vfs_sync(file, NULL), ST_OK);
    vfs_close(file);
}

/* Frames of one size, so that the offset of each is known. */
enum { SIZE = 40, STEP = SIZE + WAL_HEAD_LEN + WAL_RUN_LEN };

static size_t frame_off(size_t idx)
{
    return WAL_FILE_HEAD_LEN + idx * STEP;
}

/* A log of n synced frames in file 1, each in a step of its own; not closed cleanly. */
static void make_log(size_t n)
{
    wal_fixture_open(&fix);
    for (size_t i = 0; i < n; i++) {
        wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, SIZE);
        wal_fixture_flush(fix.wal);
    }
}

/* The process dies: what is in the files stays. */
static void crash(void)
{
    struct bytes all[64];
    uint64_t n = 0;
    layout_path path;

    for (uint64_t id = 1; id < 64; id++) {
        layout_wal(path, id);
        all[id] = vfs_exists(disk, path) ? read_log(id) : (struct bytes){0};
        n = id;
    }
    (void)wal_close(fix.wal, NULL); /* its mark is taken back below */
    fix.wal = NULL;
    for (uint64_t id = 1; id <= n; id++) {
        if (all[id].ptr) write_log(id, all[id].ptr, all[id].len);
        mem_free(all[id].ptr);
    }
}

/* ---- torn tails ---- */

START_TEST(test_replay_cuts_a_torn_tail)
{
    make_log(5);
    crash();
    struct bytes log = read_log(1);

    for (size_t len = frame_off(3); len <= frame_off(5); len++) {
        write_log(1, log.ptr, len);
        struct result r = replay_mode(WAL_REPLAY_STRICT);
        ck_assert_msg(r.st == ST_OK, "cut at %zu: %s", len, r.err.text);
        size_t expect = (len - WAL_FILE_HEAD_LEN) / STEP;
        ck_assert_msg(r.seen.frames.len == expect, "cut at %zu: %zu frames", len,
                      r.seen.frames.len);
        bool torn = (len - WAL_FILE_HEAD_LEN) % STEP >= WAL_HEAD_LEN;
        ck_assert_uint_eq(r.stats.n_torn, torn);
        done(&r);

        /* The cut is on disk: what comes now follows it, and nothing old returns. */
        wal_fixture_open(&fix);
        ck_assert_uint_eq(wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, SIZE), expect + 1);
        wal_fixture_flush(fix.wal);
        wal_fixture_close(&fix);
        r = replay_mode(WAL_REPLAY_STRICT);
        ck_assert_msg(r.st == ST_OK, "cut at %zu, then: %s", len, r.err.text);
        ck_assert_uint_eq(r.seen.frames.len, expect + 1);
        ck_assert_uint_eq(r.stats.n_torn, 0);
        done(&r);
        for (uint64_t id = 1; id < 400; id++) {
            layout_path path;
            layout_wal(path, id);
            vfs_remove_best_effort(disk, path);
        }
    }
    mem_free(log.ptr);
}
END_TEST

/* Three frames in one step, the first of them lost: no sync ever covered them. */
START_TEST(test_replay_cuts_an_unsynced_batch_with_a_hole)
{
    struct bytes log;

    make_log(4);
    for (int i = 0; i < 3; i++) wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, SIZE);
    wal_fixture_flush(fix.wal);
    crash();
    log = read_log(1);
    memset(log.ptr + frame_off(4), 0, STEP);
    write_log(1, log.ptr, log.len);

    for (int again = 0; again < 2; again++) {
        struct result r = replay_mode(WAL_REPLAY_STRICT);
        ck_assert_msg(r.st == ST_OK, "%s", r.err.text);
        ck_assert_uint_eq(r.seen.frames.len, 4);
        ck_assert_uint_eq(r.stats.n_torn, !again);
        ck_assert_uint_eq(r.stats.n_torn_frames, again ? 0 : 2);
        done(&r);
    }
    mem_free(log.ptr);
}
END_TEST

/* The same bytes, but the log went on after a sync: that is rot. */
START_TEST(test_replay_refuses_a_hole_before_a_barrier)
{
    struct bytes log, after;

    make_log(4);
    for (int i = 0; i < 3; i++) wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, SIZE);
    wal_fixture_flush(fix.wal);
    wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, SIZE);
    wal_fixture_flush(fix.wal);
    crash();
    log = read_log(1);
    memset(log.ptr + frame_off(4), 0, STEP);
    write_log(1, log.ptr, log.len);

    struct result r = replay_mode(WAL_REPLAY_STRICT);
    ck_assert_int_eq(r.st, ST_CORRUPT);
    ck_assert_ptr_nonnull(strstr(r.err.text, "wal-0000000000000001.log"));
    ck_assert_ptr_nonnull(strstr(r.err.text, "offset 352"));
    after = read_log(1);
    ck_assert_uint_eq(after.len, log.len);
    ck_assert_mem_eq(after.ptr, log.ptr, log.len);

    size_t n_aside;
    r = replay_mode(WAL_REPLAY_SALVAGE);
    ck_assert_msg(r.st == ST_OK, "%s", r.err.text);
    ck_assert_uint_eq(r.seen.frames.len, 7);
    ck_assert_uint_eq(r.seen.frames.ptr[4].seq, 6);
    ck_assert_uint_eq(r.stats.n_damaged, 1);
    ck_assert_uint_eq(r.stats.n_files_aside, 1);
    ck_assert_int_eq(quarantine_count(&n_aside, disk, NULL), ST_OK);
    ck_assert_uint_eq(n_aside, 1);
    done(&r);

    /* Frames that segments have are no loss. */
    struct wal_replay_options opt = wal_fixture_replay_options(WAL_REPLAY_STRICT);
    opt.covered = 5;
    opt.read_only = true;
    r = replay(&opt);
    ck_assert_msg(r.st == ST_OK, "%s", r.err.text);
    ck_assert_uint_eq(r.seen.frames.len, 7);
    done(&r);
    mem_free(log.ptr);
    mem_free(after.ptr);
}
END_TEST

START_TEST(test_replay_idle_mark_guards_the_last_frames)
{
    make_log(1);
    for (int i = 0; i < 3; i++) wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, SIZE);
    wal_fixture_flush(fix.wal);
    clock_sim_advance_ms(&fix.clock, 1001);
    while (wal_step(fix.wal)) {
    }
    crash();
    struct bytes log = read_log(1);
    log.ptr[frame_off(2) + WAL_HEAD_LEN + 20] ^= 1;
    write_log(1, log.ptr, log.len);
    ck_assert_int_eq(replay_mode(WAL_REPLAY_STRICT).st, ST_CORRUPT);
    mem_free(log.ptr);
}
END_TEST

START_TEST(test_replay_drops_runs_that_lost_a_frame)
{
    wal_fixture_open(&fix);
    for (int i = 0; i < 9; i++) { /* runs 1 and 2 interleaved, and a run of three: 3 */
        uint64_t run = i < 6 ? (uint64_t)(1 + i % 2) : 3;
        unsigned flags = i == 4 || i == 5 || i == 8 ? WAL_COMMIT : 0;
        wal_fixture_put(fix.wal, WAL_SAMPLES, run, flags, SIZE);
        wal_fixture_flush(fix.wal);
    }
    crash();
    struct bytes log = read_log(1);
    static const struct {
        const char *name;
        size_t damaged, n_seen;
        uint64_t first_run;
        uint64_t n_dropped;
    } cases[] = {
        {"run 1 loses its beginning, run 2 begins after it", 0, 6, 2, 2},
        {"runs 1 and 2 are open over the gap", 2, 3, 3, 5},
        {"run 3 loses its middle", 7, 6, 1, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wal_replay_options opt = wal_fixture_replay_options(WAL_REPLAY_SALVAGE);
        opt.read_only = true;
        log.ptr[frame_off(cases[i].damaged) + 30] ^= 4;
        write_log(1, log.ptr, log.len);
        struct result r = replay(&opt);
        log.ptr[frame_off(cases[i].damaged) + 30] ^= 4;
        ck_assert_msg(r.st == ST_OK, "%s: %s", cases[i].name, r.err.text);
        ck_assert_msg(r.seen.frames.len == cases[i].n_seen, "%s: %zu frames", cases[i].name,
                      r.seen.frames.len);
        ck_assert_uint_eq(r.seen.frames.ptr[0].run, cases[i].first_run);
        ck_assert_uint_eq(r.stats.n_frames_dropped, cases[i].n_dropped);
        done(&r);
    }
    mem_free(log.ptr);
}
END_TEST

/* ---- hostile bytes ---- */

/* Every bit of a cleanly closed log: what replays is all of it, or nothing does. */
START_TEST(test_replay_notices_every_flipped_bit)
{
    make_log(4);
    wal_fixture_close(&fix);
    struct bytes log = read_log(1);
    size_t end = frame_off(4) + WAL_HEAD_LEN + WAL_RUN_LEN; /* the mark */

    for (size_t bit = 0; bit < end * 8; bit++) {
        struct wal_replay_options opt = wal_fixture_replay_options(WAL_REPLAY_STRICT);
        opt.read_only = true;
        log.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        write_log(1, log.ptr, log.len);
        struct result r = replay(&opt);
        if (bit / 8 < frame_off(4)) {
            ck_assert_msg(r.st == ST_CORRUPT || r.st == ST_UNSUPPORTED, "bit %zu: %d", bit, r.st);
        } else {
            ck_assert_int_eq(r.st, ST_OK);
            ck_assert_uint_eq(r.seen.frames.len, 4);
        }
        done(&r);
        opt.mode = WAL_REPLAY_SALVAGE;
        r = replay(&opt); /* compares every payload that it hands on */
        if (r.st == ST_OK) ck_assert_uint_ge(r.seen.frames.len, 3);
        done(&r);
        log.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    mem_free(log.ptr);
}
END_TEST

START_TEST(test_replay_of_lost_files)
{
    layout_path path;

    wal_fixture_open(&fix);
    for (int i = 0; i < 60; i++) {
        wal_fixture_put(fix.wal, WAL_SAMPLES, 0, 0, 1000);
        wal_fixture_flush(fix.wal);
    }
    wal_fixture_close(&fix);
    struct bytes one = read_log(1), two = read_log(2);

    layout_wal(path, 2);
    ck_assert_int_eq(vfs_remove(disk, path, NULL), ST_OK);
    ck_assert_int_eq(replay_mode(WAL_REPLAY_STRICT).st, ST_CORRUPT);
    write_log(2, two.ptr, two.len);

    /* The first file is gone: only `covered` can tell. */
    layout_wal(path, 1);
    ck_assert_int_eq(vfs_remove(disk, path, NULL), ST_OK);
    struct wal_replay_options opt = wal_fixture_replay_options(WAL_REPLAY_STRICT);
    opt.covered = 3;
    ck_assert_int_eq(replay(&opt).st, ST_CORRUPT);
    opt.covered = 20;
    opt.read_only = true;
    struct result r = replay(&opt);
    ck_assert_int_eq(r.st, ST_OK);
    done(&r);

    /* A file under another's name. */
    write_log(1, two.ptr, two.len);
    ck_assert_int_eq(replay_mode(WAL_REPLAY_STRICT).st, ST_CORRUPT);
    write_log(1, one.ptr, one.len);
    r = replay_mode(WAL_REPLAY_STRICT);
    ck_assert_int_eq(r.st, ST_OK);
    ck_assert_uint_eq(r.seen.frames.len, 60);
    done(&r);
    mem_free(one.ptr);
    mem_free(two.ptr);
}
END_TEST

START_TEST(test_replay_refuses_strangers)
{
    make_log(2);
    crash();
    struct bytes log = read_log(1);
    struct wal_replay_options opt = wal_fixture_replay_options(WAL_REPLAY_SALVAGE);

    opt.db.bytes[3] ^= 1; /* salvage or not: another database is another database */
    ck_assert_int_eq(replay(&opt).st, ST_CORRUPT);
    opt.db.bytes[3] ^= 1;

    store_u32(log.ptr + 4, WAL_FORMAT + 1);
    store_u32(log.ptr + 60, crc32c(0, log.ptr, 60));
    write_log(1, log.ptr, log.len);
    ck_assert_int_eq(replay(&opt).st, ST_UNSUPPORTED);
    store_u32(log.ptr + 4, WAL_FORMAT);
    store_u32(log.ptr + 60, crc32c(0, log.ptr, 60));

    log.ptr[frame_off(1) + WAL_OFF_TYPE] = WAL_TYPE_MAX + 1;
    wal_frame_seal(log.ptr + frame_off(1), 1);
    write_log(1, log.ptr, log.len);
    ck_assert_int_eq(replay(&opt).st, ST_UNSUPPORTED);
    mem_free(log.ptr);
}
END_TEST

/* A tail that looks like frames everywhere must not cost the square of its length. */
START_TEST(test_replay_search_is_bounded)
{
    enum { LEN = 1 << 20 };
    make_log(2);
    crash();
    struct bytes log = read_log(1);
    uint8_t *big = malloc(LEN);

    for (size_t i = 0; i + WAL_HEAD_LEN <= LEN; i += WAL_HEAD_LEN) {
        wal_frame_head(big + i, WAL_SAMPLES, 0, 3 + i, (uint32_t)(LEN - i - WAL_HEAD_LEN));
    }
    memcpy(big, log.ptr, frame_off(2));
    write_log(1, big, LEN);
    struct result r = replay_mode(WAL_REPLAY_STRICT);
    ck_assert_int_eq(r.st, ST_CORRUPT); /* gave up: better refuse than cut */
    r = replay_mode(WAL_REPLAY_SALVAGE);
    ck_assert_int_eq(r.st, ST_OK);
    ck_assert_uint_eq(r.seen.frames.len, 2);
    done(&r);
    free(big);
    mem_free(log.ptr);
}
END_TEST

START_TEST(test_replay_of_nothing)
{
    struct result r = replay_mode(WAL_REPLAY_STRICT);
    ck_assert_int_eq(r.st, ST_OK);
    ck_assert_uint_eq(r.seen.frames.len, 0);
    ck_assert_int_eq(vfs_mkdir_all(disk, LAYOUT_WAL_DIR, NULL), ST_OK);
    r = replay_mode(WAL_REPLAY_STRICT);
    ck_assert_int_eq(r.st, ST_OK);
}
END_TEST

Suite *suite_wal_replay(void)
{
    Suite *suite = suite_create("wal_replay");
    TCase *tc = tcase_create("wal_replay");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_replay_cuts_a_torn_tail);
    tcase_add_test(tc, test_replay_cuts_an_unsynced_batch_with_a_hole);
    tcase_add_test(tc, test_replay_refuses_a_hole_before_a_barrier);
    tcase_add_test(tc, test_replay_idle_mark_guards_the_last_frames);
    tcase_add_test(tc, test_replay_drops_runs_that_lost_a_frame);
    tcase_add_test(tc, test_replay_notices_every_flipped_bit);
    tcase_add_test(tc, test_replay_of_lost_files);
    tcase_add_test(tc, test_replay_refuses_strangers);
    tcase_add_test(tc, test_replay_search_is_bounded);
    tcase_add_test(tc, test_replay_of_nothing);
    suite_add_tcase(suite, tc);
    return suite;
}
