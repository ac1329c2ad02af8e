/* Series of which nothing visible is left die, and with them labels that nobody else has.
 * Keyed series do not: they live until somebody deletes the key.
 *
 * Three look for them:
 *
 *   a delete      that covers all that a series has in memory and could have in segments
 *                 dooms it (delete.c): its samples stay where they are, and the record
 *                 hides them there for as long as they lie there. A write takes the doom
 *                 away.
 *   a flush       that has found every sample of a series hidden, and no segment with it
 *   a compaction  that has left a series' last sample out
 *
 * The last two ran beside writers: a series that was touched since they began lives on.
 *
 * A death is told to the log before anything else knows of it (WAL_REMOVE): recovery then
 * passes over what log and segments still have of the series, so nobody need wait until
 * they have it no more. Its id is never given out again, and its delete records stay until
 * no segment has it (compact_deletes.c), for a start that has lost the registry's files. In
 * the log the frame lies behind the delete that doomed the series, and behind the COMMIT
 * of its run (cell->delete_open).
 *
 * A death waits while a flush that has the series' nodes, a deferred write or a snapshot's
 * list of names needs it (cell_remove_series()), at the end of the queue.
 */
#include <stdlib.h>

#include "engine/compact.h"
#include "engine/db_priv.h"
#include "engine/delete.h"
#include "engine/wal_payload.h"

enum { GONE_SLICE = 256, GONE_LOOK = 1024 };

void gone_add(struct cell *cell, const series_id *ids, size_t n, uint64_t epoch)
{
    /* Without memory for the list they stay, empty; nothing is wrong with that. */
    if (!vec_reserve(&cell->gone, n)) return;
    for (size_t i = 0; i < n; i++)
        (void)vec_push(&cell->gone, ((struct gone_series){ids[i], epoch}));
    if (n) cell->gone_more = true;
}

/* --- doom ---------------------------------------------------------------------------- */

void doom_init(struct doom *doom, const struct cell *cell, struct time_range range,
               uint64_t order)
{
    const struct manifest *m = cell->manifest;
    *doom = (struct doom){.range = range, .whole = range.from == TS_MIN && range.to == TS_MAX};
    for (size_t i = 0; i < m->n_segments; i++) {
        const struct segment_info *info = segment_info(m->segments[i]);
        bool hidden = info->order_max <= order && range.from <= info->ts.from &&
                      info->ts.to <= range.to;
        if (!hidden && info->id_max > doom->id_max[info->lane])
            doom->id_max[info->lane] = info->id_max;
    }
}

/* Whether all samples in memory lie in the range. */
static bool covers_memory(const struct doom *doom, const struct head *head)
{
    enum { NODES_MAX = 64 }; /* of a longer chain a flush or a compaction says more */
    struct time_range bounds;
    if (doom->whole) return true;
    node_word word = head_root(head);
    for (size_t n = 0; word_node(word) && n < NODES_MAX; n++) {
        if (!node_bounds(word, &bounds)) return false;
        if (bounds.from < doom->range.from || bounds.to > doom->range.to) return false;
        word = node_older(word_node(word));
    }
    return !word_node(word);
}

void doom_series(const struct doom *doom, struct cell *cell, uint32_t ordinal)
{
    struct head *head = cell_head(cell, ordinal);
    enum value_lane lane = value_lane_of((enum value_type)head->type);
    if (head->doomed || (head->flags & HEAD_KEYED) || head->id <= doom->id_max[lane]) return;
    if (!covers_memory(doom, head)) return;
    if (!vec_push(&cell->gone, ((struct gone_series){.id = head->id}))) return;
    head->doomed = 1;
    cell->gone_more = true;
}

/* --- death --------------------------------------------------------------------------- */

enum verdict { LIVES, WAITS, DIES };

static enum verdict judge(const struct cell *cell, const struct gone_series *gone,
                          uint32_t *ordinal)
{
    *ordinal = registry_by_id(cell->registry, gone->id);
    if (*ordinal == ORDINAL_NONE) return LIVES; /* that is, it is dead already */
    const struct head *head = cell_head(cell, *ordinal);
    if (head->flags & HEAD_KEYED) return LIVES;
    if (gone->epoch ? head_root(head) || head->touched >= gone->epoch : !head->doomed)
        return LIVES;
    return cell_may_remove(cell, *ordinal) ? DIES : WAITS;
}

