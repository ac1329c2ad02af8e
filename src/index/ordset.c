/* Sets of ordinals. See ordset_priv.h. */
#include "index/ordset_priv.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"

void ordset_init(struct ordset *set, struct account *account)
{
    *set = (struct ordset){.account = account};
}

static void drop_array(struct ordset *set)
{
    account_release(set->account, set->cap * sizeof(*set->arr));
    mem_free(set->arr);
    set->arr = NULL;
    set->n = set->cap = 0;
}

void ordset_release(struct ordset *set)
{
    drop_array(set);
    if (set->bitmap) roaring_bitmap_free(set->bitmap); /* 0.2.66 does not take NULL */
    set->bitmap = NULL;
}

size_t ordset_len(const struct ordset *set)
{
    return set->bitmap ? roaring_bitmap_get_cardinality(set->bitmap) : set->n;
}

status ordset_reserve(struct ordset *set, size_t n)
{
    if (n <= set->cap) return ST_OK;
    size_t more = (n - set->cap) * sizeof(*set->arr);
    if (!account_charge(set->account, more)) return ST_NO_MEMORY;
    uint32_t *arr = mem_try_grow(set->arr, n * sizeof(*arr));
    if (!arr) {
        account_release(set->account, more);
        return ST_NO_MEMORY;
    }
    set->arr = arr;
    set->cap = n;
    return ST_OK;
}

status ordset_flatten(struct ordset *set)
{
    if (!set->bitmap) return ST_OK;
    size_t n = roaring_bitmap_get_cardinality(set->bitmap);
    TRY(ordset_reserve(set, n ? n : 1));
    roaring_bitmap_to_uint32_array(set->bitmap, set->arr);
    set->n = n;
    roaring_bitmap_free(set->bitmap);
    set->bitmap = NULL;
    return ST_OK;
}

static status shrink(struct ordset *set)
{
    if (!set->bitmap || roaring_bitmap_get_cardinality(set->bitmap) > ORDSET_ARRAY_MAX) {
        return ST_OK;
    }
    return ordset_flatten(set);
}

/* ---------------------------------------------------------------- one list */

static int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Ascending and unique; births come in order unless ordinals were reused. */
static size_t sort_unique(uint32_t *arr, size_t n)
{
    bool sorted = true;
    for (size_t i = 1; i < n && sorted; i++) sorted = arr[i - 1] < arr[i];
    if (sorted) return n;
    qsort(arr, n, sizeof(*arr), cmp_u32);
    size_t n_unique = 0;
    for (size_t i = 0; i < n; i++) {
        if (n_unique == 0 || arr[n_unique - 1] != arr[i]) arr[n_unique++] = arr[i];
    }
    return n_unique;
}

/* Keeps arr[i] when it is in base or delta (both: in), or when it is in neither. */
static void filter_array(struct ordset *set, bool keep, const roaring_bitmap_t *base,
                         const uint32_t *delta, size_t n_delta)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < set->n; i++) {
        uint32_t x = set->arr[i];
        while (at < n_delta && delta[at] < x) at++;
        bool in = (at < n_delta && delta[at] == x) ||
                  (base && roaring_bitmap_contains(base, x));
        if (in == keep) set->arr[n++] = x;
    }
    set->n = n;
}

/* bitmap AND (base or delta) -> bitmap. */
static status and_bitmap(struct ordset *set, const roaring_bitmap_t *base,
                         uint32_t *delta, size_t n_delta)
{
    size_t n = 0;
    for (size_t i = 0; i < n_delta; i++) {
        if (roaring_bitmap_contains(set->bitmap, delta[i])) delta[n++] = delta[i];
    }
    if (base) {
        roaring_bitmap_and_inplace(set->bitmap, base);
        roaring_bitmap_add_many(set->bitmap, n, delta);
        return ST_OK;
    }
    roaring_bitmap_free(set->bitmap);
    set->bitmap = NULL;
    TRY(ordset_reserve(set, n ? n : 1));
    memcpy(set->arr, delta, n * sizeof(*delta));
    set->n = n;
    return ST_OK;
}

