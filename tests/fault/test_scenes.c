/* Goal: in each thing a database does, any one allocation or call to the disk may fail:
 * there is no crash and no leak, nothing acknowledged is lost, db_check() finds nothing,
 * and afterwards everything works. Method: a stage is set without faults; a scene of one
 * operation is played once for each allocation and each call to the disk that it makes,
 * with that one failing; then the curtain: whatever failed is over, the naive model is
 * compared, more is written, flushed, closed, opened and compared again.
 *
 * Unlike test_fault.c, which walks through one long life, a fault here is near to what
 * it disturbs, so that a few runs reach far. By default a sample; TSINK_LONG=1: all. */
#include "base/log.h"
#include "base/mem.h"
#include "engine/snapshot.h"
#include "engine/view.h"
#include "tests/fault/fault_suites.h"
#include "tests/lib/db_history.h"
#include "tests/lib/mem_fault.h"
#include "tests/lib/vfs_fault.h"

enum { SAMPLE = 4 };           /* runs of a scene with one kind of fault, in the short form */

struct stage {
    struct vfs *disk;
    struct vfs_fault *fault;
    struct db_rig rig;
    struct db_history history;
    char what[160];
};

/* --- scenes ---------------------------------------------------------------------------- */

static void put_some(struct stage *s, enum history_run run, enum dup_policy policy, uint32_t from)
{
    s->history.only_run = run;
    s->history.only_policy = policy;
    s->history.only_from = from;
    for (int i = 0; i < 3; i++) db_history_put(&s->history, &s->rig);
    s->history.only_run = HISTORY_MIXED;
    s->history.only_policy = DUP_UNSET;
    s->history.only_from = 0;
}

static void play_write(struct stage *s)
{
    put_some(s, HISTORY_MIXED, DUP_LAST, 1);
}

static void play_late(struct stage *s)
{
    put_some(s, HISTORY_BACK, DUP_LAST, 1);
}

static void play_duplicate(struct stage *s)
{
    put_some(s, HISTORY_AGAIN, DUP_BLOCK, 1);
}

static void play_deferred(struct stage *s)
{
    put_some(s, HISTORY_WILD, DUP_SUM, 1);
}

static void play_texts(struct stage *s)
{
    put_some(s, HISTORY_WILD, DUP_LAST, HISTORY_SERIES + 3);
}

static void play_encode(struct stage *s)
{
    for (int i = 0; i < 3; i++) {
        put_some(s, HISTORY_MIXED, DUP_LAST, 1);
        db_rig_settle(&s->rig);
    }
}

static void play_delete(struct stage *s)
{
    for (int i = 0; i < 4; i++) db_history_erase(&s->history, &s->rig);
}

static void play_alter(struct stage *s)
{
    for (int i = 0; i < 3; i++) db_history_alter(&s->history, &s->rig);
}

static void play_flush(struct stage *s)
{
    (void)db_rig_flush(&s->rig);
}

static void play_flush_with_late(struct stage *s)
{
    play_late(s);
    play_delete(s);
    (void)db_rig_flush(&s->rig);
}

static void pass_time(struct stage *s, int64_t ms)
{
    for (int i = 0; i < 10; i++) {
        clock_sim_advance_ms(&s->rig.clock, ms / 10);
        db_rig_settle(&s->rig);
    }
    s->history.wall = clock_wall(&s->rig.clock.clock);
}

static void play_compact(struct stage *s)
{
    s->history.only_policy = DUP_UNSET;
    for (int i = 0; i < 3; i++) {
        play_late(s);
        (void)db_rig_flush(&s->rig);
    }
    pass_time(s, 20000);
}

static void play_compact_deletes(struct stage *s)
{
    play_delete(s);
    (void)db_rig_flush(&s->rig);
    pass_time(s, 60000);
}

static void play_snapshot(struct stage *s)
{
    db_history_snapshot(&s->history, &s->rig);
    db_rig_settle(&s->rig);
}

static void nothing_listed(void *ctx, status st, const struct snapshot_entry *entries, size_t n,
                           const struct err *err)
{
    (void)ctx, (void)st, (void)entries, (void)n, (void)err;
}

static void play_snapshot_list(struct stage *s)
{
    play_snapshot(s);
    db_snapshot_list(s->rig.db, nothing_listed, NULL);
    db_rig_settle(&s->rig);
}

static void play_read(struct stage *s)
{
    struct points pts = {0};
    struct arena arena;
    arena_init(&arena, NULL, 4096);
    for (uint32_t i = 0; i < HISTORY_SERIES_ALL; i++)
        (void)!db_rig_read(&s->rig, db_history_name(i), (struct time_range){TS_MIN, TS_MAX}, &pts,
                           &arena);
    points_release(&pts);
    arena_release(&arena);
}

static void play_read_segments(struct stage *s)
{
    (void)db_rig_flush(&s->rig);
    play_read(s);
}

static void play_check(struct stage *s)
{
    struct err err = {.st = ST_OK};
    db_rig_settle(&s->rig);
    (void)!db_check(s->rig.db, &err);
}

