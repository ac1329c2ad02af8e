/* Goal: the inventory is what was written, or what the directories say; nothing outside
 * the root is ever named; what nobody names goes, what is data stays. Method: catalogs
 * written, damaged at every byte, lost, and older than the directories. */
#include "tests/unit/storage/segment_fixture.h"

#include "base/durable.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "storage/catalog.h"
#include "storage/database_file.h"
#include "storage/dirlock.h"
#include "storage/json_file.h"
#include "storage/quarantine.h"

static struct vfs *disk;

static void setup(void)
{
    log_set_level(LOG_OFF); /* a scan says why, which would be noise here */
    disk = vfs_mem_new();
}

static void teardown(void)
{
    vfs_free(disk);
    log_set_level(LOG_INFO);
}

/* A segment that replaces others, of a set of set_n from set_first on. */
static struct catalog_entry make_part(uint64_t id, unsigned level, const uint64_t *sources,
                                      size_t n_sources, uint64_t set_first, uint64_t set_n)
{
    struct segment_options opt = segment_fixture_options(id);
    struct catalog_entry entry = {.tier = TIER_HOT};
    struct segment_series s = segment_fixture_series(1);
    const uint8_t values[8] = {VALUE_F64};
    const struct chunk_ref chunk = {.type = VALUE_F64,
                                    .n = 2,
                                    .ts = {5, 6},
                                    .values = values,
                                    .values_len = sizeof(values)};
    struct segment_writer *w;

    opt.level = level;
    opt.sources = sources;
    opt.n_sources = n_sources;
    ck_assert_int_eq(segment_begin(&w, disk, &opt, NULL), ST_OK);
    ck_assert_int_eq(segment_add_series(w, &s, NULL), ST_OK);
    ck_assert_int_eq(segment_add_chunk(w, &chunk, NULL), ST_OK);
    segment_writer_set(w, set_first, set_n);
    ck_assert_int_eq(segment_finish(w, &entry.info, NULL), ST_OK);
    layout_segment(entry.path, LANE_NUMERIC, level, id);
    return entry;
}

static struct catalog_entry make_segment(uint64_t id, unsigned level, const uint64_t *sources,
                                         size_t n_sources)
{
    return make_part(id, level, sources, n_sources, 0, 0);
}

static void fill_catalog(struct catalog *cat)
{
    static const uint64_t ids[] = {4, 2, 3};

    catalog_init(cat, &segment_fixture_db);
    cat->next_segment_id = 9;
    cat->last_order = UINT64_MAX;
    cat->covered_lsn = 1ull << 63;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct catalog_entry e = make_segment(ids[i], 0, NULL, 0);
        ck_assert_int_eq(catalog_add(cat, &e, NULL), ST_OK);
        ck_assert_int_eq(catalog_add(cat, &e, NULL), ST_EXISTS);
    }
    ck_assert_int_eq(catalog_write(disk, cat, NULL), ST_OK);
}

START_TEST(test_catalog_round_trip)
{
    struct catalog cat, got;
    bool scanned;

    fill_catalog(&cat);
    ck_assert_int_eq(catalog_read(&got, disk, &segment_fixture_db, NULL), ST_OK);
    ck_assert_uint_eq(got.n, 3);
    ck_assert_uint_eq(got.next_segment_id, 9);
    ck_assert_uint_eq(got.last_order, UINT64_MAX);
    ck_assert_uint_eq(got.covered_lsn, 1ull << 63);
    ck_assert_uint_eq(got.version, 1);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(got.entries[i].info.id, i + 2);
        ck_assert_str_eq(got.entries[i].path, cat.entries[i].path);
        ck_assert_int_eq(memcmp(&got.entries[i].info, &cat.entries[i].info,
                                sizeof(got.entries[i].info)), 0);
    }
    ck_assert(catalog_drop(&got, LANE_NUMERIC, 3));
    ck_assert(!catalog_drop(&got, LANE_NUMERIC, 3));
    ck_assert(!catalog_drop(&got, LANE_BLOB, 2));
    ck_assert_int_eq(catalog_write(disk, &got, NULL), ST_OK);
    catalog_release(&got);
    ck_assert_int_eq(catalog_load(&got, &scanned, disk, &segment_fixture_db, NULL, NULL, NULL),
                     ST_OK);
    ck_assert(!scanned);
    ck_assert_uint_eq(got.n, 2);
    ck_assert_uint_eq(got.version, 2);

    /* What it does not name is swept. */
    size_t n;
    ck_assert_int_eq(catalog_sweep(&n, disk, &got, NULL), ST_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert(!vfs_exists(disk, cat.entries[1].path));
    ck_assert(vfs_exists(disk, cat.entries[0].path));
    struct database_id other = {{1}};
    catalog_release(&got);
    ck_assert_int_eq(catalog_read(&got, disk, &other, NULL), ST_CORRUPT);
    catalog_release(&cat);
}
END_TEST

