/* Tails: the newest samples of a series, as columns that only grow. See node.h.
 *
 * Layout behind the struct: val[cap], then for GRID16 int16_t res[cap], for RAW
 * ts_time ts[cap]; SAME has one value. The grid of all but RAW is t0 + i * step. step is
 * unknown (0) until the second sample; it is written before the count that publishes that
 * sample and read only by those who see at least two.
 */
#include "engine/run.h"

#include <string.h>

#include "base/bits.h"

enum { LATE_FIRST = 4, RESIDUAL_MAX = INT16_MAX };

static size_t tail_bytes(enum node_kind kind, uint32_t cap)
{
    size_t slot = sizeof(union value);
    if (kind == NODE_SAME) return sizeof(struct tail) + slot;
    if (kind == NODE_GRID16) slot += sizeof(int16_t);
    if (kind == NODE_RAW) slot += sizeof(ts_time);
    return sizeof(struct tail) + slot * cap;
}

static int16_t *tail_res(const struct tail *tail)
{
    return (int16_t *)(void *)(uintptr_t)(tail->val + node_cap(&tail->node));
}

static ts_time *tail_raw(const struct tail *tail)
{
    return (ts_time *)(void *)(uintptr_t)(tail->val + node_cap(&tail->node));
}

struct tail *tail_new(struct node_space *space, enum node_kind kind, uint8_t type, uint32_t cap)
{
    size_t bytes = tail_bytes(kind, cap);
    struct tail *tail = span_heap_try(&space->own, bytes);
    if (!tail) return NULL;
    /* Blob slots are zeroed whole: freeing frees what is there. */
    memset(tail, 0, type_is_blob(type) ? bytes : sizeof(*tail));
    tail->node.type = type;
    tail->node.shape = node_shape(kind, cap, 0);
    return tail;
}

void tail_recast(struct tail *tail, enum node_kind kind, uint8_t type)
{
    uint32_t cap = node_cap(&tail->node);
    memset(tail, 0, tail_bytes(kind, cap));
    tail->node.type = type;
    tail->node.shape = node_shape(kind, cap, 0);
}

static ts_time grid_at(const struct tail *tail, uint32_t i)
{
    return wrap_add(tail->t0, (int64_t)((uint64_t)tail->step * i));
}

ts_time tail_ts(const struct tail *tail, uint32_t i)
{
    enum node_kind kind = node_kind(&tail->node);
    if (kind == NODE_RAW) return tail_raw(tail)[i];
    if (kind != NODE_GRID16) return i == 0 ? tail->t0 : grid_at(tail, i);
    if (i == 0) return tail->t0 + tail_res(tail)[0];
    return wrap_add(grid_at(tail, i), tail_res(tail)[i]);
}

union value tail_val(const struct tail *tail, uint32_t i)
{
    return tail->val[node_kind(&tail->node) == NODE_SAME ? 0 : i];
}

void tail_copy_val(const struct tail *tail, uint32_t n, union value *dst)
{
    if (node_kind(&tail->node) != NODE_SAME) {
        memcpy(dst, tail->val, n * sizeof(*dst));
        return;
    }
    for (uint32_t i = 0; i < n; i++) dst[i] = tail->val[0];
}

void tail_copy_ts(const struct tail *tail, uint32_t n, ts_time *dst)
{
    enum node_kind kind = node_kind(&tail->node);
    if (kind == NODE_RAW) {
        memcpy(dst, tail_raw(tail), n * sizeof(*dst));
        return;
    }
    /* The step is written with the second sample: who has the first alone must not look. */
    if (n > 0) dst[0] = tail->t0;
    for (uint32_t i = 1; i < n; i++) dst[i] = grid_at(tail, i);
    for (uint32_t i = 0; i < n && kind == NODE_GRID16; i++)
        dst[i] = wrap_add(dst[i], tail_res(tail)[i]);
}

/* The distance of ts from grid point n; false when the grid itself would overflow. */
static bool grid_distance(const struct tail *tail, uint32_t n, ts_time ts, int64_t *out)
{
    int64_t span, at;
    return !__builtin_mul_overflow(tail->step, (int64_t)n, &span) &&
           !__builtin_add_overflow(tail->t0, span, &at) && !__builtin_sub_overflow(ts, at, out);
}

