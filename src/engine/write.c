/* The write path: batches in, one after the other, a slice at a time.
 *
 * The pump runs until its step is over (OWNER_STEP_NS), then posts itself. A batch that
 * does not fit a slice is applied over several steps as one run of frames, and nothing
 * that needs a consistent state (pins, cuts of a flush) comes between its slices, nor
 * between its survey and its first slice. When the WAL or the encoders have no room the
 * pump stops; write_wake() starts it again. The same goes for a batch that waits for memory
 * (write_admit.c): those behind it wait too, reads do not.
 */
#include <sched.h>

#include "base/mem.h"
#include "engine/db_priv.h"
#include "engine/snapshot.h"
#include "engine/view_priv.h"
#include "engine/write_priv.h"

enum slice_end { SLICE_DONE, SLICE_MORE, SLICE_PARKED };

/* --- refuse ---------------------------------------------------------------------- */

void write_refuse(struct batch *batch, status st)
{
    batch->st = st;
    for (size_t i = 0; i < batch->n_rows; i++)
        if (batch->result[i] == ST_OK) batch->result[i] = (uint8_t)st;
    for (size_t i = 0; i < batch->n_series; i++)
        if (batch->series[i].st == ST_OK) batch->series[i].st = st;
}

/* --- one slice ------------------------------------------------------------------- */

static size_t made_bound(const struct batch_series *series)
{
    return WAL_SERIES_BYTES + ATTRS_BYTES + (series->name ? series->name->identity.len : 0);
}

/* The bounds of the rows and definitions that the next slice would hold. Returns the row
 * after the last of them. */
static size_t measure(const struct cell *cell, const struct batch *batch, size_t *made_bytes,
                      size_t *row_bytes, size_t *n_series)
{
    size_t max = wal_payload_max(cell->wal) / 2, idx = batch->at;
    size_t besides = write_may_start(cell, batch) ? write_starts_bytes(batch) : 0;
    uint32_t prev = UINT32_MAX;
    *made_bytes = *row_bytes = *n_series = 0;
    for (; idx < batch->n_rows && idx - batch->at < WRITE_SLICE_ROWS; idx++) {
        const struct batch_series *series = &batch->series[batch->row_series[idx]];
        if (batch->result[idx] != ST_OK) continue; /* refused by the decoder: no value */
        size_t made = besides;
        size_t row = type_is_blob(series->type) ? write_row_bytes(batch, idx) : WAL_ROW_BYTES;
        if (batch->row_series[idx] != prev) {
            if (series->name) made += made_bound(series); /* without one none can be made */
            if (++*n_series > WRITE_SLICE_SERIES && series->ordinal == ORDINAL_NONE) break;
        }
        prev = batch->row_series[idx];
        if (idx > batch->at && *made_bytes + *row_bytes + made + row > max) break;
        *made_bytes += made;
        *row_bytes += row;
    }
    return idx;
}

/* What nearly every row is: a number for a series that was probed, newer than all it has.
 * No policy has a say in that, so the row goes through no phase but apply. Of a batch that
 * may_be_plain(). False: it is something else, and nothing was done. */
static inline bool plain_row(struct cell *cell, struct batch *batch, size_t idx, size_t n_heads,
                             struct write_slice *slice)
{
    struct batch_series *series = &batch->series[batch->row_series[idx]];
    if (series->ordinal >= n_heads || series->name || series->make == MAKE_REQUIRED) return false;
    const struct head *head = cell_head(cell, series->ordinal);
    const uint8_t look = HEAD_BORN | HEAD_HAS_LAST | HEAD_UNKNOWN;
    ts_time ts = batch->ts[idx];
    if (head->gen != series->gen || (head->flags & look) != (HEAD_BORN | HEAD_HAS_LAST) ||
        head->type != series->type || type_is_blob(head->type) || ts <= head->last_ts ||
        (batch->result[idx] | series->st) != ST_OK)
        return false;
    struct wal_row *row = &slice->rows[slice->n_rows++];
    row->id = head->id;
    row->ts = ts;
    row->bits = batch->val[idx].bits;
    row->type = head->type;
    slice->row_bytes += WAL_ROW_BYTES;
    series->resolved = true;
    head_append(cell, series->ordinal, ts, batch->val[idx]);
    return true;
}

/* Whether rows of the batch need no more than plain_row() looks at: none asks for an older
 * value, or for what its neighbours stored. */
static bool may_be_plain(const struct batch *batch)
{
    const struct write_state *state = write_state(batch);
    return !batch->want_applied && !state->tangled && state->needs.len == 0;
}

