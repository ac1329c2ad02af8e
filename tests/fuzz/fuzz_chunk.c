/* Chunks and mini-blocks. The first byte chooses: 0 a chunk, 1 a block, 2 a column of
 * times or of values by any codec; what follows is read by it. Checked: accepted times
 * ascend, a partial decode of an accepted chunk agrees with the whole one. */
#include "base/arena.h"
#include "base/panic.h"
#include "codec/block.h"
#include "codec/chunk.h"
#include "codec/chunk_cursor.h"
#include "tests/fuzz/fuzz.h"

int fuzz_chunk(const uint8_t *src, size_t len);

static void check_ascending(const ts_time *ts, size_t n)
{
    for (size_t i = 1; i < n; i++) ASSERT(ts[i - 1] < ts[i]);
}

static void check_parts(struct arena *arena, const struct points *all, const uint8_t *src,
                        size_t len)
{
    struct time_range range = {all->ts[all->n / 3], all->ts[all->n / 2]};
    struct points part = {0};
    struct chunk_cursor cur;

    ASSERT(chunk_decode_range(&part, arena, src, len, range) == ST_OK);
    ASSERT(part.n == all->n / 2 - all->n / 3 + 1);
    ASSERT(part.ts[0] == range.from && part.ts[part.n - 1] == range.to);
    ASSERT(chunk_cursor_init(&cur, arena, src, len) == ST_OK);
    ASSERT(chunk_cursor_seek(&cur, range.to) == ST_OK);
    ASSERT(cur.at < cur.n && cur.ts[cur.at] == range.to);
    points_release(&part);
}

static void fuzz_whole_chunk(struct arena *arena, const uint8_t *src, size_t len)
{
    struct points all = {0};
    struct time_range always = {TS_MIN, TS_MAX};

    if (chunk_check(arena, src, len, NULL) == ST_OK) {
        ASSERT(chunk_decode_range(&all, arena, src, len, always) == ST_OK);
        ASSERT(all.n > 0);
        check_ascending(all.ts, all.n);
        check_parts(arena, &all, src, len);
    } else {
        struct time_range some = {0, INT64_MAX / 3};
        (void)!chunk_decode_range(&all, arena, src, len, some);
    }
    points_release(&all);
}

static void fuzz_block(struct arena *arena, const uint8_t *src, size_t len)
{
    struct points pts = {0};
    size_t used = 0;

    if (block_decode(&pts, arena, src, len, &used) == ST_OK) {
        ASSERT(used <= len && pts.n >= 1 && pts.n <= BLOCK_POINTS_MAX);
        check_ascending(pts.ts, pts.n);
    }
    points_release(&pts);
}

static void fuzz_column(struct arena *arena, const uint8_t *src, size_t len)
{
    ts_time ts[TICK_POINTS_MAX];
    union value val[VALUE_POINTS_MAX];
    if (len < 3) return;
    size_t n = src[2];

    if (src[0] & 1) {
        if (tick_decode(ts, n, (enum tick_codec)src[1], 0, src + 3, len - 3) == ST_OK) {
            check_ascending(ts, n);
        }
    } else {
        unsigned type = src[0] >> 1;
        if (!value_type_valid(type)) return;
        (void)!value_decode(val, n, (enum value_codec)src[1], (enum value_type)type, arena,
                            src + 3, len - 3);
    }
}

int fuzz_chunk(const uint8_t *src, size_t len)
{
    struct arena arena;
    if (len == 0) return 0;

    arena_init(&arena, NULL, 4096);
    if (src[0] % 3 == 0) {
        fuzz_whole_chunk(&arena, src + 1, len - 1);
    } else if (src[0] % 3 == 1) {
        fuzz_block(&arena, src + 1, len - 1);
    } else {
        fuzz_column(&arena, src + 1, len - 1);
    }
    arena_release(&arena);
    return 0;
}

FUZZ_ENTRY(fuzz_chunk)
