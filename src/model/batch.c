/* Batches. See batch.h. Columns are charged to the arena's account, so that a refused
 * batch is refused before the heap is asked. */
#include "model/batch.h"

#include <string.h>

#include "base/mem.h"
#include "base/panic.h"

enum {
    ARENA_BLOCK = 4096,
    SERIES_CAP_MIN = 16,
    ROWS_CAP_MIN = 64,
    EXTRAS_CAP_MIN = 16,
    STARTS_CAP_MIN = 64,
    ROW_BYTES = 2 * sizeof(uint32_t) + sizeof(ts_time) + sizeof(union value) + 2,
};

struct batch *batch_new(struct account *account)
{
    _Static_assert(sizeof(struct batch) <= MEM_FIXED_MAX, "mem_alloc is for small structs");
    struct batch *batch = mem_zalloc(sizeof(*batch));
    if (!account_charge(account, sizeof(*batch))) {
        mem_free(batch);
        return NULL;
    }
    arena_init(&batch->arena, account, ARENA_BLOCK);
    list_init(&batch->link);
    return batch;
}

static size_t column_bytes(const struct batch *batch)
{
    size_t applied = batch->applied_ts ? batch->cap_rows * sizeof(*batch->applied_ts) : 0;
    return batch->cap_rows * ROW_BYTES + applied + batch->cap_series * sizeof(*batch->series) +
           batch->cap_starts * sizeof(*batch->starts);
}

size_t batch_bytes(const struct batch *batch)
{
    return sizeof(*batch) + column_bytes(batch) + batch->arena.n_bytes;
}

void batch_free(struct batch *batch)
{
    if (!batch) return;
    account_release(batch->arena.account, column_bytes(batch) + sizeof(*batch));
    mem_free(batch->series);
    mem_free(batch->row_series);
    mem_free(batch->ts);
    mem_free(batch->val);
    mem_free(batch->on_dup);
    mem_free(batch->result);
    mem_free(batch->tag);
    mem_free(batch->applied_ts);
    mem_free(batch->starts);
    arena_release(&batch->arena);
    mem_free(batch);
}

void batch_reset(struct batch *batch)
{
    struct batch old = *batch;
    arena_reset(&old.arena);
    *batch = (struct batch){
        .arena = old.arena,
        .series = old.series,
        .cap_series = old.cap_series,
        .row_series = old.row_series,
        .ts = old.ts,
        .val = old.val,
        .on_dup = old.on_dup,
        .result = old.result,
        .tag = old.tag,
        .applied_ts = old.applied_ts,
        .cap_rows = old.cap_rows,
        .starts = old.starts,
        .cap_starts = old.cap_starts,
    };
    list_init(&batch->link);
}

/* Grows one column and leaves it alone when refused. */
static bool grow_column(void **column, size_t n, size_t elem)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, elem, &bytes)) return false;
    void *grown = mem_try_grow(*column, bytes);
    if (grown) *column = grown;
    return grown != NULL;
}

/* The next capacity for `need` elements, or 0 when that cannot be. */
static size_t next_cap(size_t cap, size_t cap_min, size_t need)
{
    if (need > UINT32_MAX) return 0; /* rows and series are named by 32 bits */
    size_t next = cap ? cap : cap_min;
    while (next < need) next *= 2;
    return next;
}

static bool grow_series(struct batch *batch)
{
    size_t cap = next_cap(batch->cap_series, SERIES_CAP_MIN, batch->n_series + 1);
    size_t more = (cap - batch->cap_series) * sizeof(*batch->series);
    if (cap == 0 || !account_charge(batch->arena.account, more)) return false;
    if (!grow_column((void **)&batch->series, cap, sizeof(*batch->series))) {
        account_release(batch->arena.account, more);
        return false;
    }
    batch->cap_series = cap;
    return true;
}

int64_t batch_add_series(struct batch *batch)
{
    if (batch->n_series == batch->cap_series && !grow_series(batch)) return -1;
    batch->series[batch->n_series] =
        (struct batch_series){.ordinal = ORDINAL_NONE, .type = VALUE_F64};
    return (int64_t)batch->n_series++;
}

bool batch_name_series(struct batch *batch, struct batch_series *series)
{
    struct batch_name *name = arena_try_zero(&batch->arena, sizeof(*name));
    if (!name) return false;
    series->name = name;
    return true;
}

static bool grow_rows(struct batch *batch, size_t cap)
{
    size_t applied = batch->want_applied ? sizeof(*batch->applied_ts) : 0;
    size_t held = batch->applied_ts ? batch->cap_rows * sizeof(*batch->applied_ts) : 0;
    size_t more = (cap - batch->cap_rows) * ROW_BYTES + cap * applied - (applied ? held : 0);
    if (!account_charge(batch->arena.account, more)) return false;

    /* applied_ts counts by being there, so an unwanted old one is given back */
    if (!applied && batch->applied_ts) {
        account_release(batch->arena.account, held);
        mem_free(batch->applied_ts);
        batch->applied_ts = NULL;
    }
    ts_time *fresh = batch->applied_ts;
    if (!grow_column((void **)&batch->row_series, cap, sizeof(*batch->row_series)) ||
        !grow_column((void **)&batch->ts, cap, sizeof(*batch->ts)) ||
        !grow_column((void **)&batch->val, cap, sizeof(*batch->val)) ||
        !grow_column((void **)&batch->on_dup, cap, sizeof(*batch->on_dup)) ||
        !grow_column((void **)&batch->result, cap, sizeof(*batch->result)) ||
        !grow_column((void **)&batch->tag, cap, sizeof(*batch->tag)) ||
        (applied && !grow_column((void **)&fresh, cap, applied))) {
        account_release(batch->arena.account, more);
        return false;
    }
    batch->applied_ts = fresh;
    batch->cap_rows = cap;
    return true;
}

