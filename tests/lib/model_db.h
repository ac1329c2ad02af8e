/* The whole database again, naively: a list of series, each a sorted array of samples,
 * everything found by walking. What it says is what the engine must say.
 *
 *     struct model_db model = {0};
 *     model_db_put(&model, "cpu{host=\"a\"}", 1000, f64_bits(0.5), DUP_LAST);
 *     model_db_delete(&model, "cpu{host=\"a\"}", range);
 *     model_db_differs(&model, "cpu{host=\"a\"}", &what_the_engine_said)   NULL: equal
 *     model_db_release(&model);
 *
 * Policies are those of protocols other than TS.* (no NaN rules, an identical duplicate
 * is no error). One thread. Running out of memory ends the program.
 */
#ifndef TSINK_TESTS_MODEL_DB_H
#define TSINK_TESTS_MODEL_DB_H

#include "model/batch.h"
#include "model/point.h"

struct model_series {
    char name[64];
    enum value_type type;    /* VALUE_F64 unless its first value said otherwise */
    enum dup_policy policy;  /* of rows that bring none; DUP_UNSET is `last` */
    struct points pts;       /* values as bits; of blobs whatever stands for the bytes */
};

struct model_db {
    struct model_series *series;
    size_t n, cap;
    bool no_starts;          /* of who replays: start timestamps say nothing */
    char surprise[120];      /* of who replays: an answer that the model would not give */
};

void model_db_release(struct model_db *model); /* accepts a zeroed struct */

/* ST_OK, or ST_DUPLICATE when the policy refuses. */
status model_db_put(struct model_db *model, const char *name, ts_time ts, uint64_t bits,
                    enum dup_policy policy);

/* Likewise for any type of value; of one series always the same. Blobs know no
 * arithmetic: MIN, MAX and SUM take the newer one, BLOCK refuses other bytes. */
status model_db_put_as(struct model_db *model, const char *name, enum value_type type,
                       ts_time ts, uint64_t bits, enum dup_policy policy);

/* The policy of the series' rows that bring none. */
void model_db_set_policy(struct model_db *model, const char *name, enum dup_policy policy);
enum dup_policy model_db_policy(const struct model_db *model, const char *name);

void model_db_delete(struct model_db *model, const char *name, struct time_range range);

/* Retention: forgets everything before oldest. */
void model_db_expire(struct model_db *model, ts_time oldest);

/* The samples of a series; an empty set when there is no such series. */
const struct points *model_db_read(const struct model_db *model, const char *name);

/* NULL when pts are exactly the samples of the series in range; otherwise the first
 * difference in words (valid until the next call). */
const char *model_db_differs(const struct model_db *model, const char *name,
                             struct time_range range, const struct points *pts);

#endif
