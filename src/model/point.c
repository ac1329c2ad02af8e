/* Columns of samples. See point.h. */
#include "model/point.h"

#include "base/mem.h"

enum { CAP_MIN = 16 };

bool points_reserve(struct points *pts, size_t more)
{
    size_t need, bytes;
    if (__builtin_add_overflow(pts->n, more, &need)) return false;
    if (need <= pts->cap) return true;

    size_t cap = pts->cap ? pts->cap : CAP_MIN;
    while (cap < need) cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (__builtin_mul_overflow(cap, sizeof(*pts->val), &bytes)) return false;

    /* A column that grew alone is only larger than cap says. */
    ts_time *ts = mem_try_grow(pts->ts, cap * sizeof(*ts));
    if (!ts) return false;
    pts->ts = ts;
    union value *val = mem_try_grow(pts->val, bytes);
    if (!val) return false;
    pts->val = val;
    pts->cap = cap;
    return true;
}

bool points_push(struct points *pts, ts_time ts, union value val)
{
    if (pts->n == pts->cap && !points_reserve(pts, 1)) return false;
    pts->ts[pts->n] = ts;
    pts->val[pts->n++] = val;
    return true;
}

void points_release(struct points *pts)
{
    mem_free(pts->ts);
    mem_free(pts->val);
    *pts = (struct points){0};
}

size_t points_seek(const struct points *pts, ts_time t)
{
    size_t from = 0, to = pts->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (pts->ts[mid] < t) from = mid + 1;
        else to = mid;
    }
    return from;
}
