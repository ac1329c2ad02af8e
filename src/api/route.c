/* Routing, parameters and answers of HTTP. See route.h. */
#include "api/route.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/http_handlers.h"
#include "api/promjson.h"
#include "base/mem.h"
#include "base/panic.h"
#include "net/http_coding.h"

enum { ARENA_BLOCK = 2048 };

const struct route routes[] = {
#define ROUTE(methods_, path_, flags_, handle_, text_)                                         \
    {.methods = methods_, .path = path_, .flags = flags_, .handle = handle_, .text = text_},
#include "api/routes.def"
#undef ROUTE
};

const size_t n_routes = ARRAY_LEN(routes);

/* --- finding ---------------------------------------------------------------------- */

static bool path_matches(const char *pattern, struct slice path, struct slice *arg)
{
    const char *hole = strstr(pattern, "{}");
    if (!hole) return slice_is(path, pattern);

    struct slice head = slice_of(pattern, (size_t)(hole - pattern)), tail = slice_str(hole + 2);
    if (path.len <= head.len + tail.len || !slice_starts(path, head)) return false;
    struct slice part = slice_of(path.ptr + head.len, path.len - head.len - tail.len);
    if (!slice_eq(slice_of(part.ptr + part.len, tail.len), tail)) return false;
    if (memchr(part.ptr, '/', part.len)) return false;
    *arg = part;
    return true;
}

const struct route *route_find(struct slice path, struct slice *path_arg)
{
    for (size_t i = 0; i < n_routes; i++)
        if (path_matches(routes[i].path, path, path_arg)) return &routes[i];
    return NULL;
}

static unsigned method_bit(enum http_method method)
{
    switch (method) {
    case HTTP_GET:
    case HTTP_HEAD_METHOD: return ROUTE_GET;
    case HTTP_POST: return ROUTE_POST;
    case HTTP_PUT: return ROUTE_PUT;
    case HTTP_DELETE: return ROUTE_DELETE;
    default: return 0;
    }
}

/* The path without the configured prefix, which nobody has to write. */
static struct slice path_of(struct app *app, const struct http_request *req)
{
    struct slice prefix = slice_str(app_settings(app)->http_prefix);
    if (prefix.len == 0 || !slice_starts(req->path, prefix)) return req->path;
    struct slice rest = slice_skip(req->path, prefix.len);
    if (rest.len == 0) return SLICE_LIT("/");
    return rest.ptr[0] == '/' ? rest : req->path;
}

/* --- answers without a call -------------------------------------------------------- */

static void finish(struct app *app, struct reply_slot *slot, int code)
{
    counter_add(&app->stats.n_http, 1);
    if (code >= 400) counter_add(&app->stats.n_http_errors, 1);
    reply_slot_finish(slot);
}

static void answer_plain(struct app *app, struct reply_slot *slot, int code, struct slice text)
{
    struct http_extra extra = {"Retry-After", "1"}; /* 503: starting, stopping, short of memory */
    struct http_reply reply = {.status = code,
                               .type = "text/plain; charset=utf-8",
                               .extra = &extra,
                               .n_extra = code == 503};
    http_reply_text(reply_slot_out(slot), reply_slot_answer(slot), &reply, text);
    finish(app, slot, code);
}

static void answer_method(struct app *app, struct reply_slot *slot, const struct route *route)
{
    char allow[64];
    unsigned methods = route->methods;
    snprintf(allow, sizeof(allow), "OPTIONS%s%s%s%s", methods & ROUTE_GET ? ", GET, HEAD" : "",
             methods & ROUTE_POST ? ", POST" : "", methods & ROUTE_PUT ? ", PUT" : "",
             methods & ROUTE_DELETE ? ", DELETE" : "");
    struct http_extra extra = {"Allow", allow};
    struct http_reply reply = {.status = 405,
                               .type = "text/plain; charset=utf-8",
                               .extra = &extra,
                               .n_extra = 1};
    http_reply_text(reply_slot_out(slot), reply_slot_answer(slot), &reply,
                    SLICE_LIT("Method Not Allowed\n"));
    finish(app, slot, 405);
}

