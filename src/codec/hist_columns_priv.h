/* Value codec 12: all histograms of a chunk as columns. Private to codec.
 *
 *     shapes    what differs seldom, each told once: schema, zero threshold, spans, custom
 *               bounds
 *     runs      which shape, reset hint and kind of counts so many neighbours have
 *     columns   of n numbers each: count, sum, zero count, and one for every bucket that
 *               any shape has, by codec 7 or (L2) 8. Where a histogram lacks a bucket the column
 *               repeats the number before (0 at first), so that a layout that changes, or
 *               a stale marker between two others, costs next to nothing
 *
 * The count of an integer histogram is as a rule the sum of its buckets: the column is
 * then what is left over, which is nothing. Layout: docs/formats/chunk.md. */
#ifndef TSINK_CODEC_HIST_COLUMNS_PRIV_H
#define TSINK_CODEC_HIST_COLUMNS_PRIV_H

#include "base/arena.h"
#include "base/status.h"
#include "codec/column_work_priv.h"
#include "model/histogram.h"
#include "model/value.h"

enum {
    HIST_CELLS_MAX = 16 << 20, /* points times columns of a chunk: 128 MiB of numbers */
    /* Columns before those of buckets: */
    HIST_COUNT = 0,
    HIST_SUM = 1,
    HIST_ZERO = 2,
    HIST_FIXED = 3,
    /* The first byte: */
    HIST_COUNT_IS_REST = 1, /* count = zero count + all buckets + what the column says */
    HIST_CLASSES = 2,       /* columns' lengths have a bit below: by codec 8, not 7 */
    HIST_FLAGS = 3,
    /* Of a run's first varint, below the number of its shape: */
    HIST_RUN_INT = 1,
    HIST_RUN_RESET_SHIFT = 1,
    HIST_RUN_SHAPE_SHIFT = 3,
    /* A shape's zero threshold: */
    HIST_ZERO_NONE = 0,   /* 0.0 */
    HIST_ZERO_USUAL = 1,  /* 2^-128, which Prometheus' client libraries begin with */
    HIST_ZERO_BEFORE = 2, /* as in the shape before, not in the first */
    HIST_ZERO_BITS = 3,   /* 8 bytes follow */
};

#define HIST_ZERO_USUAL_BITS 0x37f0000000000000ull

/* Buckets [from, to) of a side. */
struct hist_range {
    int64_t from, to;
};

/* The buckets that any of some shapes have: ranges that ascend and do not touch. */
struct hist_buckets {
    struct hist_range *range[2]; /* positive, negative */
    size_t n_ranges[2];
    uint64_t n; /* buckets of both sides */
};

/* Of the spans of shapes that passed histogram_check(). Memory is the arena's. */
CHECKED status hist_buckets_make(struct hist_buckets *out, const struct histogram *const *shapes,
                                 size_t n_shapes, struct arena *arena);

/* The buckets of one side of one shape in ascending order. */
struct shape_walk {
    const struct hist_span *span, *end;
    int64_t bucket; /* the next one, INT64_MAX behind the last */
    uint32_t left;  /* of this span, the next one included */
    size_t pos;     /* its place among the counts */
};

void shape_walk_init(struct shape_walk *walk, const struct hist_side *side);
void shape_walk_next(struct shape_walk *walk);

/* zero count + buckets, in the order in which both sides of the codec add. */
double hist_total(const struct histogram *h);

/* Encodes val[0..n) to dst[0..cap). Returns the bytes written, or SIZE_MAX when they are
 * more, when there are more than HIST_CELLS_MAX numbers, or memory is refused. classes: by
 * codec 8 where that is smaller. */
size_t hist_columns_encode(uint8_t *dst, size_t cap, const union value *val, size_t n,
                           bool classes, struct work *work);

/* Decodes the histograms of the sections [first, end) of a column of n to val. Passing
 * over the sections before makes no histograms. ST_CORRUPT, ST_NO_MEMORY. */
CHECKED status hist_columns_decode(union value *val, size_t n, size_t first, size_t end,
                                   struct arena *arena, const uint8_t *src, size_t len);

#endif
