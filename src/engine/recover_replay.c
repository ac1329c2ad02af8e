/* Replay of the WAL.
 *
 * Definitions first (recover_define.c). Then the frames in windows of some megabytes, three of
 * them at work at a time:
 *
 *     window k + 1   decoded         another thread: columns to rows, ids to ordinals
 *     window k       applied         the owner, in the order of the log
 *     window k - 1   encoded         another thread: tails that it filled
 *
 * The order of applying is the order of the log whatever the number of threads, so the
 * result is the same with one. Attributes and deletes are applied between two windows.
 * A head is touched by the owner alone; what an encoder works on lies below the newest
 * node, as always.
 *
 * Samples of a series that the registry's files know to be dead are passed over. A series
 * that only the WAL defines and that has no sample in the end (they were deleted, or the
 * power took them) was never seen by anyone and goes again, unless it has a key.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/delete.h"
#include "engine/flush_priv.h"
#include "engine/recover_priv.h"
#include "engine/wal_payload.h"

enum {
    WINDOW_BYTES = 2 << 20,     /* of payload: some 100,000 samples, 3 MiB as rows */
    WINDOW_FRAMES = 4096,
    ENCODE_SERIES = 1 << 20,    /* at most so many in one go: all there are */
    PREFETCH_ROWS = 12,
};

/* A sample, its series found. */
struct replay_row {
    uint32_t ordinal;
    uint32_t frame;             /* of the window */
    ts_time ts;
    uint64_t bits;              /* bytes and histograms: bytes of the log follow */
    struct slice bytes;
};

struct window {
    VEC(struct wal_frame) frames;
    VEC(struct replay_row) rows;
    size_t n_bytes;
    uint64_t n_missing, n_dead;
    status st;                  /* of decoding, with the frame at which it ended */
    size_t bad;
};

struct replay {
    struct recovery *rec;
    struct wal_replay *log;
    struct window windows[2];
    struct window *filling, *ready; /* ready: decoded, to be applied; may be NULL */
    uint64_t n_dead;
};

/* --- decoding: any thread -------------------------------------------------------- */

struct decoding {
    const struct recovery *rec;
    struct window *window;
    uint32_t frame;
    series_id id;               /* of the row before */
    uint32_t ordinal;
};

static status decode_row(void *ctx, const struct wal_row *row)
{
    struct decoding *d = ctx;
    const struct cell *cell = d->rec->cell;
    if (row->id != d->id || d->id == 0) {
        d->id = row->id;
        d->ordinal = registry_by_id(cell->registry, row->id);
    }
    if (d->ordinal == ORDINAL_NONE) {
        if (row->id < d->rec->next_id || recover_is_removed(d->rec, row->id)) d->window->n_dead++;
        else d->window->n_missing++;
        return ST_OK;
    }
    if (cell_head(cell, d->ordinal)->type != row->type) return ST_CORRUPT;
    struct replay_row to = {.ordinal = d->ordinal, .frame = d->frame, .ts = row->ts};
    if (type_is_blob(row->type)) to.bytes = row->bytes;
    else to.bits = row->bits;
    return vec_push(&d->window->rows, to) ? ST_OK : ST_NO_MEMORY;
}

static void decode_window(const struct recovery *rec, struct window *window)
{
    struct decoding d = {.rec = rec, .window = window};
    for (size_t i = 0; i < window->frames.len && window->st == ST_OK; i++) {
        d.frame = (uint32_t)i;
        window->bad = i;
        window->st = wal_samples_each(window->frames.ptr[i].payload, decode_row, &d);
    }
}

/* --- applying: the owner --------------------------------------------------------- */

static status apply_row(struct cell *cell, const struct replay_row *row)
{
    struct head *head = cell_head(cell, row->ordinal);
    union value val = {.bits = row->bits};
    TRY(head_reserve(cell, 1));
    if (type_is_blob(head->type)) {
        struct blob *blob = blob_new(&cell->space, row->bytes.ptr, row->bytes.len);
        if (!blob) return ST_NO_MEMORY;
        val.bits = (uint64_t)(uintptr_t)blob;
    }
    if (!(head->flags & HEAD_HAS_LAST) || row->ts > head->last_ts)
        head_append(cell, row->ordinal, row->ts, val);
    else
        head_append_late(cell, row->ordinal, row->ts, val);
    return ST_OK;
}

