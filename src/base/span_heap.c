/* See span_heap.h. A freed object's first word points to the next free one of its span.
 *
 * Classes up to 504 bytes are multiples of 8. Above, the larger objects would leave the
 * end of a span unused, so each class is what a number of objects in a span leaves them:
 * 16320 / n, for every n from 31 to 4. */
#include "base/span_heap.h"

#include "base/bits.h"
#include "base/mem.h"
#include "base/panic.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(ptr, len) ASAN_POISON_MEMORY_REGION(ptr, len)
#define UNPOISON(ptr, len) ASAN_UNPOISON_MEMORY_REGION(ptr, len)
#else
#define POISON(ptr, len) ((void)(ptr), (void)(len))
#define UNPOISON(ptr, len) ((void)(ptr), (void)(len))
#endif

enum {
    STEP = 8,
    SMALL_MAX = 504,
    N_SMALL = SMALL_MAX / STEP,
    SPANS = SPAN_REGION_LEN / SPAN_LEN,
    LARGE_MOST = 31,    /* objects of the first large class in a span */
    WARM_MIN = 16,      /* spans, and one of WARM_SHARE in use: who comes and goes finds */
    WARM_SHARE = 64,    /* memory. A guess: 1.6 % more, against a page fault every 4 KiB */
};

struct region {
    struct list link;   /* of heap->regions or heap->full */
    uint64_t free;      /* a bit for each span that nobody uses */
    uint64_t warm;      /* of those, the ones that hold memory */
    char *base;
};

/* At the start of each span in use. */
struct span {
    struct list link;   /* of heap->partial when it has room */
    struct region *region;
    void *free;         /* chain through the first word of each */
    uint16_t n_used, n_made, n_max; /* out; ever taken; what fits */
    uint16_t least, most;           /* n_used for the list it is in */
    uint8_t class, quarter;
};

static const uint16_t large_class[] = {520,  544,  560,  576,  600,  624,  648,
                                       680,  704,  736,  776,  816,  856,  904,
                                       960,  1016, 1088, 1160, 1248, 1360, 1480,
                                       1632, 1808, 2040, 2328, 2720, 3264, 4080};

_Static_assert(sizeof(struct span) <= SPAN_HEAD, "objects begin behind the head");
_Static_assert(N_SMALL + sizeof(large_class) / sizeof(large_class[0]) == SPAN_CLASSES,
               "every class has a list");
_Static_assert(SPANS == 64, "a region's spans are the bits of a word");

static void push_front(struct list *head, struct list *node)
{
    list_push(head->next, node);
}

static unsigned class_of(size_t len)
{
    if (len <= SMALL_MAX) return len <= STEP ? 0 : (unsigned)((len - 1) / STEP);

    /* As many as fit into a span have the class of the largest that do. */
    unsigned n = (SPAN_LEN - SPAN_HEAD) / (unsigned)len;
    unsigned i = n < LARGE_MOST ? LARGE_MOST - n : 0;
    while (large_class[i] < len) i++; /* classes are multiples of 8: one more, at most */
    return N_SMALL + i;
}

static size_t class_len(unsigned class)
{
    return class < N_SMALL ? (class + 1) * (size_t)STEP : large_class[class - N_SMALL];
}

size_t span_heap_room(size_t len)
{
    return len > SPAN_OBJECT_MAX ? len : class_len(class_of(len));
}

void span_heap_init(struct span_heap *heap, struct account *account)
{
    *heap = (struct span_heap){.account = account};
    for (unsigned quarter = 0; quarter < SPAN_QUARTERS; quarter++) {
        for (unsigned i = 0; i < SPAN_CLASSES; i++) list_init(&heap->partial[i][quarter]);
        list_init(&heap->regions[quarter]);
    }
    list_init(&heap->full);
}

static void free_region(struct span_heap *heap, struct region *region)
{
    list_remove(&region->link);
    heap->n_warm -= (size_t)__builtin_popcountll(region->warm);
    UNPOISON(region->base, SPAN_REGION_LEN);
    mem_free_region(region->base, SPAN_REGION_LEN);
    mem_free(region);
    heap->n_regions--;
}

void span_heap_release(struct span_heap *heap)
{
    if (!heap->full.next) return; /* zeroed */
    for (unsigned i = 0; i < SPAN_QUARTERS; i++)
        while (!list_empty(&heap->regions[i]))
            free_region(heap, container_of(heap->regions[i].next, struct region, link));
    while (!list_empty(&heap->full))
        free_region(heap, container_of(heap->full.next, struct region, link));
    account_release(heap->account, heap->n_spans * SPAN_LEN);
    span_heap_init(heap, heap->account);
}

static unsigned region_quarter(const struct region *region)
{
    unsigned n_used = SPANS - (unsigned)__builtin_popcountll(region->free);
    return n_used * SPAN_QUARTERS / (SPANS + 1);
}

static struct region *fullest_region(struct span_heap *heap)
{
    for (unsigned i = SPAN_QUARTERS; i-- > 0;)
        if (!list_empty(&heap->regions[i]))
            return container_of(heap->regions[i].next, struct region, link);
    return NULL;
}

/* To the list it belongs to now. */
static void place_region(struct span_heap *heap, struct region *region)
{
    list_remove(&region->link);
    if (region->free)
        push_front(&heap->regions[region_quarter(region)], &region->link);
    else
        list_push(&heap->full, &region->link);
}

