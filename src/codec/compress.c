/* zstd, bounded. Every context refuses windows above 8 MiB; every decoder counts its
 * output and stops at the limit, and a frame that states its size is refused before a
 * byte of it is made.
 *
 * A dry heap is told from bad input by the library's error code. */
#include "codec/compress.h"

#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/mem.h"
#include "base/panic.h"

enum { PIECE_LEN = 64 << 10 }; /* output is asked for in pieces of at least this */

size_t zstd_bound(size_t len)
{
    return ZSTD_compressBound(len);
}

/* What the library means, in our words. */
static status status_of(size_t code, status bad_input)
{
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation:
        return ST_NO_MEMORY;
    case ZSTD_error_frameParameter_windowTooLarge:
        return ST_TOO_LARGE;
    case ZSTD_error_dstSize_tooSmall:
        return ST_TOO_LARGE;
    default:
        return bad_input;
    }
}

status zstd_encode(size_t *out, void *dst, size_t cap, const void *src, size_t len, int level)
{
    size_t n = ZSTD_compress(dst, cap, src, len, level);
    if (ZSTD_isError(n)) return status_of(n, ST_INTERNAL);
    *out = n;
    return ST_OK;
}

status zstd_decode_exact(void *dst, size_t dst_len, const void *src, size_t len)
{
    size_t n = ZSTD_decompress(dst, dst_len, src, len);
    if (ZSTD_isError(n)) {
        return status_of(n, ST_CORRUPT) == ST_NO_MEMORY ? ST_NO_MEMORY : ST_CORRUPT;
    }
    return n == dst_len ? ST_OK : ST_CORRUPT;
}

struct zstd_pack {
    ZSTD_CCtx *enc;
    ZSTD_DCtx *dec;
    uint8_t *frame; /* with its magic */
    size_t cap;
};

static const uint8_t zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd}; /* RFC 8878, 3.1.1 */

struct zstd_pack *zstd_pack_new(void)
{
    return mem_try_zero(sizeof(struct zstd_pack));
}

void zstd_pack_free(struct zstd_pack *pack)
{
    if (!pack) return;
    ZSTD_freeCCtx(pack->enc);
    ZSTD_freeDCtx(pack->dec);
    mem_free(pack->frame);
    mem_free(pack);
}

/* Room for a frame of len bytes with its magic. */
static bool reserve_frame(struct zstd_pack *pack, size_t len)
{
    if (len + sizeof(zstd_magic) <= pack->cap) return true;
    mem_free(pack->frame);
    pack->cap = len + sizeof(zstd_magic);
    pack->frame = mem_try(pack->cap);
    if (!pack->frame) pack->cap = 0;
    return pack->frame != NULL;
}

static bool open_encoder(struct zstd_pack *pack, int level)
{
    if (!pack->enc) pack->enc = ZSTD_createCCtx();
    if (!pack->enc) return false;
    return !ZSTD_isError(ZSTD_CCtx_setParameter(pack->enc, ZSTD_c_compressionLevel, level)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(pack->enc, ZSTD_c_contentSizeFlag, 0)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(pack->enc, ZSTD_c_checksumFlag, 0));
}

size_t zstd_pack_encode(struct zstd_pack *pack, uint8_t *dst, size_t cap, const uint8_t *src,
                        size_t len, int level)
{
    if (!open_encoder(pack, level) || !reserve_frame(pack, cap)) return 0;
    size_t n = ZSTD_compress2(pack->enc, pack->frame, cap + sizeof(zstd_magic), src, len);
    if (ZSTD_isError(n) || n <= sizeof(zstd_magic)) return 0;
    ASSERT(memcmp(pack->frame, zstd_magic, sizeof(zstd_magic)) == 0);
    n -= sizeof(zstd_magic);
    memcpy(dst, pack->frame + sizeof(zstd_magic), n);
    return n;
}

status zstd_pack_decode(struct zstd_pack *pack, uint8_t *dst, size_t dst_len, const uint8_t *src,
                        size_t len)
{
    if (!pack->dec) pack->dec = ZSTD_createDCtx();
    if (!pack->dec || !reserve_frame(pack, len)) return ST_NO_MEMORY;
    memcpy(pack->frame, zstd_magic, sizeof(zstd_magic));
    memcpy(pack->frame + sizeof(zstd_magic), src, len);
    size_t n = ZSTD_decompressDCtx(pack->dec, dst, dst_len, pack->frame,
                                   len + sizeof(zstd_magic));
    if (ZSTD_isError(n)) {
        return status_of(n, ST_CORRUPT) == ST_NO_MEMORY ? ST_NO_MEMORY : ST_CORRUPT;
    }
    return n == dst_len ? ST_OK : ST_CORRUPT;
}

struct zstd_reader {
    ZSTD_DCtx *ctx;
    size_t len_left; /* of the output allowed */
    bool mid_frame;
};

