/* Changes of TS.* commands that are the owner's alone: attributes, labels, rules. The
 * change waits for this loop's earlier writes, runs on the owner in one or more steps,
 * and is answered when the log is durable up to what it wrote.
 *
 *     loop    ts_change_start(call, args, run, answer)
 *     owner   run(change) ... ts_change_end(change, st)     at once, or some time later
 *     loop    answer(call, change), or the failure
 *
 * The connection's next command waits for the end.
 */
#ifndef TSINK_API_TS_CHANGE_H
#define TSINK_API_TS_CHANGE_H

#include "api/call.h"
#include "engine/relabel.h"
#include "engine/rules.h"

struct ts_change {
    struct call *call;
    const void *args;             /* the command's */
    struct loop *home;
    struct task task;
    lsn at;                       /* what the answer waits for */
    status st;
    struct err err;
    void (*run)(struct ts_change *change);
    void (*answer)(struct call *call, const struct ts_change *change); /* NULL: OK */
    struct arena arena;           /* of the owner's side; gone after the answer */
    struct relabel_op relabel;    /* for changes of labels */
};

/* The handler returns what this returns. */
CHECKED status ts_change_start(struct call *call, const void *args,
                               void (*run)(struct ts_change *change),
                               void (*answer)(struct call *call, const struct ts_change *change));

/* Owner. Once; the change is the loop's afterwards. st not ST_OK: with change->err. */
void ts_change_end(struct ts_change *change, status st);

#endif