bool tail_fits(const struct tail *tail, uint32_t n, ts_time ts, union value val)
{
    int64_t off = 0;
    if (n >= node_cap(&tail->node)) return false;
    switch (node_kind(&tail->node)) {
    case NODE_RAW: return true;
    case NODE_SAME:
        if (n > 0 && tail->val[0].bits != val.bits) return false; /* fall through */
    case NODE_GRID:
        if (n == 0 || (n == 1 && tail->step == 0)) return true;
        return grid_distance(tail, n, ts, &off) && off == 0;
    case NODE_GRID16:
        if (n == 0) return true;
        return grid_distance(tail, n, ts, &off) && off >= -RESIDUAL_MAX && off <= RESIDUAL_MAX;
    case NODE_RUN:
    case NODE_CHUNK: break;
    }
    return false;
}

void tail_put(struct tail *tail, uint32_t n, ts_time ts, union value val)
{
    enum node_kind kind = node_kind(&tail->node);
    if (kind != NODE_SAME || n == 0) tail->val[n] = val;
    if (kind == NODE_RAW) {
        tail_raw(tail)[n] = ts;
        return;
    }
    if (n == 0) tail->t0 = ts;
    if (n == 1 && tail->step == 0) tail->step = wrap_sub(ts, tail->t0);
    if (kind == NODE_GRID16)
        tail_res(tail)[n] = n == 0 ? 0 : (int16_t)wrap_sub(ts, grid_at(tail, n));
}

bool tail_is_same(const struct tail *tail, uint32_t n, union value val)
{
    if (node_kind(&tail->node) != NODE_GRID || type_is_blob(tail->node.type)) return false;
    uint64_t other = 0;
    for (uint32_t i = 0; i < n; i++) other |= tail->val[i].bits ^ val.bits;
    return other == 0;
}

struct tail *tail_grow(struct node_space *space, const struct tail *tail, uint32_t n,
                       enum node_kind kind, uint32_t cap)
{
    struct tail *to = tail_new(space, kind, tail->node.type, cap);
    if (!to) return NULL;

    node_set_del_gen(&to->node, node_del_gen(&tail->node));
    to->node.shape = node_shape(kind, cap, tail_age(&tail->node));
    to->t0 = tail->t0;
    to->step = tail->step;
    tail_copy_val(tail, kind == NODE_SAME ? 1 : n, to->val);
    if (kind == NODE_GRID16) memcpy(tail_res(to), tail_res(tail), n * sizeof(int16_t));
    if (kind == NODE_RAW) memcpy(tail_raw(to), tail_raw(tail), n * sizeof(ts_time));
    atomic_store_explicit(&to->late, atomic_load_explicit(&tail->late, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&to->node.older, node_older(&tail->node), memory_order_relaxed);
    return to;
}

/* A grid is worth trying again when the last samples were as regular as it needs. */
enum node_kind tail_next_kind(const struct tail *tail, uint32_t n, ts_time ts, int64_t *step)
{
    *step = 0;
    if (n < 3) return n < 2 ? NODE_GRID : NODE_RAW;

