/* Exemplars of all formats: the checks that need no series, and the way into the batch.
 * What is wrong with one is counted and told, and refuses nothing but it. Pure. */
#ifndef TSINK_INGEST_EXEMPLAR_ROW_H
#define TSINK_INGEST_EXEMPLAR_ROW_H

#include "ingest/format_priv.h"

/* An exemplar as it stands in the body. */
struct exemplar_row {
    struct label *labels;      /* n of them in any order; they are sorted in place */
    size_t n;
    double value;
    ts_time ts;                /* ticks; 0 when st is not ST_OK */
    bool has_ts;
    status st;                 /* why the time cannot be kept, or ST_OK */
};

/* Counts it and says whether it is wanted: false when exemplars are not kept, or when the
 * request has as many as it may have. Before anything is allocated for it. */
CHECKED bool exemplar_wanted(struct batch *batch, const struct decode_env *env,
                             struct decode_report *report);

/* Counts one that was refused before it was a row, with the reason. */
void exemplar_refused(struct decode_report *report, status st, const char *why);

/* Adds one that is wanted to this series of the batch, or refuses it. False only when memory
 * is refused. */
CHECKED bool exemplar_add(struct batch *batch, size_t series, const struct exemplar_row *row,
                          const struct decode_env *env, struct decode_report *report);

#endif
