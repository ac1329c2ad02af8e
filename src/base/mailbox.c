/* See mailbox.h. The chain is a stack, so newest first; the reader turns what it took
 * around and keeps it in `ready` until it has run. There is no ABA problem: nobody
 * pops single elements from the shared chain. */
#include "base/mailbox.h"

#include "base/panic.h"

void mailbox_init(struct mailbox *box, void (*wake)(void *ctx), void *ctx)
{
    atomic_store_explicit(&box->newest, NULL, memory_order_relaxed);
    box->ready = NULL;
    box->wake = wake;
    box->wake_ctx = ctx;
}

void mailbox_push(struct mailbox *box, struct task *task)
{
    /* The reader may run and free the task as soon as it is in, and the mailbox may
     * go with its reader's last task: only what was read before is used after. */
    void (*wake)(void *ctx) = box->wake;
    void *wake_ctx = box->wake_ctx;
    struct list *newest = atomic_load_explicit(&box->newest, memory_order_relaxed);

    do task->link.next = newest;
    while (!atomic_compare_exchange_weak_explicit(&box->newest, &newest, &task->link,
                                                  memory_order_release, memory_order_relaxed));
    if (!newest && wake) wake(wake_ctx);
}

static struct list *turn_around(struct list *newest)
{
    struct list *oldest = NULL;
    while (newest) {
        struct list *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

struct task *mailbox_take(struct mailbox *box)
{
    if (!box->ready)
        box->ready =
            turn_around(atomic_exchange_explicit(&box->newest, NULL, memory_order_acquire));
    if (!box->ready) return NULL;

    struct task *task = container_of(box->ready, struct task, link);
    box->ready = box->ready->next;
    list_init(&task->link);
    return task;
}

size_t mailbox_drain(struct mailbox *box, size_t n_max)
{
    size_t n = 0;
    for (struct task *task; n < n_max && (task = mailbox_take(box)) != NULL; n++)
        task->fn(task);
    return n;
}

bool mailbox_empty(const struct mailbox *box)
{
    return !box->ready && !atomic_load_explicit(&box->newest, memory_order_relaxed);
}
