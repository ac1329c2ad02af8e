/* Formats of others: what every decoder takes and gives. One row each in formats.def.
 *
 * A decoder is a pure function from plain bytes (decompression is codec's) to rows of a
 * batch. It knows no socket and no engine; what it must ask comes as a callback. Any
 * thread; a decoder keeps no state between calls.
 *
 * Texts and labels in the batch point into the body or the batch's arena, so the body
 * must outlive the batch.
 *
 * What is refused row by row stays in the batch with its reason in batch->result (and
 * batch_series.st for a whole series): the sink passes such rows over, and report
 * counts them. ST_OK therefore means: the good rest can be handed on.
 */
#ifndef TSINK_INGEST_FORMAT_H
#define TSINK_INGEST_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/batch.h"
#include "model/limits.h"
#include "model/metadata.h"
#include "model/time.h"
#include "model/validate.h"

struct csv_format;

/* What a decoder needs besides the bytes. Borrowed for the call. */
struct decode_env {
    const struct limits *limits;
    enum precision precision;  /* of the database */
    struct time_window window; /* rows outside are refused, one by one */
    ts_time now;               /* for samples without a time, in ticks */
    const struct csv_format *csv; /* of CSV alone: what its columns hold */
    uint32_t exemplars_max;    /* kept of one request; 0: none */

    /* Whether a series with these raw bytes was seen: fills ordinal and gen. A known
     * series needs no labels. NULL: nothing is known. */
    bool (*known)(void *ctx, struct hash128 raw, uint32_t *ordinal, uint32_t *gen);
    /* Called some series before known() with the same hash. NULL: nothing. */
    void (*prefetch)(void *ctx, struct hash128 raw);

    /* One call per metadata entry, after the whole body was found sound. The texts are
     * valid for the call. NULL: metadata is counted and dropped. */
    void (*metadata)(void *ctx, const struct metric_meta *meta);

    void *ctx; /* of all three */
};

/* What became of the body. */
struct decode_report {
    uint64_t n_series;         /* entries in the batch */
    uint64_t n_samples;        /* rows, good or refused, histograms too */
    uint64_t n_refused;        /* rows among them that were refused */
    uint64_t n_bad_lines;      /* text: lines that gave no row */
    uint64_t n_exemplars;      /* seen */
    uint64_t n_exemplars_refused; /* of these, not in the batch */
    uint64_t n_metadata;       /* entries */
    uint64_t n_histograms;     /* rows among n_samples */
    struct err first;          /* the first refusal, in words with its place; st ST_OK: none */
    struct err exemplar;       /* why the first exemplar was refused; nobody is told */
};

/* Decodes body into an empty batch. On failure the batch is to be dropped, nothing was
 * handed to a callback but `known`, and err says what and where. ST_PROTOCOL: the bytes
 * are not of this format; ST_TOO_LARGE: over a limit of a request; ST_NO_MEMORY. */
typedef status decode_fn(struct batch *batch, struct slice body, const struct decode_env *env,
                         struct decode_report *report, struct err *err);

enum format_id {
#define FORMAT(id, name, types, message, decode) id,
#include "ingest/formats.def"
#undef FORMAT
    N_FORMATS
};

struct format {
    enum format_id id;
    const char *name;
    const char *types; /* content types, lower case, separated by blanks */
    const char *message; /* proto= of the content type; "": none */
    decode_fn *decode;
};

const struct format *format_get(enum format_id id);

/* The format of a Content-Type header; of its parameters only the message (proto=) counts.
 * NULL when no row has it. */
const struct format *format_by_type(struct slice content_type);

#endif
