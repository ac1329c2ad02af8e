/* Goal: each variant of power loss loses what it may and nothing that was synced.
 * Method: small scenes with the content wanted after each variant; random histories for
 * what must hold always: keep-all is the disk as it was, the same seed is the same disk,
 * and synced things survive everything. */
#include "tests/lib/vfs_crash.h"

#include "base/mem.h"
#include "base/panic.h"
#include "base/rng.h"
#include "base/strbuf.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

static struct vfs_crash *disk;
static struct vfs *vfs;

static void setup(void)
{
    disk = vfs_crash_new();
    vfs = vfs_crash_vfs(disk);
}

static void teardown(void)
{
    vfs_crash_free(disk);
}

static void put(const char *path, uint64_t off, const char *text, bool sync)
{
    struct vfs_file *file;
    if (vfs_open(vfs, &file, path, VFS_WRITE, NULL) != ST_OK)
        ck_assert_int_eq(vfs_open(vfs, &file, path, VFS_CREATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, off, text, strlen(text), NULL), ST_OK);
    if (sync) ck_assert_int_eq(vfs_sync(file, NULL), ST_OK);
    vfs_close(file);
}

static void sync_dir(const char *path)
{
    ck_assert_int_eq(vfs_sync_dir(vfs, path, NULL), ST_OK);
}

/* The content of path, NUL bytes as '0', or "-" when it is not there. */
static const char *content(struct vfs *from, const char *path)
{
    static char text[1000];
    uint8_t *bytes;
    size_t len;
    if (vfs_read_file(from, path, sizeof(text) - 1, &bytes, &len, NULL) != ST_OK) return "-";
    for (size_t i = 0; i < len; i++) text[i] = bytes[i] ? (char)bytes[i] : '0';
    text[len] = 0;
    mem_free(bytes);
    return text;
}

static void expect_after(enum vfs_crash_variant variant, const char *path, const char *want)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct vfs_crash *after = vfs_crash_cut(disk, variant, seed);
        const char *got = content(vfs_crash_vfs(after), path);
        ck_assert_msg(strcmp(got, want) == 0, "%s: %s is '%s', not '%s'",
                      vfs_crash_variant_name(variant), path, got, want);
        ck_assert_uint_eq(vfs_crash_n_pending(after), 0);
        vfs_crash_free(after);
    }
}

START_TEST(test_rename_without_any_sync)
{
    put("f", 0, "old", true);
    sync_dir(".");
    put("f.tmp", 0, "newer", false);
    ck_assert_int_eq(vfs_rename(vfs, "f.tmp", "f", NULL), ST_OK);
    ck_assert_str_eq(content(vfs, "f"), "newer");
    expect_after(VFS_CRASH_DROP_ALL, "f", "old");
    expect_after(VFS_CRASH_KEEP_ALL, "f", "newer");
    expect_after(VFS_CRASH_RENAME_FIRST, "f", ""); /* the zero-length file */
    expect_after(VFS_CRASH_ZEROS, "f", "00000");
    expect_after(VFS_CRASH_NO_DIRSYNC, "f", "old");
    expect_after(VFS_CRASH_UNLINK_FIRST, "f", "old");
    expect_after(VFS_CRASH_KEEP_ALL, "f.tmp", "-");
}
END_TEST

START_TEST(test_synced_file_without_its_name)
{
    put("f", 0, "text", true);
    expect_after(VFS_CRASH_DROP_ALL, "f", "-");
    expect_after(VFS_CRASH_NO_DIRSYNC, "f", "-");
    expect_after(VFS_CRASH_RENAME_FIRST, "f", "text");
    expect_after(VFS_CRASH_ZEROS, "f", "text");
    sync_dir(".");
    for (int v = 0; v < VFS_CRASH_VARIANTS; v++) expect_after(v, "f", "text");
}
END_TEST

