/* Goal: remote read's request is taken apart exactly, or refused with words; what is
 * answered can be read back to the bit. Method: bodies as a client writes them, whole and
 * cut at every byte; answers taken apart by a reader of a few lines, written from the
 * published layout and not from the writer; random series; bytes of Prometheus' own chunks.
 */
#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/bits.h"
#include "base/crc32c.h"
#include "base/rng.h"
#include "ingest/prom_chunk.h"
#include "ingest/prom_hist.h"
#include "ingest/prom_read.h"
#include "tests/lib/pb_write.h"
#include "tests/unit/unit.h"

Suite *suite_prom_read(void);

/* ---- requests ------------------------------------------------------------- */

static struct strbuf body, query, part;
static struct arena arena;
static struct err err;

static void setup(void)
{
    strbuf_init(&body, 0);
    strbuf_init(&query, 0);
    strbuf_init(&part, 0);
    arena_init(&arena, NULL, 4096);
    err = (struct err){.st = ST_OK};
}

static void teardown(void)
{
    strbuf_release(&body);
    strbuf_release(&query);
    strbuf_release(&part);
    arena_release(&arena);
}

static void matcher(uint64_t type, const char *name, const char *value)
{
    pb_varint(&part, 1, type);
    pb_text(&part, 2, name);
    pb_text(&part, 3, value);
    pb_message(&query, 3, &part);
}

static void end_query(int64_t from, int64_t to)
{
    pb_varint(&query, 1, (uint64_t)from);
    pb_varint(&query, 2, (uint64_t)to);
    pb_message(&body, 1, &query);
}

static status decode(struct prom_read *read)
{
    return prom_read_decode(read, strbuf_view(&body), &arena, &err);
}

START_TEST(test_request)
{
    struct prom_read read;
    ck_assert_int_eq(decode(&read), ST_OK); /* nothing is asked */
    ck_assert(read.n_queries == 0 && !read.streamed);
    matcher(0, "__name__", "up");
    matcher(2, "job", "a|b");
    pb_text(&query, 4, "hints are not looked at");
    end_query(-5, 1000);
    matcher(1, "x", "");
    matcher(3, "y", "z.*");
    end_query(0, INT64_MAX);
    ck_assert_int_eq(decode(&read), ST_OK);
    ck_assert_uint_eq(read.n_queries, 2);
    const struct prom_read_query *q = read.queries;
    ck_assert(q[0].from_ms == -5 && q[0].to_ms == 1000 && q[0].n == 2);
    ck_assert(q[0].matchers[0].op == MATCH_EQ && slice_is(q[0].matchers[0].name, "__name__"));
    ck_assert(q[0].matchers[1].op == MATCH_RE);
    ck_assert(matcher_accepts(&q[0].matchers[1], SLICE_LIT("b")));
    ck_assert(!matcher_accepts(&q[0].matchers[1], SLICE_LIT("ab")));
    ck_assert(q[1].to_ms == INT64_MAX && q[1].n == 2);
    ck_assert(q[1].matchers[0].op == MATCH_NE && q[1].matchers[1].op == MATCH_NRE);
    prom_read_release(&read);
}
END_TEST

/* The first kind of answer that is known holds; packed or not. */
static const struct accept_case {
    const char *bytes;
    status st;
    bool streamed;
} accept_cases[] = {
    {"\x10\x01", ST_OK, true},
    {"\x10\x01\x10", ST_PROTOCOL, false},
    {"\x12\x02\x01\x00", ST_OK, true},
    {"\x12\x03\x07\x01\x01", ST_OK, true},
    {"\x10\x07\x10\x01", ST_OK, true},
    {"\x10\x07", ST_INVALID, false},
    {"\x12\x02\x01\xff", ST_PROTOCOL, false},
    {"\x11" "12345678", ST_PROTOCOL, false},
};

