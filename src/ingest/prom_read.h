/* Prometheus remote read: the request, and the messages of both kinds of answer.
 *
 *     samples    ReadResponse{results{timeseries{labels, samples, histograms}}}, one message
 *                in one snappy block
 *     streamed   a row of frames, each a ChunkedReadResponse with one series' chunks:
 *                length uvarint | CRC32C of the message, big-endian | message
 *
 * Message numbers are those of the published prompb/remote.proto. Pure, any thread.
 */
#ifndef TSINK_INGEST_PROM_READ_H
#define TSINK_INGEST_PROM_READ_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "model/matcher.h"
#include "model/value.h"

enum { PROM_READ_QUERIES_MAX = 1000, PROM_READ_MATCHERS_MAX = 1000 };

struct prom_read_query {
    int64_t from_ms, to_ms;       /* both inclusive */
    struct matcher *matchers;     /* of the whole request's array */
    size_t n;
};

struct prom_read {
    struct prom_read_query *queries;
    size_t n_queries;
    struct matcher *matchers;
    size_t n_matchers;
    bool streamed;                /* the first kind of answer that is known here */
};

/* Decodes a plain body; texts point into it, arrays are in the arena. ST_PROTOCOL: it is no
 * such message; ST_INVALID: a matcher is bad, or no kind of answer is known; ST_TOO_LARGE.
 * On success give it back with prom_read_release(). */
CHECKED status prom_read_decode(struct prom_read *out, struct slice body, struct arena *arena,
                                struct err *err);
void prom_read_release(struct prom_read *read);

/* Samples of one kind, times in ms ascending. */
struct prom_run {
    const int64_t *ms;
    const union value *val;       /* f64 bits or histograms */
    size_t n;
};

/* Appends one series to the QueryResult in out. Scratch buffers keep their memory. */
struct prom_read_scratch {
    struct strbuf series, part;
};

void prom_read_scratch_release(struct prom_read_scratch *scratch);

void prom_read_put_series(struct strbuf *out, struct labels labels, struct prom_run floats,
                          struct prom_run hists, struct prom_read_scratch *scratch);

/* Appends a QueryResult to the ReadResponse in out; result is emptied. */
void prom_read_put_result(struct strbuf *out, struct strbuf *result);

/* Streams a series: frames are appended to out whenever chunks of PROM_FRAME bytes are
 * together, and at the end, so that a series without samples makes none. Chunks never overlap
 * in time: floats and histograms take turns. */
enum { PROM_FRAME = 1 << 20 };

void prom_read_put_frames(struct strbuf *out, size_t query, struct labels labels,
                          struct prom_run floats, struct prom_run hists,
                          struct prom_read_scratch *scratch);

#endif
