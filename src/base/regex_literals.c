/* Patterns that need no automaton. Most label matchers are names joined with `|`; as a
 * sorted set of strings they are resolved by look-up and matched by bisection.
 *
 * A small recursive-descent reader over the part of RE2's syntax whose language is
 * finite and written out: literals, escaped punctuation, classes of a few characters,
 * groups, alternation, `?`, and `^` / `$` where anchoring makes them empty.
 *
 *     alternation = sequence { "|" sequence }           union of the sets
 *     sequence    = { atom [ "?" ] }                    product of the sets
 *     atom        = rune | "\" punct | class | group
 *
 * Rule: whatever is not surely understood is left to RE2, so that a pattern RE2 would
 * refuse is never accepted here. Each reading function returns whether it understood.
 * Bounded by REGEX_LITERALS_MAX strings, BYTES_MAX bytes, DEPTH_MAX groups and a scratch
 * arena whose refusal also means: left to RE2.
 *
 * Besides the set there is the prefix that every match begins with; it is found also
 * when the rest is beyond this reader.
 */
#include <stdlib.h>
#include <string.h>

#include "base/account.h"
#include "base/panic.h"
#include "base/regex_priv.h"
#include "base/utf8.h"

enum {
    DEPTH_MAX = 32,
    CLASS_RUNES_MAX = 256,
    BYTES_MAX = 1 << 20, /* of all literals of one set: a guess, generous for 8 KiB */
    SCRATCH_MAX = 8 << 20, /* of all sets on the way: bounds time and memory */
    SCRATCH_BLOCK = 4096,
};

#define SPECIAL "^$.|?*+()[{"

struct set {
    struct slice *ptr;
    size_t n, bytes;
};

struct reader {
    struct arena *arena;
    struct slice left;
    size_t n_captures;
    unsigned depth;
};

static bool read_alternation(struct set *out, struct reader *r);

/* ---- sets ----------------------------------------------------------------- */

static bool set_of(struct set *out, struct reader *r, struct slice text)
{
    out->ptr = arena_try(r->arena, sizeof(*out->ptr));
    if (!out->ptr) return false;
    out->ptr[0] = text;
    out->n = 1;
    out->bytes = text.len;
    return true;
}

static bool set_union(struct set *a, struct reader *r, const struct set *b)
{
    size_t n = a->n + b->n;
    if (n > REGEX_LITERALS_MAX || a->bytes + b->bytes > BYTES_MAX) return false;

    struct slice *ptr = arena_try_array(r->arena, n, sizeof(*ptr));
    if (!ptr) return false;
    memcpy(ptr, a->ptr, a->n * sizeof(*ptr));
    memcpy(ptr + a->n, b->ptr, b->n * sizeof(*ptr));
    *a = (struct set){ptr, n, a->bytes + b->bytes};
    return true;
}

static bool set_product(struct set *a, struct reader *r, const struct set *b)
{
    size_t n = a->n * b->n;
    size_t bytes = a->bytes * b->n + b->bytes * a->n;
    if (n > REGEX_LITERALS_MAX || bytes > BYTES_MAX) return false;

    struct slice *ptr = arena_try_array(r->arena, n, sizeof(*ptr));
    char *at = arena_try(r->arena, bytes);
    if (!ptr || !at) return false;
    for (size_t i = 0; i < a->n; i++) {
        for (size_t j = 0; j < b->n; j++) {
            size_t len = a->ptr[i].len + b->ptr[j].len;
            memcpy(at, a->ptr[i].ptr, a->ptr[i].len);
            memcpy(at + a->ptr[i].len, b->ptr[j].ptr, b->ptr[j].len);
            ptr[i * b->n + j] = slice_of(at, len);
            at += len;
        }
    }
    *a = (struct set){ptr, n, bytes};
    return true;
}

