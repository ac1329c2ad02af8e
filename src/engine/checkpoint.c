/* See checkpoint.h. */
#include "engine/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/db_priv.h"

/* A delta is a tenth of a record's bytes per birth at worst read again and again; deltas
 * together stay below a quarter of the snapshot, so writing all of it costs each series
 * born at most five times its bytes, and a start reads at most a quarter more. */
enum {
    DELTAS_MAX = 64,           /* files to open at a start */
    DELTA_SHARE = 4,
    DELTA_BYTES_FREE = 1 << 20, /* below this a new snapshot is not worth it */
    BIRTH_BYTES = 32,          /* of a series in a delta: a guess */
};

/* ---- files ---- */

static status load_parts(struct registry *reg, const struct registry_catalog *cat,
                         struct registry_loaded *loaded, layout_path bad, struct vfs *vfs,
                         unsigned n_threads, struct err *err)
{
    size_t n = cat->deltas.len + 1;
    struct registry_part *parts = mem_try_array(n, sizeof(*parts));
    layout_path *paths = mem_try_array(n, sizeof(*paths));
    status st = parts && paths ? ST_OK : ST_NO_MEMORY;
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        const struct registry_file_ref *ref = i ? &cat->deltas.ptr[i - 1] : &cat->snapshot;
        if (i) layout_registry_delta(paths[i], ref->number);
        else snprintf(paths[i], sizeof(paths[i]), "%s", LAYOUT_REGISTRY);
        parts[i] = (struct registry_part){
            .path = paths[i], .number = ref->number, .n_bytes = ref->n_bytes, .crc = ref->crc};
    }
    struct registry_load_options opt = {.parts = parts, .n = n, .n_threads = n_threads};
    *loaded = (struct registry_loaded){.n_series = 0};
    if (st == ST_OK) st = registry_load(reg, loaded, vfs, &opt, err);
    if (st != ST_OK && bad && paths) memcpy(bad, paths[loaded->bad], sizeof(paths[0]));
    mem_free(parts);
    mem_free(paths);
    return st;
}

/* A snapshot that is newer than the catalogue: the power went between the two. */
static void take_newer(struct registry_catalog *cat, const struct registry_loaded *loaded)
{
    if (loaded->number == registry_catalog_last(cat)) return;
    cat->snapshot = (struct registry_file_ref){.number = loaded->number};
    vec_clear(&cat->deltas);
    if (loaded->covers > cat->covered_lsn) cat->covered_lsn = loaded->covers;
}

static status note_delta(void *ctx, const struct vfs_entry *entry)
{
    bool *found = ctx;
    uint64_t number;
    if (layout_registry_delta_id(&number, entry->name)) *found = true;
    return ST_OK;
}

/* The catalogue, or what stands for it when the very first checkpoint was cut short: its
 * snapshot alone, which vouches for no segment. *any: there are files. */
static status read_catalog(struct registry_catalog *cat, bool *any, struct vfs *vfs,
                           const struct database_id *db, struct err *err)
{
    bool deltas = false;
    registry_catalog_init(cat, db);
    status st = registry_catalog_read(cat, vfs, db, err);
    *any = st == ST_OK && cat->snapshot.number > 0;
    if (st != ST_NOT_FOUND || !vfs_exists(vfs, LAYOUT_REGISTRY)) return st;
    st = vfs_list(vfs, LAYOUT_REGISTRY_DELTA_DIR, note_delta, &deltas, err);
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    *any = true;
    return deltas ? err_set(err, ST_CORRUPT, "the registry's catalogue is lost") : ST_OK;
}

