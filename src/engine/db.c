/* The database as its users see it. See db.h. */
#include "engine/db.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/budget.h"
#include "engine/compact.h"
#include "engine/flush_priv.h"
#include "engine/maintain.h"
#include "engine/recover.h"
#include "engine/relabel.h"
#include "engine/retention.h"
#include "engine/rules.h"
#include "engine/snapshot.h"
#include "engine/view_priv.h"

enum { META_SHARE = 16 }; /* of the memory limit: for exemplars, and for metadata */

/* --- what the parts ask ---------------------------------------------------------- */

struct cell *db_cell(struct db *db)
{
    return &db->cell;
}

bool db_threaded(const struct db *db)
{
    return db->ports.wal_thread;
}

const struct db_options *db_options(const struct db *db)
{
    return &db->options;
}

struct registry *db_registry(struct db *db)
{
    return db->cell.registry;
}

struct exec *db_exec(struct db *db)
{
    return db->ports.exec;
}

struct clock *db_clock(struct db *db)
{
    return db->ports.clock;
}

struct exemplars *db_exemplars(struct db *db)
{
    return db->exemplars;
}

struct metadata_store *db_metadata(struct db *db)
{
    return db->metadata;
}

struct sink *db_sink(struct db *db)
{
    return &db->sink;
}

int64_t db_ticks(const struct db *db, int64_t ms)
{
    int64_t ticks;
    if (db->ticks_per_ms == 0) return ms / 1000;
    return __builtin_mul_overflow(ms, db->ticks_per_ms, &ticks) ? INT64_MAX : ticks;
}

ts_time db_now(const struct db *db)
{
    int64_t ns = db->ports.clock->wall_ns(db->ports.clock);
    switch (db->options.precision) {
    case PRECISION_S: return ns / 1000000000;
    case PRECISION_MS: return ns / 1000000;
    case PRECISION_US: return ns / 1000;
    case PRECISION_NS: return ns;
    }
    return ns;
}

struct time_window db_window(const struct db *db)
{
    return retention_window(db);
}

int db_reader_enter(struct db *db)
{
    return reader_enter(&db->cell.retire);
}

void db_reader_leave(struct db *db, int slot)
{
    reader_leave(&db->cell.retire, slot);
}

uint64_t db_deaths(const struct db *db)
{
    return atomic_load_explicit(&db->cell.n_deaths, memory_order_acquire);
}

lsn db_durable(const struct db *db)
{
    return wal_acked(db->cell.wal);
}

status db_durable_failed(const struct db *db, struct err *err)
{
    return wal_failed(db->cell.wal, err);
}

status db_refusing(const struct db *db, struct err *err)
{
    if (db->cell.closing) return err_set(err, ST_CLOSED, "the database is closing");
    if (wal_failed(db->cell.wal, err) != ST_OK) return ST_POISONED;
    if (db->cell.refuse != ST_OK)
        return err_set(err, db->cell.refuse, "%s", db->cell.refuse_err.text);
    return ST_OK;
}

void db_step_wal(struct db *db)
{
    if (db->ports.wal_thread) return;
    while (wal_step(db->cell.wal)) {
    }
}

/* --- the sink -------------------------------------------------------------------- */

static void sink_take(struct sink *sink, struct batch *batch)
{
    write_enqueue(&container_of(sink, struct db, sink)->cell, batch);
}

static const struct sink_ops sink_ops = {.write = sink_take};

/* --- the WAL's progress ---------------------------------------------------------- */

static void wal_moved_on_owner(struct task *task)
{
    struct db *db = container_of(task, struct db, wal_task);
    atomic_store_explicit(&db->wal_task_posted, false, memory_order_release);
    flush_wal_moved(&db->cell);
    delete_step(&db->cell);
    snapshot_step(db);
    compact_step(&db->cell);
    write_wake(&db->cell);
}

void db_wal_moved(void *ctx)
{
    struct db *db = ctx;
    if (db->ports.durable) db->ports.durable(db->ports.durable_ctx);
    if (!db->ports.wal_thread) return; /* the owner itself steps it and looks */
    if (atomic_exchange_explicit(&db->wal_task_posted, true, memory_order_acq_rel)) return;
    db->wal_task.fn = wal_moved_on_owner;
    exec_to_owner(db->ports.exec, &db->wal_task);
}

/* --- open ------------------------------------------------------------------------ */

