/* Epochs and deferred freeing. See retire.h. */
#include "engine/retire.h"

#include <sched.h>

#include "base/mem.h"
#include "base/panic.h"
#include "base/span_heap.h"

enum { BLOCK_ENTRIES = 254, AHEAD = 12 };

struct retire_entry {
    uint64_t what;      /* address << 16 | kind */
    uint32_t stamp;     /* epochs behind the block's base */
    uint32_t bytes;     /* of more than 4 GiB, 4 GiB are counted */
};

struct retire_block {
    struct retire_block *newer;
    uint64_t base;      /* epoch of the first entry */
    size_t n;
    struct retire_entry at[BLOCK_ENTRIES];
};

_Static_assert(sizeof(struct retire_block) <= MEM_FIXED_MAX, "retiring cannot fail");

struct retired_call {
    void (*free_fn)(void *ptr, void *arg);
    void *ptr, *arg;
};

void retire_init(struct retire_list *list, retire_free_fn *free_fn, void *ctx)
{
    list->free_fn = free_fn;
    list->ctx = ctx;
    list->first = list->last = list->spare = NULL;
    list->next = list->n_items = list->n_bytes = 0;
    atomic_store_explicit(&list->meetings, 0, memory_order_relaxed);
    atomic_store_explicit(&list->epoch, 1, memory_order_relaxed);
    for (int i = 0; i < READER_SLOTS; i++)
        atomic_store_explicit(&list->readers[i].epoch, 0, memory_order_relaxed);
}

static struct retire_block *add_block(struct retire_list *list, uint64_t base)
{
    struct retire_block *block = list->spare ? list->spare : mem_alloc(sizeof(*block));
    list->spare = NULL;
    block->newer = NULL;
    block->base = base;
    block->n = 0;
    if (list->last)
        list->last->newer = block;
    else
        list->first = block;
    list->last = block;
    return block;
}

void retire_push(struct retire_list *list, unsigned kind, void *ptr, size_t bytes)
{
    uint64_t epoch = atomic_load_explicit(&list->epoch, memory_order_relaxed);
    struct retire_block *block = list->last;
    DASSERT((uintptr_t)ptr >> 48 == 0 && kind <= UINT16_MAX);
    if (!block || block->n == BLOCK_ENTRIES || epoch - block->base > UINT32_MAX)
        block = add_block(list, epoch);
    block->at[block->n++] =
        (struct retire_entry){.what = (uint64_t)(uintptr_t)ptr << 16 | kind,
                              .stamp = (uint32_t)(epoch - block->base),
                              .bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX};
    list->n_bytes += block->at[block->n - 1].bytes;
    list->n_items++;
}

void retire_call(struct retire_list *list, void (*free_fn)(void *ptr, void *arg), void *ptr,
                 void *arg, size_t bytes)
{
    struct retired_call *call = mem_alloc(sizeof(*call));
    *call = (struct retired_call){.free_fn = free_fn, .ptr = ptr, .arg = arg};
    retire_push(list, RETIRE_CALL, call, bytes);
}

/* The oldest entry leaves the list and its object goes. */
static void free_oldest(struct retire_list *list)
{
    struct retire_block *block = list->first;
    struct retire_entry entry = block->at[list->next++];
    void *ptr = (void *)(uintptr_t)(entry.what >> 16);
    unsigned kind = entry.what & UINT16_MAX;
    list->n_items--;
    list->n_bytes -= entry.bytes;
    if (list->next == block->n) {
        list->first = block->newer;
        if (!list->first) list->last = NULL;
        list->next = 0;
        mem_free(list->spare);
        list->spare = block;
    }
    if (kind != RETIRE_CALL) {
        list->free_fn(list->ctx, kind, ptr);
        return;
    }
    struct retired_call *call = ptr;
    call->free_fn(call->ptr, call->arg);
    mem_free(call);
}

/* Where owner and readers meet: of two of these one comes second and sees all that was
 * before the first. Says what a fence would say, in a way that thread checkers follow. */
static void meet(struct retire_list *list)
{
    (void)atomic_fetch_add_explicit(&list->meetings, 1, memory_order_acq_rel);
}

/* The first stamp that may not be freed. */
static uint64_t first_blocked(struct retire_list *list, uint64_t oldest_view)
{
    uint64_t blocked = oldest_view == UINT64_MAX ? UINT64_MAX : oldest_view + 1;
    meet(list);
    for (int i = 0; i < READER_SLOTS; i++) {
        uint64_t at = atomic_load_explicit(&list->readers[i].epoch, memory_order_acquire);
        if (at && at < blocked) blocked = at;
    }
    return blocked;
}

/* Retired objects are cold: their lines, and those of their spans' heads, are asked for
 * before their turn. */
static void prefetch(const struct retire_block *block, size_t idx)
{
    if (idx >= block->n) return;
    uintptr_t at = (uintptr_t)(block->at[idx].what >> 16);
    __builtin_prefetch((void *)at, 1);
    __builtin_prefetch((void *)(at & ~(uintptr_t)(SPAN_LEN - 1)), 1);
}

size_t retire_collect(struct retire_list *list, uint64_t oldest_view, size_t max)
{
    if (!list->first) return 0;

    uint64_t blocked = first_blocked(list, oldest_view);
    size_t n = 0;
    for (; list->first && n < max; n++) {
        const struct retire_block *block = list->first;
        if (block->base + block->at[list->next].stamp >= blocked) break;
        prefetch(block, list->next + AHEAD);
        free_oldest(list);
    }
    if (list->first) atomic_fetch_add_explicit(&list->epoch, 1, memory_order_release);
    return n;
}

void retire_release(struct retire_list *list)
{
    while (list->first) free_oldest(list);
    mem_free(list->spare);
    list->spare = NULL;
}

int reader_enter(struct retire_list *list)
{
    /* Start somewhere of our own, so that threads seldom meet in a slot. */
    unsigned start = (unsigned)((uintptr_t)__builtin_frame_address(0) >> 16);
    for (unsigned i = 0;; i++) {
        _Atomic uint64_t *slot = &list->readers[(start + i) % READER_SLOTS].epoch;
        uint64_t idle = 0, epoch = atomic_load_explicit(&list->epoch, memory_order_acquire);
        if (atomic_load_explicit(slot, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(slot, &idle, epoch, memory_order_acq_rel,
                                                    memory_order_relaxed)) {
            meet(list);
            return (int)((start + i) % READER_SLOTS);
        }
        if (i % READER_SLOTS == READER_SLOTS - 1) sched_yield();
    }
}

void reader_leave(struct retire_list *list, int slot)
{
    atomic_store_explicit(&list->readers[slot].epoch, 0, memory_order_release);
}

uint64_t reader_since(const struct retire_list *list, int slot)
{
    return atomic_load_explicit(&list->readers[slot].epoch, memory_order_relaxed);
}

void reader_renew(struct retire_list *list, int slot)
{
    uint64_t epoch = atomic_load_explicit(&list->epoch, memory_order_acquire);
    atomic_store_explicit(&list->readers[slot].epoch, epoch, memory_order_release);
    meet(list);
}
