/* What the way in costs up to the owner, in ns a sample, and beside it the bare kernels of
 * the same work. 100,000 series of nine labels (BENCH_SERIES sets another number), one
 * sample each, 2000 a request, 252 bytes of protobuf a sample; every series is known.
 *
 *     snappy     snappy_block_decode into a buffer that stays
 *     walk       top level, split at the tail, hash of the label run: no checks, no batch
 *     probe      identity_get of hashes at hand, prefetched 16 ahead
 *     columns    the batch's columns filled from arrays
 *     write1     prom_write_decode with probes: walk + probe + columns, and the checks
 *     write2     prom_write2_decode of the same series with references and symbols
 *     wal        wal_samples_put of slices of 1024 rows, and its CRC32C
 *
 * Lines: BENCH ingest.walk_ns=..., and ingest.write1_to_stages, the ratio to the sum of
 * walk, probe and columns: the gate is 1.3. CPU time; of each body the best of several
 * rounds counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/panic.h"
#include "base/varint.h"
#include "codec/snappy.h"
#include "engine/wal_payload.h"
#include "index/identity.h"
#include "ingest/prom_write.h"
#include "ingest/prom_write2.h"

enum { PER_REQUEST = 2000, ROUNDS = 7, AHEAD = 16, SLICE = 1024, TAIL = 18, LABELS = 9,
       PER_TARGET = 100 };

static const int64_t start_ms = 1700000000000;

struct body {
    struct strbuf raw, packed, two; /* 1.0, compressed, and 2.0 */
};

struct bench {
    size_t n_series, n_bodies;
    struct body *bodies;
    struct identity *identity;
    struct hash128 *hashes;
    struct batch *batch;
    struct strbuf plain;
    struct wal_row *rows;
    uint8_t *wal;
    uint64_t sum; /* so that nothing is left out */
};

/* --- bodies -------------------------------------------------------------------------- */

static void put_varint(struct strbuf *out, uint64_t v)
{
    uint8_t bytes[VARINT_MAX];
    strbuf_put(out, bytes, varint_put(bytes, v));
}

static void put_text(struct strbuf *out, uint8_t tag, const char *text)
{
    strbuf_char(out, (char)tag);
    put_varint(out, strlen(text));
    strbuf_str(out, text);
}

static void put_sample(struct strbuf *out, size_t i)
{
    uint8_t sample[TAIL] = {0x12, TAIL - 2, 0x09};
    store_u64(sample + 3, f64_bits((double)i / 100));
    sample[11] = 0x10;
    ASSERT(varint_put(sample + 12, (uint64_t)start_ms + i % 7) == 6);
    strbuf_put(out, sample, sizeof(sample));
}

static const char *const names[LABELS] = {"__name__", "cluster",   "container", "endpoint",
                                          "instance", "job",       "namespace", "pod", "zone"};

static void label_value(char dst[80], size_t label, size_t i)
{
    size_t target = i / PER_TARGET;
    switch (label) {
    case 0:
        snprintf(dst, 80, "bench_container_%02zu_seconds_of_cpu_used_total", i % PER_TARGET);
        break;
    case 4: snprintf(dst, 80, "10.0.%zu.%zu:9100", target >> 8, target & 255); break;
    case 7: snprintf(dst, 80, "app-%06zu", target); break;
    default: snprintf(dst, 80, "%s-%02zu", names[label], target % 10 + label); break;
    }
}

/* A sender's table has each text once: those that a target's series share, and the names
 * that its targets share. */
static void make_two(struct strbuf *out, size_t first, size_t n)
{
    struct strbuf series, one;
    char value[80];
    size_t next = 1 + LABELS, shared[LABELS] = {0}, name_refs[PER_TARGET] = {0};
    strbuf_init(&series, 0);
    strbuf_init(&one, 0);
    put_text(out, 0x22, "");
    for (size_t l = 0; l < LABELS; l++) put_text(out, 0x22, names[l]);
    for (size_t i = first; i < first + n; i++) {
        struct strbuf refs;
        strbuf_init(&refs, 0);
        strbuf_reset(&one);
        for (size_t l = 0; l < LABELS; l++) {
            size_t *ref = l == 0 ? &name_refs[i % PER_TARGET] : &shared[l];
            if (l == 0 ? *ref == 0 : i % PER_TARGET == 0 || i == first) {
                label_value(value, l, i);
                put_text(out, 0x22, value);
                *ref = next++;
            }
            put_varint(&refs, 1 + l);
            put_varint(&refs, *ref);
        }
        strbuf_char(&one, 0x0a);
        put_varint(&one, refs.len);
        strbuf_slice(&one, strbuf_view(&refs));
        put_sample(&one, i);
        strbuf_char(&series, 0x2a);
        put_varint(&series, one.len);
        strbuf_slice(&series, strbuf_view(&one));
        strbuf_release(&refs);
    }
    strbuf_slice(out, strbuf_view(&series));
    strbuf_release(&series);
    strbuf_release(&one);
}

