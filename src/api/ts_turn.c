/* Writes of a loop's turn. See ts_turn.h. */
#include "api/ts_turn.h"

#include "api/ts_key.h"
#include "api/work.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/vec.h"

enum { BATCH_ROWS_MAX = 8192 }; /* then the batch goes without waiting for the turn's end */

struct pending {
    struct call *call;
    struct ts_part part;
};

struct waiting_read {
    struct call *call;
    void (*fn)(struct call *call);
};

/* A batch with those who wait for it. */
struct turn_batch {
    struct write_work work;
    struct ts_turn *turn;
    VEC(struct pending) calls;
    VEC(struct waiting_read) reads; /* to run when this batch is applied */
    bool paused;                    /* the connections of calls */
    struct turn_batch *next;        /* of the turn's batches on their way, oldest first */
};

struct ts_turn {
    struct app *app;
    struct conn_loop *home;
    struct loop_hook hook;
    struct turn_batch *open;        /* being filled */
    struct turn_batch *first, **last; /* on their way */
    struct turn_batch *spare;
};

struct ts_turns {
    struct list watches;            /* struct ts_watch; owner */
    size_t n;
    struct ts_turn turn[];
};

/* --- life -------------------------------------------------------------------------- */

static void free_turn_batch(struct turn_batch *tb)
{
    if (!tb) return;
    if (tb->work.batch) batch_free(tb->work.batch);
    vec_release(&tb->calls);
    vec_release(&tb->reads);
    mem_free(tb);
}

static struct turn_batch *new_turn_batch(struct ts_turn *turn)
{
    struct turn_batch *tb = turn->spare;
    if (tb) {
        turn->spare = NULL;
        return tb;
    }
    tb = mem_try_zero(sizeof(*tb));
    if (!tb) return NULL;
    tb->turn = turn;
    tb->work.batch = batch_new(turn->app->net_account);
    if (tb->work.batch) {
        tb->work.batch->want_applied = true;
        tb->work.batch->deferrable = true;
        return tb;
    }
    mem_free(tb);
    return NULL;
}

static void recycle(struct ts_turn *turn, struct turn_batch *tb)
{
    if (turn->spare) {
        free_turn_batch(tb);
        return;
    }
    batch_reset(tb->work.batch);
    tb->work.batch->want_applied = true;
    tb->work.batch->deferrable = true;
    vec_clear(&tb->calls);
    vec_clear(&tb->reads);
    turn->spare = tb;
}

static struct ts_turn *turn_of(struct call *call)
{
    struct ts_turns *turns = call->app->turns;
    struct conn_loop *home = conn_home(call->conn);
    for (size_t i = 0; i < turns->n; i++)
        if (turns->turn[i].home == home) return &turns->turn[i];
    PANIC("a connection of no known loop");
}

/* --- sending ----------------------------------------------------------------------- */

static void batch_applied(struct write_work *work)
{
    struct turn_batch *tb = container_of(work, struct turn_batch, work);
    struct ts_turn *turn = tb->turn;
    struct turn_batch **at = &turn->first;
    while (*at != tb) at = &(*at)->next;
    *at = tb->next;
    if (turn->last == &tb->next) turn->last = at;

    mono_ns now = clock_mono(turn->app->clock);
    for (size_t i = 0; i < tb->calls.len; i++) {
        struct pending *p = &tb->calls.ptr[i];
        p->call->now = now;
        if (tb->paused) conn_resume(p->call->conn);
        p->part.answer(p->call, work->batch, &p->part);
        if (p->part.follow && p->part.follow(p->call, work->batch, &p->part)) continue;
        call_finish_at(p->call, work->batch->durable_at);
    }
    for (size_t i = 0; i < tb->reads.len; i++) tb->reads.ptr[i].fn(tb->reads.ptr[i].call);
    recycle(turn, tb);
}

/* A batch may wait for look-ups while later batches pass it: commands of its connections
 * that are not in it must wait. On the owner's own loop it is mostly applied already. */
static void pause_if_waiting(struct ts_turn *turn, struct turn_batch *sent)
{
    struct turn_batch *tb = turn->first;
    while (tb && tb != sent) tb = tb->next;
    if (!tb) return;
    tb->paused = true;
    for (size_t i = 0; i < tb->calls.len; i++) conn_pause(tb->calls.ptr[i].call->conn);
}

static void send_open(struct ts_turn *turn)
{
    struct turn_batch *tb = turn->open;
    if (!tb) return;
    tb->paused = false;
    turn->open = NULL;
    tb->next = NULL;
    *turn->last = tb;
    turn->last = &tb->next;
    write_work_start(&tb->work, turn->app, conn_loop_loop(turn->home), tb->work.batch,
                     batch_applied);
    pause_if_waiting(turn, tb);
}

/* --- watches ------------------------------------------------------------------------ */

