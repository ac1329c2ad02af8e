/* Reading series_index.bin. See registry_file.h and docs/formats/registry.md.
 *
 * The bytes are checked before they are believed: frames by their CRC, and, since a
 * CRC only tells accidents, every number by its range, every set by its order and the
 * whole by the counts in the end frame. File numbers of names, values and pairs become
 * registry ids through three arrays, so a series costs no text look-up but its hash.
 */
#include "index/registry_file.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "codec/compress.h"
#include "index/registry_file_priv.h"
#include "index/registry_priv.h"

typedef VEC(uint32_t) id_vec;
typedef VEC(struct slice) text_vec;

struct load {
    struct registry *reg;
    struct registry_loaded *out;
    struct arena texts;  /* names and values, until the pairs are known */
    text_vec names, values;
    id_vec pairs;        /* file number -> registry id */
    struct strbuf raw;   /* the block in hand */
    VEC(uint8_t) identity;
    struct arena arena;  /* of one series */
    uint16_t stage;      /* type of the last frame */
    uint64_t n_series;
    struct err *err;
};

/* A block's records, read from the front. */
struct cursor {
    const uint8_t *at, *end;
    struct err *err;
};

#define DAMAGED(l, ...) err_set((l)->err, ST_CORRUPT, __VA_ARGS__)

