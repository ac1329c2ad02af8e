/* Payloads of WAL frames. See wal_payload.h. */
#include "engine/wal_payload.h"

#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/varint.h"
#include "model/value.h"

/* What is left to read. */
struct cursor {
    const uint8_t *at, *end;
};

static struct cursor cursor_of(struct slice s)
{
    const uint8_t *at = (const uint8_t *)s.ptr;
    return (struct cursor){at, at + s.len};
}

/* Most are a byte long. */
static inline bool take_varint(struct cursor *cur, uint64_t *out)
{
    if (likely(cur->at < cur->end && *cur->at < 0x80)) {
        *out = *cur->at++;
        return true;
    }
    size_t n = varint_get(out, cur->at, (size_t)(cur->end - cur->at));
    cur->at += n;
    return n > 0;
}

static const uint8_t *take(struct cursor *cur, uint64_t len)
{
    if (len > (uint64_t)(cur->end - cur->at)) return NULL;
    const uint8_t *at = cur->at;
    cur->at += len;
    return at;
}

/* --- attributes ------------------------------------------------------------------ */

/* What byte 30 announces behind the first 32 bytes. */
enum { ATTRS_PLAIN = 32, ATTRS_EXPIRE = 1, ATTRS_RULE = 2, EXPIRE_BYTES = 8, RULE_BYTES = 40 };
_Static_assert(ATTRS_PLAIN + EXPIRE_BYTES + RULE_BYTES == ATTRS_BYTES, "all of it");

size_t attrs_put(uint8_t dst[ATTRS_BYTES], const struct series_attrs *attrs)
{
    memset(dst, 0, ATTRS_PLAIN);
    store_i64(dst, attrs->retention_ms);
    store_i64(dst + 8, attrs->ignore_max_ms);
    store_u64(dst + 16, f64_bits(attrs->ignore_max_val));
    store_u32(dst + 24, attrs->chunk_bytes);
    dst[28] = (uint8_t)attrs->policy;
    dst[29] = attrs->uncompressed;
    uint8_t *at = dst + ATTRS_PLAIN;
    if (attrs->expire_ms) {
        dst[30] |= ATTRS_EXPIRE;
        store_i64(at, attrs->expire_ms);
        at += EXPIRE_BYTES;
    }
    if (attrs->rule_source) {
        dst[30] |= ATTRS_RULE;
        memset(at, 0, RULE_BYTES);
        store_u64(at, attrs->rule_source);
        store_i64(at + 8, attrs->rule_bucket_ms);
        store_i64(at + 16, attrs->rule_align_ms);
        store_i64(at + 24, attrs->rule_since);
        at[32] = attrs->rule_agg;
        at += RULE_BYTES;
    }
    return (size_t)(at - dst);
}

/* How many bytes attributes have that begin with these ATTRS_PLAIN. */
static size_t attrs_len(const uint8_t *at)
{
    return ATTRS_PLAIN + (at[30] & ATTRS_EXPIRE ? EXPIRE_BYTES : 0) +
           (at[30] & ATTRS_RULE ? RULE_BYTES : 0);
}

status attrs_get(struct series_attrs *out, struct slice src)
{
    const uint8_t *at = (const uint8_t *)src.ptr;
    if (src.len < ATTRS_PLAIN || src.len != attrs_len(at)) return ST_CORRUPT;
    if (at[28] > DUP_SUM || at[29] > 1 || at[30] > 3 || at[31]) return ST_CORRUPT;
    *out = (struct series_attrs){.retention_ms = load_i64(at),
                                 .ignore_max_ms = load_i64(at + 8),
                                 .ignore_max_val = bits_f64(load_u64(at + 16)),
                                 .chunk_bytes = load_u32(at + 24),
                                 .policy = (enum dup_policy)at[28],
                                 .uncompressed = at[29] != 0};
    uint8_t has = at[30];
    at += ATTRS_PLAIN;
    if (has & ATTRS_EXPIRE) {
        out->expire_ms = load_i64(at);
        at += EXPIRE_BYTES;
    }
    if (has & ATTRS_RULE) {
        out->rule_source = load_u64(at);
        out->rule_bucket_ms = load_i64(at + 8);
        out->rule_align_ms = load_i64(at + 16);
        out->rule_since = load_i64(at + 24);
        out->rule_agg = at[32];
        if (out->rule_source == 0) return ST_CORRUPT;
    }
    return attrs_valid(out) ? ST_OK : ST_CORRUPT;
}

/* --- definitions ----------------------------------------------------------------- */

size_t wal_series_put(uint8_t *dst, const struct wal_series *series)
{
    uint8_t *at = dst;
    store_u64(at, series->id);
    store_u64(at + 8, series->place);
    at[16] = (uint8_t)series->type;
    at[17] = series->has_attrs;
    at += 18;
    if (series->has_attrs) {
        at += attrs_put(at, &series->attrs);
    }
    at += varint_put(at, series->identity.len);
    memcpy(at, series->identity.ptr, series->identity.len);
    return (size_t)(at - dst) + series->identity.len;
}