static void play_close(struct stage *s)
{
    (void)!db_rig_close(&s->rig);
}

static void play_restart(struct stage *s)
{
    if (db_rig_close(&s->rig) == ST_OK) s->history.n_safe = s->history.n;
    (void)!db_rig_open(&s->rig);
}

static void serve(void *ctx)
{
    exec_sim_drain(((struct db_rig *)ctx)->exec);
}

/* Closed without a flush: all that is not in segments is replayed. */
static void play_recovery(struct stage *s)
{
    struct db *db = s->rig.db;
    s->rig.db = NULL;
    (void)!db_close(db, 0, serve, &s->rig, &s->rig.err);
    exec_sim_drain(s->rig.exec);
    (void)!db_rig_open(&s->rig);
}

static void play_rotation(struct stage *s)
{
    for (int i = 0; i < 12; i++) put_some(s, HISTORY_WILD, DUP_LAST, HISTORY_SERIES + 3);
}

static void play_life(struct stage *s)
{
    for (int i = 0; i < 10 && s->rig.db; i++)
        if (!db_history_step(&s->history, &s->rig)) return;
}

static const struct scene {
    const char *name;
    void (*play)(struct stage *stage);
    bool bare;                 /* the stage is an empty directory, not a database */
} scenes[] = {
    {"open", play_close, true},
    {"first writes", play_write, true},
    {"write", play_write, false},
    {"late", play_late, false},
    {"duplicate", play_duplicate, false},
    {"deferred", play_deferred, false},
    {"texts", play_texts, false},
    {"new texts", play_texts, true},
    {"encode", play_encode, false},
    {"delete", play_delete, false},
    {"attrs", play_alter, false},
    {"flush", play_flush, false},
    {"flush with late samples and deletes", play_flush_with_late, false},
    {"compact", play_compact, false},
    {"compact away what was deleted", play_compact_deletes, false},
    {"snapshot", play_snapshot, false},
    {"list of snapshots", play_snapshot_list, false},
    {"view and read", play_read, false},
    {"view and read segments", play_read_segments, false},
    {"check", play_check, false},
    {"close", play_close, false},
    {"restart", play_restart, false},
    {"recovery", play_recovery, false},
    {"rotation of the log", play_rotation, false},
    {"a bit of everything", play_life, false},
};

/* --- faults ---------------------------------------------------------------------------- */

static const struct fault_kind {
    const char *name;
    unsigned ops;              /* 0: memory */
    status st;
    size_t short_max;
    bool drop_dirty;
} kinds[] = {
    {"no memory", 0, ST_NO_MEMORY, 0, false},
    {"EIO", VFS_OP_ALL, ST_IO, 0, false},
    {"ENOSPC",
     VFS_OP(WRITE) | VFS_OP(ALLOCATE) | VFS_OP(OPEN) | VFS_OP(MKDIR) | VFS_OP(RENAME) |
         VFS_OP(LINK),
     ST_NO_SPACE, 0, false},
    {"short write", VFS_OP(WRITE), ST_IO, 100, false},
    {"sync that drops", VFS_OP(SYNC), ST_IO, 0, true},
};

/* The nth from here fails; 0: only count. */
static void arm(struct stage *s, const struct fault_kind *kind, uint64_t nth)
{
    s->history.may_fail = nth != 0;
    vfs_fault_reset_calls(s->fault);
    if (!kind->ops) {
        mem_fault_arm(nth ? nth : UINT64_MAX, 1);
    } else if (nth) {
        struct vfs_fault_rule rule = {.ops = kind->ops,
                                      .nth = nth,
                                      .st = kind->st,
                                      .short_max = kind->short_max,
                                      .drop_dirty = kind->drop_dirty};
        (void)vfs_fault_add(s->fault, &rule);
    }
}

/* How many there were. */
static uint64_t disarm(struct stage *s, const struct fault_kind *kind)
{
    if (kind->ops) {
        vfs_fault_clear(s->fault);
        return vfs_fault_n_calls(s->fault, kind->ops);
    }
    uint64_t n = mem_fault_count();
    (void)mem_fault_disarm();
    return n;
}

/* --- stage and curtain ------------------------------------------------------------------- */

static void must(const struct stage *s, const char *doing, bool ok, const char *why)
{
    ck_assert_msg(ok, "%s: %s: %s", s->what, doing, why);
}

static void set_stage(struct stage *s, const struct scene *scene, uint64_t seed)
{
    s->disk = vfs_mem_new();
    s->fault = vfs_fault_new(s->disk, seed);
    db_history_init(&s->history, seed);
    s->history.kinds = HISTORY_ALL;
    s->history.restarts = 0;
    db_rig_init_on(&s->rig, seed, vfs_fault_vfs(s->fault));
    s->rig.options.chunk_points = 64;
    db_history_hurry(&s->rig);
    s->rig.options.compaction_trigger = 3;
    if (scene->bare) return;
    must(s, "open", db_rig_open(&s->rig) == ST_OK, s->rig.err.text);
    for (int i = 0; i < 8; i++) {
        db_history_put(&s->history, &s->rig);
        if (i == 4) must(s, "flush", db_rig_flush(&s->rig) == ST_OK, "before");
    }
    put_some(s, HISTORY_MIXED, DUP_LAST, HISTORY_SERIES + 2);
    db_rig_settle(&s->rig);
    must(s, "before", !s->history.failure, s->history.failure);
}

