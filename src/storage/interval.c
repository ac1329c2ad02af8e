/* Sets of intervals. See interval.h. Sets are small (deletes are rare), so adding moves
 * the elements behind; everything else is a binary search. */
#include "storage/interval.h"

#include <string.h>

#include "base/bits.h"
#include "base/vec.h"

void intervals_release(struct intervals *set)
{
    vec_release(set);
}

void intervals_clear(struct intervals *set)
{
    vec_clear(set);
}

/* The first interval that ends at t or later. */
static size_t seek(const struct intervals *set, ts_time t)
{
    size_t from = 0, to = set->len;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (set->ptr[mid].to < t) from = mid + 1;
        else to = mid;
    }
    return from;
}

bool intervals_add(struct intervals *set, struct time_range range)
{
    if (range_empty(range)) return true;

    /* Everything that overlaps or touches becomes one. */
    size_t first = seek(set, sat_sub(range.from, 1)), end = first;
    while (end < set->len && set->ptr[end].from <= sat_add(range.to, 1)) {
        if (set->ptr[end].from < range.from) range.from = set->ptr[end].from;
        if (set->ptr[end].to > range.to) range.to = set->ptr[end].to;
        end++;
    }
    if (first == end && !vec_reserve(set, 1)) return false;
    memmove(set->ptr + first + 1, set->ptr + end, (set->len - end) * sizeof(set->ptr[0]));
    set->ptr[first] = range;
    set->len = set->len - (end - first) + 1;
    return true;
}

bool intervals_has(const struct intervals *set, ts_time t)
{
    size_t i = seek(set, t);
    return i < set->len && set->ptr[i].from <= t;
}

bool intervals_covers(const struct intervals *set, struct time_range range)
{
    size_t i = seek(set, range.from);
    return i < set->len && set->ptr[i].from <= range.from && range.to <= set->ptr[i].to;
}

bool intervals_overlaps(const struct intervals *set, struct time_range range)
{
    size_t i = seek(set, range.from);
    return i < set->len && set->ptr[i].from <= range.to;
}
