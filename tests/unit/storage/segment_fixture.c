/* See segment_fixture.h. */
#include "tests/unit/storage/segment_fixture.h"

#include "base/hash.h"
#include "base/varint.h"
#include "codec/chunk.h"

const struct database_id segment_fixture_db = {{0x5e, 9, 8, 7}};

enum { PER_SHARD = 4 };

static size_t put_text(uint8_t *dst, const char *text)
{
    size_t at = varint_put(dst, strlen(text));
    memcpy(dst + at, text, strlen(text));
    return at + strlen(text);
}

/* A place in the wanted shard; the hash itself is of no interest. */
static uint64_t place_in(unsigned shard, size_t i)
{
    return ((uint64_t)i * 0x9e3779b97f4a7c15ull) / 64 * 64 + shard;
}

struct segment_series segment_fixture_series(size_t i)
{
    static uint8_t bytes[512];
    static char text[64];
    size_t at = 0;

    at += put_text(bytes + at, i % 3 ? "cpu_seconds_total" : "");
    if (i % 5 == 0) {
        at += put_text(bytes + at, "__key__");
        (void)snprintf(text, sizeof(text), "key:%zu", i);
        at += put_text(bytes + at, text);
    }
    at += put_text(bytes + at, "instance");
    (void)snprintf(text, sizeof(text), "host-%zu:9100", i / 7);
    at += put_text(bytes + at, text);
    at += put_text(bytes + at, "job");
    at += put_text(bytes + at, "node");
    return (struct segment_series){
        .id = 1000 + 3 * i,
        .place = place_in((unsigned)(i / PER_SHARD % SEGMENT_SHARDS), i),
        .type = i % 4 ? VALUE_F64 : VALUE_I64,
        .labels_version = (uint32_t)(i % 6),
        .identity = slice_of(bytes, at),
        .attrs = i % 2 ? SLICE_LIT("attrs") : SLICE_LIT(""),
    };
}

size_t segment_fixture_n_chunks(size_t i)
{
    return i == 17 ? 200 : 1 + i % 3;
}

struct segment_options segment_fixture_options(uint64_t id)
{
    return (struct segment_options){.id = id,
                                    .lane = LANE_NUMERIC,
                                    .level = 0,
                                    .db = segment_fixture_db,
                                    .order_min = id,
                                    .order_max = id,
                                    .wal_lsn = id * 100};
}

static void make_points(ts_time *ts, union value *val, size_t i, size_t chunk)
{
    for (size_t k = 0; k < FIXTURE_POINTS; k++) {
        ts[k] = (ts_time)(1000 * chunk + 10 * k);
        if (i % 3 == 1 && k % 4 == 1) ts[k]++;  /* two patterns of ticks, shared */
        if (i % 3 == 2 && k % 7 == 3) ts[k] += 2;
        val[k].bits = i % 4 ? f64_bits((double)(i + k)) : (uint64_t)(i + k);
    }
}

static status add_chunks(struct segment_writer *w, size_t i, struct err *err)
{
    enum value_type type = segment_fixture_series(i).type;
    ts_time ts[FIXTURE_POINTS];
    union value val[FIXTURE_POINTS];

    for (size_t c = 0; c < segment_fixture_n_chunks(i); c++) {
        make_points(ts, val, i, c);
        uint8_t *ticks = malloc(chunk_ticks_bound(FIXTURE_POINTS));
        uint8_t *values = malloc(chunk_values_bound(type, val, FIXTURE_POINTS));
        struct chunk_ref chunk = {.type = type,
                                  .n = FIXTURE_POINTS,
                                  .ts = {ts[0], ts[FIXTURE_POINTS - 1]},
                                  .ticks = ticks,
                                  .values = values};
        chunk.ticks_len = chunk_ticks_encode(ticks, ts, FIXTURE_POINTS);
        chunk.values_len = chunk_values_encode(values, type, val, FIXTURE_POINTS, CHUNK_FAST);
        status st = segment_add_chunk(w, &chunk, err);
        free(ticks);
        free(values);
        if (st != ST_OK) return st;
    }
    return ST_OK;
}

