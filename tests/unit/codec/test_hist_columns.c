/* Goal: a chunk's histograms come back bit for bit, whole and by section, take fewer bytes
 * than section by section, and hostile bytes are refused within bounded memory. Method:
 * kinds of series with changes thrown in (stale markers, NaN, other schemas, spans, bounds,
 * reset hints) against the plain histograms; cuts; flipped bytes; announced sizes; memory
 * that is refused. */
#include <math.h>

#include "base/arena.h"
#include "base/panic.h"
#include "codec/chunk.h"
#include "codec/value_column.h"
#include "model/histogram.h"
#include "tests/lib/hist_kinds.h"
#include "tests/unit/codec/codec_shapes.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

enum { N_MAX = 700 };

static struct arena arena;
static union value val[CHUNK_POINTS_MAX], back[CHUNK_POINTS_MAX + VALUE_SECTION];

static void setup(void)
{
    arena_init(&arena, NULL, 4096);
}

static void teardown(void)
{
    arena_release(&arena);
}

static uint8_t *encode(size_t *len, size_t n, enum chunk_effort effort)
{
    size_t bound = chunk_values_bound(VALUE_HISTOGRAM, val, n);
    uint8_t *bytes = malloc(bound);
    *len = chunk_values_encode(bytes, VALUE_HISTOGRAM, val, n, effort);
    ck_assert_uint_le(*len, bound);
    return realloc(bytes, *len);
}

static status decode(size_t n, size_t first, size_t end, const uint8_t *bytes, size_t len,
                     struct arena *to)
{
    struct value_column col = {VALUE_HISTOGRAM, n, bytes, len, to};
    return value_column_decode(back, &col, first, end);
}

static struct histogram *copy_of(const struct histogram *h)
{
    struct histogram *copy = arena_try(&arena, sizeof(*copy));
    *copy = *h;
    return copy;
}

/* What Prometheus writes where a series ends: nothing but the sum. */
static const struct histogram stale = {.schema = 0, .is_int = true};

/* Something that happens now and then to a series. */
static void disturb(union value *v, struct rng *rng)
{
    static const struct hist_span two[] = {{-400, 3}, {70000, 1}}, none[] = {{1, 0}, {2, 0}};
    static const double some[] = {1, -0.0, NAN, 1e300};
    static const double bounds[] = {-1, 0, 7};
    struct histogram *h = copy_of(v->hist);

    switch (rng_below(rng, 10)) {
    case 0:
        *h = stale;
        h->sum = bits_f64(VALUE_STALE_BITS);
        break;
    case 1: h->sum = NAN; break;
    case 2: h->sum = -INFINITY; h->count = NAN; break;
    case 3: h->reset = (enum hist_reset)rng_below(rng, 4); break;
    case 4: h->is_int = !h->is_int; break;
    case 5: h->count += 1 + (double)rng_below(rng, 3); break;
    case 6:
        if (h->n_custom) break;
        h->zero_threshold = (double)rng_below(rng, 3) / 1000;
        h->zero_count = -0.0;
        break;
    case 7:
        *h = (struct histogram){.schema = -4, .zero_count = 2.5, .count = 7};
        h->neg = (struct hist_side){two, some, 2, 4};
        break;
    case 8:
        *h = (struct histogram){.schema = HIST_SCHEMA_CUSTOM, .custom = bounds, .n_custom = 3};
        h->pos = (struct hist_side){none, NULL, 2, 0};
        break;
    default: *h = (struct histogram){.schema = 8}; break;
    }
    ck_assert_int_eq(histogram_check(h, NULL), ST_OK);
    v->hist = h;
}

/* One section at a time and all pairs of a few are as they are within the whole. */
static void check_sections(size_t n, const uint8_t *bytes, size_t len)
{
    size_t n_sections = value_sections(n);

    for (size_t first = 0; first < n_sections; first++) {
        for (size_t end = first + 1; end <= n_sections; end += 2) {
            size_t from = first * VALUE_SECTION;
            size_t to = end * VALUE_SECTION < n ? end * VALUE_SECTION : n;
            ck_assert_int_eq(decode(n, first, end, bytes, len, &arena), ST_OK);
            assert_same_values(val + from, back, to - from, VALUE_HISTOGRAM, "sections");
        }
    }
}

