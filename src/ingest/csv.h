/* CSV -> batch: what /api/v1/import/csv takes, as VictoriaMetrics has it. A format says what
 * columns hold, counted from 1; columns that it does not name are passed over:
 *
 *     2:metric:price,1:label:ticker,3:time:unix_ms
 *
 *     metric:NAME   a sample of the metric NAME; an empty field gives none
 *     label:NAME    a label of all samples of the line; an empty field gives none
 *     time:FORM     of all samples of the line: unix_s, unix_ms, unix_us, unix_ns (whole
 *                   numbers); without such a column samples are of now
 *
 * Fields may stand in double quotes, where "" is a quote; a line ends outside of quotes. A
 * bad line is counted, the first with its number and reason kept in report->first, and the
 * good lines stay. Values are decimal numbers, NaN and Inf; NaN is Prometheus' normal one.
 *
 * Pure, any thread. The body must outlive the batch.
 */
#ifndef TSINK_INGEST_CSV_H
#define TSINK_INGEST_CSV_H

#include "ingest/format.h"

enum { CSV_COLUMNS_MAX = 256 };

enum csv_kind { CSV_IGNORED, CSV_METRIC, CSV_LABEL, CSV_TIME };

struct csv_column {
    enum csv_kind kind;
    struct slice name;         /* of the metric or label, in the format's text */
    enum precision unit;       /* of a time */
};

struct csv_format {
    size_t n;                  /* up to the last column that is named */
    struct csv_column columns[CSV_COLUMNS_MAX];
};

/* Reads a format; the texts stay in text. ST_INVALID says what is wrong with it. */
CHECKED status csv_format_parse(struct csv_format *out, struct slice text, struct err *err);

/* env->csv is the format. */
CHECKED status csv_decode(struct batch *batch, struct slice body, const struct decode_env *env,
                          struct decode_report *report, struct err *err);

#endif
