/* HTTP replies: head, CORS, coding, framing.
 *
 * A reply is compressed as a whole before its head is written, so Content-Length is
 * always known; only streams are chunked. The Connection field is sent when it says
 * something the version does not imply.
 */
#include "net/http_write.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/numfmt.h"
#include "base/panic.h"

/* ---- Words ------------------------------------------------------------------------- */

const char *http_reason(int code)
{
    static const struct {
        int code;
        const char *text;
    } rows[] = {
        {100, "Continue"}, {200, "OK"}, {201, "Created"}, {202, "Accepted"},
        {204, "No Content"}, {206, "Partial Content"}, {301, "Moved Permanently"},
        {302, "Found"}, {304, "Not Modified"}, {307, "Temporary Redirect"},
        {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"},
        {404, "Not Found"}, {405, "Method Not Allowed"}, {406, "Not Acceptable"},
        {408, "Request Timeout"}, {409, "Conflict"}, {411, "Length Required"},
        {413, "Content Too Large"}, {414, "URI Too Long"}, {415, "Unsupported Media Type"},
        {417, "Expectation Failed"}, {422, "Unprocessable Content"},
        {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"}, {500, "Internal Server Error"},
        {501, "Not Implemented"}, {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].code == code) return rows[i].text;
    }
    return "Unknown";
}

/* Days since 1970 to year, month, day (H. Hinnant, "chrono-compatible low-level date
 * algorithms": civil_from_days), for non-negative days. */
static void civil_of(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t era = z / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

const char *http_date(struct http_date *date, int64_t wall_s)
{
    static const char days[][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int year, month, day;

    if (wall_s < 0) wall_s = 0;
    if (date->text[0] && date->second == wall_s) return date->text;
    int64_t in_day = wall_s % 86400;
    civil_of(wall_s / 86400, &year, &month, &day);
    char text[64];
    snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT",
             days[wall_s / 86400 % 7], day, months[month - 1], year % 10000,
             (int)(in_day / 3600), (int)(in_day / 60 % 60), (int)(in_day % 60));
    memcpy(date->text, text, HTTP_DATE_LEN);
    date->text[HTTP_DATE_LEN] = '\0';
    date->second = wall_s;
    return date->text;
}

/* ---- What an answer knows of its request ---------------------------------------------- */

void http_answer_init(struct http_answer *answer, const struct http_request *req,
                      const char *date, const struct regex *cors)
{
    struct slice origin = http_value(req, HTTP_F_ORIGIN);

    answer->minor = req->minor;
    answer->keep_alive = req->keep_alive;
    answer->head_only = req->method == HTTP_HEAD_METHOD;
    answer->coding = http_coding_accepted(http_value(req, HTTP_F_ACCEPT_ENCODING));
    memcpy(answer->date, date, sizeof(answer->date));
    answer->has_origin = false;
    answer->origin[0] = '\0';
    if (!cors || origin.len == 0 || origin.len >= HTTP_ORIGIN_MAX) return;
    if (!regex_match(cors, origin)) return;
    answer->has_origin = true;
    if (regex_shape(cors)->match_all) origin = SLICE_LIT("*");
    memcpy(answer->origin, origin.ptr, origin.len);
    answer->origin[origin.len] = '\0';
}

/* ---- Heads ----------------------------------------------------------------------------- */

static void put_field(struct iobuf *out, const char *name, const char *value)
{
    DASSERT(!strpbrk(value, "\r\n"));
    iobuf_str(out, name);
    iobuf_put(out, ": ", 2);
    iobuf_str(out, value);
    iobuf_put(out, "\r\n", 2);
}

static void put_cors(struct iobuf *out, const struct http_answer *answer)
{
    if (!answer->has_origin) return;
    put_field(out, "Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Origin");
    put_field(out, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    put_field(out, "Access-Control-Allow-Origin", answer->origin);
    put_field(out, "Access-Control-Expose-Headers", "Date");
}

/* All of the head but its framing and the empty line. */
static void put_head(struct iobuf *out, const struct http_answer *answer,
                     const struct http_reply *reply, bool keep_alive)
{
    char line[64];

    ASSERT(reply->status >= 100 && reply->status <= 599);
    int len = snprintf(line, sizeof(line), "HTTP/1.1 %d %s\r\n", reply->status,
                       http_reason(reply->status));
    iobuf_put(out, line, (size_t)len);
    put_field(out, "Date", answer->date);
    if (reply->type) {
        put_field(out, "Content-Type", reply->type);
        put_field(out, "X-Content-Type-Options", "nosniff");
    }
    for (size_t i = 0; i < reply->n_extra; i++) {
        put_field(out, reply->extra[i].name, reply->extra[i].value);
    }
    iobuf_str(out, "Vary: Accept-Encoding, Origin\r\n");
    put_cors(out, answer);
    if (!keep_alive) put_field(out, "Connection", "close");
    else if (answer->minor == 0) put_field(out, "Connection", "keep-alive");
}

static bool has_body(int code)
{
    return code >= 200 && code != 204 && code != 304;
}

/* Replaces body by its compressed form. Without memory it stays as it was: a longer
 * answer beats none. */
static bool compress(const struct http_answer *answer, const struct http_reply *reply,
                     struct iobuf *body)
{
    struct iobuf packed;

    if (answer->coding == HTTP_CODING_IDENTITY || reply->plain) return false;
    if (body->failed || body->len < HTTP_COMPRESS_MIN) return false;
    iobuf_init(&packed, body->pool, body->account, 0);
    if (!http_encode(&packed, answer->coding, body)) {
        iobuf_release(&packed, NULL);
        return false;
    }
    iobuf_release(body, NULL);
    *body = packed;
    return true;
}

void http_reply(struct iobuf *out, const struct http_answer *answer,
                const struct http_reply *reply, struct iobuf *body)
{
    char digits[NUMFMT_MAX + 1];
    bool packed = body && compress(answer, reply, body);

    put_head(out, answer, reply, answer->keep_alive);
    if (packed) put_field(out, "Content-Encoding", http_coding_name(answer->coding));
    if (has_body(reply->status)) {
        digits[numfmt_u64(digits, body ? body->len : 0)] = '\0';
        put_field(out, "Content-Length", digits);
    }
    iobuf_put(out, "\r\n", 2);
    if (!body) return;
    if (body->failed) out->failed = true;
    if (has_body(reply->status) && !answer->head_only) iobuf_move(out, body, NULL);
    else iobuf_release(body, NULL);
}

void http_reply_text(struct iobuf *out, const struct http_answer *answer,
                     const struct http_reply *reply, struct slice text)
{
    struct iobuf body;

    iobuf_init(&body, out->pool, out->account, 0);
    iobuf_slice(&body, text);
    http_reply(out, answer, reply, &body);
}

/* ---- Streams --------------------------------------------------------------------------- */

void http_stream_begin(struct iobuf *out, const struct http_answer *answer,
                       const struct http_reply *reply)
{
    put_head(out, answer, reply, answer->keep_alive && answer->minor == 1);
    if (answer->minor == 1) put_field(out, "Transfer-Encoding", "chunked");
    iobuf_put(out, "\r\n", 2);
}

void http_stream_part(struct iobuf *out, const struct http_answer *answer, struct iobuf *part)
{
    char line[32];

    if (part->failed) out->failed = true;
    /* An empty chunk would be the end. */
    if (part->len == 0 || answer->head_only) {
        iobuf_release(part, NULL);
        return;
    }
    if (answer->minor == 1) {
        int len = snprintf(line, sizeof(line), "%zx\r\n", part->len);
        iobuf_put(out, line, (size_t)len);
    }
    iobuf_move(out, part, NULL);
    if (answer->minor == 1) iobuf_put(out, "\r\n", 2);
}

void http_stream_end(struct iobuf *out, const struct http_answer *answer)
{
    if (answer->minor == 1 && !answer->head_only) iobuf_put(out, "0\r\n\r\n", 5);
}
