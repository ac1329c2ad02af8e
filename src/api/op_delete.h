/* What TS.DELSERIES and the admin route share: a selection is resolved or counted by a
 * query job, what it means is deleted by the owner, and the answer comes back to the loop
 * of the connection. Calls: that loop.
 */
#ifndef TSINK_API_OP_DELETE_H
#define TSINK_API_OP_DELETE_H

#include "api/work.h"
#include "engine/delete_look.h"
#include "engine/delete_many.h"

struct delete_question {
    struct query_work work;
    /* Set by the asker between delete_question_init() and delete_ask(). */
    const struct matchers *groups; /* valid until finish() */
    size_t n_groups;
    struct time_range range;
    bool dry_run;
    bool drop_keys;                /* keyed series go as keys: range is everything */
    /* The home loop, once; st and err, or counts and at. Frees with
     * delete_question_release(). */
    void (*finish)(struct delete_question *q);
    void *ctx;
    status st;
    struct err err;
    struct delete_counts counts;   /* without dry_run: n_series alone */
    lsn at;                        /* what the answer waits for */
    /* private */
    struct delete_op op;
    struct task task;
    series_id *ids;
};

void delete_question_init(struct delete_question *q, struct app *app, struct reply_slot *slot);
void delete_ask(struct delete_question *q);
void delete_question_release(struct delete_question *q);

#endif
