/* Goal: sets of deletes answer as a plain list of records would, stay as they are while
 * others are made from them, and survive in their file whatever is cut or flipped.
 * Method: random histories from a seed against a list; every byte of a small file. */
#include "tests/unit/storage/storage_suites.h"

#include "base/mem.h"
#include "base/panic.h"
#include "base/rng.h"
#include "storage/layout.h"
#include "storage/tombstone_file.h"
#include "tests/lib/vfs_fault.h"

enum { RECS = 120, IDS = 30, PER_REC = 6 };

struct list_rec {
    uint64_t ids[PER_REC];
    struct delete_rec rec;
};

static struct list_rec list[RECS];

static void make_list(struct rng *rng)
{
    for (size_t r = 0; r < RECS; r++) {
        size_t n = 0;
        uint64_t id = rng_below(rng, 8);
        while (n < PER_REC && id < IDS) {
            list[r].ids[n++] = id;
            id += 1 + rng_below(rng, 9);
        }
        ts_time from = (ts_time)rng_below(rng, 90);
        list[r].rec = (struct delete_rec){.ids = list[r].ids,
                                          .n_ids = n,
                                          .range = {from, from + (ts_time)rng_below(rng, 10)},
                                          .order = r / 4,
                                          .gen = r + 1};
    }
}

static bool list_hides(size_t n, uint64_t id, ts_time t, uint64_t order_max)
{
    for (size_t r = 0; r < n; r++) {
        const struct delete_rec *rec = &list[r].rec;
        if (rec->order < order_max || !range_has(rec->range, t)) continue;
        for (size_t i = 0; i < rec->n_ids; i++) {
            if (rec->ids[i] == id) return true;
        }
    }
    return false;
}

static void check_against_list(const struct tombstones *set, size_t n, uint64_t order_floor)
{
    for (uint64_t id = 0; id < IDS; id++) {
        for (uint64_t order = order_floor; order < RECS / 4 + 1; order += 3) {
            struct intervals hidden = {0};
            ck_assert_int_eq(tombstones_intervals(&hidden, set, id, order), ST_OK);
            for (ts_time t = 0; t < 101; t += 2) {
                bool want = list_hides(n, id, t, order);
                ck_assert_int_eq(tombstones_hides(set, id, t, order), want);
                ck_assert_int_eq(intervals_has(&hidden, t), want);
                if (want) ck_assert(tombstones_touch(set, order, (struct time_range){t, t}));
            }
            intervals_release(&hidden);
        }
    }
}

static status keep_odd(void *ctx, const struct delete_rec *rec, bool *stays)
{
    (void)ctx;
    *stays = rec->gen % 2 != 0;
    return ST_OK;
}

static status count_rec(void *ctx, const struct delete_rec *rec)
{
    uint64_t *n = ctx;
    ck_assert_uint_ge(rec->order, 30);
    *n += rec->n_ids;
    return ST_OK;
}

START_TEST(test_tombstones_answer_as_a_list)
{
    struct tombstones *sets[RECS + 1] = {NULL}, *left;
    struct rng rng;

    rng_init(&rng, unit_seed());
    make_list(&rng);
    for (size_t r = 0; r < RECS; r++) {
        ck_assert_int_eq(tombstones_add(&sets[r + 1], sets[r], &list[r].rec), ST_OK);
        ck_assert_uint_eq(tombstones_gen(sets[r + 1]), r + 1);
    }
    for (size_t n = 0; n <= RECS; n += 40) check_against_list(sets[n], n, 0);

    /* Old records go when no segment is old enough for them. */
    ck_assert_int_eq(tombstones_trim(&left, sets[RECS], 20), ST_OK);
    ck_assert_uint_lt(tombstones_count(left), tombstones_count(sets[RECS]));
    check_against_list(left, RECS, 20);
    ck_assert(!tombstones_hides(left, 0, 0, 0) || list_hides(RECS, 0, 0, 20));
    tombstones_unref(left);
    ck_assert_int_eq(tombstones_trim(&left, sets[RECS], RECS), ST_OK);
    ck_assert_uint_eq(tombstones_count(left), 0);
    ck_assert_uint_eq(tombstones_gen(left), RECS);
    tombstones_unref(left);

    /* A filter keeps what it is told to keep; a walk meets what is new enough. */
    uint64_t n_odd = 0, n_walked = 0, n_new = 0;
    for (size_t r = 0; r < RECS; r++) {
        if (list[r].rec.gen % 2) n_odd += list[r].rec.n_ids;
        if (list[r].rec.order >= 30) n_new += list[r].rec.n_ids;
    }
    ck_assert_int_eq(tombstones_filter(&left, sets[RECS], keep_odd, NULL), ST_OK);
    ck_assert_uint_eq(tombstones_count(left), n_odd);
    ck_assert_uint_eq(tombstones_gen(left), RECS);
    for (size_t r = 0; r < RECS; r++)
        if (list[r].rec.gen % 2 == 0) list[r].rec.n_ids = 0;
    check_against_list(left, RECS, 0);
    tombstones_unref(left);
    ck_assert_int_eq(tombstones_walk(sets[RECS], 30, count_rec, &n_walked), ST_OK);
    ck_assert_uint_eq(n_walked, n_new);
    for (size_t r = RECS + 1; r > 0; r--) tombstones_unref(sets[r - 1]);
}
END_TEST

