/* Files of exemplars and metadata. See meta_files.h. */
#include "engine/meta_files.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/db_priv.h"
#include "engine/exemplars.h"
#include "engine/meta_payload.h"
#include "engine/metadata_store.h"
#include "engine/recover_priv.h"
#include "engine/wal_payload.h"

enum {
    WALK_EXEMPLARS = 256,      /* under the store's lock at a time */
    PAYLOAD_ABOUT = 64 << 10,
};

/* ---- writing ----------------------------------------------------------------------- */

struct meta_cut meta_cut(struct db *db)
{
    return (struct meta_cut){
        .mark = exemplars_mark(db->exemplars),
        .version = {[PAYLOAD_EXEMPLARS] = exemplars_version(db->exemplars),
                    [PAYLOAD_METADATA] = metadata_store_version(db->metadata)},
    };
}

struct writing {
    struct payload_writer *out;
    VEC(uint8_t) bytes;        /* records of the next payload */
    const _Atomic bool *cancelled;
    struct err *err;
};

static status gather_exemplar(void *ctx, series_id id, const struct exemplar *ex)
{
    struct writing *w = ctx;
    if (!vec_reserve(&w->bytes, meta_exemplar_bound(ex))) return ST_NO_MEMORY;
    w->bytes.len += meta_exemplar_put(w->bytes.ptr + w->bytes.len, id, ex);
    return ST_OK;
}

static status gather_family(void *ctx, const struct metric_meta *meta)
{
    struct writing *w = ctx;
    if (!vec_reserve(&w->bytes, meta_family_bound(meta))) return ST_NO_MEMORY;
    w->bytes.len += meta_family_put(w->bytes.ptr + w->bytes.len, meta);
    return ST_OK;
}

/* What was gathered goes to the file when it is enough for a payload, or the last. */
static status put_gathered(struct writing *w, bool last)
{
    if (w->cancelled && atomic_load_explicit(w->cancelled, memory_order_relaxed))
        return err_set(w->err, ST_CANCELLED, "cancelled");
    if (w->bytes.len == 0 || (w->bytes.len < PAYLOAD_ABOUT && !last)) return ST_OK;
    status st = payload_file_add(w->out, slice_of(w->bytes.ptr, w->bytes.len), w->err);
    vec_clear(&w->bytes);
    return st;
}

static status put_exemplars(struct writing *w, struct db *db, const struct meta_cut *cut)
{
    struct exemplar_walk walk;
    status st = ST_OK;
    exemplars_walk_begin(db->exemplars, &walk, cut->mark);
    for (bool more = true; more && st == ST_OK;) {
        st = exemplars_walk(db->exemplars, &walk, WALK_EXEMPLARS, gather_exemplar, w, &more);
        if (st == ST_OK) st = put_gathered(w, !more);
    }
    exemplars_walk_end(db->exemplars, &walk);
    return st;
}

static status put_families(struct writing *w, struct db *db)
{
    struct metadata_walk walk = {.len = 0};
    for (bool more = true; more;) {
        TRY(metadata_store_walk(db->metadata, &walk, gather_family, w, &more));
        TRY(put_gathered(w, !more));
    }
    return ST_OK;
}

static status write_file(struct db *db, enum payload_kind kind, struct vfs *to,
                         const struct meta_cut *cut, lsn covered, const _Atomic bool *cancelled,
                         struct err *err)
{
    struct writing w = {.cancelled = cancelled, .err = err};
    TRY(payload_file_begin(&w.out, to, kind, &db->file.id, covered, err));
    status st = kind == PAYLOAD_EXEMPLARS ? put_exemplars(&w, db, cut) : put_families(&w, db);
    vec_release(&w.bytes);
    if (st == ST_OK) return payload_file_finish(w.out, err);
    payload_file_abort(w.out);
    return err && err->text[0] ? st : err_set(err, st, "%s", payload_file_path(kind));
}

status meta_files_checkpoint(struct db *db, const struct meta_cut *cut, lsn covered,
                             const _Atomic bool *cancelled, struct err *err)
{
    for (int kind = PAYLOAD_EXEMPLARS; kind <= PAYLOAD_METADATA; kind++) {
        if (cut->version[kind] == db->meta_written[kind]) continue;
        TRY(write_file(db, (enum payload_kind)kind, db->ports.vfs, cut, covered, cancelled, err));
        db->meta_written[kind] = cut->version[kind];
    }
    return ST_OK;
}

status meta_files_copy(struct db *db, struct vfs *to, const struct meta_cut *cut, lsn covered,
                       const _Atomic bool *cancelled, struct err *err)
{
    struct exemplar_stats exemplars;
    struct metadata_stats metadata;
    exemplars_stats(db->exemplars, &exemplars);
    metadata_store_stats(db->metadata, &metadata);
    if (exemplars.n_exemplars)
        TRY(write_file(db, PAYLOAD_EXEMPLARS, to, cut, covered, cancelled, err));
    if (metadata.n_families)
        TRY(write_file(db, PAYLOAD_METADATA, to, cut, covered, cancelled, err));
    return ST_OK;
}

