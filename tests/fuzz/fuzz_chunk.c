/* Chunks and mini-blocks. The first byte chooses: 0 a chunk, 1 a block, 2 a column of
 * times or of values by any codec; what follows is read by it. Checked: accepted times
 * ascend, a partial decode of an accepted chunk agrees with the whole one. */
#include <string.h>

#include "base/arena.h"
#include "base/bits.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/panic.h"
#include "codec/block.h"
#include "codec/chunk.h"
#include "codec/tick_codec.h"
#include "codec/value_codec.h"
#include "tests/fuzz/fuzz.h"

int fuzz_chunk(const uint8_t *src, size_t len);

static void check_ascending(const ts_time *ts, size_t n)
{
    for (size_t i = 1; i < n; i++) ASSERT(ts[i - 1] < ts[i]);
}

static void check_parts(struct arena *arena, const struct points *all,
                        const struct chunk_ref *chunk)
{
    struct time_range range = {all->ts[all->n / 3], all->ts[all->n / 2]};
    struct points part = {0};

    ASSERT(chunk_decode_range(&part, arena, chunk, range) == ST_OK);
    ASSERT(part.n == all->n / 2 - all->n / 3 + 1);
    ASSERT(part.ts[0] == range.from && part.ts[part.n - 1] == range.to);
    points_release(&part);
}

/* u8 type, u16 points, u16 length of the ticks, i64 from, u32 to - from; ticks, values. */
static void fuzz_whole_chunk(struct arena *arena, const uint8_t *src, size_t len)
{
    enum { HEAD = 17 }; /* behind the choice */
    struct points all = {0};
    struct time_range always = {TS_MIN, TS_MAX};

    if (len < HEAD) return;
    size_t rest = len - HEAD, ticks_len = load_u16(src + 3);
    if (ticks_len > rest) ticks_len = rest;
    int64_t from = (int64_t)load_u64(src + 5);
    struct chunk_ref chunk = {.type = (enum value_type)(src[0] % VALUE_HISTOGRAM + 1),
                              .n = load_u16(src + 1),
                              .ts = {from, wrap_add(from, (int64_t)load_u32(src + 13))},
                              .ticks = src + HEAD,
                              .ticks_len = ticks_len,
                              .values = src + HEAD + ticks_len,
                              .values_len = rest - ticks_len};
    if (chunk_check(arena, &chunk, NULL) == ST_OK) {
        ASSERT(chunk_decode_range(&all, arena, &chunk, always) == ST_OK);
        ASSERT(all.n == chunk.n && all.ts[0] == from && all.ts[all.n - 1] == chunk.ts.to);
        check_ascending(all.ts, all.n);
        check_parts(arena, &all, &chunk);
    } else {
        struct time_range some = {0, INT64_MAX / 3};
        (void)!chunk_decode_range(&all, arena, &chunk, some);
    }
    points_release(&all);
}

/* u8 type, then the block, behind one of that many ticks a step as its type's number. */
static void fuzz_block(struct arena *arena, const uint8_t *src, size_t len)
{
    struct points pts = {0};

    if (len < 1) return;
    enum value_type type = (enum value_type)(src[0] % VALUE_HISTOGRAM + 1);
    struct block_before before = {0, type};
    struct block_head head;
    if (block_look(&head, &before, src + 1, len - 1) != ST_OK) return;
    ASSERT(head.len <= len - 1 && head.n <= BLOCK_POINTS_MAX);
    if (block_decode(&pts, arena, type, &head) == ST_OK) {
        ASSERT(pts.n == head.n && pts.n >= 1);
        ASSERT(pts.ts[0] == head.ts.from && pts.ts[pts.n - 1] == head.ts.to);
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

int fuzz_chunk(const uint8_t *input, size_t len)
{
    struct arena arena;
    if (len == 0) return 0;

    /* What is behind a column does not matter: CHUNK_PAD bytes of something. */
    uint8_t *src = mem_try(len + CHUNK_PAD);
    if (!src) return 0;
    memcpy(src, input, len);
    memset(src + len, 0xa5, CHUNK_PAD);
    arena_init(&arena, NULL, 4096);
    if (src[0] % 3 == 0) {
        fuzz_whole_chunk(&arena, src + 1, len - 1);
    } else if (src[0] % 3 == 1) {
        fuzz_block(&arena, src + 1, len - 1);
    } else {
        fuzz_column(&arena, src + 1, len - 1);
    }
    arena_release(&arena);
    mem_free(src);
    return 0;
}

FUZZ_ENTRY(fuzz_chunk)