START_TEST(test_kinds_of_answer)
{
    const struct accept_case *c = &accept_cases[_i];
    struct prom_read read;
    size_t len = strlen(c->bytes);
    if (_i == 2) len = 4;
    strbuf_put(&body, c->bytes, len);
    ck_assert_int_eq(decode(&read), c->st);
    if (c->st == ST_OK) ck_assert(read.streamed == c->streamed);
    if (c->st == ST_INVALID) ck_assert_ptr_nonnull(strstr(err.text, "STREAMED_XOR_CHUNKS"));
    prom_read_release(&read);
}
END_TEST

START_TEST(test_bad_requests)
{
    struct prom_read read;
    matcher(4, "a", "b");
    end_query(0, 1);
    ck_assert_int_eq(decode(&read), ST_INVALID);
    ck_assert_str_eq(err.text, "invalid matcher type 4");
    strbuf_reset(&body);
    matcher(0, "", "b");
    end_query(0, 1);
    ck_assert_int_eq(decode(&read), ST_INVALID);
    strbuf_reset(&body);
    matcher(2, "a", "(");
    end_query(0, 1);
    ck_assert_int_ne(decode(&read), ST_OK);
    strbuf_reset(&body);
    for (int i = 0; i <= PROM_READ_QUERIES_MAX; i++) end_query(0, 1);
    ck_assert_int_eq(decode(&read), ST_TOO_LARGE);
    strbuf_reset(&body);
    for (int i = 0; i <= PROM_READ_MATCHERS_MAX; i++) matcher(0, "a", "b");
    end_query(0, 1);
    ck_assert_int_eq(decode(&read), ST_TOO_LARGE);
}
END_TEST

START_TEST(test_requests_cut_anywhere)
{
    struct prom_read read;
    matcher(2, "job", "a.*");
    end_query(1, 2);
    pb_varint(&body, 2, 1);
    for (size_t len = 0; len < body.len; len++) {
        char *copy = malloc(len + 1); /* so that a look beyond shows */
        memcpy(copy, body.ptr, len);
        status st = prom_read_decode(&read, slice_of(copy, len), &arena, &err);
        ck_assert(st == ST_OK || st == ST_PROTOCOL);
        if (st == ST_OK) prom_read_release(&read);
        free(copy);
    }
}
END_TEST

/* ---- a reader of chunks ----------------------------------------------------- */

struct bits {
    const uint8_t *src;
    size_t len, at;
};

static uint64_t take(struct bits *b, unsigned width)
{
    uint64_t v = 0;
    for (; width; width--, b->at++) {
        if (b->at / 8 >= b->len) ck_abort_msg("the chunk ends early");
        v = v << 1 | (b->src[b->at / 8] >> (7 - b->at % 8) & 1);
    }
    return v;
}

static uint64_t take_uvarint(struct bits *b)
{
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint64_t byte = take(b, 8);
        v |= (byte & 0x7f) << shift;
        if (byte < 0x80) return v;
    }
}

static unsigned take_ones(struct bits *b, unsigned most)
{
    unsigned n = 0;
    while (n < most && take(b, 1)) n++;
    return n;
}

/* Above half of what the bits hold, a number stands for a negative one. */
static int64_t signed_of(uint64_t v, unsigned width)
{
    if (width == 64) return (int64_t)v;
    return v > UINT64_C(1) << (width - 1) ? (int64_t)v - (INT64_C(1) << width) : (int64_t)v;
}

static const unsigned varbit_widths[] = {0, 3, 6, 9, 12, 18, 25, 56, 64};

static uint64_t take_varbit_unsigned(struct bits *b)
{
    return take(b, varbit_widths[take_ones(b, 8)]);
}

static int64_t take_varbit(struct bits *b)
{
    unsigned width = varbit_widths[take_ones(b, 8)];
    return width ? signed_of(take(b, width), width) : 0;
}

static int64_t take_dod(struct bits *b)
{
    static const unsigned widths[] = {0, 14, 17, 20, 64};
    unsigned width = widths[take_ones(b, 4)];
    return width ? signed_of(take(b, width), width) : 0;
}

