/* Goal: histograms of any two layouts add up, and what is said about them is right: resets,
 * equality, trims, hints, means. Method: tables of histograms as text, whose results are
 * compared as text; then laws that must hold of random histograms (seed printed). */
#include <float.h>

#include "base/rng.h"
#include "base/strbuf.h"
#include "promql/hist_math.h"
#include "promql/hist_quantile.h"
#include "tests/lib/histogram_parse.h"
#include "tests/unit/promql/promql_suites.h"

static struct arena arena;
static struct hist_work work;

static void setup(void)
{
    arena_init(&arena, NULL, 4096);
    work = (struct hist_work){.arena = &arena};
}

static void teardown(void)
{
    arena_release(&arena);
}

static const struct histogram *parse(const char *text)
{
    const struct histogram *h = NULL;
    struct err err = {0};

    ck_assert_msg(histogram_parse(&h, slice_str(text), &arena, &err) == ST_OK, "%s: %s", text,
                  err.text);
    return h;
}

static const char *text_of(const struct histogram *h)
{
    struct strbuf out;

    strbuf_init(&out, 0);
    histogram_text(&out, h);
    const char *text = arena_printf(&arena, SLICE_FMT, SLICE_ARG(strbuf_view(&out)));
    strbuf_release(&out);
    return text;
}

static const struct histogram *sum_of(const struct histogram *a, const struct histogram *b,
                                      int sign, struct hist_notes *notes)
{
    struct hist_sum sum = {0};

    ck_assert_int_eq(hist_sum_set(&work, &sum, a), HIST_DONE);
    if (hist_sum_add(&work, &sum, b, sign, notes) != HIST_DONE) return NULL;
    const struct histogram *out = hist_sum_value(&arena, &sum);
    ck_assert(out && histogram_check(out, NULL) == ST_OK);
    return out;
}

/* ---- sums ------------------------------------------------------------------------- */

static const struct {
    const char *a, *b;
    int sign;
    const char *want; /* NULL: they do not meet */
    bool reconciled;
} sums[] = {
    {"count:2 sum:3 buckets:[1 1]", "count:2 sum:3 buckets:[1 1]", 1,
     "{count:4, sum:6, (0.5,1]:2, (1,2]:2}", false},
    {"count:2 sum:3 buckets:[1 1]", "count:2 sum:3 buckets:[1 1]", -1, "{count:0, sum:0}", false},
    {"count:1 offset:5 buckets:[1]", "count:2 offset:-2 buckets:[1 0 0 1]", 1,
     "{count:3, sum:0, (0.125,0.25]:1, (1,2]:1, (16,32]:1}", false},
    {"count:3 n_buckets:[1 2]", "count:3 buckets:[2 1]", -1,
     "{count:0, sum:0, [-2,-1):2, [-1,-0.5):1, (0.5,1]:-2, (1,2]:-1}", false},
    /* the coarser schema wins, on either side */
    {"schema:2 count:4 buckets:[1 1 1 1]", "count:1 buckets:[1]", 1,
     "{count:5, sum:0, (0.5,1]:2, (1,2]:3}", false},
    {"schema:-1 count:1 buckets:[1]", "schema:1 count:3 offset:-1 buckets:[1 1 1]", 1,
     "{count:4, sum:0, (0.25,1]:3, (1,4]:1}", false},
    {"schema:8 count:2 offset:-300 buckets:[1 1]", "schema:-4 count:1 buckets:[1]", -1,
     "{count:1, sum:0, (1.52587890625e-05,1]:1}", false},
    /* the wider zero bucket takes what it covers, and what it cuts */
    {"count:4 z_bucket:1 z_bucket_w:0.01 offset:-3 buckets:[1 1 1]",
     "count:1 z_bucket:1 z_bucket_w:0.125", 1,
     "{count:5, sum:0, [-0.125,0.125]:3, (0.125,0.25]:1, (0.25,0.5]:1}", false},
    {"count:2 z_bucket:1 z_bucket_w:0.3 n_buckets:[0 0]", "count:1 offset:-1 buckets:[1]", 1,
     "{count:3, sum:0, [-0.5,0.5]:2}", false},
    {"count:1 z_bucket:1 z_bucket_w:0.3", "count:2 offset:-1 buckets:[1] n_offset:0 n_buckets:[1]",
     1, "{count:3, sum:0, [-1,-0.5):1, [-0.5,0.5]:2}", false},
    {"count:1 z_bucket:1 z_bucket_w:0.7", "count:2 offset:-2 buckets:[1 0 0 1] n_buckets:[0 1]", 1,
     "{count:3, sum:0, [-2,-1):1, [-0.7,0.7]:2, (1,2]:1}", false},
    /* custom bounds: those that both have */
    {"schema:-53 count:6 custom_values:[1 2 3] buckets:[1 2 2 1]",
     "schema:-53 count:6 custom_values:[1 2 3] buckets:[1 2 2 1]", 1,
     "{count:12, sum:0, [-Inf,1]:2, (1,2]:4, (2,3]:4, (3,+Inf]:2}", false},
    {"schema:-53 count:6 custom_values:[1 2 3] buckets:[1 2 2 1]",
     "schema:-53 count:3 custom_values:[2 4] buckets:[1 1 1]", 1,
     "{count:9, sum:0, [-Inf,2]:4, (2,+Inf]:5}", true},
    {"schema:-53 count:3 custom_values:[1] buckets:[1 2]",
     "schema:-53 count:3 custom_values:[2] buckets:[1 2]", -1, "{count:0, sum:0}", true},
    {"schema:-53 count:3 custom_values:[1] buckets:[1 2]", "count:1 buckets:[1]", 1, NULL, false},
    {"count:1 buckets:[1]", "schema:-53 count:3 custom_values:[1] buckets:[1 2]", 1, NULL, false},
};

