/* Verifying a segment completely: for scrub, tsink-check and DEBUG CHECK. See segment.h.
 *
 * Index and series table are both sorted by (shard, id), so the set of series is compared
 * by an order-sensitive digest of each instead of holding one of them. */
#include "base/bytes.h"
#include "base/hash.h"
#include "codec/chunk.h"
#include "storage/segment_priv.h"

struct sums {
    uint64_t n_series, n_points;
    uint64_t digest;             /* over (shard, id) in order */
    struct time_range ts;
    uint64_t off;                /* where the next chunk must begin */
};

struct check {
    struct segment *seg;
    const _Atomic bool *cancelled;
    bool quick;                  /* checksums, not what the chunks hold */
    struct arena arena;
    struct sums index;
    uint64_t n_series, digest;   /* of the series table */
    struct seg_sums sums;
    unsigned last_shard;
    uint64_t last_id;
    ts_time last_to;
    bool any;
    struct err *err;
};

static uint64_t add_digest(uint64_t digest, unsigned shard, uint64_t id)
{
    uint8_t bytes[24];

    store_u64(bytes, digest);
    store_u64(bytes + 8, shard);
    store_u64(bytes + 16, id);
    return hash_place(bytes, sizeof(bytes));
}

static bool is_cancelled(const struct check *c)
{
    return c->cancelled && atomic_load_explicit(c->cancelled, memory_order_relaxed);
}

static status bad_entry(struct check *c, const struct segment_entry *e, const char *what)
{
    return err_set(c->err, ST_CORRUPT, "%s: chunk of series %llu at %llu: %s", c->seg->dir,
                   (unsigned long long)e->series, (unsigned long long)e->off, what);
}

static status check_chunk(struct check *c, const struct segment_entry *e)
{
    struct chunk_ref chunk;

    TRY(segment_chunk(&chunk, c->seg, e, c->err));
    if (c->quick) return ST_OK;
    arena_reset(&c->arena);
    status st = chunk_check(&c->arena, &chunk, c->err);
    if (st == ST_NO_MEMORY) return st;
    if (st != ST_OK) return bad_entry(c, e, "does not decode");
    if (value_lane_of(chunk.type) != c->seg->info.lane) return bad_entry(c, e, "of another lane");
    return ST_OK;
}

static status check_entry(struct check *c, const struct segment_entry *e)
{
    int order = c->any ? seg_key_cmp(c->last_shard, c->last_id, e->shard, e->series) : -1;

    if (order > 0) return bad_entry(c, e, "out of order");
    if (order == 0 && e->ts.from <= c->last_to) return bad_entry(c, e, "overlaps the one before");
    if (e->off != c->index.off) return bad_entry(c, e, "does not follow the one before");
    if (order < 0) {
        c->index.n_series++;
        c->index.digest = add_digest(c->index.digest, e->shard, e->series);
    }
    c->any = true;
    c->last_shard = e->shard;
    c->last_id = e->series;
    c->last_to = e->ts.to;
    c->index.off += e->len;
    c->index.n_points += e->n_points;
    if (e->ts.from < c->index.ts.from) c->index.ts.from = e->ts.from;
    if (e->ts.to > c->index.ts.to) c->index.ts.to = e->ts.to;
    return check_chunk(c, e);
}

static status check_index(struct check *c)
{
    struct segment_cursor cur;
    const struct segment_entry *e;

    c->index = (struct sums){.ts = {TS_MAX, TS_MIN}, .off = SEG_HEAD_LEN};
    segment_cursor_init(&cur, c->seg, (struct segment_range){0, 0});
    for (;;) {
        TRY(segment_next(&cur, &e, c->err));
        if (!e) return ST_OK;
        if (is_cancelled(c)) return err_set(c->err, ST_CANCELLED, "verify");
        TRY(check_entry(c, e));
    }
}

/* Patterns of ticks lie back to back and fill their file. */
static status check_ticks(struct check *c)
{
    struct segment *seg = c->seg;
    uint64_t at = SEG_HEAD_LEN, off, len;

    for (uint64_t i = 0; i < seg->info.n_ticks; i++) {
        if (!seg_ticks_at(&off, &len, seg->tick_table, i) || off != at) {
            return err_set(c->err, ST_CORRUPT, "%s: ticks %llu do not follow those before",
                           seg->dir, (unsigned long long)i);
        }
        at += len;
    }
    if (at + CHUNK_PAD != seg->files.ticks) {
        return err_set(c->err, ST_CORRUPT, "%s: ticks do not fill their file", seg->dir);
    }
    TRY(segment_verify_pages(seg, &seg->ticks, 0, seg->files.ticks, c->err));
    return segment_verify_pages(seg, &seg->chunks, 0, seg->files.chunks, c->err);
}

static status see_series(void *ctx, const struct segment_series *series)
{
    struct check *c = ctx;

    if (is_cancelled(c)) return ST_CANCELLED;
    if (value_lane_of(series->type) != c->seg->info.lane) {
        return err_set(c->err, ST_CORRUPT, "series %llu is of another lane",
                       (unsigned long long)series->id);
    }
    c->n_series++;
    seg_sums_add(&c->sums, series);
    c->digest = add_digest(c->digest, segment_shard(series->place), series->id);
    return ST_OK;
}

static status check_sums(struct check *c)
{
    const struct segment_info *info = &c->seg->info;
    const struct sums *sums = &c->index;

    if (sums->n_series != info->n_series || sums->n_points != info->n_points ||
        sums->ts.from != info->ts.from || sums->ts.to != info->ts.to ||
        sums->off + CHUNK_PAD != c->seg->files.chunks) {
        return err_set(c->err, ST_CORRUPT, "%s: the manifest's sums are not those of the chunks",
                       c->seg->dir);
    }
    if (c->sums.keyed != info->keyed || c->sums.id_max != info->id_max ||
        c->sums.fingerprint != info->fingerprint) {
        return err_set(c->err, ST_CORRUPT, "%s: the manifest's sums are not those of the series",
                       c->seg->dir);
    }
    if (c->n_series != sums->n_series || c->digest != sums->digest) {
        return err_set(c->err, ST_CORRUPT, "%s: index and series table name different series",
                       c->seg->dir);
    }
    return ST_OK;
}

static status verify(struct segment *seg, bool quick, const _Atomic bool *cancelled,
                     struct err *err)
{
    struct check c = {.seg = seg, .cancelled = cancelled, .quick = quick, .err = err};

    arena_init(&c.arena, NULL, 64 << 10);
    status st = check_index(&c);
    if (st == ST_OK) st = check_ticks(&c);
    if (st == ST_OK) st = segment_each_series(seg, see_series, &c, err);
    if (st == ST_OK) st = check_sums(&c);
    arena_release(&c.arena);
    return st;
}

status segment_verify(struct segment *seg, const _Atomic bool *cancelled, struct err *err)
{
    return verify(seg, false, cancelled, err);
}

status segment_verify_quick(struct segment *seg, const _Atomic bool *cancelled, struct err *err)
{
    return verify(seg, true, cancelled, err);
}
