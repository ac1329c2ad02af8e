/* Goal: the real file system keeps us inside the root, tells a full disk from a broken
 * one, and never syncs a file again after a failed sync. Method: links and fifos laid
 * in the way; a limit on file size; a sync that a descriptor without one refuses. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/vfs.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/base/temp_dir.h"
#include "tests/unit/unit.h"

static char root[256];
static struct vfs *vfs;

static void setup(void)
{
    temp_dir_make(root);
    ck_assert_int_eq(vfs_posix_open(&vfs, root, NULL), ST_OK);
}

static void teardown(void)
{
    vfs_free(vfs);
    temp_dir_drop(root);
}

static const char *in_root(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

START_TEST(test_links_are_not_followed)
{
    struct vfs_file *file;

    ck_assert_int_eq(symlink("/etc/passwd", in_root("file-link")), 0);
    ck_assert_int_eq(symlink("/tmp", in_root("dir-link")), 0);
    ck_assert_int_eq(mkdir(in_root("real"), 0700), 0);
    ck_assert_int_eq(symlink("real", in_root("inner-link")), 0);
    ck_assert_int_eq(vfs_open(vfs, &file, "file-link", VFS_READ, NULL), ST_IO);
    ck_assert_int_eq(vfs_open(vfs, &file, "file-link", VFS_TRUNCATE, NULL), ST_IO);
    ck_assert_int_ne(vfs_open(vfs, &file, "dir-link/f", VFS_CREATE, NULL), ST_OK);
    ck_assert_int_ne(vfs_open(vfs, &file, "inner-link/f", VFS_CREATE, NULL), ST_OK);
    ck_assert_int_ne(vfs_mkdir(vfs, "dir-link/d", NULL), ST_OK);
    ck_assert_int_ne(vfs_remove(vfs, "inner-link/d", NULL), ST_OK);
    ck_assert_int_ne(vfs_sync_dir(vfs, "dir-link", NULL), ST_OK);
    /* A link can be removed, and what it points to stays. */
    ck_assert_int_eq(vfs_remove_tree(vfs, "inner-link", NULL), ST_OK);
    ck_assert(vfs_exists(vfs, "real"));
}
END_TEST

START_TEST(test_a_fifo_does_not_hold_us)
{
    struct vfs_file *file;
    ck_assert_int_eq(mkfifo(in_root("fifo"), 0600), 0);
    ck_assert_int_eq(vfs_open(vfs, &file, "fifo", VFS_READ, NULL), ST_IO);
    ck_assert_int_eq(vfs_open(vfs, &file, "fifo", VFS_WRITE, NULL), ST_IO);
}
END_TEST

START_TEST(test_root_must_be_a_directory)
{
    struct vfs *none = NULL;
    struct err err = {0};
    ck_assert_int_eq(vfs_posix_open(&none, in_root("no"), &err), ST_NOT_FOUND);
    ck_assert_msg(strstr(err.text, "No such file"), "%s", err.text);
    ck_assert_int_eq(vfs_posix_open(&none, "/etc/passwd", NULL), ST_IO);
    ck_assert_ptr_null(none);
}
END_TEST

START_TEST(test_lock_dies_with_its_process)
{
    struct vfs_file *file;
    int wstatus;

    ck_assert_int_eq(vfs_open(vfs, &file, "lock", VFS_CREATE, NULL), ST_OK);
    pid_t pid = fork();
    if (pid == 0) {
        struct vfs_file *own;
        bool ok = vfs_open(vfs, &own, "lock", VFS_WRITE, NULL) == ST_OK &&
                  vfs_lock(own, NULL) == ST_OK && vfs_lock(file, NULL) == ST_LOCKED;
        _exit(ok ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &wstatus, 0), pid);
    ck_assert_int_eq(wstatus, 0);
    ck_assert_int_eq(vfs_lock(file, NULL), ST_OK);
    vfs_close(file);
}
END_TEST