/* A series that may have to be made: what names it was written by another thread, and its
 * places in the identity table are two misses that would come one after the other. */
static void prefetch_name(const struct cell *cell, const struct batch_series *series)
{
    const struct batch_name *name = series->name;
    if (!name) return;
    identity_prefetch(registry_identity(cell->registry),
                      labels_hash_as(name->hash, (enum value_type)series->type));
    if (name->raw_hash.lo | name->raw_hash.hi)
        identity_prefetch(registry_identity(cell->registry), name->raw_hash);
    __builtin_prefetch(name->labels.ptr);
    __builtin_prefetch(name->identity.ptr);
}

/* Two lines of memory stand between a row and its slot, and the second hangs from the
 * first: the head is asked for long before the row's turn, its newest node half way. The
 * next slice's rows among them. */
static void prefetch(const struct cell *cell, const struct batch *batch, size_t idx)
{
    enum { HEAD_AHEAD = 16, NODE_AHEAD = 8 };
    size_t n_heads = segvec_len(&cell->heads);
    if (idx + HEAD_AHEAD < batch->n_rows) {
        const struct batch_series *far = &batch->series[batch->row_series[idx + HEAD_AHEAD]];
        if (far->ordinal < n_heads) __builtin_prefetch(cell_head(cell, far->ordinal), 1);
        else __builtin_prefetch(far->name);
    }
    if (idx + NODE_AHEAD >= batch->n_rows) return;
    const struct batch_series *near = &batch->series[batch->row_series[idx + NODE_AHEAD]];
    if (near->ordinal < n_heads) head_prefetch(cell_head(cell, near->ordinal));
    else prefetch_name(cell, near);
}

/* Any row. Whether its value is now that of the series at its time. */
static bool slice_row(struct cell *cell, struct batch *batch, size_t idx,
                      struct write_slice *slice)
{
    struct batch_series *series = &batch->series[batch->row_series[idx]];
    struct slice_row row;
    if (batch->result[idx] != ST_OK) return false; /* refused by the decoder */
    if (series->st == ST_OK && !series->resolved) {
        series->resolved = true;
        write_resolve(cell, batch, series, slice);
    }
    if (series->st != ST_OK) {
        batch->result[idx] = (uint8_t)series->st;
        return false;
    }
    struct older_value scratch;
    const struct older_value *older = write_older(batch, idx, &scratch);
    if (write_decide(cell, batch, idx, older, &row) != VERDICT_STORE)
        return batch->result[idx] == ST_OK &&
               write_policy(batch, idx, cell_head(cell, series->ordinal)) == DUP_LAST;
    write_apply(cell, slice, &row);
    write_note_stored(batch, idx, &row);
    return true;
}

/* The rows up to end, some of which have start timestamps. */
static void slice_started(struct cell *cell, struct batch *batch, size_t end, bool plain,
                          struct write_slice *slice)
{
    size_t n_heads = segvec_len(&cell->heads), at = batch_first_start(batch, batch->at);
    for (size_t idx = batch->at; idx < end; idx++) {
        ts_time start = START_NONE;
        if (at < batch->n_starts && batch->starts[at].row == idx) start = batch->starts[at++].start;
        prefetch(cell, batch, idx);
        bool newest = plain && plain_row(cell, batch, idx, n_heads, slice);
        if (!newest && !slice_row(cell, batch, idx, slice)) continue;
        if (newest && start == START_NONE) continue;
        uint32_t ordinal = batch->series[batch->row_series[idx]].ordinal;
        if (start != START_NONE || cell_head(cell, ordinal)->started)
            write_put_start(cell, batch, ordinal, batch->ts[idx], start, slice);
    }
}

/* The same of a batch without any; but some of its series may have had them. */
static void slice_plain(struct cell *cell, struct batch *batch, size_t end, bool plain,
                        struct write_slice *slice)
{
    size_t n_heads = segvec_len(&cell->heads);
    for (size_t idx = batch->at; idx < end; idx++) {
        prefetch(cell, batch, idx);
        if (plain && plain_row(cell, batch, idx, n_heads, slice)) continue;
        if (!slice_row(cell, batch, idx, slice)) continue;
        uint32_t ordinal = batch->series[batch->row_series[idx]].ordinal;
        if (unlikely(cell_head(cell, ordinal)->started))
            write_put_start(cell, batch, ordinal, batch->ts[idx], START_NONE, slice);
    }
}

