/* What the codecs cost: bytes a value, and nanoseconds a value to encode and decode.
 * Every line is machine-readable:
 *
 *     BENCH codec.decimal.2048.bytes.size=2.27          kind "bytes", columns of 2048
 *     BENCH codec.decimal.2048.bytes.encode_ns=3.1
 *     BENCH codec.decimal.2048.bytes.decode_ns.avx2=0.8
 *     BENCH codec.xor.2048.bytes.size=3.6               beside it: Gorilla XOR
 *     BENCH codec.chunk.fast.steady.mix.size=...        chunks of 2048, times included
 *     BENCH codec.chunk.128.fast.steady.mix.size=...    and of other lengths
 *     BENCH codec.classes.2048.bytes.decode_ns=2.2      class streams beside codec 7 and XOR
 *
 *     bench_codec [columns] [chunk] [short] [long] [classes] [hist] [record FILE]
 *
 * Without a word: columns, chunk, classes, hist. "short" are chunks of 128 and 512 points,
 * "long" of 4096 to 65535. "mix" is data set C: the kinds by their shares, constants by the
 * constant codec. Best of several rounds, one thread. Nothing is asserted: the machine
 * decides. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/panic.h"
#include "base/rng.h"
#include "codec/block.h"
#include "codec/chunk.h"
#include "codec/decimal.h"
#include "codec/kernels.h"
#include "codec/value_codec.h"
#include "codec/value_column.h"
#include "model/histogram.h"
#include "tests/bench/bench_codec.h"
#include "tests/lib/series_kinds.h"

enum {
    POINTS = 2048,
    SERIES = 4,        /* columns of each kind and length */
    ROUND_NS = 300000, /* a round is at least this long */
    ROUNDS = 7,
    SETS = 3,
};

double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct cost {
    double size, encode_ns, decode_ns[SETS]; /* a value */
};

/* One column and its encoding. */
struct work {
    const union value *val;
    size_t n, len;
    uint8_t *bytes;
    union value *back;
    struct decimal_scratch scratch;
    uint8_t exponent;
};

static void decimal_in(struct work *w)
{
    w->len = w->n <= DECIMAL_BLOCK
                 ? decimal_encode_block(w->bytes, VALUE_F64, w->val, w->n, &w->exponent)
                 : decimal_encode(w->bytes, VALUE_F64, w->val, w->n, &w->scratch);
}

static void decimal_out(struct work *w)
{
    if (decimal_decode(w->back, VALUE_F64, w->n, w->bytes, w->len) != ST_OK) abort();
}

/* Sections of VALUE_POINTS_MAX, one after the other, each behind its length. */
static void by_sections_in(struct work *w, enum value_codec codec)
{
    w->len = 0;
    for (size_t i = 0; i < w->n; i += VALUE_POINTS_MAX) {
        size_t left = w->n - i < VALUE_POINTS_MAX ? w->n - i : VALUE_POINTS_MAX;
        uint8_t *at = w->bytes + w->len;
        size_t len = value_encode(at + 2, codec, VALUE_F64, w->val + i, left);
        at[0] = (uint8_t)len;
        at[1] = (uint8_t)(len >> 8);
        w->len += 2 + len;
    }
}

static void by_sections_out(struct work *w, enum value_codec codec)
{
    const uint8_t *at = w->bytes;
    for (size_t i = 0; i < w->n; i += VALUE_POINTS_MAX) {
        size_t left = w->n - i < VALUE_POINTS_MAX ? w->n - i : VALUE_POINTS_MAX;
        size_t len = at[0] | (size_t)at[1] << 8;
        if (value_decode(w->back + i, left, codec, VALUE_F64, NULL, at + 2, len) != ST_OK) {
            abort();
        }
        at += 2 + len;
    }
}

static void xor_in(struct work *w)
{
    by_sections_in(w, VALUE_CODEC_XOR);
}

static void xor_out(struct work *w)
{
    by_sections_out(w, VALUE_CODEC_XOR);
}

static void const_in(struct work *w)
{
    w->len = value_encode(w->bytes, VALUE_CODEC_CONST, VALUE_F64, w->val, 1);
}

