/* Prometheus remote write 2.0 (io.prometheus.write.v2.Request, decompressed) -> batch.
 * As prom_write.h, and
 *
 *   - Texts are in a symbol table; a series names its labels by pairs of references. Each
 *     symbol is hashed once a request, a series' key is a mix of its symbols' hashes, and
 *     a series whose key is known is never resolved to texts. The keys are a space of
 *     their own: a series written by both versions is known under two.
 *   - A series with a reference outside the table, an odd number of them or bad labels
 *     refuses its own rows. So does a row of the second kind in a series that has samples
 *     and histograms both. The first symbol must be empty, else the request is refused.
 *   - Metadata is per series; the family is the metric's name, without _bucket, _sum and
 *     _count where the type is of families that have them. It is handed on once for each
 *     family of a request.
 *   - A row has the start timestamp of its sample or histogram, else the series' `created`
 *     of older drafts; 0 is none, and so is one that the precision cannot hold.
 *
 * Pure, any thread. The body must outlive the batch.
 */
#ifndef TSINK_INGEST_PROM_WRITE2_H
#define TSINK_INGEST_PROM_WRITE2_H

#include "ingest/format.h"

CHECKED status prom_write2_decode(struct batch *batch, struct slice body,
                                  const struct decode_env *env, struct decode_report *report,
                                  struct err *err);

#endif
