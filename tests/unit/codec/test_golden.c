/* Goal: what a version wrote once is read for ever. Method: chunks of every codec, stored
 * in tests/conformance/formats/chunk with the digest of their points in digests.txt, are
 * decoded and digested. With TSINK_GOLDEN_WRITE set, files that are not there are written
 * first: for new codecs; one that is there is never changed.
 *
 * A file is an input of fuzz_chunk: u8 0, u8 type - 1, u16 points, u16 length of the
 * ticks, i64 from, u32 to - from, the ticks, the values. */
#include <stdio.h>

#include "base/arena.h"
#include "base/bits.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/panic.h"
#include "codec/chunk.h"
#include "codec/tick_codec.h"
#include "codec/tick_column.h"
#include "codec/value_codec.h"
#include "codec/value_column.h"
#include "model/histogram.h"
#include "tests/lib/hist_kinds.h"
#include "tests/unit/codec/codec_shapes.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

enum { N_MAX = 3000, HEAD = 18, FILE_MAX = 64 << 10 };

/* What the values of a file look like. */
enum content {
    CONSTANT, COUNTER, GAUGE, NOISE, UNEVEN, REPEATING, WORDS, TEXTS, FLOATS,
    LAYOUTS, /* histograms: of a busy server, a stale marker, then with custom bounds */
    BUSY,    /* histograms of a busy server */
};

static const struct golden {
    const char *name;
    enum value_type type;
    size_t n;
    enum tick_shape ticks;
    unsigned tick_codec; /* 0: fixed */
    enum content content;
    enum chunk_effort effort;
    enum value_codec codec;
} goldens[] = {
    {"xor", VALUE_F64, 3, TICKS_BURSTS, TICK_DELTA_VARINT, NOISE, CHUNK_FAST, VALUE_CODEC_XOR},
    {"const-f64", VALUE_F64, 300, TICKS_STEADY, 0, CONSTANT, CHUNK_FAST, VALUE_CODEC_CONST},
    {"const-bool", VALUE_BOOL, 300, TICKS_STEADY, 0, CONSTANT, CHUNK_FAST, VALUE_CODEC_CONST},
    {"bool", VALUE_BOOL, 300, TICKS_JITTER, TICK_COLUMN_GRID, NOISE, CHUNK_FAST,
     VALUE_CODEC_BOOL},
    {"bytes", VALUE_BYTES, 20, TICKS_STEADY, 0, NOISE, CHUNK_FAST, VALUE_CODEC_BYTES},
    {"dictionary", VALUE_BYTES, 300, TICKS_STEADY, 0, WORDS, CHUNK_FAST, VALUE_CODEC_DICT},
    {"decimal-counter", VALUE_F64, 600, TICKS_STEADY, 0, COUNTER, CHUNK_FAST,
     VALUE_CODEC_DECIMAL},
    {"decimal-gauge", VALUE_F64, 600, TICKS_JITTER, TICK_COLUMN_GRID, GAUGE, CHUNK_FAST,
     VALUE_CODEC_DECIMAL},
    {"decimal-noise", VALUE_F64, 300, TICKS_BURSTS, TICK_COLUMN_OFFSETS, NOISE, CHUNK_FAST,
     VALUE_CODEC_DECIMAL},
    {"decimal-ulp", VALUE_F64, 300, TICKS_STEADY, 0, FLOATS, CHUNK_FAST, VALUE_CODEC_DECIMAL},
    {"decimal-i64", VALUE_I64, 300, TICKS_MISSING, TICK_COLUMN_GRID, COUNTER, CHUNK_FAST,
     VALUE_CODEC_DECIMAL},
    {"decimal-u64", VALUE_U64, 300, TICKS_DRIFT, TICK_COLUMN_OFFSETS, NOISE, CHUNK_FAST,
     VALUE_CODEC_DECIMAL},
    {"classes", VALUE_F64, 3000, TICKS_STEADY, 0, UNEVEN, CHUNK_SMALLEST, VALUE_CODEC_CLASSES},
    {"classes-i64", VALUE_I64, 3000, TICKS_STEADY, 0, UNEVEN, CHUNK_SMALLEST,
     VALUE_CODEC_CLASSES},
    {"zstd", VALUE_F64, 600, TICKS_STEADY, 0, REPEATING, CHUNK_SMALL, VALUE_CODEC_ZSTD},
    {"histogram", VALUE_HISTOGRAM, 40, TICKS_STEADY, 0, COUNTER, CHUNK_FAST, VALUE_CODEC_HIST},
    {"zstd-bytes", VALUE_BYTES, 300, TICKS_STEADY, 0, TEXTS, CHUNK_SMALL, VALUE_CODEC_ZSTD},
    {"sections", VALUE_BYTES, 300, TICKS_STEADY, 0, NOISE, CHUNK_FAST, VALUE_CODEC_BYTES},
    {"zigzag", VALUE_I64, 100, TICKS_JITTER, TICK_DOD_BITS, GAUGE, CHUNK_FAST,
     VALUE_CODEC_ZIGZAG},
    {"zigzag-u64", VALUE_U64, 100, TICKS_DRIFT, TICK_DELTA_VARINT, NOISE, CHUNK_FAST,
     VALUE_CODEC_ZIGZAG},
    {"delta", VALUE_U64, 100, TICKS_MISSING, TICK_GRID, COUNTER, CHUNK_FAST,
     VALUE_CODEC_DELTA},
    {"delta-i64", VALUE_I64, 100, TICKS_BURSTS, TICK_DOD_BITS, NOISE, CHUNK_FAST,
     VALUE_CODEC_DELTA},
    {"histograms", VALUE_HISTOGRAM, 300, TICKS_JITTER, TICK_COLUMN_GRID, LAYOUTS, CHUNK_FAST,
     VALUE_CODEC_HISTS},
    {"histograms-classes", VALUE_HISTOGRAM, 1500, TICKS_STEADY, 0, BUSY, CHUNK_SMALLEST,
     VALUE_CODEC_HISTS},
    {"histograms-float", VALUE_HISTOGRAM, 200, TICKS_STEADY, 0, GAUGE, CHUNK_FAST,
     VALUE_CODEC_HISTS},
    {"one", VALUE_F64, 1, TICKS_STEADY, 0, COUNTER, CHUNK_FAST, VALUE_CODEC_CONST},
};

