/* Native histograms as promqltest writes them, between double braces:
 *
 *     {{schema:1 sum:5 count:4 z_bucket:1 z_bucket_w:0.5 offset:-1 buckets:[1 0 2]
 *       n_offset:2 n_buckets:[1] custom_values:[5 10] counter_reset_hint:gauge}}
 *
 * every field at most once, all of them optional. Pure. */
#ifndef TSINK_TESTS_HISTOGRAM_PARSE_H
#define TSINK_TESTS_HISTOGRAM_PARSE_H

#include "base/arena.h"
#include "base/slice.h"
#include "model/histogram.h"

/* text is what lies between the braces; the histogram is in the arena and passes
 * histogram_check(). ST_INVALID names the word that is wrong. */
CHECKED status histogram_parse(const struct histogram **out, struct slice text,
                               struct arena *arena, struct err *err);

#endif
