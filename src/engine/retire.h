/* Retired memory: what the owner has unlinked and some reader may still look at.
 *
 * Time is the cell's epoch, which rises at every pin and after every step that
 * retired something. A retired item carries the epoch of its unlinking (its stamp)
 * and is freed when nobody can reach it:
 *
 *     a view pinned at epoch v    blocks stamps above v (it was pinned before)
 *     a reader registered at r    blocks stamps of r and above
 *
 * Readers are those who look at the index without a view: probing io loops and
 * resolving workers. They take a slot, store the epoch there, meet, read, and store
 * 0 when they leave; the owner meets before it looks at the slots. Either the owner
 * sees the slot, or the reader sees the unlinking.
 *
 * retire_push and retire_collect: owner. reader_enter and reader_leave: any thread,
 * bounded time.
 */
#ifndef TSINK_ENGINE_RETIRE_H
#define TSINK_ENGINE_RETIRE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { READER_SLOTS = 64 };

/* Embedded in what is retired, or (retire_call) allocated beside it. */
struct retired {
    struct retired *next;
    uint64_t stamp;
    void (*free_fn)(struct retired *item);
};

struct reader_slot {
    _Alignas(64) _Atomic uint64_t epoch; /* 0: free */
};

struct retire_list {
    struct retired *first, **last;
    size_t n_items;
    _Atomic uint64_t epoch;   /* the cell's; starts at 1, written by the owner */
    _Alignas(64) _Atomic uint64_t meetings; /* see retire.c */
    struct reader_slot readers[READER_SLOTS];
};

void retire_init(struct retire_list *list);

/* Frees everything: only when no reader and no view is left. */
void retire_release(struct retire_list *list);

void retire_push(struct retire_list *list, struct retired *item,
                 void (*free_fn)(struct retired *item));

/* For memory without an embedded item: calls free_fn(ptr, arg) later. */
void retire_call(struct retire_list *list, void (*free_fn)(void *ptr, void *arg), void *ptr,
                 void *arg);

/* Frees at most max items whose stamps are below what the oldest view (UINT64_MAX when
 * none) and the readers allow; raises the epoch when something is left. Returns the
 * number freed. */
size_t retire_collect(struct retire_list *list, uint64_t oldest_view, size_t max);

/* Takes a slot; -1 never happens while fewer than READER_SLOTS threads read: it waits
 * for a free one by yielding. */
int reader_enter(struct retire_list *list);
void reader_leave(struct retire_list *list, int slot);

#endif
