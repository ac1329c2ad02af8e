/* Words of a command into a typed struct. See args.h. */
#include "api/args.h"

#include <math.h>
#include <string.h>

#include "base/duration.h"
#include "base/numfmt.h"
#include "base/panic.h"

/* ---- Words ------------------------------------------------------- */

bool arg_next(struct arg_cursor *at, struct slice *word)
{
    if (at->at >= at->argc) return false;
    *word = at->argv[at->at++];
    return true;
}

struct slice arg_peek(const struct arg_cursor *at)
{
    return at->at < at->argc ? at->argv[at->at] : slice_of("", 0);
}

bool arg_int(int64_t *out, struct slice word)
{
    size_t sign = word.len > 0 && word.ptr[0] == '-';

    if (word.len == sign || word.len > 20) return false;
    if (word.ptr[sign] == '0' && word.len > 1) return false; /* 01, -0 */
    for (size_t i = sign; i < word.len; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '9') return false;
    }
    return parse_i64(out, word);
}

bool arg_double(double *out, struct slice word)
{
    return parse_f64(out, word) && !isnan(*out);
}

static unsigned char folded(char c, bool nocase)
{
    return (unsigned char)(nocase && c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* The class that starts behind '[' at *at; *at moves behind its ']'. */
static bool in_class(struct slice pattern, size_t *at, unsigned char c, bool nocase)
{
    bool negated = *at < pattern.len && pattern.ptr[*at] == '^', found = false;
    size_t i = *at + negated;

    while (i < pattern.len && pattern.ptr[i] != ']') {
        if (pattern.ptr[i] == '\\' && i + 1 < pattern.len) i++;
        unsigned char low = folded(pattern.ptr[i], nocase), high = low;
        if (i + 2 < pattern.len && pattern.ptr[i + 1] == '-' && pattern.ptr[i + 2] != ']') {
            high = folded(pattern.ptr[i + 2], nocase);
            i += 2;
        }
        if (low > high) {
            unsigned char swap = low;
            low = high;
            high = swap;
        }
        if (c >= low && c <= high) found = true;
        i++;
    }
    *at = i < pattern.len ? i + 1 : i;
    return found != negated;
}

/* One character of the pattern (not '*') at *at against c; *at moves behind it. */
static bool match_one(struct slice pattern, size_t *at, unsigned char c, bool nocase)
{
    char p = pattern.ptr[(*at)++];

    if (p == '?') return true;
    if (p == '[') return in_class(pattern, at, c, nocase);
    if (p == '\\' && *at < pattern.len) p = pattern.ptr[(*at)++];
    return folded(p, nocase) == c;
}

/* Only the last '*' can need another try: what it swallows grows by one. */
static bool glob(struct slice pattern, struct slice text, bool nocase)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_t = 0;

    while (t < text.len) {
        size_t next = p;
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = ++p;
            star_t = t;
        } else if (p < pattern.len &&
                   match_one(pattern, &next, folded(text.ptr[t], nocase), nocase)) {
            p = next;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++star_t;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') p++;
    return p == pattern.len;
}

bool arg_glob(struct slice pattern, struct slice text)
{
    return glob(pattern, text, true);
}

bool arg_glob_exact(struct slice pattern, struct slice text)
{
    return glob(pattern, text, false);
}

static bool parse_duration(int64_t *out, struct slice word)
{
    if (arg_int(out, word)) return *out >= 0;
    return duration_parse_ms(out, word);
}

/* ---- One value ------------------------------------------------------- */

static const char *default_error(enum arg_type type)
{
    switch (type) {
    case ARG_INT: return "value is not an integer or out of range";
    case ARG_DOUBLE: return "value is not a valid float";
    case ARG_DURATION: return "value is not a valid duration";
    case ARG_SLICE: break;
    }
    return "syntax error";
}

static status refuse(const struct arg_spec *spec, struct err *err)
{
    return err_set(err, ST_INVALID, "%s", spec->error ? spec->error : default_error(spec->type));
}

static status put_value(void *field, const struct arg_spec *spec, struct slice word,
                        struct err *err)
{
    int64_t number;
    double real;

    switch (spec->type) {
    case ARG_SLICE:
        *(struct slice *)field = word;
        return ST_OK;
    case ARG_INT:
        if (!arg_int(&number, word) || number < spec->low || number > spec->high) break;
        *(int64_t *)field = number;
        return ST_OK;
    case ARG_DOUBLE:
        if (!arg_double(&real, word)) break;
        *(double *)field = real;
        return ST_OK;
    case ARG_DURATION:
        if (!parse_duration(&number, word)) break;
        *(int64_t *)field = number;
        return ST_OK;
    }
    return refuse(spec, err);
}

static status take_value(void *field, const struct arg_spec *spec, struct arg_cursor *at,
                         struct err *err)
{
    struct slice word;

    if (spec->parse) return spec->parse(field, at, err);
    if (!arg_next(at, &word)) {
        return err_set(err, ST_INVALID, "%s", spec->error ? spec->error : "syntax error");
    }
    return put_value(field, spec, word, err);
}

/* Everything from the cursor on, in the arena: the request's own table goes away. */
static status take_rest(struct slices *rest, struct arg_cursor *at, struct err *err)
{
    size_t n = at->argc - at->at;

    *rest = (struct slices){0};
    if (n == 0) return ST_OK;
    struct slice *copy = arena_try_array(at->arena, n, sizeof(*copy));
    if (!copy) return err_set(err, ST_NO_MEMORY, "no memory for the arguments");
    memcpy(copy, at->argv + at->at, n * sizeof(*copy));
    *rest = (struct slices){copy, n};
    at->at = at->argc;
    return ST_OK;
}

/* ---- All words ------------------------------------------------------- */

static const struct arg_spec *find_option(const struct arg_spec *spec, struct slice word)
{
    for (; spec->kind != ARG_K_END; spec++) {
        if (spec->word && slice_is_nocase(word, spec->word)) return spec;
    }
    return NULL;
}

static status take_option(char *out, const struct arg_spec *spec, struct arg_cursor *at,
                          struct err *err)
{
    void *field = out + spec->off;

    switch (spec->kind) {
    case ARG_K_FLAG:
        *(bool *)field = true;
        return ST_OK;
    case ARG_K_OPT:
    case ARG_K_SUB: return take_value(field, spec, at, err);
    case ARG_K_REST: return take_rest(field, at, err);
    case ARG_K_POS:
    case ARG_K_END: break;
    }
    PANIC("argument spec of kind %d has a word", (int)spec->kind);
}

static status unknown_word(enum arg_unknown unknown, struct slice word, struct err *err)
{
    switch (unknown) {
    case ARG_UNKNOWN_SKIP: return ST_OK;
    case ARG_UNKNOWN_TSDB:
        return err_set(err, ST_INVALID, "TSDB: unknown argument '%.*s'",
                       word.len < 64 ? (int)word.len : 64, word.ptr);
    case ARG_UNKNOWN_SYNTAX: break;
    }
    return err_set(err, ST_INVALID, "syntax error");
}

status args_parse(void *out, const struct arg_shape *shape, const struct slice *argv, size_t argc,
                  enum arg_unknown unknown, struct arena *arena, struct err *err)
{
    struct arg_cursor at = {.argv = argv, .argc = argc, .arena = arena};
    const struct arg_spec *spec = shape->spec;
    char *bytes = out;

    ASSERT(shape->size <= ARGS_SIZE_MAX);
    memset(out, 0, shape->size);
    for (; spec->kind == ARG_K_POS; spec++) TRY(take_value(bytes + spec->off, spec, &at, err));
    if (spec->kind == ARG_K_REST && !spec->word) {
        return take_rest((void *)(bytes + spec->off), &at, err);
    }
    while (at.at < at.argc) {
        struct slice word = at.argv[at.at++];
        const struct arg_spec *option = find_option(spec, word);
        if (option) TRY(take_option(bytes, option, &at, err));
        else TRY(unknown_word(unknown, word, err));
    }
    return ST_OK;
}
