/* The worker's half of a compaction: the sources of a plan -> segments.
 *
 * The sources' indices are walked together in (shard, series id) order, a series at a
 * time (compact_series.c). A plan may cut its output in time: then several segments are
 * written side by side, each begun when it gets its first chunk. Their manifests name all
 * sources and each other, so that without a catalog it is known whether all of them are
 * there (catalog.h).
 *
 * A series that the registry does not know was removed with all it had: its samples are
 * left out. The owner is asked before that is believed, because a worker may look between
 * the two halves of one of its steps.
 *
 * A failure leaves nothing: segments that were finished are removed again, and what
 * cannot be removed is named by no catalog and swept at the next start.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sync_point.h"
#include "codec/chunk.h"
#include "engine/compact_priv.h"
#include "engine/series_row.h"

/* --- pace --------------------------------------------------------------------------- */

status compact_breathe(struct merging *m, uint64_t bytes)
{
    struct clock *clock = m->c->db->ports.clock;
    if (job_cancelled(&m->c->job)) return ST_CANCELLED;
    int64_t ns = rate_take(&m->rate, bytes, clock_mono(clock));
    if (ns > 0 && db_threaded(m->c->db)) rate_nap(ns, &m->c->job.cancelled);
    return ST_OK;
}

/* --- output ------------------------------------------------------------------------- */

static status begin_part(struct merging *m, struct part *part)
{
    struct compaction *c = m->c;
    uint64_t ids[COMPACT_DROP_MAX], order_min = UINT64_MAX, order_max = 0, wal_lsn = 0;
    for (size_t i = 0; i < c->plan.n_sources; i++) {
        const struct segment_info *info = segment_info(c->source[i]);
        ids[i] = info->id;
        if (info->order_min < order_min) order_min = info->order_min;
        if (info->order_max > order_max) order_max = info->order_max;
        if (info->wal_lsn > wal_lsn) wal_lsn = info->wal_lsn;
    }
    struct segment_options opt = {.id = c->first_id + c->n_begun++,
                                  .lane = c->plan.lane,
                                  .level = c->plan.level,
                                  .db = c->db->file.id,
                                  .order_min = order_min,
                                  .order_max = order_max,
                                  .wal_lsn = wal_lsn,
                                  .del_gen = c->del_gen,
                                  .sources = ids,
                                  .n_sources = c->plan.n_sources};
    TRY(segment_begin(&part->writer, c->db->ports.vfs, &opt, m->err));
    return ST_OK;
}

/* The row of the series in a segment's table, from the registry. */
static status announce(struct merging *m, struct part *part)
{
    uint8_t attrs_bytes[ATTRS_BYTES];
    struct segment_series series;
    arena_reset(&m->names);
    TRY(series_row(&series, attrs_bytes, m->c->db->cell.registry, m->facts.ordinal, &m->names));
    series.id = m->id;
    series.type = m->facts.type;
    part->announced = true;
    return segment_add_series(part->writer, &series, m->err);
}

status compact_part(struct merging *m, size_t number, struct segment_writer **out)
{
    struct part *part = &m->part[number];
    if (!part->writer) TRY(begin_part(m, part));
    if (!part->announced) {
        int slot = db_reader_enter(m->c->db);
        status st = announce(m, part);
        db_reader_leave(m->c->db, slot);
        TRY(st);
    }
    *out = part->writer;
    return ST_OK;
}

static status finish_part(struct merging *m, struct part *part)
{
    struct compaction *c = m->c;
    struct segment_info info;
    layout_path dir;
    segment_writer_set(part->writer, c->first_id, c->n_begun);
    struct segment_writer *w = part->writer;
    part->writer = NULL;
    TRY(segment_finish(w, &info, m->err));
    layout_segment(dir, info.lane, info.level, info.id);
    status st = segment_open(&c->out[c->n_out], c->db->ports.vfs, dir, &c->db->file.id, m->err);
    if (st != ST_OK) {
        if (segment_remove(c->db->ports.vfs, dir, NULL) != ST_OK)
            log_warn("compact", "left for the next start to sweep", "path=%s", dir);
        return st;
    }
    c->n_out++;
    c->n_bytes_out += info.n_bytes;
    return ST_OK;
}

