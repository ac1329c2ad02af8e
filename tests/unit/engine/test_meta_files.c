/* Goal: exemplars and metadata of an answered request survive what its samples survive, go
 * with their series and with deletes, and cost no file at a request. Method: databases that
 * are closed, cut off or damaged at chosen places and then opened; power cuts at many changes
 * of a history; every call on their files failing. */
#include "engine/meta_files.h"

#include "base/log.h"
#include "base/vfs_sub.h"
#include "engine/db_priv.h"
#include "engine/repair.h"
#include "engine/snapshot.h"
#include "engine/verify.h"
#include "model/histogram.h"
#include "tests/lib/db_rig.h"
#include "tests/lib/vfs_crash.h"
#include "tests/lib/vfs_fault.h"
#include "tests/unit/engine/engine_suites.h"

static const struct time_range all = {TS_MIN, TS_MAX};

static void open_on(struct db_rig *rig, struct vfs *vfs)
{
    log_set_level(LOG_OFF);
    db_rig_init_on(rig, 1, vfs);
    rig->options.fail_fast = false;
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
}

static void close_rig(struct db_rig *rig)
{
    ck_assert_msg(db_rig_close(rig) == ST_OK, "%s", rig->err.text);
    db_rig_release(rig);
}

static void check(struct db_rig *rig)
{
    struct err err = {.st = ST_OK};
    db_rig_settle(rig);
    ck_assert_msg(db_check(rig->db, &err) == ST_OK, "%s", err.text);
}

/* A request: a sample (unless ts < 0) and an exemplar (unless at < 0), and a family. Returns
 * whether it was answered well and durably. */
static bool send(struct db_rig *rig, const char *series, ts_time ts, ts_time at,
                 const char *family, const char *help)
{
    static const char labels[] = "\x01\x01t\x02id";
    struct batch *batch = db_rig_batch(series);
    struct exemplar ex = {
        .ts = at, .value = (double)at, .has_ts = true, .labels = slice_of(labels, 6)};
    struct metric_meta meta = {.family = slice_str(family ? family : ""),
                               .help = slice_str(help ? help : ""),
                               .unit = SLICE_LIT(""),
                               .type = METRIC_GAUGE};
    if (ts >= 0) ck_assert(batch_add_row(batch, 0, ts, (union value){.bits = f64_bits(1)}, 0));
    else batch->series[0].make = MAKE_NEVER;
    if (at >= 0) ck_assert(batch_add_exemplar(batch, 0, &ex));
    if (family) ck_assert(batch_add_meta(batch, &meta));
    db_rig_send(rig, batch);
    bool good = batch->st == ST_OK && batch->n_refused == 0 &&
                db_durable(rig->db) >= batch->durable_at &&
                db_durable_failed(rig->db, NULL) == ST_OK &&
                batch->n_exemplars_kept == (at >= 0 ? 1 : 0);
    batch_free(batch);
    return good;
}

/* "ts ts" of the exemplars of a series. */
static const char *says(struct db_rig *rig, const char *series)
{
    static char text[4096];
    struct arena arena;
    struct exemplar *list = NULL;
    size_t n = 0, len = 0;
    uint32_t ordinal = db_rig_ordinal(rig, series);
    text[0] = '\0';
    if (ordinal == ORDINAL_NONE) return "no series";
    arena_init(&arena, NULL, 1024);
    ck_assert_int_eq(exemplars_read(db_exemplars(rig->db),
                                    registry_entry(db_registry(rig->db), ordinal)->id, all, &arena,
                                    &list, &n),
                     ST_OK);
    for (size_t i = 0; i < n; i++) {
        ck_assert_double_eq(list[i].value, (double)list[i].ts);
        ck_assert_uint_eq(list[i].labels.len, 6);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%" PRId64, i ? " " : "",
                                list[i].ts);
    }
    arena_release(&arena);
    return text;
}

static void see_help(void *ctx, const struct metric_meta *meta)
{
    snprintf(ctx, 64, SLICE_FMT, SLICE_ARG(meta->help));
}

static const char *help_of(struct db_rig *rig, const char *family)
{
    static char text[64];
    text[0] = '\0';
    metadata_store_get(db_metadata(rig->db), slice_str(family), see_help, text);
    return text;
}

/* The disk as it is when the process is killed, or when the power goes and takes all that was
 * not synced. The rig that ran on the old one is closed on a dead disk. */
