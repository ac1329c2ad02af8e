/* Replay of the WAL.
 *
 * Definitions first (recover_define.c). Then the frames in windows of some megabytes, of which
 * two are at work at a time, and the threads share what there is to do:
 *
 *     window k       applied   the owner, in the order of the log
 *     window k + 1   decoded   in pieces: columns to rows, ids to ordinals
 *     full tails     encoded   only while samples take much memory; else they wait for
 *                              the jobs that encode them when the database is open
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
    WINDOW_BYTES = 4 << 20,     /* of payload: some 200,000 samples, 5 MiB as rows */
    WINDOW_FRAMES = 4096,
    PIECES_MAX = 8,             /* of a window, so that threads end together */
    ENCODERS_MAX = 8,
    PREFETCH_ROWS = 12,
    ENCODE_SHARE = 16,          /* of the memory limit: from here on tails are encoded */
    ENCODE_FROM = 256 << 20,    /* or from here on */
};

/* A sample, its series found. */
struct replay_row {
    uint32_t ordinal;
    uint32_t len;               /* bytes and histograms */
    ts_time ts;
    union {
        uint64_t bits;
        const char *bytes;      /* of the log */
    };
};

/* Frames [from, to) of a window. */
struct piece {
    size_t from, to;
    VEC(struct replay_row) rows;
    VEC(size_t) starts;         /* rows before each frame */
    uint64_t n_missing, n_dead;
    status st;                  /* of decoding, with the frame at which it ended */
    size_t bad;
};

struct window {
    VEC(struct wal_frame) frames;
    size_t n_bytes;
    struct piece pieces[PIECES_MAX];
    unsigned n_pieces;
};

struct replay {
    struct recovery *rec;
    struct wal_replay *log;
    struct window windows[2];
    struct window *filling, *ready; /* ready: decoded, to be applied; may be NULL */
    uint64_t n_dead;
    bool deleted;               /* something: heads may be empty and still be queued */
};

/* --- decoding: any thread -------------------------------------------------------- */

struct decoding {
    const struct recovery *rec;
    struct piece *piece;
    struct registry_near near;
    series_id id;               /* of the row before */
    uint32_t ordinal;
    uint8_t type;
};

static uint32_t find_series(struct decoding *d, series_id id)
{
    const struct cell *cell = d->rec->cell;
    uint32_t ordinal = registry_by_id_near(cell->registry, id, &d->near);
    if (ordinal == ORDINAL_NONE) return ORDINAL_NONE;
    const struct head *head = cell_head(cell, ordinal);
    d->type = head->type;
    return head->id == id ? ordinal : ORDINAL_NONE;
}

static status decode_row(void *ctx, const struct wal_row *row)
{
    struct decoding *d = ctx;
    if (row->id != d->id || d->id == 0) {
        d->id = row->id;
        d->ordinal = find_series(d, row->id);
    }
    if (d->ordinal == ORDINAL_NONE) {
        if (row->id < d->rec->next_id || recover_is_removed(d->rec, row->id)) d->piece->n_dead++;
        else d->piece->n_missing++;
        return ST_OK;
    }
    if (d->type != row->type) return ST_CORRUPT;
    struct replay_row to = {.ordinal = d->ordinal, .ts = row->ts, .bits = row->bits};
    if (type_is_blob(row->type)) {
        if (row->bytes.len > UINT32_MAX) return ST_CORRUPT;
        to.bytes = row->bytes.ptr;
        to.len = (uint32_t)row->bytes.len;
    }
    return vec_push(&d->piece->rows, to) ? ST_OK : ST_NO_MEMORY;
}

static void decode_piece(const struct recovery *rec, const struct window *window,
                         struct piece *piece)
{
    struct decoding d = {.rec = rec, .piece = piece, .near = {.page = UINT64_MAX}};
    for (size_t i = piece->from; i < piece->to && piece->st == ST_OK; i++) {
        piece->bad = i;
        piece->st = vec_push(&piece->starts, piece->rows.len) ? ST_OK : ST_NO_MEMORY;
        if (piece->st == ST_OK)
            piece->st = wal_samples_each(window->frames.ptr[i].payload, decode_row, &d);
    }
}

static void cut_window(struct window *window, unsigned n_threads)
{
    unsigned n = 2 * n_threads < PIECES_MAX ? 2 * n_threads : PIECES_MAX;
    size_t n_frames = window->frames.len;
    if (n > n_frames) n = (unsigned)n_frames;
    for (unsigned i = 0; i < n; i++) {
        window->pieces[i].from = n_frames * i / n;
        window->pieces[i].to = n_frames * (i + 1) / n;
    }
    window->n_pieces = n;
}

/* --- applying: the owner --------------------------------------------------------- */

static status apply_row(struct cell *cell, const struct replay_row *row)
{
    struct head *head = cell_head(cell, row->ordinal);
    union value val = {.bits = row->bits};
    TRY(head_reserve(cell, 1));
    if (type_is_blob(head->type)) {
        struct blob *blob = blob_new(&cell->space, row->bytes, row->len);
        if (!blob) return ST_NO_MEMORY;
        val.bits = (uint64_t)(uintptr_t)blob;
    }
    if (!(head->flags & HEAD_HAS_LAST) || row->ts > head->last_ts)
        head_append(cell, row->ordinal, row->ts, val);
    else
        head_append_late(cell, row->ordinal, row->ts, val);
    return ST_OK;
}

/* The frame of a row. */
static const struct wal_frame *frame_of(const struct window *window, const struct piece *piece,
                                        size_t row)
{
    size_t i = piece->starts.len - 1;
    while (piece->starts.ptr[i] > row) i--;
    return &window->frames.ptr[piece->from + i];
}

