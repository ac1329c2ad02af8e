/* Native histograms as Prometheus has them: exponential buckets of schema -4..8, or
 * custom boundaries (schema -53). Always held as floats; an integer histogram is one
 * whose counts are whole, which `is_int` remembers for the wire. Plain data: the
 * arrays belong to whoever made the struct. Pure, any thread. */
#ifndef TSINK_MODEL_HISTOGRAM_H
#define TSINK_MODEL_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum { HIST_SCHEMA_MIN = -4, HIST_SCHEMA_MAX = 8, HIST_SCHEMA_CUSTOM = -53 };

enum hist_reset { HIST_RESET_UNKNOWN, HIST_RESET_YES, HIST_RESET_NO, HIST_GAUGE };

/* n buckets that follow each other, `offset` after the end of the span before (or
 * from bucket 0). */
struct hist_span {
    int32_t offset;
    uint32_t n;
};

struct hist_side {
    const struct hist_span *spans;
    const double *counts; /* absolute, one a bucket of the spans */
    size_t n_spans, n_counts;
};

struct histogram {
    int32_t schema;
    enum hist_reset reset;
    bool is_int;
    double zero_threshold, zero_count, count, sum;
    struct hist_side pos, neg;
    const double *custom; /* upper bounds, ascending, without +Inf; schema -53 */
    size_t n_custom;
};

/* Spans and arrays agree, schema known, custom bounds ascending; counts may be NaN. */
CHECKED status histogram_check(const struct histogram *h, struct err *err);

/* A deep copy in the arena, NULL when refused. */
const struct histogram *histogram_copy(struct arena *arena, const struct histogram *h);

/* Bit for bit, NaN included. */
bool histogram_eq(const struct histogram *a, const struct histogram *b);

/* Stable bytes for WAL and chunks (docs/formats/chunk.md): encode returns the bytes
 * written, histogram_bound() is the most it can need; decode checks everything. */
size_t histogram_bound(const struct histogram *h);
size_t histogram_encode(uint8_t *dst, const struct histogram *h);
CHECKED status histogram_decode(const struct histogram **out, struct arena *arena,
                                const uint8_t *src, size_t len);

#endif
