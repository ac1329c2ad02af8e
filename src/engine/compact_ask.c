/* Compactions that somebody waits for. See compact.h.
 *
 * Whoever asks stands in a list; while it is not empty, compactions begin one after the
 * other, with a policy that leaves nothing of what is asked for. One that finds nothing to
 * do answers those who stood there when it began, because what they asked for was in its
 * manifest; one that fails answers them with why.
 */
#include "base/mem.h"
#include "engine/compact_priv.h"

struct compact_waiter {
    struct list link;          /* of cell->compact_waiters */
    bool all;                  /* down to the last level; else what deletes hide alone */
    void (*done)(void *ctx, status st);
    void *ctx;
};

static void ask(struct db *db, bool all, void (*done)(void *ctx, status st), void *ctx)
{
    struct cell *cell = db_cell(db);
    if (cell->closing) {
        done(ctx, ST_CLOSED);
        return;
    }
    struct compact_waiter *wait = mem_alloc(sizeof(*wait));
    *wait = (struct compact_waiter){.all = all, .done = done, .ctx = ctx};
    list_push(&cell->compact_waiters, &wait->link);
    compact_step(cell);
}

void db_compact(struct db *db, void (*done)(void *ctx, status st), void *ctx)
{
    ask(db, true, done, ctx);
}

void db_clean_deletes(struct db *db, void (*done)(void *ctx, status st), void *ctx)
{
    ask(db, false, done, ctx);
}

size_t compact_asked(const struct cell *cell, struct compact_policy *policy)
{
    size_t n = 0;
    list_each(at, &cell->compact_waiters) {
        n++;
        policy->all_hidden = true;
        if (container_of(at, struct compact_waiter, link)->all) policy->all_down = true;
    }
    if (policy->all_down) policy->trigger = 2;
    return n;
}

void compact_answer(struct cell *cell, size_t n, status st)
{
    while (n-- > 0 && !list_empty(&cell->compact_waiters)) {
        struct compact_waiter *wait =
            container_of(list_pop(&cell->compact_waiters), struct compact_waiter, link);
        wait->done(wait->ctx, st);
        mem_free(wait);
    }
}
