/* Series that are dead and whose samples may still lie in segments: who they are, and where.
 *
 * They are those of the delete records whose ids nobody has any more: a record stays until
 * no segment has its series (compact_deletes.c). With a series went the knowledge of its
 * shard, so that it must be looked for in every shard of a segment; or the whole index is
 * walked once for all of them, when that is cheaper.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/compact_priv.h"

enum { POLL_EVERY = 1024 };

static status add_dead(void *ctx, const struct delete_rec *rec)
{
    struct dead_ids *dead = ctx;
    struct series_facts facts;
    size_t n = dead->ids.len;
    if (++dead->n_looked % POLL_EVERY == 0 && job_cancelled(dead->job)) return ST_CANCELLED;
    if (n && dead->ids.ptr[n - 1].id == rec->ids[0]) {
        if (rec->order > dead->ids.ptr[n - 1].order) dead->ids.ptr[n - 1].order = rec->order;
        return ST_OK;
    }
    series_facts(dead->db, rec->ids[0], &facts);
    if (facts.live) return ST_OK;
    struct dead_id one = {.id = rec->ids[0], .order = rec->order};
    return vec_push(&dead->ids, one) ? ST_OK : ST_NO_MEMORY;
}

static int by_id(const void *a, const void *b)
{
    const struct dead_id *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

status dead_ids_collect(struct dead_ids *dead, struct db *db, const struct job *job,
                        const struct tombstones *deletes)
{
    *dead = (struct dead_ids){.db = db, .job = job};
    TRY(tombstones_walk(deletes, 0, add_dead, dead));
    if (dead->ids.len == 0) return ST_OK;
    struct dead_id *ids = dead->ids.ptr;
    size_t n = 1;
    qsort(ids, dead->ids.len, sizeof(*ids), by_id);
    for (size_t i = 1; i < dead->ids.len; i++) {
        if (ids[i].id != ids[n - 1].id) ids[n++] = ids[i];
        else if (ids[i].order > ids[n - 1].order) ids[n - 1].order = ids[i].order;
    }
    dead->ids.len = n;
    return ST_OK;
}

void dead_ids_release(struct dead_ids *dead)
{
    vec_release(&dead->ids);
}

struct dead_id *dead_ids_find(const struct dead_ids *dead, series_id id)
{
    struct dead_id key = {.id = id};
    if (!dead->ids.len) return NULL;
    return bsearch(&key, dead->ids.ptr, dead->ids.len, sizeof(key), by_id);
}

/* How many of them are small enough for the segment. */
static size_t count_up_to(const struct dead_ids *dead, series_id id_max)
{
    size_t from = 0, to = dead->ids.len;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (dead->ids.ptr[mid].id <= id_max) from = mid + 1;
        else to = mid;
    }
    return from;
}

static status walk_index(struct dead_ids *dead, struct segment *seg, dead_entry_fn *fn,
                         void *ctx, struct err *err)
{
    struct segment_cursor cur;
    struct dead_id *at = NULL;
    series_id id = 0;
    segment_cursor_init(&cur, seg, (struct segment_range){0, 0});
    for (uint64_t i = 1;; i++) {
        const struct segment_entry *e;
        TRY(segment_next(&cur, &e, err));
        if (!e) return ST_OK;
        if (i % POLL_EVERY == 0 && job_cancelled(dead->job)) return ST_CANCELLED;
        if (e->series != id) at = dead_ids_find(dead, e->series);
        id = e->series;
        if (at) fn(ctx, at, e);
    }
}

static status seek_each(struct dead_ids *dead, size_t n, struct segment *seg, dead_entry_fn *fn,
                        void *ctx, struct err *err)
{
    struct segment_cursor cur;
    segment_cursor_init(&cur, seg, (struct segment_range){0, 0});
    for (unsigned shard = 0; shard < CELL_SHARDS; shard++) {
        if (job_cancelled(dead->job)) return ST_CANCELLED;
        for (size_t i = 0; i < n; i++) {
            const struct segment_entry *e;
            TRY(segment_seek(&cur, shard, dead->ids.ptr[i].id, err));
            for (;;) {
                TRY(segment_next(&cur, &e, err));
                if (!e) break;
                fn(ctx, &dead->ids.ptr[i], e);
            }
        }
    }
    return ST_OK;
}

status dead_ids_in(struct dead_ids *dead, struct segment *seg, uint64_t *looks, dead_entry_fn *fn,
                   void *ctx, bool *done, struct err *err)
{
    const struct segment_info *info = segment_info(seg);
    size_t n = count_up_to(dead, info->id_max);
    uint64_t walk = info->n_chunks / SEGMENT_BLOCK + 1, seeks = (uint64_t)n * CELL_SHARDS;
    uint64_t least = walk < seeks ? walk : seeks;
    *done = true;
    if (n == 0) return ST_OK;
    if (least > *looks) {
        *done = false;
        return ST_OK;
    }
    *looks -= least;
    return walk < seeks ? walk_index(dead, seg, fn, ctx, err)
                        : seek_each(dead, n, seg, fn, ctx, err);
}
