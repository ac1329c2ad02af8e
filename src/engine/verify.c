/* db_check(): walks everything and explains the first contradiction. Runs at the end of
 * engine tests and behind DEBUG CHECK; segments and what they say of series are checked
 * by the same code in tsink-check (verify.h, verify_dir.c). */
#include "engine/verify.h"

#include "base/mem.h"
#include "engine/db_priv.h"
#include "engine/overlay.h"
#include "engine/wal_payload.h"
#include "engine/retention.h"
#include "engine/starts.h"

/* What the walk over one series' nodes found. */
struct walk {
    struct db *db;
    uint32_t ordinal;
    struct points pts;
    struct arena arena;
    uint64_t n_bytes;
    struct err *err;
};

static status fault(struct walk *w, const char *what)
{
    return err_set(w->err, ST_CORRUPT, "series %llu (ordinal %u): %s",
                   (unsigned long long)cell_head(&w->db->cell, w->ordinal)->id, w->ordinal, what);
}

static status check_order(struct walk *w)
{
    for (size_t i = 1; i < w->pts.n; i++)
        if (w->pts.ts[i - 1] >= w->pts.ts[i]) return fault(w, "a node's samples do not ascend");
    return ST_OK;
}

static status check_node(struct walk *w, node_word word, const struct head *head)
{
    const struct node *node = word_node(word);
    struct time_range bounds, all = {TS_MIN, TS_MAX};
    if (node->type != head->type) return fault(w, "a node holds values of another type");
    if (node_kind(node) > NODE_CHUNK) return fault(w, "a node is of no known kind");
    if (node_del_gen(node) > w->db->cell.del_gen)
        return fault(w, "a node is newer than all deletes");
    if (node_is_tail(node) && (word_n(word) > node_cap(node) || word_late(word) > TAIL_LATE_MAX))
        return fault(w, "a tail publishes more than it holds");
    if (node_kind(node) == NODE_RUN && word_count(word) > RUN_BLOCKS_MAX)
        return fault(w, "a run publishes more than it holds");

    w->pts.n = 0;
    arena_reset(&w->arena);
    status st = node_read(word, all, &w->pts, &w->arena);
    if (st != ST_OK) return fault(w, "a node cannot be decoded");
    TRY(check_order(w));
    if (w->pts.n == 0) return fault(w, "a node in the chain is empty");
    if (!node_bounds(word, &bounds) || bounds.from != w->pts.ts[0] ||
        bounds.to != w->pts.ts[w->pts.n - 1])
        return fault(w, "a node's bounds are not those of its samples");
    if ((head->flags & HEAD_HAS_LAST) && !(head->flags & HEAD_UNKNOWN) &&
        bounds.to > head->last_ts && !w->db->cell.manifest->mem_deletes)
        return fault(w, "a sample is newer than the head's last");
    return ST_OK;
}

static status check_series(struct walk *w)
{
    const struct cell *cell = &w->db->cell;
    const struct head *head = cell_head(cell, w->ordinal);
    const struct series_entry *entry = registry_entry(cell->registry, w->ordinal);
    bool live = (entry_flags(entry) & SERIES_LIVE) != 0;
    if (!live) return ST_OK;
    if (!(head->flags & HEAD_BORN)) return fault(w, "alive, but without a head");
    if (head->id != entry->id) return fault(w, "head and registry name different ids");
    if (head->gen != entry_gen(entry)) return fault(w, "head and registry differ in generation");
    if (head->type != entry->type) return fault(w, "head and registry differ in type");
    size_t n = 0;
    for (node_word word = head_root(head); word_node(word); word = node_older(word_node(word))) {
        TRY(check_node(w, word, head));
        if (++n > 1 << 24) return fault(w, "the chain of nodes does not end");
    }
    return ST_OK;
}

/* --- segments, in an open database or not ---------------------------------------- */

static void free_now(void *ctx, void (*free_fn)(void *ptr, void *arg), void *ptr, void *arg,
                     size_t bytes)
{
    (void)ctx, (void)bytes;
    free_fn(ptr, arg); /* one thread, no readers */
}

struct registry *verify_registry_new(void)
{
    return registry_new(NULL, &(struct reclaim){.retire = free_now});
}

