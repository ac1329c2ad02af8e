/* Goal: runs and chunks hold what they were given, published blocks never change, and what
 * does not follow is stacked. Method: points appended block by block; every earlier word
 * is read again after each. */
#include <string.h>

#include "base/bits.h"
#include "base/rng.h"
#include "engine/run.h"
#include "tests/unit/engine/engine_suites.h"

static const struct time_range all = {TS_MIN, TS_MAX};

static void fill(struct points *pts, ts_time from, uint32_t n, struct rng *rng)
{
    pts->n = 0;
    for (uint32_t i = 0; i < n; i++)
        ck_assert(points_push(pts, from + i, (union value){.bits = rng_next(rng)}));
}

static void expect(node_word word, const struct points *want, size_t n)
{
    struct points pts = {0};
    struct time_range bounds;
    ck_assert_int_eq(node_read(word, all, &pts, NULL), ST_OK);
    ck_assert_uint_eq(pts.n, n);
    ck_assert_uint_eq(node_samples(word), n);
    ck_assert_mem_eq(pts.ts, want->ts, n * sizeof(pts.ts[0]));
    ck_assert_mem_eq(pts.val, want->val, n * sizeof(pts.val[0]));
    ck_assert(node_bounds(word, &bounds));
    ck_assert_int_eq(bounds.from, want->ts[0]);
    ck_assert_int_eq(bounds.to, want->ts[n - 1]);
    points_release(&pts);
}

/* A series' runs, oldest first, as an encode job keeps them; what was replaced stays. */
struct stack {
    struct node_space space;
    struct account account;
    struct run_part part[64];
    size_t n_at[64];             /* samples of all parts before it */
    uint32_t n;
    struct run *gone[256];
    uint32_t n_gone;
    struct points whole;
};

static void stack_init(struct stack *stack)
{
    memset(stack, 0, sizeof(*stack));
    account_init(&stack->account, "test", NULL, 0);
    node_space_init(&stack->space, &stack->account);
}

static enum run_how append(struct stack *stack, uint8_t type, const struct points *pts)
{
    struct run_part top = {0}, under = {0}, out;
    enum run_how how;
    if (stack->n > 0) top = stack->part[stack->n - 1];
    if (stack->n > 1) under = stack->part[stack->n - 2];
    ck_assert_int_eq(run_append(&out, &how, &stack->space, top, under, type, pts), ST_OK);
    size_t drop = how == RUN_STACKED ? 0 : how == RUN_MERGED ? 2 : 1;
    for (size_t i = 0; i < drop && how != RUN_EXTENDED; i++)
        stack->gone[stack->n_gone++] = stack->part[stack->n - 1 - i].run;
    stack->n -= (uint32_t)drop;
    size_t n_before = stack->whole.n;
    if (drop) n_before = stack->n_at[stack->n];
    stack->n_at[stack->n] = n_before;
    stack->part[stack->n++] = out;
    ck_assert_uint_le(stack->n, ARRAY_LEN(stack->part));
    for (size_t i = 0; i < pts->n; i++)
        ck_assert(points_push(&stack->whole, pts->ts[i], pts->val[i]));
    return how;
}

/* Part i holds the samples that it should. */
static void expect_part(const struct stack *stack, uint32_t i)
{
    size_t from = stack->n_at[i], to = i + 1 < stack->n ? stack->n_at[i + 1] : stack->whole.n;
    struct points want = {.ts = stack->whole.ts + from, .val = stack->whole.val + from};
    expect(word_make(&stack->part[i].run->node, stack->part[i].n_blocks), &want, to - from);
}

static void stack_release(struct stack *stack)
{
    for (uint32_t i = 0; i < stack->n; i++) node_free(&stack->space, &stack->part[i].run->node);
    for (uint32_t i = 0; i < stack->n_gone; i++)
        node_free(&stack->space, &stack->gone[i]->node);
    points_release(&stack->whole);
    ck_assert_uint_eq(stack->space.shared.used_bytes, 0);
    node_space_release(&stack->space);
    ck_assert_uint_eq(account_used(&stack->account), 0);
}

/* Tails of 32 with noise: open runs of small blocks, sealed ones of one and two large ones. */
START_TEST(test_runs_grow_block_by_block)
{
    static struct stack stack;
    struct rng rng;
    struct points block = {0};
    stack_init(&stack);
    rng_init(&rng, unit_seed());
    for (uint32_t round = 0; round < 24; round++) {
        node_word before = 0;
        uint32_t n_before = stack.n;
        size_t n = stack.whole.n;
        if (n_before) before = word_make(&stack.part[n_before - 1].run->node,
                                         stack.part[n_before - 1].n_blocks);
        size_t at = n_before ? stack.n_at[n_before - 1] : 0;
        fill(&block, round * 100, 32, &rng);
        enum run_how how = append(&stack, VALUE_F64, &block);
        uint32_t full = (round + 1) / 4, small = (round + 1) % 4;
        ck_assert_uint_eq(stack.n, full / 2 + full % 2 + (small > 0));
        ck_assert_uint_eq(stack.part[stack.n - 1].n_blocks, small ? small : full % 2 ? 1 : 2);
        if (small == 1) ck_assert_int_eq(how, RUN_STACKED);
        if (small == 0) ck_assert_int_eq(how, full % 2 ? RUN_COPIED : RUN_MERGED);
        struct points want = {.ts = stack.whole.ts + at, .val = stack.whole.val + at};
        if (before) expect(before, &want, n - at); /* published words say what they said */
        for (uint32_t i = 0; i < stack.n; i++) expect_part(&stack, i);
        const struct run *top = stack.part[stack.n - 1].run;
        if (small == 0) ck_assert_uint_le(top->cap, (full % 2 ? 1 : 2) * (128 * 8 + 60) * 9 / 8);
    }
    fill(&block, 0, 32, &rng); /* back in time */
    ck_assert_int_eq(append(&stack, VALUE_F64, &block), RUN_STACKED);
    fill(&block, 10, 100, &rng);
    ck_assert_int_eq(append(&stack, VALUE_F64, &block), RUN_STACKED);
    points_release(&block);
    stack_release(&stack);
}
END_TEST