static void slice_clear(struct write_slice *slice)
{
    slice->n_rows = slice->n_made = slice->made_bytes = slice->row_bytes = 0;
    slice->n_starts = slice->n_companions = 0;
}

static bool is_rowless(const struct batch_series *series)
{
    return series->n_rows == 0 && series->st == ST_OK && !series->resolved &&
           series->make != MAKE_NEVER; /* of exemplars alone */
}

/* Series that are to be made without a row: TS.CREATE. False: another slice is needed. */
static bool make_rowless(struct cell *cell, struct batch *batch, struct write_slice *slice,
                         size_t max_bytes)
{
    for (size_t i = 0; i < batch->n_series; i++) {
        struct batch_series *series = &batch->series[i];
        if (!is_rowless(series)) continue;
        if (made_bound(series) > wal_payload_max(cell->wal)) {
            series->st = ST_TOO_LARGE;
            continue;
        }
        if (slice->n_made == WRITE_SLICE_SERIES ||
            slice->made_bytes + made_bound(series) > max_bytes)
            return false;
        series->resolved = true;
        write_resolve(cell, batch, series, slice);
    }
    return true;
}

/* The bound of the definitions of as many of them as the slice can take besides. */
static size_t rowless_bytes(const struct cell *cell, const struct batch *batch, size_t used)
{
    size_t bytes = 0, n = 0, max = wal_payload_max(cell->wal);
    for (size_t i = 0; i < batch->n_series && n < WRITE_SLICE_SERIES; i++) {
        if (!is_rowless(&batch->series[i]) || made_bound(&batch->series[i]) > max) continue;
        if (used + bytes + made_bound(&batch->series[i]) > max) break;
        bytes += made_bound(&batch->series[i]);
        n++;
    }
    return bytes;
}

static enum slice_end write_one_slice(struct cell *cell, struct batch *batch, bool urgent)
{
    struct write_slice *slice = cell->slice;
    size_t made_bytes, row_bytes, n_series;
    size_t end = measure(cell, batch, &made_bytes, &row_bytes, &n_series);
    if (made_bytes + row_bytes > wal_payload_max(cell->wal)) {
        batch->result[batch->at] = ST_TOO_LARGE; /* one row that no frame can hold */
        end = batch->at + 1;
        made_bytes = row_bytes = 0;
    }
    bool last = end == batch->n_rows;
    size_t n_meta = 0, meta_bytes = last ? write_meta_measure(cell, batch, &n_meta) : 0;
    if (last) made_bytes += rowless_bytes(cell, batch, made_bytes + row_bytes);

    if ((encode_waiting(&cell->encode) > ENCODE_QUEUE_MAX && !urgent) ||
        !write_has_room(cell, made_bytes, row_bytes + meta_bytes))
        return SLICE_PARKED;
    size_t n_most = (end - batch->at) * (write_may_start(cell, batch) ? 2 : 1);
    if (head_reserve(cell, n_most) != ST_OK) {
        for (size_t i = batch->at; i < batch->n_rows; i++)
            if (batch->result[i] == ST_OK) batch->result[i] = ST_NO_MEMORY;
        end = batch->n_rows;
        last = true;
    }
    slice_clear(slice);
    if (batch->n_starts) slice_started(cell, batch, end, may_be_plain(batch), slice);
    else slice_plain(cell, batch, end, may_be_plain(batch), slice);
    bool all_made = !last || make_rowless(cell, batch, slice, made_bytes);
    write_commit(cell, batch, slice, last);
    batch->at = end;
    if (!last || !all_made) return SLICE_MORE;
    if (n_meta) write_meta(cell, batch, n_meta, meta_bytes);
    return write_meta_left(batch) ? SLICE_MORE : SLICE_DONE;
}

/* --- a batch --------------------------------------------------------------------- */

static void end_batch(struct cell *cell, struct batch *batch)
{
    struct write_state *state = write_state(batch);
    if (state) {
        write_let_go(cell, batch);
        vec_release(&state->needs);
        vec_release(&state->lookups);
        vec_release(&state->held);
        mem_free(state);
        batch->engine = NULL;
    }
    batch->done(batch);
}

/* The buckets that the batch closed or changed are there: now it is answered. */
static void buckets_made(struct rule_wait *wait)
{
    struct write_state *state = container_of(wait, struct write_state, wait);
    struct batch *batch = state->batch;
    if (wait->at > batch->durable_at) batch->durable_at = wait->at;
    end_batch(state->cell, batch);
}