static struct vfs_crash *crash(struct db_rig *rig, struct vfs_crash *disk,
                               enum vfs_crash_variant variant)
{
    struct vfs_crash *after = vfs_crash_cut(disk, variant, 1);
    vfs_crash_stop_after(disk, vfs_crash_n_changes(disk));
    (void)db_rig_close(rig);
    db_rig_release(rig);
    vfs_crash_free(disk);
    return after;
}

static lsn covered_of(struct db_rig *rig, enum payload_kind kind)
{
    lsn covered;
    status st = payload_file_read(&covered, rig->vfs, kind, &rig->db->file.id, NULL, NULL, NULL);
    ck_assert(st == ST_OK || st == ST_NOT_FOUND);
    return st == ST_OK ? covered : UINT64_MAX;
}

START_TEST(test_what_was_answered_survives_a_kill)
{
    struct vfs_crash *disk = vfs_crash_new();
    struct db_rig rig;
    open_on(&rig, vfs_crash_vfs(disk));
    ck_assert(send(&rig, "m", 1, 10, "m", "old"));
    ck_assert(send(&rig, "m", -1, 11, NULL, NULL)); /* an exemplar alone, as senders have it */
    ck_assert(send(&rig, "m", -1, -1, "m", "new"));
    ck_assert(send(&rig, "m", -1, 11, NULL, NULL)); /* the same again is there already */
    ck_assert(!send(&rig, "m", -1, 5, NULL, NULL)); /* an older one is not */
    ck_assert_uint_eq(covered_of(&rig, PAYLOAD_EXEMPLARS), UINT64_MAX); /* no file yet */
    disk = crash(&rig, disk, VFS_CRASH_DROP_ALL);

    open_on(&rig, vfs_crash_vfs(disk));
    ck_assert_str_eq(says(&rig, "m"), "10 11");
    ck_assert_str_eq(help_of(&rig, "m"), "new");
    struct db_stats stats;
    db_stats(rig.db, &stats);
    ck_assert(stats.exemplars.n_stored == 0 && stats.exemplars.n_exemplars == 2);
    ck_assert(stats.metadata.n_changed == 0 && stats.metadata.n_families == 1);
    check(&rig);
    close_rig(&rig);
    vfs_crash_free(disk);
}
END_TEST

START_TEST(test_files_are_written_by_flushes_that_have_news)
{
    struct vfs_crash *disk = vfs_crash_new();
    struct db_rig rig;
    open_on(&rig, vfs_crash_vfs(disk));
    ck_assert(send(&rig, "m", 1, 10, "m", "help"));
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    lsn first = covered_of(&rig, PAYLOAD_EXEMPLARS);
    ck_assert_uint_ne(first, UINT64_MAX);
    ck_assert_uint_eq(covered_of(&rig, PAYLOAD_METADATA), first);
    ck_assert(send(&rig, "m", 2, -1, "m", "help"));
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    ck_assert_uint_eq(covered_of(&rig, PAYLOAD_EXEMPLARS), first); /* no news */
    ck_assert_uint_eq(covered_of(&rig, PAYLOAD_METADATA), first);
    ck_assert(send(&rig, "m", 3, 12, NULL, NULL));
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    ck_assert_uint_gt(covered_of(&rig, PAYLOAD_EXEMPLARS), first);
    ck_assert_uint_eq(covered_of(&rig, PAYLOAD_METADATA), first);
    ck_assert(send(&rig, "m", 4, 13, NULL, NULL)); /* behind the file: in the log */
    disk = crash(&rig, disk, VFS_CRASH_DROP_ALL);
    open_on(&rig, vfs_crash_vfs(disk));
    ck_assert_str_eq(says(&rig, "m"), "10 12 13");
    ck_assert_str_eq(help_of(&rig, "m"), "help");
    ck_assert_int_eq(db_rig_close(&rig), ST_OK); /* a last flush */
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_str_eq(says(&rig, "m"), "10 12 13");
    ck_assert_uint_eq(rig.db->cell.stats.replay_frames, 0);
    check(&rig);
    close_rig(&rig);
    vfs_crash_free(disk);
}
END_TEST