static void make_one(struct strbuf *out, size_t first, size_t n)
{
    struct strbuf series, label;
    char value[80];
    strbuf_init(&series, 0);
    strbuf_init(&label, 0);
    for (size_t i = first; i < first + n; i++) {
        strbuf_reset(&series);
        for (size_t l = 0; l < LABELS; l++) {
            strbuf_reset(&label);
            label_value(value, l, i);
            put_text(&label, 0x0a, names[l]);
            put_text(&label, 0x12, value);
            strbuf_char(&series, 0x0a);
            put_varint(&series, label.len);
            strbuf_slice(&series, strbuf_view(&label));
        }
        put_sample(&series, i);
        strbuf_char(out, 0x0a);
        put_varint(out, series.len);
        strbuf_slice(out, strbuf_view(&series));
    }
    strbuf_release(&series);
    strbuf_release(&label);
}

static void make_bodies(struct bench *b)
{
    b->n_bodies = b->n_series / PER_REQUEST;
    b->n_series = b->n_bodies * PER_REQUEST;
    b->bodies = calloc(b->n_bodies, sizeof(*b->bodies));
    ASSERT(b->bodies && b->n_bodies);
    for (size_t i = 0; i < b->n_bodies; i++) {
        struct body *body = &b->bodies[i];
        strbuf_init(&body->raw, 0);
        strbuf_init(&body->packed, 0);
        strbuf_init(&body->two, 0);
        make_one(&body->raw, i * PER_REQUEST, PER_REQUEST);
        make_two(&body->two, i * PER_REQUEST, PER_REQUEST);
        ASSERT(strbuf_reserve(&body->packed, snappy_block_bound(body->raw.len)));
        body->packed.len = snappy_block_encode(body->packed.ptr, body->raw.ptr, body->raw.len);
        ASSERT(!body->raw.failed && !body->two.failed && body->packed.len);
    }
}

/* --- everything known ------------------------------------------------------------------ */

static void free_now(void *ctx, void (*free_fn)(void *, void *), void *ptr, void *arg,
                     size_t bytes)
{
    (void)ctx;
    (void)bytes;
    free_fn(ptr, arg);
}

static bool never_stale(const void *ctx, uint32_t ordinal, uint32_t gen)
{
    (void)ctx;
    return ordinal == ORDINAL_NONE && gen == 0;
}

static bool is_known(void *ctx, struct hash128 raw, uint32_t *ordinal, uint32_t *gen)
{
    return identity_get(((struct bench *)ctx)->identity, raw, ordinal, gen);
}

static void prefetch(void *ctx, struct hash128 raw)
{
    identity_prefetch(((struct bench *)ctx)->identity, raw);
}

static status decode(struct bench *b, decode_fn *fn, struct slice body)
{
    struct decode_env env = {.limits = &limits_default,
                             .precision = PRECISION_MS,
                             .window = {TS_MIN, TS_MAX},
                             .known = is_known,
                             .prefetch = prefetch,
                             .ctx = b};
    struct decode_report report;
    batch_reset(b->batch);
    return fn(b->batch, body, &env, &report, NULL);
}

/* The ordinal of a series is its place, whichever version tells of it. */
static void learn(struct bench *b, decode_fn *fn, bool two)
{
    for (size_t i = 0; i < b->n_bodies; i++) {
        struct body *body = &b->bodies[i];
        ASSERT(decode(b, fn, strbuf_view(two ? &body->two : &body->raw)) == ST_OK);
        ASSERT(b->batch->n_series == PER_REQUEST);
        for (size_t s = 0; s < PER_REQUEST; s++) {
            size_t at = i * PER_REQUEST + s;
            struct hash128 raw = b->batch->series[s].name->raw_hash;
            ASSERT(identity_put(b->identity, raw, (uint32_t)at, 1));
            if (!two) b->hashes[at] = raw;
        }
    }
}

/* --- the stages, each over one body ------------------------------------------------------ */

static void do_snappy(struct bench *b, size_t i)
{
    const struct body *body = &b->bodies[i];
    ASSERT(snappy_block_decode(b->plain.ptr, body->raw.len, body->packed.ptr, body->packed.len,
                               NULL) == ST_OK);
}

static void do_walk(struct bench *b, size_t i)
{
    const uint8_t *at = (const uint8_t *)b->bodies[i].raw.ptr, *end = at + b->bodies[i].raw.len;
    while (at < end) {
        uint64_t len = 0;
        at += 1;
        at += varint_get(&len, at, (size_t)(end - at));
        struct hash128 h = hash128(at, len - TAIL);
        b->sum += h.lo + load_u64(at + len - 15);
        at += len;
    }
}

