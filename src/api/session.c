/* Sessions. See session.h. */
#include "api/session.h"

#include <string.h>

#include "api/acl.h"
#include "api/call.h"
#include "api/command_stats.h"
#include "api/multi.h"
#include "api/pubsub.h"
#include "base/mem.h"
#include "base/panic.h"

static void set_defaults(struct session *session)
{
    session->version = 2;
    session->no_evict = session->no_touch = false;
    session->replies = SESSION_REPLY_ON;
}

/* "default", who needs no AUTH while he has no password. False: he could not be found. */
static bool become_default(struct session *session)
{
    struct acl *acl = session->app->acl;

    session->acl_seen = acl_generation(acl);
    struct acl_user *user = acl_find(acl, SLICE_LIT("default"));
    if (!user) return false;
    acl_user_unref(session->user);
    session->user = user;
    session->authenticated = user->on && user->nopass;
    conn_set_trusted(session->conn, session->authenticated);
    return true;
}

void session_authenticate(struct session *session, struct acl_user *user)
{
    acl_user_unref(session->user);
    session->user = user;
    session->authenticated = true;
    conn_set_trusted(session->conn, true);
}

bool session_refresh(struct session *session)
{
    struct acl *acl = session->app->acl;

    session->acl_seen = acl_generation(acl);
    struct acl_user *user = acl_find(acl, session->user->name);
    if (!user) return false;
    acl_user_unref(session->user);
    session->user = user;
    return true;
}

bool session_opened(struct conn *conn)
{
    struct session *session = mem_zalloc(sizeof(*session));

    session->app = conn_hub_user(conn_hub(conn), CONN_RESP);
    session->conn = conn;
    set_defaults(session);
    session->stats = command_stats_of(session->app->command_stats, conn_home(conn));
    session->txn_loop = txn_loop_of(session->app->txns, conn_home(conn));
    conn_set_user(conn, session);
    return become_default(session);
}

void session_closed(struct conn *conn)
{
    struct session *session = session_of(conn);

    if (!session) return;
    pubsub_drop_all(session);
    session->conn = NULL;
    if (!session->multi || !session->multi->running) session_free(session);
}

void session_push(struct session *session, struct iobuf *msg)
{
    struct multi *multi = session->multi;

    if (!multi || !multi->running) conn_push(session->conn, msg);
    else if (!vec_push(&multi->pushes, *msg)) iobuf_release(msg, NULL);
}

void session_free(struct session *session)
{
    multi_free(session->multi);
    acl_user_unref(session->user);
    mem_free(session->spare);
    mem_free(session);
}

void session_reset(struct session *session)
{
    if (session->multi) multi_discard(session->multi);
    pubsub_drop_all(session);
    set_defaults(session);
    if (!become_default(session)) conn_kill(session->conn);
    session->lib_name[0] = session->lib_ver[0] = '\0';
    conn_set_name(session->conn, slice_of("", 0));
}

bool session_name_ok(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < '!' || name.ptr[i] > '~') return false;
    }
    return true;
}

/* ---- Users who are gone ---------------------------------------------------------- */

struct orphan_visit {
    struct task task;
    struct conn_loop *at;
};

static void close_orphan(struct conn *conn, void *ctx)
{
    struct session *session = conn_proto(conn) == CONN_RESP ? session_of(conn) : NULL;

    (void)ctx;
    if (session && !session_refresh(session)) conn_close_soon(conn);
}

static void visit_orphans(struct task *task)
{
    struct orphan_visit *visit = container_of(task, struct orphan_visit, task);

    conn_each(visit->at, close_orphan, NULL);
    mem_free(visit);
}

void session_close_orphans(struct app *app)
{
    for (size_t i = 0; i < app->loops.n; i++) {
        struct orphan_visit *visit = mem_alloc(sizeof(*visit));
        *visit = (struct orphan_visit){.task = {.fn = visit_orphans}, .at = app->loops.ptr[i]};
        list_init(&visit->task.link);
        loop_post(conn_loop_loop(visit->at), &visit->task);
    }
}
