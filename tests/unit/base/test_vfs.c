/* Goal: every file system keeps the promises of vfs.h. Method: one set of tests over
 * vfs_posix, vfs_mem, vfs_crash, vfs_fault without rules around vfs_mem, and vfs_sub. */
#include "base/vfs.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "base/panic.h"
#include "base/strbuf.h"
#include "base/vfs_sub.h"
#include "tests/lib/vfs_crash.h"
#include "tests/lib/vfs_fault.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/base/temp_dir.h"
#include "tests/unit/unit.h"

enum kind { POSIX, MEM, CRASH, FAULT, SUB, KINDS };

static char root[512];
static struct vfs *vfs, *inner;

static void open_kind(enum kind kind)
{
    switch (kind) {
    case POSIX:
        temp_dir_make(root);
        ck_assert_int_eq(vfs_posix_open(&vfs, root, NULL), ST_OK);
        break;
    case MEM: vfs = vfs_mem_new(); break;
    case CRASH: vfs = vfs_crash_vfs(vfs_crash_new()); break;
    case FAULT:
        inner = vfs_mem_new();
        vfs = vfs_fault_vfs(vfs_fault_new(inner, 1));
        break;
    case SUB:
        inner = vfs_mem_new();
        ck_assert_int_eq(vfs_mkdir_all(inner, "some/where", NULL), ST_OK);
        ck_assert_int_eq(vfs_sub_open(&vfs, inner, "some/where", NULL), ST_OK);
        break;
    case KINDS: break;
    }
}

static void close_kind(enum kind kind)
{
    vfs_free(vfs);
    if (kind == POSIX) temp_dir_drop(root);
    if (kind == FAULT || kind == SUB) vfs_free(inner);
}

static struct vfs_file *open_file(const char *path, enum vfs_mode mode)
{
    struct vfs_file *file = NULL;
    struct err err = {0};
    status st = vfs_open(vfs, &file, path, mode, &err);
    ck_assert_msg(st == ST_OK, "%s: %s", path, err_text(&err, st));
    return file;
}

static void put_file(const char *path, const char *text)
{
    struct vfs_file *file = open_file(path, VFS_TRUNCATE);
    ck_assert_int_eq(vfs_write(file, 0, text, strlen(text), NULL), ST_OK);
    vfs_close(file);
}

static void expect_file(const char *path, const char *text)
{
    uint8_t *bytes;
    size_t len;
    ck_assert_int_eq(vfs_read_file(vfs, path, 1 << 20, &bytes, &len, NULL), ST_OK);
    ck_assert_msg(len == strlen(text) && memcmp(bytes, text, len) == 0, "%s: '%s'", path, bytes);
    mem_free(bytes);
}

START_TEST(test_open_modes)
{
    struct vfs_file *file = NULL;
    open_kind(_i);
    ck_assert_int_eq(vfs_open(vfs, &file, "a", VFS_READ, NULL), ST_NOT_FOUND);
    ck_assert_int_eq(vfs_open(vfs, &file, "a", VFS_WRITE, NULL), ST_NOT_FOUND);
    ck_assert_int_eq(vfs_open(vfs, &file, "no/a", VFS_CREATE, NULL), ST_NOT_FOUND);
    ck_assert_ptr_null(file);
    vfs_close(file);
    vfs_close(open_file("a", VFS_CREATE));
    ck_assert_int_eq(vfs_open(vfs, &file, "a", VFS_CREATE, NULL), ST_EXISTS);
    put_file("a", "hello");
    file = open_file("a", VFS_WRITE);
    ck_assert_int_eq(vfs_write(file, 5, " you", 4, NULL), ST_OK);
    vfs_close(file);
    expect_file("a", "hello you");
    file = open_file("a", VFS_READ);
    ck_assert_int_eq(vfs_write(file, 0, "x", 1, NULL), ST_IO);
    vfs_close(file);
    put_file("a", "new");
    expect_file("a", "new");
    ck_assert_int_eq(vfs_mkdir(vfs, "d", NULL), ST_OK);
    struct err err = {0};
    ck_assert_int_eq(vfs_open(vfs, &file, "d", VFS_READ, &err), ST_IO);
    ck_assert_msg(strstr(err.text, _i == SUB ? "open some/where/d" : "open d"), "%s", err.text);
    ck_assert(vfs_exists(vfs, "a") && vfs_exists(vfs, "d") && !vfs_exists(vfs, "e"));
    close_kind(_i);
}
END_TEST

