/* Native histograms on the wire. See prom_hist.h.
 *
 * Two walks: the first checks the wire format and counts spans and buckets, the second
 * fills arrays of exactly that size. Integer histograms carry each bucket as the change
 * from the one before, float histograms as it is; which of the two a message is, is said
 * by which `count` it has.
 */
#include "ingest/prom_hist.h"

#include "base/bits.h"
#include "ingest/prom_write.h"
#include "ingest/wire_write.h"

#define INT_END 9.2e18 /* below 2^63 */

/* Field numbers of prometheus.Histogram and prometheus.BucketSpan. */
enum {
    HIST_COUNT_INT = 1,
    HIST_COUNT_FLOAT = 2,
    HIST_SUM = 3,
    HIST_SCHEMA = 4,
    HIST_ZERO_THRESHOLD = 5,
    HIST_ZERO_COUNT_INT = 6,
    HIST_ZERO_COUNT_FLOAT = 7,
    HIST_NEG_SPANS = 8,
    HIST_NEG_DELTAS = 9,
    HIST_NEG_COUNTS = 10,
    HIST_POS_SPANS = 11,
    HIST_POS_DELTAS = 12,
    HIST_POS_COUNTS = 13,
    HIST_RESET_HINT = 14,
    HIST_TIMESTAMP = 15,
    HIST_CUSTOM_VALUES = 16,
    HIST_START = 17, /* of remote write 2.0; of another type it is something unknown */
    SPAN_OFFSET = 1,
    SPAN_LENGTH = 2,
};

/* One side while it is counted and then filled. */
struct side {
    size_t n_spans, n_deltas, n_counts;
    struct hist_span *spans;
    double *counts;      /* from deltas or counts, whichever is meant */
    int64_t running;     /* sum of the deltas so far */
    bool overflow;
};

struct walk {
    struct side pos, neg;
    size_t n_custom;
    double *custom;
    struct histogram h;
    int64_t ms, start;
    bool fill; /* the second walk */
};

static enum wire_type type_of(uint32_t number)
{
    switch (number) {
    case HIST_COUNT_INT:
    case HIST_SCHEMA:
    case HIST_ZERO_COUNT_INT:
    case HIST_RESET_HINT:
    case HIST_TIMESTAMP: return WIRE_VARINT;
    case HIST_COUNT_FLOAT:
    case HIST_SUM:
    case HIST_ZERO_THRESHOLD:
    case HIST_ZERO_COUNT_FLOAT: return WIRE_FIXED64;
    default: return WIRE_BYTES;
    }
}

static bool walk_span(struct side *side, struct wire *outer, struct slice msg, bool fill)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    struct hist_span span = {0, 0};
    while (wire_next(&f, &w)) {
        if (f.number != SPAN_OFFSET && f.number != SPAN_LENGTH) continue;
        if (!wire_is(&w, &f, WIRE_VARINT)) break;
        if (f.number == SPAN_OFFSET) span.offset = (int32_t)unzigzag(f.bits & UINT32_MAX);
        else span.n = (uint32_t)f.bits;
    }
    if (w.why) {
        outer->why = w.why;
        outer->at = w.at;
        return false;
    }
    if (fill) side->spans[side->n_spans] = span;
    side->n_spans++;
    return true;
}

static void add_delta(struct side *side, uint64_t bits, bool fill, bool is_int)
{
    if (fill && is_int) {
        side->overflow |= __builtin_add_overflow(side->running, unzigzag(bits), &side->running);
        side->overflow |= side->running < 0;
        side->counts[side->n_deltas] = (double)side->running;
    }
    side->n_deltas++;
}

/* Repeated numbers come packed in bytes or one by one. */
static bool walk_deltas(struct side *side, struct wire *w, const struct wire_field *f, bool fill,
                        bool is_int)
{
    if (f->type == WIRE_VARINT) {
        add_delta(side, f->bits, fill, is_int);
        return true;
    }
    if (!wire_is(w, f, WIRE_BYTES)) return false;
    struct wire packed = wire_of(f->bytes);
    while (packed.at < packed.end) {
        uint64_t bits;
        if (!wire_varint(&bits, &packed)) {
            w->why = "bad varint";
            return false;
        }
        add_delta(side, bits, fill, is_int);
    }
    return true;
}

static bool walk_doubles(double *out, size_t *n, struct wire *w, const struct wire_field *f,
                         bool fill)
{
    if (f->type == WIRE_FIXED64) {
        if (fill) out[*n] = bits_f64(f->bits);
        ++*n;
        return true;
    }
    if (!wire_is(w, f, WIRE_BYTES)) return false;
    if (f->bytes.len % sizeof(double)) {
        w->why = "packed doubles of a broken length";
        return false;
    }
    for (size_t i = 0; i < f->bytes.len; i += sizeof(double), ++*n)
        if (fill) out[*n] = bits_f64(load_u64(f->bytes.ptr + i));
    return true;
}

