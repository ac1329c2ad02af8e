/* Keys that expire. See keyspace.h.
 *
 * The heap holds (when, id), the soonest first. An entry is never taken out of its middle:
 * when it comes up, the series' own attribute says whether it still holds. A series whose
 * expiry is moved a lot would fill the heap, so it is made anew from its live entries when
 * it is twice as long as what it held then.
 */
#include "api/keyspace.h"

#include <stdlib.h>

#include "api/events.h"
#include "api/ts_key.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/rng.h"
#include "base/vec.h"
#include "engine/delete_many.h"

enum {
    LOOK_SLICE = 65536,   /* ordinals a millisecond while looking at the start: < 500 us */
    DUE_MAX = 1024,       /* keys of one delete */
    WAIT_MS_MAX = 60000,  /* the wall clock may be set meanwhile */
    RETRY_MS = 1000,      /* after a delete was refused */
    HEAP_MIN = 1024,      /* entries below which it is not made anew */
    RANDOM_PROBES = 64,   /* ordinals tried at random before a walk */
};

struct due {
    int64_t when_ms;
    series_id id;
};

struct keyspace {
    struct app *app;
    VEC(struct due) heap;
    size_t rebuild_at;     /* length at which the heap is made anew */
    struct timer timer;
    uint32_t looked;       /* ordinals looked at since the start */
    bool looking, active, ended;
    bool deleting;         /* op is under way */
    struct delete_op op;
    series_id ids[DUE_MAX];
    uint64_t n_expired;
    struct rng rng;
};

/* --- the heap ------------------------------------------------------------------------- */

static void sift_up(struct keyspace *ks, size_t i)
{
    struct due *heap = ks->heap.ptr, moved = heap[i];

    while (i > 0 && heap[(i - 1) / 2].when_ms > moved.when_ms) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = moved;
}

static void sift_down(struct keyspace *ks, size_t i)
{
    struct due *heap = ks->heap.ptr, moved = heap[i];
    size_t n = ks->heap.len;

    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && heap[child + 1].when_ms < heap[child].when_ms) child++;
        if (heap[child].when_ms >= moved.when_ms) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}

/* The expiry that the series has now, 0 when it has none or is dead. */
static int64_t expiry_of(const struct keyspace *ks, series_id id)
{
    const struct registry *reg = db_registry(ks->app->db);
    uint32_t ordinal = registry_by_id(reg, id);
    if (ordinal == ORDINAL_NONE) return 0;
    const struct series_attrs *attrs = entry_attrs(registry_entry(reg, ordinal));
    return attrs ? attrs->expire_ms : 0;
}

static void rebuild(struct keyspace *ks)
{
    size_t n = 0;

    for (size_t i = 0; i < ks->heap.len; i++) {
        struct due due = ks->heap.ptr[i];
        if (expiry_of(ks, due.id) == due.when_ms) ks->heap.ptr[n++] = due;
    }
    ks->heap.len = n;
    for (size_t i = n / 2; i-- > 0;) sift_down(ks, i);
    ks->rebuild_at = 2 * n > HEAP_MIN ? 2 * n : HEAP_MIN;
}

static bool push(struct keyspace *ks, int64_t when_ms, series_id id)
{
    if (ks->heap.len >= ks->rebuild_at) rebuild(ks);
    if (!vec_push(&ks->heap, ((struct due){when_ms, id}))) return false;
    sift_up(ks, ks->heap.len - 1);
    return true;
}

static void pop(struct keyspace *ks)
{
    ks->heap.ptr[0] = ks->heap.ptr[--ks->heap.len];
    if (ks->heap.len) sift_down(ks, 0);
}

/* --- the timer ------------------------------------------------------------------------ */

static void set_timer(struct keyspace *ks, int64_t ms)
{
    struct wheel *wheel = loop_wheel(ks->app->owner);

    timer_cancel(wheel, &ks->timer);
    timer_set(wheel, &ks->timer, ms < 1 ? 1 : ms > WAIT_MS_MAX ? WAIT_MS_MAX : ms);
}

/* When something is to be done next. */
static void plan(struct keyspace *ks)
{
    if (ks->ended || ks->deleting) return;
    if (ks->looking) set_timer(ks, 1);
    else if (ks->active && ks->heap.len)
        set_timer(ks, ks->heap.ptr[0].when_ms - clock_wall(ks->app->clock));
}

static void expired(struct delete_op *op)
{
    struct keyspace *ks = container_of(op, struct keyspace, op);

    ks->deleting = false;
    if (ks->ended) return; /* what is left is due at the next start */
    if (op->st == ST_OK) {
        ks->n_expired += op->n;
        plan(ks);
        return;
    }
    log_warn("keyspace", "keys that are due could not be deleted", "keys=%zu error=%s", op->n,
             err_text(&op->err, op->st));
    for (size_t i = 0; i < op->n; i++) (void)push(ks, expiry_of(ks, ks->ids[i]), ks->ids[i]);
    set_timer(ks, RETRY_MS);
}

static int by_id(const void *a, const void *b)
{
    series_id x = *(const series_id *)a, y = *(const series_id *)b;
    return (x > y) - (x < y);
}

/* Takes what is due from the heap: ids ascending, each once. */
static size_t take_due(struct keyspace *ks)
{
    int64_t now = clock_wall(ks->app->clock);
    size_t n = 0, n_unique = 0;

    while (n < DUE_MAX && ks->heap.len && ks->heap.ptr[0].when_ms <= now) {
        struct due due = ks->heap.ptr[0];
        pop(ks);
        if (expiry_of(ks, due.id) == due.when_ms) ks->ids[n++] = due.id;
    }
    if (n) qsort(ks->ids, n, sizeof(ks->ids[0]), by_id);
    for (size_t i = 0; i < n; i++)
        if (n_unique == 0 || ks->ids[n_unique - 1] != ks->ids[i]) ks->ids[n_unique++] = ks->ids[i];
    return n_unique;
}