START_TEST(test_read_write_truncate)
{
    char back[16];
    uint64_t len;
    open_kind(_i);
    struct vfs_file *file = open_file("f", VFS_CREATE);

    ck_assert_int_eq(vfs_write(file, 4, "data", 4, NULL), ST_OK); /* a gap of zeros */
    ck_assert_int_eq(vfs_read(file, 0, back, 8, NULL), ST_OK);
    ck_assert_mem_eq(back, "\0\0\0\0data", 8);
    ck_assert_int_eq(vfs_read(file, 1, back, 8, NULL), ST_CORRUPT);
    ck_assert_int_eq(vfs_read(file, 100, back, 1, NULL), ST_CORRUPT);
    ck_assert_int_eq(vfs_read(file, 8, back, 0, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, UINT64_MAX - 1, "data", 4, NULL), ST_INVALID);
    ck_assert_int_eq(vfs_truncate(file, 6, NULL), ST_OK);
    ck_assert_int_eq(vfs_truncate(file, 8, NULL), ST_OK);
    ck_assert_int_eq(vfs_read(file, 0, back, 8, NULL), ST_OK);
    ck_assert_mem_eq(back, "\0\0\0\0da\0\0", 8); /* what was cut is gone */
    ck_assert_int_eq(vfs_allocate(file, 5, 7, NULL), ST_OK);
    ck_assert_int_eq(vfs_len(file, &len, NULL), ST_OK);
    ck_assert_uint_eq(len, 12);
    ck_assert_int_eq(vfs_read(file, 0, back, 12, NULL), ST_OK);
    ck_assert_mem_eq(back, "\0\0\0\0d\0\0\0\0\0\0\0", 12);
    ck_assert_int_eq(vfs_sync(file, NULL), ST_OK);
    vfs_close(file);
    close_kind(_i);
}
END_TEST

static const size_t map_lens[] = {0, 1, 63, 4032, 4033, 4095, 4096, 4097, 8192, 70000};

START_TEST(test_map_has_slack)
{
    enum { N = ARRAY_LEN(map_lens) };
    static uint8_t bytes[70000];
    struct vfs_map map;
    size_t len = map_lens[_i % N];
    open_kind(_i / N);

    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (uint8_t)(i * 7 + 1);
    struct vfs_file *file = open_file("f", VFS_CREATE);
    ck_assert_int_eq(vfs_write(file, 0, bytes, len, NULL), ST_OK);
    ck_assert_int_eq(vfs_map(file, &map, NULL), ST_OK);
    vfs_close(file);
    ck_assert_int_eq(vfs_remove(vfs, "f", NULL), ST_OK);
    ck_assert_uint_eq(map.len, len);
    if (len == 0) ck_assert_ptr_null(map.ptr);
    if (len > 0) ck_assert_mem_eq(map.ptr, bytes, len); /* closed and removed meanwhile */
    volatile uint8_t sum = 0;
    for (size_t i = 0; len > 0 && i < VFS_MAP_SLACK; i++) sum = (uint8_t)(sum + map.ptr[len + i]);
    /* The pages of the slack belong to the map: they go with it. (Without them the reads
     * above could hit a neighbour and pass.) */
    uintptr_t last = ((uintptr_t)map.ptr + len + VFS_MAP_SLACK - 1) & ~(uintptr_t)4095;
    vfs_unmap(&map);
    vfs_unmap(&map);
    unsigned char present;
    if (_i / N == POSIX && len > 0 && sysconf(_SC_PAGESIZE) == 4096)
        ck_assert(mincore((void *)last, 4096, &present) != 0 && errno == ENOMEM);
    close_kind(_i / N);
}
END_TEST

