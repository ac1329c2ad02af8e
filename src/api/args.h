/* Arguments of a command by table: a spec says where each word goes in a typed struct.
 *
 *     struct range_args {
 *         struct slice key;
 *         int64_t from, to, count;
 *         bool latest;
 *         struct agg_spec agg;
 *         struct slices filter;
 *     };
 *
 *     static const struct arg_spec spec[] = {
 *         ARG_POS(struct range_args, key, ARG_SLICE),
 *         ARG_POS_BY(struct range_args, from, parse_from),
 *         ARG_POS_BY(struct range_args, to, parse_to),
 *         ARG_FLAG("LATEST", struct range_args, latest),
 *         ARG_OPT("COUNT", struct range_args, count, ARG_INT, 1, INT64_MAX,
 *                 "TSDB: Couldn't parse COUNT"),
 *         ARG_SUB("AGGREGATION", struct range_args, agg, parse_agg),
 *         ARG_REST("FILTER", struct range_args, filter),
 *         ARG_END,
 *     };
 *     const struct arg_shape range_shape = ARG_SHAPE(struct range_args, spec);
 *
 * Positional words come first, in order; then options in any order, matched without
 * regard to case, the last of a repeated one counting; ARG_REST takes everything behind
 * its word (word NULL: everything behind the positional ones). The struct is zeroed
 * before. Slices point into the request. Pure, any thread.
 */
#ifndef TSINK_API_ARGS_H
#define TSINK_API_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"

enum { ARGS_SIZE_MAX = 512 }; /* of an args struct */

struct slices {
    const struct slice *ptr;
    size_t n;
};

enum arg_type {
    ARG_SLICE,    /* struct slice */
    ARG_INT,      /* int64_t in [low, high] */
    ARG_DOUBLE,   /* double, finite or infinite, not NaN */
    ARG_DURATION, /* int64_t ms >= 0: a number, or Prometheus' form ("5m") */
};

/* Where a parser is in the words of the command. */
struct arg_cursor {
    const struct slice *argv; /* without the command's own words */
    size_t argc, at;
    struct arena *arena;      /* of the call: for what does not fit in the struct */
};

/* Fills the field from the words at the cursor and moves it behind them. The failure's
 * text goes to err, without its code word ("ERR"). */
typedef status (*arg_parser)(void *field, struct arg_cursor *at, struct err *err);

enum arg_kind { ARG_K_END, ARG_K_POS, ARG_K_FLAG, ARG_K_OPT, ARG_K_SUB, ARG_K_REST };

struct arg_spec {
    enum arg_kind kind;
    const char *word;    /* of an option, upper case */
    size_t off;          /* of the field */
    enum arg_type type;
    int64_t low, high;   /* of ARG_INT */
    arg_parser parse;    /* ARG_K_SUB, and ARG_K_POS when not NULL */
    const char *error;   /* NULL: the type's own words */
};

struct arg_shape {
    const struct arg_spec *spec;
    size_t size;
};

/* The last argument, the words of a failure, may be left out. */
#define ARG_POS(T, field, type_, ...)                                                          \
    {.kind = ARG_K_POS, .off = offsetof(T, field), .type = type_, .low = INT64_MIN,            \
     .high = INT64_MAX, .error = ARG_ERROR(__VA_ARGS__)}
#define ARG_POS_BY(T, field, fn) {.kind = ARG_K_POS, .off = offsetof(T, field), .parse = fn}
#define ARG_FLAG(word_, T, field) {.kind = ARG_K_FLAG, .word = word_, .off = offsetof(T, field)}
#define ARG_OPT(word_, T, field, type_, low_, high_, ...)                                      \
    {.kind = ARG_K_OPT, .word = word_, .off = offsetof(T, field), .type = type_, .low = low_,  \
     .high = high_, .error = ARG_ERROR(__VA_ARGS__)}
#define ARG_SUB(word_, T, field, fn)                                                           \
    {.kind = ARG_K_SUB, .word = word_, .off = offsetof(T, field), .parse = fn}
#define ARG_REST(word_, T, field)                                                              \
    {.kind = ARG_K_REST, .word = word_, .off = offsetof(T, field)}
#define ARG_END {.kind = ARG_K_END}
#define ARG_ERROR(...) ("" __VA_ARGS__)[0] ? ("" __VA_ARGS__) : NULL
#define ARG_SHAPE(T, spec_) {.spec = spec_, .size = sizeof(T)}

enum arg_unknown {
    ARG_UNKNOWN_SYNTAX, /* "syntax error", as Redis */
    ARG_UNKNOWN_TSDB,   /* "TSDB: unknown argument 'x'" */
    ARG_UNKNOWN_SKIP,   /* goes unnoticed, as RedisTimeSeries (resp-lenient-args) */
};

/* Fills out (shape->size bytes) from argv[0..argc). */
CHECKED status args_parse(void *out, const struct arg_shape *shape, const struct slice *argv,
                          size_t argc, enum arg_unknown unknown, struct arena *arena,
                          struct err *err);

/* ---- For arg_parsers --------------------------------------------------------------- */

/* The next word, or false at the end. */
bool arg_next(struct arg_cursor *at, struct slice *word);

/* The next word without taking it, or an empty slice. */
struct slice arg_peek(const struct arg_cursor *at);

/* Redis' rules for integers: digits without leading zeros, optional minus. */
bool arg_int(int64_t *out, struct slice word);

/* Redis' globs: * ? [a-z] [^x] and backslash, case ignored. Time is at most the product
 * of the lengths; no recursion. */
bool arg_glob(struct slice pattern, struct slice text);

/* The same for keys and channels, where case counts. */
bool arg_glob_exact(struct slice pattern, struct slice text);

/* strtod's rules without blanks, hex and NaN. */
bool arg_double(double *out, struct slice word);

#endif
