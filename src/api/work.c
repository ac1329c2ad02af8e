/* Requests between loops, owner and workers. See work.h. */
#include "api/work.h"

#include "base/panic.h"

enum { ARENA_BLOCK = 16 << 10 };

/* --- queries --------------------------------------------------------------------- */

static void client_gone(struct reply_slot *slot, void *arg)
{
    struct query_work *work = arg;
    (void)slot;
    job_cancel(&work->job);
    counter_add(&work->app->stats.n_queries_cancelled, 1);
    query_work_resume(work); /* nobody takes the part that it waits with */
}

static status run_job(struct job *job)
{
    struct query_work *work = container_of(job, struct query_work, job);
    atomic_store_explicit(&work->note.started, clock_mono(work->app->clock),
                          memory_order_relaxed);
    work->more = false;
    status st = budget_poll(&work->budget, &work->err); /* it may have waited too long */
    if (st == ST_OK) st = work->run(work);
    if (st == ST_NO_MEMORY && atomic_load_explicit(&work->account.n_refused, memory_order_relaxed))
        st = err_set(&work->err, ST_LIMIT, "query needs more than %llu bytes of memory",
                     (unsigned long long)work->budget.bytes_max);
    if (st != ST_OK) work->more = false;
    if (!work->more && work->leave) work->leave(work);
    return st;
}

static void finish_at_home(struct task *task)
{
    struct query_work *work = container_of(task, struct query_work, task);
    struct app_stats *stats = &work->app->stats;
    struct query_outcome outcome = {.ended = clock_mono(work->app->clock),
                                    .st = work->st,
                                    .n_series = work->budget.n_series,
                                    .n_samples = work->budget.n_samples,
                                    .n_bytes = work->budget.n_bytes};
    reply_slot_on_gone(work->slot, NULL, NULL);
    gauge_add(&stats->n_queries_running, -1);
    histogram_us_record(&stats->query_us, (uint64_t)(outcome.ended - work->began) / 1000);
    if (query_table_leave(work->app->queries, &work->note, &outcome,
                          app_settings(work->app)->slow_query_ms * 1000000))
        counter_add(&stats->n_queries_slow, 1);
    if (work->st != ST_OK) counter_add(&stats->n_query_errors, 1);
    work->finish(work);
}

static void part_at_home(struct task *task)
{
    struct query_work *work = container_of(task, struct query_work, task);
    work->idle = true;
    work->part(work);
    if (job_cancelled(&work->job)) query_work_resume(work);
}

void query_work_resume(struct query_work *work)
{
    if (!work->idle) return;
    work->idle = false;
    list_init(&work->job.link);
    list_init(&work->job.done.link);
    exec_submit(work->app->exec, &work->job);
}

static void publish_job(struct job *job, status st)
{
    struct query_work *work = container_of(job, struct query_work, job);
    work->st = st;
    if (st != ST_OK && !work->err.text[0])
        (void)err_set(&work->err, st, "%s", err_text(&job->err, st));
    work->task.fn = work->more ? part_at_home : finish_at_home;
    app_to_loop(work->home, &work->task);
}

static const struct job_ops query_ops = {
    .name = "query", .lane = JOB_QUERY, .run = run_job, .publish = publish_job};

void query_work_init(struct query_work *work, struct app *app, struct reply_slot *slot,
                     int64_t timeout_ms, status (*run)(struct query_work *),
                     void (*finish)(struct query_work *))
{
    const struct app_settings *set = app_settings(app);
    int64_t limit_ms = set->query_timeout_ms;
    if (timeout_ms > 0 && (limit_ms == 0 || timeout_ms < limit_ms)) limit_ms = timeout_ms;

    job_init(&work->job, &query_ops);
    work->app = app;
    work->slot = slot;
    work->home = conn_loop_loop(conn_home(reply_slot_conn(slot)));
    work->run = run;
    work->finish = finish;
    work->acl = NULL;
    work->more = work->idle = false;
    work->part = work->leave = NULL;
    work->st = ST_OK;
    work->err = (struct err){.st = ST_OK};
    work->began = clock_mono(app->clock);
    work->note = (struct query_note){.began = work->began, .began_ms = clock_wall(app->clock)};
    work->budget = (struct query_budget){
        .series_max = set->query_series_max,
        .samples_max = set->query_samples_max,
        .bytes_max = set->query_bytes_max,
        .deadline = timeout_ms < 0 ? work->began
                    : limit_ms     ? work->began + limit_ms * 1000000
                                   : 0,
        .clock = app->clock,
        .cancelled = &work->job.cancelled,
    };
    list_init(&work->task.link);
    account_init(&work->account, "query", app->query_account, set->query_bytes_max);
    work->budget.account = &work->account;
    arena_init(&work->arena, &work->account, ARENA_BLOCK);
    iobuf_init(&work->out, NULL, app->net_account, 0);
}

void query_work_describe(struct query_work *work, struct slice text, int64_t start_ms,
                         int64_t end_ms, int64_t step_ms)
{
    work->note.text = text;
    work->note.has_range = true;
    work->note.start_ms = start_ms;
    work->note.end_ms = end_ms;
    work->note.step_ms = step_ms;
}

void query_work_start(struct query_work *work)
{
    struct app *app = work->app;
    uint64_t n_max = app->n_query_threads + app_settings(app)->query_queue_max;
    uint64_t n = (uint64_t)gauge_read(&app->stats.n_queries_running);
    counter_add(&app->stats.n_queries, 1);
    gauge_add(&app->stats.n_queries_running, 1);
    query_note_fill(&work->note, work->slot);
    query_table_enter(app->queries, &work->note, &work->job);
    if (n >= n_max && reply_slot_request(work->slot)) {
        counter_add(&app->stats.n_queries_refused, 1);
        work->st = err_set(&work->err, ST_OVERLOAD, "too many queries are waiting");
        work->task.fn = finish_at_home;
        loop_post(work->home, &work->task); /* later: the caller is not done with it yet */
        return;
    }
    reply_slot_on_gone(work->slot, client_gone, work);
    exec_submit(app->exec, &work->job);
}

void query_work_release(struct query_work *work)
{
    iobuf_release(&work->out, NULL);
    arena_release(&work->arena);
}

/* --- writes ---------------------------------------------------------------------- */

static void write_at_home(struct task *task)
{
    struct write_work *work = container_of(task, struct write_work, task);
    work->finish(work);
}

static void batch_done(struct batch *batch)
{
    struct write_work *work = batch->ctx;
    struct app_stats *stats = &work->app->stats;
    counter_add(&stats->n_rows_in, batch->n_rows);
    counter_add(&stats->n_rows_stored, batch->n_stored);
    counter_add(&stats->n_rows_refused, batch->n_refused);
    work->task.fn = write_at_home;
    app_to_loop(work->home, &work->task);
}

static void write_on_owner(struct task *task)
{
    struct write_work *work = container_of(task, struct write_work, task);
    sink_write(work->app->sink, work->batch);
}

void write_work_start(struct write_work *work, struct app *app, struct loop *home,
                      struct batch *batch, void (*finish)(struct write_work *work))
{
    *work = (struct write_work){.app = app, .home = home, .batch = batch, .finish = finish};
    list_init(&work->task.link);
    batch->done = batch_done;
    batch->ctx = work;
    work->task.fn = write_on_owner;
    app_to_owner(app, &work->task);
}