static void take_scalar(struct walk *k, const struct wire_field *f)
{
    switch (f->number) {
    case HIST_COUNT_INT:
        k->h.count = (double)f->bits;
        k->h.is_int = true;
        break;
    case HIST_COUNT_FLOAT:
        k->h.count = bits_f64(f->bits);
        k->h.is_int = false;
        break;
    case HIST_SUM: k->h.sum = bits_f64(f->bits); break;
    case HIST_SCHEMA: k->h.schema = (int32_t)unzigzag(f->bits & UINT32_MAX); break;
    case HIST_ZERO_THRESHOLD: k->h.zero_threshold = bits_f64(f->bits); break;
    case HIST_ZERO_COUNT_INT: k->h.zero_count = (double)f->bits; break;
    case HIST_ZERO_COUNT_FLOAT: k->h.zero_count = bits_f64(f->bits); break;
    case HIST_RESET_HINT:
        k->h.reset = f->bits <= HIST_GAUGE ? (enum hist_reset)f->bits : HIST_RESET_UNKNOWN;
        break;
    case HIST_TIMESTAMP: k->ms = (int64_t)f->bits; break;
    case HIST_START: k->start = f->type == WIRE_VARINT ? (int64_t)f->bits : 0; break;
    default: break; /* fields of later versions */
    }
}

static bool take_field(struct walk *k, struct wire *w, const struct wire_field *f)
{
    bool is_int = k->h.is_int;
    switch (f->number) {
    case HIST_NEG_DELTAS: return walk_deltas(&k->neg, w, f, k->fill, is_int);
    case HIST_POS_DELTAS: return walk_deltas(&k->pos, w, f, k->fill, is_int);
    case HIST_NEG_COUNTS:
        return walk_doubles(k->neg.counts, &k->neg.n_counts, w, f, k->fill && !is_int);
    case HIST_POS_COUNTS:
        return walk_doubles(k->pos.counts, &k->pos.n_counts, w, f, k->fill && !is_int);
    case HIST_CUSTOM_VALUES: return walk_doubles(k->custom, &k->n_custom, w, f, k->fill);
    case HIST_NEG_SPANS:
        return wire_is(w, f, WIRE_BYTES) && walk_span(&k->neg, w, f->bytes, k->fill);
    case HIST_POS_SPANS:
        return wire_is(w, f, WIRE_BYTES) && walk_span(&k->pos, w, f->bytes, k->fill);
    default:
        if (f->number <= HIST_CUSTOM_VALUES && !wire_is(w, f, type_of(f->number))) return false;
        if (!k->fill) take_scalar(k, f); /* the first walk saw them all, the last one holds */
        return true;
    }
}

static bool walk_all(struct walk *k, struct wire *w)
{
    struct wire_field f;
    while (wire_next(&f, w))
        if (!take_field(k, w, &f)) return false;
    return w->why == NULL;
}

static size_t n_buckets(const struct side *side, bool is_int)
{
    return is_int ? side->n_deltas : side->n_counts;
}

static bool make_room(struct side *side, struct arena *arena, bool is_int)
{
    side->spans = arena_try_array(arena, side->n_spans, sizeof(*side->spans));
    side->counts = arena_try_array(arena, n_buckets(side, is_int), sizeof(*side->counts));
    side->n_spans = side->n_deltas = side->n_counts = 0;
    return side->spans && side->counts;
}

static struct hist_side finish_side(const struct side *side, bool is_int)
{
    return (struct hist_side){side->spans, side->counts, side->n_spans, n_buckets(side, is_int)};
}

static status fill_arrays(struct walk *k, struct arena *arena, struct slice msg)
{
    bool is_int = k->h.is_int;
    struct wire w = wire_of(msg);
    k->custom = arena_try_array(arena, k->n_custom, sizeof(*k->custom));
    k->n_custom = 0;
    if (!k->custom || !make_room(&k->pos, arena, is_int) || !make_room(&k->neg, arena, is_int))
        return ST_NO_MEMORY;
    k->fill = true;
    bool sound = walk_all(k, &w);
    ASSERT(sound); /* the first walk found it so */
    k->h.pos = finish_side(&k->pos, is_int);
    k->h.neg = finish_side(&k->neg, is_int);
    k->h.custom = k->custom;
    k->h.n_custom = k->n_custom;
    return ST_OK;
}

