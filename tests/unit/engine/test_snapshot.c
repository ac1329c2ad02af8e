/* Goal: a snapshot holds exactly what was applied before its cut, whatever goes on
 * meanwhile; it is a data directory; it is complete and verified or not there; the
 * database is not harmed. Method: random histories with a snapshot in the middle, whose
 * copy is opened and compared with the naive model; every call to the disk failing;
 * power cuts at random changes. verify_dir(): each file with one byte changed is named. */
#include "engine/snapshot.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/vfs_sub.h"
#include "engine/db_priv.h"
#include "engine/verify.h"
#include "tests/lib/db_history.h"
#include "tests/lib/vfs_crash.h"
#include "tests/lib/vfs_fault.h"
#include "tests/unit/engine/engine_suites.h"

struct outcome {
    bool done;
    status st;
    struct snapshot_info info;
    struct err err;
    size_t n;                   /* of a list */
    struct snapshot_entry first;
};

static void made(void *ctx, status st, const struct snapshot_info *info, const struct err *err)
{
    struct outcome *out = ctx;
    ck_assert(!out->done);
    out->done = true;
    out->st = st;
    out->err = *err;
    if (info) out->info = *info;
}

static void listed(void *ctx, status st, const struct snapshot_entry *entries, size_t n,
                   const struct err *err)
{
    struct outcome *out = ctx;
    *out = (struct outcome){.done = true, .st = st, .n = n, .err = *err};
    if (n) out->first = entries[0];
}

static void deleted(void *ctx, status st, const struct err *err)
{
    struct outcome *out = ctx;
    *out = (struct outcome){.done = true, .st = st, .err = *err};
}

static void ask(struct db_rig *rig, struct outcome *out, const char *name, bool skip_head)
{
    *out = (struct outcome){0};
    db_snapshot(rig->db, &(struct snapshot_ask){.name = slice_str(name), .skip_head = skip_head},
                made, out);
}

static void finish(struct db_rig *rig, struct outcome *out)
{
    for (int i = 0; !out->done; i++) {
        ck_assert_int_lt(i, 100000);
        clock_sim_advance_ms(&rig->clock, 1);
        db_rig_settle(rig);
    }
}

static status snap(struct db_rig *rig, struct outcome *out, const char *name)
{
    ask(rig, out, name, false);
    finish(rig, out);
    return out->st;
}

/* The snapshot opened as a database of its own; it is a copy, so that what the open
 * writes does not change it. */
static void expect_snapshot(struct vfs *vfs, const char *path, const struct db_history *history,
                            size_t n_ops, uint64_t seed, const char *what)
{
    struct vfs *dir;
    struct db_rig rig;
    struct model_db model = {0};
    struct verify_report report;
    struct verify_options opt = {.quick = false};
    struct err err = {.st = ST_OK};
    ck_assert_int_eq(vfs_sub_open(&dir, vfs, path, NULL), ST_OK);
    ck_assert_msg(verify_dir(&report, dir, &opt, &err) == ST_OK, "%s: verify: %s", what, err.text);
    db_rig_init_on(&rig, seed, dir); /* the same seed: names hash alike in both */
    ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s: open: %s", what, rig.err.text);
    db_history_replay(history, 0, n_ops, &model);
    const char *why = db_history_differs(&rig, &model);
    ck_assert_msg(!why, "%s: %s", what, why);
    db_rig_settle(&rig);
    ck_assert_msg(db_check(rig.db, &err) == ST_OK, "%s: db_check: %s", what, err.text);
    ck_assert_int_eq(db_rig_put(&rig, "later", 1767225600000, 1.0), ST_OK);
    ck_assert_msg(db_rig_close(&rig) == ST_OK, "%s: close: %s", what, rig.err.text);
    model_db_release(&model);
    db_rig_release(&rig);
    vfs_free(dir);
}

