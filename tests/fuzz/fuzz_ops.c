/* Operations of a database: the bytes choose them one after the other, the engine carries
 * them out on a disk that fails and loses power, and a naive model says what must be there.
 *
 *     byte 0    how the log is synced, retention, sizes, whether there is a crowd
 *     byte 1    the order in which jobs run, what a power cut loses
 *     then      one operation after the other, each with the choices it asks for:
 *               db_history.h (writes of all kinds, deletes, flushes, the clock,
 *               snapshots, restarts) and those of act() below
 *
 * Checked: the model equals the database after every look and every opening; what was
 * acknowledged survives; snapshots can be restored; db_check() finds nothing. Bytes that
 * end the run early are as good as any. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "engine/db_priv.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/db_history.h"
#include "tests/lib/vfs_crash.h"
#include "tests/lib/vfs_fault.h"

enum { STEPS_MAX = 120 };

struct world {
    struct db_history history;
    struct vfs_crash *disk;
    struct vfs_fault *fault;
    struct db_rig rig;
    uint8_t how, seed;
    unsigned step;
};

int fuzz_ops(const uint8_t *src, size_t len);

/* FUZZ_TRACE in the environment tells what is done. */
static void tell(const struct world *w, const char *what, uint64_t a, uint64_t b)
{
    if (getenv("FUZZ_TRACE"))
        fprintf(stderr, "%u: %s %llu %llu\n", w->step, what, (unsigned long long)a,
                (unsigned long long)b);
}

static void fail(const struct world *w, const char *what, const char *why)
{
    fprintf(stderr, "fuzz_ops: step %u: %s: %s\n", w->step, what, why);
    abort();
}

static void set_options(struct world *w)
{
    struct db_options *options = &w->rig.options;
    options->wal_sync = w->how & 1 ? DB_WAL_PERIODIC : DB_WAL_APPEND;
    options->chunk_points = w->how & 2 ? 64 : 256;
    options->wal_flush_bytes = w->how & 4 ? 4 << 10 : 1 << 20;
    options->retention_ms = w->how & 8 ? 2 * 3600 * 1000 : 0;
    if (w->how & 16) db_history_hurry(&w->rig);
}

static void tell_call(void *ctx, enum vfs_op op, const char *path)
{
    (void)ctx;
    if (VFS_OP_CHANGES >> op & 1) fprintf(stderr, "    call %u %s\n", op, path);
}

static void plug_in(struct world *w, struct vfs_crash *disk)
{
    w->disk = disk;
    w->fault = vfs_fault_new(vfs_crash_vfs(disk), w->seed);
    if (getenv("FUZZ_TRACE")) vfs_fault_set_watch(w->fault, tell_call, NULL);
    db_rig_init_on(&w->rig, w->seed, vfs_fault_vfs(w->fault));
    set_options(w);
    clock_sim_init(&w->rig.clock, w->history.wall);
}

static void unplug(struct world *w)
{
    db_rig_release(&w->rig);
    vfs_fault_free(w->fault);
    vfs_crash_free(w->disk);
}

/* The disk is well again; the engine finds out by itself, a little later. */
static void heal(struct world *w)
{
    tell(w, "heal", vfs_fault_n_fired_all(w->fault), 0);
    bool was_ill = w->history.may_fail;
    vfs_fault_clear(w->fault);
    w->history.may_fail = false;
    if (!was_ill || !w->rig.db) return;
    clock_sim_advance_ms(&w->rig.clock, 60000);
    w->history.wall = clock_wall(&w->rig.clock.clock);
    db_rig_settle(&w->rig);
}

/* Opens; a disk that fails may be in the way once. */
static void start(struct world *w)
{
    if (db_rig_open(&w->rig) != ST_OK) {
        heal(w);
        if (db_rig_open(&w->rig) != ST_OK) fail(w, "open", w->rig.err.text);
    }
    const char *why = db_history_resolve(&w->history, &w->rig);
    if (why && w->history.may_fail) {
        heal(w);
        why = db_history_resolve(&w->history, &w->rig);
    }
    if (why) fail(w, "opened", why);
}

/* What is acknowledged now: under `periodic` that is less than what survives a cut. */
static void note(struct world *w)
{
    struct db_history *h = &w->history;
    if (w->rig.options.wal_sync == DB_WAL_APPEND) {
        db_history_note(h, &w->rig);
        return;
    }
    lsn synced = wal_synced(w->rig.db->cell.wal);
    for (size_t i = h->n_safe; i < h->n; i++)
        if (h->ops[i].durable_at && h->ops[i].durable_at <= synced) h->n_safe = i + 1;
}