static status keep_all(void *ctx, const struct delete_rec *rec, bool *stays)
{
    (void)ctx, (void)rec;
    *stays = true;
    return ST_OK;
}

static void add_one(struct tombstones **set, const uint64_t *ids, size_t n, uint64_t gen)
{
    struct delete_rec rec = {.ids = ids, .n_ids = n, .range = {1, 2}, .order = gen, .gen = gen};
    struct tombstones *next;
    ck_assert_int_eq(tombstones_add(&next, *set, &rec), ST_OK);
    tombstones_unref(*set);
    *set = next;
}

/* Large runs are not merged by who adds; a fold brings them together while more is added. */
START_TEST(test_tombstones_fold)
{
    enum { SLICE = 1024, SLICES = 100, MORE = 10 };
    static uint64_t ids[(SLICES + MORE) * SLICE];
    struct tombstones *set = NULL, *old, *left, *next;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) ids[i] = i + 1;
    for (uint64_t i = 0; i < SLICES; i++) add_one(&set, ids + i * SLICE, SLICE, i + 1);
    ck_assert_uint_eq(tombstones_count(set), SLICES * SLICE);
    ck_assert_uint_ge(tombstones_runs(set), SLICES / 16); /* none holds more than 16 slices */
    ck_assert_uint_le(tombstones_runs(set), SLICES / 8 + 4);

    old = tombstones_ref(set);
    tombstones_seal(set);
    for (uint64_t i = SLICES; i < SLICES + MORE; i++) add_one(&set, ids + i * SLICE, SLICE, i + 1);
    ck_assert_int_eq(tombstones_filter(&left, old, keep_all, NULL), ST_OK);
    ck_assert_uint_le(tombstones_runs(left), 8);
    ck_assert_int_eq(tombstones_rebase(&next, old, left, set), ST_OK);
    ck_assert_uint_eq(tombstones_count(next), (SLICES + MORE) * SLICE);
    ck_assert_uint_eq(tombstones_gen(next), SLICES + MORE);
    ck_assert_uint_le(tombstones_runs(next), 8 + MORE);
    for (size_t i = 0; i < ARRAY_LEN(ids); i += 97) {
        ck_assert(tombstones_hides(next, ids[i], 1, i / SLICE + 1));
        ck_assert(!tombstones_hides(next, ids[i], 1, i / SLICE + 2));
    }
    ck_assert_int_eq(tombstones_rebase(&next, set, left, old), ST_AGAIN); /* not made from it */
    ck_assert_int_eq(tombstones_rebase(&next, left, old, set), ST_AGAIN);
    tombstones_unref(next);
    tombstones_unref(left);
    tombstones_unref(old);
    tombstones_unref(set);
}
END_TEST

START_TEST(test_tombstones_refuse_broken_records)
{
    const uint64_t ids[] = {3, 3, 2};
    struct delete_rec rec = {.ids = ids, .n_ids = 2, .range = {0, 1}};
    struct tombstones *set;

    ck_assert_int_eq(tombstones_add(&set, NULL, &rec), ST_INVALID);
    rec.ids = ids + 1;
    ck_assert_int_eq(tombstones_add(&set, NULL, &rec), ST_INVALID);
    rec.n_ids = 1;
    rec.range.from = 2;
    ck_assert_int_eq(tombstones_add(&set, NULL, &rec), ST_INVALID);
    ck_assert(!tombstones_hides(NULL, 1, 1, 0));
    ck_assert_uint_eq(tombstones_count(NULL), 0);
}
END_TEST

/* ---- the file ---- */

static const struct database_id db = {{7, 7, 7}};
static struct vfs *disk;

static void setup(void)
{
    struct rng rng;
    disk = vfs_mem_new();
    rng_init(&rng, 5);
    make_list(&rng);
}

static void teardown(void)
{
    vfs_free(disk);
}

static void write_store(size_t n)
{
    struct tombstone_file *file;
    struct tombstones *set;

    ck_assert_int_eq(tombstone_file_open(&file, &set, disk, &db, NULL), ST_OK);
    ck_assert_ptr_null(set);
    for (size_t r = 0; r < n; r++) {
        ck_assert_int_eq(tombstone_file_append(file, &list[r].rec, NULL), ST_OK);
    }
    ck_assert_uint_eq(tombstone_file_records(file), n);
    tombstone_file_close(file);
}

