/* What to do next with the segments: a pure choice, tested on tables of situations.
 *
 * Segments move down: a flush makes level 0, four of a level are merged into the next,
 * level 2 is the last. Newest wins by order_max (architecture, section 7), so a merge
 * may take segments only if none that it leaves out lies between them in flush order
 * and within their times. In consequence, of two segments whose times overlap one is
 * newer as a whole; db_check() holds every lane to that.
 *
 * From the most to the least urgent:
 *
 *     EXPIRED    everything in a segment is beyond its retention: it goes, unread
 *     LEVEL      `trigger` segments of level 0 or 1: the oldest `window` of them, or
 *                those with more overlaps
 *     OVERLAP    two segments of level 2 overlap in time: these, and what lies between
 *     RETENTION  a quarter of a segment has expired: rewritten without it
 *     DELETES    a tenth of a segment is deleted, or some of it was long ago: likewise
 *     SMALL      neighbours in level 2 that are small: merged, each byte a logarithmic
 *                number of times
 *
 * Into level 2 the output is cut in time: where other segments of level 2 begin and end,
 * so that late samples meet only the segment they belong to, and at about out_bytes.
 * Pure, any thread.
 */
#ifndef TSINK_ENGINE_COMPACT_PLAN_H
#define TSINK_ENGINE_COMPACT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/time.h"
#include "model/value.h"

enum {
    COMPACT_SOURCES_MAX = 16,   /* SEGMENT_SOURCES_MAX */
    COMPACT_DROP_MAX = 64,      /* segments that expire at once */
    COMPACT_PARTS_MAX = 32,     /* segments that one merge makes */
};

/* A segment as the planner sees it. */
struct compact_segment {
    unsigned level;
    enum value_lane lane;
    struct time_range ts;
    uint64_t order_min, order_max;
    uint64_t n_points, n_bytes;
    uint64_t n_hidden;          /* points that a delete would free, about */
    bool hidden_long;           /* there are some, of a delete from long ago */
    uint64_t n_expired;         /* points beyond their retention, about */
    bool expired;               /* all of them, for certain */
    bool barred;                /* it was found damaged: no source of anything */
};

struct compact_policy {
    unsigned trigger;           /* segments of a level, 2.. */
    unsigned window;            /* sources of a merge, trigger..COMPACT_SOURCES_MAX */
    uint64_t out_bytes;         /* a segment of level 2 is cut at about this */
    uint64_t free_bytes;        /* room for output */
    bool all_hidden;            /* whatever a delete hides goes, however little it is */
    bool all_down;              /* a segment goes to the last level, also a single one */
    int64_t span_max;           /* ticks that merged small segments may cover; 0: any */
};

enum compact_kind {
    COMPACT_NOTHING,
    COMPACT_EXPIRED,
    COMPACT_LEVEL,
    COMPACT_OVERLAP,
    COMPACT_RETENTION,
    COMPACT_DELETES,
    COMPACT_SMALL,
};

struct compact_plan {
    enum compact_kind kind;
    enum value_lane lane;
    unsigned level;             /* of the output */
    size_t source[COMPACT_DROP_MAX]; /* indices of the input, ascending */
    size_t n_sources;
    ts_time cut[COMPACT_PARTS_MAX - 1]; /* ascending; part i ends before cut[i] */
    size_t n_cuts;
    uint64_t n_bytes;           /* of the sources */
    uint64_t out_bytes;         /* estimate, rather too high */
    bool short_of_space;        /* something more urgent found no room */
};

/* segs ascend by order_max, as in a manifest. */
void compact_plan(struct compact_plan *out, const struct compact_segment *segs, size_t n,
                  const struct compact_policy *policy);

const char *compact_kind_name(enum compact_kind kind);

#endif
