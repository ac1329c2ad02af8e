/* Who handles a RESP request and an HTTP request. See handlers.h. */
#include "api/handlers.h"

#include <stdio.h>

#include "api/call.h"
#include "api/route.h"

static const struct conn_handler resp_handler = {
    .opened = session_opened,
    .resp_request = call_request,
    .gate_failed = call_gate_failed,
    .closed = session_closed,
};

static void nothing_to_close(struct conn *conn)
{
    (void)conn;
}

static const struct conn_handler http_handler = {
    .http_head = route_head,
    .http_request = route_request,
    .gate_failed = route_gate_failed,
    .closed = nothing_to_close,
};

void api_set_handlers(struct app *app)
{
    conn_hub_set_handler(app->hub, CONN_RESP, &resp_handler, app);
    conn_hub_set_handler(app->hub, CONN_HTTP, &http_handler, app);
}

const char *app_unready(struct app *app, char *dst)
{
    dst[0] = '\0';
    if (atomic_load_explicit(&app->stopping, memory_order_relaxed)) {
        snprintf(dst, APP_UNREADY_MAX, "Service Unavailable: stopping\n");
    } else if (!atomic_load_explicit(&app->ready, memory_order_acquire)) {
        snprintf(dst, APP_UNREADY_MAX, "Service Unavailable: starting, %s %u %%\n",
                 atomic_load_explicit(&app->start_phase, memory_order_relaxed),
                 atomic_load_explicit(&app->start_percent, memory_order_relaxed));
    }
    return dst;
}