static struct arena arena;
static ts_time ts[N_MAX];
static union value val[N_MAX];

static void path_of(char path[1024], const char *name)
{
    const char *top = getenv("TSINK_TOP"), *file = __FILE__;
    const char *here = strstr(file, "tests/unit/codec/");

    if (top) snprintf(path, 1024, "%s/tests/conformance/formats/chunk/%s", top, name);
    else snprintf(path, 1024, "%.*stests/conformance/formats/chunk/%s", (int)(here - file), file,
                  name);
}

static uint64_t digest_of(const struct points *pts, enum value_type type)
{
    uint64_t digest = 0;

    for (size_t i = 0; i < pts->n; i++) {
        uint8_t head[24] = {0};
        store_u64(head, digest);
        store_u64(head + 8, (uint64_t)pts->ts[i]);
        if (type == VALUE_BYTES) {
            store_u64(head + 16, hash_place(pts->val[i].bytes->ptr, pts->val[i].bytes->len));
        } else if (type == VALUE_HISTOGRAM) {
            uint8_t *bytes = malloc(histogram_bound(pts->val[i].hist));
            size_t len = histogram_encode(bytes, pts->val[i].hist);
            store_u64(head + 16, hash_place(bytes, len));
            free(bytes);
        } else {
            store_u64(head + 16, pts->val[i].bits);
        }
        digest = hash_place(head, sizeof(head));
    }
    return digest;
}

/* ---- writing --------------------------------------------------------------- */

static void fill_layouts(size_t n, struct rng *rng)
{
    static struct histogram stale = {.is_int = true};
    size_t half = n / 2;

    stale.sum = bits_f64(VALUE_STALE_BITS);
    hist_kind_fill(val, half, HIST_LATENCY, rng, &arena);
    val[half].hist = &stale;
    hist_kind_fill(val + half + 1, n - half - 1, HIST_CLASSIC, rng, &arena);
}

