/* The durable store of deletes. See tombstone_file.h and docs/formats/tombstones.md.
 *
 * A file is a run of frames (codec/frame.h): first a head {file id, database}, then one
 * for each record {order, gen, from, to, n, ids as differences}. Each append is one
 * write and one sync, so only the last frame can be torn; it is cut at the next opening.
 * Then a mark follows, {records before it}, written after that sync: damage before a mark
 * is no torn write, and a delete that was stored is never taken for one and dropped.
 * The highest-numbered file counts. A rewrite publishes a complete new one, then removes
 * the old: a crash in between leaves both, and the next opening removes the older.
 */
#include "storage/tombstone_file.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/durable.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/varint.h"
#include "base/vec.h"
#include "codec/frame.h"
#include "storage/layout.h"

enum {
    STORE_VERSION = 2,
    FRAME_HEAD = 1,
    FRAME_RECORD = 2,
    FRAME_MARK = 3,            /* since version 2 */
    MARK_PAYLOAD_LEN = 8,
    HEAD_PAYLOAD_LEN = 8 + DATABASE_ID_LEN,
    RECORD_FIXED_LEN = 32,
    RECORD_MAX = 64 << 20,
    STORE_MAX = 1 << 30,
    SEARCH_MAX = 64 << 20,     /* bytes checksummed in search of a frame behind damage */
};

#define STORE_MAGIC FRAME_MAGIC('T', 'S', 'D', 'L')

struct tombstone_file {
    struct vfs *vfs;
    struct vfs_file *file;
    struct database_id db;
    uint64_t id;
    uint64_t len;
    uint64_t n_records;
    bool poisoned;
};

/* ---- records ---- */

static void put_frame(struct strbuf *out, uint16_t type, const void *payload, size_t len)
{
    uint8_t head[FRAME_HEAD_LEN];
    struct frame frame = {.magic = STORE_MAGIC,
                          .version = STORE_VERSION,
                          .type = type,
                          .payload = payload,
                          .len = len};

    frame_put_head(head, &frame);
    strbuf_put(out, head, sizeof(head));
    strbuf_put(out, payload, len);
}

static void put_head(struct strbuf *out, uint64_t id, const struct database_id *db)
{
    uint8_t payload[HEAD_PAYLOAD_LEN];

    store_u64(payload, id);
    memcpy(payload + 8, db->bytes, DATABASE_ID_LEN);
    put_frame(out, FRAME_HEAD, payload, sizeof(payload));
}

static uint64_t step_of(const struct delete_rec *rec, size_t i)
{
    return rec->ids[i] - (i ? rec->ids[i - 1] : 0);
}

static size_t record_len(const struct delete_rec *rec)
{
    size_t len = RECORD_FIXED_LEN + varint_len(rec->n_ids);
    for (size_t i = 0; i < rec->n_ids; i++) len += varint_len(step_of(rec, i));
    return len;
}

static status put_record(struct strbuf *out, const struct delete_rec *rec, struct err *err)
{
    uint8_t fixed[RECORD_FIXED_LEN], bytes[VARINT_MAX];
    struct strbuf payload;

    if (record_len(rec) > RECORD_MAX) {
        return err_set(err, ST_TOO_LARGE, "a delete of %zu series", rec->n_ids);
    }
    strbuf_init(&payload, 0);
    store_u64(fixed, rec->order);
    store_u64(fixed + 8, rec->gen);
    store_i64(fixed + 16, rec->range.from);
    store_i64(fixed + 24, rec->range.to);
    strbuf_put(&payload, fixed, sizeof(fixed));
    strbuf_put(&payload, bytes, varint_put(bytes, rec->n_ids));
    for (size_t i = 0; i < rec->n_ids; i++) {
        strbuf_put(&payload, bytes, varint_put(bytes, step_of(rec, i)));
    }
    if (!payload.failed) put_frame(out, FRAME_RECORD, payload.ptr, payload.len);
    bool failed = payload.failed || out->failed;
    strbuf_release(&payload);
    return failed ? err_set(err, ST_NO_MEMORY, "deletes") : ST_OK;
}

/* What comes before it had been synced when it was written. */
static void put_mark(struct strbuf *out, uint64_t n_records)
{
    uint8_t payload[MARK_PAYLOAD_LEN];

    store_u64(payload, n_records);
    put_frame(out, FRAME_MARK, payload, sizeof(payload));
}

struct id_list {
    uint64_t *ptr;
    size_t len, cap;
};

