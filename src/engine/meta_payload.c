/* Records of exemplars and metadata. See meta_payload.h. */
#include "engine/meta_payload.h"

#include <string.h>

#include "base/bytes.h"
#include "base/panic.h"
#include "base/utf8.h"
#include "base/varint.h"

enum { RECORD_EXEMPLAR = 1, RECORD_FAMILY = 2 };
enum { HAS_TS = 1 };
enum { EXEMPLAR_HEAD = 2 + 8 + 8 + 8 };

/* ---- writing -------------------------------------------------------------------- */

size_t meta_exemplar_bound(const struct exemplar *ex)
{
    return META_EXEMPLAR_BYTES + ex->labels.len;
}

size_t meta_family_bound(const struct metric_meta *meta)
{
    return META_FAMILY_BYTES + meta->family.len + meta->help.len + meta->unit.len;
}

static size_t put_text(uint8_t *dst, struct slice text)
{
    size_t n = varint_put(dst, text.len);
    if (text.len) memcpy(dst + n, text.ptr, text.len);
    return n + text.len;
}

size_t meta_exemplar_put(uint8_t *dst, series_id id, const struct exemplar *ex)
{
    _Static_assert(EXEMPLAR_HEAD + 2 <= META_EXEMPLAR_BYTES, "the bound");
    DASSERT(id != 0 && exemplar_packed_valid(ex->labels)); /* or nobody could read it */
    dst[0] = RECORD_EXEMPLAR;
    dst[1] = ex->has_ts ? HAS_TS : 0;
    store_u64(dst + 2, id);
    store_i64(dst + 10, ex->ts);
    store_u64(dst + 18, f64_bits(ex->value));
    return EXEMPLAR_HEAD + put_text(dst + EXEMPLAR_HEAD, ex->labels);
}

size_t meta_family_put(uint8_t *dst, const struct metric_meta *meta)
{
    size_t at = 2;
    DASSERT(meta->family.len && utf8_valid(meta->family) && utf8_valid(meta->help) &&
            utf8_valid(meta->unit)); /* decoders have seen to it */
    dst[0] = RECORD_FAMILY;
    dst[1] = (uint8_t)meta->type;
    at += put_text(dst + at, meta->family);
    at += put_text(dst + at, meta->help);
    return at + put_text(dst + at, meta->unit);
}

/* ---- reading -------------------------------------------------------------------- */

static bool take_text(struct slice *out, struct slice *from, size_t len_max)
{
    uint64_t len;
    size_t n = varint_get(&len, (const uint8_t *)from->ptr, from->len);
    if (n == 0 || len > from->len - n || len > len_max) return false;
    *out = slice_of(from->ptr + n, (size_t)len);
    *from = slice_skip(*from, n + (size_t)len);
    return true;
}

static status take_exemplar(struct slice *from, const struct meta_taker *taker)
{
    const uint8_t *src = (const uint8_t *)from->ptr;
    if (from->len < EXEMPLAR_HEAD || src[1] > HAS_TS) return ST_CORRUPT;
    series_id id = load_u64(src + 2);
    struct exemplar ex = {.has_ts = src[1] == HAS_TS,
                          .ts = load_i64(src + 10),
                          .value = bits_f64(load_u64(src + 18))};
    *from = slice_skip(*from, EXEMPLAR_HEAD);
    if (id == 0 || !take_text(&ex.labels, from, EXEMPLAR_PACKED_MAX)) return ST_CORRUPT;
    if (!exemplar_packed_valid(ex.labels)) return ST_CORRUPT;
    return taker->exemplar ? taker->exemplar(taker->ctx, id, &ex) : ST_OK;
}

static status take_family(struct slice *from, const struct meta_taker *taker)
{
    struct metric_meta meta;
    if (from->len < 2 || (uint8_t)from->ptr[1] >= N_METRIC_TYPES) return ST_CORRUPT;
    meta.type = (enum metric_type)(uint8_t)from->ptr[1];
    *from = slice_skip(*from, 2);
    if (!take_text(&meta.family, from, META_TEXT_MAX) || meta.family.len == 0 ||
        !take_text(&meta.help, from, META_TEXT_MAX) || !take_text(&meta.unit, from, META_TEXT_MAX))
        return ST_CORRUPT;
    if (!utf8_valid(meta.family) || !utf8_valid(meta.help) || !utf8_valid(meta.unit))
        return ST_CORRUPT;
    return taker->family ? taker->family(taker->ctx, &meta) : ST_OK;
}

status meta_payload_each(struct slice payload, const struct meta_taker *taker)
{
    while (payload.len) {
        uint8_t kind = (uint8_t)payload.ptr[0];
        if (kind != RECORD_EXEMPLAR && kind != RECORD_FAMILY) return ST_CORRUPT;
        TRY(kind == RECORD_EXEMPLAR ? take_exemplar(&payload, taker)
                                    : take_family(&payload, taker));
    }
    return ST_OK;
}
