/* The WAL's definitions, before anything else of the log is replayed.
 *
 *     window k + 1   read      another thread: identities to labels and hashes
 *     window k       adopted   the owner, in the order of the log
 *
 * Up to rec->defined everything is in the registry's files, or dead since: passed over.
 * The reading thread looks at the log alone, never at the registry. The order in which
 * series are adopted, and with it every ordinal, is that of the log whatever the number
 * of threads. What a window points into (the mapped log, its own arena) lives until the
 * window is cleared.
 */
#include "base/mem.h"
#include "base/thread.h"
#include "engine/recover_priv.h"
#include "engine/wal_payload.h"

enum {
    WINDOW_BYTES = 2 << 20,   /* of payload: some 8,000 series, 3 MiB of labels */
    ARENA_BLOCK = 256 << 10,
    PREFETCH_SERIES = 16,
};

struct definition {
    struct newborn born;
    size_t frame;             /* of the window */
};

struct window {
    VEC(struct wal_frame) frames;
    VEC(struct definition) definitions;
    struct arena arena;
    size_t n_bytes;
    size_t at;                /* frame that is read */
    status st;                /* of reading, which ended at that frame */
};

struct defining {
    struct recovery *rec;
    struct wal_replay *log;
    struct window windows[2];
    struct window *filling, *ready; /* ready: read, to be adopted; may be NULL */
};

status recover_bad_frame(struct recovery *rec, const struct wal_frame *frame, status st)
{
    return err_set(rec->err, st, "WAL frame %llu: %s", (unsigned long long)frame->seq,
                   status_text(st));
}

/* --- reading: any thread --------------------------------------------------------- */

static status read_series(void *ctx, const struct wal_series *series)
{
    struct window *window = ctx;
    struct slice identity = series->identity;
    struct definition to = {.born = {.id = series->id,
                                     .type = series->type,
                                     .identity = identity,
                                     .hash = hash128(identity.ptr, identity.len)},
                            .frame = window->at};
    if (series->has_attrs) {
        struct series_attrs *attrs = arena_try(&window->arena, sizeof(*attrs));
        if (!attrs) return ST_NO_MEMORY;
        *attrs = series->attrs;
        to.born.attrs = attrs;
    }
    TRY(labels_from_identity(&to.born.labels, &window->arena, identity));
    return vec_push(&window->definitions, to) ? ST_OK : ST_NO_MEMORY;
}

static void read_window(struct window *window)
{
    for (size_t i = 0; i < window->frames.len && window->st == ST_OK; i++) {
        window->at = i;
        window->st = wal_series_each(window->frames.ptr[i].payload, read_series, window);
    }
}

/* --- adopting: the owner --------------------------------------------------------- */

static status adopt(struct recovery *rec, const struct newborn *born)
{
    uint32_t ordinal;
    if (registry_by_id(rec->cell->registry, born->id) != ORDINAL_NONE) return ST_OK;
    if (recover_is_removed(rec, born->id)) return ST_OK;
    return recover_adopt_labels(rec, &ordinal, born);
}

static status adopt_window(struct recovery *rec, const struct window *window)
{
    const struct identity *identity = registry_identity(rec->cell->registry);
    size_t n = window->definitions.len;
    for (size_t i = 0; i < n; i++) {
        const struct definition *def = &window->definitions.ptr[i];
        if (i + PREFETCH_SERIES < n) identity_prefetch(identity, def[PREFETCH_SERIES].born.hash);
        status st = adopt(rec, &def->born);
        if (st != ST_OK) return recover_bad_frame(rec, &window->frames.ptr[def->frame], st);
    }
    if (window->st == ST_OK) return ST_OK;
    return recover_bad_frame(rec, &window->frames.ptr[window->at], window->st);
}

/* --- two at a time --------------------------------------------------------------- */

struct part {
    struct recovery *rec;
    struct window *read, *adopt; /* one of the two */
    status st;
};

static void run_part(void *ctx)
{
    struct part *part = ctx;
    if (part->read) read_window(part->read);
    else part->st = adopt_window(part->rec, part->adopt);
}

static void clear_window(struct window *window)
{
    vec_clear(&window->frames);
    vec_clear(&window->definitions);
    arena_reset(&window->arena);
    window->n_bytes = 0;
    window->st = ST_OK;
}

/* Reads what was gathered and adopts what was read before. */
static status turn(struct defining *d)
{
    struct part parts[2] = {{.rec = d->rec, .read = d->filling},
                            {.rec = d->rec, .adopt = d->ready, .st = ST_OK}};
    if (d->ready && d->rec->n_threads > 1 && d->filling->frames.len) {
        threads_together("replay", run_part, parts, sizeof(parts[0]), 2);
    } else {
        run_part(&parts[0]);
        if (d->ready) run_part(&parts[1]);
    }
    cell_collect_all(d->rec->cell); /* nobody reads yet: what was replaced goes at once */
    TRY(parts[1].st);
    struct window *done = d->ready ? d->ready : &d->windows[d->filling == &d->windows[0]];
    clear_window(done);
    d->ready = d->filling->frames.len ? d->filling : NULL;
    uint64_t at = d->ready ? d->ready->frames.ptr[d->ready->frames.len - 1].seq : 0;
    d->filling = done;
    return at ? recover_report(d->rec, "define", at, wal_replay_last(d->log)) : ST_OK;
}

static status gather(void *ctx, const struct wal_frame *frame)
{
    struct defining *d = ctx;
    struct window *window = d->filling;
    if (frame->type != WAL_SERIES || frame->seq <= d->rec->defined) return ST_OK;
    if (!vec_push(&window->frames, *frame)) return ST_NO_MEMORY;
    window->n_bytes += frame->payload.len;
    return window->n_bytes < WINDOW_BYTES ? ST_OK : turn(d);
}

status recover_define(struct recovery *rec, struct wal_replay *replayed)
{
    struct defining d = {.rec = rec, .log = replayed};
    for (int i = 0; i < 2; i++) arena_init(&d.windows[i].arena, NULL, ARENA_BLOCK);
    d.filling = &d.windows[0];
    status st = wal_replay_each(replayed, gather, &d);
    while (st == ST_OK && (d.filling->frames.len || d.ready)) st = turn(&d);
    for (int i = 0; i < 2; i++) {
        vec_release(&d.windows[i].frames);
        vec_release(&d.windows[i].definitions);
        arena_release(&d.windows[i].arena);
    }
    return st;
}