static int order_slices(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void set_sort(struct set *set)
{
    size_t n = 0;
    qsort(set->ptr, set->n, sizeof(*set->ptr), order_slices);
    for (size_t i = 0; i < set->n; i++)
        if (n == 0 || !slice_eq(set->ptr[n - 1], set->ptr[i])) set->ptr[n++] = set->ptr[i];
    set->n = n;
}

/* ---- reading -------------------------------------------------------------- */

static char peek(const struct reader *r)
{
    return r->left.len ? r->left.ptr[0] : 0;
}

static bool eat(struct reader *r, const char *text)
{
    if (!slice_starts(r->left, slice_str(text))) return false;
    r->left = slice_skip(r->left, strlen(text));
    return true;
}

/* What RE2 takes as itself after a backslash: ASCII that is no word character. */
static bool is_escapable(char c)
{
    return c > ' ' && c < 0x7f && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~", c) != NULL;
}

/* One rune that stands for itself, with its backslash when it has one. */
static bool read_rune(struct slice *out, struct reader *r, const char *special)
{
    char c = peek(r);
    if (r->left.len == 0 || c == 0) return false;
    if (c == '\\') {
        if (r->left.len < 2 || !is_escapable(r->left.ptr[1])) return false;
        *out = slice_of(r->left.ptr + 1, 1);
        r->left = slice_skip(r->left, 2);
        return true;
    }
    if (strchr(special, c)) return false;

    uint32_t rune;
    size_t len = utf8_next(&rune, r->left);
    *out = slice_of(r->left.ptr, len);
    r->left = slice_skip(r->left, len);
    return true;
}

static bool add_rune(struct set *out, struct reader *r, uint32_t rune)
{
    char *text = arena_try(r->arena, 4);
    if (!text) return false;
    size_t len = utf8_put(text, rune);
    if (out->n == CLASS_RUNES_MAX) return false;
    out->ptr[out->n++] = slice_of(text, len);
    out->bytes += len;
    return true;
}

/* The runes of one class item: a rune or a range; '-' stands for itself only first or
 * last, where RE2 agrees. */
static bool read_class_item(struct set *out, struct reader *r, bool first)
{
    struct slice from, to;
    uint32_t low, high;

    if (peek(r) == '-') {
        bool last = r->left.len > 1 && r->left.ptr[1] == ']';
        if (!first && !last) return false;
    }
    if (!read_rune(&from, r, "[]^")) return false;
    (void)utf8_next(&low, from);
    high = low;
    if (r->left.len > 1 && r->left.ptr[0] == '-' && r->left.ptr[1] != ']') {
        if (slice_is(from, "-")) return false;
        r->left = slice_skip(r->left, 1);
        if (!read_rune(&to, r, "[]^-")) return false;
        (void)utf8_next(&high, to);
    }
    if (high < low || high - low >= CLASS_RUNES_MAX) return false;
    for (uint32_t rune = low; rune <= high; rune++) {
        if (rune >= 0xd800 && rune <= 0xdfff) return false;
        if (!add_rune(out, r, rune)) return false;
    }
    return true;
}

static bool read_class(struct set *out, struct reader *r)
{
    *out = (struct set){arena_try_array(r->arena, CLASS_RUNES_MAX, sizeof(*out->ptr)), 0, 0};
    if (!out->ptr) return false;
    for (bool first = true; !eat(r, "]"); first = false) {
        if (!read_class_item(out, r, first)) return false;
    }
    return out->n > 0;
}

static bool read_group(struct set *out, struct reader *r)
{
    if (r->depth == DEPTH_MAX) return false;
    if (!eat(r, "?:")) {
        bool named = eat(r, "?P<") || eat(r, "?<");
        if (!named && peek(r) == '?') return false;
        if (named) {
            const char *end = memchr(r->left.ptr, '>', r->left.len);
            if (!end) return false;
            r->left = slice_skip(r->left, (size_t)(end - r->left.ptr) + 1);
        }
        r->n_captures++;
    }
    r->depth++;
    bool understood = read_alternation(out, r);
    r->depth--;
    return understood && eat(r, ")");
}

static bool read_atom(struct set *out, struct reader *r)
{
    struct slice rune;

    if (eat(r, "[")) {
        if (!read_class(out, r)) return false;
    } else if (eat(r, "(")) {
        if (!read_group(out, r)) return false;
    } else if (!read_rune(&rune, r, SPECIAL) || !set_of(out, r, rune)) {
        return false;
    }
    if (eat(r, "?")) {
        struct set nothing;
        if (!set_of(&nothing, r, SLICE_LIT("")) || !set_union(out, r, &nothing)) return false;
    }
    char next = peek(r);
    return !(next && strchr("*+?{", next));
}

/* A run of plain runes without a quantifier: the common case, one string, no products. */
static size_t plain_run(const struct reader *r)
{
    size_t n = 0;
    while (n < r->left.len && r->left.ptr[n] && !strchr("\\" SPECIAL, r->left.ptr[n])) n++;
    if (n < r->left.len && r->left.ptr[n] && strchr("?*+{", r->left.ptr[n]))
        while (n > 0 && (r->left.ptr[--n] & 0xc0) == 0x80) continue;
    return n;
}

static bool read_sequence(struct set *out, struct reader *r)
{
    if (!set_of(out, r, SLICE_LIT(""))) return false;
    /* Both ends are anchored, so at the ends of the whole text these are empty. */
    if (r->depth == 0) (void)eat(r, "^");
    while (r->left.len && peek(r) != '|' && peek(r) != ')') {
        struct set atom;
        if (r->depth == 0 && peek(r) == '$' && (r->left.len == 1 || r->left.ptr[1] == '|')) {
            r->left = slice_skip(r->left, 1);
            break;
        }
        size_t n = plain_run(r);
        if (n) {
            if (!set_of(&atom, r, slice_of(r->left.ptr, n))) return false;
            r->left = slice_skip(r->left, n);
        } else if (!read_atom(&atom, r)) {
            return false;
        }
        if (out->n == 1 && out->bytes == 0) *out = atom;
        else if (!set_product(out, r, &atom)) return false;
    }
    return true;
}

/* Sequences are gathered before they are joined: n alternatives cost n, not n^2. */
static bool read_alternation(struct set *out, struct reader *r)
{
    size_t n_bars = 0;
    for (size_t i = 0; i < r->left.len; i++) n_bars += r->left.ptr[i] == '|';
    struct set *parts = arena_try_array(r->arena, n_bars + 1, sizeof(*parts));
    if (!parts) return false;

    size_t n_parts = 0, n = 0, bytes = 0;
    do {
        if (!read_sequence(&parts[n_parts], r)) return false;
        n += parts[n_parts].n;
        bytes += parts[n_parts].bytes;
        if (n > REGEX_LITERALS_MAX || bytes > BYTES_MAX) return false;
        n_parts++;
    } while (eat(r, "|"));

    if (n_parts == 1) {
        *out = parts[0];
        return true;
    }
    struct slice *ptr = arena_try_array(r->arena, n, sizeof(*ptr));
    if (!ptr) return false;
    *out = (struct set){ptr, 0, bytes};
    for (size_t i = 0; i < n_parts; i++) {
        memcpy(ptr + out->n, parts[i].ptr, parts[i].n * sizeof(*ptr));
        out->n += parts[i].n;
    }
    return true;
}

/* ---- what else can be seen ------------------------------------------------ */

static bool is_dots(struct slice pattern, const char *dots, size_t *n_captures)
{
    static const struct {
        const char *open, *close;
        size_t n_captures;
    } wraps[] = {{"", "", 0}, {"^", "$", 0}, {"(", ")", 1}, {"(?:", ")", 0}, {"^(", ")$", 1}};

    for (size_t i = 0; i < ARRAY_LEN(wraps); i++) {
        struct reader r = {.left = pattern};
        if (!eat(&r, wraps[i].open) || !eat(&r, dots)) continue;
        if (!slice_is(r.left, wraps[i].close)) continue;
        *n_captures = wraps[i].n_captures;
        return true;
    }
    return false;
}

/* Whether a `|` may stand outside all groups and classes. Errs towards yes. */
static bool may_alternate(struct slice pattern)
{
    size_t depth = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.ptr[i];
        if (c == '\\' && i + 1 < pattern.len && pattern.ptr[i + 1] == 'Q') return true;
        if (c == '\\') i++;
        else if (c == '[') return true; /* classes may hold brackets: not worth a reader */
        else if (c == '(') depth++;
        else if (c == ')' && depth) depth--;
        else if (c == '|' && depth == 0) return true;
    }
    return false;
}

