/* The WAL's definitions, before anything else of the log is replayed.
 *
 *     window k       adopted   the owner, in the order of the log
 *     window k + 1   read      other threads, in pieces: labels to pair ids, hashes
 *
 * Up to rec->defined everything is in the registry's files, or dead since: passed over.
 * A label that the registry did not know when its window was read is interned when it is
 * adopted; the first windows are short, because little is known then. The order in which
 * series are adopted, and with it every ordinal and every pair id, is that of the log
 * whatever the number of threads. What a window points into (the mapped log, its own lists)
 * lives until the window is cleared. Posting lists are made later (recover.c).
 */
#include "base/mem.h"
#include "base/thread.h"
#include "engine/recover_priv.h"
#include "engine/wal_payload.h"
#include "index/pair_reader.h"

enum {
    WINDOW_MIN = 64 << 10,    /* of payload: doubles up to the most */
    WINDOW_MOST = 4 << 20,    /* some 15,000 series */
    PIECES_MAX = 4,           /* read side by side, each by a reader of its own */
    ARENA_BLOCK = 64 << 10,
    PREFETCH_SERIES = 16,
};

struct definition {
    series_id id;
    uint64_t place;
    struct hash128 hash;
    struct slice identity;
    const struct series_attrs *attrs; /* in the arena; NULL: defaults */
    size_t pairs, unknown;            /* where its own begin */
    uint32_t n_pairs, n_unknown;
    uint32_t frame;                   /* of the window */
    uint16_t version;                 /* of a WAL_RELABEL; 0: a first definition */
    uint8_t type;
    bool keyed;
};

struct piece {
    struct window *window;
    struct pair_reader *reader;       /* stays with the piece */
    size_t from, to;                  /* frames */
    VEC(struct definition) definitions;
    VEC(uint32_t) pairs;
    VEC(struct label) unknown;
    struct arena arena;
    size_t at;                        /* frame that is read */
    uint16_t version;                 /* of its labels; 0: the first */
    status st;                        /* of reading, which ended at that frame */
};

struct window {
    VEC(struct wal_frame) frames;
    size_t n_bytes;
    struct piece pieces[PIECES_MAX];
    unsigned n_pieces;
};

struct defining {
    struct recovery *rec;
    struct wal_replay *log;
    struct window windows[2];
    struct window *filling, *ready;   /* ready: read, to be adopted; may be NULL */
    struct pair_reader *readers[PIECES_MAX];
    unsigned n_readers;
    size_t window_bytes;
};

status recover_bad_frame(struct recovery *rec, const struct wal_frame *frame, status st)
{
    return err_set(rec->err, st, "WAL frame %llu: %s", (unsigned long long)frame->seq,
                   status_text(st));
}

/* --- reading: any thread --------------------------------------------------------- */

static status keep_pairs(struct piece *piece, struct definition *to, const struct pair_list *list)
{
    to->pairs = piece->pairs.len;
    to->unknown = piece->unknown.len;
    if (list->n > UINT32_MAX) return ST_LIMIT;
    if (!vec_reserve(&piece->pairs, list->n) || !vec_reserve(&piece->unknown, list->n_unknown))
        return ST_NO_MEMORY;
    for (size_t i = 0; i < list->n; i++) (void)vec_push(&piece->pairs, list->pairs[i]);
    for (size_t i = 0; i < list->n_unknown; i++) (void)vec_push(&piece->unknown, list->unknown[i]);
    to->n_pairs = (uint32_t)list->n;
    to->n_unknown = (uint32_t)list->n_unknown;
    return ST_OK;
}