status segment_fixture_write(struct segment_info *out, struct vfs *vfs, uint64_t id, size_t n,
                             struct err *err)
{
    struct segment_options opt = segment_fixture_options(id);
    return segment_fixture_write_as(out, vfs, &opt, n, err);
}

status segment_fixture_write_as(struct segment_info *out, struct vfs *vfs,
                                const struct segment_options *opt, size_t n, struct err *err)
{
    struct segment_writer *w;

    TRY(segment_begin(&w, vfs, opt, err));
    for (size_t i = 0; i < n; i++) {
        struct segment_series s = segment_fixture_series(i);
        status st = segment_add_series(w, &s, err);
        if (st == ST_OK) st = add_chunks(w, i, err);
        if (st != ST_OK) {
            segment_abort(w);
            return st;
        }
    }
    return segment_finish(w, out, err);
}

/* ---- checking ---- */

struct checked {
    const char *where;
    size_t n;
};

static status check_series(void *ctx, const struct segment_series *s)
{
    struct checked *checked = ctx;
    struct segment_series expect = segment_fixture_series(checked->n++);

    ck_assert_msg(s->id == expect.id && s->place == expect.place && s->type == expect.type &&
                      s->labels_version == expect.labels_version,
                  "%s: series %zu", checked->where, checked->n - 1);
    ck_assert_msg(slice_eq(s->identity, expect.identity) && slice_eq(s->attrs, expect.attrs),
                  "%s: texts of series %zu", checked->where, checked->n - 1);
    return ST_OK;
}

static void check_chunk(struct segment *seg, const struct segment_entry *e, size_t i, size_t c)
{
    ts_time ts[FIXTURE_POINTS];
    union value val[FIXTURE_POINTS];
    struct points got = {0};
    struct chunk_ref chunk;

    make_points(ts, val, i, c);
    ck_assert_int_eq(e->ts.from, ts[0]);
    ck_assert_int_eq(e->ts.to, ts[FIXTURE_POINTS - 1]);
    ck_assert_uint_eq(e->n_points, FIXTURE_POINTS);
    ck_assert_int_eq(segment_chunk(&chunk, seg, e, NULL), ST_OK);
    ck_assert_int_eq(
        chunk_decode_range(&got, NULL, &chunk, (struct time_range){TS_MIN, TS_MAX}), ST_OK);
    ck_assert_uint_eq(got.n, FIXTURE_POINTS);
    ck_assert_mem_eq(got.ts, ts, sizeof(ts));
    ck_assert_mem_eq(got.val, val, sizeof(val));
    points_release(&got);
}

void segment_fixture_check(struct segment *seg, size_t n, const char *where)
{
    struct checked checked = {.where = where};
    struct segment_cursor seek, walk;
    const struct segment_entry *e;
    struct err err;

    ck_assert_msg(segment_each_series(seg, check_series, &checked, &err) == ST_OK, "%s: %s",
                  where, err.text);
    ck_assert_uint_eq(checked.n, n);
    segment_cursor_init(&seek, seg, (struct segment_range){0, 0});
    for (size_t i = 0; i < n; i++) {
        struct segment_series s = segment_fixture_series(i);
        struct segment_range range;
        unsigned shard = segment_shard(s.place);
        ck_assert_int_eq(segment_find(&range, seg, shard, s.id, &err), ST_OK);
        ck_assert_msg(range.n == segment_fixture_n_chunks(i), "%s: series %zu", where, i);
        ck_assert_int_eq(segment_seek(&seek, shard, s.id, &err), ST_OK);
        segment_cursor_init(&walk, seg, range);
        for (size_t c = 0; c < range.n; c++) {
            ck_assert_int_eq(segment_next(&walk, &e, &err), ST_OK);
            ck_assert_ptr_nonnull(e);
            ck_assert_uint_eq(e->series, s.id);
            check_chunk(seg, e, i, c);
            ck_assert_int_eq(segment_next(&seek, &e, &err), ST_OK);
            ck_assert_ptr_nonnull(e);
            ck_assert_uint_eq(e->series, s.id);
        }
        ck_assert_int_eq(segment_next(&walk, &e, &err), ST_OK);
        ck_assert_ptr_null(e);
    }
}