/* The value once, given out n times, as a chunk does it. */
static void const_out(struct work *w)
{
    if (value_decode(w->back, 1, VALUE_CODEC_CONST, VALUE_F64, NULL, w->bytes, w->len) != ST_OK) {
        abort();
    }
    for (size_t i = 1; i < w->n; i++) w->back[i] = w->back[0];
}

/* The shortest of several rounds, in ns a call. */
static double best_time(void (*step)(struct work *), struct work *w)
{
    double best = 1e18;
    int calls = 1;

    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns(), took;
        for (int i = 0; i < calls; i++) step(w);
        took = now_ns() - start;
        if (took < ROUND_NS) {
            calls = (int)(calls * 1.5 * ROUND_NS / (took + 1000)) + 1;
            if (round > 0) round--;
            if (calls > 1000000) round++;
        }
        if (took / calls < best && took >= ROUND_NS / 2) best = took / calls;
    }
    return best;
}

static void measure(struct cost *sum, void (*in)(struct work *), void (*out)(struct work *),
                    const union value *val, size_t n)
{
    struct work w = {.val = val, .n = n, .exponent = 0};

    w.bytes = malloc(16 * n + 1024);
    w.back = malloc(n * sizeof(w.back[0]));
    if (!w.bytes || !w.back || decimal_scratch_reserve(&w.scratch, n) != ST_OK) abort();
    in(&w);
    sum->size += (double)w.len / (double)n / SERIES;
    sum->encode_ns += best_time(in, &w) / (double)n / SERIES;
    for (unsigned set = 0; set < SETS && kernels_nth(set); set++) {
        kernels_use(kernels_nth(set));
        sum->decode_ns[set] += best_time(out, &w) / (double)n / SERIES;
        if (memcmp(w.back, val, n * sizeof(val[0])) != 0) abort();
    }
    kernels_use(NULL);
    decimal_scratch_release(&w.scratch);
    free(w.bytes);
    free(w.back);
}

static void print(const char *codec, size_t n, const char *kind, const struct cost *c)
{
    printf("BENCH codec.%s.%zu.%s.size=%.3f\n", codec, n, kind, c->size);
    printf("BENCH codec.%s.%zu.%s.encode_ns=%.2f\n", codec, n, kind, c->encode_ns);
    for (unsigned set = 0; set < SETS && kernels_nth(set); set++) {
        if (strcmp(codec, "decimal") != 0 && kernels_nth(set + 1)) continue;
        printf("BENCH codec.%s.%zu.%s.decode_ns%s%s=%.2f\n", codec, n, kind,
               strcmp(codec, "decimal") == 0 ? "." : "",
               strcmp(codec, "decimal") == 0 ? kernels_nth(set)->name : "", c->decode_ns[set]);
    }
    fflush(stdout);
}

static void add_share(struct cost *mix, const struct cost *c, unsigned percent)
{
    mix->size += c->size * percent / 100;
    mix->encode_ns += c->encode_ns * percent / 100;
    for (int set = 0; set < SETS; set++) mix->decode_ns[set] += c->decode_ns[set] * percent / 100;
}

static void bench_columns(size_t n)
{
    static union value val[POINTS];
    struct cost mix = {0}, mix_xor = {0};
    struct rng rng;

    rng_init(&rng, 1);
    for (unsigned kind = 0; kind < N_SERIES_KINDS; kind++) {
        struct cost c = {0}, x = {0};
        for (int i = 0; i < SERIES; i++) {
            kind_fill(val, n, (enum series_kind)kind, &rng);
            bool constant = kind == KIND_CONSTANT;
            measure(&c, constant ? const_in : decimal_in, constant ? const_out : decimal_out,
                    val, n);
            measure(&x, xor_in, xor_out, val, n);
        }
        print("decimal", n, kind_name((enum series_kind)kind), &c);
        print("xor", n, kind_name((enum series_kind)kind), &x);
        add_share(&mix, &c, kind_share((enum series_kind)kind));
        add_share(&mix_xor, &x, kind_share((enum series_kind)kind));
    }
    print("decimal", n, "mix", &mix);
    print("xor", n, "mix", &mix_xor);
}