struct xor_reader {
    uint64_t v;
    unsigned leading, trailing;
};

static uint64_t take_xor(struct bits *b, struct xor_reader *x)
{
    if (!take(b, 1)) return x->v;
    if (take(b, 1)) {
        x->leading = (unsigned)take(b, 5);
        unsigned width = (unsigned)take(b, 6);
        if (width == 0) width = 64;
        x->trailing = 64 - x->leading - width;
    }
    return x->v ^= take(b, 64 - x->leading - x->trailing) << x->trailing;
}

static struct bits bits_of(const struct strbuf *buf)
{
    return (struct bits){(const uint8_t *)buf->ptr, buf->len, 0};
}

static void expect_floats(const struct strbuf *chunk, const int64_t *ms, const union value *val,
                          size_t n)
{
    struct bits b = bits_of(chunk);
    struct xor_reader x = {0};
    int64_t t = 0;
    uint64_t delta = 0;
    ck_assert_uint_eq(take(&b, 16), n);
    for (size_t i = 0; i < n; i++) {
        if (i == 0) t = unzigzag(take_uvarint(&b));
        else if (i == 1) delta = take_uvarint(&b);
        else delta += (uint64_t)take_dod(&b);
        if (i) t = (int64_t)((uint64_t)t + delta);
        uint64_t v = i ? take_xor(&b, &x) : (x.v = take(&b, 64));
        ck_assert_int_eq(t, ms[i]);
        ck_assert_uint_eq(v, val[i].bits);
    }
    ck_assert_uint_lt(b.len * 8 - b.at, 8);
}

/* ---- floats ----------------------------------------------------------------- */

START_TEST(test_random_float_chunks)
{
    struct rng seeded, *rng = &seeded;
    rng_init(rng, unit_seed());
    static const uint64_t odd[] = {0, 1, VALUE_STALE_BITS, VALUE_NAN_BITS, UINT64_C(1) << 63,
                                   0x7ff0000000000000, UINT64_MAX, 0x3ff0000000000000};
    for (int round = 0; round < 100; round++) {
        int64_t ms[PROM_CHUNK_MAX];
        union value val[PROM_CHUNK_MAX];
        size_t n = 1 + rng_below(rng, PROM_CHUNK_MAX);
        int64_t t = (int64_t)rng_next(rng) >> (8 + rng_below(rng, 40));
        unsigned spread = (unsigned)rng_below(rng, 50);
        for (size_t i = 0; i < n; i++) {
            t += 1 + (int64_t)(rng_next(rng) >> (63 - spread));
            ms[i] = t;
            val[i].bits = rng_next(rng) >> rng_below(rng, 64) << rng_below(rng, 20);
            if (rng_below(rng, 3) == 0) val[i].bits = odd[rng_below(rng, ARRAY_LEN(odd))];
        }
        strbuf_reset(&body);
        prom_chunk_floats(&body, ms, val, n);
        expect_floats(&body, ms, val, n);
    }
}
END_TEST

/* Differences at the ends of every class of a time's second difference. */
START_TEST(test_edges_of_the_classes)
{
    static const int64_t edges[] = {0, 1, -1, 8191, 8192, 8193, -8191, -8192, 65536, 65537, -65535,
                                    -65536, 524288, 524289, -524287, -524288, 1 << 30, -(1 << 30)};
    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        int64_t ms[3] = {0, INT64_C(1) << 40, (INT64_C(2) << 40) + edges[i]};
        union value val[3] = {{.bits = 1}, {.bits = 1}, {.bits = 2}};
        strbuf_reset(&body);
        prom_chunk_floats(&body, ms, val, 3);
        expect_floats(&body, ms, val, 3);
    }
}
END_TEST

/* ---- histograms ------------------------------------------------------------- */

enum { BUCKETS = 6 };

static const struct hist_span spans_pos[] = {{-3, 2}, {1, 2}}, spans_neg[] = {{0, 2}};

