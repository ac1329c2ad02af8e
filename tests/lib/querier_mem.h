/* A querier over literal series: what PromQL is tested with, without an engine. The
 * matchers are the real ones; series come sorted by labels, and only those with a sample
 * in the select's range, as from the database. Times are plain int64: the test decides
 * which precision they are in.
 *
 *     struct querier_mem mem;
 *     querier_mem_init(&mem);
 *     querier_mem_load(&mem, 10000, "up{job=\"a\"} 0+10x5 _ stale", &err);
 *     ... querier_fetch(&mem.base, ...) ... querier_done() ...
 *     querier_mem_release(&mem);
 *
 * One thread; fetches must be done before series are added.
 */
#ifndef TSINK_TESTS_QUERIER_MEM_H
#define TSINK_TESTS_QUERIER_MEM_H

#include "base/arena.h"
#include "base/vec.h"
#include "model/label.h"
#include "model/point.h"
#include "query/querier.h"

struct mem_series {
    struct labels labels; /* canonical, in the arena */
    enum value_type type;
    struct points points;
    struct points starts; /* start timestamps: see series_set_ops.starts */
};

struct querier_mem {
    struct querier base;
    struct arena arena;
    VEC(struct mem_series) series;
    struct mem_series pending; /* labels and starts of a line with @st; for the next one */
    size_t n_fetches, n_open; /* fetch() calls; those without their done() */
    bool no_reader;           /* sets lend no columns (series_set_ops.open_reader) */
    status fail_with;         /* unless ST_OK: fetch() fails with it */
};

void querier_mem_init(struct querier_mem *mem);
void querier_mem_release(struct querier_mem *mem); /* asserts that n_open is 0 */

/* Adds samples to the series of these labels (any order) and type, which is made when it is
 * new.
 * A timestamp that is there already gets the new value; others may come in any order.
 * Bytes and histograms must outlive the querier. */
CHECKED status querier_mem_add(struct querier_mem *mem, struct labels labels,
                               enum value_type type, const struct point *points, size_t n,
                               struct err *err);

/* A line of promqltest's `load`: a metric and its values, step apart, from time 0:
 *     m{a="b"} 1 2 _ stale 0+10x5 7x3 _x4 -Inf NaN {{count:3 buckets:[1 2]}}
 * ST_INVALID names what is wrong. Numbers are f64; histograms go to a series of the same
 * labels and their own type, as the database has them.
 *
 * A line that says where samples of the next line of the same labels start, relative to
 * their times: an offset, a step and repetitions, or nothing:
 *     m{a="b"}@st _ -30s-1mx2 0 1ms */
CHECKED status querier_mem_load(struct querier_mem *mem, int64_t step, const char *line,
                                struct err *err);

void querier_mem_clear(struct querier_mem *mem);

#endif