static bool get_varint(struct cursor *c, uint64_t *out)
{
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

/* ---------------------------------------------------------------- records */

static status load_text(struct load *l, struct cursor *c, text_vec *texts)
{
    struct slice text;
    if (!get_text(c, &text) || text.len == 0) {
        return DAMAGED(l, "text %zu: cut short or empty", texts->len);
    }
    text = arena_copy(&l->texts, text);
    if (!text.ptr || texts->len >= UINT32_MAX - 2) return ST_NO_MEMORY;
    return vec_push(texts, text) ? ST_OK : ST_NO_MEMORY;
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
    if (slice_is(l->names.ptr[name], LABEL_KEY)) {
        return DAMAGED(l, "pair %zu: " LABEL_KEY " is no pair", l->pairs.len);
    }
    uint32_t n_before = n_pairs(l->reg);
    uint32_t id = registry_intern_pair(l->reg, l->names.ptr[name], l->values.ptr[value]);
    if (id == ID_NONE) return ST_NO_MEMORY;
    if (id != n_before) return DAMAGED(l, "pair %zu: is there twice", l->pairs.len);
    return vec_push(&l->pairs, id) ? ST_OK : ST_NO_MEMORY;
}

static bool get_attrs(struct cursor *c, struct series_attrs *attrs)
{
    uint64_t retention, max_ms, max_val, chunk;
    uint8_t policy, uncompressed;
    if (!get_varint(c, &retention) || !get_varint(c, &max_ms) || !get_u64(c, &max_val) ||
        !get_varint(c, &chunk) || !get_u8(c, &policy) || !get_u8(c, &uncompressed)) {
        return false;
    }
    if (chunk > UINT32_MAX || policy > DUP_SUM || uncompressed > 1) return false;
    *attrs = (struct series_attrs){.retention_ms = unzigzag(retention),
                                   .ignore_max_ms = unzigzag(max_ms),
                                   .ignore_max_val = bits_f64(max_val),
                                   .chunk_bytes = (uint32_t)chunk,
                                   .policy = policy,
                                   .uncompressed = uncompressed};
    return true;
}

/* The labels of the series whose pairs are in reg->scratch, the key in its place.
 * Fails when they are out of order. */
static status make_labels(struct load *l, struct slice key, struct labels *out)
{
    const struct registry *reg = l->reg;
    size_t n = reg->scratch.len + (key.ptr != NULL), at = 0;
    struct label *labels = arena_try_array(&l->arena, n ? n : 1, sizeof(*labels));
    if (!labels) return ST_NO_MEMORY;
    bool key_due = key.ptr != NULL;
    for (size_t i = 0; i < reg->scratch.len; i++) {
        const struct pair *pair = pair_at(reg, reg->scratch.ptr[i]);
        struct slice name = dict_text(reg->names, pair->name);
        if (at > 0 && slice_cmp(labels[at - 1].name, name) >= 0) {
            return DAMAGED(l, "series %" PRIu64 ": labels out of order", l->n_series);
        }
        if (key_due && slice_cmp(slice_str(LABEL_KEY), name) < 0) {
            labels[at++] = (struct label){slice_str(LABEL_KEY), key};
            key_due = false;
        }
        labels[at++] = (struct label){name, dict_text(reg->values, pair->value)};
    }
    if (key_due) labels[at++] = (struct label){slice_str(LABEL_KEY), key};
    *out = (struct labels){labels, n};
    return ST_OK;
}

static status make_identity(struct load *l, struct series_new *make)
{
    size_t len = labels_identity_len(make->labels);
    vec_clear(&l->identity);
    if (!vec_reserve(&l->identity, len ? len : 1)) return ST_NO_MEMORY;
    labels_identity(l->identity.ptr, make->labels);
    make->identity = slice_of(l->identity.ptr, len);
    make->hash = hash128(l->identity.ptr, len);
    return ST_OK;
}

static status add_series(struct load *l, struct series_new *make, struct slice key)
{
    TRY(make_labels(l, key, &make->labels));
    TRY(make_identity(l, make));
    uint32_t ordinal;
    if (registry_find(l->reg, make->identity, make->hash) != ORDINAL_NONE) {
        return DAMAGED(l, "series %" PRIu64 ": its labels are there twice", l->n_series);
    }
    struct slice tenant = labels_get(make->labels, slice_str(LABEL_TENANT));
    if (key.ptr && registry_by_key(l->reg, tenant, key) != ORDINAL_NONE) {
        return DAMAGED(l, "series %" PRIu64 ": its key is there twice", l->n_series);
    }
    status st = registry_add_scratch(&ordinal, l->reg, make, key);
    if (st == ST_EXISTS || (st == ST_LIMIT && make->id == UINT64_MAX)) {
        return DAMAGED(l, "series %" PRIu64 ": id %" PRIu64 " is there twice or too large",
                       l->n_series, make->id);
    }
    return st;
}

static status load_series(struct load *l, struct cursor *c, series_id *before)
{
    struct series_new make = {.id = 0};
    struct series_attrs attrs;
    struct slice key = {NULL, 0};
    uint64_t delta, n, version = 1;
    uint8_t type, flags;
    bool ok = get_varint(c, &delta) && get_u64(c, &make.place) && get_u8(c, &type) &&
              get_u8(c, &flags) && get_varint(c, &n);
    if (!ok || !value_type_valid(type) || (flags & ~RECORD_FLAGS)) {
        return DAMAGED(l, "series %" PRIu64 ": head", l->n_series);
    }
    make.id = *before += (uint64_t)unzigzag(delta);
    make.type = type;
    vec_clear(&l->reg->scratch);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t pair;
        if (!get_varint(c, &pair) || pair >= l->pairs.len) {
            return DAMAGED(l, "series %" PRIu64 ": pair", l->n_series);
        }
        if (!vec_push(&l->reg->scratch, l->pairs.ptr[pair])) return ST_NO_MEMORY;
    }
    if (flags & RECORD_KEYED) ok = get_text(c, &key) && key.len > 0;
    if (flags & RECORD_ATTRS) ok = ok && get_attrs(c, &attrs);
    if (flags & RECORD_VERSION) ok = ok && get_varint(c, &version) && version <= UINT16_MAX;
    if (!ok || make.id == 0 || version == 0) {
        return DAMAGED(l, "series %" PRIu64 ": key, attributes, version or id", l->n_series);
    }
    if (flags & RECORD_ATTRS) make.attrs = &attrs;
    make.label_version = (uint16_t)version;
    arena_reset(&l->arena);
    TRY(add_series(l, &make, key));
    l->n_series++;
    return ST_OK;
}

/* ---------------------------------------------------------------- frames */

