/* Who holds the server for a transaction. See txn.h.
 *
 * The holder's id is an atomic that every dispatcher reads; it is set on the owner. Tickets
 * visit the loops one after the other: a loop that has calls under way keeps the ticket
 * until the last of them ends. Releasing also goes by the owner; parked commands go on
 * before the next ticket is looked at, so that transactions cannot starve the others.
 */
#include "api/txn.h"

#include "api/call.h"
#include "base/mem.h"
#include "base/panic.h"

struct txn_loop {
    struct txns *txns;
    struct conn_loop *home;
    size_t n_calls;             /* under way */
    struct list parked;         /* struct call, by park_link */
    struct txn_ticket *waiter;  /* goes on when n_calls is 0 */
    struct task unpark;
    _Atomic bool unpark_posted;
};

struct txns {
    struct app *app;
    _Atomic uint64_t holder;    /* id of a connection; 0: nobody */
    _Atomic mono_ns paused_until; /* 0: not paused */
    _Atomic bool pause_all;
    struct task plan;           /* owner: sets the timer of a pause's end */
    _Atomic bool plan_posted;
    struct timer pause_end;     /* owner */
    struct list queue;          /* tickets; owner */
    struct task next;           /* owner: looks at the queue */
    bool next_posted;
    size_t n;
    struct txn_loop loop[];
};

static void unpark(struct task *task)
{
    struct txn_loop *tl = container_of(task, struct txn_loop, unpark);
    struct list now;

    atomic_store_explicit(&tl->unpark_posted, false, memory_order_release);
    list_init(&now);
    while (!list_empty(&tl->parked)) list_push(&now, list_pop(&tl->parked));
    while (!list_empty(&now)) {
        struct call *call = container_of(list_pop(&now), struct call, park_link);
        if (txn_must_park(tl->txns, conn_id(call->conn))) list_push(&tl->parked, &call->park_link);
        else call_unpark(call);
    }
}

/* Any thread. */
static void unpark_all(struct txns *txns)
{
    for (size_t i = 0; i < txns->n; i++) {
        struct txn_loop *tl = &txns->loop[i];
        if (!atomic_exchange_explicit(&tl->unpark_posted, true, memory_order_acq_rel))
            loop_post(conn_loop_loop(tl->home), &tl->unpark);
    }
}

/* --- CLIENT PAUSE ---------------------------------------------------------------------- */

static void plan_end(struct task *task)
{
    struct txns *txns = container_of(task, struct txns, plan);
    struct wheel *wheel = loop_wheel(txns->app->owner);
    mono_ns until = atomic_load_explicit(&txns->paused_until, memory_order_acquire);
    int64_t ms = (until - clock_mono(txns->app->clock)) / 1000000 + 1;

    atomic_store_explicit(&txns->plan_posted, false, memory_order_release);
    timer_cancel(wheel, &txns->pause_end);
    if (until) timer_set(wheel, &txns->pause_end, ms < 1 ? 1 : ms);
}

static void pause_ended(struct timer *timer)
{
    struct txns *txns = container_of(timer, struct txns, pause_end);
    mono_ns until = atomic_load_explicit(&txns->paused_until, memory_order_acquire);

    if (until > clock_mono(txns->app->clock)) {
        timer_set(loop_wheel(txns->app->owner), timer, 1);
        return;
    }
    txn_unpause(txns);
}

void txn_pause(struct txns *txns, mono_ns until, bool all)
{
    bool now = atomic_load_explicit(&txns->paused_until, memory_order_acquire) >
               clock_mono(txns->app->clock);

    if (now && until < atomic_load_explicit(&txns->paused_until, memory_order_acquire))
        until = atomic_load_explicit(&txns->paused_until, memory_order_acquire);
    atomic_store_explicit(&txns->pause_all,
                          all || (now && atomic_load_explicit(&txns->pause_all,
                                                              memory_order_relaxed)),
                          memory_order_relaxed);
    atomic_store_explicit(&txns->paused_until, until, memory_order_release);
    if (!atomic_exchange_explicit(&txns->plan_posted, true, memory_order_acq_rel))
        loop_post(txns->app->owner, &txns->plan);
}

void txn_unpause(struct txns *txns)
{
    atomic_store_explicit(&txns->paused_until, 0, memory_order_release);
    unpark_all(txns);
}

bool txn_is_paused(const struct txns *txns, bool writes)
{
    mono_ns until = atomic_load_explicit(&txns->paused_until, memory_order_acquire);

    if (until == 0 || until <= clock_mono(txns->app->clock)) return false;
    return writes || atomic_load_explicit(&txns->pause_all, memory_order_relaxed);
}

static void grant_next(struct txns *txns);

static void on_next(struct task *task)
{
    struct txns *txns = container_of(task, struct txns, next);

    txns->next_posted = false;
    if (atomic_load_explicit(&txns->holder, memory_order_relaxed) == 0) grant_next(txns);
}

struct txns *txns_new(struct app *app)
{
    struct txns *txns = mem_try_zero(sizeof(*txns) + app->loops.n * sizeof(txns->loop[0]));