/* ---- recovery ---------------------------------------------------------------------- */

/* What cannot be kept now (a smaller limit than then, no memory) is passed over. */
static status load_exemplar(void *ctx, series_id id, const struct exemplar *ex)
{
    struct db *db = ctx;
    (void)exemplars_put(db->exemplars, id, ex);
    return ST_OK;
}

static status load_family(void *ctx, const struct metric_meta *meta)
{
    struct db *db = ctx;
    (void)metadata_store_put(db->metadata, meta);
    return ST_OK;
}

static struct meta_taker loader(struct db *db)
{
    return (struct meta_taker){.exemplar = load_exemplar, .family = load_family, .ctx = db};
}

static status load_payload(void *ctx, struct slice payload)
{
    struct meta_taker taker = loader(ctx);
    return meta_payload_each(payload, &taker);
}

status meta_files_load(struct db *db, struct err *err)
{
    for (int kind = PAYLOAD_EXEMPLARS; kind <= PAYLOAD_METADATA; kind++) {
        const char *path = payload_file_path((enum payload_kind)kind);
        struct err why = {.st = ST_OK};
        status st = payload_file_read(&db->meta_covered[kind], db->ports.vfs,
                                      (enum payload_kind)kind, &db->file.id, load_payload, db,
                                      &why);
        if (st == ST_UNSUPPORTED) return err_set(err, st, "%s: %s", path, err_text(&why, st));
        if (st == ST_CORRUPT) recover_put_aside(db, path, st, &why);
        else if (st != ST_OK && st != ST_NOT_FOUND)
            return err_set(err, st, "%s: %s", path, err_text(&why, st));
        /* What could be read of a file that is aside is in no file. */
        db->meta_written[kind] = st == ST_CORRUPT ? UINT64_MAX : meta_cut(db).version[kind];
    }
    return ST_OK;
}

status meta_replay(struct db *db, const struct wal_frame *frame)
{
    struct meta_taker taker = loader(db);
    /* Both are checked to the end, whatever is taken of them. */
    if (frame->seq <= db->meta_covered[PAYLOAD_EXEMPLARS]) taker.exemplar = NULL;
    if (frame->seq <= db->meta_covered[PAYLOAD_METADATA]) taker.family = NULL;
    if (taker.exemplar || taker.family) db->cell.n_unflushed_meta++;
    return meta_payload_each(frame->payload, &taker);
}

status meta_replay_delete(struct db *db, const struct wal_frame *frame)
{
    uint64_t *ids, order;
    size_t n;
    struct time_range range;
    if (frame->seq <= db->meta_covered[PAYLOAD_EXEMPLARS]) return ST_OK;
    TRY(wal_delete_get(&ids, &n, &range, &order, frame->payload));
    exemplars_delete(db->exemplars, ids, n, range);
    mem_free(ids);
    return ST_OK;
}

status meta_settle(struct db *db)
{
    struct arena arena;
    uint64_t *ids = NULL;
    size_t n = 0;
    arena_init(&arena, NULL, 4096);
    status st = exemplars_series(db->exemplars, &arena, &ids, &n);
    for (size_t i = 0; i < n && st == ST_OK; i++)
        if (registry_by_id(db->cell.registry, ids[i]) == ORDINAL_NONE)
            exemplars_drop(db->exemplars, ids[i]);
    arena_release(&arena);
    exemplars_begin_stats(db->exemplars);
    metadata_store_begin_stats(db->metadata);
    return st;
}

/* ---- a directory that nobody has open ----------------------------------------------- */

static status count_exemplar(void *ctx, series_id id, const struct exemplar *ex)
{
    (void)id;
    (void)ex;
    ++*(uint64_t *)ctx;
    return ST_OK;
}

static status count_family(void *ctx, const struct metric_meta *meta)
{
    (void)meta;
    ++*(uint64_t *)ctx;
    return ST_OK;
}

struct counting {
    enum payload_kind kind;
    uint64_t *n;
};

/* A record of the other kind has no place in the file. */
static status count_payload(void *ctx, struct slice payload)
{
    const struct counting *c = ctx;
    uint64_t n_exemplars = 0, n_families = 0;
    struct meta_taker exemplars = {.exemplar = count_exemplar, .ctx = &n_exemplars};
    struct meta_taker families = {.family = count_family, .ctx = &n_families};
    TRY(meta_payload_each(payload, &exemplars));
    TRY(meta_payload_each(payload, &families));
    if ((c->kind == PAYLOAD_EXEMPLARS ? n_families : n_exemplars) != 0) return ST_CORRUPT;
    *c->n += n_exemplars + n_families;
    return ST_OK;
}

status meta_file_verify(uint64_t *n, struct vfs *vfs, enum payload_kind kind,
                        const struct database_id *db, struct err *err)
{
    struct counting counting = {.kind = kind, .n = n};
    lsn covered;
    *n = 0;
    return payload_file_read(&covered, vfs, kind, db, count_payload, &counting, err);
}
