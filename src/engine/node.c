/* Nodes in general: counting, reading. See node.h; freeing is in tail.c. */
#include "engine/run.h"

#include <string.h>

#include "codec/chunk.h"
#include "model/histogram.h"

uint32_t tail_age(const struct node *node)
{
    return node->shape >> 6;
}

uint8_t node_shape(enum node_kind kind, uint32_t cap, uint32_t age)
{
    unsigned slots = kind == NODE_SAME ? 0 : cap / TAIL_SLOTS_STEP - 1;
    return (uint8_t)((unsigned)kind | slots << 3 | age << 6);
}

void node_set_del_gen(struct node *node, uint64_t gen)
{
    node->del_gen_low = (uint32_t)gen;
    node->del_gen_high = (uint8_t)(gen >> 32);
}

uint32_t node_samples(node_word word)
{
    const struct node *node = word_node(word);
    if (!node) return 0;
    if (node_is_tail(node)) return word_n(word) + word_late(word);
    if (node_kind(node) == NODE_CHUNK) return container_of(node, struct chunk_node, node)->n;

    const struct run *run = container_of(node, struct run, node);
    struct run_block block = {0};
    uint32_t n = 0;
    for (uint32_t i = 0; i < word_count(word); i++) {
        block = run_next(run, &block);
        n += block.n;
    }
    return n;
}

static void widen(struct time_range *range, ts_time min, ts_time max)
{
    if (min < range->from) range->from = min;
    if (max > range->to) range->to = max;
}

bool node_bounds(node_word word, struct time_range *out)
{
    const struct node *node = word_node(word);
    struct time_range r = {TS_MAX, TS_MIN};
    if (node_is_tail(node)) {
        const struct tail *tail = container_of(node, struct tail, node);
        uint32_t n = word_n(word), n_late = word_late(word);
        const struct late_lane *lane = atomic_load_explicit(&tail->late, memory_order_acquire);
        if (n) widen(&r, tail_ts(tail, 0), tail_ts(tail, n - 1));
        for (uint32_t i = 0; i < n_late; i++) widen(&r, lane->at[i].ts, lane->at[i].ts);
    } else if (node_kind(node) == NODE_RUN) {
        const struct run *run = container_of(node, struct run, node);
        struct run_block block = {0};
        for (uint32_t i = 0; i < word_count(word); i++) {
            block = run_next(run, &block);
            widen(&r, block.ts.from, block.ts.to);
        }
    } else {
        const struct chunk_node *chunk = container_of(node, struct chunk_node, node);
        widen(&r, chunk->min, chunk->max);
    }
    *out = r;
    return !range_empty(r);
}

status value_thaw(union value *out, uint8_t type, const struct blob *blob, struct arena *arena)
{
    if (type == VALUE_HISTOGRAM) return histogram_decode(&out->hist, arena, blob->bytes, blob->len);

    struct slice *text = arena_try(arena, sizeof(*text));
    if (!text) return ST_NO_MEMORY;
    *text = arena_copy(arena, slice_of(blob->bytes, blob->len));
    if (!text->ptr) return ST_NO_MEMORY;
    out->bytes = text;
    return ST_OK;
}

static status push_sample(struct points *out, uint8_t type, ts_time ts, union value val,
                          struct arena *arena)
{
    if (type_is_blob(type))
        TRY(value_thaw(&val, type, (const struct blob *)(uintptr_t)val.bits, arena));
    return points_push(out, ts, val) ? ST_OK : ST_NO_MEMORY;
}

/* The late lane in time order, one entry a timestamp: the one that came last. Returns
 * the number of entries. */
static uint32_t sort_late(struct late_sample *dst, const struct late_sample *src, uint32_t n)
{
    uint32_t len = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = len;
        while (at > 0 && dst[at - 1].ts > src[i].ts) at--;
        if (at > 0 && dst[at - 1].ts == src[i].ts) {
            dst[at - 1] = src[i];
            continue;
        }
        memmove(dst + at + 1, dst + at, (len - at) * sizeof(dst[0]));
        dst[at] = src[i];
        len++;
    }
    return len;
}

/* All of a tail of numbers without late ones, what encoding wants. */
static status read_whole_tail(const struct tail *tail, uint32_t n, struct points *out)
{
    if (!points_reserve(out, n)) return ST_NO_MEMORY;
    tail_copy_ts(tail, n, out->ts + out->n);
    tail_copy_val(tail, n, out->val + out->n);
    out->n += n;
    return ST_OK;
}

static status read_tail(const struct tail *tail, node_word word, struct time_range range,
                        struct points *out, struct arena *arena)
{
    struct late_sample late[TAIL_LATE_MAX];
    uint32_t n = word_n(word), n_late = word_late(word), at = 0;
    if (n && !n_late && !type_is_blob(tail->node.type) && range.from <= tail_ts(tail, 0) &&
        tail_ts(tail, n - 1) <= range.to)
        return read_whole_tail(tail, n, out);
    if (n_late) {
        const struct late_lane *lane = atomic_load_explicit(&tail->late, memory_order_acquire);
        n_late = sort_late(late, lane->at, n_late);
    }
    for (uint32_t i = 0; i <= n; i++) {
        ts_time ts = i < n ? tail_ts(tail, i) : TS_MAX;
        for (; at < n_late && (i == n || late[at].ts < ts); at++)
            if (range_has(range, late[at].ts))
                TRY(push_sample(out, tail->node.type, late[at].ts, late[at].val, arena));
        if (i == n || (at < n_late && late[at].ts == ts)) continue; /* the late one wins */
        if (range_has(range, ts))
            TRY(push_sample(out, tail->node.type, ts, tail_val(tail, i), arena));
    }
    return ST_OK;
}

/* Drops what lies outside range from out[base..n). */
static void trim(struct points *out, size_t base, struct time_range range)
{
    size_t to = base;
    for (size_t i = base; i < out->n; i++) {
        if (!range_has(range, out->ts[i])) continue;
        out->ts[to] = out->ts[i];
        out->val[to++] = out->val[i];
    }
    out->n = to;
}

static status read_run(const struct run *run, node_word word, struct time_range range,
                       struct points *out, struct arena *arena)
{
    struct run_block block = {0};
    for (uint32_t i = 0; i < word_count(word); i++) {
        block = run_next(run, &block);
        if (block.ts.to < range.from || block.ts.from > range.to) continue;
        size_t base = out->n;
        TRY(run_decode(out, arena, run, &block));
        if (block.ts.from < range.from || block.ts.to > range.to) trim(out, base, range);
    }
    return ST_OK;
}

status node_read(node_word word, struct time_range range, struct points *out, struct arena *arena)
{
    const struct node *node = word_node(word);
    if (node_is_tail(node))
        return read_tail(container_of(node, struct tail, node), word, range, out, arena);
    if (node_kind(node) == NODE_RUN)
        return read_run(container_of(node, struct run, node), word, range, out, arena);

    const struct chunk_node *chunk = container_of(node, struct chunk_node, node);
    struct chunk_ref ref = chunk_node_ref(chunk);
    return chunk_decode_range(out, arena, &ref, range);
}
