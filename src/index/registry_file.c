/* Writing series_index.bin. See registry_file.h and docs/formats/registry.md.
 *
 *   1. freeze   the live ordinals, as they are now
 *   2. mark     the pairs that they use, and the names and values of those: what only
 *               dead series used is left behind
 *   3. write    names, values, pairs with new dense numbers, series, end
 *
 * The writer runs beside the owner as a registered reader: it looks only at entries
 * that were alive in step 1, which stay readable until it is done. Nothing is kept in
 * memory but the ordinals, the numbers and one block.
 */
#include "index/registry_file.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/durable.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "codec/compress.h"
#include "index/registry_file_priv.h"
#include "index/registry_priv.h"

enum { UNUSED = UINT32_MAX };

/* New numbers by old id. */
struct renumber {
    uint32_t *to; /* UNUSED until marked */
    uint32_t n_old, n_new;
};

struct save {
    const struct registry *reg;
    const _Atomic bool *cancelled;
    uint32_t *ordinals;
    size_t n_ordinals;
    series_id next_id;
    struct renumber names, values, pairs;
    struct vfs_file *file;
    uint64_t off;
    struct strbuf raw, packed; /* the block being made, and compressed */
    uint32_t n_records;
    uint16_t type;
    struct err *err;
};

struct registry_prefix registry_prefix(const struct registry *reg, uint64_t covers)
{
    return (struct registry_prefix){.n_births = registry_n_births(reg),
                                    .next_id = registry_next_id(reg),
                                    .covers = covers};
}

/* ---------------------------------------------------------------- freeze and mark */

static status renumber_init(struct renumber *num, uint32_t n)
{
    num->to = mem_try_array(n ? n : 1, sizeof(*num->to));
    if (!num->to) return ST_NO_MEMORY;
    memset(num->to, 0xff, (size_t)n * sizeof(*num->to)); /* UNUSED */
    num->n_old = n;
    return ST_OK;
}

static void renumber_mark(struct renumber *num, uint32_t id)
{
    num->to[id] = 0;
}

/* In the old order, so that a file is a function of the history. */
static void renumber_count(struct renumber *num)
{
    for (uint32_t i = 0; i < num->n_old; i++) {
        if (num->to[i] != UNUSED) num->to[i] = num->n_new++;
    }
}

static status freeze(struct save *s)
{
    uint32_t n = registry_n_ordinals(s->reg);
    s->ordinals = mem_try_array(n ? n : 1, sizeof(*s->ordinals));
    if (!s->ordinals) return ST_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        const struct series_entry *entry = entry_at(s->reg, i);
        if (!entry_live(entry)) continue;
        s->ordinals[s->n_ordinals++] = i;
        if (entry->id >= s->next_id) s->next_id = entry->id + 1;
    }
    return ST_OK;
}

static status mark(struct save *s)
{
    const struct registry *reg = s->reg;
    /* After the ordinals were frozen: their pairs lie below these lengths. */
    TRY(renumber_init(&s->pairs, n_pairs(reg)));
    TRY(renumber_init(&s->names, dict_len(reg->names)));
    TRY(renumber_init(&s->values, dict_len(reg->values)));
    for (size_t i = 0; i < s->n_ordinals; i++) {
        struct packed list = packed_open(packed_of(reg, entry_at(reg, s->ordinals[i])));
        while (list.n > 0) renumber_mark(&s->pairs, packed_next(&list));
    }
    for (uint32_t i = 0; i < s->pairs.n_old; i++) {
        if (s->pairs.to[i] == UNUSED) continue;
        renumber_mark(&s->names, pair_at(reg, i)->name);
        renumber_mark(&s->values, pair_at(reg, i)->value);
    }
    renumber_count(&s->pairs);
    renumber_count(&s->names);
    renumber_count(&s->values);
    return ST_OK;
}

/* ---------------------------------------------------------------- blocks */

