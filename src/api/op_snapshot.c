/* Questions about snapshots. See op_snapshot.h. */
#include "api/op_snapshot.h"

#include "base/mem.h"
#include "base/panic.h"

struct snapshot_question *snapshot_question_new(struct app *app, struct loop *home,
                                                enum snapshot_verb verb, struct slice name)
{
    struct snapshot_question *q = mem_zalloc(sizeof(*q));
    q->app = app;
    q->home = home;
    q->verb = verb;
    /* What is cut here is longer than any name, so it is refused all the same. */
    size_t len = name.len < sizeof(q->name) ? name.len : sizeof(q->name) - 1;
    if (len) memcpy(q->name, name.ptr, len);
    /* A NUL inside would shorten it to another name. */
    for (size_t i = 0; i < len; i++)
        if (!q->name[i]) q->name[i] = '/';
    list_init(&q->task.link);
    return q;
}

void snapshot_question_free(struct snapshot_question *q)
{
    vec_release(&q->entries);
    mem_free(q);
}

static void at_home(struct task *task)
{
    struct snapshot_question *q = container_of(task, struct snapshot_question, task);
    q->finish(q);
}

static void go_home(struct snapshot_question *q, status st, const struct err *err)
{
    q->st = st;
    q->err = *err;
    q->task.fn = at_home;
    app_to_loop(q->home, &q->task);
}

static void made(void *ctx, status st, const struct snapshot_info *info, const struct err *err)
{
    struct snapshot_question *q = ctx;
    if (info) q->info = *info;
    go_home(q, st, err);
}

static void listed(void *ctx, status st, const struct snapshot_entry *entries, size_t n,
                   const struct err *err)
{
    struct snapshot_question *q = ctx;
    struct err copy = *err;
    if (st == ST_OK && !vec_reserve(&q->entries, n))
        st = err_set(&copy, ST_NO_MEMORY, "list of snapshots");
    for (size_t i = 0; st == ST_OK && i < n; i++) (void)vec_push(&q->entries, entries[i]);
    go_home(q, st, &copy);
}

static void deleted(void *ctx, status st, const struct err *err)
{
    go_home(ctx, st, err);
}

static void on_owner(struct task *task)
{
    struct snapshot_question *q = container_of(task, struct snapshot_question, task);
    struct db *db = q->app->db;
    struct snapshot_ask what = {.name = slice_str(q->name), .skip_head = q->skip_head};
    switch (q->verb) {
    case SNAPSHOT_CREATE: db_snapshot(db, &what, made, q); return;
    case SNAPSHOT_LIST: db_snapshot_list(db, listed, q); return;
    case SNAPSHOT_DELETE: db_snapshot_delete(db, slice_str(q->name), deleted, q); return;
    }
}

void snapshot_ask(struct snapshot_question *q)
{
    q->task.fn = on_owner;
    app_to_owner(q->app, &q->task);
}