status registry_files_load(struct registry *reg, struct registry_catalog *cat, layout_path bad,
                           struct vfs *vfs, const struct database_id *db, unsigned n_threads,
                           struct err *err)
{
    struct registry_loaded loaded;
    bool any;
    if (bad) snprintf(bad, sizeof(layout_path), "%s", LAYOUT_REGISTRY_CATALOG);
    TRY(read_catalog(cat, &any, vfs, db, err));
    if (!any) return ST_OK;
    status st = load_parts(reg, cat, &loaded, bad, vfs, n_threads, err);
    if (st == ST_NOT_FOUND) return err_set(err, ST_CORRUPT, "a file that is listed is not there");
    TRY(st);
    if (memcmp(loaded.database_id, db->bytes, DATABASE_ID_LEN) != 0)
        return err_set(err, ST_CORRUPT, LAYOUT_REGISTRY " belongs to another database");
    take_newer(cat, &loaded);
    registry_raise_next_id(reg, cat->next_id);
    if (registry_next_id(reg) > cat->next_id) cat->next_id = registry_next_id(reg);
    return ST_OK;
}

status registry_files_write(const struct registry *reg, const struct registry_prefix *prefix,
                            uint64_t order, struct vfs *vfs, const struct database_id *db,
                            const _Atomic bool *cancelled, struct err *err)
{
    struct registry_part part;
    struct registry_catalog cat;
    TRY(registry_save(reg, prefix, NULL, db->bytes, vfs, LAYOUT_REGISTRY, cancelled, &part, err));
    registry_catalog_init(&cat, db);
    cat.snapshot = (struct registry_file_ref){
        .number = part.number, .n_bytes = part.n_bytes, .crc = part.crc};
    cat.next_id = prefix->next_id;
    cat.covered_lsn = prefix->covers;
    cat.last_order = order;
    status st = registry_catalog_write(vfs, &cat, err);
    registry_catalog_release(&cat);
    return st;
}

/* ---- the owner plans ---- */

bool checkpoint_due(const struct cell *cell)
{
    return registry_n_births(cell->registry) != cell->saved_births || cell->attrs_dirty ||
           cell->lost_deaths || cell->pending_deaths.len > 0;
}

static bool wants_snapshot(const struct cell *cell)
{
    const struct registry_catalog *cat = &cell->db->registry_catalog;
    uint64_t n_births = registry_n_births(cell->registry) - cell->saved_births;
    uint64_t bytes = n_births * BIRTH_BYTES;
    if (cat->snapshot.number == 0 || cell->lost_deaths || cell->lost_attrs) return true;
    if (cat->deltas.len >= DELTAS_MAX) return true;
    for (size_t i = 0; i < cat->deltas.len; i++) bytes += cat->deltas.ptr[i].n_bytes;
    return bytes > DELTA_BYTES_FREE && bytes > cat->snapshot.n_bytes / DELTA_SHARE;
}

void checkpoint_plan(struct checkpoint *cp, struct cell *cell, uint64_t covers)
{
    const struct registry_catalog *cat = &cell->db->registry_catalog;
    size_t n_dead = cell->pending_deaths.len, n_attrs = cell->pending_attrs.len;
    cp->planned = true;
    cp->due = checkpoint_due(cell);
    cp->whole = wants_snapshot(cell);
    /* A number that was tried is not used again: a catalogue whose replacement failed may be
     * there all the same, and list a file of that number. */
    uint64_t last = registry_catalog_last(cat);
    cell->registry_tried = (last > cell->registry_tried ? last : cell->registry_tried) + 1;
    cp->prefix = registry_prefix(cell->registry, covers, cell->registry_tried);
    cp->births_from = cell->saved_births;
    cp->n_dead = n_dead;
    cp->n_attrs = n_attrs;
    /* Without memory for copies all is written instead. */
    if (!vec_reserve(&cp->dead, n_dead + 1) || !vec_reserve(&cp->attrs, n_attrs + 1)) {
        cp->whole = true;
    } else {
        for (size_t i = 0; i < n_dead; i++)
            (void)vec_push(&cp->dead, cell->pending_deaths.ptr[i]);
        for (size_t i = 0; i < n_attrs; i++)
            (void)vec_push(&cp->attrs, cell->pending_attrs.ptr[i]);
    }
    cell->attrs_dirty = cell->lost_attrs = cell->lost_deaths = false;
}

/* ---- the files: a worker ---- */

