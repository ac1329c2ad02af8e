/* Re-reading the configuration: the file and the command line make a new configuration, of
 * which the options that may change at any time are taken over, all or none. What CONFIG SET
 * changed since is as it is written there again. Options that are settled at start keep their
 * values, and those that differ are named. Owner. */
#include "base/log.h"
#include "base/mem.h"
#include "server/server.h"
#include "server/server_stats.h"

/* Puts what is settled back; names what the file says otherwise. */
static status keep_settled(struct config *next, const struct config *now, struct strbuf *names,
                           struct err *err)
{
    struct strbuf old, new;
    status st = ST_OK;
    strbuf_init(&old, 0);
    strbuf_init(&new, 0);
    for (size_t i = 0; i < config_n_rows && st == ST_OK; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->type == CONFIG_FIXED || row->any_time) continue;
        strbuf_reset(&old);
        strbuf_reset(&new);
        config_print(&old, now, row);
        config_print(&new, next, row);
        if (old.failed || new.failed) st = ST_NO_MEMORY;
        else if (!slice_eq(strbuf_view(&old), strbuf_view(&new))) {
            strbuf_printf(names, " %s", row->name);
            st = config_set(next, row, strbuf_view(&old), err);
        }
    }
    strbuf_release(&old);
    strbuf_release(&new);
    return st;
}

static status read_again(struct server *srv, struct config *next, struct strbuf *names,
                         struct err *err)
{
    const char *file;
    config_init(next);
    TRY(config_parse_args(next, srv->argc, srv->argv, &file, err));
    TRY(keep_settled(next, server_config(srv), names, err));
    return config_check(next, err);
}

static void take_over(struct server *srv, struct config_generation *next)
{
    next->cfg.app.generation = srv->config->cfg.app.generation + 1;
    next->older = srv->config;
    srv->config = next;
    server_apply_config(srv);
}

status server_reload(void *ctx, struct strbuf *out, struct err *err)
{
    struct server *srv = ctx;
    struct strbuf names;
    struct err why = {.st = ST_OK};
    if (!srv->config_file) {
        strbuf_str(out, "nothing to read again: the server runs without a configuration file\n");
        return ST_OK;
    }
    struct config_generation *next = mem_try_zero(sizeof(*next));
    if (!next) return err_set(err, ST_NO_MEMORY, "a new configuration");
    strbuf_init(&names, 0);
    status st = read_again(srv, &next->cfg, &names, &why);
    if (st == ST_OK && names.failed) st = ST_NO_MEMORY;
    srv->config_ok = st == ST_OK;
    if (st == ST_OK) {
        take_over(srv, next);
        srv->config_ms = clock_wall(srv->app.clock);
        strbuf_printf(out, "read again: %s\n", srv->config_file);
        if (names.len)
            strbuf_printf(out, "these options are taken at the next start:" SLICE_FMT "\n",
                          SLICE_ARG(strbuf_view(&names)));
        log_info("server", "configuration read again", "file=%s", srv->config_file);
    } else {
        mem_free(next);
        log_warn("server", "configuration stays as it was", "file=%s reason=\"%s\"",
                 srv->config_file, err_text(&why, st));
        (void)err_set(err, ST_INTERNAL, "failed to reload config: %s", err_text(&why, st));
        st = ST_INTERNAL; /* as Prometheus: 500 */
    }
    strbuf_release(&names);
    return st;
}
