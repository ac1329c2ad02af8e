/* Goal: verification finds a catalog that contradicts itself, and repair keeps what belongs
 * together. Method: good directories, one thing in them made wrong. */
#include "base/log.h"
#include "engine/db_priv.h"
#include "engine/repair.h"
#include "storage/wal_replay.h"
#include "tests/lib/db_history.h"
#include "tests/lib/vfs_crash.h"
#include "tests/unit/engine/engine_suites.h"

static void open_on(struct db_rig *rig, struct vfs *vfs)
{
    log_set_level(LOG_OFF);
    db_rig_init_on(rig, 1, vfs);
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
}

static void close_and_free(struct db_rig *rig)
{
    ck_assert_msg(db_rig_close(rig) == ST_OK, "%s", rig->err.text);
    db_rig_release(rig);
}

static void take_text(void *ctx, const struct verify_finding *finding)
{
    char *text = ctx;
    size_t len = strlen(text);
    snprintf(text + len, 1024 - len, "%s: %s|", verify_part_name(finding->part), finding->text);
}

static status verify(struct vfs *vfs, char found[1024])
{
    struct verify_options opt = {.finding = take_text, .ctx = found};
    struct verify_report report;
    found[0] = 0;
    return verify_dir(&report, vfs, &opt, NULL);
}

/* --- the catalog against itself ------------------------------------------------------- */

/* What is done to the catalog of three segments, of flushes 1 to 3; the first two overlap
 * in time. In the manifests, too, so that each segment is what the catalog says. */
static const struct contradiction {
    const char *name;
    uint64_t order_min[3], order_max[3], last_order;
    const char *found; /* NULL: nothing */
} contradictions[] = {
    {"as they were", {1, 2, 3}, {1, 2, 3}, 3, NULL},
    {"neither of two is newer", {1, 2, 3}, {2, 2, 3}, 3, "overlap, and neither is newer"},
    {"one within the other", {1, 2, 3}, {3, 2, 3}, 3, "overlap, and neither is newer"},
    {"a part of one merge, not overlapping", {1, 2, 2}, {1, 3, 3}, 3, NULL},
    {"newer than the last flush", {1, 2, 4}, {1, 2, 4}, 3, "is of flush 4, and the last one was 3"},
};

START_TEST(test_a_catalog_must_not_contradict_itself)
{
    const struct contradiction *c = &contradictions[_i];
    struct vfs *vfs = vfs_mem_new();
    struct db_rig rig;
    struct database_file file;
    struct catalog cat;
    char found[1024];
    open_on(&rig, vfs);
    for (int i = 0; i < 3; i++) { /* 0..100, 50..150, 1000..1100 */
        ts_time from = i == 2 ? 1000 : 50 * i;
        for (int k = 0; k < 3; k++)
            ck_assert_int_eq(db_rig_put(&rig, "m", from + 50 * k, k), ST_OK);
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    }
    close_and_free(&rig);
    ck_assert_int_eq(verify(vfs, found), ST_OK);
    ck_assert_int_eq(database_file_read(&file, vfs, NULL), ST_OK);
    ck_assert_int_eq(catalog_read(&cat, vfs, &file.id, NULL), ST_OK);
    ck_assert_uint_eq(cat.n, 3);
    for (size_t i = 0; i < 3; i++) {
        cat.entries[i].info.order_min = c->order_min[i];
        cat.entries[i].info.order_max = c->order_max[i];
    }
    cat.last_order = c->last_order;
    ck_assert_int_eq(catalog_write(vfs, &cat, NULL), ST_OK);
    catalog_release(&cat);
    status st = verify(vfs, found);
    if (c->found) ck_assert_msg(strstr(found, c->found), "%s: found: %s", c->name, found);
    else ck_assert_msg(!strstr(found, "newer") && !strstr(found, "flush"), "%s", found);
    /* The manifests are right: the catalog is made from them again. */
    if (st == ST_OK) ck_assert(!c->found);
    else ck_assert_int_eq(repair_dir(vfs, NULL, NULL, NULL), ST_OK);
    ck_assert_msg(verify(vfs, found) == ST_OK, "%s: still: %s", c->name, found);
    vfs_free(vfs);
}
END_TEST

/* --- the log -------------------------------------------------------------------------- */

struct frames {
    uint64_t n_deletes, n_first, n_commits, run;
    bool mixed;
};

static status count_frame(void *ctx, const struct wal_frame *frame)
{
    struct frames *f = ctx;
    if (frame->type != WAL_DELETE) return ST_OK;
    if (f->n_deletes++ && frame->run != f->run) f->mixed = true;
    f->run = frame->run;
    f->n_first += (frame->flags & WAL_FIRST) != 0;
    f->n_commits += (frame->flags & WAL_COMMIT) != 0;
    return ST_OK;
}

static struct frames look(struct vfs *vfs, const struct database_id *db)
{
    struct wal_replay_options opt = {.mode = WAL_REPLAY_STRICT, .db = *db, .read_only = true};
    struct wal_replay *replay;
    struct frames frames = {0};
    ck_assert_int_eq(wal_replay_open(&replay, vfs, &opt, NULL), ST_OK);
    ck_assert_int_eq(wal_replay_each(replay, count_frame, &frames), ST_OK);
    wal_replay_close(replay);
    return frames;
}

static void flip(struct vfs *vfs, const char *path, uint64_t off)
{
    struct vfs_file *file;
    uint8_t byte;
    ck_assert_int_eq(vfs_open(vfs, &file, path, VFS_WRITE, NULL), ST_OK);
    ck_assert_int_eq(vfs_read(file, off, &byte, 1, NULL), ST_OK);
    byte ^= 0x40;
    ck_assert_int_eq(vfs_write(file, off, &byte, 1, NULL), ST_OK);
    vfs_close(file);
}

