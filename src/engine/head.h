/* Heads: one cache line a series, in a segmented vector indexed by ordinal.
 *
 * The root word is what readers load. Everything else in the line belongs to the
 * owner: the last sample (so that most policies need no look-up), the generation that
 * stale probes are recognised by, and flags.
 *
 * The owner stores a root in three ways only (architecture, section 7): append (+1),
 * late (+256), replace (a node built completely, holding the same samples or one
 * more). Before the first store in an epoch, head_touch() writes the journal row that
 * keeps every capturing view exact.
 */
#ifndef TSINK_ENGINE_HEAD_H
#define TSINK_ENGINE_HEAD_H

#include "engine/node.h"

struct cell;

enum head_flag {
    HEAD_HAS_LAST = 1,   /* last_ts and last_bits are the newest sample */
    HEAD_UNKNOWN = 2,    /* a segment may hold a newer sample than the head knows of */
    HEAD_CUT = 4,        /* the newest node is taken or cut: the next append opens a tail */
    HEAD_QUEUED = 8,     /* waits for or is in an encode job */
    HEAD_KEYED = 16,     /* has __key__: its own retention, no skew check */
    HEAD_BORN = 32,      /* in use */
    HEAD_HELD = 64,      /* cell->holder alone may write to it */
    HEAD_CHOOSY = 128,   /* its policy or retention may ask for older values */
};

struct head {
    _Atomic node_word root;
    uint64_t touched;     /* epoch of the last root store */
    ts_time last_ts;
    uint64_t last_bits;   /* numeric types; blobs: unused */
    uint32_t gen;         /* of the ordinal */
    uint8_t flags;        /* enum head_flag */
    uint8_t type;         /* enum value_type */
    uint8_t policy : 7;   /* enum dup_policy, the effective one */
    uint8_t started : 1;  /* has a companion: write_starts.c */
    uint8_t shard : 6;    /* placement hash mod 64 */
    uint8_t ruled : 1;    /* the source of a rule (rules.h) */
    uint8_t doomed : 1;   /* a delete covered all it has, nothing was written since */
    uint64_t cut_gen;     /* the flush that cut it last (its order), or 0 */
    int64_t retention;    /* ticks, keyed series; 0: for ever */
    uint64_t id;          /* series_id */
};

_Static_assert(sizeof(struct head) == 64, "one cache line a series");

static inline node_word head_root(const struct head *head)
{
    return atomic_load_explicit(&head->root, memory_order_acquire);
}

/* Brings the line of the newest node's header and that of its next slot closer. */
static inline void head_prefetch(const struct head *head)
{
    node_word root = atomic_load_explicit(&head->root, memory_order_relaxed);
    const struct tail *tail = (const struct tail *)(const void *)word_node(root);
    if (!tail) return;
    __builtin_prefetch(tail, 1);
    __builtin_prefetch(&tail->t0, 1);
    __builtin_prefetch(&tail->val[word_n(root)], 1);
}

/* Notes the root in the journal if a view is capturing and the head is untouched in
 * this epoch. Call before any store to root. */
void head_touch(struct cell *cell, struct head *head, uint32_t ordinal);

/* Appends a sample that is newer than all others of the series (or the first, or of
 * unknown order: then it simply wins). Cannot fail: head_reserve() came before. */
void head_append(struct cell *cell, uint32_t ordinal, ts_time ts, union value val);

/* Adds a sample that is older than the newest, or replaces one. Cannot fail. */
void head_append_late(struct cell *cell, uint32_t ordinal, ts_time ts, union value val);

/* Makes sure that n appends cannot run out of memory. ST_NO_MEMORY otherwise. */
CHECKED status head_reserve(struct cell *cell, size_t n);

#endif
