/* Goal: rules fire when they say, a failed call leaves the disk alone except where it
 * says otherwise, and a file whose sync failed is not synced again. Method: rules of
 * each kind over vfs_mem. */
#include "tests/lib/vfs_fault.h"

#include "base/mem.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

static struct vfs *disk, *vfs;
static struct vfs_fault *fault;

static void setup(void)
{
    disk = vfs_mem_new();
    fault = vfs_fault_new(disk, 42);
    vfs = vfs_fault_vfs(fault);
}

static void teardown(void)
{
    vfs_fault_free(fault);
    vfs_free(disk);
}

static unsigned add(struct vfs_fault_rule rule)
{
    return vfs_fault_add(fault, &rule);
}

static struct vfs_file *open_new(const char *path)
{
    struct vfs_file *file;
    ck_assert_int_eq(vfs_open(vfs, &file, path, VFS_TRUNCATE, NULL), ST_OK);
    return file;
}

static void expect(const char *path, const char *want)
{
    uint8_t *bytes;
    size_t len;
    ck_assert_int_eq(vfs_read_file(disk, path, 1000, &bytes, &len, NULL), ST_OK);
    ck_assert_msg(len == strlen(want) && memcmp(bytes, want, len) == 0, "'%s', not '%s'", bytes,
                  want);
    mem_free(bytes);
}

START_TEST(test_nth_times_forever)
{
    unsigned once = add((struct vfs_fault_rule){.ops = VFS_OP(MKDIR), .nth = 2, .st = ST_IO});
    unsigned twice = add((struct vfs_fault_rule){
        .ops = VFS_OP(MKDIR), .nth = 4, .times = 2, .st = ST_NO_SPACE});
    unsigned always = add((struct vfs_fault_rule){
        .ops = VFS_OP(MKDIR), .nth = 8, .forever = true, .st = ST_LIMIT});
    static const status want[10] = {ST_OK, ST_IO, ST_OK, ST_NO_SPACE, ST_NO_SPACE, ST_OK, ST_OK,
                                    ST_LIMIT, ST_LIMIT, ST_LIMIT};
    char name[] = "a";
    struct err err = {0};
    for (int i = 0; i < 10; i++, name[0]++) {
        ck_assert_int_eq(vfs_mkdir(vfs, name, &err), want[i]);
        ck_assert_int_eq(vfs_exists(disk, name), want[i] == ST_OK);
    }
    ck_assert_str_eq(err.text, "mkdir j: injected failure");
    ck_assert_uint_eq(vfs_fault_n_fired(fault, once), 1);
    ck_assert_uint_eq(vfs_fault_n_fired(fault, twice), 2);
    ck_assert_uint_eq(vfs_fault_n_fired(fault, always), 3);
    ck_assert_uint_eq(vfs_fault_n_fired_all(fault), 6);
    ck_assert_uint_eq(vfs_fault_n_calls(fault, VFS_OP(MKDIR)), 10);
    ck_assert_uint_eq(vfs_fault_n_calls(fault, VFS_OP_CHANGES), 10);
    vfs_fault_clear(fault);
    ck_assert_int_eq(vfs_mkdir(vfs, "z", NULL), ST_OK);
    vfs_fault_reset_calls(fault);
    ck_assert_uint_eq(vfs_fault_n_calls(fault, VFS_OP_ALL), 0);
}
END_TEST

START_TEST(test_globs_and_both_names)
{
    (void)add((struct vfs_fault_rule){.ops = VFS_OP_ALL, .glob = "wal/*", .nth = 1,
                                      .forever = true, .st = ST_IO});
    ck_assert_int_eq(vfs_mkdir(vfs, "wal", NULL), ST_OK);
    struct vfs_file *file = open_new("seg");
    ck_assert_int_eq(vfs_write(file, 0, "x", 1, NULL), ST_OK);
    vfs_close(file);
    ck_assert_int_eq(vfs_open(vfs, &file, "wal/a", VFS_CREATE, NULL), ST_IO);
    ck_assert_int_eq(vfs_rename(vfs, "seg", "wal/seg", NULL), ST_IO);
    ck_assert_int_eq(vfs_link(vfs, "seg", "wal/deep/seg", NULL), ST_IO); /* '*' takes '/' */
    ck_assert_int_eq(vfs_rename(vfs, "seg", "seg2", NULL), ST_OK);
}
END_TEST

START_TEST(test_probability_is_the_seeds)
{
    uint64_t fired[2];
    for (int run = 0; run < 2; run++) {
        struct vfs_fault *own = vfs_fault_new(disk, 7);
        struct vfs_fault_rule rule = {.ops = VFS_OP(SYNC_DIR), .p = 0.25, .st = ST_IO};
        (void)vfs_fault_add(own, &rule);
        fired[run] = 0;
        for (int i = 0; i < 400; i++)
            if (vfs_sync_dir(vfs_fault_vfs(own), ".", NULL) != ST_OK)
                fired[run] = fired[run] * 31 + (uint64_t)i;
        ck_assert(vfs_fault_n_fired_all(own) > 50 && vfs_fault_n_fired_all(own) < 150);
        vfs_fault_free(own);
    }
    ck_assert_uint_eq(fired[0], fired[1]); /* the very same calls */
}
END_TEST

