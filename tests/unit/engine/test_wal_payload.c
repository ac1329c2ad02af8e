/* Goal: payloads give back what was put, within their bounds, and never trust bytes.
 * Method: round trips in buffers of the exact bound; then every truncation, every bit
 * flip and random bytes through every decoder, which must end within the payload. */
#include "base/bits.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/wal_payload.h"
#include "tests/unit/engine/engine_suites.h"

enum { ROWS = 40 };

static const struct series_attrs attrs = {.retention_ms = 5,
                                          .ignore_max_ms = INT64_MAX,
                                          .ignore_max_val = 0.25,
                                          .chunk_bytes = 4096,
                                          .policy = DUP_SUM,
                                          .uncompressed = true};
static const struct series_attrs mortal_attrs = {.expire_ms = INT64_MAX};

static void make_rows(struct wal_row *rows, struct rng *rng)
{
    static const char text[] = "some bytes, more or less";
    for (int i = 0; i < ROWS; i++) {
        uint8_t type = i % 7 == 0 ? VALUE_BYTES : i % 3 == 0 ? VALUE_I64 : VALUE_F64;
        bool same = i > 0 && rng_below(rng, 2) && rows[i - 1].type == type;
        /* A series has one type: it is part of the id here. */
        series_id fresh = (rng_next(rng) >> rng_below(rng, 64)) << 3 | type;
        rows[i] = (struct wal_row){.id = same ? rows[i - 1].id : fresh,
                                   .ts = (ts_time)rng_next(rng),
                                   .type = type};
        if (type == VALUE_BYTES) rows[i].bytes = (struct slice){text, rng_below(rng, sizeof(text))};
        else rows[i].bits = rng_next(rng);
    }
    rows[1].ts = TS_MIN;
    rows[2].ts = TS_MAX;
    rows[3].id = UINT64_MAX;
    if (rows[4].type == rows[3].type) rows[4].id = UINT64_MAX;
}

static const struct wal_row *expected;
static size_t n_seen;

static status same_row(void *ctx, const struct wal_row *row)
{
    const struct wal_row *want = &expected[n_seen++];
    (void)ctx;
    ck_assert_uint_eq(row->id, want->id);
    ck_assert_int_eq(row->ts, want->ts);
    ck_assert_uint_eq(row->type, want->type);
    ck_assert_uint_eq(row->bits, want->bits);
    ck_assert(slice_eq(row->bytes, want->bytes));
    return ST_OK;
}

static size_t put_rows(uint8_t **out, const struct wal_row *rows, size_t n)
{
    size_t bound = 10 + WAL_ROW_BYTES * n;
    for (size_t i = 0; i < n; i++) bound += rows[i].bytes.len;
    *out = malloc(bound);
    size_t len = wal_samples_put(*out, rows, n);
    ck_assert_uint_le(len, bound);
    return len;
}

START_TEST(test_samples_round_trip)
{
    struct rng rng;
    struct wal_row rows[ROWS];
    rng_init(&rng, unit_seed());
    for (int round = 0; round < 100; round++) {
        uint8_t *bytes;
        size_t n = rng_below(&rng, ROWS + 1);
        make_rows(rows, &rng);
        size_t len = put_rows(&bytes, rows, n);
        expected = rows;
        n_seen = 0;
        ck_assert_int_eq(wal_samples_each(slice_of(bytes, len), same_row, NULL), ST_OK);
        ck_assert_uint_eq(n_seen, n);
        free(bytes);
    }
}
END_TEST

static status same_series(void *ctx, const struct wal_series *got)
{
    const struct wal_series *want = (const struct wal_series *)ctx + n_seen++;
    ck_assert_uint_eq(got->id, want->id);
    ck_assert_uint_eq(got->place, want->place);
    ck_assert_int_eq(got->type, want->type);
    ck_assert(slice_eq(got->identity, want->identity));
    ck_assert_int_eq(got->has_attrs, want->has_attrs);
    if (got->has_attrs) {
        ck_assert_int_eq(got->attrs.retention_ms, want->attrs.retention_ms);
        ck_assert_int_eq(got->attrs.ignore_max_ms, want->attrs.ignore_max_ms);
        ck_assert(got->attrs.ignore_max_val == want->attrs.ignore_max_val);
        ck_assert_uint_eq(got->attrs.chunk_bytes, want->attrs.chunk_bytes);
        ck_assert_int_eq(got->attrs.policy, want->attrs.policy);
        ck_assert_int_eq(got->attrs.uncompressed, want->attrs.uncompressed);
        ck_assert_int_eq(got->attrs.expire_ms, want->attrs.expire_ms);
    }
    return ST_OK;
}

static size_t put_series(uint8_t *dst, struct wal_series *series)
{
    series[0] = (struct wal_series){.id = 1, .place = UINT64_MAX, .type = VALUE_HISTOGRAM,
                                    .identity = SLICE_LIT("an identity")};
    series[1] = (struct wal_series){.id = UINT64_MAX, .type = VALUE_F64, .has_attrs = true,
                                    .attrs = mortal_attrs, .identity = SLICE_LIT("x")};
    size_t len = wal_series_put(dst, &series[0]);
    return len + wal_series_put(dst + len, &series[1]);
}

