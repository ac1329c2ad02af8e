/* Deletes: one record hides what is stored now of some series in a range.
 *
 * Segments are hidden by flush order (all that exist or are being cut), memory nodes by
 * generation: a node made before the delete has a smaller one. The series' newest nodes
 * are cut, so that later samples go to nodes of the new generation. Series of which the
 * record covers all there is are doomed (compact_gone.c). The record travels
 * through the WAL and is in the tombstone file before the WAL that holds it is released.
 * A record whose ids do not fit one frame is several in the WAL, one run with one COMMIT:
 * after a crash all of it holds or none.
 */
#include "engine/delete.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/compact.h"
#include "engine/db_priv.h"
#include "engine/rules.h"
#include "engine/starts.h"
#include "engine/wal_payload.h"

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The next manifest, with the record in both sets. */
static status swap_manifest(struct cell *cell, const struct delete_rec *rec)
{
    struct tombstones *deletes = NULL, *mem = NULL;
    struct delete_rec in_memory = *rec;
    in_memory.order = rec->gen;
    status st = tombstones_add(&deletes, cell->manifest->deletes, rec);
    if (st == ST_OK) st = tombstones_add(&mem, cell->manifest->mem_deletes, &in_memory);
    struct manifest *next = NULL;
    if (st == ST_OK) {
        struct manifest_change change = {.deletes = deletes, .mem_deletes = mem};
        next = manifest_next(cell->manifest, &change);
        if (!next) st = ST_NO_MEMORY;
    }
    tombstones_unref(deletes);
    tombstones_unref(mem);
    if (st != ST_OK) return st;
    struct manifest *old = cell->manifest;
    cell->manifest = next;
    manifest_unref(old);
    return ST_OK;
}

static void cut_head(struct cell *cell, uint32_t ordinal, struct time_range range)
{
    struct head *head = cell_head(cell, ordinal);
    head_touch(cell, head, ordinal); /* a look-up from before the delete is void */
    head->flags |= HEAD_CUT;
    if ((head->flags & HEAD_HAS_LAST) && range_has(range, head->last_ts)) {
        head->flags &= (uint8_t)~HEAD_HAS_LAST;
        head->flags |= HEAD_UNKNOWN;
    }
}

/* The record is in force: what it means for the heads of its series. */
static void cut_heads(struct cell *cell, const struct delete_rec *rec)
{
    struct doom doom;
    doom_init(&doom, cell, rec->range, rec->order);
    for (size_t i = 0; i < rec->n_ids; i++) {
        uint32_t ordinal = registry_by_id(cell->registry, rec->ids[i]);
        if (ordinal == ORDINAL_NONE) continue;
        cut_head(cell, ordinal, rec->range);
        doom_series(&doom, cell, ordinal);
    }
}

/* Remembers the record for the tombstone file. */
static bool keep_pending(struct cell *cell, const struct delete_rec *rec)
{
    uint64_t *ids = mem_try_array(rec->n_ids, sizeof(*ids));
    if (!ids) return false;
    memcpy(ids, rec->ids, rec->n_ids * sizeof(*ids));
    struct delete_rec copy = *rec;
    copy.ids = ids;
    if (vec_push(&cell->pending_deletes, copy)) return true;
    mem_free(ids);
    return false;
}

status delete_apply(struct cell *cell, const uint64_t *ids, size_t n, struct time_range range,
                    uint64_t order, struct err *err)
{
    if (n == 0 || range_empty(range)) return ST_OK;
    if (cell->del_gen >= NODE_DEL_GEN_MAX) return err_set(err, ST_LIMIT, "too many deletes");
    struct delete_rec rec = {
        .ids = ids, .n_ids = n, .range = range, .order = order, .gen = cell->del_gen + 1};
    for (size_t i = 0; i < n; i++) {
        uint32_t ordinal = registry_by_id(cell->registry, ids[i]);
        if (ordinal != ORDINAL_NONE) flush_cut_now(cell, ordinal);
    }
    if (!keep_pending(cell, &rec)) return err_set(err, ST_NO_MEMORY, "delete of %zu series", n);
    status st = swap_manifest(cell, &rec);
    if (st != ST_OK) {
        mem_free((void *)(uintptr_t)cell->pending_deletes.ptr[--cell->pending_deletes.len].ids);
        return err_set(err, st, "delete of %zu series", n);
    }
    cell->del_gen = rec.gen;
    cut_heads(cell, &rec);
    /* Recovery knows better what of the log its file of exemplars has. */
    if (!cell->replaying) exemplars_delete(cell->db->exemplars, ids, n, range);
    rules_deleted(cell, ids, n, range);
    cell->stats.n_deletes++;
    return ST_OK;
}