START_TEST(test_tombstone_file_keeps_records)
{
    struct tombstone_file *file;
    struct tombstones *set, *left;
    layout_path path;

    write_store(RECS);
    for (int again = 0; again < 2; again++) {
        ck_assert_int_eq(tombstone_file_open(&file, &set, disk, &db, NULL), ST_OK);
        check_against_list(set, RECS, again ? 20 : 0);
        if (!again) {
            uint64_t before = tombstone_file_bytes(file);
            ck_assert_int_eq(tombstones_trim(&left, set, 20), ST_OK);
            ck_assert_int_eq(tombstone_file_rewrite(file, left, NULL), ST_OK);
            ck_assert_uint_lt(tombstone_file_bytes(file), before);
            tombstones_unref(left);
        }
        tombstones_unref(set);
        tombstone_file_close(file);
    }
    layout_tombstones(path, 1);
    ck_assert(!vfs_exists(disk, path));

    struct database_id other = {{8}};
    ck_assert_int_eq(tombstone_file_open(&file, &set, disk, &other, NULL), ST_CORRUPT);
}
END_TEST

static void put_bytes(const char *path, const uint8_t *src, size_t len)
{
    struct vfs_file *file;
    ck_assert_int_eq(vfs_open(disk, &file, path, VFS_TRUNCATE, NULL), ST_OK);
    ck_assert_int_eq(vfs_write(file, 0, src, len, NULL), ST_OK);
    vfs_close(file);
}

/* How many of the list's records a set holds, when they are its first ones. */
static size_t count_records(const struct tombstones *set)
{
    return (size_t)tombstones_gen(set);
}

START_TEST(test_tombstone_file_cut_and_flipped)
{
    struct tombstone_file *file;
    struct tombstones *set;
    layout_path path;
    uint8_t *bytes;
    size_t len;

    write_store(3);
    layout_tombstones(path, 1);
    ck_assert_int_eq(vfs_read_file(disk, path, 1 << 20, &bytes, &len, NULL), ST_OK);
    for (size_t cut = 0; cut <= len; cut++) {
        put_bytes(path, bytes, cut);
        status st = tombstone_file_open(&file, &set, disk, &db, NULL);
        ck_assert_msg(st == ST_OK || (st == ST_CORRUPT && cut < 60), "cut at %zu", cut);
        if (st != ST_OK) continue;
        size_t n = count_records(set);
        check_against_list(set, n, 28);
        ck_assert_int_eq(tombstone_file_append(file, &list[n].rec, NULL), ST_OK);
        tombstones_unref(set);
        tombstone_file_close(file);
        ck_assert_int_eq(tombstone_file_open(&file, &set, disk, &db, NULL), ST_OK);
        ck_assert_uint_eq(count_records(set), n + 1);
        tombstones_unref(set);
        tombstone_file_close(file);
    }
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        put_bytes(path, bytes, len);
        status st = tombstone_file_open(&file, &set, disk, &db, NULL);
        if (st == ST_OK) { /* only the mark at the end can be taken for a torn write */
            ck_assert_uint_eq(count_records(set), 3);
            tombstones_unref(set);
            tombstone_file_close(file);
        }
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    mem_free(bytes);
}
END_TEST

START_TEST(test_tombstone_file_failed_append_is_final)
{
    struct vfs_fault *fault = vfs_fault_new(disk, 1);
    struct tombstone_file *file;
    struct tombstones *set;

    ck_assert_int_eq(tombstone_file_open(&file, &set, vfs_fault_vfs(fault), &db, NULL), ST_OK);
    ck_assert_int_eq(tombstone_file_append(file, &list[0].rec, NULL), ST_OK);
    vfs_fault_add(fault, &(struct vfs_fault_rule){.ops = VFS_OP(SYNC), .nth = 1, .st = ST_IO});
    ck_assert_int_eq(tombstone_file_append(file, &list[1].rec, NULL), ST_IO);
    ck_assert_int_eq(tombstone_file_append(file, &list[1].rec, NULL), ST_POISONED);
    ck_assert_int_eq(tombstone_file_rewrite(file, set, NULL), ST_POISONED);
    tombstone_file_close(file);
    ck_assert_int_eq(tombstone_file_open(&file, &set, disk, &db, NULL), ST_OK);
    ck_assert_uint_ge(count_records(set), 1);
    tombstones_unref(set);
    tombstone_file_close(file);
    vfs_fault_free(fault);
}
END_TEST

Suite *suite_tombstone(void)
{
    Suite *suite = suite_create("tombstone");
    TCase *tc = tcase_create("tombstone");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_tombstones_answer_as_a_list);
    tcase_add_test(tc, test_tombstones_fold);
    tcase_add_test(tc, test_tombstones_refuse_broken_records);
    tcase_add_test(tc, test_tombstone_file_keeps_records);
    tcase_add_test(tc, test_tombstone_file_cut_and_flipped);
    tcase_add_test(tc, test_tombstone_file_failed_append_is_final);
    suite_add_tcase(suite, tc);
    return suite;
}
