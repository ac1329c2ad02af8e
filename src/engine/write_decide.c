/* Decide: what becomes of a row. After this everything is an unconditional upsert and
 * newest wins, so a policy that needs to know the older value must be settled here:
 * against the head line when the row is the newest or replaces the newest, by a
 * look-up otherwise, which came before the batch was begun (write_survey.c). Policy
 * `last` never needs a look-up.
 */
#include <math.h>

#include "base/bits.h"
#include "engine/write_priv.h"
#include "model/histogram.h"

/* A row against what is known of its series. */
struct decision {
    const struct cell *cell;
    const struct head *head;
    enum dup_policy policy;
    bool strict;            /* TS.* words: identical is an error too, NaN rules hold */
    bool has_last;
    ts_time last_ts;
    uint64_t last_bits;
    uint8_t type;
};

static enum write_verdict done(struct batch *batch, size_t idx, status st)
{
    batch->result[idx] = (uint8_t)st;
    return VERDICT_DONE;
}

static double as_f64(const struct decision *d, uint64_t bits)
{
    return value_to_f64((enum value_type)d->type, (union value){.bits = bits});
}

static uint64_t combine_bits(const struct decision *d, uint64_t old, uint64_t now)
{
    double a = as_f64(d, old), b = as_f64(d, now);
    switch (d->policy) {
    case DUP_MIN: return b < a ? now : old;
    case DUP_MAX: return b > a ? now : old;
    case DUP_SUM:
        switch ((enum value_type)d->type) {
        case VALUE_I64:
        case VALUE_U64: return old + now;
        case VALUE_BOOL: return old | now;
        default: return f64_bits(a + b);
        }
    case DUP_FIRST: return old;
    default: return now;
    }
}

/* The value at the row's timestamp is known: false when the policy refuses. */
static bool settle(const struct decision *d, uint64_t old, uint64_t *bits)
{
    uint64_t now = *bits;
    bool blob = type_is_blob(d->type);
    if (d->policy == DUP_BLOCK) return !d->strict && !blob && old == now;
    if (blob) return true; /* no arithmetic on those */
    if (d->strict && d->type == VALUE_F64) {
        bool old_nan = isnan(bits_f64(old)), now_nan = isnan(bits_f64(now));
        bool picks = d->policy == DUP_FIRST || d->policy == DUP_LAST;
        if (old_nan != now_nan && !picks) return false;
        if (old_nan || now_nan) {
            *bits = old_nan && !now_nan ? now : old;
            return true;
        }
    }
    *bits = combine_bits(d, old, now);
    return true;
}

/* IGNORE (resp.md 2.2): close enough to the newest sample to be dropped. Only TS.* words
 * ask for it: no other row looks at the registry. */
static bool ignored(const struct decision *d, uint32_t ordinal, ts_time ts, uint64_t bits)
{
    if (!d->strict || d->type != VALUE_F64) return false;
    if (d->policy != DUP_LAST || !d->has_last || ts < d->last_ts) return false;
    const struct series_attrs *attrs = entry_attrs(registry_entry(d->cell->registry, ordinal));
    if (!attrs) return false;

    int64_t span = sat_sub(ts, d->last_ts);
    double a = bits_f64(d->last_bits), b = bits_f64(bits);
    return span <= db_ticks(d->cell->db, attrs->ignore_max_ms) && !isnan(a) && !isnan(b) &&
           fabs(a - b) <= attrs->ignore_max_val;
}

enum dup_policy write_policy(const struct batch *batch, size_t idx, const struct head *head)
{
    return batch->on_dup[idx] != DUP_UNSET ? (enum dup_policy)batch->on_dup[idx]
                                           : (enum dup_policy)head->policy;
}

/* The row's value as the WAL and the head take it. */
static bool fill_row(struct cell *cell, struct batch *batch, size_t idx, const struct decision *d,
                     uint64_t bits, enum write_how how, struct slice_row *row)
{
    const struct batch_series *series = &batch->series[batch->row_series[idx]];
    *row = (struct slice_row){.ordinal = series->ordinal, .how = (uint8_t)how};
    row->wal = (struct wal_row){
        .id = d->head->id,
        .ts = batch->ts[idx],
        .bits = bits,
        .type = d->type,
    };
    if (!type_is_blob(d->type)) return true;
    if (d->type == VALUE_BYTES) {
        row->wal.bytes = *batch->val[idx].bytes;
    } else {
        const struct histogram *hist = batch->val[idx].hist;
        uint8_t *bytes = arena_try(&batch->arena, histogram_bound(hist));
        if (!bytes) return false;
        row->wal.bytes = slice_of(bytes, histogram_encode(bytes, hist));
    }
    row->blob = blob_new(&cell->space, row->wal.bytes.ptr, row->wal.bytes.len);
    row->wal.bits = (uint64_t)(uintptr_t)row->blob;
    return row->blob != NULL;
}

