/* The heap. mem_alloc() never returns NULL: it is for small structs of fixed size
 * (under 4 KiB) and ends the process when the machine has nothing left. mem_try()
 * may return NULL and is for anything whose size came from outside. The name at
 * the call site says which. Any thread.
 */
#ifndef TSINK_BASE_MEM_H
#define TSINK_BASE_MEM_H

#include <stddef.h>

#include "base/status.h"

enum { MEM_FIXED_MAX = 4096 };

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed */
CHECKED void *mem_try(size_t size);
CHECKED void *mem_try_zero(size_t size);
CHECKED void *mem_try_array(size_t n, size_t size); /* NULL also when n * size overflows */
CHECKED void *mem_try_grow(void *ptr, size_t size); /* realloc; ptr stays valid on NULL */
CHECKED void *mem_try_aligned(size_t align, size_t size);
void mem_free(void *ptr);

/* len bytes (a power of two, at least a page) aligned to len, from the system: what is
 * given back is gone from the process at once. Not zeroed. */
CHECKED void *mem_try_region(size_t len);
void mem_free_region(void *ptr, size_t len);

/* Whole pages of a region go back to the system until they are touched again; what was in
 * them is lost. False: they did not, and hold anything. About a microsecond for 16 KiB. */
bool mem_idle_region(void *ptr, size_t len);

/* The process-wide allocator, set once before the first allocation. may_fail is
 * false for mem_alloc(): failure loops let those through. */
struct mem_hooks {
    void *(*alloc)(size_t align, size_t size, int may_fail); /* align 0: any */
    void *(*grow)(void *ptr, size_t size);
    void (*free)(void *ptr);
};
void mem_set_hooks(const struct mem_hooks *hooks);

#endif
