/* Reading histograms from columns.
 *
 * A reader stands in all columns at once, at the start of the same section, so that a
 * section of 128 histograms is made in one go and nothing but it is in memory: a few
 * hundred bytes a column, and the histograms. Only columns of class streams, whose readers
 * are large, are read when they are opened; their numbers wait in memory that is charged
 * to the results' account. What bytes may announce is bounded by their
 * number before memory is asked for it: a shape, a span, a run and a column each take one
 * byte at least, and all numbers together are at most HIST_CELLS_MAX. */
#include <string.h>

#include "base/panic.h"
#include "codec/class_column_priv.h"
#include "codec/codec_priv.h"
#include "codec/decimal.h"
#include "codec/hist_columns_priv.h"
#include "codec/value_column.h"

/* Neighbours that differ in their numbers only. */
struct run {
    size_t shape, n;
    enum hist_reset reset;
    bool is_int;
};

/* A column under way. */
struct column {
    struct decimal_reader decimal;
    const union value *numbers; /* of class streams: those from `at` on; else NULL */
};

struct hist_reader {
    size_t n, at;          /* histograms of the column, and those passed */
    size_t first, end;     /* sections that are wanted */
    bool count_is_rest, has_classes;
    const struct histogram **shapes;
    size_t n_shapes;
    struct run *runs;
    size_t run;            /* the run of histogram `at` */
    size_t run_at;         /* how far into it */
    struct hist_buckets buckets;
    struct column *columns;
    struct class_reader *classes; /* for one column after the other; made when wanted */
    size_t n_columns;
    struct arena *arena;   /* of the results: shapes too */
    struct arena scratch;
};

/* A run's histograms within a section. */
struct piece {
    const struct histogram *shape;
    struct histogram *hist; /* n of them */
    double *counts;         /* theirs, one after the other, positive before negative */
    size_t n, start;
    struct shape_walk walk;
};

/* ---- the head ------------------------------------------------------------------ */

static status get_spans(struct hist_side *out, struct arena *arena, struct span *in)
{
    enum { SPAN_LEN_MIN = 2 };
    uint64_t n_spans, n, n_counts = 0;
    int64_t offset;

    if (!span_varint(&n_spans, in) || n_spans > in->len / SPAN_LEN_MIN) return ST_CORRUPT;
    struct hist_span *spans = arena_try_array(arena, (size_t)n_spans, sizeof(*spans));
    if (!spans) return ST_NO_MEMORY;
    for (size_t i = 0; i < n_spans; i++) {
        if (!span_svarint(&offset, in) || !span_varint(&n, in)) return ST_CORRUPT;
        if (offset < INT32_MIN || offset > INT32_MAX || n > UINT32_MAX) return ST_CORRUPT;
        spans[i] = (struct hist_span){(int32_t)offset, (uint32_t)n};
        n_counts += n;
    }
    *out = (struct hist_side){.spans = spans, .n_spans = (size_t)n_spans, .n_counts = n_counts};
    return ST_OK;
}

static status get_threshold(double *out, const struct histogram *before, struct span *in)
{
    unsigned kind;
    const uint8_t *bits;

    if (!span_byte(&kind, in)) return ST_CORRUPT;
    switch (kind) {
    case HIST_ZERO_NONE:
        *out = 0;
        return ST_OK;
    case HIST_ZERO_USUAL:
        *out = bits_f64(HIST_ZERO_USUAL_BITS);
        return ST_OK;
    case HIST_ZERO_BEFORE:
        if (!before) return ST_CORRUPT;
        *out = before->zero_threshold;
        return ST_OK;
    case HIST_ZERO_BITS:
        bits = span_take(in, 8);
        if (!bits) return ST_CORRUPT;
        *out = bits_f64(load_u64(bits));
        return ST_OK;
    default:
        return ST_CORRUPT;
    }
}

static status get_custom(struct histogram *out, struct arena *arena, struct span *in)
{
    uint64_t n;

    if (!span_varint(&n, in) || n > in->len / sizeof(double)) return ST_CORRUPT;
    double *custom = arena_try_array(arena, (size_t)n, sizeof(*custom));
    if (!custom) return ST_NO_MEMORY;
    const uint8_t *bytes = span_take(in, n * sizeof(double));
    for (size_t i = 0; i < n; i++) custom[i] = bits_f64(load_u64(bytes + 8 * i));
    out->custom = n ? custom : NULL;
    out->n_custom = (size_t)n;
    return ST_OK;
}

