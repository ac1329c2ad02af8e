/* segment_catalog.json. See catalog.h and docs/formats/catalog.md. */
#include "storage/catalog.h"

#include "base/durable.h"
#include "base/mem.h"
#include "base/vec.h"
#include "storage/json_file.h"

enum {
    CATALOG_MAX = 64 << 20,
    CATALOG_ENTRIES_MAX = 1 << 20,
};

/* The entries as a vector. */
struct entries {
    struct catalog_entry *ptr;
    size_t len, cap;
};

void catalog_init(struct catalog *cat, const struct database_id *db)
{
    *cat = (struct catalog){.next_segment_id = 1};
    if (db) cat->db = *db;
}

void catalog_release(struct catalog *cat)
{
    mem_free(cat->entries);
    *cat = (struct catalog){0};
}

/* ---- entries ---- */

static int cmp_key(const struct catalog_entry *e, enum value_lane lane, unsigned level,
                   uint64_t id)
{
    if (e->info.lane != lane) return e->info.lane < lane ? -1 : 1;
    if (e->info.level != level) return e->info.level < level ? -1 : 1;
    return e->info.id < id ? -1 : e->info.id > id;
}

const struct catalog_entry *catalog_find(const struct catalog *cat, enum value_lane lane,
                                         uint64_t id)
{
    for (size_t i = 0; i < cat->n; i++) {
        if (cat->entries[i].info.id == id && cat->entries[i].info.lane == lane) {
            return &cat->entries[i];
        }
    }
    return NULL;
}

status catalog_add(struct catalog *cat, const struct catalog_entry *entry, struct err *err)
{
    const struct segment_info *info = &entry->info;
    struct entries vec = {cat->entries, cat->n, cat->cap};

    if (catalog_find(cat, info->lane, info->id)) {
        return err_set(err, ST_EXISTS, "segment %016llx is in the catalog",
                       (unsigned long long)info->id);
    }
    if (cat->n >= CATALOG_ENTRIES_MAX) return err_set(err, ST_LIMIT, "too many segments");
    if (!vec_reserve(&vec, 1)) return err_set(err, ST_NO_MEMORY, "catalog");
    size_t at = vec.len;
    while (at > 0 && cmp_key(&vec.ptr[at - 1], info->lane, info->level, info->id) > 0) at--;
    memmove(vec.ptr + at + 1, vec.ptr + at, (vec.len - at) * sizeof(vec.ptr[0]));
    vec.ptr[at] = *entry;
    cat->entries = vec.ptr;
    cat->cap = vec.cap;
    cat->n++;
    return ST_OK;
}

bool catalog_drop(struct catalog *cat, enum value_lane lane, uint64_t id)
{
    const struct catalog_entry *found = catalog_find(cat, lane, id);

    if (!found) return false;
    size_t at = (size_t)(found - cat->entries);
    cat->n--;
    memmove(cat->entries + at, cat->entries + at + 1, (cat->n - at) * sizeof(cat->entries[0]));
    return true;
}

/* ---- writing ---- */

static void put_entry(struct json_writer *w, const struct catalog_entry *entry)
{
    const struct segment_info *info = &entry->info;

    json_open_object(w);
    json_field_text(w, "lane", slice_str(layout_lane_name(info->lane)));
    json_field_text(w, "tier", slice_str(layout_tier_name(entry->tier)));
    json_field_u64(w, "level", info->level);
    json_file_put_hex(w, "id", info->id);
    json_field_u64(w, "series", info->n_series);
    json_field_u64(w, "chunks", info->n_chunks);
    json_field_u64(w, "points", info->n_points);
    json_field_u64(w, "ticks", info->n_ticks);
    json_field_u64(w, "bytes", info->n_bytes);
    json_field_i64(w, "min_time", info->ts.from);
    json_field_i64(w, "max_time", info->ts.to);
    json_file_put_hex(w, "order_min", info->order_min);
    json_file_put_hex(w, "order_max", info->order_max);
    json_file_put_hex(w, "wal_lsn", info->wal_lsn);
    json_field_bool(w, "keyed", info->keyed);
    json_file_put_hex(w, "id_max", info->id_max);
    json_file_put_hex(w, "fingerprint", info->fingerprint);
    json_field_text(w, "path", slice_str(entry->path));
    json_close_object(w);
}

status catalog_write(struct vfs *vfs, struct catalog *cat, struct err *err)
{
    struct strbuf text;
    struct json_writer w;

    strbuf_init(&text, CATALOG_MAX);
    json_file_begin(&w, &text);
    json_field_u64(&w, "format", CATALOG_FORMAT);
    json_file_put_hex(&w, "version", cat->version + 1);
    json_file_put_bytes(&w, "database", cat->db.bytes, DATABASE_ID_LEN);
    json_file_put_hex(&w, "next_segment_id", cat->next_segment_id);
    json_file_put_hex(&w, "last_order", cat->last_order);
    json_file_put_hex(&w, "covered_lsn", cat->covered_lsn);
    json_field_i64(&w, "wall_high", cat->wall_high);
    json_put_key(&w, SLICE_LIT("segments"));
    json_open_array(&w);
    for (size_t i = 0; i < cat->n; i++) put_entry(&w, &cat->entries[i]);
    json_close_array(&w);
    status st = json_file_end(&w, err);
    if (st == ST_OK) st = durable_replace(vfs, LAYOUT_CATALOG, text.ptr, text.len, err);
    strbuf_release(&text);
    if (st == ST_OK) cat->version++;
    return st;
}

