/* Headers, checksums and index blocks of a segment: bytes <-> structs, pure. See
 * segment_priv.h and docs/formats/segment.md.
 *
 * An index block holds up to 128 entries in columns: whose chunk, first time, duration,
 * points, bytes of values, ticks. Neighbours are alike (a fleet is scraped together), so
 * each is an integer column (codec/int_column.h), which finds a common base, step or
 * factor; an entry of a jittered fleet takes 5 to 6 bytes. Drawn in segment.md.
 */
#include "base/bits.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/panic.h"
#include "base/varint.h"
#include "codec/chunk.h"
#include "codec/int_column.h"
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

enum {
    BLOCK_SINGLE = 1,      /* no series has two chunks */
    BLOCK_STEPS = 2,       /* one shard, single: the ids' steps are a column */
    BLOCK_TICKS = 4,       /* some chunk has ticks */
    BLOCK_FLAGS = 7,
    COLUMN_MAX = INT_PARAMS_MAX + 8 * SEGMENT_BLOCK + 256, /* int_column_bound(128) */
};

_Static_assert(1 + SEGMENT_BLOCK * 3 * VARINT_MAX + 6 * (3 + COLUMN_MAX) <= SEG_BLOCK_BYTES_MAX,
               "a block has room for its columns");

static bool same_series(const struct segment_entry *a, const struct segment_entry *b)
{
    return a->series == b->series && a->shard == b->shard;
}

static size_t put_column(uint8_t *dst, const uint64_t *v, size_t n)
{
    uint8_t bytes[COLUMN_MAX];

    ASSERT(int_column_bound(n) <= sizeof(bytes));
    size_t len = int_column_encode(bytes, v, n, 0);
    size_t at = varint_put(dst, len);
    memcpy(dst + at, bytes, len);
    return at + len;
}

static size_t put_steps(uint8_t *dst, const struct segment_entry *e, size_t n)
{
    uint64_t step[SEGMENT_BLOCK];

    for (size_t i = 1; i < n; i++) step[i - 1] = e[i].series - e[i - 1].series;
    return put_column(dst, step, n - 1);
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

/* First times: of a series' first chunk from the earliest of these, of a further one from
 * the end of the one before. */
static size_t put_times(uint8_t *dst, const struct segment_entry *e, size_t n)
{
    uint64_t v[SEGMENT_BLOCK];
    ts_time least = e[0].ts.from;
    size_t at = 0;

    for (size_t i = 1; i < n; i++) {
        if (e[i].ts.from < least) least = e[i].ts.from;
    }
    at += varint_put(dst + at, zigzag(least));
    for (size_t i = 0; i < n; i++) {
        bool further = i > 0 && same_series(&e[i], &e[i - 1]);
        v[i] = (uint64_t)wrap_sub(e[i].ts.from, further ? e[i - 1].ts.to : least);
    }
    at += put_column(dst + at, v, n);
    for (size_t i = 0; i < n; i++) v[i] = (uint64_t)wrap_sub(e[i].ts.to, e[i].ts.from);
    return at + put_column(dst + at, v, n);
}

size_t seg_block_encode(uint8_t *dst, const struct segment_entry *entries, size_t n)
{
    uint64_t v[SEGMENT_BLOCK];
    bool single = true, one_shard = entries[0].shard == entries[n - 1].shard, ticks = false;

    ASSERT(n >= 1 && n <= SEGMENT_BLOCK);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && same_series(&entries[i], &entries[i - 1])) single = false;
        if (entries[i].ticks) ticks = true;
    }
    bool steps = single && one_shard && n > 1;
    size_t at = 0;
    dst[at++] = (uint8_t)((single ? BLOCK_SINGLE : 0) | (steps ? BLOCK_STEPS : 0) |
                          (ticks ? BLOCK_TICKS : 0));
    at += steps ? put_steps(dst + at, entries, n) : put_series(dst + at, entries, n, single);
    at += put_times(dst + at, entries, n);
    for (size_t i = 0; i < n; i++) v[i] = entries[i].n_points;
    at += put_column(dst + at, v, n);
    for (size_t i = 0; i < n; i++) v[i] = entries[i].len;
    at += put_column(dst + at, v, n);
    for (size_t i = 0; i < n; i++) v[i] = entries[i].ticks;
    return ticks ? at + put_column(dst + at, v, n) : at;
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