static void fill_values(const struct golden *g, struct rng *rng)
{
    static const struct slice words[] = {SLICE_LIT("up"), SLICE_LIT("down"), SLICE_LIT(""),
                                         SLICE_LIT("degraded: 2 of 3 disks")};
    static struct slice text[N_MAX];
    double sum = 0;
    int64_t n = 0;

    if (g->content <= NOISE) {
        static const enum value_shape shapes[] = {VALUES_CONSTANT, VALUES_COUNTER, VALUES_GAUGE,
                                                  VALUES_NOISE};
        shape_values(val, g->n, g->type, shapes[g->content], rng, &arena);
        return;
    }
    if (g->content >= LAYOUTS) {
        if (g->content == LAYOUTS) fill_layouts(g->n, rng);
        else hist_kind_fill(val, g->n, HIST_LATENCY, rng, &arena);
        return;
    }
    for (size_t i = 0; i < g->n; i++) {
        uint64_t bits = rng_next(rng);
        unsigned width = 3 * trailing_zeros(bits | 1u << 11);
        n += (int64_t)(rng_next(rng) >> (63 - width));
        sum += 0.1 * (double)(1 + bits % 7);
        int64_t again = (int64_t)(i % 37 * i % 37 * 991 % 1009);
        switch (g->content) {
        case UNEVEN: val[i].bits = g->type == VALUE_F64 ? f64_bits((double)n) : (uint64_t)n; break;
        case REPEATING: val[i].bits = f64_bits((double)again / 100); break;
        case FLOATS: val[i].bits = f64_bits(sum); break;
        case TEXTS:
            text[i] = slice_str(arena_printf(&arena, "request %zu took %u us", i,
                                             (unsigned)(bits % 5000)));
            val[i].bytes = &text[i];
            break;
        default: val[i].bytes = &words[bits % ARRAY_LEN(words)]; break;
        }
    }
}

/* Codecs that are chosen for a few values only, with ticks of the same kind: a row of many
 * is written by the codecs that it names. */
static bool is_named(const struct golden *g)
{
    return g->codec == VALUE_CODEC_ZIGZAG || g->codec == VALUE_CODEC_DELTA;
}

static size_t put_ticks(uint8_t *dst, const struct golden *g)
{
    if (!is_named(g)) return chunk_ticks_encode(dst, ts, g->n);
    dst[0] = (uint8_t)g->tick_codec;
    return 1 + tick_encode(dst + 1, (enum tick_codec)g->tick_codec, ts[0], ts, g->n);
}

static size_t put_values(uint8_t *dst, const struct golden *g)
{
    if (!is_named(g)) return chunk_values_encode(dst, g->type, val, g->n, g->effort);
    dst[0] = value_head(g->codec, g->type);
    return 1 + value_encode(dst + 1, g->codec, g->type, val, g->n);
}

static void write_golden(const struct golden *g, FILE *file, const char *digests)
{
    uint8_t *bytes = calloc(1, FILE_MAX);
    struct rng rng;
    rng_init(&rng, 42);
    shape_ticks(ts, g->n, g->ticks, &rng);
    fill_values(g, &rng);
    size_t ticks_len = put_ticks(bytes + HEAD, g);
    size_t values_len = put_values(bytes + HEAD + ticks_len, g);
    bytes[1] = (uint8_t)(g->type - 1);
    store_u16(bytes + 2, (uint16_t)g->n);
    store_u16(bytes + 4, (uint16_t)ticks_len);
    store_u64(bytes + 6, (uint64_t)ts[0]);
    store_u32(bytes + 14, (uint32_t)(ts[g->n - 1] - ts[0]));
    size_t len = HEAD + ticks_len + values_len;
    ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);

    struct points pts = {ts, val, g->n, g->n};
    FILE *list = fopen(digests, "ab");
    ck_assert_ptr_nonnull(list);
    fprintf(list, "%s %016llx\n", g->name, (unsigned long long)digest_of(&pts, g->type));
    fclose(list);
    free(bytes);
}

/* ---- reading --------------------------------------------------------------- */

