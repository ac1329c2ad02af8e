/* Retired memory: what the owner has unlinked and some reader may still look at.
 *
 * Time is the cell's epoch, which rises at every pin and after every step that
 * retired something. A retired object carries the epoch of its unlinking (its stamp)
 * and is freed when nobody can reach it:
 *
 *     a view pinned at epoch v    blocks stamps above v (it was pinned before)
 *     a reader registered at r    blocks stamps of r and above
 *
 * Readers are those who look at the index without a view: probing io loops and
 * resolving workers. They take a slot, store the epoch there, meet, read, and store
 * 0 when they leave; the owner meets before it looks at the slots. Either the owner
 * sees the slot, or the reader sees the unlinking. Who reads for long leaves and enters
 * again between two things it looks at (reader_renew), or it holds back everything.
 *
 * Objects carry nothing for this: the list is one of 16-byte entries in blocks, oldest
 * first, and what an object is told by its kind to the list's free function.
 *
 * retire_push and retire_collect: owner. reader_enter and reader_leave: any thread,
 * bounded time.
 */
#ifndef TSINK_ENGINE_RETIRE_H
#define TSINK_ENGINE_RETIRE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { READER_SLOTS = 64, RETIRE_CALL = 0 };

/* Frees an object of a kind of 1 and above. */
typedef void retire_free_fn(void *ctx, unsigned kind, void *ptr);

struct reader_slot {
    _Alignas(64) _Atomic uint64_t epoch; /* 0: free */
};

struct retire_block;

struct retire_list {
    retire_free_fn *free_fn;
    void *ctx;
    struct retire_block *first, *last; /* oldest and newest; NULL when empty */
    struct retire_block *spare;
    size_t next;              /* the oldest entry, in first */
    size_t n_items, n_bytes;  /* that wait */
    _Atomic uint64_t epoch;   /* the cell's; starts at 1, written by the owner */
    _Alignas(64) _Atomic uint64_t meetings; /* see retire.c */
    struct reader_slot readers[READER_SLOTS];
};

void retire_init(struct retire_list *list, retire_free_fn *free_fn, void *ctx);

/* Frees everything: only when no reader and no view is left. */
void retire_release(struct retire_list *list);

/* ptr is below 2^48; bytes is what freeing it will give back. */
void retire_push(struct retire_list *list, unsigned kind, void *ptr, size_t bytes);

/* For what is not the engine's: calls free_fn(ptr, arg) later. */
void retire_call(struct retire_list *list, void (*free_fn)(void *ptr, void *arg), void *ptr,
                 void *arg, size_t bytes);

/* Frees at most max objects whose stamps are below what the oldest view (UINT64_MAX when
 * none) and the readers allow; raises the epoch when something is left. Returns the
 * number freed. */
size_t retire_collect(struct retire_list *list, uint64_t oldest_view, size_t max);

/* Takes a slot; -1 never happens while fewer than READER_SLOTS threads read: it waits
 * for a free one by yielding. */
int reader_enter(struct retire_list *list);
void reader_leave(struct retire_list *list, int slot);

/* The epoch at which the reader entered. The reader itself. */
uint64_t reader_since(const struct retire_list *list, int slot);

/* As leaving and entering at once: what was read before may be gone now. */
void reader_renew(struct retire_list *list, int slot);

#endif
