/* Goal: the registry's catalogue is what was written, byte for byte as documented; damage
 * is refused, never half believed; a segment is vouched for only when its series are in the
 * files. Method: a golden text, every byte changed, every length cut, tables. */
#include "tests/unit/storage/segment_fixture.h"

#include "base/durable.h"
#include "base/mem.h"
#include "storage/layout.h"
#include "storage/registry_catalog.h"

static struct vfs *disk;

static void setup(void)
{
    disk = vfs_mem_new();
    ck_assert_int_eq(layout_make_dirs(disk, NULL), ST_OK);
}

static void teardown(void)
{
    vfs_free(disk);
}

static void fill(struct registry_catalog *cat)
{
    registry_catalog_init(cat, &segment_fixture_db);
    cat->next_id = 1000001;
    cat->covered_lsn = 1ull << 63;
    cat->last_order = 7;
    cat->snapshot = (struct registry_file_ref){.number = 3, .n_bytes = 4096, .crc = 0xdeadbeef};
    const struct registry_file_ref deltas[] = {{4, 100, 1}, {9, 200, UINT32_MAX}};
    for (size_t i = 0; i < ARRAY_LEN(deltas); i++) ck_assert(vec_push(&cat->deltas, deltas[i]));
    const struct registry_segment segments[] = {{LANE_NUMERIC, 5, 0x1122334455667788},
                                                {LANE_BLOB, 5, UINT64_MAX}};
    for (size_t i = 0; i < ARRAY_LEN(segments); i++)
        ck_assert(vec_push(&cat->segments, segments[i]));
}

static struct slice read_text(void)
{
    struct vfs_file *file;
    struct vfs_map map;
    ck_assert_int_eq(vfs_open(disk, &file, LAYOUT_REGISTRY_CATALOG, VFS_READ, NULL), ST_OK);
    ck_assert_int_eq(vfs_map(file, &map, NULL), ST_OK);
    char *copy = mem_try(map.len + 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, map.ptr, map.len);
    copy[map.len] = '\0';
    struct slice text = {copy, map.len};
    vfs_unmap(&map);
    vfs_close(file);
    return text;
}

START_TEST(test_registry_catalog_round_trip)
{
    struct registry_catalog cat, got, copy;
    fill(&cat);
    ck_assert_int_eq(registry_catalog_read(&got, disk, &segment_fixture_db, NULL), ST_NOT_FOUND);
    ck_assert_int_eq(registry_catalog_write(disk, &cat, NULL), ST_OK);
    ck_assert_uint_eq(cat.version, 1);
    ck_assert_int_eq(registry_catalog_read(&got, disk, &segment_fixture_db, NULL), ST_OK);
    ck_assert_int_eq(registry_catalog_copy(&copy, &got), ST_OK);
    const struct registry_catalog *both[] = {&got, &copy};
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(both[i]->version, 1);
        ck_assert_uint_eq(both[i]->next_id, cat.next_id);
        ck_assert_uint_eq(both[i]->covered_lsn, cat.covered_lsn);
        ck_assert_uint_eq(both[i]->last_order, cat.last_order);
        ck_assert_uint_eq(both[i]->snapshot.n_bytes, 4096);
        ck_assert_uint_eq(both[i]->snapshot.crc, 0xdeadbeef);
        ck_assert_uint_eq(both[i]->deltas.len, 2);
        ck_assert_uint_eq(both[i]->deltas.ptr[1].crc, UINT32_MAX);
        ck_assert_uint_eq(both[i]->segments.len, 2);
        ck_assert_int_eq(both[i]->segments.ptr[1].lane, LANE_BLOB);
        ck_assert_uint_eq(both[i]->segments.ptr[1].fingerprint, UINT64_MAX);
        ck_assert_uint_eq(registry_catalog_last(both[i]), 9);
    }
    ck_assert_int_eq(registry_catalog_write(disk, &got, NULL), ST_OK);
    ck_assert_uint_eq(got.version, 2);

    struct database_id other = segment_fixture_db;
    other.bytes[0] ^= 1;
    struct registry_catalog none = {.next_id = 77};
    ck_assert_int_eq(registry_catalog_read(&none, disk, &other, NULL), ST_CORRUPT);
    ck_assert_uint_eq(none.next_id, 77);
    registry_catalog_release(&cat);
    registry_catalog_release(&got);
    registry_catalog_release(&copy);
}
END_TEST

static status read_bytes(const char *bytes, size_t len)
{
    struct registry_catalog got;
    ck_assert_int_eq(durable_replace(disk, LAYOUT_REGISTRY_CATALOG, bytes, len, NULL), ST_OK);
    status st = registry_catalog_read(&got, disk, &segment_fixture_db, NULL);
    if (st == ST_OK) registry_catalog_release(&got);
    return st;
}