/* Without a sample nothing but they fill the log: they are a reason for a flush. */
START_TEST(test_a_flush_comes_for_them_alone)
{
    struct vfs *vfs = vfs_mem_new();
    struct db_rig rig;
    open_on(&rig, vfs);
    ck_assert(send(&rig, "m", 1, -1, NULL, NULL));
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    ck_assert(send(&rig, "m", -1, 10, NULL, NULL));
    uint64_t n_flushes = rig.db->cell.stats.n_flushes;
    for (int i = 0; i < 4; i++) {
        clock_sim_advance_ms(&rig.clock, rig.options.flush_age_ms / 2);
        db_rig_settle(&rig);
    }
    ck_assert_uint_eq(rig.db->cell.stats.n_flushes, n_flushes + 1);
    ck_assert_uint_ne(covered_of(&rig, PAYLOAD_EXEMPLARS), UINT64_MAX);
    check(&rig);
    close_rig(&rig);
    vfs_free(vfs);
}
END_TEST

static void del(struct db_rig *rig, const char *series, ts_time from, ts_time to)
{
    lsn at;
    uint32_t ordinal = db_rig_ordinal(rig, series);
    ck_assert_int_eq(db_delete(rig->db, &ordinal, 1, (struct time_range){from, to}, &at, &rig->err),
                     ST_OK);
}

/* _i: what comes between the delete and the crash. */
START_TEST(test_deletes_take_exemplars_along)
{
    struct vfs_crash *disk = vfs_crash_new();
    struct db_rig rig;
    open_on(&rig, vfs_crash_vfs(disk));
    for (int i = 10; i < 14; i++) ck_assert(send(&rig, "m", i, i, NULL, NULL));
    ck_assert(send(&rig, "n", 12, 12, NULL, NULL));
    if (_i == 1) ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    del(&rig, "m", 11, 13);
    ck_assert_str_eq(says(&rig, "m"), "10");
    ck_assert(send(&rig, "m", 12, 12, NULL, NULL)); /* behind the delete: it stays */
    if (_i == 2) ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    for (int turn = 0; turn < 2; turn++) {
        disk = crash(&rig, disk, VFS_CRASH_DROP_ALL);
        open_on(&rig, vfs_crash_vfs(disk));
        ck_assert_str_eq(says(&rig, "m"), "10 12");
        ck_assert_str_eq(says(&rig, "n"), "12");
    }
    check(&rig);
    close_rig(&rig);
    vfs_crash_free(disk);
}
END_TEST

START_TEST(test_a_series_that_dies_takes_its_exemplars)
{
    struct vfs_crash *disk = vfs_crash_new();
    struct db_rig rig;
    open_on(&rig, vfs_crash_vfs(disk));
    ck_assert(send(&rig, "m", 1, 10, NULL, NULL));
    ck_assert(send(&rig, "n", 1, 10, NULL, NULL));
    del(&rig, "m", 0, 5); /* all samples, but not its exemplar */
    ck_assert_str_eq(says(&rig, "m"), "10");
    for (int i = 0; i < 20 && db_rig_ordinal(&rig, "m") != ORDINAL_NONE; i++) {
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
        clock_sim_advance_ms(&rig.clock, 10000);
        db_rig_settle(&rig);
    }
    ck_assert_str_eq(says(&rig, "m"), "no series");
    struct exemplar_stats stats;
    exemplars_stats(db_exemplars(rig.db), &stats);
    ck_assert_uint_eq(stats.n_exemplars, 1);
    check(&rig);
    /* Born again it begins with nothing, before and after a restart. */
    ck_assert(send(&rig, "m", 2, -1, NULL, NULL));
    ck_assert_str_eq(says(&rig, "m"), "");
    disk = crash(&rig, disk, VFS_CRASH_KEEP_ALL);
    open_on(&rig, vfs_crash_vfs(disk));
    ck_assert_str_eq(says(&rig, "m"), "");
    ck_assert_str_eq(says(&rig, "n"), "10");
    check(&rig);
    close_rig(&rig);
    vfs_crash_free(disk);
}
END_TEST

START_TEST(test_exemplars_of_no_series_and_of_histograms)
{
    struct vfs *vfs = vfs_mem_new();
    struct db_rig rig;
    struct db_stats stats;
    open_on(&rig, vfs);
    ck_assert(!send(&rig, "nobody", -1, 10, NULL, NULL)); /* makes no series */
    ck_assert_str_eq(says(&rig, "nobody"), "no series");
    db_stats(rig.db, &stats);
    ck_assert(stats.n_exemplars_no_series == 1 && stats.n_rows_refused == 0);

    struct batch *batch = db_rig_batch("h");
    struct histogram h = {.count = 1, .sum = 2};
    batch->series[0].type = VALUE_HISTOGRAM;
    ck_assert(batch_add_row(batch, 0, 5, (union value){.hist = &h}, 0));
    db_rig_send(&rig, batch);
    ck_assert_uint_eq(batch->n_stored, 1);
    batch_free(batch);
    ck_assert(send(&rig, "h", -1, 10, NULL, NULL)); /* found although it was asked for as floats */
    db_stats(rig.db, &stats);
    ck_assert_uint_eq(stats.exemplars.n_exemplars, 1);
    check(&rig);
    close_rig(&rig);
    vfs_free(vfs);
}
END_TEST

