/* What a history should have left behind, and what is there. See db_history.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/panic.h"
#include "base/vfs_sub.h"
#include "engine/restore.h"
#include "model/histogram.h"
#include "tests/lib/db_history_priv.h"

enum { TEXT_MAX = 8 + 250, HISTOGRAM_BUCKETS = 5 };

/* --- values ------------------------------------------------------------------------ */

enum value_type history_type(uint32_t series)
{
    switch (series) {
    case SERIES_I64: return VALUE_I64;
    case SERIES_U64: return VALUE_U64;
    case SERIES_BOOL: return VALUE_BOOL;
    default: break;
    }
    if (series == SERIES_HISTOGRAM || series == SERIES_HISTOGRAM + 1) return VALUE_HISTOGRAM;
    if (series >= SERIES_KEY) return VALUE_F64;
    return series < HISTORY_SERIES || series == SERIES_ALTERED ? VALUE_F64 : VALUE_BYTES;
}

const char *history_crowd_name(uint32_t i)
{
    static char text[HISTORY_CROWD_N][24]; /* batches borrow them */
    if (!text[i][0]) snprintf(text[i], sizeof(text[i]), "crowd{i=\"%u\"}", i);
    return text[i];
}

static uint64_t text_bytes(uint8_t text[TEXT_MAX], uint64_t number)
{
    uint64_t len = 8 + number % (TEXT_MAX - 8);
    store_u64(text, number);
    for (uint64_t i = 8; i < len; i++) text[i] = (uint8_t)(number * 31 + i * (number & 7));
    return len;
}

/* What the histogram of a number looks like; fills *counts, which it points to. */
static struct histogram histogram_of(double counts[HISTOGRAM_BUCKETS], uint64_t number)
{
    static const struct hist_span spans[2] = {{-2, 2}, {3, 3}};
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) counts[i] = (double)(number >> i);
    return (struct histogram){.schema = (int32_t)(number % 5),
                              .zero_threshold = 0.25,
                              .zero_count = (double)(number % 3),
                              .count = (double)number,
                              .sum = (double)number / 8,
                              .pos = {spans, counts, 2, HISTOGRAM_BUCKETS}};
}

union value history_value(struct arena *arena, enum value_type type, uint64_t number)
{
    if (type == VALUE_HISTOGRAM) {
        double counts[HISTOGRAM_BUCKETS];
        struct histogram made = histogram_of(counts, number);
        const struct histogram *copy = histogram_copy(arena, &made);
        ASSERT(copy);
        return (union value){.hist = copy};
    }
    if (type != VALUE_BYTES) return (union value){.bits = number};
    uint8_t text[TEXT_MAX];
    struct slice *slice = arena_try(arena, sizeof(*slice));
    size_t len = text_bytes(text, number);
    char *copy = arena_try(arena, len);
    ASSERT(slice && copy);
    memcpy(copy, text, len);
    *slice = slice_of(copy, len);
    return (union value){.bytes = slice};
}

ts_time history_start(uint32_t series, ts_time ts, uint64_t bits)
{
    uint64_t dice = hash_mix((uint64_t)ts + bits * 31);
    if (series % 3 != 1 || series >= SERIES_KEY || dice % 4 == 0) return START_NONE;
    return dice % 4 == 1 ? HISTORY_START : ts - (ts_time)(dice >> 8 & 0xffff) - 1;
}

/* --- comparing ------------------------------------------------------------------- */

/* The model keeps start timestamps as a series beside their samples. */
static const char *starts_name(uint32_t series)
{
    static char text[64];
    snprintf(text, sizeof(text), "%.40s, its starts", db_history_name(series));
    return text;
}

static bool value_at(const struct model_db *model, const char *name, ts_time ts, uint64_t *bits)
{
    const struct points *pts = model_db_read(model, name);
    size_t at = points_seek(pts, ts);
    if (at == pts->n || pts->ts[at] != ts) return false;
    *bits = pts->val[at].bits;
    return true;
}

