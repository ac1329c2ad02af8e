/* Arguments that TS.* commands share: what a series is made with. See ts_args.h; ranges
 * are in ts_range_args.c. */
#include "api/ts_args.h"

#include "base/numfmt.h"
#include "base/panic.h"

static status refuse(struct err *err, const char *text)
{
    return err_set(err, ST_INVALID, "%s", text);
}

status ts_parse_retention(void *field, struct arg_cursor *at, struct err *err)
{
    struct ts_number *out = field;
    struct slice word;
    if (!arg_next(at, &word) || !arg_int(&out->v, word) || out->v < 0)
        return refuse(err, "TSDB: Couldn't parse RETENTION");
    out->has = true;
    return ST_OK;
}

status ts_parse_chunk_size(void *field, struct arg_cursor *at, struct err *err)
{
    struct ts_number *out = field;
    struct slice word;
    if (!arg_next(at, &word) || !arg_int(&out->v, word))
        return refuse(err, "TSDB: Couldn't parse CHUNK_SIZE");
    if (out->v % 8 || out->v < 48 || out->v > 1048576)
        return refuse(err, "TSDB: CHUNK_SIZE value must be a multiple of 8 in the range "
                           "[48 .. 1048576]");
    out->has = true;
    return ST_OK;
}

status ts_parse_encoding(void *field, struct arg_cursor *at, struct err *err)
{
    struct ts_encoding *out = field;
    struct slice word;
    if (!arg_next(at, &word)) return refuse(err, "TSDB: Couldn't parse ENCODING");
    bool raw = slice_is_nocase(word, "UNCOMPRESSED");
    if (!raw && !slice_is_nocase(word, "COMPRESSED"))
        return refuse(err, "TSDB: unknown ENCODING parameter");
    *out = (struct ts_encoding){.uncompressed = raw, .has = true};
    return ST_OK;
}

status ts_parse_policy(void *field, struct arg_cursor *at, struct err *err)
{
    static const struct {
        const char *word;
        enum dup_policy policy;
    } rows[] = {{"block", DUP_BLOCK}, {"first", DUP_FIRST}, {"last", DUP_LAST},
                {"min", DUP_MIN},     {"max", DUP_MAX},     {"sum", DUP_SUM}};
    struct slice word;
    if (!arg_next(at, &word)) return refuse(err, "TSDB: Couldn't parse DUPLICATE_POLICY");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!slice_is_nocase(word, rows[i].word)) continue;
        *(enum dup_policy *)field = rows[i].policy;
        return ST_OK;
    }
    return refuse(err, "TSDB: Unknown DUPLICATE_POLICY");
}

status ts_parse_ignore(void *field, struct arg_cursor *at, struct err *err)
{
    struct ts_ignore *out = field;
    struct slice ms, val;
    if (!arg_next(at, &ms) || !arg_next(at, &val) || !arg_int(&out->max_ms, ms) ||
        !arg_double(&out->max_val, val))
        return refuse(err, "TSDB: Couldn't parse IGNORE");
    if (out->max_ms < 0 || out->max_val < 0)
        return refuse(err, "TSDB: IGNORE arguments cannot be negative");
    out->has = true;
    return ST_OK;
}

/* Far above any limit on labels; the search for repeated names is quadratic. */
enum { LABELS_MAX = 1024 };

static bool value_is_plain(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] == '(' || value.ptr[i] == ')' || value.ptr[i] == ',') return false;
    return value.len > 0;
}

status ts_parse_labels(void *field, struct arg_cursor *at, struct err *err)
{
    struct ts_labels *out = field;
    size_t n = (at->argc - at->at) / 2; /* an odd word at the end is dropped, as the peer does */
    if (n > LABELS_MAX) return refuse(err, "TSDB: Couldn't parse LABELS");
    out->ptr = arena_try_array(at->arena, n + 1, sizeof(*out->ptr));
    if (!out->ptr) return ST_NO_MEMORY;
    for (out->n = 0; out->n < n; out->n++) {
        struct slice name, value;
        if (!arg_next(at, &name) || !arg_next(at, &value)) break;
        bool twice = false;
        for (size_t i = 0; i < out->n; i++) twice |= slice_eq(out->ptr[i].name, name);
        if (name.len == 0 || twice || !value_is_plain(value) || slice_is(name, LABEL_KEY))
            return refuse(err, "TSDB: Couldn't parse LABELS");
        out->ptr[out->n] = (struct label){name, value};
    }
    at->at = at->argc;
    return ST_OK;
}

struct series_attrs ts_attrs(const struct app_settings *set, const struct ts_create_args *args)
{
    bool bare = args->uncompressed || (set->ts_uncompressed && !args->compressed);
    bool raw = args->encoding.has ? args->encoding.uncompressed : bare;
    return (struct series_attrs){
        .retention_ms = args->retention.has ? args->retention.v : set->ts_retention_ms,
        .ignore_max_ms = args->ignore.has ? args->ignore.max_ms : set->ts_ignore_ms,
        .ignore_max_val = args->ignore.has ? args->ignore.max_val : set->ts_ignore_val,
        .chunk_bytes = args->chunk_size.has ? (uint32_t)args->chunk_size.v : set->ts_chunk_bytes,
        .policy = args->policy ? args->policy : set->ts_policy,
        .uncompressed = raw,
    };
}

bool ts_attrs_alter(struct series_attrs *attrs, const struct ts_create_args *args)
{
    if (args->retention.has) attrs->retention_ms = args->retention.v;
    if (args->chunk_size.has) attrs->chunk_bytes = (uint32_t)args->chunk_size.v;
    if (args->policy) attrs->policy = args->policy;
    if (args->ignore.has) {
        attrs->ignore_max_ms = args->ignore.max_ms;
        attrs->ignore_max_val = args->ignore.max_val;
    }
    return args->retention.has || args->chunk_size.has || args->policy || args->ignore.has;
}

status ts_value(double *out, struct slice word, struct err *err)
{
    if (parse_f64_json(out, word, true)) return ST_OK;
    return refuse(err, "TSDB: invalid value");
}

status ts_time_ms(int64_t *out, struct slice word, int64_t now_ms, struct err *err)
{
    if (word.len == 1 && word.ptr[0] == '*') {
        *out = now_ms;
        return ST_OK;
    }
    if (!arg_int(out, word)) return refuse(err, "TSDB: invalid timestamp");
    if (*out < 0) return refuse(err, "TSDB: invalid timestamp, must be a nonnegative integer");
    return ST_OK;
}
