/* A call: one execution of one command.
 *
 * The handler gets the call and its parsed arguments. It either writes the answer to
 * call->reply and returns ST_OK, or returns a failure: then whatever it wrote is
 * dropped and the status' word with call->err's text is sent. Or it cannot answer yet:
 * it says call_later(), returns ST_OK, and ends the call on the same loop with one of
 * call_finish(), call_finish_at() and call_fail().
 *
 * Everything the call points to (argv, parsed arguments, arena) lives until the call
 * ends. Replies leave in order by themselves; call_later_alone() also keeps the
 * connection's next command from starting before this one has ended.
 *
 * Threads: the connection's loop. A worker may read argv and arguments after
 * call_later().
 */
#ifndef TSINK_API_CALL_H
#define TSINK_API_CALL_H

#include <stdbool.h>
#include <stddef.h>

#include "api/app.h"
#include "api/args.h"
#include "api/reply.h"
#include "api/session.h"
#include "base/arena.h"
#include "base/list.h"
#include "net/conn.h"

struct command;

struct call {
    struct app *app;
    struct session *session;
    struct conn *conn;
    struct reply_slot *slot;
    const struct command *cmd;
    const struct slice *argv;   /* all words: argv[0] is the command's name */
    size_t argc;
    struct reply reply;
    struct err err;
    struct arena arena;
    bool raw_error;             /* err begins with its own code word */
    bool muted;                 /* CLIENT REPLY: nothing is sent */
    bool later, alone;
    bool under_way, in_exec;    /* private: of txn.h; begun by EXEC */
    bool failed;                /* the answer is an error */
    mono_ns began, now;         /* of the loop's turn; of the end, where it is known; 0: not */
    bool reading;               /* private: counted in session->n_reads */
    struct list park_link;      /* private: of txn.h */
    uint64_t gate;              /* what an answer of call_on_owner() waits for; 0: nothing */
    void *state;                /* the handler's, until it ends the call */
    bool *ended;                /* private: of the dispatcher, while the handler runs */
    _Alignas(16) char args[ARGS_SIZE_MAX];
};

/* The call will be ended later: keeps the request's bytes and words. Handlers only:
 * TRY(call_later(call)), before anything was started. ST_NO_MEMORY. */
CHECKED status call_later(struct call *call);
CHECKED status call_later_alone(struct call *call);

/* Ends a call_later(): the reply is complete (or: fails with st and call->err). */
void call_finish(struct call *call);
void call_finish_at(struct call *call, uint64_t gate);
void call_fail(struct call *call, status st);

/* For handlers whose work is the owner's: makes the call later_alone, runs fn on the
 * owner's loop and ends the call. fn writes to reply, which is a chain of its own (the
 * slot belongs to the connection's loop), or returns a failure with call->err; it may
 * read argv and arguments. */
CHECKED status call_on_owner(struct call *call, status (*fn)(struct call *call,
                                                             struct reply *reply));

/* The same for a call that is call_later_alone() already: nothing is left to return. */
void call_visit_owner(struct call *call, status (*fn)(struct call *call, struct reply *reply));

/* A failure with a text of its own, after "ERR "; to be returned by the handler. */
status call_error(struct call *call, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The same with its own code word: "NOPROTO unsupported protocol version". */
status call_error_raw(struct call *call, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A line in the log of the acl: what was denied to the session's user. user empty: his
 * name. */
void call_log_denied(struct call *call, int reason, const char *object, struct slice user);

/* The words behind the command's name (one word, or two for a subcommand). */
struct slices call_words(const struct call *call);

/* Begins a call that was parked (txn.h) or waited; frees one that never will be. */
void call_unpark(struct call *call);
void call_abandon(struct call *call);

/* The callbacks of conn_handler for RESP. */
void call_request(struct conn *conn, struct reply_slot *slot, const struct slice *args, size_t n);
void call_gate_failed(struct conn *conn, struct reply_slot *slot, status st);

#endif
