/* The inventory from what the directories hold, and what to do with directories that no
 * inventory names. See catalog.h. */
#include "base/log.h"
#include "base/mem.h"
#include "storage/catalog.h"

/* One pass over all places where segments can lie. */
struct visit {
    struct vfs *vfs;
    layout_path dir;
    enum layout_tier tier;
    enum value_lane lane;
    unsigned level;
    bool local;
    status (*each)(struct visit *visit, const char *path, uint64_t id);
    void *ctx;
    struct err *err;
};

static status visit_entry(void *ctx, const struct vfs_entry *entry)
{
    struct visit *visit = ctx;
    layout_path path;
    uint64_t id;

    if (!entry->is_dir || !layout_segment_id(&id, entry->name)) return ST_OK;
    TRY(layout_join(path, visit->dir, entry->name, visit->err));
    return visit->each(visit, path, id);
}

static status visit_dir(struct visit *visit)
{
    status st = vfs_list(visit->vfs, visit->dir, visit_entry, visit, visit->err);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* The lanes of a data directory. */
static status visit_local(struct visit *visit)
{
    visit->local = true;
    visit->tier = TIER_HOT;
    for (unsigned lane = 0; lane < N_LANES; lane++) {
        for (unsigned level = 0; level < SEGMENT_LEVELS; level++) {
            visit->lane = (enum value_lane)lane;
            visit->level = level;
            layout_level_dir(visit->dir, visit->lane, level);
            TRY(visit_dir(visit));
        }
    }
    return ST_OK;
}

/* The tiers of an object-store root. */
static status visit_tiers(struct visit *visit)
{
    visit->local = false;
    for (unsigned i = 0; i < N_TIERS * N_LANES * SEGMENT_LEVELS; i++) {
        visit->tier = (enum layout_tier)(i / (N_LANES * SEGMENT_LEVELS));
        visit->lane = (enum value_lane)(i / SEGMENT_LEVELS % N_LANES);
        visit->level = i % SEGMENT_LEVELS;
        layout_tier_level_dir(visit->dir, visit->tier, visit->lane, visit->level);
        TRY(visit_dir(visit));
    }
    return ST_OK;
}

/* ---- scanning ---- */

struct scan {
    struct catalog cat;
    const struct database_id *db;
    catalog_bad bad;
    void *ctx;
};

static status check_place(const struct visit *visit, const struct segment_info *info,
                          const struct database_id *db, uint64_t id, struct err *err)
{
    if (info->id != id || info->lane != visit->lane || info->level != visit->level) {
        return err_set(err, ST_CORRUPT, "lies where another segment belongs");
    }
    if (db && memcmp(db, &info->db, sizeof(*db)) != 0) {
        return err_set(err, ST_CORRUPT, "belongs to another database");
    }
    return ST_OK;
}

static status scan_segment(struct visit *visit, const char *path, uint64_t id)
{
    struct scan *scan = visit->ctx;
    struct catalog_entry entry = {.tier = visit->tier};
    struct err why = {.st = ST_OK};

    if (id >= scan->cat.next_segment_id) scan->cat.next_segment_id = id + 1;
    status st = segment_manifest_read(&entry.info, visit->vfs, path, &why);
    if (st == ST_OK) st = check_place(visit, &entry.info, scan->db, id, &why);
    if (st == ST_NO_MEMORY || st == ST_IO) return err_set(visit->err, st, "%s", why.text);
    if (st != ST_OK) {
        if (scan->bad) scan->bad(scan->ctx, path, st, &why);
        return ST_OK;
    }
    memcpy(entry.path, path, strlen(path) + 1);
    if (entry.info.order_max > scan->cat.last_order) scan->cat.last_order = entry.info.order_max;
    st = catalog_add(&scan->cat, &entry, visit->err);
    /* Two places hold it: a move that was cut short. The first found is as good. */
    return st == ST_EXISTS ? ST_OK : st;
}

static bool is_there(const struct catalog *cat, enum value_lane lane, uint64_t id)
{
    return catalog_find(cat, lane, id) != NULL;
}

/* Whether the set that e belongs to was put in the place of its sources: it is complete,
 * or a source is gone, which is removed only after that. */
static bool was_published(const struct catalog *cat, const struct segment_info *e)
{
    bool complete = true;
    for (uint64_t i = 0; i < e->set_n; i++)
        complete &= is_there(cat, e->lane, e->set_first + i);
    for (size_t i = 0; i < e->n_sources && !complete; i++)
        complete = !is_there(cat, e->lane, e->sources[i]);
    return complete;
}

static void mark_sources(const struct catalog *cat, const struct segment_info *e, bool *gone)
{
    for (size_t i = 0; i < e->n_sources; i++) {
        const struct catalog_entry *source = catalog_find(cat, e->lane, e->sources[i]);
        if (source) gone[source - cat->entries] = true;
    }
}

/* A replaced segment may itself replace others that are still there: all are looked at
 * before any is dropped. */
static status drop_replaced(struct catalog *cat, struct err *err)
{
    bool *gone = mem_try_zero(cat->n + 1);

    if (!gone) return err_set(err, ST_NO_MEMORY, "catalog");
    for (size_t i = 0; i < cat->n; i++) {
        const struct segment_info *e = &cat->entries[i].info;
        if (was_published(cat, e)) mark_sources(cat, e, gone);
        else gone[i] = true;
    }
    size_t left = 0;
    for (size_t i = 0; i < cat->n; i++) {
        if (!gone[i]) cat->entries[left++] = cat->entries[i];
    }
    cat->n = left;
    mem_free(gone);
    return ST_OK;
}

status catalog_scan(struct catalog *out, struct vfs *vfs, const struct database_id *db,
                    catalog_bad bad, void *ctx, struct err *err)
{
    struct scan scan = {.db = db, .bad = bad, .ctx = ctx};
    struct visit visit = {.vfs = vfs, .each = scan_segment, .ctx = &scan, .err = err};

    catalog_init(&scan.cat, db);
    status st = visit_local(&visit);
    if (st == ST_OK) st = visit_tiers(&visit);
    if (st == ST_OK) st = drop_replaced(&scan.cat, err);
    if (st != ST_OK) {
        catalog_release(&scan.cat);
        return err_wrap(err, st, "scan for segments");
    }
    *out = scan.cat;
    return ST_OK;
}

/* ---- loading ---- */

static status note_new(struct visit *visit, const char *path, uint64_t id)
{
    const uint64_t *next = visit->ctx;
    (void)path;
    return id < *next ? ST_OK : ST_AGAIN;
}

status catalog_load(struct catalog *out, bool *scanned, struct vfs *vfs,
                    const struct database_id *db, catalog_bad bad, void *ctx, struct err *err)
{
    struct err why = {.st = ST_OK};
    struct catalog cat;

    status st = catalog_read(&cat, vfs, db, &why);
    if (st == ST_OK) {
        struct visit visit = {
            .vfs = vfs, .each = note_new, .ctx = &cat.next_segment_id, .err = &why};
        st = visit_local(&visit);
        if (st == ST_OK) {
            *out = cat;
            *scanned = false;
            return ST_OK;
        }
        catalog_release(&cat);
        if (st == ST_AGAIN) err_set(&why, st, "there are segments newer than the catalog");
    }
    if (st != ST_NOT_FOUND && st != ST_CORRUPT && st != ST_AGAIN) {
        return err_set(err, st, "%s", err_text(&why, st));
    }
    if (st != ST_NOT_FOUND) log_warn("catalog", "scanning", "reason=\"%s\"", err_text(&why, st));
    TRY(catalog_scan(out, vfs, db, bad, ctx, err));
    *scanned = true;
    return ST_OK;
}

/* ---- sweeping ---- */

struct sweep {
    const struct catalog *cat;
    size_t n_removed;
};

static status sweep_segment(struct visit *visit, const char *path, uint64_t id)
{
    struct sweep *sweep = visit->ctx;
    const struct catalog_entry *e = catalog_find(sweep->cat, visit->lane, id);

    if (id >= sweep->cat->next_segment_id || (e && strcmp(e->path, path) == 0)) return ST_OK;
    TRY(segment_remove(visit->vfs, path, visit->err));
    sweep->n_removed++;
    return ST_OK;
}

status catalog_sweep(size_t *n_removed, struct vfs *vfs, const struct catalog *cat,
                     struct err *err)
{
    struct sweep sweep = {.cat = cat};
    struct visit visit = {.vfs = vfs, .each = sweep_segment, .ctx = &sweep, .err = err};

    TRY(visit_local(&visit));
    *n_removed = sweep.n_removed;
    return ST_OK;
}
