/* See packed_store_priv.h. */
#include "index/packed_store_priv.h"

#include <string.h>

void packed_store_init(struct packed_store *store, struct account *account)
{
    memset(store, 0, sizeof(*store));
    segvec_init(&store->words, PACKED_WORD, account);
    segvec_publish(&store->words, 1); /* PACKED_NONE */
}

void packed_store_release(struct packed_store *store)
{
    segvec_release(&store->words);
    memset(store->free_list, 0, sizeof(store->free_list));
}

/* Words of a piece for len bytes: exact, or the next power of two. */
static size_t words_of(size_t len)
{
    size_t n = (len + PACKED_WORD - 1) / PACKED_WORD;
    return n <= PACKED_EXACT ? n : (size_t)1 << bit_width(n - 1);
}

static size_t class_of(size_t words)
{
    return words <= PACKED_EXACT ? words - 1 : PACKED_EXACT + bit_width(words - 1);
}

/* The first word behind the segment that holds `at`. */
static size_t segment_end(size_t at)
{
    uint64_t k = bit_width((at >> SEGVEC_SHIFT) + 1);
    return (((size_t)1 << k) - 1) << SEGVEC_SHIFT;
}

uint32_t packed_store_alloc(struct packed_store *store, size_t len)
{
    if (len == 0 || len > (size_t)UINT32_MAX) return PACKED_NONE;
    size_t words = words_of(len), class = class_of(words);
    if (class >= PACKED_CLASSES) return PACKED_NONE;
    uint32_t at = store->free_list[class];
    if (at != PACKED_NONE) {
        memcpy(&store->free_list[class], packed_store_at(store, at), sizeof(uint32_t));
        return at;
    }
    size_t next = segvec_len(&store->words);
    while (segment_end(next) - next < words) next = segment_end(next);
    if (next + words > UINT32_MAX || !segvec_reserve(&store->words, next)) return PACKED_NONE;
    segvec_publish(&store->words, next + words);
    return (uint32_t)next;
}

void packed_store_free(struct packed_store *store, uint32_t at, size_t len)
{
    if (at == PACKED_NONE) return;
    size_t class = class_of(words_of(len));
    memcpy(packed_store_at(store, at), &store->free_list[class], sizeof(uint32_t));
    store->free_list[class] = at;
}
