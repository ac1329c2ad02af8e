/* series_index.catalog.json. See registry_catalog.h and docs/formats/registry.md. */
#include "storage/registry_catalog.h"

#include <string.h>

#include "base/durable.h"
#include "storage/json_file.h"
#include "storage/layout.h"

enum { REGISTRY_CATALOG_MAX = 64 << 20, SEGMENTS_MAX = 1 << 20 };

void registry_catalog_init(struct registry_catalog *cat, const struct database_id *db)
{
    *cat = (struct registry_catalog){.next_id = 1};
    if (db) cat->db = *db;
}

void registry_catalog_release(struct registry_catalog *cat)
{
    vec_release(&cat->deltas);
    vec_release(&cat->segments);
}

status registry_catalog_copy(struct registry_catalog *out, const struct registry_catalog *cat)
{
    struct registry_catalog copy = *cat;
    memset(&copy.deltas, 0, sizeof(copy.deltas));
    memset(&copy.segments, 0, sizeof(copy.segments));
    size_t n_deltas = cat->deltas.len, n_segments = cat->segments.len;
    if (!vec_reserve(&copy.deltas, n_deltas + 1) || !vec_reserve(&copy.segments, n_segments + 1)) {
        registry_catalog_release(&copy);
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < n_deltas; i++) (void)vec_push(&copy.deltas, cat->deltas.ptr[i]);
    for (size_t i = 0; i < n_segments; i++) (void)vec_push(&copy.segments, cat->segments.ptr[i]);
    *out = copy;
    return ST_OK;
}

bool registry_catalog_vouches(const struct registry_catalog *cat, const struct segment_info *info)
{
    for (size_t i = 0; i < cat->segments.len; i++) {
        const struct registry_segment *seg = &cat->segments.ptr[i];
        if (seg->id == info->id && seg->lane == info->lane)
            return seg->fingerprint == info->fingerprint;
    }
    return info->order_max <= cat->last_order && info->id_max < cat->next_id;
}

uint64_t registry_catalog_last(const struct registry_catalog *cat)
{
    size_t n = cat->deltas.len;
    return n ? cat->deltas.ptr[n - 1].number : cat->snapshot.number;
}

/* ---- writing ---- */

static void put_file(struct json_writer *w, const struct registry_file_ref *file)
{
    json_open_object(w);
    json_file_put_hex(w, "number", file->number);
    json_file_put_hex(w, "bytes", file->n_bytes);
    json_file_put_hex(w, "sum", file->crc);
    json_close_object(w);
}

static void put_segment(struct json_writer *w, const struct registry_segment *seg)
{
    json_open_object(w);
    json_field_text(w, "lane", slice_str(layout_lane_name(seg->lane)));
    json_file_put_hex(w, "id", seg->id);
    json_file_put_hex(w, "fingerprint", seg->fingerprint);
    json_close_object(w);
}

status registry_catalog_write(struct vfs *vfs, struct registry_catalog *cat, struct err *err)
{
    struct strbuf text;
    struct json_writer w;

    strbuf_init(&text, REGISTRY_CATALOG_MAX);
    json_file_begin(&w, &text);
    json_field_u64(&w, "format", REGISTRY_CATALOG_FORMAT);
    json_file_put_hex(&w, "version", cat->version + 1);
    json_file_put_bytes(&w, "database", cat->db.bytes, DATABASE_ID_LEN);
    json_file_put_hex(&w, "next_series_id", cat->next_id);
    json_file_put_hex(&w, "covered_lsn", cat->covered_lsn);
    json_file_put_hex(&w, "last_order", cat->last_order);
    json_put_key(&w, SLICE_LIT("snapshot"));
    put_file(&w, &cat->snapshot);
    json_put_key(&w, SLICE_LIT("deltas"));
    json_open_array(&w);
    for (size_t i = 0; i < cat->deltas.len; i++) put_file(&w, &cat->deltas.ptr[i]);
    json_close_array(&w);
    json_put_key(&w, SLICE_LIT("segments"));
    json_open_array(&w);
    for (size_t i = 0; i < cat->segments.len; i++) put_segment(&w, &cat->segments.ptr[i]);
    json_close_array(&w);
    status st = json_file_end(&w, err);
    if (st == ST_OK) st = durable_replace(vfs, LAYOUT_REGISTRY_CATALOG, text.ptr, text.len, err);
    strbuf_release(&text);
    if (st == ST_OK) cat->version++;
    return st;
}

/* ---- reading ---- */

static status parse_file(struct registry_file_ref *file, const struct json *obj, struct err *err)
{
    uint64_t sum;
    TRY(json_file_hex(&file->number, obj, "number", err));
    TRY(json_file_hex(&file->n_bytes, obj, "bytes", err));
    TRY(json_file_hex(&sum, obj, "sum", err));
    if (sum > UINT32_MAX) return err_set(err, ST_CORRUPT, "a sum of more than 32 bits");
    file->crc = (uint32_t)sum;
    return ST_OK;
}