/* What a series of equal samples takes: its blocks are of 128 and lie in one run of 512. */
START_TEST(test_runs_of_a_constant_are_one_run)
{
    static struct stack stack;
    struct points block = {0};
    stack_init(&stack);
    for (uint32_t round = 0; round < 8; round++) {
        block.n = 0;
        for (uint32_t i = 0; i < 64; i++)
            ck_assert(points_push(&block, (round * 64 + i) * 15000, (union value){.bits = 42}));
        append(&stack, VALUE_F64, &block);
        expect_part(&stack, stack.n - 1);
        ck_assert_uint_eq(stack.n, round < 2 ? 1 : round % 2 ? 1 : 2);
    }
    ck_assert_uint_eq(stack.part[0].n_blocks, 4);
    ck_assert_uint_le(node_bytes(&stack.part[0].run->node), 80);
    points_release(&block);
    stack_release(&stack);
}
END_TEST

/* Blocks of one sample, as late ones make, are joined before they are many. */
START_TEST(test_runs_of_tiny_blocks_are_joined)
{
    static struct stack stack;
    struct points block = {0};
    struct rng rng;
    stack_init(&stack);
    rng_init(&rng, unit_seed());
    for (uint32_t round = 0; round < 150; round++) {
        fill(&block, round * 7, 1 + round % 2, &rng);
        append(&stack, VALUE_F64, &block);
        for (uint32_t i = 0; i < stack.n; i++) {
            ck_assert_uint_le(stack.part[i].n_blocks, 8);
            expect_part(&stack, i);
        }
    }
    ck_assert_uint_le(stack.n, 2);
    points_release(&block);
    stack_release(&stack);
}
END_TEST

/* Random tails: whatever is on top and under it, nothing is lost. */
START_TEST(test_runs_of_any_tails)
{
    struct rng rng;
    struct points block = {0};
    rng_init(&rng, unit_seed());
    for (int life = 0; life < 30; life++) {
        static struct stack stack;
        ts_time at = 0;
        stack_init(&stack);
        for (int i = 0; i < 40 && stack.n < 60; i++) {
            uint32_t n = (uint32_t)(1 + rng_below(&rng, rng_below(&rng, 3) ? 32 : 128));
            if (rng_below(&rng, 8) == 0) at -= (ts_time)rng_below(&rng, 300);
            fill(&block, at, n, &rng);
            if (rng_below(&rng, 3) == 0)
                for (uint32_t k = 0; k < n; k++) block.val[k].bits = 7;
            append(&stack, VALUE_F64, &block);
            at += (ts_time)n + (ts_time)rng_below(&rng, 2);
            for (uint32_t k = 0; k < stack.n; k++) expect_part(&stack, k);
        }
        stack_release(&stack);
    }
    points_release(&block);
}
END_TEST

START_TEST(test_runs_and_chunks_may_be_refused)
{
    struct account account;
    struct rng rng;
    struct points pts = {0};
    struct run_part run, none = {0};
    struct chunk_node *chunk;
    enum run_how how;
    account_init(&account, "test", NULL, 100);
    struct node_space space;
    node_space_init(&space, &account);
    rng_init(&rng, 1);
    fill(&pts, 0, 64, &rng);
    ck_assert_int_eq(run_append(&run, &how, &space, none, none, VALUE_F64, &pts), ST_NO_MEMORY);
    ck_assert_int_eq(chunk_node_new(&chunk, &space, VALUE_F64, &pts), ST_NO_MEMORY);
    ck_assert_uint_eq(account_used(&account), 0);
    account.limit = 0;
    ck_assert_int_eq(chunk_node_new(&chunk, &space, VALUE_F64, &pts), ST_OK);
    expect(word_make(&chunk->node, 0), &pts, pts.n);
    node_free(&space, &chunk->node);
    points_release(&pts);
    node_space_release(&space);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

Suite *suite_run(void)
{
    Suite *s = suite_create("run");
    TCase *tc = tcase_create("run");
    tcase_add_test(tc, test_runs_grow_block_by_block);
    tcase_add_test(tc, test_runs_of_a_constant_are_one_run);
    tcase_add_test(tc, test_runs_of_tiny_blocks_are_joined);
    tcase_add_test(tc, test_runs_of_any_tails);
    tcase_add_test(tc, test_runs_and_chunks_may_be_refused);
    suite_add_tcase(s, tc);
    return s;
}
