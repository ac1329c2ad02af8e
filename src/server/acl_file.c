/* aclfile: users of the command port as lines "user NAME rules...", read at the start and by
 * ACL LOAD, written by ACL SAVE: atomically, the file is the old one or the new one. With
 * requirepass, "default" has that password unless the file says what he has. Owner. */
#include "api/acl.h"
#include "base/durable.h"
#include "base/mem.h"
#include "server/server.h"

enum { FILE_MAX = 16 << 20 };

static const char no_file[] =
    "This Redis instance is not configured to use an ACL file. You may want to specify users via "
    "the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis "
    "configuration file set) in order to store users in the Redis configuration.";

static bool names_default(struct slice text)
{
    static const char line[] = "user default ";
    size_t len = sizeof(line) - 1;

    for (size_t at = 0; at + len <= text.len; at++)
        if ((at == 0 || text.ptr[at - 1] == '\n') && memcmp(text.ptr + at, line, len) == 0)
            return true;
    return false;
}

static status take_text(struct server *srv, struct slice text, struct err *err)
{
    const char *password = server_config(srv)->requirepass;

    TRY(acl_parse(srv->app.acl, text, err));
    if (!password[0] || names_default(text)) return ST_OK;
    return acl_requirepass(srv->app.acl, slice_str(password));
}

static status load(struct server *srv, struct err *err)
{
    const char *path = server_config(srv)->acl_file, *name;
    struct vfs *vfs;
    uint8_t *bytes = NULL;
    size_t len = 0;

    TRY(server_open_dir_of(path, &vfs, &name, err));
    status st = vfs_read_file(vfs, name, FILE_MAX, &bytes, &len, err);
    if (st == ST_OK) st = take_text(srv, slice_of(bytes, len), err);
    mem_free(bytes);
    vfs_free(vfs);
    return st == ST_OK ? st : err_wrap(err, st, "%s", path);
}

static status acl_load(void *ctx, struct err *err)
{
    struct server *srv = ctx;

    if (!server_config(srv)->acl_file[0]) return err_set(err, ST_INVALID, "%s", no_file);
    return load(srv, err);
}

static status acl_save(void *ctx, struct err *err)
{
    struct server *srv = ctx;
    const char *path = server_config(srv)->acl_file, *name;
    struct strbuf text;
    struct vfs *vfs;

    if (!path[0]) return err_set(err, ST_INVALID, "%s", no_file);
    TRY(server_open_dir_of(path, &vfs, &name, err));
    strbuf_init(&text, FILE_MAX);
    acl_print(&text, srv->app.acl);
    status st = text.failed ? err_set(err, ST_LIMIT, "more users than a file may have")
                            : durable_replace(vfs, name, text.ptr, text.len, err);
    strbuf_release(&text);
    vfs_free(vfs);
    return st;
}

void server_acl_ports(struct server *srv, struct app_ports *ports)
{
    (void)srv;
    ports->acl_load = acl_load;
    ports->acl_save = acl_save;
}

status server_open_acl(struct server *srv, struct err *err)
{
    return server_config(srv)->acl_file[0] ? load(srv, err) : ST_OK;
}
