/* Goal: newest wins, on columns. Method: random columns laid over each other, compared
 * with the naive model; the prefix before `from` is never touched. */
#include "base/rng.h"
#include "engine/overlay.h"
#include "tests/lib/model_db.h"
#include "tests/unit/engine/engine_suites.h"

static const struct time_range all = {TS_MIN, TS_MAX};

/* Ascending times, every value `tag`. */
static void fill(struct points *pts, struct rng *rng, ts_time base, uint64_t tag)
{
    pts->n = 0;
    for (ts_time t = base; t < base + 30; t++)
        if (rng_below(rng, 3) == 0) ck_assert(points_push(pts, t, (union value){.bits = tag}));
}

static void copy(struct model_db *model, const struct points *pts)
{
    for (size_t i = 0; i < pts->n; i++)
        (void)model_db_put(model, "m", pts->ts[i], pts->val[i].bits, DUP_LAST);
}

START_TEST(test_overlay_is_an_upsert)
{
    struct rng rng;
    rng_init(&rng, unit_seed());
    for (int round = 0; round < 2000; round++) {
        struct points base = {0}, newer = {0}, result = {0};
        struct model_db model = {0};
        ts_time shift = (ts_time)rng_below(&rng, 90) - 45;
        fill(&newer, &rng, 1000, 1);
        copy(&model, &newer);
        ck_assert(points_push(&base, 5000, (union value){.bits = 77})); /* someone else's */
        for (size_t i = 0; i < newer.n; i++)
            ck_assert(points_push(&base, newer.ts[i], newer.val[i]));
        fill(&newer, &rng, 1000 + shift, 2);
        copy(&model, &newer);
        ck_assert_int_eq(points_overlay(&base, 1, &newer), ST_OK);
        ck_assert_int_eq(base.ts[0], 5000);
        struct time_range hole = {1000 + (ts_time)rng_below(&rng, 30), 0};
        hole.to = hole.from + (ts_time)rng_below(&rng, 20);
        points_cut(&base, 1, hole);
        model_db_delete(&model, "m", hole);
        for (size_t i = 1; i < base.n; i++)
            ck_assert(points_push(&result, base.ts[i], base.val[i]));
        const char *why = model_db_differs(&model, "m", all, &result);
        ck_assert_msg(!why, "round %d: %s", round, why);
        points_release(&base);
        points_release(&newer);
        points_release(&result);
        model_db_release(&model);
    }
}
END_TEST

Suite *suite_overlay(void)
{
    Suite *s = suite_create("overlay");
    TCase *tc = tcase_create("overlay");
    tcase_add_test(tc, test_overlay_is_an_upsert);
    suite_add_tcase(s, tc);
    return s;
}
