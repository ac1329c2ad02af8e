/* Series that have lost their last sample die, and with them labels that nobody else has.
 * Keyed series do not: they live until somebody deletes the key.
 *
 * A worker says which series no segment of a manifest has. The owner waits until it knows
 * that nothing else is left: the head has no node and was not touched since that manifest
 * (so no flush took anything away either), and the WAL is covered up to where it then
 * ended, or a replay would meet samples of a series that nothing defines. A series that
 * was touched lives on; when what it got is gone again, a worker will say so again.
 */
#include "base/log.h"
#include "engine/compact.h"
#include "engine/db_priv.h"

enum { GONE_SLICE = 256 };

void gone_add(struct cell *cell, const series_id *ids, size_t n, uint64_t epoch, lsn at)
{
    /* Without memory for the list they stay, empty; nothing is wrong with that. */
    if (!vec_reserve(&cell->gone, n)) return;
    for (size_t i = 0; i < n; i++)
        (void)vec_push(&cell->gone, ((struct gone_series){ids[i], epoch, at}));
}

/* False: not now. */
static bool bury(struct cell *cell, const struct gone_series *gone)
{
    uint32_t ordinal = registry_by_id(cell->registry, gone->id);
    if (gone->at > cell->covered) return false;
    if (ordinal == ORDINAL_NONE) return true;
    struct head *head = cell_head(cell, ordinal);
    if (head_root(head) || head->touched >= gone->epoch || (head->flags & HEAD_KEYED)) return true;
    if (!cell_remove_series(cell, ordinal)) return false;
    cell->attrs_dirty = true; /* the next flush saves the registry */
    cell->stats.n_series_gone++;
    return true;
}

void gone_step(struct cell *cell)
{
    size_t *at = &cell->n_gone_seen;
    if (*at == cell->gone.len || cell->closing) return;
    if (!write_idle(cell) || !list_empty(&cell->deferred)) return;
    /* Positions in the log rise but for those of a flush and a compaction that ended the
     * other way round: whoever waits behind another waits a little longer. */
    for (size_t n = 0; *at < cell->gone.len && n < GONE_SLICE; n++, (*at)++)
        if (!bury(cell, &cell->gone.ptr[*at])) return;
    if (*at < cell->gone.len) return;
    vec_release(&cell->gone);
    *at = 0;
}

bool gone_waits_for_flush(const struct cell *cell)
{
    return cell->n_gone_seen < cell->gone.len &&
           cell->gone.ptr[cell->n_gone_seen].at > cell->covered;
}

void gone_release(struct cell *cell)
{
    vec_release(&cell->gone);
}