/* A series of one layout; counts[i] are the buckets of the i-th. */
struct shape {
    bool is_int;
    int32_t schema;
    double threshold;
    const double *custom;
    size_t n_custom;
    enum hist_reset reset;
};

static struct histogram make(const struct shape *shape, const double *counts, double sum)
{
    static const struct hist_span custom_spans[] = {{0, 3}};
    bool custom = shape->n_custom > 0;
    struct histogram h = {.schema = shape->schema,
                          .reset = shape->reset,
                          .is_int = shape->is_int,
                          .zero_threshold = shape->threshold,
                          .zero_count = custom ? 0 : counts[0],
                          .sum = sum,
                          .pos = custom ? (struct hist_side){custom_spans, counts, 1, 3}
                                        : (struct hist_side){spans_pos, counts, 2, 4},
                          .custom = shape->custom,
                          .n_custom = shape->n_custom};
    if (!custom) h.neg = (struct hist_side){spans_neg, counts + 4, 1, 2};
    for (size_t i = 0; i < h.pos.n_counts; i++) h.count += h.pos.counts[i];
    for (size_t i = 0; i < h.neg.n_counts; i++) h.count += h.neg.counts[i];
    h.count += h.zero_count;
    return h;
}

static double take_threshold(struct bits *b)
{
    uint64_t byte = take(b, 8);
    if (byte == 0) return 0;
    if (byte == 255) return bits_f64(take(b, 64));
    return ldexp(0.5, (int)byte - 243);
}

static void expect_spans(struct bits *b, const struct hist_side *side)
{
    ck_assert_uint_eq(take_varbit_unsigned(b), side->n_spans);
    for (size_t i = 0; i < side->n_spans; i++) {
        ck_assert_uint_eq(take_varbit_unsigned(b), side->spans[i].n);
        ck_assert_int_eq(take_varbit(b), side->spans[i].offset);
    }
}

static void expect_layout(struct bits *b, const struct histogram *h)
{
    ck_assert_double_eq(take_threshold(b), h->zero_threshold);
    ck_assert_int_eq(take_varbit(b), h->schema);
    expect_spans(b, &h->pos);
    expect_spans(b, &h->neg);
    if (h->schema != HIST_SCHEMA_CUSTOM) return;
    ck_assert_uint_eq(take_varbit_unsigned(b), h->n_custom);
    for (size_t i = 0; i < h->n_custom; i++) {
        uint64_t thousandths = take_varbit_unsigned(b);
        double bound = thousandths ? (double)(thousandths - 1) / 1000 : bits_f64(take(b, 64));
        ck_assert_double_eq(bound, h->custom[i]);
    }
}

static void expect_ints(struct bits *b, const int64_t *ms, const union value *val, size_t n)
{
    int64_t state[4 + 2 * BUCKETS][2] = {{0}};
    struct xor_reader sum = {0};
    for (size_t k = 0; k < n; k++) {
        const struct histogram *h = val[k].hist;
        size_t n_buckets = h->pos.n_counts + h->neg.n_counts;
        int64_t want[3 + BUCKETS] = {ms[k], (int64_t)h->count, (int64_t)h->zero_count};
        for (size_t i = 0; i < n_buckets; i++) {
            const struct hist_side *side = i < h->pos.n_counts ? &h->pos : &h->neg;
            size_t at = i < h->pos.n_counts ? i : i - h->pos.n_counts;
            want[3 + i] = (int64_t)side->counts[at] - (at ? (int64_t)side->counts[at - 1] : 0);
        }
        for (size_t i = 0; i < 3 + n_buckets; i++) {
            if (k == 0) {
                bool plain = i == 1 || i == 2;
                state[i][0] = plain ? (int64_t)take_varbit_unsigned(b) : take_varbit(b);
            } else {
                state[i][1] += take_varbit(b);
                state[i][0] += state[i][1];
            }
            if (state[i][0] != want[i]) ck_abort_msg("histogram %zu, number %zu", k, i);
            if (i != 2) continue;
            uint64_t v = k ? take_xor(b, &sum) : (sum.v = take(b, 64));
            ck_assert_uint_eq(v, f64_bits(h->sum));
        }
    }
}