START_TEST(test_removal_before_the_replacement)
{
    put("old", 0, "old", true);
    sync_dir(".");
    put("new", 0, "new", true);
    ck_assert_int_eq(vfs_remove(vfs, "old", NULL), ST_OK);
    expect_after(VFS_CRASH_UNLINK_FIRST, "old", "-");
    expect_after(VFS_CRASH_UNLINK_FIRST, "new", "-");
    expect_after(VFS_CRASH_DROP_ALL, "old", "old");
    expect_after(VFS_CRASH_KEEP_ALL, "new", "new");
}
END_TEST

START_TEST(test_overwriting_and_cutting)
{
    put("f", 0, "abcdef", true);
    sync_dir(".");
    struct vfs_file *file;
    ck_assert_int_eq(vfs_open(vfs, &file, "f", VFS_WRITE, NULL), ST_OK);
    ck_assert_int_eq(vfs_truncate(file, 2, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 3, "XY", 2, NULL), ST_OK);
    vfs_close(file);
    ck_assert_str_eq(content(vfs, "f"), "ab0XY");
    expect_after(VFS_CRASH_DROP_ALL, "f", "abcdef");
    expect_after(VFS_CRASH_ZEROS, "f", "ab000"); /* what was cut does not come back */
    expect_after(VFS_CRASH_RENAME_FIRST, "f", "abcdef");
    struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_STALE, 3);
    const char *got = content(vfs_crash_vfs(after), "f");
    ck_assert_uint_eq(strlen(got), 5);
    ck_assert(strncmp(got, "ab", 2) == 0 && strcmp(got, "ab000") != 0);
    vfs_crash_free(after);
}
END_TEST

/* A rename between directories is one change: never both names gone. Syncing the new
 * directory settles it; syncing the old one only when something later there depends on
 * it. */
START_TEST(test_rename_between_directories)
{
    ck_assert_int_eq(vfs_mkdir_all(vfs, "a", NULL), ST_OK);
    ck_assert_int_eq(vfs_mkdir_all(vfs, "b", NULL), ST_OK);
    put("a/f", 0, "text", true);
    put("b/f", 0, "other", true);
    sync_dir("a");
    sync_dir("b");
    ck_assert_int_eq(vfs_remove(vfs, "b/f", NULL), ST_OK); /* before it, in b */
    ck_assert_int_eq(vfs_rename(vfs, "a/f", "b/f", NULL), ST_OK);
    for (int v = 0; v < VFS_CRASH_VARIANTS; v++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct vfs_crash *after = vfs_crash_cut(disk, v, seed);
            bool in_a = strcmp(content(vfs_crash_vfs(after), "a/f"), "text") == 0;
            bool in_b = strcmp(content(vfs_crash_vfs(after), "b/f"), "text") == 0;
            ck_assert_msg(in_a != in_b, "%s", vfs_crash_variant_name(v));
            vfs_crash_free(after);
        }
    }
    if (_i == 1) put("a/f", 0, "again", true);
    sync_dir("a");
    expect_after(VFS_CRASH_DROP_ALL, "a/f", _i ? "again" : "text");
    expect_after(VFS_CRASH_DROP_ALL, "b/f", _i ? "text" : "other");
    sync_dir("b");
    ck_assert_uint_eq(vfs_crash_n_pending(disk), 0);
    expect_after(VFS_CRASH_DROP_ALL, "b/f", "text");
    expect_after(VFS_CRASH_DROP_ALL, "a/f", _i ? "again" : "-");
}
END_TEST

START_TEST(test_blocks_tear_writes)
{
    enum { LEN = 4096 };
    static char text[LEN + 1];
    bool seen_torn = false, seen_mixed = false;
    struct vfs_file *file;

    memset(text, 'o', LEN);
    put("f", 0, text, true);
    sync_dir(".");
    memset(text, 'n', LEN);
    put("f", 100, text, false);
    ck_assert_int_eq(vfs_open(vfs, &file, "f", VFS_READ, NULL), ST_OK);
    vfs_close(file);
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_BLOCKS, seed);
        uint8_t *bytes;
        size_t len, n_edges = 0;
        ck_assert_int_eq(vfs_read_file(vfs_crash_vfs(after), "f", 1 << 20, &bytes, &len, NULL),
                         ST_OK);
        ck_assert(len >= LEN && len <= LEN + 100);
        for (size_t i = 0; i < 100; i++) ck_assert_int_eq(bytes[i], 'o');
        for (size_t i = 101; i < LEN; i++) {
            if (bytes[i] == bytes[i - 1]) continue;
            n_edges++;
            if (i % 512 != 0) seen_torn = true;
        }
        if (n_edges > 1) seen_mixed = true;
        mem_free(bytes);
        vfs_crash_free(after);
    }
    ck_assert(seen_torn && seen_mixed);
}
END_TEST

