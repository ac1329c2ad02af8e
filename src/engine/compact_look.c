/* How things are with the segments: what the planner wants to know and no header says.
 *
 * How much deletes would free is estimated from the chunk index: of each delete that may
 * hide something of a segment and was not applied when it was made, the chunks of its
 * series that it meets; of a series that is dead, all of them. What keyed series have
 * expired is counted in the same way, but only now and then, because it means to walk
 * through whole indices.
 */
#include "base/mem.h"
#include "engine/compact_priv.h"

enum {
    LOOK_SEEKS_MAX = 1 << 18, /* deletes x segments looked up in one look: below a second */
    LOOK_POLL = 1024,
};

/* --- many series, many segments ---------------------------------------------------- */

status seeker_init(struct seeker *s, const struct manifest *manifest)
{
    size_t n = manifest->n_segments;
    struct segment_cursor *cursors = mem_try_array(n + 1, sizeof(cursors[0]));
    if (!cursors) return ST_NO_MEMORY;
    for (size_t i = 0; i < n; i++)
        segment_cursor_init(&cursors[i], manifest->segments[i], (struct segment_range){0, 0});
    *s = (struct seeker){manifest, cursors};
    return ST_OK;
}

void seeker_release(struct seeker *s)
{
    mem_free(s->cursors);
    *s = (struct seeker){0};
}

static bool is_among(struct segment *const *list, size_t n, const struct segment *seg)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == seg) return true;
    return false;
}

status seeker_has(struct seeker *s, enum value_lane lane, unsigned shard, series_id id,
                  struct segment *const *but, size_t n_but, bool *has, struct err *err)
{
    *has = false;
    for (size_t i = s->manifest->n_segments; i-- > 0 && !*has;) {
        struct segment *seg = s->manifest->segments[i];
        if (segment_info(seg)->lane != lane || is_among(but, n_but, seg)) continue;
        TRY(segment_seek(&s->cursors[i], shard, id, err));
        *has = s->cursors[i].next < s->cursors[i].end;
    }
    return ST_OK;
}

status seeker_newest(struct seeker *s, enum value_lane lane, unsigned shard, series_id id,
                     ts_time *newest, struct err *err)
{
    *newest = TS_MIN;
    for (size_t i = 0; i < s->manifest->n_segments; i++) {
        const struct segment_info *info = segment_info(s->manifest->segments[i]);
        const struct segment_entry *last;
        struct segment_cursor *cur = &s->cursors[i];
        if (info->lane != lane || info->ts.to <= *newest) continue;
        TRY(segment_seek(cur, shard, id, err));
        if (cur->next == cur->end) continue;
        cur->next = cur->end - 1;
        TRY(segment_next(cur, &last, err));
        if (last && last->ts.to > *newest) *newest = last->ts.to;
    }
    return ST_OK;
}

/* --- series ------------------------------------------------------------------------ */

void series_facts(struct db *db, series_id id, struct series_facts *out)
{
    *out = (struct series_facts){.live = false};
    int slot = db_reader_enter(db);
    uint32_t ordinal = registry_by_id(db->cell.registry, id);
    if (ordinal != ORDINAL_NONE) {
        const struct series_entry *entry = registry_entry(db->cell.registry, ordinal);
        const struct series_attrs *attrs = entry_attrs(entry);
        out->live = true;
        out->keyed = (entry_flags(entry) & SERIES_KEYED) != 0;
        out->ordinal = ordinal;
        out->type = (enum value_type)entry->type;
        out->shard = segment_shard(entry->place);
        if (out->keyed && attrs && attrs->retention_ms > 0)
            out->keep = db_ticks(db, attrs->retention_ms);
    }
    db_reader_leave(db, slot);
}

ts_time compact_oldest(const struct compaction *c, const struct series_facts *facts,
                       ts_time newest)
{
    if (!facts->live) return TS_MAX;
    if (!facts->keyed) return c->oldest;
    return facts->keep && newest > TS_MIN ? sat_sub(newest, facts->keep) : TS_MIN;
}

/* --- the look ----------------------------------------------------------------------- */

struct look {
    struct compaction *c;
    struct err *err;
    struct seeker seeker;
    struct compact_segment *rows;
    size_t at;             /* the segment at hand */
    uint64_t n_seeks;
    struct dead_ids dead;
    uint64_t dead_looks;   /* left for them */
};

/* The points of a chunk that lie in a range, as if they were spread evenly. */
static uint64_t share_of(const struct segment_entry *e, struct time_range range)
{
    struct time_range both = {range.from > e->ts.from ? range.from : e->ts.from,
                              range.to < e->ts.to ? range.to : e->ts.to};
    if (both.from > both.to) return 0;
    if (both.from == e->ts.from && both.to == e->ts.to) return e->n_points;
    double part = ((double)both.to - (double)both.from + 1) /
                  ((double)e->ts.to - (double)e->ts.from + 1);
    return 1 + (uint64_t)((double)(e->n_points - 1) * part);
}

/* Adds what the record hides of its series, if the series has that shard. */
static status add_share(struct look *look, const struct delete_rec *rec, unsigned shard)
{
    struct segment_cursor *cur = &look->seeker.cursors[look->at];
    struct compact_segment *row = &look->rows[look->at];
    TRY(segment_seek(cur, shard, rec->ids[0], look->err));
    for (const struct segment_entry *e;;) {
        TRY(segment_next(cur, &e, look->err));
        if (!e || e->ts.from > rec->range.to) return ST_OK;
        uint64_t n = share_of(e, rec->range);
        row->n_hidden += n;
        if (n && rec->order + DELETE_AGE_FLUSHES <= look->c->flush_order) row->hidden_long = true;
    }
}