/* _i 1: the log takes no text of a family as a whole. */
START_TEST(test_more_than_a_frame_takes)
{
    enum { MANY = 3000 };
    struct vfs_crash *disk = vfs_crash_new();
    struct db_rig rig;
    struct db_stats stats;
    static char help[META_TEXT_MAX], name[MANY][16];
    size_t n = _i ? 3 : MANY, help_len = _i ? META_TEXT_MAX : 64;
    db_rig_init_on(&rig, 1, vfs_crash_vfs(disk));
    log_set_level(LOG_OFF);
    if (_i) rig.options.wal_buffer_bytes = 64 << 10;
    ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s", rig.err.text);
    struct batch *batch = db_rig_batch("m");
    ck_assert(batch_add_row(batch, 0, 1, (union value){.bits = f64_bits(1)}, 0));
    memset(help, 'h', sizeof(help));
    for (size_t i = 0; i < n; i++) {
        snprintf(name[i], sizeof(name[i]), "m%zu", i);
        struct metric_meta meta = {.family = slice_str(name[i]),
                                   .help = slice_of(help, help_len),
                                   .unit = slice_of(help, _i ? help_len : 0),
                                   .type = METRIC_GAUGE};
        ck_assert(batch_add_meta(batch, &meta));
    }
    db_rig_send(&rig, batch);
    ck_assert(batch->st == ST_OK && batch->n_stored == 1);
    batch_free(batch);
    db_stats(rig.db, &stats);
    ck_assert_uint_eq(stats.metadata.n_families, n);
    ck_assert_uint_eq(stats.n_meta_unlogged, _i ? n : 0);
    if (_i) ck_assert_int_eq(db_rig_flush(&rig), ST_OK); /* from here the file has them */
    disk = crash(&rig, disk, VFS_CRASH_DROP_ALL);
    open_on(&rig, vfs_crash_vfs(disk));
    db_stats(rig.db, &stats);
    ck_assert_uint_eq(stats.metadata.n_families, n);
    close_rig(&rig);
    vfs_crash_free(disk);
}
END_TEST

/* A history of 40 requests with flushes between; how many were answered before the power
 * went. */
static int run_history(struct db_rig *rig)
{
    char help[16];
    int n = 0;
    for (int i = 0; i < 40; i++) {
        snprintf(help, sizeof(help), "%d", i);
        if (!send(rig, i % 2 ? "odd" : "even", i, 100 + i, "m", help)) break;
        n = i + 1;
        if (i % 9 == 8 && db_rig_flush(rig) != ST_OK) break;
    }
    return n;
}

/* All that was answered is there, and at most what was under way besides. */
static void expect_history(struct db_rig *rig, int n, const char *what)
{
    for (int odd = 0; odd < 2; odd++) {
        char want[512] = "", more[600];
        int i = odd;
        for (; i < n; i += 2)
            snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s%d", want[0] ? " " : "",
                     100 + i);
        snprintf(more, sizeof(more), "%s%s%d", want, want[0] ? " " : "", 100 + i);
        const char *got = says(rig, odd ? "odd" : "even");
        if (n <= odd && strcmp(got, "no series") == 0) continue;
        ck_assert_msg(strcmp(got, want) == 0 || strcmp(got, more) == 0, "%s: %s, want %s", what,
                      got, want);
    }
    int help = n ? atoi(help_of(rig, "m")) : 0;
    ck_assert_msg(n == 0 || help == n - 1 || help == n, "%s: help %d of %d", what, help, n);
}

