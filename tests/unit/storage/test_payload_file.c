/* Goal: a file of payloads comes back as it was written, is the old one or the new one
 * whatever happens while it is written, and no other bytes are taken for one. Method: files
 * read back; each byte changed, each length cut; every call to the disk failing; power cuts
 * at every change. */
#include "storage/payload_file.h"

#include "storage/layout.h"
#include "tests/lib/vfs_crash.h"
#include "tests/lib/vfs_fault.h"
#include "tests/unit/storage/storage_suites.h"

static const struct database_id db = {{9, 9}};

/* n payloads "<from>", "<from + 1>"... */
static status write_some(struct vfs *vfs, enum payload_kind kind, lsn covered, int from, int n)
{
    struct payload_writer *w;
    char text[16];
    TRY(payload_file_begin(&w, vfs, kind, &db, covered, NULL));
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "%d", from + i);
        status st = payload_file_add(w, slice_str(text), NULL);
        if (st == ST_OK) continue;
        payload_file_abort(w);
        return st;
    }
    return payload_file_finish(w, NULL);
}

static status take(void *ctx, struct slice payload)
{
    char *text = ctx;
    size_t len = strlen(text);
    snprintf(text + len, 256 - len, SLICE_FMT " ", SLICE_ARG(payload));
    return ST_OK;
}

static status read_all(struct vfs *vfs, enum payload_kind kind, lsn *covered, char text[256])
{
    text[0] = '\0';
    return payload_file_read(covered, vfs, kind, &db, take, text, NULL);
}

START_TEST(test_comes_back)
{
    struct vfs *vfs = vfs_mem_new();
    struct database_id other = {{1}};
    char text[256];
    lsn covered = 5;
    ck_assert_int_eq(read_all(vfs, PAYLOAD_EXEMPLARS, &covered, text), ST_NOT_FOUND);
    ck_assert_uint_eq(covered, 0);
    ck_assert_int_eq(write_some(vfs, PAYLOAD_EXEMPLARS, 77, 1, 3), ST_OK);
    ck_assert_int_eq(write_some(vfs, PAYLOAD_METADATA, 78, 0, 0), ST_OK);
    ck_assert_int_eq(read_all(vfs, PAYLOAD_EXEMPLARS, &covered, text), ST_OK);
    ck_assert(covered == 77 && strcmp(text, "1 2 3 ") == 0);
    ck_assert_int_eq(read_all(vfs, PAYLOAD_METADATA, &covered, text), ST_OK);
    ck_assert(covered == 78 && text[0] == '\0');
    ck_assert_int_eq(payload_file_read(&covered, vfs, PAYLOAD_EXEMPLARS, &other, NULL, NULL, NULL),
                     ST_CORRUPT);
    /* A file of the other kind under this name. */
    ck_assert_int_eq(vfs_rename(vfs, LAYOUT_METADATA, LAYOUT_EXEMPLARS, NULL), ST_OK);
    ck_assert_int_eq(read_all(vfs, PAYLOAD_EXEMPLARS, &covered, text), ST_CORRUPT);
    ck_assert_uint_eq(covered, 0);
    struct payload_writer *w;
    ck_assert_int_eq(payload_file_begin(&w, vfs, PAYLOAD_METADATA, &db, 1, NULL), ST_OK);
    payload_file_abort(w);
    payload_file_abort(NULL);
    ck_assert(!vfs_exists(vfs, LAYOUT_METADATA ".tmp"));
    vfs_free(vfs);
}
END_TEST

static void put_file(struct vfs *vfs, const uint8_t *bytes, size_t len)
{
    struct vfs_file *file;
    ck_assert_int_eq(vfs_open(vfs, &file, LAYOUT_EXEMPLARS, VFS_TRUNCATE, NULL), ST_OK);
    if (len) ck_assert_int_eq(vfs_write(file, 0, bytes, len, NULL), ST_OK);
    vfs_close(file);
}

