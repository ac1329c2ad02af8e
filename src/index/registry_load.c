/* Reading the registry's files. See registry_file.h and docs/formats/registry.md.
 *
 * The bytes are checked before they are believed: frames by their CRC, and, since a
 * CRC only tells accidents, every number by its range, every set by its order and the
 * whole by the counts in the end frame. Blocks of series decompress and decode side by
 * side; the records of all files are then one list in the order of ids, of which
 * registry_build.c makes the tables at once.
 *
 * In a snapshot the numbers of names, values and pairs are the ids that an empty
 * registry gives them, so a label list is taken as it stands; in a delta they become
 * registry ids through three arrays and lists are written anew.
 */
#include "index/registry_file.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/thread.h"
#include "codec/compress.h"
#include "index/registry_file_priv.h"
#include "index/registry_records_priv.h"
#include "model/agg.h"

typedef VEC(uint32_t) id_vec;
typedef VEC(uint8_t *) raw_vec;

enum { DECODERS_MAX = 8 };

/* A block of series, which may be decoded on any thread. */
struct series_block {
    const uint8_t *payload;
    size_t len;
    uint32_t n, raw_len;
    size_t first;        /* of the records */
    uint8_t *raw;        /* decompressed: records point into it until the build */
};

/* One file. */
struct load {
    struct registry *reg;
    record_vec *records;   /* of all files */
    raw_vec *keep;         /* what records point into */
    struct arena *arena;   /* recoded lists */
    struct registry_loaded *out;
    bool delta;
    id_vec names, values, pairs; /* file number -> registry id */
    VEC(struct series_block) blocks;
    record_vec own;        /* records of a delta, before they join the others */
    uint64_t counts[END_TYPES];
    uint16_t stage;        /* type of the last frame */
    unsigned n_threads;
    struct err *err;
};

/* A block's records, read from the front. */
struct cursor {
    const uint8_t *at, *end;
};

#define DAMAGED(l, ...) err_set((l)->err, ST_CORRUPT, __VA_ARGS__)

static bool get_varint(struct cursor *c, uint64_t *out)
{
    if (c->at < c->end && *c->at < 0x80) {
        *out = *c->at++;
        return true;
    }
    size_t n = varint_get(out, c->at, (size_t)(c->end - c->at));
    c->at += n;
    return n > 0;
}

static bool get_u64(struct cursor *c, uint64_t *out)
{
    if (c->end - c->at < 8) return false;
    *out = load_u64(c->at);
    c->at += 8;
    return true;
}

static bool get_u8(struct cursor *c, uint8_t *out)
{
    if (c->at == c->end) return false;
    *out = *c->at++;
    return true;
}

static bool get_text(struct cursor *c, struct slice *out)
{
    uint64_t len;
    if (!get_varint(c, &len) || len > (size_t)(c->end - c->at)) return false;
    *out = slice_of(c->at, (size_t)len);
    c->at += len;
    return true;
}

static bool get_attrs(struct cursor *c, struct series_attrs *attrs)
{
    uint64_t retention, max_ms, max_val, chunk, expire = 0;
    uint64_t source = 0, bucket = 0, align = 0, since = 0;
    uint8_t policy, flags, agg = 0; /* 1 uncompressed, 2 an expiry follows, 4 a rule */
    if (!get_varint(c, &retention) || !get_varint(c, &max_ms) || !get_u64(c, &max_val) ||
        !get_varint(c, &chunk) || !get_u8(c, &policy) || !get_u8(c, &flags)) {
        return false;
    }
    if (chunk > UINT32_MAX || policy > DUP_SUM || flags > 7) return false;
    if ((flags & 2) && !get_varint(c, &expire)) return false;
    if ((flags & 4) && (!get_varint(c, &source) || !get_varint(c, &bucket) ||
                        !get_varint(c, &align) || !get_varint(c, &since) || !get_u8(c, &agg) ||
                        source == 0 || bucket - 1 >= INT64_MAX || align > INT64_MAX ||
                        agg >= N_AGGS))
        return false;
    *attrs = (struct series_attrs){.retention_ms = unzigzag(retention),
                                   .ignore_max_ms = unzigzag(max_ms),
                                   .ignore_max_val = bits_f64(max_val),
                                   .chunk_bytes = (uint32_t)chunk,
                                   .policy = policy,
                                   .uncompressed = flags & 1,
                                   .expire_ms = unzigzag(expire),
                                   .rule_agg = agg,
                                   .rule_source = source,
                                   .rule_bucket_ms = (int64_t)bucket,
                                   .rule_align_ms = (int64_t)align,
                                   .rule_since = unzigzag(since)};
    return true;
}

