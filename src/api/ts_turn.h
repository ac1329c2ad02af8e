/* A batch belongs to a loop's turn (architecture 4): all TS.ADD, TS.MADD and TS.CREATE
 * that are ready in one turn of a loop become one batch, one WAL frame and one
 * acknowledgement, with a reply for each command.
 *
 *     ts_turn_begin(call)      the turn's batch; add series and rows to it
 *     ts_turn_end(call, ...)   the command waits; answer() is called with its part
 *     ts_turn_read(call, fn)   a read that must see this connection's earlier writes
 *
 * A batch may have to wait for values that its duplicate policies ask for, and batches of
 * other connections pass it meanwhile. Requests of one connection keep their order all the
 * same: a connection is paused while a batch with a command of it is on its way.
 *
 * The loop's thread only.
 */
#ifndef TSINK_API_TS_TURN_H
#define TSINK_API_TS_TURN_H

#include "api/call.h"
#include "model/batch.h"

struct ts_turns;

/* One for each loop of the app. NULL when memory is refused. */
struct ts_turns *ts_turns_new(struct app *app);
void ts_turns_free(struct ts_turns *turns); /* loops stopped, nothing waits */

/* What a command put into the batch. */
struct ts_part {
    size_t first_series, n_series;
    size_t first_row, n_rows;
    void (*answer)(struct call *call, const struct batch *batch, const struct ts_part *part);
    /* After answer(); true: it ends the call itself, some time later. NULL: nothing. */
    bool (*follow)(struct call *call, const struct batch *batch, const struct ts_part *part);
};

/* The batch of this loop's turn; NULL when memory is refused. */
struct batch *ts_turn_begin(struct call *call);

/* Undoes what a command put into the batch after the part began, when it fails. */
void ts_turn_cancel(struct call *call, const struct ts_part *part);

/* The command is in the batch from part->first_series and first_row to the end. After
 * TRY(call_later(call)). answer() writes the reply; the call is then ended at the lsn of
 * the batch. */
void ts_turn_end(struct call *call, struct ts_part *part);

/* Runs fn(call) once every write of this loop that came before has been applied: at once
 * when nothing waits. fn ends the call, which has been made call_later(). */
void ts_turn_read(struct call *call, void (*fn)(struct call *call));

/* call_on_owner() after every write of this loop that came before: for commands that look
 * at series, or change them, on the owner's loop. */
CHECKED status ts_turn_on_owner(struct call *call, status (*fn)(struct call *call,
                                                                struct reply *reply));

/* Sends what this turn holds; whether no write of this loop is on its way any more, so
 * that a read may be answered at once. */
bool ts_turn_idle(struct call *call);

/* --- keys that somebody waits for: owner --------------------------------------------- */

struct ts_watch {
    struct list link;          /* initialised by the caller */
    struct slice key;          /* lives as long as the watch */
    uint64_t id;               /* of the series; 0: there was none */
    uint64_t mark;             /* db_mark() before the last look */
    bool over;                 /* the server stops */
    /* The series was touched since the mark, is there, or is gone; or the server stops. The
     * watch has been taken off. */
    void (*changed)(struct ts_watch *watch, bool stopping);
};

/* changed() may be called at once. */
void ts_watch_add(struct app *app, struct ts_watch *watch);
bool ts_watch_remove(struct ts_watch *watch); /* false: it was off already */

#endif