START_TEST(test_sums)
{
    struct hist_notes notes = {0};
    const struct histogram *h =
        sum_of(parse(sums[_i].a), parse(sums[_i].b), sums[_i].sign, &notes);

    ck_assert_int_eq(notes.reconciled, sums[_i].reconciled);
    ck_assert(!notes.reset_collision);
    if (!sums[_i].want) ck_assert(!h);
    else ck_assert_str_eq(text_of(h), sums[_i].want);
}
END_TEST

START_TEST(test_hints_of_a_sum)
{
    static const struct {
        enum hist_reset a, b, want;
        bool collision;
    } table[] = {
        {HIST_RESET_NO, HIST_RESET_NO, HIST_RESET_NO, false},
        {HIST_RESET_YES, HIST_RESET_YES, HIST_RESET_YES, false},
        {HIST_GAUGE, HIST_RESET_YES, HIST_GAUGE, false},
        {HIST_RESET_NO, HIST_GAUGE, HIST_GAUGE, false},
        {HIST_RESET_UNKNOWN, HIST_RESET_NO, HIST_RESET_UNKNOWN, false},
        {HIST_RESET_NO, HIST_RESET_UNKNOWN, HIST_RESET_UNKNOWN, false},
        {HIST_RESET_NO, HIST_RESET_YES, HIST_RESET_UNKNOWN, true},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct histogram a = {.reset = table[i].a}, b = {.reset = table[i].b};
        struct hist_notes notes = {0};
        const struct histogram *h = sum_of(&a, &b, 1, &notes);
        ck_assert_int_eq(h->reset, table[i].want);
        ck_assert_int_eq(notes.reset_collision, table[i].collision);
    }
    struct histogram no = {.reset = HIST_RESET_NO};
    ck_assert_int_eq(histogram_scaled(&work, &no, 2)->reset, HIST_RESET_NO);
    ck_assert_int_eq(histogram_scaled(&work, &no, -2)->reset, HIST_GAUGE);
    ck_assert_int_eq(histogram_divided(&work, &no, -2)->reset, HIST_GAUGE);
}
END_TEST

