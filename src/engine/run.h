/* Runs: the nodes of mini-blocks that follow each other. See node.h for what nodes are, and
 * run.c for how blocks become larger ones. Pure: a worker builds, the owner links.
 */
#ifndef TSINK_ENGINE_RUN_H
#define TSINK_ENGINE_RUN_H

#include "codec/block.h"
#include "engine/node.h"

/* Blocks (codec/block.h) follow each other in data. An open run has small ones, fewer
 * samples than make a large block; others are sealed: workers copy them, or leave them. */
struct run {
    struct node node;
    ts_time t0;                         /* of the first sample: what is before its block */
    uint32_t cap;                       /* bytes of data */
    uint8_t data[];
};

struct run_block {
    uint32_t n;
    struct time_range ts;
    uint64_t step;                      /* from sample to sample; 0: none */
    struct block_before before;
    size_t at, end;                     /* bytes of data; where the next one begins */
};

/* A run and its blocks that are published. run NULL: there is none. */
struct run_part {
    struct run *run;
    uint32_t n_blocks;
};

/* How run_append() put its points. */
enum run_how {
    RUN_EXTENDED, /* behind the blocks of the top run */
    RUN_COPIED,   /* in a run that replaces the top one */
    RUN_MERGED,   /* in a run that replaces the top one and the one under it */
    RUN_STACKED,  /* in a run above the top one */
};

/* Encodes pts (1..128 of them) behind those of `top`, a series' newest run, or of `under`,
 * the one below it. Small blocks are joined to one of up to 128 samples once they make one;
 * a run holds at most RUN_SAMPLES_MAX samples in blocks that follow each other in time; what
 * does not fit is stacked. *out is the run that holds them now. Any thread, one at a time
 * for a series. */
CHECKED status run_append(struct run_part *out, enum run_how *how, struct node_space *space,
                          struct run_part top, struct run_part under, uint8_t type,
                          const struct points *pts);

/* The published block behind prev (zeroed: the first one). */
struct run_block run_next(const struct run *run, const struct run_block *prev);

/* Appends the samples of a published block to out. */
CHECKED status run_decode(struct points *out, struct arena *arena, const struct run *run,
                          const struct run_block *block);

#endif