static void free_db(struct db *db)
{
    cell_release(&db->cell);
    exemplars_free(db->exemplars);
    metadata_store_free(db->metadata);
    tombstone_file_close(db->tombstone_file);
    file_hold_release(&db->files);
    catalog_release(&db->catalog);
    registry_catalog_release(&db->registry_catalog);
    dirlock_close(db->lock);
    mem_free(db);
}

static void init_accounts(struct db *db)
{
    account_init(&db->account, "database", db->ports.account, 0);
    account_init(&db->head_account, "head", &db->account, 0);
    account_init(&db->registry_account, "registry", &db->account, 0);
    account_init(&db->wal_account, "wal", &db->account, 0);
    size_t max = db->options.memory_limit / META_SHARE;
    account_init(&db->exemplar_account, "exemplars", &db->account, max);
    account_init(&db->metadata_account, "metadata", &db->account, max);
}

static status make_stores(struct db *db)
{
    struct exemplar_limits limits = {.total = db->options.exemplars_max,
                                     .per_series = db->options.exemplars_per_series};
    db->exemplars = exemplars_new(&limits, &db->exemplar_account);
    db->metadata = metadata_store_new(db->options.metadata_max, &db->metadata_account);
    return db->exemplars && db->metadata ? ST_OK : ST_NO_MEMORY;
}

/* The tables of the registry grow by doubling: no estimate of a batch's need covers that,
 * so they have a limit of their own. After recovery, which takes what is there. */
static void limit_registry(struct db *db)
{
    atomic_store(&db->registry_account.limit, budget_registry_max(db->options.memory_limit));
}

status db_open(struct db **out, const struct db_options *options, const struct db_ports *ports,
               struct err *err)
{
    TRY(db_options_check(options, err));
    struct db *db = mem_try_aligned(_Alignof(struct db), sizeof(*db));
    if (!db) return err_set(err, ST_NO_MEMORY, "opening the database");
    memset(db, 0, sizeof(*db));
    db->sink.ops = &sink_ops;
    db->options = *options;
    db->ports = *ports;
    db->ticks_per_ms = precision_ticks_per_ms(options->precision);
    file_hold_init(&db->files, ports->vfs);
    list_init(&db->flush_waiters);
    list_init(&db->wal_task.link);
    init_accounts(db);

    status st = cell_init(&db->cell, db);
    if (st == ST_OK) st = make_stores(db);
    if (st == ST_OK) st = recover(db, err);
    if (st != ST_OK) {
        if (db->cell.wal) (void)wal_close(db->cell.wal, NULL);
        free_db(db);
        return err && err->text[0] ? st : err_set(err, st, "opening the database");
    }
    limit_registry(db);
    db->cell.last_flush = clock_mono(ports->clock);
    *out = db;
    return ST_OK;
}

/* --- the owner's cron ------------------------------------------------------------ */

int64_t db_tick(struct db *db)
{
    struct cell *cell = &db->cell;
    mono_ns now = clock_mono(db->ports.clock);
    int64_t interval = db->options.flush_interval_ms * 1000000;

    db_step_wal(db);
    snapshot_step(db);
    flush_step(cell);
    compact_step(cell);
    delete_step(cell);
    relabel_step(cell);
    encode_plan(cell);
    registry_settle(cell->registry);
    if (list_empty(&cell->inbox)) cell->short_since = 0;
    write_wake(cell); /* whoever waits for room: some may have come */
    cell_collect(cell);
    view_limit_retired(cell);
    bool stepping = cell->flush || cell->short_since || cell->gone_more ||
                    !list_empty(&cell->delete_ops) || !list_empty(&cell->relabels);
    if (now < cell->next_look && !stepping) return cell->next_look - now;
    if (now >= cell->next_look) {
        /* Signed: the WAL thread may move a frame from one summand to the other just now. */
        cell_charge_lists(cell);
        int64_t logged = (int64_t)(flush_wal_bytes(cell) - cell->wal_at_flush);
        struct situation situation = {
            .wal_bytes = logged > 0 ? (uint64_t)logged : 0,
            .n_unflushed = cell->n_unflushed + cell->n_unflushed_meta,
            .since_flush_ms = (now - cell->last_flush) / 1000000,
            .memory_used = cell_memory_used(cell),
            .memory_samples = account_used(&cell->account),
            .memory_asked = cell->memory_asked,
            .flushing = cell->flush != NULL,
            .flush_pauses = cell_job_pauses(cell, DB_JOB_FLUSH),
        };
        retention_look(db);
        compact_situation(cell, &situation);
        struct maintain_choice next = maintain_next(&situation, &db->options);
        if (next.flush) (void)flush_begin(cell, next.flush);
        if (next.compact) (void)compact_begin(cell);
        if (next.forget && !cell_job_pauses(cell, DB_JOB_DELETES)) compact_deletes_begin(cell);
        cell->memory_asked = false; /* who still waits asks again */
        registry_upkeep(cell);
        cell->next_look = now + interval;
    }
    /* A flush that cuts or unlinks goes on with every call, so does a delete, and a batch
     * that waits for memory asks again: come back at once. */
    stepping = cell->flush || cell->short_since || cell->gone_more ||
               !list_empty(&cell->delete_ops) || !list_empty(&cell->relabels);
    return stepping ? 1000000 : interval;
}