static bool has_changed(struct app *app, const struct ts_watch *watch)
{
    if (watch->id == 0) return ts_key_find(app, watch->key) != ORDINAL_NONE;
    uint32_t ordinal = registry_by_id(db_registry(app->db), watch->id);
    return ordinal == ORDINAL_NONE || db_touched_since(app->db, ordinal, watch->mark);
}

static void look_at(struct app *app, struct ts_watch *watch)
{
    bool stopping = atomic_load_explicit(&app->stopping, memory_order_relaxed);
    if (!stopping && app->db && !has_changed(app, watch)) return;
    list_remove(&watch->link);
    watch->changed(watch, stopping);
}

void ts_watch_add(struct app *app, struct ts_watch *watch)
{
    list_push(&app->turns->watches, &watch->link);
    look_at(app, watch);
}

bool ts_watch_remove(struct ts_watch *watch)
{
    if (list_empty(&watch->link)) return false;
    list_remove(&watch->link);
    return true;
}

static void look_at_all(struct ts_turn *turn)
{
    struct list *watches = &turn->app->turns->watches;
    for (struct list *at = watches->next, *next; at != watches; at = next) {
        next = at->next; /* changed() only posts: the others stay where they are */
        look_at(turn->app, container_of(at, struct ts_watch, link));
    }
}

static void end_of_turn(struct loop_hook *hook)
{
    struct ts_turn *turn = container_of(hook, struct ts_turn, hook);
    send_open(turn);
    if (turn->app->turns && app_is_owner(turn->app) && !list_empty(&turn->app->turns->watches))
        look_at_all(turn);
}

struct ts_turns *ts_turns_new(struct app *app)
{
    struct ts_turns *turns =
        mem_try_zero(sizeof(*turns) + app->loops.n * sizeof(turns->turn[0]));
    if (!turns) return NULL;
    turns->n = app->loops.n;
    list_init(&turns->watches);
    for (size_t i = 0; i < turns->n; i++) {
        struct ts_turn *turn = &turns->turn[i];
        turn->app = app;
        turn->home = app->loops.ptr[i];
        turn->last = &turn->first;
        turn->hook.fn = end_of_turn;
        loop_hook_add(conn_loop_loop(turn->home), LOOP_BATCH, &turn->hook);
    }
    return turns;
}

void ts_turns_free(struct ts_turns *turns)
{
    if (!turns) return;
    for (size_t i = 0; i < turns->n; i++) {
        struct ts_turn *turn = &turns->turn[i];
        ASSERT(!turn->first);
        loop_hook_remove(&turn->hook);
        free_turn_batch(turn->open);
        free_turn_batch(turn->spare);
    }
    mem_free(turns);
}

/* --- filling ----------------------------------------------------------------------- */

struct batch *ts_turn_begin(struct call *call)
{
    struct ts_turn *turn = turn_of(call);
    if (!turn->open) turn->open = new_turn_batch(turn);
    if (!turn->open || !vec_reserve(&turn->open->calls, 1)) return NULL;
    return turn->open->work.batch;
}

void ts_turn_cancel(struct call *call, const struct ts_part *part)
{
    struct batch *batch = turn_of(call)->open->work.batch;
    batch->n_series = part->first_series;
    batch->n_rows = part->first_row;
}

void ts_turn_end(struct call *call, struct ts_part *part)
{
    struct turn_batch *tb = turn_of(call)->open;
    struct batch *batch = tb->work.batch;
    part->n_series = batch->n_series - part->first_series;
    part->n_rows = batch->n_rows - part->first_row;
    bool pushed = vec_push(&tb->calls, (struct pending){call, *part});
    ASSERT(pushed); /* reserved by ts_turn_begin() */
    if (batch->n_rows >= BATCH_ROWS_MAX) send_open(turn_of(call));
}

void ts_turn_read(struct call *call, void (*fn)(struct call *call))
{
    struct ts_turn *turn = turn_of(call);
    struct turn_batch *newest = NULL;
    send_open(turn);
    for (struct turn_batch *tb = turn->first; tb; tb = tb->next) newest = tb;
    if (!newest) {
        fn(call);
        return;
    }
    if (vec_push(&newest->reads, (struct waiting_read){call, fn})) return;
    call_fail(call, ST_NO_MEMORY);
}

struct owner_read {
    status (*fn)(struct call *call, struct reply *reply);
};

static void visit_now(struct call *call)
{
    const struct owner_read *read = call->state;
    call_visit_owner(call, read->fn);
}

status ts_turn_on_owner(struct call *call, status (*fn)(struct call *call, struct reply *reply))
{
    TRY(call_later_alone(call));
    struct owner_read *read = arena_try(&call->arena, sizeof(*read));
    if (!read) return err_set(&call->err, ST_NO_MEMORY, "no memory for the command");
    read->fn = fn;
    call->state = read;
    ts_turn_read(call, visit_now);
    return ST_OK;
}

bool ts_turn_idle(struct call *call)
{
    struct ts_turn *turn = turn_of(call);
    send_open(turn);
    return turn->first == NULL;
}