START_TEST(test_power_cuts)
{
    struct vfs_crash *whole = vfs_crash_new();
    struct db_rig rig;
    open_on(&rig, vfs_crash_vfs(whole));
    ck_assert_int_eq(run_history(&rig), 40);
    uint64_t n_changes = vfs_crash_n_changes(whole);
    close_rig(&rig);
    vfs_crash_free(whole);
    for (uint64_t stop = 40 + (uint64_t)_i; stop < n_changes; stop += 11) {
        struct vfs_crash *disk = vfs_crash_new();
        char what[64];
        log_set_level(LOG_OFF);
        db_rig_init_on(&rig, 1, vfs_crash_vfs(disk));
        rig.options.fail_fast = false;
        if (db_rig_open(&rig) != ST_OK) ck_abort_msg("%s", rig.err.text);
        vfs_crash_stop_after(disk, stop);
        int n = run_history(&rig);
        enum vfs_crash_variant variant = (enum vfs_crash_variant)(stop % VFS_CRASH_VARIANTS);
        snprintf(what, sizeof(what), "change %" PRIu64 ", %s", stop,
                 vfs_crash_variant_name(variant));
        disk = crash(&rig, disk, variant);
        open_on(&rig, vfs_crash_vfs(disk));
        expect_history(&rig, n, what);
        check(&rig);
        close_rig(&rig);
        vfs_crash_free(disk);
    }
}
END_TEST

START_TEST(test_every_call_on_the_files_fails_once)
{
    static const unsigned ops[] = {VFS_OP(OPEN), VFS_OP(WRITE), VFS_OP(SYNC), VFS_OP(RENAME)};
    static const char *const globs[] = {LAYOUT_EXEMPLARS "*", LAYOUT_METADATA "*"};
    for (size_t op = 0; op < ARRAY_LEN(ops); op++) {
        for (size_t file = 0; file < ARRAY_LEN(globs); file++) {
            struct vfs *disk = vfs_mem_new();
            struct vfs_fault *fault = vfs_fault_new(disk, 1);
            struct db_rig rig;
            open_on(&rig, vfs_fault_vfs(fault));
            ck_assert(send(&rig, "m", 1, 10, "m", "help"));
            vfs_fault_add(fault, &(struct vfs_fault_rule){
                                     .ops = ops[op], .glob = globs[file], .nth = 1, .st = ST_IO});
            ck_assert_int_ne(db_rig_flush(&rig), ST_OK);
            ck_assert(send(&rig, "m", 2, 11, "m", "newer"));
            clock_sim_advance_ms(&rig.clock, 600000);
            ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
            ck_assert_uint_ne(covered_of(&rig, PAYLOAD_EXEMPLARS), UINT64_MAX);
            check(&rig);
            ck_assert_int_eq(db_rig_close(&rig), ST_OK);
            ck_assert_int_eq(db_rig_open(&rig), ST_OK);
            ck_assert_str_eq(says(&rig, "m"), "10 11");
            ck_assert_str_eq(help_of(&rig, "m"), "newer");
            close_rig(&rig);
            vfs_fault_free(fault);
            vfs_free(disk);
        }
    }
}
END_TEST

/* --- damage ------------------------------------------------------------------------ */

static void bend(struct vfs *vfs, const char *path)
{
    struct vfs_file *file;
    uint64_t len;
    uint8_t byte;
    ck_assert_int_eq(vfs_open(vfs, &file, path, VFS_WRITE, NULL), ST_OK);
    ck_assert_int_eq(vfs_len(file, &len, NULL), ST_OK);
    ck_assert_int_eq(vfs_read(file, len / 2, &byte, 1, NULL), ST_OK);
    byte ^= 0x10;
    ck_assert_int_eq(vfs_write(file, len / 2, &byte, 1, NULL), ST_OK);
    vfs_close(file);
}

/* All records of a file that was damaged in its second half are read again from the log, and
 * a file that nobody can mend is no reason to stay closed. */
static void take_part(void *ctx, const struct verify_finding *finding)
{
    char *text = ctx;
    size_t len = strlen(text);
    snprintf(text + len, 256 - len, "%s %s|", verify_part_name(finding->part), finding->path);
}

static status verify(struct vfs *vfs, char text[256], struct verify_report *report)
{
    struct verify_options opt = {.finding = take_part, .ctx = text};
    text[0] = '\0';
    return verify_dir(report, vfs, &opt, NULL);
}

