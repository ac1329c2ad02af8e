/* Ticks of a segment, each pattern once. See segment_priv.h.
 *
 * The series of one target have the same timestamps, so their chunks have equal tick
 * bytes. What was written is remembered by its XXH3-128, secret of the process included
 * (a false match among 10^9 patterns has odds below 2^-68), in a table that grows to
 * SEEN_MAX entries and then forgets: a forgotten pattern is merely stored again. Four
 * places in a row hold an entry; the one that goes is taken in turn.
 *
 * The table that finds a number's bytes again takes 3.5 bytes a number and is read where
 * it lies. */
#include "base/bytes.h"
#include "base/mem.h"
#include "storage/segment_priv.h"

enum { SEEN_MIN = 1024, SEEN_MAX = 256 << 10, PLACES = 4 };

struct seg_seen {
    struct hash128 hash;
    uint32_t ticks; /* number + 1; 0: empty */
};

void seg_ticks_release(struct seg_ticks *ticks)
{
    strbuf_release(&ticks->table);
    mem_free(ticks->seen);
}

static struct seg_seen *places_of(const struct seg_ticks *ticks, struct hash128 hash)
{
    return ticks->seen + (hash.lo & (ticks->n_seen - 1) & ~(size_t)(PLACES - 1));
}

bool seg_ticks_find(uint32_t *number, struct seg_ticks *ticks, struct hash128 hash)
{
    if (!ticks->seen) return false;
    const struct seg_seen *at = places_of(ticks, hash);
    for (size_t i = 0; i < PLACES; i++) {
        if (at[i].ticks && at[i].hash.lo == hash.lo && at[i].hash.hi == hash.hi) {
            *number = at[i].ticks - 1;
            return true;
        }
    }
    return false;
}

static void remember(struct seg_ticks *ticks, struct seg_seen entry)
{
    struct seg_seen *at = places_of(ticks, entry.hash);
    size_t i = 0;

    while (i < PLACES && at[i].ticks) i++;
    if (i == PLACES) i = ticks->victim++ % PLACES;
    else ticks->n_used++;
    at[i] = entry;
}

/* Without memory for more the table stays as it is. */
static void grow(struct seg_ticks *ticks)
{
    struct seg_seen *old = ticks->seen;
    size_t n_old = ticks->n_seen, n = n_old ? n_old * 2 : SEEN_MIN;

    if (n > SEEN_MAX) return;
    struct seg_seen *seen = mem_try_zero(n * sizeof(seen[0]));
    if (!seen) return;
    ticks->seen = seen;
    ticks->n_seen = n;
    ticks->n_used = 0;
    for (size_t i = 0; i < n_old; i++) {
        if (old[i].ticks) remember(ticks, old[i]);
    }
    mem_free(old);
}

static void store_u24(uint8_t *dst, uint64_t v)
{
    dst[0] = (uint8_t)v;
    dst[1] = (uint8_t)(v >> 8);
    dst[2] = (uint8_t)(v >> 16);
}

static uint64_t load_u24(const uint8_t *src)
{
    return src[0] | (uint64_t)src[1] << 8 | (uint64_t)src[2] << 16;
}

status seg_ticks_put(uint32_t *number, struct seg_ticks *ticks, struct hash128 hash,
                     uint64_t off, size_t len, struct err *err)
{
    uint8_t group[SEG_TICKS_GROUP_LEN] = {0};
    size_t place = (size_t)(ticks->n % SEG_TICKS_GROUP);

    if (ticks->n >= UINT32_MAX - 1) return err_set(err, ST_INVALID, "too many ticks");
    if (place == 0) {
        store_u64(group, off);
        strbuf_put(&ticks->table, group, sizeof(group));
        if (ticks->table.failed) return err_set(err, ST_NO_MEMORY, "ticks of a segment");
    }
    uint8_t *at = (uint8_t *)ticks->table.ptr + ticks->table.len - SEG_TICKS_GROUP_LEN;
    uint64_t end = off + len - load_u64(at);
    if (end >> (8 * SEG_TICKS_END_LEN)) return err_set(err, ST_INVALID, "ticks over their limit");
    store_u24(at + SEG_TICKS_END + place * SEG_TICKS_END_LEN, end);
    *number = (uint32_t)ticks->n++;
    if (2 * ticks->n_used >= ticks->n_seen) grow(ticks);
    if (ticks->seen) remember(ticks, (struct seg_seen){hash, *number + 1});
    return ST_OK;
}

bool seg_ticks_at(uint64_t *off, uint64_t *len, const uint8_t *table, uint64_t number)
{
    const uint8_t *group = table + number / SEG_TICKS_GROUP * SEG_TICKS_GROUP_LEN;
    size_t place = (size_t)(number % SEG_TICKS_GROUP);
    const uint8_t *end = group + SEG_TICKS_END + place * SEG_TICKS_END_LEN;
    uint64_t from = place ? load_u24(end - SEG_TICKS_END_LEN) : 0, to = load_u24(end);

    if (to <= from || __builtin_add_overflow(load_u64(group), from, off)) return false;
    *len = to - from;
    return true;
}
