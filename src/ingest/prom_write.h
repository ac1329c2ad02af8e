/* Prometheus remote write 1.0 (prometheus.WriteRequest, decompressed) -> batch. A walk
 * over the wire format by hand: nothing is allocated for a sample, labels stay where
 * they lie, and a series whose raw label bytes are known is not even decoded.
 *
 * Promises
 *   - The whole body is walked before the function returns ST_OK, so damage anywhere
 *     (cut off, bad varint, wrong wire type, field 0, a length beyond its parent, groups)
 *     is one ST_PROTOCOL and no row is handed on. Unknown fields are skipped.
 *   - A series with bad labels (no name, empty or double label name, not UTF-8, over
 *     limits, reserved) refuses its own rows with ST_BAD_LABEL; report->first names it
 *     by index.
 *   - A sample outside the window, or whose time the precision cannot hold, is refused
 *     alone. Values are kept bit for bit, NaN payloads included.
 *   - A TimeSeries with floats and native histograms makes two entries of the batch.
 *   - More series or samples than limits allow: ST_TOO_LARGE.
 *
 * Pure, any thread. The body must outlive the batch.
 */
#ifndef TSINK_INGEST_PROM_WRITE_H
#define TSINK_INGEST_PROM_WRITE_H

#include "ingest/format.h"

enum {
    PROM_WRITE_BUCKETS_MAX = 16384, /* buckets of one native histogram, both sides */
};

CHECKED status prom_write_decode(struct batch *batch, struct slice body,
                                 const struct decode_env *env, struct decode_report *report,
                                 struct err *err);

#endif
