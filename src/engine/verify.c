/* db_check(): walks everything and explains the first contradiction. Runs at the end of
 * engine tests, behind DEBUG CHECK and in tsink-check. */
#include "engine/db_priv.h"
#include "engine/overlay.h"

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
    if (node->kind > NODE_CHUNK) return fault(w, "a node is of no known kind");
    if (node->del_gen > w->db->cell.del_gen) return fault(w, "a node is newer than all deletes");
    if (node_is_tail(node) && (word_n(word) > node->cap || word_late(word) > TAIL_LATE_MAX))
        return fault(w, "a tail publishes more than it holds");
    if (node->kind == NODE_RUN &&
        word_count(word) > container_of(node, struct run, node)->cap_blocks)
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

static status check_manifest(struct db *db, struct err *err)
{
    const struct manifest *m = db->cell.manifest;
    uint64_t prev = 0;
    for (size_t i = 0; i < m->n_segments; i++) {
        const struct segment_info *info = segment_info(m->segments[i]);
        if (info->order_max < prev)
            return err_set(err, ST_CORRUPT, "segments are not in the order of their flushes");
        prev = info->order_max;
        if (!catalog_find(&db->catalog, info->lane, info->id))
            return err_set(err, ST_CORRUPT, "the catalog does not name %s",
                           segment_dir(m->segments[i]));
        TRY(segment_verify(m->segments[i], NULL, err));
    }
    if (db->catalog.n != m->n_segments)
        return err_set(err, ST_CORRUPT, "the catalog names %zu segments, the manifest has %zu",
                       db->catalog.n, m->n_segments);
    return ST_OK;
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
    if (st == ST_OK && !db->catalog_busy) st = check_manifest(db, err);
    return st;
}