static status apply_piece(struct recovery *rec, const struct window *window,
                          const struct piece *piece)
{
    struct cell *cell = rec->cell;
    size_t n = piece->rows.len;
    for (size_t i = 0; i < n; i++) {
        const struct replay_row *row = &piece->rows.ptr[i];
        if (i + 2 * PREFETCH_ROWS < n)
            __builtin_prefetch(cell_head(cell, row[2 * PREFETCH_ROWS].ordinal));
        if (i + PREFETCH_ROWS < n) head_prefetch(cell_head(cell, row[PREFETCH_ROWS].ordinal));
        status st = apply_row(cell, row);
        if (st != ST_OK) return recover_bad_frame(rec, frame_of(window, piece, i), st);
    }
    if (piece->st != ST_OK)
        return recover_bad_frame(rec, &window->frames.ptr[piece->bad], piece->st);
    cell->stats.replay_samples += n;
    rec->n_missing_series += piece->n_missing;
    return ST_OK;
}

static status apply_window(struct recovery *rec, const struct window *window)
{
    for (unsigned i = 0; i < window->n_pieces; i++)
        TRY(apply_piece(rec, window, &window->pieces[i]));
    return ST_OK;
}

/* --- what the threads share ------------------------------------------------------ */

/* One of three. */
struct part {
    struct recovery *rec;
    const struct window *window;
    struct piece *decode;
    struct encode_job *encode;
    status st;                 /* of applying the window */
};

static void run_part(void *ctx)
{
    struct part *part = ctx;
    if (part->decode) decode_piece(part->rec, part->window, part->decode);
    else if (part->encode) encode_work(part->encode);
    else if (part->window) part->st = apply_window(part->rec, part->window);
}

static bool must_encode(const struct recovery *rec)
{
    uint64_t limit = rec->db->options.memory_limit / ENCODE_SHARE;
    if (limit == 0 || limit > ENCODE_FROM) limit = ENCODE_FROM;
    return account_used(&rec->cell->account) > limit ||
           encode_waiting(&rec->cell->encode) > ENCODE_QUEUE_MAX / 2;
}

static unsigned add_encoders(struct part *parts, const struct recovery *rec)
{
    size_t n = encode_waiting(&rec->cell->encode) / rec->n_threads + 1;
    unsigned n_parts = 0;
    while (n_parts < ENCODERS_MAX) {
        struct encode_job *job = encode_take(rec->cell, n);
        if (!job) break;
        parts[n_parts++] = (struct part){.encode = job};
    }
    return n_parts;
}

static void clear_window(struct window *window)
{
    for (unsigned i = 0; i < window->n_pieces; i++) {
        struct piece *piece = &window->pieces[i];
        vec_clear(&piece->rows);
        vec_clear(&piece->starts);
        piece->n_missing = piece->n_dead = 0;
        piece->st = ST_OK;
    }
    vec_clear(&window->frames);
    window->n_bytes = window->n_pieces = 0;
}

/* Applies what was decoded before, decodes what was gathered, encodes when asked. */
static status turn(struct replay *r, bool encode)
{
    struct recovery *rec = r->rec;
    struct part parts[1 + PIECES_MAX + ENCODERS_MAX];
    unsigned n = 0;
    parts[n++] = (struct part){.rec = rec, .window = r->ready, .st = ST_OK};
    cut_window(r->filling, rec->n_threads);
    for (unsigned i = 0; i < r->filling->n_pieces; i++)
        parts[n++] = (struct part){
            .rec = rec, .window = r->filling, .decode = &r->filling->pieces[i]};
    if (encode || must_encode(rec)) n += add_encoders(parts + n, rec);
    threads_share("replay", run_part, parts, sizeof(parts[0]), n, rec->n_threads);
    for (unsigned i = 1; i < n; i++)
        if (parts[i].encode) encode_put(parts[i].encode);
    cell_collect_all(rec->cell); /* nobody reads yet: what was replaced goes at once */
    TRY(parts[0].st);
    struct window *done = r->ready ? r->ready : &r->windows[r->filling == &r->windows[0]];
    for (unsigned i = 0; r->ready && i < r->ready->n_pieces; i++)
        r->n_dead += r->ready->pieces[i].n_dead;
    clear_window(done);
    r->ready = r->filling->frames.len ? r->filling : NULL;
    uint64_t at = r->ready ? r->ready->frames.ptr[r->ready->frames.len - 1].seq : 0;
    r->filling = done;
    return at ? recover_report(rec, "replay", at, wal_replay_last(r->log)) : ST_OK;
}

/* Applies everything that was met so far. */
static status settle(struct replay *r)
{
    while (r->filling->frames.len || r->ready) TRY(turn(r, false));
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
    return turn(r, false);
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
    case WAL_ATTRS:
        TRY(settle(r)); /* a rule is there for the samples behind it only */
        st = replay_attrs(rec, frame->payload);
        break;
    case WAL_META: st = meta_replay(rec->db, frame); break;
    case WAL_DELETE:
        st = meta_replay_delete(rec->db, frame);
        if (covered || st != ST_OK) break;
        TRY(settle(r));
        r->deleted = true;
        st = replay_delete(rec, frame->payload);
        break;
    case WAL_SERIES:
    case WAL_REMOVE:
    case WAL_RELABEL:
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
        for (unsigned k = 0; k < PIECES_MAX; k++) {
            vec_release(&r->windows[i].pieces[k].rows);
            vec_release(&r->windows[i].pieces[k].starts);
        }
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
    /* A series that is dropped below must not be in the queue. */
    if (st == ST_OK && r.deleted) st = turn(&r, true);
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