/* ---- reading ---- */

static status parse_bounds(struct segment_info *info, const struct json *obj, struct err *err)
{
    TRY(json_file_hex(&info->id, obj, "id", err));
    TRY(json_file_u64(&info->n_series, obj, "series", err));
    TRY(json_file_u64(&info->n_chunks, obj, "chunks", err));
    TRY(json_file_u64(&info->n_points, obj, "points", err));
    TRY(json_file_u64(&info->n_ticks, obj, "ticks", err));
    TRY(json_file_u64(&info->n_bytes, obj, "bytes", err));
    TRY(json_file_i64(&info->ts.from, obj, "min_time", err));
    TRY(json_file_i64(&info->ts.to, obj, "max_time", err));
    TRY(json_file_hex(&info->order_min, obj, "order_min", err));
    TRY(json_file_hex(&info->order_max, obj, "order_max", err));
    TRY(json_file_hex(&info->wal_lsn, obj, "wal_lsn", err));
    if (!json_get_bool(&info->keyed, json_member(obj, "keyed"))) {
        return err_set(err, ST_CORRUPT, "keyed is missing or wrong");
    }
    TRY(json_file_hex(&info->id_max, obj, "id_max", err));
    return json_file_hex(&info->fingerprint, obj, "fingerprint", err);
}

static status parse_entry(struct catalog_entry *entry, const struct catalog *cat,
                          const struct json *obj, struct err *err)
{
    struct segment_info *info = &entry->info;
    struct slice lane, tier, path;
    uint64_t level;

    TRY(parse_bounds(info, obj, err));
    TRY(json_file_text(&lane, obj, "lane", err));
    TRY(json_file_text(&tier, obj, "tier", err));
    TRY(json_file_text(&path, obj, "path", err));
    TRY(json_file_u64(&level, obj, "level", err));
    info->level = (unsigned)level;
    info->db = cat->db;
    if (!layout_lane_parse(&info->lane, lane) || !layout_tier_parse(&entry->tier, tier) ||
        level >= SEGMENT_LEVELS || range_empty(info->ts) || info->order_min > info->order_max ||
        info->id >= cat->next_segment_id) {
        return err_set(err, ST_CORRUPT, "members contradict each other");
    }
    if (path.len >= sizeof(entry->path)) return err_set(err, ST_CORRUPT, "path too long");
    memcpy(entry->path, path.ptr, path.len);
    entry->path[path.len] = '\0';
    if (vfs_path_check(entry->path, err) != ST_OK || strcmp(entry->path, ".") == 0) {
        return err_set(err, ST_CORRUPT, "the path leads outside");
    }
    return ST_OK;
}

static status parse_catalog(struct catalog *cat, const struct json *obj,
                            const struct database_id *db, struct err *err)
{
    const struct json *segments = json_member(obj, "segments");
    uint64_t format;

    TRY(json_file_u64(&format, obj, "format", err));
    if (format > CATALOG_FORMAT) {
        return err_set(err, ST_UNSUPPORTED, "format %llu, this program knows up to %d",
                       (unsigned long long)format, CATALOG_FORMAT);
    }
    TRY(json_file_bytes(cat->db.bytes, DATABASE_ID_LEN, obj, "database", err));
    if (db && memcmp(db, &cat->db, sizeof(*db)) != 0) {
        return err_set(err, ST_CORRUPT, "belongs to another database");
    }
    TRY(json_file_hex(&cat->version, obj, "version", err));
    TRY(json_file_hex(&cat->next_segment_id, obj, "next_segment_id", err));
    TRY(json_file_hex(&cat->last_order, obj, "last_order", err));
    TRY(json_file_hex(&cat->covered_lsn, obj, "covered_lsn", err));
    TRY(json_file_i64(&cat->wall_high, obj, "wall_high", err));
    if (json_kind_of(segments) != JSON_KIND_ARRAY) {
        return err_set(err, ST_CORRUPT, "no list of segments");
    }
    for (size_t i = 0; i < json_count(segments); i++) {
        struct catalog_entry entry = {0};
        status st = parse_entry(&entry, cat, json_element(segments, i), err);
        if (st == ST_OK) st = catalog_add(cat, &entry, err);
        if (st == ST_EXISTS) st = ST_CORRUPT;
        if (st != ST_OK) return err_wrap(err, st, "segment %zu", i);
    }
    return ST_OK;
}

status catalog_read(struct catalog *out, struct vfs *vfs, const struct database_id *db,
                    struct err *err)
{
    struct catalog cat;
    struct json *root;

    TRY(json_file_read(&root, vfs, LAYOUT_CATALOG, CATALOG_MAX, err));
    catalog_init(&cat, NULL);
    status st = parse_catalog(&cat, root, db, err);
    json_doc_free(root);
    if (st != ST_OK) {
        catalog_release(&cat);
        return err_wrap(err, st, LAYOUT_CATALOG);
    }
    *out = cat;
    return ST_OK;
}
