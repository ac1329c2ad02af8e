/* Posting lists: for one label pair, the ordinals of the series that have it.
 *
 *     struct postings (16 bytes, in the pair's row)
 *     +------+-----+-----+
 *     | list | one | two |   list NULL: at most two ordinals, in place
 *     +--+---+-----+-----+
 *        |      +------------------------+     +--------+     +--------+
 *        +----> | base | first skip | n  | --> | page   | --> | page   | ...
 *               +--+---------------------+     +--------+     +--------+
 *                  v immutable Roaring           delta: append-only, n published
 *
 * The owner appends; readers take the root, then the count (acquire), and see a
 * prefix that never changes. Pages never move (architecture 7 has an array grown by
 * copy; pages give readers the same prefix and spare the owner the copy). Above
 * POSTINGS_BASE_MIN entries, when the delta outgrows max(1024, base/8), a job folds
 * base and delta into a new base without the dead; publishing is one pointer. A
 * CRoaring object is never changed after it was published.
 *
 * Ordinals come nearly always in ascending order, but not when they are reused: a
 * reader must not rely on the order of the delta.
 */
#ifndef TSINK_INDEX_POSTINGS_H
#define TSINK_INDEX_POSTINGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/segvec.h"
#include "base/status.h"

enum { POSTINGS_BASE_MIN = 4096, POSTINGS_DELTA_MIN = 1024 };

struct index_pool;
struct plist;
struct roaring_bitmap_s;

struct postings {
    _Atomic(struct plist *) list;
    _Atomic uint32_t one, two; /* ordinal + 1; 0: none */
};
_Static_assert(sizeof(struct postings) == 16, "a pair's row is counted on to be 24 bytes");

/* Bits by ordinal, readable while the owner sets and clears: the dead set. */
struct ordinal_bits {
    struct segvec words;   /* of _Atomic uint64_t */
    _Atomic uint32_t n;    /* bits set */
};

void ordinal_bits_init(struct ordinal_bits *bits, struct account *account);
void ordinal_bits_release(struct ordinal_bits *bits);
CHECKED bool ordinal_bits_reserve(struct ordinal_bits *bits, uint32_t ordinal); /* owner */
void ordinal_bits_set(struct ordinal_bits *bits, uint32_t ordinal);             /* owner */
void ordinal_bits_clear(struct ordinal_bits *bits, uint32_t ordinal);           /* owner */
bool ordinal_bits_has(const struct ordinal_bits *bits, uint32_t ordinal);       /* any */

/* Makes sure that one more append cannot fail. Owner. */
CHECKED bool postings_reserve(struct postings *post, struct index_pool *pool);

/* Appends after a reserve. True when the list wants a rebuild now (once per rebuild).
 * Owner. */
bool postings_append(struct postings *post, uint32_t ordinal);

/* Makes the list of an empty one at once: n rising ordinals. False when refused: then the
 * list is still empty. Owner. */
CHECKED bool postings_fill(struct postings *post, struct index_pool *pool,
                           const uint32_t *ordinals, uint32_t n);

/* The same in two steps, for n from POSTINGS_PLAIN_MIN to POSTINGS_PLAIN_MAX: the list is
 * there and has its length, and the caller writes the ordinals to what is returned before
 * anybody looks. NULL when refused. Owner. */
enum { POSTINGS_PLAIN_MIN = 3, POSTINGS_PLAIN_MAX = 4092 };
CHECKED uint32_t *postings_room(struct postings *post, struct index_pool *pool, uint32_t n);

/* How many entries, the dead and doubles included: an upper bound. Any thread. */
uint32_t postings_len(const struct postings *post);

/* Whether any entry is alive. Any registered reader. */
bool postings_any(const struct postings *post, const struct ordinal_bits *dead);

/* A frozen prefix of a list. Valid while the reader is registered. */
struct postings_view {
    const struct roaring_bitmap_s *base; /* NULL: none */
    uint32_t base_len;
    uint32_t delta_len;
    const struct plist *list;            /* NULL: the ordinals are in few[] */
    uint32_t few[2];
};
struct postings_view postings_view(const struct postings *post);

/* Copies all entries, those of the base first, to dst, which has room for base_len +
 * delta_len. */
void postings_view_all(const struct postings_view *view, uint32_t *dst);

/* Copies the delta (or the ordinals in place) to dst, which has room for delta_len. */
void postings_view_delta(const struct postings_view *view, uint32_t *dst);

/* ---- rebuild: plan (owner), run (worker), publish (owner) ---- */

struct postings_rebuild {
    struct postings *post;         /* whose list is frozen up to n */
    struct plist *list;
    uint32_t n;                    /* entries of the delta that are folded in */
    /* made by run, taken by publish */
    struct roaring_bitmap_s *out;  /* a base, or */
    size_t out_bytes;
    uint32_t *few, n_few;          /* a short list */
};

/* False when the list is in place: then what is to be dropped goes at once and nothing is
 * left to run. drop may be NULL: nothing. Owner. At most one rebuild of a list is under way
 * at a time. */
bool postings_rebuild_plan(struct postings_rebuild *rb, struct postings *post,
                           const struct roaring_bitmap_s *drop);

/* Folds, without what is to be dropped (NULL: nothing). Touches nothing but rb.
 * ST_NO_MEMORY or ST_OK. Worker. */
CHECKED status postings_rebuild_run(struct postings_rebuild *rb,
                                    const struct roaring_bitmap_s *drop);

/* Swaps the result in and retires what it replaces; after a run that failed or never
 * ran it only unfreezes. True when the list is now without what was to be dropped. Owner. */
bool postings_rebuild_publish(struct postings_rebuild *rb, struct index_pool *pool);

/* Gives back all memory of the list, which is empty then: no reader left. Owner. */
void postings_release(struct postings *post, struct index_pool *pool);

#endif