static status get_shape(struct histogram *out, const struct histogram *before,
                        struct arena *arena, struct span *in)
{
    int64_t schema;

    *out = (struct histogram){.schema = 0};
    if (!span_svarint(&schema, in)) return ST_CORRUPT;
    if (schema < INT32_MIN || schema > INT32_MAX) return ST_CORRUPT;
    out->schema = (int32_t)schema;
    TRY(get_threshold(&out->zero_threshold, before, in));
    TRY(get_spans(&out->pos, arena, in));
    TRY(get_spans(&out->neg, arena, in));
    TRY(get_custom(out, arena, in));
    return histogram_check(out, NULL) == ST_OK ? ST_OK : ST_CORRUPT;
}

static status get_shapes(struct hist_reader *rd, struct span *in)
{
    enum { SHAPE_LEN_MIN = 5 };
    uint64_t n;

    if (!span_varint(&n, in) || n < 1 || n > in->len / SHAPE_LEN_MIN) return ST_CORRUPT;
    struct histogram *shapes = arena_try_array(&rd->scratch, (size_t)n, sizeof(*shapes));
    rd->shapes = arena_try_array(&rd->scratch, (size_t)n, sizeof(rd->shapes[0]));
    if (!shapes || !rd->shapes) return ST_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        TRY(get_shape(&shapes[i], i ? &shapes[i - 1] : NULL, rd->arena, in));
        rd->shapes[i] = &shapes[i];
    }
    rd->n_shapes = (size_t)n;
    return ST_OK;
}

static status get_runs(struct hist_reader *rd, struct span *in)
{
    enum { RUN_LEN_MIN = 2 };
    size_t most = in->len / RUN_LEN_MIN < rd->n ? in->len / RUN_LEN_MIN : rd->n;
    uint64_t head, less;

    rd->runs = arena_try_array(&rd->scratch, most + 1, sizeof(rd->runs[0]));
    if (!rd->runs) return ST_NO_MEMORY;
    for (size_t i = 0, at = 0; at < rd->n; i++) {
        if (i == most || !span_varint(&head, in) || !span_varint(&less, in)) return ST_CORRUPT;
        if (less >= rd->n - at || head >> HIST_RUN_SHAPE_SHIFT >= rd->n_shapes) {
            return ST_CORRUPT;
        }
        rd->runs[i] = (struct run){.shape = (size_t)(head >> HIST_RUN_SHAPE_SHIFT),
                                   .n = (size_t)less + 1,
                                   .reset = (enum hist_reset)(head >> HIST_RUN_RESET_SHIFT & 3),
                                   .is_int = head & HIST_RUN_INT};
        at += (size_t)less + 1;
    }
    return ST_OK;
}

/* All numbers of a column of class streams that are wanted. */
static status read_classes(struct hist_reader *rd, struct column *column, const uint8_t *src,
                           size_t len)
{
    union value passed[DECIMAL_BLOCK];
    size_t got, n = (rd->end - rd->first) * VALUE_SECTION;

    if (!rd->classes) rd->classes = arena_try(&rd->scratch, sizeof(*rd->classes));
    union value *numbers = arena_try_array(&rd->scratch, n, sizeof(*numbers));
    if (!rd->classes || !numbers) return ST_NO_MEMORY;
    TRY(class_reader_open(rd->classes, VALUE_F64, rd->n, src, len));
    for (size_t i = 0; i < rd->end; i++) {
        union value *to = i < rd->first ? passed : numbers + (i - rd->first) * VALUE_SECTION;
        TRY(class_reader_next(rd->classes, to, &got));
    }
    column->numbers = numbers;
    return ST_OK;
}