static status with_delta(struct ordset *set, enum ordset_op op,
                         const struct postings_view *view, uint32_t *delta, size_t n_delta)
{
    if (op == ORDSET_IS && view->base) {
        roaring_bitmap_t *bitmap = roaring_bitmap_copy(view->base);
        if (!bitmap) return ST_NO_MEMORY;
        roaring_bitmap_add_many(bitmap, n_delta, delta);
        set->bitmap = bitmap;
        set->n = 0;
    } else if (op == ORDSET_IS) {
        TRY(ordset_reserve(set, n_delta ? n_delta : 1));
        memcpy(set->arr, delta, n_delta * sizeof(*delta));
        set->n = n_delta;
    } else if (!set->bitmap) {
        filter_array(set, op == ORDSET_AND, view->base, delta, n_delta);
    } else if (op == ORDSET_AND) {
        TRY(and_bitmap(set, view->base, delta, n_delta));
    } else {
        if (view->base) roaring_bitmap_andnot_inplace(set->bitmap, view->base);
        for (size_t i = 0; i < n_delta; i++) roaring_bitmap_remove(set->bitmap, delta[i]);
    }
    return shrink(set);
}

status ordset_list(struct ordset *set, enum ordset_op op, const struct postings_view *view)
{
    uint32_t *delta = mem_try_array(view->delta_len ? view->delta_len : 1, sizeof(*delta));
    if (!delta) return ST_NO_MEMORY;
    postings_view_delta(view, delta);
    size_t n_delta = sort_unique(delta, view->delta_len);
    status st = with_delta(set, op, view, delta, n_delta);
    mem_free(delta);
    return st;
}

/* ---------------------------------------------------------------- bitmaps */

status ordset_bitmap(struct ordset *set, enum ordset_op op, struct roaring_bitmap_s *bitmap)
{
    if (!bitmap) return ST_NO_MEMORY;
    if (op == ORDSET_IS) {
        set->n = 0;
        set->bitmap = bitmap;
        return shrink(set);
    }
    if (!set->bitmap) {
        filter_array(set, op == ORDSET_AND, bitmap, NULL, 0);
    } else if (op == ORDSET_AND) {
        roaring_bitmap_and_inplace(set->bitmap, bitmap);
    } else {
        roaring_bitmap_andnot_inplace(set->bitmap, bitmap);
    }
    roaring_bitmap_free(bitmap);
    return shrink(set);
}

status ordset_union_add(struct ordset_union *all, const struct postings_view *view)
{
    if (view->base) {
        if (all->n_bases == all->cap_bases &&
            !vec_grow((void **)&all->bases, &all->cap_bases, all->n_bases, 1,
                      sizeof(*all->bases))) {
            return ST_NO_MEMORY;
        }
        all->bases[all->n_bases++] = view->base;
    }
    if (all->cap_loose - all->n_loose < view->delta_len &&
        !vec_grow((void **)&all->loose, &all->cap_loose, all->n_loose, view->delta_len,
                  sizeof(*all->loose))) {
        return ST_NO_MEMORY;
    }
    if (view->delta_len) postings_view_delta(view, all->loose + all->n_loose);
    all->n_loose += view->delta_len;
    return ST_OK;
}

struct roaring_bitmap_s *ordset_union_finish(struct ordset_union *all)
{
    roaring_bitmap_t *out = all->n_bases ? roaring_bitmap_or_many(all->n_bases, all->bases)
                                         : roaring_bitmap_create();
    if (out) roaring_bitmap_add_many(out, all->n_loose, all->loose);
    mem_free(all->bases);
    mem_free(all->loose);
    *all = (struct ordset_union){.n_bases = 0};
    return out;
}
