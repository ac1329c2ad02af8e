/* Goal: the planner merges the right segments, never such that an older value could win,
 * and comes to an end. Method: a table of situations; then random sets of segments, on
 * which plans are carried out on paper until there is nothing to do, with the rule about
 * overlaps checked after each. And the doubts about the clock, on a table of histories. */
#include "base/bits.h"
#include "base/rng.h"
#include "engine/clock_guard.h"
#include "engine/compact_plan.h"
#include "engine/rate.h"
#include "tests/unit/engine/engine_suites.h"

enum { SEGS_MAX = 64, MB = 1 << 20 };

static const struct compact_policy usual = {
    .trigger = 4, .window = 8, .out_bytes = 100 * MB, .free_bytes = 1ull << 40};

/* A level, times, the order of a flush, megabytes. */
#define SEG(l, f, t, o, mb)                                                                    \
    {.level = (l), .ts = {(f), (t)}, .order_min = (o), .order_max = (o), .n_points = 1000,     \
     .n_bytes = (uint64_t)(mb) * MB}

static const struct situation_row {
    const char *name;
    struct compact_segment segs[10];
    size_t n;
    uint64_t free_bytes;           /* 0: plenty */
    enum compact_kind kind;
    unsigned level;
    size_t source[8], n_sources, n_cuts;
    bool short_of_space;
} rows[] = {
    {"nothing", .n = 0, .kind = COMPACT_NOTHING},
    {"three of a level",
     {SEG(0, 0, 9, 1, 1), SEG(0, 10, 19, 2, 1), SEG(0, 20, 29, 3, 1)},
     .n = 3, .kind = COMPACT_NOTHING},
    {"four of a level",
     {SEG(0, 0, 9, 1, 1), SEG(0, 10, 19, 2, 1), SEG(0, 20, 29, 3, 1), SEG(0, 30, 39, 4, 1)},
     .n = 4, .kind = COMPACT_LEVEL, .level = 1, .source = {0, 1, 2, 3}, .n_sources = 4},
    {"level 1, with level 0 behind",
     {SEG(1, 0, 9, 1, 1), SEG(1, 10, 19, 2, 1), SEG(1, 20, 29, 3, 1), SEG(1, 30, 39, 4, 1),
      SEG(0, 40, 49, 5, 1)},
     .n = 5, .kind = COMPACT_LEVEL, .level = 2, .source = {0, 1, 2, 3}, .n_sources = 4},
    {"nine: the window is eight",
     {SEG(0, 0, 9, 1, 1), SEG(0, 10, 19, 2, 1), SEG(0, 20, 29, 3, 1), SEG(0, 30, 39, 4, 1),
      SEG(0, 40, 49, 5, 1), SEG(0, 50, 59, 6, 1), SEG(0, 60, 69, 7, 1), SEG(0, 70, 79, 8, 1),
      SEG(0, 80, 89, 9, 1)},
     .n = 9, .kind = COMPACT_LEVEL, .level = 1, .source = {0, 1, 2, 3, 4, 5, 6, 7},
     .n_sources = 8},
    {"nine, and the last two overlap",
     {SEG(0, 0, 9, 1, 1), SEG(0, 10, 19, 2, 1), SEG(0, 20, 29, 3, 1), SEG(0, 30, 39, 4, 1),
      SEG(0, 40, 49, 5, 1), SEG(0, 50, 59, 6, 1), SEG(0, 60, 69, 7, 1), SEG(0, 70, 79, 8, 1),
      SEG(0, 75, 89, 9, 1)},
     .n = 9, .kind = COMPACT_LEVEL, .level = 1, .source = {1, 2, 3, 4, 5, 6, 7, 8},
     .n_sources = 8},
    {"a deeper one lies between, far away in time",
     {SEG(0, 0, 9, 1, 1), SEG(0, 10, 19, 2, 1), SEG(1, 90, 99, 3, 1), SEG(0, 20, 29, 4, 1),
      SEG(0, 30, 39, 5, 1)},
     .n = 5, .kind = COMPACT_LEVEL, .level = 1, .source = {0, 1, 3, 4}, .n_sources = 4},
    {"a deeper one lies between, among their times",
     {SEG(0, 0, 9, 1, 1), SEG(0, 10, 19, 2, 1), SEG(1, 5, 6, 3, 1), SEG(0, 20, 29, 4, 1),
      SEG(0, 30, 39, 5, 1)},
     .n = 5, .kind = COMPACT_LEVEL, .level = 1, .source = {0, 1}, .n_sources = 2},
    {"two of level 2 overlap",
     {SEG(2, 0, 50, 1, 1), SEG(2, 60, 99, 2, 1), SEG(2, 20, 30, 3, 1)},
     .n = 3, .kind = COMPACT_OVERLAP, .level = 2, .source = {0, 2}, .n_sources = 2},
    {"two of level 2 overlap, with one between",
     {SEG(2, 0, 50, 1, 1), SEG(1, 10, 70, 2, 1), SEG(2, 20, 30, 3, 1)},
     .n = 3, .kind = COMPACT_OVERLAP, .level = 2, .source = {0, 1, 2}, .n_sources = 3},
    {"late samples into level 2 are cut off",
     {SEG(2, 0, 49, 1, 1), SEG(2, 50, 99, 2, 1), SEG(1, 10, 109, 3, 1), SEG(1, 110, 119, 4, 1),
      SEG(1, 120, 129, 5, 1), SEG(1, 130, 139, 6, 1)},
     .n = 6, .kind = COMPACT_LEVEL, .level = 2, .source = {2, 3, 4, 5}, .n_sources = 4,
     .n_cuts = 2},
    {"large output is cut",
     {SEG(1, 0, 9, 1, 100), SEG(1, 10, 19, 2, 100), SEG(1, 20, 29, 3, 100),
      SEG(1, 30, 39, 4, 100)},
     .n = 4, .kind = COMPACT_LEVEL, .level = 2, .source = {0, 1, 2, 3}, .n_sources = 4,
     .n_cuts = 3},
    {"no room for four, but for two",
     {SEG(0, 0, 9, 1, 10), SEG(0, 10, 19, 2, 10), SEG(0, 20, 29, 3, 10), SEG(0, 30, 39, 4, 10)},
     .n = 4, .free_bytes = 25 * MB, .kind = COMPACT_LEVEL, .level = 1, .source = {0, 1},
     .n_sources = 2, .short_of_space = true},
    {"no room at all",
     {SEG(0, 0, 9, 1, 10), SEG(0, 10, 19, 2, 10), SEG(0, 20, 29, 3, 10), SEG(0, 30, 39, 4, 10)},
     .n = 4, .free_bytes = 15 * MB, .kind = COMPACT_NOTHING, .short_of_space = true},
    {"no room, but something has expired",
     {SEG(0, 0, 9, 1, 10), SEG(0, 10, 19, 2, 10), SEG(0, 20, 29, 3, 10),
      {.ts = {30, 39}, .order_min = 4, .order_max = 4, .n_points = 9, .expired = true}},
     .n = 4, .free_bytes = 1, .kind = COMPACT_EXPIRED, .source = {3}, .n_sources = 1},
    {"too little is deleted",
     {{.level = 2, .ts = {0, 9}, .order_min = 1, .order_max = 1, .n_points = 1000, .n_hidden = 99}},
     .n = 1, .kind = COMPACT_NOTHING},
    {"enough is deleted",
     {{.level = 2, .ts = {0, 9}, .order_min = 1, .order_max = 1, .n_points = 1000,
       .n_hidden = 100}},
     .n = 1, .kind = COMPACT_DELETES, .level = 2, .source = {0}, .n_sources = 1},
    {"little is deleted, long ago",
     {{.level = 1, .ts = {0, 9}, .order_min = 1, .order_max = 1, .n_points = 1000,
       .n_hidden = 1, .hidden_long = true}},
     .n = 1, .kind = COMPACT_DELETES, .level = 1, .source = {0}, .n_sources = 1},
    {"little has expired",
     {{.level = 1, .ts = {0, 9}, .order_min = 1, .order_max = 1, .n_points = 1000,
       .n_expired = 249}},
     .n = 1, .kind = COMPACT_NOTHING},
    {"a quarter has expired",
     {{.level = 0, .ts = {0, 9}, .order_min = 1, .order_max = 1, .n_points = 1000,
       .n_expired = 250}},
     .n = 1, .kind = COMPACT_RETENTION, .level = 0, .source = {0}, .n_sources = 1},
    {"damaged",
     {{.level = 0, .ts = {0, 9}, .order_min = 1, .order_max = 1, .n_points = 1000,
       .n_expired = 500, .n_hidden = 500, .barred = true}},
     .n = 1, .kind = COMPACT_NOTHING},
    {"small neighbours in level 2",
     {SEG(2, 0, 9, 1, 1), SEG(2, 10, 19, 2, 1), SEG(2, 20, 29, 3, 1), SEG(2, 30, 39, 4, 1)},
     .n = 4, .kind = COMPACT_SMALL, .level = 2, .source = {0, 1, 2, 3}, .n_sources = 4},
    {"one of them is large",
     {SEG(2, 0, 9, 1, 40), SEG(2, 10, 19, 2, 1), SEG(2, 20, 29, 3, 1), SEG(2, 30, 39, 4, 1)},
     .n = 4, .kind = COMPACT_NOTHING},
    {"lanes are apart",
     {SEG(0, 0, 9, 1, 1), SEG(0, 10, 19, 2, 1),
      {.lane = LANE_BLOB, .ts = {20, 29}, .order_min = 3, .order_max = 3},
      {.lane = LANE_BLOB, .ts = {30, 39}, .order_min = 4, .order_max = 4}},
     .n = 4, .kind = COMPACT_NOTHING},
};

