/* Merging one series. See compact_run.c.
 *
 * Its chunks from all sources go in the order of time, in groups that overlap. A group of
 * one chunk that nothing has touched, that is full and that could not be made smaller is
 * copied; any other group is decoded, merged (newest wins, deletes and retention applied)
 * and filled into chunks of chunk-points, which never cross a cut of the output. A group
 * is merged as a stream: one decoded chunk a source and one of the output are in memory,
 * however long the series is.
 */
#include <stdlib.h>

#include "base/bits.h"
#include "base/mem.h"
#include "codec/chunk.h"
#include "engine/compact_priv.h"
#include "engine/overlay.h"
#include "storage/merge.h"

enum { ARENA_KEEP = 16 << 20 }; /* bytes and histograms held back for a full chunk */

/* --- out ---------------------------------------------------------------------------- */

static size_t part_of(const struct merging *m, ts_time t)
{
    size_t i = 0;
    while (i < m->c->plan.n_cuts && t >= m->c->plan.cut[i]) i++;
    return i;
}

static status put_chunk(struct merging *m, size_t part, const struct chunk_ref *chunk)
{
    struct segment_writer *w;
    TRY(compact_part(m, part, &w));
    TRY(segment_add_chunk(w, chunk, m->err));
    m->c->n_points_out += chunk->n;
    m->written = true;
    return ST_OK;
}

/* Encodes what is pending as a chunk. */
static status flush_pending(struct merging *m)
{
    struct points *p = &m->pend;
    if (p->n == 0) return ST_OK;
    vec_clear(&m->bytes);
    size_t bound = chunk_ticks_bound(p->n) + chunk_values_bound(m->facts.type, p->val, p->n);
    if (!vec_reserve(&m->bytes, bound + CHUNK_PAD)) return ST_NO_MEMORY;
    size_t ticks_len = chunk_ticks_encode(m->bytes.ptr, p->ts, p->n);
    uint8_t *values = m->bytes.ptr + ticks_len;
    struct chunk_ref chunk = {
        .type = m->facts.type,
        .n = (uint32_t)p->n,
        .ts = {p->ts[0], p->ts[p->n - 1]},
        .ticks = m->bytes.ptr,
        .ticks_len = ticks_len,
        .values = values,
        .values_len = chunk_values_encode(values, m->facts.type, p->val, p->n, m->effort)};
    p->n = 0;
    m->c->n_encoded++;
    return put_chunk(m, m->pend_part, &chunk);
}

/* Distributes m->got. */
static status put_points(struct merging *m)
{
    const struct points *got = &m->got;
    for (size_t at = 0; at < got->n;) {
        size_t part = part_of(m, got->ts[at]), end = at;
        if (part != m->pend_part) TRY(flush_pending(m));
        m->pend_part = part;
        size_t room = m->chunk_points - m->pend.n;
        while (end < got->n && end - at < room &&
               (part == m->c->plan.n_cuts || got->ts[end] < m->c->plan.cut[part]))
            end++;
        if (!points_reserve(&m->pend, end - at)) return ST_NO_MEMORY;
        for (; at < end; at++) {
            m->pend.ts[m->pend.n] = got->ts[at];
            m->pend.val[m->pend.n++] = got->val[at];
        }
        if (m->pend.n == m->chunk_points) TRY(flush_pending(m));
    }
    m->got.n = 0;
    return ST_OK;
}

/* --- in ----------------------------------------------------------------------------- */

static status load(struct merging *m, const struct piece *piece, struct chunk_ref *chunk)
{
    struct segment *seg = m->c->source[piece->src];
    status st = segment_chunk(chunk, seg, &piece->entry, m->err);
    if (st == ST_CORRUPT) m->c->damaged = seg;
    if (st != ST_OK) return st;
    if (chunk->type != m->facts.type) {
        m->c->damaged = seg;
        return err_set(m->err, ST_CORRUPT, "%s: series %llu has values of another type",
                       segment_dir(seg), (unsigned long long)m->id);
    }
    m->c->n_points_in += chunk->n;
    return compact_breathe(m, chunk->ticks_len + chunk->values_len);
}

/* Into out, which is empty. */
static status decode(struct merging *m, const struct piece *piece, struct points *out)
{
    struct chunk_ref chunk;
    TRY(load(m, piece, &chunk));
    status st = chunk_decode_range(out, &m->arena, &chunk, (struct time_range){TS_MIN, TS_MAX});
    if (st == ST_OK) m->c->n_expired += points_seek(out, m->oldest);
    if (st != ST_CORRUPT) return st;
    m->c->damaged = m->c->source[piece->src];
    return err_set(m->err, st, "%s: a chunk of series %llu does not decode",
                   segment_dir(m->c->damaged), (unsigned long long)m->id);
}

/* --- a group of one ------------------------------------------------------------------ */

static bool is_untouched(const struct merging *m, const struct piece *piece)
{
    return piece->entry.ts.from >= m->oldest &&
           !intervals_overlaps(&m->hidden[piece->src], piece->entry.ts);
}

