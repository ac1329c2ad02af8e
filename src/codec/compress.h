/* The door to zstd. Output is always bounded: a small body that claims or turns out
 * to be large is refused before the memory is spent. Pure apart from the heap; any
 * thread, a stream by one owner at a time.
 */
#ifndef TSINK_CODEC_COMPRESS_H
#define TSINK_CODEC_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"

enum {
    ZSTD_LEVEL_FAST = 1,
    ZSTD_LEVEL_STORED = 3,      /* for files */
    ZSTD_WINDOW_LOG_MAX = 23,   /* 8 MiB: RFC 8878 asks decoders for that much */
};

/* The most that zstd_encode() makes of len bytes. */
size_t zstd_bound(size_t len);

/* Compresses to dst, which has room for cap bytes; *out is the length. ST_TOO_LARGE
 * when cap is too small (never with zstd_bound()), ST_NO_MEMORY. */
CHECKED status zstd_encode(size_t *out, void *dst, size_t cap, const void *src, size_t len,
                           int level);

/* Appends what src[0..len), one or more zstd frames, decompresses to; at most len_max
 * bytes. ST_TOO_LARGE above that (also when a frame only claims so), ST_INVALID for
 * bytes that are not zstd or end early, ST_NO_MEMORY. out keeps what it held before
 * and nothing more after a failure; it has no len_max of its own. */
CHECKED status zstd_decode(struct strbuf *out, const void *src, size_t len, size_t len_max,
                           struct err *err);

/* The same when the exact length is known from elsewhere (a file): fills dst[0..dst_len)
 * completely or fails with ST_CORRUPT. */
CHECKED status zstd_decode_exact(void *dst, size_t dst_len, const void *src, size_t len);

/* Small blocks of a file that knows their lengths: frames without magic, content size and
 * checksum, 2 bytes each besides the data. The contexts are kept from block to block. */
struct zstd_pack;

CHECKED struct zstd_pack *zstd_pack_new(void); /* NULL when the heap refuses */
void zstd_pack_free(struct zstd_pack *pack);   /* accepts NULL */

/* Compresses to dst[0..cap); the length, or 0 when it does not fit or memory ends. */
size_t zstd_pack_encode(struct zstd_pack *pack, uint8_t *dst, size_t cap, const uint8_t *src,
                        size_t len, int level);

/* Fills dst[0..dst_len) exactly or fails with ST_CORRUPT, ST_NO_MEMORY. */
CHECKED status zstd_pack_decode(struct zstd_pack *pack, uint8_t *dst, size_t dst_len,
                                const uint8_t *src, size_t len);

/* Streaming, for bodies that arrive in pieces and answers that leave in pieces. */
struct zstd_reader;
struct zstd_writer;

/* len_max bounds all the output together. NULL when the heap refuses. */
CHECKED struct zstd_reader *zstd_reader_new(size_t len_max);
void zstd_reader_free(struct zstd_reader *reader);

/* Appends to out what this piece yields. Statuses as zstd_decode(). */
CHECKED status zstd_reader_feed(struct zstd_reader *reader, struct strbuf *out, const void *src,
                                size_t len, struct err *err);

/* True when what was fed so far ends at the end of a frame. */
bool zstd_reader_done(const struct zstd_reader *reader);

CHECKED struct zstd_writer *zstd_writer_new(int level);
void zstd_writer_free(struct zstd_writer *writer);

/* Appends to out what is ready; `last` ends the frame. A refused append shows in
 * out->failed; ST_NO_MEMORY. */
CHECKED status zstd_writer_feed(struct zstd_writer *writer, struct strbuf *out, const void *src,
                                size_t len, bool last);

#endif