static status put_frame(struct save *s, uint16_t type, const void *payload, size_t len)
{
    uint8_t head[FRAME_HEAD_LEN];
    frame_put_head(head, &(struct frame){.magic = REGISTRY_MAGIC,
                                         .version = REGISTRY_FILE_VERSION,
                                         .type = type,
                                         .payload = payload,
                                         .len = len});
    TRY(vfs_write(s->file, s->off, head, sizeof(head), s->err));
    TRY(vfs_write(s->file, s->off + sizeof(head), payload, len, s->err));
    s->off += sizeof(head) + len;
    return ST_OK;
}

static status close_block(struct save *s)
{
    if (s->raw.failed) return ST_NO_MEMORY;
    if (s->n_records == 0) return ST_OK;
    if (s->cancelled && atomic_load_explicit(s->cancelled, memory_order_relaxed)) {
        return ST_CANCELLED;
    }
    if (s->raw.len > BLOCK_RAW_MAX) {
        return err_set(s->err, ST_TOO_LARGE, "a record of %zu bytes", s->raw.len);
    }
    size_t bound = zstd_bound(s->raw.len), len;
    strbuf_reset(&s->packed);
    if (!strbuf_reserve(&s->packed, BLOCK_HEAD_LEN + bound)) return ST_NO_MEMORY;
    char *head = s->packed.ptr;
    store_u32(head + BLOCK_OFF_N, s->n_records);
    store_u32(head + BLOCK_OFF_RAW_LEN, (uint32_t)s->raw.len);
    TRY(zstd_encode(&len, head + BLOCK_HEAD_LEN, bound, s->raw.ptr, s->raw.len,
                    ZSTD_LEVEL_STORED));
    TRY(put_frame(s, s->type, head, BLOCK_HEAD_LEN + len));
    strbuf_reset(&s->raw);
    s->n_records = 0;
    return ST_OK;
}

static status open_blocks(struct save *s, uint16_t type)
{
    TRY(close_block(s));
    s->type = type;
    return ST_OK;
}

static status end_record(struct save *s)
{
    s->n_records++;
    return s->raw.failed || s->raw.len >= BLOCK_RAW_AIM ? close_block(s) : ST_OK;
}

static void put_varint(struct save *s, uint64_t v)
{
    uint8_t bytes[VARINT_MAX];
    strbuf_put(&s->raw, bytes, varint_put(bytes, v));
}

static void put_u64(struct save *s, uint64_t v)
{
    uint8_t bytes[8];
    store_u64(bytes, v);
    strbuf_put(&s->raw, bytes, sizeof(bytes));
}

static void put_text(struct save *s, struct slice text)
{
    put_varint(s, text.len);
    strbuf_slice(&s->raw, text);
}

/* ---------------------------------------------------------------- contents */

static status put_texts(struct save *s, uint16_t type, const struct dict *dict,
                        const struct renumber *num)
{
    TRY(open_blocks(s, type));
    for (uint32_t i = 0; i < num->n_old; i++) {
        if (num->to[i] == UNUSED) continue;
        put_text(s, dict_text(dict, i));
        TRY(end_record(s));
    }
    return ST_OK;
}

static status put_pairs(struct save *s)
{
    TRY(open_blocks(s, REG_FRAME_PAIRS));
    for (uint32_t i = 0; i < s->pairs.n_old; i++) {
        if (s->pairs.to[i] == UNUSED) continue;
        put_varint(s, s->names.to[pair_at(s->reg, i)->name]);
        put_varint(s, s->values.to[pair_at(s->reg, i)->value]);
        TRY(end_record(s));
    }
    return ST_OK;
}

static void put_attrs(struct save *s, const struct series_attrs *attrs)
{
    put_varint(s, zigzag(attrs->retention_ms));
    put_varint(s, zigzag(attrs->ignore_max_ms));
    put_u64(s, f64_bits(attrs->ignore_max_val));
    put_varint(s, attrs->chunk_bytes);
    strbuf_char(&s->raw, (char)attrs->policy);
    strbuf_char(&s->raw, (char)attrs->uncompressed);
}

