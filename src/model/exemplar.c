/* Exemplars. See exemplar.h. */
#include "model/exemplar.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "base/varint.h"

/* ---- packing -------------------------------------------------------------------- */

static size_t count_runes(struct slice text)
{
    size_t n = 0;
    uint32_t rune;
    while (text.len) {
        text = slice_skip(text, utf8_next(&rune, text));
        n++;
    }
    return n;
}

static status check_labels(struct labels set, struct err *err)
{
    size_t n_runes = 0;
    for (size_t i = 0; i < set.n; i++) {
        const struct label *l = &set.ptr[i];
        if (l->name.len == 0) return err_set(err, ST_BAD_LABEL, "a label has an empty name");
        if (!utf8_valid(l->name) || !utf8_valid(l->value))
            return err_set(err, ST_BAD_LABEL, "a label of an exemplar is not UTF-8");
        n_runes += count_runes(l->name) + count_runes(l->value);
        if (n_runes > EXEMPLAR_RUNES_MAX)
            return err_set(err, ST_BAD_LABEL, "label length for exemplar exceeds maximum of %d "
                           "UTF-8 characters", EXEMPLAR_RUNES_MAX);
    }
    return ST_OK;
}

static size_t put_text(uint8_t *dst, struct slice text)
{
    size_t n = varint_put(dst, text.len);
    memcpy(dst + n, text.ptr, text.len);
    return n + text.len;
}

status exemplar_pack(struct slice *out, struct arena *arena, struct label *ptr, size_t n,
                     struct err *err)
{
    TRY(labels_canonicalise(ptr, &n, err));
    struct labels set = {ptr, n};
    TRY(check_labels(set, err));
    size_t len = 1; /* at most 64 labels: their number takes a byte */
    for (size_t i = 0; i < n; i++)
        len += varint_len(ptr[i].name.len) + ptr[i].name.len + varint_len(ptr[i].value.len) +
               ptr[i].value.len;
    uint8_t *dst = arena_try(arena, len);
    if (!dst) return err_set(err, ST_NO_MEMORY, "exemplar");
    size_t at = varint_put(dst, n);
    for (size_t i = 0; i < n; i++) {
        at += put_text(dst + at, ptr[i].name);
        at += put_text(dst + at, ptr[i].value);
    }
    *out = slice_of(dst, at);
    return ST_OK;
}

/* ---- unpacking ------------------------------------------------------------------ */

static bool take_text(struct slice *out, struct slice *from)
{
    uint64_t len;
    size_t n = varint_get(&len, (const uint8_t *)from->ptr, from->len);
    if (n == 0 || n != varint_len(len) || len == 0 || len > from->len - n) return false;
    *out = slice_of(from->ptr + n, (size_t)len);
    *from = slice_skip(*from, n + (size_t)len);
    return true;
}

bool exemplar_packed_valid(struct slice packed)
{
    struct slice before = {"", 0};
    size_t n_runes = 0;
    uint64_t n;
    if (packed.len > EXEMPLAR_PACKED_MAX) return false;
    size_t used = varint_get(&n, (const uint8_t *)packed.ptr, packed.len);
    if (used != 1) return false;
    packed = slice_skip(packed, used);
    for (uint64_t i = 0; i < n; i++) {
        struct slice name, value;
        if (!take_text(&name, &packed) || !take_text(&value, &packed)) return false;
        if (i > 0 && slice_cmp(before, name) >= 0) return false;
        if (!utf8_valid(name) || !utf8_valid(value)) return false;
        n_runes += count_runes(name) + count_runes(value);
        if (n_runes > EXEMPLAR_RUNES_MAX) return false;
        before = name;
    }
    return packed.len == 0;
}

struct labels exemplar_labels(struct slice packed, struct arena *arena)
{
    uint64_t n;
    size_t used = varint_get(&n, (const uint8_t *)packed.ptr, packed.len);
    if (used == 0 || n == 0) return (struct labels){NULL, 0};
    struct label *ptr = arena_try_array(arena, (size_t)n, sizeof(*ptr));
    if (!ptr) return (struct labels){NULL, (size_t)n};
    packed = slice_skip(packed, used);
    size_t kept = 0;
    while (kept < n && take_text(&ptr[kept].name, &packed) &&
           take_text(&ptr[kept].value, &packed))
        kept++;
    return (struct labels){ptr, kept};
}

/* ---- order ---------------------------------------------------------------------- */

static int cmp_values(double a, double b)
{
    if (isnan(a) || isnan(b)) return (int)isnan(a) - (int)isnan(b);
    return (a > b) - (a < b);
}

int exemplar_cmp(const struct exemplar *a, const struct exemplar *b)
{
    if (a->ts != b->ts) return a->ts < b->ts ? -1 : 1;
    int order = cmp_values(a->value, b->value);
    return order ? order : slice_cmp(a->labels, b->labels);
}

bool exemplar_same(const struct exemplar *a, const struct exemplar *b)
{
    if ((a->has_ts || b->has_ts) && a->ts != b->ts) return false;
    return cmp_values(a->value, b->value) == 0 && slice_eq(a->labels, b->labels);
}
