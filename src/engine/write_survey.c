/* Survey: whether a batch can be applied at once. A request is kept whole or not at all
 * (reliability.md A1), so a batch in which a single row needs an older value from a
 * chunk or a segment waits as a whole. The survey goes over the rows before the first of
 * them is applied and finds
 *
 *     needs     rows whose older value only a view can tell: at or before the newest
 *               sample of the series, or of a series whose newest sample is unknown, under
 *               a policy that looks at it
 *     tangled   rows that come after a later row of the same batch, or after one of the same
 *               time: what they find is what this batch stored, or what was there before
 *
 * It says a little too often that a value is needed, never too seldom. When every need
 * has a value that was looked up under a view and whose series nobody has touched since
 * the view's pin, the batch is ready, and is applied with nothing in between. Otherwise
 * the needs go to write_defer.c, and afterwards the survey begins again.
 *
 * Batches that may not wait (deferrable is not set) have no survey: their rows are told
 * to come again.
 */
#include <string.h>

#include "base/bits.h"
#include "engine/write_priv.h"
#include "model/histogram.h"

enum { SURVEY_ROWS = 2048 }; /* a call: about 100 us when nothing is in the caches */

/* One entry of an open table. In `seen` the series is the key and ts its newest time; in
 * `stored` both are the key. */
struct row_slot {
    uint64_t series;
    ts_time ts;
    uint64_t bits;
    bool used;
};

/* --- tables ------------------------------------------------------------------------ */

static bool make_table(struct row_slot **table, struct batch *batch, struct write_state *state)
{
    if (!state->n_slots) state->n_slots = next_pow2(2 * batch->n_rows);
    if (!*table) *table = arena_try_array(&batch->arena, state->n_slots, sizeof(**table));
    if (!*table) return false;
    memset(*table, 0, state->n_slots * sizeof(**table));
    return true;
}

static struct row_slot *seen_slot(const struct write_state *state, uint64_t series)
{
    size_t mask = state->n_slots - 1, at = hash_mix(series) & mask;
    while (state->seen[at].used && state->seen[at].series != series) at = (at + 1) & mask;
    return &state->seen[at];
}

static struct row_slot *stored_slot(const struct write_state *state, uint64_t series, ts_time ts)
{
    size_t mask = state->n_slots - 1, at = hash_mix(hash_mix(series) + (uint64_t)ts) & mask;
    while (state->stored[at].used &&
           (state->stored[at].series != series || state->stored[at].ts != ts))
        at = (at + 1) & mask;
    return &state->stored[at];
}

/* A series that does not exist yet: two entries that will be one have one number. Two that
 * will not may share one by a freak of chance, which costs a table. */
static uint64_t series_number(const struct batch_series *series, bool known)
{
    if (known) return series->ordinal;
    const struct batch_name *name = batch_name_of(series);
    struct slice key = labels_get(name->labels, SLICE_LIT(LABEL_KEY));
    uint64_t hash = key.len ? hash64(key.ptr, key.len) : name->hash.lo;
    return hash | (uint64_t)1 << 63;
}

/* --- one row ------------------------------------------------------------------------ */

static const struct lookup *find_lookup(const struct write_state *state, size_t idx)
{
    size_t low = 0, high = state->lookups.len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (state->lookups.ptr[mid].row < idx) low = mid + 1;
        else high = mid;
    }
    if (low == state->lookups.len || state->lookups.ptr[low].row != idx) return NULL;
    return &state->lookups.ptr[low];
}

/* Whether what was looked up is still so. */
static bool is_fresh(const struct cell *cell, const struct write_state *state, size_t idx,
                     const struct batch_series *series)
{
    const struct lookup *at = find_lookup(state, idx);
    return at && at->ordinal == series->ordinal && at->gen == series->gen &&
           cell_head(cell, at->ordinal)->touched <= state->epoch;
}

/* Whether the row asks for what was there before the batch. later: a row of the batch
 * comes before it with a later time. */
static bool needs_older(const struct batch *batch, size_t idx, const struct head *head, bool later)
{
    bool choosy = batch->want_applied || write_policy(batch, idx, head) != DUP_LAST;
    if (head->flags & HEAD_UNKNOWN) return choosy || head->retention;
    if (!choosy || !(head->flags & HEAD_HAS_LAST) || batch->ts[idx] > head->last_ts) return false;
    bool at_last = batch->ts[idx] == head->last_ts && !type_is_blob(head->type);
    return !at_last || later;
}

/* The row's time less the newest of those before it: of its series, or (the cheaper
 * question, which sorted rows pass) of all. */
static int compare_time(struct write_state *state, ts_time ts, uint64_t series)
{
    bool first = state->at == 0;
    ts_time *newest = &state->newest;
    if (state->by_series) {
        struct row_slot *slot = seen_slot(state, series);
        first = !slot->used;
        slot->series = series;
        slot->used = true;
        newest = &slot->ts;
    }
    int order = first || ts > *newest ? 1 : ts < *newest ? -1 : 0;
    if (order > 0) *newest = ts;
    return order;
}

