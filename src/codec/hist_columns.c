/* Writing histograms as columns, and what both sides have in common.
 *
 *   shapes    neighbours of one shape are a run; a run takes the number of an equal shape
 *             among the last LOOK_BACK ones, or tells a new one
 *   buckets   the union of all shapes' buckets, a column for each
 *   columns   one after the other: n numbers gathered, coded, and appended
 *
 * More numbers than HIST_CELLS_MAX are not for this codec: who reads must be able to tell
 * hostile bytes from a chunk. */
#include "codec/hist_columns_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "base/vec.h"
#include "codec/class_column_priv.h"
#include "codec/codec_priv.h"

enum {
    LOOK_BACK = 64,
    CLASSES_LEN_MIN = 24,     /* their own head takes about 10 bytes */
    CLASSES_SAVE_PERCENT = 3, /* performance.md 3.4 */
};

/* ---- buckets ------------------------------------------------------------------- */

static void next_span(struct shape_walk *walk)
{
    for (; walk->span < walk->end; walk->span++) {
        walk->bucket += walk->span->offset;
        if (walk->span->n) {
            walk->left = walk->span->n;
            return;
        }
    }
    walk->bucket = INT64_MAX;
}

void shape_walk_init(struct shape_walk *walk, const struct hist_side *side)
{
    *walk = (struct shape_walk){.span = side->spans};
    walk->end = side->n_spans ? side->spans + side->n_spans : side->spans;
    next_span(walk);
}

void shape_walk_next(struct shape_walk *walk)
{
    walk->bucket++;
    walk->pos++;
    if (--walk->left > 0) return;
    walk->span++;
    next_span(walk);
}