void write_finish(struct cell *cell, struct batch *batch)
{
    struct write_state *state = write_state(batch);
    for (size_t i = 0; i < batch->n_rows; i++) {
        status st = (status)batch->result[i];
        if (st == ST_OK || st == ST_IGNORED) continue;
        batch->n_refused++;
        cell->stats.n_rows_refused++;
        cell->stats.refused_by[st < ARRAY_LEN(cell->stats.refused_by) ? st : ST_INTERNAL]++;
    }
    cell->stats.n_rows += batch->n_rows;
    cell->stats.n_batches++;
    /* An answer that says "this was there already" is as durable as what was there. */
    if (batch->durable_at == 0 || state->n_rounds) batch->durable_at = wal_head(cell->wal);
    if (state && state->phase == WRITE_APPLIES && state->marks != rules_marks(cell) &&
        rules_active(cell)) {
        write_let_go(cell, batch);
        list_init(&state->wait.link);
        state->cell = cell;
        state->batch = batch;
        state->wait.done = buckets_made;
        db_rules_wait(cell->db, &state->wait);
        return;
    }
    end_batch(cell, batch);
}

/* Nothing of the batch is applied, and a series died that it knows by a probe alone: it
 * goes back uncounted, for its sender decodes it once more. */
static bool comes_back(struct cell *cell, struct batch *batch)
{
    const struct write_state *state = write_state(batch);
    if (state && (batch->at > 0 || state->run)) return false;
    if (write_probes_hold(cell, batch)) return false;
    list_remove(&batch->link);
    end_batch(cell, batch);
    return true;
}

static void begin_batch(struct batch *batch)
{
    struct write_state *state = mem_zalloc(sizeof(*state));
    write_survey_reset(state);
    batch->engine = state;
    batch->at = 0;
}

static void step_wal_inline(struct cell *cell)
{
    if (cell->db->ports.wal_thread) return;
    while (wal_step(cell->wal)) {
    }
}

/* Refuses the rest of a batch that waits for room which will not come: the log has
 * failed, or the disk is full. What was applied of it ends its run; there is always
 * room for that (write_has_room). False when waiting makes sense. */
static bool give_up(struct cell *cell, struct batch *batch)
{
    struct write_slice *slice = cell->slice;
    status st = wal_failed(cell->wal, &batch->err) != ST_OK ? ST_POISONED : ST_OK;
    if (st == ST_OK && !wal_space_ok(cell->wal))
        st = err_set(&batch->err, ST_NO_SPACE, "disk full: no room in the WAL");
    if (st == ST_OK) return false;

    for (size_t i = batch->at; i < batch->n_rows; i++)
        if (batch->result[i] == ST_OK) batch->result[i] = (uint8_t)st;
    for (size_t i = 0; i < batch->n_series; i++)
        if (is_rowless(&batch->series[i])) batch->series[i].st = st;
    if (batch->at == 0) batch->st = st;
    slice_clear(slice);
    write_commit(cell, batch, slice, true);
    batch->at = batch->n_rows;
    cell->stats.n_meta_unlogged += write_meta_left(batch);
    return true;
}

/* Whether some row may ask for an older value: never so where every policy is `last`, as
 * it is for all that remote write brings. */
static bool needs_survey(const struct cell *cell, const struct batch *batch)
{
    if (!batch->deferrable) return false;
    if (batch->want_applied || cell->n_choosy || db_options(cell->db)->dup_policy != DUP_LAST)
        return true;
    uint8_t on_dup = 0;
    for (size_t i = 0; i < batch->n_rows; i++) on_dup |= batch->on_dup[i];
    if (on_dup != DUP_UNSET) return true;
    for (size_t i = 0; i < batch->n_series; i++) {
        const struct batch_name *name = batch->series[i].name;
        if (!name || name->labels.n == 0) continue; /* known: counted in n_choosy */
        if (name->attrs || labels_get(name->labels, SLICE_LIT(LABEL_KEY)).len) return true;
    }
    return false;
}

/* What comes before the first slice. True when the batch may be applied now; otherwise the
 * pump goes on, with this batch or with the next. */
