/* Goal: a segment gives back exactly what was put in, appears at once or not at all, and
 * no damage to any of its bytes goes unnoticed or does harm. Method: segments of a few
 * hundred series whose content is a function of their number; then every bit of small
 * ones, and every call to the file system. */
#include "tests/unit/storage/segment_fixture.h"

#include "base/bytes.h"
#include "base/durable.h"
#include "base/mem.h"
#include "storage/layout.h"
#include "storage/segment_priv.h"
#include "tests/lib/mem_fault.h"
#include "tests/lib/vfs_fault.h"

static struct vfs *disk;

static void setup(void)
{
    disk = vfs_mem_new();
}

static void teardown(void)
{
    vfs_free(disk);
}

static struct segment *write_and_open(uint64_t id, size_t n)
{
    struct segment_info info;
    struct segment *seg;
    struct err err = {.st = ST_OK};
    layout_path dir;

    status st = segment_fixture_write(&info, disk, id, n, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    layout_segment(dir, LANE_NUMERIC, 0, id);
    st = segment_open(&seg, disk, dir, &segment_fixture_db, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    ck_assert_int_eq(memcmp(&info, segment_info(seg), sizeof(info)), 0);
    return seg;
}

START_TEST(test_segment_round_trip)
{
    static const size_t sizes[] = {1, 2, 18, 63, 130, 256};
    size_t n = sizes[_i];
    struct err err = {.st = ST_OK};
    struct segment *seg = write_and_open(7, n);
    const struct segment_info *info = segment_info(seg);

    ck_assert_uint_eq(info->n_series, n);
    ck_assert_uint_eq(info->n_points, info->n_chunks * FIXTURE_POINTS);
    ck_assert_uint_eq(info->n_ticks, n < 3 ? n - 1 : 2);
    ck_assert_uint_eq(info->id_max, segment_fixture_series(n - 1).id);
    ck_assert(info->keyed); /* series 0 is */
    ck_assert_int_eq(info->ts.from, 0);
    segment_fixture_check(seg, n, "round trip");
    status st = segment_verify(seg, NULL, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);

    /* Files removed while it is open: what is mapped stays. */
    layout_path dir;
    layout_segment(dir, LANE_NUMERIC, 0, 7);
    segment_ref(seg);
    segment_unref(seg);
    struct segment_range range;
    struct segment_series s = segment_fixture_series(0);
    ck_assert_int_eq(segment_remove(disk, dir, &err), ST_OK);
    ck_assert(!vfs_exists(disk, dir));
    ck_assert_int_eq(segment_find(&range, seg, segment_shard(s.place), s.id, &err), ST_OK);
    ck_assert_uint_eq(range.n, segment_fixture_n_chunks(0));
    segment_unref(seg);
}
END_TEST

START_TEST(test_segment_finds_nothing_where_nothing_is)
{
    struct segment *seg = write_and_open(1, 256);
    struct segment_range range;
    struct segment_cursor cur;
    const struct segment_entry *e;

    for (size_t i = 0; i < 256; i++) {
        struct segment_series s = segment_fixture_series(i);
        unsigned shard = segment_shard(s.place);
        for (uint64_t id = s.id - 1; id <= s.id + 1; id += 2) {
            ck_assert_int_eq(segment_find(&range, seg, shard, id, NULL), ST_OK);
            ck_assert_uint_eq(range.n, 0);
            segment_cursor_init(&cur, seg, range);
            ck_assert_int_eq(segment_next(&cur, &e, NULL), ST_OK);
            ck_assert_ptr_null(e);
        }
        ck_assert_int_eq(segment_find(&range, seg, (shard + 1) % 64, s.id, NULL), ST_OK);
        ck_assert_uint_eq(range.n, 0);
    }
    ck_assert_int_eq(segment_find(&range, seg, 0, 0, NULL), ST_OK);
    ck_assert_uint_eq(range.n, 0);
    ck_assert_int_eq(segment_find(&range, seg, 63, UINT64_MAX, NULL), ST_OK);
    ck_assert_uint_eq(range.n, 0);
    segment_unref(seg);
}
END_TEST

/* What a compaction of a fleet looks like: 200 series a target, jittered times, similar
 * sizes. Returns the bytes of everything but values and series. */
static double overhead(uint64_t id, bool shared, uint64_t *n_ticks)
{
    enum { N = 20000, TARGET = 200, TICKS = 240 };
    struct segment_options opt = segment_fixture_options(id);
    static uint8_t values[300] = {VALUE_F64};
    uint8_t ticks[TICKS] = {0};
    struct segment_writer *w;
    struct segment_info info;
    struct seg_files files;
    layout_path dir;
    uint64_t payload = 0;

    ck_assert_int_eq(segment_begin(&w, disk, &opt, NULL), ST_OK);
    for (size_t i = 0; i < N; i++) {
        struct segment_series s = segment_fixture_series(1);
        /* A shard has every 64th series. */
        size_t number = i % (N / SEGMENT_SHARDS) * SEGMENT_SHARDS;
        size_t target = shared ? number / TARGET : i;
        s.id = 64 + number;
        s.place = i / (N / SEGMENT_SHARDS);
        struct chunk_ref chunk = {.type = VALUE_F64,
                                  .n = 478 + (uint32_t)(target % 5),
                                  .ts.from = 1767225600000 +
                                             (ts_time)(target * 2654435761u % 15000),
                                  .ticks = ticks,
                                  .ticks_len = sizeof(ticks),
                                  .values = values,
                                  .values_len = 200 + i * 7919 % 100};
        chunk.ts.to = chunk.ts.from + 7200000 + (ts_time)(target * 40503u % 15000);
        if (i / (N / SEGMENT_SHARDS) >= SEGMENT_SHARDS) break;
        store_u64(ticks, target);
        ck_assert_int_eq(segment_add_series(w, &s, NULL), ST_OK);
        ck_assert_int_eq(segment_add_chunk(w, &chunk, NULL), ST_OK);
        payload += chunk.values_len;
    }
    ck_assert_int_eq(segment_finish(w, &info, NULL), ST_OK);
    layout_segment(dir, LANE_NUMERIC, 0, id);
    ck_assert_int_eq(seg_manifest_read(&info, &files, disk, dir, NULL), ST_OK);
    *n_ticks = info.n_ticks;
    double each = (double)(files.chunks - payload + files.index + files.ticks -
                           info.n_ticks * TICKS) /
                  (double)info.n_chunks;
    printf("# %s ticks: %.2f bytes a chunk besides values and ticks\n",
           shared ? "shared" : "unshared", each);
    return each;
}

START_TEST(test_segment_overhead_per_chunk)
{
    uint64_t n_ticks;

    double each = overhead(3, true, &n_ticks);
    ck_assert_msg(each <= 7, "%.2f bytes a chunk", each);
    ck_assert_uint_eq(n_ticks, 100);
    each = overhead(4, false, &n_ticks);
    ck_assert_msg(each <= 11, "%.2f bytes a chunk", each);
    ck_assert_uint_gt(n_ticks, 19000);
}
END_TEST

/* More patterns than are remembered: some are stored again, and all are found. */
START_TEST(test_segment_table_of_ticks)
{
    enum { N = 3000 };
    struct seg_ticks ticks = {.n = 0};
    uint64_t off = SEG_HEAD_LEN, at, len;
    uint32_t number;

    strbuf_init(&ticks.table, 0);
    for (uint64_t i = 0; i < N; i++) {
        struct hash128 hash = hash128(&i, sizeof(i));
        ck_assert(!seg_ticks_find(&number, &ticks, hash));
        ck_assert_int_eq(seg_ticks_put(&number, &ticks, hash, off, 1 + i % 90, NULL), ST_OK);
        ck_assert_uint_eq(number, i);
        off += 1 + i % 90;
    }
    off = SEG_HEAD_LEN;
    size_t found = 0;
    for (uint64_t i = 0; i < N; i++) {
        const uint8_t *table = (const uint8_t *)ticks.table.ptr;
        ck_assert(seg_ticks_at(&at, &len, table, i));
        ck_assert_uint_eq(at, off);
        ck_assert_uint_eq(len, 1 + i % 90);
        off += len;
        if (seg_ticks_find(&number, &ticks, hash128(&i, sizeof(i)))) {
            ck_assert_uint_eq(number, i);
            found++;
        }
    }
    ck_assert_uint_gt(found, N * 9 / 10);
    ck_assert_int_eq(seg_ticks_put(&number, &ticks, hash128("", 0), off, 1 << 24, NULL),
                     ST_INVALID);
    seg_ticks_release(&ticks);
}
END_TEST

START_TEST(test_segment_refuses_broken_callers)
{
    struct segment_options opt = segment_fixture_options(9);
    struct segment_writer *w;
    struct segment_info info;
    struct segment_series s = segment_fixture_series(4);
    const uint8_t byte[4] = {VALUE_I64, 2, 3, 4};
    const struct chunk_ref good = {.type = VALUE_I64,
                                   .n = 2,
                                   .ts = {10, 20},
                                   .values = byte,
                                   .values_len = 4};
    struct chunk_ref bad[5] = {good, good, good, good, good}, later = good;
    layout_path dir, staging;

    layout_segment(dir, LANE_NUMERIC, 0, 9);
    layout_segment_staging(staging, LANE_NUMERIC, 0, 9);
    ck_assert_int_eq(segment_begin(&w, disk, &opt, NULL), ST_OK);
    bad[0].ts.to = 9;
    bad[1].n = 0;
    bad[2].n = 65536;
    bad[3].values_len = 0;
    bad[4].type = VALUE_F64; /* not the series' */
    later.ts = (struct time_range){21, 30};
    ck_assert_int_eq(segment_add_chunk(w, &good, NULL), ST_INVALID);
    ck_assert_int_eq(segment_add_series(w, &s, NULL), ST_OK);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_int_eq(segment_add_chunk(w, &bad[i], NULL), ST_INVALID);
    }
    ck_assert_int_eq(segment_add_chunk(w, &good, NULL), ST_OK);
    ck_assert_int_eq(segment_add_chunk(w, &good, NULL), ST_INVALID); /* overlaps */
    ck_assert_int_eq(segment_add_chunk(w, &later, NULL), ST_OK);
    ck_assert_int_eq(segment_add_series(w, &s, NULL), ST_INVALID); /* twice */
    s.id--;
    ck_assert_int_eq(segment_add_series(w, &s, NULL), ST_INVALID);
    s.id += 2;
    s.type = VALUE_BYTES;
    ck_assert_int_eq(segment_add_series(w, &s, NULL), ST_INVALID);
    s.type = VALUE_F64;
    s.identity.len--; /* cut short */
    ck_assert_int_eq(segment_add_series(w, &s, NULL), ST_INVALID);
    segment_abort(w);
    ck_assert(!vfs_exists(disk, staging));

    ck_assert_int_eq(segment_begin(&w, disk, &opt, NULL), ST_OK);
    ck_assert_int_eq(segment_finish(w, &info, NULL), ST_INVALID);
    ck_assert(!vfs_exists(disk, dir));
    ck_assert(!vfs_exists(disk, staging));
}
END_TEST

/* ---- damage ---- */

static const char *const names[] = {LAYOUT_SEG_CHUNKS, LAYOUT_SEG_TICKS, LAYOUT_SEG_INDEX,
                                    LAYOUT_SEG_SERIES, LAYOUT_SEG_MANIFEST};

static status ignore_series(void *ctx, const struct segment_series *series)
{
    (void)ctx;
    (void)series;
    return ST_OK;
}

/* Reads everything there is, as a query and a rebuild would. */
static status read_all(struct segment *seg)
{
    struct segment_cursor cur;
    const struct segment_entry *e;
    struct chunk_ref chunk;

    segment_cursor_init(&cur, seg, (struct segment_range){0, 0});
    for (;;) {
        TRY(segment_next(&cur, &e, NULL));
        if (!e) break;
        TRY(segment_chunk(&chunk, seg, e, NULL));
    }
    return segment_each_series(seg, ignore_series, NULL, NULL);
}

static void put_file(const char *path, const uint8_t *src, size_t len)
{
    struct vfs_file *file;
    ck_assert_int_eq(vfs_open(disk, &file, path, VFS_TRUNCATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 0, src, len, NULL), ST_OK);
    vfs_close(file);
}

START_TEST(test_segment_notices_every_flipped_bit)
{
    struct segment *seg = write_and_open(2, 3);
    layout_path dir, path;
    uint8_t *bytes;
    size_t len;

    layout_segment(dir, LANE_NUMERIC, 0, 2);
    segment_unref(seg);
    ck_assert_int_eq(layout_join(path, dir, slice_str(names[_i]), NULL), ST_OK);
    ck_assert_int_eq(vfs_read_file(disk, path, 1 << 20, &bytes, &len, NULL), ST_OK);
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        put_file(path, bytes, len);
        status st = segment_open(&seg, disk, dir, &segment_fixture_db, NULL);
        if (st == ST_OK) {
            st = read_all(seg);
            segment_unref(seg);
        }
        ck_assert_msg(st == ST_CORRUPT || st == ST_UNSUPPORTED, "%s bit %zu: %s", names[_i], bit,
                      status_name(st));
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t cut = 0; cut < len; cut++) {
        put_file(path, bytes, cut);
        ck_assert_int_eq(segment_open(&seg, disk, dir, NULL, NULL), ST_CORRUPT);
    }
    vfs_remove_best_effort(disk, path);
    ck_assert_int_eq(segment_open(&seg, disk, dir, NULL, NULL),
                     _i == 4 ? ST_NOT_FOUND : ST_CORRUPT);
    mem_free(bytes);
}
END_TEST