static void expect_doubles(struct bits *b, const int64_t *ms, const union value *val, size_t n)
{
    struct xor_reader state[3 + BUCKETS] = {{0}};
    int64_t t = 0, delta = 0;
    for (size_t k = 0; k < n; k++) {
        const struct histogram *h = val[k].hist;
        double want[3 + BUCKETS] = {h->count, h->zero_count, h->sum};
        size_t n_pos = h->pos.n_counts, n_all = 3 + n_pos + h->neg.n_counts;
        for (size_t i = 0; i < n_pos; i++) want[3 + i] = h->pos.counts[i];
        for (size_t i = 0; i < h->neg.n_counts; i++) want[3 + n_pos + i] = h->neg.counts[i];
        if (k) delta += take_varbit(b);
        t = k ? t + delta : take_varbit(b);
        ck_assert_int_eq(t, ms[k]);
        for (size_t i = 0; i < n_all; i++) {
            uint64_t v = k ? take_xor(b, &state[i]) : (state[i].v = take(b, 64));
            if (v != f64_bits(want[i])) ck_abort_msg("histogram %zu, number %zu", k, i);
        }
    }
}

static void expect_hists(const struct strbuf *chunk, unsigned flags, const int64_t *ms,
                         const union value *val, size_t n)
{
    struct bits b = bits_of(chunk);
    ck_assert_uint_eq(take(&b, 16), n);
    ck_assert_uint_eq(take(&b, 8), flags);
    expect_layout(&b, val[0].hist);
    if (val[0].hist->is_int) expect_ints(&b, ms, val, n);
    else expect_doubles(&b, ms, val, n);
    ck_assert_uint_lt(b.len * 8 - b.at, 8);
}

static const double bounds[] = {0.005, 0.1, 2.5, 33554.43, 1e9};

static const struct shape shapes[] = {
    {true, 3, 0x1p-128, NULL, 0, HIST_RESET_UNKNOWN},
    {true, -4, 0, NULL, 0, HIST_RESET_YES},
    {true, 0, 0x1p10, NULL, 0, HIST_RESET_NO},
    {false, 8, 0.001, NULL, 0, HIST_RESET_UNKNOWN},
    {false, 1, 0x1p-242, NULL, 0, HIST_GAUGE},
    {true, HIST_SCHEMA_CUSTOM, 0, bounds, ARRAY_LEN(bounds), HIST_RESET_UNKNOWN},
    {false, HIST_SCHEMA_CUSTOM, 0, bounds, 3, HIST_RESET_UNKNOWN},
};
static const unsigned shape_flags[] = {0, 0x80, 0x40, 0, 0xc0, 0, 0};

START_TEST(test_random_histogram_chunks)
{
    struct rng seeded, *rng = &seeded;
    const struct shape *shape = &shapes[_i];
    rng_init(rng, unit_seed());
    for (int round = 0; round < 20; round++) {
        static double counts[PROM_CHUNK_MAX][BUCKETS];
        struct histogram hists[PROM_CHUNK_MAX];
        union value val[PROM_CHUNK_MAX];
        int64_t ms[PROM_CHUNK_MAX];
        size_t n = 1 + rng_below(rng, PROM_CHUNK_MAX);
        uint64_t most = UINT64_C(1) << (1 + rng_below(rng, 30));
        for (size_t i = 0; i < n; i++) {
            ms[i] = 1700000000000 + (int64_t)i * 15000 + (int64_t)rng_below(rng, 100);
            for (size_t k = 0; k < BUCKETS; k++) {
                double more = (double)rng_below(rng, most) / (shape->is_int ? 1 : 3);
                counts[i][k] = (i ? counts[i - 1][k] : 0) + (shape->is_int ? floor(more) : more);
            }
            hists[i] = make(shape, counts[i], (double)rng_next(rng));
            if (i) hists[i].reset = shape->reset == HIST_GAUGE ? HIST_GAUGE : HIST_RESET_UNKNOWN;
            val[i].hist = &hists[i];
        }
        enum prom_chunk_kind kind;
        ck_assert_uint_eq(prom_hist_run(&kind, val, n), n);
        ck_assert_int_eq(kind, shape->is_int ? PROM_CHUNK_HIST : PROM_CHUNK_FLOAT_HIST);
        strbuf_reset(&body);
        prom_chunk_hists(&body, kind, ms, val, n);
        ck_assert(!body.failed);
        expect_hists(&body, shape_flags[_i], ms, val, n);
    }
}
END_TEST