static bool may_begin(struct cell *cell, struct batch *batch)
{
    struct write_state *state = write_state(batch);
    if (state->phase == WRITE_APPLIES) return true;
    if (state->phase == WRITE_WAITS && write_is_held(cell, batch)) {
        list_remove(&batch->link);
        list_push(&cell->held_back, &batch->link);
        return false;
    }
    state->marks = rules_marks(cell);
    if (state->phase == WRITE_WAITS && !needs_survey(cell, batch)) {
        state->phase = WRITE_APPLIES;
        return true;
    }
    if (state->phase == WRITE_WAITS) write_survey_reset(state);
    state->phase = WRITE_SURVEYS;
    switch (write_survey(cell, batch)) {
    case SURVEY_MORE: return false;
    case SURVEY_READY: state->phase = WRITE_APPLIES; return true;
    case SURVEY_LOOK_UP:
        list_remove(&batch->link);
        state->phase = WRITE_WAITS;
        write_defer(cell, batch);
        return false;
    case SURVEY_NO_MEMORY:
        write_refuse(batch, ST_NO_MEMORY);
        list_remove(&batch->link);
        write_finish(cell, batch);
        return false;
    }
    return false;
}

/* A batch of which nothing is applied yet lets others pass while it waits for room. */
static void step_back(struct batch *batch)
{
    struct write_state *state = write_state(batch);
    if (batch->at > 0 || state->run) return;
    state->phase = WRITE_WAITS;
    state->n_rounds = 0; /* nobody was faster: there was no room */
}

/* Goes on with the first batch by one slice; false when the pump must stop. urgent:
 * whatever waits for the encoders. */
static bool pump_once(struct cell *cell, struct batch *batch, bool urgent)
{
    if (comes_back(cell, batch)) return true;
    if (!batch->engine) begin_batch(batch);
    if (!write_state(batch)->admitted) {
        status st;
        if (!write_admit(cell, batch, &st)) return false;
        if (st != ST_OK) {
            write_refuse(batch, st);
            list_remove(&batch->link);
            write_finish(cell, batch);
            return true;
        }
        write_state(batch)->admitted = true;
    }
    if (!may_begin(cell, batch)) return true;
    enum slice_end end = write_one_slice(cell, batch, urgent);
    if (end == SLICE_PARKED && !cell->db->ports.wal_thread) {
        step_wal_inline(cell);
        end = write_one_slice(cell, batch, urgent);
    }
    if (end == SLICE_PARKED && !give_up(cell, batch)) {
        step_back(batch);
        return false;
    }
    wal_publish(cell->wal);
    if (end == SLICE_MORE) return true;

    list_remove(&batch->link);
    write_finish(cell, batch);
    return true;
}

bool write_idle(const struct cell *cell)
{
    if (list_empty(&cell->inbox)) return true;
    const struct batch *batch = container_of(cell->inbox.next, struct batch, link);
    return !batch->engine || write_state(batch)->phase == WRITE_WAITS;
}

void write_finish_batch(struct cell *cell)
{
    while (!write_idle(cell)) {
        if (!pump_once(cell, container_of(cell->inbox.next, struct batch, link), true))
            sched_yield(); /* the WAL thread makes room */
    }
}

static void between_batches(struct cell *cell)
{
    view_serve_pins(cell);
    snapshot_step(cell->db);
    flush_step(cell);
    registry_settle(cell->registry);
}

void write_pump(struct cell *cell)
{
    struct clock *clock = db_clock(cell->db);
    mono_ns start = clock_mono(clock);
    if (cell->pumping) return;
    cell->pumping = true;
    while (!list_empty(&cell->inbox)) {
        struct batch *batch = container_of(cell->inbox.next, struct batch, link);
        if (!pump_once(cell, batch, cell->closing)) break; /* write_wake() comes with room */
        if (write_idle(cell)) between_batches(cell);
        if (clock_mono(clock) - start > OWNER_STEP_NS && !list_empty(&cell->inbox)) {
            write_wake(cell);
            break;
        }
    }
    step_wal_inline(cell);
    encode_plan(cell);
    cell_collect(cell);
    cell->pumping = false;
}

static void pump_task(struct task *task)
{
    struct cell *cell = container_of(task, struct cell, pump_task);
    cell->pump_posted = false;
    write_pump(cell);
}

void write_wake(struct cell *cell)
{
    if (cell->pump_posted || list_empty(&cell->inbox)) return;
    cell->pump_posted = true;
    cell->pump_task.fn = pump_task;
    exec_to_owner(db_exec(cell->db), &cell->pump_task);
}

void write_enqueue(struct cell *cell, struct batch *batch)
{
    batch->engine = NULL;
    batch->st = ST_OK;
    batch->durable_at = 0;
    batch->n_stored = batch->n_refused = batch->n_exemplars_kept = 0;
    batch->meta_at = 0;
    list_push(&cell->inbox, &batch->link);
    if (!cell->pump_posted) write_pump(cell);
}
