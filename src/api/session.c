/* Sessions. See session.h. */
#include "api/session.h"

#include <string.h>

#include "api/call.h"
#include "api/multi.h"
#include "api/pubsub.h"
#include "base/mem.h"

static void set_defaults(struct session *session)
{
    session->version = 2;
    session->no_evict = session->no_touch = false;
    session->replies = SESSION_REPLY_ON;
    memcpy(session->user, "default", sizeof("default"));
}

bool session_opened(struct conn *conn)
{
    struct session *session = mem_zalloc(sizeof(*session));

    session->app = conn_hub_user(conn_hub(conn), CONN_RESP);
    session->conn = conn;
    set_defaults(session);
    session->txn_loop = txn_loop_of(session->app->txns, conn_home(conn));
    conn_set_user(conn, session);
    /* No authentication is configured: everybody is the default user. */
    conn_set_trusted(conn, true);
    return true;
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
    mem_free(session->spare);
    mem_free(session);
}

void session_reset(struct session *session)
{
    if (session->multi) multi_discard(session->multi);
    pubsub_drop_all(session);
    set_defaults(session);
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
