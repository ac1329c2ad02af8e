/* Goal: when any one call to the disk or to the allocator fails, the database refuses,
 * retries or fails to open, but never crashes and never tells a wrong answer; a failed
 * sync is final; a full disk refuses and recovers by itself. Method: one scenario of
 * opening, writing, deleting, flushing, closing and opening again is run once for each
 * call that it makes, with that call failing; what it was told is kept in a naive model
 * and compared after a restart on the healthy disk.
 *
 * By default a sample of the calls; TSINK_LONG=1 or TSINK_ROUNDS >= 100 takes them all. */
#include "base/bits.h"
#include "base/log.h"
#include "tests/fault/fault_suites.h"
#include "tests/lib/db_history.h"
#include "tests/lib/mem_fault.h"
#include "tests/lib/vfs_fault.h"

enum { STEPS = 40 };

static void rig_for(struct db_rig *rig, struct vfs *vfs, uint64_t seed)
{
    db_rig_init_on(rig, seed, vfs);
    rig->options.chunk_points = 64;
    rig->options.wal_flush_bytes = 16 << 10;
    rig->options.fail_fast = true;
    rig->options.compaction_trigger = 2;
    rig->options.compaction_interval_ms = rig->options.flush_interval_ms = 1;
}

/* The database holds what it was told. A fault may hit the look itself: it comes once,
 * so the second look must succeed. */
static void look(struct db_rig *rig, const struct db_history *history, const char *what)
{
    struct model_db model = {0};
    db_history_replay(history, 0, history->n, &model);
    const char *why = db_history_differs(rig, &model);
    if (why) why = db_history_differs(rig, &model);
    ck_assert_msg(!why, "%s: %s", what, why);
    model_db_release(&model);
}

/* Opens, at the second attempt if the fault hits the first. */
static void open_again(struct db_rig *rig, struct db_history *history, const char *what)
{
    if (db_rig_open(rig) != ST_OK)
        ck_assert_msg(db_rig_open(rig) == ST_OK, "%s: open: %s", what, rig->err.text);
    const char *why = db_history_resolve(history, rig);
    if (why) why = db_history_resolve(history, rig);
    ck_assert_msg(!why, "%s: opened again: %s", what, why);
}

/* Runs the scenario; whatever fails, it goes on as a user would, who restarts after a
 * failed log. */
static void scenario(struct vfs_fault *fault, uint64_t seed, const char *what)
{
    struct db_history history;
    struct db_rig rig;
    struct err err = {.st = ST_OK};
    rig_for(&rig, vfs_fault_vfs(fault), seed);
    db_history_init(&history, seed);
    history.kinds = HISTORY_ALL;
    history.may_fail = true;
    history.restarts = 0;
    open_again(&rig, &history, what);
    for (int i = 0; i < STEPS; i++) {
        (void)db_history_step(&history, &rig);
        db_history_note(&history, &rig);
        bool failed = db_durable_failed(rig.db, &err) != ST_OK;
        if (!failed && i % 4 == 0) look(&rig, &history, what);
        if (!failed && i % 15 != 14) continue;
        status st = db_rig_close(&rig);
        ck_assert_msg(!failed || st != ST_OK, "%s: a failed log closed well", what);
        open_again(&rig, &history, what);
    }
    db_rig_settle(&rig);
    ck_assert_msg(db_check(rig.db, &err) == ST_OK || db_check(rig.db, &err) == ST_OK,
                  "%s: %s", what, err.text);
    (void)db_rig_close(&rig);
    open_again(&rig, &history, what);
    /* Trouble is over: everything works and nothing is refused any more. */
    vfs_fault_clear(fault);
    history.may_fail = false;
    clock_sim_advance_ms(&rig.clock, 60000);
    db_rig_settle(&rig);
    ck_assert_msg(db_rig_flush(&rig) == ST_OK, "%s: the flush at the end", what);
    for (int i = 0; i < 3; i++) (void)db_history_step(&history, &rig);
    ck_assert_msg(!history.failure, "%s: at the end: %s", what, history.failure);
    look(&rig, &history, what);
    db_rig_settle(&rig);
    ck_assert_msg(db_check(rig.db, &err) == ST_OK, "%s: at the end: %s", what, err.text);
    db_history_note(&history, &rig);
    const char *why = db_history_check_snapshots(&history, &rig);
    ck_assert_msg(!why, "%s: at the end: %s", what, why);
    ck_assert_msg(db_rig_close(&rig) == ST_OK, "%s: close: %s", what, rig.err.text);
    db_history_release(&history);
    db_rig_release(&rig);
}

