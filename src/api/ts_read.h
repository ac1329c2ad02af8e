/* Reads of TS.* commands: jobs that write RESP into a chain of their own. Every read
 * first lets this loop's earlier writes be applied (ts_turn.h). */
#ifndef TSINK_API_TS_READ_H
#define TSINK_API_TS_READ_H

#include "api/call.h"
#include "api/work.h"

struct ts_read {
    struct query_work work;
    struct call *call;
    struct reply reply;        /* into work.out, in the session's version */
    const void *args;          /* the command's */
    status (*run)(struct ts_read *read);
    struct acl_user *user;     /* of work.acl, a reference; or NULL */
    bool raw_error;            /* work.err begins with its own code word */
};

/* Starts it; answers with a failure when that is impossible. The handler returns what
 * this returns. run: a worker; writes to reply, or fails with work.err. */
CHECKED status ts_read_start(struct call *call, const void *args, int64_t timeout_ms,
                             status (*run)(struct ts_read *read));

/* Labels as a map; in RESP2 as an array of pairs. */
void ts_put_label_map(struct reply *reply, struct labels labels);

#endif
