/* Runs: mini-blocks that follow each other in one buffer. See node.h.
 *
 * A block is encoded once, behind the blocks that are published; nobody looks there
 * until the owner stores a word with the larger count. So a worker may append to a run
 * that readers are reading, as long as it is the only one: the owner has one encode
 * job at a time for a series.
 *
 * A block of 32 samples pays for its head and for a first sample with every fourth byte.
 * So the small blocks at the end are joined with the samples that come once they make a
 * block of nearly 128: each sample is encoded twice, in a copy of the run, and a run is
 * some large blocks with at most three small ones behind them.
 *
 *     [128][128][32][32] + 32  ->  [128][128][32][32][32] + 32  ->  [128][128][128]
 */
#include "engine/node.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/varint.h"
#include "codec/block.h"

enum {
    JOIN_MIN = BLOCK_POINTS_MAX - TAIL_SLOTS_MAX + 1, /* samples that are worth joining */
    HEAD_MAX = 1 + 3 * VARINT_MAX,
    NEAR_MAX = 1536,   /* a block of 128 numeric samples hardly ever is longer */
    SCRATCH_LEN = 4096, /* no block of 128 numeric samples is longer */
};

/* How samples go behind a run. */
struct ending {
    bool follows;           /* they do; else they begin a run of their own */
    uint32_t n_blocks;      /* blocks that stay */
    uint32_t n_joined;      /* small blocks behind those, to be encoded again */
    struct run_block last;  /* that stays; zeroed: none */
};

static uint64_t take_varint(const struct run *run, size_t *at)
{
    uint64_t v = 0;
    size_t n = varint_get(&v, run->data + *at, run->cap - *at);
    ASSERT(n); /* published blocks are whole: they were encoded here */
    *at += n;
    return v;
}

struct run_block run_next(const struct run *run, const struct run_block *prev)
{
    size_t at = prev->end;
    ts_time before = prev->n ? prev->ts.to : run->t0;
    struct run_block block = {.n = run->data[at++] + 1u};
    block.len = (size_t)take_varint(run, &at);
    block.ts.from = wrap_add(before, (int64_t)take_varint(run, &at));
    block.ts.to = wrap_add(block.ts.from, (int64_t)take_varint(run, &at));
    block.bytes = run->data + at;
    block.end = at + block.len;
    ASSERT(block.end <= run->cap);
    return block;
}

/* Decoders read a little beyond a block, and there a worker may be putting the next one:
 * they get a copy. */
status run_decode(struct points *out, struct arena *arena, const struct run *run,
                  const struct run_block *block)
{
    uint8_t near[NEAR_MAX + CHUNK_PAD], *bytes = near;
    if (block->len > NEAR_MAX && !(bytes = mem_try(block->len + CHUNK_PAD))) return ST_NO_MEMORY;
    memcpy(bytes, block->bytes, block->len);
    memset(bytes + block->len, 0, CHUNK_PAD);
    status st = block_decode(out, arena, (enum value_type)run->node.type, block->ts.from, bytes,
                             block->len);
    if (bytes != near) mem_free(bytes);
    return st;
}

static struct ending find_ending(const struct run *run, uint32_t n_blocks, uint8_t type,
                                 const struct points *pts)
{
    struct run_block block[RUN_BLOCKS_MAX + 1]; /* [0]: before the first */
    struct ending end = {.n_blocks = n_blocks};
    uint32_t total = (uint32_t)pts->n, sum = total;
    if (!run || n_blocks >= RUN_BLOCKS_MAX) return end;
    block[0] = (struct run_block){0};
    for (uint32_t i = 0; i < n_blocks; i++) {
        block[i + 1] = run_next(run, &block[i]);
        total += block[i + 1].n;
    }
    end.follows = total <= RUN_SAMPLES_MAX && pts->ts[0] > block[n_blocks].ts.to;
    if (!end.follows) return end;
    while (end.n_joined < n_blocks && sum + block[n_blocks - end.n_joined].n <= BLOCK_POINTS_MAX)
        sum += block[n_blocks - end.n_joined++].n;
    if (sum < JOIN_MIN || type_is_blob(type)) end.n_joined = 0;
    end.n_blocks -= end.n_joined;
    end.last = block[end.n_blocks];
    return end;
}

