/* HTTP requests and content codings. Checked: slices lie inside the buffer, bodies
 * within their limit, a stream cut in two gives the same requests and the same
 * refusal as the whole, and a body that decodes stays within its limit. The first
 * byte chooses where to cut. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/panic.h"
#include "net/http_coding.h"
#include "net/http_read.h"
#include "tests/fuzz/fuzz.h"

enum { BODY_MAX = 4096, DECODED_MAX = 1 << 16 };

int fuzz_http(const uint8_t *src, size_t len);

struct outcome {
    uint64_t hash;
    size_t n_requests;
    int end; /* the last refusal's status, or 0 */
};

static void add_slice(struct outcome *out, struct slice text, const char *buf, size_t len)
{
    ASSERT(text.ptr >= buf && text.ptr + text.len <= buf + len);
    out->hash = hash_mix(out->hash ^ hash_slice(text)) + text.len;
}

static void add_request(struct outcome *out, const struct http_request *req, const char *buf,
                        size_t len)
{
    ASSERT(req->method < HTTP_METHODS && req->body.len <= BODY_MAX);
    out->n_requests++;
    out->hash = hash_mix(out->hash + req->method * 4u + req->keep_alive * 2u + req->minor);
    add_slice(out, req->path, buf, len);
    add_slice(out, req->query, buf, len);
    add_slice(out, req->body, buf, len);
    for (size_t i = 0; i < req->n_fields; i++) {
        add_slice(out, req->fields[i].name, buf, len);
        add_slice(out, req->fields[i].value, buf, len);
    }
    enum http_coding coding = http_coding_of(http_value(req, HTTP_F_CONTENT_ENCODING));
    if (coding == HTTP_CODING_OTHER) return;
    struct strbuf decoded;
    strbuf_init(&decoded, 0);
    if (http_decode(&decoded, coding, req->body, DECODED_MAX, NULL) == ST_OK) {
        ASSERT(decoded.len <= DECODED_MAX);
    }
    strbuf_release(&decoded);
}

/* Runs the parser over what the buffer holds. False when the stream has ended. */
static bool drain(struct outcome *out, struct http_parser *parser, char *buf, size_t *have)
{
    struct http_limits limits = {.body_len_max = BODY_MAX};

    for (;;) {
        enum http_result result = http_parse(parser, buf, have, &limits);
        if (result == HTTP_MORE) return true;
        if (result == HTTP_HEAD) continue;
        if (result == HTTP_REQUEST) add_request(out, parser->req, buf, *have);
        if (result == HTTP_BAD) {
            ASSERT(parser->status >= 400 && parser->reason);
            out->hash = hash_mix(out->hash + (uint64_t)parser->status);
            out->end = parser->status;
            if (!parser->keep) return false;
        }
        ASSERT(parser->used > 0 && parser->used <= *have);
        *have -= parser->used;
        memmove(buf, buf + parser->used, *have);
        http_parser_start(parser, parser->req);
    }
}

static struct outcome run(const uint8_t *src, size_t len, size_t cut)
{
    struct http_request *req = malloc(sizeof(*req));
    char *buf = malloc(len + 1), *moved = malloc(len + 1);
    struct outcome out = {0};
    struct http_parser parser;
    size_t have = cut;

    ASSERT(req && buf && moved);
    http_parser_start(&parser, req);
    memcpy(buf, src, cut);
    if (drain(&out, &parser, buf, &have) && cut < len) {
        memcpy(moved, buf, have); /* the rest comes, and the buffer moves */
        memcpy(moved + have, src + cut, len - cut);
        have += len - cut;
        (void)drain(&out, &parser, moved, &have);
    }
    free(req);
    free(buf);
    free(moved);
    return out;
}

/* A first line that is hopeless in two ways may be refused for the one or the other. */
static bool same_end(int a, int b)
{
    return a == b || (a >= 400 && b >= 400 && (a == 400 || b == 400));
}

int fuzz_http(const uint8_t *src, size_t len)
{
    if (len < 2) return 0;
    struct outcome whole = run(src + 1, len - 1, len - 1);
    struct outcome parts = run(src + 1, len - 1, (size_t)src[0] * (len - 1) / 255);

    ASSERT(whole.n_requests == parts.n_requests && same_end(whole.end, parts.end));
    if (whole.end == parts.end) ASSERT(whole.hash == parts.hash);
    return 0;
}

FUZZ_ENTRY(fuzz_http)
