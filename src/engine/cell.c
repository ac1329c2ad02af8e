/* The cell's own life, and what its parts share. See cell_priv.h. */
#include "base/log.h"
#include "base/mem.h"
#include "engine/compact.h"
#include "engine/db_priv.h"
#include "engine/rules.h"
#include "engine/snapshot.h"
#include "engine/starts.h"
#include "engine/view_priv.h"
#include "engine/write_priv.h"

enum { COLLECT_SLICE = 256, COLLECT_NS = 100 * 1000 };

static void retire_index(void *ctx, void (*free_fn)(void *ptr, void *arg), void *ptr, void *arg,
                         size_t bytes)
{
    struct cell *cell = ctx;
    retire_call(&cell->retire, free_fn, ptr, arg, bytes);
}

static void free_retired(void *ctx, unsigned kind, void *ptr)
{
    struct cell *cell = ctx;
    if (kind == RETIRE_MARK)
        cell->marks.taken[(uintptr_t)ptr] = false;
    else
        node_free_retired(&cell->space, (enum retire_kind)kind, ptr);
}

status cell_init(struct cell *cell, struct db *db)
{
    struct reclaim reclaim = {.retire = retire_index, .ctx = cell};
    cell->db = db;
    retire_init(&cell->retire, free_retired, cell);
    segvec_init(&cell->heads, sizeof(struct head), &db->head_account);
    segvec_init(&cell->journal.rows, sizeof(struct journal_row), &db->head_account);
    list_init(&cell->holds);
    list_init(&cell->views);
    list_init(&cell->inbox);
    list_init(&cell->pins);
    list_init(&cell->removals);
    list_init(&cell->compact_waiters);
    list_init(&cell->deferred);
    list_init(&cell->held_back);
    list_init(&cell->delete_ops);
    list_init(&cell->relabels);
    list_init(&cell->delete_task.link);
    list_init(&cell->pump_task.link);
    cell->next_run = 1;
    account_init(&cell->account, "samples", &db->head_account, 0);
    account_init(&cell->list_account, "lists", &db->account, 0);
    node_space_init(&cell->space, &cell->account);
    cell->rules = rules_new(db);
    cell->slice = mem_try_zero(sizeof(*cell->slice));
    cell->registry = registry_new(&db->registry_account, &reclaim);
    cell->manifest = manifest_next(NULL, &(struct manifest_change){.n_add = 0});
    return cell->slice && cell->rules && cell->registry && cell->manifest ? ST_OK : ST_NO_MEMORY;
}

static void free_chains(struct cell *cell)
{
    for (size_t i = 0; i < segvec_len(&cell->heads); i++) {
        struct node *node = word_node(head_root(cell_head(cell, (uint32_t)i)));
        while (node) {
            struct node *older = word_node(node_older(node));
            node_free(&cell->space, node);
            node = older;
        }
    }
}

void cell_release(struct cell *cell)
{
    compact_release(cell);
    free_chains(cell);
    retire_release(&cell->retire);
    while (cell->spare) {
        struct node *next = (struct node *)(uintptr_t)node_older(cell->spare);
        node_free(&cell->space, cell->spare);
        cell->spare = next;
    }
    registry_free(cell->registry);
    retire_release(&cell->retire); /* what freeing the registry retired */
    manifest_unref(cell->manifest);
    vec_release(&cell->encode.ordinals);
    for (size_t i = 0; i < cell->pending_deletes.len; i++)
        mem_free((void *)(uintptr_t)cell->pending_deletes.ptr[i].ids);
    vec_release(&cell->pending_deletes);
    vec_release(&cell->pending_deaths);
    vec_release(&cell->pending_attrs);
    segvec_release(&cell->heads);
    segvec_release(&cell->journal.rows);
    node_space_release(&cell->space);
    rules_free(cell->rules);
    mem_free(cell->slice);
    account_release(&cell->list_account, account_used(&cell->list_account));
}

enum dup_policy cell_policy(const struct cell *cell, const struct series_attrs *attrs, bool keyed)
{
    if (attrs && attrs->policy != DUP_UNSET) return attrs->policy;
    return keyed ? DUP_BLOCK : db_options(cell->db)->dup_policy;
}