static void answer_options(struct app *app, struct reply_slot *slot)
{
    struct http_reply reply = {.status = 204};
    http_reply(reply_slot_out(slot), reply_slot_answer(slot), &reply, NULL);
    finish(app, slot, 204);
}

/* Whether the request ends here: no such route, wrong method, not ready. */
static bool turn_away(struct app *app, struct reply_slot *slot, const struct http_request *req,
                      const struct route *route)
{
    char why[APP_UNREADY_MAX];
    if (req->method == HTTP_OPTIONS) {
        answer_options(app, slot);
    } else if (!route || ((route->flags & ROUTE_ADMIN) && !app_settings(app)->admin_api)) {
        answer_plain(app, slot, 404, SLICE_LIT("404 page not found\n"));
    } else if (!(route->methods & method_bit(req->method))) {
        answer_method(app, slot, route);
    } else if (!(route->flags & ROUTE_NO_DB) && *app_unready(app, why)) {
        answer_plain(app, slot, 503, slice_str(why));
    } else {
        return false;
    }
    return true;
}

/* --- calls ------------------------------------------------------------------------ */

static void free_call(struct http_call *call)
{
    uri_params_release(&call->params);
    strbuf_release(&call->body);
    arena_release(&call->arena);
    mem_free(call);
}

static void end_call(struct http_call *call, int code)
{
    struct reply_slot *slot = call->slot;
    struct app *app = call->app;
    free_call(call);
    finish(app, slot, code);
}

static bool is_form(const struct http_request *req)
{
    struct slice type = http_value(req, HTTP_F_CONTENT_TYPE);
    struct slice form = SLICE_LIT("application/x-www-form-urlencoded");
    return type.len >= form.len && strncasecmp(type.ptr, form.ptr, form.len) == 0;
}

/* Takes HTTP's own codings off the body. False: the call is answered. */
static bool decode_body(struct http_call *call)
{
    struct slice coding = http_value(call->req, HTTP_F_CONTENT_ENCODING);
    enum http_coding kind = http_coding_of(coding);
    struct err err = {.st = ST_OK};
    call->body_view = call->req->body;
    if (kind == HTTP_CODING_IDENTITY) return true;
    if (kind == HTTP_CODING_OTHER) {
        if (call->route->flags & ROUTE_BODY) return true; /* the handler's business */
        (void)err_set(&err, ST_UNSUPPORTED, "unsupported content encoding");
        http_call_error(call, ST_UNSUPPORTED, &err);
        return false;
    }
    size_t max = app_settings(call->app)->body_decoded_max;
    status st = http_decode(&call->body, kind, call->req->body, max, &err);
    if (st != ST_OK) {
        counter_add(&call->app->stats.n_bad_bodies, 1);
        http_call_error(call, st, &err);
        return false;
    }
    call->body_view = strbuf_view(&call->body);
    return true;
}

static bool take_params(struct http_call *call)
{
    struct err err = {.st = ST_OK};
    status st = ST_OK;
    bool sends = call->req->method == HTTP_POST || call->req->method == HTTP_PUT;
    if ((call->route->flags & ROUTE_FORM) && sends && is_form(call->req))
        st = uri_params_add(&call->params, call->body_view, &err);
    if (st == ST_OK) st = uri_params_add(&call->params, call->req->query, &err);
    if (st == ST_OK) return true;
    http_call_error(call, st == ST_LIMIT ? ST_TOO_LARGE : st, &err);
    return false;
}

static bool take_path_arg(struct http_call *call, struct slice raw)
{
    char *text = arena_try(&call->arena, raw.len + 1);
    size_t len = 0;
    if (!text || !uri_decode(text, &len, raw, false)) {
        http_call_bad(call, "invalid escape in the path");
        return false;
    }
    call->path_arg = slice_of(text, len);
    return true;
}

