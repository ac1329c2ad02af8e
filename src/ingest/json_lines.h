/* JSON lines -> batch: what /api/v1/export gives and VictoriaMetrics' tools send.
 *
 *     {"metric":{"__name__":"up","job":"a"},"values":[1,null],"timestamps":[1000,2000]}
 *
 * Members in any order, each once, no others. Values are numbers, null for the stale marker,
 * or the texts "NaN", "Infinity", "-Infinity" and "nan:" with the 16 hex digits of a NaN's
 * bits; every double comes back bit for bit. Timestamps are milliseconds, with a fraction
 * where the database is finer.
 *
 * A bad line is counted, the first with its number and reason kept in report->first, and
 * the good lines stay. A time outside the window refuses its row. Only limits of the
 * whole request and memory make the function fail.
 *
 * Pure, any thread. The body must outlive the batch.
 */
#ifndef TSINK_INGEST_JSON_LINES_H
#define TSINK_INGEST_JSON_LINES_H

#include "ingest/format.h"

CHECKED status json_lines_decode(struct batch *batch, struct slice body,
                                 const struct decode_env *env, struct decode_report *report,
                                 struct err *err);

#endif