START_TEST(test_segment_of_another_database_is_refused)
{
    struct database_id other = segment_fixture_db;
    struct segment *seg = write_and_open(2, 3);
    layout_path dir;

    segment_unref(seg);
    layout_segment(dir, LANE_NUMERIC, 0, 2);
    other.bytes[15] ^= 1;
    ck_assert_int_eq(segment_open(&seg, disk, dir, &other, NULL), ST_CORRUPT);
}
END_TEST

/* A page whose damage the checksum cannot see (it was made so): verify decodes. */
START_TEST(test_segment_verify_decodes_chunks)
{
    struct segment_options opt = segment_fixture_options(5);
    struct segment_writer *w;
    struct segment_info info;
    struct segment *seg;
    struct segment_series s = segment_fixture_series(1);
    const uint8_t nonsense[40] = {0xf8 | VALUE_F64, 1, 2, 3};
    const struct chunk_ref chunk = {.type = VALUE_F64,
                                    .n = 2,
                                    .ts = {1, 2},
                                    .values = nonsense,
                                    .values_len = sizeof(nonsense)};
    layout_path dir;
    _Atomic bool cancelled = true;

    ck_assert_int_eq(segment_begin(&w, disk, &opt, NULL), ST_OK);
    ck_assert_int_eq(segment_add_series(w, &s, NULL), ST_OK);
    ck_assert_int_eq(segment_add_chunk(w, &chunk, NULL), ST_OK);
    ck_assert_int_eq(segment_finish(w, &info, NULL), ST_OK);
    layout_segment(dir, LANE_NUMERIC, 0, 5);
    ck_assert_int_eq(segment_open(&seg, disk, dir, NULL, NULL), ST_OK);
    ck_assert_int_eq(read_all(seg), ST_OK);
    ck_assert_int_eq(segment_verify(seg, NULL, NULL), ST_CORRUPT);
    ck_assert_int_eq(segment_verify(seg, &cancelled, NULL), ST_CANCELLED);
    segment_unref(seg);
}
END_TEST