START_TEST(test_prefixes_keep_the_order)
{
    bool seen[6] = {false}, seen_apart = false;
    put("a", 0, "", true);
    put("b", 0, "", true);
    sync_dir(".");
    for (int i = 1; i <= 4; i++) {
        char text[2] = {(char)('0' + i), 0};
        put(i % 2 ? "a" : "b", 0, text, false);
    }
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_PREFIX, seed);
        int a = content(vfs_crash_vfs(after), "a")[0], b = content(vfs_crash_vfs(after), "b")[0];
        a = a ? a - '0' : 0;
        b = b ? b - '0' : 0;
        ck_assert(a == 0 ? b == 0 : a == b + 1 || b == a + 1);
        seen[a > b ? a : b] = true;
        vfs_crash_free(after);
        after = vfs_crash_cut(disk, VFS_CRASH_PER_FILE, seed);
        seen_apart |= content(vfs_crash_vfs(after), "b")[0] == '4' &&
                      content(vfs_crash_vfs(after), "a")[0] == 0;
        vfs_crash_free(after);
    }
    for (int i = 0; i <= 4; i++) ck_assert_msg(seen[i], "never cut after %d", i);
    ck_assert(seen_apart);
}
END_TEST

START_TEST(test_power_stops_after_the_nth_change)
{
    struct vfs_file *file;
    ck_assert_int_eq(vfs_mkdir(vfs, "d", NULL), ST_OK);
    vfs_crash_stop_after(disk, 3);
    ck_assert_int_eq(vfs_open(vfs, &file, "d/f", VFS_CREATE, NULL), ST_OK);
    ck_assert(!vfs_crash_stopped(disk));
    ck_assert_int_eq(vfs_write(file, 0, "abc", 3, NULL), ST_OK);
    ck_assert(vfs_crash_stopped(disk));
    ck_assert_int_eq(vfs_write(file, 0, "xyz", 3, NULL), ST_IO);
    ck_assert_int_eq(vfs_sync(file, NULL), ST_IO);
    ck_assert_int_eq(vfs_sync_dir(vfs, ".", NULL), ST_IO);
    ck_assert_int_eq(vfs_mkdir(vfs, "e", NULL), ST_IO);
    ck_assert_int_eq(vfs_rename(vfs, "d/f", "f", NULL), ST_IO);
    ck_assert_int_eq(vfs_remove(vfs, "d/f", NULL), ST_IO);
    char back[3];
    ck_assert_int_eq(vfs_read(file, 0, back, 3, NULL), ST_IO);
    vfs_close(file);
    ck_assert_uint_eq(vfs_crash_n_changes(disk), 3);
    ck_assert_uint_eq(vfs_crash_n_pending(disk), 3);
    expect_after(VFS_CRASH_KEEP_ALL, "d/f", "abc");
    expect_after(VFS_CRASH_DROP_ALL, "d/f", "-");
    vfs_crash_stop_after(disk, UINT64_MAX);
    ck_assert_str_eq(content(vfs, "d/f"), "abc"); /* the refused calls did nothing */
    ck_assert(!vfs_exists(vfs, "e"));
}
END_TEST

/* ---- random histories ---- */

struct dump {
    struct vfs *vfs;
    struct strbuf out;
    char path[VFS_PATH_MAX];
};