static status parse_ids(struct id_list *ids, const uint8_t *src, size_t len)
{
    uint64_t n, step, id = 0;
    size_t used = varint_get(&n, src, len);

    if (used == 0 || n > len) return ST_CORRUPT; /* an id takes a byte or more */
    vec_clear(ids);
    if (!vec_reserve(ids, (size_t)n)) return ST_NO_MEMORY;
    for (uint64_t i = 0; i < n; i++) {
        size_t m = varint_get(&step, src + used, len - used);
        if (m == 0 || (i > 0 && step == 0) || __builtin_add_overflow(id, step, &id)) {
            return ST_CORRUPT;
        }
        used += m;
        ids->ptr[ids->len++] = id;
    }
    return used == len ? ST_OK : ST_CORRUPT;
}

static status apply_record(struct tombstones **set, struct id_list *ids, const struct frame *f,
                           struct err *err)
{
    struct tombstones *next;

    if (f->len < RECORD_FIXED_LEN) return err_set(err, ST_CORRUPT, "record too short");
    status st = parse_ids(ids, f->payload + RECORD_FIXED_LEN, f->len - RECORD_FIXED_LEN);
    if (st != ST_OK) return err_set(err, st, "series of a record");
    struct delete_rec rec = {
        .ids = ids->ptr,
        .n_ids = ids->len,
        .range = {load_i64(f->payload + 16), load_i64(f->payload + 24)},
        .order = load_u64(f->payload),
        .gen = load_u64(f->payload + 8),
    };
    st = tombstones_add(&next, *set, &rec);
    if (st != ST_OK) {
        return err_set(err, st == ST_NO_MEMORY ? st : ST_CORRUPT, "range of a record");
    }
    tombstones_unref(*set);
    *set = next;
    return ST_OK;
}

/* ---- loading ---- */

static status check_head(const struct frame *f, const struct tombstone_file *file,
                         struct err *err)
{
    if (f->type != FRAME_HEAD || f->len != HEAD_PAYLOAD_LEN || load_u64(f->payload) != file->id) {
        return err_set(err, ST_CORRUPT, "does not begin with its head");
    }
    if (memcmp(f->payload + 8, file->db.bytes, DATABASE_ID_LEN) != 0) {
        return err_set(err, ST_CORRUPT, "belongs to another database");
    }
    return ST_OK;
}

/* Whether any frame is readable behind off. True also when the search gets too long:
 * then it is better to refuse than to cut. */
static bool has_frame_behind(const uint8_t *src, size_t len, size_t off)
{
    uint8_t magic[4];
    size_t budget = SEARCH_MAX;
    struct frame f;

    store_u32(magic, STORE_MAGIC);
    while (off < len) {
        const uint8_t *at = memmem(src + off, len - off, magic, sizeof(magic));
        if (!at) return false;
        off = (size_t)(at - src);
        if (frame_read(&f, at, len - off, STORE_MAGIC, STORE_VERSION, RECORD_MAX, NULL) == ST_OK) {
            return true;
        }
        size_t cost = len - off < RECORD_MAX ? len - off : RECORD_MAX;
        if (cost > budget) return true;
        budget -= cost;
        off++;
    }
    return false;
}

/* The records of src; *end is where the valid ones end. */
static status parse_store(struct tombstone_file *file, struct tombstones **set,
                          const uint8_t *src, size_t len, size_t *end, struct err *err)
{
    struct id_list ids = {0};
    status st = ST_OK;

    *end = 0;
    while (*end < len && st == ST_OK) {
        struct frame f;
        st = frame_read(&f, src + *end, len - *end, STORE_MAGIC, STORE_VERSION, RECORD_MAX, err);
        if (st == ST_CORRUPT && *end > 0 && !has_frame_behind(src, len, *end + 1)) {
            st = ST_OK; /* torn */
            break;
        }
        if (st == ST_OK && *end == 0) st = check_head(&f, file, err);
        else if (st == ST_OK && f.type == FRAME_MARK) {
            if (f.len != MARK_PAYLOAD_LEN || load_u64(f.payload) != file->n_records) {
                st = err_set(err, ST_CORRUPT, "a mark counts other records");
            }
        } else if (st == ST_OK && f.type != FRAME_RECORD) {
            st = err_set(err, ST_UNSUPPORTED, "unknown record type %d", f.type);
        } else if (st == ST_OK) {
            st = apply_record(set, &ids, &f, err);
            file->n_records++;
        }
        if (st == ST_OK) *end += FRAME_HEAD_LEN + f.len;
    }
    vec_release(&ids);
    if (st != ST_OK) return err_wrap(err, st, "offset %zu", *end);
    return *end > 0 ? ST_OK : err_set(err, ST_CORRUPT, "empty");
}