/* Whether copying is as good as encoding anew. */
static bool may_copy(const struct merging *m, const struct piece *piece)
{
    const struct segment_entry *e = &piece->entry;
    unsigned level = segment_info(m->c->source[piece->src])->level;
    if (!is_untouched(m, piece) || level < m->c->plan.level) return false;
    if (part_of(m, e->ts.from) != part_of(m, e->ts.to)) return false;
    if (e->n_points <= m->chunk_points / 2) return false; /* it may be joined with others */
    return m->pend.n == 0 || m->pend_part != part_of(m, e->ts.from) ||
           (m->pend.n + e->n_points > m->chunk_points && m->pend.n >= m->chunk_points / 4);
}

static status put_single(struct merging *m, const struct piece *piece)
{
    struct chunk_ref chunk;
    if (may_copy(m, piece)) {
        TRY(flush_pending(m));
        TRY(load(m, piece, &chunk));
        m->c->n_copied++;
        return put_chunk(m, part_of(m, piece->entry.ts.from), &chunk);
    }
    TRY(decode(m, piece, &m->got));
    const struct intervals *hidden = &m->hidden[piece->src];
    for (size_t i = 0; i < hidden->len; i++) points_cut(&m->got, 0, hidden->ptr[i]);
    if (m->oldest > TS_MIN)
        points_cut(&m->got, 0, (struct time_range){TS_MIN, m->oldest - 1});
    return put_points(m);
}

/* --- a group that overlaps ------------------------------------------------------------ */

/* The chunks of one source, one after the other. */
struct feed {
    struct merge_source source;
    struct merging *m;
    size_t src;
    size_t next, end;      /* of m->pieces */
    struct points pts;
};

static status fill(struct merge_source *source, struct merge_run *run)
{
    struct feed *feed = container_of(source, struct feed, source);
    feed->pts.n = 0;
    for (; feed->next < feed->end; feed->next++) {
        if (feed->m->pieces.ptr[feed->next].src != feed->src) continue;
        TRY(decode(feed->m, &feed->m->pieces.ptr[feed->next++], &feed->pts));
        break;
    }
    run->ts = feed->pts.ts;
    run->val = feed->pts.val;
    run->n = feed->pts.n;
    return ST_OK;
}

static status drain(struct merging *m, struct merge *merge)
{
    bool more = true;
    while (more) {
        TRY(merge_next(merge, &m->got, m->chunk_points, &more));
        TRY(put_points(m));
    }
    return ST_OK;
}

static status merge_group(struct merging *m, size_t from, size_t end)
{
    size_t n = m->c->plan.n_sources;
    struct feed feeds[COMPACT_SOURCES_MAX];
    struct merge_source *sources[COMPACT_SOURCES_MAX] = {NULL};
    const struct intervals *hidden[COMPACT_SOURCES_MAX] = {NULL};
    uint64_t ranks[COMPACT_SOURCES_MAX] = {0};
    struct merge *merge = NULL;
    for (size_t i = 0; i < n; i++) {
        feeds[i] = (struct feed){
            .source = {.fill = fill}, .m = m, .src = i, .next = from, .end = end};
        sources[i] = &feeds[i].source;
        hidden[i] = &m->hidden[i];
        ranks[i] = i; /* the plan's sources ascend by flush order */
    }
    status st = merge_new(&merge, sources, ranks, hidden, n,
                          (struct time_range){m->oldest, TS_MAX});
    if (st == ST_OK) st = drain(m, merge);
    merge_free(merge);
    for (size_t i = 0; i < n; i++) points_release(&feeds[i].pts);
    return st;
}

/* --- all of it ------------------------------------------------------------------------ */

static int by_start(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->entry.ts.from != y->entry.ts.from)
        return x->entry.ts.from < y->entry.ts.from ? -1 : 1;
    return x->src < y->src ? -1 : x->src > y->src;
}

status compact_series(struct merging *m)
{
    size_t n = m->pieces.len, end;
    m->pend.n = m->got.n = 0;
    m->pend_part = 0;
    arena_reset(&m->arena);
    if (n > 1) qsort(m->pieces.ptr, n, sizeof(m->pieces.ptr[0]), by_start);
    for (size_t at = 0; at < n; at = end) {
        ts_time to = m->pieces.ptr[at].entry.ts.to;
        for (end = at + 1; end < n && m->pieces.ptr[end].entry.ts.from <= to; end++)
            if (m->pieces.ptr[end].entry.ts.to > to) to = m->pieces.ptr[end].entry.ts.to;
        if (to < m->oldest) { /* all of it has expired: not even looked at */
            for (; at < end; at++) m->c->n_expired += m->pieces.ptr[at].entry.n_points;
            TRY(compact_breathe(m, 0));
            continue;
        }
        TRY(end == at + 1 ? put_single(m, &m->pieces.ptr[at]) : merge_group(m, at, end));
        if (m->arena.n_bytes > ARENA_KEEP) TRY(flush_pending(m));
        if (m->pend.n == 0) arena_reset(&m->arena);
    }
    return flush_pending(m);
}