static int by_from(const void *a, const void *b)
{
    const struct hist_range *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* The spans of one side as ranges; returns how many. */
static size_t put_ranges(struct hist_range *dst, const struct hist_side *side)
{
    size_t n = 0;
    int64_t at = 0;

    for (size_t i = 0; i < side->n_spans; i++) {
        at += side->spans[i].offset;
        if (side->spans[i].n) dst[n++] = (struct hist_range){at, at + side->spans[i].n};
        at += side->spans[i].n;
    }
    return n;
}

/* Sorts ranges and joins those that touch; returns how many are left. */
static size_t join_ranges(struct hist_range *range, size_t n)
{
    size_t kept = 0;

    if (n > 1) qsort(range, n, sizeof(range[0]), by_from);
    for (size_t i = 0; i < n; i++) {
        if (kept && range[i].from <= range[kept - 1].to) {
            if (range[i].to > range[kept - 1].to) range[kept - 1].to = range[i].to;
        } else {
            range[kept++] = range[i];
        }
    }
    return kept;
}

static inline const struct hist_side *side_of(const struct histogram *h, unsigned side)
{
    return side ? &h->neg : &h->pos;
}

status hist_buckets_make(struct hist_buckets *out, const struct histogram *const *shapes,
                         size_t n_shapes, struct arena *arena)
{
    *out = (struct hist_buckets){.n = 0};
    for (unsigned side = 0; side < 2; side++) {
        size_t n_spans = 0, n = 0;
        for (size_t i = 0; i < n_shapes; i++) n_spans += side_of(shapes[i], side)->n_spans;
        struct hist_range *range = arena_try_array(arena, n_spans + 1, sizeof(*range));
        if (!range) return ST_NO_MEMORY;
        for (size_t i = 0; i < n_shapes; i++) {
            n += put_ranges(range + n, side_of(shapes[i], side));
        }
        n = join_ranges(range, n);
        for (size_t i = 0; i < n; i++) out->n += (uint64_t)(range[i].to - range[i].from);
        out->range[side] = range;
        out->n_ranges[side] = n;
    }
    return ST_OK;
}

double hist_total(const struct histogram *h)
{
    double total = h->zero_count;
    for (size_t i = 0; i < h->pos.n_counts; i++) total += h->pos.counts[i];
    for (size_t i = 0; i < h->neg.n_counts; i++) total += h->neg.counts[i];
    return total;
}

/* ---- shapes -------------------------------------------------------------------- */

/* Neighbours that differ in their numbers only. */
struct run {
    size_t shape, first, n;
    struct shape_walk walk;
};

struct writing {
    const union value *val;
    size_t n;
    VEC(struct run) runs;
    VEC(const struct histogram *) shapes;
    struct arena arena;
    const double **counts; /* of each histogram, of the side in hand */
    union value *numbers;  /* the column in hand */
    uint8_t *packed;
    uint8_t *classes;      /* the same by class streams; NULL when they are not wanted */
    struct work *work;
    uint8_t *dst;
    size_t at, cap;
};

static bool same_spans(const struct hist_side *a, const struct hist_side *b)
{
    if (a->n_spans != b->n_spans) return false;
    for (size_t i = 0; i < a->n_spans && a->spans != b->spans; i++) {
        if (a->spans[i].offset != b->spans[i].offset || a->spans[i].n != b->spans[i].n) {
            return false;
        }
    }
    return true;
}

static bool same_shape(const struct histogram *a, const struct histogram *b)
{
    if (a->schema != b->schema || a->n_custom != b->n_custom) return false;
    if (f64_bits(a->zero_threshold) != f64_bits(b->zero_threshold)) return false;
    if (!same_spans(&a->pos, &b->pos) || !same_spans(&a->neg, &b->neg)) return false;
    return a->n_custom == 0 || a->custom == b->custom ||
           memcmp(a->custom, b->custom, a->n_custom * sizeof(a->custom[0])) == 0;
}

/* False when memory is refused. */
static bool find_shape(size_t *out, struct writing *w, const struct histogram *h)
{
    size_t n = w->shapes.len, oldest = n > LOOK_BACK ? n - LOOK_BACK : 0;

    for (size_t i = n; i-- > oldest;) {
        if (same_shape(w->shapes.ptr[i], h)) {
            *out = i;
            return true;
        }
    }
    *out = n;
    return vec_push(&w->shapes, h);
}

static bool find_runs(struct writing *w)
{
    for (size_t i = 0; i < w->n;) {
        const struct histogram *h = w->val[i].hist;
        struct run run = {.first = i, .n = 1};
        while (i + run.n < w->n) {
            const struct histogram *next = w->val[i + run.n].hist;
            if (next->reset != h->reset || next->is_int != h->is_int) break;
            if (!same_shape(h, next)) break;
            run.n++;
        }
        if (!find_shape(&run.shape, w, h) || !vec_push(&w->runs, run)) return false;
        i += run.n;
    }
    return true;
}

/* ---- bytes --------------------------------------------------------------------- */

static size_t side_bound(const struct hist_side *side)
{
    return VARINT_MAX + side->n_spans * 2 * VARINT_MAX;
}

static size_t shape_bound(const struct histogram *h)
{
    return 2 * VARINT_MAX + 1 + 8 + side_bound(&h->pos) + side_bound(&h->neg) + 8 * h->n_custom;
}

static size_t put_spans(uint8_t *dst, const struct hist_side *side)
{
    size_t at = varint_put(dst, side->n_spans);

    for (size_t i = 0; i < side->n_spans; i++) {
        at += svarint_put(dst + at, side->spans[i].offset);
        at += varint_put(dst + at, side->spans[i].n);
    }
    return at;
}

static size_t put_threshold(uint8_t *dst, const struct histogram *h,
                            const struct histogram *before)
{
    uint64_t bits = f64_bits(h->zero_threshold);

    dst[0] = bits == 0                                              ? HIST_ZERO_NONE
             : bits == HIST_ZERO_USUAL_BITS                         ? HIST_ZERO_USUAL
             : before && bits == f64_bits(before->zero_threshold) ? HIST_ZERO_BEFORE
                                                                    : HIST_ZERO_BITS;
    if (dst[0] != HIST_ZERO_BITS) return 1;
    store_u64(dst + 1, bits);
    return 9;
}

static bool put_shapes(struct writing *w)
{
    if (w->cap - w->at < VARINT_MAX) return false;
    w->at += varint_put(w->dst + w->at, w->shapes.len);
    for (size_t i = 0; i < w->shapes.len; i++) {
        const struct histogram *h = w->shapes.ptr[i];
        if (w->cap - w->at < shape_bound(h)) return false;
        w->at += svarint_put(w->dst + w->at, h->schema);
        w->at += put_threshold(w->dst + w->at, h, i ? w->shapes.ptr[i - 1] : NULL);
        w->at += put_spans(w->dst + w->at, &h->pos);
        w->at += put_spans(w->dst + w->at, &h->neg);
        w->at += varint_put(w->dst + w->at, h->n_custom);
        for (size_t k = 0; k < h->n_custom; k++, w->at += 8) {
            store_u64(w->dst + w->at, f64_bits(h->custom[k]));
        }
    }
    return true;
}

static bool put_runs(struct writing *w)
{
    for (size_t i = 0; i < w->runs.len; i++) {
        const struct run *run = &w->runs.ptr[i];
        const struct histogram *h = w->val[run->first].hist;
        if (w->cap - w->at < 2 * VARINT_MAX) return false;
        uint64_t head = (uint64_t)run->shape << HIST_RUN_SHAPE_SHIFT |
                        (unsigned)h->reset << HIST_RUN_RESET_SHIFT |
                        (h->is_int ? HIST_RUN_INT : 0);
        w->at += varint_put(w->dst + w->at, head);
        w->at += varint_put(w->dst + w->at, run->n - 1);
    }
    return true;
}

/* The numbers in hand, coded, to packed. */
static size_t pack(struct writing *w)
{
    struct decimal_scratch *scratch = w->n > DECIMAL_BLOCK ? &w->work->decimal : NULL;
    return decimal_encode(w->packed, VALUE_F64, w->numbers, w->n, scratch);
}

static bool put_bytes(struct writing *w, uint64_t head, const uint8_t *bytes, size_t len)
{
    if (w->cap - w->at < VARINT_MAX + len) return false;
    w->at += varint_put(w->dst + w->at, head);
    memcpy(w->dst + w->at, bytes, len);
    w->at += len;
    return true;
}

/* The numbers in hand, len bytes of which are in packed, or by class streams where they
 * save enough. */
static bool put_packed(struct writing *w, size_t len)
{
    size_t other = SIZE_MAX;

    if (!w->classes) return put_bytes(w, len, w->packed, len);
    if (len >= CLASSES_LEN_MIN) {
        other = class_column_encode(w->classes, VALUE_F64, w->numbers, w->n, w->work);
    }
    if (other >= len - len * CLASSES_SAVE_PERCENT / 100) {
        return put_bytes(w, (uint64_t)len << 1, w->packed, len);
    }
    return put_bytes(w, (uint64_t)other << 1 | 1, w->classes, other);
}

/* ---- columns ------------------------------------------------------------------- */

/* Counts as what the buckets leave over, to numbers; false when that is not exact. NaN
 * is not: which of two payloads a sum takes is the processor's business. */
static bool take_rests(struct writing *w)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct histogram *h = w->val[i].hist;
        double total = hist_total(h), rest = h->count - total;
        if (isnan(rest) || f64_bits(total + rest) != f64_bits(h->count)) return false;
        w->numbers[i].bits = f64_bits(rest);
    }
    return true;
}