static int by_id(const void *a, const void *b)
{
    series_id x = *(const series_id *)a, y = *(const series_id *)b;
    return (x > y) - (x < y);
}

/* A delete and a flush may both have named a series. */
static size_t sort_ids(series_id *ids, size_t n)
{
    size_t n_unique = 1;
    qsort(ids, n, sizeof(*ids), by_id);
    for (size_t i = 1; i < n; i++)
        if (ids[i] != ids[n_unique - 1]) ids[n_unique++] = ids[i];
    return n_unique;
}

/* Tells the log of n deaths (1 and more), for which there is room, and lets them happen. */
static void bury(struct cell *cell, series_id *ids, size_t n)
{
    uint8_t *dst = wal_begin(cell->wal, WAL_REMOVE_BYTES * (n + 1));
    bool queued = false;
    ASSERT(dst);
    n = sort_ids(ids, n);
    (void)wal_end(cell->wal, WAL_REMOVE, WAL_COMMIT, 0, wal_remove_put(dst, ids, n));
    wal_publish(cell->wal);
    for (size_t i = 0; i < n; i++) {
        uint32_t ordinal = registry_by_id(cell->registry, ids[i]);
        struct head *head = cell_head(cell, ordinal);
        /* An encode job that has it finds nothing to put in its place. */
        queued |= (head->flags & HEAD_QUEUED) != 0;
        head->flags &= (uint8_t)~HEAD_QUEUED;
        bool visible = entry_visible(registry_entry(cell->registry, ordinal));
        bool gone = cell_remove_series(cell, ordinal);
        ASSERT(gone); /* it was asked whether it may */
        cell->stats.n_series_gone += visible;
    }
    if (queued) encode_forget_dead(cell);
    cell->attrs_dirty = true; /* the next flush saves the registry */
}

/* The front of the queue is looked at; what must wait goes to its end. False: no memory
 * to keep it there. */
static bool look(struct cell *cell, series_id *ids, size_t *n_ids, size_t *n_look)
{
    struct gone_series gone = cell->gone.ptr[cell->n_gone_seen];
    uint32_t ordinal;
    --*n_look;
    switch (judge(cell, &gone, &ordinal)) {
    case LIVES: break;
    case WAITS:
        if (!vec_push(&cell->gone, gone)) return false;
        break;
    case DIES: ids[(*n_ids)++] = gone.id; break;
    }
    cell->n_gone_seen++;
    return true;
}

/* Takes what was seen off the queue, when that is most of it. */
static void trim(struct cell *cell)
{
    size_t left = cell->gone.len - cell->n_gone_seen;
    if (left == 0) {
        vec_release(&cell->gone);
        cell->n_gone_seen = 0;
    } else if (cell->n_gone_seen > left) {
        memmove(cell->gone.ptr, cell->gone.ptr + cell->n_gone_seen,
                left * sizeof(*cell->gone.ptr));
        cell->gone.len = left;
        cell->n_gone_seen = 0;
    }
}

void gone_step(struct cell *cell)
{
    series_id ids[GONE_SLICE];
    mono_ns start = clock_mono(db_clock(cell->db));
    size_t n_look = cell->gone.len - cell->n_gone_seen, n_died = 0;
    if (n_look == 0 || cell->delete_open || !write_idle(cell)) return;
    if (db_refusing(cell->db, NULL) != ST_OK) return;
    if (n_look > GONE_LOOK) n_look = GONE_LOOK;
    bool memory = true;
    while (n_look && memory && wal_room(cell->wal) >= delete_room(cell, GONE_SLICE)) {
        size_t n = 0;
        while (n_look && n < GONE_SLICE && memory) memory = look(cell, ids, &n, &n_look);
        if (n) bury(cell, ids, n);
        n_died += n;
        if (clock_mono(db_clock(cell->db)) - start > OWNER_STEP_NS) break;
    }
    trim(cell);
    cell->gone_more = n_died && cell->gone.len;
    if (n_died) db_step_wal(cell->db);
}

void gone_release(struct cell *cell)
{
    vec_release(&cell->gone);
}
