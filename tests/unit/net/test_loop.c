/* Goal: no message, timer, event or gate is lost or comes in the wrong order, and a
 * sleeping loop wakes. Method: loops stepped in this thread for order; a loop on its
 * own thread against several senders for wake-ups, under TSan as well. */
#include <sys/socket.h>
#include <unistd.h>

#include "base/panic.h"
#include "base/thread.h"
#include "net/loop.h"
#include "tests/unit/net/net_suites.h"

enum { N_SENDERS = 4, N_TASKS = 5000 };

static struct loop *open_loop(void)
{
    struct loop_opts opts = {.name = "test"};
    struct loop *loop = NULL;

    ck_assert_int_eq(loop_open(&loop, &opts, NULL), ST_OK);
    return loop;
}

/* ---- Messages ------------------------------------------------------------------ */

struct message {
    struct task task;
    struct sender *sender;
    int number;
};

struct sender {
    struct thread thread;
    struct loop *loop;
    struct message messages[N_TASKS];
    int n_received;   /* the loop's */
    bool out_of_order;
};

static _Atomic int n_left;

static void receive(struct task *task)
{
    struct message *message = container_of(task, struct message, task);
    struct sender *sender = message->sender;

    if (message->number != sender->n_received++) sender->out_of_order = true;
    if (!loop_is_mine(sender->loop)) sender->out_of_order = true;
    if (atomic_fetch_sub(&n_left, 1) == 1) loop_stop(sender->loop);
}

static void send_all(void *ctx)
{
    struct sender *sender = ctx;

    for (int i = 0; i < N_TASKS; i++) {
        sender->messages[i] = (struct message){
            .task = {.fn = receive}, .sender = sender, .number = i};
        loop_post(sender->loop, &sender->messages[i].task);
        if (i % 100 == 0) usleep(50); /* lets the loop fall asleep now and then */
    }
}

START_TEST(test_loop_receives_all_messages_of_each_sender_in_order)
{
    struct sender *senders = calloc(N_SENDERS, sizeof(*senders));
    struct loop *loop = open_loop();

    atomic_store(&n_left, N_SENDERS * N_TASKS);
    ck_assert_int_eq(loop_start(loop, NULL), ST_OK);
    for (int i = 0; i < N_SENDERS; i++) {
        senders[i].loop = loop;
        ck_assert_int_eq(thread_start(&senders[i].thread, "sender", send_all, &senders[i], NULL),
                         ST_OK);
    }
    for (int i = 0; i < N_SENDERS; i++) thread_join(&senders[i].thread);
    loop_join(loop); /* the last message stops it */
    for (int i = 0; i < N_SENDERS; i++) {
        ck_assert_int_eq(senders[i].n_received, N_TASKS);
        ck_assert(!senders[i].out_of_order);
    }
    struct loop_stats stats;
    loop_stats(loop, &stats);
    ck_assert_uint_eq(stats.n_tasks, N_SENDERS * N_TASKS);
    ck_assert_uint_lt(stats.n_wakes, N_SENDERS * N_TASKS / 2);
    ck_assert_uint_eq(histogram_us_count(loop_step_times(loop)), stats.n_turns);
    loop_close(loop);
    free(senders);
}
END_TEST

static void count_task(struct task *task)
{
    (void)task;
    atomic_fetch_add(&n_left, 1);
}

START_TEST(test_loop_close_runs_what_is_left)
{
    struct loop *loop = open_loop();
    struct task tasks[3] = {{.fn = count_task}, {.fn = count_task}, {.fn = count_task}};

    atomic_store(&n_left, 0);
    for (int i = 0; i < 3; i++) loop_post(loop, &tasks[i]);
    loop_close(loop);
    ck_assert_int_eq(atomic_load(&n_left), 3);
}
END_TEST

/* ---- A turn ---------------------------------------------------------------------- */

static char order[64];

static void note(char c)
{
    size_t len = strlen(order);
    order[len] = c;
    order[len + 1] = '\0';
}

static void note_task(struct task *task) { (void)task; note('t'); }
static void note_timer(struct timer *timer) { (void)timer; note('w'); }
static void note_batch(struct loop_hook *hook) { (void)hook; note('b'); }
static void note_flush(struct loop_hook *hook) { (void)hook; note('f'); }
static void note_risen(struct loop_gate_watcher *w, uint64_t n) { (void)w; (void)n; note('g'); }
static void note_failed(struct loop_gate_watcher *w, status st)
{
    (void)w;
    note(st == ST_IO ? 'x' : '?');
}

static void note_event(struct loop_fd *lfd, unsigned events)
{
    char byte;

    ck_assert_uint_eq(events, LOOP_READ);
    ck_assert_int_eq(recv(lfd->fd, &byte, 1, 0), 1);
    note('e');
}

