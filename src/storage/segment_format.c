/* Headers, checksums and index blocks of a segment: bytes <-> structs, pure. See
 * segment_priv.h and docs/formats/segment.md.
 *
 * An index block holds up to 128 entries in five columns of varints: whose chunk, first
 * time, duration, points, bytes. Neighbours are alike (a fleet is scraped together), so
 * each column keeps differences; an entry of a million-series flush takes 6 to 9 bytes.
 *
 *     flags            bit 0: no series has two chunks here
 *     series column    for each series: [chunks - 1], unless flag 0;
 *                      from the second on: step << 1 (same shard, step >= 1), or
 *                      shard step << 1 | 1, then the id
 *     first times      zigzag(first - first of the series before), or for a further chunk
 *                      of a series first - last of the chunk before (at least 1)
 *     durations        zigzag(difference to the duration before)
 *     points, bytes    zigzag(difference to the one before)
 */
#include "base/bits.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/panic.h"
#include "base/varint.h"
#include "codec/chunk.h"
#include "storage/segment_priv.h"

#define SEG_MAGIC 0x47535354u /* "TSSG" */

enum {
    HEAD_OFF_MAGIC = 0,
    HEAD_OFF_FORMAT = 4,
    HEAD_OFF_KIND = 6,
    HEAD_OFF_LANE = 7,
    HEAD_OFF_SEGMENT = 8,
    HEAD_OFF_DB = 16,
    HEAD_OFF_A = 32,
    HEAD_OFF_B = 40,
    HEAD_OFF_C = 48,
    HEAD_OFF_CRC = 60,
};

_Static_assert(HEAD_OFF_CRC + 4 == SEG_HEAD_LEN, "the checksum ends the header");

void seg_head_put(uint8_t dst[SEG_HEAD_LEN], const struct seg_head *head)
{
    memset(dst, 0, SEG_HEAD_LEN);
    store_u32(dst + HEAD_OFF_MAGIC, SEG_MAGIC);
    store_u16(dst + HEAD_OFF_FORMAT, SEGMENT_FORMAT);
    dst[HEAD_OFF_KIND] = (uint8_t)head->kind;
    dst[HEAD_OFF_LANE] = (uint8_t)head->lane;
    store_u64(dst + HEAD_OFF_SEGMENT, head->segment);
    memcpy(dst + HEAD_OFF_DB, head->db.bytes, DATABASE_ID_LEN);
    store_u64(dst + HEAD_OFF_A, head->a);
    store_u64(dst + HEAD_OFF_B, head->b);
    store_u64(dst + HEAD_OFF_C, head->c);
    store_u32(dst + HEAD_OFF_CRC, crc32c(0, dst, HEAD_OFF_CRC));
}

status seg_head_get(struct seg_head *out, const uint8_t *src, size_t len,
                    const struct seg_head *expect, struct err *err)
{
    if (len < SEG_HEAD_LEN) return err_set(err, ST_CORRUPT, "shorter than its header");
    if (load_u32(src + HEAD_OFF_MAGIC) != SEG_MAGIC) {
        return err_set(err, ST_CORRUPT, "not a file of a segment");
    }
    if (load_u32(src + HEAD_OFF_CRC) != crc32c(0, src, HEAD_OFF_CRC)) {
        return err_set(err, ST_CORRUPT, "the header's checksum is wrong");
    }
    unsigned format = load_u16(src + HEAD_OFF_FORMAT);
    if (format > SEGMENT_FORMAT) {
        return err_set(err, ST_UNSUPPORTED, "format %u, this program knows up to %d", format,
                       SEGMENT_FORMAT);
    }
    if (src[HEAD_OFF_KIND] != expect->kind || src[HEAD_OFF_LANE] != expect->lane ||
        load_u64(src + HEAD_OFF_SEGMENT) != expect->segment ||
        memcmp(src + HEAD_OFF_DB, expect->db.bytes, DATABASE_ID_LEN) != 0) {
        return err_set(err, ST_CORRUPT, "belongs to another segment or database");
    }
    *out = *expect;
    out->a = load_u64(src + HEAD_OFF_A);
    out->b = load_u64(src + HEAD_OFF_B);
    out->c = load_u64(src + HEAD_OFF_C);
    return ST_OK;
}

uint32_t seg_crc(uint64_t segment, enum seg_kind kind, uint64_t number, const void *src,
                 size_t len)
{
    uint8_t seed[24];

    store_u64(seed, segment);
    store_u64(seed + 8, (uint64_t)kind);
    store_u64(seed + 16, number);
    return crc32c(crc32c(0, seed, sizeof(seed)), src, len);
}

/* ---- encoding a block ---- */

enum { BLOCK_SINGLE = 1 };

static bool same_series(const struct segment_entry *a, const struct segment_entry *b)
{
    return a->series == b->series && a->shard == b->shard;
}

static size_t put_series(uint8_t *dst, const struct segment_entry *e, size_t n, bool single)
{
    size_t at = 0;

    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && same_series(&e[end], &e[i])) end++;
        if (!single) at += varint_put(dst + at, end - i - 1);
        if (i > 0) {
            const struct segment_entry *prev = &e[i - 1];
            if (prev->shard == e[i].shard) {
                /* The step fits 63 bits unless ids are spread over more than that. */
                uint64_t step = e[i].series - prev->series;
                ASSERT(step > 0 && step >> 63 == 0);
                at += varint_put(dst + at, step << 1);
            } else {
                ASSERT(e[i].shard > prev->shard);
                at += varint_put(dst + at, (uint64_t)(e[i].shard - prev->shard) << 1 | 1);
                at += varint_put(dst + at, e[i].series);
            }
        }
        i = end;
    }
    return at;
}

