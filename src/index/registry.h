/* The registry: every series' name, and the way from names to ordinals.
 *
 *     ordinal   dense u32 in memory: index of the head, entry of posting lists;
 *               reused after quarantine, with a higher generation
 *     id        u64 on disk and in the API: never reused; minted here
 *     pair      (name, value) interned to a u32; a series is a list of pair ids
 *     birth     the i-th series ever added in this process: its ordinal
 *
 * `__key__` is not a pair: a key belongs to one series, so it has no posting list but
 * an entry in a key -> ordinal table, and its text lies with the series.
 *
 * Threads: one owner mutates. Everything marked "any" may run on any thread at the
 * same time, by a reader that is registered with the engine (reclaim.h). A reader that
 * loads registry_n_births() as b and then looks into posting lists finds all series
 * born before b: the birth count is published last.
 */
#ifndef TSINK_INDEX_REGISTRY_H
#define TSINK_INDEX_REGISTRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/arena.h"
#include "base/hash.h"
#include "base/status.h"
#include "index/dict.h"
#include "index/identity.h"
#include "index/postings.h"
#include "index/reclaim.h"
#include "model/batch.h"
#include "model/label.h"

enum series_flag {
    SERIES_LIVE = 1,  /* set last when a series is added, cleared by its removal */
    SERIES_KEYED = 2, /* has `__key__` */
    SERIES_HIDDEN = 4, /* a companion: no reader of names sees it (registry_starts.c) */
    SERIES_STARTED = 8, /* has one; comes and goes while the series lives */
};

/* One a series, found by ordinal; any thread may read the entry of an ordinal that it
 * got from a posting list, a birth or the identity table. */
struct series_entry {
    series_id id;
    uint64_t place;                               /* decision 14; never changes */
    _Atomic(const struct series_attrs *) attrs;   /* NULL: defaults */
    uint32_t pairs;                               /* packed_store_priv.h */
    _Atomic uint32_t gen;                         /* from 1; rises with each removal */
    uint16_t label_version;                       /* of the label set; 1 at birth */
    uint8_t type;                                 /* enum value_type */
    _Atomic uint8_t flags;                        /* enum series_flag */
};
_Static_assert(sizeof(struct series_entry) == 40, "one a series");

struct registry;

/* An empty registry charged to the account; NULL when refused. Copies rc. The first
 * id is 1. */
struct registry *registry_new(struct account *account, const struct reclaim *rc);

/* No reader is left and everything retired has been freed. */
void registry_free(struct registry *reg);

/* A new series. labels is canonical, identity its identity bytes, hash their
 * hash128(), place labels_place(). id 0 mints the next one; any other id is taken
 * as it is (replay) and ids minted later are larger. attrs may be NULL and is copied.
 * The series must not exist (registry_find). */
struct series_new {
    struct labels labels;
    struct slice identity;
    struct hash128 hash;
    uint64_t place;
    series_id id;
    uint16_t label_version;            /* 0: 1 */
    enum value_type type;
    const struct series_attrs *attrs;
    bool again;                        /* private: registry_relabel() */
};

/* ST_NO_MEMORY (and nothing to see but maybe interned texts), ST_LIMIT when ordinals
 * or pairs are used up, ST_EXISTS when the id is alive. Owner. */
CHECKED status registry_add(uint32_t *ordinal, struct registry *reg,
                            const struct series_new *make);

/* The same with the ids of all its labels (pair_reader.h), of which none is `__key__`;
 * make->labels is not looked at. Owner. */
struct pair_list;
CHECKED status registry_add_pairs(uint32_t *ordinal, struct registry *reg,
                                  const struct series_new *make, const struct pair_list *list);

/* Recovery. Series that are added or loaded between the two are put into posting lists at
 * the end, all at once and on several threads; until then nobody may look into a list.
 * After ST_NO_MEMORY the registry is of no use. Owner. */
void registry_bulk_begin(struct registry *reg);
CHECKED status registry_bulk_end(struct registry *reg, unsigned n_threads);

/* The series is dead: no lookup, no list, no scan gives it any more; its generation
 * rises; its ordinal waits in quarantine until registry_purge_* lets it go. Owner. */
void registry_remove(struct registry *reg, uint32_t ordinal);

/* Gives a live series other labels (canonical, with their identity bytes and hash128()), of
 * which no other live series is: *to is its new ordinal, from is dead. Id, place, type and
 * attributes stay. version is larger than the one it has. ST_NO_MEMORY or ST_LIMIT, and
 * nothing has changed. Owner. */
CHECKED status registry_relabel(uint32_t *to, struct registry *reg, uint32_t from,
                                struct labels labels, struct slice identity,
                                struct hash128 hash, uint16_t version);

/* Replaces the attributes (copied; NULL: defaults). Owner. */
CHECKED status registry_set_attrs(struct registry *reg, uint32_t ordinal,
                                  const struct series_attrs *attrs);

/* Later minted ids are at least this. Owner (replay). */
void registry_raise_next_id(struct registry *reg, series_id next_id);
series_id registry_next_id(const struct registry *reg); /* owner */

/* Remembers another spelling of a series in the identity table, under labels_hash_as() of
 * it; quietly does nothing
 * when there is no memory or the spellings outnumber the series eight to one: it is
 * a cache. Owner. */
void registry_learn(struct registry *reg, struct hash128 raw_hash, uint32_t ordinal);

/* Tables that births left half moved come a little closer to rest. Call it now and then, a
 * few microseconds each. Owner. */
void registry_settle(struct registry *reg);

/* ---- looking things up: any thread ---- */

