/* Series and values as promqltest writes them: what `load` loads and `eval` expects.
 *
 *     metric{a="b", c="d"} 1 2 _ stale 0+10x5 7x3 _x4 -Inf NaN
 *
 *     h {{schema:0 count:4 buckets:[1 2 1]}}x3 {{}}+{{count:1}}x5 _
 *
 * Histograms: see histogram_parse.h. Pure. */
#ifndef TSINK_TESTS_SERIES_TEXT_H
#define TSINK_TESTS_SERIES_TEXT_H

#include "base/arena.h"
#include "base/status.h"
#include "model/histogram.h"
#include "model/label.h"

/* The labels of the metric at the start of the line, canonical, texts in the arena;
 * *rest is what follows it. {} is the empty set. */
CHECKED status series_text_labels(struct labels *out, struct slice *rest, struct slice line,
                                  struct arena *arena, struct err *err);

struct text_value {
    bool present; /* false: `_` */
    double value;
    const struct histogram *hist; /* not NULL: the value is this */
};

/* The values, in the arena. ST_INVALID names the word that is none. */
CHECKED status series_text_values(struct text_value **out, size_t *n, struct slice text,
                                  struct arena *arena, struct err *err);

#endif