START_TEST(test_rename_link_remove)
{
    open_kind(_i);
    put_file("a", "A");
    put_file("b", "B");
    ck_assert_int_eq(vfs_mkdir(vfs, "d", NULL), ST_OK);
    ck_assert_int_eq(vfs_mkdir(vfs, "d", NULL), ST_EXISTS);
    ck_assert_int_eq(vfs_mkdir(vfs, "no/d", NULL), ST_NOT_FOUND);

    ck_assert_int_eq(vfs_link(vfs, "a", "b", NULL), ST_EXISTS);
    ck_assert_int_eq(vfs_link(vfs, "a", "d/a", NULL), ST_OK);
    ck_assert_int_eq(vfs_link(vfs, "x", "d/x", NULL), ST_NOT_FOUND);
    ck_assert_int_eq(vfs_rename(vfs, "a", "b", NULL), ST_OK);
    expect_file("b", "A");
    expect_file("d/a", "A");
    ck_assert(!vfs_exists(vfs, "a"));
    ck_assert_int_eq(vfs_rename(vfs, "a", "c", NULL), ST_NOT_FOUND);
    ck_assert_int_eq(vfs_rename(vfs, "b", "no/b", NULL), ST_NOT_FOUND);
    ck_assert_int_eq(vfs_rename(vfs, "b", "b", NULL), ST_OK);
    ck_assert_int_eq(vfs_rename(vfs, "d", "d/d", NULL), ST_IO);

    ck_assert_int_eq(vfs_remove(vfs, "d", NULL), ST_EXISTS); /* not empty */
    ck_assert_int_eq(vfs_mkdir(vfs, "e", NULL), ST_OK);
    ck_assert_int_eq(vfs_rename(vfs, "e", "d", NULL), ST_EXISTS);
    ck_assert_int_eq(vfs_rename(vfs, "d", "e", NULL), ST_OK); /* over an empty one */
    expect_file("e/a", "A");
    ck_assert_int_eq(vfs_remove(vfs, "e/a", NULL), ST_OK);
    expect_file("b", "A"); /* the other name of the same file */
    ck_assert_int_eq(vfs_remove(vfs, "e", NULL), ST_OK);
    ck_assert_int_eq(vfs_remove(vfs, "e", NULL), ST_NOT_FOUND);
    ck_assert_int_eq(vfs_sync_dir(vfs, ".", NULL), ST_OK);
    ck_assert_int_eq(vfs_sync_dir(vfs, "e", NULL), ST_NOT_FOUND);
    ck_assert_int_eq(vfs_sync_dir(vfs, "b", NULL), ST_IO);
    ck_assert_int_ne(vfs_remove(vfs, ".", NULL), ST_OK);
    ck_assert_int_ne(vfs_rename(vfs, "b", ".", NULL), ST_OK);
    ck_assert_int_eq(vfs_mkdir(vfs, ".", NULL), ST_EXISTS);
    close_kind(_i);
}
END_TEST

static status add_name(void *ctx, const struct vfs_entry *entry)
{
    struct strbuf *out = ctx;
    strbuf_printf(out, SLICE_FMT "%s:%llu ", SLICE_ARG(entry->name), entry->is_dir ? "/" : "",
                  entry->is_dir ? 0ull : (unsigned long long)entry->len);
    return slice_is(entry->name, "stop") ? ST_CANCELLED : ST_OK;
}

START_TEST(test_list_in_order)
{
    struct strbuf out;
    open_kind(_i);
    strbuf_init(&out, 0);
    ck_assert_int_eq(vfs_mkdir(vfs, "d", NULL), ST_OK);
    ck_assert_int_eq(vfs_list(vfs, "d", add_name, &out, NULL), ST_OK);
    ck_assert_str_eq(strbuf_cstr(&out), "");
    put_file("d/b", "22");
    put_file("d/a-longer", "1");
    put_file("d/a", "");
    ck_assert_int_eq(vfs_mkdir(vfs, "d/c", NULL), ST_OK);
    put_file("d/c/inside", "x");
    ck_assert_int_eq(vfs_list(vfs, "d", add_name, &out, NULL), ST_OK);
    ck_assert_str_eq(strbuf_cstr(&out), "a:0 a-longer:1 b:2 c/:0 ");
    put_file("d/stop", "");
    put_file("d/unseen", "");
    strbuf_reset(&out);
    ck_assert_int_eq(vfs_list(vfs, "d", add_name, &out, NULL), ST_CANCELLED);
    ck_assert_str_eq(strbuf_cstr(&out), "a:0 a-longer:1 b:2 c/:0 stop:0 ");
    ck_assert_int_eq(vfs_list(vfs, "no", add_name, &out, NULL), ST_NOT_FOUND);
    ck_assert_int_eq(vfs_list(vfs, "d/b", add_name, &out, NULL), ST_IO);
    strbuf_reset(&out);
    ck_assert_int_eq(vfs_list(vfs, ".", add_name, &out, NULL), ST_OK);
    ck_assert_str_eq(strbuf_cstr(&out), "d/:0 ");
    strbuf_release(&out);
    close_kind(_i);
}
END_TEST