void route_request(struct conn *conn, struct reply_slot *slot, const struct http_request *req)
{
    struct app *app = conn_hub_user(conn_hub(conn), CONN_HTTP);
    struct slice raw_arg = {"", 0};
    const struct route *route = route_find(path_of(app, req), &raw_arg);
    if (turn_away(app, slot, req, route)) return;

    struct http_call *call = mem_try_zero(sizeof(*call));
    if (!call) {
        answer_plain(app, slot, 503, SLICE_LIT("out of memory\n"));
        return;
    }
    call->app = app;
    call->conn = conn;
    call->slot = slot;
    call->req = req;
    call->route = route;
    arena_init(&call->arena, app->net_account, ARENA_BLOCK);
    uri_params_init(&call->params, &call->arena);
    strbuf_init(&call->body, 0);
    reply_slot_hold_input(slot);
    if (raw_arg.len && !take_path_arg(call, raw_arg)) return;
    if (!decode_body(call) || !take_params(call)) return;
    route->handle(call);
}

bool route_head(struct conn *conn, struct reply_slot *slot, const struct http_request *req,
                struct http_limits *limits)
{
    struct app *app = conn_hub_user(conn_hub(conn), CONN_HTTP);
    struct slice arg;
    const struct route *route = route_find(path_of(app, req), &arg);
    limits->length_optional = route && !(route->flags & ROUTE_BODY);
    /* A body that nobody will look at is not read. */
    bool has_body = req->chunked || (req->has_length && req->content_length > 0);
    return !has_body || !turn_away(app, slot, req, route);
}

void route_gate_failed(struct conn *conn, struct reply_slot *slot, status st)
{
    struct app *app = conn_hub_user(conn_hub(conn), CONN_HTTP);
    struct strbuf body;
    strbuf_init(&body, 0);
    promjson_error(&body, "unavailable", slice_str(status_text(st)));
    struct http_reply reply = {.status = status_http(st), .type = "application/json"};
    http_reply_text(reply_slot_out(slot), reply_slot_answer(slot), &reply, strbuf_view(&body));
    strbuf_release(&body);
    counter_add(&app->stats.n_http_errors, 1);
}

/* --- answers ---------------------------------------------------------------------- */

void http_call_chain(struct http_call *call, int code, struct iobuf *body)
{
    struct http_reply reply = {.status = code,
                               .type = "application/json",
                               .extra = call->extra,
                               .n_extra = call->n_extra};
    http_reply(reply_slot_out(call->slot), reply_slot_answer(call->slot), &reply, body);
    end_call(call, code);
}

void http_call_data(struct http_call *call, int code, const char *type, struct iobuf *body)
{
    struct http_reply reply = {.status = code,
                               .type = type,
                               .extra = call->extra,
                               .n_extra = call->n_extra,
                               .plain = true};
    http_reply(reply_slot_out(call->slot), reply_slot_answer(call->slot), &reply, body);
    end_call(call, code);
}

void http_call_json(struct http_call *call, int code, struct strbuf *body)
{
    struct iobuf chain;
    iobuf_init(&chain, conn_loop_pool(conn_home(call->conn)), call->app->net_account, 0);
    iobuf_adopt(&chain, body);
    http_call_chain(call, code, &chain);
}

void http_call_text(struct http_call *call, int code, const char *type, struct slice text)
{
    struct http_reply reply = {.status = code, .type = type};
    http_reply_text(reply_slot_out(call->slot), reply_slot_answer(call->slot), &reply, text);
    end_call(call, code);
}

void http_call_empty(struct http_call *call, int code)
{
    http_call_empty_at(call, code, 0);
}

