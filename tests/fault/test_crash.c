/* Goal: whenever the power goes, the database opens again, holds every acknowledged
 * operation completely, of the others a prefix (none of them by half), and goes on
 * working. Method: random histories on a disk that stops after its n-th change; for each
 * way in which a disk may lose what was not synced, recovery on a copy is compared with
 * the naive model of every admissible prefix. Recovery itself is cut short, too.
 *
 * A crash point is a disk after one change, lost in one way, recovered and compared.
 * The histories append to
 * the log, rotate and release it, publish segments and replace them, write deletes,
 * registry and snapshots; where in all this the power goes follows from the seed.
 *
 * TSINK_SEED begins the sequence of histories; TSINK_LONG=1 runs 10^5 points in all,
 * TSINK_ROUNDS (histories for each shape) any other number. */
#include "base/log.h"
#include "engine/db_priv.h"
#include "tests/fault/fault_suites.h"
#include "tests/lib/db_history.h"
#include "tests/lib/vfs_crash.h"

enum { STEPS = 60, CUTS = 6, STEPS_AFTER = 8 };

static const struct shape {
    const char *name;
    enum db_wal_sync sync;
    uint32_t chunk_points;
    uint64_t wal_flush_bytes;
    bool compacts;             /* two segments of a level are enough */
    unsigned kinds;
    int64_t retention_ms;
} shapes[] = {
    {"append", DB_WAL_APPEND, 64, 1 << 30, false, 0, 0},
    {"append, many flushes", DB_WAL_APPEND, 128, 4 << 10, false, 0, 0},
    {"periodic", DB_WAL_PERIODIC, 64, 8 << 10, false, 0, 0},
    {"append, compactions", DB_WAL_APPEND, 64, 2 << 10, true, 0, 0},
    {"periodic, compactions", DB_WAL_PERIODIC, 64, 2 << 10, true, 0, 0},
    {"append, everything", DB_WAL_APPEND, 64, 4 << 10, true, HISTORY_ALL, 0},
    {"periodic, retention", DB_WAL_PERIODIC, 64, 4 << 10, true, HISTORY_ALL & ~HISTORY_ATTRS,
     2 * 3600 * 1000},
    {"append, large deletes", DB_WAL_APPEND, 64, 16 << 10, true, HISTORY_CROWD | HISTORY_KEYS, 0},
    {"periodic, series that die", DB_WAL_PERIODIC, 64, 4 << 10, true,
     HISTORY_WHOLE | HISTORY_KEYS | HISTORY_HISTOGRAMS, 0},
};

/* One history that ran until the power went. */
struct life {
    const struct shape *shape;
    uint64_t seed;
    struct db_history history;
    lsn safe;                  /* acknowledged (append) or synced (periodic) before */
    size_t n_safe;             /* operations that must be there */
};

static void rig_for(struct db_rig *rig, const struct life *life, struct vfs_crash *disk)
{
    db_rig_init_on(rig, life->seed, vfs_crash_vfs(disk));
    rig->options.wal_sync = life->shape->sync;
    rig->options.chunk_points = life->shape->chunk_points;
    rig->options.wal_flush_bytes = life->shape->wal_flush_bytes;
    rig->options.retention_ms = life->shape->retention_ms;
    if (life->shape->compacts) db_history_hurry(rig);
    if (life->history.wall) clock_sim_init(&rig->clock, life->history.wall);
}

static void note_safe(struct life *life, struct db_rig *rig)
{
    lsn safe = life->shape->sync == DB_WAL_APPEND ? db_durable(rig->db)
                                                  : wal_synced(rig->db->cell.wal);
    if (safe > life->safe) life->safe = safe;
}

static void live(struct life *life, struct vfs_crash *disk)
{
    struct db_rig rig;
    db_history_init(&life->history, life->seed);
    rig_for(&rig, life, disk);
    life->history.kinds = life->shape->kinds;
    life->history.may_fail = true;
    life->history.restarts = 20;
    life->safe = life->n_safe = 0;
    bool open = db_rig_open(&rig) == ST_OK;
    for (int i = 0; i < STEPS && open && !vfs_crash_stopped(disk); i++) {
        open = db_history_step(&life->history, &rig);
        if (open) note_safe(life, &rig);
    }
    if (open) (void)db_rig_close(&rig);
    db_rig_release(&rig);
    for (size_t i = 0; i < life->history.n; i++) {
        lsn at = life->history.ops[i].durable_at;
        if (at && at <= life->safe) life->n_safe = i + 1;
    }
}

static void check(struct db_rig *rig, const char *what)
{
    struct err err = {.st = ST_OK};
    db_rig_settle(rig);
    ck_assert_msg(db_check(rig->db, &err) == ST_OK, "%s: db_check: %s", what, err.text);
}

/* The prefix of the history that the database holds goes into the model. */
static void expect_prefix(struct db_rig *rig, const struct life *life, struct model_db *model,
                          const char *what)
{
    const char *first = NULL, *why;
    static char text[256];
    db_history_replay(&life->history, 0, life->n_safe, model);
    for (size_t k = life->n_safe;; k++) {
        why = db_history_differs(rig, model);
        if (!why) return;
        if (!first) {
            snprintf(text, sizeof(text), "%s", why);
            first = text;
        }
        if (k == life->history.n) break;
        db_history_replay(&life->history, k, k + 1, model);
    }
    ck_abort_msg("%s: no prefix of %zu..%zu operations matches; of the shortest: %s; "
                 "of the longest: %s",
                 what, life->n_safe, life->history.n, first, why);
}

