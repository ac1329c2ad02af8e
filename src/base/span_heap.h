/* Span heap: many small objects of few sizes, without a header each.
 *
 * Memory comes from the system in regions of 1 MiB, cut into spans of 16 KiB; a span
 * serves one size class and is found from an object's address. A span whose last object
 * went serves any class again, and a region without a span in use goes back to the
 * system (all but one). So what one class gives back another can use: tails of a fleet
 * grow from class to class together. Objects are taken from the fullest spans, and spans
 * from the fullest regions, as far as quarters tell: the others become empty sooner. Of the
 * spans that nobody uses, a few stay warm; the pages of the others go back to the system,
 * so that a region with a span in use does not hold the memory of 63 that are not.
 *
 *     region   [span 0][span 1] ... [span 63]
 *     span     [head, 64 B][object][object] ...       one class
 *
 * Spans in use are charged to the account, not objects: taking an object nearly always
 * touches nothing shared. Objects above SPAN_OBJECT_MAX come from the heap and are
 * charged each. Freed objects are poisoned for the address sanitizer. One owner at a time.
 */
#ifndef TSINK_BASE_SPAN_HEAP_H
#define TSINK_BASE_SPAN_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/list.h"
#include "base/status.h"

enum {
    SPAN_LEN = 16 << 10,
    SPAN_HEAD = 64,
    SPAN_REGION_LEN = 1 << 20,
    SPAN_OBJECT_MAX = 4080, /* larger objects come from the heap */
    SPAN_CLASSES = 91,
    SPAN_QUARTERS = 4,      /* how full, 3: three quarters and more */
};

struct span_heap {
    struct list partial[SPAN_CLASSES][SPAN_QUARTERS]; /* spans with room, by class */
    uint8_t in_quarter[SPAN_CLASSES];  /* a bit for each list that is not empty */
    struct list regions[SPAN_QUARTERS]; /* with a span to give */
    struct list full;                  /* regions without */
    size_t n_spans, n_regions;         /* in use; from the system */
    size_t n_idle_regions;             /* of them without a span in use */
    size_t n_warm;                     /* spans not in use that hold memory all the same */
    size_t used_bytes;                 /* of objects, with what their class adds */
    struct account *account;           /* may be NULL */
};

void span_heap_init(struct span_heap *heap, struct account *account);

/* Gives back all regions; objects above SPAN_OBJECT_MAX must have been put before.
 * Accepts a zeroed struct. */
void span_heap_release(struct span_heap *heap);

/* The bytes that an object of len bytes really gets. */
size_t span_heap_room(size_t len);

/* 8-byte aligned, not zeroed; NULL when the account or the system refuses. */
CHECKED void *span_heap_try(struct span_heap *heap, size_t len);

/* len: what it was taken with, or less if that was no more than SPAN_OBJECT_MAX. Accepts
 * NULL. */
void span_heap_put(struct span_heap *heap, void *ptr, size_t len);

#endif