static const char *const bad_paths[] = {"", "/", "/a", "a/", "a//b", "..", "a/..", "../a", "./a",
                                        "a/./b", "a/../b"};

START_TEST(test_unclean_paths_are_refused)
{
    char longer[VFS_PATH_MAX + 1];
    struct vfs_file *file;
    struct vfs_entry *none = NULL;
    open_kind(_i);

    for (size_t i = 0; i < ARRAY_LEN(bad_paths); i++) {
        const char *path = bad_paths[i];
        ck_assert_msg(vfs_open(vfs, &file, path, VFS_CREATE, NULL) == ST_INVALID, "%s", path);
        ck_assert_int_eq(vfs_rename(vfs, "a", path, NULL), ST_INVALID);
        ck_assert_int_eq(vfs_rename(vfs, path, "a", NULL), ST_INVALID);
        ck_assert_int_eq(vfs_link(vfs, path, "a", NULL), ST_INVALID);
        ck_assert_int_eq(vfs_remove(vfs, path, NULL), ST_INVALID);
        ck_assert_int_eq(vfs_mkdir(vfs, path, NULL), ST_INVALID);
        ck_assert_int_eq(vfs_sync_dir(vfs, path, NULL), ST_INVALID);
        ck_assert_int_eq(vfs_list(vfs, path, add_name, none, NULL), ST_INVALID);
        ck_assert_int_eq(vfs_mkdir_all(vfs, path, NULL), ST_INVALID);
        ck_assert_int_eq(vfs_remove_tree(vfs, path, NULL), ST_INVALID);
        ck_assert(!vfs_exists(vfs, path));
    }
    memset(longer, 'a', VFS_PATH_MAX);
    longer[VFS_PATH_MAX] = 0;
    ck_assert_int_eq(vfs_path_check(longer, NULL), ST_INVALID);
    longer[VFS_PATH_MAX - 1] = 0;
    ck_assert_int_eq(vfs_path_check(longer, NULL), ST_OK);
    ck_assert_int_eq(vfs_path_check("a/b..c/.d/...", NULL), ST_OK);
    close_kind(_i);
}
END_TEST

START_TEST(test_lock_is_exclusive)
{
    open_kind(_i);
    struct vfs_file *one = open_file("lock", VFS_CREATE), *two = open_file("lock", VFS_WRITE);
    ck_assert_int_eq(vfs_lock(one, NULL), ST_OK);
    ck_assert_int_eq(vfs_lock(two, NULL), ST_LOCKED);
    ck_assert_int_eq(vfs_lock(one, NULL), ST_OK);
    vfs_close(one);
    ck_assert_int_eq(vfs_lock(two, NULL), ST_OK);
    vfs_close(two);
    close_kind(_i);
}
END_TEST

