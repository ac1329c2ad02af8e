/* Epochs and deferred freeing. See retire.h. */
#include "engine/retire.h"

#include <sched.h>

#include "base/mem.h"
#include "base/panic.h"

struct retired_call {
    struct retired item;
    void (*free_fn)(void *ptr, void *arg);
    void *ptr, *arg;
};

void retire_init(struct retire_list *list)
{
    list->first = NULL;
    list->last = &list->first;
    list->n_items = 0;
    atomic_store_explicit(&list->meetings, 0, memory_order_relaxed);
    atomic_store_explicit(&list->epoch, 1, memory_order_relaxed);
    for (int i = 0; i < READER_SLOTS; i++)
        atomic_store_explicit(&list->readers[i].epoch, 0, memory_order_relaxed);
}

void retire_push(struct retire_list *list, struct retired *item,
                 void (*free_fn)(struct retired *item))
{
    item->next = NULL;
    item->stamp = atomic_load_explicit(&list->epoch, memory_order_relaxed);
    item->free_fn = free_fn;
    *list->last = item;
    list->last = &item->next;
    list->n_items++;
}

static void free_call(struct retired *item)
{
    struct retired_call *call = container_of(item, struct retired_call, item);
    call->free_fn(call->ptr, call->arg);
    mem_free(call);
}

void retire_call(struct retire_list *list, void (*free_fn)(void *ptr, void *arg), void *ptr,
                 void *arg)
{
    struct retired_call *call = mem_alloc(sizeof(*call));
    *call = (struct retired_call){.free_fn = free_fn, .ptr = ptr, .arg = arg};
    retire_push(list, &call->item, free_call);
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

size_t retire_collect(struct retire_list *list, uint64_t oldest_view, size_t max)
{
    if (!list->first) return 0;

    uint64_t blocked = first_blocked(list, oldest_view);
    size_t n = 0;
    while (list->first && n < max && list->first->stamp < blocked) {
        struct retired *item = list->first;
        list->first = item->next;
        if (!list->first) list->last = &list->first;
        list->n_items--;
        item->free_fn(item);
        n++;
    }
    if (list->first) atomic_fetch_add_explicit(&list->epoch, 1, memory_order_release);
    return n;
}

void retire_release(struct retire_list *list)
{
    while (list->first) {
        struct retired *item = list->first;
        list->first = item->next;
        item->free_fn(item);
    }
    list->last = &list->first;
    list->n_items = 0;
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