START_TEST(test_disturbed_series_round_trip)
{
    enum hist_kind kind = (enum hist_kind)_i;
    struct rng rng;
    size_t len;
    rng_init(&rng, unit_seed());

    for (int round = 0; round < 6; round++) {
        size_t n = 2 + rng_below(&rng, N_MAX - 2);
        size_t seldom = round < 2 ? 1000 : 1 + rng_below(&rng, 60);
        hist_kind_fill(val, n, kind, &rng, &arena);
        for (size_t i = 0; i < n; i++) {
            if (rng_below(&rng, seldom) == 0) disturb(&val[i], &rng);
        }
        uint8_t *bytes = encode(&len, n, (enum chunk_effort)(round % 3));
        unsigned codec = bytes[0] >> 3;
        ck_assert_msg(codec == VALUE_CODEC_HISTS || codec == VALUE_CODEC_ZSTD, "codec %u", codec);
        ck_assert_int_eq(decode(n, 0, value_sections(n), bytes, len, &arena), ST_OK);
        assert_same_values(val, back, n, VALUE_HISTOGRAM, hist_kind_name(kind));
        check_sections(n, bytes, len);
        free(bytes);
        arena_reset(&arena);
    }
}
END_TEST

/* The bytes of these values by codec 10, section by section. */
static size_t len_by_sections(size_t n)
{
    size_t len = 1;
    for (size_t i = 0; i < n; i += VALUE_SECTION) {
        size_t m = n - i < VALUE_SECTION ? n - i : VALUE_SECTION;
        uint8_t *bytes = malloc(value_bound(VALUE_HISTOGRAM, val + i, m));
        len += 2 + value_encode(bytes, VALUE_CODEC_HIST, VALUE_HISTOGRAM, val + i, m);
        free(bytes);
    }
    return len;
}

START_TEST(test_columns_are_smaller_than_sections)
{
    struct rng rng;
    size_t len;
    rng_init(&rng, unit_seed());

    hist_kind_fill(val, N_MAX, (enum hist_kind)_i, &rng, &arena);
    uint8_t *bytes = encode(&len, N_MAX, CHUNK_FAST);
    ck_assert_uint_eq(bytes[0], value_head(VALUE_CODEC_HISTS, VALUE_HISTOGRAM));
    size_t by_sections = len_by_sections(N_MAX);
    ck_assert_msg(len < by_sections, "%s: %zu, by sections %zu", hist_kind_name((enum hist_kind)_i),
                  len, by_sections);
    free(bytes);
}
END_TEST

/* A stale marker between two histograms of a layout costs its run and a patch or two, not
 * the columns' differences twice. */
START_TEST(test_stale_markers_cost_little)
{
    struct rng rng;
    size_t plain, len;
    rng_init(&rng, 7);

    hist_kind_fill(val, N_MAX, HIST_LATENCY, &rng, &arena);
    free(encode(&plain, N_MAX, CHUNK_FAST));
    struct histogram *end = copy_of(&stale);
    end->sum = bits_f64(VALUE_STALE_BITS);
    for (size_t i = 300; i < N_MAX; i += 300) val[i].hist = end;
    free(encode(&len, N_MAX, CHUNK_FAST));
    ck_assert_msg(len < plain + 2 * 40, "%zu, without markers %zu", len, plain);
}
END_TEST

START_TEST(test_one_histogram_and_no_memory_take_sections)
{
    struct rng rng;
    size_t len;
    rng_init(&rng, unit_seed());

    hist_kind_fill(val, 200, HIST_LATENCY, &rng, &arena);
    uint8_t *bytes = encode(&len, 1, CHUNK_FAST);
    ck_assert_uint_eq(bytes[0], value_head(VALUE_CODEC_HIST, VALUE_HISTOGRAM));
    free(bytes);
    bytes = malloc(chunk_values_bound(VALUE_HISTOGRAM, val, 200));
    len = value_column_encode(bytes, VALUE_HISTOGRAM, val, 200, CHUNK_SMALLEST, NULL);
    ck_assert_uint_eq(bytes[0], value_head(VALUE_CODEC_HIST, VALUE_HISTOGRAM));
    ck_assert_int_eq(decode(200, 0, 2, bytes, len, &arena), ST_OK);
    assert_same_values(val, back, 200, VALUE_HISTOGRAM, "without memory");
    free(bytes);
}
END_TEST

/* Too many numbers for one chunk, 25 million of which a reader takes 16: every histogram
 * has a bucket of its own. */
