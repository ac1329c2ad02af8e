/* Paths, queries, forms. Text without '%' and '+' is used where it lies; only text
 * with escapes is copied into the arena. */
#include "net/uri.h"

#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

void uri_split(struct slice target, struct slice *path, struct slice *query)
{
    const char *hash = target.len ? memchr(target.ptr, '#', target.len) : NULL;

    if (hash) target.len = (size_t)(hash - target.ptr);
    const char *mark = target.len ? memchr(target.ptr, '?', target.len) : NULL;
    if (!mark) {
        *path = target;
        *query = slice_of(target.ptr + target.len, 0);
        return;
    }
    *path = slice_of(target.ptr, (size_t)(mark - target.ptr));
    *query = slice_skip(target, path->len + 1);
}

bool uri_decode(char *dst, size_t *dst_len, struct slice src, bool plus_is_blank)
{
    size_t len = 0;

    for (size_t i = 0; i < src.len; i++) {
        char c = src.ptr[i];
        if (c == '%') {
            if (src.len - i < 3) return false;
            int high = hex_value(src.ptr[i + 1]), low = hex_value(src.ptr[i + 2]);
            if (high < 0 || low < 0) return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        dst[len++] = c;
    }
    *dst_len = len;
    return true;
}

void uri_params_init(struct uri_params *params, struct arena *arena)
{
    *params = (struct uri_params){.arena = arena};
}

void uri_params_release(struct uri_params *params)
{
    vec_release(&params->items);
}

static bool has_escape(struct slice text)
{
    return text.len > 0 && (memchr(text.ptr, '%', text.len) || memchr(text.ptr, '+', text.len));
}

static status decode_part(struct slice *part, struct arena *arena, struct err *err)
{
    if (!has_escape(*part)) return ST_OK;
    char *dst = arena_try(arena, part->len);
    size_t len;
    if (!dst) return err_set(err, ST_NO_MEMORY, "no memory for the parameters");
    if (!uri_decode(dst, &len, *part, true)) {
        return err_set(err, ST_INVALID, "invalid percent escape in the parameters");
    }
    *part = slice_of(dst, len);
    return ST_OK;
}

status uri_params_add(struct uri_params *params, struct slice raw, struct err *err)
{
    while (raw.len > 0) {
        const char *amp = memchr(raw.ptr, '&', raw.len);
        size_t len = amp ? (size_t)(amp - raw.ptr) : raw.len;
        struct slice pair = slice_of(raw.ptr, len);
        raw = slice_skip(raw, amp ? len + 1 : len);
        if (pair.len == 0) continue;

        const char *eq = memchr(pair.ptr, '=', pair.len);
        struct uri_param param = {.name = pair, .value = slice_of(pair.ptr + pair.len, 0)};
        if (eq) {
            param.name.len = (size_t)(eq - pair.ptr);
            param.value = slice_skip(pair, param.name.len + 1);
        }
        TRY(decode_part(&param.name, params->arena, err));
        TRY(decode_part(&param.value, params->arena, err));
        if (params->items.len >= URI_PARAMS_MAX) {
            return err_set(err, ST_LIMIT, "more than %d parameters", URI_PARAMS_MAX);
        }
        if (!vec_push(&params->items, param)) {
            return err_set(err, ST_NO_MEMORY, "no memory for the parameters");
        }
    }
    return ST_OK;
}

bool uri_param_next(const struct uri_params *params, const char *name, size_t *idx,
                    struct slice *value)
{
    for (size_t i = *idx; i < params->items.len; i++) {
        if (!slice_is(params->items.ptr[i].name, name)) continue;
        *value = params->items.ptr[i].value;
        *idx = i + 1;
        return true;
    }
    *idx = params->items.len;
    return false;
}

bool uri_param(const struct uri_params *params, const char *name, struct slice *value)
{
    size_t idx = 0;
    return uri_param_next(params, name, &idx, value);
}