static status load_store(struct tombstone_file *file, struct tombstones **set, struct err *err)
{
    layout_path path;
    uint8_t *src;
    size_t len, end;

    layout_tombstones(path, file->id);
    TRY(vfs_read_file(file->vfs, path, STORE_MAX, &src, &len, err));
    status st = parse_store(file, set, src, len, &end, err);
    mem_free(src);
    if (st != ST_OK) return err_wrap(err, st, "%s", path);

    TRY(vfs_open(file->vfs, &file->file, path, VFS_WRITE, err));
    file->len = end;
    if (end == len) return ST_OK;
    TRY(vfs_truncate(file->file, end, err));
    return vfs_sync(file->file, err);
}

/* ---- opening ---- */

static status create_store(struct tombstone_file *file, uint64_t id, struct strbuf *content,
                           struct err *err)
{
    struct vfs_file *opened;
    layout_path path;

    if (content->failed) return err_set(err, ST_NO_MEMORY, "deletes");
    layout_tombstones(path, id);
    TRY(durable_replace(file->vfs, path, content->ptr, content->len, err));
    TRY(vfs_open(file->vfs, &opened, path, VFS_WRITE, err));
    vfs_close(file->file);
    file->file = opened;
    file->id = id;
    file->len = content->len;
    return ST_OK;
}

struct newest {
    struct vfs *vfs;
    uint64_t id;      /* 0: none */
    uint64_t keep;    /* second pass: removes the others */
};

static status see_store(void *ctx, const struct vfs_entry *entry)
{
    struct newest *newest = ctx;
    layout_path path;
    uint64_t id;

    if (!layout_tombstones_id(&id, entry->name)) return ST_OK;
    if (id > newest->id) newest->id = id;
    if (newest->keep != 0 && id < newest->keep) {
        layout_tombstones(path, id);
        vfs_remove_best_effort(newest->vfs, path); /* superseded: the next opening tries again */
    }
    return ST_OK;
}

status tombstone_file_open(struct tombstone_file **out, struct tombstones **set, struct vfs *vfs,
                           const struct database_id *db, struct err *err)
{
    struct newest newest = {.vfs = vfs};
    struct tombstones *loaded = NULL;
    struct strbuf content;

    TRY(vfs_mkdir_all(vfs, LAYOUT_TOMBSTONE_DIR, err));
    TRY(vfs_list(vfs, LAYOUT_TOMBSTONE_DIR, see_store, &newest, err));
    struct tombstone_file *file = mem_alloc(sizeof(*file));
    *file = (struct tombstone_file){.vfs = vfs, .db = *db, .id = newest.id};
    status st;
    if (newest.id == 0) {
        strbuf_init(&content, 0);
        put_head(&content, 1, db);
        st = create_store(file, 1, &content, err);
        strbuf_release(&content);
    } else {
        st = load_store(file, &loaded, err);
        newest.keep = newest.id;
        if (st == ST_OK) st = vfs_list(vfs, LAYOUT_TOMBSTONE_DIR, see_store, &newest, err);
    }
    if (st != ST_OK) {
        tombstones_unref(loaded);
        tombstone_file_close(file);
        return err_wrap(err, st, "open the deletes");
    }
    *out = file;
    *set = loaded;
    return ST_OK;
}

/* ---- looking only ---- */

/* Every record that can be read, wherever it lies. */
static status salvage_store(struct tombstone_file *file, struct tombstones **set,
                            const uint8_t *src, size_t len, uint64_t *n_lost, struct err *err)
{
    struct id_list ids = {0};
    status st = ST_OK;
    bool lost = false;

    for (size_t off = 0; off < len && st == ST_OK;) {
        struct frame f;
        bool good = frame_read(&f, src + off, len - off, STORE_MAGIC, STORE_VERSION, RECORD_MAX,
                               NULL) == ST_OK;
        if (!good) {
            if (!lost) ++*n_lost;
            lost = true;
            const uint8_t *at = memchr(src + off + 1, STORE_MAGIC & 0xff, len - off - 1);
            if (!at) break;
            off = (size_t)(at - src);
            continue;
        }
        lost = false;
        if (off == 0) st = check_head(&f, file, err);
        else if (f.type == FRAME_RECORD) st = apply_record(set, &ids, &f, err);
        if (st == ST_CORRUPT && off > 0) { /* a frame that holds no record */
            ++*n_lost;
            st = ST_OK;
        }
        off += FRAME_HEAD_LEN + f.len;
    }
    vec_release(&ids);
    return st;
}

status tombstone_file_load(struct tombstones **set, layout_path path, bool salvage,
                           uint64_t *n_lost, struct vfs *vfs, const struct database_id *db,
                           struct err *err)
{
    struct newest newest = {.vfs = vfs};
    struct tombstone_file file = {.vfs = vfs, .db = *db};
    struct tombstones *loaded = NULL;
    uint64_t lost = 0;
    layout_path at;
    uint8_t *src;
    size_t len, end;

