/* FILTER expressions. See ts_filter.h. */
#include "api/ts_filter.h"

#include <string.h>

static status bad(struct err *err)
{
    return err_set(err, ST_INVALID, "TSDB: failed parsing labels");
}

/* (v1,v2) as the regular expression v1|v2 with everything quoted: resolution turns such
 * a set into look-ups. */
static status list_pattern(struct arena *arena, struct slice list, struct slice *out, bool *empty)
{
    char *dst = arena_try(arena, 2 * list.len + 1);
    size_t n = 0;
    if (!dst) return ST_NO_MEMORY;
    *empty = list.len == 0;
    for (size_t i = 0; i < list.len; i++) {
        char c = list.ptr[i];
        if (c == '(' || c == ')') return ST_INVALID;
        if (c == ',') {
            dst[n++] = '|';
            continue;
        }
        if (c && strchr("\\.+*?[]{}^$|", c)) dst[n++] = '\\';
        dst[n++] = c;
    }
    *out = slice_of(dst, n);
    return ST_OK;
}

/* One expression; *required tells whether it is an l=v or l=(...). */
static status parse_one(struct ts_filter *out, struct arena *arena, struct slice expr,
                        bool *required, struct err *err)
{
    const char *eq = memchr(expr.ptr, '=', expr.len);
    const char *tilde = expr.len ? memmem(expr.ptr, expr.len, "!~", 2) : NULL;
    bool not_re = tilde && (!eq || tilde < eq);
    if ((!eq && !not_re) || expr.len == 0) return bad(err);

    const char *op = not_re ? tilde : eq;
    bool negative = not_re || (op > expr.ptr && op[-1] == '!');
    struct slice name = slice_of(expr.ptr, (size_t)(op - expr.ptr) - (negative && !not_re));
    size_t used = (size_t)(op - expr.ptr) + (not_re ? 2 : 1);
    struct slice value = slice_skip(expr, used);
    bool regex = not_re || (!negative && value.len && value.ptr[0] == '~');
    bool list = !regex && value.len && value.ptr[0] == '(';
    enum match_op how = negative ? MATCH_NE : MATCH_EQ;
    bool empty = false;
    if (name.len == 0) return bad(err);
    if (regex) {
        if (!not_re) value = slice_skip(value, 1);
        how = not_re ? MATCH_NRE : MATCH_RE;
    } else if (list) {
        if (value.len < 2 || value.ptr[value.len - 1] != ')') return bad(err);
        status st = list_pattern(arena, slice_of(value.ptr + 1, value.len - 2), &value, &empty);
        if (st != ST_OK) return st == ST_INVALID ? bad(err) : st;
        how = negative ? MATCH_NRE : MATCH_RE;
    } else if (value.len && memchr(value.ptr, '=', value.len)) {
        return bad(err);
    }
    if (!negative && !regex && (value.len || list)) *required = true;
    if (list && empty) {
        if (!negative) out->none = true;
        return ST_OK;
    }
    status st = matcher_init(&out->matchers[out->n], how, name, value, err);
    if (st != ST_OK) return st == ST_INVALID ? err_wrap(err, st, "TSDB") : st;
    out->n++;
    return ST_OK;
}

status ts_filter_parse(struct ts_filter *out, struct arena *arena, const struct slice *exprs,
                       size_t n, struct err *err)
{
    bool required = false;
    *out = (struct ts_filter){.matchers = arena_try_array(arena, n + 1, sizeof(*out->matchers))};
    if (!out->matchers) return ST_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        status st = parse_one(out, arena, exprs[i], &required, err);
        if (st == ST_OK) continue;
        ts_filter_release(out);
        return st;
    }
    if (required) return ST_OK;
    ts_filter_release(out);
    return err_set(err, ST_INVALID, "TSDB: please provide at least one matcher");
}

void ts_filter_release(struct ts_filter *filter)
{
    for (size_t i = 0; i < filter->n; i++) matcher_release(&filter->matchers[i]);
    filter->n = 0;
}
