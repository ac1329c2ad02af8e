/* Goal: a loaded registry is the saved one, without what was dead; damaged bytes of any
 * kind are refused with a reason. Method: a round trip compared series by series; every
 * truncation and a flipped bit at every place; then hostile files whose checksums are
 * right, made block by block. */
#include "index/registry_file.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/varint.h"
#include "codec/compress.h"
#include "index/registry_file_priv.h"
#include "tests/unit/index/index_fixture.h"
#include "tests/unit/index/index_suites.h"

static const uint8_t database[16] = "0123456789abcdef";

static void save(struct index_fixture *fx, struct vfs *vfs, const char *path, uint64_t covers)
{
    struct registry_prefix prefix = registry_prefix(fx->reg, covers, 1);
    struct err err = {.st = ST_OK};
    status st = fixture_save(fx->reg, &prefix, database, vfs, path, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
}

static void fill(struct index_fixture *fx, uint32_t n)
{
    static const struct series_attrs attrs = {.retention_ms = -5, .ignore_max_ms = INT64_MAX,
                                              .ignore_max_val = 0.25, .chunk_bytes = 4096,
                                              .policy = DUP_SUM, .uncompressed = true};
    for (uint32_t i = 0; i < n; i++) {
        char text[128];
        uint32_t ordinal;
        snprintf(text, sizeof(text), "m%u,job=j%u,pod=p%u%s%u", i % 7, i % 90, i,
                 i % 5 ? ",z=" : ",key:k", i);
        struct labels labels = fixture_labels(fx, text);
        ck_assert_int_eq(fixture_try_add(&ordinal, fx, labels, i % 3 ? NULL : &attrs), ST_OK);
        arena_reset(&fx->arena);
        if (i % 11 == 3) registry_remove(fx->reg, ordinal);
        else if (i % 6 == 2) fixture_add_starts(fx, ordinal);
    }
}

static void check_same(struct index_fixture *a, struct index_fixture *b)
{
    ck_assert_uint_eq(registry_counts(a->reg).n_series, registry_counts(b->reg).n_series);
    ck_assert_uint_eq(registry_next_id(a->reg), registry_next_id(b->reg));
    for (uint32_t i = 0; i < registry_n_ordinals(a->reg); i++) {
        const struct series_entry *x = registry_entry(a->reg, i);
        if (!(entry_flags(x) & SERIES_LIVE)) continue;
        uint32_t there = registry_by_id(b->reg, x->id);
        ck_assert_uint_ne(there, ORDINAL_NONE);
        const struct series_entry *y = registry_entry(b->reg, there);
        ck_assert(x->place == y->place && x->type == y->type);
        ck_assert_uint_eq(x->label_version, y->label_version);
        ck_assert(labels_eq(registry_labels(a->reg, i, &a->arena),
                            registry_labels(b->reg, there, &b->arena)));
        const struct series_attrs *ax = entry_attrs(x), *ay = entry_attrs(y);
        ck_assert((ax == NULL) == (ay == NULL));
        if (!ax) continue;
        ck_assert(ax->retention_ms == ay->retention_ms && ax->policy == ay->policy);
        ck_assert(ax->ignore_max_ms == ay->ignore_max_ms);
        ck_assert(ax->ignore_max_val == ay->ignore_max_val);
        ck_assert(ax->chunk_bytes == ay->chunk_bytes && ax->uncompressed == ay->uncompressed);
        ck_assert_int_eq(ax->expire_ms, ay->expire_ms);
    }
}

START_TEST(test_registry_file_round_trip)
{
    static const uint32_t sizes[] = {0, 1, 700, 20000};
    struct vfs *vfs = vfs_mem_new();
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct index_fixture a, b;
        struct registry_loaded loaded;
        struct err err = {.st = ST_OK};
        fixture_init(&a);
        fixture_init(&b);
        fill(&a, sizes[i]);
        if (sizes[i]) {
            struct labels labels = fixture_labels(&a, "versioned");
            struct series_new make = {.labels = labels, .identity = SLICE_LIT("\11versioned"),
                                      .hash = hash128("\11versioned", 10), .id = 1ull << 60,
                                      .place = 77, .label_version = 9, .type = VALUE_HISTOGRAM};
            uint32_t ordinal;
            ck_assert_int_eq(registry_add(&ordinal, a.reg, &make), ST_OK);
        }
        save(&a, vfs, "series_index.bin", 4242);
        ck_assert(!vfs_exists(vfs, "series_index.bin.tmp"));
        status st = fixture_load(b.reg, &loaded, vfs, "series_index.bin", &err);
        ck_assert_msg(st == ST_OK, "%s", err.text);
        ck_assert_uint_eq(loaded.covers, 4242);
        ck_assert_mem_eq(loaded.database_id, database, 16);
        ck_assert_uint_eq(loaded.n_series,
                          registry_counts(a.reg).n_series + registry_n_hidden(a.reg));
        ck_assert_uint_eq(registry_n_hidden(b.reg), registry_n_hidden(a.reg));
        check_same(&a, &b);
        fixture_release(&a);
        fixture_release(&b);
    }
    vfs_free(vfs);
}
END_TEST