static void count_bad(void *ctx, const char *path, status st, const struct err *err)
{
    (void)path;
    (void)err;
    ck_assert_int_eq(st, ST_CORRUPT);
    ++*(int *)ctx;
}

START_TEST(test_catalog_scan_when_lost_stale_or_damaged)
{
    static const uint64_t sources[] = {2, 3, 4};
    struct catalog cat, got;
    uint8_t *text;
    size_t len;
    bool scanned;
    int n_bad = 0;
    layout_path manifest;

    fill_catalog(&cat);
    ck_assert_int_eq(vfs_read_file(disk, LAYOUT_CATALOG, 1 << 20, &text, &len, NULL), ST_OK);

    /* A newer segment than the catalog knows, which replaces the others. */
    struct catalog_entry merged = make_segment(11, 1, sources, 3);
    ck_assert_int_eq(catalog_load(&got, &scanned, disk, &segment_fixture_db, NULL, NULL, NULL),
                     ST_OK);
    ck_assert(scanned);
    ck_assert_uint_eq(got.n, 1);
    ck_assert_uint_eq(got.entries[0].info.id, 11);
    ck_assert_uint_eq(got.next_segment_id, 12);
    ck_assert_uint_eq(got.covered_lsn, 0);
    catalog_release(&got);
    ck_assert_int_eq(segment_remove(disk, merged.path, NULL), ST_OK);

    vfs_remove_best_effort(disk, LAYOUT_CATALOG);
    ck_assert_int_eq(layout_join(manifest, cat.entries[0].path, SLICE_LIT(LAYOUT_SEG_MANIFEST),
                                 NULL), ST_OK);
    ck_assert_int_eq(durable_replace(disk, manifest, "{}", 2, NULL), ST_OK);
    ck_assert_int_eq(catalog_load(&got, &scanned, disk, &segment_fixture_db, count_bad, &n_bad,
                                  NULL), ST_OK);
    ck_assert(scanned);
    ck_assert_int_eq(n_bad, 1);
    ck_assert_uint_eq(got.n, 2);
    ck_assert_uint_eq(got.next_segment_id, 5);
    ck_assert_uint_eq(got.last_order, 4);
    catalog_release(&got);

    for (size_t bit = 0; bit < len * 8; bit += 3) {
        text[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        ck_assert_int_eq(durable_replace(disk, LAYOUT_CATALOG, text, len, NULL), ST_OK);
        ck_assert_int_eq(catalog_read(&got, disk, NULL, NULL), ST_CORRUPT);
        text[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    mem_free(text);
    catalog_release(&cat);
}
END_TEST

/* Two segments that replace two others, in every state that a crash can leave, and no
 * catalog: which of them count. */
START_TEST(test_catalog_scan_of_a_replacement)
{
    static const uint64_t sources[] = {2, 3};
    static const struct {
        const char *name;
        bool source[2], part[2];
        uint64_t want[2];
    } rows[] = {
        {"nothing written", {true, true}, {false, false}, {2, 3}},
        {"the first part", {true, true}, {true, false}, {2, 3}},
        {"the second part", {true, true}, {false, true}, {2, 3}},
        {"both", {true, true}, {true, true}, {11, 12}},
        {"one source removed", {false, true}, {true, true}, {11, 12}},
        {"both removed", {false, false}, {true, true}, {11, 12}},
        {"a part has gone on, sources remain", {false, true}, {false, true}, {12, 0}},
        {"a part has gone on", {false, false}, {true, false}, {11, 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct catalog got;
        teardown();
        setup();
        for (uint64_t k = 0; k < 2; k++) {
            if (rows[i].source[k]) (void)make_segment(2 + k, 0, NULL, 0);
            if (rows[i].part[k]) (void)make_part(11 + k, 1, sources, 2, 11, 2);
        }
        ck_assert_int_eq(catalog_scan(&got, disk, &segment_fixture_db, NULL, NULL, NULL), ST_OK);
        size_t n = rows[i].want[1] ? 2 : 1;
        ck_assert_msg(got.n == n, "%s: %zu segments", rows[i].name, got.n);
        for (size_t k = 0; k < n; k++)
            ck_assert_msg(got.entries[k].info.id == rows[i].want[k], "%s: segment %zu is %llu",
                          rows[i].name, k, (unsigned long long)got.entries[k].info.id);
        catalog_release(&got);
    }
}
END_TEST

/* Well-formed, with a right checksum, and still not to be followed. */
START_TEST(test_catalog_refuses_paths_that_lead_outside)
{
    static const char *const paths[] = {"../seg", "/etc", "lane_numeric/../../x", "", ".", "a//b"};
    struct catalog cat, got;

    fill_catalog(&cat);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        (void)snprintf(cat.entries[1].path, sizeof(cat.entries[1].path), "%s", paths[i]);
        ck_assert_int_eq(catalog_write(disk, &cat, NULL), ST_OK);
        ck_assert_msg(catalog_read(&got, disk, NULL, NULL) == ST_CORRUPT, "path \"%s\"", paths[i]);
    }
    catalog_release(&cat);
}
END_TEST

/* ---- the small ones ---- */

START_TEST(test_database_file)
{
    struct database_file file, again;
    struct rng rng;

    rng_init(&rng, 1);
    ck_assert_int_eq(database_file_read(&file, disk, NULL), ST_NOT_FOUND);
    ck_assert_int_eq(database_file_open(&file, disk, PRECISION_MS, &rng, NULL), ST_OK);
    ck_assert_int_eq(database_file_open(&again, disk, PRECISION_MS, &rng, NULL), ST_OK);
    ck_assert_mem_eq(&file.id, &again.id, sizeof(file.id));
    ck_assert_int_eq(database_file_open(&again, disk, PRECISION_NS, &rng, NULL), ST_INVALID);

    file.format = DATABASE_FORMAT + 1;
    ck_assert_int_eq(database_file_write(disk, &file, NULL), ST_OK);
    ck_assert_int_eq(database_file_open(&again, disk, PRECISION_MS, &rng, NULL), ST_UNSUPPORTED);
    vfs_remove_best_effort(disk, LAYOUT_DATABASE);
    make_segment(1, 0, NULL, 0);
    ck_assert_int_eq(database_file_open(&again, disk, PRECISION_MS, &rng, NULL), ST_CORRUPT);
}
END_TEST

START_TEST(test_dirlock_is_exclusive)
{
    struct dirlock *lock, *second;
    struct err err;

    ck_assert_int_eq(dirlock_open(&lock, disk, NULL), ST_OK);
    ck_assert_int_eq(dirlock_open(&second, disk, &err), ST_LOCKED);
    ck_assert_ptr_nonnull(strstr(err.text, "process"));
    dirlock_close(lock);
    ck_assert_int_eq(dirlock_open(&lock, disk, NULL), ST_OK);
    dirlock_close(lock);
}
END_TEST

START_TEST(test_quarantine_never_overwrites)
{
    struct catalog_entry e = make_segment(1, 0, NULL, 0);
    layout_path to[3];
    size_t n;

    ck_assert_int_eq(quarantine_count(&n, disk, NULL), ST_OK);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(quarantine_move(to[0], disk, e.path, "bad luck", NULL), ST_OK);
    e = make_segment(1, 0, NULL, 0);
    ck_assert_int_eq(quarantine_move(to[1], disk, e.path, "again", NULL), ST_OK);
    ck_assert_str_ne(to[0], to[1]);
    ck_assert_int_eq(durable_replace(disk, "x", "abc", 3, NULL), ST_OK);
    ck_assert_int_eq(quarantine_copy(to[2], disk, "x", "copy", NULL), ST_OK);
    ck_assert(vfs_exists(disk, "x"));
    for (size_t i = 0; i < 3; i++) ck_assert(vfs_exists(disk, to[i]));
    ck_assert_int_eq(quarantine_count(&n, disk, NULL), ST_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert_int_eq(quarantine_move(NULL, disk, "not there", "", NULL), ST_NOT_FOUND);
}
END_TEST

START_TEST(test_layout_names)
{
    static const struct {
        const char *name;
        bool ok;
        uint64_t id;
    } cases[] = {
        {"wal-00000000000000ff.log", true, 255},
        {"wal-ffffffffffffffff.log", true, UINT64_MAX},
        {"wal-00000000000000FF.log", false, 0},
        {"wal-00000000000000ff.log.tmp", false, 0},
        {"wal-0000000000000ff.log", false, 0},
        {"wal-00000000000000fg.log", false, 0},
        {"", false, 0},
    };
    layout_path path;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t id = 0;
        ck_assert_int_eq(layout_wal_id(&id, slice_str(cases[i].name)), cases[i].ok);
        ck_assert_uint_eq(id, cases[i].id);
    }
    layout_tier_segment(path, TIER_WARM, LANE_BLOB, 2, 26);
    ck_assert_str_eq(path, "warm/lane_blob/segments/L2/seg-000000000000001a");
    layout_segment(path, LANE_NUMERIC, 1, 26);
    ck_assert_str_eq(path, "lane_numeric/l1/seg-000000000000001a");
    ck_assert_int_eq(layout_join(path, "a", SLICE_LIT("../b"), NULL), ST_INVALID);
    ck_assert_int_eq(layout_join(path, "a", SLICE_LIT("b\0c"), NULL), ST_INVALID);
}
END_TEST

START_TEST(test_layout_sweeps_what_was_left)
{
    ck_assert_int_eq(layout_sweep(disk, NULL), ST_OK);
    ck_assert_int_eq(layout_make_dirs(disk, NULL), ST_OK);
    ck_assert_int_eq(layout_make_dirs(disk, NULL), ST_OK);
    ck_assert_int_eq(vfs_mkdir_all(disk, LAYOUT_STAGING_DIR "/a/b", NULL), ST_OK);
    ck_assert_int_eq(durable_replace(disk, LAYOUT_STAGING_DIR "/a/b/c", "x", 1, NULL), ST_OK);
    static const char *const files[] = {"wal/wal-0000000000000001.log.tmp",
                                        "wal/wal-0000000000000001.log", LAYOUT_CATALOG ".tmp"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        ck_assert_int_eq(durable_replace(disk, files[i], "x", 1, NULL), ST_OK);
    }
    ck_assert_int_eq(layout_sweep(disk, NULL), ST_OK);
    ck_assert(vfs_exists(disk, LAYOUT_STAGING_DIR));
    ck_assert(!vfs_exists(disk, LAYOUT_STAGING_DIR "/a"));
    ck_assert(!vfs_exists(disk, "wal/wal-0000000000000001.log.tmp"));
    ck_assert(vfs_exists(disk, "wal/wal-0000000000000001.log"));
    ck_assert(!vfs_exists(disk, LAYOUT_CATALOG ".tmp"));
}
END_TEST

Suite *suite_catalog(void)
{
    Suite *suite = suite_create("catalog");
    TCase *tc = tcase_create("catalog");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_catalog_round_trip);
    tcase_add_test(tc, test_catalog_scan_when_lost_stale_or_damaged);
    tcase_add_test(tc, test_catalog_scan_of_a_replacement);
    tcase_add_test(tc, test_catalog_refuses_paths_that_lead_outside);
    tcase_add_test(tc, test_database_file);
    tcase_add_test(tc, test_dirlock_is_exclusive);
    tcase_add_test(tc, test_quarantine_never_overwrites);
    tcase_add_test(tc, test_layout_names);
    tcase_add_test(tc, test_layout_sweeps_what_was_left);
    suite_add_tcase(suite, tc);
    return suite;
}
