/* The heap behind one small table of functions. See mem.h. */
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/panic.h"

/* Blocks from here on ask for huge pages: a table that is filled at once costs a fault for
 * 2 MiB instead of 4 KiB (a fifth of a start with a million series), and a look-up in it
 * fewer misses of the TLB. What is never touched still takes no memory. */
enum { HUGE_PAGE = 2 << 20, HUGE_FROM = 4 << 20 };

/* Only an advice: it may be refused, and nothing else changes. */
static void *advise_huge(void *ptr, size_t size)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (!ptr || size < HUGE_FROM) return ptr;
    uintptr_t from = ((uintptr_t)ptr + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
    uintptr_t to = ((uintptr_t)ptr + size) & ~(uintptr_t)(HUGE_PAGE - 1);
    (void)madvise((void *)from, to - from, MADV_HUGEPAGE);
#else
    (void)size;
#endif
    return ptr;
}

static void *libc_alloc(size_t align, size_t size, int may_fail)
{
    (void)may_fail;
    if (align <= sizeof(void *)) return advise_huge(malloc(size), size);

    void *ptr = NULL;
    return posix_memalign(&ptr, align, size) == 0 ? ptr : NULL;
}

static struct mem_hooks hooks = {.alloc = libc_alloc, .grow = realloc, .free = free};

void mem_set_hooks(const struct mem_hooks *to)
{
    hooks = to ? *to : (struct mem_hooks){.alloc = libc_alloc, .grow = realloc, .free = free};
}

void *mem_alloc(size_t size)
{
    DASSERT(size <= MEM_FIXED_MAX);
    void *ptr = hooks.alloc(0, size ? size : 1, 0);
    if (!ptr) PANIC("out of memory: %zu bytes", size);
    return ptr;
}

void *mem_zalloc(size_t size)
{
    return memset(mem_alloc(size), 0, size);
}

void *mem_try(size_t size)
{
    return hooks.alloc(0, size ? size : 1, 1);
}

void *mem_try_zero(size_t size)
{
    /* calloc() knows when the system's pages are zero already: a table of a hundred
     * megabytes then costs its maker nothing until it is touched. */
    if (hooks.alloc == libc_alloc) return advise_huge(calloc(1, size ? size : 1), size);
    void *ptr = mem_try(size);
    return ptr ? memset(ptr, 0, size) : NULL;
}

void *mem_try_array(size_t n, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(n, size, &bytes) ? NULL : mem_try(bytes);
}

void *mem_try_grow(void *ptr, size_t size)
{
    return hooks.grow(ptr, size ? size : 1);
}

void *mem_try_aligned(size_t align, size_t size)
{
    return hooks.alloc(align, size ? size : 1, 1);
}

void mem_free(void *ptr)
{
    if (ptr) hooks.free(ptr);
}

/* Hooks must see regions, too; and a leak checker looks for pointers in the heap only. */
static bool regions_from_heap(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return true;
#else
    return hooks.alloc != libc_alloc;
#endif
}

void *mem_try_region(size_t len)
{
    if (regions_from_heap()) return hooks.alloc(len, len, 1);

    /* Twice as much holds an aligned piece; what is around it goes back. */
    char *at = mmap(NULL, 2 * len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return NULL;
    size_t before = (len - ((uintptr_t)at & (len - 1))) & (len - 1);
    if (before) (void)munmap(at, before);
    (void)munmap(at + before + len, len - before);
    return at + before;
}

void mem_free_region(void *ptr, size_t len)
{
    if (!ptr) return;
    if (regions_from_heap())
        hooks.free(ptr);
    else
        (void)munmap(ptr, len);
}

bool mem_idle_region(void *ptr, size_t len)
{
    return !regions_from_heap() && madvise(ptr, len, MADV_DONTNEED) == 0;
}