static bool is_choosy(const struct head *head)
{
    return head->policy != DUP_LAST || head->retention != 0;
}

static void count_choosy(struct cell *cell, struct head *head)
{
    if (head->flags & HEAD_CHOOSY) cell->n_choosy--;
    head->flags &= (uint8_t)~HEAD_CHOOSY;
    if (!is_choosy(head)) return;
    head->flags |= HEAD_CHOOSY;
    cell->n_choosy++;
}

/* All of a head but HEAD_CHOOSY. */
static void fill_head(const struct cell *cell, struct head *head, uint32_t ordinal)
{
    const struct series_entry *entry = registry_entry(cell->registry, ordinal);
    const struct series_attrs *attrs = entry_attrs(entry);
    bool keyed = (entry_flags(entry) & SERIES_KEYED) != 0;
    head->id = entry->id; /* written before it is read: one fault for a fresh page, not two */
    head->gen = entry_gen(entry);
    ASSERT(word_node(head_root(head)) == NULL);
    atomic_store_explicit(&head->root, 0, memory_order_relaxed); /* it may say MOVED */
    head->type = entry->type;
    head->shard = segment_shard(entry->place) & (CELL_SHARDS - 1);
    head->doomed = 0;
    head->ruled = rules_has_source(cell, entry->id);
    head->started = 0; /* starts_link() looks for it */
    head->policy = (uint8_t)cell_policy(cell, attrs, keyed);
    if (entry_flags(entry) & SERIES_HIDDEN) head->policy = DUP_LAST;
    head->retention = keyed && attrs ? db_ticks(cell->db, attrs->retention_ms) : 0;
    head->flags = (uint8_t)(HEAD_BORN | (keyed ? HEAD_KEYED : 0) | (head->flags & HEAD_CHOOSY));
    head->cut_gen = 0;
}

static void init_head(struct cell *cell, uint32_t ordinal)
{
    struct head *head = cell_head(cell, ordinal);
    fill_head(cell, head, ordinal);
    count_choosy(cell, head);
    const struct series_entry *entry = registry_entry(cell->registry, ordinal);
    const struct series_attrs *attrs = entry_attrs(entry);
    if (attrs && attrs->rule_source) rules_attrs(cell, entry->id, attrs);
}

/* The head first: a series that is born must have one. */
static status reserve_head(struct cell *cell)
{
    uint32_t n = registry_n_ordinals(cell->registry);
    if (!segvec_reserve(&cell->heads, n)) return ST_NO_MEMORY;
    if (segvec_len(&cell->heads) <= n) segvec_publish(&cell->heads, (size_t)n + 1);
    return ST_OK;
}

status cell_add_series(struct cell *cell, uint32_t *ordinal, const struct series_new *make)
{
    struct series_new placed = *make;
    uint64_t limit = db_options(cell->db)->cardinality_limit;
    if (limit && make->id == 0 && registry_counts(cell->registry).n_series >= limit)
        return ST_CARDINALITY;

    TRY(reserve_head(cell));
    if (placed.place == 0) placed.place = labels_place(make->labels, make->identity);
    TRY(registry_add(ordinal, cell->registry, &placed));
    init_head(cell, *ordinal);
    return ST_OK;
}

status cell_add_starts(struct cell *cell, uint32_t *ordinal, uint32_t parent)
{
    const struct series_entry *entry = registry_entry(cell->registry, parent);
    struct starts_name name;
    starts_name_make(&name, entry->id, entry->place);
    TRY(reserve_head(cell));
    const struct series_new make = {
        .labels = {&name.label, 1},
        .identity = slice_of(name.identity, STARTS_IDENTITY_LEN),
        .hash = hash128(name.identity, STARTS_IDENTITY_LEN),
        .place = entry->place,
        .type = VALUE_I64,
    };
    TRY(registry_add(ordinal, cell->registry, &make));
    init_head(cell, *ordinal);
    cell_head(cell, parent)->started = 1;
    registry_set_started(cell->registry, parent, true);
    return ST_OK;
}