status prom_hist_decode(const struct histogram **out, int64_t *ms, int64_t *start,
                        struct arena *arena, struct slice msg, const char **why,
                        const uint8_t **where, struct err *err)
{
    struct walk k = {.h.is_int = true};
    struct wire w = wire_of(msg);
    if (!walk_all(&k, &w)) {
        *why = w.why;
        *where = w.at;
        return ST_PROTOCOL;
    }
    *ms = k.ms;
    *start = k.start;
    if (k.pos.n_deltas + k.pos.n_counts + k.neg.n_deltas + k.neg.n_counts >
        PROM_WRITE_BUCKETS_MAX)
        return err_set(err, ST_BAD_VALUE, "histogram: more than %d buckets",
                       PROM_WRITE_BUCKETS_MAX);
    if (k.pos.n_spans + k.neg.n_spans + k.n_custom > PROM_WRITE_BUCKETS_MAX)
        return err_set(err, ST_BAD_VALUE, "histogram: more than %d spans and bounds",
                       PROM_WRITE_BUCKETS_MAX);

    TRY(fill_arrays(&k, arena, msg));
    if (k.pos.overflow || k.neg.overflow)
        return err_set(err, ST_BAD_VALUE, "histogram: a bucket's count is negative or overflows");
    TRY(histogram_check(&k.h, err));

    struct histogram *h = arena_try(arena, sizeof(*h)); /* its arrays are in the arena already */
    if (!h) return ST_NO_MEMORY;
    *h = k.h;
    *out = h;
    return ST_OK;
}

/* ---- writing -------------------------------------------------------------- */

static bool fits_int(double count)
{
    return count >= 0 && count < INT_END;
}

static bool side_is_int(const struct hist_side *side)
{
    for (size_t i = 0; i < side->n_counts; i++)
        if (!fits_int(side->counts[i])) return false;
    return true;
}

bool prom_hist_is_int(const struct histogram *h)
{
    return h->is_int && fits_int(h->count) && fits_int(h->zero_count) && side_is_int(&h->pos) &&
           side_is_int(&h->neg);
}

/* One of two fields of which one has to be there, also when it is zero. */
static void put_count(struct strbuf *out, bool is_int, uint32_t int_number, double v)
{
    if (is_int) {
        wire_put_tag(out, int_number, WIRE_VARINT);
        wire_put_raw(out, (uint64_t)v);
        return;
    }
    uint64_t bits = f64_bits(v);
    wire_put_tag(out, int_number + 1, WIRE_FIXED64);
    strbuf_put(out, &bits, sizeof(bits));
}

static size_t span_len(struct hist_span span)
{
    return (span.offset ? 1 + varint_len(zigzag(span.offset)) : 0) +
           (span.n ? 1 + varint_len(span.n) : 0);
}

static void put_spans(struct strbuf *out, uint32_t number, const struct hist_side *side)
{
    for (size_t i = 0; i < side->n_spans; i++) {
        wire_put_tag(out, number, WIRE_BYTES);
        wire_put_raw(out, span_len(side->spans[i]));
        wire_put_signed(out, SPAN_OFFSET, side->spans[i].offset);
        wire_put_varint(out, SPAN_LENGTH, side->spans[i].n);
    }
}

/* Packed; integers as the change from the bucket before. */
static void put_deltas(struct strbuf *out, uint32_t number, const struct hist_side *side)
{
    size_t len = 0;
    int64_t before = 0;
    if (side->n_counts == 0) return;
    for (size_t i = 0; i < side->n_counts; i++) {
        int64_t now = (int64_t)side->counts[i];
        len += varint_len(zigzag(now - before));
        before = now;
    }
    wire_put_tag(out, number, WIRE_BYTES);
    wire_put_raw(out, len);
    before = 0;
    for (size_t i = 0; i < side->n_counts; i++) {
        int64_t now = (int64_t)side->counts[i];
        wire_put_raw(out, zigzag(now - before));
        before = now;
    }
}

static void put_doubles(struct strbuf *out, uint32_t number, const double *v, size_t n)
{
    if (n) wire_put_bytes(out, number, slice_of(v, n * sizeof(*v)));
}

static void put_side(struct strbuf *out, bool is_int, uint32_t spans, const struct hist_side *side)
{
    uint32_t deltas = spans + 1, counts = spans + 2;
    put_spans(out, spans, side);
    if (is_int) put_deltas(out, deltas, side);
    else put_doubles(out, counts, side->counts, side->n_counts);
}

void prom_hist_encode(struct strbuf *out, int64_t ms, const struct histogram *h)
{
    bool is_int = prom_hist_is_int(h);
    put_count(out, is_int, HIST_COUNT_INT, h->count);
    wire_put_double(out, HIST_SUM, h->sum);
    wire_put_signed(out, HIST_SCHEMA, h->schema);
    wire_put_double(out, HIST_ZERO_THRESHOLD, h->zero_threshold);
    put_count(out, is_int, HIST_ZERO_COUNT_INT, h->zero_count);
    put_side(out, is_int, HIST_NEG_SPANS, &h->neg);
    put_side(out, is_int, HIST_POS_SPANS, &h->pos);
    wire_put_varint(out, HIST_RESET_HINT, h->reset);
    wire_put_varint(out, HIST_TIMESTAMP, (uint64_t)ms);
    put_doubles(out, HIST_CUSTOM_VALUES, h->custom, h->n_custom);
}