void record_attrs(struct series_attrs *out, const uint8_t *src)
{
    struct cursor c = {src, src + 12 * VARINT_MAX}; /* checked when the record was read */
    (void)get_attrs(&c, out);
}

/* ---------------------------------------------------------------- names, values, pairs */

/* A snapshot's numbers are the ids themselves. */
static status take_number(struct load *l, id_vec *ids, uint32_t id, const char *what)
{
    if (id == ID_NONE) return ST_NO_MEMORY;
    if (!l->delta && id != ids->len) return DAMAGED(l, "%s %zu: is there twice", what, ids->len);
    return vec_push(ids, id) ? ST_OK : ST_NO_MEMORY;
}

static status load_text(struct load *l, struct cursor *c, id_vec *ids, struct dict *dict)
{
    struct slice text;
    if (!get_text(c, &text) || text.len == 0) {
        return DAMAGED(l, "text %zu: cut short or empty", ids->len);
    }
    if (dict == l->reg->names && (slice_is(text, LABEL_KEY) || slice_is(text, LABEL_STARTS))) {
        return DAMAGED(l, "name %zu: " SLICE_FMT " is no name of a pair", ids->len,
                       SLICE_ARG(text));
    }
    return take_number(l, ids, dict_intern(dict, text), "text");
}

static status load_pair(struct load *l, struct cursor *c)
{
    uint64_t name, value;
    if (!get_varint(c, &name) || !get_varint(c, &value)) {
        return DAMAGED(l, "pair %zu: cut short", l->pairs.len);
    }
    if (name >= l->names.len || value >= l->values.len) {
        return DAMAGED(l, "pair %zu: name %" PRIu64 " of %zu, value %" PRIu64 " of %zu",
                       l->pairs.len, name, l->names.len, value, l->values.len);
    }
    uint32_t id =
        registry_intern_ids(l->reg, l->names.ptr[name], l->values.ptr[value]);
    return take_number(l, &l->pairs, id, "pair");
}

/* ---------------------------------------------------------------- series */

static bool get_packed(struct cursor *c, struct record *rec, uint64_t n_pairs_known, bool *keyed)
{
    uint64_t head, pair;
    struct slice key;
    uint64_t parent, place;
    rec->packed = c->at;
    if (!get_varint(c, &head) || head >> 1 > n_pairs_known) return false;
    for (uint64_t i = 0; i < head >> 1; i++)
        if (!get_varint(c, &pair) || pair >= n_pairs_known) return false;
    *keyed = head & 1;
    if (*keyed && (!get_text(c, &key) || key.len == 0)) return false;
    if (rec->hidden && (head != 1 || !starts_value_parse(key, &parent, &place))) return false;
    rec->len = (uint32_t)(c->at - rec->packed);
    return true;
}

static bool get_record(struct cursor *c, struct record *rec, uint64_t n_pairs_known,
                       series_id *before)
{
    struct series_attrs attrs;
    uint64_t delta, version = 1;
    uint8_t type, flags;
    bool keyed;
    *rec = (struct record){.attrs = NULL};
    if (!get_varint(c, &delta) || !get_u64(c, &rec->place) || !get_u8(c, &type) ||
        !get_u8(c, &flags) || !value_type_valid(type) || (flags & ~RECORD_FLAGS))
        return false;
    rec->hidden = (flags & RECORD_STARTS) != 0; /* from version 3 on */
    if ((rec->hidden && (flags & RECORD_KEYED)) ||
        !get_packed(c, rec, n_pairs_known, &keyed) ||
        keyed != (rec->hidden || (flags & RECORD_KEYED)))
        return false;
    if (flags & RECORD_ATTRS) {
        rec->attrs = c->at;
        if (!get_attrs(c, &attrs)) return false;
    }
    if ((flags & RECORD_VERSION) && (!get_varint(c, &version) || version <= 1)) return false;
    if (delta == 0 || version > UINT16_MAX || __builtin_add_overflow(*before, delta, before))
        return false;
    rec->id = *before;
    rec->type = type;
    rec->label_version = (uint16_t)version;
    return rec->id != UINT64_MAX;
}

