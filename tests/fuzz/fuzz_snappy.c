/* Snappy blocks and zstd bodies. Checked: nothing above the limit is ever allocated,
 * and what decodes also round-trips. */
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "codec/compress.h"
#include "codec/snappy.h"
#include "tests/fuzz/fuzz.h"

enum { LIMIT = 1 << 20 };

int fuzz_snappy(const uint8_t *src, size_t len);

static void check_round_trip(const uint8_t *body, size_t n)
{
    uint8_t *block = malloc(snappy_block_bound(n)), *back = malloc(n + 1);
    size_t back_len = 0;

    ASSERT(block && back);
    size_t len = snappy_block_encode(block, body, n);
    ASSERT(snappy_block_len(&back_len, block, len, n, NULL) == ST_OK && back_len == n);
    ASSERT(snappy_block_decode(back, n, block, len, NULL) == ST_OK);
    ASSERT(n == 0 || memcmp(back, body, n) == 0);
    free(back);
    free(block);
}

int fuzz_snappy(const uint8_t *src, size_t len)
{
    struct strbuf out;
    size_t n;

    if (snappy_block_len(&n, src, len, LIMIT, NULL) == ST_OK) {
        ASSERT(n <= LIMIT);
        uint8_t *body = malloc(n + 1);
        ASSERT(body);
        if (snappy_block_decode(body, n, src, len, NULL) == ST_OK) check_round_trip(body, n);
        free(body);
    }
    strbuf_init(&out, 0);
    if (zstd_decode(&out, src, len, LIMIT, NULL) == ST_OK) ASSERT(out.len <= LIMIT);
    strbuf_release(&out);
    return 0;
}

FUZZ_ENTRY(fuzz_snappy)
