/* Columns of numbers (value codec 7). The first byte chooses: even, the rest is a column
 * as bytes; odd, the rest is the values themselves. The next three are the type and the
 * number of values. Checked: all sets of kernels accept and refuse alike and give the
 * same values; blocks with skips agree with the whole; what was accepted, and any values
 * at all, encode alike by every set and come back to the bit. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/panic.h"
#include "codec/decimal.h"
#include "codec/kernels.h"
#include "tests/fuzz/fuzz.h"

int fuzz_decimal(const uint8_t *src, size_t len);

enum { HEAD = 4, VALUES_MAX = 2000 };

static void check_skips(const union value *val, size_t n, enum value_type type,
                        const uint8_t *src, size_t len)
{
    union value block[DECIMAL_BLOCK];
    struct decimal_reader rd;
    size_t got;

    ASSERT(decimal_open(&rd, type, n, src, len) == ST_OK);
    for (size_t at = 0; at < n; at += got) {
        ASSERT(decimal_skip(&rd, 1) == ST_OK);
        at += DECIMAL_BLOCK;
        ASSERT(decimal_next(&rd, block, &got) == ST_OK);
        ASSERT(got > 0 || at >= n);
        if (got) ASSERT(memcmp(block, val + at, got * sizeof(val[0])) == 0);
    }
}

/* Encodes by every set: equal bytes, and the values again. */
static void check_values(const union value *val, size_t n, enum value_type type)
{
    struct decimal_scratch scratch = {0};
    uint8_t *first = malloc(decimal_bound(n)), *next = malloc(decimal_bound(n));
    union value *back = malloc(n * sizeof(back[0]));
    size_t len = 0;

    ASSERT(first && next && back && decimal_scratch_reserve(&scratch, n) == ST_OK);
    for (unsigned set = 0; kernels_nth(set); set++) {
        kernels_use(kernels_nth(set));
        size_t this_len = decimal_encode(set ? next : first, type, val, n, &scratch);
        ASSERT(this_len <= decimal_bound(n));
        if (set) ASSERT(this_len == len && memcmp(first, next, len) == 0);
        len = this_len;
        uint8_t *exact = malloc(len);
        ASSERT(exact);
        memcpy(exact, first, len);
        ASSERT(decimal_decode(back, type, n, exact, len) == ST_OK);
        ASSERT(memcmp(back, val, n * sizeof(val[0])) == 0);
        check_skips(val, n, type, exact, len);
        free(exact);
    }
    decimal_scratch_release(&scratch);
    free(first);
    free(next);
    free(back);
}

static void check_bytes(enum value_type type, size_t n, const uint8_t *src, size_t len)
{
    union value *val = calloc(n, sizeof(val[0])), *again = calloc(n, sizeof(val[0]));
    status first = ST_OK;

    ASSERT(val && again);
    for (unsigned set = 0; kernels_nth(set); set++) {
        kernels_use(kernels_nth(set));
        status st = decimal_decode(set ? again : val, type, n, src, len);
        ASSERT(st == ST_OK || st == ST_CORRUPT);
        if (set == 0) first = st;
        ASSERT(st == first);
        if (set && st == ST_OK) ASSERT(memcmp(val, again, n * sizeof(val[0])) == 0);
    }
    if (first == ST_OK) {
        check_skips(val, n, type, src, len);
        check_values(val, n, type);
    }
    free(val);
    free(again);
}

int fuzz_decimal(const uint8_t *src, size_t len)
{
    static const enum value_type types[] = {VALUE_F64, VALUE_I64, VALUE_U64};
    if (len < HEAD) return 0;

    enum value_type type = types[src[1] % 3];
    size_t n = 1 + load_u16(src + 2) % VALUES_MAX;
    if (src[0] % 2 == 0) {
        check_bytes(type, n, src + HEAD, len - HEAD);
    } else {
        size_t n_given = (len - HEAD) / sizeof(uint64_t);
        if (n > n_given) n = n_given;
        union value *val = malloc(n * sizeof(val[0]) + 1);
        ASSERT(val);
        memcpy(val, src + HEAD, n * sizeof(val[0]));
        if (n) check_values(val, n, type);
        free(val);
    }
    kernels_use(NULL);
    return 0;
}

FUZZ_ENTRY(fuzz_decimal)
