/* Goal: a segment that a version wrote once is read for ever. Method: a segment of each
 * lane, stored in tests/conformance/formats, is opened, verified and compared with what
 * is known to be in it. With TSINK_GOLDEN_WRITE set, one that is not there is written. */
#include <stdio.h>

#include "base/arena.h"
#include "base/durable.h"
#include "base/mem.h"
#include "codec/chunk.h"
#include "storage/layout.h"
#include "tests/unit/storage/segment_fixture.h"

enum { N_SERIES = 6, FILE_MAX = 1 << 20, BLOB_POINTS = 40 };

static const char *const names[] = {LAYOUT_SEG_CHUNKS, LAYOUT_SEG_TICKS, LAYOUT_SEG_INDEX,
                                    LAYOUT_SEG_SERIES, LAYOUT_SEG_MANIFEST};

static struct vfs *disk;

static void setup(void)
{
    disk = vfs_mem_new();
}

static void teardown(void)
{
    vfs_free(disk);
}

static void path_of(char path[1024], enum value_lane lane, const char *name)
{
    const char *top = getenv("TSINK_TOP"), *file = __FILE__;
    const char *here = strstr(file, "tests/unit/storage/");
    int len = top ? (int)strlen(top) : (int)(here - file);

    snprintf(path, 1024, "%.*s%stests/conformance/formats/segment-%s/%s", len, top ? top : file,
             top ? "/" : "", lane == LANE_BLOB ? "blob" : "numeric", name);
}

/* ---- writing --------------------------------------------------------------- */

static const struct slice states[] = {SLICE_LIT("up"), SLICE_LIT("down"), SLICE_LIT("")};

static void make_blobs(ts_time *ts, union value *val)
{
    for (size_t k = 0; k < BLOB_POINTS; k++) {
        ts[k] = (ts_time)(5000 + 10 * k + k % 3);
        val[k].bytes = &states[k * k % 5 % 3];
    }
}

static status write_blobs(struct segment_info *info)
{
    struct segment_options opt = segment_fixture_options(2);
    struct segment_series s = segment_fixture_series(1);
    struct segment_writer *w;
    uint8_t ticks[4096], values[4096];
    ts_time ts[BLOB_POINTS];
    union value val[BLOB_POINTS];

    opt.lane = LANE_BLOB;
    opt.level = 2;
    s.type = VALUE_BYTES;
    make_blobs(ts, val);
    struct chunk_ref chunk = {.type = VALUE_BYTES,
                              .n = BLOB_POINTS,
                              .ts = {ts[0], ts[BLOB_POINTS - 1]},
                              .ticks = ticks,
                              .values = values};
    ck_assert_uint_le(chunk_ticks_bound(BLOB_POINTS), sizeof(ticks));
    ck_assert_uint_le(chunk_values_bound(VALUE_BYTES, val, BLOB_POINTS), sizeof(values));
    chunk.ticks_len = chunk_ticks_encode(ticks, ts, BLOB_POINTS);
    chunk.values_len = chunk_values_encode(values, VALUE_BYTES, val, BLOB_POINTS, CHUNK_FAST);
    TRY(segment_begin(&w, disk, &opt, NULL));
    ck_assert_int_eq(segment_add_series(w, &s, NULL), ST_OK);
    ck_assert_int_eq(segment_add_chunk(w, &chunk, NULL), ST_OK);
    return segment_finish(w, info, NULL);
}

static void write_golden(enum value_lane lane)
{
    struct segment_info info;
    layout_path dir, from;
    char path[1024];
    status st = lane == LANE_BLOB ? write_blobs(&info)
                                  : segment_fixture_write(&info, disk, 2, N_SERIES, NULL);

    ck_assert_int_eq(st, ST_OK);
    layout_segment(dir, lane, info.level, info.id);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        uint8_t *bytes;
        size_t len;
        ck_assert_int_eq(layout_join(from, dir, slice_str(names[i]), NULL), ST_OK);
        ck_assert_int_eq(vfs_read_file(disk, from, FILE_MAX, &bytes, &len, NULL), ST_OK);
        path_of(path, lane, names[i]);
        FILE *file = fopen(path, "wb");
        ck_assert_msg(file != NULL, "%s", path);
        ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
        fclose(file);
        mem_free(bytes);
    }
}

/* ---- reading --------------------------------------------------------------- */

/* The stored segment as the directory "golden" of the disk. */
static void load(enum value_lane lane)
{
    ck_assert_int_eq(vfs_mkdir_all(disk, "golden", NULL), ST_OK);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[1024];
        layout_path to;
        struct vfs_file *out;
        path_of(path, lane, names[i]);
        FILE *file = fopen(path, "rb");
        ck_assert_msg(file != NULL, "%s is not there", path);
        uint8_t *bytes = malloc(FILE_MAX);
        size_t len = fread(bytes, 1, FILE_MAX, file);
        fclose(file);
        ck_assert_int_eq(layout_join(to, "golden", slice_str(names[i]), NULL), ST_OK);
        ck_assert_int_eq(vfs_open(disk, &out, to, VFS_CREATE, NULL), ST_OK);
        ck_assert_int_eq(vfs_write(out, 0, bytes, len, NULL), ST_OK);
        vfs_close(out);
        free(bytes);
    }
}

static void check_blobs(struct segment *seg)
{
    ts_time ts[BLOB_POINTS];
    union value val[BLOB_POINTS];
    struct segment_cursor cur;
    const struct segment_entry *e;
    struct chunk_ref chunk;
    struct points pts = {0};
    struct arena arena;

    make_blobs(ts, val);
    arena_init(&arena, NULL, 4096);
    segment_cursor_init(&cur, seg, (struct segment_range){0, 0});
    ck_assert_int_eq(segment_next(&cur, &e, NULL), ST_OK);
    ck_assert_ptr_nonnull(e);
    ck_assert_int_eq(segment_chunk(&chunk, seg, e, NULL), ST_OK);
    ck_assert_int_eq(
        chunk_decode_range(&pts, &arena, &chunk, (struct time_range){TS_MIN, TS_MAX}), ST_OK);
    ck_assert_uint_eq(pts.n, BLOB_POINTS);
    ck_assert_mem_eq(pts.ts, ts, sizeof(ts));
    for (size_t k = 0; k < BLOB_POINTS; k++) ck_assert(slice_eq(*pts.val[k].bytes, *val[k].bytes));
    points_release(&pts);
    arena_release(&arena);
}

START_TEST(test_golden_segments)
{
    enum value_lane lane = (enum value_lane)_i;
    struct segment *seg;
    struct err err = {.st = ST_OK};
    char path[1024];

    path_of(path, lane, LAYOUT_SEG_MANIFEST);
    FILE *file = fopen(path, "rb");
    if (file) fclose(file);
    else if (getenv("TSINK_GOLDEN_WRITE")) write_golden(lane);
    load(lane);
    status st = segment_open(&seg, disk, "golden", &segment_fixture_db, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    st = segment_verify(seg, NULL, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    ck_assert_int_eq(segment_info(seg)->lane, lane);
    if (lane == LANE_BLOB) check_blobs(seg);
    else segment_fixture_check(seg, N_SERIES, "golden");
    segment_unref(seg);
}
END_TEST

Suite *suite_golden_segment(void)
{
    Suite *s = suite_create("golden_segment");
    TCase *tc = tcase_create("golden_segment");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_golden_segments, 0, N_LANES);
    suite_add_tcase(s, tc);
    return s;
}