static void start_history(struct db_history *history, struct db_rig *rig, uint64_t seed)
{
    db_history_init(history, seed);
    rig->options.chunk_points = 64;
    rig->options.wal_flush_bytes = 8 << 10;
    ck_assert_int_eq(db_rig_open(rig), ST_OK);
}

static void steps(struct db_history *history, struct db_rig *rig, int n)
{
    for (int i = 0; i < n; i++)
        ck_assert_msg(db_history_step(history, rig) && !history->failure, "%s",
                      history->failure ? history->failure : rig->err.text);
}

START_TEST(test_a_snapshot_is_its_cut)
{
    uint64_t seed = unit_seed() + (uint64_t)_i;
    struct db_history history;
    struct outcome out;
    struct db_rig rig;
    char what[64];
    log_set_level(LOG_OFF);
    db_rig_init(&rig, seed);
    start_history(&history, &rig, seed);
    steps(&history, &rig, 25 + _i * 7);
    db_rig_settle(&rig);
    /* Begins; the cut comes when its first job has run; then life goes on before the
     * rest. The history settles with each step, so the cut is here. */
    ask(&rig, &out, "one", false);
    struct snapshot_progress progress;
    ck_assert(db_snapshot_progress(rig.db, &progress));
    ck_assert_str_eq(progress.name, "one");
    finish(&rig, &out);
    ck_assert_msg(out.st == ST_OK, "%s", out.err.text);
    size_t n = history.n;
    steps(&history, &rig, 40);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    snprintf(what, sizeof(what), "seed %llu", (unsigned long long)seed);
    expect_snapshot(rig.vfs, "snapshots/one", &history, n, seed, what);
    struct model_db model = {0};
    db_history_replay(&history, 0, history.n, &model);
    const char *why = db_history_differs(&rig, &model);
    ck_assert_msg(!why, "the source: %s", why);
    model_db_release(&model);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_history_release(&history);
    db_rig_release(&rig);
}
END_TEST

START_TEST(test_names_lists_and_removal)
{
    static const char *const bad[] = {"../x", "a/b", ".hidden", "a b", "x\\y", "\xc3\xa4",
                                      "0123456789012345678901234567890123456789"
                                      "0123456789012345678901234"};
    struct outcome out;
    struct db_rig rig;
    log_set_level(LOG_OFF);
    db_rig_init(&rig, 3);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "a", 1, 1.0), ST_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(snap(&rig, &out, bad[i]) == ST_INVALID, "%s", bad[i]);
        db_snapshot_delete(rig.db, slice_str(bad[i]), deleted, &out);
        ck_assert_int_eq(out.st, ST_INVALID);
    }
    out.done = false;
    db_snapshot_list(rig.db, listed, &out);
    finish(&rig, &out);
    ck_assert(out.st == ST_OK && out.n == 0);
    ck_assert_int_eq(snap(&rig, &out, "b"), ST_OK);
    ck_assert_int_eq(snap(&rig, &out, "b"), ST_EXISTS);
    ck_assert_int_eq(snap(&rig, &out, ""), ST_OK);
    ck_assert_msg(strlen(out.info.name) == 33 && out.info.name[8] == 'T', "%s", out.info.name);
    struct outcome second;
    ask(&rig, &out, "c", true);
    ask(&rig, &second, "d", false);
    ck_assert(second.done && second.st == ST_AGAIN);
    finish(&rig, &out);
    ck_assert_int_eq(out.st, ST_OK);
    ck_assert(!out.info.has_head);
    out.done = false;
    db_snapshot_list(rig.db, listed, &out);
    finish(&rig, &out);
    ck_assert(out.st == ST_OK && out.n == 3 && out.first.st == ST_OK && out.first.n_bytes > 0);
    out.done = false;
    db_snapshot_delete(rig.db, slice_str("b"), deleted, &out);
    finish(&rig, &out);
    ck_assert_int_eq(out.st, ST_OK);
    ck_assert(!vfs_exists(rig.vfs, "snapshots/b"));
    out.done = false;
    db_snapshot_delete(rig.db, slice_str("b"), deleted, &out);
    finish(&rig, &out);
    ck_assert_int_eq(out.st, ST_NOT_FOUND);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