static status finish_parts(struct merging *m)
{
    for (size_t i = 0; i < COMPACT_PARTS_MAX; i++)
        if (m->part[i].writer) TRY(finish_part(m, &m->part[i]));
    SYNC_POINT("compact:written");
    return ST_OK;
}

/* --- series -------------------------------------------------------------------------- */

struct death_check {
    struct task task;
    struct db *db;
    series_id id;
    bool dead;
};

static void check_death(struct task *task)
{
    struct death_check *check = container_of(task, struct death_check, task);
    check->dead = registry_by_id(check->db->cell.registry, check->id) == ORDINAL_NONE;
}

static void learn_facts(struct merging *m)
{
    struct db *db = m->c->db;
    series_facts(db, m->id, &m->facts);
    if (m->facts.live) return;
    struct death_check check = {.task = {.fn = check_death}, .db = db, .id = m->id};
    list_init(&check.task.link);
    exec_call_owner(db_exec(db), &check.task);
    if (!check.dead) series_facts(db, m->id, &m->facts);
}

static status learn_hidden(struct merging *m)
{
    for (size_t i = 0; i < m->c->plan.n_sources; i++) {
        intervals_clear(&m->hidden[i]);
        if (!m->touched[i]) continue;
        TRY(tombstones_intervals(&m->hidden[i], m->c->manifest->deletes, m->id,
                                 segment_info(m->c->source[i])->order_max));
        if (m->hidden[i].len) m->c->applied_deletes = true;
    }
    return ST_OK;
}

/* Whether any segment but the sources has the series; if not it may be gone for good. */
static status note_gone(struct merging *m)
{
    bool has = false;
    if (!m->facts.live || m->facts.keyed) return ST_OK;
    TRY(seeker_has(&m->seeker, m->c->plan.lane, m->shard, m->id, m->c->source,
                   m->c->plan.n_sources, &has, m->err));
    return has || vec_push(&m->c->gone, m->id) ? ST_OK : ST_NO_MEMORY;
}

static status merge_series(struct merging *m)
{
    enum value_lane lane = m->c->plan.lane;
    ts_time newest = TS_MIN;
    m->written = false;
    for (size_t i = 0; i < COMPACT_PARTS_MAX; i++) m->part[i].announced = false;
    learn_facts(m);
    if (m->facts.live && value_lane_of(m->facts.type) == lane) {
        if (m->facts.keep)
            TRY(seeker_newest(&m->seeker, lane, m->shard, m->id, &newest, m->err));
        m->oldest = compact_oldest(m->c, &m->facts, newest);
        TRY(learn_hidden(m));
        TRY(compact_series(m));
    } else {
        m->c->applied_deletes = true;
    }
    return m->written ? ST_OK : note_gone(m);
}

/* --- walking ------------------------------------------------------------------------- */

static bool comes_before(const struct segment_entry *a, const struct segment_entry *b)
{
    return a->shard != b->shard ? a->shard < b->shard : a->series < b->series;
}

/* The next series of any source, with all its chunks in m->pieces (of none: the end). */
static status next_series(struct merging *m, bool with_pieces, bool *more)
{
    const struct segment_entry *first = NULL;
    size_t n = m->c->plan.n_sources;
    vec_clear(&m->pieces);
    for (size_t i = 0; i < n; i++)
        if (m->at[i] && (!first || comes_before(m->at[i], first))) first = m->at[i];
    *more = first != NULL;
    if (!first) return ST_OK;
    m->id = first->series;
    m->shard = first->shard;
    for (size_t i = 0; i < n; i++) {
        while (m->at[i] && m->at[i]->series == m->id && m->at[i]->shard == m->shard) {
            struct piece piece = {*m->at[i], i};
            if (with_pieces && !vec_push(&m->pieces, piece)) return ST_NO_MEMORY;
            status st = segment_next(&m->cursors[i], &m->at[i], m->err);
            if (st == ST_CORRUPT) m->c->damaged = m->c->source[i];
            TRY(st);
        }
    }
    return ST_OK;
}