START_TEST(test_what_to_compact)
{
    const struct situation_row *row = &rows[_i];
    struct compact_policy policy = usual;
    struct compact_plan plan;
    if (row->free_bytes) policy.free_bytes = row->free_bytes;
    compact_plan(&plan, row->segs, row->n, &policy);
    ck_assert_msg(plan.kind == row->kind, "%s: %s", row->name, compact_kind_name(plan.kind));
    ck_assert_msg(plan.n_sources == row->n_sources, "%s: %zu sources", row->name, plan.n_sources);
    for (size_t i = 0; i < row->n_sources; i++)
        ck_assert_msg(plan.source[i] == row->source[i], "%s: source %zu", row->name, i);
    if (row->kind > COMPACT_EXPIRED) ck_assert_uint_eq(plan.level, row->level);
    ck_assert_msg(plan.n_cuts == row->n_cuts, "%s: %zu cuts", row->name, plan.n_cuts);
    ck_assert_msg(plan.short_of_space == row->short_of_space, "%s", row->name);
}
END_TEST

/* --- plans carried out ----------------------------------------------------------------- */

struct world {
    struct compact_segment segs[SEGS_MAX];
    size_t n;
};

static int by_order(const void *a, const void *b)
{
    const struct compact_segment *x = a, *y = b;
    return x->order_max < y->order_max ? -1 : x->order_max > y->order_max;
}