START_TEST(test_too_many_columns_take_sections)
{
    enum { N = 5000 };
    static struct hist_span spans[N];
    static struct histogram hist[N];
    static const double one = 1;
    size_t len;

    for (size_t i = 0; i < N; i++) {
        spans[i] = (struct hist_span){(int32_t)(i * 7), 1};
        hist[i] = (struct histogram){.schema = 1, .count = 1, .pos = {&spans[i], &one, 1, 1}};
        val[i].hist = &hist[i];
    }
    uint8_t *bytes = encode(&len, N, CHUNK_FAST);
    ck_assert_uint_eq(bytes[0], value_head(VALUE_CODEC_HIST, VALUE_HISTOGRAM));
    ck_assert_int_eq(decode(N, 0, value_sections(N), bytes, len, &arena), ST_OK);
    assert_same_values(val, back, N, VALUE_HISTOGRAM, "scattered");
    free(bytes);
}
END_TEST

START_TEST(test_the_longest_chunk)
{
    struct rng rng;
    size_t len;
    rng_init(&rng, unit_seed());

    hist_kind_fill(val, 512, HIST_CLASSIC, &rng, &arena);
    for (size_t i = 512; i < CHUNK_POINTS_MAX; i++) val[i] = val[i % 512];
    uint8_t *bytes = encode(&len, CHUNK_POINTS_MAX, CHUNK_FAST);
    ck_assert_uint_eq(bytes[0], value_head(VALUE_CODEC_HISTS, VALUE_HISTOGRAM));
    size_t n_sections = value_sections(CHUNK_POINTS_MAX);
    ck_assert_int_eq(decode(CHUNK_POINTS_MAX, 0, n_sections, bytes, len, &arena), ST_OK);
    assert_same_values(val, back, CHUNK_POINTS_MAX, VALUE_HISTOGRAM, "longest");
    free(bytes);
}
END_TEST

START_TEST(test_cut_bytes_are_refused)
{
    struct rng rng;
    size_t len, n = 300;
    rng_init(&rng, unit_seed());

    hist_kind_fill(val, n, HIST_LATENCY, &rng, &arena);
    uint8_t *bytes = encode(&len, n, CHUNK_FAST);
    for (size_t cut = 0; cut < len; cut += 1 + len / 300) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, bytes, cut);
        ck_assert_msg(decode(n, 0, 3, part, cut, &arena) == ST_CORRUPT, "%zu of %zu", cut, len);
        free(part);
    }
    ck_assert_int_eq(decode(n + 1, 0, 3, bytes, len, &arena), ST_CORRUPT);
    ck_assert_int_eq(decode(n - 1, 0, 3, bytes, len, &arena), ST_CORRUPT);
    free(bytes);
}
END_TEST

START_TEST(test_flipped_bytes_never_crash)
{
    struct rng rng;
    struct arena scratch;
    size_t len, n = 200;
    rng_init(&rng, unit_seed());

    hist_kind_fill(val, n, HIST_CLASSIC, &rng, &arena);
    for (size_t i = 0; i < n; i += 9) disturb(&val[i], &rng);
    uint8_t *bytes = encode(&len, n, CHUNK_FAST);
    arena_init(&scratch, NULL, 4096);
    for (int round = 0; round < 4000; round++) {
        size_t most = rng_below(&rng, 2) ? len : 100, at = rng_below(&rng, most < len ? most : len);
        uint8_t was = bytes[at];
        bytes[at] = (uint8_t)rng_next(&rng);
        if (decode(n, 0, 2, bytes, len, &scratch) == ST_OK) {
            bool valid = true;
            for (size_t i = 0; i < n; i++) valid &= histogram_check(back[i].hist, NULL) == ST_OK;
            ck_assert(valid);
        }
        bytes[at] = was;
        arena_reset(&scratch);
    }
    arena_release(&scratch);
    free(bytes);
}
END_TEST

