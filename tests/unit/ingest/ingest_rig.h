/* A decoder's surroundings in a test: an environment, a table of known series, the
 * metadata that came, and a copy of the body at its exact length, so that the sanitizer
 * sees one byte too many. */
#ifndef TSINK_TESTS_INGEST_RIG_H
#define TSINK_TESTS_INGEST_RIG_H

#include "base/strbuf.h"
#include "ingest/format.h"

enum { RIG_NOW = 1700000000000, RIG_KNOWN_MAX = 64 };

struct rig {
    struct decode_env env;
    struct limits limits;
    struct account account;
    struct batch *batch;
    struct decode_report report;
    struct err err;
    char *body;
    struct {
        struct hash128 raw;
        uint32_t ordinal;
    } known[RIG_KNOWN_MAX];
    size_t n_known, n_asked;
    struct strbuf metadata; /* family type help unit; for each entry */
};

/* Milliseconds, an hour of retention, a minute of skew around RIG_NOW. */
void rig_init(struct rig *rig);
void rig_release(struct rig *rig); /* checks that the account is empty */

/* Decodes body into a fresh batch. */
status rig_decode(struct rig *rig, decode_fn *decode, struct slice body);

/* Every entry of the batch becomes known under ordinals 100, 101, ... */
void rig_learn(struct rig *rig);

/* Series and rows as text, for comparison: "up{job=\"a\"} 1@5 2@6!ST_TOO_NEW; #100 3@7;",
 * a start timestamp behind the time: 1@5^-1000. */
const char *rig_text(struct rig *rig, struct strbuf *out);

/* Exemplars as text: "0{trace_id=abc} 1.5@5;" with the series' index, and a '?' behind a
 * time that is the sample's. */
const char *rig_exemplars(struct rig *rig, struct strbuf *out);

#endif
