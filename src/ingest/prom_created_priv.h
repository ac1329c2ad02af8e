/* `_created` lines of OpenMetrics: since when the samples of a metric count.
 *
 *     # TYPE req counter
 *     req_total{path="/"} 17
 *     req_created{path="/"} 1520872607.123      -> the start timestamp of the line above
 *
 * In a family that is typed as one that counts (counter, histogram, summary) such a line is no
 * sample. It speaks of the samples of its family that have its labels, `le` and `quantile`
 * aside. What is known of a family is gathered until another TYPE comes; prom_text.c reads
 * the labels.
 */
#ifndef TSINK_INGEST_PROM_CREATED_PRIV_H
#define TSINK_INGEST_PROM_CREATED_PRIV_H

#include "base/vec.h"
#include "model/batch.h"
#include "model/label.h"
#include "model/metadata.h"

/* A sample of the family: its series as the line spells it, and its row in the batch. */
struct created_row {
    struct slice series;
    uint32_t row;
};

struct created_start {
    uint64_t key;
    ts_time start;
};

/* Zeroed at first. */
struct created {
    bool counts;                       /* the family may have `_created` lines */
    struct slice family;
    VEC(struct created_row) rows;      /* ascending */
    VEC(struct created_start) starts;
};

void created_release(struct created *c);

/* A family begins; what was known of the one before is gone. */
void created_begin(struct created *c, struct slice family, enum metric_type type);

/* Whether a metric of this name says since when the family's samples count. */
bool created_is(const struct created *c, struct slice name);

/* What stands for a label set; *name is its metric's. */
uint64_t created_key(const struct label *labels, size_t n, struct slice *name);

/* After the last line of the family: created_find() says since when a sample with these
 * labels counts, or START_NONE. */
void created_sort(struct created *c);
ts_time created_find(const struct created *c, const struct label *labels, size_t n);

#endif