static bool put_counts(struct writing *w, uint8_t *flags)
{
    size_t rest_len = take_rests(w) ? pack(w) : SIZE_MAX;

    for (size_t i = 0; i < w->n; i++) w->numbers[i].bits = f64_bits(w->val[i].hist->count);
    size_t len = pack(w);
    if (rest_len >= len) return put_packed(w, len);
    *flags |= HIST_COUNT_IS_REST;
    (void)take_rests(w);
    return put_packed(w, pack(w));
}

static bool put_sums_and_zeros(struct writing *w)
{
    for (size_t i = 0; i < w->n; i++) w->numbers[i].bits = f64_bits(w->val[i].hist->sum);
    if (!put_packed(w, pack(w))) return false;
    for (size_t i = 0; i < w->n; i++) w->numbers[i].bits = f64_bits(w->val[i].hist->zero_count);
    return put_packed(w, pack(w));
}

/* The numbers of one bucket: those of runs that have it, between them the last one. */
static void take_bucket(struct writing *w, int64_t bucket)
{
    uint64_t last = 0;

    for (size_t r = 0; r < w->runs.len; r++) {
        struct run *run = &w->runs.ptr[r];
        union value *to = w->numbers + run->first;
        if (run->walk.bucket != bucket) {
            for (size_t i = 0; i < run->n; i++) to[i].bits = last;
            continue;
        }
        const double **from = w->counts + run->first;
        for (size_t i = 0; i < run->n; i++) to[i].bits = f64_bits(from[i][run->walk.pos]);
        last = to[run->n - 1].bits;
        shape_walk_next(&run->walk);
    }
}

