/* Goal: every task runs once, those of one sender in order, and a reader that sleeps
 * until woken misses none. Method: one thread first; then several senders against a
 * reader on a condition variable. */
#include "base/mailbox.h"

#include "base/panic.h"
#include "base/thread.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

struct note {
    struct task task;
    int sender, number;
    bool ran;
    struct mailbox *box;
    struct note *sends; /* from its fn */
};

static struct {
    int n_woken;
    int last[8]; /* of each sender */
    int n_run;
} seen;

static void count_wake(void *ctx)
{
    (void)ctx;
    seen.n_woken++;
}

static void run_note(struct task *task)
{
    struct note *note = container_of(task, struct note, task);
    if (note->ran || note->number != seen.last[note->sender] + 1) PANIC("out of order");
    note->ran = true;
    seen.last[note->sender] = note->number;
    seen.n_run++;
    if (note->sends) mailbox_push(note->box, &note->sends->task);
}

START_TEST(test_order_and_wake)
{
    struct note notes[6];
    struct mailbox box;

    mailbox_init(&box, count_wake, NULL);
    for (int i = 0; i < 6; i++) notes[i] = (struct note){.task = {.fn = run_note}, .number = i + 1};
    ck_assert(mailbox_empty(&box));
    ck_assert_ptr_null(mailbox_take(&box));
    ck_assert_uint_eq(mailbox_drain(&box, 10), 0);

    for (int i = 0; i < 3; i++) mailbox_push(&box, &notes[i].task);
    ck_assert_int_eq(seen.n_woken, 1); /* only the first found it empty */
    ck_assert(!mailbox_empty(&box));
    ck_assert_uint_eq(mailbox_drain(&box, 2), 2);
    mailbox_push(&box, &notes[3].task);
    ck_assert(!mailbox_empty(&box));
    ck_assert_ptr_eq(mailbox_take(&box), &notes[2].task);
    run_note(&notes[2].task);
    notes[3].box = &box;
    notes[3].sends = &notes[4]; /* pushed while draining: the same drain runs it */
    ck_assert_uint_eq(mailbox_drain(&box, 10), 2);
    ck_assert(mailbox_empty(&box));
    int woken = seen.n_woken;
    mailbox_push(&box, &notes[5].task);
    ck_assert_int_eq(seen.n_woken, woken + 1);
    ck_assert_uint_eq(mailbox_drain(&box, 1), 1);
    ck_assert_int_eq(seen.n_run, 6);
}
END_TEST

enum { N_SENDERS = 3, N_NOTES = 10000 };

struct reading {
    struct mailbox box;
    struct mutex mutex;
    struct cond cond;
    bool woken;
    struct note *notes[N_SENDERS];
};

static void wake_reader(void *ctx)
{
    struct reading *r = ctx;
    mutex_lock(&r->mutex);
    r->woken = true;
    cond_signal(&r->cond);
    mutex_unlock(&r->mutex);
}

struct sender {
    struct reading *reading;
    int idx;
};

static void send_all(void *ctx)
{
    struct sender *s = ctx;
    for (int i = 0; i < N_NOTES; i++)
        mailbox_push(&s->reading->box, &s->reading->notes[s->idx][i].task);
}

START_TEST(test_many_senders_one_sleeping_reader)
{
    static struct reading r;
    struct sender senders[N_SENDERS];
    struct thread threads[N_SENDERS];

    mutex_init(&r.mutex, LOCK_LEAF);
    cond_init(&r.cond);
    mailbox_init(&r.box, wake_reader, &r);
    for (int s = 0; s < N_SENDERS; s++) {
        r.notes[s] = calloc(N_NOTES, sizeof(struct note));
        for (int i = 0; i < N_NOTES; i++)
            r.notes[s][i] =
                (struct note){.task = {.fn = run_note}, .sender = s, .number = i + 1};
        senders[s] = (struct sender){&r, s};
        ck_assert_int_eq(thread_start(&threads[s], "sender", send_all, &senders[s], NULL), ST_OK);
    }
    while (seen.n_run < N_SENDERS * N_NOTES) {
        mutex_lock(&r.mutex);
        mono_ns deadline = clock_mono(clock_system()) + INT64_C(20000000000);
        while (!r.woken) ck_assert(cond_wait_until(&r.cond, &r.mutex, deadline));
        r.woken = false;
        mutex_unlock(&r.mutex);
        while (mailbox_drain(&r.box, 64) == 64) {
        }
    }
    for (int s = 0; s < N_SENDERS; s++) {
        thread_join(&threads[s]);
        ck_assert_int_eq(seen.last[s], N_NOTES);
        free(r.notes[s]);
    }
    ck_assert(mailbox_empty(&r.box));
    cond_release(&r.cond);
    mutex_release(&r.mutex);
}
END_TEST

Suite *suite_mailbox(void)
{
    Suite *suite = suite_create("mailbox");
    TCase *tc = tcase_create("mailbox");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_order_and_wake);
    tcase_add_test(tc, test_many_senders_one_sleeping_reader);
    suite_add_tcase(suite, tc);
    return suite;
}
