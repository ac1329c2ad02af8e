/* Labels and identities. See label.h.
 *
 * Sets are small (at most 64 labels by default) and nearly always arrive sorted, so
 * sorting is an insertion sort with a test first, and look-ups are scans.
 */
#include "model/label.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/panic.h"
#include "base/utf8.h"
#include "base/varint.h"

enum {
    INSERTION_MAX = 32,  /* above this qsort: hostile sets are not worth a square */
    NAME_SHOWN_MAX = 65, /* bytes of a name in a message, with its NUL */
};

static const struct slice label_name = {LABEL_NAME, sizeof(LABEL_NAME) - 1};
static const struct slice label_key = {LABEL_KEY, sizeof(LABEL_KEY) - 1};
static const struct slice label_starts = {LABEL_STARTS, sizeof(LABEL_STARTS) - 1};

/* ---- canonical sets ------------------------------------------------------- */

static int order_labels(const void *a, const void *b)
{
    return slice_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static void sort_labels(struct label *ptr, size_t n)
{
    if (n > INSERTION_MAX) {
        qsort(ptr, n, sizeof(*ptr), order_labels);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct label at = ptr[i];
        size_t j = i;
        for (; j > 0 && slice_cmp(ptr[j - 1].name, at.name) > 0; j--) ptr[j] = ptr[j - 1];
        ptr[j] = at;
    }
}

status labels_canonicalise(struct label *ptr, size_t *n, struct err *err)
{
    char shown[NAME_SHOWN_MAX];
    size_t kept = 0;

    sort_labels(ptr, *n);
    for (size_t i = 1; i < *n; i++)
        if (slice_eq(ptr[i - 1].name, ptr[i].name))
            return err_set(err, ST_BAD_LABEL, "label \"%s\" is there twice",
                           utf8_printable(shown, sizeof(shown), ptr[i].name));
    for (size_t i = 0; i < *n; i++)
        if (ptr[i].value.len) ptr[kept++] = ptr[i];
    *n = kept;
    return ST_OK;
}

static const struct label *find_label(struct labels set, struct slice name)
{
    for (size_t i = 0; i < set.n; i++) {
        int order = slice_cmp(set.ptr[i].name, name);
        if (order == 0) return &set.ptr[i];
        if (order > 0) break;
    }
    return NULL;
}

struct slice labels_get(struct labels set, struct slice name)
{
    const struct label *found = find_label(set, name);
    return found ? found->value : SLICE_LIT("");
}

bool labels_has(struct labels set, struct slice name)
{
    return find_label(set, name) != NULL;
}

/* Texts of many sets come from one dictionary: then the same text is at the same place, and
 * its bytes need not be looked at. */
static bool same_text(struct slice a, struct slice b)
{
    return a.len == b.len && (a.ptr == b.ptr || slice_eq(a, b));
}

/* From the back: neighbours in order begin alike. */
bool labels_eq(struct labels a, struct labels b)
{
    if (a.n != b.n) return false;
    for (size_t i = a.n; i-- > 0;) {
        if (!same_text(a.ptr[i].value, b.ptr[i].value)) return false;
        if (!same_text(a.ptr[i].name, b.ptr[i].name)) return false;
    }
    return true;
}

static int cmp_text(struct slice a, struct slice b)
{
    return a.ptr == b.ptr && a.len == b.len ? 0 : slice_cmp(a, b);
}

int labels_cmp(struct labels a, struct labels b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++) {
        int order = cmp_text(a.ptr[i].name, b.ptr[i].name);
        if (order == 0) order = cmp_text(a.ptr[i].value, b.ptr[i].value);
        if (order) return order;
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

struct labels labels_copy(struct arena *arena, struct labels set)
{
    struct label *ptr = arena_try_array(arena, set.n, sizeof(*ptr));
    if (!ptr) return (struct labels){NULL, set.n};
    for (size_t i = 0; i < set.n; i++) {
        ptr[i].name = arena_copy(arena, set.ptr[i].name);
        ptr[i].value = arena_copy(arena, set.ptr[i].value);
        if (!ptr[i].name.ptr || !ptr[i].value.ptr) return (struct labels){NULL, set.n};
    }
    return (struct labels){ptr, set.n};
}

/* ---- identity ------------------------------------------------------------- */

static bool is_metric(const struct label *label)
{
    return slice_eq(label->name, label_name);
}

size_t labels_identity_len(struct labels set)
{
    struct slice metric = labels_get(set, label_name);
    size_t len = varint_len(metric.len) + metric.len;
    for (size_t i = 0; i < set.n; i++) {
        const struct label *l = &set.ptr[i];
        if (is_metric(l)) continue;
        len += varint_len(l->name.len) + l->name.len + varint_len(l->value.len) + l->value.len;
    }
    return len;
}

static uint8_t *put_text(uint8_t *at, struct slice text)
{
    at += varint_put(at, text.len);
    if (text.len) memcpy(at, text.ptr, text.len);
    return at + text.len;
}

size_t labels_identity(uint8_t *dst, struct labels set)
{
    uint8_t *at = put_text(dst, labels_get(set, label_name));
    for (size_t i = 0; i < set.n; i++) {
        if (is_metric(&set.ptr[i])) continue;
        at = put_text(at, set.ptr[i].name);
        at = put_text(at, set.ptr[i].value);
    }
    return (size_t)(at - dst);
}

static bool take_text(struct slice *out, struct slice *left)
{
    uint64_t len;
    size_t n = varint_get(&len, (const uint8_t *)left->ptr, left->len);
    if (n == 0 || n != varint_len(len) || len > left->len - n) return false;
    *out = slice_of(left->ptr + n, (size_t)len);
    *left = slice_skip(*left, n + (size_t)len);
    return true;
}

/* The pairs after the metric's name: ascending, none empty, none the metric again. */
static bool take_pair(struct label *out, struct slice *left, const struct label *before)
{
    if (!take_text(&out->name, left) || !take_text(&out->value, left)) return false;
    if (out->name.len == 0 || out->value.len == 0 || is_metric(out)) return false;
    return !before || slice_cmp(before->name, out->name) < 0;
}

status labels_from_identity(struct labels *out, struct arena *arena, struct slice bytes)
{
    struct slice metric, left = bytes;
    struct label pair, before;
    size_t n = 0;

    if (!take_text(&metric, &left)) return ST_CORRUPT;
    for (struct slice scan = left; scan.len; n++) {
        if (!take_pair(&pair, &scan, n ? &before : NULL)) return ST_CORRUPT;
        before = pair;
    }
    struct label *ptr = arena_try_array(arena, n + 1, sizeof(*ptr));
    if (!ptr) return ST_NO_MEMORY;

    size_t at = 0;
    bool placed = metric.len == 0;
    while (left.len) {
        (void)take_pair(&pair, &left, NULL); /* sound: read once above */
        if (!placed && slice_cmp(label_name, pair.name) < 0) {
            ptr[at++] = (struct label){label_name, metric};
            placed = true;
        }
        ptr[at++] = pair;
    }
    if (!placed) ptr[at++] = (struct label){label_name, metric};
    *out = (struct labels){ptr, at};
    return ST_OK;
}

uint64_t labels_place(struct labels set, struct slice identity)
{
    uint64_t parent, place;
    if (starts_name_parse(set, &parent, &place)) return place;
    const struct label *key = find_label(set, label_key);
    return key ? hash_place(key->value.ptr, key->value.len)
               : hash_place(identity.ptr, identity.len);
}

/* ---- companions ----------------------------------------------------------- */

enum { HEX_LEN = 16 };

static void put_hex(char *dst, uint64_t number)
{
    for (int i = HEX_LEN; i-- > 0; number >>= 4) dst[i] = "0123456789abcdef"[number & 15];
}

static bool get_hex(uint64_t *out, const char *src)
{
    *out = 0;
    for (int i = 0; i < HEX_LEN; i++) {
        char c = src[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && !(c >= 'a' && c <= 'f')) return false;
        *out = *out << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    return true;
}

void starts_name_make(struct starts_name *out, uint64_t parent, uint64_t place)
{
    put_hex(out->value, parent);
    put_hex(out->value + HEX_LEN, place);
    out->label = (struct label){label_starts, {out->value, STARTS_VALUE_LEN}};
    size_t len = labels_identity(out->identity, (struct labels){&out->label, 1});
    ASSERT(len == STARTS_IDENTITY_LEN);
}

bool starts_value_parse(struct slice value, uint64_t *parent, uint64_t *place)
{
    return value.len == STARTS_VALUE_LEN && get_hex(parent, value.ptr) &&
           get_hex(place, value.ptr + HEX_LEN);
}

bool starts_name_parse(struct labels set, uint64_t *parent, uint64_t *place)
{
    return set.n == 1 && slice_eq(set.ptr[0].name, label_starts) &&
           starts_value_parse(set.ptr[0].value, parent, place);
}

/* ---- text ----------------------------------------------------------------- */

static bool is_name_byte(char c, bool first)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    return letter || (!first && c >= '0' && c <= '9');
}

bool label_name_is_plain(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_byte(name.ptr[i], i == 0)) return false;
    return name.len > 0;
}

bool metric_name_is_plain(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] != ':' && !is_name_byte(name.ptr[i], i == 0)) return false;
    return name.len > 0;
}

static void print_quoted(struct strbuf *out, struct slice text)
{
    strbuf_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\\' || c == '"') strbuf_char(out, '\\');
        if (c == '\n') strbuf_str(out, "\\n");
        else strbuf_char(out, c);
    }
    strbuf_char(out, '"');
}

void labels_print(struct strbuf *out, struct labels set)
{
    struct slice metric = labels_get(set, label_name);
    bool plain = metric_name_is_plain(metric);
    size_t n = 0; /* items inside the braces */

    if (plain) strbuf_slice(out, metric);
    if (metric.len && set.n == 1 && plain) return;
    strbuf_char(out, '{');
    if (metric.len && !plain) {
        print_quoted(out, metric);
        n++;
    }
    for (size_t i = 0; i < set.n; i++) {
        const struct label *l = &set.ptr[i];
        if (is_metric(l)) continue;
        if (n++) strbuf_char(out, ',');
        if (label_name_is_plain(l->name)) strbuf_slice(out, l->name);
        else print_quoted(out, l->name);
        strbuf_char(out, '=');
        print_quoted(out, l->value);
    }
    strbuf_char(out, '}');
}
