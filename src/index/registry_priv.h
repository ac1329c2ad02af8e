/* The registry's body, for registry.c, registry_jobs.c, registry_check.c and the
 * readers of this room (resolve, label_scan, registry_file). */
#ifndef TSINK_INDEX_REGISTRY_PRIV_H
#define TSINK_INDEX_REGISTRY_PRIV_H

#include "base/segvec.h"
#include "base/varint.h"
#include "base/vec.h"
#include "index/births_priv.h"
#include "index/id_pages_priv.h"
#include "index/id_table_priv.h"
#include "index/index_pool_priv.h"
#include "index/packed_store_priv.h"
#include "index/postings_priv.h"
#include "index/registry.h"

/* One a (name, value): 24 bytes. A pair goes when no series, dead or alive, has it any
 * more (registry_jobs.c); then its row is used for another one. */
struct pair {
    uint32_t name, value; /* dictionary ids; name PAIR_FREE: an unused row */
    struct postings series;
};
_Static_assert(sizeof(struct pair) == 24, "a value unique to one series costs this");

enum { PAIR_FREE = UINT32_MAX };

/* One a label name: the ids of its pairs. */
struct name_row {
    struct postings pairs;
};

struct registry {
    struct account account;    /* child of the caller's */
    struct index_pool pool;
    struct dict *names, *values;
    struct identity *identity;
    struct segvec name_rows;   /* of struct name_row, by name id */
    struct segvec pairs;       /* of struct pair, by pair id */
    struct segvec entries;     /* of struct series_entry, by ordinal */
    struct packed_store packed; /* label lists of the entries */
    /* Birth i is ordinal i until an ordinal is born again: birth n_linear is the first
     * that stands in births. */
    _Atomic uint64_t n_births, n_linear;
    struct births births;      /* from n_linear on */
    struct id_table pair_ids;  /* (name, value) -> pair id */
    struct id_table keys;      /* (tenant, key) -> ordinal */
    struct id_pages ids;       /* series id -> ordinal */
    struct ordinal_bits dead;  /* until no list and no reader knows them any more */
    _Atomic uint32_t n_keyed;  /* live series with a key */
    _Atomic uint32_t n_hidden; /* live companions; n_series counts them, too */
    /* The rest is the owner's alone. */
    uint64_t n_series, n_removed;
    series_id next_id;
    bool bulk;                 /* registry_lists.c: series from unlisted on are in no list */
    uint32_t unlisted;
    bool busy;                 /* a rebuild or purge is between plan and publish */
    VEC(uint32_t) scratch, before; /* pair ids of the series being added; of the one before */
    VEC(uint32_t) due;         /* pairs whose list wants a rebuild */
    VEC(uint32_t) quarantine;  /* dead ordinals, oldest first from quarantine_at */
    size_t quarantine_at;
    VEC(uint32_t) free_ordinals;
    VEC(uint32_t) leaving;     /* pairs that nobody has, still in the lists of their names */
    VEC(uint32_t) free_pairs;
    uint32_t n_pairs_gone;     /* leaving, free, or on the way between */
    unsigned n_waited;         /* times that a purge was not worth it */
};

static inline struct pair *pair_at(const struct registry *reg, uint32_t id)
{
    return segvec_at(&reg->pairs, id);
}

static inline struct name_row *name_row_at(const struct registry *reg, uint32_t name)
{
    return segvec_at(&reg->name_rows, name);
}

static inline struct series_entry *entry_at(const struct registry *reg, uint32_t ordinal)
{
    return segvec_at(&reg->entries, ordinal);
}

static inline bool entry_live(const struct series_entry *entry)
{
    return entry_flags(entry) & SERIES_LIVE;
}

static inline uint32_t n_pairs(const struct registry *reg)
{
    return (uint32_t)segvec_len(&reg->pairs);
}

/* The packed label list of an entry. */
static inline const uint8_t *packed_of(const struct registry *reg,
                                       const struct series_entry *entry)
{
    return packed_store_at(&reg->packed, entry->pairs);
}

/* A packed label list, read from the front:
 *
 *     varint n << 1 | keyed, n varint pair ids in the order of the labels,
 *     if keyed: varint len, key
 *
 * A companion's text stands where a key does, and is the only label.
 */
struct packed {
    const uint8_t *at;
    uint32_t n; /* pairs left */
    bool keyed;
};


static inline uint64_t packed_varint(struct packed *list)
{
    uint64_t v = *list->at;
    if (v < 0x80) {
        list->at++;
        return v;
    }
    list->at += varint_get(&v, list->at, VARINT_MAX);
    return v;
}

static inline struct packed packed_open(const uint8_t *bytes)
{
    struct packed list = {.at = bytes};
    uint64_t head = packed_varint(&list);
    list.n = (uint32_t)(head >> 1);
    list.keyed = head & 1;
    return list;
}

/* The next pair id; call only while n > 0. */
static inline uint32_t packed_next(struct packed *list)
{
    list->n--;
    return (uint32_t)packed_varint(list);
}

/* The key, after all pairs; empty when there is none. */
static inline struct slice packed_key(struct packed *list)
{
    if (!list->keyed) return (struct slice){"", 0};
    size_t len = packed_varint(list);
    return (struct slice){(const char *)list->at, len};
}

/* Bytes of a packed list. */
size_t packed_len(const uint8_t *bytes);

/* The id of the pair, or ID_NONE. Any registered reader. */
uint32_t registry_pair(const struct registry *reg, uint32_t name, uint32_t value);

/* The value id of the series' pair with this name, or DICT_NONE. */
uint32_t registry_value_of(const struct registry *reg, uint32_t ordinal, uint32_t name);

/* The id of the pair, made when it is new; ID_NONE when refused. Owner. */
uint32_t registry_intern_pair(struct registry *reg, struct slice name, struct slice value);
uint32_t registry_intern_ids(struct registry *reg, uint32_t name, uint32_t value);

/* The pair, which no series has, is not found any more. Owner. */
void registry_unlink_pair(struct registry *reg, uint32_t id);

/* registry_add() with the pair ids in reg->scratch, in the order of the labels; key.ptr
 * NULL: none; else a key, or a companion's text. make->labels is looked at only then. Owner. */
CHECKED status registry_add_scratch(uint32_t *ordinal, struct registry *reg,
                                    const struct series_new *make, struct slice key);

uint64_t registry_key_hash(struct slice tenant, struct slice key);

#endif
