/* snapshot.json. See linkset.h and docs/formats/snapshot.md. The list is believed only as
 * far as its checksum holds, and even then each path is checked: a snapshot may come from
 * anywhere. */
#include <stdlib.h>

#include "base/durable.h"
#include "base/mem.h"
#include "base/vec.h"
#include "storage/json_file.h"
#include "storage/linkset.h"

enum { SNAPSHOT_MAX = 256 << 20 };

bool snapshot_name_ok(struct slice text)
{
    if (text.len == 0 || text.len > SNAPSHOT_NAME_MAX || text.ptr[0] == '.') return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
        if (!ok) return false;
    }
    return true;
}

/* ---- writing ---- */

static void put_file(struct json_writer *w, const struct linkset_file *file)
{
    uint8_t crc[4];

    for (unsigned i = 0; i < 4; i++) crc[i] = (uint8_t)(file->crc >> (24 - 8 * i));
    json_open_object(w);
    json_field_text(w, "path", slice_str(file->path));
    json_field_u64(w, "bytes", file->len);
    json_file_put_bytes(w, "crc", crc, sizeof(crc));
    json_close_object(w);
}

status snapshot_write(struct vfs *vfs, const struct snapshot_info *info,
                      const struct linkset *set, struct err *err)
{
    struct strbuf text;
    struct json_writer w;

    strbuf_init(&text, SNAPSHOT_MAX);
    json_file_begin(&w, &text);
    json_field_u64(&w, "format", SNAPSHOT_FORMAT);
    json_field_text(&w, "name", slice_str(info->name));
    json_field_i64(&w, "created_ms", info->created_ms);
    json_file_put_bytes(&w, "database", info->db.id.bytes, DATABASE_ID_LEN);
    json_field_text(&w, "precision", slice_str(precision_name(info->db.precision)));
    json_file_put_hex(&w, "cut_lsn", info->cut);
    json_field_u64(&w, "head", info->has_head);
    json_field_u64(&w, "segments", info->n_segments);
    json_field_u64(&w, "series", info->n_series);
    json_field_u64(&w, "segment_points", info->n_points);
    json_put_key(&w, SLICE_LIT("files"));
    json_open_array(&w);
    for (size_t i = 0; i < set->n; i++) put_file(&w, &set->files[i]);
    json_close_array(&w);
    status st = json_file_end(&w, err);
    if (st == ST_OK) st = durable_replace(vfs, LAYOUT_SNAPSHOT, text.ptr, text.len, err);
    strbuf_release(&text);
    return st;
}

/* ---- reading ---- */

static status parse_info(struct snapshot_info *info, const struct json *obj, struct err *err)
{
    struct slice name, precision;
    uint64_t format, head;

    TRY(json_file_u64(&format, obj, "format", err));
    if (format > SNAPSHOT_FORMAT) {
        return err_set(err, ST_UNSUPPORTED, "format %llu, this program knows up to %d",
                       (unsigned long long)format, SNAPSHOT_FORMAT);
    }
    TRY(json_file_text(&name, obj, "name", err));
    TRY(json_file_i64(&info->created_ms, obj, "created_ms", err));
    TRY(json_file_bytes(info->db.id.bytes, DATABASE_ID_LEN, obj, "database", err));
    TRY(json_file_text(&precision, obj, "precision", err));
    TRY(json_file_hex(&info->cut, obj, "cut_lsn", err));
    TRY(json_file_u64(&head, obj, "head", err));
    TRY(json_file_u64(&info->n_segments, obj, "segments", err));
    TRY(json_file_u64(&info->n_series, obj, "series", err));
    TRY(json_file_u64(&info->n_points, obj, "segment_points", err));
    if (format == 0 || head > 1 || !snapshot_name_ok(name) ||
        !precision_parse(&info->db.precision, precision)) {
        return err_set(err, ST_CORRUPT, "a member makes no sense");
    }
    info->has_head = head == 1;
    info->db.format = DATABASE_FORMAT;
    memcpy(info->name, name.ptr, name.len);
    info->name[name.len] = '\0';
    return ST_OK;
}

static status parse_file(struct linkset *set, const struct json *obj, struct err *err)
{
    struct linkset_file file;
    struct slice path;
    uint8_t crc[4];

    TRY(json_file_text(&path, obj, "path", err));
    TRY(json_file_u64(&file.len, obj, "bytes", err));
    TRY(json_file_bytes(crc, sizeof(crc), obj, "crc", err));
    if (path.len >= VFS_PATH_MAX) return err_set(err, ST_CORRUPT, "path too long");
    char *kept = arena_try(&set->arena, path.len + 1);
    if (!kept) return err_set(err, ST_NO_MEMORY, "list of files");
    memcpy(kept, path.ptr, path.len);
    kept[path.len] = '\0';
    if (vfs_path_check(kept, err) != ST_OK || strcmp(kept, ".") == 0) {
        return err_set(err, ST_CORRUPT, "a path leads outside");
    }
    if (set->n > 0 && strcmp(set->files[set->n - 1].path, kept) >= 0) {
        return err_set(err, ST_CORRUPT, "%s: the list is out of order", kept);
    }
    file.path = kept;
    file.crc = 0;
    for (unsigned i = 0; i < 4; i++) file.crc = file.crc << 8 | crc[i];
    set->files[set->n++] = file;
    return __builtin_add_overflow(set->n_bytes, file.len, &set->n_bytes)
               ? err_set(err, ST_CORRUPT, "lengths overflow")
               : ST_OK;
}

static status parse_files(struct linkset *set, const struct json *files, struct err *err)
{
    if (json_kind_of(files) != JSON_KIND_ARRAY || json_count(files) > LINKSET_FILES_MAX) {
        return err_set(err, ST_CORRUPT, "no list of files");
    }
    set->files = mem_try_array(json_count(files) + 1, sizeof(set->files[0]));
    if (!set->files) return err_set(err, ST_NO_MEMORY, "list of files");
    set->cap = json_count(files) + 1;
    for (size_t i = 0; i < json_count(files); i++) {
        TRY(parse_file(set, json_element(files, i), err));
    }
    return ST_OK;
}

status snapshot_read(struct snapshot_info *info, struct linkset *set, struct vfs *vfs,
                     struct err *err)
{
    struct snapshot_info parsed = {0};
    struct linkset list;
    struct json *root;

    TRY(json_file_read(&root, vfs, LAYOUT_SNAPSHOT, SNAPSHOT_MAX, err));
    linkset_init(&list);
    status st = parse_info(&parsed, root, err);
    if (st == ST_OK && set) st = parse_files(&list, json_member(root, "files"), err);
    json_doc_free(root);
    if (st != ST_OK || !set) linkset_release(&list);
    if (st != ST_OK) return err_wrap(err, st, LAYOUT_SNAPSHOT);
    *info = parsed;
    if (set) *set = list;
    return ST_OK;
}