static status apply_window(struct recovery *rec, struct window *window)
{
    struct cell *cell = rec->cell;
    size_t n = window->rows.len;
    for (size_t i = 0; i < n; i++) {
        const struct replay_row *row = &window->rows.ptr[i];
        if (i + 2 * PREFETCH_ROWS < n)
            __builtin_prefetch(cell_head(cell, row[2 * PREFETCH_ROWS].ordinal));
        if (i + PREFETCH_ROWS < n) head_prefetch(cell_head(cell, row[PREFETCH_ROWS].ordinal));
        status st = apply_row(cell, row);
        if (st != ST_OK) return recover_bad_frame(rec, &window->frames.ptr[row->frame], st);
    }
    if (window->st != ST_OK)
        return recover_bad_frame(rec, &window->frames.ptr[window->bad], window->st);
    cell->stats.replay_samples += n;
    rec->n_missing_series += window->n_missing;
    return ST_OK;
}

/* --- three at a time ------------------------------------------------------------- */

struct part {
    struct recovery *rec;
    struct window *decode, *apply; /* one of the three, or none */
    struct encode_job *encode;
    status st;
};

static void run_part(void *ctx)
{
    struct part *part = ctx;
    if (part->decode) decode_window(part->rec, part->decode);
    if (part->encode) encode_work(part->encode);
    part->st = ST_OK;
    if (part->apply) part->st = apply_window(part->rec, part->apply);
}

static void clear_window(struct window *window)
{
    vec_clear(&window->frames);
    vec_clear(&window->rows);
    window->n_bytes = window->n_missing = window->n_dead = 0;
    window->st = ST_OK;
}

/* Decodes what was gathered, applies what was decoded before, encodes what that filled. */
static status turn(struct replay *r)
{
    struct recovery *rec = r->rec;
    struct cell *cell = rec->cell;
    struct part parts[3];
    unsigned n = 0;
    struct encode_job *job = encode_take(cell, ENCODE_SERIES);
    if (r->filling->frames.len) parts[n++] = (struct part){.rec = rec, .decode = r->filling};
    if (job) parts[n++] = (struct part){.rec = rec, .encode = job};
    parts[n++] = (struct part){.rec = rec, .apply = r->ready};
    if (rec->n_threads > 1) {
        threads_together("replay", run_part, parts, sizeof(parts[0]), n);
    } else {
        for (unsigned i = 0; i < n; i++) run_part(&parts[i]);
    }
    if (job) encode_put(job);
    cell_collect_all(cell); /* nobody reads yet: what was replaced goes at once */
    TRY(parts[n - 1].st);
    struct window *done = r->ready ? r->ready : &r->windows[r->filling == &r->windows[0]];
    r->n_dead += r->ready ? r->ready->n_dead : 0;
    clear_window(done);
    r->ready = r->filling->frames.len ? r->filling : NULL;
    uint64_t at = r->ready ? r->ready->frames.ptr[r->ready->frames.len - 1].seq : 0;
    r->filling = done;
    return at ? recover_report(rec, "replay", at, wal_replay_last(r->log)) : ST_OK;
}

/* Applies everything that was met so far. */
static status settle(struct replay *r)
{
    while (r->filling->frames.len || r->ready) TRY(turn(r));
    return ST_OK;
}

/* --- frames ---------------------------------------------------------------------- */

static status replay_attrs(struct recovery *rec, struct slice payload)
{
    series_id id;
    struct series_attrs attrs;
    TRY(wal_attrs_get(&id, &attrs, payload));
    uint32_t ordinal = registry_by_id(rec->cell->registry, id);
    if (ordinal == ORDINAL_NONE) return ST_OK;
    TRY(registry_set_attrs(rec->cell->registry, ordinal, &attrs));
    cell_attrs_changed(rec->cell, ordinal);
    return ST_OK;
}

