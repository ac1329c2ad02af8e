/* manifest.json of a segment. See segment.h and docs/formats/segment.md. */
#include <stdio.h>

#include "base/durable.h"
#include "storage/json_file.h"
#include "storage/segment_priv.h"

enum { MANIFEST_MAX = 64 << 10 };

static const struct file_row {
    const char *name;
    size_t field;
} file_rows[] = {
    {LAYOUT_SEG_CHUNKS, offsetof(struct seg_files, chunks)},
    {LAYOUT_SEG_TICKS, offsetof(struct seg_files, ticks)},
    {LAYOUT_SEG_INDEX, offsetof(struct seg_files, index)},
    {LAYOUT_SEG_SERIES, offsetof(struct seg_files, series)},
};

enum { N_FILES = sizeof(file_rows) / sizeof(file_rows[0]) };

static uint64_t *file_len(struct seg_files *files, size_t row)
{
    return (uint64_t *)(void *)((char *)files + file_rows[row].field);
}

static void put_sources(struct json_writer *w, const struct segment_info *info)
{
    char hex[17];

    json_open_array(w);
    for (size_t i = 0; i < info->n_sources; i++) {
        (void)snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)info->sources[i]);
        json_put_text(w, slice_of(hex, 16));
    }
    json_close_array(w);
}

status seg_manifest_write(struct vfs *vfs, const char *dir, const struct segment_info *info,
                          const struct seg_files *files, struct err *err)
{
    struct seg_files lens = *files;
    struct strbuf text;
    struct json_writer w;
    layout_path path;

    TRY(layout_join(path, dir, SLICE_LIT(LAYOUT_SEG_MANIFEST), err));
    strbuf_init(&text, MANIFEST_MAX);
    json_file_begin(&w, &text);
    json_field_u64(&w, "format", SEGMENT_FORMAT);
    json_file_put_bytes(&w, "database", info->db.bytes, DATABASE_ID_LEN);
    json_file_put_hex(&w, "id", info->id);
    json_field_text(&w, "lane", slice_str(layout_lane_name(info->lane)));
    json_field_u64(&w, "level", info->level);
    json_field_u64(&w, "series", info->n_series);
    json_field_u64(&w, "chunks", info->n_chunks);
    json_field_u64(&w, "points", info->n_points);
    json_field_u64(&w, "ticks", info->n_ticks);
    json_field_i64(&w, "min_time", info->ts.from);
    json_field_i64(&w, "max_time", info->ts.to);
    json_file_put_hex(&w, "order_min", info->order_min);
    json_file_put_hex(&w, "order_max", info->order_max);
    json_file_put_hex(&w, "wal_lsn", info->wal_lsn);
    json_field_bool(&w, "keyed", info->keyed);
    json_file_put_hex(&w, "id_max", info->id_max);
    json_file_put_hex(&w, "fingerprint", info->fingerprint);
    json_file_put_hex(&w, "del_gen", info->del_gen);
    json_file_put_hex(&w, "set_first", info->set_first);
    json_field_u64(&w, "set_n", info->set_n);
    json_put_key(&w, SLICE_LIT("sources"));
    put_sources(&w, info);
    json_put_key(&w, SLICE_LIT("files"));
    json_open_object(&w);
    for (size_t i = 0; i < N_FILES; i++) {
        json_field_u64(&w, file_rows[i].name, *file_len(&lens, i));
    }
    json_close_object(&w);
    status st = json_file_end(&w, err);
    if (st == ST_OK) st = durable_replace(vfs, path, text.ptr, text.len, err);
    strbuf_release(&text);
    return st;
}