status cell_add_pairs(struct cell *cell, uint32_t *ordinal, const struct series_new *make,
                      const struct pair_list *list)
{
    TRY(reserve_head(cell));
    TRY(registry_add_pairs(ordinal, cell->registry, make, list));
    init_head(cell, *ordinal);
    return ST_OK;
}

uint64_t cell_adopt_heads(const struct cell *cell, uint32_t from, uint32_t to, uint8_t flags)
{
    uint64_t n_choosy = 0;
    for (uint32_t i = from; i < to; i++) {
        struct head *head = cell_head(cell, i);
        fill_head(cell, head, i);
        head->flags |= flags;
        if (!is_choosy(head)) continue;
        head->flags |= HEAD_CHOOSY;
        n_choosy++;
    }
    return n_choosy;
}

void cell_attrs_changed(struct cell *cell, uint32_t ordinal)
{
    static const struct series_attrs none;
    const struct series_entry *entry = registry_entry(cell->registry, ordinal);
    const struct series_attrs *attrs = entry_attrs(entry);
    struct head *head = cell_head(cell, ordinal);
    bool keyed = (head->flags & HEAD_KEYED) != 0;
    head->policy = (uint8_t)cell_policy(cell, attrs, keyed);
    head->retention = keyed && attrs ? db_ticks(cell->db, attrs->retention_ms) : 0;
    count_choosy(cell, head);
    rules_attrs(cell, entry->id, attrs ? attrs : &none);
    cell->attrs_dirty = true;
    if (!vec_push(&cell->pending_attrs, entry->id)) cell->lost_attrs = true;
}

bool cell_may_remove(const struct cell *cell, uint32_t ordinal)
{
    const struct head *head = cell_head(cell, ordinal);
    bool taken = cell->flush && head->cut_gen == cell->flush_order;
    return !taken && !(head->flags & HEAD_HELD) && !snapshot_wants_names(cell->db);
}

bool cell_remove_series(struct cell *cell, uint32_t ordinal)
{
    struct head *head = cell_head(cell, ordinal);
    series_id id = registry_entry(cell->registry, ordinal)->id;
    ASSERT(head->flags & HEAD_BORN);
    DASSERT(write_idle(cell));
    if ((head->flags & HEAD_QUEUED) || !cell_may_remove(cell, ordinal)) return false;

    struct node *node = word_node(head_root(head));
    if (node) {
        head_touch(cell, head, ordinal);
        atomic_store_explicit(&head->root, 0, memory_order_release);
    }
    while (node) {
        struct node *older = word_node(node_older(node));
        node_retire(node, &cell->retire);
        node = older;
    }
    if (head->flags & HEAD_CHOOSY) cell->n_choosy--;
    head->flags = 0;
    head->doomed = head->ruled = head->started = 0;
    rules_attrs(cell, id, NULL);
    starts_unlink(cell, ordinal);
    registry_remove(cell->registry, ordinal);
    /* Recovery knows in the end alone whose ids live. */
    if (!cell->replaying) exemplars_drop(cell->db->exemplars, id);
    atomic_fetch_add_explicit(&cell->n_deaths, 1, memory_order_release);
    if (!vec_push(&cell->pending_deaths, id)) cell->lost_deaths = true;
    return true;
}

bool cell_may_rename(const struct cell *cell)
{
    return !cell->flush && !cell->holder && list_empty(&cell->deferred) &&
           list_empty(&cell->held_back) && !snapshot_wants_names(cell->db);
}

/* Samples and what is known of them. */
static void move_head(struct cell *cell, uint32_t from, uint32_t to)
{
    struct head *old = cell_head(cell, from), *new = cell_head(cell, to);
    node_word root = head_root(old);
    new->last_ts = old->last_ts;
    new->last_bits = old->last_bits;
    new->cut_gen = old->cut_gen;
    new->flags |= old->flags & (HEAD_HAS_LAST | HEAD_UNKNOWN | HEAD_CUT);
    new->started = old->started; /* its companion is named after what stays */
    if (word_node(root)) {
        head_touch(cell, new, to);
        atomic_store_explicit(&new->root, root, memory_order_release);
    }
    head_touch(cell, old, from);
    atomic_store_explicit(&old->root, ROOT_MOVED, memory_order_release);
}