START_TEST(test_scaling)
{
    const struct histogram *h = parse("count:3 sum:6 z_bucket:1 buckets:[2 0 4]");
    const struct histogram *custom = parse("schema:-53 count:3 custom_values:[1] buckets:[1 2]");

    ck_assert_str_eq(text_of(histogram_scaled(&work, h, 0.5)),
                     "{count:1.5, sum:3, [-0,0]:0.5, (0.5,1]:1, (2,4]:2}");
    ck_assert_str_eq(text_of(histogram_divided(&work, h, -1)),
                     "{count:-3, sum:-6, (0.5,1]:-2, (2,4]:-4}");
    ck_assert_str_eq(text_of(histogram_divided(&work, h, 0)),
                     "{count:+Inf, sum:+Inf, [-0,0]:+Inf}");
    ck_assert_uint_eq(histogram_scaled(&work, h, 0)->pos.n_counts, 0);
    const struct histogram *nan = histogram_scaled(&work, custom, NAN);
    ck_assert(histogram_check(nan, NULL) == ST_OK); /* no zero bucket came to be */
}
END_TEST

/* ---- means ------------------------------------------------------------------------ */

static const struct {
    const char *h[4];
    const char *want;
} means[] = {
    {{"count:1 sum:3 buckets:[1]"}, "{count:1, sum:3, (0.5,1]:1}"},
    {{"count:1 sum:3 buckets:[1]", "count:3 sum:5 buckets:[1 2]"},
     "{count:2, sum:4, (0.5,1]:1, (1,2]:1}"},
    {{"sum:1", "sum:1e100", "sum:1", "sum:-1e100"}, "{count:0, sum:0.5}"},
    /* 1.5e308 + 1.5e308 overflows: the mean goes on without the sum */
    {{"count:1.5e308 sum:1", "count:1.5e308 sum:3", "count:0 sum:5"}, "{count:1e+308, sum:3}"},
    {{"count:1 buckets:[1.5e308]", "schema:1 count:1 buckets:[1.5e308]"},
     "{count:1, sum:0, (0.5,1]:1.5e+308}"},
    {{"count:Inf sum:1", "count:1 sum:3"}, "{count:+Inf, sum:2}"},
};

START_TEST(test_means)
{
    struct hist_mean mean = {0};
    struct hist_notes notes = {0};

    for (size_t i = 0; i < 4 && means[_i].h[i]; i++) {
        const struct histogram *h = parse(means[_i].h[i]);
        ck_assert_int_eq(hist_mean_add(&work, &mean, h, &notes), HIST_DONE);
    }
    ck_assert_str_eq(text_of(hist_mean_value(&arena, &mean)), means[_i].want);
}
END_TEST

START_TEST(test_a_mean_refuses_other_buckets)
{
    struct hist_mean mean = {0};
    struct hist_notes notes = {0};

    ck_assert_int_eq(hist_mean_add(&work, &mean, parse("count:1 buckets:[1]"), &notes), HIST_DONE);
    ck_assert_int_eq(
        hist_mean_add(&work, &mean, parse("schema:-53 count:1 buckets:[1]"), &notes), HIST_MIXED);
    ck_assert_double_eq(mean.n, 1);
}
END_TEST

/* ---- comparing -------------------------------------------------------------------- */

static const struct {
    const char *prev, *h;
    bool reset, same;
} pairs[] = {
    {"count:2 buckets:[1 1]", "count:2 buckets:[1 1]", false, true},
    {"count:2 buckets:[1 1]", "count:3 buckets:[1 2]", false, false},
    {"count:2 buckets:[1 1]", "count:1 buckets:[1]", true, false},
    {"count:2 buckets:[1 1]", "count:5 buckets:[0 5]", true, false},
    {"count:2 buckets:[1 0 1]", "count:2 buckets:[1 1]", true, false},
    {"count:2 buckets:[2 0]", "count:2 buckets:[2]", false, false}, /* explicit zeros differ */
    {"count:2 n_buckets:[2]", "count:2 buckets:[2]", true, false},
    /* a hint decides */
    {"count:2 buckets:[2]", "count:1 buckets:[1] counter_reset_hint:not_reset", false, false},
    {"count:2 buckets:[2]", "count:2 buckets:[2] counter_reset_hint:reset", true, true},
    {"count:2 buckets:[2]", "count:2 buckets:[2] counter_reset_hint:gauge", false, true},
    /* a finer schema is another counter, a coarser one goes on */
    {"count:2 buckets:[1 1]", "schema:1 count:9 buckets:[4 5]", true, false},
    {"schema:1 count:2 buckets:[1 1]", "count:9 buckets:[4 5]", false, false},
    {"schema:1 count:3 offset:1 buckets:[1 2]", "count:9 buckets:[7 2]", true, false},
    /* a narrower zero bucket is another counter; a wider one must not cut a bucket */
    {"z_bucket_w:0.5 count:1 z_bucket:1", "z_bucket_w:0.1 count:3 z_bucket:3", true, false},
    {"z_bucket_w:0.1 count:2 z_bucket:1 offset:-1 buckets:[1]", "z_bucket_w:0.5 count:2 z_bucket:2",
     false, false},
    {"z_bucket_w:0.1 count:2 z_bucket:1 offset:-1 buckets:[1]", "z_bucket_w:0.5 count:2 z_bucket:1",
     true, false},
    {"z_bucket_w:0.1 count:2 z_bucket:1 offset:-1 buckets:[1]", "z_bucket_w:0.4 count:9 z_bucket:9",
     true, false},
    /* custom bounds are compared where both have them */
    {"schema:-53 count:3 custom_values:[1] buckets:[1 2]",
     "schema:-53 count:3 custom_values:[1] buckets:[1 2]", false, true},
    {"schema:-53 count:15 custom_values:[2 4 6] buckets:[1 2 5 7]",
     "schema:-53 count:15 custom_values:[2 3 4 6] buckets:[1 0 1 5 8]", true, false},
    {"schema:-53 count:3 custom_values:[5] buckets:[3]",
     "schema:-53 count:3 custom_values:[5 10] buckets:[3]", false, false},
    {"count:1 buckets:[1]", "schema:-53 count:3 custom_values:[5] buckets:[3]", true, false},
};