static status add_hidden(void *ctx, const struct delete_rec *rec)
{
    struct look *look = ctx;
    const struct segment_info *info = segment_info(look->c->manifest->segments[look->at]);
    struct series_facts facts;
    if (rec->gen <= info->del_gen || !range_overlaps(rec->range, info->ts)) return ST_OK;
    if (++look->n_seeks > LOOK_SEEKS_MAX) return ST_OK;
    if (look->n_seeks % LOOK_POLL == 0 && job_cancelled(&look->c->job)) return ST_CANCELLED;
    series_facts(look->c->db, rec->ids[0], &facts);
    return facts.live ? add_share(look, rec, facts.shard) : ST_OK; /* dead: add_dead() */
}

/* All samples of a dead series are hidden. */
static void add_dead(void *ctx, struct dead_id *dead, const struct segment_entry *entry)
{
    struct look *look = ctx;
    struct compact_segment *row = &look->rows[look->at];
    row->n_hidden += entry->n_points;
    if (dead->order + DELETE_AGE_FLUSHES <= look->c->flush_order) row->hidden_long = true;
}

/* Walks the index of a segment with keyed series. */
static status count_expired(struct look *look, struct compact_segment *row)
{
    const struct segment_info *info = segment_info(look->c->manifest->segments[look->at]);
    struct segment_cursor cur;
    struct series_facts facts = {.live = false};
    ts_time oldest = TS_MIN, newest = TS_MIN;
    series_id id = 0;
    segment_cursor_init(&cur, look->c->manifest->segments[look->at], (struct segment_range){0, 0});
    for (uint64_t i = 0;; i++) {
        const struct segment_entry *e;
        TRY(segment_next(&cur, &e, look->err));
        if (!e) break;
        if (i % LOOK_POLL == 0 && job_cancelled(&look->c->job)) return ST_CANCELLED;
        if (e->series != id) {
            id = e->series;
            series_facts(look->c->db, id, &facts);
            if (facts.keep)
                TRY(seeker_newest(&look->seeker, info->lane, e->shard, id, &newest, look->err));
            oldest = compact_oldest(look->c, &facts, newest);
        }
        if (oldest > TS_MIN)
            row->n_expired += share_of(e, (struct time_range){TS_MIN, oldest - 1});
    }
    return ST_OK;
}

static bool is_barred(const struct compaction *c, uint64_t id)
{
    for (size_t i = 0; i < CELL_BARRED_MAX; i++)
        if (c->barred[i] == id) return true;
    return false;
}

static status look_at(struct look *look, size_t idx)
{
    const struct compaction *c = look->c;
    const struct segment *seg = c->manifest->segments[idx];
    const struct segment_info *info = segment_info(seg);
    struct compact_segment *row = &look->rows[idx];
    bool keyed = info->keyed, done;
    look->at = idx;
    *row = (struct compact_segment){.level = info->level,
                                    .lane = info->lane,
                                    .ts = info->ts,
                                    .order_min = info->order_min,
                                    .order_max = info->order_max,
                                    .n_points = info->n_points,
                                    .n_bytes = info->n_bytes,
                                    .barred = is_barred(c, info->id),
                                    .expired = retention_expired(info, c->oldest)};
    if (tombstones_touch(c->manifest->deletes, info->order_max, info->ts))
        TRY(tombstones_walk(c->manifest->deletes, info->order_max, add_hidden, look));
    TRY(dead_ids_in(&look->dead, c->manifest->segments[idx], &look->dead_looks, add_dead, look,
                    &done, look->err));
    if (keyed && c->look_at_keys) TRY(count_expired(look, row));
    else if (!keyed && info->ts.from < c->oldest) {
        struct segment_entry all = {.n_points = UINT32_MAX, .ts = info->ts};
        double part = (double)share_of(&all, (struct time_range){TS_MIN, c->oldest - 1});
        row->n_expired = (uint64_t)((double)info->n_points * (part / UINT32_MAX));
    }
    return ST_OK;
}

status compact_look(struct compaction *c, struct err *err)
{
    struct look look = {.c = c, .err = err};
    struct vfs_space space;
    size_t n = c->manifest->n_segments;
    TRY(vfs_space(c->db->ports.vfs, &space, err));
    c->policy.free_bytes =
        space.free_bytes > COMPACT_RESERVE_BYTES ? space.free_bytes - COMPACT_RESERVE_BYTES : 0;
    look.rows = mem_try_array(n + 1, sizeof(look.rows[0]));
    status st = look.rows ? seeker_init(&look.seeker, c->manifest) : ST_NO_MEMORY;
    look.dead_looks = c->policy.all_hidden ? UINT64_MAX : LOOK_SEEKS_MAX;
    if (st == ST_OK) st = dead_ids_collect(&look.dead, c->db, &c->job, c->manifest->deletes);
    for (size_t i = 0; i < n && st == ST_OK; i++) st = look_at(&look, i);
    if (st == ST_OK) {
        compact_plan(&c->plan, look.rows, n, &c->policy);
        for (size_t i = 0; i < c->plan.n_sources; i++)
            c->source[i] = c->manifest->segments[c->plan.source[i]];
    }
    dead_ids_release(&look.dead);
    seeker_release(&look.seeker);
    mem_free(look.rows);
    return st;
}
