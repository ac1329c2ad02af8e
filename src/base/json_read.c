/* The door to jansson. See json_read.h.
 *
 * A `struct json` is a json_t under another name; only this file knows. jansson's own
 * limit of depth is 2048 and fixed, and it reads recursively, so the depth is measured
 * first, by a scan that knows strings and brackets only.
 */
#include "base/json_read.h"

#include <jansson.h>

#include "base/panic.h"

static const json_t *node(const struct json *v)
{
    return (const json_t *)(const void *)v;
}

static const struct json *wrap(const json_t *v)
{
    return (const struct json *)(const void *)v;
}

/* Whether brackets outside strings nest too deep. Broken JSON is jansson's to refuse. */
static bool is_too_deep(struct slice text)
{
    size_t depth = 0;
    bool in_text = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (in_text) {
            if (c == '\\') i++;
            else if (c == '"') in_text = false;
        } else if (c == '"') {
            in_text = true;
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_READ_DEPTH_MAX) return true;
        } else if (c == ']' || c == '}') {
            if (depth) depth--;
        }
    }
    return false;
}

/* jansson's texts quote the input near the error; ours do not. */
static const char *reason_of(const json_error_t *got)
{
    switch (json_error_code(got)) {
    case json_error_premature_end_of_input: return "ends early";
    case json_error_end_of_input_expected: return "more text after the value";
    case json_error_invalid_utf8: return "invalid UTF-8";
    case json_error_null_character:
    case json_error_null_byte_in_key: return "a NUL character in a text";
    case json_error_duplicate_key: return "a member is named twice";
    case json_error_numeric_overflow: return "a number is out of range";
    case json_error_out_of_memory: return "out of memory";
    default: return "syntax error";
    }
}

status json_doc_parse(struct json **out, struct slice text, size_t len_max, struct err *err)
{
    json_error_t got;
    if (text.len > len_max)
        return err_set(err, ST_TOO_LARGE, "JSON of %zu bytes, the limit is %zu", text.len,
                       len_max);
    if (is_too_deep(text))
        return err_set(err, ST_INVALID, "JSON nests deeper than %d levels", JSON_READ_DEPTH_MAX);

    json_t *root = json_loadb(text.len ? text.ptr : "", text.len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &got);
    if (!root) {
        bool memory = json_error_code(&got) == json_error_out_of_memory;
        return err_set(err, memory ? ST_NO_MEMORY : ST_INVALID, "JSON, line %d column %d: %s",
                       got.line, got.column, reason_of(&got));
    }
    *out = (struct json *)(void *)root;
    return ST_OK;
}

void json_doc_free(struct json *root)
{
    json_decref((json_t *)(void *)root);
}

enum json_kind json_kind_of(const struct json *v)
{
    if (!v) return JSON_KIND_NULL;
    switch (json_typeof(node(v))) {
    case JSON_OBJECT: return JSON_KIND_OBJECT;
    case JSON_ARRAY: return JSON_KIND_ARRAY;
    case JSON_STRING: return JSON_KIND_TEXT;
    case JSON_INTEGER: return JSON_KIND_INT;
    case JSON_REAL: return JSON_KIND_REAL;
    case JSON_TRUE:
    case JSON_FALSE: return JSON_KIND_BOOL;
    case JSON_NULL: return JSON_KIND_NULL;
    }
    PANIC("jansson type %d", (int)json_typeof(node(v)));
}

const struct json *json_member(const struct json *v, const char *name)
{
    return wrap(json_object_get(node(v), name));
}

bool json_member_at(const struct json **value, struct slice *name, const struct json *v, size_t i)
{
    /* jansson's iterators want a mutable object and change nothing in it */
    json_t *obj = (json_t *)(void *)(uintptr_t)(const void *)v;
    void *it = json_object_iter(obj);
    for (; it && i > 0; i--) it = json_object_iter_next(obj, it);
    if (!it) return false;
    *name = slice_str(json_object_iter_key(it));
    *value = wrap(json_object_iter_value(it));
    return true;
}

size_t json_count(const struct json *v)
{
    switch (json_kind_of(v)) {
    case JSON_KIND_ARRAY: return json_array_size(node(v));
    case JSON_KIND_OBJECT: return json_object_size(node(v));
    case JSON_KIND_NULL:
    case JSON_KIND_BOOL:
    case JSON_KIND_INT:
    case JSON_KIND_REAL:
    case JSON_KIND_TEXT: return 0;
    }
    return 0;
}

const struct json *json_element(const struct json *v, size_t i)
{
    return wrap(json_array_get(node(v), i));
}

bool json_get_text(struct slice *out, const struct json *v)
{
    if (json_kind_of(v) != JSON_KIND_TEXT) return false;
    *out = slice_of(json_string_value(node(v)), json_string_length(node(v)));
    return true;
}

bool json_get_i64(int64_t *out, const struct json *v)
{
    if (json_kind_of(v) != JSON_KIND_INT) return false;
    *out = json_integer_value(node(v));
    return true;
}

bool json_get_f64(double *out, const struct json *v)
{
    enum json_kind kind = json_kind_of(v);
    if (kind != JSON_KIND_INT && kind != JSON_KIND_REAL) return false;
    *out = json_number_value(node(v));
    return true;
}

bool json_get_bool(bool *out, const struct json *v)
{
    if (json_kind_of(v) != JSON_KIND_BOOL) return false;
    *out = json_is_true(node(v));
    return true;
}