struct zstd_reader *zstd_reader_new(size_t len_max)
{
    struct zstd_reader *reader = mem_try(sizeof(*reader));
    if (!reader) return NULL;
    *reader = (struct zstd_reader){.ctx = ZSTD_createDCtx(), .len_left = len_max};
    if (!reader->ctx) {
        zstd_reader_free(reader);
        return NULL;
    }
    size_t set = ZSTD_DCtx_setParameter(reader->ctx, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    ASSERT(!ZSTD_isError(set)); /* a constant inside the library's own bounds */
    return reader;
}

void zstd_reader_free(struct zstd_reader *reader)
{
    if (!reader) return;
    ZSTD_freeDCtx(reader->ctx);
    mem_free(reader);
}

bool zstd_reader_done(const struct zstd_reader *reader)
{
    return !reader->mid_frame;
}

/* Room for the next piece of output: never more than one byte above what is allowed,
 * and that byte only to notice that there is more. */
static bool reserve_piece(struct strbuf *out, size_t len_left)
{
    size_t want = len_left < PIECE_LEN ? len_left + 1 : PIECE_LEN;
    return strbuf_reserve(out, want);
}

static status too_large(struct err *err)
{
    return err_set(err, ST_TOO_LARGE, "zstd body grows beyond the limit");
}

status zstd_reader_feed(struct zstd_reader *reader, struct strbuf *out, const void *src,
                        size_t len, struct err *err)
{
    ZSTD_inBuffer in = {.src = src, .size = len};
    bool full;

    ASSERT(out->len_max == 0); /* one limit, and one status for it */
    if (len == 0) return ST_OK;
    do {
        if (!reserve_piece(out, reader->len_left)) {
            return err_set(err, ST_NO_MEMORY, "no memory for a zstd body");
        }
        size_t room = out->cap - out->len;
        if (room > reader->len_left + 1) room = reader->len_left + 1;
        ZSTD_outBuffer piece = {.dst = out->ptr + out->len, .size = room};
        size_t hint = ZSTD_decompressStream(reader->ctx, &piece, &in);
        if (ZSTD_isError(hint)) {
            status st = status_of(hint, ST_INVALID);
            return err_set(err, st, "zstd: %s", ZSTD_getErrorName(hint));
        }
        if (piece.pos > reader->len_left) return too_large(err);
        out->len += piece.pos;
        reader->len_left -= piece.pos;
        full = piece.pos == piece.size;
        /* 0: a frame has just ended. Without input nothing changes that. */
        reader->mid_frame = hint != 0;
    } while (in.pos < in.size || (full && reader->mid_frame));
    return ST_OK;
}

status zstd_decode(struct strbuf *out, const void *src, size_t len, size_t len_max,
                   struct err *err)
{
    unsigned long long claim = ZSTD_getFrameContentSize(src, len);
    size_t len_before = out->len;

    if (claim == ZSTD_CONTENTSIZE_ERROR) return err_set(err, ST_INVALID, "not zstd");
    if (claim != ZSTD_CONTENTSIZE_UNKNOWN && claim > len_max) return too_large(err);
    struct zstd_reader *reader = zstd_reader_new(len_max);
    if (!reader) return err_set(err, ST_NO_MEMORY, "no memory for a zstd body");
    status st = zstd_reader_feed(reader, out, src, len, err);
    if (st == ST_OK && !zstd_reader_done(reader)) {
        st = err_set(err, ST_INVALID, "zstd body ends early");
    }
    zstd_reader_free(reader);
    if (st != ST_OK) out->len = len_before;
    return st;
}

struct zstd_writer {
    ZSTD_CCtx *ctx;
};

struct zstd_writer *zstd_writer_new(int level)
{
    struct zstd_writer *writer = mem_try(sizeof(*writer));
    if (!writer) return NULL;
    *writer = (struct zstd_writer){.ctx = ZSTD_createCCtx()};
    if (!writer->ctx) {
        zstd_writer_free(writer);
        return NULL;
    }
    size_t set = ZSTD_CCtx_setParameter(writer->ctx, ZSTD_c_compressionLevel, level);
    ASSERT(!ZSTD_isError(set)); /* the library clamps levels */
    return writer;
}

void zstd_writer_free(struct zstd_writer *writer)
{
    if (!writer) return;
    ZSTD_freeCCtx(writer->ctx);
    mem_free(writer);
}

status zstd_writer_feed(struct zstd_writer *writer, struct strbuf *out, const void *src,
                        size_t len, bool last)
{
    ZSTD_inBuffer in = {.src = src, .size = len};
    ZSTD_EndDirective end = last ? ZSTD_e_end : ZSTD_e_continue;
    size_t left;

    do {
        if (!strbuf_reserve(out, PIECE_LEN)) return ST_NO_MEMORY;
        ZSTD_outBuffer piece = {.dst = out->ptr + out->len, .size = out->cap - out->len};
        left = ZSTD_compressStream2(writer->ctx, &piece, &in, end);
        if (ZSTD_isError(left)) return status_of(left, ST_INTERNAL);
        out->len += piece.pos;
    } while (last ? left > 0 : in.pos < in.size);
    return ST_OK;
}