static status get_series(struct wal_series *out, struct cursor *cur)
{
    const uint8_t *head = take(cur, 18), *attrs = NULL, *identity;
    uint64_t len;
    if (!head || !value_type_valid(head[16]) || head[17] > 1) return ST_CORRUPT;
    if (head[17] && !(attrs = take(cur, ATTRS_PLAIN))) return ST_CORRUPT;
    if (attrs && !take(cur, attrs_len(attrs) - ATTRS_PLAIN)) return ST_CORRUPT;
    if (!take_varint(cur, &len) || !(identity = take(cur, len))) return ST_CORRUPT;

    *out = (struct wal_series){.id = load_u64(head),
                               .place = load_u64(head + 8),
                               .type = (enum value_type)head[16],
                               .has_attrs = head[17] != 0,
                               .identity = slice_of(identity, len)};
    if (out->id == 0) return ST_CORRUPT;
    return attrs ? attrs_get(&out->attrs, slice_of(attrs, attrs_len(attrs))) : ST_OK;
}

status wal_series_each(struct slice payload,
                       status (*each)(void *ctx, const struct wal_series *series), void *ctx)
{
    struct cursor cur = cursor_of(payload);
    while (cur.at < cur.end) {
        struct wal_series series;
        TRY(get_series(&series, &cur));
        TRY(each(ctx, &series));
    }
    return ST_OK;
}

size_t wal_relabel_put(uint8_t *dst, const struct wal_series *series, uint16_t version)
{
    store_u16(dst, version);
    return 2 + wal_series_put(dst + 2, series);
}

status wal_relabel_get(struct wal_series *series, uint16_t *version, struct slice payload)
{
    struct cursor cur = cursor_of(payload);
    const uint8_t *head = take(&cur, 2);
    if (!head) return ST_CORRUPT;
    *version = load_u16(head);
    if (*version < 2) return ST_CORRUPT;
    TRY(get_series(series, &cur));
    return cur.at == cur.end ? ST_OK : ST_CORRUPT;
}

/* --- samples --------------------------------------------------------------------- */

static bool is_blob(uint8_t type)
{
    return type == VALUE_BYTES || type == VALUE_HISTOGRAM;
}

/* Differences are small: one byte for most, two for nearly all. */
static inline uint8_t *put_small(uint8_t *at, uint64_t v)
{
    if (likely(v < 0x80)) {
        *at = (uint8_t)v;
        return at + 1;
    }
    if (likely(v < 0x4000)) {
        at[0] = (uint8_t)(v | 0x80);
        at[1] = (uint8_t)(v >> 7);
        return at + 2;
    }
    return at + varint_put(at, v);
}

/* *any_blob: whether a value has a length of its own. */
static uint8_t *put_who(uint8_t *at, const struct wal_row *rows, size_t n, bool *any_blob)
{
    series_id prev = 0;
    *any_blob = false;
    for (size_t i = 0, len; i < n; i += len) {
        for (len = 1; i + len < n && rows[i + len].id == rows[i].id; len++) {
        }
        at = put_small(at, zigzag((int64_t)(rows[i].id - prev)));
        at = put_small(at, (uint64_t)len << 3 | rows[i].type);
        prev = rows[i].id;
        *any_blob |= is_blob(rows[i].type);
    }
    return at;
}

size_t wal_samples_put(uint8_t *dst, const struct wal_row *rows, size_t n)
{
    uint8_t *at = dst + varint_put(dst, n);
    bool any_blob;
    at = put_who(at, rows, n, &any_blob);
    ts_time prev = 0;
    for (size_t i = 0; i < n; i++) {
        at = put_small(at, zigzag(wrap_sub(rows[i].ts, prev)));
        prev = rows[i].ts;
    }
    if (!any_blob) {
        for (size_t i = 0; i < n; i++) store_u64(at + 8 * i, rows[i].bits);
        return (size_t)(at - dst) + 8 * n;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_blob(rows[i].type)) {
            store_u64(at, rows[i].bits);
            at += 8;
            continue;
        }
        at += varint_put(at, rows[i].bytes.len);
        if (rows[i].bytes.len) memcpy(at, rows[i].bytes.ptr, rows[i].bytes.len);
        at += rows[i].bytes.len;
    }
    return (size_t)(at - dst);
}

/* Three cursors go through the columns together: who, when, what. */
struct columns {
    struct cursor who, when, what;
    uint64_t n, left_of_run;
    series_id id;
    uint8_t type;
    ts_time ts;
};

