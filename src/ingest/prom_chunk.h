/* Prometheus' own chunks, which streamed remote read carries: samples of one series, one
 * kind, at most PROM_CHUNK_MAX of them. Bits are packed from the highest down, integers are
 * big-endian; the layouts are those of Prometheus' tsdb/docs/format/chunks.md, without the
 * length and checksum that surround a chunk in a file.
 *
 *     floats       n u16 | t varint, v f64 | dt uvarint, xor v | dod of t, xor v | ...
 *     histograms   n u16 | flags u8 | layout of buckets | first | differences | ...
 *
 * Histograms of one chunk have the same layout, and none is a counter reset of the one
 * before: prom_hist_run() tells how many go together. Pure, any thread; refused memory
 * shows in the buffer's `failed`.
 */
#ifndef TSINK_INGEST_PROM_CHUNK_H
#define TSINK_INGEST_PROM_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "model/histogram.h"
#include "model/value.h"

enum { PROM_CHUNK_MAX = 120 };

/* Numbers of the published message Chunk. */
enum prom_chunk_kind { PROM_CHUNK_XOR = 1, PROM_CHUNK_HIST = 2, PROM_CHUNK_FLOAT_HIST = 3 };

/* Appends a chunk of n (1 to PROM_CHUNK_MAX) floats, times in ms ascending. */
void prom_chunk_floats(struct strbuf *out, const int64_t *ms, const union value *val, size_t n);

/* How many of the n (at least 1) histograms from the first on make one chunk, and of which
 * kind. */
size_t prom_hist_run(enum prom_chunk_kind *kind, const union value *val, size_t n);

/* Appends a chunk of n histograms that prom_hist_run() found to go together. */
void prom_chunk_hists(struct strbuf *out, enum prom_chunk_kind kind, const int64_t *ms,
                      const union value *val, size_t n);

#endif