static enum write_verdict store(struct cell *cell, struct batch *batch, size_t idx,
                                const struct decision *d, uint64_t bits, enum write_how how,
                                struct slice_row *row)
{
    if (batch->want_applied) batch->applied_ts[idx] = batch->ts[idx];
    if (!fill_row(cell, batch, idx, d, bits, how, row)) return done(batch, idx, ST_NO_MEMORY);
    return VERDICT_STORE;
}

/* A row at or before the newest sample, whose own timestamp may be taken. */
static enum write_verdict decide_older(struct cell *cell, struct batch *batch, size_t idx,
                                       const struct decision *d, const struct older_value *older,
                                       struct slice_row *row)
{
    uint64_t bits = batch->val[idx].bits, old;
    bool taken, plain_last = d->policy == DUP_LAST && !d->strict;
    if (d->has_last && batch->ts[idx] == d->last_ts && !type_is_blob(d->type)) {
        taken = true;
        old = d->last_bits;
    } else if (older && older->known) {
        taken = older->found;
        old = older->bits;
    } else if (plain_last) {
        return store(cell, batch, idx, d, bits, WRITE_LATE, row);
    } else {
        DASSERT(!batch->deferrable); /* the survey would have seen to it */
        return done(batch, idx, ST_AGAIN);
    }
    if (!taken) return store(cell, batch, idx, d, bits, WRITE_LATE, row);
    bool same = type_is_blob(d->type) && older && older->same;
    if (!(same && !d->strict) && !settle(d, old, &bits)) return done(batch, idx, ST_DUPLICATE);
    bool keeps = type_is_blob(d->type) ? same || d->policy == DUP_FIRST : bits == old;
    if (keeps) { /* nothing changes */
        if (batch->want_applied) batch->applied_ts[idx] = batch->ts[idx];
        cell->stats.n_rows_duplicate++;
        return done(batch, idx, ST_OK);
    }
    return store(cell, batch, idx, d, bits, WRITE_LATE, row);
}

/* The row's value is added to the newest one (0: there is none), as if with policy last. */
static enum write_verdict increment(struct cell *cell, struct batch *batch, size_t idx,
                                    struct decision *d, struct slice_row *row)
{
    uint32_t ordinal = batch->series[batch->row_series[idx]].ordinal;
    ts_time ts = batch->ts[idx];
    double old = d->has_last ? bits_f64(d->last_bits) : 0;
    d->policy = DUP_LAST;
    if (d->type != VALUE_F64) return done(batch, idx, ST_WRONG_TYPE);
    if (d->has_last && ts < d->last_ts) return done(batch, idx, ST_TOO_OLD);
    if (isnan(old)) return done(batch, idx, ST_BAD_VALUE);
    uint64_t bits = f64_bits(old + bits_f64(batch->val[idx].bits));
    bool same_time = d->has_last && ts == d->last_ts;
    if (ignored(d, ordinal, ts, bits) || (same_time && bits == d->last_bits)) {
        batch->applied_ts[idx] = d->last_ts;
        cell->stats.n_rows_ignored++;
        return done(batch, idx, ST_IGNORED);
    }
    return store(cell, batch, idx, d, bits, same_time ? WRITE_LATE : WRITE_APPEND, row);
}

enum write_verdict write_decide(struct cell *cell, struct batch *batch, size_t idx,
                                const struct older_value *older, struct slice_row *row)
{
    const struct batch_series *series = &batch->series[batch->row_series[idx]];
    const struct head *head = cell_head(cell, series->ordinal);
    ts_time ts = batch->ts[idx];
    struct decision d = {.cell = cell,
                         .head = head,
                         .policy = write_policy(batch, idx, head),
                         .strict = batch->want_applied,
                         .has_last = (head->flags & HEAD_HAS_LAST) != 0,
                         .last_ts = head->last_ts,
                         .last_bits = head->last_bits,
                         .type = head->type};
    if (older && older->known && older->has_last && (!d.has_last || older->last_ts > d.last_ts)) {
        d.has_last = true;
        d.last_ts = older->last_ts;
        d.last_bits = older->last_bits;
    }
    bool blind = (head->flags & HEAD_UNKNOWN) && !(older && older->known);
    if (blind && (d.policy != DUP_LAST || d.strict || head->retention)) {
        DASSERT(!batch->deferrable);
        return done(batch, idx, ST_AGAIN);
    }
    if (batch->on_dup[idx] == DUP_INCREMENT) return increment(cell, batch, idx, &d, row);
    if (head->retention && d.has_last && ts < sat_sub(d.last_ts, head->retention))
        return done(batch, idx, ST_TOO_OLD);
    if (ignored(&d, series->ordinal, ts, batch->val[idx].bits)) {
        batch->applied_ts[idx] = d.last_ts;
        cell->stats.n_rows_ignored++;
        return done(batch, idx, ST_IGNORED);
    }
    if (!d.has_last || ts > d.last_ts)
        return store(cell, batch, idx, &d, batch->val[idx].bits, WRITE_APPEND, row);
    return decide_older(cell, batch, idx, &d, older, row);
}