status cell_relabel(struct cell *cell, uint32_t *to, uint32_t from, struct labels labels,
                    struct slice identity, struct hash128 hash, uint16_t version)
{
    TRY(reserve_head(cell));
    TRY(registry_relabel(to, cell->registry, from, labels, identity, hash, version));
    init_head(cell, *to);
    move_head(cell, from, *to);
    if (cell_head(cell, *to)->started) registry_set_started(cell->registry, *to, true);

    struct head *old = cell_head(cell, from);
    bool queued = (old->flags & HEAD_QUEUED) != 0;
    if (old->flags & HEAD_CHOOSY) cell->n_choosy--;
    old->flags = 0;
    old->doomed = old->ruled = old->started = 0;
    atomic_fetch_add_explicit(&cell->n_deaths, 1, memory_order_release);
    if (!queued) return ST_OK;
    /* An encode job that has the old ordinal finds nothing to put in its place. */
    encode_forget_dead(cell);
    encode_queue_push(cell, *to);
    return ST_OK;
}

status cell_restart_registry(struct cell *cell)
{
    struct reclaim reclaim = {.retire = retire_index, .ctx = cell};
    retire_release(&cell->retire); /* first: what waits there belongs to the registry */
    registry_free(cell->registry);
    segvec_release(&cell->heads);
    cell->n_choosy = 0;
    cell->registry = registry_new(&cell->db->registry_account, &reclaim);
    if (!cell->registry) return ST_NO_MEMORY;
    registry_bulk_begin(cell->registry);
    return ST_OK;
}

/* --- posting lists: a job -------------------------------------------------------- */

struct upkeep {
    struct job job;
    struct cell *cell;
    struct registry_rebuild *plan;
};

static status upkeep_run(struct job *job)
{
    struct upkeep *up = container_of(job, struct upkeep, job);
    int slot = db_reader_enter(up->cell->db);
    status st = registry_rebuild_run(up->plan, &job->cancelled);
    db_reader_leave(up->cell->db, slot);
    return st;
}

static void upkeep_publish(struct job *job, status st)
{
    struct upkeep *up = container_of(job, struct upkeep, job);
    bool done = registry_rebuild_publish(up->cell->registry, up->plan, st);
    up->cell->rebuild_running = false;
    if (st == ST_OK)
        cell_job_done(up->cell, DB_JOB_POSTINGS);
    else
        cell_job_failed(up->cell, DB_JOB_POSTINGS, st, &job->err);
    if (done) registry_upkeep(up->cell); /* there may be more */
    mem_free(up);
}

static const struct job_ops upkeep_ops = {.name = "postings",
                                          .lane = JOB_MAINTENANCE,
                                          .run = upkeep_run,
                                          .publish = upkeep_publish};

void registry_upkeep(struct cell *cell)
{
    if (cell->rebuild_running || cell->closing || cell_job_pauses(cell, DB_JOB_POSTINGS)) return;
    struct registry_rebuild *plan = registry_rebuild_due(cell->registry)
                                        ? registry_rebuild_plan(cell->registry)
                                        : registry_purge_plan(cell->registry);
    if (!plan) return;
    struct upkeep *up = mem_zalloc(sizeof(*up));
    job_init(&up->job, &upkeep_ops);
    up->cell = cell;
    up->plan = plan;
    cell->rebuild_running = true;
    exec_submit(db_exec(cell->db), &up->job);
}

void cell_job_failed(struct cell *cell, enum db_job_kind kind, status st, const struct err *err)
{
    struct clock *clock = db_clock(cell->db);
    if (st == ST_CANCELLED || st == ST_CLOSED) return;
    bool stop = job_table_failed(cell->jobs, kind, st, err_text(err, st), clock_wall(clock),
                                 clock_mono(clock));
    const struct db_job *job = &cell->jobs[kind];
    log_error("engine", "a job failed", "job=\"%s\" status=%s reason=\"%s\" in_a_row=%llu",
              db_job_name(kind), status_name(st), job->last_error,
              (unsigned long long)job->n_in_a_row);
    if (!stop || !db_options(cell->db)->fail_fast) return;
    cell->refuse = st == ST_NO_SPACE ? ST_NO_SPACE : ST_IO;
    err_set(&cell->refuse_err, cell->refuse, "%s failed %llu times in a row: %s",
            db_job_name(kind), (unsigned long long)job->n_in_a_row, job->last_error);
}

