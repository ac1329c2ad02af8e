/* RESP requests. Checked: arguments lie inside the request, sizes stay within their
 * limits, and a stream cut in two at any place gives the same requests and the same
 * end as the whole. The first byte chooses where to cut and the limits. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/panic.h"
#include "net/resp_read.h"
#include "tests/fuzz/fuzz.h"

enum { ARGS_MAX = 64, BULK_MAX = 4096 };

int fuzz_resp(const uint8_t *src, size_t len);

/* A digest of everything that came out. */
struct outcome {
    uint64_t hash;
    size_t n_requests, used;
    enum resp_result end;
};

static void add_request(struct outcome *out, const struct resp_parser *parser, const char *buf)
{
    ASSERT(parser->n_args >= 1 && parser->n_args <= RESP_INLINE_MAX);
    out->n_requests++;
    for (size_t i = 0; i < parser->n_args; i++) {
        struct slice arg = parser->args[i];
        ASSERT(arg.ptr >= buf && arg.ptr + arg.len <= buf + parser->used);
        out->hash = hash_mix(out->hash ^ hash_slice(arg)) + arg.len;
    }
}

static struct outcome run(const uint8_t *src, size_t len, size_t cut, bool unauthenticated)
{
    struct resp_limits limits = {ARGS_MAX, BULK_MAX, unauthenticated};
    struct outcome out = {.end = RESP_MORE};
    struct resp_parser parser;
    size_t from = 0, to = cut;

    resp_parser_init(&parser);
    for (;;) {
        char *buf = malloc(to - from + 1);
        ASSERT(buf);
        memcpy(buf, src + from, to - from);
        out.end = resp_parse(&parser, buf, to - from, &limits);
        if (out.end == RESP_REQUEST) add_request(&out, &parser, buf);
        bool took = out.end == RESP_REQUEST || out.end == RESP_NOTHING;
        if (took) {
            ASSERT(parser.used > 0 && parser.used <= to - from);
            from += parser.used;
        }
        free(buf);
        if (took) continue;
        if (out.end != RESP_MORE || to == len) break;
        to = len;
    }
    out.used = from;
    resp_parser_release(&parser);
    return out;
}

int fuzz_resp(const uint8_t *src, size_t len)
{
    if (len < 2) return 0;
    bool unauthenticated = src[0] & 1;
    size_t cut = (size_t)(src[0] >> 1) * (len - 1) / 127;
    struct outcome whole = run(src + 1, len - 1, len - 1, unauthenticated);
    struct outcome parts = run(src + 1, len - 1, cut, unauthenticated);

    ASSERT(whole.end == parts.end && whole.used == parts.used);
    ASSERT(whole.hash == parts.hash && whole.n_requests == parts.n_requests);
    return 0;
}

FUZZ_ENTRY(fuzz_resp)