static status decompress(uint8_t **out, const uint8_t *payload, size_t len, uint32_t raw_len)
{
    uint8_t *raw = mem_try(raw_len);
    if (!raw) return ST_NO_MEMORY;
    status st = zstd_decode_exact(raw, raw_len, payload + BLOCK_HEAD_LEN, len - BLOCK_HEAD_LEN);
    if (st != ST_OK) mem_free(raw);
    else *out = raw;
    return st == ST_OK || st == ST_NO_MEMORY ? st : ST_CORRUPT;
}

static status decode_series(struct series_block *block, struct record *dst, uint64_t n_known)
{
    TRY(decompress(&block->raw, block->payload, block->len, block->raw_len));
    struct cursor c = {block->raw, block->raw + block->raw_len};
    series_id before = 0;
    for (uint32_t i = 0; i < block->n; i++)
        if (!get_record(&c, &dst[i], n_known, &before)) return ST_CORRUPT;
    return c.at == c.end ? ST_OK : ST_CORRUPT;
}

/* Every k-th block of a file. */
struct decoder {
    struct load *load;
    struct record *records;
    size_t from, step;
    status st;
    size_t bad;
};

static void run_decoder(void *ctx)
{
    struct decoder *d = ctx;
    struct load *l = d->load;
    for (size_t i = d->from; i < l->blocks.len && d->st == ST_OK; i += d->step) {
        struct series_block *block = &l->blocks.ptr[i];
        d->st = decode_series(block, d->records + block->first, l->pairs.len);
        d->bad = i;
    }
}

/* Decodes all blocks of series into records, which has room. */
static status decode_blocks(struct load *l, record_vec *records, size_t n)
{
    struct decoder decoders[DECODERS_MAX];
    unsigned n_decoders = l->n_threads < 1 ? 1 : l->n_threads;
    if (n_decoders > DECODERS_MAX) n_decoders = DECODERS_MAX;
    if (n_decoders > l->blocks.len) n_decoders = (unsigned)l->blocks.len;
    if (n_decoders == 0) return ST_OK;
    if (!vec_reserve(records, n) || !vec_reserve(l->keep, l->blocks.len)) return ST_NO_MEMORY;
    for (unsigned i = 0; i < n_decoders; i++)
        decoders[i] = (struct decoder){
            .load = l, .records = records->ptr + records->len, .from = i, .step = n_decoders};
    threads_together("load", run_decoder, decoders, sizeof(decoders[0]), n_decoders);

    for (size_t i = 0; i < l->blocks.len; i++)
        if (l->blocks.ptr[i].raw) (void)vec_push(l->keep, l->blocks.ptr[i].raw); /* reserved */
    for (unsigned i = 0; i < n_decoders; i++) {
        if (decoders[i].st == ST_CORRUPT)
            return DAMAGED(l, "block %zu of series: a record is wrong", decoders[i].bad);
        TRY(decoders[i].st);
    }
    records->len += n;
    return ST_OK;
}

/* Within a file ids rise, also from block to block. */
static status check_order(struct load *l, const struct record *records, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (records[i].id <= records[i - 1].id)
            return DAMAGED(l, "series %zu: id %" PRIu64 " out of order", i, records[i].id);
    return ST_OK;
}

/* ---------------------------------------------------------------- deltas */

static struct record *find_record(record_vec *records, series_id id)
{
    size_t from = 0, to = records->len;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (records->ptr[mid].id < id) from = mid + 1;
        else to = mid;
    }
    return from < records->len && records->ptr[from].id == id ? &records->ptr[from] : NULL;
}

