/* What this process may use of the machine: the host's CPUs and memory, cut down by
 * the scheduler's affinity mask and by the limits of its control group and of all
 * groups above it (cgroup v2 and v1). TSINK_MAX_CPUS in the environment overrides
 * the CPU count. And what memory it has. Reads a few small files; any thread, limits
 * at start-up.
 */
#ifndef TSINK_BASE_CGROUP_H
#define TSINK_BASE_CGROUP_H

#include <stdint.h>

struct cgroup_limits {
    unsigned n_cpus;       /* at least 1; a quota of 1.5 CPUs counts as 2 */
    uint64_t memory_bytes; /* the smaller of physical memory and the group's limit */
};

/* root is the directory that stands for "/" (tests give one of their own); NULL for
 * the real one. Files that are missing or unreadable limit nothing. */
void cgroup_read(struct cgroup_limits *out, const char *root);

/* Resident bytes of this process now, 0 when the system does not tell. Any thread. */
uint64_t cgroup_resident(void);

#endif