static status read_series(void *ctx, const struct wal_series *series)
{
    struct piece *piece = ctx;
    struct slice identity = series->identity;
    struct pair_list list;
    struct definition to = {.id = series->id,
                            .place = series->place,
                            .type = (uint8_t)series->type,
                            .identity = identity,
                            .hash = hash128(identity.ptr, identity.len),
                            .frame = (uint32_t)piece->at};
    if (series->has_attrs) {
        struct series_attrs *attrs = arena_try(&piece->arena, sizeof(*attrs));
        if (!attrs) return ST_NO_MEMORY;
        *attrs = series->attrs;
        to.attrs = attrs;
    }
    to.version = piece->version;
    if (to.version) return vec_push(&piece->definitions, to) ? ST_OK : ST_NO_MEMORY;
    TRY(pair_reader_read(&list, piece->reader, identity));
    to.keyed = list.keyed;
    if (!list.keyed) TRY(keep_pairs(piece, &to, &list));
    return vec_push(&piece->definitions, to) ? ST_OK : ST_NO_MEMORY;
}

static status read_frame(struct piece *piece, const struct wal_frame *frame)
{
    struct wal_series series;
    piece->version = 0;
    if (frame->type == WAL_SERIES) return wal_series_each(frame->payload, read_series, piece);
    TRY(wal_relabel_get(&series, &piece->version, frame->payload));
    return read_series(piece, &series);
}

static void read_piece(struct piece *piece)
{
    for (size_t i = piece->from; i < piece->to && piece->st == ST_OK; i++) {
        piece->at = i;
        piece->st = read_frame(piece, &piece->window->frames.ptr[i]);
    }
}

static void cut_window(struct defining *d, struct window *window)
{
    size_t n_frames = window->frames.len;
    unsigned n = n_frames < d->n_readers ? (unsigned)n_frames : d->n_readers;
    for (unsigned i = 0; i < n; i++) {
        window->pieces[i].window = window;
        window->pieces[i].reader = d->readers[i];
        window->pieces[i].from = n_frames * i / n;
        window->pieces[i].to = n_frames * (i + 1) / n;
    }
    window->n_pieces = n;
}

/* --- adopting: the owner --------------------------------------------------------- */

static status adopt(struct recovery *rec, const struct piece *piece, const struct definition *def)
{
    struct registry *reg = rec->cell->registry;
    uint32_t ordinal;
    bool lives;
    struct series_new make = {.identity = def->identity,
                              .hash = def->hash,
                              .place = def->place,
                              .id = def->id,
                              .label_version = def->version,
                              .type = (enum value_type)def->type,
                              .attrs = def->attrs};
    if (recover_is_removed(rec, def->id)) return ST_OK;
    if (def->version) return recover_relabel(rec, &make);
    if (registry_by_id(reg, def->id) != ORDINAL_NONE) return ST_OK;
    if (def->keyed) return recover_adopt(rec, &ordinal, &make);
    recover_rival(&lives, rec, def->id, make.type, def->identity, def->hash);
    if (!lives) return ST_OK;
    struct pair_list list = {.pairs = piece->pairs.ptr + def->pairs,
                             .n = def->n_pairs,
                             .unknown = piece->unknown.ptr + def->unknown,
                             .n_unknown = def->n_unknown};
    return cell_add_pairs(rec->cell, &ordinal, &make, &list);
}

static status adopt_piece(struct recovery *rec, const struct window *window,
                          const struct piece *piece)
{
    const struct identity *identity = registry_identity(rec->cell->registry);
    size_t n = piece->definitions.len;
    for (size_t i = 0; i < n; i++) {
        const struct definition *def = &piece->definitions.ptr[i];
        const struct definition *ahead = i + PREFETCH_SERIES < n ? def + PREFETCH_SERIES : def;
        identity_prefetch(identity, labels_hash_as(ahead->hash, (enum value_type)ahead->type));
        status st = adopt(rec, piece, def);
        if (st != ST_OK) return recover_bad_frame(rec, &window->frames.ptr[def->frame], st);
    }
    if (piece->st == ST_OK) return ST_OK;
    return recover_bad_frame(rec, &window->frames.ptr[piece->at], piece->st);
}

static status adopt_window(struct recovery *rec, const struct window *window)
{
    for (unsigned i = 0; i < window->n_pieces; i++)
        TRY(adopt_piece(rec, window, &window->pieces[i]));
    return ST_OK;
}

/* --- both at a time -------------------------------------------------------------- */

struct part {
    struct recovery *rec;
    struct piece *read;
    const struct window *adopt; /* one of the two, or neither */
    status st;
};

