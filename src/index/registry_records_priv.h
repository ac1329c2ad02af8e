/* Between reading the registry's files and the tables in memory: what the files say
 * together, one record a series in the order of ids. registry_load.c fills them,
 * registry_build.c makes a registry of them.
 */
#ifndef TSINK_INDEX_REGISTRY_RECORDS_PRIV_H
#define TSINK_INDEX_REGISTRY_RECORDS_PRIV_H

#include "index/registry_priv.h"

struct record {
    series_id id;
    uint64_t place;
    const uint8_t *packed; /* label list with the registry's pair ids */
    const uint8_t *attrs;  /* encoded and checked; NULL: defaults */
    uint32_t len;          /* of packed */
    uint32_t to;           /* its place in the packed store; set by the build */
    uint16_t label_version;
    uint8_t type;
    bool dead;
    bool hidden;           /* a companion: what looks like a key is its text */
};

typedef VEC(struct record) record_vec;

/* The attributes that a record points to. */
void record_attrs(struct series_attrs *out, const uint8_t *src);

/* Puts all records that are not dead into a registry that holds names, values and pairs
 * but no series. n_threads as in registry_load(). ST_CORRUPT when the records
 * contradict each other. Owner. */
CHECKED status registry_build(struct registry *reg, record_vec *records, unsigned n_threads,
                              struct err *err);

#endif