status verify_adopt(struct registry *reg, series_id id, uint64_t place, enum value_type type,
                    uint32_t label_version, struct slice identity,
                    const struct series_attrs *attrs)
{
    struct arena arena;
    struct labels labels;
    uint32_t ordinal;
    if (registry_by_id(reg, id) != ORDINAL_NONE) return ST_OK;
    arena_init(&arena, NULL, 2048);
    status st = labels_from_identity(&labels, &arena, identity);
    struct hash128 hash = hash128(identity.ptr, identity.len);
    uint32_t other = st == ST_OK ? registry_find(reg, identity, hash, type) : ORDINAL_NONE;
    bool newer = other == ORDINAL_NONE || registry_entry(reg, other)->id < id;
    if (newer && other != ORDINAL_NONE) registry_remove(reg, other); /* it died before */
    if (st == ST_OK && newer) {
        struct series_new make = {.labels = labels,
                                  .identity = identity,
                                  .hash = hash,
                                  .place = place,
                                  .id = id,
                                  .label_version = label_version,
                                  .type = type,
                                  .attrs = attrs};
        st = registry_add(&ordinal, reg, &make);
    }
    arena_release(&arena);
    return st == ST_EXISTS || st == ST_INVALID ? ST_CORRUPT : st;
}

status verify_define(struct registry *reg, const struct wal_series *series, series_id *dead)
{
    *dead = 0;
    if (registry_by_id(reg, series->id) != ORDINAL_NONE) return ST_OK;
    uint32_t other = registry_find(reg, series->identity,
                                   hash128(series->identity.ptr, series->identity.len),
                                   series->type);
    if (other != ORDINAL_NONE) {
        series_id had = registry_entry(reg, other)->id;
        *dead = had < series->id ? had : series->id;
        if (had > series->id) return ST_OK;
        registry_remove(reg, other);
    }
    return verify_adopt(reg, series->id, series->place, series->type, 1, series->identity,
                        series->has_attrs ? &series->attrs : NULL);
}

/* A series gets labels of a higher version. */
static status replace_labels(struct registry *reg, uint32_t from, const struct wal_series *series,
                             uint16_t version, series_id *dead)
{
    struct arena arena;
    struct labels labels;
    struct slice identity = series->identity;
    struct hash128 hash = hash128(identity.ptr, identity.len);
    uint32_t other = registry_find(reg, identity, hash, series->type), to;
    if (registry_entry(reg, from)->label_version >= version || other == from) return ST_OK;
    if (other != ORDINAL_NONE) {
        *dead = registry_entry(reg, other)->id;
        registry_remove(reg, other);
    }
    arena_init(&arena, NULL, 2048);
    status st = labels_from_identity(&labels, &arena, identity);
    if (st == ST_OK) st = registry_relabel(&to, reg, from, labels, identity, hash, version);
    arena_release(&arena);
    return st == ST_INVALID ? ST_CORRUPT : st;
}

status verify_relabel(struct registry *reg, struct slice payload, series_id *dead)
{
    struct wal_series series;
    uint16_t version;
    *dead = 0;
    TRY(wal_relabel_get(&series, &version, payload));
    uint32_t from = registry_by_id(reg, series.id);
    if (from != ORDINAL_NONE) return replace_labels(reg, from, &series, version, dead);
    return verify_adopt(reg, series.id, series.place, series.type, version, series.identity,
                        series.has_attrs ? &series.attrs : NULL);
}

struct known {
    const struct registry *reg;
    series_id dead_below;
    uint64_t n_missing;
    struct err *err;
};

static status check_known(void *ctx, const struct segment_series *series)
{
    struct known *known = ctx;
    unsigned long long id = series->id;
    if (series->id >= registry_next_id(known->reg))
        return err_set(known->err, ST_CORRUPT, "series %llu is not below the registry's next id",
                       id);
    uint32_t ordinal = registry_by_id(known->reg, series->id);
    if (ordinal == ORDINAL_NONE) {
        known->n_missing += series->id >= known->dead_below;
        return ST_OK;
    }
    const struct series_entry *entry = registry_entry(known->reg, ordinal);
    if (entry->type != series->type)
        return err_set(known->err, ST_CORRUPT, "series %llu has another type in the registry", id);
    if (entry->place != series->place)
        return err_set(known->err, ST_CORRUPT, "series %llu has another place in the registry",
                       id);
    if (entry->label_version != series->labels_version) return ST_OK; /* it was renamed */
    struct hash128 hash = hash128(series->identity.ptr, series->identity.len);
    if (registry_find(known->reg, series->identity, hash, entry->type) == ordinal) return ST_OK;
    return err_set(known->err, ST_CORRUPT, "series %llu has other labels in the registry", id);
}