START_TEST(test_registry_file_is_not_there)
{
    struct vfs *vfs = vfs_mem_new();
    struct index_fixture fx;
    struct registry_loaded loaded;
    fixture_init(&fx);
    ck_assert_int_eq(fixture_load(fx.reg, &loaded, vfs, "none", NULL), ST_NOT_FOUND);
    struct registry_prefix prefix = registry_prefix(fx.reg, 0, 1);
    ck_assert_int_ne(fixture_save(fx.reg, &prefix, database, vfs, "no/such/dir", NULL),
                     ST_OK);
    fill(&fx, 10);
    prefix = registry_prefix(fx.reg, 0, 1);
    _Atomic bool cancelled = true;
    status st =
        registry_save(fx.reg, &prefix, NULL, database, vfs, "f", &cancelled, NULL, NULL);
    ck_assert_int_eq(st, ST_CANCELLED);
    ck_assert(!vfs_exists(vfs, "f") && !vfs_exists(vfs, "f.tmp"));
    fixture_release(&fx);
    vfs_free(vfs);
}
END_TEST

static void put_file(struct vfs *vfs, const void *src, size_t len)
{
    struct vfs_file *file;
    ck_assert_int_eq(vfs_open(vfs, &file, "f", VFS_TRUNCATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 0, src, len, NULL), ST_OK);
    vfs_close(file);
}

/* What loading these bytes says. The half-filled registry is still sound. */
static status load_bytes(const void *src, size_t len, struct err *err)
{
    struct vfs *vfs = vfs_mem_new();
    struct index_fixture fx;
    struct registry_loaded loaded;
    put_file(vfs, src, len);
    fixture_init(&fx);
    *err = (struct err){.st = ST_OK};
    status st = fixture_load(fx.reg, &loaded, vfs, "f", err);
    if (st != ST_OK) ck_assert_uint_gt(strlen(err->text), 0);
    if (st == ST_OK) fixture_release(&fx);
    else fixture_release_part(&fx);
    vfs_free(vfs);
    return st;
}

START_TEST(test_registry_file_damaged)
{
    struct vfs *vfs = vfs_mem_new();
    struct index_fixture fx;
    struct err err;
    uint8_t *bytes;
    size_t len;
    fixture_init(&fx);
    fill(&fx, 20);
    save(&fx, vfs, "f", 1);
    ck_assert_int_eq(vfs_read_file(vfs, "f", 1 << 20, &bytes, &len, NULL), ST_OK);
    ck_assert_int_eq(load_bytes(bytes, len, &err), ST_OK);
    for (size_t cut = 0; cut < len; cut++) {
        ck_assert_msg(load_bytes(bytes, cut, &err) == ST_CORRUPT, "cut at %zu", cut);
    }
    for (size_t at = 0; at < len; at++) {
        bytes[at] ^= 1u << (at % 8);
        ck_assert_msg(load_bytes(bytes, len, &err) == ST_CORRUPT, "bit flipped at %zu", at);
        bytes[at] ^= 1u << (at % 8);
    }
    uint8_t *longer = malloc(len + 1);
    memcpy(longer, bytes, len);
    longer[len] = 0;
    ck_assert_int_eq(load_bytes(longer, len + 1, &err), ST_CORRUPT);
    free(longer);
    free(bytes);
    fixture_release(&fx);
    vfs_free(vfs);
}
END_TEST

/* A snapshot and the delta after it, as version 2 was first written. They must open for
 * ever: a change of the format that breaks this test needs a new version and new arrays. */