static const struct fault_kind {
    const char *name;
    unsigned ops;
    status st;
    size_t short_max;
    bool drop_dirty;
} kinds[] = {
    {"EIO", VFS_OP_ALL, ST_IO, 0, false},
    {"disk full once", VFS_OP(WRITE) | VFS_OP(ALLOCATE) | VFS_OP(OPEN) | VFS_OP(MKDIR) |
                           VFS_OP(RENAME) | VFS_OP(TRUNCATE), ST_NO_SPACE, 0, false},
    {"short write", VFS_OP(WRITE), ST_IO, 100, false},
    {"sync that drops", VFS_OP(SYNC), ST_IO, 0, true},
};

START_TEST(test_each_call_to_the_disk_fails_once)
{
    const struct fault_kind *kind = &kinds[_i];
    uint64_t seed = unit_seed();
    long rounds = fault_rounds(1, 100);
    log_set_level(LOG_OFF);
    struct vfs *disk = vfs_mem_new();
    struct vfs_fault *fault = vfs_fault_new(disk, seed);
    scenario(fault, seed, "without a fault");
    uint64_t n_calls = vfs_fault_n_calls(fault, kind->ops);
    vfs_fault_free(fault);
    vfs_free(disk);

    uint64_t stride = rounds >= 100 ? 1 : 1 + n_calls / (25 * (uint64_t)rounds);
    for (uint64_t nth = 1 + seed % stride; nth <= n_calls; nth += stride) {
        char what[100];
        snprintf(what, sizeof(what), "%s, call %llu of %llu, seed %llu", kind->name,
                 (unsigned long long)nth, (unsigned long long)n_calls, (unsigned long long)seed);
        disk = vfs_mem_new();
        fault = vfs_fault_new(disk, seed);
        struct vfs_fault_rule rule = {.ops = kind->ops,
                                      .nth = nth,
                                      .st = kind->st,
                                      .short_max = kind->short_max,
                                      .drop_dirty = kind->drop_dirty};
        vfs_fault_add(fault, &rule);
        scenario(fault, seed, what);
        vfs_fault_free(fault);
        vfs_free(disk);
    }
    printf("REL failed_calls=%llu of=%llu violations=0 goal=0 kind=\"%s\"\n",
           (unsigned long long)(n_calls / stride), (unsigned long long)n_calls, kind->name);
    fflush(stdout);
}
END_TEST

/* --- a disk that is full for a while ----------------------------------------------- */

static void fill_disk(struct vfs_fault *fault)
{
    static const char *const globs[] = {"lane*", "staging*", "tomb*", "*.json*", "registry*"};
    struct vfs_fault_rule rule = {
        .ops = VFS_OP(ALLOCATE) | VFS_OP(MKDIR), .nth = 1, .forever = true, .st = ST_NO_SPACE};
    (void)vfs_fault_add(fault, &rule);
    rule.ops = VFS_OP(WRITE);
    for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++) {
        rule.glob = globs[i];
        (void)vfs_fault_add(fault, &rule);
    }
}