static size_t put_times(uint8_t *dst, const struct segment_entry *e, size_t n)
{
    size_t at = 0;
    ts_time first = 0; /* of the series before */

    for (size_t i = 0; i < n; i++) {
        if (i > 0 && same_series(&e[i], &e[i - 1])) {
            at += varint_put(dst + at, (uint64_t)wrap_sub(e[i].ts.from, e[i - 1].ts.to));
        } else {
            at += varint_put(dst + at, zigzag(wrap_sub(e[i].ts.from, first)));
            first = e[i].ts.from;
        }
    }
    int64_t before = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t span = wrap_sub(e[i].ts.to, e[i].ts.from);
        at += varint_put(dst + at, zigzag(wrap_sub(span, before)));
        before = span;
    }
    return at;
}

size_t seg_block_encode(uint8_t *dst, const struct segment_entry *entries, size_t n)
{
    bool single = true;
    int64_t before = 0;

    ASSERT(n >= 1 && n <= SEGMENT_BLOCK);
    for (size_t i = 1; i < n; i++) {
        if (same_series(&entries[i], &entries[i - 1])) single = false;
    }
    size_t at = 0;
    dst[at++] = single ? BLOCK_SINGLE : 0;
    at += put_series(dst + at, entries, n, single);
    at += put_times(dst + at, entries, n);
    for (size_t i = 0; i < n; i++) {
        at += varint_put(dst + at, zigzag((int64_t)entries[i].n_points - before));
        before = (int64_t)entries[i].n_points;
    }
    before = 0;
    for (size_t i = 0; i < n; i++) {
        at += varint_put(dst + at, zigzag((int64_t)entries[i].len - before));
        before = (int64_t)entries[i].len;
    }
    return at;
}

/* ---- decoding a block ---- */

struct reader {
    const uint8_t *at, *end;
};

static bool get(struct reader *r, uint64_t *out)
{
    size_t n = varint_get(out, r->at, (size_t)(r->end - r->at));
    r->at += n;
    return n > 0;
}

static bool get_key(struct reader *r, struct segment_entry *e, const struct segment_entry *prev)
{
    uint64_t step, id;

    if (!get(r, &step)) return false;
    if (step & 1) {
        step >>= 1;
        if (step == 0 || step >= SEGMENT_SHARDS - prev->shard || !get(r, &id)) return false;
        e->shard = prev->shard + (unsigned)step;
        e->series = id;
        return true;
    }
    e->shard = prev->shard;
    return step != 0 && !__builtin_add_overflow(prev->series, step >> 1, &e->series);
}

static bool get_series(struct reader *r, struct segment_entry *e, size_t n, bool single)
{
    for (size_t i = 0; i < n;) {
        uint64_t more = 0;
        if (!single && !get(r, &more)) return false;
        if (more >= n - i) return false;
        if (i > 0 && !get_key(r, &e[i], &e[i - 1])) return false;
        for (size_t k = 1; k <= more; k++) {
            e[i + k].series = e[i].series;
            e[i + k].shard = e[i].shard;
        }
        i += 1 + (size_t)more;
    }
    return true;
}

static bool get_times(struct reader *r, struct segment_entry *e, size_t n)
{
    uint64_t from[SEGMENT_BLOCK], v;
    int64_t span = 0;
    ts_time first = 0;

    for (size_t i = 0; i < n; i++) {
        if (!get(r, &from[i])) return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!get(r, &v)) return false;
        span = wrap_add(span, unzigzag(v));
        if (i > 0 && same_series(&e[i], &e[i - 1])) {
            e[i].ts.from = wrap_add(e[i - 1].ts.to, (int64_t)from[i]);
            if (e[i].ts.from <= e[i - 1].ts.to) return false;
        } else {
            first = wrap_add(first, unzigzag(from[i]));
            e[i].ts.from = first;
        }
        e[i].ts.to = wrap_add(e[i].ts.from, span);
        if (e[i].ts.to < e[i].ts.from) return false;
    }
    return true;
}

static bool get_sizes(struct reader *r, struct segment_entry *e, size_t n, uint64_t chunks_len)
{
    int64_t points = 0, len = 0;
    uint64_t v, off = e[0].off;

    for (size_t i = 0; i < n; i++) {
        if (!get(r, &v)) return false;
        points = wrap_add(points, unzigzag(v));
        if (points < 1 || points > CHUNK_POINTS_MAX) return false;
        e[i].n_points = (uint32_t)points;
    }
    for (size_t i = 0; i < n; i++) {
        if (!get(r, &v)) return false;
        len = wrap_add(len, unzigzag(v));
        if (len < 1 || len > SEGMENT_CHUNK_MAX || off > chunks_len ||
            (uint64_t)len > chunks_len - off) {
            return false;
        }
        e[i].off = off;
        e[i].len = (uint32_t)len;
        off += (uint64_t)len;
    }
    return true;
}

status seg_block_decode(struct segment_entry *entries, size_t n, uint64_t chunks_len,
                        const uint8_t *src, size_t len)
{
    struct reader r = {src, src + len};

    if (n < 1 || n > SEGMENT_BLOCK || len < 1) return ST_CORRUPT;
    uint8_t flags = *r.at++;
    if (flags & ~BLOCK_SINGLE) return ST_CORRUPT;
    if (!get_series(&r, entries, n, flags & BLOCK_SINGLE)) return ST_CORRUPT;
    if (!get_times(&r, entries, n)) return ST_CORRUPT;
    if (!get_sizes(&r, entries, n, chunks_len)) return ST_CORRUPT;
    return r.at == r.end ? ST_OK : ST_CORRUPT;
}