static bool put_side(struct writing *w, const struct hist_buckets *buckets, unsigned side)
{
    for (size_t i = 0; i < w->n; i++) w->counts[i] = side_of(w->val[i].hist, side)->counts;
    for (size_t r = 0; r < w->runs.len; r++) {
        struct run *run = &w->runs.ptr[r];
        shape_walk_init(&run->walk, side_of(w->val[run->first].hist, side));
    }
    for (size_t k = 0; k < buckets->n_ranges[side]; k++) {
        struct hist_range range = buckets->range[side][k];
        for (int64_t bucket = range.from; bucket < range.to; bucket++) {
            take_bucket(w, bucket);
            if (!put_packed(w, pack(w))) return false;
        }
    }
    return true;
}

static bool reserve(struct writing *w, bool classes)
{
    w->packed = work_bytes(w->work, 0, decimal_bound(w->n));
    w->numbers = arena_try_array(&w->arena, w->n, sizeof(w->numbers[0]));
    w->counts = arena_try_array(&w->arena, w->n, sizeof(w->counts[0]));
    if (!w->packed || !w->numbers || !w->counts) return false;
    if (classes && !(w->classes = arena_try(&w->arena, class_column_bound(w->n)))) return false;
    return decimal_scratch_reserve(&w->work->decimal, w->n) == ST_OK;
}

static bool put_all(struct writing *w, bool classes)
{
    struct hist_buckets buckets;
    uint8_t flags = 0;

    if (!find_runs(w)) return false;
    status st = hist_buckets_make(&buckets, w->shapes.ptr, w->shapes.len, &w->arena);
    if (st != ST_OK || buckets.n > HIST_CELLS_MAX / w->n - HIST_FIXED) return false;
    if (!reserve(w, classes) || w->cap == 0) return false;
    if (w->classes) flags |= HIST_CLASSES;
    w->at = 1;
    if (!put_shapes(w) || !put_runs(w)) return false;
    if (!put_counts(w, &flags) || !put_sums_and_zeros(w)) return false;
    w->dst[0] = flags;
    return put_side(w, &buckets, 0) && put_side(w, &buckets, 1);
}

size_t hist_columns_encode(uint8_t *dst, size_t cap, const union value *val, size_t n,
                           bool classes, struct work *work)
{
    struct writing w = {.val = val, .n = n, .dst = dst, .cap = cap, .work = work};

    arena_init(&w.arena, NULL, 4096);
    bool done = put_all(&w, classes);
    vec_release(&w.runs);
    vec_release(&w.shapes);
    arena_release(&w.arena);
    return done ? w.at : SIZE_MAX;
}