/* The list with registry ids in place of the file's numbers. */
static status recode(struct load *l, struct record *rec)
{
    struct packed list = packed_open(rec->packed);
    uint8_t *dst = arena_try(l->arena, (size_t)rec->len + ((size_t)list.n + 1) * VARINT_MAX);
    if (!dst) return ST_NO_MEMORY;
    uint8_t *at = dst + varint_put(dst, (uint64_t)list.n << 1 | list.keyed);
    while (list.n > 0) at += varint_put(at, l->pairs.ptr[packed_next(&list)]);
    if (list.keyed) {
        struct slice key = packed_key(&list);
        at += varint_put(at, key.len);
        memcpy(at, key.ptr, key.len);
        at += key.len;
    }
    rec->packed = dst;
    rec->len = (uint32_t)(at - dst);
    return ST_OK;
}

/* A new series, or one whose labels changed: same id, higher version. */
static status join_records(struct load *l)
{
    if (!vec_reserve(l->records, l->own.len ? l->own.len : 1)) return ST_NO_MEMORY;
    for (size_t i = 0; i < l->own.len; i++) {
        struct record *rec = &l->own.ptr[i];
        TRY(recode(l, rec));
        size_t n = l->records->len;
        if (n == 0 || l->records->ptr[n - 1].id < rec->id) {
            l->records->ptr[l->records->len++] = *rec;
            continue;
        }
        struct record *old = find_record(l->records, rec->id);
        if (!old || (!old->dead && old->label_version >= rec->label_version))
            return DAMAGED(l, "series %" PRIu64 ": is there already", rec->id);
        *old = *rec;
    }
    return ST_OK;
}

static status load_dead(struct load *l, struct cursor *c, series_id *id)
{
    uint64_t delta;
    if (!get_varint(c, &delta) || delta == 0 || __builtin_add_overflow(*id, delta, id))
        return DAMAGED(l, "a dead series: id");
    struct record *rec = find_record(l->records, *id);
    if (rec) rec->dead = true; /* else it was born and died between two files */
    return ST_OK;
}

static status load_attrs(struct load *l, struct cursor *c, series_id *id)
{
    struct series_attrs attrs;
    uint64_t delta;
    uint8_t has;
    const uint8_t *at = NULL;
    bool ok = get_varint(c, &delta) && delta && !__builtin_add_overflow(*id, delta, id) &&
              get_u8(c, &has) && has <= 1;
    if (ok && has) {
        at = c->at;
        ok = get_attrs(c, &attrs);
    }
    if (!ok) return DAMAGED(l, "attributes of a series");
    struct record *rec = find_record(l->records, *id);
    if (!rec) return ST_OK;
    if (at) {
        struct slice copy = arena_copy(l->arena, slice_of(at, (size_t)(c->at - at)));
        if (!copy.ptr) return ST_NO_MEMORY;
        at = (const uint8_t *)copy.ptr;
    }
    rec->attrs = at;
    return ST_OK;
}

/* ---------------------------------------------------------------- frames */

static status load_small_block(struct load *l, uint16_t type, const uint8_t *raw, size_t len,
                               uint32_t n)
{
    struct cursor c = {raw, raw + len};
    series_id id = 0;
    for (uint32_t i = 0; i < n; i++) {
        switch (type) {
        case REG_FRAME_NAMES: TRY(load_text(l, &c, &l->names, l->reg->names)); break;
        case REG_FRAME_VALUES: TRY(load_text(l, &c, &l->values, l->reg->values)); break;
        case REG_FRAME_PAIRS: TRY(load_pair(l, &c)); break;
        case REG_FRAME_DEAD: TRY(load_dead(l, &c, &id)); break;
        default: TRY(load_attrs(l, &c, &id)); break;
        }
    }
    if (c.at != c.end) return DAMAGED(l, "a block has %zu bytes too many", c.end - c.at);
    return ST_OK;
}

