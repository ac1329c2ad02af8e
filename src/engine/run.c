/* Runs: mini-blocks that follow each other in one buffer. See node.h.
 *
 * A block is encoded once, behind the blocks that are published; nobody looks there
 * until the owner stores a word with the larger count. So a worker may append to a run
 * that readers are reading, as long as it is the only one: the owner has one encode
 * job at a time for a series.
 *
 * A block of 32 samples pays for its head and for a first sample with every fourth byte.
 * So small blocks gather in a run of their own, an open one, until they make a block of
 * nearly 128 with the samples that come; that is sealed into a run of exactly its size, or
 * behind the one block of the sealed run below. A sample is encoded twice and its bytes are
 * copied once more; sealed runs, most of the memory, have no slack and are not copied again.
 *
 *     [32][32][32] + 32  on  [128]        ->  [128][128]
 *     [32][32][32] + 32  on  [128][128]   ->  [128]  on  [128][128]
 */
#include "engine/run.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"

enum {
    JOIN_MIN = BLOCK_POINTS_MAX - TAIL_SLOTS_MAX + 1, /* samples that make a block to seal */
    JOIN_BLOCKS = 8,    /* fewer samples are joined when they are in so many blocks */
    SMALL_RUN = 192,    /* bytes of sealed blocks that may be copied once more */
    NEAR_MAX = 1536,    /* a block of 128 numeric samples hardly ever is longer */
    SCRATCH_LEN = 4096, /* no block of 128 numeric samples is longer */
};

/* The published blocks of a run, looked at. */
struct survey {
    struct run *run;        /* NULL: none of these hold */
    uint32_t n_blocks, n;   /* blocks, samples */
    struct run_block last;
};

/* How samples go behind a series' runs. */
struct plan {
    enum run_how how;
    bool joins;                 /* with all of the top run's */
    uint32_t n_more;            /* blocks of this length there should be room for, too */
    const struct survey *keep;  /* whose blocks stay in front; NULL: none */
};

static struct block_before before_of(const struct run *run, const struct run_block *prev)
{
    if (prev->n) return (struct block_before){prev->ts.to, prev->step};
    return (struct block_before){run->t0, 0};
}

struct run_block run_next(const struct run *run, const struct run_block *prev)
{
    struct block_before before = before_of(run, prev);
    struct block_head head;
    /* Published blocks are whole: they were encoded here. */
    status st = block_look(&head, &before, run->data + prev->end, run->cap - prev->end);
    ASSERT(st == ST_OK);
    return (struct run_block){.n = (uint32_t)head.n,
                              .ts = head.ts,
                              .step = head.step,
                              .before = before,
                              .at = prev->end,
                              .end = prev->end + head.len};
}

/* Decoders may read a little beyond a block, and there a worker may be putting the next
 * one: they get a copy. */
status run_decode(struct points *out, struct arena *arena, const struct run *run,
                  const struct run_block *block)
{
    uint8_t near[NEAR_MAX + CHUNK_PAD], *bytes = near;
    size_t len = block->end - block->at;
    if (len > NEAR_MAX && !(bytes = mem_try(len + CHUNK_PAD))) return ST_NO_MEMORY;
    memcpy(bytes, run->data + block->at, len);
    memset(bytes + len, 0, CHUNK_PAD);
    struct block_head head;
    status st = block_look(&head, &block->before, bytes, len);
    if (st == ST_OK) st = block_decode(out, arena, (enum value_type)run->node.type, &head);
    if (bytes != near) mem_free(bytes);
    return st;
}

static struct survey look(struct run_part part)
{
    struct survey all = {.run = part.run, .n_blocks = part.n_blocks};
    for (uint32_t i = 0; all.run && i < part.n_blocks; i++) {
        all.last = run_next(part.run, &all.last);
        all.n += all.last.n;
    }
    return all;
}

/* Whether a sealed block of n samples from `first` goes behind those of a sealed run. */
static bool takes_sealed(const struct survey *run, ts_time first, uint32_t n)
{
    return run->run && run->n >= JOIN_MIN && first > run->last.ts.to &&
           run->n + n <= RUN_SAMPLES_MAX && run->n_blocks < RUN_BLOCKS_MAX &&
           (run->n_blocks == 1 || run->last.end <= SMALL_RUN);
}

/* Blobs are not encoded twice: a run is open to them while it has room. */
static struct plan plan_blobs(const struct survey *top, bool follows, uint32_t n)
{
    bool fits = follows && top->n + n <= RUN_SAMPLES_MAX && top->n_blocks < RUN_BLOCKS_MAX;
    if (!fits) return (struct plan){.how = RUN_STACKED};
    return (struct plan){.how = RUN_COPIED, .n_more = 1, .keep = top};
}

/* An open run is made once, with room for the blocks that will come: a fleet that opens and
 * seals together would leave the spans of each size between half empty. */
static uint32_t blocks_to_come(uint32_t n)
{
    uint32_t most = (JOIN_MIN - 1) / n - 1;
    return most < 2 ? most : 2;
}

