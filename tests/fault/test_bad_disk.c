/* Goal: on a disk that breaks its promises nothing is invented and nothing crashes: the
 * database opens with samples missing, or refuses and says why; salvage opens what strict
 * refuses; repair makes it clean and it goes on working. Which promises:
 *
 *   a sync that lies   it returned, and what it covered is gone after the power cut
 *   rot                after a power cut bits of what was synced have changed, a sector is
 *                      zeros or another one, a file is cut or gone
 *
 * Method: random histories on a disk that stops after its n-th change, lost in one of the
 * ways of vfs_crash.h; three copies are opened strictly, with salvage, and after a repair,
 * read as a whole and compared with everything that was ever written. What is missing is
 * no failure here: an acknowledgement is worth as much as the disk's.
 *
 * TSINK_SEED begins the sequence of histories; TSINK_LONG=1 and TSINK_ROUNDS as in
 * test_crash.c. */
#include "base/log.h"
#include "engine/repair.h"
#include "tests/fault/fault_suites.h"
#include "tests/lib/db_history.h"
#include "tests/lib/vfs_crash.h"

enum {
    STEPS = 50,
    CUTS = 6,
    ROT_MAX = 3,
    /* No policies: a sum is a value that nobody wrote. */
    KINDS = HISTORY_TYPES | HISTORY_WHOLE | HISTORY_CLOCK | HISTORY_HISTOGRAMS | HISTORY_KEYS,
};

static const struct bad_kind {
    const char *name;
    enum db_wal_sync sync;
    bool lies, rots;
} kinds[] = {
    {"syncs that lie, append", DB_WAL_APPEND, true, false},
    {"syncs that lie, periodic", DB_WAL_PERIODIC, true, false},
    {"rot, append", DB_WAL_APPEND, false, true},
    {"rot, periodic", DB_WAL_PERIODIC, false, true},
    {"both", DB_WAL_APPEND, true, true},
};

struct bad_life {
    const struct bad_kind *kind;
    uint64_t seed;
    struct db_history history;
    char what[256];
    uint64_t n_refused, n_told;  /* openings refused; opened and damage reported */
};

static void rig_for(struct db_rig *rig, const struct bad_life *life, struct vfs *vfs,
                    enum db_wal_replay mode)
{
    db_rig_init_on(rig, life->seed, vfs);
    rig->options.wal_sync = life->kind->sync;
    rig->options.chunk_points = 64;
    rig->options.wal_flush_bytes = 4 << 10;
    rig->options.wal_replay = mode;
    rig->options.fail_fast = false;
    db_history_hurry(rig);
    if (life->history.wall) clock_sim_init(&rig->clock, life->history.wall);
}

static void live(struct bad_life *life, struct vfs_crash *disk)
{
    struct db_rig rig;
    db_history_init(&life->history, life->seed);
    rig_for(&rig, life, vfs_crash_vfs(disk), DB_REPLAY_STRICT);
    life->history.kinds = KINDS;
    life->history.may_fail = true;
    life->history.restarts = 15;
    bool open = db_rig_open(&rig) == ST_OK;
    for (int i = 0; i < STEPS && open && !vfs_crash_stopped(disk); i++)
        open = db_history_step(&life->history, &rig);
    if (open) (void)db_rig_close(&rig);
    db_rig_release(&rig);
}

static void no_phantom(struct bad_life *life, struct db_rig *rig, const char *how)
{
    const char *why = db_history_phantom(&life->history, rig);
    ck_assert_msg(!why, "%s, %s: %s", life->what, how, why);
}

/* It works: what is written now is there, now and after a restart. */
static void goes_on(struct bad_life *life, struct db_rig *rig, const char *how, bool whole)
{
    struct points pts = {0};
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(db_rig_put(rig, "after", 1000 + i, i) == ST_OK, "%s, %s: put: %s",
                      life->what, how, rig->err.text);
        ck_assert_msg(db_rig_close(rig) == ST_OK, "%s, %s: close: %s", life->what, how,
                      rig->err.text);
        ck_assert_msg(db_rig_open(rig) == ST_OK, "%s, %s: open again: %s", life->what, how,
                      rig->err.text);
    }
    /* A segment that is damaged where nobody looked before may refuse it. */
    status st = db_rig_read(rig, "after", (struct time_range){TS_MIN, TS_MAX}, &pts, NULL);
    bool fits = st == ST_OK ? pts.n == 2 : st == ST_CORRUPT && !whole && rig->err.text[0];
    ck_assert_msg(fits, "%s, %s: %zu of 2 samples: %s", life->what, how, pts.n, rig->err.text);
    points_release(&pts);
    no_phantom(life, rig, how);
}

static void try_open(struct bad_life *life, struct vfs_crash *copy, enum db_wal_replay mode)
{
    const char *how = mode == DB_REPLAY_STRICT ? "strict" : "salvage";
    struct db_rig rig;
    struct db_stats stats;
    rig_for(&rig, life, vfs_crash_vfs(copy), mode);
    status st = db_rig_open(&rig);
    if (st != ST_OK) {
        /* Salvage is of the log: the store of deletes and the id are not its business. */
        bool fits = mode == DB_REPLAY_STRICT || strstr(rig.err.text, LAYOUT_DATABASE) ||
                    strstr(rig.err.text, LAYOUT_TOMBSTONE_DIR);
        ck_assert_msg((st == ST_CORRUPT || st == ST_UNSUPPORTED) && rig.err.text[0] && fits,
                      "%s, %s: %s: %s", life->what, how, status_name(st), rig.err.text);
        life->n_refused++;
    } else {
        db_stats(rig.db, &stats);
        life->n_told += stats.n_quarantined || stats.replay_torn_bytes || stats.replay_damaged;
        no_phantom(life, &rig, how);
        goes_on(life, &rig, how, false);
        (void)db_rig_close(&rig); /* a compaction may have met damage */
    }
    db_rig_release(&rig);
    vfs_crash_free(copy);
}