/* The samples of the blocks that are joined, and pts behind them. */
static status join(struct points *out, const struct run *run, const struct ending *end,
                   const struct points *pts)
{
    struct run_block block = end->last;
    for (uint32_t i = 0; i < end->n_joined; i++) {
        block = run_next(run, &block);
        TRY(run_decode(out, NULL, run, &block));
    }
    if (!points_reserve(out, pts->n)) return ST_NO_MEMORY;
    memcpy(out->ts + out->n, pts->ts, pts->n * sizeof(pts->ts[0]));
    memcpy(out->val + out->n, pts->val, pts->n * sizeof(pts->val[0]));
    out->n += pts->n;
    return ST_OK;
}

static struct run *new_run(struct node_space *space, uint8_t type, size_t cap)
{
    /* What the size class adds is room for blocks, too. */
    size_t bytes = span_heap_room(sizeof(struct run) + cap);
    struct run *run = bytes > UINT32_MAX ? NULL : node_space_try_shared(space, bytes);
    if (!run) return NULL;
    *run = (struct run){.cap = (uint32_t)(bytes - sizeof(*run))};
    run->node.type = type;
    run->node.shape = NODE_RUN;
    return run;
}

/* A block with its head; `before` is the last time in front of it. Returns its length. */
static size_t put_block(uint8_t *dst, uint8_t type, ts_time before, const struct points *pts)
{
    const ts_time *ts = pts->ts;
    uint8_t *body = dst + HEAD_MAX;
    size_t len = block_encode(body, (enum value_type)type, ts[0], ts, pts->val, pts->n), at = 0;
    dst[at++] = (uint8_t)(pts->n - 1);
    at += varint_put(dst + at, len);
    at += varint_put(dst + at, (uint64_t)wrap_sub(ts[0], before));
    at += varint_put(dst + at, (uint64_t)wrap_sub(ts[pts->n - 1], ts[0]));
    memmove(dst + at, body, len);
    return at + len;
}

/* Puts the bytes of a block behind what `end` keeps of run: into it, or into a new one. */
static struct run *place(struct run *run, const struct ending *end, struct node_space *space,
                         uint8_t type, const uint8_t *bytes, size_t len, enum run_how *how)
{
    size_t used = end->last.end;
    *how = RUN_EXTENDED;
    if (!end->follows || end->n_joined || used + len > run->cap) {
        /* Room for one more small block halves the number of copies. */
        size_t more = end->follows && !end->n_joined ? len : 0;
        struct run *to = new_run(space, type, used + len + more);
        if (!to && more) to = new_run(space, type, used + len);
        if (!to) return NULL;
        *how = end->follows ? RUN_COPIED : RUN_STACKED;
        if (end->follows) {
            memcpy(to->data, run->data, used);
            node_set_del_gen(&to->node, node_del_gen(&run->node));
        }
        run = to;
    }
    memcpy(run->data + used, bytes, len);
    return run;
}

status run_append(struct run **out, uint32_t *count, enum run_how *how, struct node_space *space,
                  struct run *run, uint32_t n_blocks, uint8_t type, const struct points *pts)
{
    ASSERT(pts->n >= 1 && pts->n <= BLOCK_POINTS_MAX);
    struct ending end = find_ending(run, n_blocks, type, pts);
    uint8_t scratch[SCRATCH_LEN], *bytes = scratch;
    ts_time ts[BLOCK_POINTS_MAX];
    union value val[BLOCK_POINTS_MAX];
    struct points joined = {.ts = ts, .val = val, .cap = BLOCK_POINTS_MAX}; /* never grows */
    const struct points *all = pts;
    if (end.n_joined) {
        TRY(join(&joined, run, &end, pts));
        all = &joined;
    }
    size_t bound = HEAD_MAX + block_bound((enum value_type)type, all->val, all->n);
    if (bound > SCRATCH_LEN && !(bytes = mem_try(bound))) return ST_NO_MEMORY;
    ts_time first = end.follows ? run->t0 : all->ts[0];
    size_t len = put_block(bytes, type, end.last.n ? end.last.ts.to : first, all);
    *out = place(run, &end, space, type, bytes, len, how);
    if (bytes != scratch) mem_free(bytes);
    if (!*out) return ST_NO_MEMORY;
    if (*how != RUN_EXTENDED) (*out)->t0 = first;
    *count = end.follows ? end.n_blocks + 1 : 1;
    return ST_OK;
}