bool batch_reserve_rows(struct batch *batch, size_t n)
{
    size_t need;
    if (__builtin_add_overflow(batch->n_rows, n, &need)) return false;
    bool missing = batch->want_applied && !batch->applied_ts;
    if (need <= batch->cap_rows && !missing) return true;

    size_t cap = next_cap(batch->cap_rows, ROWS_CAP_MIN, need);
    return cap && grow_rows(batch, cap);
}

bool batch_add_row(struct batch *batch, size_t series, ts_time ts, union value val, uint32_t tag)
{
    size_t row = batch->n_rows;
    bool missing = batch->want_applied && !batch->applied_ts;
    if ((row == batch->cap_rows || missing) && !batch_reserve_rows(batch, 1)) return false;

    batch->row_series[row] = (uint32_t)series;
    batch->ts[row] = ts;
    batch->val[row] = val;
    batch->on_dup[row] = DUP_UNSET;
    batch->result[row] = ST_OK;
    batch->tag[row] = tag;
    if (batch->want_applied) batch->applied_ts[row] = ts;
    batch->n_rows++;

    struct batch_series *s = &batch->series[series];
    if (s->n_rows == 0) s->first_row = (uint32_t)row;
    else if (s->first_row + s->n_rows != row) s->scattered = true;
    s->n_rows++;
    return true;
}

/* Room for one more element in the arena; what it grew out of goes with the arena. */
static bool grow_in_arena(struct arena *arena, void **ptr, size_t n, size_t *cap, size_t elem)
{
    if (n < *cap) return true;
    size_t more = next_cap(*cap, EXTRAS_CAP_MIN, n + 1);
    void *grown = more ? arena_try_array(arena, more, elem) : NULL;
    if (!grown) return false;
    if (n) memcpy(grown, *ptr, n * elem);
    *ptr = grown;
    *cap = more;
    return true;
}

bool batch_add_exemplar(struct batch *batch, size_t series, const struct exemplar *ex)
{
    if (!grow_in_arena(&batch->arena, (void **)&batch->exemplars, batch->n_exemplars,
                       &batch->cap_exemplars, sizeof(*batch->exemplars)))
        return false;
    batch->exemplars[batch->n_exemplars++] = (struct batch_exemplar){(uint32_t)series, *ex};
    return true;
}

bool batch_add_meta(struct batch *batch, const struct metric_meta *meta)
{
    if (!grow_in_arena(&batch->arena, (void **)&batch->metas, batch->n_metas, &batch->cap_metas,
                       sizeof(*batch->metas)))
        return false;
    batch->metas[batch->n_metas++] = *meta;
    return true;
}

bool batch_add_known(struct batch *batch, uint32_t ordinal, uint32_t gen, ts_time ts,
                     union value val)
{
    size_t row = batch->n_rows, series = batch->n_series;
    if (unlikely(series == batch->cap_series) && !grow_series(batch)) return false;
    if (unlikely(row == batch->cap_rows || batch->want_applied)) {
        if (!batch_reserve_rows(batch, 1)) return false;
        if (batch->want_applied) batch->applied_ts[row] = ts;
    }
    batch->series[series] = (struct batch_series){.ordinal = ordinal,
                                                  .gen = gen,
                                                  .first_row = (uint32_t)row,
                                                  .n_rows = 1,
                                                  .type = VALUE_F64};
    batch->row_series[row] = (uint32_t)series;
    batch->ts[row] = ts;
    batch->val[row] = val;
    batch->on_dup[row] = DUP_UNSET;
    batch->result[row] = ST_OK;
    batch->tag[row] = 0;
    batch->n_rows = row + 1;
    batch->n_series = series + 1;
    return true;
}

/* ---- start timestamps ----------------------------------------------------- */

static bool grow_starts(struct batch *batch)
{
    size_t cap = next_cap(batch->cap_starts, STARTS_CAP_MIN, batch->n_starts + 1);
    size_t more = (cap - batch->cap_starts) * sizeof(*batch->starts);
    if (cap == 0 || !account_charge(batch->arena.account, more)) return false;
    if (!grow_column((void **)&batch->starts, cap, sizeof(*batch->starts))) {
        account_release(batch->arena.account, more);
        return false;
    }
    batch->cap_starts = cap;
    return true;
}

bool batch_start_at(struct batch *batch, size_t row, ts_time start)
{
    if (start == START_NONE) return true;
    if (batch->n_starts == batch->cap_starts && !grow_starts(batch)) return false;
    batch->starts[batch->n_starts++] = (struct batch_start){(uint32_t)row, start};
    return true;
}

void batch_take_back(struct batch *batch, size_t n_series, size_t n_rows)
{
    batch->n_series = n_series;
    batch->n_rows = n_rows;
    while (batch->n_starts && batch->starts[batch->n_starts - 1].row >= n_rows) batch->n_starts--;
}

size_t batch_first_start(const struct batch *batch, size_t row)
{
    size_t low = 0, high = batch->n_starts;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (batch->starts[mid].row < row) low = mid + 1;
        else high = mid;
    }
    return low;
}

ts_time batch_start_of(const struct batch *batch, size_t row)
{
    size_t at = batch_first_start(batch, row);
    return at < batch->n_starts && batch->starts[at].row == row ? batch->starts[at].start
                                                                : START_NONE;
}