/* A row whose value holds brings its start, or takes away the one that was there. */
static void replay_start(struct model_db *model, const struct history_row *row, bool had,
                         uint64_t old)
{
    const char *name = starts_name(row->series);
    ts_time start = history_start(row->series, row->ts, row->bits);
    enum dup_policy policy = (enum dup_policy)row->policy;
    uint64_t now;
    if (policy == DUP_UNSET) policy = model_db_policy(model, db_history_name(row->series));
    bool last = policy == DUP_LAST || policy == DUP_UNSET;
    if (!value_at(model, db_history_name(row->series), row->ts, &now)) return;
    if (had && !last && now == old) return;
    if (start == START_NONE) model_db_delete(model, name, (struct time_range){row->ts, row->ts});
    else (void)model_db_put_as(model, name, VALUE_I64, row->ts, (uint64_t)start, DUP_LAST);
}

static void replay_put(const struct history_op *op, struct model_db *model)
{
    for (size_t k = 0; k < op->n_rows; k++) {
        const struct history_row *row = &op->rows[k];
        uint64_t old = 0;
        bool had = value_at(model, db_history_name(row->series), row->ts, &old);
        status st = model_db_put_as(model, db_history_name(row->series), history_type(row->series),
                                    row->ts, row->bits, (enum dup_policy)row->policy);
        if ((st == ST_DUPLICATE) != row->refused && !model->surprise[0])
            snprintf(model->surprise, sizeof(model->surprise), "%s at %lld, policy %u: %s",
                     db_history_name(row->series), (long long)row->ts, row->policy,
                     row->refused ? "refused as a duplicate" : "a duplicate was taken");
        if (st == ST_OK) replay_start(model, row, had, old);
    }
}

void db_history_replay(const struct db_history *h, size_t from, size_t to, struct model_db *model)
{
    for (size_t i = from; i < to; i++) {
        const struct history_op *op = &h->ops[i];
        model->no_starts = h->starts_lost;
        if (op->what == HISTORY_PUT) replay_put(op, model);
        if (op->what == HISTORY_EXPIRE) model_db_expire(model, op->oldest);
        if (op->what == HISTORY_PUT_CROWD && op->n_rows)
            (void)model_db_put(model, "crowd", op->rows[0].ts, op->rows[0].bits, DUP_LAST);
        if (op->what == HISTORY_DELETE_CROWD)
            model_db_delete(model, "crowd", (struct time_range){TS_MIN, TS_MAX});
        for (uint32_t s = 0; s < HISTORY_SERIES_ALL; s++) {
            if (!(op->mask >> s & 1)) continue;
            if (op->what == HISTORY_DELETE) {
                model_db_delete(model, db_history_name(s), op->range);
                model_db_delete(model, starts_name(s), op->range);
            }
            if (op->what == HISTORY_ALTER)
                model_db_set_policy(model, db_history_name(s), op->policy);
        }
    }
}

