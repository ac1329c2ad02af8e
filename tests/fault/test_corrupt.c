/* Goal: one changed byte anywhere in a stopped directory never gives a wrong value. The
 * database opens with the right samples, or with the damage put aside or named and some
 * samples missing, or it refuses; it never shows a sample that nobody wrote, and
 * verify_dir() never calls a directory clean from which a read then fails. Repair makes
 * it clean. Method: a history is stopped cleanly and by a power cut; sampled offsets of
 * every file get three patterns, each on a copy, which is then opened, read as a whole
 * and compared with the model.
 *
 * TSINK_LONG=1: every offset. TSINK_SEED chooses the offsets of the short form. */
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "engine/repair.h"
#include "storage/linkset.h"
#include "tests/fault/fault_suites.h"
#include "tests/lib/db_history.h"
#include "tests/lib/vfs_crash.h"

enum { OFFSETS = 6 };

static const struct pattern {
    const char *name;
    uint8_t flip;            /* 0: the byte becomes 0, or 0xff when it is */
} patterns[] = {{"low bit", 0x01}, {"high bit", 0x80}, {"zero", 0}};

/* A directory that nobody has open, and what it holds. */
struct corpus {
    struct vfs_crash *disk;
    struct db_history history;
    struct linkset files;
    uint64_t seed;
};

static void rig_for(struct db_rig *rig, struct vfs *vfs, uint64_t seed, enum db_wal_replay mode)
{
    db_rig_init_on(rig, seed, vfs);
    rig->options.chunk_points = 64;
    rig->options.wal_flush_bytes = 16 << 10;
    rig->options.wal_replay = mode;
}

/* clean: stopped in good order, so that all is in segments; else the log has the rest. */
static void make_corpus(struct corpus *corpus, uint64_t seed, bool clean)
{
    struct db_rig rig;
    struct vfs_crash *disk = vfs_crash_new();
    *corpus = (struct corpus){.seed = seed};
    rig_for(&rig, vfs_crash_vfs(disk), seed, DB_REPLAY_STRICT);
    db_history_init(&corpus->history, seed);
    corpus->history.restarts = 0;
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    for (int i = 0; i < 50; i++) ck_assert(db_history_step(&corpus->history, &rig));
    db_rig_settle(&rig);
    if (clean) ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    corpus->disk = vfs_crash_cut(disk, VFS_CRASH_KEEP_ALL, seed);
    if (!clean) (void)db_rig_close(&rig);
    db_rig_release(&rig);
    vfs_crash_free(disk);
    linkset_init(&corpus->files);
    ck_assert_int_eq(linkset_scan(&corpus->files, vfs_crash_vfs(corpus->disk), NULL, NULL), ST_OK);
}

static void free_corpus(struct corpus *corpus)
{
    linkset_release(&corpus->files);
    db_history_release(&corpus->history);
    vfs_crash_free(corpus->disk);
}

static void change_byte(struct vfs *vfs, const char *path, uint64_t off,
                        const struct pattern *pattern)
{
    struct vfs_file *file;
    uint8_t byte;
    ck_assert_int_eq(vfs_open(vfs, &file, path, VFS_WRITE, NULL), ST_OK);
    ck_assert_int_eq(vfs_read(file, off, &byte, 1, NULL), ST_OK);
    byte = pattern->flip ? byte ^ pattern->flip : byte ? 0 : 0xff;
    ck_assert_int_eq(vfs_write(file, off, &byte, 1, NULL), ST_OK);
    ck_assert_int_eq(vfs_sync(file, NULL), ST_OK);
    vfs_close(file);
}

/* Every sample that can be read was written by the history at some time. */
static void expect_no_phantom(struct db_rig *rig, const struct corpus *corpus, const char *what)
{
    const char *why = db_history_phantom(&corpus->history, rig);
    ck_assert_msg(!why, "%s: %s", what, why);
}

/* A copy with the byte changed is opened; *seen says whether anything told of it. */
static void try_open(const struct corpus *corpus, struct vfs *vfs, const char *what, bool *loud)
{
    struct db_rig rig;
    struct model_db model = {0};
    rig_for(&rig, vfs, corpus->seed, DB_REPLAY_STRICT);
    *loud = db_rig_open(&rig) != ST_OK;
    if (!*loud) {
        struct db_stats stats;
        db_stats(rig.db, &stats);
        db_history_replay(&corpus->history, 0, corpus->history.n, &model);
        const char *why = db_history_differs(&rig, &model);
        model_db_release(&model);
        expect_no_phantom(&rig, corpus, what);
        *loud = stats.n_quarantined > 0 || stats.replay_torn_bytes > 0;
        if (why && !*loud) {
            struct err err = {.st = ST_OK};
            *loud = db_check(rig.db, &err) != ST_OK; /* reads say it too */
        }
        ck_assert_msg(!why || *loud, "%s: %s, and nothing told", what, why);
        db_rig_settle(&rig);
        (void)db_rig_close(&rig);
    }
    db_rig_release(&rig);
}