static status dump_entry(void *ctx, const struct vfs_entry *entry)
{
    struct dump *dump = ctx;
    size_t len = strlen(dump->path);
    (void)snprintf(dump->path + len, sizeof(dump->path) - len, "%s" SLICE_FMT, len ? "/" : "",
                   SLICE_ARG(entry->name));
    strbuf_printf(&dump->out, "%s=", dump->path);
    if (entry->is_dir) {
        strbuf_str(&dump->out, "dir ");
        ck_assert_int_eq(vfs_list(dump->vfs, dump->path, dump_entry, dump, NULL), ST_OK);
    } else {
        strbuf_printf(&dump->out, "%s ", content(dump->vfs, dump->path));
    }
    dump->path[len] = 0;
    return ST_OK;
}

/* The whole tree as text, owned by the caller. */
static char *dump_tree(struct vfs *of)
{
    struct dump dump = {.vfs = of};
    strbuf_init(&dump.out, 0);
    ck_assert_int_eq(vfs_list(of, ".", dump_entry, &dump, NULL), ST_OK);
    char *text = strdup(strbuf_cstr(&dump.out));
    strbuf_release(&dump.out);
    return text;
}

static void random_name(struct rng *rng, char *name)
{
    static const char *const dirs[] = {"", "d/", "e/", "d/s/"};
    (void)snprintf(name, 16, "%s%c", dirs[rng_below(rng, 4)], (char)('k' + rng_below(rng, 4)));
}

/* One random call on two file systems, which must agree. */
static void random_call(struct rng *rng, struct vfs *one, struct vfs *two)
{
    char a[16], b[16];
    struct vfs_file *f = NULL, *g = NULL;
    random_name(rng, a);
    random_name(rng, b);
    uint64_t off = rng_below(rng, 20);
    switch (rng_below(rng, 7)) {
    case 0:
        ck_assert_int_eq(vfs_rename(one, a, b, NULL), vfs_rename(two, a, b, NULL));
        return;
    case 1: ck_assert_int_eq(vfs_link(one, a, b, NULL), vfs_link(two, a, b, NULL)); return;
    case 2: ck_assert_int_eq(vfs_remove(one, a, NULL), vfs_remove(two, a, NULL)); return;
    case 3: ck_assert_int_eq(vfs_sync_dir(one, off % 2 ? "." : "d", NULL), ST_OK); return;
    default: break;
    }
    enum vfs_mode mode = (enum vfs_mode)(1 + rng_below(rng, 3));
    ck_assert_int_eq(vfs_open(one, &f, a, mode, NULL), vfs_open(two, &g, a, mode, NULL));
    if (!f) return;
    char text[4] = {(char)('a' + rng_below(rng, 26)), 'x', 'y', 0};
    ck_assert_int_eq(vfs_write(f, off, text, 3, NULL), vfs_write(g, off, text, 3, NULL));
    if (off % 5 == 0) ck_assert_int_eq(vfs_truncate(f, off, NULL), vfs_truncate(g, off, NULL));
    if (off % 3 == 0) ck_assert_int_eq(vfs_sync(f, NULL), ST_OK);
    vfs_close(f);
    vfs_close(g);
}

START_TEST(test_random_history)
{
    struct vfs *model = vfs_mem_new();
    struct rng rng;
    uint64_t seed = unit_seed() + (uint64_t)_i;
    static const char *const dirs[] = {"d", "e", "d/s"};

    rng_init(&rng, seed);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(vfs_mkdir_all(vfs, dirs[i], NULL), ST_OK);
        ck_assert_int_eq(vfs_mkdir_all(model, dirs[i], NULL), ST_OK);
    }
    for (int step = 0; step < 300; step++) random_call(&rng, vfs, model);
    char *now = dump_tree(vfs), *want = dump_tree(model);
    ck_assert_str_eq(now, want); /* without power loss it is vfs_mem */

    for (int v = 0; v < VFS_CRASH_VARIANTS; v++) {
        struct vfs_crash *one = vfs_crash_cut(disk, v, seed);
        struct vfs_crash *two = vfs_crash_cut(disk, v, seed);
        struct vfs_crash *again = vfs_crash_cut(one, VFS_CRASH_DROP_ALL, 1);
        char *a = dump_tree(vfs_crash_vfs(one)), *b = dump_tree(vfs_crash_vfs(two));
        char *c = dump_tree(vfs_crash_vfs(again));
        ck_assert_str_eq(a, b); /* the seed decides everything */
        ck_assert_str_eq(a, c); /* and what is left is durable */
        if (v == VFS_CRASH_KEEP_ALL) ck_assert_str_eq(a, now);
        for (size_t i = 0; i < 3; i++) ck_assert(vfs_exists(vfs_crash_vfs(one), dirs[i]));
        free(a), free(b), free(c);
        vfs_crash_free(one), vfs_crash_free(two), vfs_crash_free(again);
    }
    char *after = dump_tree(vfs);
    ck_assert_str_eq(now, after); /* a cut leaves the disk alone */
    free(now), free(want), free(after);
    vfs_free(model);
}
END_TEST

