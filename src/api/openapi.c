/* OpenAPI from the rows of routes.def: paths, methods, what each says or takes. Parameters
 * are named in the rows' texts; only the hole in a path is one of its own here. */
#include "api/openapi.h"

#include <string.h>

#include "api/route.h"
#include "api/version.h"
#include "base/json_write.h"
#include "base/panic.h"

/* The rows of one path stand together; its first row prints the path. */
static bool is_first(size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(routes[k].path, routes[i].path) == 0) return false;
    return true;
}

static void put_path(struct strbuf *out, const char *path)
{
    const char *hole = strstr(path, "{}");
    struct strbuf text;
    strbuf_init(&text, 0);
    if (hole) strbuf_printf(&text, "%.*s{name}%s", (int)(hole - path), path, hole + 2);
    else strbuf_str(&text, path);
    strbuf_str(out, "  ");
    json_quote(out, strbuf_view(&text));
    strbuf_str(out, ":\n");
    out->failed |= text.failed;
    strbuf_release(&text);
}

static void put_operation(struct strbuf *out, const struct route *r, const char *method)
{
    strbuf_printf(out, "    %s:\n      summary: ", method);
    json_quote(out, slice_str(r->text));
    strbuf_char(out, '\n');
    if (strstr(r->path, "{}"))
        strbuf_str(out, "      parameters:\n"
                        "        - {name: name, in: path, required: true, "
                        "schema: {type: string}}\n");
    bool form = r->flags & ROUTE_FORM, post = strcmp(method, "get") != 0;
    if (form && post)
        strbuf_str(out, "      requestBody:\n        content:\n"
                        "          application/x-www-form-urlencoded: {}\n");
    strbuf_str(out, "      responses:\n        default:\n          description: ");
    strbuf_str(out, slice_starts(slice_str(r->path), SLICE_LIT("/api/"))
                        ? "The envelope of Prometheus' API.\n"
                        : "See the summary.\n");
}

void openapi_print(struct strbuf *out)
{
    static const struct {
        unsigned bit;
        const char *name;
    } methods[] = {{ROUTE_GET, "get"}, {ROUTE_POST, "post"}, {ROUTE_PUT, "put"},
                   {ROUTE_DELETE, "delete"}};
    strbuf_str(out, "openapi: 3.1.0\ninfo:\n  title: tsink\n  version: \"" API_VERSION "\"\n"
                    "paths:\n");
    for (size_t i = 0; i < n_routes; i++) {
        if (!is_first(i)) continue;
        put_path(out, routes[i].path);
        for (size_t k = i; k < n_routes; k++) {
            if (strcmp(routes[k].path, routes[i].path) != 0) continue;
            for (size_t m = 0; m < ARRAY_LEN(methods); m++)
                if (routes[k].methods & methods[m].bit)
                    put_operation(out, &routes[k], methods[m].name);
        }
    }
}
