/* Heads: how samples become visible. See head.h and node.h.
 *
 * Every change of a series is one store to its root word or to a node's `older` word,
 * made after what it publishes is complete. The owner alone stores; a reader that has
 * loaded a word can go on reading what it names for as long as its view lives.
 *
 * Memory: appending cannot fail. head_reserve() stocks spare tails of the largest
 * class; an append takes the fitting size when the account grants it and a spare one
 * otherwise, and a late lane that cannot grow is replaced by a new tail.
 *
 * A late lane spans at most max-active-partition-heads-per-series partitions; a sample
 * that lies in one more opens a tail, so that what went before is encoded.
 */
#include "engine/head.h"

#include "base/bits.h"
#include "base/mem.h"
#include "engine/cell_priv.h"
#include "engine/rules.h"
#include "engine/view_priv.h"

void head_touch(struct cell *cell, struct head *head, uint32_t ordinal)
{
    uint64_t epoch = cell_epoch(cell);
    if (head->touched == epoch) return;
    if (cell->n_capturing &&
        !journal_add(&cell->journal, ordinal,
                     atomic_load_explicit(&head->root, memory_order_relaxed)))
        view_journal_lost(cell);
    head->touched = epoch;
}

static void store_root(struct head *head, node_word word)
{
    atomic_store_explicit(&head->root, word, memory_order_release);
}

status head_reserve(struct cell *cell, size_t n)
{
    while (cell->n_spare < n) {
        struct tail *tail = tail_new(&cell->space, NODE_RAW, VALUE_F64, TAIL_SLOTS_MAX);
        if (!tail) return ST_NO_MEMORY;
        atomic_store_explicit(&tail->node.older, (uintptr_t)cell->spare, memory_order_relaxed);
        cell->spare = &tail->node;
        cell->n_spare++;
    }
    return ST_OK;
}

static struct tail *take_spare(struct cell *cell, enum node_kind kind, uint8_t type)
{
    struct node *node = cell->spare;
    ASSERT(node);
    cell->spare = (struct node *)(uintptr_t)atomic_load_explicit(&node->older,
                                                                 memory_order_relaxed);
    cell->n_spare--;
    struct tail *tail = container_of(node, struct tail, node);
    tail_recast(tail, kind, type);
    return tail;
}

/* The first three full tails of a series are 17 to 32 slots long (SAME: twice that), by its
 * hash: a fleet that is scraped together does not fill together, so that neither encoding
 * nor memory comes in waves. */
static uint32_t tail_limit(const struct head *head, const struct tail *tail)
{
    uint32_t age = tail_age(&tail->node), limit = TAIL_SLOTS_MAX;
    if (age < TAIL_AGE_MAX) limit -= (uint32_t)(hash_mix(head->id) >> 4 * age & 15);
    if (node_kind(&tail->node) == NODE_SAME) limit *= TAIL_SAME_MAX / TAIL_SLOTS_MAX;
    return limit;
}

/* A new newest node: its first sample is complete before the root names it. */
static void open_tail(struct cell *cell, struct head *head, uint32_t ordinal,
                      enum node_kind kind, int64_t step, uint32_t cap, ts_time ts, union value val)
{
    node_word old = head_root(head);
    struct tail *tail = tail_new(&cell->space, kind, head->type, cap);
    if (!tail) tail = take_spare(cell, kind, head->type);
    struct node *before = word_node(old);
    uint32_t age = !before ? 0 : node_is_tail(before) ? tail_age(before) + 1 : TAIL_AGE_MAX;
    if (age > TAIL_AGE_MAX) age = TAIL_AGE_MAX;
    tail->node.shape = node_shape(kind, node_cap(&tail->node), age);
    tail->step = step;
    node_set_del_gen(&tail->node, cell->del_gen);
    atomic_store_explicit(&tail->node.older, old, memory_order_relaxed);
    tail_put(tail, 0, ts, val);
    head_touch(cell, head, ordinal);
    store_root(head, word_make(&tail->node, 1));
    head->flags &= (uint8_t)~HEAD_CUT;
    head->doomed = 0;
}

static bool must_open(const struct head *head, struct node *node)
{
    return !node || !node_is_tail(node) || (head->flags & HEAD_CUT) != 0;
}

/* The tail in a size and kind that takes one more value, where there is one: as it is, or
 * copied; as it is, too, when memory is refused. */
