/* /-/reload and /-/quit, with lifecycle-api yes. */
#include "api/http_handlers.h"
#include "api/http_owner.h"
#include "base/strbuf.h"

#define TEXT "text/plain; charset=utf-8"

static bool is_allowed(struct http_call *call)
{
    if (app_settings(call->app)->lifecycle_api) return true;
    http_call_text(call, 403, TEXT, SLICE_LIT("Lifecycle API is not enabled.\n"));
    return false;
}

static status reload(struct http_call *call, struct strbuf *out, struct err *err)
{
    struct app *app = call->app;
    return app->ports.config_reload(app->ports.ctx, out, err);
}

void http_reload(struct http_call *call)
{
    if (is_allowed(call)) http_on_owner(call, TEXT, reload);
}

/* The orderly stop answers what is open, this call with it. */
static status quit(struct http_call *call, struct strbuf *out, struct err *err)
{
    struct app *app = call->app;
    (void)err;
    strbuf_str(out, "Requesting termination... Goodbye!\n");
    app->ports.shutdown(app->ports.ctx, true);
    return ST_OK;
}

void http_quit(struct http_call *call)
{
    if (is_allowed(call)) http_on_owner(call, TEXT, quit);
}