START_TEST(test_a_full_disk_refuses_and_recovers_by_itself)
{
    uint64_t seed = unit_seed();
    struct vfs *disk = vfs_mem_new();
    struct vfs_fault *fault = vfs_fault_new(disk, seed);
    struct db_history history;
    struct db_rig rig;
    struct err err = {.st = ST_OK};
    log_set_level(LOG_OFF);
    rig_for(&rig, vfs_fault_vfs(fault), seed);
    db_history_init(&history, seed);
    history.restarts = 0;
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    for (int i = 0; i < 20; i++) (void)db_history_step(&history, &rig);
    ck_assert_msg(!history.failure, "%s", history.failure);

    history.may_fail = true;
    fill_disk(fault);
    status st = ST_OK;
    for (int i = 0; i < 2000 && st != ST_NO_SPACE; i++) {
        (void)db_history_step(&history, &rig);
        st = db_rig_put(&rig, "filler", i, 1);
    }
    ck_assert_msg(st == ST_NO_SPACE, "%s", status_text(st));
    for (int i = 0; i < 20; i++) {
        (void)db_history_step(&history, &rig);
        look(&rig, &history, "full");
    }
    ck_assert_int_eq(db_durable_failed(rig.db, &err), ST_OK);

    vfs_fault_clear(fault);
    for (int i = 0; i < 200 && st != ST_OK; i++) {
        clock_sim_advance_ms(&rig.clock, 1000);
        db_rig_settle(&rig);
        st = db_rig_put(&rig, "filler", 1 << 20, 1);
    }
    ck_assert_msg(st == ST_OK, "space is back: %s: %s", status_text(st), rig.err.text);
    history.may_fail = false;
    for (int i = 0; i < 20; i++) (void)db_history_step(&history, &rig);
    ck_assert_msg(!history.failure, "afterwards: %s", history.failure);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    look(&rig, &history, "afterwards");
    ck_assert_msg(db_check(rig.db, &err) == ST_OK, "%s", err.text);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    look(&rig, &history, "opened again");
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_history_release(&history);
    db_rig_release(&rig);
    vfs_fault_free(fault);
    vfs_free(disk);
}
END_TEST

START_TEST(test_a_failed_sync_is_final)
{
    struct vfs *disk = vfs_mem_new();
    struct vfs_fault *fault = vfs_fault_new(disk, 1);
    struct db_rig rig;
    struct err err = {.st = ST_OK};
    log_set_level(LOG_OFF);
    rig_for(&rig, vfs_fault_vfs(fault), 1);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "m", 1, 1), ST_OK);
    lsn durable = db_durable(rig.db);
    ck_assert_uint_gt(durable, 0);
    struct vfs_fault_rule rule = {
        .ops = VFS_OP(SYNC), .glob = "wal/*", .nth = 1, .st = ST_IO, .drop_dirty = true};
    (void)vfs_fault_add(fault, &rule);
    (void)db_rig_put(&rig, "m", 2, 2);
    ck_assert_uint_eq(db_durable(rig.db), durable);
    ck_assert_int_ne(db_durable_failed(rig.db, &err), ST_OK);
    vfs_fault_clear(fault);
    for (int i = 3; i < 6; i++) {
        ck_assert_int_eq(db_rig_put(&rig, "m", i, i), ST_POISONED);
        clock_sim_advance_ms(&rig.clock, 10000);
        db_rig_settle(&rig);
    }
    ck_assert_int_ne(db_rig_flush(&rig), ST_OK); /* nothing behind the failure is published */
    ck_assert_uint_eq(db_durable(rig.db), durable);
    ck_assert_int_ne(db_rig_close(&rig), ST_OK);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    struct points pts = {0};
    ck_assert_int_eq(db_rig_read(&rig, "m", (struct time_range){TS_MIN, TS_MAX}, &pts, NULL),
                     ST_OK);
    ck_assert_uint_ge(pts.n, 1);
    ck_assert_uint_le(pts.n, 2);
    ck_assert_int_eq(pts.ts[0], 1);
    points_release(&pts);
    ck_assert_int_eq(db_rig_put(&rig, "m", 7, 7), ST_OK);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
    vfs_fault_free(fault);
    vfs_free(disk);
}
END_TEST

/* --- no memory --------------------------------------------------------------------- */

/* Counts allocations of the engine over many calls, the test's own let through. */
struct starving {
    uint64_t left, n_fail;   /* the left-th from here fails, with those behind it */
    bool hit;
};

static void starve_engine(void *ctx, bool begins)
{
    struct starving *starving = ctx;
    if (starving->hit) return;
    if (begins) {
        mem_fault_arm(starving->left, starving->n_fail);
        return;
    }
    uint64_t count = mem_fault_count();
    starving->hit = mem_fault_disarm() > 0;
    if (!starving->hit) starving->left -= count;
}