static struct region *add_region(struct span_heap *heap)
{
    struct region *region = mem_try(sizeof(*region));
    char *base = region ? mem_try_region(SPAN_REGION_LEN) : NULL;
    if (!base) {
        mem_free(region);
        return NULL;
    }
    POISON(base, SPAN_REGION_LEN);
    *region = (struct region){.free = UINT64_MAX, .base = base};
    push_front(&heap->regions[0], &region->link);
    heap->n_regions++;
    heap->n_idle_regions++;
    return region;
}

/* A span stays in its list until it is clearly out of its quarter: `least` is an eighth of
 * a span below it, so that a coming and going costs no list work. */
static void list_span(struct span_heap *heap, struct span *span)
{
    unsigned n_max = span->n_max, quarter = span->n_used * (unsigned)SPAN_QUARTERS / n_max;
    unsigned least = quarter * n_max / SPAN_QUARTERS, slack = n_max / 8;
    span->quarter = (uint8_t)quarter;
    span->least = (uint16_t)(least > slack ? least - slack : 0);
    span->most = (uint16_t)((quarter + 1) * n_max / SPAN_QUARTERS);
    push_front(&heap->partial[span->class][quarter], &span->link);
    heap->in_quarter[span->class] |= (uint8_t)(1u << quarter);
}

static void unlist_span(struct span_heap *heap, struct span *span)
{
    list_remove(&span->link);
    if (list_empty(&heap->partial[span->class][span->quarter]))
        heap->in_quarter[span->class] &= (uint8_t)~(1u << span->quarter);
}

static void move_span(struct span_heap *heap, struct span *span)
{
    unlist_span(heap, span);
    list_span(heap, span);
}

static struct span *take_span(struct span_heap *heap, unsigned class)
{
    if (!account_charge(heap->account, SPAN_LEN)) return NULL;
    struct region *region = fullest_region(heap);
    if (!region) region = add_region(heap);
    if (!region) {
        account_release(heap->account, SPAN_LEN);
        return NULL;
    }
    if (region->free == UINT64_MAX) heap->n_idle_regions--;
    unsigned idx = (unsigned)__builtin_ctzll(region->warm ? region->warm : region->free);
    if (region->warm) heap->n_warm--;
    region->warm &= ~(1ull << idx);
    region->free &= ~(1ull << idx);
    place_region(heap, region);
    struct span *span = (struct span *)(void *)(region->base + (size_t)idx * SPAN_LEN);
    UNPOISON(span, SPAN_HEAD);
    *span = (struct span){.region = region,
                          .class = (uint8_t)class,
                          .n_max = (uint16_t)((SPAN_LEN - SPAN_HEAD) / class_len(class))};
    list_span(heap, span);
    heap->n_spans++;
    return span;
}

static void give_span(struct span_heap *heap, struct span *span)
{
    struct region *region = span->region;
    uint64_t bit = 1ull << ((size_t)((char *)span - region->base) / SPAN_LEN);
    unlist_span(heap, span);
    POISON(span, SPAN_LEN);
    heap->n_spans--;
    region->free |= bit;
    if (heap->n_warm < WARM_MIN + heap->n_spans / WARM_SHARE || !mem_idle_region(span, SPAN_LEN)) {
        region->warm |= bit;
        heap->n_warm++;
    }
    place_region(heap, region);
    account_release(heap->account, SPAN_LEN);
    if (region->free != UINT64_MAX) return;
    if (heap->n_idle_regions)
        free_region(heap, region);
    else
        heap->n_idle_regions++;
}

static void *try_large(struct span_heap *heap, size_t len)
{
    if (!account_charge(heap->account, len)) return NULL;
    void *ptr = mem_try(len);
    if (ptr)
        heap->used_bytes += len;
    else
        account_release(heap->account, len);
    return ptr;
}

void *span_heap_try(struct span_heap *heap, size_t len)
{
    if (len > SPAN_OBJECT_MAX) return try_large(heap, len);

    unsigned class = class_of(len);
    size_t room = class_len(class);
    unsigned in_quarter = heap->in_quarter[class];
    struct span *span;
    if (in_quarter) {
        struct list *fullest = &heap->partial[class][31 - __builtin_clz(in_quarter)];
        span = container_of(fullest->next, struct span, link);
    } else {
        span = take_span(heap, class);
        if (!span) return NULL;
    }
    void *ptr = span->free;
    if (ptr) {
        UNPOISON(ptr, room);
        span->free = *(void **)ptr;
    } else {
        ptr = (char *)span + SPAN_HEAD + room * span->n_made++;
        UNPOISON(ptr, room);
    }
    span->n_used++;
    if (span->n_used == span->n_max)
        unlist_span(heap, span);
    else if (span->n_used > span->most)
        move_span(heap, span);
    heap->used_bytes += room;
    return ptr;
}

void span_heap_put(struct span_heap *heap, void *ptr, size_t len)
{
    if (!ptr) return;
    if (len > SPAN_OBJECT_MAX) {
        mem_free(ptr);
        heap->used_bytes -= len;
        account_release(heap->account, len);
        return;
    }
    struct span *span = (struct span *)((uintptr_t)ptr & ~(uintptr_t)(SPAN_LEN - 1));
    size_t room = class_len(span->class);
    DASSERT(len <= room && span->n_used > 0);
    *(void **)ptr = span->free;
    span->free = ptr;
    POISON(ptr, room);
    heap->used_bytes -= room;
    bool was_full = span->n_used-- == span->n_max;
    if (was_full)
        list_span(heap, span);
    else if (span->n_used < span->least)
        move_span(heap, span);
    if (span->n_used == 0) give_span(heap, span);
}
