/* Work for a request that does not fit its loop: a query job that fills a chain, or a
 * batch on its way to the sink and back. Both end on the connection's loop.
 *
 *     loop     work_query(...)                 loop     work_write(...)
 *     worker   run(work): work->out            owner    sink_write
 *     owner    (publish)                       owner    batch done
 *     loop     finish(work)                    loop     finish(work)
 *
 * The struct embeds into a larger one that carries arguments; finish() frees it. A
 * client that goes away cancels its query; finish() runs all the same.
 */
#ifndef TSINK_API_WORK_H
#define TSINK_API_WORK_H

#include "api/app.h"
#include "api/query_table.h"
#include "base/arena.h"
#include "model/batch.h"

struct query_work {
    struct job job;
    struct app *app;
    struct loop *home;
    struct reply_slot *slot;
    struct task task;              /* on the way home */
    struct account account;        /* what the query holds, fetched samples too */
    struct arena arena;            /* of the query */
    struct query_budget budget;
    struct iobuf out;              /* what run() wrote */
    const struct acl_user *acl;    /* whose keys it may look at; NULL: all */
    status st;
    struct err err;
    mono_ns began;
    struct query_note note;        /* in app->queries while it is under way */
    /* Worker: writes the answer to out, or returns the failure with err. */
    status (*run)(struct query_work *work);
    /* The connection's loop: hands out to the slot or writes the error; releases and
     * frees the work. */
    void (*finish)(struct query_work *work);

    /* A query whose answer goes out in parts; else all this is zero.
     *
     *     run, more set -> part -> query_work_resume() -> run ... run, more not set -> finish
     *
     * It is under way all the time: cancelled when its client goes away, also between. */
    bool more;                     /* set by run() when there is another part to come */
    bool idle;                     /* private: between a part and its resumption */
    /* The loop: takes out, and resumes some time later. */
    void (*part)(struct query_work *work);
    /* Worker: after the last run(), also when that failed or was not reached: gives back
     * what run() holds between parts. */
    void (*leave)(struct query_work *work);
};

/* Readies work for a request of slot's connection; call on its loop. timeout_ms: of this
 * query, 0 for the default, below 0: it is over already; the settings' ceiling holds. */
void query_work_init(struct query_work *work, struct app *app, struct reply_slot *slot,
                     int64_t timeout_ms, status (*run)(struct query_work *),
                     void (*finish)(struct query_work *));

/* What the table of queries shows of it; before it is started. text lives as the request. */
void query_work_describe(struct query_work *work, struct slice text, int64_t start_ms,
                         int64_t end_ms, int64_t step_ms);

/* Submits it; run and finish follow, also when the server is stopping. When more queries
 * wait than the settings allow, one over HTTP is refused instead: finish comes with
 * ST_OVERLOAD. RESP's are bounded by their pipelines, whose clients do not ask again. */
void query_work_start(struct query_work *work);

/* The loop, after part(): runs again. */
void query_work_resume(struct query_work *work);

/* Frees arena and chain; for finish(). */
void query_work_release(struct query_work *work);

struct write_work {
    struct app *app;
    struct loop *home;
    struct batch *batch;           /* owned */
    struct task task;
    void (*finish)(struct write_work *work); /* the home loop; frees batch and work */
};

/* Sends batch to the sink; call on the loop where finish is to run. */
void write_work_start(struct write_work *work, struct app *app, struct loop *home,
                      struct batch *batch, void (*finish)(struct write_work *work));

#endif