START_TEST(test_without_the_head_only_segments)
{
    struct outcome out;
    struct db_rig rig, copy;
    struct vfs *dir;
    struct points pts = {0};
    struct arena arena;
    log_set_level(LOG_OFF);
    arena_init(&arena, NULL, 4096);
    db_rig_init(&rig, 4);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "a", 1000, 1.0), ST_OK);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "a", 2000, 2.0), ST_OK);
    ask(&rig, &out, "s", true);
    finish(&rig, &out);
    ck_assert_msg(out.st == ST_OK, "%s", out.err.text);
    ck_assert_int_eq(vfs_sub_open(&dir, rig.vfs, "snapshots/s", NULL), ST_OK);
    db_rig_init_on(&copy, 5, dir);
    ck_assert_msg(db_rig_open(&copy) == ST_OK, "%s", copy.err.text);
    ck_assert_int_eq(
        db_rig_read(&copy, "a", (struct time_range){TS_MIN, TS_MAX}, &pts, &arena), ST_OK);
    ck_assert_uint_eq(pts.n, 1);
    ck_assert_int_eq(db_rig_put(&copy, "a", 3000, 3.0), ST_OK);
    ck_assert_int_eq(db_rig_close(&copy), ST_OK);
    db_rig_release(&copy);
    vfs_free(dir);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
    points_release(&pts);
    arena_release(&arena);
}
END_TEST

/* A hold keeps what expires until the links are there; closing ends a snapshot. */
START_TEST(test_holds_and_close)
{
    struct outcome out;
    struct err err = {.st = ST_OK};
    struct db_rig rig;
    log_set_level(LOG_OFF);
    db_rig_init(&rig, 6);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "a", 1000, 1.0), ST_OK);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    const char *dir = segment_dir(rig.db->cell.manifest->segments[0]);
    file_hold_take(&rig.db->files);
    file_hold_take(&rig.db->files);
    ck_assert_int_eq(file_hold_remove(&rig.db->files, dir, &err), ST_OK);
    file_hold_drop(&rig.db->files);
    ck_assert(vfs_exists(rig.vfs, dir));
    file_hold_drop(&rig.db->files);
    ck_assert(!vfs_exists(rig.vfs, dir));
    ask(&rig, &out, "x", false);
    (void)db_rig_close(&rig);
    ck_assert(out.done && out.st != ST_OK);
    ck_assert(!vfs_exists(rig.vfs, "snapshots/x"));
    ck_assert(!vfs_exists(rig.vfs, ".staging/snapshot-x"));
    db_rig_release(&rig);
}
END_TEST

START_TEST(test_each_call_of_a_snapshot_fails)
{
    uint64_t seed = unit_seed(), n_calls = 1;
    log_set_level(LOG_OFF);
    for (uint64_t nth = 1; nth <= n_calls; nth += 1 + n_calls / 40) {
        struct vfs *disk = vfs_mem_new();
        struct vfs_fault *fault = vfs_fault_new(disk, seed);
        struct db_history history;
        struct outcome out;
        struct db_rig rig;
        char what[64];
        db_rig_init_on(&rig, seed, vfs_fault_vfs(fault));
        start_history(&history, &rig, seed);
        steps(&history, &rig, 30);
        db_rig_settle(&rig);
        vfs_fault_reset_calls(fault);
        vfs_fault_add(fault, &(struct vfs_fault_rule){
            .ops = VFS_OP_ALL, .nth = nth, .st = nth % 2 ? ST_IO : ST_NO_SPACE});
        status st = snap(&rig, &out, "s");
        if (n_calls == 1) n_calls = vfs_fault_n_calls(fault, VFS_OP_ALL) + 60;
        snprintf(what, sizeof(what), "call %llu", (unsigned long long)nth);
        vfs_fault_clear(fault);
        bool there = vfs_exists(disk, "snapshots/s");
        ck_assert_msg(st != ST_OK || there, "%s: made, but not there", what);
        if (there) expect_snapshot(disk, "snapshots/s", &history, history.n, seed, what);
        (void)db_rig_close(&rig);
        ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s: open: %s", what, rig.err.text);
        struct model_db model = {0};
        db_history_replay(&history, 0, history.n, &model);
        const char *why = db_history_differs(&rig, &model);
        ck_assert_msg(!why, "%s: the source: %s", what, why);
        model_db_release(&model);
        ck_assert_int_eq(db_rig_close(&rig), ST_OK);
        db_history_release(&history);
        db_rig_release(&rig);
        vfs_fault_free(fault);
        vfs_free(disk);
    }
}
END_TEST

