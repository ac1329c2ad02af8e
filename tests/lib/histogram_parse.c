/* Reads fields one by one into a histogram; see histogram_parse.h. */
#include "tests/lib/histogram_parse.h"

#include <limits.h>
#include <math.h>

#include "base/numfmt.h"
#include "base/panic.h"

enum { NUMBERS_MAX = 256 }; /* of one list: a test that means more is a mistake */

struct numbers {
    double v[NUMBERS_MAX];
    size_t n;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* A number, or numbers in brackets; what is read is cut off. */
static bool take_numbers(struct numbers *out, struct slice *text)
{
    bool list = text->len > 0 && text->ptr[0] == '[';

    out->n = 0;
    if (list) *text = slice_skip(*text, 1);
    while (text->len > 0 && text->ptr[0] != ']') {
        size_t len = 0;
        while (len < text->len && !is_space(text->ptr[len]) && text->ptr[len] != ']') len++;
        if (len == 0) {
            *text = slice_skip(*text, 1);
            continue;
        }
        if (out->n == NUMBERS_MAX || !parse_f64(&out->v[out->n], slice_of(text->ptr, len)))
            return false;
        out->n++;
        *text = slice_skip(*text, len);
        if (!list) return true;
    }
    if (!list || text->len == 0) return false;
    *text = slice_skip(*text, 1);
    return true;
}

static bool take_hint(struct histogram *h, struct slice *text)
{
    static const struct {
        const char *name;
        enum hist_reset reset;
    } hints[] = {{"unknown", HIST_RESET_UNKNOWN},
                 {"reset", HIST_RESET_YES},
                 {"not_reset", HIST_RESET_NO},
                 {"gauge", HIST_GAUGE}};
    size_t len = 0;

    while (len < text->len && !is_space(text->ptr[len])) len++;
    struct slice word = slice_of(text->ptr, len);
    *text = slice_skip(*text, len);
    for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
        if (!slice_is(word, hints[i].name)) continue;
        h->reset = hints[i].reset;
        return true;
    }
    return false;
}

struct fields {
    struct histogram h;
    struct numbers pos, neg, custom;
    double offset, n_offset, schema;
};

static bool take_field(struct fields *f, struct slice name, struct slice *text)
{
    struct {
        const char *name;
        double *one;
        struct numbers *many;
    } known[] = {
        {"schema", &f->schema, NULL},        {"sum", &f->h.sum, NULL},
        {"count", &f->h.count, NULL},        {"z_bucket", &f->h.zero_count, NULL},
        {"z_bucket_w", &f->h.zero_threshold, NULL}, {"offset", &f->offset, NULL},
        {"n_offset", &f->n_offset, NULL},    {"buckets", NULL, &f->pos},
        {"n_buckets", NULL, &f->neg},        {"custom_values", NULL, &f->custom},
    };
    struct numbers one;

    if (slice_is(name, "counter_reset_hint")) return take_hint(&f->h, text);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (!slice_is(name, known[i].name)) continue;
        if (known[i].many) return take_numbers(known[i].many, text);
        if (!take_numbers(&one, text) || one.n != 1) return false;
        *known[i].one = one.v[0];
        return true;
    }
    return false;
}

static bool is_index(double v)
{
    return v == floor(v) && v >= INT_MIN / 2 && v <= INT_MAX / 2;
}

static const double *copy_numbers(struct arena *arena, const struct numbers *from)
{
    double *out = arena_try_array(arena, from->n + 1, sizeof(*out));

    if (out && from->n) memcpy(out, from->v, from->n * sizeof(*out));
    return out;
}

static bool make_side(struct hist_side *out, struct arena *arena, const struct numbers *from,
                      double offset)
{
    struct hist_span *span = arena_try_array(arena, 1, sizeof(*span));
    const double *counts = copy_numbers(arena, from);

    if (!span || !counts) return false;
    *span = (struct hist_span){(int32_t)offset, (uint32_t)from->n};
    *out = (struct hist_side){span, counts, from->n ? 1 : 0, from->n};
    return true;
}

static status make_histogram(const struct histogram **out, struct fields *f, struct arena *arena,
                             struct err *err)
{
    struct histogram *h = arena_try(arena, sizeof(*h));

    if (!is_index(f->schema) || !is_index(f->offset) || !is_index(f->n_offset))
        return err_set(err, ST_INVALID, "schema and offsets are whole numbers");
    if (!h) return err_set(err, ST_NO_MEMORY, "a histogram");
    *h = f->h;
    h->schema = (int32_t)f->schema;
    h->custom = copy_numbers(arena, &f->custom);
    h->n_custom = f->custom.n;
    if (!h->custom || !make_side(&h->pos, arena, &f->pos, f->offset) ||
        !make_side(&h->neg, arena, &f->neg, f->n_offset))
        return err_set(err, ST_NO_MEMORY, "a histogram");
    TRY(histogram_check(h, err));
    *out = h;
    return ST_OK;
}

status histogram_parse(const struct histogram **out, struct slice text, struct arena *arena,
                       struct err *err)
{
    struct fields *f = arena_try_zero(arena, sizeof(*f));

    if (!f) return err_set(err, ST_NO_MEMORY, "a histogram");
    while (text.len > 0) {
        size_t len = 0;
        if (is_space(text.ptr[0])) {
            text = slice_skip(text, 1);
            continue;
        }
        while (len < text.len && text.ptr[len] != ':') len++;
        struct slice name = slice_of(text.ptr, len);
        text = slice_skip(text, len < text.len ? len + 1 : len);
        if (!take_field(f, name, &text))
            return err_set(err, ST_INVALID, "\"" SLICE_FMT "\" is no field of a histogram",
                           SLICE_ARG(name));
    }
    return make_histogram(out, f, arena, err);
}
