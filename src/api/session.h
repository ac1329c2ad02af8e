/* A session: who speaks on a RESP connection, and how. Made when the connection opens,
 * freed when its last reply is gone. The connection's loop only.
 */
#ifndef TSINK_API_SESSION_H
#define TSINK_API_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "api/app.h"
#include "net/conn.h"

struct call;
struct command;
struct acl_user;
struct command_loop_stats;
struct multi;
struct subscriber;
struct txn_loop;

enum { SESSION_LIB_MAX = 64 };

enum session_reply { SESSION_REPLY_ON, SESSION_REPLY_OFF, SESSION_REPLY_SKIP };

struct session {
    struct app *app;
    struct conn *conn;
    int version;               /* RESP 2 or 3 */
    bool no_evict, no_touch;
    enum session_reply replies; /* SKIP: the next command's reply is dropped */
    struct acl_user *user;      /* a reference */
    uint64_t acl_seen;          /* generation of the acl at which it was looked up */
    bool authenticated;
    char lib_name[SESSION_LIB_MAX], lib_ver[SESSION_LIB_MAX];
    const struct command *last; /* found last: pipelines repeat themselves */
    struct call *spare;         /* one call kept for the next command */
    size_t n_reads;             /* calls under way that do not write */
    struct call *after_reads;   /* a write that must not overtake them */
    struct command_loop_stats *stats; /* of the connection's loop */
    struct txn_loop *txn_loop;  /* of the connection's loop */
    struct subscriber *subscriber; /* pubsub.h; NULL: listens to nothing */
    struct multi *multi;        /* MULTI and WATCH; NULL until the first of them */
};

/* The callbacks of conn_handler for RESP; the hub's user is the app. */
bool session_opened(struct conn *conn);
void session_closed(struct conn *conn);

static inline struct session *session_of(const struct conn *conn)
{
    return conn_user(conn);
}

/* For multi.c: a session whose connection has closed (conn NULL). */
void session_free(struct session *session);

/* The session's user from now on; takes the reference. */
void session_authenticate(struct session *session, struct acl_user *user);

/* The acl has changed: looks the user up again. False: there is none of the name. */
CHECKED bool session_refresh(struct session *session);

/* Any thread: soon, connections of users who are gone close. */
void session_close_orphans(struct app *app);

/* The connection's line of CLIENT LIST (cmd_client.c). */
void session_print(struct strbuf *out, const struct conn *conn);

/* A message that answers nothing; it waits for the end of a transaction. Takes msg. */
void session_push(struct session *session, struct iobuf *msg);

/* As new, but for the connection itself: RESET. */
void session_reset(struct session *session);

/* Whether a client or library name is printable and without blanks. */
bool session_name_ok(struct slice name);

#endif