    if (!txns) return NULL;
    txns->app = app;
    txns->n = app->loops.n;
    list_init(&txns->queue);
    list_init(&txns->next.link);
    txns->next.fn = on_next;
    list_init(&txns->plan.link);
    txns->plan.fn = plan_end;
    timer_init(&txns->pause_end, pause_ended);
    for (size_t i = 0; i < txns->n; i++) {
        struct txn_loop *tl = &txns->loop[i];
        tl->txns = txns;
        tl->home = app->loops.ptr[i];
        list_init(&tl->parked);
        list_init(&tl->unpark.link);
        tl->unpark.fn = unpark;
    }
    return txns;
}

void txns_free(struct txns *txns)
{
    if (!txns) return;
    for (size_t i = 0; i < txns->n; i++) {
        while (!list_empty(&txns->loop[i].parked)) {
            struct list *at = list_pop(&txns->loop[i].parked);
            call_abandon(container_of(at, struct call, park_link));
        }
    }
    mem_free(txns);
}

struct txn_loop *txn_loop_of(struct txns *txns, struct conn_loop *home)
{
    for (size_t i = 0; i < txns->n; i++)
        if (txns->loop[i].home == home) return &txns->loop[i];
    PANIC("a connection of no known loop");
}

/* --- tickets -------------------------------------------------------------------------- */

static void at_home(struct task *task)
{
    struct txn_ticket *ticket = container_of(task, struct txn_ticket, task);
    ticket->granted(ticket);
}

static void ask_loop(struct txn_ticket *ticket);

/* On the loop in question: nothing is under way here any more. */
static void loop_is_quiet(struct txn_ticket *ticket)
{
    ticket->idx++;
    ask_loop(ticket);
}

static void visit_loop(struct task *task)
{
    struct txn_ticket *ticket = container_of(task, struct txn_ticket, task);
    struct txn_loop *tl = &ticket->txns->loop[ticket->idx];

    if (tl->n_calls) tl->waiter = ticket;
    else loop_is_quiet(ticket);
}

static void all_quiet(struct task *task)
{
    struct txn_ticket *ticket = container_of(task, struct txn_ticket, task);

    ticket->check(ticket);
    ticket->task.fn = at_home;
    app_to_loop(ticket->home, &ticket->task);
}

static void ask_loop(struct txn_ticket *ticket)
{
    struct txns *txns = ticket->txns;

    if (ticket->idx == txns->n) {
        ticket->task.fn = all_quiet;
        app_to_owner(txns->app, &ticket->task);
        return;
    }
    ticket->task.fn = visit_loop;
    app_to_loop(conn_loop_loop(txns->loop[ticket->idx].home), &ticket->task);
}

static void grant_next(struct txns *txns)
{
    if (list_empty(&txns->queue)) return;
    struct txn_ticket *ticket = container_of(list_pop(&txns->queue), struct txn_ticket, link);
    atomic_store_explicit(&txns->holder, ticket->conn_id, memory_order_release);
    ticket->idx = 0;
    ask_loop(ticket);
}

static void join_queue(struct task *task)
{
    struct txn_ticket *ticket = container_of(task, struct txn_ticket, task);
    struct txns *txns = ticket->txns;

    list_push(&txns->queue, &ticket->link);
    if (atomic_load_explicit(&txns->holder, memory_order_relaxed) == 0) grant_next(txns);
}

void txn_acquire(struct txn_ticket *ticket)
{
    list_init(&ticket->task.link);
    list_init(&ticket->link);
    ticket->task.fn = join_queue;
    app_to_owner(ticket->txns->app, &ticket->task);
}

/* Owner. What was parked goes on first: the next ticket is looked at by a message. */
static void leave(struct task *task)
{
    struct txn_ticket *ticket = container_of(task, struct txn_ticket, task);
    struct txns *txns = ticket->txns;

    atomic_store_explicit(&txns->holder, 0, memory_order_release);
    unpark_all(txns);
    if (!txns->next_posted) {
        txns->next_posted = true;
        loop_post(txns->app->owner, &txns->next);
    }
    ticket->task.fn = at_home;
    app_to_loop(ticket->home, &ticket->task);
}

void txn_release(struct txn_ticket *ticket, void (*released)(struct txn_ticket *ticket))
{
    ticket->granted = released;
    ticket->task.fn = leave;
    app_to_owner(ticket->txns->app, &ticket->task);
}

/* --- calls ---------------------------------------------------------------------------- */

bool txn_must_park(const struct txns *txns, uint64_t id)
{
    uint64_t holder = atomic_load_explicit(&txns->holder, memory_order_acquire);
    return holder && holder != id;
}

void txn_park(struct call *call)
{
    list_push(&call->session->txn_loop->parked, &call->park_link);
}

void txn_call_begins(struct call *call)
{
    if (call->under_way) return;
    call->under_way = true;
    call->session->txn_loop->n_calls++;
}

void txn_call_ends(struct call *call)
{
    struct txn_loop *tl = call->session->txn_loop;
    struct txn_ticket *ticket = tl->waiter;

    if (!call->under_way) return;
    call->under_way = false;
    if (--tl->n_calls || !ticket) return;
    tl->waiter = NULL;
    loop_is_quiet(ticket);
}

void txn_call_waits(struct call *call)
{
    txn_call_ends(call);
}
