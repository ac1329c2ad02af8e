/* Regular expressions over RE2. See regex.h; what needs no automaton is found by
 * regex_literals.c.
 *
 * RE2 is compiled when the shape does not say everything, or when groups are asked for
 * (a pattern that captures). One program serves both matching and groups: with no
 * submatches wanted RE2 runs its automaton whether or not the program could capture,
 * so a second, capture-free program would only double the memory.
 */
#include "base/regex.h"

#include <string.h>

#include "base/cxx_shim.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/regex_priv.h"
#include "base/strbuf.h"
#include "base/utf8.h"

enum {
    PROGRAM_MAX = 10000,     /* instructions (reliability.md 5) */
    MEMORY_MAX = 8 << 20,    /* bytes of program and automaton: RE2's own default */
    ARENA_BLOCK_LEN = 1024,
    WHY_MAX = 200,
};

struct regex {
    struct arena arena;
    struct regex_shape shape;
    struct shim_re *re; /* NULL: the shape is the language and nothing captures */
};

/* Go writes named groups as (?<n>...) too; RE2 of Debian 12 knows (?P<n>...) only. \C
 * would match half a rune. Inside \Q...\E and classes nothing is changed. */
static status rewrite(struct strbuf *out, struct slice pattern, struct err *err)
{
    bool in_class = false;
    for (size_t i = 0; i < pattern.len; i++) {
        struct slice rest = slice_skip(pattern, i);
        char c = pattern.ptr[i];
        if (c == '\\' && rest.len > 1) {
            if (rest.ptr[1] == 'C' && !in_class)
                return err_set(err, ST_INVALID, "invalid escape sequence: \\C");
            size_t len = 2;
            if (rest.ptr[1] == 'Q' && !in_class) {
                const char *end = memmem(rest.ptr, rest.len, "\\E", 2);
                len = end ? (size_t)(end - rest.ptr) + 2 : rest.len;
            }
            strbuf_put(out, rest.ptr, len);
            i += len - 1;
            continue;
        }
        if (in_class) {
            in_class = c != ']';
        } else if (c == '[') {
            /* a ] that comes first, also behind ^, stands for itself */
            size_t len = rest.len > 1 && rest.ptr[1] == '^' ? 2 : 1;
            if (rest.len > len && rest.ptr[len] == ']') len++;
            strbuf_put(out, rest.ptr, len);
            i += len - 1;
            in_class = true;
            continue;
        } else if (slice_starts(rest, SLICE_LIT("(?<")) && rest.len > 3 && rest.ptr[3] != '=' &&
                   rest.ptr[3] != '!') {
            strbuf_str(out, "(?P<");
            i += 2;
            continue;
        }
        strbuf_char(out, c);
    }
    return out->failed ? ST_NO_MEMORY : ST_OK;
}

/* RE2 quotes the pattern in its reasons: keep them printable and short. */
static void clean(char *why)
{
    for (; *why; why++)
        if ((unsigned char)*why < ' ' || *why == 0x7f) *why = '?';
}

static status compile(struct regex *re, struct slice pattern, struct err *err)
{
    char why[WHY_MAX];
    struct strbuf text;
    strbuf_init(&text, 0);

    status st = rewrite(&text, pattern, err);
    if (st != ST_OK) goto done;

    struct slice source = strbuf_view(&text);
    switch (shim_re_new(&re->re, source.ptr, source.len, MEMORY_MAX, why, sizeof(why))) {
    case SHIM_RE_OK:
        if (shim_re_program_size(re->re) > PROGRAM_MAX)
            st = err_set(err, ST_LIMIT, "regular expression needs more than %d instructions",
                         PROGRAM_MAX);
        else if (shim_re_has_double_names(re->re)) /* this RE2 takes them, Go does not */
            st = err_set(err, ST_INVALID, "duplicate group name");
        break;
    case SHIM_RE_BAD:
        clean(why);
        st = err_set(err, ST_INVALID, "%s", why);
        break;
    case SHIM_RE_TOO_LARGE:
        st = err_set(err, ST_LIMIT, "regular expression is too large");
        break;
    case SHIM_RE_NO_MEMORY:
        st = ST_NO_MEMORY;
        break;
    }

done:
    strbuf_release(&text);
    return st;
}

status regex_new(struct regex **out, struct slice pattern, struct err *err)
{
    struct regex_reading reading;
    if (pattern.len > REGEX_SOURCE_MAX)
        return err_set(err, ST_LIMIT, "regular expression is longer than %d bytes",
                       REGEX_SOURCE_MAX);
    if (!utf8_valid(pattern)) return err_set(err, ST_INVALID, "invalid UTF-8");

    struct regex *re = mem_zalloc(sizeof(*re));
    arena_init(&re->arena, NULL, ARENA_BLOCK_LEN);

    /* the reading points into the pattern: keep our own */
    struct slice own = arena_copy(&re->arena, pattern);
    status st = own.ptr ? regex_literals(&reading, &re->arena, own) : ST_NO_MEMORY;
    if (st != ST_OK) goto fail;
    re->shape = reading.shape;
    if (!reading.exact || reading.n_captures > 0) {
        st = compile(re, own, err);
        if (st != ST_OK) goto fail;
    }
    *out = re;
    return ST_OK;

fail:
    regex_free(re);
    return st;
}

void regex_free(struct regex *re)
{
    if (!re) return;
    shim_re_free(re->re);
    arena_release(&re->arena);
    mem_free(re);
}

static bool has_literal(const struct regex_shape *shape, struct slice text)
{
    size_t from = 0, to = shape->n_literals;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = slice_cmp(shape->literals[mid], text);
        if (order == 0) return true;
        if (order < 0) from = mid + 1;
        else to = mid;
    }
    return false;
}

bool regex_match(const struct regex *re, struct slice text)
{
    const struct regex_shape *shape = &re->shape;
    if (shape->match_all) return true;
    if (shape->match_nonempty) return text.len > 0;
    if (shape->n_literals) return has_literal(shape, text);
    if (!slice_starts(text, shape->prefix)) return false;
    return shim_re_match(re->re, text.len ? text.ptr : "", text.len);
}

const struct regex_shape *regex_shape(const struct regex *re)
{
    return &re->shape;
}

bool regex_groups(const struct regex *re, struct slice text, struct slice *groups,
                  size_t n_groups)
{
    const char *ptrs[REGEX_GROUPS_MAX + 1];
    size_t lens[REGEX_GROUPS_MAX + 1];
    size_t n = n_groups <= REGEX_GROUPS_MAX ? n_groups : REGEX_GROUPS_MAX + 1;

    if (!regex_match(re, text)) return false;
    for (size_t i = 0; i < n_groups; i++) groups[i] = (struct slice){NULL, 0};
    if (!re->re) {
        if (n_groups) groups[0] = slice_of(text.len ? text.ptr : "", text.len);
        return true;
    }
    if (!shim_re_groups(re->re, text.len ? text.ptr : "", text.len, ptrs, lens, n)) return false;
    for (size_t i = 0; i < n; i++) groups[i] = (struct slice){ptrs[i], lens[i]};
    return true;
}

size_t regex_n_groups(const struct regex *re)
{
    return re->re ? shim_re_n_groups(re->re) : 0;
}

int regex_group_index(const struct regex *re, struct slice name)
{
    return re->re ? shim_re_group_index(re->re, name.ptr, name.len) : -1;
}
