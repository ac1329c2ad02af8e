/* Goal: after durable_replace() and durable_rename_dir() power loss leaves the old or
 * the new, whole, and after success only the new. Method: power cut after every change
 * of the protocol, in every variant; then every call of it failing. */
#include "base/durable.h"

#include "base/mem.h"
#include "tests/lib/vfs_crash.h"
#include "tests/lib/vfs_fault.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

enum { LEN = 3000, SEEDS = 20 };

static uint8_t old_bytes[LEN], new_bytes[LEN + 100];

static void fill(void)
{
    for (size_t i = 0; i < sizeof(new_bytes); i++) new_bytes[i] = (uint8_t)(i * 3 + 1);
    for (size_t i = 0; i < sizeof(old_bytes); i++) old_bytes[i] = (uint8_t)(i * 5 + 2);
}

static bool holds(struct vfs *vfs, const char *path, const uint8_t *want, size_t want_len)
{
    uint8_t *bytes;
    size_t len;
    if (vfs_read_file(vfs, path, 1 << 20, &bytes, &len, NULL) != ST_OK) return false;
    bool same = len == want_len && memcmp(bytes, want, len) == 0;
    mem_free(bytes);
    return same;
}

START_TEST(test_replace_survives_power_loss)
{
    uint64_t n_before = 0, n_after = 0, seed = unit_seed();

    fill();
    for (uint64_t stop = 0;; stop++) {
        struct vfs_crash *disk = vfs_crash_new();
        struct vfs *vfs = vfs_crash_vfs(disk);
        ck_assert_int_eq(vfs_mkdir_all(vfs, "d", NULL), ST_OK);
        ck_assert_int_eq(durable_replace(vfs, "d/f", old_bytes, LEN, NULL), ST_OK);
        ck_assert_uint_eq(vfs_crash_n_pending(disk), 0);
        vfs_crash_stop_after(disk, vfs_crash_n_changes(disk) + stop);
        status st = durable_replace(vfs, "d/f", new_bytes, sizeof(new_bytes), NULL);

        for (int variant = 0; variant < VFS_CRASH_VARIANTS; variant++) {
            for (uint64_t i = 0; i < SEEDS; i++) {
                struct vfs_crash *after = vfs_crash_cut(disk, variant, seed + i);
                bool old = holds(vfs_crash_vfs(after), "d/f", old_bytes, LEN);
                bool new = holds(vfs_crash_vfs(after), "d/f", new_bytes, sizeof(new_bytes));
                ck_assert_msg(st == ST_OK ? new : old || new, "after %d changes, %s, seed %d",
                              (int)stop, vfs_crash_variant_name(variant), (int)i);
                n_before += old;
                n_after += new;
                vfs_crash_free(after);
            }
        }
        vfs_crash_free(disk);
        if (st == ST_OK) break;
        ck_assert_uint_lt(stop, 100);
    }
    ck_assert_uint_gt(n_before, 0); /* the cuts came at both sides */
    ck_assert_uint_gt(n_after, 0);
}
END_TEST

/* A segment in small: a directory with one synced file, published. */
static status publish_dir(struct vfs *vfs)
{
    struct vfs_file *file;
    TRY(vfs_mkdir(vfs, "staging/seg", NULL));
    TRY(vfs_open(vfs, &file, "staging/seg/f", VFS_CREATE, NULL));
    status st = vfs_write(file, 0, new_bytes, LEN, NULL);
    if (st == ST_OK) st = vfs_sync(file, NULL);
    vfs_close(file);
    return st == ST_OK ? durable_rename_dir(vfs, "staging/seg", "live/seg", NULL) : st;
}