status verify_segment(struct segment *seg, const struct registry *reg, series_id dead_below,
                      bool quick, uint64_t *n_missing, const _Atomic bool *cancelled,
                      struct err *err)
{
    struct known known = {.reg = reg, .dead_below = dead_below, .err = err};
    TRY(quick ? segment_verify_quick(seg, cancelled, err) : segment_verify(seg, cancelled, err));
    if (!reg) return ST_OK;
    TRY(segment_each_series(seg, check_known, &known, err));
    if (n_missing) *n_missing += known.n_missing;
    return ST_OK;
}

/* Of two segments whose times overlap one is newer as a whole; and what a look at the
 * segments saw expired is gone. */
static status check_levels(struct db *db, struct err *err)
{
    const struct cell *cell = &db->cell;
    const struct manifest *m = cell->manifest;
    bool looked = cell->compact_seen == m->version && !cell->compact;
    for (size_t i = 0; i < m->n_segments; i++) {
        const struct segment_info *a = segment_info(m->segments[i]);
        if (looked && retention_expired(a, cell->compact_seen_oldest))
            return err_set(err, ST_CORRUPT, "%s has expired", segment_dir(m->segments[i]));
        for (size_t k = i + 1; k < m->n_segments; k++) {
            const struct segment_info *b = segment_info(m->segments[k]);
            if (a->lane != b->lane || !range_overlaps(a->ts, b->ts)) continue;
            if (a->order_max >= b->order_min)
                return err_set(err, ST_CORRUPT, "%s and %s overlap, and neither is newer",
                               segment_dir(m->segments[i]), segment_dir(m->segments[k]));
        }
    }
    return ST_OK;
}

static status check_manifest(struct db *db, struct err *err)
{
    const struct manifest *m = db->cell.manifest;
    uint64_t prev = 0;
    TRY(check_levels(db, err));
    for (size_t i = 0; i < m->n_segments; i++) {
        const struct segment_info *info = segment_info(m->segments[i]);
        if (info->order_max < prev)
            return err_set(err, ST_CORRUPT, "segments are not in the order of their flushes");
        prev = info->order_max;
        if (!catalog_find(&db->catalog, info->lane, info->id))
            return err_set(err, ST_CORRUPT, "the catalog does not name %s",
                           segment_dir(m->segments[i]));
        TRY(verify_segment(m->segments[i], db->cell.registry, 0, false, NULL, NULL, err));
    }
    if (db->catalog.n != m->n_segments)
        return err_set(err, ST_CORRUPT, "the catalog names %zu segments, the manifest has %zu",
                       db->catalog.n, m->n_segments);
    return ST_OK;
}

/* Each belongs to a series that lives. */
static status check_exemplars(struct db *db, struct err *err)
{
    struct arena arena;
    uint64_t *ids = NULL;
    size_t n = 0;
    TRY(exemplars_check(db->exemplars, err));
    arena_init(&arena, NULL, 4096);
    status st = exemplars_series(db->exemplars, &arena, &ids, &n);
    for (size_t i = 0; i < n && st == ST_OK; i++)
        if (registry_by_id(db->cell.registry, ids[i]) == ORDINAL_NONE)
            st = err_set(err, ST_CORRUPT, "exemplars of series %llu, which is no more",
                         (unsigned long long)ids[i]);
    arena_release(&arena);
    return st;
}

status db_check(struct db *db, struct err *err)
{
    struct cell *cell = &db->cell;
    struct walk w = {.db = db, .err = err};
    status st = registry_check(cell->registry, err);
    arena_init(&w.arena, NULL, 4096);
    for (uint32_t i = 0; st == ST_OK && i < registry_n_ordinals(cell->registry); i++) {
        w.ordinal = i;
        st = check_series(&w);
    }
    arena_release(&w.arena);
    points_release(&w.pts);
    if (st == ST_OK) st = starts_check(cell, err);
    if (st == ST_OK && !db->catalog_busy) st = check_manifest(db, err);
    if (st == ST_OK) st = check_exemplars(db, err);
    return st;
}