static void play(struct stage *s, const struct scene *scene)
{
    if (scene->bare && db_rig_open(&s->rig) != ST_OK) return;
    scene->play(s);
}

static void look(struct stage *s, const char *doing)
{
    struct model_db model = {0};
    struct err err = {.st = ST_OK};
    db_history_replay(&s->history, 0, s->history.n, &model);
    const char *why = db_history_differs(&s->rig, &model);
    must(s, doing, !why, why);
    db_rig_settle(&s->rig);
    must(s, doing, db_check(s->rig.db, &err) == ST_OK, err.text);
    model_db_release(&model);
}

static void open_again(struct stage *s)
{
    must(s, "open again", db_rig_open(&s->rig) == ST_OK, s->rig.err.text);
    const char *why = db_history_resolve(&s->history, &s->rig);
    must(s, "opened again", !why, why);
}

/* All is well again: nothing is lost, and everything works. */
static void curtain(struct stage *s)
{
    struct err err = {.st = ST_OK};
    const char *why;
    if (s->rig.db) db_history_note(&s->history, &s->rig);
    if (s->rig.db && db_durable_failed(s->rig.db, &err) != ST_OK) (void)!db_rig_close(&s->rig);
    if (!s->rig.db) open_again(s);
    pass_time(s, 60000);
    look(s, "afterwards");
    s->history.may_fail = false;
    for (int i = 0; i < 3; i++) db_history_put(&s->history, &s->rig);
    db_history_erase(&s->history, &s->rig);
    must(s, "more", !s->history.failure, s->history.failure);
    must(s, "flush", db_rig_flush(&s->rig) == ST_OK, "afterwards");
    look(s, "more");
    db_history_note(&s->history, &s->rig);
    why = db_history_check_snapshots(&s->history, &s->rig);
    must(s, "snapshot", !why, why);
    must(s, "close", db_rig_close(&s->rig) == ST_OK, s->rig.err.text);
    must(s, "open", db_rig_open(&s->rig) == ST_OK, s->rig.err.text);
    look(s, "opened again");
    must(s, "close", db_rig_close(&s->rig) == ST_OK, s->rig.err.text);
}

static void clear_stage(struct stage *s)
{
    db_history_release(&s->history);
    db_rig_release(&s->rig);
    vfs_fault_free(s->fault);
    vfs_free(s->disk);
}

/* Plays it with the nth failing (0: none); how many there are. What a thread keeps for its
 * next work (contexts of compressors) is made once: a leak comes back. */
static uint64_t run(const struct scene *scene, const struct fault_kind *kind, uint64_t nth,
                    uint64_t seed, bool first)
{
    struct stage s;
    int64_t live = mem_fault_live();
    memset(&s, 0, sizeof(s));
    snprintf(s.what, sizeof(s.what), "%s, %s at %llu, seed %llu", scene->name, kind->name,
             (unsigned long long)nth, (unsigned long long)seed);
    set_stage(&s, scene, seed);
    arm(&s, kind, nth);
    play(&s, scene);
    uint64_t n = disarm(&s, kind);
    curtain(&s);
    clear_stage(&s);
    live = mem_fault_live() - live;
    if (live && first) return run(scene, kind, nth, seed, false);
    ck_assert_msg(live == 0, "%s: %lld blocks were not given back", s.what, (long long)live);
    return n;
}

START_TEST(test_each_fault_of_a_scene)
{
    const struct scene *scene = &scenes[_i];
    uint64_t seed = unit_seed(), n_runs = 0;
    log_set_level(LOG_OFF);
    mem_fault_install();
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        uint64_t n = run(scene, &kinds[k], 0, seed, true);
        uint64_t stride = getenv("TSINK_LONG") || n < SAMPLE ? 1 : n / SAMPLE;
        for (uint64_t nth = 1 + seed % stride; nth <= n; nth += stride, n_runs++)
            (void)run(scene, &kinds[k], nth, seed, true);
    }
    printf("REL failed_calls=%llu violations=0 goal=0 scene=\"%s\"\n", (unsigned long long)n_runs,
           scene->name);
    fflush(stdout);
}
END_TEST

Suite *suite_scenes(void)
{
    Suite *s = suite_create("scenes");
    TCase *tc = tcase_create("scenes");
    tcase_set_timeout(tc, 24 * 3600);
    tcase_add_loop_test(tc, test_each_fault_of_a_scene, 0, sizeof(scenes) / sizeof(scenes[0]));
    suite_add_tcase(s, tc);
    return s;
}