/* Copies to text the runes that every match begins with and returns their bytes. */
static size_t read_prefix(char *text, struct slice pattern)
{
    struct reader r = {.left = pattern};
    size_t len = 0;

    size_t class_at = 0;
    while (class_at < pattern.len && pattern.ptr[class_at] != '[') class_at++;
    /* With a class, any `|` behind its start counts: no reader for what is inside. */
    if (may_alternate(slice_of(pattern.ptr, class_at))) return 0;
    if (memchr(pattern.ptr + class_at, '|', pattern.len - class_at)) return 0;

    (void)eat(&r, "^");
    for (;;) {
        struct slice rune;
        if (!read_rune(&rune, &r, SPECIAL)) break;
        char next = peek(&r);
        if (next && strchr("?*{", next)) break; /* the rune may be missing */
        memcpy(text + len, rune.ptr, rune.len);
        len += rune.len;
        if (next == '+') break;
    }
    return len;
}

/* Copies the set out of the scratch arena. */
static status keep_set(struct regex_reading *out, struct arena *arena, const struct set *set)
{
    struct slice *ptr = arena_try_array(arena, set->n, sizeof(*ptr));
    if (!ptr) return ST_NO_MEMORY;
    for (size_t i = 0; i < set->n; i++) {
        ptr[i] = arena_copy(arena, set->ptr[i]);
        if (!ptr[i].ptr) return ST_NO_MEMORY;
    }
    out->shape.literals = ptr;
    out->shape.n_literals = set->n;
    if (set->n == 1) out->shape.prefix = ptr[0];
    out->exact = true;
    return ST_OK;
}

