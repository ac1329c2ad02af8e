/* Pins and captures. See view.h, and architecture section 7 for why it is exact.
 *
 * In short: the owner stores a root only after it has written a journal row for the
 * first store of the epoch, whenever a view is capturing. A worker that loads a root
 * stored after its view's pin therefore finds a row for it, and the first row of an
 * ordinal behind the view's place in the journal holds the root as it was at the pin.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/sync_point.h"
#include "engine/budget.h"
#include "engine/db_priv.h"
#include "engine/view_priv.h"

struct view *view_pin(struct db *db)
{
    struct cell *cell = db_cell(db);
    ASSERT(write_idle(cell) && !cell->delete_open);
    struct view *view = mem_try_zero(sizeof(*view));
    if (!view) return NULL;

    view->cell = cell;
    view->manifest = cell->manifest;
    manifest_ref(view->manifest);
    cell_hold(cell, &view->hold);
    list_init(&view->resolved.link);
    view->n_births = registry_n_births(cell->registry);
    view->journal_from = segvec_len(&cell->journal.rows);
    view->capturing = true;
    view->pinned = clock_mono(db_clock(db));
    view->now = db_now(db);
    view->window = db_window(db);
    list_push(&cell->views, &view->link);
    cell->n_capturing++;
    cell->stats.n_views++;
    return view;
}

static void end_capture(struct view *view)
{
    struct cell *cell = view->cell;
    if (!view->capturing) return;
    view->capturing = false;
    if (--cell->n_capturing == 0) segvec_publish(&cell->journal.rows, 0);
}

void view_unpin(struct view *view)
{
    struct cell *cell = view->cell;
    end_capture(view);
    list_remove(&view->link);
    cell_unhold(&view->hold);
    cell_unhold(&view->resolved);
    manifest_unref(view->manifest);
    mem_free(view);
    flush_step(cell); /* unlinking may have waited for this view */
    cell_collect(cell);
}

void view_limit_retired(struct cell *cell)
{
    enum { GRACE_NS = 1000 * 1000 * 1000 };
    uint64_t limit = db_options(cell->db)->memory_limit;
    if (!limit || list_empty(&cell->views)) return;
    bool much = cell->retire.n_bytes > budget_retired_max(limit);
    bool blocks = cell->short_since && flush_waits_for_views(cell);
    struct view *view = container_of(cell->views.next, struct view, link);
    if ((!much && !blocks) || atomic_load_explicit(&view->cancelled, memory_order_relaxed)) return;
    if (clock_mono(db_clock(cell->db)) - view->pinned < GRACE_NS) return;
    atomic_store_explicit(&view->cancelled, true, memory_order_relaxed);
    cell->stats.n_views_cancelled++;
    log_warn("view", "ended: it held back memory that is needed", "retired=%zu",
             cell->retire.n_bytes);
}

void view_journal_lost(struct cell *cell)
{
    list_each(at, &cell->views) {
        struct view *view = container_of(at, struct view, link);
        if (view->capturing)
            atomic_store_explicit(&view->overflow, true, memory_order_relaxed);
    }
    cell->stats.n_view_retries++;
}

/* --- the worker's way to the owner ---------------------------------------------- */

static void answer_pin(struct pin_wait *wait)
{
    struct cell *cell = wait->cell;
    struct view *view = cell->closing ? NULL : view_pin(cell->db);
    status st = cell->closing ? ST_CLOSED : view ? ST_OK : ST_NO_MEMORY;
    if (view && wait->since) cell_hold_since(cell, &view->resolved, wait->since);

    mutex_lock(&wait->lock);
    wait->view = view;
    wait->st = st;
    wait->done = true;
    cond_signal(&wait->cond);
    mutex_unlock(&wait->lock);
}

void view_serve_pins(struct cell *cell)
{
    struct list *at;
    if (cell->delete_open && !cell->closing) return; /* its end comes by */
    while ((at = list_pop(&cell->pins))) answer_pin(container_of(at, struct pin_wait, link));
}