START_TEST(test_pairs)
{
    const struct histogram *prev = parse(pairs[_i].prev), *h = parse(pairs[_i].h);
    bool reset = !pairs[_i].reset;

    ck_assert_int_eq(histogram_is_reset(&work, h, prev, &reset), HIST_DONE);
    ck_assert_int_eq(reset, pairs[_i].reset);
    ck_assert_int_eq(histogram_same(prev, h), pairs[_i].same);
    ck_assert_int_eq(histogram_same(h, prev), pairs[_i].same);
}
END_TEST

/* ---- trims ------------------------------------------------------------------------ */

static const struct {
    const char *h;
    double x;
    const char *below, *above;
} trims[] = {
    {"count:3 sum:100 buckets:[1 2]", 1, "{count:1, sum:0.7071067811865476, (0.5,1]:1}",
     "{count:2, sum:2.8284271247461903, (1,2]:2}"},
    {"count:3 sum:100 buckets:[1 2]", INFINITY, "{count:3, sum:100, (0.5,1]:1, (1,2]:2}",
     "{count:0, sum:0}"},
    {"count:3 sum:100 buckets:[1 2]", -1, "{count:0, sum:0}",
     "{count:3, sum:100, (0.5,1]:1, (1,2]:2}"},
    {"count:4 sum:-9 offset:1 n_offset:1 n_buckets:[4]", -sqrt(2),
     "{count:1.9999999999999996, sum:-3.3635856610148576, [-2,-1):1.9999999999999996}",
     "{count:2.0000000000000004, sum:-2.3784142300054425, [-2,-1):2.0000000000000004}"},
    {"count:4 z_bucket:4 z_bucket_w:1", 0.5, "{count:3, sum:-0.75, [-1,1]:3}",
     "{count:1, sum:0.75, [-1,1]:1}"},
    {"schema:-53 count:6 sum:9 custom_values:[2 4] buckets:[2 2 2]", 3,
     "{count:3, sum:4.5, [-Inf,2]:2, (2,4]:1}", "{count:3, sum:11.5, (2,4]:1, (4,+Inf]:2}"},
    {"schema:-53 count:6 sum:9 custom_values:[2 4] buckets:[2 2 2]", 9,
     "{count:4, sum:8, [-Inf,2]:2, (2,4]:2}", "{count:2, sum:18, (4,+Inf]:2}"},
    {"schema:-53 count:2 sum:9 custom_values:[-2] buckets:[2]", -3,
     "{count:2, sum:9, [-Inf,-2]:2}", "{count:0, sum:0}"},
    {"count:3 sum:1 buckets:[1 2]", NAN, "{count:0, sum:0}", "{count:0, sum:0}"},
};