/* ---- class streams ---------------------------------------------------------------- */

static void values_in(struct work *w)
{
    w->len = chunk_values_encode(w->bytes, VALUE_F64, w->val, w->n, CHUNK_SMALLEST);
}

static void values_out(struct work *w)
{
    struct value_column col = {.type = VALUE_F64, .n = w->n, .src = w->bytes, .len = w->len};
    if (value_column_decode(w->back, &col, 0, value_sections(w->n)) != ST_OK) abort();
}

/* The kinds for which class streams are taken, beside what else could be. */
static void bench_classes(void)
{
    static union value val[POINTS];
    struct rng rng;

    rng_init(&rng, 3);
    for (unsigned kind = 0; kind < N_SERIES_KINDS; kind++) {
        struct cost c = {0}, d = {0}, x = {0};
        uint8_t head[16 * POINTS + 1024];
        kind_fill(val, POINTS, (enum series_kind)kind, &rng);
        (void)chunk_values_encode(head, VALUE_F64, val, POINTS, CHUNK_SMALLEST);
        if (head[0] >> 3 != VALUE_CODEC_CLASSES) continue;
        for (int i = 0; i < SERIES; i++) {
            measure(&c, values_in, values_out, val, POINTS);
            measure(&d, decimal_in, decimal_out, val, POINTS);
            measure(&x, xor_in, xor_out, val, POINTS);
            kind_fill(val, POINTS, (enum series_kind)kind, &rng);
        }
        print("classes", POINTS, kind_name((enum series_kind)kind), &c);
        print("decimal", POINTS, kind_name((enum series_kind)kind), &d);
        print("xor", POINTS, kind_name((enum series_kind)kind), &x);
    }
}

/* ---- whole chunks, times included ------------------------------------------------ */

const char *effort_name(enum chunk_effort effort)
{
    static const char *const names[] = {"fast", "small", "smallest"};
    return names[effort];
}

static bool same_values(enum value_type type, const union value *a, const union value *b, size_t n)
{
    if (type != VALUE_HISTOGRAM) return memcmp(a, b, n * sizeof(a[0])) == 0;
    for (size_t i = 0; i < n; i++) {
        if (!histogram_eq(a[i].hist, b[i].hist)) return false;
    }
    return true;
}

void measure_chunk(struct chunk_cost *out, enum value_type type, const ts_time *ts,
                   const union value *val, size_t n, enum chunk_effort effort, int rounds)
{
    uint8_t *ticks = malloc(chunk_ticks_bound(n) + CHUNK_PAD);
    uint8_t *values = malloc(chunk_values_bound(type, val, n) + CHUNK_PAD);
    struct time_range always = {TS_MIN, TS_MAX};
    struct points pts = {0};
    struct arena arena;

    if (!ticks || !values) abort();
    arena_init(&arena, NULL, 1 << 20);
    *out = (struct chunk_cost){.encode_ns = 1e18, .decode_ns = 1e18};
    for (int round = 0; round < rounds; round++) {
        double t0 = now_ns();
        struct chunk_ref chunk = {
            .type = type, .n = (uint32_t)n, .ts = {ts[0], ts[n - 1]}, .ticks = ticks};
        chunk.ticks_len = chunk_ticks_encode(ticks, ts, n);
        chunk.values = values;
        chunk.values_len = chunk_values_encode(values, type, val, n, effort);
        double t1 = now_ns();
        pts.n = 0;
        arena_reset(&arena);
        if (chunk_decode_range(&pts, &arena, &chunk, always) != ST_OK) abort();
        double t2 = now_ns();
        if (!same_values(type, pts.val, val, n)) abort();
        out->ticks = (double)chunk.ticks_len;
        out->values = (double)chunk.values_len;
        if (t1 - t0 < out->encode_ns) out->encode_ns = t1 - t0;
        if (t2 - t1 < out->decode_ns) out->decode_ns = t2 - t1;
    }
    points_release(&pts);
    arena_release(&arena);
    free(ticks);
    free(values);
}

static void make_ticks(ts_time *ts, size_t n, bool jitter, struct rng *rng)
{
    for (size_t i = 0; i < n; i++) {
        ts[i] = (ts_time)(1700000000000u + i * 15000 + (jitter ? rng_below(rng, 20) : 0));
    }
}