/* A delete of more series than one frame has is one run; damage elsewhere in the log makes
 * repair write it anew, and it is one run then. */
START_TEST(test_repair_keeps_a_run_together)
{
    struct vfs_crash *disk = vfs_crash_new();
    struct db_history history;
    struct db_rig rig;
    struct database_file file;
    char found[1024];
    db_history_init(&history, 7);
    history.kinds = HISTORY_CROWD;
    open_on(&rig, vfs_crash_vfs(disk));
    for (int i = 0; i < 3; i++) ck_assert_int_eq(db_rig_put(&rig, "m", i, i), ST_OK);
    while (history.n == 0 || history.ops[history.n - 1].what != HISTORY_DELETE_CROWD)
        db_history_crowd(&history, &rig);
    ck_assert_int_eq(db_rig_put(&rig, "m", 10, 1), ST_OK);
    struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_KEEP_ALL, 1);
    vfs_crash_stop_after(disk, vfs_crash_n_changes(disk));
    (void)db_rig_close(&rig);
    db_rig_release(&rig);
    vfs_crash_free(disk);

    struct vfs *vfs = vfs_crash_vfs(after);
    ck_assert_int_eq(database_file_read(&file, vfs, NULL), ST_OK);
    struct frames before = look(vfs, &file.id);
    ck_assert_uint_ge(before.n_deletes, 2);
    ck_assert(before.n_first == 1 && before.n_commits == 1 && !before.mixed);
    flip(vfs, "wal/wal-0000000000000001.log", 64 + 60); /* in the first frames */
    ck_assert_int_eq(verify(vfs, found), ST_CORRUPT);
    ck_assert_int_eq(repair_dir(vfs, NULL, NULL, NULL), ST_OK);
    ck_assert_msg(verify(vfs, found) == ST_OK, "%s", found);
    struct frames again = look(vfs, &file.id);
    ck_assert_uint_eq(again.n_deletes, before.n_deletes);
    ck_assert(again.n_first == 1 && again.n_commits == 1 && !again.mixed && again.run != 0);

    open_on(&rig, vfs);
    struct points pts = {0};
    (void)!db_rig_read(&rig, "crowd{i=\"1\"}", (struct time_range){TS_MIN, TS_MAX}, &pts, NULL);
    ck_assert_uint_eq(pts.n, 0);
    points_release(&pts);
    close_and_free(&rig);
    db_history_release(&history);
    vfs_crash_free(after);
}
END_TEST

/* A key that was removed is in the log twice, defined and removed: without the registry's
 * files it stays away, also when the log had to be written anew. */
START_TEST(test_repair_brings_back_no_key)
{
    static const char key[] = "k{__key__=\"k\"}";
    struct vfs_crash *disk = vfs_crash_new();
    struct db_history history;
    struct db_rig rig;
    char found[1024];
    db_history_init(&history, 7);
    history.kinds = HISTORY_KEYS;
    open_on(&rig, vfs_crash_vfs(disk));
    ck_assert_int_eq(db_rig_put(&rig, "first", 1, 1), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "h{__key__=\"30\"}", 1, 1), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "h{__key__=\"31\"}", 1, 1), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, key, 1, 1), ST_OK);
    if (_i & 1) ck_assert_int_eq(db_rig_flush(&rig), ST_OK); /* the key is in a file, too */
    while (db_rig_ordinal(&rig, "h{__key__=\"30\"}") != ORDINAL_NONE ||
           db_rig_ordinal(&rig, "h{__key__=\"31\"}") != ORDINAL_NONE)
        db_history_remove(&history, &rig);
    ck_assert_int_eq(db_rig_put(&rig, "last", 1, 1), ST_OK);
    struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_KEEP_ALL, 1);
    vfs_crash_stop_after(disk, vfs_crash_n_changes(disk));
    (void)db_rig_close(&rig);
    db_rig_release(&rig);
    vfs_crash_free(disk);

    struct vfs *vfs = vfs_crash_vfs(after);
    if (_i & 1) flip(vfs, LAYOUT_REGISTRY, 100);
    if (_i & 2) flip(vfs, "wal/wal-0000000000000001.log", 64 + 60);
    status st = verify(vfs, found);
    if (st != ST_OK) ck_assert_int_eq(repair_dir(vfs, NULL, NULL, NULL), ST_OK);
    ck_assert_msg(verify(vfs, found) == ST_OK, "%s", found);
    open_on(&rig, vfs);
    ck_assert_uint_eq(db_rig_ordinal(&rig, "h{__key__=\"30\"}"), ORDINAL_NONE);
    ck_assert_uint_eq(db_rig_ordinal(&rig, "h{__key__=\"31\"}"), ORDINAL_NONE);
    ck_assert_uint_ne(db_rig_ordinal(&rig, key), ORDINAL_NONE);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    close_and_free(&rig);
    open_on(&rig, vfs);
    ck_assert_uint_eq(db_rig_ordinal(&rig, "h{__key__=\"30\"}"), ORDINAL_NONE);
    close_and_free(&rig);
    db_history_release(&history);
    vfs_crash_free(after);
}
END_TEST

Suite *suite_repair(void)
{
    Suite *s = suite_create("repair");
    TCase *tc = tcase_create("repair");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_a_catalog_must_not_contradict_itself, 0,
                        sizeof(contradictions) / sizeof(contradictions[0]));
    tcase_add_test(tc, test_repair_keeps_a_run_together);
    tcase_add_loop_test(tc, test_repair_brings_back_no_key, 0, 4);
    suite_add_tcase(s, tc);
    return s;
}