static void pin_on_owner(struct task *task)
{
    struct pin_wait *wait = container_of(task, struct pin_wait, task);
    struct cell *cell = wait->cell;
    if ((!write_idle(cell) || cell->delete_open) && !cell->closing) {
        if (db_threaded(cell->db)) {
            list_push(&cell->pins, &wait->link);
            return;
        }
        write_finish_batch(cell); /* the only thread there is: nobody else could */
        delete_finish(cell);
    }
    answer_pin(wait);
}

static status pin(struct db *db, uint64_t since, struct view **out, struct err *err)
{
    struct pin_wait wait = {
        .cell = db_cell(db), .task = {.fn = pin_on_owner}, .since = since};
    list_init(&wait.link);
    list_init(&wait.task.link);
    mutex_init(&wait.lock, LOCK_LEAF);
    cond_init(&wait.cond);

    exec_call_owner(db_exec(db), &wait.task);
    mutex_lock(&wait.lock);
    while (!wait.done) cond_wait(&wait.cond, &wait.lock);
    mutex_unlock(&wait.lock);
    cond_release(&wait.cond);
    mutex_release(&wait.lock);
    if (wait.st != ST_OK) return err_set(err, wait.st, "pin: %s", status_text(wait.st));
    *out = wait.view;
    return ST_OK;
}

status db_pin(struct db *db, struct view **out, struct err *err)
{
    return pin(db, 0, out, err);
}

status db_pin_found(struct db *db, int reader, struct view **out, struct err *err)
{
    return pin(db, reader_since(&db_cell(db)->retire, reader), out, err);
}

static void unpin_on_owner(struct task *task)
{
    view_unpin(container_of(task, struct view, unpin_task));
}

void db_unpin(struct db *db, struct view *view)
{
    view->unpin_task.fn = unpin_on_owner;
    exec_to_owner(db_exec(db), &view->unpin_task);
}

uint64_t view_births(const struct view *view)
{
    return view->n_births;
}

ts_time view_now(const struct view *view)
{
    return view->now;
}

struct registry *view_registry(struct view *view)
{
    return view->cell->registry;
}

/* --- capture -------------------------------------------------------------------- */

static void captured_on_owner(struct task *task)
{
    end_capture(container_of(task, struct view, captured_task));
}

/* The entry with this ordinal, or NULL. */
static struct captured *find_captured(struct captured *series, size_t n, uint64_t ordinal)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (series[mid].ordinal < ordinal)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && series[low].ordinal == ordinal ? &series[low] : NULL;
}

static status apply_journal(struct view *view, struct captured *series, size_t n)
{
    struct journal *journal = &view->cell->journal;
    size_t n_rows = segvec_len(&journal->rows);
    if (n_rows <= view->journal_from) return ST_OK;

    uint8_t *seen = mem_try_zero(n);
    if (!seen) return ST_NO_MEMORY;
    for (size_t i = view->journal_from; i < n_rows; i++) {
        const struct journal_row *row = segvec_at(&journal->rows, i);
        struct captured *at = find_captured(series, n, row->ordinal);
        if (!at || seen[at - series]) continue;
        seen[at - series] = 1;
        at->root = row->root;
    }
    mem_free(seen);
    return ST_OK;
}

status view_capture(struct view *view, struct captured *series, size_t n, struct err *err)
{
    struct cell *cell = view->cell;
    size_t n_heads = segvec_len(&cell->heads);
    TRY(view_alive(view, err));
    for (size_t i = 0; i < n; i++) {
        DASSERT(i == 0 || series[i - 1].ordinal < series[i].ordinal);
        series[i].root =
            series[i].ordinal < n_heads ? head_root(cell_head(cell, series[i].ordinal)) : 0;
    }
    SYNC_POINT("view:between-roots-and-journal");
    status st = apply_journal(view, series, n);
    if (st != ST_OK) return err_set(err, st, "capturing %zu series", n);
    if (atomic_load_explicit(&view->overflow, memory_order_acquire))
        return err_set(err, ST_AGAIN, "the journal overflowed while capturing");

    view->captured_task.fn = captured_on_owner;
    exec_to_owner(db_exec(cell->db), &view->captured_task);
    return ST_OK;
}
