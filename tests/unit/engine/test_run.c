/* Goal: runs and chunks hold what they were given, published blocks never change, and what
 * does not follow is stacked. Method: points appended block by block; every earlier word
 * is read again after each. */
#include "base/bits.h"
#include "base/rng.h"
#include "engine/node.h"
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

START_TEST(test_runs_grow_block_by_block)
{
    struct account account;
    struct node_space space;
    struct rng rng;
    struct points block = {0}, whole = {0};
    struct run *run = NULL, *out, *copied[32];
    uint32_t count = 0, n_copied = 0;
    enum run_how how;
    account_init(&account, "test", NULL, 0);
    node_space_init(&space, &account);
    rng_init(&rng, unit_seed());
    for (uint32_t round = 0; whole.n + 31 <= RUN_SAMPLES_MAX; round++) {
        node_word before = run ? word_make(&run->node, count) : 0;
        size_t n_before = whole.n;
        fill(&block, round * 100, 31, &rng);
        for (uint32_t i = 0; i < 31; i++)
            ck_assert(points_push(&whole, block.ts[i], block.val[i]));
        status st = run_append(&out, &count, &how, &space, run, count, VALUE_F64, &block);
        ck_assert_int_eq(st, ST_OK);
        ck_assert_uint_eq(count, round / 4 + (round % 4 == 3 ? 1 : round % 4 + 1));
        ck_assert_int_eq(how == RUN_STACKED, run == NULL);
        if (before) expect(before, &whole, n_before);
        expect(word_make(&out->node, count), &whole, whole.n);
        if (how == RUN_COPIED) copied[n_copied++] = run;
        run = out;
    }
    ck_assert_uint_gt(n_copied, 0);

    /* Full, and going back in time: stacked. */
    fill(&block, 100000, 31, &rng);
    ck_assert_int_eq(run_append(&out, &count, &how, &space, run, count, VALUE_F64, &block),
                     ST_OK);
    ck_assert_int_eq(how, RUN_STACKED);
    ck_assert_uint_eq(count, 1);
    expect(word_make(&out->node, 1), &block, block.n);
    struct run *second = out;
    fill(&block, 100030, 31, &rng);
    ck_assert_int_eq(run_append(&out, &count, &how, &space, second, 1, VALUE_F64, &block), ST_OK);
    ck_assert_int_eq(how, RUN_STACKED);
    node_free(&space, &out->node);
    node_free(&space, &second->node);
    node_free(&space, &run->node);
    for (uint32_t i = 0; i < n_copied; i++) node_free(&space, &copied[i]->node);
    points_release(&block);
    points_release(&whole);
    ck_assert_uint_eq(space.shared.used_bytes, 0);
    node_space_release(&space);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

START_TEST(test_runs_and_chunks_may_be_refused)
{
    struct account account;
    struct rng rng;
    struct points pts = {0};
    struct run *run;
    struct chunk_node *chunk;
    uint32_t count;
    enum run_how how;
    account_init(&account, "test", NULL, 100);
    struct node_space space;
    node_space_init(&space, &account);
    rng_init(&rng, 1);
    fill(&pts, 0, 64, &rng);
    ck_assert_int_eq(run_append(&run, &count, &how, &space, NULL, 0, VALUE_F64, &pts),
                     ST_NO_MEMORY);
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
    tcase_add_test(tc, test_runs_and_chunks_may_be_refused);
    suite_add_tcase(s, tc);
    return s;
}
