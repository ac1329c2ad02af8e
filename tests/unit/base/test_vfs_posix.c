/* Goal: the real file system keeps us inside the root, tells a full disk from a broken
 * one, hides interrupted and short calls, and never syncs a file again after a failed
 * sync. Method: links and fifos laid in the way; limits; this program's own pread,
 * pwrite, fdatasync and fsync before the C library's, which fail when told to; a
 * system call filter that takes openat2 away. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/vfs.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/base/temp_dir.h"
#include "tests/unit/unit.h"

/* What the calls below do instead of their work. */
static struct {
    int sync_error;    /* of fdatasync and fsync; 0: works */
    int n_interrupted; /* so many calls return EINTR first */
    size_t call_max;   /* bytes of a read or write; 0: all */
    int write_error;   /* once call_max bytes were written; 0: none */
    int n_syncs;
} calls;

static bool is_interrupted(void)
{
    if (calls.n_interrupted == 0) return false;
    calls.n_interrupted--;
    errno = EINTR;
    return true;
}

static int sync_by(long number, int fd)
{
    if (is_interrupted()) return -1;
    calls.n_syncs++;
    if (calls.sync_error == 0) return (int)syscall(number, fd);
    errno = calls.sync_error;
    return -1;
}

int fdatasync(int fd)
{
    return sync_by(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return sync_by(SYS_fsync, fd);
}

ssize_t pread(int fd, void *dst, size_t len, off_t off)
{
    if (is_interrupted()) return -1;
    if (calls.call_max && len > calls.call_max) len = calls.call_max;
    return syscall(SYS_pread64, fd, dst, len, off);
}

ssize_t pwrite(int fd, const void *src, size_t len, off_t off)
{
    if (is_interrupted()) return -1;
    if (calls.call_max && calls.write_error && off >= (off_t)calls.call_max) {
        errno = calls.write_error;
        return -1;
    }
    if (calls.call_max && len > calls.call_max) len = calls.call_max;
    return syscall(SYS_pwrite64, fd, src, len, off);
}

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

START_TEST(test_interrupted_and_short_calls_are_hidden)
{
    static uint8_t bytes[5000], back[5000];
    struct vfs_file *file;

    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (uint8_t)(i * 11);
    ck_assert_int_eq(vfs_open(vfs, &file, "f", VFS_CREATE, NULL), ST_OK);
    calls.call_max = 700;
    calls.n_interrupted = 3;
    ck_assert_int_eq(vfs_write(file, 0, bytes, sizeof(bytes), NULL), ST_OK);
    calls.n_interrupted = 3;
    ck_assert_int_eq(vfs_read(file, 0, back, sizeof(back), NULL), ST_OK);
    ck_assert_mem_eq(bytes, back, sizeof(bytes));
    calls.n_interrupted = 2;
    ck_assert_int_eq(vfs_sync(file, NULL), ST_OK);
    calls.n_interrupted = 2;
    ck_assert_int_eq(vfs_sync_dir(vfs, ".", NULL), ST_OK);
    vfs_close(file);
}
END_TEST

static const struct write_failure {
    int error;
    status st;
} write_failures[] = {
    {ENOSPC, ST_NO_SPACE}, {EDQUOT, ST_NO_SPACE}, {EIO, ST_IO}, {EROFS, ST_IO},
    {ENOMEM, ST_NO_MEMORY},
};

START_TEST(test_write_errors)
{
    char bytes[200] = {0};
    struct vfs_file *file;
    struct err err = {0};

    ck_assert_int_eq(vfs_open(vfs, &file, "f", VFS_CREATE, NULL), ST_OK);
    calls.call_max = 100;
    calls.write_error = write_failures[_i].error;
    ck_assert_int_eq(vfs_write(file, 0, bytes, 200, &err), write_failures[_i].st);
    ck_assert_msg(strstr(err.text, "write f: ") && strstr(err.text, strerror(calls.write_error)),
                  "%s", err.text);
    ck_assert_int_eq(vfs_allocate(file, 0, 200, NULL), write_failures[_i].st);
    calls.write_error = 0;
    ck_assert_int_eq(vfs_write(file, 0, bytes, 200, NULL), ST_OK); /* it may be tried again */
    vfs_close(file);
}
END_TEST

START_TEST(test_file_is_not_synced_again_after_a_failure)
{
    struct vfs_file *file, *other;
    struct err err = {0};

    ck_assert_int_eq(vfs_open(vfs, &file, "f", VFS_CREATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_open(vfs, &other, "g", VFS_CREATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 0, "text", 4, NULL), ST_OK);
    calls.sync_error = _i ? ENOSPC : EIO;
    ck_assert_int_eq(vfs_sync(file, &err), _i ? ST_NO_SPACE : ST_IO);
    ck_assert_msg(strstr(err.text, "sync f: "), "%s", err.text);
    calls.sync_error = 0; /* the kernel would now say that all is well */
    int n = calls.n_syncs;
    ck_assert_int_eq(vfs_sync(file, NULL), ST_POISONED);
    ck_assert_int_eq(vfs_write(file, 0, "x", 1, NULL), ST_POISONED);
    ck_assert_int_eq(vfs_truncate(file, 0, NULL), ST_POISONED);
    ck_assert_int_eq(vfs_allocate(file, 0, 1, NULL), ST_POISONED);
    vfs_close(file);
    /* Closed, renamed, opened again: still the same file. */
    ck_assert_int_eq(vfs_rename(vfs, "f", "h", NULL), ST_OK);
    ck_assert_int_eq(vfs_open(vfs, &file, "h", VFS_WRITE, NULL), ST_OK);
    ck_assert_int_eq(vfs_sync(file, NULL), ST_POISONED);
    vfs_close(file);
    ck_assert_int_eq(calls.n_syncs, n);
    ck_assert_int_eq(vfs_open(vfs, &file, "h", VFS_READ, NULL), ST_OK); /* reading goes on */
    vfs_close(file);
    /* Its neighbour, and a new file in its place, are well. */
    ck_assert_int_eq(vfs_sync(other, NULL), ST_OK);
    vfs_close(other);
    ck_assert_int_eq(vfs_remove(vfs, "h", NULL), ST_OK);
    ck_assert_int_eq(vfs_open(vfs, &file, "new", VFS_CREATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_sync(file, NULL), ST_OK);
    vfs_close(file);
}
END_TEST

START_TEST(test_too_many_failures_poison_all)
{
    struct vfs_file *file;
    char name[16];

    calls.sync_error = EIO;
    for (int i = 0; i <= 64; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i);
        ck_assert_int_eq(vfs_open(vfs, &file, name, VFS_CREATE, NULL), ST_OK);
        ck_assert_int_eq(vfs_sync(file, NULL), ST_IO);
        vfs_close(file);
    }
    calls.sync_error = 0;
    ck_assert_int_eq(vfs_open(vfs, &file, "fresh", VFS_CREATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_sync(file, NULL), ST_POISONED);
    vfs_close(file);
}
END_TEST

START_TEST(test_directories_are_not_synced_again)
{
    ck_assert_int_eq(vfs_mkdir(vfs, "d", NULL), ST_OK);
    calls.sync_error = EINVAL; /* a file system without this call */
    ck_assert_int_eq(vfs_sync_dir(vfs, "d", NULL), ST_OK);
    calls.sync_error = EIO;
    ck_assert_int_eq(vfs_sync_dir(vfs, "d", NULL), ST_IO);
    calls.sync_error = 0;
    ck_assert_int_eq(vfs_sync_dir(vfs, "d", NULL), ST_POISONED);
    ck_assert_int_eq(vfs_sync_dir(vfs, ".", NULL), ST_POISONED);
}
END_TEST

/* From here on openat2 is a system call that does not exist. */
static void forbid_openat2(int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

START_TEST(test_old_kernels_and_sandboxes)
{
    struct vfs_file *file;

    forbid_openat2(_i ? EPERM : ENOSYS);
    ck_assert_int_eq(vfs_mkdir_all(vfs, "a/b/c", NULL), ST_OK);
    ck_assert_int_eq(vfs_open(vfs, &file, "a/b/c/f", VFS_CREATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 0, "x", 1, NULL), ST_OK);
    vfs_close(file);
    ck_assert_int_eq(vfs_open(vfs, &file, "a/b/c/f", VFS_CREATE, NULL), ST_EXISTS);
    ck_assert_int_eq(vfs_open(vfs, &file, "a/no/f", VFS_READ, NULL), ST_NOT_FOUND);
    ck_assert_int_eq(vfs_rename(vfs, "a/b/c/f", "a/g", NULL), ST_OK);
    ck_assert_int_eq(symlink("/tmp", in_root("a/link")), 0);
    ck_assert_int_eq(vfs_open(vfs, &file, "a/link/f", VFS_CREATE, NULL), ST_IO);
    ck_assert_int_eq(symlink("/etc/passwd", in_root("a/file-link")), 0);
    ck_assert_int_eq(vfs_open(vfs, &file, "a/file-link", VFS_READ, NULL), ST_IO);
    ck_assert_int_eq(vfs_sync_dir(vfs, ".", NULL), ST_OK);
    ck_assert_int_eq(vfs_remove_tree(vfs, "a", NULL), ST_OK);
}
END_TEST

START_TEST(test_too_large_is_seen_before_reading)
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
    tcase_add_test(tc, test_interrupted_and_short_calls_are_hidden);
    tcase_add_loop_test(tc, test_write_errors, 0, 5);
    tcase_add_loop_test(tc, test_file_is_not_synced_again_after_a_failure, 0, 2);
    tcase_add_test(tc, test_too_many_failures_poison_all);
    tcase_add_test(tc, test_directories_are_not_synced_again);
    tcase_add_loop_test(tc, test_old_kernels_and_sandboxes, 0, 2);
    tcase_add_test(tc, test_too_large_is_seen_before_reading);
    suite_add_tcase(suite, tc);
    return suite;
}