void cell_job_done(struct cell *cell, enum db_job_kind kind)
{
    job_table_done(&cell->jobs[kind], clock_wall(db_clock(cell->db)));
    if (job_table_worst(cell->jobs) == DB_JOB_KINDS) cell->refuse = ST_OK;
}

bool cell_job_pauses(const struct cell *cell, enum db_job_kind kind)
{
    return clock_mono(db_clock(cell->db)) < cell->jobs[kind].retry_at;
}

/* --- memory ---------------------------------------------------------------------- */

uint64_t cell_memory_used(const struct cell *cell)
{
    const struct account *root = &cell->db->account;
    while (root->parent) root = root->parent;
    return account_used(root);
}

static size_t deletes_bytes(const struct cell *cell)
{
    const struct manifest *m = cell->manifest;
    size_t bytes = cell->pending_deletes.cap * sizeof(cell->pending_deletes.ptr[0]);
    for (size_t i = 0; i < cell->pending_deletes.len; i++)
        bytes += cell->pending_deletes.ptr[i].n_ids * sizeof(series_id);
    return bytes + tombstones_bytes(m->deletes) + tombstones_bytes(m->mem_deletes);
}

void cell_charge_lists(struct cell *cell)
{
    enum { RETIRED_ENTRY = 16 };
    size_t before = account_used(&cell->list_account);
    size_t now = cell->encode.ordinals.cap * sizeof(uint32_t) +
                 cell->pending_deaths.cap * sizeof(series_id) +
                 cell->gone.cap * sizeof(struct gone_series) +
                 flush_list_bytes(cell) +
                 deletes_bytes(cell) + cell->manifest->n_segments * sizeof(struct segment *) +
                 cell->retire.n_items * RETIRED_ENTRY + sizeof(*cell->slice);
    if (now > before)
        account_force(&cell->list_account, now - before);
    else
        account_release(&cell->list_account, before - now);
}

void cell_hold(struct cell *cell, struct epoch_hold *hold)
{
    hold->epoch = atomic_fetch_add_explicit(&cell->retire.epoch, 1, memory_order_release);
    list_push(&cell->holds, &hold->link);
}

void cell_hold_since(struct cell *cell, struct epoch_hold *hold, uint64_t since)
{
    struct list *behind = cell->holds.prev; /* the oldest come first */
    hold->epoch = since - 1; /* a reader keeps what is unlinked at its epoch, a hold not */
    while (behind != &cell->holds &&
           container_of(behind, struct epoch_hold, link)->epoch > hold->epoch)
        behind = behind->prev;
    list_push(behind->next, &hold->link);
}

void cell_unhold(struct epoch_hold *hold)
{
    list_remove(&hold->link);
}

uint64_t cell_oldest_version(const struct cell *cell)
{
    if (list_empty(&cell->views)) return UINT64_MAX;
    return container_of(cell->views.next, struct view, link)->manifest->version;
}

void cell_collect(struct cell *cell)
{
    uint64_t oldest = UINT64_MAX;
    if (!cell->retire.n_items) return;
    if (!list_empty(&cell->holds))
        oldest = container_of(cell->holds.next, struct epoch_hold, link)->epoch;
    mono_ns start = clock_mono(db_clock(cell->db));
    size_t n;
    do {
        node_space_begin_free(&cell->space);
        n = retire_collect(&cell->retire, oldest, COLLECT_SLICE);
        node_space_end_free(&cell->space);
    } while (n == COLLECT_SLICE && clock_mono(db_clock(cell->db)) - start < COLLECT_NS);
}

void cell_collect_all(struct cell *cell)
{
    node_space_begin_free(&cell->space);
    (void)retire_collect(&cell->retire, UINT64_MAX, SIZE_MAX);
    node_space_end_free(&cell->space);
}
