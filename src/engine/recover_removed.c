/* Recovery of removals (WAL_REMOVE): before anything else of the log is applied, because a
 * series with the same labels may have been born later, and definitions come first.
 *
 * What the registry's files still have of those series is removed; what the log has of
 * them, definitions and samples, is passed over by recover_replay.c.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/recover_priv.h"
#include "engine/wal_payload.h"

static int by_id(const void *a, const void *b)
{
    series_id x = *(const series_id *)a, y = *(const series_id *)b;
    return (x > y) - (x < y);
}

static status note(void *ctx, const struct wal_frame *frame)
{
    struct recovery *rec = ctx;
    uint64_t *ids;
    size_t n;
    if (frame->type != WAL_REMOVE) return ST_OK;
    status st = wal_remove_get(&ids, &n, frame->payload);
    if (st != ST_OK)
        return err_set(rec->err, st, "WAL frame %llu: %s", (unsigned long long)frame->seq,
                       status_text(st));
    if (!vec_reserve(&rec->removed, n)) st = ST_NO_MEMORY;
    for (size_t i = 0; i < n && st == ST_OK; i++) (void)vec_push(&rec->removed, ids[i]);
    mem_free(ids);
    return st;
}

bool recover_is_removed(const struct recovery *rec, series_id id)
{
    return rec->removed.len &&
           bsearch(&id, rec->removed.ptr, rec->removed.len, sizeof(id), by_id) != NULL;
}

status recover_removed(struct recovery *rec, struct wal_replay *replayed)
{
    struct cell *cell = rec->cell;
    TRY(wal_replay_each(replayed, note, rec));
    if (rec->removed.len == 0) return ST_OK;
    qsort(rec->removed.ptr, rec->removed.len, sizeof(rec->removed.ptr[0]), by_id);
    /* Nobody may get these ids again: the log would take them for dead. */
    registry_raise_next_id(cell->registry, rec->removed.ptr[rec->removed.len - 1] + 1);
    for (size_t i = 0; i < rec->removed.len; i++) {
        uint32_t ordinal = registry_by_id(cell->registry, rec->removed.ptr[i]);
        if (ordinal == ORDINAL_NONE) continue;
        bool gone = cell_remove_series(cell, ordinal);
        ASSERT(gone); /* nothing is at work yet */
    }
    return ST_OK;
}