START_TEST(test_a_damaged_file_is_named_and_put_aside)
{
    struct vfs *vfs = vfs_mem_new();
    struct db_rig rig;
    struct verify_report report;
    char text[256];
    open_on(&rig, vfs);
    ck_assert(send(&rig, "m", 1, 10, "m", "help"));
    ck_assert(send(&rig, "m", 2, 11, "n", "help"));
    close_rig(&rig);
    ck_assert_int_eq(verify(vfs, text, &report), ST_OK);
    ck_assert(report.n_exemplars == 2 && report.n_families == 2);
    bend(vfs, LAYOUT_EXEMPLARS);
    if (_i == 1) bend(vfs, LAYOUT_METADATA);
    ck_assert_int_eq(verify(vfs, text, &report), ST_CORRUPT);
    ck_assert_str_eq(text, _i ? "exemplars exemplars.bin|metadata metadata.bin|"
                              : "exemplars exemplars.bin|");
    if (_i == 1) {
        ck_assert_int_eq(repair_dir(vfs, NULL, NULL, NULL), ST_OK);
        ck_assert_int_eq(verify(vfs, text, &report), ST_OK);
        ck_assert_uint_eq(report.n_quarantined, 2);
    }
    open_on(&rig, vfs); /* without a repair it does the same by itself */
    ck_assert_str_eq(says(&rig, "m"), "10 11"); /* the log still has them */
    ck_assert_str_eq(help_of(&rig, "m"), "help");
    ck_assert(!vfs_exists(vfs, LAYOUT_EXEMPLARS));
    ck_assert_uint_eq(rig.db->n_quarantined, _i ? 0 : 1);
    ck_assert(send(&rig, "m", 3, 12, "n", "help"));
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_str_eq(says(&rig, "m"), "10 11 12");
    ck_assert_str_eq(help_of(&rig, "n"), "help");
    close_rig(&rig);
    ck_assert_int_eq(verify(vfs, text, &report), ST_OK);
    vfs_free(vfs);
}
END_TEST

/* --- snapshots --------------------------------------------------------------------- */

static void made(void *ctx, status st, const struct snapshot_info *info, const struct err *err)
{
    (void)info;
    ck_assert_msg(st == ST_OK, "%s", err->text);
    *(bool *)ctx = true;
}

START_TEST(test_a_snapshot_has_them)
{
    struct vfs *vfs = vfs_mem_new(), *dir;
    struct db_rig rig, copy;
    bool done = false;
    open_on(&rig, vfs);
    ck_assert(send(&rig, "m", 1, 10, "m", "old"));
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    ck_assert(send(&rig, "m", 2, 11, "m", "new"));
    db_snapshot(rig.db, &(struct snapshot_ask){.name = SLICE_LIT("s"), .skip_head = _i == 1}, made,
                &done);
    for (int i = 0; !done; i++) {
        ck_assert_int_lt(i, 1000);
        if (i == 3) ck_assert(send(&rig, "m", 3, 12, "m", "later"));
        clock_sim_advance_ms(&rig.clock, 1);
        db_rig_settle(&rig);
    }
    close_rig(&rig);
    ck_assert_int_eq(vfs_sub_open(&dir, vfs, "snapshots/s", NULL), ST_OK);
    open_on(&copy, dir);
    const char *has = says(&copy, "m");
    ck_assert_msg(strcmp(has, "10 11") == 0 || strcmp(has, "10 11 12") == 0, "%s", has);
    ck_assert_str_ne(help_of(&copy, "m"), "old");
    check(&copy);
    close_rig(&copy);
    vfs_free(dir);
    vfs_free(vfs);
}
END_TEST

Suite *suite_meta_files(void)
{
    Suite *suite = suite_create("meta_files");
    TCase *tc = tcase_create("meta_files");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_what_was_answered_survives_a_kill);
    tcase_add_test(tc, test_files_are_written_by_flushes_that_have_news);
    tcase_add_test(tc, test_a_flush_comes_for_them_alone);
    tcase_add_loop_test(tc, test_deletes_take_exemplars_along, 0, 3);
    tcase_add_test(tc, test_a_series_that_dies_takes_its_exemplars);
    tcase_add_test(tc, test_exemplars_of_no_series_and_of_histograms);
    tcase_add_loop_test(tc, test_more_than_a_frame_takes, 0, 2);
    tcase_add_loop_test(tc, test_power_cuts, 0, 4);
    tcase_add_test(tc, test_every_call_on_the_files_fails_once);
    tcase_add_loop_test(tc, test_a_damaged_file_is_named_and_put_aside, 0, 2);
    tcase_add_loop_test(tc, test_a_snapshot_has_them, 0, 2);
    suite_add_tcase(suite, tc);
    return suite;
}
