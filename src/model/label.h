/* Labels: the name of a series is its set of labels, `__name__` among them.
 *
 * A canonical set is sorted by name in byte order, has no name twice and no empty
 * value (an empty value means: the label is absent). Its identity is one string of
 * bytes, the same on every node for ever:
 *
 *     varint len, metric name (len 0 when none), then for each other label in
 *     order: varint len, name, varint len, value
 *
 * hash_place() of the identity places the series (decision 14), except that a set
 * with `__key__` is placed by the bytes of its key alone. Pure, any thread.
 */
#ifndef TSINK_MODEL_LABEL_H
#define TSINK_MODEL_LABEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/slice.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "model/value.h"

#define LABEL_NAME "__name__"
#define LABEL_KEY "__key__"             /* the key of a TS.* series */
#define LABEL_TENANT "__tsink_tenant__" /* set by the server, never by a client */
#define LABEL_STARTS "__tsink_starts__" /* of a companion (below), never of a client */
#define LABEL_LE "le"

struct label {
    struct slice name, value;
};

/* Borrows its labels. */
struct labels {
    const struct label *ptr;
    size_t n;
};

/* Sorts in place, drops empty values, and checks nothing else: *n is the new count.
 * ST_BAD_LABEL names a label that is there twice. */
CHECKED status labels_canonicalise(struct label *ptr, size_t *n, struct err *err);

/* The value of the label, or an empty slice. Works on canonical sets. */
struct slice labels_get(struct labels set, struct slice name);
bool labels_has(struct labels set, struct slice name);

bool labels_eq(struct labels a, struct labels b);

/* Prometheus' order: pair by pair, name then value; fewer labels first. */
int labels_cmp(struct labels a, struct labels b);

/* Length of and the identity bytes themselves; dst has the length. */
size_t labels_identity_len(struct labels set);
size_t labels_identity(uint8_t *dst, struct labels set);

/* The set back from its identity; slices point into bytes, the array is in the
 * arena. ST_CORRUPT when bytes are no identity of a canonical set. */
CHECKED status labels_from_identity(struct labels *out, struct arena *arena, struct slice bytes);

/* hash_place() of the key when there is one, of the identity otherwise; a companion lies
 * where its parent does. identity must be the set's. */
uint64_t labels_place(struct labels set, struct slice identity);

/* The name of a companion: the series that keeps the start timestamps of another one, its
 * parent. LABEL_STARTS alone, whose value is the parent's id and place, 16 hex digits each. */
enum {
    STARTS_VALUE_LEN = 32,
    STARTS_IDENTITY_LEN = 2 + sizeof(LABEL_STARTS) + STARTS_VALUE_LEN,
};

struct starts_name {
    struct label label;         /* points into value: do not copy the struct */
    char value[STARTS_VALUE_LEN];
    uint8_t identity[STARTS_IDENTITY_LEN];
};
void starts_name_make(struct starts_name *out, uint64_t parent, uint64_t place);

/* Whether the set is the name of a companion; then whose. */
bool starts_name_parse(struct labels set, uint64_t *parent, uint64_t *place);
bool starts_value_parse(struct slice value, uint64_t *parent, uint64_t *place);

/* What a table of names is asked for, from the hash of a name (its identity, or a spelling
 * of it on the wire): native histograms are a series of their own beside the series of
 * numbers with the same labels, because a sender may change from one to the other. All
 * other types share the name and have to be what the series is. */
static inline struct hash128 labels_hash_as(struct hash128 hash, enum value_type type)
{
    if (type == VALUE_HISTOGRAM) hash.hi ^= UINT64_C(0x686973746f6772); /* "histogr" */
    return hash;
}

/* A deep copy in the arena; ptr NULL (and n > 0) on refusal. */
struct labels labels_copy(struct arena *arena, struct labels set);

/* The canonical selector text, names sorted, \ and " and newline escaped:
 * up{instance="h:1",job="a"}; names that PromQL cannot spell are quoted, a metric
 * that it cannot spell comes first inside the braces: {"a.b",job="x"}. The key of a
 * series without __key__ towards TS.* (resp.md 5.2). */
void labels_print(struct strbuf *out, struct labels set);

/* [a-zA-Z_][a-zA-Z0-9_]* and, for metrics, also ':' */
bool label_name_is_plain(struct slice name);
bool metric_name_is_plain(struct slice name);

#endif