/* The power goes after the n-th change of a snapshot: it is whole or not there, and the
 * database recovers. */
static void cut_at(uint64_t seed, uint64_t n, uint64_t *total)
{
    struct vfs_crash *disk = vfs_crash_new();
    struct db_history history;
    struct outcome out;
    struct db_rig rig;
    db_rig_init_on(&rig, seed, vfs_crash_vfs(disk));
    start_history(&history, &rig, seed);
    steps(&history, &rig, 30);
    db_rig_settle(&rig);
    uint64_t before = vfs_crash_n_changes(disk);
    vfs_crash_stop_after(disk, n == UINT64_MAX ? n : before + n);
    ask(&rig, &out, "s", false);
    for (int i = 0; i < 2000 && !out.done; i++) {
        clock_sim_advance_ms(&rig.clock, 1);
        db_rig_settle(&rig);
    }
    *total = vfs_crash_n_changes(disk) - before;
    (void)db_rig_close(&rig);
    db_rig_release(&rig);
    for (int v = 0; n != UINT64_MAX && v < VFS_CRASH_VARIANTS; v++) {
        enum vfs_crash_variant variant = (enum vfs_crash_variant)v;
        struct vfs_crash *after = vfs_crash_cut(disk, variant, seed + n);
        struct model_db model = {0};
        char what[96];
        snprintf(what, sizeof(what), "cut after %llu, %s", (unsigned long long)n,
                 vfs_crash_variant_name(variant));
        if (vfs_exists(vfs_crash_vfs(after), "snapshots/s"))
            expect_snapshot(vfs_crash_vfs(after), "snapshots/s", &history, history.n, seed, what);
        else
            ck_assert_msg(!(out.done && out.st == ST_OK), "%s: it was told to be there", what);
        db_rig_init_on(&rig, seed, vfs_crash_vfs(after));
        ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s: open: %s", what, rig.err.text);
        ck_assert_msg(!vfs_exists(rig.vfs, ".staging/snapshot-s"), "%s: not swept", what);
        db_history_replay(&history, 0, history.n, &model);
        const char *why = db_history_differs(&rig, &model);
        ck_assert_msg(!why, "%s: the source: %s", what, why);
        ck_assert_int_eq(db_rig_close(&rig), ST_OK);
        model_db_release(&model);
        db_rig_release(&rig);
        vfs_crash_free(after);
    }
    db_history_release(&history);
    vfs_crash_free(disk);
}

START_TEST(test_power_cuts_during_a_snapshot)
{
    uint64_t seed = unit_seed(), total, dummy;
    struct rng rng;
    log_set_level(LOG_OFF);
    rng_init(&rng, seed);
    cut_at(seed, UINT64_MAX, &total);
    ck_assert_uint_gt(total, 20);
    for (int i = 0; i < 8; i++) cut_at(seed, 1 + rng_below(&rng, total), &dummy);
    cut_at(seed, total, &dummy);
}
END_TEST

