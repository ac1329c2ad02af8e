/* The body of a view, for the engine's own files. */
#ifndef TSINK_ENGINE_VIEW_PRIV_H
#define TSINK_ENGINE_VIEW_PRIV_H

#include "base/thread.h"
#include "engine/cell_priv.h"
#include "engine/view.h"

struct view {
    struct list link;          /* of cell->views */
    struct cell *cell;
    struct manifest *manifest; /* referenced */
    struct epoch_hold hold;
    struct epoch_hold resolved; /* since the reader that the pin came from; or empty */
    uint64_t n_births;
    _Atomic bool overflow;     /* set by the owner while capturing: the journal lost a row */
    _Atomic bool cancelled;    /* set by the owner: it held back too much memory */
    mono_ns pinned;
    size_t journal_from;
    bool capturing;            /* owner */
    ts_time now;
    struct time_window window; /* of series without a key */
    struct task captured_task, unpin_task;
};

/* A worker that waits for a pin; lives on its stack. */
struct pin_wait {
    struct list link;          /* of cell->pins while a batch is half applied */
    struct cell *cell;
    struct task task;
    uint64_t since;            /* the epoch of the reader that waits; 0: none */
    struct view *view;
    status st;
    bool done;                 /* under lock */
    struct mutex lock;
    struct cond cond;
};

/* Owner: the journal found no room for a row; whoever is capturing must start again. */
void view_journal_lost(struct cell *cell);

/* Owner: ends the oldest view when what it holds back is over budget_retired_max(), or
 * when a flush cannot give memory back because of it and memory is short. Views younger
 * than a second are let be: what they hold back was retired just now. */
void view_limit_retired(struct cell *cell);

/* Serves the pins that wait; called between batches and at close. */
void view_serve_pins(struct cell *cell);

/* Takes what has expired out of the range of a read. */
CHECKED status view_clip_range(struct view *view, const struct captured *series,
                               const struct series_entry *entry, struct time_range *range,
                               struct err *err);

/* Any thread. ST_LIMIT after view_limit_retired() took the view. */
CHECKED static inline status view_alive(const struct view *view, struct err *err)
{
    if (!atomic_load_explicit(&view->cancelled, memory_order_relaxed)) return ST_OK;
    return err_set(err, ST_LIMIT, "the read went on while memory-limit needed what it held back");
}

/* Whether samples of this node are in the view (no flush took it before the view). */
static inline bool view_has_node(const struct view *view, const struct node *node)
{
    const _Atomic uint64_t *version = view->cell->marks.version;
    uint8_t mark = node_flush(node);
    return !mark ||
           atomic_load_explicit(&version[mark], memory_order_acquire) > view->manifest->version;
}

#endif
