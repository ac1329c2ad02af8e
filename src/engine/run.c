/* Runs: mini-blocks that follow each other in one buffer. See node.h.
 *
 * A block is encoded once, behind the blocks that are published; nobody looks there
 * until the owner stores a word with the larger count. So a worker may append to a run
 * that readers are reading, as long as it is the only one: the owner has one encode
 * job at a time for a series.
 */
#include "engine/node.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "codec/block.h"

enum { RUN_CAP_MIN = 128, BLOCKS_MIN = 2, READ_BEYOND = 64 };

static struct run *new_run(struct account *account, uint8_t type, size_t cap, uint32_t cap_blocks)
{
    size_t bytes = sizeof(struct run) + cap_blocks * sizeof(struct run_block) + cap + READ_BEYOND;
    if (cap > UINT32_MAX / 2 || !account_charge(account, bytes)) return NULL;

    struct run *run = mem_try_zero(bytes);
    if (!run) {
        account_release(account, bytes);
        return NULL;
    }
    run->node.account = account;
    run->node.n_bytes = (uint32_t)bytes;
    run->node.kind = NODE_RUN;
    run->node.type = type;
    run->cap = (uint32_t)cap;
    run->cap_blocks = cap_blocks;
    return run;
}

static uint32_t used_bytes(const struct run *run, uint32_t n_blocks)
{
    return n_blocks ? run->block[n_blocks - 1].off + run->block[n_blocks - 1].len : 0;
}

static bool may_follow(const struct run *run, uint32_t n_blocks, const struct points *pts)
{
    if (!run || n_blocks >= RUN_BLOCKS_MAX) return false;
    if (n_blocks && pts->ts[0] <= run->block[n_blocks - 1].max) return false;
    uint32_t n = node_samples(word_make(&run->node, n_blocks));
    return n + pts->n <= RUN_SAMPLES_MAX;
}

static void put_block(struct run *run, uint32_t idx, const uint8_t *src, size_t len,
                      const struct points *pts)
{
    uint32_t off = used_bytes(run, idx);
    memcpy(run_data(run) + off, src, len);
    run->block[idx] = (struct run_block){.off = off,
                                         .len = (uint32_t)len,
                                         .n = (uint32_t)pts->n,
                                         .min = pts->ts[0],
                                         .max = pts->ts[pts->n - 1]};
}

status run_append(struct run **out, uint32_t *count, enum run_how *how, struct account *account,
                  struct run *run, uint32_t n_blocks, uint8_t type, const struct points *pts)
{
    ASSERT(pts->n >= 1 && pts->n <= BLOCK_POINTS_MAX);
    uint8_t *bytes = mem_try(block_bound((enum value_type)type, pts->val, pts->n));
    if (!bytes) return ST_NO_MEMORY;
    size_t len = block_encode(bytes, (enum value_type)type, pts->ts[0], pts->ts, pts->val, pts->n);

    bool follows = may_follow(run, n_blocks, pts);
    uint32_t used = follows ? used_bytes(run, n_blocks) : 0;
    struct run *to = run;
    *how = RUN_EXTENDED;
    if (!follows || used + len > run->cap || n_blocks == run->cap_blocks) {
        size_t cap = used + len + used / 2; /* half as much again: it is copied seldom enough */
        uint32_t cap_blocks = follows ? n_blocks + n_blocks / 2 + 1 : BLOCKS_MIN;
        if (cap_blocks > RUN_BLOCKS_MAX) cap_blocks = RUN_BLOCKS_MAX;
        to = new_run(account, type, cap < RUN_CAP_MIN ? RUN_CAP_MIN : cap, cap_blocks);
        if (!to) {
            mem_free(bytes);
            return ST_NO_MEMORY;
        }
        *how = follows ? RUN_COPIED : RUN_STACKED;
        if (follows) {
            memcpy(run_data(to), run_data(run), used);
            memcpy(to->block, run->block, n_blocks * sizeof(run->block[0]));
            to->node.del_gen = run->node.del_gen;
        }
    }
    uint32_t at = follows ? n_blocks : 0;
    put_block(to, at, bytes, len, pts);
    mem_free(bytes);
    *out = to;
    *count = at + 1;
    return ST_OK;
}