static status open_column(struct hist_reader *rd, struct column *column, struct span *in)
{
    uint64_t len;
    bool classes = false;

    if (!span_varint(&len, in)) return ST_CORRUPT;
    if (rd->has_classes) {
        classes = len & 1;
        len >>= 1;
    }
    const uint8_t *src = span_take(in, len);
    if (!src) return ST_CORRUPT;
    column->numbers = NULL;
    if (classes) return read_classes(rd, column, src, (size_t)len);
    return decimal_open(&column->decimal, VALUE_F64, rd->n, src, (size_t)len);
}

static status open_columns(struct hist_reader *rd, struct span *in)
{

    TRY(hist_buckets_make(&rd->buckets, rd->shapes, rd->n_shapes, &rd->scratch));
    if (rd->buckets.n > HIST_CELLS_MAX / rd->n - HIST_FIXED) return ST_CORRUPT;
    rd->n_columns = HIST_FIXED + (size_t)rd->buckets.n;
    if (rd->n_columns > in->len) return ST_CORRUPT;
    rd->columns = arena_try_array(&rd->scratch, rd->n_columns, sizeof(rd->columns[0]));
    if (!rd->columns) return ST_NO_MEMORY;
    for (size_t c = 0; c < rd->n_columns; c++) TRY(open_column(rd, &rd->columns[c], in));
    return in->len == 0 ? ST_OK : ST_CORRUPT;
}

static status open_reader(struct hist_reader *rd, struct span in)
{
    unsigned flags;

    if (!span_byte(&flags, &in) || flags & ~(unsigned)HIST_FLAGS) return ST_CORRUPT;
    rd->count_is_rest = flags & HIST_COUNT_IS_REST;
    rd->has_classes = flags & HIST_CLASSES;
    TRY(get_shapes(rd, &in));
    TRY(get_runs(rd, &in));
    return open_columns(rd, &in);
}

/* ---- sections ------------------------------------------------------------------ */

static void advance(struct hist_reader *rd, size_t n)
{
    rd->at += n;
    rd->run_at += n;
    while (rd->at < rd->n && rd->run_at >= rd->runs[rd->run].n) {
        rd->run_at -= rd->runs[rd->run].n;
        rd->run++;
    }
}

static status skip_sections(struct hist_reader *rd, size_t n_sections)
{
    for (size_t c = 0; c < rd->n_columns; c++) {
        struct column *column = &rd->columns[c];
        if (!column->numbers) TRY(decimal_skip(&column->decimal, n_sections));
    }
    advance(rd, n_sections * VALUE_SECTION);
    return ST_OK;
}

/* The pieces of the next n histograms, and memory for these. Passes them. */
static status cut_pieces(struct piece *pieces, size_t *n_pieces, struct hist_reader *rd,
                         union value *val, size_t n)
{
    size_t k = 0, n_counts = 0;

    for (size_t at = 0; at < n; k++) {
        const struct run *run = &rd->runs[rd->run];
        size_t left = run->n - rd->run_at, m = left < n - at ? left : n - at;
        const struct histogram *shape = rd->shapes[run->shape];
        pieces[k] = (struct piece){.shape = shape, .n = m, .start = at};
        struct histogram *hist = arena_try_array(rd->arena, m, sizeof(*hist));
        if (!hist) return ST_NO_MEMORY;
        pieces[k].hist = hist;
        for (size_t i = 0; i < m; i++) {
            hist[i] = *shape;
            hist[i].reset = run->reset;
            hist[i].is_int = run->is_int;
            val[at + i].hist = &hist[i];
        }
        n_counts += m * (shape->pos.n_counts + shape->neg.n_counts);
        at += m;
        advance(rd, m);
    }
    double *counts = arena_try_array(rd->arena, n_counts, sizeof(*counts));
    if (!counts) return ST_NO_MEMORY;
    for (size_t p = 0; p < k; p++) {
        struct piece *piece = &pieces[p];
        size_t n_pos = piece->shape->pos.n_counts, n_neg = piece->shape->neg.n_counts;
        piece->counts = counts;
        for (size_t i = 0; i < piece->n; i++, counts += n_pos + n_neg) {
            piece->hist[i].pos.counts = counts;
            piece->hist[i].neg.counts = counts + n_pos;
        }
    }
    *n_pieces = k;
    return ST_OK;
}

