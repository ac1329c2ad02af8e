/* Tails: the newest samples of a series, as columns that only grow. See node.h.
 *
 * Layout behind the struct: val[cap], then for GRID16 int16_t res[cap], for RAW
 * ts_time ts[cap]. The grid of GRID and GRID16 is t0 + i * step. step is unknown (0)
 * until the second sample; it is written before the count that publishes that sample
 * and read only by those who see at least two.
 */
#include "engine/node.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"

enum { LATE_FIRST = 4, RESIDUAL_MAX = INT16_MAX };

static size_t tail_bytes(enum node_kind kind, uint8_t cap)
{
    size_t slot = sizeof(union value);
    if (kind == NODE_GRID16) slot += sizeof(int16_t);
    if (kind == NODE_RAW) slot += sizeof(ts_time);
    return sizeof(struct tail) + slot * cap;
}

static int16_t *tail_res(const struct tail *tail)
{
    return (int16_t *)(void *)(uintptr_t)(tail->val + tail->node.cap);
}

static ts_time *tail_raw(const struct tail *tail)
{
    return (ts_time *)(void *)(uintptr_t)(tail->val + tail->node.cap);
}

struct tail *tail_new(struct account *account, enum node_kind kind, uint8_t type, uint8_t cap)
{
    size_t bytes = tail_bytes(kind, cap);
    if (!account_charge(account, bytes)) return NULL;

    struct tail *tail = mem_try(bytes);
    if (!tail) {
        account_release(account, bytes);
        return NULL;
    }
    /* Blob slots are zeroed whole: freeing frees what is there. */
    memset(tail, 0, type_is_blob(type) ? bytes : sizeof(*tail));
    tail->node.account = account;
    tail->node.n_bytes = (uint32_t)bytes;
    tail->node.kind = (uint8_t)kind;
    tail->node.type = type;
    tail->node.cap = cap;
    return tail;
}

static ts_time grid_at(const struct tail *tail, uint32_t i)
{
    return wrap_add(tail->t0, (int64_t)((uint64_t)tail->step * i));
}

ts_time tail_ts(const struct tail *tail, uint32_t i)
{
    if (tail->node.kind == NODE_RAW) return tail_raw(tail)[i];
    if (i == 0) return tail->node.kind == NODE_GRID ? tail->t0 : tail->t0 + tail_res(tail)[0];
    if (tail->node.kind == NODE_GRID) return grid_at(tail, i);
    return wrap_add(grid_at(tail, i), tail_res(tail)[i]);
}

/* The distance of ts from grid point n; false when the grid itself would overflow. */
static bool grid_distance(const struct tail *tail, uint32_t n, ts_time ts, int64_t *out)
{
    int64_t span, at;
    return !__builtin_mul_overflow(tail->step, (int64_t)n, &span) &&
           !__builtin_add_overflow(tail->t0, span, &at) && !__builtin_sub_overflow(ts, at, out);
}

bool tail_fits(const struct tail *tail, uint32_t n, ts_time ts)
{
    int64_t off = 0;
    if (n >= tail->node.cap) return false;
    switch ((enum node_kind)tail->node.kind) {
    case NODE_RAW: return true;
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
    tail->val[n] = val;
    if (tail->node.kind == NODE_RAW) {
        tail_raw(tail)[n] = ts;
        return;
    }
    if (n == 0) tail->t0 = ts;
    if (n == 1 && tail->step == 0) tail->step = wrap_sub(ts, tail->t0);
    if (tail->node.kind == NODE_GRID16)
        tail_res(tail)[n] = n == 0 ? 0 : (int16_t)wrap_sub(ts, grid_at(tail, n));
}

struct tail *tail_grow(const struct tail *tail, uint32_t n, uint8_t cap)
{
    struct tail *to =
        tail_new(tail->node.account, (enum node_kind)tail->node.kind, tail->node.type, cap);
    if (!to) return NULL;

    to->node.del_gen = tail->node.del_gen;
    to->t0 = tail->t0;
    to->step = tail->step;
    memcpy(to->val, tail->val, n * sizeof(tail->val[0]));
    if (tail->node.kind == NODE_GRID16)
        memcpy(tail_res(to), tail_res(tail), n * sizeof(int16_t));
    if (tail->node.kind == NODE_RAW) memcpy(tail_raw(to), tail_raw(tail), n * sizeof(ts_time));
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

static void free_lane(struct late_lane *lane)
{
    account_release(lane->account, sizeof(*lane) + lane->cap * sizeof(lane->at[0]));
    mem_free(lane);
}

static void free_retired_lane(struct retired *item)
{
    free_lane(container_of(item, struct late_lane, retired));
}

static struct late_lane *new_lane(struct account *account, uint32_t cap)
{
    size_t bytes = sizeof(struct late_lane) + cap * sizeof(struct late_sample);
    if (!account_charge(account, bytes)) return NULL;

    struct late_lane *lane = mem_try(bytes);
    if (!lane) {
        account_release(account, bytes);
        return NULL;
    }
    memset(lane, 0, bytes);
    lane->account = account;
    lane->cap = cap;
    return lane;
}

bool tail_put_late(struct tail *tail, uint32_t n_late, ts_time ts, union value val,
                   struct retire_list *list)
{
    struct late_lane *lane = atomic_load_explicit(&tail->late, memory_order_relaxed);
    if (n_late >= TAIL_LATE_MAX) return false;
    if (!lane || n_late >= lane->cap) {
        struct late_lane *wider = new_lane(tail->node.account, lane ? lane->cap * 2 : LATE_FIRST);
        if (!wider) return false;
        if (lane) memcpy(wider->at, lane->at, n_late * sizeof(lane->at[0]));
        wider->at[n_late] = (struct late_sample){ts, val};
        atomic_store_explicit(&tail->late, wider, memory_order_release);
        if (lane) retire_push(list, &lane->retired, free_retired_lane);
        return true;
    }
    lane->at[n_late] = (struct late_sample){ts, val};
    return true;
}

/* --- values behind a pointer ---------------------------------------------------- */

struct blob *blob_new(struct account *account, const void *src, size_t len)
{
    if (len > UINT32_MAX || !account_charge(account, sizeof(struct blob) + len)) return NULL;

    struct blob *blob = mem_try(sizeof(*blob) + len);
    if (!blob) {
        account_release(account, sizeof(struct blob) + len);
        return NULL;
    }
    blob->len = (uint32_t)len;
    if (len) memcpy(blob->bytes, src, len);
    return blob;
}

void blob_free(struct account *account, struct blob *blob)
{
    if (!blob) return;
    account_release(account, sizeof(*blob) + blob->len);
    mem_free(blob);
}