static void check_world(const struct world *w, const char *when)
{
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = i + 1; k < w->n; k++)
            if (range_overlaps(w->segs[i].ts, w->segs[k].ts))
                ck_assert_msg(w->segs[i].order_max < w->segs[k].order_min,
                              "%s: %zu and %zu overlap and neither is newer", when, i, k);
}

/* Replaces the sources by what the merge would make of them: for each part between two
 * cuts the share of their bytes that lies there. */
static void carry_out(struct world *w, const struct compact_plan *plan)
{
    struct compact_segment out[COMPACT_PARTS_MAX];
    size_t n_out = 0;
    for (size_t part = 0; part <= plan->n_cuts; part++) {
        struct time_range in = {part ? plan->cut[part - 1] : TS_MIN,
                                part < plan->n_cuts ? plan->cut[part] - 1 : TS_MAX};
        struct compact_segment s = {.level = plan->level, .ts = {TS_MAX, TS_MIN},
                                    .order_min = UINT64_MAX, .n_points = 1000};
        for (size_t i = 0; i < plan->n_sources; i++) {
            const struct compact_segment *from = &w->segs[plan->source[i]];
            if (from->order_min < s.order_min) s.order_min = from->order_min;
            if (from->order_max > s.order_max) s.order_max = from->order_max;
            struct time_range both = {from->ts.from > in.from ? from->ts.from : in.from,
                                      from->ts.to < in.to ? from->ts.to : in.to};
            if (both.from > both.to) continue;
            if (both.from < s.ts.from) s.ts.from = both.from;
            if (both.to > s.ts.to) s.ts.to = both.to;
            s.n_bytes += from->n_bytes * (uint64_t)(both.to - both.from + 1) /
                         (uint64_t)(from->ts.to - from->ts.from + 1);
        }
        if (s.ts.from <= s.ts.to) out[n_out++] = s;
    }
    for (size_t i = plan->n_sources; i-- > 0;) w->segs[plan->source[i]] = w->segs[--w->n];
    ck_assert_uint_le(w->n + n_out, SEGS_MAX);
    for (size_t i = 0; i < n_out; i++) w->segs[w->n++] = out[i];
    qsort(w->segs, w->n, sizeof(w->segs[0]), by_order);
}

