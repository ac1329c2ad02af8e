/* HTTP routes: rows of routes.def, and what a handler works with.
 *
 * A handler gets a call: the request, its parameters (form and URL merged, the form's
 * first), a path argument, an arena. It answers with one of the http_call_* functions,
 * then or later on the same loop; that frees the call. Long work embeds a query_work
 * (work.h). The call's slices stay valid until it is answered.
 */
#ifndef TSINK_API_ROUTE_H
#define TSINK_API_ROUTE_H

#include "api/app.h"
#include "base/arena.h"
#include "base/strbuf.h"
#include "net/uri.h"

struct http_call;

/* HEAD goes with GET. */
enum route_method { ROUTE_GET = 1, ROUTE_POST = 2, ROUTE_PUT = 4, ROUTE_DELETE = 8 };

enum route_flag {
    ROUTE_NO_DB = 1,   /* answers before the database is open */
    ROUTE_FORM = 2,    /* a POST or PUT body is a form */
    ROUTE_BODY = 4,    /* a POST body is data; the handler looks at its coding */
    ROUTE_ADMIN = 8,   /* only with admin-api yes */
};

struct route {
    unsigned methods;  /* enum route_method */
    const char *path;  /* "{}" stands for one part, given as call->path_arg */
    unsigned flags;
    void (*handle)(struct http_call *call);
    const char *text;  /* one line for docs/http.md */
};

extern const struct route routes[];
extern const size_t n_routes;

struct http_call {
    struct app *app;
    struct conn *conn;
    struct reply_slot *slot;
    const struct http_request *req;
    const struct route *route;
    struct slice path_arg;       /* decoded */
    struct uri_params params;
    struct strbuf body;          /* decoded body when it had a content coding */
    struct slice body_view;      /* the body: as sent, or decoded */
    struct arena arena;
    const struct http_extra *extra; /* further fields of the answer, set before it is given */
    size_t n_extra;              /* at most 6 */
};

/* The route of a path, or NULL. path_arg gets the part that stood for {} (raw). */
const struct route *route_find(struct slice path, struct slice *path_arg);

/* The request callback of conn_handler. */
void route_request(struct conn *conn, struct reply_slot *slot, const struct http_request *req);
bool route_head(struct conn *conn, struct reply_slot *slot, const struct http_request *req,
                struct http_limits *limits);
void route_gate_failed(struct conn *conn, struct reply_slot *slot, status st);

/* --- parameters ------------------------------------------------------------------- */

/* The first value, or an empty slice. */
struct slice http_arg(const struct http_call *call, const char *name);

/* Unix seconds with a fraction, or RFC 3339, to ms; absent: preset. On failure the call
 * is answered with bad_data and false returned. */
CHECKED bool http_arg_time(struct http_call *call, const char *name, int64_t preset_ms,
                           bool required, int64_t *out);

/* `start` and `end`, both inclusive, in ticks of the database; absent: without that end.
 * Fails as above, also when end is before start. */
CHECKED bool http_arg_range(struct http_call *call, struct time_range *out);

/* A Prometheus duration or seconds, to ms; absent: 0. */
CHECKED bool http_arg_duration(struct http_call *call, const char *name, int64_t *out);

/* A whole number >= 0; absent: 0. */
CHECKED bool http_arg_limit(struct http_call *call, const char *name, size_t *out);

/* A boolean as Prometheus takes it (1 t TRUE ...); absent: false. */
CHECKED bool http_arg_bool(struct http_call *call, const char *name, bool *out);

/* --- answers: each ends the call -------------------------------------------------- */

void http_call_json(struct http_call *call, int code, struct strbuf *body); /* empties body */
void http_call_chain(struct http_call *call, int code, struct iobuf *body); /* JSON; takes it */
/* Any type, as it is: never compressed. Takes body. */
void http_call_data(struct http_call *call, int code, const char *type, struct iobuf *body);
void http_call_text(struct http_call *call, int code, const char *type, struct slice text);
void http_call_empty(struct http_call *call, int code);

/* As http_call_empty, once the WAL is durable up to gate. */
void http_call_empty_at(struct http_call *call, int code, uint64_t gate);

/* An answer in parts. begin gives the head (once); each part takes a chain and calls
 * drained(arg) when the client has taken most of it, unless it is gone; end is the last.
 * abort ends a begun answer that cannot be finished: the connection breaks off. */
void http_call_stream_begin(struct http_call *call, const char *type);
void http_call_stream_part(struct http_call *call, struct iobuf *part, void (*drained)(void *arg),
                           void *arg);
void http_call_stream_end(struct http_call *call);
void http_call_stream_abort(struct http_call *call);

/* The error envelope; err may be NULL. The code and type follow from st. */
void http_call_error(struct http_call *call, status st, const struct err *err);
void http_call_bad(struct http_call *call, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
