/* Bodies as they were sent. See body.h. */
#include "ingest/body.h"

#include "base/bytes.h"
#include "codec/compress.h"
#include "codec/snappy.h"

enum body_coding body_coding_of(struct slice content_encoding)
{
    if (content_encoding.len == 0 || slice_is_nocase(content_encoding, "identity"))
        return BODY_PLAIN;
    if (slice_is_nocase(content_encoding, "snappy")) return BODY_SNAPPY;
    if (slice_is_nocase(content_encoding, "zstd")) return BODY_ZSTD;
    return BODY_UNKNOWN;
}

static status decode_snappy(struct strbuf *dst, struct slice src, size_t len_max, struct err *err)
{
    size_t len;
    TRY(snappy_block_len(&len, src.ptr, src.len, len_max, err));
    if (!strbuf_reserve(dst, len)) return err_set(err, ST_NO_MEMORY, "a body of %zu bytes", len);
    TRY(snappy_block_decode(dst->ptr + dst->len, len, src.ptr, src.len, err));
    dst->len += len;
    return ST_OK;
}

static bool looks_like_zstd(struct slice src)
{
    return src.len >= 4 && load_u32(src.ptr) == 0xfd2fb528; /* the magic of a frame */
}

/* vmagent's queue may hold bodies that were compressed before it learned what the receiver
 * takes: they come under the other one's name. */
static status decode_either(struct strbuf *dst, enum body_coding coding, struct slice src,
                            size_t len_max, struct err *err)
{
    bool zstd = looks_like_zstd(src);
    size_t before = dst->len;
    if (coding == BODY_ZSTD && zstd) return zstd_decode(dst, src.ptr, src.len, len_max, err);
    status st = decode_snappy(dst, src, len_max, err);
    if (st == ST_OK || st == ST_NO_MEMORY || (coding == BODY_SNAPPY && !zstd)) return st;
    dst->len = before;
    return zstd_decode(dst, src.ptr, src.len, len_max, err);
}

status body_decode(struct strbuf *dst, enum body_coding coding, struct slice src, size_t len_max,
                   struct err *err)
{
    switch (coding) {
    case BODY_PLAIN:
        if (src.len > len_max)
            return err_set(err, ST_TOO_LARGE, "a body of %zu bytes, the limit is %zu", src.len,
                           len_max);
        strbuf_slice(dst, src);
        return dst->failed ? err_set(err, ST_NO_MEMORY, "a body of %zu bytes", src.len) : ST_OK;
    case BODY_SNAPPY:
    case BODY_ZSTD: return decode_either(dst, coding, src, len_max, err);
    case BODY_UNKNOWN: break;
    }
    return err_set(err, ST_UNSUPPORTED, "unknown content encoding");
}

void body_put_snappy(struct strbuf *dst, struct slice src)
{
    if (!strbuf_reserve(dst, snappy_block_bound(src.len))) return;
    dst->len += snappy_block_encode(dst->ptr + dst->len, src.ptr, src.len);
}
