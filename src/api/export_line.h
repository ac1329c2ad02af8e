/* Samples of a series as a JSON line, as /api/v1/export gives and /api/v1/import takes them
 * (docs/http.md). A round trip keeps every bit of a double. Pure, any thread. */
#ifndef TSINK_API_EXPORT_LINE_H
#define TSINK_API_EXPORT_LINE_H

#include "base/strbuf.h"
#include "model/label.h"
#include "model/point.h"

/* Appends {"metric":{...},"values":[...],"timestamps":[...]} and a newline: samples from up
 * to to of a numeric series. */
void export_line(struct strbuf *out, struct labels labels, enum value_type type,
                 const struct points *points, size_t from, size_t to, enum precision precision);

#endif
