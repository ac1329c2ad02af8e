/* Goal: the limits of nested groups, both versions, and the override. Method: small
 * trees of files in place of / . */
#include "base/cgroup.h"

#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "base/panic.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/base/temp_dir.h"
#include "tests/unit/unit.h"

static char root[256];

/* Writes root/path, with its directories. */
static void put(const char *path, const char *text)
{
    char full[1024];
    (void)snprintf(full, sizeof(full), "%s/%s", root, path);
    for (char *slash = full + strlen(root); (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = 0;
        (void)mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    ck_assert_msg(file != NULL, "%s", full);
    (void)fputs(text, file);
    (void)fclose(file);
}

static unsigned host_cpus(void)
{
    cpu_set_t set;
    ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    return (unsigned)CPU_COUNT(&set);
}

static void setup(void)
{
    temp_dir_make(root);
    (void)unsetenv("TSINK_MAX_CPUS");
}

static void teardown(void)
{
    temp_dir_drop(root);
}

static const struct tree {
    const char *name;
    const char *files[8][2];
    unsigned n_cpus; /* 0: the host's */
    uint64_t bytes;  /* 0: the host's */
} trees[] = {
    {"nothing there", {{0}}, 0, 0},
    {"v2, no limits",
     {{"proc/self/cgroup", "0::/a\n"},
      {"sys/fs/cgroup/a/cpu.max", "max 100000\n"},
      {"sys/fs/cgroup/a/memory.max", "max\n"}}, 0, 0},
    {"v2, half a CPU is one",
     {{"proc/self/cgroup", "0::/a\n"},
      {"sys/fs/cgroup/a/cpu.max", "50000 100000\n"},
      {"sys/fs/cgroup/a/memory.max", "1048576\n"}}, 1, 1048576},
    {"v2, the parent is tighter",
     {{"proc/self/cgroup", "0::/a/b/c\n"},
      {"sys/fs/cgroup/a/cpu.max", "100000 100000\n"},
      {"sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n"},
      {"sys/fs/cgroup/a/b/memory.max", "5000000"},
      {"sys/fs/cgroup/a/b/c/memory.max", "6000000\n"}}, 1, 5000000},
    {"v2, a container that sees the host's path",
     {{"proc/self/cgroup", "0::/docker/012345\n"},
      {"sys/fs/cgroup/cpu.max", "100000 100000\n"},
      {"sys/fs/cgroup/memory.max", "7000000\n"}}, 1, 7000000},
    {"v1",
     {{"proc/self/cgroup", "3:cpu,cpuacct:/x\n2:memory:/x/y\n1:name=systemd:/x\n"},
      {"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "90000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"},
      {"sys/fs/cgroup/memory/x/memory.limit_in_bytes", "8000000\n"},
      {"sys/fs/cgroup/memory/x/y/memory.limit_in_bytes", "9223372036854771712\n"}}, 1, 8000000},
    {"v1 without limits",
     {{"proc/self/cgroup", "1:cpu:/\n2:memory:/\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"},
      {"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"}}, 0, 0},
    {"hybrid",
     {{"proc/self/cgroup", "2:memory:/m\n0::/u\n"},
      {"sys/fs/cgroup/unified/u/cpu.max", "1000 100000\n"},
      {"sys/fs/cgroup/memory/m/memory.limit_in_bytes", "4096\n"}}, 1, 4096},
    {"nonsense",
     {{"proc/self/cgroup", "::::\nx\n:\n0:\n0::/a"},
      {"sys/fs/cgroup/a/cpu.max", "one two\n"},
      {"sys/fs/cgroup/a/memory.max", "99999999999999999999999999\n"},
      {"sys/fs/cgroup/cpu.max", "0 0\n"},
      {"sys/fs/cgroup/memory.max", ""}}, 0, 0},
};

START_TEST(test_trees)
{
    const struct tree *tree = &trees[_i];
    struct cgroup_limits host, got;

    cgroup_read(&host, root); /* still empty */
    ck_assert_uint_eq(host.n_cpus, host_cpus());
    for (int i = 0; i < 8 && tree->files[i][0]; i++) put(tree->files[i][0], tree->files[i][1]);
    cgroup_read(&got, root);
    ck_assert_msg(got.n_cpus == (tree->n_cpus ? tree->n_cpus : host.n_cpus), "%s: %u CPUs",
                  tree->name, got.n_cpus);
    ck_assert_msg(got.memory_bytes == (tree->bytes ? tree->bytes : host.memory_bytes),
                  "%s: %llu bytes", tree->name, (unsigned long long)got.memory_bytes);
}
END_TEST

START_TEST(test_override)
{
    struct cgroup_limits got;
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/cpu.max", "100000 100000");
    ck_assert_int_eq(setenv("TSINK_MAX_CPUS", "7", 1), 0);
    cgroup_read(&got, root);
    ck_assert_uint_eq(got.n_cpus, 7);
    static const char *const ignored[] = {"0", "-1", "x", ""};
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        ck_assert_int_eq(setenv("TSINK_MAX_CPUS", ignored[i], 1), 0);
        cgroup_read(&got, root);
        ck_assert_uint_eq(got.n_cpus, 1);
    }
    ck_assert_int_eq(setenv("TSINK_MAX_CPUS", "99999999999", 1), 0);
    cgroup_read(&got, root);
    ck_assert_uint_eq(got.n_cpus, 65536);
}
END_TEST

START_TEST(test_this_machine)
{
    struct cgroup_limits got;
    cgroup_read(&got, NULL);
    ck_assert(got.n_cpus >= 1 && got.n_cpus <= host_cpus());
    ck_assert_uint_gt(got.memory_bytes, 1 << 20);
    ck_assert_uint_gt(cgroup_resident(), 100 << 10);
    ck_assert_uint_lt(cgroup_resident(), got.memory_bytes);
}
END_TEST

Suite *suite_cgroup(void)
{
    Suite *suite = suite_create("cgroup");
    TCase *tc = tcase_create("cgroup");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_trees, 0, ARRAY_LEN(trees));
    tcase_add_test(tc, test_override);
    tcase_add_test(tc, test_this_machine);
    suite_add_tcase(suite, tc);
    return suite;
}