static status load_block(struct load *l, const struct frame *frame)
{
    if (frame->len < BLOCK_HEAD_LEN) return DAMAGED(l, "a block of %zu bytes", frame->len);
    uint32_t n = load_u32(frame->payload + BLOCK_OFF_N);
    uint32_t raw_len = load_u32(frame->payload + BLOCK_OFF_RAW_LEN);
    if (n == 0 || raw_len < n || raw_len > BLOCK_RAW_MAX) {
        return DAMAGED(l, "a block of %u records in %u bytes", n, raw_len);
    }
    uint64_t *count = &l->counts[frame->type - REG_FRAME_NAMES];
    if (frame->type == REG_FRAME_SERIES) {
        struct series_block block = {.payload = frame->payload,
                                     .len = frame->len,
                                     .n = n,
                                     .raw_len = raw_len,
                                     .first = *count};
        *count += n;
        return vec_push(&l->blocks, block) ? ST_OK : ST_NO_MEMORY;
    }
    uint8_t *raw;
    status st = decompress(&raw, frame->payload, frame->len, raw_len);
    if (st == ST_CORRUPT) return DAMAGED(l, "a block does not decompress");
    TRY(st);
    st = load_small_block(l, frame->type, raw, raw_len, n);
    mem_free(raw);
    *count += n;
    return st;
}

/* All series of the file, once their last block is known. */
static status load_series(struct load *l)
{
    size_t n = l->counts[REG_FRAME_SERIES - REG_FRAME_NAMES];
    record_vec *to = l->delta ? &l->own : l->records;
    TRY(decode_blocks(l, to, n));
    TRY(check_order(l, to->ptr, to->len));
    vec_clear(&l->blocks);
    return l->delta ? join_records(l) : ST_OK;
}

static status load_head(struct load *l, const struct frame *frame)
{
    const uint8_t *p = frame->payload;
    if (frame->len != HEAD_LEN) return DAMAGED(l, "a head of %zu bytes", frame->len);
    uint32_t kind = load_u32(p + HEAD_OFF_KIND);
    if (kind != (l->delta ? REG_KIND_DELTA : REG_KIND_SNAPSHOT))
        return DAMAGED(l, "a file of kind %u", kind);
    if (l->delta && memcmp(l->out->database_id, p + HEAD_OFF_DATABASE, 16) != 0)
        return DAMAGED(l, "belongs to another database");
    memcpy(l->out->database_id, p + HEAD_OFF_DATABASE, 16);
    l->out->covers = load_u64(p + HEAD_OFF_COVERS);
    l->out->number = load_u64(p + HEAD_OFF_NUMBER);
    registry_raise_next_id(l->reg, load_u64(p + HEAD_OFF_NEXT_ID));
    return ST_OK;
}

static status load_end(struct load *l, const struct frame *frame)
{
    for (size_t i = 0; i < END_TYPES; i++)
        if (frame->len != END_LEN || load_u64(frame->payload + 8 * i) != l->counts[i])
            return DAMAGED(l, "the counts at the end do not agree with the file");
    return ST_OK;
}

static status load_frame(struct load *l, const struct frame *frame)
{
    bool first = l->stage == 0;
    bool only_delta = frame->type == REG_FRAME_DEAD || frame->type == REG_FRAME_ATTRS;
    if (frame->type < REG_FRAME_HEAD || frame->type > REG_FRAME_END ||
        frame->type < l->stage || first != (frame->type == REG_FRAME_HEAD) ||
        (only_delta && !l->delta)) {
        return DAMAGED(l, "frame type %u after %u", frame->type, l->stage);
    }
    if (frame->version < REGISTRY_FILE_OLDEST)
        return DAMAGED(l, "version %u, which is read no more", frame->version);
    if (l->stage <= REG_FRAME_SERIES && frame->type > REG_FRAME_SERIES) TRY(load_series(l));
    l->stage = frame->type;
    if (frame->type == REG_FRAME_HEAD) return load_head(l, frame);
    if (frame->type == REG_FRAME_END) return load_end(l, frame);
    return load_block(l, frame);
}

static status load_frames(struct load *l, const struct vfs_map *map)
{
    size_t off = 0;
    while (l->stage != REG_FRAME_END) {
        struct frame frame;
        status st = frame_read(&frame, map->ptr + off, map->len - off, REGISTRY_MAGIC,
                               REGISTRY_FILE_VERSION, BLOCK_HEAD_LEN + zstd_bound(BLOCK_RAW_MAX),
                               l->err);
        if (st == ST_OK) st = load_frame(l, &frame);
        if (st != ST_OK) return err_wrap(l->err, st, "at byte %zu", off);
        off += FRAME_HEAD_LEN + frame.len;
    }
    if (off == map->len) return ST_OK;
    return DAMAGED(l, "%zu bytes after the end", map->len - off);
}