static status parse_counts(struct segment_info *info, const struct json *obj, struct err *err)
{
    struct slice lane;
    uint64_t level;

    TRY(json_file_bytes(info->db.bytes, DATABASE_ID_LEN, obj, "database", err));
    TRY(json_file_hex(&info->id, obj, "id", err));
    TRY(json_file_text(&lane, obj, "lane", err));
    if (!layout_lane_parse(&info->lane, lane)) {
        return err_set(err, ST_CORRUPT, "unknown lane");
    }
    TRY(json_file_u64(&level, obj, "level", err));
    if (level >= SEGMENT_LEVELS) return err_set(err, ST_CORRUPT, "unknown level");
    info->level = (unsigned)level;
    TRY(json_file_u64(&info->n_series, obj, "series", err));
    TRY(json_file_u64(&info->n_chunks, obj, "chunks", err));
    TRY(json_file_u64(&info->n_points, obj, "points", err));
    TRY(json_file_u64(&info->n_ticks, obj, "ticks", err));
    TRY(json_file_i64(&info->ts.from, obj, "min_time", err));
    TRY(json_file_i64(&info->ts.to, obj, "max_time", err));
    TRY(json_file_hex(&info->order_min, obj, "order_min", err));
    TRY(json_file_hex(&info->order_max, obj, "order_max", err));
    TRY(json_file_hex(&info->wal_lsn, obj, "wal_lsn", err));
    if (!json_get_bool(&info->keyed, json_member(obj, "keyed"))) {
        return err_set(err, ST_CORRUPT, "keyed is missing or wrong");
    }
    TRY(json_file_hex(&info->id_max, obj, "id_max", err));
    TRY(json_file_hex(&info->fingerprint, obj, "fingerprint", err));
    TRY(json_file_hex(&info->del_gen, obj, "del_gen", err));
    TRY(json_file_hex(&info->set_first, obj, "set_first", err));
    return json_file_u64(&info->set_n, obj, "set_n", err);
}

static status parse_sources(struct segment_info *info, const struct json *list, struct err *err)
{
    size_t n = json_count(list);

    if (json_kind_of(list) != JSON_KIND_ARRAY || n > SEGMENT_SOURCES_MAX) {
        return err_set(err, ST_CORRUPT, "no list of sources");
    }
    for (size_t i = 0; i < n; i++) {
        TRY(json_file_hex_value(&info->sources[i], json_element(list, i), "sources", err));
    }
    info->n_sources = n;
    return ST_OK;
}

static status parse_manifest(struct segment_info *info, struct seg_files *files,
                             const struct json *obj, struct err *err)
{
    uint64_t format;

    TRY(json_file_u64(&format, obj, "format", err));
    if (format > SEGMENT_FORMAT) {
        return err_set(err, ST_UNSUPPORTED, "format %llu, this program knows up to %d",
                       (unsigned long long)format, SEGMENT_FORMAT);
    }
    TRY(parse_counts(info, obj, err));
    TRY(parse_sources(info, json_member(obj, "sources"), err));
    const struct json *lens = json_member(obj, "files");
    info->n_bytes = 0;
    for (size_t i = 0; i < N_FILES; i++) {
        TRY(json_file_u64(file_len(files, i), lens, file_rows[i].name, err));
        info->n_bytes += *file_len(files, i);
    }
    bool in_set = info->id >= info->set_first && info->id - info->set_first < info->set_n;
    if (info->set_n > SEGMENT_SET_MAX || (info->set_n && !in_set)) {
        return err_set(err, ST_CORRUPT, "is no part of its own set");
    }
    if (info->n_series < 1 || info->n_chunks < info->n_series ||
        info->n_points < info->n_chunks || info->n_ticks > info->n_chunks ||
        info->ts.from > info->ts.to ||
        info->order_min > info->order_max) {
        return err_set(err, ST_CORRUPT, "counts or bounds contradict each other");
    }
    return ST_OK;
}

status seg_manifest_read(struct segment_info *info, struct seg_files *files, struct vfs *vfs,
                         const char *dir, struct err *err)
{
    struct segment_info got = {0};
    struct seg_files lens = {0};
    struct json *root;
    layout_path path;

    TRY(layout_join(path, dir, SLICE_LIT(LAYOUT_SEG_MANIFEST), err));
    TRY(json_file_read(&root, vfs, path, MANIFEST_MAX, err));
    status st = parse_manifest(&got, &lens, root, err);
    json_doc_free(root);
    if (st != ST_OK) return err_wrap(err, st, "%s", path);
    *info = got;
    *files = lens;
    return ST_OK;
}

status segment_manifest_read(struct segment_info *out, struct vfs *vfs, const char *dir,
                             struct err *err)
{
    struct seg_files files;
    return seg_manifest_read(out, &files, vfs, dir, err);
}

status segment_remove(struct vfs *vfs, const char *dir, struct err *err)
{
    char parent[VFS_PATH_MAX];
    layout_path manifest;

    TRY(layout_join(manifest, dir, SLICE_LIT(LAYOUT_SEG_MANIFEST), err));
    status st = vfs_remove(vfs, manifest, err);
    if (st == ST_OK) st = vfs_sync_dir(vfs, dir, err);
    if (st != ST_OK && st != ST_NOT_FOUND) return err_wrap(err, st, "remove %s", dir);
    TRY(vfs_remove_tree(vfs, dir, err));
    vfs_parent(parent, dir);
    return vfs_sync_dir(vfs, parent, err);
}
