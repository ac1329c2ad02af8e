/* The table of options and what each type takes. See config.h. */
#include "server/config.h"

#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "api/events.h"
#include "api/external_labels.h"
#include "api/ts_policy.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/numfmt.h"
#include "base/panic.h"
#include "base/regex.h"
#include "net/listener.h"

#define NAMES(id, ...) static const struct config_name id[] = {__VA_ARGS__, {NULL, 0}}
NAMES(PRECISION_NAMES, {"s", PRECISION_S}, {"ms", PRECISION_MS}, {"us", PRECISION_US},
      {"ns", PRECISION_NS});
NAMES(WAL_SYNC_NAMES, {"append", DB_WAL_APPEND}, {"periodic", DB_WAL_PERIODIC},
      {"off", DB_WAL_OFF});
NAMES(WAL_REPLAY_NAMES, {"strict", DB_REPLAY_STRICT}, {"salvage", DB_REPLAY_SALVAGE});
NAMES(LOG_LEVEL_NAMES, {"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN},
      {"error", LOG_ERROR}, {"off", LOG_OFF});
NAMES(TS_ENCODING_NAMES, {"compressed", 0}, {"uncompressed", 1});
NAMES(TS_POLICY_NAMES, {"block", DUP_BLOCK}, {"first", DUP_FIRST}, {"last", DUP_LAST},
      {"min", DUP_MIN}, {"max", DUP_MAX}, {"sum", DUP_SUM});
NAMES(TS_NAME_MODE_NAMES, {"derive", TS_NAME_DERIVE}, {"key", TS_NAME_KEY},
      {"none", TS_NAME_NONE});

/* low is a number, or the names of an ENUM. */
#define LOW_NUMBER(x) _Generic((x), const struct config_name *: 0, default: (x))
#define LOW_NAMES(x) _Generic((x), const struct config_name *: (x), default: NULL)
enum { AT_START = 0, ANY_TIME = 1 };

const struct config_row config_rows[] = {
#define CONFIG(name_, type_, field, preset_, low_, high_, when, group_, text_)                 \
    {.name = name_,                                                                            \
     .type = CONFIG_##type_,                                                                   \
     .off = offsetof(struct config, field),                                                    \
     .size = sizeof(((struct config *)0)->field),                                              \
     .preset = preset_,                                                                        \
     .low = (int64_t)LOW_NUMBER(low_),                                                         \
     .high = high_,                                                                            \
     .names = LOW_NAMES(low_),                                                                 \
     .any_time = (when) == ANY_TIME,                                                           \
     .group = group_,                                                                          \
     .text = text_},
#include "server/config.def"
#undef CONFIG
};

const size_t config_n_rows = ARRAY_LEN(config_rows);

const struct config_row *config_row(struct slice name)
{
    for (size_t i = 0; i < config_n_rows; i++)
        if (slice_is_nocase(name, config_rows[i].name)) return &config_rows[i];
    return NULL;
}

static void *field(struct config *cfg, const struct config_row *row)
{
    return (char *)cfg + row->off;
}

static const void *field_of(const struct config *cfg, const struct config_row *row)
{
    return (const char *)cfg + row->off;
}

/* --- text to field --------------------------------------------------------------- */

static status refuse(const struct config_row *row, struct slice value, struct err *err,
                     const char *wants)
{
    return err_set(err, ST_INVALID, "%s: '" SLICE_FMT "' is not %s", row->name,
                   (int)(value.len > 100 ? 100 : value.len), value.ptr, wants);
}

static status set_number(struct config *cfg, const struct config_row *row, struct slice value,
                         struct err *err)
{
    char wants[128];
    int64_t v;
    uint64_t size;
    bool ok;
    switch (row->type) {
    case CONFIG_SIZE:
        ok = size_parse(&size, value) && size <= INT64_MAX;
        v = (int64_t)size;
        break;
    case CONFIG_DURATION: ok = duration_parse_ms(&v, value); break;
    default: ok = parse_i64(&v, value); break;
    }
    if (row->type == CONFIG_INT && row->low == -1 && slice_is(value, "auto")) {
        v = -1;
        ok = true;
    }
    if (!ok || v < row->low || v > row->high) {
        snprintf(wants, sizeof(wants), "%s in %lld..%lld%s",
                 row->type == CONFIG_SIZE       ? "a size (64mb)"
                 : row->type == CONFIG_DURATION ? "a duration (250ms 5s 15m 48h 7d)"
                                                : "a number",
                 (long long)row->low, (long long)row->high,
                 row->type == CONFIG_DURATION ? " ms" : "");
        return refuse(row, value, err, wants);
    }
    if (row->size == sizeof(int64_t))
        memcpy(field(cfg, row), &v, sizeof(v));
    else
        *(int *)field(cfg, row) = (int)v;
    return ST_OK;
}

static status set_enum(struct config *cfg, const struct config_row *row, struct slice value,
                       struct err *err)
{
    char wants[160] = "one of";
    size_t at = strlen(wants);
    for (const struct config_name *n = row->names; n->name; n++) {
        if (slice_is_nocase(value, n->name)) {
            if (row->type == CONFIG_ENUM8)
                *(bool *)field(cfg, row) = n->value != 0;
            else
                *(int *)field(cfg, row) = n->value;
            return ST_OK;
        }
        int len = snprintf(wants + at, sizeof(wants) - at, " %s", n->name);
        if (len > 0 && (size_t)len < sizeof(wants) - at) at += (size_t)len;
    }
    return refuse(row, value, err, wants);
}

/* Kept as it reads back: in largest units. */
static status set_compaction(struct config *cfg, const struct config_row *row, struct slice value,
                             struct err *err)
{
    struct ts_policy_rule rules[TS_POLICY_MAX];
    struct strbuf text;
    size_t n;
    status st = ts_policy_parse(rules, &n, value, err);
    if (st != ST_OK) return err_wrap(err, st, "%s", row->name);
    strbuf_init(&text, 0);
    ts_policy_print(&text, rules, n);
    if (text.failed) st = ST_NO_MEMORY;
    else if (strbuf_view(&text).len >= row->size) st = refuse(row, value, err, "short enough");
    if (st == ST_OK) {
        memset(field(cfg, row), 0, row->size);
        if (n) memcpy(field(cfg, row), strbuf_view(&text).ptr, strbuf_view(&text).len);
    }
    strbuf_release(&text);
    return st;
}

status config_set(struct config *cfg, const struct config_row *row, struct slice value,
                  struct err *err)
{
    double f;
    switch (row->type) {
    case CONFIG_FIXED: return err_set(err, ST_DENIED, "%s cannot be set", row->name);
    case CONFIG_YESNO:
        if (!slice_is_nocase(value, "yes") && !slice_is_nocase(value, "no"))
            return refuse(row, value, err, "yes or no");
        *(bool *)field(cfg, row) = slice_is_nocase(value, "yes");
        return ST_OK;
    case CONFIG_ENUM:
    case CONFIG_ENUM8: return set_enum(cfg, row, value, err);
    case CONFIG_FLOAT:
        if (!parse_f64(&f, value) || isnan(f) || f < 0)
            return refuse(row, value, err, "a number >= 0");
        *(double *)field(cfg, row) = f;
        return ST_OK;
    case CONFIG_TEXT:
        if (value.len >= row->size || memchr(value.ptr, 0, value.len) ||
            memchr(value.ptr, '\n', value.len))
            return refuse(row, value, err, "a short line of text");
        memset(field(cfg, row), 0, row->size);
        memcpy(field(cfg, row), value.ptr, value.len);
        return ST_OK;
    case CONFIG_COMPACTION: return set_compaction(cfg, row, value, err);
    case CONFIG_EVENTS:
        if (events_parse(field(cfg, row), value)) return ST_OK;
        return refuse(row, value, err, "letters of KEA and g$lshzxetdmn");
    case CONFIG_INT:
    case CONFIG_COUNT:
    case CONFIG_COUNT32:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_MILLIS: return set_number(cfg, row, value, err);
    }
    return ST_INTERNAL;
}

void config_init(struct config *cfg)
{
    memset(cfg, 0, sizeof(*cfg));
    db_options_init(&cfg->engine);
    for (size_t i = 0; i < config_n_rows; i++) {
        struct err err = {.st = ST_OK};
        const struct config_row *row = &config_rows[i];
        if (row->type == CONFIG_FIXED) continue;
        if (config_set(cfg, row, slice_str(row->preset), &err) != ST_OK)
            PANIC("default of %s: %s", row->name, err.text);
    }
}

/* --- field to text --------------------------------------------------------------- */

static void print_enum(struct strbuf *out, const struct config_row *row, int value)
{
    for (const struct config_name *n = row->names; n->name; n++)
        if (n->value == value) strbuf_str(out, n->name);
}

/* Six decimals, as the peer prints it, unless that is another number. */
static void print_float(struct strbuf *out, double v)
{
    char text[NUMFMT_MAX];
    double back;
    int len = snprintf(text, sizeof(text), "%f", v);
    bool same = len > 0 && (size_t)len < sizeof(text) &&
                parse_f64(&back, slice_of(text, (size_t)len)) && back == v;
    strbuf_put(out, text, same ? (size_t)len : numfmt_go(text, v));
}

void config_print(struct strbuf *out, const struct config *cfg, const struct config_row *row)
{
    const void *at = field_of(cfg, row);
    char text[64];
    int64_t v = row->size == sizeof(int64_t) ? *(const int64_t *)at : 0;
    switch (row->type) {
    case CONFIG_FIXED: strbuf_str(out, row->preset); return;
    case CONFIG_YESNO: strbuf_str(out, *(const bool *)at ? "yes" : "no"); return;
    case CONFIG_COMPACTION:
    case CONFIG_TEXT: strbuf_str(out, at); return;
    case CONFIG_ENUM: print_enum(out, row, *(const int *)at); return;
    case CONFIG_ENUM8: print_enum(out, row, *(const bool *)at); return;
    case CONFIG_EVENTS: events_print(out, *(const uint32_t *)at); return;
    case CONFIG_FLOAT: print_float(out, *(const double *)at); return;
    case CONFIG_SIZE: strbuf_put(out, text, size_print(text, (uint64_t)v)); return;
    case CONFIG_DURATION: strbuf_put(out, text, duration_print_ms(text, v)); return;
    case CONFIG_INT:
        if (row->low == -1 && *(const int *)at == -1)
            strbuf_str(out, "auto");
        else
            strbuf_printf(out, "%d", *(const int *)at);
        return;
    case CONFIG_COUNT32: strbuf_printf(out, "%u", *(const uint32_t *)at); return;
    case CONFIG_COUNT:
    case CONFIG_MILLIS: strbuf_printf(out, "%lld", (long long)v); return;
    }
}

/* "" or "/a/b": parts of what needs no escape. */
static bool prefix_is_valid(const char *prefix)
{
    size_t len = strlen(prefix);
    for (size_t i = 0; i < len; i++) {
        if (prefix[i] == '/' ? i + 1 == len || prefix[i + 1] == '/'
                             : !isalnum((unsigned char)prefix[i]) && !strchr("-._~", prefix[i]))
            return false;
    }
    return len == 0 || prefix[0] == '/';
}

static status check_labels(const struct config *cfg, struct err *err)
{
    struct arena arena;
    struct labels labels;
    struct err why = {.st = ST_OK};
    arena_init(&arena, NULL, 1024);
    status st = external_labels_parse(&labels, slice_str(cfg->app.external_labels), &arena, &why);
    arena_release(&arena);
    if (st == ST_OK) return ST_OK;
    return err_set(err, ST_INVALID, "external-labels: %s", err_text(&why, st));
}

static status check_http(const struct config *cfg, struct err *err)
{
    struct regex *origins;
    struct err why = {.st = ST_OK};
    if (!prefix_is_valid(cfg->app.http_prefix))
        return err_set(err, ST_INVALID, "http-prefix must be like /prometheus, or empty");
    TRY(check_labels(cfg, err));
    if (!cfg->cors[0]) return ST_OK;
    status st = regex_new(&origins, slice_str(cfg->cors), &why);
    if (st != ST_OK) return err_set(err, ST_INVALID, "cors-origin: %s", err_text(&why, st));
    regex_free(origins);
    return ST_OK;
}

status config_check(const struct config *cfg, struct err *err)
{
    TRY(db_options_check(&cfg->engine, err));
    if (cfg->port && cfg->port == cfg->http_port)
        return err_set(err, ST_INVALID, "port and http-port are both %d", cfg->port);
    if (cfg->protected_mode && !listener_is_loopback(cfg->bind))
        return err_set(err, ST_DENIED,
                       "bind %s is open to others and there is no authentication; "
                       "protected-mode no allows it",
                       cfg->bind);
    TRY(check_http(cfg, err));
    if (cfg->output_soft > cfg->output_hard)
        return err_set(err, ST_INVALID,
                       "output-buffer-soft-limit is larger than output-buffer-limit");
    for (int mode = cfg->unix_mode; mode; mode /= 10)
        if (mode % 10 > 7) return err_set(err, ST_INVALID, "unixsocketperm has octal digits");
    if (cfg->query_threads == 0)
        return err_set(err, ST_INVALID, "query-threads must be auto or 1..64");
    if (cfg->app.ts_chunk_bytes % 8)
        return err_set(err, ST_INVALID, "ts-chunk-size-bytes must be a multiple of 8");
    return ST_OK;
}