static void print_chunk(size_t n, bool jitter, enum chunk_effort effort, const char *kind,
                        const struct cost *c)
{
    char name[96], length[16] = "";

    if (n != POINTS) snprintf(length, sizeof(length), "%zu.", n);
    snprintf(name, sizeof(name), "codec.chunk.%s%s.%s.%s", length, effort_name(effort),
             jitter ? "jitter20ms" : "steady", kind);
    printf("BENCH %s.size=%.3f\n", name, c->size);
    printf("BENCH %s.encode_ns=%.2f\n", name, c->encode_ns);
    printf("BENCH %s.decode_ns=%.2f\n", name, c->decode_ns[0]);
    fflush(stdout);
}

static void bench_chunks(size_t n, bool jitter, enum chunk_effort effort)
{
    static ts_time ts[CHUNK_POINTS_MAX];
    static union value val[CHUNK_POINTS_MAX];
    struct cost mix = {0};
    struct rng rng;
    int rounds = n > POINTS ? ROUNDS : 10 * ROUNDS;

    rng_init(&rng, 2);
    for (unsigned kind = 0; kind < N_SERIES_KINDS; kind++) {
        struct chunk_cost cost;
        make_ticks(ts, n, jitter, &rng);
        kind_fill(val, n, (enum series_kind)kind, &rng);
        measure_chunk(&cost, VALUE_F64, ts, val, n, effort, rounds);
        double per = 1 / (double)n;
        struct cost c = {(cost.ticks + cost.values) * per, cost.encode_ns * per,
                         {cost.decode_ns * per}};
        add_share(&mix, &c, kind_share((enum series_kind)kind));
        print_chunk(n, jitter, effort, kind_name((enum series_kind)kind), &c);
    }
    print_chunk(n, jitter, effort, "mix", &mix);
}

static void bench_lengths(const size_t *lengths, size_t n_lengths)
{
    for (size_t i = 0; i < n_lengths; i++) {
        for (int effort = CHUNK_FAST; effort <= CHUNK_SMALLEST; effort++) {
            bench_chunks(lengths[i], false, (enum chunk_effort)effort);
            bench_chunks(lengths[i], true, (enum chunk_effort)effort);
        }
    }
}

static void bench_all_columns(void)
{
    static const size_t lengths[] = {16, 32, 120, 512, POINTS};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) bench_columns(lengths[i]);
}

static void bench_whole(void)
{
    static const size_t lengths[] = {POINTS};
    bench_lengths(lengths, ARRAY_LEN(lengths));
}

static void bench_short(void)
{
    static const size_t lengths[] = {128, 512};
    bench_lengths(lengths, ARRAY_LEN(lengths));
}

static void bench_long(void)
{
    static const size_t lengths[] = {4096, 8192, 16384, CHUNK_POINTS_MAX};
    bench_lengths(lengths, ARRAY_LEN(lengths));
}

static const struct mode {
    const char *name;
    void (*run)(void);
    bool usual;
} modes[] = {
    {"columns", bench_all_columns, true}, {"chunk", bench_whole, true},
    {"short", bench_short, false},        {"long", bench_long, false},
    {"classes", bench_classes, true},     {"hist", bench_hists, true},
};

int main(int argc, char **argv)
{
    printf("# kernels: %s\n", kernels()->name);
    for (size_t m = 0; argc < 2 && m < ARRAY_LEN(modes); m++) {
        if (modes[m].usual) modes[m].run();
    }
    for (int i = 1; i < argc; i++) {
        size_t m = 0;
        if (strcmp(argv[i], "record") == 0 && i + 1 < argc) {
            int code = bench_record(argv[++i]);
            if (code != 0) return code;
            continue;
        }
        while (m < ARRAY_LEN(modes) && strcmp(argv[i], modes[m].name) != 0) m++;
        if (m == ARRAY_LEN(modes)) {
            fprintf(stderr, "bench_codec: %s: no such mode\n", argv[i]);
            return 2;
        }
        modes[m].run();
    }
    return 0;
}
