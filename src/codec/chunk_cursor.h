/* Walks a chunk forwards from any time, decoding one section at a time.
 *
 *     struct chunk_cursor cur;
 *     TRY(chunk_cursor_init(&cur, arena, src, len));
 *     TRY(chunk_cursor_seek(&cur, from));
 *     while (cur.at < cur.n) {
 *         use(cur.ts[cur.at], cur.val[cur.at]);
 *         TRY(chunk_cursor_next(&cur));
 *     }
 *
 * Or by the section: use all of [cur.at, cur.n), then chunk_cursor_next_section().
 * The cursor borrows the chunk's bytes and the arena (for bytes and histograms; NULL
 * will do for numeric types) as long as it is used. About 2 KiB, owns nothing. Pure;
 * one owner at a time.
 */
#ifndef TSINK_CODEC_CHUNK_CURSOR_H
#define TSINK_CODEC_CHUNK_CURSOR_H

#include "codec/chunk.h"

struct chunk_cursor {
    struct chunk_info info;
    const uint8_t *src;
    struct arena *arena;
    uint32_t section; /* the one in the columns; n_sections at the end */
    size_t at, n;     /* the current point, and how many the columns hold; at == n: end */
    ts_time ts[CHUNK_SECTION];
    union value val[CHUNK_SECTION];
};

/* Positions on the first point. */
CHECKED status chunk_cursor_init(struct chunk_cursor *cur, struct arena *arena,
                                 const uint8_t *src, size_t len);

/* Positions on the first point with ts >= t, forwards or backwards; at the end when
 * there is none. */
CHECKED status chunk_cursor_seek(struct chunk_cursor *cur, ts_time t);

/* To the next point or section. At the end these do nothing. */
CHECKED status chunk_cursor_next(struct chunk_cursor *cur);
CHECKED status chunk_cursor_next_section(struct chunk_cursor *cur);

#endif