    int64_t mid = wrap_sub(tail_ts(tail, n / 2), tail_ts(tail, n / 2 - 1));
    uint64_t worst = 0;
    for (uint32_t i = 1; i <= n; i++) {
        ts_time at = i < n ? tail_ts(tail, i) : ts;
        int64_t off = wrap_sub(wrap_sub(at, tail_ts(tail, i - 1)), mid);
        uint64_t size = off < 0 ? 0 - (uint64_t)off : (uint64_t)off;
        if (size > worst) worst = size;
    }
    if (worst == 0) {
        *step = mid;
        return NODE_GRID;
    }
    /* Residuals are against the grid, so jitter does not add up, but a wrong step
     * does: leave room for 32 steps of it. */
    if (mid > 0 && worst <= RESIDUAL_MAX / 8) {
        *step = mid;
        return NODE_GRID16;
    }
    return NODE_RAW;
}

/* --- late lane ------------------------------------------------------------------ */

static size_t lane_bytes(uint64_t cap)
{
    return sizeof(struct late_lane) + cap * sizeof(struct late_sample);
}

static void free_lane(struct node_space *space, struct late_lane *lane)
{
    if (lane) span_heap_put(&space->own, lane, lane_bytes(lane->cap));
}

static struct late_lane *new_lane(struct node_space *space, uint64_t cap)
{
    struct late_lane *lane = span_heap_try(&space->own, lane_bytes(cap));
    if (!lane) return NULL;
    memset(lane, 0, lane_bytes(cap));
    lane->cap = cap;
    return lane;
}

bool tail_put_late(struct node_space *space, struct tail *tail, uint32_t n_late, ts_time ts,
                   union value val, struct retire_list *list)
{
    struct late_lane *lane = atomic_load_explicit(&tail->late, memory_order_relaxed);
    if (n_late >= TAIL_LATE_MAX) return false;
    if (!lane || n_late >= lane->cap) {
        struct late_lane *wider = new_lane(space, lane ? lane->cap * 2 : LATE_FIRST);
        if (!wider) return false;
        if (lane) memcpy(wider->at, lane->at, n_late * sizeof(lane->at[0]));
        wider->at[n_late] = (struct late_sample){ts, val};
        atomic_store_explicit(&tail->late, wider, memory_order_release);
        if (lane) retire_push(list, RETIRE_LANE, lane, lane_bytes(lane->cap));
        return true;
    }
    lane->at[n_late] = (struct late_sample){ts, val};
    return true;
}

/* --- values behind a pointer ---------------------------------------------------- */

struct blob *blob_new(struct node_space *space, const void *src, size_t len)
{
    struct blob *blob =
        len > UINT32_MAX ? NULL : span_heap_try(&space->own, sizeof(*blob) + len);
    if (!blob) return NULL;
    blob->len = (uint32_t)len;
    if (len) memcpy(blob->bytes, src, len);
    return blob;
}

void blob_free(struct node_space *space, struct blob *blob)
{
    if (blob) span_heap_put(&space->own, blob, sizeof(*blob) + blob->len);
}

/* --- freeing ---------------------------------------------------------------------- */

static size_t blob_bytes(union value val)
{
    const struct blob *blob = (const struct blob *)(uintptr_t)val.bits;
    return blob ? sizeof(*blob) + blob->len : 0;
}

/* What a tail owns besides itself. */
static size_t parts_bytes(const struct tail *tail)
{
    const struct late_lane *lane = atomic_load_explicit(&tail->late, memory_order_relaxed);
    size_t bytes = lane ? lane_bytes(lane->cap) : 0;
    if (!type_is_blob(tail->node.type)) return bytes;
    for (uint32_t i = 0; i < node_cap(&tail->node); i++) bytes += blob_bytes(tail->val[i]);
    for (uint64_t i = 0; lane && i < lane->cap; i++) bytes += blob_bytes(lane->at[i].val);
    return bytes;
}

static void free_parts(struct node_space *space, struct tail *tail)
{
    struct late_lane *lane = atomic_load_explicit(&tail->late, memory_order_relaxed);
    if (type_is_blob(tail->node.type)) {
        for (uint32_t i = 0; i < node_cap(&tail->node); i++)
            blob_free(space, (struct blob *)(uintptr_t)tail->val[i].bits);
        for (uint64_t i = 0; lane && i < lane->cap; i++)
            blob_free(space, (struct blob *)(uintptr_t)lane->at[i].val.bits);
    }
    free_lane(space, lane);
}

size_t node_bytes(const struct node *node)
{
    if (node_is_tail(node)) return tail_bytes(node_kind(node), node_cap(node));
    if (node_kind(node) == NODE_RUN)
        return offsetof(struct run, data) + container_of(node, struct run, node)->cap;
    const struct chunk_node *chunk = container_of(node, struct chunk_node, node);
    return sizeof(*chunk) + (size_t)chunk->ticks_len + chunk->values_len + CHUNK_PAD;
}

void node_free(struct node_space *space, struct node *node)
{
    if (!node) return;
    if (!node_is_tail(node)) {
        node_space_put_shared(space, node, node_bytes(node));
        return;
    }
    free_parts(space, container_of(node, struct tail, node));
    span_heap_put(&space->own, node, node_bytes(node));
}

void node_retire(struct node *node, struct retire_list *list)
{
    size_t bytes = node_bytes(node);
    if (node_is_tail(node)) bytes += parts_bytes(container_of(node, struct tail, node));
    retire_push(list, RETIRE_NODE, node, bytes);
}

void node_retire_moved(struct node *node, struct retire_list *list)
{
    retire_push(list, RETIRE_MOVED_TAIL, node, node_bytes(node));
}

void node_free_retired(struct node_space *space, enum retire_kind kind, void *ptr)
{
    switch (kind) {
    case RETIRE_NODE: node_free(space, ptr); return;
    case RETIRE_MOVED_TAIL: span_heap_put(&space->own, ptr, node_bytes(ptr)); return;
    case RETIRE_LANE: free_lane(space, ptr); return;
    case RETIRE_MARK: break; /* the cell's */
    }
    PANIC("retired as %u", (unsigned)kind);
}