/* A bucket's numbers to the histograms that have it. */
static void give_bucket(struct piece *pieces, size_t n_pieces, int64_t bucket, unsigned side,
                        const union value *numbers)
{
    for (size_t p = 0; p < n_pieces; p++) {
        struct piece *piece = &pieces[p];
        if (piece->walk.bucket != bucket) continue;
        size_t n_pos = piece->shape->pos.n_counts, row = n_pos + piece->shape->neg.n_counts;
        double *to = piece->counts + piece->walk.pos + (side ? n_pos : 0);
        for (size_t i = 0; i < piece->n; i++) {
            to[i * row] = bits_f64(numbers[piece->start + i].bits);
        }
        shape_walk_next(&piece->walk);
    }
}

/* The section's n numbers of a column; *numbers is where they are: in `room`, or in memory
 * of the column. */
static status next_numbers(const union value **numbers, struct hist_reader *rd,
                           union value *room, size_t c, size_t n)
{
    struct column *column = &rd->columns[c];
    size_t got = n;

    *numbers = column->numbers ? column->numbers : room;
    if (column->numbers) column->numbers += n;
    else TRY(decimal_next(&column->decimal, room, &got));
    return got == n ? ST_OK : ST_CORRUPT;
}

static status give_buckets(struct hist_reader *rd, struct piece *pieces, size_t n_pieces,
                           size_t n)
{
    union value room[VALUE_SECTION];
    const union value *numbers;
    size_t column = HIST_FIXED;

    for (unsigned side = 0; side < 2; side++) {
        for (size_t p = 0; p < n_pieces; p++) {
            const struct histogram *shape = pieces[p].shape;
            shape_walk_init(&pieces[p].walk, side ? &shape->neg : &shape->pos);
        }
        for (size_t k = 0; k < rd->buckets.n_ranges[side]; k++) {
            struct hist_range range = rd->buckets.range[side][k];
            for (int64_t bucket = range.from; bucket < range.to; bucket++) {
                TRY(next_numbers(&numbers, rd, room, column++, n));
                give_bucket(pieces, n_pieces, bucket, side, numbers);
            }
        }
    }
    return ST_OK;
}

/* The next section, n histograms, to val. */
static status next_section(struct hist_reader *rd, union value *val, size_t n)
{
    union value room[HIST_FIXED][VALUE_SECTION];
    const union value *fixed[HIST_FIXED];
    struct piece pieces[VALUE_SECTION];
    size_t n_pieces;

    for (size_t c = 0; c < HIST_FIXED; c++) TRY(next_numbers(&fixed[c], rd, room[c], c, n));
    TRY(cut_pieces(pieces, &n_pieces, rd, val, n));
    TRY(give_buckets(rd, pieces, n_pieces, n));
    for (size_t p = 0; p < n_pieces; p++) {
        bool custom = pieces[p].shape->schema == HIST_SCHEMA_CUSTOM;
        for (size_t i = 0, at = pieces[p].start; i < pieces[p].n; i++, at++) {
            struct histogram *h = &pieces[p].hist[i];
            h->sum = bits_f64(fixed[HIST_SUM][at].bits);
            h->zero_count = bits_f64(fixed[HIST_ZERO][at].bits);
            h->count = bits_f64(fixed[HIST_COUNT][at].bits);
            if (rd->count_is_rest) h->count = hist_total(h) + h->count;
            if (custom && h->zero_count != 0) return ST_CORRUPT; /* as histogram_check() */
        }
    }
    return ST_OK;
}

status hist_columns_decode(union value *val, size_t n, size_t first, size_t end,
                           struct arena *arena, const uint8_t *src, size_t len)
{
    struct hist_reader rd = {.n = n, .first = first, .end = end, .arena = arena};

    arena_init(&rd.scratch, arena->account, 4096);
    status st = open_reader(&rd, (struct span){src, len});
    if (st == ST_OK && first > 0) st = skip_sections(&rd, first);
    for (size_t i = first; i < end && st == ST_OK; i++) {
        size_t left = n - i * VALUE_SECTION, m = left < VALUE_SECTION ? left : VALUE_SECTION;
        st = next_section(&rd, val + (i - first) * VALUE_SECTION, m);
    }
    arena_release(&rd.scratch);
    return st;
}