START_TEST(test_published_directory_is_whole_or_absent)
{
    uint64_t seed = unit_seed(), n_seen = 0;

    fill();
    for (uint64_t stop = 0;; stop++) {
        struct vfs_crash *disk = vfs_crash_new();
        struct vfs *vfs = vfs_crash_vfs(disk);
        ck_assert_int_eq(vfs_mkdir_all(vfs, "staging", NULL), ST_OK);
        ck_assert_int_eq(vfs_mkdir_all(vfs, "live", NULL), ST_OK);
        vfs_crash_stop_after(disk, vfs_crash_n_changes(disk) + stop);
        status st = publish_dir(vfs);

        for (int variant = 0; variant < VFS_CRASH_VARIANTS; variant++) {
            for (uint64_t i = 0; i < SEEDS; i++) {
                struct vfs_crash *after = vfs_crash_cut(disk, variant, seed + i);
                bool seen = vfs_exists(vfs_crash_vfs(after), "live/seg");
                bool whole = holds(vfs_crash_vfs(after), "live/seg/f", new_bytes, LEN);
                ck_assert_msg(seen == whole && (st != ST_OK || whole),
                              "after %d changes, %s, seed %d", (int)stop,
                              vfs_crash_variant_name(variant), (int)i);
                n_seen += seen;
                vfs_crash_free(after);
            }
        }
        vfs_crash_free(disk);
        if (st == ST_OK) break;
        ck_assert_uint_lt(stop, 100);
    }
    ck_assert_uint_gt(n_seen, 0);
}
END_TEST

START_TEST(test_every_failing_call_leaves_the_old)
{
    fill();
    for (uint64_t nth = 1;; nth++) {
        struct vfs *disk = vfs_mem_new();
        struct vfs_fault *fault = vfs_fault_new(disk, 1);
        struct vfs *vfs = vfs_fault_vfs(fault);
        struct err err = {0};
        ck_assert_int_eq(durable_replace(vfs, "f", old_bytes, LEN, NULL), ST_OK);
        unsigned rule = vfs_fault_add(
            fault, &(struct vfs_fault_rule){.ops = VFS_OP_ALL & ~VFS_OP(REMOVE), .nth = nth,
                                            .st = ST_NO_SPACE, .short_max = 100});
        status st = durable_replace(vfs, "f", new_bytes, sizeof(new_bytes), &err);
        bool fired = vfs_fault_n_fired(fault, rule) > 0;
        ck_assert_int_eq(st, fired ? ST_NO_SPACE : ST_OK);
        if (fired) ck_assert_msg(strstr(err.text, "replace f: "), "%s", err.text);
        bool new = holds(disk, "f", new_bytes, sizeof(new_bytes));
        ck_assert(new || holds(disk, "f", old_bytes, LEN));
        ck_assert(!vfs_exists(disk, "f.tmp"));
        vfs_fault_free(fault);
        vfs_free(disk);
        if (!fired) break;
        ck_assert_uint_lt(nth, 100);
    }
}
END_TEST

START_TEST(test_unclean_paths)
{
    char longer[VFS_PATH_MAX];
    struct vfs *vfs = vfs_mem_new();
    memset(longer, 'a', sizeof(longer));
    longer[VFS_PATH_MAX - 2] = 0; /* a path, but no room for ".tmp" */
    ck_assert_int_eq(durable_replace(vfs, longer, "x", 1, NULL), ST_INVALID);
    ck_assert_int_eq(durable_replace(vfs, "../x", "x", 1, NULL), ST_INVALID);
    ck_assert_int_eq(durable_rename_dir(vfs, "a", "/b", NULL), ST_INVALID);
    ck_assert_int_eq(durable_rename_dir(vfs, "a", "b", NULL), ST_NOT_FOUND);
    vfs_free(vfs);
}
END_TEST

Suite *suite_durable(void)
{
    Suite *suite = suite_create("durable");
    TCase *tc = tcase_create("durable");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_replace_survives_power_loss);
    tcase_add_test(tc, test_published_directory_is_whole_or_absent);
    tcase_add_test(tc, test_every_failing_call_leaves_the_old);
    tcase_add_test(tc, test_unclean_paths);
    suite_add_tcase(suite, tc);
    return suite;
}
