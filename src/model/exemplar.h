/* Exemplar: a sample of a series with labels of its own, mostly the id of a trace.
 *
 * Its labels travel packed: one run of bytes from the decoder to the log, the store and
 * the file, so that nobody in between takes them apart.
 *
 *     varint n, then for each label in order of name: varint len, name, varint len, value
 *
 * Canonical: names ascend, none is there twice, no name and no value is empty; all is
 * UTF-8, and names and values have at most EXEMPLAR_RUNES_MAX characters together (as
 * OpenMetrics has it). Equal labels have equal bytes. Plain data, borrowed; pure, any
 * thread.
 */
#ifndef TSINK_MODEL_EXEMPLAR_H
#define TSINK_MODEL_EXEMPLAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/label.h"
#include "model/time.h"

enum {
    EXEMPLAR_RUNES_MAX = 128,   /* OpenMetrics 1.0, and Prometheus for every protocol */
    /* 128 runes of 4 bytes; at most 64 labels, each with two lengths of 2 bytes; n. */
    EXEMPLAR_PACKED_MAX = 4 * EXEMPLAR_RUNES_MAX + 64 * 4 + 1,
};

struct exemplar {
    ts_time ts;
    double value;
    bool has_ts;         /* the sender gave it; else it is the sample's */
    struct slice labels; /* packed */
};

/* Packs labels in any order, empty values among them, into the arena. Sorts ptr in place.
 * ST_BAD_LABEL says what is wrong, ST_NO_MEMORY. */
CHECKED status exemplar_pack(struct slice *out, struct arena *arena, struct label *ptr, size_t n,
                             struct err *err);

/* Whether the bytes are packed labels: hostile input is fine. */
bool exemplar_packed_valid(struct slice packed);

/* The labels of valid bytes, which they point into; ptr NULL (and n > 0) when the arena
 * refuses. */
struct labels exemplar_labels(struct slice packed, struct arena *arena);

/* < 0, 0, > 0: the order in which exemplars of one series have to come: by time, value
 * (NaN last and equal to itself), labels. */
int exemplar_cmp(const struct exemplar *a, const struct exemplar *b);

/* Whether b says what a said: the same labels and value, and the same time if either has
 * one of its own. */
bool exemplar_same(const struct exemplar *a, const struct exemplar *b);

#endif