static status put_series(struct save *s)
{
    TRY(open_blocks(s, REG_FRAME_SERIES));
    series_id before = 0;
    for (size_t i = 0; i < s->n_ordinals; i++) {
        const struct series_entry *entry = entry_at(s->reg, s->ordinals[i]);
        const struct series_attrs *attrs = entry_attrs(entry);
        struct packed list = packed_open(packed_of(s->reg, entry));
        uint8_t flags = (uint8_t)((list.keyed ? RECORD_KEYED : 0) |
                                  (attrs ? RECORD_ATTRS : 0) |
                                  (entry->label_version != 1 ? RECORD_VERSION : 0));

        if (s->n_records == 0) before = 0; /* each block stands alone */
        put_varint(s, zigzag((int64_t)(entry->id - before)));
        before = entry->id;
        put_u64(s, entry->place);
        strbuf_char(&s->raw, (char)entry->type);
        strbuf_char(&s->raw, (char)flags);
        put_varint(s, list.n);
        while (list.n > 0) put_varint(s, s->pairs.to[packed_next(&list)]);
        if (list.keyed) put_text(s, packed_key(&list));
        if (attrs) put_attrs(s, attrs);
        if (flags & RECORD_VERSION) put_varint(s, entry->label_version);
        TRY(end_record(s));
    }
    return close_block(s);
}

static status put_all(struct save *s, const struct registry_prefix *prefix,
                      const uint8_t database_id[16])
{
    uint8_t head[HEAD_LEN], end[END_LEN];
    memcpy(head + HEAD_OFF_DATABASE, database_id, 16);
    store_u64(head + HEAD_OFF_NEXT_ID, s->next_id);
    store_u64(head + HEAD_OFF_COVERS, prefix->covers);
    TRY(put_frame(s, REG_FRAME_HEAD, head, sizeof(head)));
    TRY(put_texts(s, REG_FRAME_NAMES, s->reg->names, &s->names));
    TRY(put_texts(s, REG_FRAME_VALUES, s->reg->values, &s->values));
    TRY(put_pairs(s));
    TRY(put_series(s));
    store_u64(end + END_OFF_NAMES, s->names.n_new);
    store_u64(end + END_OFF_VALUES, s->values.n_new);
    store_u64(end + END_OFF_PAIRS, s->pairs.n_new);
    store_u64(end + END_OFF_SERIES, s->n_ordinals);
    TRY(put_frame(s, REG_FRAME_END, end, sizeof(end)));
    return vfs_sync(s->file, s->err);
}

static status save_to(struct save *s, const struct registry_prefix *prefix,
                      const uint8_t database_id[16], struct vfs *vfs, const char *path)
{
    char staging[VFS_PATH_MAX];
    int n = snprintf(staging, sizeof(staging), "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof(staging)) {
        return err_set(s->err, ST_INVALID, "path is too long");
    }
    TRY(freeze(s));
    TRY(mark(s));
    TRY(vfs_open(vfs, &s->file, staging, VFS_TRUNCATE, s->err));
    status st = put_all(s, prefix, database_id);
    vfs_close(s->file);
    if (st == ST_OK) st = durable_rename_file(vfs, staging, path, s->err);
    if (st != ST_OK) vfs_remove_best_effort(vfs, staging);
    return st;
}

status registry_save(const struct registry *reg, const struct registry_prefix *prefix,
                     const uint8_t database_id[16], struct vfs *vfs, const char *path,
                     const _Atomic bool *cancelled, struct err *err)
{
    struct save s = {
        .reg = reg, .cancelled = cancelled, .next_id = prefix->next_id, .err = err};
    strbuf_init(&s.raw, 0);
    strbuf_init(&s.packed, 0);
    status st = save_to(&s, prefix, database_id, vfs, path);
    strbuf_release(&s.raw);
    strbuf_release(&s.packed);
    mem_free(s.ordinals);
    mem_free(s.names.to);
    mem_free(s.values.to);
    mem_free(s.pairs.to);
    return st == ST_OK ? ST_OK : err_wrap(err, st, "registry snapshot %s", path);
}
