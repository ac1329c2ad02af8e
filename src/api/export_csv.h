/* Samples of a series as CSV, as /api/v1/export/csv gives them (docs/http.md). A format says what
 * the fields of a line are:
 *
 *     __name__,job,__value__,__timestamp__:unix_s
 *
 * __value__ and __timestamp__:FORM stand for the sample, all else for the label of that name,
 * which may be missing. FORM is unix_s, unix_ms, unix_us, unix_ns or rfc3339; a time is cut to it.
 * Pure, any thread. */
#ifndef TSINK_API_EXPORT_CSV_H
#define TSINK_API_EXPORT_CSV_H

#include "base/strbuf.h"
#include "model/label.h"
#include "model/point.h"

enum { EXPORT_CSV_FIELDS_MAX = 256 };

enum export_field { EXPORT_LABEL, EXPORT_VALUE, EXPORT_TIME, EXPORT_RFC3339 };

struct export_csv {
    size_t n;
    struct {
        enum export_field kind;
        struct slice name;     /* of a label, in the format's text */
        enum precision unit;   /* of EXPORT_TIME */
    } fields[EXPORT_CSV_FIELDS_MAX];
};

/* Reads a format; the texts stay in text. ST_INVALID says what is wrong with it. */
CHECKED status export_csv_parse(struct export_csv *out, struct slice text, struct err *err);

/* Appends a line for each sample from up to to of a numeric series. The stale marker is an empty
 * value. */
void export_csv_lines(struct strbuf *out, const struct export_csv *csv, struct labels labels,
                      enum value_type type, const struct points *points, size_t from, size_t to,
                      enum precision precision);

#endif