/* ---- failing calls ---- */

START_TEST(test_segment_write_survives_each_failed_call)
{
    layout_path dir;

    layout_segment(dir, LANE_NUMERIC, 0, 4);
    for (uint64_t nth = 1;; nth++) {
        struct vfs *mem = vfs_mem_new();
        struct vfs_fault *fault = vfs_fault_new(mem, 1);
        struct segment_info info;
        struct segment *seg;
        unsigned rule = vfs_fault_add(
            fault, &(struct vfs_fault_rule){.ops = VFS_OP_ALL, .nth = nth, .st = ST_NO_SPACE});
        status st = segment_fixture_write(&info, vfs_fault_vfs(fault), 4, 20, NULL);
        bool fired = vfs_fault_n_fired(fault, rule) > 0;
        vfs_fault_free(fault);

        /* Whatever failed: the segment is there and whole, or there is none. */
        status seen = segment_open(&seg, mem, dir, NULL, NULL);
        ck_assert_msg(seen == ST_OK || seen == ST_NOT_FOUND, "call %" PRIu64 ": %s", nth,
                      status_name(seen));
        if (seen == ST_OK) {
            segment_fixture_check(seg, 20, "after a failure");
            segment_unref(seg);
        }
        if (st == ST_OK) ck_assert_int_eq(seen, ST_OK);
        else if (seen == ST_NOT_FOUND) {
            /* Tried again it works. */
            ck_assert_int_eq(segment_fixture_write(&info, mem, 4, 20, NULL), ST_OK);
        }
        vfs_free(mem);
        if (!fired) break;
    }
}
END_TEST