START_TEST(test_registry_catalog_damaged)
{
    struct registry_catalog cat;
    fill(&cat);
    ck_assert_int_eq(registry_catalog_write(disk, &cat, NULL), ST_OK);
    registry_catalog_release(&cat);
    struct slice text = read_text();
    char *bytes = (char *)(uintptr_t)text.ptr;
    ck_assert_int_eq(read_bytes(bytes, text.len), ST_OK);
    for (size_t i = 0; i < text.len; i++) {
        bytes[i] ^= 1;
        status st = read_bytes(bytes, text.len);
        ck_assert_msg(st != ST_OK, "byte %zu changed is believed", i);
        bytes[i] ^= 1;
    }
    /* The line's end is no part of what is summed. */
    for (size_t len = 0; len + 1 < text.len; len++)
        ck_assert_msg(read_bytes(bytes, len) != ST_OK, "cut at %zu is believed", len);
    mem_free(bytes);
}
END_TEST

START_TEST(test_registry_catalog_vouches)
{
    static const struct {
        enum value_lane lane;
        uint64_t id, fingerprint, order_max, id_max;
        bool want;
    } rows[] = {
        {LANE_NUMERIC, 5, 0x1122334455667788, 99, 5000000, true}, /* listed: as seen */
        {LANE_NUMERIC, 5, 0x1122334455667789, 1, 1, false},       /* listed: another one */
        {LANE_BLOB, 5, 0x1122334455667788, 1, 1, false},          /* ids are a lane's */
        {LANE_NUMERIC, 6, 1, 7, 1000000, true},                   /* made of listed ones */
        {LANE_NUMERIC, 6, 1, 8, 1000000, false},                  /* a later flush */
        {LANE_NUMERIC, 6, 1, 7, 1000001, false},                  /* a later series */
    };
    struct registry_catalog cat;
    fill(&cat);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct segment_info info = {.lane = rows[i].lane,
                                    .id = rows[i].id,
                                    .fingerprint = rows[i].fingerprint,
                                    .order_max = rows[i].order_max,
                                    .id_max = rows[i].id_max};
        ck_assert_msg(registry_catalog_vouches(&cat, &info) == rows[i].want, "row %zu", i);
    }
    registry_catalog_release(&cat);
}
END_TEST

/* The whole text of a catalogue: what other programs and versions read. */
START_TEST(test_registry_catalog_golden)
{
    static const char golden[] =
        "{\"format\":1,\"version\":\"0000000000000001\","
        "\"database\":\"5e090807000000000000000000000000\","
        "\"next_series_id\":\"00000000000f4241\",\"covered_lsn\":\"8000000000000000\","
        "\"last_order\":\"0000000000000007\","
        "\"snapshot\":{\"number\":\"0000000000000003\",\"bytes\":\"0000000000001000\","
        "\"sum\":\"00000000deadbeef\"},"
        "\"deltas\":[{\"number\":\"0000000000000004\",\"bytes\":\"0000000000000064\","
        "\"sum\":\"0000000000000001\"},"
        "{\"number\":\"0000000000000009\",\"bytes\":\"00000000000000c8\","
        "\"sum\":\"00000000ffffffff\"}],"
        "\"segments\":[{\"lane\":\"lane_numeric\",\"id\":\"0000000000000005\","
        "\"fingerprint\":\"1122334455667788\"},"
        "{\"lane\":\"lane_blob\",\"id\":\"0000000000000005\","
        "\"fingerprint\":\"ffffffffffffffff\"}],\"crc32c\":\"091a22c1\"}";
    struct registry_catalog cat;
    fill(&cat);
    ck_assert_int_eq(registry_catalog_write(disk, &cat, NULL), ST_OK);
    registry_catalog_release(&cat);
    struct slice text = read_text();
    ck_assert_msg(strncmp(text.ptr, golden, strlen(golden)) == 0, "%s", text.ptr);
    ck_assert_uint_le(text.len, strlen(golden) + 1); /* the end of the line, if any */
    mem_free((void *)(uintptr_t)text.ptr);

    struct registry_catalog got;
    ck_assert_int_eq(durable_replace(disk, LAYOUT_REGISTRY_CATALOG, golden, strlen(golden), NULL),
                     ST_OK);
    ck_assert_int_eq(registry_catalog_read(&got, disk, &segment_fixture_db, NULL), ST_OK);
    ck_assert_uint_eq(got.deltas.len, 2);
    registry_catalog_release(&got);
}
END_TEST

/* Deltas that no catalogue lists never counted. */
START_TEST(test_registry_catalog_sweep)
{
    struct registry_catalog cat;
    layout_path path;
    fill(&cat);
    for (uint64_t number = 3; number < 11; number++) {
        layout_registry_delta(path, number);
        ck_assert_int_eq(durable_replace(disk, path, "x", 1, NULL), ST_OK);
    }
    ck_assert_int_eq(registry_catalog_sweep(disk, &cat, NULL), ST_OK);
    for (uint64_t number = 3; number < 11; number++) {
        layout_registry_delta(path, number);
        ck_assert_msg(vfs_exists(disk, path) == (number == 4 || number == 9), "%s", path);
    }
    registry_catalog_release(&cat);
}
END_TEST

Suite *suite_registry_catalog(void)
{
    Suite *suite = suite_create("registry_catalog");
    TCase *tc = tcase_create("registry_catalog");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_registry_catalog_round_trip);
    tcase_add_test(tc, test_registry_catalog_damaged);
    tcase_add_test(tc, test_registry_catalog_vouches);
    tcase_add_test(tc, test_registry_catalog_golden);
    tcase_add_test(tc, test_registry_catalog_sweep);
    suite_add_tcase(suite, tc);
    return suite;
}