static int by_ordinal(const void *a, const void *b)
{
    const struct captured *x = a, *y = b;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

/* Texts become the numbers they were made from. */
static void name_texts(struct points *pts)
{
    uint8_t text[TEXT_MAX];
    for (size_t i = 0; i < pts->n; i++) {
        struct slice got = *pts->val[i].bytes;
        uint64_t number = got.len >= 8 ? load_u64((const uint8_t *)got.ptr) : 0;
        bool same = got.len >= 8 && got.len == text_bytes(text, number) &&
                    memcmp(text, got.ptr, got.len) == 0;
        pts->val[i].bits = same ? number : UINT64_MAX;
    }
}

static void name_histograms(struct points *pts)
{
    double counts[HISTOGRAM_BUCKETS];
    for (size_t i = 0; i < pts->n; i++) {
        const struct histogram *got = pts->val[i].hist;
        uint64_t number = got->count >= 0 && got->count < 1000 ? (uint64_t)got->count : 0;
        struct histogram want = histogram_of(counts, number);
        pts->val[i].bits = histogram_eq(got, &want) ? number : UINT64_MAX;
    }
}

static void name_values(struct points *pts, uint32_t series)
{
    if (history_type(series) == VALUE_BYTES) name_texts(pts);
    if (history_type(series) == VALUE_HISTOGRAM) name_histograms(pts);
}

static const char *compare_series(struct db_rig *rig, struct view *view,
                                  const struct captured *found, uint32_t series,
                                  struct time_range range, const struct model_db *model)
{
    static char text[256];
    const char *why = NULL;
    struct points pts = {0};
    struct arena arena;
    arena_init(&arena, NULL, 4096);
    if (found && view_read(view, found, range, &pts, &arena, &rig->err) != ST_OK) {
        snprintf(text, sizeof(text), "reading %s: %.200s", db_history_name(series), rig->err.text);
        why = text;
    } else {
        name_values(&pts, series);
        why = model_db_differs(model, db_history_name(series), range, &pts);
    }
    points_release(&pts);
    arena_release(&arena);
    return why;
}

const char *db_history_starts_differ(const struct model_db *model, uint32_t series,
                                     struct time_range range, struct points *pts)
{
    size_t n = 0;
    for (size_t i = 0; i < pts->n; i++) {
        if ((ts_time)pts->val[i].bits == START_NONE) continue;
        pts->ts[n] = pts->ts[i];
        pts->val[n++] = pts->val[i];
    }
    pts->n = n;
    return model_db_differs(model, starts_name(series), range, pts);
}

/* The companion of a series has the starts of its samples, and of no others. */
static const char *compare_starts(struct db_rig *rig, struct view *view,
                                  const struct captured *found, uint32_t series,
                                  struct time_range range, const struct model_db *model)
{
    static char text[256];
    const char *why = NULL;
    struct points pts = {0};
    if (found && view_read(view, found, range, &pts, NULL, &rig->err) != ST_OK) {
        snprintf(text, sizeof(text), "reading %s: %.180s", starts_name(series), rig->err.text);
        why = text;
    } else {
        why = db_history_starts_differ(model, series, range, &pts);
    }
    points_release(&pts);
    return why;
}

/* An alteration that no sample shows yet is there all the same, or is not. */
static const char *compare_policy(struct db_rig *rig, const struct model_db *model)
{
    const char *name = db_history_name(SERIES_ALTERED);
    uint32_t ordinal = db_rig_ordinal(rig, name);
    if (ordinal == ORDINAL_NONE) return NULL;
    const struct series_attrs *attrs = entry_attrs(registry_entry(db_registry(rig->db), ordinal));
    enum dup_policy got = attrs ? attrs->policy : DUP_UNSET;
    return got == model_db_policy(model, name) ? NULL : "an alteration is lost, or was not made";
}

/* Each of the crowd has what all of it should have. */
static const char *compare_crowd(struct db_rig *rig, struct view *view,
                                 const struct captured *at, size_t n, struct time_range range,
                                 const struct model_db *model)
{
    static char text[256];
    const struct points *want = model_db_read(model, "crowd");
    const char *why = NULL;
    struct points pts = {0};
    size_t n_want = 0;
    for (size_t i = 0; i < want->n; i++) n_want += range_has(range, want->ts[i]);
    if (n < HISTORY_CROWD_N && n_want) return "one of the crowd is missing";
    for (size_t i = 0; i < n && !why; i++) {
        pts.n = 0;
        if (view_read(view, &at[i], range, &pts, NULL, &rig->err) != ST_OK) why = rig->err.text;
        else why = model_db_differs(model, "crowd", range, &pts);
        if (why) snprintf(text, sizeof(text), "ordinal %u: %.200s", at[i].ordinal, why);
    }
    points_release(&pts);
    return why ? text : NULL;
}

/* Both, by one capture: at is sorted as a whole for it, then parted again. */
static const char *compare_view(struct db_rig *rig, struct view *view,
                                const struct model_db *model)
{
    const struct time_range range = {db_window(rig->db).oldest, TS_MAX};
    static struct captured at[2 * HISTORY_SERIES_ALL + HISTORY_CROWD_N], crowd[HISTORY_CROWD_N];
    const char *why = compare_policy(rig, model);
    bool any = registry_counts(db_registry(rig->db)).n_series > HISTORY_SERIES_ALL;
    uint32_t ordinals[HISTORY_SERIES_ALL], starts[HISTORY_SERIES_ALL];
    size_t n = 0, n_crowd = 0;
    for (uint32_t s = 0; s < HISTORY_SERIES_ALL; s++) {
        starts[s] = ordinals[s] = db_rig_ordinal(rig, db_history_name(s));
        if (ordinals[s] == ORDINAL_NONE) continue;
        at[n++].ordinal = ordinals[s];
        starts[s] = registry_starts(db_registry(rig->db), ordinals[s]);
        if (starts[s] != ORDINAL_NONE) at[n++].ordinal = starts[s];
    }
    for (uint32_t i = 0; any && i < HISTORY_CROWD_N; i++) {
        at[n].ordinal = db_rig_ordinal(rig, history_crowd_name(i));
        if (at[n].ordinal != ORDINAL_NONE) crowd[n_crowd++].ordinal = at[n++].ordinal;
    }
    qsort(at, n, sizeof(at[0]), by_ordinal);
    if (view_capture(view, at, n, &rig->err) != ST_OK) return "capture failed";
    for (uint32_t s = 0; s < HISTORY_SERIES_ALL && !why; s++) {
        struct captured key = {.ordinal = ordinals[s]};
        const struct captured *found = bsearch(&key, at, n, sizeof(key), by_ordinal);
        why = compare_series(rig, view, found, s, range, model);
        if (why || model->no_starts) continue;
        key.ordinal = starts[s];
        found = bsearch(&key, at, n, sizeof(key), by_ordinal);
        why = compare_starts(rig, view, found, s, range, model);
    }
    for (size_t i = 0; i < n_crowd; i++)
        crowd[i] = *(struct captured *)bsearch(&crowd[i], at, n, sizeof(at[0]), by_ordinal);
    return why ? why : compare_crowd(rig, view, crowd, n_crowd, range, model);
}

const char *db_history_differs(struct db_rig *rig, const struct model_db *model)
{
    struct view *view;
    if (model->surprise[0]) return model->surprise;
    if (db_pin(rig->db, &view, &rig->err) != ST_OK) return "pin failed";
    const char *why = compare_view(rig, view, model);
    db_unpin(rig->db, view);
    return why;
}

static bool was_written(const struct db_history *h, uint32_t series, ts_time ts, uint64_t bits)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct history_op *op = &h->ops[i];
        for (size_t k = 0; op->what == HISTORY_PUT && k < op->n_rows; k++)
            if (op->rows[k].series == series && op->rows[k].ts == ts && op->rows[k].bits == bits)
                return true;
    }
    return false;
}