START_TEST(test_short_write)
{
    struct vfs_file *file = open_new("f");
    (void)add((struct vfs_fault_rule){
        .ops = VFS_OP(WRITE), .nth = 2, .times = 3, .st = ST_NO_SPACE, .short_max = 2});
    ck_assert_int_eq(vfs_write(file, 0, "0123456", 7, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 3, "abcdef", 6, NULL), ST_NO_SPACE);
    expect("f", "012ab56");
    ck_assert_int_eq(vfs_write(file, 0, "X", 1, NULL), ST_NO_SPACE); /* never all of it */
    expect("f", "012ab56");
    ck_assert_int_eq(vfs_write(file, 6, "YYYY", 4, NULL), ST_NO_SPACE);
    expect("f", "012ab5YY");
    ck_assert_int_eq(vfs_write(file, 0, "ok", 2, NULL), ST_OK); /* not poisoned */
    vfs_close(file);
}
END_TEST

START_TEST(test_failed_sync_drops_and_poisons)
{
    unsigned rule = add((struct vfs_fault_rule){
        .ops = VFS_OP(SYNC), .nth = 2, .st = ST_IO, .drop_dirty = _i == 1});
    struct vfs_file *file = open_new("f");
    ck_assert_int_eq(vfs_write(file, 0, "durable", 7, NULL), ST_OK);
    ck_assert_int_eq(vfs_sync(file, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 2, "XX", 2, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 3, "YYYYYYYY", 8, NULL), ST_OK);
    ck_assert_int_eq(vfs_truncate(file, 5, NULL), ST_OK);
    ck_assert_int_eq(vfs_allocate(file, 0, 1, NULL), ST_OK);
    ck_assert_int_eq(vfs_sync(file, NULL), ST_IO);
    ck_assert_uint_eq(vfs_fault_n_fired(fault, rule), 1);
    if (_i == 1) expect("f", "durable");
    ck_assert_int_eq(vfs_sync(file, NULL), ST_POISONED);
    ck_assert_int_eq(vfs_write(file, 0, "x", 1, NULL), ST_POISONED);
    ck_assert_int_eq(vfs_truncate(file, 0, NULL), ST_POISONED);
    ck_assert_int_eq(vfs_allocate(file, 0, 10, NULL), ST_POISONED);
    ck_assert_uint_eq(vfs_fault_n_calls(fault, VFS_OP(SYNC)), 2); /* never again */
    uint64_t len;
    ck_assert_int_eq(vfs_len(file, &len, NULL), ST_OK); /* reading goes on */
    ck_assert_uint_eq(len, _i == 1 ? 7 : 5);
    vfs_close(file);
}
END_TEST

/* Every operation can fail, and says so. */
START_TEST(test_every_operation)
{
    struct vfs_map map = {0};
    struct vfs_space space;
    char byte;
    uint64_t len;
    struct vfs_file *file = open_new("f"), *other = NULL;
    for (unsigned op = 0; op < VFS_OPS; op++) {
        vfs_fault_clear(fault);
        unsigned rule = add((struct vfs_fault_rule){.ops = 1u << op, .nth = 1, .st = ST_LIMIT});
        ck_assert_int_ne(vfs_open(vfs, &other, "no", VFS_READ, NULL), ST_OK);
        status st[] = {
            vfs_read(file, 0, &byte, 0, NULL), vfs_write(file, 0, "x", 1, NULL),
            vfs_truncate(file, 0, NULL), vfs_allocate(file, 0, 1, NULL),
            vfs_len(file, &len, NULL), vfs_map(file, &map, NULL), vfs_lock(file, NULL),
            vfs_rename(vfs, "no", "no2", NULL), vfs_link(vfs, "no", "no2", NULL),
            vfs_remove(vfs, "no", NULL), vfs_mkdir(vfs, "no/no", NULL),
            vfs_sync_dir(vfs, ".", NULL), vfs_list(vfs, "no", NULL, NULL, NULL),
            vfs_space(vfs, &space, NULL), vfs_sync(file, NULL)};
        size_t n_limit = 0;
        for (size_t i = 0; i < sizeof(st) / sizeof(st[0]); i++) n_limit += st[i] == ST_LIMIT;
        ck_assert_uint_eq(vfs_fault_n_fired(fault, rule), 1);
        ck_assert_uint_eq(n_limit, op == VFS_OP_OPEN ? 0 : 1);
        vfs_unmap(&map);
        vfs_close(file);
        file = open_new("f");
    }
    vfs_close(file);
}
END_TEST

static void watch(void *ctx, enum vfs_op op, const char *path)
{
    if (op == VFS_OP_SYNC_DIR && strcmp(path, ".") == 0) ++*(int *)ctx;
}

START_TEST(test_watch)
{
    int n = 0;
    vfs_fault_set_watch(fault, watch, &n);
    ck_assert_int_eq(vfs_sync_dir(vfs, ".", NULL), ST_OK);
    ck_assert_int_eq(vfs_mkdir(vfs, "d", NULL), ST_OK);
    ck_assert_int_eq(n, 1);
    vfs_fault_set_watch(fault, NULL, NULL);
    ck_assert_int_eq(vfs_sync_dir(vfs, ".", NULL), ST_OK);
    ck_assert_int_eq(n, 1);
}
END_TEST

Suite *suite_vfs_fault(void)
{
    Suite *suite = suite_create("vfs_fault");
    TCase *tc = tcase_create("vfs_fault");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_nth_times_forever);
    tcase_add_test(tc, test_globs_and_both_names);
    tcase_add_test(tc, test_probability_is_the_seeds);
    tcase_add_test(tc, test_short_write);
    tcase_add_loop_test(tc, test_failed_sync_drops_and_poisons, 0, 2);
    tcase_add_test(tc, test_every_operation);
    tcase_add_test(tc, test_watch);
    suite_add_tcase(suite, tc);
    return suite;
}