static status open_sources(struct merging *m)
{
    struct compaction *c = m->c;
    m->cursors = mem_try_array(c->plan.n_sources, sizeof(m->cursors[0]));
    if (!m->cursors) return ST_NO_MEMORY;
    for (size_t i = 0; i < c->plan.n_sources; i++) {
        const struct segment_info *info = segment_info(c->source[i]);
        m->touched[i] = tombstones_touch(c->manifest->deletes, info->order_max, info->ts);
        segment_cursor_init(&m->cursors[i], c->source[i], (struct segment_range){0, 0});
        status st = segment_next(&m->cursors[i], &m->at[i], m->err);
        if (st == ST_CORRUPT) c->damaged = c->source[i];
        TRY(st);
    }
    return seeker_init(&m->seeker, c->manifest);
}

static status walk(struct merging *m, bool merge)
{
    bool more = true;
    TRY(open_sources(m));
    for (;;) {
        TRY(next_series(m, merge, &more));
        if (!more) return merge ? finish_parts(m) : ST_OK;
        TRY(compact_breathe(m, 0));
        if (merge) TRY(merge_series(m));
        else {
            series_facts(m->c->db, m->id, &m->facts);
            TRY(note_gone(m));
        }
    }
}

static void release_merging(struct merging *m)
{
    for (size_t i = 0; i < COMPACT_PARTS_MAX; i++) segment_abort(m->part[i].writer);
    for (size_t i = 0; i < COMPACT_SOURCES_MAX; i++) intervals_release(&m->hidden[i]);
    seeker_release(&m->seeker);
    mem_free(m->cursors);
    points_release(&m->got);
    points_release(&m->pend);
    vec_release(&m->pieces);
    vec_release(&m->bytes);
    arena_release(&m->arena);
    arena_release(&m->names);
}

static enum chunk_effort effort_of(unsigned level)
{
    return level == 0 ? CHUNK_FAST : level == 1 ? CHUNK_SMALL : CHUNK_SMALLEST;
}

static status go(struct compaction *c, bool merge, struct err *err)
{
    struct merging *m = mem_try_zero(sizeof(*m));
    if (!m) return err_set(err, ST_NO_MEMORY, "compaction");
    m->c = c;
    m->err = err;
    m->effort = effort_of(c->plan.level);
    m->chunk_points = db_options(c->db)->chunk_points;
    rate_init(&m->rate, db_options(c->db)->compaction_rate, clock_mono(c->db->ports.clock));
    arena_init(&m->arena, NULL, 64 << 10);
    arena_init(&m->names, NULL, 4 << 10);
    status st = walk(m, merge);
    release_merging(m);
    mem_free(m);
    return st;
}

status compact_run(struct compaction *c, struct err *err)
{
    status st = go(c, true, err);
    if (st != ST_OK) compact_remove_output(c);
    return st;
}

status compact_list_gone(struct compaction *c, struct err *err)
{
    return go(c, false, err);
}

void compact_remove_output(struct compaction *c)
{
    for (size_t i = 0; i < c->n_out; i++) {
        struct err why = {.st = ST_OK};
        if (segment_remove(c->db->ports.vfs, segment_dir(c->out[i]), &why) != ST_OK)
            log_warn("compact", "left for the next start to sweep", "path=%s reason=\"%s\"",
                     segment_dir(c->out[i]), why.text);
        segment_unref(c->out[i]);
        c->out[i] = NULL;
    }
    c->n_out = 0;
}