/* --- verify_dir -------------------------------------------------------------------- */

static void take_finding(void *ctx, const struct verify_finding *finding)
{
    char *text = ctx;
    size_t len = strlen(text);
    snprintf(text + len, 1024 - len, "%s|", finding->path);
}

static status verify_text(struct vfs *vfs, char found[1024])
{
    struct verify_options opt = {.finding = take_finding, .ctx = found};
    struct verify_report report;
    struct err err = {.st = ST_OK};
    found[0] = 0;
    return verify_dir(&report, vfs, &opt, &err);
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

START_TEST(test_a_changed_byte_is_named)
{
    static const char *const parts[] = {"database.json", "segment_catalog.json",
                                        "series_index.bin", "wal/", "lane_numeric/l",
                                        "tombstones.json.store/", "series_index.catalog.json",
                                        "exemplars.bin", "metadata.bin"};
    struct db_history history;
    struct db_rig rig;
    struct linkset set;
    struct outcome out;
    unsigned seen = 0;
    char found[1024];
    log_set_level(LOG_OFF);
    db_rig_init(&rig, 9);
    start_history(&history, &rig, 9);
    steps(&history, &rig, 60);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    steps(&history, &rig, 10);
    db_rig_settle(&rig);
    ck_assert_msg(snap(&rig, &out, "s") == ST_OK, "%s", out.err.text);
    struct vfs *dir;
    ck_assert_int_eq(vfs_sub_open(&dir, rig.vfs, "snapshots/s", NULL), ST_OK);
    ck_assert_int_eq(verify_text(dir, found), ST_OK);
    struct snapshot_info info;
    ck_assert_int_eq(snapshot_read(&info, &set, dir, NULL), ST_OK);
    for (size_t i = 0; i < set.n; i++) {
        const struct linkset_file *file = &set.files[i];
        bool is_wal = strncmp(file->path, "wal/", 4) == 0;
        /* Of the log the last frame, before the mark: what segments cover is not missed. */
        uint64_t off = is_wal ? file->len - 40 : file->len / 2;
        if (is_wal && i + 1 < set.n && strncmp(set.files[i + 1].path, "wal/", 4) == 0) continue;
        flip(dir, file->path, off);
        ck_assert_msg(linkset_compare(&set, dir, NULL, NULL) == ST_CORRUPT, "%s", file->path);
        ck_assert_msg(verify_text(dir, found) == ST_CORRUPT, "%s: not noticed", file->path);
        bool named = false;
        for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
            size_t len = strlen(parts[k]);
            if (strncmp(file->path, parts[k], len) != 0) continue;
            seen |= 1u << k;
            named = strncmp(found, parts[k], len - (parts[k][len - 1] == '/')) == 0;
        }
        ck_assert_msg(named, "%s: found %s", file->path, found);
        flip(dir, file->path, off);
    }
    ck_assert_uint_eq(seen, 511);
    ck_assert_int_eq(verify_text(dir, found), ST_OK);
    linkset_release(&set);
    vfs_free(dir);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_history_release(&history);
    db_rig_release(&rig);
}
END_TEST

Suite *suite_snapshot(void)
{
    Suite *s = suite_create("snapshot");
    TCase *tc = tcase_create("snapshot");
    tcase_set_timeout(tc, 600);
    tcase_add_loop_test(tc, test_a_snapshot_is_its_cut, 0, 4);
    tcase_add_test(tc, test_names_lists_and_removal);
    tcase_add_test(tc, test_without_the_head_only_segments);
    tcase_add_test(tc, test_holds_and_close);
    tcase_add_test(tc, test_each_call_of_a_snapshot_fails);
    tcase_add_test(tc, test_power_cuts_during_a_snapshot);
    tcase_add_test(tc, test_a_changed_byte_is_named);
    suite_add_tcase(s, tc);
    return s;
}