/* Finds where the second and third column begin. */
static status split_columns(struct columns *col, struct slice payload)
{
    struct cursor cur = cursor_of(payload);
    uint64_t skip, run, sum = 0;
    *col = (struct columns){.n = 0};
    if (!take_varint(&cur, &col->n) || col->n > payload.len) return ST_CORRUPT;
    col->who = cur;
    while (sum < col->n) {
        if (!take_varint(&cur, &skip) || !take_varint(&cur, &run) || run >> 3 == 0 ||
            run >> 3 > col->n - sum)
            return ST_CORRUPT;
        sum += run >> 3;
    }
    col->when = cur;
    for (uint64_t i = 0; i < col->n; i++)
        if (!take_varint(&cur, &skip)) return ST_CORRUPT;
    col->what = cur;
    return ST_OK;
}

static status next_row(struct columns *col, struct wal_row *row)
{
    uint64_t v;
    if (col->left_of_run == 0) {
        if (!take_varint(&col->who, &v)) return ST_CORRUPT;
        col->id += (uint64_t)unzigzag(v);
        if (!take_varint(&col->who, &v) || !value_type_valid(v & 7)) return ST_CORRUPT;
        col->type = v & 7;
        col->left_of_run = v >> 3;
    }
    col->left_of_run--;
    if (!take_varint(&col->when, &v)) return ST_CORRUPT;
    col->ts = wrap_add(col->ts, unzigzag(v));
    *row = (struct wal_row){.id = col->id, .ts = col->ts, .type = col->type};
    if (!is_blob(col->type)) {
        const uint8_t *at = take(&col->what, 8);
        if (!at) return ST_CORRUPT;
        row->bits = load_u64(at);
        return ST_OK;
    }
    const uint8_t *at;
    if (!take_varint(&col->what, &v) || !(at = take(&col->what, v))) return ST_CORRUPT;
    row->bytes = slice_of(at, v);
    return ST_OK;
}

status wal_samples_each(struct slice payload,
                        status (*each)(void *ctx, const struct wal_row *row), void *ctx)
{
    struct columns col;
    TRY(split_columns(&col, payload));
    for (uint64_t i = 0; i < col.n; i++) {
        struct wal_row row;
        TRY(next_row(&col, &row));
        TRY(each(ctx, &row));
    }
    return col.what.at == col.what.end ? ST_OK : ST_CORRUPT;
}

/* --- attributes and deletes ------------------------------------------------------ */

size_t wal_attrs_put(uint8_t *dst, series_id id, const struct series_attrs *attrs)
{
    store_u64(dst, id);
    return 8 + attrs_put(dst + 8, attrs);
}

status wal_attrs_get(series_id *id, struct series_attrs *attrs, struct slice payload)
{
    if (payload.len < 8) return ST_CORRUPT;
    *id = load_u64(payload.ptr);
    return attrs_get(attrs, slice_skip(payload, 8));
}

/* n varints behind their number: each the difference to the one before. */
static uint8_t *put_ids(uint8_t *at, const uint64_t *ids, size_t n)
{
    at += varint_put(at, n);
    for (size_t i = 0; i < n; i++) at += varint_put(at, ids[i] - (i ? ids[i - 1] : 0));
    return at;
}

/* The rest of the payload; *ids is the caller's. */
static status get_ids(uint64_t **ids, size_t *n, struct cursor *cur)
{
    uint64_t count, id = 0, step = 0;
    if (!take_varint(cur, &count) || count > (size_t)(cur->end - cur->at)) return ST_CORRUPT;

    uint64_t *list = mem_try_array(count ? count : 1, sizeof(*list));
    if (!list) return ST_NO_MEMORY;
    for (uint64_t i = 0; i < count; i++) {
        if (!take_varint(cur, &step) || step == 0 || step > UINT64_MAX - id) {
            mem_free(list);
            return ST_CORRUPT;
        }
        list[i] = id += step;
    }
    if (cur->at != cur->end) {
        mem_free(list);
        return ST_CORRUPT;
    }
    *ids = list;
    *n = count;
    return ST_OK;
}

size_t wal_delete_put(uint8_t *dst, const uint64_t *ids, size_t n, struct time_range range,
                      uint64_t order)
{
    store_i64(dst, range.from);
    store_i64(dst + 8, range.to);
    store_u64(dst + 16, order);
    return (size_t)(put_ids(dst + 24, ids, n) - dst);
}

status wal_delete_get(uint64_t **ids, size_t *n, struct time_range *range, uint64_t *order,
                      struct slice payload)
{
    struct cursor cur = cursor_of(payload);
    const uint8_t *head = take(&cur, 24);
    if (!head) return ST_CORRUPT;
    TRY(get_ids(ids, n, &cur));
    *range = (struct time_range){load_i64(head), load_i64(head + 8)};
    *order = load_u64(head + 16);
    return ST_OK;
}

size_t wal_remove_put(uint8_t *dst, const uint64_t *ids, size_t n)
{
    return (size_t)(put_ids(dst, ids, n) - dst);
}

status wal_remove_get(uint64_t **ids, size_t *n, struct slice payload)
{
    struct cursor cur = cursor_of(payload);
    return get_ids(ids, n, &cur);
}