static status read_set(struct regex_reading *out, struct arena *arena, struct slice pattern)
{
    struct account scratch_limit;
    struct arena scratch;
    struct set set;
    status st = ST_OK;

    account_init(&scratch_limit, "regex literals", NULL, SCRATCH_MAX);
    arena_init(&scratch, &scratch_limit, SCRATCH_BLOCK);
    struct reader r = {.arena = &scratch, .left = pattern};
    if (read_alternation(&set, &r) && r.left.len == 0) {
        set_sort(&set);
        out->n_captures = r.n_captures;
        st = keep_set(out, arena, &set);
    }
    arena_release(&scratch);
    return st;
}

status regex_literals(struct regex_reading *out, struct arena *arena, struct slice pattern)
{
    *out = (struct regex_reading){.shape.prefix = SLICE_LIT("")};
    if (is_dots(pattern, ".*", &out->n_captures)) {
        out->exact = out->shape.match_all = true;
        return ST_OK;
    }
    if (is_dots(pattern, ".+", &out->n_captures)) {
        out->exact = out->shape.match_nonempty = true;
        return ST_OK;
    }
    status st = read_set(out, arena, pattern);
    if (st != ST_OK || out->exact) return st;

    char *text = arena_try(arena, pattern.len);
    if (!text) return ST_NO_MEMORY;
    out->shape.prefix = slice_of(text, read_prefix(text, pattern));
    return ST_OK;
}
