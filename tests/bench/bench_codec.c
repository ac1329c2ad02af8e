/* What the codecs cost: bytes a point, and nanoseconds a point to encode and decode,
 * for shapes like those of performance.md 3. Every line is machine-readable:
 *
 *     BENCH codec.xor.gauge.bytes=5.31
 *
 * Best of several rounds, one thread, 2048 points a chunk (and 32 a block). Nothing is
 * asserted: the machine decides. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/rng.h"
#include "codec/block.h"
#include "codec/chunk.h"

enum { POINTS = 2048, ROUNDS = 300, BLOCK = 32 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void make_ticks(ts_time *ts, int shape, struct rng *rng)
{
    for (size_t i = 0; i < POINTS; i++) {
        uint64_t jitter = shape == 1 ? rng_below(rng, 20) : shape == 2 ? rng_below(rng, 100) : 0;
        ts[i] = (ts_time)(1700000000000u + i * 15000 + jitter);
    }
}

static void make_values(union value *val, int shape, struct rng *rng)
{
    double sum = 1000;
    for (size_t i = 0; i < POINTS; i++) {
        sum += (double)rng_below(rng, 200);
        val[i].bits = shape == 0   ? f64_bits(1)
                      : shape == 1 ? f64_bits(sum)
                      : shape == 2 ? f64_bits((double)rng_below(rng, 10000) / 100)
                      : shape == 3 ? (uint64_t)sum
                                   : f64_bits(rng_unit(rng));
    }
}

struct cost {
    double bytes, encode_ns, decode_ns;
};

static struct cost measure_chunk(enum value_type type, const ts_time *ts, const union value *val)
{
    uint8_t *bytes = malloc(chunk_ticks_bound(POINTS) + chunk_values_bound(type, NULL, POINTS) + CHUNK_PAD);
    struct points pts = {0};
    struct time_range always = {TS_MIN, TS_MAX};
    struct cost best = {0, 1e18, 1e18};
    size_t len = 0;

    for (int round = 0; round < ROUNDS; round++) {
        double t0 = now_ns();
        struct chunk_ref chunk = {.type = type,
                                  .n = POINTS,
                                  .ts = {ts[0], ts[POINTS - 1]},
                                  .ticks = bytes,
                                  .ticks_len = chunk_ticks_encode(bytes, ts, POINTS)};
        chunk.values = bytes + chunk.ticks_len;
        chunk.values_len = chunk_values_encode(bytes + chunk.ticks_len, type, val, POINTS,
                                               CHUNK_FAST);
        len = chunk.ticks_len + chunk.values_len;
        double t1 = now_ns();
        pts.n = 0;
        if (chunk_decode_range(&pts, NULL, &chunk, always) != ST_OK) abort();
        double t2 = now_ns();
        if (t1 - t0 < best.encode_ns) best.encode_ns = t1 - t0;
        if (t2 - t1 < best.decode_ns) best.decode_ns = t2 - t1;
    }
    points_release(&pts);
    free(bytes);
    return (struct cost){(double)len / POINTS, best.encode_ns / POINTS, best.decode_ns / POINTS};
}

static struct cost measure_blocks(enum value_type type, const ts_time *ts, const union value *val)
{
    uint8_t *bytes = malloc(POINTS / BLOCK * block_bound(type, NULL, BLOCK) + CHUNK_PAD);
    struct points pts = {0};
    struct cost best = {0, 1e18, 1e18};
    size_t len = 0, lens[POINTS / BLOCK];

    for (int round = 0; round < ROUNDS; round++) {
        double t0 = now_ns();
        len = 0;
        for (size_t i = 0; i < POINTS; i += BLOCK) {
            lens[i / BLOCK] = block_encode(bytes + len, type, ts[i], ts + i, val + i, BLOCK);
            len += lens[i / BLOCK];
        }
        double t1 = now_ns();
        pts.n = 0;
        for (size_t i = 0, at = 0; i < POINTS / BLOCK; at += lens[i++]) {
            if (block_decode(&pts, NULL, type, ts[i * BLOCK], bytes + at, lens[i]) != ST_OK) {
                abort();
            }
        }
        double t2 = now_ns();
        if (t1 - t0 < best.encode_ns) best.encode_ns = t1 - t0;
        if (t2 - t1 < best.decode_ns) best.decode_ns = t2 - t1;
    }
    points_release(&pts);
    free(bytes);
    return (struct cost){(double)len / POINTS, best.encode_ns / POINTS, best.decode_ns / POINTS};
}

static void print(const char *kind, const char *ticks, const char *values, struct cost cost)
{
    printf("BENCH codec.%s.%s.%s.bytes=%.3f\n", kind, ticks, values, cost.bytes);
    printf("BENCH codec.%s.%s.%s.encode_ns=%.2f\n", kind, ticks, values, cost.encode_ns);
    printf("BENCH codec.%s.%s.%s.decode_ns=%.2f\n", kind, ticks, values, cost.decode_ns);
}

int main(void)
{
    static const char *const ticks[] = {"steady", "jitter20ms", "jitter100ms"};
    static const char *const values[] = {"constant", "counter", "gauge", "i64counter", "noise"};
    static ts_time ts[POINTS];
    static union value val[POINTS];
    struct rng rng;

    rng_init(&rng, 1);
    for (int t = 0; t < 3; t++) {
        for (int v = 0; v < 5; v++) {
            enum value_type type = v == 3 ? VALUE_I64 : VALUE_F64;
            make_ticks(ts, t, &rng);
            make_values(val, v, &rng);
            print("chunk", ticks[t], values[v], measure_chunk(type, ts, val));
            print("block", ticks[t], values[v], measure_blocks(type, ts, val));
        }
    }
    return 0;
}