START_TEST(test_limits_are_errors_not_signals)
{
    static uint8_t bytes[200000];
    struct rlimit limit = {.rlim_cur = 100000, .rlim_max = 100000};
    struct vfs_file *file;
    struct err err = {0};
    uint64_t len;

    (void)signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(vfs_open(vfs, &file, "f", VFS_CREATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 0, bytes, sizeof(bytes), &err), ST_IO);
    ck_assert_msg(strstr(err.text, "write f: "), "%s", err.text);
    ck_assert_int_eq(vfs_len(file, &len, NULL), ST_OK);
    ck_assert_uint_eq(len, 100000); /* a part of it was written, and we say failed */
    ck_assert_int_eq(vfs_allocate(file, 0, sizeof(bytes), NULL), ST_IO);
    vfs_close(file);
}
END_TEST

START_TEST(test_full_disk_is_no_space)
{
    struct vfs *full;
    struct vfs_file *file;
    if (access("/dev/shm", W_OK) != 0) {
        printf("SKIP no /dev/shm\n");
        return;
    }
    ck_assert_int_eq(vfs_posix_open(&full, "/dev/shm", NULL), ST_OK);
    char name[64];
    (void)snprintf(name, sizeof(name), "tsink-unit-%d", (int)getpid());
    struct vfs_space space;
    ck_assert_int_eq(vfs_space(full, &space, NULL), ST_OK);
    ck_assert_int_eq(vfs_open(full, &file, name, VFS_CREATE, NULL), ST_OK);
    /* fallocate refuses before anything is used up. */
    ck_assert_int_eq(vfs_allocate(file, 0, space.total_bytes * 2, NULL), ST_NO_SPACE);
    vfs_close(file);
    ck_assert_int_eq(vfs_remove(full, name, NULL), ST_OK);
    vfs_free(full);
}
END_TEST

START_TEST(test_allocated_bytes_are_there)
{
    enum { LEN = 300000 };
    struct vfs_file *file;
    struct stat sb;
    uint8_t *bytes;
    size_t len;

    ck_assert_int_eq(vfs_open(vfs, &file, "f", VFS_CREATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 0, "keep", 4, NULL), ST_OK);
    ck_assert_int_eq(vfs_allocate(file, 4, LEN - 4, NULL), ST_OK);
    ck_assert_int_eq(vfs_sync(file, NULL), ST_OK);
    vfs_close(file);
    ck_assert_int_eq(stat(in_root("f"), &sb), 0);
    ck_assert_int_eq(sb.st_size, LEN);
    ck_assert_int_ge((long long)sb.st_blocks * 512, LEN); /* no holes */
    ck_assert_int_eq(sb.st_mode & 0007, 0);                /* not for everybody */
    ck_assert_int_eq(vfs_read_file(vfs, "f", LEN, &bytes, &len, NULL), ST_OK);
    ck_assert_mem_eq(bytes, "keep", 4);
    for (size_t i = 4; i < len; i++) ck_assert_uint_eq(bytes[i], 0);
    mem_free(bytes);
}
END_TEST

START_TEST(test_no_memory_in_reading)
{
    uint8_t *bytes;
    size_t len;
    struct vfs_file *file;
    ck_assert_int_eq(vfs_open(vfs, &file, "sparse", VFS_CREATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_truncate(file, UINT64_C(1) << 40, NULL), ST_OK);
    vfs_close(file);
    ck_assert_int_eq(vfs_read_file(vfs, "sparse", 1 << 20, &bytes, &len, NULL), ST_TOO_LARGE);
}
END_TEST

Suite *suite_vfs_posix(void)
{
    Suite *suite = suite_create("vfs_posix");
    TCase *tc = tcase_create("vfs_posix");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_links_are_not_followed);
    tcase_add_test(tc, test_a_fifo_does_not_hold_us);
    tcase_add_test(tc, test_root_must_be_a_directory);
    tcase_add_test(tc, test_lock_dies_with_its_process);
    tcase_add_test(tc, test_limits_are_errors_not_signals);
    tcase_add_test(tc, test_full_disk_is_no_space);
    tcase_add_test(tc, test_allocated_bytes_are_there);
    tcase_add_test(tc, test_no_memory_in_reading);
    suite_add_tcase(suite, tc);
    return suite;
}