static status load_block(struct load *l, const struct frame *frame)
{
    if (frame->len < BLOCK_HEAD_LEN) return DAMAGED(l, "a block of %zu bytes", frame->len);
    uint32_t n = load_u32(frame->payload + BLOCK_OFF_N);
    uint32_t raw_len = load_u32(frame->payload + BLOCK_OFF_RAW_LEN);
    if (n == 0 || raw_len < n || raw_len > BLOCK_RAW_MAX) {
        return DAMAGED(l, "a block of %u records in %u bytes", n, raw_len);
    }
    strbuf_reset(&l->raw);
    if (!strbuf_reserve(&l->raw, raw_len)) return ST_NO_MEMORY;
    status st = zstd_decode_exact(l->raw.ptr, raw_len, frame->payload + BLOCK_HEAD_LEN,
                                  frame->len - BLOCK_HEAD_LEN);
    if (st == ST_NO_MEMORY) return st;
    if (st != ST_OK) return DAMAGED(l, "a block does not decompress");

    const uint8_t *raw = (const uint8_t *)l->raw.ptr;
    struct cursor c = {.at = raw, .end = raw + raw_len};
    series_id before = 0;
    for (uint32_t i = 0; i < n; i++) {
        switch (frame->type) {
        case REG_FRAME_NAMES: TRY(load_text(l, &c, &l->names)); break;
        case REG_FRAME_VALUES: TRY(load_text(l, &c, &l->values)); break;
        case REG_FRAME_PAIRS: TRY(load_pair(l, &c)); break;
        default: TRY(load_series(l, &c, &before)); break;
        }
    }
    if (c.at != c.end) return DAMAGED(l, "a block has %zu bytes too many", c.end - c.at);
    return ST_OK;
}

static status load_head(struct load *l, const struct frame *frame)
{
    if (frame->len != HEAD_LEN) return DAMAGED(l, "a head of %zu bytes", frame->len);
    memcpy(l->out->database_id, frame->payload + HEAD_OFF_DATABASE, 16);
    l->out->covers = load_u64(frame->payload + HEAD_OFF_COVERS);
    registry_raise_next_id(l->reg, load_u64(frame->payload + HEAD_OFF_NEXT_ID));
    return ST_OK;
}

static status load_end(struct load *l, const struct frame *frame)
{
    const uint8_t *p = frame->payload;
    if (frame->len != END_LEN || load_u64(p + END_OFF_NAMES) != l->names.len ||
        load_u64(p + END_OFF_VALUES) != l->values.len ||
        load_u64(p + END_OFF_PAIRS) != l->pairs.len ||
        load_u64(p + END_OFF_SERIES) != l->n_series) {
        return DAMAGED(l, "the counts at the end do not agree with the file");
    }
    l->out->n_series = l->n_series;
    return ST_OK;
}

static status load_frame(struct load *l, const struct frame *frame)
{
    bool first = l->stage == 0;
    if (frame->type < REG_FRAME_HEAD || frame->type > REG_FRAME_END ||
        frame->type < l->stage || first != (frame->type == REG_FRAME_HEAD)) {
        return DAMAGED(l, "frame type %u after %u", frame->type, l->stage);
    }
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

status registry_load(struct registry *reg, struct registry_loaded *out, struct vfs *vfs,
                     const char *path, struct err *err)
{
    struct vfs_file *file = NULL;
    struct vfs_map map = {.ptr = NULL};
    struct registry_loaded found = {.n_series = 0};
    struct load l = {.reg = reg, .out = &found, .err = err};
    arena_init(&l.texts, NULL, 64 << 10);
    arena_init(&l.arena, NULL, 4096);
    strbuf_init(&l.raw, 0);

    status st = vfs_open(vfs, &file, path, VFS_READ, err);
    if (st == ST_OK) st = vfs_map(file, &map, err);
    if (st == ST_OK) st = load_frames(&l, &map);
    if (st == ST_OK) *out = found;
    vfs_unmap(&map);
    vfs_close(file);
    arena_release(&l.texts);
    arena_release(&l.arena);
    strbuf_release(&l.raw);
    vec_release(&l.names);
    vec_release(&l.values);
    vec_release(&l.pairs);
    vec_release(&l.identity);
    return st == ST_OK ? ST_OK : err_wrap(err, st, "registry snapshot %s", path);
}
