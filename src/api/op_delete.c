/* Deletes by selection. See op_delete.h.
 *
 *     loop     delete_ask        worker   look            owner   db_delete_many, in slices
 *     loop     finish            <------------------------ done
 */
#include "api/op_delete.h"

#include "base/mem.h"
#include "base/panic.h"

static status poll(void *ctx, struct err *err)
{
    struct delete_question *q = ctx;
    return budget_poll(&q->work.budget, err);
}

static status look(struct query_work *work)
{
    struct delete_question *q = container_of(work, struct delete_question, work);
    struct db *db = work->app->db;
    const struct delete_look what = {.groups = q->groups,
                                     .n_groups = q->n_groups,
                                     .tenant = {"", 0},
                                     .range = q->range,
                                     .cancelled = work->budget.cancelled,
                                     .poll = poll,
                                     .ctx = q};
    if (q->dry_run) return delete_count(db, &what, &q->counts, &work->err);
    return delete_resolve(db, &what, &q->ids, &q->op.n, &work->err);
}

static void at_home(struct task *task)
{
    struct delete_question *q = container_of(task, struct delete_question, task);
    q->finish(q);
}

static void deleted(struct delete_op *op)
{
    struct delete_question *q = container_of(op, struct delete_question, op);
    q->st = op->st;
    q->err = op->err;
    q->at = op->at;
    q->counts.n_series = op->n;
    q->task.fn = at_home;
    app_to_loop(q->work.home, &q->task);
}

static void on_owner(struct task *task)
{
    struct delete_question *q = container_of(task, struct delete_question, task);
    db_delete_many(q->work.app->db, &q->op);
}

static void looked(struct query_work *work)
{
    struct delete_question *q = container_of(work, struct delete_question, work);
    q->st = work->st;
    q->err = work->err;
    if (q->st != ST_OK || q->dry_run) {
        q->finish(q);
        return;
    }
    q->op.ids = q->ids;
    q->op.range = q->range;
    q->op.drop_keys = q->drop_keys;
    q->op.done = deleted;
    q->task.fn = on_owner;
    app_to_owner(work->app, &q->task);
}

void delete_question_init(struct delete_question *q, struct app *app, struct reply_slot *slot)
{
    query_work_init(&q->work, app, slot, 0, look, looked);
    list_init(&q->op.link);
    list_init(&q->task.link);
}

void delete_ask(struct delete_question *q)
{
    query_work_start(&q->work);
}

void delete_question_release(struct delete_question *q)
{
    query_work_release(&q->work);
    mem_free(q->ids);
}