/* False: the rows must be compared series by series, from the first on. */
static bool survey_row(struct cell *cell, struct batch *batch, size_t idx, bool *no_memory)
{
    struct write_state *state = write_state(batch);
    struct batch_series *series = &batch->series[batch->row_series[idx]];
    if (batch->result[idx] != ST_OK || series->st != ST_OK) return true;
    if (batch->row_series[idx] != state->last_series) {
        state->last_series = batch->row_series[idx];
        state->last_known = write_find(cell, series);
    }
    bool known = state->last_known;
    uint64_t number = state->by_series ? series_number(series, known) : 0;
    int order = compare_time(state, batch->ts[idx], number);
    bool need = known && needs_older(batch, idx, cell_head(cell, series->ordinal), order < 0);
    /* At the time of the row before it: the head line tells what that stored, unless it
     * has no value to tell or the row is not the newest. */
    if (order < 0 || (order == 0 && (need || type_is_blob((uint8_t)series->type)))) {
        if (!state->by_series) return false;
        state->tangled = true;
    }
    if (!need) return true;
    if (!is_fresh(cell, state, idx, series)) state->stale = true;
    if (!vec_push(&state->needs, (uint32_t)idx)) *no_memory = true;
    return true;
}

/* --- the batch ---------------------------------------------------------------------- */

void write_survey_reset(struct write_state *state)
{
    state->at = 0;
    state->by_series = state->tangled = state->stale = false;
    state->last_series = UINT32_MAX;
    vec_clear(&state->needs);
}

/* Heads that did not know their newest sample know it now. */
static void learn_last(struct cell *cell, const struct lookup *lookup)
{
    struct head *head = cell_head(cell, lookup->ordinal);
    if (!(head->flags & HEAD_UNKNOWN)) return;
    head->flags &= (uint8_t)~HEAD_UNKNOWN;
    if (!lookup->value.has_last) return;
    if ((head->flags & HEAD_HAS_LAST) && head->last_ts >= lookup->value.last_ts) return;
    head->flags |= HEAD_HAS_LAST;
    head->last_ts = lookup->value.last_ts;
    head->last_bits = lookup->value.last_bits;
}

static enum survey_end end_survey(struct cell *cell, struct batch *batch)
{
    struct write_state *state = write_state(batch);
    if (state->stale) return SURVEY_LOOK_UP;
    if (state->tangled && !make_table(&state->stored, batch, state)) return SURVEY_NO_MEMORY;
    for (size_t i = 0; i < state->needs.len; i++)
        learn_last(cell, find_lookup(state, state->needs.ptr[i]));
    return SURVEY_READY;
}

enum survey_end write_survey(struct cell *cell, struct batch *batch)
{
    struct write_state *state = write_state(batch);
    bool no_memory = false;
    size_t end = state->at + SURVEY_ROWS;
    if (end > batch->n_rows) end = batch->n_rows;
    for (; state->at < end; state->at++) {
        if (survey_row(cell, batch, state->at, &no_memory)) continue;
        write_survey_reset(state);
        state->by_series = true;
        return make_table(&state->seen, batch, state) ? SURVEY_MORE : SURVEY_NO_MEMORY;
    }
    if (no_memory) return SURVEY_NO_MEMORY;
    return state->at < batch->n_rows ? SURVEY_MORE : end_survey(cell, batch);
}

/* --- while the batch is applied ------------------------------------------------------ */

bool write_same_blob(enum value_type type, union value a, union value b)
{
    if (type == VALUE_BYTES) return slice_eq(*a.bytes, *b.bytes);
    return type == VALUE_HISTOGRAM && histogram_eq(a.hist, b.hist);
}

const struct older_value *write_older(const struct batch *batch, size_t idx,
                                      struct older_value *scratch)
{
    const struct write_state *state = write_state(batch);
    const struct batch_series *series = &batch->series[batch->row_series[idx]];
    if (!state->tangled && state->needs.len == 0) return NULL;

    const struct lookup *lookup = find_lookup(state, idx);
    *scratch = lookup ? lookup->value : (struct older_value){.known = true};
    if (!state->tangled) return scratch;
    const struct row_slot *slot = stored_slot(state, series->ordinal, batch->ts[idx]);
    if (!slot->used) return scratch;
    scratch->found = true;
    scratch->bits = slot->bits;
    if (type_is_blob((uint8_t)series->type))
        scratch->same = write_same_blob(series->type, batch->val[slot->bits], batch->val[idx]);
    return scratch;
}

void write_note_stored(const struct batch *batch, size_t idx, const struct slice_row *row)
{
    const struct write_state *state = write_state(batch);
    if (!state->tangled) return;
    struct row_slot *slot = stored_slot(state, row->ordinal, batch->ts[idx]);
    slot->series = row->ordinal;
    slot->ts = batch->ts[idx];
    slot->bits = type_is_blob(row->wal.type) ? idx : row->wal.bits;
    slot->used = true;
}