/* The live series with this hash of its identity that takes values of the type, or
 * ORDINAL_NONE: it may be of another type that shares names with it (labels_hash_as()).
 * Dev builds compare the bytes. */
uint32_t registry_find(const struct registry *reg, struct slice identity, struct hash128 hash,
                       enum value_type type);

/* The live series of a tenant (empty: default) with this `__key__`, or ORDINAL_NONE. */
uint32_t registry_by_key(const struct registry *reg, struct slice tenant, struct slice key);

/* The live series with this id, or ORDINAL_NONE. */
uint32_t registry_by_id(const struct registry *reg, series_id id);

/* For who looks up many ids in a row: the ordinal that this id has, or perhaps another
 * series, or ORDINAL_NONE: the caller compares the id with what it keeps for the ordinal.
 * Zeroed with page UINT64_MAX at first; valid while no series is removed. */
struct registry_near {
    uint64_t page;
    uint32_t idx;
};
uint32_t registry_by_id_near(const struct registry *reg, series_id id,
                             struct registry_near *near);

/* The identity table, for probes by io loops. */
const struct identity *registry_identity(const struct registry *reg);

/* The entry of an ordinal below registry_n_ordinals(). */
const struct series_entry *registry_entry(const struct registry *reg, uint32_t ordinal);

static inline uint32_t entry_gen(const struct series_entry *entry)
{
    return atomic_load_explicit(&entry->gen, memory_order_acquire);
}

static inline uint8_t entry_flags(const struct series_entry *entry)
{
    return atomic_load_explicit(&entry->flags, memory_order_acquire);
}

/* Alive, and for everybody to see. */
static inline bool entry_visible(const struct series_entry *entry)
{
    return (entry_flags(entry) & (SERIES_LIVE | SERIES_HIDDEN)) == SERIES_LIVE;
}

static inline const struct series_attrs *entry_attrs(const struct series_entry *entry)
{
    return atomic_load_explicit(&entry->attrs, memory_order_acquire);
}

/* The companion that keeps this series' start timestamps, or ORDINAL_NONE; and the series
 * whose companion this one is. Any registered reader. */
uint32_t registry_starts(const struct registry *reg, uint32_t ordinal);
uint32_t registry_parent(const struct registry *reg, uint32_t ordinal);

/* Whether registry_starts() shall look. Owner. */
void registry_set_started(struct registry *reg, uint32_t ordinal, bool started);

/* Companions alive; any thread. */
uint32_t registry_n_hidden(const struct registry *reg);

/* The canonical label set. The array is in the arena, its texts are the registry's: they
 * stay while the reader is registered or the series is alive. ptr NULL (and n > 0) when
 * the arena refuses. */
struct labels registry_labels(const struct registry *reg, uint32_t ordinal,
                              struct arena *arena);

/* The value of one label, empty when absent; the key likewise. */
struct slice registry_label(const struct registry *reg, uint32_t ordinal, struct slice name);
struct slice registry_key(const struct registry *reg, uint32_t ordinal);

/* Whether any series ever had a label of this name (`__key__`: has one now). */
bool registry_has_name(const struct registry *reg, struct slice name);

/* Births. registry_birth(i) for i < registry_n_births() that are not forgotten. */
uint64_t registry_n_births(const struct registry *reg);
uint32_t registry_birth(const struct registry *reg, uint64_t i);

/* Nobody but readers that are registered now will ask for births below i any more: those
 * go after a grace period. Owner. */
void registry_forget_births(struct registry *reg, uint64_t i);
uint64_t registry_first_birth(const struct registry *reg); /* not forgotten; owner */

/* Ordinals below this were used at least once. */
uint32_t registry_n_ordinals(const struct registry *reg);

struct registry_counts {
    uint64_t n_series;  /* alive, without companions */
    uint64_t n_dead;    /* in quarantine */
    uint64_t n_births;
    uint32_t n_pairs, n_names, n_values; /* in use */
    size_t n_bytes;     /* charged to the account */
    size_t n_identity;  /* entries of the identity table */
};
struct registry_counts registry_counts(const struct registry *reg);

/* ---- jobs ---- */

/* Folding posting lists: whether a list waits; a plan over up to 64 of them (NULL:
 * none, or no memory); run on a worker, polling *cancelled (may be NULL); publish
 * takes the plan, with the status of run. */
struct registry_rebuild;
bool registry_rebuild_due(const struct registry *reg);              /* owner */
struct registry_rebuild *registry_rebuild_plan(struct registry *reg); /* owner */
CHECKED status registry_rebuild_run(struct registry_rebuild *rb,
                                    const _Atomic bool *cancelled); /* worker */
bool registry_rebuild_publish(struct registry *reg, struct registry_rebuild *rb,
                              status st); /* owner; whether it has done all it should */

/* Letting the dead go: the plan takes up to 512 ordinals of the quarantine with every list
 * they are in, or up to 1024 pairs that are left without a series with the lists of their
 * names; runs and publishes as above (the same three calls with this plan). After a grace
 * period the ordinals can be born again; rows of pairs, and texts that no pair has any
 * more, are used for others. NULL: nothing to do, or not worth it yet: there is when the
 * dead are a sixteenth of all, or it was asked for 32 times. Owner. */
struct registry_rebuild *registry_purge_plan(struct registry *reg);

/* Walks everything: counts agree, each live series is in each of its lists exactly
 * once, in its key and id table and in the identity table; dead ones are marked;
 * births name ordinals. ST_CORRUPT with the first contradiction. Owner, no readers
 * needed; slow. */
CHECKED status registry_check(const struct registry *reg, struct err *err);

#endif