START_TEST(test_compositions)
{
    uint8_t *bytes = NULL;
    size_t len;
    char parent[VFS_PATH_MAX];
    open_kind(_i);

    ck_assert_int_eq(vfs_mkdir_all(vfs, "x/y/z", NULL), ST_OK);
    ck_assert_int_eq(vfs_mkdir_all(vfs, "x/y/z", NULL), ST_OK);
    ck_assert_int_eq(vfs_mkdir_all(vfs, ".", NULL), ST_OK);
    put_file("x/y/f", "text");
    put_file("x/y/z/g", "");
    ck_assert_int_eq(vfs_mkdir_all(vfs, "x/y/f", NULL), ST_IO); /* a file is in the way */
    ck_assert_int_eq(vfs_read_file(vfs, "x/y/f", 3, &bytes, &len, NULL), ST_TOO_LARGE);
    ck_assert_int_eq(vfs_read_file(vfs, "x/y/no", 3, &bytes, &len, NULL), ST_NOT_FOUND);
    ck_assert_ptr_null(bytes);
    expect_file("x/y/f", "text");
    expect_file("x/y/z/g", "");
    ck_assert_int_eq(vfs_remove_tree(vfs, "x/y", NULL), ST_OK);
    ck_assert(vfs_exists(vfs, "x") && !vfs_exists(vfs, "x/y"));
    ck_assert_int_eq(vfs_remove_tree(vfs, "x/y", NULL), ST_OK);
    put_file("x/file", "x");
    vfs_remove_best_effort(vfs, "x");
    vfs_remove_best_effort(vfs, "x");
    ck_assert(!vfs_exists(vfs, "x"));
    vfs_parent(parent, "a/b/c");
    ck_assert_str_eq(parent, "a/b");
    vfs_parent(parent, "a");
    ck_assert_str_eq(parent, ".");
    struct vfs_space space;
    ck_assert_int_eq(vfs_space(vfs, &space, NULL), ST_OK);
    ck_assert_uint_ge(space.total_bytes, space.free_bytes);
    ck_assert_uint_gt(space.total_bytes, 0);
    close_kind(_i);
}
END_TEST

START_TEST(test_deep_trees_have_a_limit)
{
    char path[VFS_PATH_MAX] = "d";
    open_kind(_i);
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq(vfs_mkdir(vfs, path, NULL), ST_OK);
        strncat(path, "/d", sizeof(path) - strlen(path) - 1);
    }
    ck_assert_int_eq(vfs_remove_tree(vfs, "d", NULL), ST_LIMIT);
    ck_assert_int_eq(vfs_remove_tree(vfs, "d/d/d/d/d/d/d/d/d/d", NULL), ST_OK);
    ck_assert_int_eq(vfs_remove_tree(vfs, "d", NULL), ST_OK);
    close_kind(_i);
}
END_TEST

START_TEST(test_a_sub_stays_in_its_directory)
{
    static const char *const bad[] = {"..", "a/../..", "/abs", "", ".", "a//b"};
    char longest[VFS_PATH_MAX];
    struct vfs_file *file;
    inner = vfs_mem_new();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(vfs_sub_open(&vfs, inner, bad[i], NULL) == ST_INVALID, "%s", bad[i]);
    ck_assert_int_eq(vfs_mkdir_all(inner, "d", NULL), ST_OK);
    ck_assert_int_eq(vfs_sub_open(&vfs, inner, "d", NULL), ST_OK);
    put_file("f", "x");
    ck_assert(vfs_exists(inner, "d/f"));
    ck_assert_int_eq(vfs_open(vfs, &file, "../f", VFS_READ, NULL), ST_INVALID);
    memset(longest, 'x', sizeof(longest));
    longest[VFS_PATH_MAX - 2] = 0;
    ck_assert_int_eq(vfs_open(vfs, &file, longest, VFS_CREATE, NULL), ST_INVALID);
    vfs_free(vfs);
    vfs_free(inner);
}
END_TEST

Suite *suite_vfs(void)
{
    Suite *suite = suite_create("vfs");
    TCase *tc = tcase_create("vfs");
    tcase_add_loop_test(tc, test_open_modes, 0, KINDS);
    tcase_add_loop_test(tc, test_read_write_truncate, 0, KINDS);
    tcase_add_loop_test(tc, test_map_has_slack, 0, KINDS * ARRAY_LEN(map_lens));
    tcase_add_loop_test(tc, test_rename_link_remove, 0, KINDS);
    tcase_add_loop_test(tc, test_list_in_order, 0, KINDS);
    tcase_add_loop_test(tc, test_unclean_paths_are_refused, 0, KINDS);
    tcase_add_loop_test(tc, test_lock_is_exclusive, 0, KINDS);
    tcase_add_loop_test(tc, test_compositions, 0, KINDS);
    tcase_add_loop_test(tc, test_deep_trees_have_a_limit, 0, KINDS);
    tcase_add_test(tc, test_a_sub_stays_in_its_directory);
    suite_add_tcase(suite, tc);
    return suite;
}