/* ---------------------------------------------------------------- files */

/* Whether the map is the file that the list means. */
static status check_part(const struct vfs_map *map, const struct registry_part *part,
                         struct err *err)
{
    if (map->len != part->n_bytes)
        return err_set(err, ST_CORRUPT, "%zu bytes, not %" PRIu64, map->len, part->n_bytes);
    uint32_t crc = crc32c(0, map->ptr, map->len);
    if (crc == part->crc) return ST_OK;
    return err_set(err, ST_CORRUPT, "CRC %08x, not %08x", crc, part->crc);
}

/* The number in the head of a file that is otherwise unread; 0: there is none. */
static uint64_t number_of(const struct vfs_map *map)
{
    struct frame frame;
    if (frame_read(&frame, map->ptr, map->len, REGISTRY_MAGIC, REGISTRY_FILE_VERSION, HEAD_LEN,
                   NULL) != ST_OK ||
        frame.len != HEAD_LEN)
        return 0;
    return load_u64(frame.payload + HEAD_OFF_NUMBER);
}

static status load_map(struct load *l, const struct vfs_map *map,
                       const struct registry_load_options *opt, size_t idx)
{
    const struct registry_part *part = &opt->parts[idx];
    /* A snapshot may be newer than the list, when the power went between the two; its
     * own checksums and its end frame vouch for it. */
    bool newer = !l->delta && number_of(map) > part->number;
    if (!opt->any_bytes && !newer) TRY(check_part(map, part, l->err));
    TRY(load_frames(l, map));
    if (!opt->any_bytes && !newer && l->out->number != part->number)
        return DAMAGED(l, "number %" PRIu64 ", not %" PRIu64, l->out->number, part->number);
    l->out->n_read++;
    return ST_OK;
}

static status load_file(struct load *l, struct vfs *vfs, const struct registry_load_options *opt,
                        size_t idx)
{
    const char *path = opt->parts[idx].path;
    struct vfs_file *file = NULL;
    struct vfs_map map = {.ptr = NULL};
    status st = vfs_open(vfs, &file, path, VFS_READ, l->err);
    if (st == ST_OK) st = vfs_map(file, &map, l->err);
    if (st == ST_OK) st = load_map(l, &map, opt, idx);
    vfs_unmap(&map);
    vfs_close(file);
    vec_release(&l->names);
    vec_release(&l->values);
    vec_release(&l->pairs);
    vec_release(&l->blocks);
    vec_release(&l->own);
    return st == ST_OK ? ST_OK : err_wrap(l->err, st, "registry file %s", path);
}

static status load_all(struct load *l, struct vfs *vfs, const struct registry_load_options *opt)
{
    for (size_t i = 0; i < opt->n; i++) {
        l->out->bad = i;
        l->delta = i > 0;
        l->stage = 0;
        memset(l->counts, 0, sizeof(l->counts));
        if (l->delta && !opt->any_bytes && opt->parts[i].number <= l->out->number) continue;
        TRY(load_file(l, vfs, opt, i));
    }
    l->out->bad = 0;
    return registry_build(l->reg, l->records, l->n_threads, l->err);
}

status registry_load(struct registry *reg, struct registry_loaded *out, struct vfs *vfs,
                     const struct registry_load_options *opt, struct err *err)
{
    record_vec records = {0};
    raw_vec keep = {0};
    struct arena arena;
    struct load l = {.reg = reg,
                     .records = &records,
                     .keep = &keep,
                     .arena = &arena,
                     .out = out,
                     .n_threads = opt->n_threads,
                     .err = err};
    *out = (struct registry_loaded){.n_series = 0};
    arena_init(&arena, NULL, 64 << 10);
    status st = load_all(&l, vfs, opt);
    if (st == ST_OK) out->n_series = records.len;
    for (size_t i = 0; i < keep.len; i++) mem_free(keep.ptr[i]);
    vec_release(&keep);
    vec_release(&records);
    arena_release(&arena);
    return st;
}
