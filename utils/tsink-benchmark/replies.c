/* Counts replies in a stream of bytes without keeping them.
 *
 * RESP: `nested` is how many elements the reply begun still misses; a line takes one and an
 * array's line gives its length, so when it reaches 0 the reply is whole, however deep it
 * was. HTTP: a head, then as many bytes as Content-Length says. What tsink answers to a
 * write has one; a chunked answer is refused here.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/numfmt.h"
#include "utils/tsink-benchmark/bench.h"

static void finish(struct reply_reader *r)
{
    r->n_done++;
    r->nested = 0;
}

static void note_error(struct reply_reader *r)
{
    r->n_refused++;
    if (r->first_error[0] == 0) memcpy(r->first_error, r->line, r->line_len + 1);
}

/* --- RESP -------------------------------------------------------------------------- */

static bool resp_line(struct reply_reader *r)
{
    int64_t n = 0;
    char kind = r->line[0];
    if (r->nested == 0) r->nested = 1;
    r->nested--;
    if (kind == '-') note_error(r);
    if (kind == '$' || kind == '*') {
        if (!parse_i64(&n, slice_of(r->line + 1, r->line_len - 1)) || n < -1 || n > UINT32_MAX)
            return false;
        if (kind == '$' && n >= 0) r->skip = (uint64_t)n + 2;
        if (kind == '*' && n > 0) r->nested += (uint64_t)n;
    } else if (!strchr("+-:", kind) || kind == 0) {
        return false;
    }
    if (r->nested == 0 && r->skip == 0) finish(r);
    return true;
}

/* --- HTTP -------------------------------------------------------------------------- */

static void end_head(struct reply_reader *r)
{
    r->in_head = false;
    r->skip = r->code == 204 ? 0 : r->length;
    if (r->skip == 0) finish(r);
}

static bool http_line(struct reply_reader *r)
{
    static const char length[] = "content-length:", coding[] = "transfer-encoding:";
    if (!r->in_head) {
        if (sscanf(r->line, "HTTP/1.1 %3d", &r->code) != 1) return false;
        r->in_head = true;
        r->length = 0;
        if (r->code >= 400) note_error(r);
        return true;
    }
    if (r->line_len == 0) {
        end_head(r);
        return true;
    }
    if (strncasecmp(r->line, coding, sizeof(coding) - 1) == 0) return false;
    if (strncasecmp(r->line, length, sizeof(length) - 1) != 0) return true;
    size_t at = sizeof(length) - 1;
    while (r->line[at] == ' ') at++;
    return parse_u64(&r->length, slice_of(r->line + at, r->line_len - at));
}

/* ----------------------------------------------------------------------------------- */

static bool end_line(struct reply_reader *r)
{
    if (r->line_len >= sizeof(r->line)) r->line_len = sizeof(r->line) - 1;
    if (r->line_len && r->line[r->line_len - 1] == '\r') r->line_len--;
    r->line[r->line_len] = 0;
    bool good = r->http ? http_line(r) : resp_line(r);
    r->line_len = 0;
    return good;
}

bool replies_feed(struct reply_reader *r, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        if (r->skip) {
            uint64_t n = len - at < r->skip ? len - at : r->skip;
            at += n;
            r->skip -= n;
            if (r->skip == 0 && r->nested == 0) finish(r);
            continue;
        }
        const char *end = memchr(bytes + at, '\n', len - at);
        size_t n = (end ? (size_t)(end - bytes) : len) - at;
        size_t room = r->line_len < sizeof(r->line) ? sizeof(r->line) - r->line_len : 0;
        memcpy(r->line + r->line_len, bytes + at, n < room ? n : room);
        r->line_len += n < room ? n : room;
        at += n + (end != NULL);
        if (end && !end_line(r)) return false;
    }
    return true;
}