START_TEST(test_definitions_attributes_and_deletes_round_trip)
{
    uint8_t bytes[512];
    struct wal_series series[2];
    size_t len = put_series(bytes, series);
    ck_assert_uint_le(len, 2 * (WAL_SERIES_BYTES + ATTRS_BYTES) + 12);
    n_seen = 0;
    ck_assert_int_eq(wal_series_each(slice_of(bytes, len), same_series, series), ST_OK);
    ck_assert_uint_eq(n_seen, 2);

    series_id id;
    struct series_attrs back;
    len = wal_attrs_put(bytes, 77, &attrs);
    ck_assert_int_eq(wal_attrs_get(&id, &back, slice_of(bytes, len)), ST_OK);
    ck_assert_uint_eq(id, 77);
    ck_assert_int_eq(back.policy, DUP_SUM);
    struct series_attrs mortal = attrs;
    mortal.expire_ms = 1700000000123;
    size_t longer = wal_attrs_put(bytes, 77, &mortal);
    ck_assert_uint_eq(longer, len + 8);
    ck_assert_int_eq(wal_attrs_get(&id, &back, slice_of(bytes, longer)), ST_OK);
    ck_assert_int_eq(back.expire_ms, mortal.expire_ms);
    ck_assert_int_eq(wal_attrs_get(&id, &back, slice_of(bytes, len)), ST_CORRUPT);
    struct series_attrs made = mortal, bad;
    made.rule_source = UINT64_MAX;
    made.rule_bucket_ms = 60000;
    made.rule_align_ms = 1;
    made.rule_since = TS_MIN;
    made.rule_agg = AGG_TWA;
    longer = wal_attrs_put(bytes, 77, &made);
    ck_assert_uint_eq(longer, 8 + ATTRS_BYTES);
    ck_assert_int_eq(wal_attrs_get(&id, &back, slice_of(bytes, longer)), ST_OK);
    ck_assert_mem_eq(&back.rule_since, &made.rule_since, sizeof(made.rule_since));
    ck_assert(back.rule_source == UINT64_MAX && back.rule_bucket_ms == 60000 &&
              back.rule_align_ms == 1 && back.rule_agg == AGG_TWA &&
              back.expire_ms == mortal.expire_ms);
    ck_assert_int_eq(wal_attrs_get(&id, &back, slice_of(bytes, longer - 1)), ST_CORRUPT);
    bad = made;
    bad.rule_bucket_ms = 0;
    ck_assert(attrs_valid(&made) && !attrs_valid(&bad));
    longer = wal_attrs_put(bytes, 77, &bad);
    ck_assert_int_eq(wal_attrs_get(&id, &back, slice_of(bytes, longer)), ST_CORRUPT);
    bad = made;
    bad.rule_agg = N_AGGS;
    longer = wal_attrs_put(bytes, 77, &bad);
    ck_assert_int_eq(wal_attrs_get(&id, &back, slice_of(bytes, longer)), ST_CORRUPT);
    struct series_attrs negative = {.retention_ms = -1};
    ck_assert(attrs_valid(&attrs) && !attrs_valid(&negative));
    len = wal_attrs_put(bytes, 77, &negative);
    ck_assert_int_eq(wal_attrs_get(&id, &back, slice_of(bytes, len)), ST_CORRUPT);

    const uint64_t ids[] = {1, 2, 1000, UINT64_MAX};
    uint64_t *got, order;
    size_t n;
    struct time_range range;
    len = wal_delete_put(bytes, ids, 4, (struct time_range){TS_MIN, 5}, 9);
    ck_assert_uint_le(len, 40 + 10 * 4);
    ck_assert_int_eq(wal_delete_get(&got, &n, &range, &order, slice_of(bytes, len)), ST_OK);
    ck_assert_uint_eq(n, 4);
    ck_assert_mem_eq(got, ids, sizeof(ids));
    ck_assert_int_eq(range.from, TS_MIN);
    ck_assert_int_eq(range.to, 5);
    ck_assert_uint_eq(order, 9);
    mem_free(got);
}
END_TEST

/* --- hostile bytes ------------------------------------------------------------------- */

static status touch_row(void *ctx, const struct wal_row *row)
{
    uint64_t *sum = ctx;
    *sum += row->bits + (uint64_t)row->ts;
    for (size_t i = 0; i < row->bytes.len; i++) *sum += (uint8_t)row->bytes.ptr[i];
    return ST_OK;
}

static status touch_series(void *ctx, const struct wal_series *series)
{
    uint64_t *sum = ctx;
    for (size_t i = 0; i < series->identity.len; i++) *sum += (uint8_t)series->identity.ptr[i];
    ck_assert_uint_ne(series->id, 0);
    return ST_OK;
}