START_TEST(test_trims)
{
    const struct histogram *h = parse(trims[_i].h);

    ck_assert_str_eq(text_of(histogram_trim(&work, h, trims[_i].x, true)), trims[_i].below);
    ck_assert_str_eq(text_of(histogram_trim(&work, h, trims[_i].x, false)), trims[_i].above);
}
END_TEST

/* ---- laws ------------------------------------------------------------------------- */

static void random_list(struct strbuf *out, struct rng *rng, const char *name, size_t n)
{
    strbuf_printf(out, " %s:[", name);
    for (size_t i = 0; i < n; i++) strbuf_printf(out, "%d ", (int)rng_below(rng, 5));
    strbuf_str(out, "]");
}

/* Whole counts whose sum is the count, so that sums are exact. */
static const struct histogram *random_histogram(struct rng *rng)
{
    struct strbuf out;
    int schema = (int)rng_below(rng, 5) - 1;

    strbuf_init(&out, 0);
    strbuf_printf(&out, "schema:%d sum:%d z_bucket:%d z_bucket_w:%g offset:%d n_offset:%d", schema,
                  (int)rng_below(rng, 100), (int)rng_below(rng, 4),
                  rng_below(rng, 3) ? 0.25 : 0.3, (int)rng_below(rng, 9) - 4,
                  (int)rng_below(rng, 9) - 4);
    random_list(&out, rng, "buckets", rng_below(rng, 7));
    random_list(&out, rng, "n_buckets", rng_below(rng, 3));
    struct histogram *h = arena_try(&arena, sizeof(*h));
    *h = *parse(strbuf_cstr(&out));
    strbuf_release(&out);
    h->count = h->zero_count;
    for (size_t i = 0; i < h->pos.n_counts; i++) h->count += h->pos.counts[i];
    for (size_t i = 0; i < h->neg.n_counts; i++) h->count += h->neg.counts[i];
    return h;
}

static double in_buckets(const struct histogram *h)
{
    double n = h->zero_count;

    for (size_t i = 0; i < h->pos.n_counts; i++) n += h->pos.counts[i];
    for (size_t i = 0; i < h->neg.n_counts; i++) n += h->neg.counts[i];
    return n;
}

START_TEST(test_laws)
{
    struct rng rng;
    struct hist_notes notes = {0};

    rng_init(&rng, unit_seed());
    for (int i = 0; i < 3000; i++) {
        const struct histogram *a = random_histogram(&rng), *b = random_histogram(&rng);
        const struct histogram *ab = sum_of(a, b, 1, &notes), *ba = sum_of(b, a, 1, &notes);
        bool reset = true;

        ck_assert_str_eq(text_of(ab), text_of(ba));
        ck_assert_double_eq(in_buckets(ab), ab->count); /* nothing is lost or counted twice */
        const struct histogram *back = sum_of(ab, b, -1, &notes);
        ck_assert_double_eq(back->count, a->count);
        ck_assert_double_eq(in_buckets(back), a->count);
        ck_assert_str_eq(text_of(sum_of(ab, ab, 1, &notes)),
                         text_of(histogram_scaled(&work, ab, 2)));
        ck_assert_int_eq(histogram_is_reset(&work, ab, ab, &reset), HIST_DONE);
        ck_assert(!reset);
        double x = (double)rng_below(&rng, 200) / 8 - 10;
        const struct histogram *low = histogram_trim(&work, ab, x, true);
        const struct histogram *high = histogram_trim(&work, ab, x, false);
        ck_assert_double_eq_tol(low->count + high->count, ab->count, 1e-9);
        arena_reset(&arena);
        work = (struct hist_work){.arena = &arena};
    }
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_hist_math(void)
{
    Suite *s = suite_create("hist_math");
    TCase *tc = tcase_create("hist_math");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_sums, 0, N(sums));
    tcase_add_test(tc, test_hints_of_a_sum);
    tcase_add_test(tc, test_scaling);
    tcase_add_loop_test(tc, test_means, 0, N(means));
    tcase_add_test(tc, test_a_mean_refuses_other_buckets);
    tcase_add_loop_test(tc, test_pairs, 0, N(pairs));
    tcase_add_loop_test(tc, test_trims, 0, N(trims));
    tcase_add_test(tc, test_laws);
    suite_add_tcase(s, tc);
    return s;
}