START_TEST(test_loop_turn_has_its_order)
{
    struct loop *loop = open_loop();
    struct task task = {.fn = note_task};
    struct timer timer;
    struct loop_hook batch = {.fn = note_batch}, flush = {.fn = note_flush};
    struct loop_gate_watcher watcher = {.risen = note_risen, .failed = note_failed};
    int fds[2];

    order[0] = '\0';
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct loop_fd lfd = {.fd = fds[0], .want = LOOP_READ, .ready = note_event};
    ck_assert_int_eq(loop_watch(loop, &lfd, NULL), ST_OK);
    ck_assert_int_eq(send(fds[1], "x", 1, 0), 1);
    loop_hook_add(loop, LOOP_FLUSH, &flush);
    loop_hook_add(loop, LOOP_BATCH, &batch);
    loop_gate_add(loop, &watcher);
    loop_set_watermark(loop, 5);
    loop_post(loop, &task);
    timer_init(&timer, note_timer);
    timer_set(loop_wheel(loop), &timer, 1);
    usleep(3000);
    loop_turn(loop, 0);
    ck_assert_str_eq(order, "etwbgf");

    order[0] = '\0';
    loop_gate_fail(loop, ST_IO);
    loop_gate_fail(loop, ST_POISONED); /* the first reason stays */
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    ck_assert_str_eq(order, "bxfbf");
    ck_assert_int_eq(loop_gate_failed(loop), ST_IO);

    loop_gate_remove(&watcher);
    loop_hook_remove(&batch);
    loop_hook_remove(&flush);
    loop_unwatch(loop, &lfd);
    loop_close(loop);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

struct pair {
    struct loop_fd lfd;
    struct loop *loop;
    struct pair *other;
};

/* Whoever comes first sends the other away. */
static void unwatch_other(struct loop_fd *lfd, unsigned events)
{
    struct pair *pair = container_of(lfd, struct pair, lfd);

    (void)events;
    note('1');
    loop_unwatch(pair->loop, &pair->other->lfd);
    loop_unwatch(pair->loop, &pair->lfd);
}

START_TEST(test_loop_unwatch_takes_back_fetched_events)
{
    struct loop *loop = open_loop();
    int fds[2];

    order[0] = '\0';
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct pair a = {.lfd = {.fd = fds[0], .want = LOOP_WRITE, .ready = unwatch_other}};
    struct pair b = {.lfd = {.fd = fds[1], .want = LOOP_WRITE, .ready = unwatch_other}};
    a.loop = b.loop = loop;
    a.other = &b;
    b.other = &a;
    ck_assert_int_eq(loop_watch(loop, &a.lfd, NULL), ST_OK);
    ck_assert_int_eq(loop_watch(loop, &b.lfd, NULL), ST_OK);
    loop_turn(loop, 0);
    ck_assert_str_eq(order, "1");
    loop_close(loop);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* ---- The gate ----------------------------------------------------------------------- */

struct waiter {
    struct loop_gate_watcher watcher;
    struct loop *loop;
    _Atomic uint64_t gate;
    _Atomic uint64_t seen;
};

static void see(struct loop_gate_watcher *watcher, uint64_t number)
{
    struct waiter *w = container_of(watcher, struct waiter, watcher);

    atomic_store(&w->seen, number);
    if (number == 2000) loop_stop(w->loop);
}

START_TEST(test_loop_gate_wakes_a_sleeping_loop_each_time)
{
    struct waiter w = {.watcher = {.risen = see, .failed = note_failed}};

    w.loop = open_loop();
    loop_set_gate(w.loop, &w.gate);
    loop_gate_add(w.loop, &w.watcher);
    loop_gate_waiting(w.loop, true);
    ck_assert_int_eq(loop_start(w.loop, NULL), ST_OK);
    for (uint64_t n = 1; n <= 2000; n++) {
        atomic_store_explicit(&w.gate, n, memory_order_release);
        loop_gate_wake(w.loop);
        /* A lost wake-up ends here, by the test's deadline. */
        while (atomic_load(&w.seen) != n) thread_relax();
    }
    loop_join(w.loop);
    loop_gate_remove(&w.watcher);
    loop_close(w.loop);
}
END_TEST

Suite *suite_loop(void)
{
    Suite *suite = suite_create("loop");
    TCase *tc = tcase_create("loop");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_loop_receives_all_messages_of_each_sender_in_order);
    tcase_add_test(tc, test_loop_close_runs_what_is_left);
    tcase_add_test(tc, test_loop_turn_has_its_order);
    tcase_add_test(tc, test_loop_unwatch_takes_back_fetched_events);
    tcase_add_test(tc, test_loop_gate_wakes_a_sleeping_loop_each_time);
    suite_add_tcase(suite, tc);
    return suite;
}