const char *db_history_phantom(const struct db_history *h, struct db_rig *rig)
{
    static char text[128];
    const struct time_range all = {TS_MIN, TS_MAX};
    struct points pts = {0};
    struct arena arena;
    const char *why = NULL;
    arena_init(&arena, NULL, 4096);
    for (uint32_t s = 0; s < HISTORY_SERIES_ALL && !why; s++) {
        arena_reset(&arena);
        if (db_rig_read(rig, db_history_name(s), all, &pts, &arena) != ST_OK) continue;
        name_values(&pts, s);
        for (size_t i = 0; i < pts.n && !why; i++) {
            if (was_written(h, s, pts.ts[i], pts.val[i].bits)) continue;
            snprintf(text, sizeof(text), "%s at %lld: a value that nobody wrote",
                     db_history_name(s), (long long)pts.ts[i]);
            why = text;
        }
    }
    points_release(&pts);
    arena_release(&arena);
    return why;
}

void db_history_note(struct db_history *h, const struct db_rig *rig)
{
    lsn durable = db_durable(rig->db);
    for (size_t i = h->n_safe; i < h->n; i++)
        if (h->ops[i].durable_at && h->ops[i].durable_at <= durable) h->n_safe = i + 1;
}

const char *db_history_resolve(struct db_history *h, struct db_rig *rig)
{
    static char text[300];
    struct model_db model = {0};
    const char *why = NULL;
    text[0] = 0;
    db_history_replay(h, 0, h->n_safe, &model);
    for (size_t k = h->n_safe;; k++) {
        why = db_history_differs(rig, &model);
        if (!why) {
            for (size_t i = k; i < h->n; i++) free(h->ops[i].rows);
            h->n = h->n_safe = k;
            break;
        }
        if (!text[0]) snprintf(text, sizeof(text), "with %zu operations: %.250s", k, why);
        if (k == h->n) break;
        db_history_replay(h, k, k + 1, &model);
    }
    model_db_release(&model);
    return why ? text : NULL;
}