/* Bytes that announce much are refused, and before memory is asked for it. */
START_TEST(test_announcements_are_bounded)
{
    static const struct {
        const char *name;
        size_t n, len;
        uint8_t bytes[40];
    } cases[] = {
        {"no flags", 3, 1, {0x66}},
        {"unknown flags", 3, 8, {0x66, 0x04, 1, 0, 0, 0, 0, 0}},
        {"no shapes", 3, 8, {0x66, 0, 0, 0, 0, 0, 0, 0}},
        {"many shapes", 3, 9, {0x66, 0, 0xff, 0xff, 0x7f, 0, 0, 0, 0}},
        {"many spans", 3, 12, {0x66, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0}},
        {"a wide span", 3, 18,
         {0x66, 0, 1, 0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x07, 0, 0, 0, 2, 0, 0}},
        {"a span below all", 3, 18,
         {0x66, 0, 1, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x1f, 1, 0, 0, 0, 2, 0, 0}},
        {"many bounds", 3, 12, {0x66, 0, 1, 0x69, 0, 0, 0, 0xff, 0xff, 0x7f, 0, 0}},
        {"an unknown schema", 3, 14, {0x66, 0, 1, 0x14, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0}},
        {"an unknown threshold", 3, 14, {0x66, 0, 1, 0, 4, 0, 0, 0, 0, 2, 0, 0, 0, 0}},
        {"no threshold before", 3, 14, {0x66, 0, 1, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0}},
        {"a run of another shape", 3, 14, {0x66, 0, 1, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0}},
        {"a run that is too long", 3, 14, {0x66, 0, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0}},
        {"no columns", 3, 10, {0x66, 0, 1, 0, 0, 0, 0, 0, 0, 2}},
        {"a column too few", 3, 18,
         {0x66, 0, 1, 0, 0, 0, 0, 0, 0, 2, 3, 4, 0, 0, 3, 4, 0, 0}},
        {"a column of classes that are not there", 3, 22,
         {0x66, 2, 1, 0, 0, 0, 0, 0, 0, 2, 7, 1, 0, 0, 6, 4, 0, 0, 6, 4, 0, 0}},
        {"a byte too many", 3, 23,
         {0x66, 0, 1, 0, 0, 0, 0, 0, 0, 2, 3, 4, 0, 0, 3, 4, 0, 0, 3, 4, 0, 0, 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t *bytes = malloc(cases[i].len);
        memcpy(bytes, cases[i].bytes, cases[i].len);
        status st = decode(cases[i].n, 0, 1, bytes, cases[i].len, &arena);
        ck_assert_msg(st == ST_CORRUPT, "%s: %d", cases[i].name, (int)st);
        free(bytes);
    }
    ck_assert_uint_lt(arena.n_bytes, 1 << 16);

    /* The last one without its last byte: three empty histograms. */
    static const uint8_t good[] = {0x66, 0, 1, 0, 0, 0, 0, 0, 0, 2, 3, 4,
                                   0,    0, 3, 4, 0, 0, 3, 4, 0, 0};
    ck_assert_int_eq(decode(3, 0, 1, good, sizeof(good), &arena), ST_OK);
    ck_assert_uint_eq(back[2].hist->pos.n_counts, 0);
}
END_TEST

START_TEST(test_results_are_charged_to_the_arena)
{
    struct account account;
    struct arena small;
    struct rng rng;
    size_t len;
    rng_init(&rng, unit_seed());

    hist_kind_fill(val, N_MAX, HIST_LATENCY, &rng, &arena);
    uint8_t *bytes = encode(&len, N_MAX, CHUNK_FAST);
    account_init(&account, "test", NULL, 64 << 10);
    arena_init(&small, &account, 4096);
    ck_assert_int_eq(decode(N_MAX, 0, value_sections(N_MAX), bytes, len, &small), ST_NO_MEMORY);
    arena_release(&small);
    free(bytes);
}
END_TEST

Suite *suite_hist_columns(void)
{
    Suite *s = suite_create("hist_columns");
    TCase *tc = tcase_create("hist_columns");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_disturbed_series_round_trip, 0, N_HIST_KINDS);
    tcase_add_loop_test(tc, test_columns_are_smaller_than_sections, 0, N_HIST_KINDS);
    tcase_add_test(tc, test_stale_markers_cost_little);
    tcase_add_test(tc, test_one_histogram_and_no_memory_take_sections);
    tcase_add_test(tc, test_too_many_columns_take_sections);
    tcase_add_test(tc, test_the_longest_chunk);
    tcase_add_test(tc, test_cut_bytes_are_refused);
    tcase_add_test(tc, test_flipped_bytes_never_crash);
    tcase_add_test(tc, test_announcements_are_bounded);
    tcase_add_test(tc, test_results_are_charged_to_the_arena);
    suite_add_tcase(s, tc);
    return s;
}