static void try_repair(struct bad_life *life, struct vfs_crash *copy)
{
    struct vfs *vfs = vfs_crash_vfs(copy);
    struct verify_options opt = {.quick = false};
    struct verify_report report;
    struct err err = {.st = ST_OK};
    struct db_rig rig;
    status st = verify_dir(&report, vfs, &opt, &err);
    if (st == ST_CORRUPT) {
        st = repair_dir(vfs, NULL, NULL, &err);
        if (st == ST_OK) {
            st = verify_dir(&report, vfs, &opt, &err);
            ck_assert_msg(st == ST_OK, "%s: after repair: %s", life->what, err.text);
        }
    }
    if (st != ST_OK) { /* the id of the database is nowhere else */
        bool fits = st == ST_NOT_FOUND || strstr(err.text, LAYOUT_DATABASE);
        ck_assert_msg(fits, "%s: repair: %s", life->what, err.text);
        vfs_crash_free(copy);
        return;
    }
    rig_for(&rig, life, vfs, DB_REPLAY_STRICT);
    ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s: repaired, open: %s", life->what, rig.err.text);
    no_phantom(life, &rig, "repaired");
    db_rig_settle(&rig);
    ck_assert_msg(db_check(rig.db, &err) == ST_OK, "%s: repaired: %s", life->what, err.text);
    goes_on(life, &rig, "repaired", true);
    ck_assert_msg(db_rig_close(&rig) == ST_OK, "%s: repaired: %s", life->what, rig.err.text);
    db_rig_release(&rig);
    vfs_crash_free(copy);
}

static void lose(struct bad_life *life, struct vfs_crash *disk, uint64_t n, struct rng *rng)
{
    enum vfs_crash_variant v = (enum vfs_crash_variant)rng_below(rng, VFS_CRASH_VARIANTS);
    struct vfs_crash *after = vfs_crash_cut(disk, v, life->seed + n);
    int len = snprintf(life->what, sizeof(life->what), "%s, seed %llu, cut after %llu, %s",
                       life->kind->name, (unsigned long long)life->seed, (unsigned long long)n,
                       vfs_crash_variant_name(v));
    for (uint64_t i = life->kind->rots ? 1 + rng_below(rng, ROT_MAX) : 0; i > 0; i--) {
        char path[VFS_PATH_MAX];
        const char *how = vfs_crash_rot(after, NULL, rng_next(rng), path);
        if (!how || (size_t)len >= sizeof(life->what)) continue;
        len += snprintf(life->what + len, sizeof(life->what) - (size_t)len, ", %s of %.60s", how,
                        path);
    }
    try_open(life, vfs_crash_cut(after, VFS_CRASH_KEEP_ALL, 0), DB_REPLAY_STRICT);
    try_open(life, vfs_crash_cut(after, VFS_CRASH_KEEP_ALL, 0), DB_REPLAY_SALVAGE);
    try_repair(life, vfs_crash_cut(after, VFS_CRASH_KEEP_ALL, 0));
    vfs_crash_free(after);
}

START_TEST(test_a_disk_that_breaks_its_promises)
{
    enum { POINTS_LONG = 3000 };
    uint64_t seed = unit_seed(), n_points = 0, n_refused = 0, n_told = 0;
    long rounds = fault_rounds(1, POINTS_LONG / CUTS);
    log_set_level(LOG_OFF);
    for (long r = 0; r < rounds; r++) {
        struct bad_life life = {.kind = &kinds[_i], .seed = seed + (uint64_t)r};
        struct rng rng;
        rng_init(&rng, life.seed);
        struct vfs_crash *disk = vfs_crash_new();
        live(&life, disk);
        uint64_t total = vfs_crash_n_changes(disk);
        db_history_release(&life.history);
        vfs_crash_free(disk);
        for (int i = 0; i < CUTS; i++, n_points++) {
            uint64_t n = 1 + rng_below(&rng, total);
            disk = vfs_crash_new();
            vfs_crash_stop_after(disk, n);
            if (life.kind->lies) vfs_crash_lie_after(disk, rng_below(&rng, n));
            live(&life, disk);
            lose(&life, disk, n, &rng);
            db_history_release(&life.history);
            vfs_crash_free(disk);
        }
        n_refused += life.n_refused;
        n_told += life.n_told;
    }
    printf("REL bad_disk_points=%llu refused=%llu told=%llu invented=0 goal=0 kind=\"%s\"\n",
           (unsigned long long)n_points, (unsigned long long)n_refused,
           (unsigned long long)n_told, kinds[_i].name);
    fflush(stdout);
}
END_TEST

Suite *suite_bad_disk(void)
{
    Suite *s = suite_create("bad_disk");
    TCase *tc = tcase_create("bad_disk");
    tcase_set_timeout(tc, 24 * 3600);
    tcase_add_loop_test(tc, test_a_disk_that_breaks_its_promises, 0,
                        sizeof(kinds) / sizeof(kinds[0]));
    suite_add_tcase(s, tc);
    return s;
}
