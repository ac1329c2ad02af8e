/* See cgroup.h.
 *
 * /proc/self/cgroup names the group of each hierarchy:
 *
 *     0::/system.slice/tsink.service         v2: one hierarchy for everything
 *     7:cpu,cpuacct:/docker/0123             v1: one for each controller
 *
 * The limit that counts is the smallest on the way from the group up to the root, so
 * every directory on that way is read. In a container the path is often the host's
 * and does not exist below the container's /sys/fs/cgroup; then the walk up ends at the
 * mount itself, which is the container's own group.
 */
#include "base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/slice.h"

enum {
    FILE_LEN_MAX = 8192, /* of the files read here: a page and a bit */
    PATH_LEN_MAX = 4096,
    N_CPUS_MAX = 65536,
};

struct limits {
    double cpus;    /* smallest quota seen; 0: none */
    uint64_t bytes; /* smallest limit seen; UINT64_MAX: none */
};

/* Reads a small file into dst, NUL-terminated. */
static bool read_small(char *dst, size_t cap, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;

    size_t len = 0;
    for (ssize_t n; len + 1 < cap; len += (size_t)n) {
        n = read(fd, dst + len, cap - 1 - len);
        if (n < 0 && errno == EINTR) n = 0;
        else if (n <= 0) break;
    }
    (void)close(fd);
    dst[len] = 0;
    return true;
}

/* The number that text begins with; false for "max", "-1" and anything else. */
static bool read_number(uint64_t *out, const char *text)
{
    char *end;
    if (text[0] < '0' || text[0] > '9') return false;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno != 0 || end == text) return false;
    *out = v;
    return true;
}

static bool read_number_file(uint64_t *out, const char *dir, const char *name)
{
    char path[PATH_LEN_MAX], text[256];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    return n > 0 && (size_t)n < sizeof(path) && read_small(text, sizeof(text), path) &&
           read_number(out, text);
}

static void note_quota(struct limits *limits, uint64_t quota, uint64_t period)
{
    if (quota == 0 || period == 0) return;
    double cpus = (double)quota / (double)period;
    if (limits->cpus == 0 || cpus < limits->cpus) limits->cpus = cpus;
}

static void note_bytes(struct limits *limits, uint64_t bytes)
{
    if (bytes > 0 && bytes < limits->bytes) limits->bytes = bytes;
}

/* cpu.max holds "quota period" or "max period". */
static void read_dir_v2(struct limits *limits, const char *dir)
{
    char path[PATH_LEN_MAX], text[256];
    uint64_t quota, period, bytes;
    int n = snprintf(path, sizeof(path), "%s/cpu.max", dir);

    if (n > 0 && (size_t)n < sizeof(path) && read_small(text, sizeof(text), path)) {
        const char *blank = strchr(text, ' ');
        if (blank && read_number(&quota, text) && read_number(&period, blank + 1))
            note_quota(limits, quota, period);
    }
    if (read_number_file(&bytes, dir, "memory.max")) note_bytes(limits, bytes);
}

static void read_dir_v1_cpu(struct limits *limits, const char *dir)
{
    uint64_t quota, period;
    if (read_number_file(&quota, dir, "cpu.cfs_quota_us") &&
        read_number_file(&period, dir, "cpu.cfs_period_us"))
        note_quota(limits, quota, period);
}

static void read_dir_v1_memory(struct limits *limits, const char *dir)
{
    uint64_t bytes;
    if (read_number_file(&bytes, dir, "memory.limit_in_bytes")) note_bytes(limits, bytes);
}

/* Reads mount/group and every directory above it down to mount. */
static void walk_up(struct limits *limits, const char *mount, struct slice group,
                    void (*read_dir)(struct limits *limits, const char *dir))
{
    char dir[PATH_LEN_MAX];
    size_t mount_len = strlen(mount);
    int n = snprintf(dir, sizeof(dir), "%s" SLICE_FMT, mount, SLICE_ARG(group));
    if (n < 0 || (size_t)n >= sizeof(dir)) return;

    for (size_t len = (size_t)n;; len--) {
        if (len > mount_len && dir[len] != '/' && dir[len] != 0) continue;
        dir[len] = 0;
        read_dir(limits, dir);
        if (len <= mount_len) return;
    }
}

