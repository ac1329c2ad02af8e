/* Writing the registry's files. See registry_file.h and docs/formats/registry.md.
 *
 *   1. freeze   the series, as they are now, in the order of their ids
 *   2. mark     the pairs that they use, and the names and values of those: what only
 *               dead series used is left behind
 *   3. write    names, values, pairs with new dense numbers, the dead, series,
 *               attributes, end
 *
 * The writer runs beside the owner as a registered reader: it looks only at entries
 * that were alive in step 1, which stay readable until it is done. Numbers are an array
 * over all ids for a snapshot, and a sorted list of the used ids for a delta, so that a
 * delta costs what has changed and not what there is.
 */
#include "index/registry_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/durable.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "codec/compress.h"
#include "index/registry_file_priv.h"
#include "index/registry_priv.h"

enum { UNUSED = UINT32_MAX };

typedef VEC(series_id) id_list;

/* New numbers by old id. */
struct renumber {
    bool sparse;
    VEC(uint32_t) ids;  /* sparse: the marked ids, sorted when counted */
    uint32_t *to;       /* dense: UNUSED until marked */
    uint32_t n_old, n_new;
};

struct frozen {
    series_id id;
    uint32_t ordinal;
};

struct save {
    const struct registry *reg;
    const struct registry_prefix *prefix;
    const struct registry_changes *changes; /* NULL: a snapshot */
    const _Atomic bool *cancelled;
    VEC(struct frozen) series;
    id_list dead, attrs; /* sorted, each once */
    struct renumber names, values, pairs;
    struct vfs_file *file;
    uint64_t off;
    uint32_t crc;
    struct strbuf raw, packed; /* the block being made, and compressed */
    uint32_t n_records;
    uint64_t n_written[END_TYPES];
    uint16_t type;
    struct err *err;
};

struct registry_prefix registry_prefix(const struct registry *reg, uint64_t covers,
                                       uint64_t number)
{
    return (struct registry_prefix){.n_births = registry_n_births(reg),
                                    .next_id = registry_next_id(reg),
                                    .covers = covers,
                                    .number = number};
}

/* ---------------------------------------------------------------- numbers */

static status renumber_init(struct renumber *num, uint32_t n, bool sparse)
{
    num->sparse = sparse;
    num->n_old = n;
    if (sparse) return ST_OK;
    num->to = mem_try_array(n ? n : 1, sizeof(*num->to));
    if (!num->to) return ST_NO_MEMORY;
    memset(num->to, 0xff, (size_t)n * sizeof(*num->to)); /* UNUSED */
    return ST_OK;
}

static void renumber_release(struct renumber *num)
{
    mem_free(num->to);
    vec_release(&num->ids);
}

static status renumber_mark(struct renumber *num, uint32_t id)
{
    if (num->sparse) return vec_push(&num->ids, id) ? ST_OK : ST_NO_MEMORY;
    num->to[id] = 0;
    return ST_OK;
}

static int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* In the old order, so that a file is a function of the history. */
static void renumber_count(struct renumber *num)
{
    if (!num->sparse) {
        for (uint32_t i = 0; i < num->n_old; i++)
            if (num->to[i] != UNUSED) num->to[i] = num->n_new++;
        return;
    }
    if (num->ids.len) qsort(num->ids.ptr, num->ids.len, sizeof(*num->ids.ptr), cmp_u32);
    for (size_t i = 0; i < num->ids.len; i++)
        if (i == 0 || num->ids.ptr[i] != num->ids.ptr[i - 1])
            num->ids.ptr[num->n_new++] = num->ids.ptr[i];
    num->ids.len = num->n_new;
}

static uint32_t renumber_to(const struct renumber *num, uint32_t id)
{
    if (!num->sparse) return num->to[id];
    const uint32_t *at = bsearch(&id, num->ids.ptr, num->ids.len, sizeof(id), cmp_u32);
    return (uint32_t)(at - num->ids.ptr); /* marked: it is there */
}

