/* What the files of db_history share: which series there are and what values they have. */
#ifndef TSINK_TESTS_DB_HISTORY_PRIV_H
#define TSINK_TESTS_DB_HISTORY_PRIV_H

#include "tests/lib/db_history.h"

#define HISTORY_START ((ts_time)1767225600000)

enum {
    STEP_MS = 15000,
    ROWS_MAX = 200,
    HOUR_MS = 3600 * 1000,
    CLOCK_STEP_MS = 600 * 1000, /* so that a history stays within a day: no jump (T2) */
    SERIES_I64 = HISTORY_SERIES,
    SERIES_U64,
    SERIES_BOOL,
    SERIES_TEXT,                /* and those up to */
    SERIES_ALTERED = 27,
    SERIES_HISTOGRAM,           /* two */
    SERIES_KEY = 30,            /* two */
};

enum value_type history_type(uint32_t series);
const char *history_crowd_name(uint32_t i); /* for good: batches borrow it */

/* The start timestamp that a row has; START_NONE: most. It follows from the row. */
ts_time history_start(uint32_t series, ts_time ts, uint64_t bits);

/* The value that stands for a number; texts and histograms are made in the arena. */
union value history_value(struct arena *arena, enum value_type type, uint64_t number);

#endif