static void count_finding(void *ctx, const struct verify_finding *finding)
{
    (void)finding;
    ++*(unsigned *)ctx;
}

/* What verification says of the copy; what it says is damaged is repaired. */
static void try_repair(const struct corpus *corpus, struct vfs *vfs, const char *path,
                       const char *what)
{
    struct verify_report report;
    unsigned n = 0;
    struct verify_options opt = {.finding = count_finding, .ctx = &n};
    struct err err = {.st = ST_OK};
    struct db_rig rig;
    if (verify_dir(&report, vfs, &opt, &err) == ST_OK) return;
    ck_assert_msg(n > 0 || err.st == ST_NOT_FOUND, "%s: %s", what, err.text);
    status st = repair_dir(vfs, NULL, NULL, &err);
    if (strcmp(path, LAYOUT_DATABASE) == 0) {
        ck_assert_msg(st != ST_OK, "%s: repaired what cannot be", what);
        return;
    }
    ck_assert_msg(st == ST_OK, "%s: repair: %s", what, err.text);
    st = verify_dir(&report, vfs, &opt, &err);
    ck_assert_msg(st == ST_OK, "%s: after repair: %s", what, err.text);
    rig_for(&rig, vfs, corpus->seed, DB_REPLAY_STRICT);
    ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s: open after repair: %s", what, rig.err.text);
    expect_no_phantom(&rig, corpus, what);
    db_rig_settle(&rig);
    ck_assert_msg(db_check(rig.db, &err) == ST_OK, "%s: check after repair: %s", what, err.text);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}

static void corrupt_once(const struct corpus *corpus, const struct linkset_file *file,
                         uint64_t off, const struct pattern *pattern, uint64_t *n_loud)
{
    char what[VFS_PATH_MAX + 64];
    bool loud;
    snprintf(what, sizeof(what), "%s, offset %llu, %s", file->path, (unsigned long long)off,
             pattern->name);
    for (int round = 0; round < 2; round++) {
        struct vfs_crash *copy = vfs_crash_cut(corpus->disk, VFS_CRASH_KEEP_ALL, corpus->seed);
        struct vfs *vfs = vfs_crash_vfs(copy);
        change_byte(vfs, file->path, off, pattern);
        if (round == 0) {
            try_open(corpus, vfs, what, &loud);
            *n_loud += loud;
        } else {
            try_repair(corpus, vfs, file->path, what);
        }
        vfs_crash_free(copy);
    }
}

/* The log's files are mostly room that was made ready: of those the part with frames. */
static uint64_t len_of_interest(const struct linkset_file *file)
{
    return strncmp(file->path, "wal/", 4) == 0 && file->len > 16384 ? 16384 : file->len;
}

START_TEST(test_one_changed_byte)
{
    uint64_t seed = unit_seed(), n_cases = 0, n_loud = 0;
    bool all = getenv("TSINK_LONG") != NULL;
    struct corpus corpus;
    struct rng rng;
    log_set_level(LOG_OFF);
    rng_init(&rng, seed);
    make_corpus(&corpus, seed, _i == 0);
    for (size_t i = 0; i < corpus.files.n; i++) {
        const struct linkset_file *file = &corpus.files.files[i];
        uint64_t len = len_of_interest(file);
        uint64_t stride = all || len < OFFSETS ? 1 : len / OFFSETS;
        for (uint64_t at = 0; at < len; at += stride) {
            uint64_t off = at + (stride > 1 ? rng_below(&rng, stride) : 0);
            if (off >= len) break;
            size_t first = all ? 0 : rng_below(&rng, 3), last = all ? 2 : first;
            for (size_t p = first; p <= last; p++) {
                corrupt_once(&corpus, file, off, &patterns[p], &n_loud);
                n_cases++;
            }
        }
    }
    printf("REL single_byte_corruption files=%zu cases=%llu noticed=%llu wrong=0 goal=0\n",
           corpus.files.n, (unsigned long long)n_cases, (unsigned long long)n_loud);
    ck_assert_uint_gt(n_loud, n_cases / 4);
    free_corpus(&corpus);
}
END_TEST

Suite *suite_corrupt(void)
{
    Suite *s = suite_create("corrupt");
    TCase *tc = tcase_create("corrupt");
    tcase_set_timeout(tc, 24 * 3600);
    tcase_add_loop_test(tc, test_one_changed_byte, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}