static struct tail *widen_tail(struct cell *cell, struct head *head, uint32_t ordinal,
                               struct tail *tail, uint32_t n, union value val)
{
    enum node_kind kind = node_kind(&tail->node);
    uint32_t cap = node_cap(&tail->node);
    if (kind == NODE_SAME) {
        if (n >= TAIL_SLOTS_MAX || tail_val(tail, 0).bits == val.bits) return tail;
        kind = NODE_GRID;
        cap = (n / TAIL_SLOTS_WIDER + 1) * TAIL_SLOTS_WIDER;
    } else if (n < cap || cap >= TAIL_SLOTS_MAX) {
        return tail;
    } else if (tail_is_same(tail, n, val)) {
        kind = NODE_SAME;
    } else {
        cap += cap < TAIL_SLOTS_NEXT ? cap : TAIL_SLOTS_WIDER;
    }
    struct tail *to = tail_grow(&cell->space, tail, n, kind, cap);
    if (!to) return tail;
    head_touch(cell, head, ordinal);
    store_root(head, word_make(&to->node, word_count(head_root(head))));
    node_retire_moved(&tail->node, &cell->retire);
    return to;
}

void head_append(struct cell *cell, uint32_t ordinal, ts_time ts, union value val)
{
    struct head *head = cell_head(cell, ordinal);
    node_word root = head_root(head);
    struct node *node = word_node(root);

    if (unlikely(head->ruled)) rules_append(cell, head, ts);
    cell->n_unflushed++;
    head->last_ts = ts;
    head->last_bits = val.bits;
    head->flags |= HEAD_HAS_LAST;
    if (must_open(head, node)) {
        open_tail(cell, head, ordinal, NODE_GRID, 0, TAIL_SLOTS_MIN, ts, val);
        return;
    }

    struct tail *tail = container_of(node, struct tail, node);
    uint32_t n = word_n(root);
    bool full = n >= TAIL_SLOTS_NEXT && n >= tail_limit(head, tail);
    if (!full) tail = widen_tail(cell, head, ordinal, tail, n, val);
    if (!full && tail_fits(tail, n, ts, val)) {
        tail_put(tail, n, ts, val);
        head_touch(cell, head, ordinal);
        store_root(head, head_root(head) + 1);
        return;
    }
    int64_t step;
    enum node_kind kind = tail_next_kind(tail, n, ts, &step);
    bool same = node_kind(&tail->node) == NODE_SAME;
    bool goes_on = same && tail_val(tail, 0).bits == val.bits;
    if (kind == NODE_GRID && full && goes_on) kind = NODE_SAME;
    /* It has just been refused for its time. */
    if (kind == NODE_GRID && !full && (!same || goes_on)) kind = NODE_RAW;
    uint32_t cap = n < TAIL_SLOTS_NEXT / 2 ? TAIL_SLOTS_NEXT / 2 : TAIL_SLOTS_NEXT;
    open_tail(cell, head, ordinal, kind, step, cap, ts, val);
    encode_queue_push(cell, ordinal);
}

/* Partitions are counted from 1970, backwards too. */
static int64_t partition_of(ts_time ts, int64_t window)
{
    return ts / window - (ts % window < 0);
}

/* Whether the late samples lie in as many partitions as they may, and ts in none of
 * them. Samples close to the one before, the usual case, are told by the first look. */
static bool spreads_too_far(const struct cell *cell, const struct tail *tail, uint32_t n_late,
                            ts_time ts)
{
    const struct db_options *options = db_options(cell->db);
    if (n_late < options->partition_heads) return false;

    const struct late_lane *lane = atomic_load_explicit(&tail->late, memory_order_relaxed);
    int64_t window = db_ticks(cell->db, options->partition_ms);
    if (window == 0) window = 1; /* shorter than a tick */
    int64_t mine = partition_of(ts, window);
    int64_t seen[TAIL_LATE_MAX];
    uint32_t n_seen = 0;
    for (uint32_t i = n_late; i-- > 0;) {
        int64_t at = partition_of(lane->at[i].ts, window);
        if (at == mine) return false;
        uint32_t k = 0;
        while (k < n_seen && seen[k] != at) k++;
        if (k == n_seen) seen[n_seen++] = at;
    }
    return n_seen >= options->partition_heads;
}

void head_append_late(struct cell *cell, uint32_t ordinal, ts_time ts, union value val)
{
    struct head *head = cell_head(cell, ordinal);
    node_word root = head_root(head);
    struct node *node = word_node(root);

    if (unlikely(head->ruled)) rules_late(cell, head, ts);
    cell->n_unflushed++;
    if ((head->flags & HEAD_HAS_LAST) && ts == head->last_ts) head->last_bits = val.bits;
    if (!must_open(head, node)) {
        struct tail *tail = container_of(node, struct tail, node);
        if (!spreads_too_far(cell, tail, word_late(root), ts) &&
            tail_put_late(&cell->space, tail, word_late(root), ts, val, &cell->retire)) {
            head_touch(cell, head, ordinal);
            store_root(head, root + 256);
            return;
        }
    }
    /* The newest node wins over older ones, so one late sample may begin a tail. */
    open_tail(cell, head, ordinal, NODE_RAW, 0, TAIL_SLOTS_MIN, ts, val);
    if (node) encode_queue_push(cell, ordinal);
}