START_TEST(test_planning_ends_and_keeps_the_order)
{
    uint64_t seed = unit_seed() + (uint64_t)_i;
    struct rng rng;
    struct world w = {.n = 0};
    rng_init(&rng, seed);
    for (uint64_t order = 1; order < 120; order++) {
        ts_time from = (ts_time)order * 100, to = from + 99;
        if (rng_below(&rng, 4) == 0) from -= (ts_time)rng_below(&rng, 100 * order);
        w.segs[w.n++] = (struct compact_segment){.ts = {from, to},
                                                 .order_min = order,
                                                 .order_max = order,
                                                 .n_points = 1000,
                                                 .n_bytes = 1 + rng_below(&rng, 40 * MB)};
        struct compact_plan plan;
        for (int steps = 0;; steps++) {
            char when[60];
            compact_plan(&plan, w.segs, w.n, &usual);
            if (plan.kind == COMPACT_NOTHING) break;
            snprintf(when, sizeof(when), "seed %llu, flush %llu, step %d",
                     (unsigned long long)seed, (unsigned long long)order, steps);
            ck_assert_msg(steps < 100, "%s: no end", when);
            carry_out(&w, &plan);
            check_world(&w, when);
        }
        size_t n_low = 0;
        for (size_t i = 0; i < w.n; i++) n_low += w.segs[i].level < 2;
        ck_assert_uint_lt(n_low, 2 * usual.trigger);
        for (size_t i = 0; i < w.n; i++)
            for (size_t k = i + 1; k < w.n; k++)
                ck_assert(w.segs[i].level < 2 || w.segs[k].level < 2 ||
                          !range_overlaps(w.segs[i].ts, w.segs[k].ts));
    }
}
END_TEST

/* --- the clock --------------------------------------------------------------------------- */

enum { MIN = 60 * 1000, HOUR = 60 * MIN, DAY = 24 * HOUR };