static status write_files(struct checkpoint *cp, struct db *db, struct registry_catalog *next,
                          const _Atomic bool *cancelled, struct err *err)
{
    struct registry_changes changes = {.births_from = cp->births_from,
                                       .dead = cp->dead.ptr,
                                       .n_dead = cp->dead.len,
                                       .attrs = cp->attrs.ptr,
                                       .n_attrs = cp->attrs.len};
    struct registry_part part;
    layout_path path = LAYOUT_REGISTRY;
    if (!cp->whole) layout_registry_delta(path, cp->prefix.number);
    TRY(registry_save(db->cell.registry, &cp->prefix, cp->whole ? NULL : &changes,
                      db->file.id.bytes, db->ports.vfs, path, cancelled, &part, err));
    struct registry_file_ref ref = {
        .number = part.number, .n_bytes = part.n_bytes, .crc = part.crc};
    if (cp->whole) {
        next->snapshot = ref;
        vec_clear(&next->deltas);
    } else if (!vec_push(&next->deltas, ref)) {
        return ST_NO_MEMORY;
    }
    next->next_id = cp->prefix.next_id;
    return ST_OK;
}

static bool list_segment(struct registry_catalog *next, const struct segment_info *info)
{
    struct registry_segment seg = {
        .lane = info->lane, .id = info->id, .fingerprint = info->fingerprint};
    return vec_push(&next->segments, seg);
}

static status list_segments(struct registry_catalog *next, const struct catalog *cat,
                            const struct segment_info *const *infos, size_t n_infos)
{
    vec_clear(&next->segments);
    for (size_t i = 0; i < cat->n; i++)
        if (!list_segment(next, &cat->entries[i].info)) return ST_NO_MEMORY;
    for (size_t i = 0; i < n_infos; i++)
        if (!list_segment(next, infos[i])) return ST_NO_MEMORY;
    return ST_OK;
}

static void remove_deltas(struct vfs *vfs, const struct registry_catalog *old)
{
    for (size_t i = 0; i < old->deltas.len; i++) {
        layout_path path;
        layout_registry_delta(path, old->deltas.ptr[i].number);
        vfs_remove_best_effort(vfs, path); /* what is left the next start sweeps */
    }
}

status checkpoint_run(struct checkpoint *cp, struct db *db,
                      const struct segment_info *const *infos, size_t n_infos, uint64_t order,
                      const _Atomic bool *cancelled, struct err *err)
{
    struct registry_catalog next, old;
    TRY(registry_catalog_copy(&next, &db->registry_catalog));
    status st = cp->due ? write_files(cp, db, &next, cancelled, err) : ST_OK;
    if (st == ST_OK) st = list_segments(&next, &db->catalog, infos, n_infos);
    next.covered_lsn = cp->prefix.covers;
    next.last_order = order;
    if (st == ST_OK) st = registry_catalog_write(db->ports.vfs, &next, err);
    if (st != ST_OK) {
        registry_catalog_release(&next);
        return st;
    }
    old = db->registry_catalog;
    db->registry_catalog = next;
    cp->written = true;
    if (cp->due && cp->whole) remove_deltas(db->ports.vfs, &old);
    registry_catalog_release(&old);
    return ST_OK;
}

/* ---- the owner again ---- */

static void forget_front(series_id *ids, size_t *len, size_t n)
{
    *len -= n;
    if (*len) memmove(ids, ids + n, *len * sizeof(*ids));
}

void checkpoint_end(struct checkpoint *cp, struct cell *cell)
{
    if (cp->planned && cp->written) {
        forget_front(cell->pending_deaths.ptr, &cell->pending_deaths.len, cp->n_dead);
        forget_front(cell->pending_attrs.ptr, &cell->pending_attrs.len, cp->n_attrs);
        cell->saved_births = cp->prefix.n_births;
        registry_forget_births(cell->registry, cell->saved_births);
    } else if (cp->planned && cp->due && cp->whole) {
        cell->lost_attrs = true; /* whatever it was: all of it again */
    }
    if (cell->pending_attrs.len || cell->lost_attrs) cell->attrs_dirty = true;
    vec_release(&cp->dead);
    vec_release(&cp->attrs);
    *cp = (struct checkpoint){.planned = false};
}