static void do_probe(struct bench *b, size_t i)
{
    const struct hash128 *h = b->hashes + i * PER_REQUEST;
    uint32_t ordinal = 0, gen = 0;
    for (size_t s = 0; s < PER_REQUEST; s++) {
        if (s + AHEAD < PER_REQUEST) identity_prefetch(b->identity, h[s + AHEAD]);
        ASSERT(identity_get(b->identity, h[s], &ordinal, &gen));
        b->sum += ordinal;
    }
}

static void do_columns(struct bench *b, size_t i)
{
    batch_reset(b->batch);
    for (uint32_t s = 0; s < PER_REQUEST; s++)
        ASSERT(batch_add_known(b->batch, (uint32_t)i + s, 1, start_ms, (union value){.bits = s}));
}

static void do_write1(struct bench *b, size_t i)
{
    ASSERT(decode(b, prom_write_decode, strbuf_view(&b->bodies[i].raw)) == ST_OK);
}

static void do_write2(struct bench *b, size_t i)
{
    ASSERT(decode(b, prom_write2_decode, strbuf_view(&b->bodies[i].two)) == ST_OK);
}

static void do_wal(struct bench *b, size_t i)
{
    for (size_t from = 0; from < PER_REQUEST; from += SLICE) {
        size_t n = PER_REQUEST - from < SLICE ? PER_REQUEST - from : SLICE;
        size_t len = wal_samples_put(b->wal, b->rows + i * PER_REQUEST + from, n);
        b->sum += crc32c(0, b->wal, len);
    }
}

/* --- timing ---------------------------------------------------------------------------- */

/* CPU time of the thread, so that neighbours do not count. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ns a sample over all bodies, each body's best round. */
static double best(struct bench *b, const char *name, void (*stage)(struct bench *, size_t))
{
    double sum = 0;
    int64_t *least = calloc(b->n_bodies, sizeof(*least));
    ASSERT(least);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < b->n_bodies; i++) {
            int64_t begun = cpu_ns();
            stage(b, i);
            int64_t took = cpu_ns() - begun;
            if (round == 0 || took < least[i]) least[i] = took;
        }
    }
    for (size_t i = 0; i < b->n_bodies; i++) sum += (double)least[i];
    free(least);
    printf("BENCH ingest.%s_ns=%.1f\n", name, sum / (double)b->n_series);
    return sum;
}

static void make_rows(struct bench *b)
{
    b->rows = calloc(b->n_series, sizeof(*b->rows));
    b->wal = malloc(SLICE * WAL_ROW_BYTES + 64);
    ASSERT(b->rows && b->wal);
    for (size_t i = 0; i < b->n_series; i++)
        b->rows[i] = (struct wal_row){.id = i + 1, .ts = start_ms, .bits = i, .type = VALUE_F64};
}

int main(void)
{
    const char *want = getenv("BENCH_SERIES");
    struct bench b = {.n_series = want ? strtoul(want, NULL, 10) : 100000};
    struct reclaim rc = {.retire = free_now};
    hash_seed(1);
    if (b.n_series < PER_REQUEST) b.n_series = PER_REQUEST;
    make_bodies(&b);
    make_rows(&b);
    b.identity = identity_new(NULL, &rc, never_stale, NULL);
    b.hashes = calloc(b.n_series, sizeof(*b.hashes));
    b.batch = batch_new(NULL);
    strbuf_init(&b.plain, 0);
    ASSERT(b.identity && b.hashes && b.batch);
    ASSERT(strbuf_reserve(&b.plain, b.bodies[b.n_bodies - 1].raw.len + 4096));
    learn(&b, prom_write_decode, false);
    learn(&b, prom_write2_decode, true);
    for (size_t i = 0; i < b.n_series; i++) identity_move(b.identity); /* to its end */

    printf("BENCH ingest.body_bytes=%.1f\n", (double)b.bodies[0].raw.len / PER_REQUEST);
    (void)best(&b, "snappy", do_snappy);
    double stages = best(&b, "walk", do_walk);
    stages += best(&b, "probe", do_probe);
    stages += best(&b, "columns", do_columns);
    double one = best(&b, "write1", do_write1);
    double two = best(&b, "write2", do_write2);
    (void)best(&b, "wal", do_wal);
    printf("BENCH ingest.write1_to_stages=%.2f\n", one / stages);
    printf("BENCH ingest.write2_to_write1=%.2f\n", two / one);
    return b.sum == 1 ? EXIT_FAILURE : 0;
}
