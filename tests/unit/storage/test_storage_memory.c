/* Goal: a refused allocation, wherever it happens, is an error for that call and nothing
 * else: no crash, no leak, no broken state. Method: each scenario with its n-th fallible
 * allocation refused, for every n until it is not reached. */
#include "tests/unit/storage/segment_fixture.h"
#include "tests/unit/storage/wal_fixture.h"

#include "base/log.h"
#include "storage/catalog.h"
#include "storage/merge.h"
#include "storage/quarantine.h"
#include "storage/tombstone_file.h"
#include "tests/lib/mem_fault.h"

static status count_frame(void *ctx, const struct wal_frame *frame)
{
    (void)frame;
    ++*(size_t *)ctx;
    return ST_OK;
}

/* Two lives of a log, the second after damage, so that salvage is on the way. */
static status run_wal(struct vfs *disk)
{
    struct wal_replay_options ropt = wal_fixture_replay_options(WAL_REPLAY_SALVAGE);
    struct wal_replay *replay;
    struct wal_fixture fix;
    size_t n = 0;

    wal_fixture_init(&fix, disk);
    TRY(wal_open(&fix.wal, disk, &fix.opt, NULL, NULL));
    for (int i = 0; i < 30; i++) {
        uint8_t *dst = wal_begin(fix.wal, 1000);
        if (!dst) break;
        memset(dst, i, 1000);
        wal_end(fix.wal, WAL_SAMPLES, i % 3 == 2 ? WAL_COMMIT : 0, (uint64_t)(i / 3 + 1), 1000);
        wal_publish(fix.wal);
        for (int k = 0; k < 50 && wal_step(fix.wal); k++) {
        }
    }
    TRY(wal_close(fix.wal, NULL));

    TRY(quarantine_copy(NULL, disk, "wal/wal-0000000000000001.log", "test", NULL));
    TRY(wal_replay_open(&replay, disk, &ropt, NULL));
    status st = wal_replay_each(replay, count_frame, &n);
    if (st == ST_OK) st = wal_open(&fix.wal, disk, &fix.opt, replay, NULL);
    wal_replay_close(replay);
    if (st != ST_OK) return st;
    ck_assert_uint_eq(n, 30);
    return wal_close(fix.wal, NULL);
}

static status run_catalog(struct vfs *disk)
{
    struct catalog_entry entry = {.tier = TIER_HOT};
    struct catalog cat, got;
    bool scanned;

    catalog_init(&cat, &segment_fixture_db);
    status st = segment_fixture_write(&entry.info, disk, 1, 3, NULL);
    if (st != ST_OK) return st;
    layout_segment(entry.path, LANE_NUMERIC, 0, 1);
    cat.next_segment_id = 2;
    st = catalog_add(&cat, &entry, NULL);
    if (st == ST_OK) st = catalog_write(disk, &cat, NULL);
    if (st == ST_OK) st = catalog_load(&got, &scanned, disk, NULL, NULL, NULL, NULL);
    if (st == ST_OK) {
        ck_assert_uint_eq(got.n, 1);
        catalog_release(&got);
        st = catalog_scan(&got, disk, NULL, NULL, NULL, NULL);
    }
    if (st == ST_OK) {
        ck_assert_uint_eq(got.n, 1);
        catalog_release(&got);
    }
    catalog_release(&cat);
    return st;
}

static status run_deletes(struct vfs *disk)
{
    struct tombstones *set = NULL, *next = NULL;
    struct tombstone_file *file;
    struct intervals hidden = {0};
    const uint64_t ids[] = {1, 2, 9};

    TRY(tombstone_file_open(&file, &set, disk, &segment_fixture_db, NULL));
    status st = ST_OK;
    for (uint64_t gen = 1; gen < 9 && st == ST_OK; gen++) {
        struct delete_rec rec = {ids, 3, {(ts_time)gen * 10, (ts_time)gen * 10 + 3}, gen, gen};
        st = tombstone_file_append(file, &rec, NULL);
        if (st == ST_OK) st = tombstones_add(&next, set, &rec);
        if (st != ST_OK) break;
        tombstones_unref(set);
        set = next;
    }
    if (st == ST_OK) st = tombstones_intervals(&hidden, set, 9, 1);
    if (st == ST_OK) ck_assert_uint_eq(hidden.len, 8);
    if (st == ST_OK) st = tombstones_trim(&next, set, 5);
    if (st == ST_OK) {
        st = tombstone_file_rewrite(file, next, NULL);
        tombstones_unref(next);
    }
    intervals_release(&hidden);
    tombstones_unref(set);
    tombstone_file_close(file);
    if (st != ST_OK) return st;
    TRY(tombstone_file_open(&file, &set, disk, &segment_fixture_db, NULL));
    ck_assert_uint_eq(tombstones_count(set), 12);
    tombstones_unref(set);
    tombstone_file_close(file);
    return ST_OK;
}

static status run_merge(struct vfs *disk)
{
    enum { RUNS = 40, N = 30 };
    static ts_time ts[RUNS][N];
    static union value val[RUNS][N];
    struct merge_run runs[RUNS];
    struct points out = {0};

    (void)disk;
    for (size_t r = 0; r < RUNS; r++) {
        for (size_t i = 0; i < N; i++) ts[r][i] = (ts_time)(i * (r % 7 + 1));
        runs[r] = (struct merge_run){ts[r], val[r], N, r, NULL};
    }
    ck_assert_uint_eq(out.n, 0);
    status st = merge_runs(&out, runs, RUNS, (struct time_range){TS_MIN, TS_MAX});
    if (st != ST_OK) ck_assert_uint_eq(out.n, 0);
    points_release(&out);
    return st;
}

static const struct scenario {
    const char *name;
    status (*run)(struct vfs *disk);
} scenarios[] = {
    {"log", run_wal},
    {"catalog", run_catalog},
    {"deletes", run_deletes},
    {"merge", run_merge},
};

START_TEST(test_each_refused_allocation)
{
    const struct scenario *s = &scenarios[_i];

    log_set_level(LOG_OFF);
    for (uint64_t nth = 1;; nth++) {
        struct vfs *disk = vfs_mem_new();
        int64_t live = mem_fault_live();
        mem_fault_arm(nth, 1);
        status st = s->run(disk);
        bool fired = mem_fault_disarm() > 0;
        ck_assert_msg(st == ST_OK || (fired && st == ST_NO_MEMORY), "%s, allocation %" PRIu64
                      ": %s", s->name, nth, status_name(st));
        vfs_free(disk);
        ck_assert_msg(mem_fault_live() <= live, "%s, allocation %" PRIu64 " leaks", s->name, nth);
        if (!fired) break;
    }
    log_set_level(LOG_INFO);
}
END_TEST

Suite *suite_storage_memory(void)
{
    Suite *suite = suite_create("storage_memory");
    TCase *tc = tcase_create("storage_memory");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_each_refused_allocation, 0, ARRAY_LEN(scenarios));
    suite_add_tcase(suite, tc);
    return suite;
}
