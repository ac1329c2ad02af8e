/* Goal: columns of times come back and are as small as performance.md 3.3 says. Method:
 * every shape at every size; the patterns of that table with their bounds; any bytes. */
#include "base/panic.h"
#include "codec/tick_column.h"
#include "tests/unit/codec/codec_shapes.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

enum { N_MAX = 4096 };

static ts_time ts[N_MAX], back[N_MAX];
static uint64_t words[4 * N_MAX];

static size_t check(size_t n, const char *name)
{
    uint8_t *bytes = malloc(tick_column_bound(n));
    size_t len = tick_column_encode(bytes, ts, n, words);

    ck_assert_uint_le(len, tick_column_bound(n));
    bytes = realloc(bytes, len);
    memset(back, 0xa5, sizeof(back));
    ck_assert_msg(tick_column_decode(back, n, ts[0], bytes, len) == ST_OK, "%s: %zu", name, n);
    ck_assert_msg(memcmp(back, ts, n * sizeof(ts[0])) == 0, "%s: %zu", name, n);
    for (size_t cut = 0; cut < len; cut += 1 + len / 50) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, bytes, cut);
        ck_assert_int_eq(tick_column_decode(back, n, ts[0], part, cut), ST_CORRUPT);
        free(part);
    }
    free(bytes);
    return len;
}

START_TEST(test_round_trip)
{
    static const size_t sizes[] = {2, 3, 4, 5, 16, 127, 128, 129, 130, 1000, N_MAX};
    struct rng rng;
    rng_init(&rng, unit_seed());

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        shape_ticks(ts, sizes[i], (enum tick_shape)_i, &rng);
        check(sizes[i], tick_shape_name((enum tick_shape)_i));
    }
}
END_TEST

/* About normal, of deviation 1. */
static double draw_normal(struct rng *rng)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += rng_unit(rng);
    return sum;
}

enum pattern { JITTER_RARE, JITTER_2MS, JITTER_50MS, MISSING, JITTER_MISSING, DRIFT, SHIFT };

static void fill(enum pattern pattern, struct rng *rng)
{
    double t = 1700000000000;
    for (size_t i = 0; i < 2048; i++) {
        double at = t;
        switch (pattern) {
        case JITTER_RARE:
            if (rng_below(rng, 20) == 0) at += rng_below(rng, 2) ? 1 : -1;
            break;
        case JITTER_2MS: at += 2 * draw_normal(rng); break;
        case JITTER_50MS: at += (double)rng_below(rng, 101) - 50; break;
        case JITTER_MISSING: at += 2 * draw_normal(rng); /* fall through */
        case MISSING:
            if (rng_below(rng, 100) == 0) t += 15000;
            break;
        case DRIFT: t += 0.37; at += draw_normal(rng); break;
        case SHIFT:
            if (i == 1000) t += 7123;
            at += draw_normal(rng);
            break;
        }
        ts[i] = (ts_time)at;
        t += 15000;
    }
}

START_TEST(test_sizes)
{
    static const struct {
        const char *name;
        double bytes; /* a sample: performance.md 3.3, right column, and a little */
    } rows[] = {
        [JITTER_RARE] = {"1 ms on 5 %", 0.1},
        [JITTER_2MS] = {"2 ms of jitter", 0.54},
        [JITTER_50MS] = {"50 ms of jitter", 0.90},
        [MISSING] = {"1 % missing", 0.044},
        [JITTER_MISSING] = {"2 ms of jitter, 1 % missing", 0.58},
        [DRIFT] = {"a clock that is fast", 0.5},
        [SHIFT] = {"a scraper that was restarted", 0.65},
    };
    struct rng rng;
    rng_init(&rng, unit_seed());

    fill((enum pattern)_i, &rng);
    double each = (double)check(2048, rows[_i].name) / 2048;
    printf("# %s: %.3f bytes a time\n", rows[_i].name, each);
    ck_assert_msg(each <= rows[_i].bytes, "%s: %.3f", rows[_i].name, each);
}
END_TEST

START_TEST(test_any_bytes)
{
    struct rng rng;
    rng_init(&rng, unit_seed());

    for (int round = 0; round < 20000; round++) {
        size_t len = rng_below(&rng, 60), n = 2 + rng_below(&rng, 300);
        uint8_t *bytes = malloc(len + 1);
        for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)rng_below(&rng, i < 6 ? 40 : 256);
        if (len && round % 2) {
            bytes[0] = (uint8_t)(5 + rng_below(&rng, 2) + 16 * rng_below(&rng, 8));
        }
        (void)!tick_column_decode(back, n, 0, bytes, len);
        free(bytes);
    }
}
END_TEST

Suite *suite_tick_column(void)
{
    Suite *s = suite_create("tick_column");
    TCase *tc = tcase_create("tick_column");
    tcase_add_loop_test(tc, test_round_trip, 0, N_TICK_SHAPES);
    tcase_add_loop_test(tc, test_sizes, 0, SHIFT + 1);
    tcase_add_test(tc, test_any_bytes);
    suite_add_tcase(s, tc);
    return s;
}