/* --- into the WAL ------------------------------------------------------------------ */

enum { DELETE_BYTES = 40, DELETE_ID_BYTES = 10 }; /* bounds: of a frame without ids, of an id */

size_t delete_ids_a_frame(const struct cell *cell)
{
    return (wal_payload_max(cell->wal) - DELETE_BYTES) / DELETE_ID_BYTES;
}

size_t delete_room(const struct cell *cell, size_t n)
{
    size_t frame = WAL_HEAD_LEN + WAL_RUN_LEN + DELETE_BYTES;
    return 2 * ((n / delete_ids_a_frame(cell) + 1) * frame + n * DELETE_ID_BYTES);
}

lsn delete_log(struct cell *cell, const uint64_t *ids, size_t n, struct time_range range,
               uint64_t run, bool commit)
{
    uint8_t *dst = wal_begin(cell->wal, DELETE_BYTES + DELETE_ID_BYTES * n);
    ASSERT(dst);
    size_t len = wal_delete_put(dst, ids, n, range, cell->flush_order);
    lsn at = wal_end(cell->wal, WAL_DELETE, commit ? WAL_COMMIT : 0, run, len);
    wal_publish(cell->wal);
    return at;
}

/* One run of frames; there is room for it. */
static lsn log_all(struct cell *cell, const uint64_t *ids, size_t n, struct time_range range)
{
    size_t max = delete_ids_a_frame(cell);
    uint64_t run = n > max ? cell->next_run++ : 0;
    lsn at = 0;
    for (size_t i = 0; i < n; i += max) {
        size_t part = n - i < max ? n - i : max;
        at = delete_log(cell, ids + i, part, range, run, i + part == n);
    }
    return at;
}

/* The ids of the series, ascending, each once. */
static uint64_t *list_ids(const struct cell *cell, const uint32_t *ordinals, size_t n, size_t *out)
{
    uint64_t *ids = mem_try_array(n ? n : 1, sizeof(*ids));
    if (!ids) return NULL;
    for (size_t i = 0; i < n; i++) ids[i] = registry_entry(cell->registry, ordinals[i])->id;
    qsort(ids, n, sizeof(*ids), by_value);
    size_t unique = 0;
    for (size_t i = 0; i < n; i++)
        if (unique == 0 || ids[unique - 1] != ids[i]) ids[unique++] = ids[i];
    *out = unique;
    return ids;
}

status db_delete(struct db *db, const uint32_t *ordinals, size_t n, struct time_range range,
                 lsn *at, struct err *err)
{
    struct cell *cell = &db->cell;
    size_t unique;
    *at = wal_head(cell->wal);
    TRY(db_refusing(db, err));
    if (range_empty(range)) return ST_OK;
    if (!write_idle(cell)) write_finish_batch(cell);

    uint64_t *named = list_ids(cell, ordinals, n, &unique);
    uint64_t *ids = named ? starts_with_companions(cell, named, unique, &unique) : NULL;
    mem_free(named);
    if (!ids) return err_set(err, ST_NO_MEMORY, "delete of %zu series", n);
    status st = ST_OK;
    if (delete_room(cell, unique) > db_options(db)->wal_buffer_bytes)
        st = err_set(err, ST_LIMIT, "a delete of %zu series does not fit wal-buffer", unique);
    else if (unique && wal_room(cell->wal) < delete_room(cell, unique))
        st = err_set(err, ST_OVERLOAD, "the WAL has no room now");
    else
        st = delete_apply(cell, ids, unique, range, cell->flush_order, err);
    if (st == ST_OK && unique) {
        *at = log_all(cell, ids, unique, range);
        db_step_wal(db);
    }
    mem_free(ids);
    return st;
}

status db_set_attrs(struct db *db, uint32_t ordinal, const struct series_attrs *attrs, lsn *at,
                    struct err *err)
{
    struct cell *cell = &db->cell;
    TRY(db_refusing(db, err));
    if (!attrs_valid(attrs)) return err_set(err, ST_INVALID, "attributes out of range");
    if (!write_idle(cell)) write_finish_batch(cell);
    uint8_t *dst = wal_begin(cell->wal, 8 + ATTRS_BYTES);
    if (!dst) return err_set(err, ST_OVERLOAD, "the WAL has no room now");
    status st = registry_set_attrs(cell->registry, ordinal, attrs);
    if (st != ST_OK) return err_set(err, st, "attributes");
    cell_attrs_changed(cell, ordinal);
    *at = wal_end(cell->wal, WAL_ATTRS, WAL_COMMIT, 0,
                  wal_attrs_put(dst, registry_entry(cell->registry, ordinal)->id, attrs));
    wal_publish(cell->wal);
    db_step_wal(db);
    return ST_OK;
}