static status parse_segment(struct registry_segment *seg, const struct json *obj,
                            struct err *err)
{
    struct slice lane;
    TRY(json_file_text(&lane, obj, "lane", err));
    TRY(json_file_hex(&seg->id, obj, "id", err));
    TRY(json_file_hex(&seg->fingerprint, obj, "fingerprint", err));
    if (!layout_lane_parse(&seg->lane, lane)) return err_set(err, ST_CORRUPT, "no such lane");
    return ST_OK;
}

static status parse_deltas(struct registry_catalog *cat, const struct json *list, struct err *err)
{
    size_t n = json_count(list);
    if (json_kind_of(list) != JSON_KIND_ARRAY || n > REGISTRY_DELTAS_MAX)
        return err_set(err, ST_CORRUPT, "no list of deltas, or too long a one");
    if (!vec_reserve(&cat->deltas, n + 1)) return ST_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct registry_file_ref file;
        TRY(parse_file(&file, json_element(list, i), err));
        if (file.number <= registry_catalog_last(cat))
            return err_set(err, ST_CORRUPT, "delta %zu: numbers do not rise", i);
        (void)vec_push(&cat->deltas, file); /* reserved */
    }
    return ST_OK;
}

static status parse_segments(struct registry_catalog *cat, const struct json *list,
                             struct err *err)
{
    size_t n = json_count(list);
    if (json_kind_of(list) != JSON_KIND_ARRAY || n > SEGMENTS_MAX)
        return err_set(err, ST_CORRUPT, "no list of segments, or too long a one");
    if (!vec_reserve(&cat->segments, n + 1)) return ST_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct registry_segment seg;
        TRY(parse_segment(&seg, json_element(list, i), err));
        (void)vec_push(&cat->segments, seg); /* reserved */
    }
    return ST_OK;
}

static status parse_catalog(struct registry_catalog *cat, const struct json *obj,
                            const struct database_id *db, struct err *err)
{
    uint64_t format;

    TRY(json_file_u64(&format, obj, "format", err));
    if (format > REGISTRY_CATALOG_FORMAT) {
        return err_set(err, ST_UNSUPPORTED, "format %llu, this program knows up to %d",
                       (unsigned long long)format, REGISTRY_CATALOG_FORMAT);
    }
    TRY(json_file_bytes(cat->db.bytes, DATABASE_ID_LEN, obj, "database", err));
    if (memcmp(db, &cat->db, sizeof(*db)) != 0)
        return err_set(err, ST_CORRUPT, "belongs to another database");
    TRY(json_file_hex(&cat->version, obj, "version", err));
    TRY(json_file_hex(&cat->next_id, obj, "next_series_id", err));
    TRY(json_file_hex(&cat->covered_lsn, obj, "covered_lsn", err));
    TRY(json_file_hex(&cat->last_order, obj, "last_order", err));
    TRY(parse_file(&cat->snapshot, json_member(obj, "snapshot"), err));
    TRY(parse_deltas(cat, json_member(obj, "deltas"), err));
    return parse_segments(cat, json_member(obj, "segments"), err);
}

status registry_catalog_read(struct registry_catalog *out, struct vfs *vfs,
                             const struct database_id *db, struct err *err)
{
    struct registry_catalog cat;
    struct json *root;

    TRY(json_file_read(&root, vfs, LAYOUT_REGISTRY_CATALOG, REGISTRY_CATALOG_MAX, err));
    registry_catalog_init(&cat, NULL);
    status st = parse_catalog(&cat, root, db, err);
    json_doc_free(root);
    if (st != ST_OK) {
        registry_catalog_release(&cat);
        return err_wrap(err, st, LAYOUT_REGISTRY_CATALOG);
    }
    *out = cat;
    return ST_OK;
}

/* ---- sweeping ---- */

struct sweep {
    struct vfs *vfs;
    const struct registry_catalog *cat;
    struct err *err;
};

static status sweep_one(void *ctx, const struct vfs_entry *entry)
{
    struct sweep *sweep = ctx;
    layout_path path;
    uint64_t number;
    if (entry->is_dir || !layout_registry_delta_id(&number, entry->name)) return ST_OK;
    for (size_t i = 0; i < sweep->cat->deltas.len; i++)
        if (sweep->cat->deltas.ptr[i].number == number) return ST_OK;
    layout_registry_delta(path, number);
    return vfs_remove(sweep->vfs, path, sweep->err);
}

status registry_catalog_sweep(struct vfs *vfs, const struct registry_catalog *cat,
                              struct err *err)
{
    struct sweep sweep = {.vfs = vfs, .cat = cat, .err = err};
    status st = vfs_list(vfs, LAYOUT_REGISTRY_DELTA_DIR, sweep_one, &sweep, err);
    return st == ST_NOT_FOUND ? ST_OK : st;
}
