/* See mem_fault.h. */
#include "tests/lib/mem_fault.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

static struct {
    _Atomic bool armed;
    _Atomic int paused;
    _Atomic uint64_t count, failed;
    _Atomic uint64_t first, n_fail; /* 1.. and how many; n_fail 0: all from there */
    _Atomic int64_t live;
} fault;

static bool must_fail(void)
{
    if (!atomic_load(&fault.armed) || atomic_load(&fault.paused)) return false;

    uint64_t at = atomic_fetch_add(&fault.count, 1) + 1;
    uint64_t first = atomic_load(&fault.first), n = atomic_load(&fault.n_fail);
    if (at < first || (n != 0 && at - first >= n)) return false;
    atomic_fetch_add(&fault.failed, 1);
    return true;
}

static void *fault_alloc(size_t align, size_t size, int may_fail)
{
    void *ptr = NULL;

    if (may_fail && must_fail()) return NULL;
    if (align <= sizeof(void *))
        ptr = malloc(size);
    else if (posix_memalign(&ptr, align, size) != 0)
        ptr = NULL;
    if (ptr) atomic_fetch_add(&fault.live, 1);
    return ptr;
}

static void *fault_grow(void *ptr, size_t size)
{
    if (must_fail()) return NULL;

    void *grown = realloc(ptr, size);
    if (grown && !ptr) atomic_fetch_add(&fault.live, 1);
    return grown;
}

static void fault_free(void *ptr)
{
    atomic_fetch_sub(&fault.live, 1);
    free(ptr);
}

void mem_fault_install(void)
{
    static const struct mem_hooks hooks = {
        .alloc = fault_alloc, .grow = fault_grow, .free = fault_free};
    mem_set_hooks(&hooks);
}

void mem_fault_arm(uint64_t n, uint64_t n_fail)
{
    atomic_store(&fault.count, 0);
    atomic_store(&fault.failed, 0);
    atomic_store(&fault.first, n);
    atomic_store(&fault.n_fail, n_fail);
    atomic_store(&fault.armed, true);
}

uint64_t mem_fault_disarm(void)
{
    atomic_store(&fault.armed, false);
    return atomic_load(&fault.failed);
}

void mem_fault_pause(void)
{
    atomic_fetch_add(&fault.paused, 1);
}

void mem_fault_resume(void)
{
    atomic_fetch_sub(&fault.paused, 1);
}

uint64_t mem_fault_count(void)
{
    return atomic_load(&fault.count);
}

int64_t mem_fault_live(void)
{
    return atomic_load(&fault.live);
}