/* What ends a chunk: another layout, a reset, another kind, a stale marker, the limit. */
START_TEST(test_what_goes_together)
{
    const struct shape counter = shapes[0], gauge = shapes[4];
    const double small[BUCKETS] = {1, 2, 3, 4, 5, 6}, large[BUCKETS] = {2, 2, 3, 4, 5, 6};
    struct histogram a = make(&counter, small, 1), b = make(&counter, large, 2), other;
    union value pair[2] = {{.hist = &a}, {.hist = &b}};
    enum prom_chunk_kind kind;
    ck_assert_uint_eq(prom_hist_run(&kind, pair, 2), 2);
    pair[0].hist = &b;
    pair[1].hist = &a; /* a bucket shrinks */
    ck_assert_uint_eq(prom_hist_run(&kind, pair, 2), 1);
    pair[0].hist = &a;
    pair[1].hist = &other;
    other = b;
    other.reset = HIST_RESET_YES;
    ck_assert_uint_eq(prom_hist_run(&kind, pair, 2), 1);
    other = b;
    other.zero_threshold = 0.5;
    ck_assert_uint_eq(prom_hist_run(&kind, pair, 2), 1);
    other = b;
    other.is_int = false;
    ck_assert_uint_eq(prom_hist_run(&kind, pair, 2), 1);
    other = b;
    other.count = 1e19; /* no integer form holds it */
    ck_assert_uint_eq(prom_hist_run(&kind, pair, 2), 1);
    other = b;
    other.sum = bits_f64(VALUE_STALE_BITS);
    ck_assert_uint_eq(prom_hist_run(&kind, pair, 2), 1);
    struct histogram up = make(&gauge, large, 1), down = make(&gauge, small, 1);
    pair[0].hist = &up;
    pair[1].hist = &down; /* gauges may shrink */
    ck_assert_uint_eq(prom_hist_run(&kind, pair, 2), 2);
    union value many[PROM_CHUNK_MAX + 1];
    for (size_t i = 0; i <= PROM_CHUNK_MAX; i++) many[i].hist = &up;
    ck_assert_uint_eq(prom_hist_run(&kind, many, PROM_CHUNK_MAX + 1), PROM_CHUNK_MAX);
}
END_TEST

/* A stale marker is its sum alone. */
START_TEST(test_stale_histograms)
{
    const double counts[BUCKETS] = {1, 2, 3, 4, 5, 6};
    struct histogram stale = make(&shapes[0], counts, bits_f64(VALUE_STALE_BITS));
    struct histogram empty = {.is_int = true, .sum = bits_f64(VALUE_STALE_BITS)};
    union value val[2] = {{.hist = &stale}, {.hist = &stale}};
    union value want[2] = {{.hist = &empty}, {.hist = &empty}};
    const int64_t ms[2] = {1000, 2000};
    enum prom_chunk_kind kind;
    ck_assert_uint_eq(prom_hist_run(&kind, val, 2), 2);
    prom_chunk_hists(&body, kind, ms, val, 2);
    expect_hists(&body, 0, ms, want, 2);
}
END_TEST

/* ---- messages --------------------------------------------------------------- */

static const struct label two_labels[] = {{SLICE_LIT("__name__"), SLICE_LIT("m")},
                                          {SLICE_LIT("job"), SLICE_LIT("")}};
static const struct labels labels = {two_labels, 2};