/* One life with the n-th allocation refused; false when it makes less than n. */
static bool starve(uint64_t seed, uint64_t nth, uint64_t n_fail, const char *what)
{
    struct vfs *disk = vfs_mem_new();
    struct starving starving = {.left = nth, .n_fail = n_fail};
    struct db_history history;
    struct db_rig rig;
    struct err err = {.st = ST_OK};
    rig_for(&rig, disk, seed);
    db_history_init(&history, seed);
    history.may_fail = true;
    history.restarts = 0;
    history.kinds = HISTORY_ALL;
    history.around = starve_engine;
    history.around_ctx = &starving;

    starve_engine(&starving, true);
    status st = db_rig_open(&rig);
    starve_engine(&starving, false);
    if (st != ST_OK) {
        ck_assert_msg(starving.hit, "%s: open: %s", what, rig.err.text);
        open_again(&rig, &history, what);
    }
    for (int i = 0; i < STEPS; i++) {
        (void)db_history_step(&history, &rig);
        db_history_note(&history, &rig);
        if (i % 4 == 0) look(&rig, &history, what);
        if (db_durable_failed(rig.db, &err) == ST_OK && i != STEPS / 2) continue;
        (void)db_rig_close(&rig);
        starve_engine(&starving, true);
        st = db_rig_open(&rig);
        starve_engine(&starving, false);
        if (st == ST_OK) (void)db_rig_close(&rig);
        else ck_assert_msg(starving.hit, "%s: open: %s", what, rig.err.text);
        open_again(&rig, &history, what);
    }
    history.may_fail = false;
    history.around = NULL;
    clock_sim_advance_ms(&rig.clock, 60000);
    db_rig_settle(&rig);
    ck_assert_msg(db_rig_flush(&rig) == ST_OK, "%s: the flush at the end", what);
    for (int i = 0; i < 3; i++) (void)db_history_step(&history, &rig);
    ck_assert_msg(!history.failure, "%s: at the end: %s", what, history.failure);
    look(&rig, &history, what);
    db_rig_settle(&rig);
    ck_assert_msg(db_check(rig.db, &err) == ST_OK, "%s: at the end: %s", what, err.text);
    db_history_note(&history, &rig);
    const char *why = db_history_check_snapshots(&history, &rig);
    ck_assert_msg(!why, "%s: at the end: %s", what, why);
    ck_assert_msg(db_rig_close(&rig) == ST_OK, "%s: close: %s", what, rig.err.text);
    db_history_release(&history);
    db_rig_release(&rig);
    vfs_free(disk);
    return starving.hit;
}

START_TEST(test_each_allocation_fails_once)
{
    uint64_t seed = unit_seed();
    long rounds = fault_rounds(1, 100);
    uint64_t stride = rounds >= 100 ? 1 : 1 + 150 / (uint64_t)rounds, n_runs = 0;
    log_set_level(LOG_OFF);
    mem_fault_install();
    bool hit = true;
    for (uint64_t nth = 1 + seed % stride; hit; nth += nth < 200 && rounds >= 10 ? 1 : stride) {
        char what[100];
        uint64_t n_fail = nth % 3 == 0 ? 5 : 1;
        snprintf(what, sizeof(what), "allocation %llu, %llu in a row, seed %llu",
                 (unsigned long long)nth, (unsigned long long)n_fail, (unsigned long long)seed);
        hit = starve(seed, nth, n_fail, what);
        n_runs++;
    }
    printf("REL failed_allocations=%llu violations=0 goal=0\n", (unsigned long long)n_runs);
    fflush(stdout);
}
END_TEST

Suite *suite_fault(void)
{
    Suite *s = suite_create("fault");
    TCase *tc = tcase_create("fault");
    tcase_set_timeout(tc, 24 * 3600);
    tcase_add_loop_test(tc, test_each_call_to_the_disk_fails_once, 0,
                        sizeof(kinds) / sizeof(kinds[0]));
    tcase_add_test(tc, test_a_full_disk_refuses_and_recovers_by_itself);
    tcase_add_test(tc, test_a_failed_sync_is_final);
    tcase_add_test(tc, test_each_allocation_fails_once);
    suite_add_tcase(s, tc);
    return s;
}
