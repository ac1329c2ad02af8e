/* Births: the ordinal of the i-th series that was born, in pages, of which the oldest go.
 *
 *     dir -> | page | page | ... |        a ring: page p is at p & mask
 *
 * The owner puts at the end and forgets from the front; registered readers get what is not
 * forgotten. A ring that is too small is replaced and retired.
 */
#ifndef TSINK_INDEX_BIRTHS_PRIV_H
#define TSINK_INDEX_BIRTHS_PRIV_H

#include <stdatomic.h>
#include <stdint.h>

#include "index/index_pool_priv.h"

enum { BIRTHS_A_PAGE = 1024 };

struct birth_page {
    uint32_t ordinal[BIRTHS_A_PAGE];
};

struct birth_ring {
    uint64_t mask;
    _Atomic(struct birth_page *) page[];
};

struct births {
    _Atomic(struct birth_ring *) ring;
    uint64_t first, end; /* pages there are: [first, end); owner */
    struct index_pool *pool;
};

void births_init(struct births *births, struct index_pool *pool);
void births_release(struct births *births);

/* Makes sure that birth i, the one behind all others, can be put. Owner. */
CHECKED bool births_reserve(struct births *births, uint64_t i);
void births_put(struct births *births, uint64_t i, uint32_t ordinal);

/* Not forgotten. Any registered reader. */
uint32_t births_get(const struct births *births, uint64_t i);

/* Gives back the pages that hold births below i alone: no reader is left who could ask for
 * them. Owner. */
void births_forget(struct births *births, uint64_t i);

#endif