static struct wire_field next(struct wire *w, uint32_t number)
{
    struct wire_field f;
    ck_assert(wire_next(&f, w));
    ck_assert_uint_eq(f.number, number);
    return f;
}

static void expect_labels(struct wire *w)
{
    for (size_t i = 0; i < labels.n; i++) {
        struct wire l = wire_of(next(w, 1).bytes);
        ck_assert(slice_eq(next(&l, 1).bytes, labels.ptr[i].name));
        ck_assert(slice_eq(next(&l, 2).bytes, labels.ptr[i].value));
    }
}

START_TEST(test_samples)
{
    const double counts[BUCKETS] = {1, 2, 3, 4, 5, 6};
    struct histogram whole = make(&shapes[2], counts, 7), parts = make(&shapes[4], counts, -1);
    struct histogram custom = make(&shapes[5], counts, 0);
    const union value hists[] = {{.hist = &whole}, {.hist = &parts}, {.hist = &custom}};
    const union value floats[] = {{.bits = f64_bits(1.5)}, {.bits = 0}, {.bits = VALUE_STALE_BITS}};
    const int64_t ms[] = {-1, 0, 1700000000000};
    struct prom_read_scratch scratch = {0};
    prom_read_put_series(&query, labels, (struct prom_run){ms, floats, 3},
                         (struct prom_run){ms, hists, 3}, &scratch);
    prom_read_put_result(&body, &query);
    prom_read_put_result(&body, &query); /* a query that found nothing */
    ck_assert(!body.failed && query.len == 0);

    struct wire w = wire_of(strbuf_view(&body)), result = wire_of(next(&w, 1).bytes);
    struct wire series = wire_of(next(&result, 1).bytes);
    expect_labels(&series);
    for (size_t i = 0; i < 3; i++) {
        struct wire s = wire_of(next(&series, 2).bytes);
        struct wire_field f;
        uint64_t bits = 0, time = 0;
        while (wire_next(&f, &s)) *(f.number == 1 ? &bits : &time) = f.bits;
        ck_assert(bits == floats[i].bits && (int64_t)time == ms[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        const struct histogram *h;
        const char *why;
        const uint8_t *where;
        int64_t at, start;
        ck_assert_int_eq(prom_hist_decode(&h, &at, &start, &arena, next(&series, 4).bytes, &why,
                                          &where, &err), ST_OK);
        ck_assert(histogram_eq(h, hists[i].hist) && at == ms[i]);
    }
    ck_assert(series.at == series.end);
    ck_assert_uint_eq(next(&w, 1).bytes.len, 0);
    ck_assert(w.at == w.end);
    prom_read_scratch_release(&scratch);
}
END_TEST

/* The chunks of a frame behind each other: kinds and times; *w goes behind the frame. */
static void take_frame(struct strbuf *out, struct wire *w, uint64_t query_index)
{
    struct slice message;
    uint64_t len;
    ck_assert(wire_varint(&len, w) && (uint64_t)(w->end - w->at) >= len + 4);
    uint32_t crc = __builtin_bswap32(load_u32(w->at));
    message = slice_of(w->at + 4, (size_t)len);
    w->at += 4 + len;
    ck_assert_uint_eq(crc, crc32c(0, message.ptr, message.len));
    struct wire m = wire_of(message), series = wire_of(next(&m, 1).bytes);
    if (query_index) ck_assert_uint_eq(next(&m, 2).bits, query_index);
    ck_assert(m.at == m.end);
    expect_labels(&series);
    while (series.at < series.end) {
        struct wire chunk = wire_of(next(&series, 2).bytes);
        int64_t from = (int64_t)next(&chunk, 1).bits, to = (int64_t)next(&chunk, 2).bits;
        strbuf_printf(out, "%d:%lld-%lld ", (int)next(&chunk, 3).bits, (long long)from,
                      (long long)to);
        ck_assert_uint_gt(next(&chunk, 4).bytes.len, 2);
    }
}

START_TEST(test_frames)
{
    enum { N = 300, LAYOUTS = 4 };
    static double counts[BUCKETS] = {1, 2, 3, 4, 5, 6};
    struct histogram a = make(&shapes[0], counts, 7), b = make(&shapes[3], counts, 7);
    const union value hists[LAYOUTS] = {{.hist = &a}, {.hist = &b}, {.hist = &b}, {.hist = &a}};
    const int64_t hist_ms[LAYOUTS] = {150, 1205, 1206, 5000};
    union value floats[N];
    int64_t ms[N];
    struct prom_read_scratch scratch = {0};
    for (int i = 0; i < N; i++) {
        ms[i] = 10 * (i + 1);
        floats[i].bits = f64_bits(i);
    }
    prom_read_put_frames(&body, 3, labels, (struct prom_run){ms, floats, N},
                         (struct prom_run){hist_ms, hists, LAYOUTS}, &scratch);
    ck_assert(!body.failed);
    struct wire w = wire_of(strbuf_view(&body));
    take_frame(&part, &w, 3);
    ck_assert(w.at == w.end);
    /* At 150 there are both. */
    ck_assert_str_eq(strbuf_cstr(&part), "1:10-140 1:150-150 2:150-150 1:160-1200 3:1205-1206 "
                                         "1:1210-2400 1:2410-3000 2:5000-5000 ");
    strbuf_reset(&body);
    prom_read_put_frames(&body, 0, labels, (struct prom_run){ms, floats, 0},
                         (struct prom_run){ms, hists, 0}, &scratch);
    ck_assert_uint_eq(body.len, 0);
    prom_read_scratch_release(&scratch);
}
END_TEST

/* A series of more than a frame is cut, and nothing is lost. */
START_TEST(test_frames_have_a_size)
{
    enum { N = 300000 };
    struct rng seeded, *rng = &seeded;
    union value *floats = malloc(N * sizeof(*floats));
    int64_t *ms = malloc(N * sizeof(*ms));
    struct prom_read_scratch scratch = {0};
    rng_init(rng, unit_seed());
    for (int i = 0; i < N; i++) {
        ms[i] = 7 * i + 1;
        floats[i].bits = rng_next(rng);
    }
    prom_read_put_frames(&body, 0, labels, (struct prom_run){ms, floats, N},
                         (struct prom_run){ms, floats, 0}, &scratch);
    struct wire w = wire_of(strbuf_view(&body));
    size_t n_frames = 0, n_chunks = 0;
    for (; w.at < w.end; n_frames++) {
        const uint8_t *begin = w.at;
        strbuf_reset(&part);
        take_frame(&part, &w, 0);
        ck_assert_int_lt(w.at - begin, PROM_FRAME + 16384);
        for (size_t i = 0; i < part.len; i++) n_chunks += part.ptr[i] == ' ';
    }
    ck_assert_uint_ge(n_frames, 2);
    ck_assert_uint_eq(n_chunks, N / PROM_CHUNK_MAX);
    free(floats);
    free(ms);
    prom_read_scratch_release(&scratch);
}
END_TEST

Suite *suite_prom_read(void)
{
    Suite *s = suite_create("prom_read");
    TCase *tc = tcase_create("prom_read");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_request);
    tcase_add_loop_test(tc, test_kinds_of_answer, 0, (int)ARRAY_LEN(accept_cases));
    tcase_add_test(tc, test_bad_requests);
    tcase_add_test(tc, test_requests_cut_anywhere);
    tcase_add_test(tc, test_random_float_chunks);
    tcase_add_test(tc, test_edges_of_the_classes);
    tcase_add_loop_test(tc, test_random_histogram_chunks, 0, (int)ARRAY_LEN(shapes));
    tcase_add_test(tc, test_what_goes_together);
    tcase_add_test(tc, test_stale_histograms);
    tcase_add_test(tc, test_samples);
    tcase_add_test(tc, test_frames);
    tcase_add_test(tc, test_frames_have_a_size);
    suite_add_tcase(s, tc);
    return s;
}