static const struct {
    const char *name;
    wall_ms high;                  /* persisted */
    struct {
        wall_ms wall;
        int64_t mono_ms;
        bool suspended;
    } look[5];
    size_t n;
} clocks[] = {
    {"new database", 0, {{1000, 0, false}, {1000 + HOUR, HOUR, false}}, 2},
    {"after a short stop", 1000, {{1000 + HOUR, 0, false}}, 1},
    {"after a long stop", 1000,
     {{1000 + 2 * DAY, 0, true}, {1000 + 2 * DAY + 59 * MIN, 59 * MIN, true},
      {1000 + 2 * DAY + HOUR, HOUR, false}},
     3},
    {"a jump that comes back", 1000,
     {{1000, 0, false}, {1000 + 5 * DAY, MIN, true}, {1000 + 2 * MIN, 2 * MIN, false}}, 3},
    {"an unsteady clock is never believed", 1000,
     {{1000 + 2 * DAY, 0, true}, {1000 + 4 * DAY, 50 * MIN, true},
      {1000 + 4 * DAY + 50 * MIN, 100 * MIN, true},
      {1000 + 4 * DAY + HOUR, 110 * MIN, false}},
     4},
    {"backwards", 10 * DAY,
     {{9 * DAY, 0, false}, {5 * DAY, MIN, false}, {10 * DAY, 2 * MIN, false}}, 3},
    {"backwards and then further than a day", 10 * DAY,
     {{9 * DAY, 0, false}, {11 * DAY + HOUR, MIN, true}}, 2},
    {"a day of steady time is no jump", 1000,
     {{1000, 0, false}, {1000 + 3 * DAY, 3 * DAY, false}}, 2},
};

START_TEST(test_when_the_clock_is_believed)
{
    struct clock_guard guard;
    clock_guard_init(&guard, clocks[_i].high, clocks[_i].look[0].wall, 0);
    for (size_t i = 0; i < clocks[_i].n; i++) {
        wall_ms wall = clocks[_i].look[i].wall;
        mono_ns mono = clocks[_i].look[i].mono_ms * 1000000;
        if (i) clock_guard_look(&guard, wall, mono);
        ck_assert_msg(guard.suspended == clocks[_i].look[i].suspended, "%s: look %zu",
                      clocks[_i].name, i);
        if (!guard.suspended) ck_assert_int_eq(clock_guard_now(&guard, wall, mono), wall);
        else ck_assert_int_lt(clock_guard_now(&guard, wall, mono), wall - DAY);
    }
    wall_ms wall = 400ll * DAY;
    clock_guard_look(&guard, wall, DAY * 1000000ll * 4);
    ck_assert(guard.suspended);
    clock_guard_confirm(&guard, wall, DAY * 1000000ll * 4);
    ck_assert(!guard.suspended);
    ck_assert_int_eq(clock_guard_now(&guard, wall, DAY * 1000000ll * 4), wall);
}
END_TEST

START_TEST(test_a_rate_is_kept)
{
    struct rate rate;
    mono_ns now = 5, waited = 0;
    rate_init(&rate, 1000, now);
    ck_assert_int_eq(rate_take(&rate, 100, now), 0); /* a tenth of a second ahead is free */
    for (int i = 0; i < 100; i++) {
        int64_t ns = rate_take(&rate, 50, now);
        now += ns;
        waited += ns;
    }
    ck_assert_int_ge(waited, 4900000000ll);
    ck_assert_int_le(waited, 5100000000ll);
    rate_init(&rate, 0, now);
    ck_assert_int_eq(rate_take(&rate, UINT64_MAX, now), 0);
}
END_TEST

Suite *suite_compact_plan(void)
{
    Suite *s = suite_create("compact_plan");
    TCase *tc = tcase_create("compact_plan");
    tcase_add_loop_test(tc, test_what_to_compact, 0, sizeof(rows) / sizeof(rows[0]));
    tcase_add_loop_test(tc, test_planning_ends_and_keeps_the_order, 0, 10);
    tcase_add_loop_test(tc, test_when_the_clock_is_believed, 0,
                        sizeof(clocks) / sizeof(clocks[0]));
    tcase_add_test(tc, test_a_rate_is_kept);
    suite_add_tcase(s, tc);
    return s;
}