static void run_part(void *ctx)
{
    struct part *part = ctx;
    if (part->read) read_piece(part->read);
    else if (part->adopt) part->st = adopt_window(part->rec, part->adopt);
}

static void clear_window(struct window *window)
{
    for (unsigned i = 0; i < window->n_pieces; i++) {
        struct piece *piece = &window->pieces[i];
        vec_clear(&piece->definitions);
        vec_clear(&piece->pairs);
        vec_clear(&piece->unknown);
        arena_reset(&piece->arena);
        piece->st = ST_OK;
    }
    vec_clear(&window->frames);
    window->n_bytes = window->n_pieces = 0;
}

/* Adopts what was read before and reads what was gathered. */
static status turn(struct defining *d)
{
    struct recovery *rec = d->rec;
    struct part parts[1 + PIECES_MAX];
    unsigned n = 0;
    parts[n++] = (struct part){.rec = rec, .adopt = d->ready, .st = ST_OK};
    cut_window(d, d->filling);
    for (unsigned i = 0; i < d->filling->n_pieces; i++)
        parts[n++] = (struct part){.rec = rec, .read = &d->filling->pieces[i]};
    threads_share("replay", run_part, parts, sizeof(parts[0]), n, rec->n_threads);
    cell_collect_all(rec->cell); /* nobody reads yet: what was replaced goes at once */
    TRY(parts[0].st);
    struct window *done = d->ready ? d->ready : &d->windows[d->filling == &d->windows[0]];
    clear_window(done);
    d->ready = d->filling->frames.len ? d->filling : NULL;
    uint64_t at = d->ready ? d->ready->frames.ptr[d->ready->frames.len - 1].seq : 0;
    d->filling = done;
    if (d->window_bytes < WINDOW_MOST) d->window_bytes *= 2;
    return at ? recover_report(rec, "define", at, wal_replay_last(d->log)) : ST_OK;
}

static status gather(void *ctx, const struct wal_frame *frame)
{
    struct defining *d = ctx;
    struct window *window = d->filling;
    if (frame->type != WAL_SERIES && frame->type != WAL_RELABEL) return ST_OK;
    if (frame->seq <= d->rec->defined) return ST_OK;
    if (!vec_push(&window->frames, *frame)) return ST_NO_MEMORY;
    window->n_bytes += frame->payload.len;
    return window->n_bytes < d->window_bytes ? ST_OK : turn(d);
}

/* --- all of it ------------------------------------------------------------------- */

static status init_defining(struct defining *d)
{
    unsigned n = d->rec->n_threads < PIECES_MAX ? d->rec->n_threads : PIECES_MAX;
    d->filling = &d->windows[0];
    d->window_bytes = WINDOW_MIN;
    for (int i = 0; i < 2; i++)
        for (unsigned k = 0; k < PIECES_MAX; k++)
            arena_init(&d->windows[i].pieces[k].arena, NULL, ARENA_BLOCK);
    for (; d->n_readers < n; d->n_readers++) {
        d->readers[d->n_readers] = pair_reader_new(d->rec->cell->registry);
        if (!d->readers[d->n_readers]) return ST_NO_MEMORY;
    }
    return ST_OK;
}

static void release_defining(struct defining *d)
{
    for (int i = 0; i < 2; i++) {
        vec_release(&d->windows[i].frames);
        for (unsigned k = 0; k < PIECES_MAX; k++) {
            struct piece *piece = &d->windows[i].pieces[k];
            vec_release(&piece->definitions);
            vec_release(&piece->pairs);
            vec_release(&piece->unknown);
            arena_release(&piece->arena);
        }
    }
    for (unsigned i = 0; i < PIECES_MAX; i++) pair_reader_free(d->readers[i]);
}

status recover_define(struct recovery *rec, struct wal_replay *replayed)
{
    struct defining d = {.rec = rec, .log = replayed};
    status st = init_defining(&d);
    if (st == ST_OK) st = wal_replay_each(replayed, gather, &d);
    while (st == ST_OK && (d.filling->frames.len || d.ready)) st = turn(&d);
    release_defining(&d);
    return st;
}
