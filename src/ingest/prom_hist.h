/* Native histograms on the wire of remote write and read: message prometheus.Histogram, to
 * and from struct histogram. Pure, any thread. */
#ifndef TSINK_INGEST_PROM_HIST_H
#define TSINK_INGEST_PROM_HIST_H

#include "base/arena.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "ingest/wire.h"
#include "model/histogram.h"

/* Decodes msg. *out (in the arena), *ms and *start (since when it counts, in ms; 0: unknown)
 * are set when the result is ST_OK. On damage the result is ST_PROTOCOL, *why says what and
 * *where points at the byte; when the message is sound but no histogram, it is ST_BAD_VALUE
 * with the reason in err, and *ms is set. ST_NO_MEMORY. */
CHECKED status prom_hist_decode(const struct histogram **out, int64_t *ms, int64_t *start,
                                struct arena *arena, struct slice msg, const char **why,
                                const uint8_t **where, struct err *err);

/* Whether all counts are whole and small enough for the integer form. */
bool prom_hist_is_int(const struct histogram *h);

/* Appends the message's fields; out->failed tells about refused memory. */
void prom_hist_encode(struct strbuf *out, int64_t ms, const struct histogram *h);

#endif