static uint64_t digest_written(const char *digests, const char *name)
{
    char word[64];
    unsigned long long digest, found = 0;
    FILE *list = fopen(digests, "rb");

    ck_assert_msg(list != NULL, "%s is not there", digests);
    while (fscanf(list, "%63s %llx", word, &digest) == 2) {
        if (strcmp(word, name) == 0) found = digest;
    }
    fclose(list);
    return found;
}

START_TEST(test_golden_chunks)
{
    const struct golden *g = &goldens[_i];
    char path[1024], digests[1024];
    struct points pts = {0};
    struct err err = {0};

    arena_init(&arena, NULL, 4096);
    path_of(path, g->name);
    path_of(digests, "digests.txt");
    FILE *file = fopen(path, "rb");
    if (!file && getenv("TSINK_GOLDEN_WRITE")) {
        file = fopen(path, "w+b");
        ck_assert_msg(file != NULL, "%s", path);
        write_golden(g, file, digests);
        rewind(file);
    }
    ck_assert_msg(file != NULL, "%s is not there", path);
    uint8_t *bytes = calloc(1, FILE_MAX + CHUNK_PAD);
    size_t len = fread(bytes, 1, FILE_MAX, file);
    fclose(file);
    ck_assert_uint_gt(len, HEAD);

    struct chunk_ref chunk = {.type = (enum value_type)(bytes[1] + 1),
                              .n = load_u16(bytes + 2),
                              .ts.from = (int64_t)load_u64(bytes + 6),
                              .ticks = bytes + HEAD,
                              .ticks_len = load_u16(bytes + 4)};
    chunk.ts.to = chunk.ts.from + load_u32(bytes + 14);
    chunk.values = chunk.ticks + chunk.ticks_len;
    chunk.values_len = len - HEAD - chunk.ticks_len;
    ck_assert_msg(chunk.type == g->type && chunk.n == g->n, "%s", g->name);
    unsigned tick_codec = chunk.ticks_len ? chunk.ticks[0] & 15u : 0;
    ck_assert_msg(tick_codec == g->tick_codec, "%s: ticks by %u", g->name, tick_codec);
    ck_assert_msg(chunk.values[0] >> 3 == g->codec, "%s: values by %d", g->name,
                  chunk.values[0] >> 3);
    ck_assert_msg(chunk_check(&arena, &chunk, &err) == ST_OK, "%s: %s", g->name, err.text);
    struct time_range always = {TS_MIN, TS_MAX};
    ck_assert_int_eq(chunk_decode_range(&pts, &arena, &chunk, always), ST_OK);
    ck_assert_msg(digest_of(&pts, g->type) == digest_written(digests, g->name), "%s", g->name);
    points_release(&pts);
    free(bytes);
    arena_release(&arena);
}
END_TEST

/* Whoever adds a codec adds a file. Fixed steps have no bytes in a chunk. */
START_TEST(test_every_codec_has_a_file)
{
    static const struct {
        unsigned id;
        bool ticks;
        const char *name;
    } codecs[] = {
#define TICK_CODEC(code, id, name, prefix) {code, true, name},
#define VALUE_CODEC(code, id, name, types, prefix) {code, false, name},
#define COLUMN_CODEC(code, id, name, types, decoder) {code, false, name},
#include "codec/codecs.def"
#undef TICK_CODEC
#undef VALUE_CODEC
#undef COLUMN_CODEC
        {TICK_COLUMN_GRID, true, "column of a grid"},
        {TICK_COLUMN_OFFSETS, true, "column of offsets"},
    };
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
        bool found = codecs[i].ticks && codecs[i].id == TICK_FIXED_STEP;
        for (size_t k = 0; k < ARRAY_LEN(goldens); k++) {
            found |= codecs[i].id == (codecs[i].ticks ? goldens[k].tick_codec : goldens[k].codec);
        }
        ck_assert_msg(found, "codec %u, %s, has no golden file", codecs[i].id, codecs[i].name);
    }
}
END_TEST

Suite *suite_golden(void)
{
    Suite *s = suite_create("golden");
    TCase *tc = tcase_create("golden");
    tcase_add_loop_test(tc, test_golden_chunks, 0, (int)ARRAY_LEN(goldens));
    tcase_add_test(tc, test_every_codec_has_a_file);
    suite_add_tcase(s, tc);
    return s;
}
