/* Newest wins, on columns. See overlay.h. */
#include "engine/overlay.h"

#include <string.h>

static void append(struct points *base, const struct points *newer)
{
    memcpy(base->ts + base->n, newer->ts, newer->n * sizeof(newer->ts[0]));
    memcpy(base->val + base->n, newer->val, newer->n * sizeof(newer->val[0]));
    base->n += newer->n;
}

/* Merges from the back into the room behind base, then closes the gap that equal
 * timestamps left. */
static void merge_back(struct points *base, size_t from, const struct points *newer)
{
    size_t i = base->n, j = newer->n, end = base->n + newer->n, to = end;
    while (j > 0) {
        if (i > from && base->ts[i - 1] > newer->ts[j - 1]) {
            i--;
            to--;
            base->ts[to] = base->ts[i];
            base->val[to] = base->val[i];
            continue;
        }
        if (i > from && base->ts[i - 1] == newer->ts[j - 1]) i--;
        j--;
        to--;
        base->ts[to] = newer->ts[j];
        base->val[to] = newer->val[j];
    }
    if (to > i) {
        memmove(base->ts + i, base->ts + to, (end - to) * sizeof(base->ts[0]));
        memmove(base->val + i, base->val + to, (end - to) * sizeof(base->val[0]));
    }
    base->n = i + (end - to);
}

status points_overlay(struct points *base, size_t from, const struct points *newer)
{
    if (newer->n == 0) return ST_OK;
    if (!points_reserve(base, newer->n)) return ST_NO_MEMORY;
    if (base->n == from || base->ts[base->n - 1] < newer->ts[0])
        append(base, newer);
    else
        merge_back(base, from, newer);
    return ST_OK;
}

void points_cut(struct points *base, size_t from, struct time_range range)
{
    size_t to = from;
    for (size_t i = from; i < base->n; i++) {
        if (range_has(range, base->ts[i])) continue;
        base->ts[to] = base->ts[i];
        base->val[to++] = base->val[i];
    }
    base->n = to;
}
