/* The worker's half of a flush: cut nodes -> one segment a lane.
 *
 * Series go in the order of the segment, (shard, id). Of each series the nodes that this
 * flush took are merged from old to new, newest winning, deletes applied, and encoded as
 * chunks of chunk-points samples; so a segment holds no timestamp twice. A chunk that is
 * sealed already, and that nothing newer overlaps, is copied as it is.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/chunk.h"
#include "engine/compact_priv.h"
#include "engine/flush_priv.h"
#include "engine/overlay.h"
#include "engine/series_row.h"

enum { RENEW_EVERY = 64 };   /* series, between two looks at what may be freed */

struct writing {
    struct flush *flush;
    struct segment_writer *out[N_LANES];
    struct segment_writer *lane;  /* of the series at hand */
    struct points pts, part;
    struct intervals hidden;
    struct arena arena;
    VEC(node_word) words;         /* of the series, newest first */
    VEC(uint8_t) bytes;           /* an encoded chunk */
    bool announced;               /* the series at hand is in the segment */
    enum value_type type;         /* its type */
    struct seeker seeker;
    const struct cut *cut;
    struct err *err;
};

static int by_key_and_id(const void *a, const void *b)
{
    const struct cut *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static status open_lane(struct writing *w, enum value_lane lane)
{
    struct flush *f = w->flush;
    if (!w->out[lane]) {
        struct segment_options opt = {.id = f->segment_id[lane],
                                      .lane = lane,
                                      .level = 0,
                                      .db = f->db->file.id,
                                      .order_min = f->order,
                                      .order_max = f->order,
                                      .wal_lsn = f->begin_lsn,
                                      .del_gen = f->del_gen};
        TRY(segment_begin(&w->out[lane], f->db->ports.vfs, &opt, w->err));
    }
    w->lane = w->out[lane];
    return ST_OK;
}

/* A series is announced with its first chunk: one without samples left is not there. */
static status announce(struct writing *w)
{
    uint8_t attrs_bytes[ATTRS_BYTES];
    struct segment_series series;
    TRY(series_row(&series, attrs_bytes, w->flush->db->cell.registry, w->cut->ordinal, &w->arena));
    w->announced = true;
    return segment_add_series(w->lane, &series, w->err);
}

static status put_chunk(struct writing *w, const struct chunk_ref *chunk)
{
    if (!w->announced) {
        TRY(open_lane(w, value_lane_of(w->type)));
        TRY(announce(w));
    }
    w->flush->n_samples += chunk->n;
    return segment_add_chunk(w->lane, chunk, w->err);
}

static status put_points(struct writing *w, const struct series_entry *entry)
{
    enum value_type type = (enum value_type)entry->type;
    size_t max = db_options(w->flush->db)->chunk_points;
    for (size_t at = 0, n; at < w->pts.n; at += n) {
        n = w->pts.n - at < max ? w->pts.n - at : max;
        const ts_time *ts = w->pts.ts + at;
        const union value *val = w->pts.val + at;
        vec_clear(&w->bytes);
        size_t bound = chunk_ticks_bound(n) + chunk_values_bound(type, val, n);
        if (!vec_reserve(&w->bytes, bound)) return ST_NO_MEMORY;
        size_t ticks_len = chunk_ticks_encode(w->bytes.ptr, ts, n);
        uint8_t *values = w->bytes.ptr + ticks_len;
        struct chunk_ref chunk = {
            .type = type,
            .n = (uint32_t)n,
            .ts = {ts[0], ts[n - 1]},
            .ticks = w->bytes.ptr,
            .ticks_len = ticks_len,
            .values = values,
            .values_len = chunk_values_encode(values, type, val, n, CHUNK_FAST)};
        TRY(put_chunk(w, &chunk));
    }
    w->pts.n = 0;
    return ST_OK;
}

/* Whether the sealed chunk at words[idx] can be copied: nothing waits before it, and
 * nothing newer or hidden touches its times. */
static bool may_copy(const struct writing *w, size_t idx, const struct chunk_node *chunk)
{
    struct time_range range = {chunk->min, chunk->max}, other;
    if (w->pts.n) return false;
    if (tombstones_touch(w->flush->mem_deletes, node_del_gen(&chunk->node) + 1, range))
        return false;
    for (size_t i = 0; i < idx; i++)
        if (node_bounds(w->words.ptr[i], &other) && other.from <= range.to) return false;
    return true;
}

static status add_node(struct writing *w, size_t idx, const struct series_entry *entry)
{
    node_word word = w->words.ptr[idx];
    const struct node *node = word_node(word);
    struct time_range all = {TS_MIN, TS_MAX};
    if (node_kind(node) == NODE_CHUNK) {
        const struct chunk_node *chunk = container_of(node, struct chunk_node, node);
        struct chunk_ref ref = chunk_node_ref(chunk);
        if (may_copy(w, idx, chunk)) return put_chunk(w, &ref);
    }
    w->part.n = 0;
    TRY(node_read(word, all, &w->part, &w->arena));
    intervals_clear(&w->hidden);
    if (tombstones_touch(w->flush->mem_deletes, node_del_gen(node) + 1, all))
        TRY(tombstones_intervals(&w->hidden, w->flush->mem_deletes, entry->id,
                                 node_del_gen(node) + 1));
    for (size_t i = 0; i < w->hidden.len; i++) points_cut(&w->part, 0, w->hidden.ptr[i]);
    return points_overlay(&w->pts, 0, &w->part);
}

/* Nothing of the series is left in memory: it may be gone for good. */
static status note_gone(struct writing *w, const struct series_entry *entry)
{
    struct flush *f = w->flush;
    bool has = true;
    if (entry_flags(entry) & SERIES_KEYED) return ST_OK;
    TRY(seeker_has(&w->seeker, value_lane_of((enum value_type)entry->type),
                   segment_shard(entry->place), entry->id, NULL, 0, &has, w->err));
    return has || vec_push(&f->gone, entry->id) ? ST_OK : ST_NO_MEMORY;
}

static status write_series(struct writing *w, const struct cut *cut)
{
    struct flush *f = w->flush;
    const struct series_entry *entry = registry_entry(f->db->cell.registry, cut->ordinal);
    w->cut = cut;
    w->announced = false;
    vec_clear(&w->words);
    for (node_word word = cut->root; word_node(word) && node_flush(word_node(word)) == f->mark;
         word = node_older(word_node(word)))
        if (!vec_push(&w->words, word)) return ST_NO_MEMORY;
    w->type = (enum value_type)entry->type;
    for (size_t i = w->words.len; i-- > 0;) TRY(add_node(w, i, entry));
    TRY(put_points(w, entry));
    arena_reset(&w->arena);
    return w->announced ? ST_OK : note_gone(w, entry);
}

static status finish_lane(struct writing *w, enum value_lane lane)
{
    struct flush *f = w->flush;
    struct segment_info info;
    layout_path dir;
    if (!w->out[lane]) return ST_OK;
    struct segment_writer *out = w->out[lane];
    w->out[lane] = NULL;
    TRY(segment_finish(out, &info, w->err));
    f->n_bytes += info.n_bytes;
    layout_segment(dir, lane, 0, info.id);
    status st = segment_open(&f->segment[lane], f->db->ports.vfs, dir, &f->db->file.id, w->err);
    if (st != ST_OK && segment_remove(f->db->ports.vfs, dir, NULL) != ST_OK)
        log_warn("flush", "left for the next start to sweep", "path=%s", dir);
    return st;
}

status flush_write_segments(struct flush *f, struct err *err)
{
    struct writing w = {.flush = f, .err = err};
    status st = ST_OK;
    arena_init(&w.arena, NULL, 64 << 10);
    if (f->cuts.len) qsort(f->cuts.ptr, f->cuts.len, sizeof(f->cuts.ptr[0]), by_key_and_id);
    f->n_samples = 0;
    if (st == ST_OK) st = seeker_init(&w.seeker, f->manifest);
    for (size_t i = 0; i < f->cuts.len && st == ST_OK; i++) {
        /* Nodes stay because this flush took them; the slot is for the registry's texts,
         * and none of those is held from one series to the next. */
        if (i % RENEW_EVERY == 0) reader_renew(&f->db->cell.retire, f->reader_slot);
        st = job_cancelled(&f->job) ? ST_CANCELLED : write_series(&w, &f->cuts.ptr[i]);
    }
    for (int lane = 0; lane < N_LANES && st == ST_OK; lane++)
        st = finish_lane(&w, (enum value_lane)lane);
    for (int lane = 0; lane < N_LANES; lane++) segment_abort(w.out[lane]);
    points_release(&w.pts);
    points_release(&w.part);
    intervals_release(&w.hidden);
    seeker_release(&w.seeker);
    vec_release(&w.words);
    vec_release(&w.bytes);
    arena_release(&w.arena);
    return st;
}