static bool get_column(struct reader *r, uint64_t *v, size_t n)
{
    uint64_t len;

    if (!get(r, &len) || len > (size_t)(r->end - r->at)) return false;
    const uint8_t *src = r->at;
    r->at += len;
    return int_column_decode(v, n, src, (size_t)len) == ST_OK;
}

static bool get_steps(struct reader *r, struct segment_entry *e, size_t n)
{
    uint64_t step[SEGMENT_BLOCK];

    if (n < 2 || !get_column(r, step, n - 1)) return false;
    for (size_t i = 1; i < n; i++) {
        e[i].shard = e[0].shard;
        if (step[i - 1] == 0) return false;
        if (__builtin_add_overflow(e[i - 1].series, step[i - 1], &e[i].series)) return false;
    }
    return true;
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
    uint64_t from[SEGMENT_BLOCK], span[SEGMENT_BLOCK], least;

    if (!get(r, &least) || !get_column(r, from, n) || !get_column(r, span, n)) return false;
    for (size_t i = 0; i < n; i++) {
        bool further = i > 0 && same_series(&e[i], &e[i - 1]);
        ts_time base = further ? e[i - 1].ts.to : unzigzag(least);
        e[i].ts.from = wrap_add(base, (int64_t)from[i]);
        e[i].ts.to = wrap_add(e[i].ts.from, (int64_t)span[i]);
        if (e[i].ts.to < e[i].ts.from || (further && e[i].ts.from <= base)) return false;
    }
    return true;
}

static bool get_sizes(struct reader *r, struct segment_entry *e, size_t n, uint64_t chunks_len)
{
    uint64_t v[SEGMENT_BLOCK], off = e[0].off;

    if (!get_column(r, v, n)) return false;
    for (size_t i = 0; i < n; i++) {
        if (v[i] < 1 || v[i] > CHUNK_POINTS_MAX) return false;
        e[i].n_points = (uint32_t)v[i];
    }
    if (!get_column(r, v, n)) return false;
    for (size_t i = 0; i < n; i++) {
        if (v[i] < 1 || v[i] > SEGMENT_CHUNK_MAX || off > chunks_len ||
            v[i] > chunks_len - off) {
            return false;
        }
        e[i].off = off;
        e[i].len = (uint32_t)v[i];
        off += v[i];
    }
    return true;
}

static bool get_ticks(struct reader *r, struct segment_entry *e, size_t n, bool any)
{
    uint64_t v[SEGMENT_BLOCK] = {0};

    if (any && !get_column(r, v, n)) return false;
    for (size_t i = 0; i < n; i++) {
        if (v[i] > UINT32_MAX) return false;
        e[i].ticks = (uint32_t)v[i];
    }
    return true;
}

status seg_block_decode(struct segment_entry *entries, size_t n, uint64_t chunks_len,
                        const uint8_t *src, size_t len)
{
    struct reader r = {src, src + len};

    if (n < 1 || n > SEGMENT_BLOCK || len < 1) return ST_CORRUPT;
    uint8_t flags = *r.at++;
    if (flags & ~BLOCK_FLAGS) return ST_CORRUPT;
    bool single = flags & BLOCK_SINGLE, steps = flags & BLOCK_STEPS;
    if (steps && !single) return ST_CORRUPT;
    if (steps && !get_steps(&r, entries, n)) return ST_CORRUPT;
    if (!steps && !get_series(&r, entries, n, single)) return ST_CORRUPT;
    if (!get_times(&r, entries, n)) return ST_CORRUPT;
    if (!get_sizes(&r, entries, n, chunks_len)) return ST_CORRUPT;
    if (!get_ticks(&r, entries, n, flags & BLOCK_TICKS)) return ST_CORRUPT;
    return r.at == r.end ? ST_OK : ST_CORRUPT;
}
