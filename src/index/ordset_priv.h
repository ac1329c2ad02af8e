/* A set of ordinals while matchers are being resolved: a sorted array while it is
 * small, a Roaring bitmap while it is large. One thread. CRoaring asks the heap for
 * itself and cannot be refused, so bitmaps are not charged; arrays are.
 */
#ifndef TSINK_INDEX_ORDSET_PRIV_H
#define TSINK_INDEX_ORDSET_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/status.h"
#include "index/postings_priv.h"

/* Above this many a set that comes from a bitmap stays one. From the spec: Roaring's
 * own border between array and bitmap containers. */
enum { ORDSET_ARRAY_MAX = 4096 };

struct ordset {
    struct roaring_bitmap_s *bitmap; /* NULL: the array holds */
    uint32_t *arr;                   /* ascending, unique */
    size_t n, cap;
    struct account *account;
};

void ordset_init(struct ordset *set, struct account *account);
void ordset_release(struct ordset *set);
size_t ordset_len(const struct ordset *set);

/* Room for n in the array. */
CHECKED status ordset_reserve(struct ordset *set, size_t n);

/* The set becomes the list, or what it has in common with it, or not. */
enum ordset_op { ORDSET_IS, ORDSET_AND, ORDSET_ANDNOT };
CHECKED status ordset_list(struct ordset *set, enum ordset_op op,
                           const struct postings_view *view);

/* The same with a bitmap; takes it. */
CHECKED status ordset_bitmap(struct ordset *set, enum ordset_op op,
                             struct roaring_bitmap_s *bitmap);

/* Unions lists, fed one by one. */
struct ordset_union {
    const struct roaring_bitmap_s **bases;
    size_t n_bases, cap_bases;
    uint32_t *loose;
    size_t n_loose, cap_loose;
};
CHECKED status ordset_union_add(struct ordset_union *all, const struct postings_view *view);
/* Releases what was gathered; NULL when there is no memory. */
struct roaring_bitmap_s *ordset_union_finish(struct ordset_union *all);

/* Becomes an array of whatever size. */
CHECKED status ordset_flatten(struct ordset *set);

#endif