START_TEST(test_segment_survives_each_failed_allocation)
{
    layout_path dir;

    layout_segment(dir, LANE_NUMERIC, 0, 4);
    for (uint64_t nth = 1;; nth++) {
        struct vfs *mem = vfs_mem_new();
        struct segment_info info;
        struct segment *seg = NULL;
        int64_t live = mem_fault_live();
        mem_fault_arm(nth, 1);
        status st = segment_fixture_write(&info, mem, 4, 20, NULL);
        if (st == ST_OK) st = segment_open(&seg, mem, dir, NULL, NULL);
        if (st == ST_OK) st = segment_verify(seg, NULL, NULL);
        segment_unref(seg);
        bool fired = mem_fault_disarm() > 0;
        /* The note of a failed clean-up is nobody's business: st may be ST_OK. */
        ck_assert_msg(st == ST_OK || st == ST_NO_MEMORY, "allocation %" PRIu64 ": %s", nth,
                      status_name(st));
        vfs_free(mem);
        ck_assert_int_le(mem_fault_live(), live);
        if (!fired) {
            ck_assert_int_eq(st, ST_OK);
            break;
        }
    }
}
END_TEST

Suite *suite_segment(void)
{
    Suite *suite = suite_create("segment");
    TCase *tc = tcase_create("segment");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_segment_round_trip, 0, 6);
    tcase_add_test(tc, test_segment_finds_nothing_where_nothing_is);
    tcase_add_test(tc, test_segment_overhead_per_chunk);
    tcase_add_test(tc, test_segment_table_of_ticks);
    tcase_add_test(tc, test_segment_refuses_broken_callers);
    tcase_add_loop_test(tc, test_segment_notices_every_flipped_bit, 0, 5);
    tcase_add_test(tc, test_segment_of_another_database_is_refused);
    tcase_add_test(tc, test_segment_verify_decodes_chunks);
    tcase_add_test(tc, test_segment_write_survives_each_failed_call);
    tcase_add_test(tc, test_segment_survives_each_failed_allocation);
    suite_add_tcase(suite, tc);
    return suite;
}