static const uint8_t golden_snapshot_v2[] = {
    0x54, 0x53, 0x52, 0x47, 0x02, 0x00, 0x01, 0x00, 0x30, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x48, 0x85, 0x38, 0xb0, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x4d, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x54, 0x53,
    0x52, 0x47, 0x02, 0x00, 0x02, 0x00, 0x2c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xc3, 0x98, 0x6d, 0x25, 0x04, 0x00, 0x00, 0x00, 0x1b, 0x00, 0x00, 0x00, 0x28, 0xb5,
    0x2f, 0xfd, 0x20, 0x1b, 0xd9, 0x00, 0x00, 0x08, 0x5f, 0x5f, 0x6e, 0x61, 0x6d, 0x65,
    0x5f, 0x5f, 0x08, 0x69, 0x6e, 0x73, 0x74, 0x61, 0x6e, 0x63, 0x65, 0x03, 0x6a, 0x6f,
    0x62, 0x04, 0x72, 0x6f, 0x6f, 0x6d, 0x54, 0x53, 0x52, 0x47, 0x02, 0x00, 0x03, 0x00,
    0x33, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xb2, 0x3f, 0xcb, 0xaa, 0x06, 0x00,
    0x00, 0x00, 0x25, 0x00, 0x00, 0x00, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x25, 0x15, 0x01,
    0x00, 0xe0, 0x02, 0x75, 0x70, 0x09, 0x68, 0x6f, 0x73, 0x74, 0x3a, 0x39, 0x31, 0x30,
    0x30, 0x04, 0x6e, 0x6f, 0x64, 0x65, 0x06, 0x73, 0x65, 0x6e, 0x73, 0x6f, 0x72, 0x01,
    0x78, 0x31, 0x01, 0x00, 0x6f, 0x31, 0xc7, 0x54, 0x53, 0x52, 0x47, 0x02, 0x00, 0x04,
    0x00, 0x1d, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x95, 0x10, 0x52, 0x45, 0x06,
    0x00, 0x00, 0x00, 0x0c, 0x00, 0x00, 0x00, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x0c, 0x61,
    0x00, 0x00, 0x00, 0x00, 0x01, 0x01, 0x02, 0x02, 0x00, 0x03, 0x03, 0x04, 0x01, 0x05,
    0x54, 0x53, 0x52, 0x47, 0x02, 0x00, 0x06, 0x00, 0x57, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0xc1, 0x3b, 0x2f, 0xb1, 0x03, 0x00, 0x00, 0x00, 0x46, 0x00, 0x00, 0x00,
    0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x46, 0x31, 0x02, 0x00, 0x01, 0xdb, 0xf4, 0xf7, 0x62,
    0xe6, 0xe5, 0xa6, 0xb3, 0x01, 0x00, 0x06, 0x00, 0x01, 0x02, 0x01, 0x43, 0x60, 0x66,
    0x2f, 0x89, 0x77, 0xd5, 0x36, 0x01, 0x03, 0x05, 0x03, 0x04, 0x08, 0x73, 0x65, 0x6e,
    0x73, 0x6f, 0x72, 0x3a, 0x31, 0x80, 0xba, 0xb7, 0x03, 0x14, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0xe0, 0x3f, 0x80, 0x20, 0x03, 0x01, 0x02, 0xfd, 0x36, 0x65, 0x4d, 0x80,
    0xe0, 0x3c, 0x37, 0x01, 0x00, 0x06, 0x00, 0x05, 0x02, 0x54, 0x53, 0x52, 0x47, 0x02,
    0x00, 0x08, 0x00, 0x30, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc0, 0xb6, 0x0e,
    0xe0, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

static const uint8_t golden_delta_v2[] = {
    0x54, 0x53, 0x52, 0x47, 0x02, 0x00, 0x01, 0x00, 0x30, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0xa6, 0x6d, 0x1b, 0x54, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x5a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x54, 0x53,
    0x52, 0x47, 0x02, 0x00, 0x02, 0x00, 0x27, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xde, 0x59, 0x34, 0xd3, 0x03, 0x00, 0x00, 0x00, 0x16, 0x00, 0x00, 0x00, 0x28, 0xb5,
    0x2f, 0xfd, 0x20, 0x16, 0xb1, 0x00, 0x00, 0x08, 0x5f, 0x5f, 0x6e, 0x61, 0x6d, 0x65,
    0x5f, 0x5f, 0x08, 0x69, 0x6e, 0x73, 0x74, 0x61, 0x6e, 0x63, 0x65, 0x03, 0x6a, 0x6f,
    0x62, 0x54, 0x53, 0x52, 0x47, 0x02, 0x00, 0x03, 0x00, 0x23, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x80, 0x97, 0x70, 0x24, 0x03, 0x00, 0x00, 0x00, 0x12, 0x00, 0x00,
    0x00, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x12, 0x91, 0x00, 0x00, 0x02, 0x75, 0x70, 0x04,
    0x6e, 0x6f, 0x64, 0x65, 0x09, 0x68, 0x6f, 0x73, 0x74, 0x3a, 0x39, 0x31, 0x30, 0x32,
    0x54, 0x53, 0x52, 0x47, 0x02, 0x00, 0x04, 0x00, 0x17, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x06, 0x39, 0x4b, 0x85, 0x03, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00,
    0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x06, 0x31, 0x00, 0x00, 0x00, 0x00, 0x02, 0x01, 0x01,
    0x02, 0x54, 0x53, 0x52, 0x47, 0x02, 0x00, 0x05, 0x00, 0x12, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x35, 0x63, 0x5c, 0x94, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00,
    0x00, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x01, 0x09, 0x00, 0x00, 0x04, 0x54, 0x53, 0x52,
    0x47, 0x02, 0x00, 0x06, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xd5,
    0xc5, 0x24, 0x98, 0x01, 0x00, 0x00, 0x00, 0x0f, 0x00, 0x00, 0x00, 0x28, 0xb5, 0x2f,
    0xfd, 0x20, 0x0f, 0x79, 0x00, 0x00, 0x05, 0xc8, 0xb4, 0x15, 0xdb, 0xe5, 0x85, 0x67,
    0x39, 0x01, 0x00, 0x06, 0x00, 0x02, 0x01, 0x54, 0x53, 0x52, 0x47, 0x02, 0x00, 0x07,
    0x00, 0x24, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9f, 0x0c, 0x2f, 0xc5, 0x01,
    0x00, 0x00, 0x00, 0x13, 0x00, 0x00, 0x00, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x13, 0x99,
    0x00, 0x00, 0x02, 0x01, 0x80, 0xf4, 0xee, 0x06, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0xe0, 0x3f, 0x80, 0x20, 0x03, 0x01, 0x54, 0x53, 0x52, 0x47, 0x02, 0x00, 0x08,
    0x00, 0x30, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0b, 0x7e, 0x9f, 0xc9, 0x03,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00,
};

/* A snapshot and n deltas named f, f1, f2 ... */
static status load_chain(struct index_fixture *fx, struct vfs *vfs, size_t n_deltas,
                         unsigned n_threads, struct registry_loaded *loaded, struct err *err)
{
    static const char *const paths[] = {"f", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8"};
    struct registry_part parts[ARRAY_LEN(paths)];
    for (size_t i = 0; i <= n_deltas; i++) parts[i] = (struct registry_part){.path = paths[i]};
    struct registry_load_options opt = {
        .parts = parts, .n = n_deltas + 1, .any_bytes = true, .n_threads = n_threads};
    return registry_load(fx->reg, loaded, vfs, &opt, err);
}

static void put_named(struct vfs *vfs, const char *name, const void *src, size_t len)
{
    struct vfs_file *file;
    ck_assert_int_eq(vfs_open(vfs, &file, name, VFS_TRUNCATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 0, src, len, NULL), ST_OK);
    vfs_close(file);
}

START_TEST(test_registry_file_golden_v2)
{
    static const struct {
        const char *spelling;
        series_id id;
    } want[] = {{"up,job=node,instance=host:9100", 1},
                {"key:sensor:1,__name__=sensor,room=x", 2},
                {"up,job=node,instance=host:9102", 5}};
    struct vfs *vfs = vfs_mem_new();
    struct index_fixture fx;
    struct registry_loaded loaded;
    struct err err = {.st = ST_OK};
    fixture_init(&fx);
    put_named(vfs, "f", golden_snapshot_v2, sizeof(golden_snapshot_v2));
    put_named(vfs, "f1", golden_delta_v2, sizeof(golden_delta_v2));
    status st = load_chain(&fx, vfs, 1, 1, &loaded, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    ck_assert_mem_eq(loaded.database_id, database, 16);
    ck_assert(loaded.covers == 90 && loaded.n_series == 3 && loaded.number == 4);
    ck_assert_uint_eq(registry_next_id(fx.reg), 6);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct labels labels = fixture_labels(&fx, want[i].spelling);
        uint32_t ordinal = fixture_find(&fx, labels);
        ck_assert_msg(ordinal != ORDINAL_NONE, "%s", want[i].spelling);
        const struct series_entry *entry = registry_entry(fx.reg, ordinal);
        size_t len = labels_identity_len(labels);
        uint8_t *identity = arena_try(&fx.arena, len);
        labels_identity(identity, labels);
        ck_assert_uint_eq(entry->id, want[i].id);
        ck_assert_uint_eq(entry->place, labels_place(labels, slice_of(identity, len)));
    }
    const struct series_attrs *attrs = entry_attrs(registry_entry(fx.reg, 1));
    ck_assert(attrs && attrs->retention_ms == 7200000 && attrs->ignore_max_ms == 10);
    ck_assert(attrs->ignore_max_val == 0.5 && attrs->chunk_bytes == 4096);
    ck_assert(attrs->policy == DUP_LAST && attrs->uncompressed);
    fixture_release(&fx);
    vfs_free(vfs);
}
END_TEST

/* ---- deltas ---- */

struct changes {
    series_id dead[64], attrs[64];
    size_t n_dead, n_attrs;
    uint64_t births_from;
};

static void save_delta(struct index_fixture *fx, struct vfs *vfs, const char *path,
                       uint64_t number, struct changes *c)
{
    struct registry_prefix prefix = registry_prefix(fx->reg, 10 * number, number);
    struct registry_changes changes = {.births_from = c->births_from,
                                       .dead = c->dead,
                                       .n_dead = c->n_dead,
                                       .attrs = c->attrs,
                                       .n_attrs = c->n_attrs};
    struct err err = {.st = ST_OK};
    status st = registry_save(fx->reg, &prefix, &changes, database, vfs, path, NULL, NULL, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    *c = (struct changes){.births_from = registry_n_births(fx->reg)};
}

static void slay(struct index_fixture *fx, uint32_t ordinal, struct changes *c)
{
    c->dead[c->n_dead++] = registry_entry(fx->reg, ordinal)->id;
    registry_remove(fx->reg, ordinal);
}

START_TEST(test_registry_file_deltas)
{
    static const struct series_attrs attrs = {.retention_ms = 5, .policy = DUP_MAX};
    struct vfs *vfs = vfs_mem_new();
    struct index_fixture a, b;
    struct registry_loaded loaded;
    struct err err = {.st = ST_OK};
    struct changes c = {.n_dead = 0};
    fixture_init(&a);
    uint32_t first = fixture_add(&a, "up,pod=a");
    fixture_add(&a, "key:k,pod=b");
    uint32_t doomed = fixture_add(&a, "up,pod=c");
    save(&a, vfs, "f", 1);
    c.births_from = registry_n_births(a.reg);

    slay(&a, doomed, &c);
    ck_assert_int_eq(registry_set_attrs(a.reg, first, &attrs), ST_OK);
    c.attrs[c.n_attrs++] = registry_entry(a.reg, first)->id;
    uint32_t later = fixture_add(&a, "new,names=new,pod=a");
    uint32_t brief = fixture_add(&a, "brief");
    slay(&a, brief, &c); /* born and dead between two files */
    save_delta(&a, vfs, "f1", 2, &c);
    fixture_add(&a, "up,pod=c"); /* again, with another id */
    ck_assert_int_eq(registry_set_attrs(a.reg, first, NULL), ST_OK);
    c.attrs[c.n_attrs++] = registry_entry(a.reg, first)->id;
    c.attrs[c.n_attrs++] = c.attrs[0];
    slay(&a, later, &c);
    save_delta(&a, vfs, "f2", 3, &c);
    save_delta(&a, vfs, "f3", 4, &c); /* nothing */

    fixture_init(&b);
    status st = load_chain(&b, vfs, 3, 2, &loaded, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    ck_assert(loaded.covers == 40 && loaded.number == 4 && loaded.n_read == 4);
    check_same(&a, &b);
    fixture_release(&b);
    /* The snapshot alone is the state before, without what came. */
    fixture_init(&b);
    ck_assert_int_eq(load_chain(&b, vfs, 0, 1, &loaded, &err), ST_OK);
    ck_assert_uint_eq(loaded.n_series, 3);
    fixture_release(&b);
    /* A delta is no snapshot, and one does not go on where another has not been. */
    fixture_init(&b);
    struct registry_part part = {.path = "f1"};
    struct registry_load_options opt = {.parts = &part, .n = 1, .any_bytes = true};
    ck_assert_int_eq(registry_load(b.reg, &loaded, vfs, &opt, &err), ST_CORRUPT);
    fixture_release_part(&b);
    fixture_release(&a);
    vfs_free(vfs);
}
END_TEST

/* Every truncation and a flipped bit at every place of a delta; a list that knows better. */
START_TEST(test_registry_file_deltas_damaged)
{
    struct vfs *vfs = vfs_mem_new();
    struct index_fixture fx;
    struct registry_loaded loaded;
    struct err err;
    uint8_t *bytes;
    size_t len;
    put_named(vfs, "f", golden_snapshot_v2, sizeof(golden_snapshot_v2));
    len = sizeof(golden_delta_v2);
    bytes = malloc(len);
    memcpy(bytes, golden_delta_v2, len);
    for (size_t at = 0; at < 2 * len; at++) {
        size_t n = at < len ? at : len;
        if (at >= len) bytes[at - len] ^= 1u << (at % 8);
        put_named(vfs, "f1", bytes, n);
        if (at >= len) bytes[at - len] ^= 1u << (at % 8);
        fixture_init(&fx);
        status st = load_chain(&fx, vfs, 1, 1, &loaded, &err);
        ck_assert_msg(st == ST_CORRUPT && loaded.bad == 1, "%zu of %zu: %s", at, len,
                      status_name(st));
        fixture_release_part(&fx);
    }
    put_named(vfs, "f1", golden_delta_v2, len);
    static const struct {
        const char *name;
        uint64_t number, off;
        uint32_t crc_off;
        status want;
    } lists[] = {
        {"another length", 4, 1, 0, ST_CORRUPT},
        {"another sum", 4, 0, 1, ST_CORRUPT},
        {"another number", 9, 0, 0, ST_CORRUPT},
        {"superfluous", 3, 7, 7, ST_OK},
        {"as it is", 4, 0, 0, ST_OK},
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct registry_part parts[2] = {
            {"f", 3, sizeof(golden_snapshot_v2),
             crc32c(0, golden_snapshot_v2, sizeof(golden_snapshot_v2))},
            {"f1", lists[i].number, len + lists[i].off,
             crc32c(0, golden_delta_v2, len) + lists[i].crc_off}};
        struct registry_load_options opt = {.parts = parts, .n = 2};
        fixture_init(&fx);
        status st = registry_load(fx.reg, &loaded, vfs, &opt, &err);
        ck_assert_msg(st == lists[i].want, "%s: %s", lists[i].name, status_name(st));
        if (st == ST_OK) fixture_release(&fx);
        else fixture_release_part(&fx);
    }
    /* A list from before the snapshot: the snapshot is all there is to know. */
    struct registry_part old[2] = {{"f", 1, 5, 5}, {"f1", 2, 5, 5}};
    struct registry_load_options opt = {.parts = old, .n = 2};
    fixture_init(&fx);
    ck_assert_int_eq(registry_load(fx.reg, &loaded, vfs, &opt, &err), ST_OK);
    ck_assert(loaded.n_series == 3 && loaded.n_read == 1 && loaded.number == 3);
    fixture_release(&fx);
    free(bytes);
    vfs_free(vfs);
}
END_TEST

/* Births, deaths and attributes at random, ordinals born again; large enough that lists
 * become bitmaps and threads share the load. */
START_TEST(test_registry_file_random_history)
{
    enum { FILES = 8, BIRTHS = 1500, DEATHS = 60 };
    static const struct series_attrs attrs = {.retention_ms = 77, .policy = DUP_MIN};
    struct vfs *vfs = vfs_mem_new();
    struct index_fixture a, b;
    struct registry_loaded loaded;
    struct err err = {.st = ST_OK};
    struct changes c = {.n_dead = 0};
    uint64_t seed = unit_seed();
    struct rng rng;
    rng_init(&rng, seed);
    fixture_init(&a);
    uint32_t n_made = 0;
    for (uint64_t file = 0; file <= FILES; file++) {
        for (int i = 0; i < (file ? BIRTHS : 6000); i++) {
            char text[96];
            snprintf(text, sizeof(text), "m%u,job=j%u,pod=p%u%s", (unsigned)(rng_next(&rng) % 9),
                     (unsigned)(rng_next(&rng) % 50), n_made++, i % 7 ? "" : ",env=prod");
            fixture_add(&a, text);
            arena_reset(&a.arena);
        }
        for (int i = 0; i < DEATHS && file; i++) {
            uint32_t at = (uint32_t)(rng_next(&rng) % registry_n_ordinals(a.reg));
            if (!(entry_flags(registry_entry(a.reg, at)) & SERIES_LIVE)) continue;
            if (i % 3) {
                slay(&a, at, &c);
                continue;
            }
            ck_assert_int_eq(registry_set_attrs(a.reg, at, i % 2 ? &attrs : NULL), ST_OK);
            c.attrs[c.n_attrs++] = registry_entry(a.reg, at)->id;
        }
        char path[4] = "f";
        if (file) snprintf(path, sizeof(path), "f%d", (int)file);
        if (file) save_delta(&a, vfs, path, file + 1, &c);
        else save(&a, vfs, path, 1);
        c.births_from = registry_n_births(a.reg);
        if (_i && fixture_purge(&a)) fixture_grace(&a); /* ordinals are free again */
    }
    fixture_init(&b);
    status st = load_chain(&b, vfs, FILES, _i ? 3 : 1, &loaded, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    check_same(&a, &b);
    fixture_release(&a);
    fixture_release(&b);
    vfs_free(vfs);
}
END_TEST

/* ---- hostile files: right sums, wrong contents ---- */


static void forge_frame(struct strbuf *out, uint16_t version, uint16_t type, const void *src,
                        size_t len)
{
    uint8_t head[FRAME_HEAD_LEN];
    frame_put_head(head, &(struct frame){.magic = REGISTRY_MAGIC, .version = version,
                                         .type = type, .payload = src, .len = len});
    strbuf_put(out, head, sizeof(head));
    strbuf_put(out, src, len);
}

static void forge_block(struct strbuf *out, uint16_t type, uint32_t n, const char *raw,
                        size_t raw_len, uint32_t claimed)
{
    uint8_t block[512];
    size_t len;
    store_u32(block + BLOCK_OFF_N, n);
    store_u32(block + BLOCK_OFF_RAW_LEN, claimed);
    ck_assert_int_eq(zstd_encode(&len, block + BLOCK_HEAD_LEN, sizeof(block) - BLOCK_HEAD_LEN,
                                 raw, raw_len, ZSTD_LEVEL_FAST), ST_OK);
    forge_frame(out, REGISTRY_FILE_VERSION, type, block, BLOCK_HEAD_LEN + len);
}

#define RAW(lit) (lit), sizeof(lit) - 1
#define PLACE "\1\2\3\4\5\6\7\10"
#define PARENT "\40" "0000000000000002" "0807060504030201" /* series 2 at PLACE */

/* One file: names a, b; values x; pairs (a,x) (b,x); series as the case says. */
static const struct forged {
    const char *name;
    status want;
    uint32_t n_names;
    const char *names;
    size_t names_len;
    uint32_t n_pairs;
    const char *pairs;
    size_t pairs_len;
    uint32_t n_series;
    const char *series;
    size_t series_len;
} forged[] = {
    {"sound", ST_OK, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\0\4\0\1")},
    {"a key and attributes", ST_OK, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\7\3\0\1k\2\2\0\0\0\0\0\0\0\0\1\1\1\5")},
    {"text longer than the block", ST_CORRUPT, 2, RAW("\1a\x7f" "b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\0\4\0\1")},
    {"empty text", ST_CORRUPT, 2, RAW("\1a\0"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\0\4\0\1")},
    {"bytes after the texts", ST_CORRUPT, 2, RAW("\1a\1bz"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\0\4\0\1")},
    {"a pair of no name", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\2\0"), 1,
     RAW("\2" PLACE "\1\0\4\0\1")},
    {"a pair of no value", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\1"), 1,
     RAW("\2" PLACE "\1\0\4\0\1")},
    {"a pair twice", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\0\0"), 1,
     RAW("\2" PLACE "\1\0\4\0\1")},
    {"a name twice", ST_CORRUPT, 2, RAW("\1a\1a"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\0\4\0\1")},
    {"the key as a pair", ST_CORRUPT, 2, RAW("\1a\7__key__"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\0\4\0\1")},
    {"labels out of order", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\0\4\1\0")},
    {"a label twice", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\0\4\0\0")},
    {"a series of no pair", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\0\4\0\2")},
    {"pairs that are not there", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0")},
    {"id 0", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\0" PLACE "\1\0\4\0\1")},
    {"the last id", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\xff\xff\xff\xff\xff\xff\xff\xff\xff\1" PLACE "\1\0\4\0\1")},
    {"an id twice", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 2,
     RAW("\2" PLACE "\1\0\2\0\0" PLACE "\1\0\2\1")},
    {"a label set twice", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 2,
     RAW("\2" PLACE "\1\0\2\0\2" PLACE "\1\0\2\0")},
    {"a key twice", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 2,
     RAW("\2" PLACE "\1\1\3\0\1k\2" PLACE "\1\1\3\1\1k")},
    {"an empty key", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\1\3\0\0")},
    {"no such type", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\11\0\4\0\1")},
    {"no such flag", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\20\4\0\1")},
    {"a companion", ST_OK, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 2,
     RAW("\2" PLACE "\1\0\4\0\1\3" PLACE "\2\10\1" PARENT)},
    {"a companion twice", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 2,
     RAW("\2" PLACE "\2\10\1" PARENT "\3" PLACE "\2\10\1" PARENT)},
    {"a companion with a pair", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\2\10\3\0" PARENT)},
    {"a companion with a key", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\2\11\1" PARENT)},
    {"a companion of nobody", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\2\10\0")},
    {"a companion of something else", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\2\10\1\1k")},
    {"a companion's name as a pair's", ST_CORRUPT, 2, RAW("\1a\20__tsink_starts__"), 2,
     RAW("\0\0\1\0"), 1, RAW("\2" PLACE "\1\0\4\0\1")},
    {"no such policy", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\2\2\0\0\0\0\0\0\0\0\0\0\0\0\11\0")},
    {"version 0", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\4\2\0\0")},
    {"a key without its flag", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\0\3\0\1k")},
    {"a flag without its key", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\1\2\0")},
    {"version 1, spelt out", ST_CORRUPT, 2, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\4\2\0\1")},
    {"more records than bytes", ST_CORRUPT, 9, RAW("\1a\1b"), 2, RAW("\0\0\1\0"), 1,
     RAW("\2" PLACE "\1\0\4\0\1")},
};

static void forge_head(struct strbuf *out)
{
    uint8_t head[HEAD_LEN] = {0};
    store_u64(head + HEAD_OFF_NEXT_ID, 1);
    store_u32(head + HEAD_OFF_KIND, REG_KIND_SNAPSHOT);
    forge_frame(out, REGISTRY_FILE_VERSION, REG_FRAME_HEAD, head, sizeof(head));
}

static void forge_end(struct strbuf *out, uint64_t names, uint64_t pairs, uint64_t n_series)
{
    uint8_t end[END_LEN] = {0};
    store_u64(end, names);
    store_u64(end + 8, 1);
    store_u64(end + 16, pairs);
    store_u64(end + 32, n_series);
    forge_frame(out, REGISTRY_FILE_VERSION, REG_FRAME_END, end, sizeof(end));
}

START_TEST(test_registry_file_hostile)
{
    const struct forged *f = &forged[_i];
    struct strbuf out;
    struct err err;
    strbuf_init(&out, 0);
    forge_head(&out);
    forge_block(&out, REG_FRAME_NAMES, f->n_names, f->names, f->names_len,
                (uint32_t)f->names_len);
    forge_block(&out, REG_FRAME_VALUES, 1, RAW("\1x"), 2);
    forge_block(&out, REG_FRAME_PAIRS, f->n_pairs, f->pairs, f->pairs_len,
                (uint32_t)f->pairs_len);
    forge_block(&out, REG_FRAME_SERIES, f->n_series, f->series, f->series_len,
                (uint32_t)f->series_len);
    forge_end(&out, f->n_names, f->n_pairs, f->n_series);
    status st = load_bytes(out.ptr, out.len, &err);
    ck_assert_msg(st == f->want, "%s: %s (%s)", f->name, status_name(st), err.text);
    strbuf_release(&out);
}
END_TEST

START_TEST(test_registry_file_hostile_frames)
{
    static const char *const names[] = {
        "no head",      "two heads",     "values before names", "an unknown frame",
        "wrong counts", "a short block", "a block that claims more than it holds",
        "a block that claims too much", "a later version", "a short head",
    };
    for (int i = 0; i < (int)ARRAY_LEN(names); i++) {
        struct strbuf out;
        struct err err;
        strbuf_init(&out, 0);
        uint8_t junk[HEAD_LEN] = {1};
        if (i != 0 && i != 8 && i != 9) forge_head(&out);
        if (i == 1) forge_head(&out);
        if (i == 8) forge_frame(&out, REGISTRY_FILE_VERSION + 1, REG_FRAME_HEAD, junk, HEAD_LEN);
        if (i == 9) forge_frame(&out, 2, REG_FRAME_HEAD, junk, HEAD_LEN - 1);
        if (i == 2) forge_block(&out, REG_FRAME_VALUES, 1, RAW("\1x"), 2);
        if (i == 3) forge_frame(&out, 2, 9, junk, sizeof(junk));
        if (i == 5) forge_frame(&out, 2, REG_FRAME_NAMES, junk, BLOCK_HEAD_LEN - 1);
        if (i == 6) forge_block(&out, REG_FRAME_NAMES, 1, RAW("\1x"), 3);
        if (i == 7) forge_block(&out, REG_FRAME_NAMES, 1, RAW("\1x"), BLOCK_RAW_MAX + 1);
        forge_block(&out, REG_FRAME_NAMES, 1, RAW("\1a"), 2);
        if (i != 2) forge_block(&out, REG_FRAME_VALUES, 1, RAW("\1x"), 2);
        forge_end(&out, 1, 0, i == 4 ? 1 : 0);
        status st = load_bytes(out.ptr, out.len, &err);
        ck_assert_msg(st == (i == 8 ? ST_UNSUPPORTED : ST_CORRUPT), "%s: %s (%s)", names[i],
                      status_name(st), err.text);
        strbuf_release(&out);
    }
}
END_TEST

Suite *suite_registry_file(void)
{
    Suite *suite = suite_create("registry_file");
    TCase *tc = tcase_create("registry_file");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_registry_file_round_trip);
    tcase_add_test(tc, test_registry_file_is_not_there);
    tcase_add_test(tc, test_registry_file_damaged);
    tcase_add_test(tc, test_registry_file_golden_v2);
    tcase_add_test(tc, test_registry_file_deltas);
    tcase_add_test(tc, test_registry_file_deltas_damaged);
    tcase_add_loop_test(tc, test_registry_file_random_history, 0, 2);
    tcase_add_loop_test(tc, test_registry_file_hostile, 0, (int)ARRAY_LEN(forged));
    tcase_add_test(tc, test_registry_file_hostile_frames);
    suite_add_tcase(suite, tc);
    return suite;
}
