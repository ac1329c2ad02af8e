/* Series ids -> ordinals, in pages of 64 ids. Ids are minted in order, so a page is full
 * when its series live and costs a little over 4 bytes an id; a page without a living
 * series is used again for other ids. A hash table by page number leads to the page.
 *
 *     dir: page number -> idx        pages: | number | n_live | ordinal + 1 ... x 64 |
 *
 * One owner puts and removes. Any registered reader finds: pages never go, and since a
 * reader may be late on a page that serves other ids by now, the caller compares the id
 * in the entry of the ordinal that it is given.
 */
#ifndef TSINK_INDEX_ID_PAGES_PRIV_H
#define TSINK_INDEX_ID_PAGES_PRIV_H

#include "base/segvec.h"
#include "base/vec.h"
#include "index/id_table_priv.h"

enum { ID_PAGE_LEN = 64 };

struct id_page {
    _Atomic uint64_t number; /* of the page: id / ID_PAGE_LEN */
    uint64_t n_live;         /* owner */
    _Atomic uint32_t ordinal[ID_PAGE_LEN]; /* + 1; 0: none */
};

struct id_pages {
    struct id_table dir;
    struct segvec pages;     /* of struct id_page */
    VEC(uint32_t) free;      /* pages without a living series; owner */
    uint64_t last;           /* the page of the last put, or its number is not this; owner */
    uint32_t last_idx;
};

void id_pages_init(struct id_pages *ids, struct index_pool *pool);
void id_pages_release(struct id_pages *ids);

/* Room for this id: the put that follows cannot fail. Owner. */
CHECKED bool id_pages_reserve(struct id_pages *ids, uint64_t id);
void id_pages_put(struct id_pages *ids, uint64_t id, uint32_t ordinal); /* owner */
void id_pages_remove(struct id_pages *ids, uint64_t id);                /* owner */

/* The ordinal that was put for this id, or perhaps that of another id, or ID_NONE. */
uint32_t id_pages_find(const struct id_pages *ids, uint64_t id);

/* The same for who asks for one id after the other: page numbers are compared with those of
 * the last answer first. *number is UINT64_MAX at first. */
uint32_t id_pages_find_near(const struct id_pages *ids, uint64_t id, uint64_t *number,
                            uint32_t *idx);

#endif