static void tell_expired(struct keyspace *ks, size_t n)
{
    const struct registry *reg = db_registry(ks->app->db);
    struct strbuf key;

    if (!(app_settings(ks->app)->notify_events & EVENT_EXPIRED)) return;
    strbuf_init(&key, 0);
    for (size_t i = 0; i < n; i++) {
        strbuf_reset(&key);
        ts_key_print(&key, reg, registry_by_id(reg, ks->ids[i]));
        if (!key.failed) events_tell(ks->app, EVENT_EXPIRED, "expired", strbuf_view(&key));
    }
    strbuf_release(&key);
}

static void delete_due(struct keyspace *ks)
{
    if (!ks->active || ks->deleting || ks->ended) return;
    size_t n = take_due(ks);
    if (n == 0) {
        plan(ks);
        return;
    }
    tell_expired(ks, n);
    ks->deleting = true;
    ks->op = (struct delete_op){.ids = ks->ids,
                                .n = n,
                                .range = {TS_MIN, TS_MAX},
                                .drop_keys = true,
                                .done = expired};
    list_init(&ks->op.link);
    db_delete_many(ks->app->db, &ks->op);
}

/* Births below ks->looked have been looked at; those behind were given their expiry by
 * keyspace_expire() or will be found here. */
static void look(struct keyspace *ks)
{
    const struct registry *reg = db_registry(ks->app->db);
    uint32_t n = registry_n_ordinals(reg);

    for (size_t i = 0; i < LOOK_SLICE && ks->looked < n; i++) {
        const struct series_entry *entry = registry_entry(reg, ks->looked++);
        const struct series_attrs *attrs = entry_attrs(entry);
        if (!entry_visible(entry) || !attrs || !attrs->expire_ms) continue;
        if (!push(ks, attrs->expire_ms, entry->id)) {
            ks->looked--; /* no memory now: again in a moment */
            return;
        }
    }
    ks->looking = ks->looked < n;
}

static void on_timer(struct timer *timer)
{
    struct keyspace *ks = container_of(timer, struct keyspace, timer);

    if (ks->ended) return;
    if (ks->looking) {
        look(ks);
        plan(ks);
    } else {
        delete_due(ks);
    }
}

/* --- for commands --------------------------------------------------------------------- */

struct keyspace *keyspace_new(struct app *app)
{
    struct keyspace *ks = mem_try_zero(sizeof(*ks));

    if (!ks) return NULL;
    ks->app = app;
    ks->active = true;
    ks->rebuild_at = HEAP_MIN;
    timer_init(&ks->timer, on_timer);
    rng_init(&ks->rng, rng_system_seed());
    return ks;
}

void keyspace_free(struct keyspace *ks)
{
    if (!ks) return;
    ASSERT(!ks->deleting);
    vec_release(&ks->heap);
    mem_free(ks);
}

void keyspace_begin(struct app *app)
{
    app->keyspace->looking = true;
    set_timer(app->keyspace, 1);
}

void keyspace_end(struct app *app)
{
    app->keyspace->ended = true;
    timer_cancel(loop_wheel(app->owner), &app->keyspace->timer);
}

bool keyspace_is_expired(struct app *app, const struct series_entry *entry)
{
    const struct series_attrs *attrs = entry_attrs(entry);

    return attrs && attrs->expire_ms && attrs->expire_ms <= clock_wall(app->clock);
}

status keyspace_expire(struct app *app, uint32_t ordinal, int64_t when_ms, lsn *at,
                       struct err *err)
{
    struct keyspace *ks = app->keyspace;
    const struct series_entry *entry = registry_entry(db_registry(app->db), ordinal);
    const struct series_attrs *old = entry_attrs(entry);
    struct series_attrs attrs = old ? *old : (struct series_attrs){.retention_ms = 0};

    attrs.expire_ms = when_ms;
    TRY(db_set_attrs(app->db, ordinal, &attrs, at, err));
    if (!when_ms) return ST_OK;
    if (!push(ks, when_ms, entry->id)) {
        /* It is hidden when it is due, and found again by the next look. */
        ks->looked = 0;
        ks->looking = true;
    }
    if (when_ms <= clock_wall(app->clock)) delete_due(ks);
    else plan(ks);
    return ST_OK;
}

void keyspace_set_active(struct app *app, bool active)
{
    app->keyspace->active = active;
    if (active) plan(app->keyspace);
}

uint32_t keyspace_random(struct app *app)
{
    const struct registry *reg = db_registry(app->db);
    uint32_t n = registry_n_ordinals(reg), at = 0;

    if (registry_counts(reg).n_series == 0) return ORDINAL_NONE;
    for (int i = 0; i < RANDOM_PROBES; i++) {
        at = (uint32_t)rng_below(&app->keyspace->rng, n);
        const struct series_entry *entry = registry_entry(reg, at);
        if (entry_visible(entry) && !keyspace_is_expired(app, entry)) return at;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct series_entry *entry = registry_entry(reg, (at + i) % n);
        if (!entry_visible(entry) || keyspace_is_expired(app, entry)) continue;
        return (at + i) % n;
    }
    return ORDINAL_NONE;
}

uint64_t keyspace_n_expires(const struct app *app)
{
    return app->keyspace ? app->keyspace->heap.len : 0;
}

uint64_t keyspace_n_expired(const struct app *app)
{
    return app->keyspace ? app->keyspace->n_expired : 0;
}