    status st = vfs_list(vfs, LAYOUT_TOMBSTONE_DIR, see_store, &newest, err);
    if (st != ST_OK) return st;
    if (newest.id == 0) return err_set(err, ST_NOT_FOUND, "no file of deletes");
    file.id = newest.id;
    layout_tombstones(at, file.id);
    if (path) memcpy(path, at, sizeof(at));
    TRY(vfs_read_file(vfs, at, STORE_MAX, &src, &len, err));
    st = salvage ? salvage_store(&file, &loaded, src, len, &lost, err)
                 : parse_store(&file, &loaded, src, len, &end, err);
    mem_free(src);
    if (st != ST_OK) {
        tombstones_unref(loaded);
        return err_wrap(err, st, "%s", at);
    }
    *set = loaded;
    if (n_lost) *n_lost = lost;
    return ST_OK;
}

void tombstone_file_close(struct tombstone_file *file)
{
    if (!file) return;
    vfs_close(file->file);
    mem_free(file);
}

/* ---- writing ---- */

static status write_synced(struct tombstone_file *file, const struct strbuf *bytes,
                           struct err *err)
{
    if (bytes->failed) return err_set(err, ST_NO_MEMORY, "deletes");
    status st = vfs_write(file->file, file->len, bytes->ptr, bytes->len, err);
    if (st == ST_OK) st = vfs_sync(file->file, err);
    if (st != ST_OK) file->poisoned = true;
    else file->len += bytes->len;
    return st;
}

status tombstone_file_append(struct tombstone_file *file, const struct delete_rec *rec,
                             struct err *err)
{
    struct strbuf bytes;

    if (file->poisoned) return err_set(err, ST_POISONED, "the store of deletes has failed");
    strbuf_init(&bytes, 0);
    status st = put_record(&bytes, rec, err);
    if (st == ST_OK) st = write_synced(file, &bytes, err);
    if (st == ST_OK) {
        file->n_records++;
        strbuf_reset(&bytes);
        put_mark(&bytes, file->n_records);
        st = write_synced(file, &bytes, err);
    }
    strbuf_release(&bytes);
    return st;
}

/* Entries of one record come one after another: they are put together again. */
struct rewrite {
    struct strbuf content;
    struct id_list ids;
    struct delete_rec rec;
    uint64_t n_records;
    struct err *err;
};

static status flush_record(struct rewrite *rw)
{
    if (rw->ids.len == 0) return ST_OK;
    rw->rec.ids = rw->ids.ptr;
    rw->rec.n_ids = rw->ids.len;
    TRY(put_record(&rw->content, &rw->rec, rw->err));
    rw->n_records++;
    vec_clear(&rw->ids);
    return ST_OK;
}

static status gather_entry(void *ctx, const struct delete_rec *rec)
{
    struct rewrite *rw = ctx;
    bool same = rw->ids.len > 0 && rec->gen == rw->rec.gen && rec->order == rw->rec.order &&
                rec->range.from == rw->rec.range.from && rec->range.to == rw->rec.range.to &&
                rec->ids[0] > rw->ids.ptr[rw->ids.len - 1];

    if (!same) TRY(flush_record(rw));
    rw->rec = *rec;
    if (!vec_push(&rw->ids, rec->ids[0])) return err_set(rw->err, ST_NO_MEMORY, "deletes");
    return ST_OK;
}

status tombstone_file_rewrite(struct tombstone_file *file, const struct tombstones *set,
                              struct err *err)
{
    struct rewrite rw = {.err = err};
    uint64_t old = file->id;
    layout_path path;

    if (file->poisoned) return err_set(err, ST_POISONED, "the store of deletes has failed");
    strbuf_init(&rw.content, STORE_MAX);
    put_head(&rw.content, old + 1, &file->db);
    status st = tombstones_each(set, gather_entry, &rw);
    if (st == ST_OK) st = flush_record(&rw);
    if (st == ST_OK) {
        put_mark(&rw.content, rw.n_records);
        st = create_store(file, old + 1, &rw.content, err);
        /* Which of the two files counts now is unknown: no appends until it is opened. */
        if (st != ST_OK) file->poisoned = true;
    }
    if (st == ST_OK) {
        file->n_records = rw.n_records;
        layout_tombstones(path, old);
        vfs_remove_best_effort(file->vfs, path);
    }
    strbuf_release(&rw.content);
    vec_release(&rw.ids);
    return st;
}

uint64_t tombstone_file_bytes(const struct tombstone_file *file)
{
    return file->len;
}

uint64_t tombstone_file_records(const struct tombstone_file *file)
{
    return file->n_records;
}