/* Life goes on: more operations, a flush, a clean restart. */
static void go_on(struct db_rig *rig, const struct life *life, struct model_db *model,
                  const char *what)
{
    struct db_history more;
    db_history_init(&more, life->seed + 1);
    more.kinds = life->shape->kinds & ~(unsigned)HISTORY_SNAPSHOTS;
    memcpy(more.now, life->history.now, sizeof(more.now));
    for (int i = 0; i < STEPS_AFTER; i++)
        ck_assert_msg(db_history_step(&more, rig) && !more.failure, "%s: afterwards: %s: %s",
                      what, more.failure, rig->err.text);
    db_history_replay(&more, 0, more.n, model);
    ck_assert_msg(db_rig_flush(rig) == ST_OK, "%s: flush afterwards", what);
    const char *why = db_history_differs(rig, model);
    ck_assert_msg(!why, "%s: afterwards: %s", what, why);
    check(rig, what);
    ck_assert_msg(db_rig_close(rig) == ST_OK, "%s: close: %s", what, rig->err.text);
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s: open again: %s", what, rig->err.text);
    why = db_history_differs(rig, model);
    ck_assert_msg(!why, "%s: opened again: %s", what, why);
    db_history_release(&more);
}

static void recover_and_compare(struct vfs_crash *disk, struct life *life, const char *what)
{
    struct db_rig rig;
    struct model_db model = {0};
    rig_for(&rig, life, disk);
    ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s: open: %s", what, rig.err.text);
    check(&rig, what);
    expect_prefix(&rig, life, &model, what);
    struct db_history copy = life->history; /* others look at the same snapshots */
    const char *why = db_history_check_snapshots(&copy, &rig);
    ck_assert_msg(!why, "%s: %s", what, why);
    go_on(&rig, life, &model, what);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    model_db_release(&model);
    db_rig_release(&rig);
}

/* A recovery that is cut short as well: its disk after that. */
static struct vfs_crash *crash_again(struct vfs_crash *disk, const struct life *life,
                                     enum vfs_crash_variant variant, uint64_t n)
{
    struct db_rig rig;
    rig_for(&rig, life, disk);
    vfs_crash_stop_after(disk, vfs_crash_n_changes(disk) + n);
    if (db_rig_open(&rig) == ST_OK) (void)db_rig_close(&rig);
    db_rig_release(&rig);
    return vfs_crash_cut(disk, variant, life->seed + n);
}

static void each_variant(struct vfs_crash *disk, struct life *life, uint64_t n,
                         struct rng *rng)
{
    for (int v = 0; v < VFS_CRASH_VARIANTS; v++) {
        char what[160];
        struct vfs_crash *after = vfs_crash_cut(disk, (enum vfs_crash_variant)v, life->seed + n);
        snprintf(what, sizeof(what), "%s, seed %llu, cut after %llu, %s", life->shape->name,
                 (unsigned long long)life->seed, (unsigned long long)n,
                 vfs_crash_variant_name((enum vfs_crash_variant)v));
        if (rng_below(rng, 3) == 0) {
            size_t len = strlen(what);
            uint64_t m = rng_below(rng, 40);
            uint64_t second = rng_below(rng, VFS_CRASH_VARIANTS);
            struct vfs_crash *twice =
                crash_again(after, life, (enum vfs_crash_variant)second, m);
            snprintf(what + len, sizeof(what) - len, ", recovery cut after %llu",
                     (unsigned long long)m);
            vfs_crash_free(after);
            after = twice;
        }
        recover_and_compare(after, life, what);
        vfs_crash_free(after);
    }
}

/* So many histories of each shape. */
static long histories(void)
{
    enum { POINTS_LONG = 100 * 1000 };
    long n_shapes = sizeof(shapes) / sizeof(shapes[0]);
    long per_history = n_shapes * CUTS * VFS_CRASH_VARIANTS;
    return fault_rounds(1, POINTS_LONG / per_history + 1);
}

START_TEST(test_power_cuts)
{
    uint64_t seed = unit_seed(), n_points = 0;
    long rounds = histories();
    log_set_level(LOG_OFF);
    for (long r = 0; r < rounds; r++) {
        struct life life = {.shape = &shapes[_i], .seed = seed + (uint64_t)r};
        struct rng rng;
        rng_init(&rng, life.seed);
        struct vfs_crash *disk = vfs_crash_new();
        live(&life, disk);
        uint64_t total = vfs_crash_n_changes(disk);
        db_history_release(&life.history);
        vfs_crash_free(disk);
        ck_assert_uint_gt(total, 100);
        for (int i = 0; i < CUTS; i++) {
            uint64_t n = 1 + rng_below(&rng, total);
            disk = vfs_crash_new();
            vfs_crash_stop_after(disk, n);
            live(&life, disk);
            each_variant(disk, &life, n, &rng);
            n_points += VFS_CRASH_VARIANTS;
            db_history_release(&life.history);
            vfs_crash_free(disk);
        }
    }
    printf("REL crash_points=%llu violations=0 goal=0 shape=\"%s\"\n",
           (unsigned long long)n_points, shapes[_i].name);
    fflush(stdout);
}
END_TEST

Suite *suite_crash(void)
{
    Suite *s = suite_create("crash");
    TCase *tc = tcase_create("crash");
    tcase_set_timeout(tc, 24 * 3600);
    tcase_add_loop_test(tc, test_power_cuts, 0, sizeof(shapes) / sizeof(shapes[0]));
    suite_add_tcase(s, tc);
    return s;
}