START_TEST(test_hard_links_stay_one_file)
{
    put("a", 0, "text", true);
    ck_assert_int_eq(vfs_link(vfs, "a", "b", NULL), ST_OK);
    struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_KEEP_ALL, 0);
    struct vfs_file *file;
    ck_assert_int_eq(vfs_open(vfs_crash_vfs(after), &file, "a", VFS_WRITE, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 0, "T", 1, NULL), ST_OK);
    vfs_close(file);
    ck_assert_str_eq(content(vfs_crash_vfs(after), "b"), "Text");
    vfs_crash_free(after);
}
END_TEST

START_TEST(test_rot_damages_one_file)
{
    static const char *const kinds[] = {"bits", "sector", "swap", "cut", "lost"};
    static char text[2000];
    bool seen[5] = {false};
    char path[VFS_PATH_MAX];

    for (size_t i = 0; i + 1 < sizeof(text); i++) text[i] = (char)('a' + i / 100);
    ck_assert_int_eq(vfs_mkdir_all(vfs, "d/e", NULL), ST_OK);
    put("d/e/f", 0, text, true);
    put("d/g", 0, text, true);
    sync_dir("d");
    sync_dir("d/e");
    char *before = dump_tree(vfs);
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_DROP_ALL, 0);
        const char *what = vfs_crash_rot(after, "d/e/*", seed, path);
        ck_assert_ptr_nonnull(what);
        ck_assert_str_eq(path, "d/e/f");
        for (size_t k = 0; k < 5; k++) seen[k] |= strcmp(what, kinds[k]) == 0;
        uint8_t *bytes = NULL;
        size_t len = 0;
        (void)!vfs_read_file(vfs_crash_vfs(after), "d/e/f", 4000, &bytes, &len, NULL);
        ck_assert_msg(!bytes || len != strlen(text) || memcmp(bytes, text, len) != 0, "%s did "
                      "nothing", what);
        mem_free(bytes);
        ck_assert(vfs_exists(vfs_crash_vfs(after), "d/g"));
        vfs_crash_free(after);
    }
    for (size_t k = 0; k < 5; k++) ck_assert_msg(seen[k], "%s never", kinds[k]);
    ck_assert_ptr_null(vfs_crash_rot(disk, "nothing*", 1, NULL));
    char *after = dump_tree(vfs);
    ck_assert_str_eq(before, after);
    free(before), free(after);
}
END_TEST

Suite *suite_vfs_crash(void)
{
    Suite *suite = suite_create("vfs_crash");
    TCase *tc = tcase_create("vfs_crash");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_rename_without_any_sync);
    tcase_add_test(tc, test_synced_file_without_its_name);
    tcase_add_test(tc, test_removal_before_the_replacement);
    tcase_add_test(tc, test_overwriting_and_cutting);
    tcase_add_loop_test(tc, test_rename_between_directories, 0, 2);
    tcase_add_test(tc, test_blocks_tear_writes);
    tcase_add_test(tc, test_prefixes_keep_the_order);
    tcase_add_test(tc, test_power_stops_after_the_nth_change);
    tcase_add_loop_test(tc, test_random_history, 0, 10);
    tcase_add_test(tc, test_hard_links_stay_one_file);
    tcase_add_test(tc, test_rot_damages_one_file);
    suite_add_tcase(suite, tc);
    return suite;
}
