/* CONFIG GET, SET, REWRITE and RESETSTAT. A change makes a new generation, checked as a
 * whole, and then tells those that keep copies (limits of connections, log level). */
#include <fnmatch.h>

#include "api/command_stats.h"
#include "base/durable.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/server.h"
#include "server/server_stats.h"

enum { FILE_MAX = 1 << 20 };

static void get(void *ctx, struct slice glob,
                void (*each)(void *arg, const char *name, struct slice value), void *arg)
{
    struct server *srv = ctx;
    struct strbuf pattern, value;
    strbuf_init(&pattern, 1024);
    strbuf_init(&value, 0);
    strbuf_slice(&pattern, glob);
    const char *text = strbuf_cstr(&pattern);
    for (size_t i = 0; i < config_n_rows; i++) {
        if (fnmatch(text, config_rows[i].name, FNM_CASEFOLD) != 0) continue;
        strbuf_reset(&value);
        config_print(&value, server_config(srv), &config_rows[i]);
        each(arg, config_rows[i].name, strbuf_view(&value));
    }
    strbuf_release(&pattern);
    strbuf_release(&value);
}

static status set_one(struct config *cfg, struct slice name, struct slice value, struct err *err)
{
    const struct config_row *row = config_row(name);
    if (!row)
        return err_set(err, ST_NOT_FOUND,
                       "Unknown option or number of arguments for CONFIG SET - '" SLICE_FMT "'",
                       (int)(name.len < 64 ? name.len : 64), name.ptr);
    if (row->type == CONFIG_FIXED || !row->any_time)
        return err_set(err, ST_DENIED, "CONFIG SET failed (possibly related to argument '%s') - "
                                       "can't set immutable config", row->name);
    struct err why = {.st = ST_OK};
    status st = config_set(cfg, row, value, &why);
    if (st == ST_OK) return ST_OK;
    return err_set(err, st, "CONFIG SET failed (possibly related to argument '%s') - %s", row->name,
                   why.text);
}

static status set(void *ctx, const struct slice *names, const struct slice *values, size_t n,
                  struct err *err)
{
    struct server *srv = ctx;
    struct config_generation *next = mem_try(sizeof(*next));
    if (!next) return err_set(err, ST_NO_MEMORY, "a new configuration");
    *next = *srv->config;
    status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++)
        st = set_one(&next->cfg, names[i], values[i], err);
    if (st == ST_OK) st = config_check(&next->cfg, err);
    if (st != ST_OK) {
        mem_free(next);
        return st;
    }
    next->older = srv->config;
    next->cfg.app.generation++;
    srv->config = next;
    server_apply_config(srv);
    return ST_OK;
}

status server_open_dir_of(const char *path, struct vfs **vfs, const char **name,
                          struct err *err)
{
    char dir[CONFIG_TEXT_MAX] = ".";
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    if (slash) {
        size_t n = (size_t)(slash - path);
        if (n >= sizeof(dir)) return err_set(err, ST_INVALID, "%s: too long a path", path);
        memcpy(dir, n ? path : "/", n ? n : 1);
        dir[n ? n : 1] = 0;
    }
    return vfs_posix_open(vfs, dir, err);
}

static status rewrite(void *ctx, struct err *err)
{
    struct server *srv = ctx;
    struct vfs *vfs;
    const char *name;
    uint8_t *old = NULL;
    size_t len = 0;
    if (!srv->config_file)
        return err_set(err, ST_INVALID, "The server is running without a config file");
    TRY(server_open_dir_of(srv->config_file, &vfs, &name, err));
    status st = vfs_read_file(vfs, name, FILE_MAX, &old, &len, err);
    if (st == ST_OK) {
        struct strbuf text;
        strbuf_init(&text, 2 * FILE_MAX);
        config_rewrite(&text, slice_of(old, len), server_config(srv));
        st = text.failed ? err_set(err, ST_NO_MEMORY, "rewriting the configuration")
                         : durable_replace(vfs, name, text.ptr, text.len, err);
        strbuf_release(&text);
    }
    mem_free(old);
    vfs_free(vfs);
    return st;
}

static void reset(void *ctx)
{
    struct server *srv = ctx;
    server_reset_stats(ctx);
    command_stats_reset(srv->app.command_stats);
}

void server_config_ports(struct server *srv, struct app_ports *ports)
{
    (void)srv;
    ports->config_get = get;
    ports->config_set = set;
    ports->config_rewrite = rewrite;
    ports->stats_reset = reset;
}