void db_flush(struct db *db, void (*done)(void *ctx, status st), void *ctx)
{
    struct cell *cell = &db->cell;
    uint64_t before = cell->flush_order;
    bool begun = flush_begin(cell, "asked");
    if (!begun && !cell->flush) {
        done(ctx, ST_OK);
        return;
    }
    struct flush_waiter *wait = mem_alloc(sizeof(*wait));
    /* A flush that was under way does not take what came behind its cut: wait for the
     * next one, which its end begins. */
    *wait = (struct flush_waiter){.done = done, .ctx = ctx, .order = before + 1};
    list_push(&db->flush_waiters, &wait->link);
    flush_step(cell);
}

/* --- close ----------------------------------------------------------------------- */

static bool busy(const struct db *db)
{
    const struct cell *cell = &db->cell;
    return cell->flush || cell->encode.n_running || !list_empty(&cell->inbox) ||
           !list_empty(&cell->deferred) || !list_empty(&cell->held_back) || db->catalog_busy ||
           cell->delete_posted || cell->rebuild_running || compact_busy(cell) || rules_busy(cell) ||
           !list_empty(&cell->views) || snapshot_busy(db);
}

status db_close(struct db *db, mono_ns deadline, void (*serve)(void *ctx), void *ctx,
                struct err *err)
{
    struct cell *cell = &db->cell;
    struct clock *clock = db->ports.clock;
    bool flushed = deadline == 0;
    cell->closing = true;
    compact_cancel(cell);
    compact_answer(cell, SIZE_MAX, ST_CLOSED);
    delete_close(cell);
    relabel_close(cell);
    rules_close(cell);
    view_serve_pins(cell);
    snapshot_cancel(db);
    while (busy(db) || !flushed) {
        if (!flushed && !cell->flush && list_empty(&cell->inbox) && list_empty(&cell->deferred) &&
            list_empty(&cell->held_back)) {
            flushed = true;
            (void)flush_begin(cell, "close");
        }
        if (clock_mono(clock) >= deadline) {
            flushed = true;
            cell->closed = true;
            flush_abandon(cell);
        }
        write_pump(cell);
        flush_step(cell);
        compact_step(cell);
        db_step_wal(db);
        flush_wal_moved(cell);
        snapshot_step(db);
        if (serve) serve(ctx);
    }
    cell->closed = true;
    status st = wal_close(cell->wal, err);
    cell->wal = NULL;
    free_db(db);
    return st;
}

/* --- single series --------------------------------------------------------------- */

uint64_t db_mark(struct db *db)
{
    return atomic_fetch_add_explicit(&db->cell.retire.epoch, 1, memory_order_release) + 1;
}

bool db_touched_since(struct db *db, uint32_t ordinal, uint64_t mark)
{
    return cell_head(&db->cell, ordinal)->touched >= mark;
}

status db_latest(struct db *db, uint32_t ordinal, struct db_latest *out)
{
    const struct head *head = cell_head(&db->cell, ordinal);
    if (head->flags & HEAD_UNKNOWN) return ST_AGAIN;
    if (!(head->flags & HEAD_HAS_LAST)) return ST_NOT_FOUND;
    if (type_is_blob(head->type)) return ST_AGAIN;
    *out = (struct db_latest){
        .ts = head->last_ts, .bits = head->last_bits, .type = (enum value_type)head->type};
    return ST_OK;
}