static void look(struct world *w)
{
    struct model_db model = {0};
    struct err err = {.st = ST_OK};
    if (db_durable_failed(w->rig.db, &err) != ST_OK) return;
    db_history_replay(&w->history, 0, w->history.n, &model);
    const char *why = db_history_differs(&w->rig, &model);
    if (why && w->history.may_fail) {
        heal(w);
        why = db_history_differs(&w->rig, &model);
    }
    if (why) fail(w, "look", why);
    model_db_release(&model);
}

static void check(struct world *w)
{
    struct err err = {.st = ST_OK};
    heal(w);
    if (db_durable_failed(w->rig.db, &err) != ST_OK) return;
    db_rig_settle(&w->rig);
    if (db_check(w->rig.db, &err) != ST_OK) fail(w, "check", err.text);
}

static void restart(struct world *w)
{
    tell(w, "restart", 0, 0);
    if (db_rig_close(&w->rig) == ST_OK) w->history.n_safe = w->history.n;
    start(w);
}

static void cut_power(struct world *w)
{
    uint64_t variant = db_history_choose(&w->history, VFS_CRASH_VARIANTS);
    uint64_t later = db_history_choose(&w->history, 64);
    tell(w, "power", variant, later);
    /* The power goes a few changes from now, in the middle of whatever is going on. */
    vfs_crash_stop_after(w->disk, vfs_crash_n_changes(w->disk) + later);
    w->history.may_fail = true;
    for (int i = 0; i < 8 && !vfs_crash_stopped(w->disk); i++) {
        unsigned restarts = w->history.restarts;
        w->history.restarts = 0;
        (void)db_history_step(&w->history, &w->rig);
        w->history.restarts = restarts;
        note(w);
    }
    vfs_crash_stop_after(w->disk, vfs_crash_n_changes(w->disk));
    (void)db_rig_close(&w->rig);
    struct vfs_crash *after =
        vfs_crash_cut(w->disk, (enum vfs_crash_variant)variant, w->seed + w->step);
    unplug(w);
    plug_in(w, after);
    w->history.may_fail = false;
    start(w);
    check(w);
    const char *why = db_history_check_snapshots(&w->history, &w->rig);
    if (why) fail(w, "snapshot", why);
}

static void break_disk(struct world *w)
{
    static const struct vfs_fault_rule rules[] = {
        {.ops = VFS_OP_ALL, .st = ST_IO},
        {.ops = VFS_OP_CHANGES & ~(1u << VFS_OP_SYNC), .st = ST_NO_SPACE},
        {.ops = 1u << VFS_OP_WRITE, .st = ST_IO, .short_max = 100},
        {.ops = 1u << VFS_OP_SYNC, .st = ST_IO, .drop_dirty = true},
        {.ops = 1u << VFS_OP_READ | 1u << VFS_OP_MAP, .st = ST_IO},
    };
    uint64_t kind = db_history_choose(&w->history, sizeof(rules) / sizeof(rules[0]));
    struct vfs_fault_rule rule = rules[kind];
    rule.nth = 1 + db_history_choose(&w->history, 64);
    tell(w, "fault", kind, rule.nth);
    vfs_fault_clear(w->fault);
    (void)vfs_fault_add(w->fault, &rule);
    w->history.may_fail = true;
}

static void act(struct world *w)
{
    struct err err = {.st = ST_OK};
    switch (db_history_choose(&w->history, 16)) {
    case 0: cut_power(w); break;
    case 1: break_disk(w); break;
    case 2: heal(w); break;
    case 3: look(w); break;
    case 4: check(w); break;
    default:
        tell(w, "operation", w->history.n, w->rig.db ? wal_head(w->rig.db->cell.wal) : 0);
        if (!db_history_step(&w->history, &w->rig)) start(w);
        note(w);
        break;
    }
    if (w->history.failure) fail(w, "operation", w->history.failure);
    if (db_durable_failed(w->rig.db, &err) != ST_OK) restart(w);
}

int fuzz_ops(const uint8_t *src, size_t len)
{
    struct world w = {.how = len > 0 ? src[0] : 0, .seed = len > 1 ? src[1] : 0};
    if (len < 2) return 0;
    log_set_level(LOG_OFF);
    db_history_init(&w.history, w.seed);
    db_history_from(&w.history, src + 2, len - 2);
    w.history.kinds = HISTORY_ALL | (w.how & 32 ? HISTORY_CROWD : 0);
    if (w.how & 8) w.history.kinds &= ~(unsigned)HISTORY_ATTRS;
    plug_in(&w, vfs_crash_new());
    start(&w);
    for (w.step = 0; w.step < STEPS_MAX && !w.history.ended; w.step++) act(&w);
    look(&w);
    check(&w);
    restart(&w);
    check(&w);
    if (db_rig_close(&w.rig) != ST_OK) fail(&w, "close", w.rig.err.text);
    unplug(&w);
    db_history_release(&w.history);
    return 0;
}

FUZZ_ENTRY_SLOW(fuzz_ops, 60)