/* --- snapshots --------------------------------------------------------------------- */

static const char *compare_restored(const struct db_history *h, struct db_rig *rig,
                                    const struct history_snapshot *snapshot)
{
    static char text[300];
    struct model_db model = {0};
    struct err err = {.st = ST_OK};
    const char *why = NULL;
    if (db_check(rig->db, &err) != ST_OK) {
        snprintf(text, sizeof(text), "restored: %.250s", err.text);
        return text;
    }
    db_history_replay(h, 0, snapshot->from, &model);
    for (size_t k = snapshot->from;; k++) {
        why = db_history_differs(rig, &model);
        if (!why || k == snapshot->to) break;
        db_history_replay(h, k, k + 1, &model);
    }
    model_db_release(&model);
    if (!why) return NULL;
    snprintf(text, sizeof(text), "%s, of operations %zu to %zu: %.200s", snapshot->name,
             snapshot->from, snapshot->to, why);
    return text;
}

static const char *check_snapshot(const struct db_history *h, struct db_rig *rig,
                                  const struct history_snapshot *snapshot)
{
    static char text[300];
    const struct restore_options options = {0};
    struct restore_result result;
    struct db_rig other;
    struct vfs *sub;
    char from[32];
    snprintf(from, sizeof(from), "snapshots/%s", snapshot->name);
    if (restore_run(&result, rig->vfs, from, "restored", &options, &rig->err) != ST_OK ||
        vfs_sub_open(&sub, rig->vfs, "restored", &rig->err) != ST_OK) {
        snprintf(text, sizeof(text), "restoring %s: %.250s", from, rig->err.text);
        return text;
    }
    db_rig_init_on(&other, rig->seed, sub);
    other.options = rig->options;
    clock_sim_init(&other.clock, h->wall);
    const char *why = NULL;
    if (db_rig_open(&other) == ST_OK) {
        why = compare_restored(h, &other, snapshot);
        (void)db_rig_close(&other);
    } else {
        snprintf(text, sizeof(text), "opening %s: %.250s", from, other.err.text);
        why = text;
    }
    db_rig_release(&other);
    vfs_free(sub);
    return why;
}

const char *db_history_check_snapshots(struct db_history *h, struct db_rig *rig)
{
    const char *why = NULL;
    for (unsigned i = 0; i < h->n_snapshots; i++) {
        const struct history_snapshot *snapshot = &h->snapshots[i];
        char path[32];
        snprintf(path, sizeof(path), "snapshots/%s", snapshot->name);
        if (!why && snapshot->good && snapshot->to <= h->n) why = check_snapshot(h, rig, snapshot);
        if (vfs_remove_tree(rig->vfs, "restored", &rig->err) != ST_OK ||
            vfs_remove_tree(rig->vfs, path, &rig->err) != ST_OK)
            why = why ? why : "a snapshot cannot be removed";
    }
    h->n_snapshots = 0;
    return why;
}