/* The old ids in the order of their numbers: *at goes from 0 until false. */
static bool renumber_next(const struct renumber *num, uint32_t *at, uint32_t *id)
{
    uint32_t n = num->sparse ? (uint32_t)num->ids.len : num->n_old;
    while (*at < n) {
        uint32_t i = (*at)++;
        if (!num->sparse && num->to[i] == UNUSED) continue;
        *id = num->sparse ? num->ids.ptr[i] : i;
        return true;
    }
    return false;
}

/* ---------------------------------------------------------------- freeze and mark */

static status freeze_one(struct save *s, uint32_t ordinal)
{
    const struct series_entry *entry = entry_at(s->reg, ordinal);
    if (!entry_live(entry) || entry->id >= s->prefix->next_id) return ST_OK;
    struct frozen one = {.id = entry->id, .ordinal = ordinal};
    return vec_push(&s->series, one) ? ST_OK : ST_NO_MEMORY;
}

static int cmp_frozen(const void *a, const void *b)
{
    const struct frozen *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static void sort_series(struct save *s)
{
    size_t n = 0;
    bool sorted = true;
    for (size_t i = 1; i < s->series.len && sorted; i++)
        sorted = s->series.ptr[i - 1].id < s->series.ptr[i].id;
    if (sorted) return;
    qsort(s->series.ptr, s->series.len, sizeof(*s->series.ptr), cmp_frozen);
    for (size_t i = 0; i < s->series.len; i++) /* an ordinal may have been born twice */
        if (i == 0 || s->series.ptr[i].id != s->series.ptr[n - 1].id)
            s->series.ptr[n++] = s->series.ptr[i];
    s->series.len = n;
}

static int cmp_id(const void *a, const void *b)
{
    series_id x = *(const series_id *)a, y = *(const series_id *)b;
    return (x > y) - (x < y);
}

/* A sorted copy, each id once. */
static status sort_ids(id_list *dst, const series_id *src, size_t n)
{
    if (n == 0) return ST_OK;
    if (!vec_reserve(dst, n)) return ST_NO_MEMORY;
    memcpy(dst->ptr, src, n * sizeof(*src));
    qsort(dst->ptr, n, sizeof(*src), cmp_id);
    for (size_t i = 0; i < n; i++)
        if (dst->len == 0 || dst->ptr[dst->len - 1] != dst->ptr[i])
            dst->ptr[dst->len++] = dst->ptr[i];
    return ST_OK;
}

static status freeze(struct save *s)
{
    const struct registry_changes *c = s->changes;
    if (c) {
        for (uint64_t i = c->births_from; i < s->prefix->n_births; i++)
            TRY(freeze_one(s, registry_birth(s->reg, i)));
        TRY(sort_ids(&s->dead, c->dead, c->n_dead));
        TRY(sort_ids(&s->attrs, c->attrs, c->n_attrs));
    } else {
        uint32_t n = registry_n_ordinals(s->reg);
        if (!vec_reserve(&s->series, n)) return ST_NO_MEMORY;
        for (uint32_t i = 0; i < n; i++) TRY(freeze_one(s, i));
    }
    sort_series(s);
    return ST_OK;
}

static status mark(struct save *s)
{
    const struct registry *reg = s->reg;
    bool sparse = s->changes != NULL;
    /* After the series were frozen: their pairs lie below these lengths. */
    TRY(renumber_init(&s->pairs, n_pairs(reg), sparse));
    TRY(renumber_init(&s->names, dict_len(reg->names), sparse));
    TRY(renumber_init(&s->values, dict_len(reg->values), sparse));
    for (size_t i = 0; i < s->series.len; i++) {
        const struct series_entry *entry = entry_at(reg, s->series.ptr[i].ordinal);
        struct packed list = packed_open(packed_of(reg, entry));
        while (list.n > 0) TRY(renumber_mark(&s->pairs, packed_next(&list)));
    }
    renumber_count(&s->pairs);
    for (uint32_t at = 0, id; renumber_next(&s->pairs, &at, &id);) {
        TRY(renumber_mark(&s->names, pair_at(reg, id)->name));
        TRY(renumber_mark(&s->values, pair_at(reg, id)->value));
    }
    renumber_count(&s->names);
    renumber_count(&s->values);
    return ST_OK;
}

/* ---------------------------------------------------------------- blocks */

static status put_bytes(struct save *s, const void *src, size_t len)
{
    TRY(vfs_write(s->file, s->off, src, len, s->err));
    s->crc = crc32c(s->crc, src, len);
    s->off += len;
    return ST_OK;
}

static status put_frame(struct save *s, uint16_t type, const void *payload, size_t len)
{
    uint8_t head[FRAME_HEAD_LEN];
    frame_put_head(head, &(struct frame){.magic = REGISTRY_MAGIC,
                                         .version = REGISTRY_FILE_VERSION,
                                         .type = type,
                                         .payload = payload,
                                         .len = len});
    TRY(put_bytes(s, head, sizeof(head)));
    return put_bytes(s, payload, len);
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
    s->n_written[s->type - REG_FRAME_NAMES] += s->n_records;
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
    for (uint32_t at = 0, id; renumber_next(num, &at, &id);) {
        put_text(s, dict_text(dict, id));
        TRY(end_record(s));
    }
    return ST_OK;
}

static status put_pairs(struct save *s)
{
    TRY(open_blocks(s, REG_FRAME_PAIRS));
    for (uint32_t at = 0, id; renumber_next(&s->pairs, &at, &id);) {
        put_varint(s, renumber_to(&s->names, pair_at(s->reg, id)->name));
        put_varint(s, renumber_to(&s->values, pair_at(s->reg, id)->value));
        TRY(end_record(s));
    }
    return ST_OK;
}

/* Ids in rising order: the difference to the one before in the block. */
static void put_id(struct save *s, series_id id, series_id *before)
{
    if (s->n_records == 0) *before = 0; /* each block stands alone */
    put_varint(s, id - *before);
    *before = id;
}

static void put_attrs(struct save *s, const struct series_attrs *attrs)
{
    put_varint(s, zigzag(attrs->retention_ms));
    put_varint(s, zigzag(attrs->ignore_max_ms));
    put_u64(s, f64_bits(attrs->ignore_max_val));
    put_varint(s, attrs->chunk_bytes);
    strbuf_char(&s->raw, (char)attrs->policy);
    strbuf_char(&s->raw, (char)(attrs->uncompressed | (attrs->expire_ms ? 2 : 0) |
                                (attrs->rule_source ? 4 : 0)));
    if (attrs->expire_ms) put_varint(s, zigzag(attrs->expire_ms));
    if (!attrs->rule_source) return;
    put_varint(s, attrs->rule_source);
    put_varint(s, (uint64_t)attrs->rule_bucket_ms);
    put_varint(s, (uint64_t)attrs->rule_align_ms);
    put_varint(s, zigzag(attrs->rule_since));
    strbuf_char(&s->raw, (char)attrs->rule_agg);
}

static status put_dead(struct save *s)
{
    series_id before = 0;
    TRY(open_blocks(s, REG_FRAME_DEAD));
    for (size_t i = 0; i < s->dead.len; i++) {
        put_id(s, s->dead.ptr[i], &before);
        TRY(end_record(s));
    }
    return ST_OK;
}

static status put_series(struct save *s)
{
    series_id before = 0;
    TRY(open_blocks(s, REG_FRAME_SERIES));
    for (size_t i = 0; i < s->series.len; i++) {
        const struct series_entry *entry = entry_at(s->reg, s->series.ptr[i].ordinal);
        const struct series_attrs *attrs = entry_attrs(entry);
        struct packed list = packed_open(packed_of(s->reg, entry));
        bool hidden = entry_flags(entry) & SERIES_HIDDEN;
        uint8_t flags = (uint8_t)((hidden ? RECORD_STARTS : list.keyed ? RECORD_KEYED : 0) |
                                  (attrs ? RECORD_ATTRS : 0) |
                                  (entry->label_version != 1 ? RECORD_VERSION : 0));

        put_id(s, s->series.ptr[i].id, &before);
        put_u64(s, entry->place);
        strbuf_char(&s->raw, (char)entry->type);
        strbuf_char(&s->raw, (char)flags);
        put_varint(s, (uint64_t)list.n << 1 | list.keyed);
        while (list.n > 0) put_varint(s, renumber_to(&s->pairs, packed_next(&list)));
        if (list.keyed) put_text(s, packed_key(&list));
        if (attrs) put_attrs(s, attrs);
        if (flags & RECORD_VERSION) put_varint(s, entry->label_version);
        TRY(end_record(s));
    }
    return ST_OK;
}

static status put_changed_attrs(struct save *s)
{
    series_id before = 0;
    TRY(open_blocks(s, REG_FRAME_ATTRS));
    for (size_t i = 0; i < s->attrs.len; i++) {
        uint32_t ordinal = registry_by_id(s->reg, s->attrs.ptr[i]);
        if (ordinal == ORDINAL_NONE) continue;
        const struct series_attrs *attrs = entry_attrs(entry_at(s->reg, ordinal));
        put_id(s, s->attrs.ptr[i], &before);
        strbuf_char(&s->raw, attrs != NULL);
        if (attrs) put_attrs(s, attrs);
        TRY(end_record(s));
    }
    return ST_OK;
}

static status put_all(struct save *s, const uint8_t database_id[16])
{
    uint8_t head[HEAD_LEN] = {0}, end[END_LEN];
    memcpy(head + HEAD_OFF_DATABASE, database_id, 16);
    store_u64(head + HEAD_OFF_NEXT_ID, s->prefix->next_id);
    store_u64(head + HEAD_OFF_COVERS, s->prefix->covers);
    store_u64(head + HEAD_OFF_NUMBER, s->prefix->number);
    store_u32(head + HEAD_OFF_KIND, s->changes ? REG_KIND_DELTA : REG_KIND_SNAPSHOT);
    TRY(put_frame(s, REG_FRAME_HEAD, head, sizeof(head)));
    TRY(put_texts(s, REG_FRAME_NAMES, s->reg->names, &s->names));
    TRY(put_texts(s, REG_FRAME_VALUES, s->reg->values, &s->values));
    TRY(put_pairs(s));
    TRY(put_dead(s));
    TRY(put_series(s));
    TRY(put_changed_attrs(s));
    TRY(close_block(s));
    for (size_t i = 0; i < END_TYPES; i++) store_u64(end + 8 * i, s->n_written[i]);
    TRY(put_frame(s, REG_FRAME_END, end, sizeof(end)));
    return vfs_sync(s->file, s->err);
}

static status save_to(struct save *s, const uint8_t database_id[16], struct vfs *vfs,
                      const char *path)
{
    char staging[VFS_PATH_MAX];
    int n = snprintf(staging, sizeof(staging), "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof(staging)) {
        return err_set(s->err, ST_INVALID, "path is too long");
    }
    TRY(freeze(s));
    TRY(mark(s));
    TRY(vfs_open(vfs, &s->file, staging, VFS_TRUNCATE, s->err));
    status st = put_all(s, database_id);
    vfs_close(s->file);
    if (st == ST_OK) st = durable_rename_file(vfs, staging, path, s->err);
    if (st != ST_OK) vfs_remove_best_effort(vfs, staging);
    return st;
}

status registry_save(const struct registry *reg, const struct registry_prefix *prefix,
                     const struct registry_changes *changes, const uint8_t database_id[16],
                     struct vfs *vfs, const char *path, const _Atomic bool *cancelled,
                     struct registry_part *part, struct err *err)
{
    struct save s = {.reg = reg,
                     .prefix = prefix,
                     .changes = changes,
                     .cancelled = cancelled,
                     .err = err};
    strbuf_init(&s.raw, 0);
    strbuf_init(&s.packed, 0);
    status st = save_to(&s, database_id, vfs, path);
    strbuf_release(&s.raw);
    strbuf_release(&s.packed);
    vec_release(&s.series);
    vec_release(&s.dead);
    vec_release(&s.attrs);
    renumber_release(&s.names);
    renumber_release(&s.values);
    renumber_release(&s.pairs);
    if (st != ST_OK) return err_wrap(err, st, "registry file %s", path);
    if (part)
        *part = (struct registry_part){
        .path = path, .number = prefix->number, .n_bytes = s.off, .crc = s.crc};
    return ST_OK;
}