static status replay_delete(struct recovery *rec, struct slice payload)
{
    uint64_t *ids, order;
    size_t n;
    struct time_range range;
    TRY(wal_delete_get(&ids, &n, &range, &order, payload));
    status st = delete_apply(rec->cell, ids, n, range, order, rec->err);
    mem_free(ids);
    if (order > rec->cell->flush_order) rec->cell->flush_order = order;
    return st;
}

static status gather(struct replay *r, const struct wal_frame *frame)
{
    struct window *window = r->filling;
    if (!vec_push(&window->frames, *frame)) return ST_NO_MEMORY;
    window->n_bytes += frame->payload.len;
    if (window->n_bytes < WINDOW_BYTES && window->frames.len < WINDOW_FRAMES) return ST_OK;
    return turn(r);
}

static status replay_frame(void *ctx, const struct wal_frame *frame)
{
    struct replay *r = ctx;
    struct recovery *rec = r->rec;
    bool covered = frame->seq <= rec->db->catalog.covered_lsn;
    status st = ST_OK;
    if (!covered) rec->cell->stats.replay_frames++;
    switch (frame->type) {
    case WAL_SAMPLES: return covered ? ST_OK : gather(r, frame);
    case WAL_ATTRS: st = replay_attrs(rec, frame->payload); break;
    case WAL_DELETE:
        if (covered) return ST_OK;
        TRY(settle(r));
        st = replay_delete(rec, frame->payload);
        break;
    case WAL_SERIES:
    case WAL_REMOVE:
    case WAL_META:
    case WAL_POLICY:
    case WAL_MARK: break;
    }
    return st == ST_OK ? ST_OK : recover_bad_frame(rec, frame, st);
}

/* --- all of it ------------------------------------------------------------------- */

/* Series of the WAL alone, and without a sample. */
static void drop_ghosts(struct recovery *rec)
{
    struct cell *cell = rec->cell;
    uint32_t n = registry_n_ordinals(cell->registry);
    for (uint32_t i = rec->n_known; i < n; i++) {
        struct head *head = cell_head(cell, i);
        if (!(head->flags & HEAD_BORN)) continue; /* recover_adopt() removed it */
        if (head_root(head) || (head->flags & (HEAD_KEYED | HEAD_UNKNOWN))) continue;
        bool gone = cell_remove_series(cell, i);
        ASSERT(gone); /* no flush has it, and nothing of it is being encoded */
    }
}

static status check_missing(const struct recovery *rec)
{
    if (rec->n_missing_series == 0) return ST_OK;
    if (rec->db->options.wal_replay != DB_REPLAY_SALVAGE)
        return err_set(rec->err, ST_CORRUPT,
                       "%llu samples in the WAL belong to series that nothing defines",
                       (unsigned long long)rec->n_missing_series);
    log_error("recover", "samples of series that nothing defines were dropped", "n=%llu",
              (unsigned long long)rec->n_missing_series);
    return ST_OK;
}

static void release(struct replay *r)
{
    for (int i = 0; i < 2; i++) {
        vec_release(&r->windows[i].frames);
        vec_release(&r->windows[i].rows);
    }
}

status recover_replay(struct recovery *rec, struct wal_replay *replayed)
{
    struct cell *cell = rec->cell;
    struct replay r = {.rec = rec, .log = replayed};
    mono_ns start = clock_mono(rec->db->ports.clock);
    r.filling = &r.windows[0];
    TRY(recover_removed(rec, replayed));
    TRY(recover_define(rec, replayed));
    status st = wal_replay_each(replayed, replay_frame, &r);
    if (st == ST_OK) st = settle(&r);
    if (st == ST_OK) st = turn(&r); /* encodes what the last window filled */
    release(&r);
    TRY(st);
    drop_ghosts(rec);

    struct wal_replay_stats stats;
    wal_replay_stats(replayed, &stats);
    cell->stats.replay_torn_bytes = stats.torn_bytes;
    cell->stats.replay_damaged = stats.n_damaged;
    cell->stats.replay_ns = (uint64_t)(clock_mono(rec->db->ports.clock) - start);
    if (r.n_dead)
        log_info("recover", "samples of series that have died since were passed over", "n=%llu",
                 (unsigned long long)r.n_dead);
    return check_missing(rec);
}