START_TEST(test_damage_is_found)
{
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file;
    uint8_t bytes[512], bent[512];
    uint64_t len;
    char text[256];
    lsn covered;
    ck_assert_int_eq(write_some(vfs, PAYLOAD_EXEMPLARS, 7, 1, 5), ST_OK);
    ck_assert_int_eq(vfs_open(vfs, &file, LAYOUT_EXEMPLARS, VFS_READ, NULL), ST_OK);
    ck_assert_int_eq(vfs_len(file, &len, NULL), ST_OK);
    ck_assert_int_eq(vfs_read(file, 0, bytes, (size_t)len, NULL), ST_OK);
    vfs_close(file);
    for (size_t i = 0; i < len; i++) {
        memcpy(bent, bytes, (size_t)len);
        bent[i] ^= 0x20;
        put_file(vfs, bent, (size_t)len);
        ck_assert_msg(read_all(vfs, PAYLOAD_EXEMPLARS, &covered, text) == ST_CORRUPT,
                      "byte %zu", i);
        ck_assert_str_eq(text, ""); /* nothing is handed on before all of it is sound */
        put_file(vfs, bytes, i);
        ck_assert_msg(read_all(vfs, PAYLOAD_EXEMPLARS, &covered, text) == ST_CORRUPT,
                      "cut %zu", i);
    }
    bytes[len] = 0;
    put_file(vfs, bytes, (size_t)len + 1);
    ck_assert_int_eq(read_all(vfs, PAYLOAD_EXEMPLARS, &covered, text), ST_CORRUPT);
    put_file(vfs, bytes, (size_t)len);
    ck_assert_int_eq(read_all(vfs, PAYLOAD_EXEMPLARS, &covered, text), ST_OK);
    vfs_free(vfs);
}
END_TEST

START_TEST(test_every_call_failing)
{
    for (uint64_t n = 1;; n++) {
        struct vfs *disk = vfs_mem_new();
        struct vfs_fault *fault = vfs_fault_new(disk, 1);
        char text[256];
        lsn covered;
        ck_assert_int_eq(write_some(disk, PAYLOAD_EXEMPLARS, 1, 1, 2), ST_OK);
        vfs_fault_add(fault, &(struct vfs_fault_rule){.ops = VFS_OP_ALL, .nth = n, .st = ST_IO});
        status st = write_some(vfs_fault_vfs(fault), PAYLOAD_EXEMPLARS, 2, 5, 2);
        ck_assert_int_eq(read_all(disk, PAYLOAD_EXEMPLARS, &covered, text), ST_OK);
        ck_assert(covered == 2 ? strcmp(text, "5 6 ") == 0 : strcmp(text, "1 2 ") == 0);
        ck_assert(st != ST_OK || covered == 2);
        vfs_fault_free(fault);
        vfs_free(disk);
        if (st == ST_OK && n > 8) break;
        ck_assert_uint_lt(n, 40);
    }
}
END_TEST

START_TEST(test_power_cuts)
{
    enum vfs_crash_variant variant = (enum vfs_crash_variant)_i;
    for (uint64_t stop = 0; stop < 12; stop++) {
        struct vfs_crash *disk = vfs_crash_new();
        char text[256];
        lsn covered;
        ck_assert_int_eq(write_some(vfs_crash_vfs(disk), PAYLOAD_METADATA, 1, 1, 1), ST_OK);
        vfs_crash_stop_after(disk, vfs_crash_n_changes(disk) + stop);
        status st = write_some(vfs_crash_vfs(disk), PAYLOAD_METADATA, 2, 5, 1);
        struct vfs_crash *after = vfs_crash_cut(disk, variant, stop);
        ck_assert_int_eq(read_all(vfs_crash_vfs(after), PAYLOAD_METADATA, &covered, text), ST_OK);
        ck_assert_str_eq(text, covered == 2 ? "5 " : "1 ");
        ck_assert(st != ST_OK || covered == 2);
        vfs_crash_free(after);
        vfs_crash_free(disk);
    }
}
END_TEST

Suite *suite_payload_file(void)
{
    Suite *suite = suite_create("payload_file");
    TCase *tc = tcase_create("payload_file");
    tcase_add_test(tc, test_comes_back);
    tcase_add_test(tc, test_damage_is_found);
    tcase_add_test(tc, test_every_call_failing);
    tcase_add_loop_test(tc, test_power_cuts, 0, VFS_CRASH_VARIANTS);
    suite_add_tcase(suite, tc);
    return suite;
}
