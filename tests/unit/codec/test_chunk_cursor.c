/* Goal: a cursor visits every point from wherever it was sent, in order, and ends.
 * Method: random chunks and seeks against a plain search. */
#include "base/arena.h"
#include "base/panic.h"
#include "codec/chunk_cursor.h"
#include "tests/unit/codec/codec_shapes.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

enum { N = 700 };

static ts_time ts[N];
static union value val[N];

static uint8_t *make_chunk(size_t *len, size_t n, enum tick_shape shape, struct rng *rng)
{
    shape_ticks(ts, n, shape, rng);
    shape_values(val, n, VALUE_F64, VALUES_GAUGE, rng, NULL);
    uint8_t *bytes = malloc(chunk_bound(VALUE_F64, NULL, n));
    *len = chunk_encode(bytes, VALUE_F64, ts, val, n);
    return bytes;
}

static size_t walk_points(struct chunk_cursor *cur, size_t i)
{
    bool same = true;
    while (cur->at < cur->n && same) {
        same = cur->ts[cur->at] == ts[i] && cur->val[cur->at].bits == val[i].bits;
        same = same && chunk_cursor_next(cur) == ST_OK;
        i++;
    }
    ck_assert_msg(same, "point %zu", i - 1);
    return i;
}

static size_t walk_sections(struct chunk_cursor *cur, size_t i)
{
    while (cur->at < cur->n) {
        size_t n = cur->n - cur->at;
        ck_assert_mem_eq(cur->ts + cur->at, ts + i, n * sizeof(ts[0]));
        i += n;
        ck_assert_int_eq(chunk_cursor_next_section(cur), ST_OK);
    }
    return i;
}

START_TEST(test_seek_and_walk)
{
    static const size_t sizes[] = {1, 2, 128, 129, 400, N};
    struct chunk_cursor cur;
    struct rng rng;
    size_t len, n = sizes[_i / N_TICK_SHAPES];
    rng_init(&rng, unit_seed());
    uint8_t *bytes = make_chunk(&len, n, (enum tick_shape)(_i % N_TICK_SHAPES), &rng);

    ck_assert_int_eq(chunk_cursor_init(&cur, NULL, bytes, len), ST_OK);
    ck_assert_uint_eq(walk_points(&cur, 0), n);
    ck_assert_int_eq(chunk_cursor_next(&cur), ST_OK); /* at the end: nothing */
    ck_assert_int_eq(chunk_cursor_next_section(&cur), ST_OK);
    for (int round = 0; round < 60; round++) {
        size_t i = rng_below(&rng, n);
        ts_time t = ts[i] - (ts[i] > TS_MIN ? (ts_time)rng_below(&rng, 2) : 0);
        while (i > 0 && ts[i - 1] >= t) i--;
        ck_assert_int_eq(chunk_cursor_seek(&cur, t), ST_OK);
        size_t end = round % 2 ? walk_points(&cur, i) : walk_sections(&cur, i);
        ck_assert_uint_eq(end, n);
    }
    ck_assert_int_eq(chunk_cursor_seek(&cur, TS_MIN), ST_OK);
    ck_assert_int_eq(cur.ts[cur.at], ts[0]);
    if (ts[n - 1] < TS_MAX) {
        ck_assert_int_eq(chunk_cursor_seek(&cur, ts[n - 1] + 1), ST_OK);
        ck_assert_uint_eq(cur.at, cur.n);
    }
    free(bytes);
}
END_TEST

START_TEST(test_damage_is_a_status)
{
    struct chunk_cursor cur;
    struct rng rng;
    size_t len;
    rng_init(&rng, unit_seed());
    uint8_t *bytes = make_chunk(&len, N, TICKS_JITTER, &rng);

    ck_assert_int_eq(chunk_cursor_init(&cur, NULL, bytes, len - 1), ST_CORRUPT);
    ck_assert_int_eq(chunk_cursor_init(&cur, NULL, bytes, len), ST_OK);
    memset(bytes + cur.info.value_off + cur.info.value_len - 24, 0xff, 24);
    ck_assert_int_eq(chunk_cursor_seek(&cur, ts[0]), ST_OK);
    ck_assert_int_eq(chunk_cursor_seek(&cur, ts[N - 1]), ST_CORRUPT);
    ck_assert_int_eq(chunk_cursor_seek(&cur, ts[0]), ST_OK);
    free(bytes);
}
END_TEST

Suite *suite_chunk_cursor(void)
{
    Suite *s = suite_create("chunk_cursor");
    TCase *tc = tcase_create("chunk_cursor");
    tcase_add_loop_test(tc, test_seek_and_walk, 0, 6 * N_TICK_SHAPES);
    tcase_add_test(tc, test_damage_is_a_status);
    suite_add_tcase(s, tc);
    return s;
}