void http_call_empty_at(struct http_call *call, int code, uint64_t gate)
{
    struct http_reply reply = {
        .status = code, .extra = call->extra, .n_extra = call->n_extra};
    struct reply_slot *slot = call->slot;
    http_reply(reply_slot_out(slot), reply_slot_answer(slot), &reply, NULL);
    counter_add(&call->app->stats.n_http, 1);
    free_call(call);
    reply_slot_finish_at(slot, gate);
}

void http_call_stream_begin(struct http_call *call, const char *type)
{
    const struct http_answer *answer = reply_slot_answer(call->slot);
    struct http_reply reply = {.status = 200, .type = type};
    http_stream_begin(reply_slot_out(call->slot), answer, &reply);
    if (answer->minor == 0) reply_slot_close_after(call->slot); /* its end is the end */
}

void http_call_stream_part(struct http_call *call, struct iobuf *part, void (*drained)(void *arg),
                           void *arg)
{
    http_stream_part(reply_slot_out(call->slot), reply_slot_answer(call->slot), part);
    if (drained) (void)reply_slot_stream(call->slot, drained, arg);
}

void http_call_stream_end(struct http_call *call)
{
    http_stream_end(reply_slot_out(call->slot), reply_slot_answer(call->slot));
    end_call(call, 200);
}

void http_call_stream_abort(struct http_call *call)
{
    conn_kill(call->conn);
    end_call(call, 500);
}

/* Prometheus' words for a status; the code is the status table's unless it says other. */
static const struct error_row {
    status st;
    int code;
    const char *type;
} error_rows[] = {
    {ST_INVALID, 400, "bad_data"},      {ST_PROTOCOL, 400, "bad_data"},
    {ST_BAD_LABEL, 400, "bad_data"},    {ST_BAD_VALUE, 400, "bad_data"},
    {ST_TOO_OLD, 400, "bad_data"},      {ST_TOO_NEW, 400, "bad_data"},
    {ST_DUPLICATE, 400, "bad_data"},    {ST_WRONG_TYPE, 400, "bad_data"},
    {ST_TOO_LARGE, 413, "bad_data"},    {ST_UNSUPPORTED, 415, "bad_data"},
    {ST_EXECUTION, 422, "execution"},   {ST_LIMIT, 422, "execution"},
    {ST_TIMEOUT, 503, "timeout"},       {ST_CANCELLED, 499, "canceled"},
    {ST_NOT_FOUND, 404, "not_found"},   {ST_INTERNAL, 500, "internal"},
    {ST_CORRUPT, 500, "internal"},
};

void http_call_error(struct http_call *call, status st, const struct err *err)
{
    int code = status_http(st);
    const char *type = "unavailable";
    for (size_t i = 0; i < ARRAY_LEN(error_rows); i++) {
        if (error_rows[i].st != st) continue;
        code = error_rows[i].code;
        type = error_rows[i].type;
    }
    struct strbuf body;
    strbuf_init(&body, 0);
    promjson_error(&body, type, slice_str(err_text(err, st)));
    if (!status_retry(st) || st == ST_TIMEOUT || st == ST_CANCELLED) {
        http_call_json(call, code, &body);
        strbuf_release(&body);
        return;
    }
    struct http_extra extra[8] = {{"Retry-After", "1"}};
    DASSERT(call->n_extra < ARRAY_LEN(extra));
    for (size_t i = 0; i < call->n_extra; i++) extra[1 + i] = call->extra[i];
    struct http_reply reply = {.status = code,
                               .type = "application/json",
                               .extra = extra,
                               .n_extra = 1 + call->n_extra};
    http_reply_text(reply_slot_out(call->slot), reply_slot_answer(call->slot), &reply,
                    strbuf_view(&body));
    strbuf_release(&body);
    end_call(call, code);
}

void http_call_bad(struct http_call *call, const char *fmt, ...)
{
    struct err err = {.st = ST_INVALID};
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err.text, sizeof(err.text), fmt, ap);
    va_end(ap);
    http_call_error(call, ST_INVALID, &err);
}