/* Whether the comma-separated list names the controller. */
static bool names_controller(struct slice list, const char *controller)
{
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.ptr) : list.len;
        if (slice_is(slice_of(list.ptr, len), controller)) return true;
        list = slice_skip(list, comma ? len + 1 : len);
    }
    return false;
}

/* One line of /proc/self/cgroup: number:controllers:group. */
static void read_line(struct limits *limits, const char *fs, struct slice line)
{
    char mount[PATH_LEN_MAX];
    const char *first = memchr(line.ptr, ':', line.len);
    if (!first) return;
    struct slice rest = slice_skip(line, (size_t)(first - line.ptr) + 1);
    const char *second = memchr(rest.ptr, ':', rest.len);
    if (!second) return;
    struct slice controllers = slice_of(rest.ptr, (size_t)(second - rest.ptr));
    struct slice group = slice_skip(rest, controllers.len + 1);

    if (controllers.len == 0) {
        walk_up(limits, fs, group, read_dir_v2);
        (void)snprintf(mount, sizeof(mount), "%s/unified", fs); /* hybrid set-ups */
        walk_up(limits, mount, group, read_dir_v2);
    } else if (names_controller(controllers, "cpu")) {
        (void)snprintf(mount, sizeof(mount), "%s/cpu", fs);
        walk_up(limits, mount, group, read_dir_v1_cpu);
        (void)snprintf(mount, sizeof(mount), "%s/" SLICE_FMT, fs, SLICE_ARG(controllers));
        walk_up(limits, mount, group, read_dir_v1_cpu);
    } else if (names_controller(controllers, "memory")) {
        (void)snprintf(mount, sizeof(mount), "%s/memory", fs);
        walk_up(limits, mount, group, read_dir_v1_memory);
    }
}

static void read_groups(struct limits *limits, const char *root)
{
    char path[PATH_LEN_MAX], fs[PATH_LEN_MAX / 2], text[FILE_LEN_MAX];

    int n = snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    int m = snprintf(fs, sizeof(fs), "%s/sys/fs/cgroup", root);
    if (n < 0 || (size_t)n >= sizeof(path) || m < 0 || (size_t)m >= sizeof(fs)) return;
    if (!read_small(text, sizeof(text), path)) return;

    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        read_line(limits, fs, slice_of(line, len));
        line += len + (line[len] == '\n');
    }
}

static unsigned count_cpus(const struct limits *limits)
{
    uint64_t forced;
    const char *text = getenv("TSINK_MAX_CPUS");
    if (text && read_number(&forced, text) && forced > 0)
        return forced < N_CPUS_MAX ? (unsigned)forced : N_CPUS_MAX;

    cpu_set_t set;
    int n_host = sched_getaffinity(0, sizeof(set), &set) == 0
                     ? CPU_COUNT(&set)
                     : (int)sysconf(_SC_NPROCESSORS_ONLN); /* over 1024 CPUs */
    unsigned n = n_host > 0 ? (unsigned)n_host : 1;
    if (limits->cpus > 0 && limits->cpus < (double)n) {
        unsigned whole = (unsigned)limits->cpus;
        n = (double)whole < limits->cpus ? whole + 1 : whole;
    }
    return n > 0 ? n : 1;
}

void cgroup_read(struct cgroup_limits *out, const char *root)
{
    struct limits limits = {.bytes = UINT64_MAX};
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

    read_groups(&limits, root ? root : "");
    uint64_t host = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    out->n_cpus = count_cpus(&limits);
    out->memory_bytes = limits.bytes < host ? limits.bytes : host;
}

uint64_t cgroup_resident(void)
{
    char text[256];
    uint64_t pages = 0;
    if (!read_small(text, sizeof(text), "/proc/self/statm")) return 0;
    const char *at = strchr(text, ' '); /* the second number */
    if (!at || !read_number(&pages, at + 1)) return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