static struct plan plan_put(const struct survey *top, const struct survey *under, uint8_t type,
                            const struct points *pts)
{
    uint32_t n = (uint32_t)pts->n;
    bool follows = top->run && pts->ts[0] > top->last.ts.to;
    if (type_is_blob(type)) return plan_blobs(top, follows, n);

    bool fits = follows && top->n < JOIN_MIN && top->n + n <= BLOCK_POINTS_MAX;
    bool joins = fits && (top->n + n >= JOIN_MIN || top->n_blocks >= JOIN_BLOCKS);
    uint32_t sum = joins ? top->n + n : n;
    if (sum >= JOIN_MIN) {
        const struct survey *below = joins ? under : top;
        ts_time first = joins ? top->run->t0 : pts->ts[0];
        bool behind = takes_sealed(below, first, sum);
        enum run_how alone = joins ? RUN_COPIED : RUN_STACKED;
        return (struct plan){.how = !behind ? alone : joins ? RUN_MERGED : RUN_COPIED,
                             .joins = joins,
                             .keep = behind ? below : NULL};
    }
    if (joins) return (struct plan){.how = RUN_COPIED, .joins = true};
    if (!fits) return (struct plan){.how = RUN_STACKED, .n_more = blocks_to_come(n)};
    return (struct plan){.how = RUN_COPIED, .keep = top};
}

/* The samples of all blocks, and pts behind them. */
static status join(struct points *out, const struct survey *top, const struct points *pts)
{
    struct run_block block = {0};
    for (uint32_t i = 0; i < top->n_blocks; i++) {
        block = run_next(top->run, &block);
        TRY(run_decode(out, NULL, top->run, &block));
    }
    if (!points_reserve(out, pts->n)) return ST_NO_MEMORY;
    memcpy(out->ts + out->n, pts->ts, pts->n * sizeof(pts->ts[0]));
    memcpy(out->val + out->n, pts->val, pts->n * sizeof(pts->val[0]));
    out->n += pts->n;
    return ST_OK;
}

static struct run *new_run(struct node_space *space, uint8_t type, size_t len)
{
    /* What the size class adds is room for blocks, too. */
    size_t bytes = span_heap_room(offsetof(struct run, data) + len);
    struct run *run = bytes > UINT32_MAX ? NULL : node_space_try_shared(space, bytes);
    if (!run) return NULL;
    run->node = (struct node){.type = type, .shape = NODE_RUN};
    run->cap = (uint32_t)(bytes - offsetof(struct run, data));
    return run;
}

/* Puts the bytes of a block behind the ones that are kept: where they are, or in a new run. */
static struct run *place(struct plan *plan, struct node_space *space, uint8_t type, ts_time first,
                         const uint8_t *bytes, size_t len, bool in_place)
{
    size_t used = plan->keep ? plan->keep->last.end : 0;
    if (in_place && used + len <= plan->keep->run->cap) {
        plan->how = RUN_EXTENDED;
        memcpy(plan->keep->run->data + used, bytes, len);
        return plan->keep->run;
    }
    struct run *run = new_run(space, type, used + len + plan->n_more * len);
    if (!run && plan->n_more) run = new_run(space, type, used + len);
    if (!run) return NULL;
    run->t0 = plan->keep ? plan->keep->run->t0 : first;
    if (plan->keep) memcpy(run->data, plan->keep->run->data, used);
    memcpy(run->data + used, bytes, len);
    return run;
}

status run_append(struct run_part *out, enum run_how *how, struct node_space *space,
                  struct run_part top_part, struct run_part under_part, uint8_t type,
                  const struct points *pts)
{
    ASSERT(pts->n >= 1 && pts->n <= BLOCK_POINTS_MAX);
    struct survey top = look(top_part), under = look(under_part);
    struct plan plan = plan_put(&top, &under, type, pts);
    uint8_t scratch[SCRATCH_LEN], *bytes = scratch;
    ts_time ts[BLOCK_POINTS_MAX];
    union value val[BLOCK_POINTS_MAX];
    struct points joined = {.ts = ts, .val = val, .cap = BLOCK_POINTS_MAX}; /* never grows */
    const struct points *all = pts;
    if (plan.joins) {
        TRY(join(&joined, &top, pts));
        all = &joined;
    }
    size_t bound = block_bound((enum value_type)type, all->val, all->n);
    if (bound > SCRATCH_LEN && !(bytes = mem_try(bound))) return ST_NO_MEMORY;
    struct block_before before = {all->ts[0], 0};
    if (plan.keep) before = before_of(plan.keep->run, &plan.keep->last);
    size_t len = block_encode(bytes, (enum value_type)type, &before, all->ts, all->val, all->n);
    bool in_place = plan.keep == &top;
    out->run = place(&plan, space, type, all->ts[0], bytes, len, in_place);
    if (bytes != scratch) mem_free(bytes);
    if (!out->run) return ST_NO_MEMORY;
    out->n_blocks = (plan.keep ? plan.keep->n_blocks : 0) + 1;
    *how = plan.how;
    return ST_OK;
}