/* Every decoder on a copy of exactly that size, so that a byte too far is seen. */
static void decode_all(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    struct slice payload = slice_of(copy, len);
    uint64_t sum = 0, *ids, order;
    series_id id;
    struct series_attrs back;
    size_t n;
    struct time_range range;
    if (len) memcpy(copy, bytes, len);
    status st = wal_samples_each(payload, touch_row, &sum);
    ck_assert(st == ST_OK || st == ST_CORRUPT);
    st = wal_series_each(payload, touch_series, &sum);
    ck_assert(st == ST_OK || st == ST_CORRUPT);
    st = wal_attrs_get(&id, &back, payload);
    ck_assert(st == ST_OK || st == ST_CORRUPT);
    st = wal_delete_get(&ids, &n, &range, &order, payload);
    ck_assert(st == ST_OK || st == ST_CORRUPT);
    if (st == ST_OK) {
        for (size_t i = 1; i < n; i++) ck_assert_uint_lt(ids[i - 1], ids[i]);
        mem_free(ids);
    }
    free(copy);
}

static void attack(uint8_t *bytes, size_t len)
{
    for (size_t cut = 0; cut <= len; cut++) decode_all(bytes, cut);
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        decode_all(bytes, len);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

START_TEST(test_hostile_bytes_are_refused)
{
    struct rng rng;
    struct wal_row rows[ROWS];
    struct wal_series series[2];
    uint8_t *samples, bytes[512];
    const uint64_t ids[] = {3, 4, 1000};
    uint64_t sum = 0;
    rng_init(&rng, unit_seed());
    make_rows(rows, &rng);
    size_t len = put_rows(&samples, rows, ROWS);
    for (size_t cut = 0; cut < len; cut++)
        ck_assert_int_eq(wal_samples_each(slice_of(samples, cut), touch_row, &sum), ST_CORRUPT);
    attack(samples, len);
    free(samples);
    attack(bytes, put_series(bytes, series));
    attack(bytes, wal_attrs_put(bytes, 1, &attrs));
    attack(bytes, wal_delete_put(bytes, ids, 3, (struct time_range){0, 1}, 1));
    for (int i = 0; i < 20000; i++) {
        size_t n = rng_below(&rng, 80);
        for (size_t k = 0; k < n; k++)
            bytes[k] = rng_below(&rng, 3) ? (uint8_t)rng_below(&rng, 20) : (uint8_t)rng_next(&rng);
        decode_all(bytes, n);
    }
}
END_TEST

START_TEST(test_ids_that_do_not_ascend_are_refused)
{
    uint8_t bytes[64];
    const uint64_t wraps[] = {UINT64_MAX, 5};
    uint64_t *ids, order;
    size_t n;
    struct time_range range;
    size_t len = wal_delete_put(bytes, wraps, 2, (struct time_range){0, 1}, 1);
    ck_assert_int_eq(wal_delete_get(&ids, &n, &range, &order, slice_of(bytes, len)), ST_CORRUPT);
}
END_TEST

START_TEST(test_other_labels_round_trip)
{
    uint8_t bytes[512];
    struct wal_series want = {.id = 5, .place = 9, .type = VALUE_F64, .has_attrs = true,
                              .attrs = mortal_attrs, .identity = SLICE_LIT("an identity")};
    struct wal_series got;
    uint16_t version;
    size_t len = wal_relabel_put(bytes, &want, UINT16_MAX);
    ck_assert_uint_le(len, WAL_RELABEL_BYTES + ATTRS_BYTES + want.identity.len);
    ck_assert_int_eq(wal_relabel_get(&got, &version, slice_of(bytes, len)), ST_OK);
    n_seen = 0;
    ck_assert_int_eq(same_series(&want, &got), ST_OK);
    ck_assert_uint_eq(version, UINT16_MAX);
    for (size_t cut = 0; cut < len; cut++)
        ck_assert_int_eq(wal_relabel_get(&got, &version, slice_of(bytes, cut)), ST_CORRUPT);
    ck_assert_int_eq(wal_relabel_get(&got, &version, slice_of(bytes, len + 1)), ST_CORRUPT);
    len = wal_relabel_put(bytes, &want, 1); /* the first labels are no other labels */
    ck_assert_int_eq(wal_relabel_get(&got, &version, slice_of(bytes, len)), ST_CORRUPT);
}
END_TEST

Suite *suite_wal_payload(void)
{
    Suite *s = suite_create("wal_payload");
    TCase *tc = tcase_create("wal_payload");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_samples_round_trip);
    tcase_add_test(tc, test_definitions_attributes_and_deletes_round_trip);
    tcase_add_test(tc, test_hostile_bytes_are_refused);
    tcase_add_test(tc, test_ids_that_do_not_ascend_are_refused);
    tcase_add_test(tc, test_other_labels_round_trip);
    suite_add_tcase(s, tc);
    return s;
}
