/* The table of rules and what is marked. See rules.h.
 *
 * The table is sorted by source and destination. The owner alone changes it, under a lock
 * that readers of other threads take; it reads without.
 */
#include "engine/rules.h"

#include <string.h>

#include "base/bits.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "engine/db_priv.h"

enum { RULE_RANGES = 4 }; /* more than these are joined: the gap between them is made, too */

struct rule {
    struct rule_info info;
    struct list dirty;         /* of rules->dirty while something is marked */
    uint64_t first_mark;       /* the oldest one that waits */
    struct time_range range[RULE_RANGES]; /* of what is marked; disjoint */
    size_t n_ranges;
    bool lost, marked;
};

typedef VEC(struct rule *) rule_vec;

struct rules {
    struct db *db;
    struct mutex lock;         /* of table, for readers */
    rule_vec table;            /* by source and destination */
    rule_vec by_dest;          /* the same by destination */
    struct list dirty;         /* struct rule, by first_mark */
    struct list waiting;       /* struct rule_wait, by mark */
    struct rule_port port;
    uint64_t n_marks;          /* ever */
    uint64_t taken;            /* mark of the oldest rule that is being made; 0: none is */
};

/* --- life -------------------------------------------------------------------------- */

struct rules *rules_new(struct db *db)
{
    struct rules *rules = mem_try_zero(sizeof(*rules));
    if (!rules) return NULL;
    rules->db = db;
    mutex_init(&rules->lock, LOCK_RULES);
    list_init(&rules->dirty);
    list_init(&rules->waiting);
    return rules;
}

void rules_free(struct rules *rules)
{
    if (!rules) return;
    for (size_t i = 0; i < rules->table.len; i++) mem_free(rules->table.ptr[i]);
    vec_release(&rules->table);
    vec_release(&rules->by_dest);
    mutex_release(&rules->lock);
    mem_free(rules);
}

bool rule_of_attrs(struct rule_info *out, const struct db *db, series_id dest,
                   const struct series_attrs *attrs)
{
    if (!attrs || attrs->rule_source == 0) return false;
    int64_t bucket = db_ticks(db, attrs->rule_bucket_ms);
    *out = (struct rule_info){.source = attrs->rule_source,
                              .dest = dest,
                              .agg = (enum agg)attrs->rule_agg,
                              .bucket = bucket > 0 ? bucket : 1,
                              .align = db_ticks(db, attrs->rule_align_ms),
                              .since = attrs->rule_since};
    return true;
}

static void note(struct rules *rules, struct rule *rule);

/* --- the table ---------------------------------------------------------------------- */

/* The first entry that is not before (source, dest). */
static size_t lower_bound(const struct rules *rules, series_id source, series_id dest)
{
    size_t low = 0, high = rules->table.len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct rule_info *at = &rules->table.ptr[mid]->info;
        if (at->source < source || (at->source == source && at->dest < dest)) low = mid + 1;
        else high = mid;
    }
    return low;
}

/* The same in by_dest. */
static size_t lower_dest(const struct rules *rules, series_id dest)
{
    size_t low = 0, high = rules->by_dest.len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (rules->by_dest.ptr[mid]->info.dest < dest) low = mid + 1;
        else high = mid;
    }
    return low;
}

static struct rule *find_dest(const struct rules *rules, series_id dest)
{
    size_t i = lower_dest(rules, dest);
    if (i == rules->by_dest.len || rules->by_dest.ptr[i]->info.dest != dest) return NULL;
    return rules->by_dest.ptr[i];
}

static struct rule *find_rule(const struct rules *rules, series_id source, series_id dest)
{
    size_t i = lower_bound(rules, source, dest);
    if (i == rules->table.len) return NULL;
    struct rule *rule = rules->table.ptr[i];
    return rule->info.source == source && rule->info.dest == dest ? rule : NULL;
}

bool rules_has_source(const struct cell *cell, series_id id)
{
    const struct rules *rules = cell->rules;
    size_t i = lower_bound(rules, id, 0);
    return i < rules->table.len && rules->table.ptr[i]->info.source == id;
}

/* The source's head says whether it has rules. */
static void tell_head(struct cell *cell, series_id source)
{
    uint32_t ordinal = registry_by_id(cell->registry, source);
    if (ordinal != ORDINAL_NONE && ordinal < segvec_len(&cell->heads))
        cell_head(cell, ordinal)->ruled = rules_has_source(cell, source);
}

static void unmark(struct rule *rule)
{
    if (rule->marked) list_remove(&rule->dirty);
    rule->marked = rule->lost = false;
    rule->n_ranges = 0;
}

static void remove_at(rule_vec *vec, size_t i)
{
    memmove(&vec->ptr[i], &vec->ptr[i + 1], (vec->len - i - 1) * sizeof(vec->ptr[0]));
    vec->len--;
}

/* There is room. */
static void insert_at(rule_vec *vec, size_t i, struct rule *rule)
{
    memmove(&vec->ptr[i + 1], &vec->ptr[i], (vec->len - i) * sizeof(vec->ptr[0]));
    vec->ptr[i] = rule;
    vec->len++;
}

static void take_out(struct cell *cell, struct rule *rule)
{
    struct rules *rules = cell->rules;
    series_id source = rule->info.source;
    mutex_lock(&rules->lock);
    remove_at(&rules->table, lower_bound(rules, source, rule->info.dest));
    remove_at(&rules->by_dest, lower_dest(rules, rule->info.dest));
    mutex_unlock(&rules->lock);
    unmark(rule);
    mem_free(rule);
    tell_head(cell, source);
}

status db_rules_reserve(struct db *db)
{
    struct rules *rules = db->cell.rules;
    mutex_lock(&rules->lock);
    bool ok = vec_reserve(&rules->table, 1) && vec_reserve(&rules->by_dest, 1);
    mutex_unlock(&rules->lock);
    return ok ? ST_OK : ST_NO_MEMORY;
}

static void put_in(struct cell *cell, const struct rule_info *info)
{
    struct rules *rules = cell->rules;
    if (db_rules_reserve(cell->db) != ST_OK) {
        log_error("rules", "no memory for a rule: it rests until the next start", "dest=%llu",
                  (unsigned long long)info->dest);
        return;
    }
    struct rule *rule = mem_zalloc(sizeof(*rule));
    rule->info = *info;
    mutex_lock(&rules->lock);
    insert_at(&rules->table, lower_bound(rules, info->source, info->dest), rule);
    insert_at(&rules->by_dest, lower_dest(rules, info->dest), rule);
    mutex_unlock(&rules->lock);
    tell_head(cell, info->source);
    /* What was closed between the source's first sample and this moment. */
    rule->lost = true;
    note(rules, rule);
}

static void drop_source(struct cell *cell, series_id source)
{
    struct rules *rules = cell->rules;
    for (;;) {
        size_t i = lower_bound(rules, source, 0);
        if (i == rules->table.len || rules->table.ptr[i]->info.source != source) return;
        take_out(cell, rules->table.ptr[i]);
    }
}

void rules_attrs(struct cell *cell, series_id id, const struct series_attrs *attrs)
{
    struct rules *rules = cell->rules;
    struct rule_info now;
    bool has = rule_of_attrs(&now, rules->db, id, attrs);
    if (!has && rules->table.len == 0) return;
    if (!attrs) drop_source(cell, id);
    struct rule *old = has ? find_rule(rules, now.source, id) : NULL;
    if (old && old->info.agg == now.agg && old->info.bucket == now.bucket &&
        old->info.align == now.align)
        return;
    old = find_dest(rules, id);
    if (old) take_out(cell, old);
    if (has) put_in(cell, &now);
}

/* --- any thread ------------------------------------------------------------------ */

bool db_rule_of_dest(struct db *db, series_id dest, struct rule_info *out)
{
    struct rules *rules = db->cell.rules;
    mutex_lock(&rules->lock);
    const struct rule *rule = find_dest(rules, dest);
    if (rule) *out = rule->info;
    mutex_unlock(&rules->lock);
    return rule != NULL;
}

size_t db_rules_of_source(struct db *db, series_id source, struct rule_info *out, size_t max)
{
    struct rules *rules = db->cell.rules;
    size_t n = 0;
    mutex_lock(&rules->lock);
    for (size_t i = lower_bound(rules, source, 0);
         i < rules->table.len && rules->table.ptr[i]->info.source == source; i++, n++)
        if (n < max) out[n] = rules->table.ptr[i]->info;
    mutex_unlock(&rules->lock);
    return n;
}

/* --- marks ------------------------------------------------------------------------ */

static ts_time bucket_of(const struct rule_info *rule, ts_time ts)
{
    return time_bucket(ts, rule->bucket, rule->align);
}

static void note(struct rules *rules, struct rule *rule)
{
    rules->n_marks++;
    if (rule->marked) return;
    rule->marked = true;
    rule->first_mark = rules->n_marks;
    list_push(&rules->dirty, &rule->dirty);
    if (rules->port.dirty) rules->port.dirty(rules->port.ctx);
}

/* The two neighbours with the smallest gap become one. */
static void join_nearest(struct rule *rule)
{
    size_t best = 0;
    uint64_t gap = UINT64_MAX;
    for (size_t i = 0; i + 1 < rule->n_ranges; i++) {
        uint64_t d = (uint64_t)rule->range[i + 1].from - (uint64_t)rule->range[i].to;
        if (d < gap) {
            gap = d;
            best = i;
        }
    }
    rule->range[best].to = rule->range[best + 1].to;
    memmove(&rule->range[best + 1], &rule->range[best + 2],
            (rule->n_ranges - best - 2) * sizeof(rule->range[0]));
    rule->n_ranges--;
}

/* Ranges ascend and do not touch. */
static void add_range(struct rule *rule, struct time_range add)
{
    size_t at = 0, n = 0;
    struct time_range all[RULE_RANGES + 1];
    bool put = false;
    for (; at < rule->n_ranges; at++) {
        struct time_range have = rule->range[at];
        if (sat_add(have.to, 1) < add.from) {
            all[n++] = have;
        } else if (sat_add(add.to, 1) < have.from) {
            if (!put) all[n++] = add;
            put = true;
            all[n++] = have;
        } else {
            if (have.from < add.from) add.from = have.from;
            if (have.to > add.to) add.to = have.to;
        }
    }
    if (!put) all[n++] = add;
    if (n > RULE_RANGES) {
        join_nearest(rule); /* one less: now there is room */
        add_range(rule, add);
        return;
    }
    memcpy(rule->range, all, n * sizeof(all[0]));
    rule->n_ranges = n;
}

/* Whole buckets from that of from to that of to. */
static void mark(struct rules *rules, struct rule *rule, ts_time from, ts_time to)
{
    add_range(rule, (struct time_range){
                        bucket_of(&rule->info, from),
                        sat_add(bucket_of(&rule->info, to), rule->info.bucket - 1)});
    note(rules, rule);
}

void rules_append(struct cell *cell, const struct head *head, ts_time ts)
{
    struct rules *rules = cell->rules;
    for (size_t i = lower_bound(rules, head->id, 0); i < rules->table.len; i++) {
        struct rule *rule = rules->table.ptr[i];
        if (rule->info.source != head->id) return;
        if (head->flags & HEAD_UNKNOWN) { /* a segment may have newer ones: it may be late */
            rule->lost = true;
            mark(rules, rule, ts, ts);
        } else if ((head->flags & HEAD_HAS_LAST) &&
                   bucket_of(&rule->info, ts) != bucket_of(&rule->info, head->last_ts)) {
            mark(rules, rule, head->last_ts, head->last_ts);
        }
    }
}

void rules_late(struct cell *cell, const struct head *head, ts_time ts)
{
    struct rules *rules = cell->rules;
    for (size_t i = lower_bound(rules, head->id, 0); i < rules->table.len; i++) {
        struct rule *rule = rules->table.ptr[i];
        struct rule_info *info = &rule->info;
        if (info->source != head->id) return;
        ts_time bucket = bucket_of(info, ts);
        /* Replay does not tell what came before the rule. */
        if (cell->replaying && bucket <= info->since) continue;
        /* A bucket that is made for a late sample has all of its samples. */
        if (bucket <= info->since) {
            mutex_lock(&rules->lock);
            info->since = bucket == TS_MIN ? TS_MIN : bucket - 1;
            mutex_unlock(&rules->lock);
        }
        if ((head->flags & HEAD_UNKNOWN) || bucket != bucket_of(info, head->last_ts))
            mark(rules, rule, ts, ts);
    }
}

void rules_deleted(struct cell *cell, const uint64_t *ids, size_t n, struct time_range range)
{
    struct rules *rules = cell->rules;
    if (rules->table.len == 0) return;
    for (size_t k = 0; k < n; k++) {
        for (size_t i = lower_bound(rules, ids[k], 0); i < rules->table.len; i++) {
            if (rules->table.ptr[i]->info.source != ids[k]) break;
            mark(rules, rules->table.ptr[i], range.from, range.to);
        }
    }
}

void rules_recovered(struct cell *cell)
{
    struct registry *reg = cell->registry;
    struct rules *rules = cell->rules;
    for (size_t i = rules->table.len; i-- > 0;) {
        struct rule *rule = rules->table.ptr[i];
        if (registry_by_id(reg, rule->info.source) == ORDINAL_NONE) {
            take_out(cell, rule);
            continue;
        }
        rule->lost = true;
        note(rules, rule);
    }
}

void db_rules_backfill(struct db *db, series_id dest)
{
    struct rules *rules = db->cell.rules;
    struct rule *rule = find_dest(rules, dest);
    if (!rule) return;
    rule->n_ranges = 1;
    rule->range[0] = (struct time_range){TS_MIN, TS_MAX};
    note(rules, rule);
}

uint64_t rules_marks(const struct cell *cell)
{
    return cell->rules->n_marks;
}

bool rules_active(const struct cell *cell)
{
    return cell->rules->port.dirty != NULL && !cell->closing;
}

/* --- work -------------------------------------------------------------------------- */

void db_rules_listen(struct db *db, struct rule_port port)
{
    struct rules *rules = db->cell.rules;
    rules->port = port;
    if (port.dirty && !list_empty(&rules->dirty)) port.dirty(port.ctx);
}

static void fill_task(const struct cell *cell, struct rule_task *task, const struct rule *rule)
{
    uint32_t ordinal = registry_by_id(cell->registry, rule->info.source);
    *task = (struct rule_task){.rule = rule->info, .range = {TS_MAX, TS_MIN}};
    if (ordinal == ORDINAL_NONE) return;
    const struct head *head = cell_head(cell, ordinal);
    if ((head->flags & HEAD_UNKNOWN) || !(head->flags & HEAD_HAS_LAST)) return;
    task->has_open = true;
    task->open = bucket_of(&rule->info, head->last_ts);
}

size_t db_rules_take(struct db *db, struct rule_task *out, size_t max, uint64_t *ticket)
{
    struct rules *rules = db->cell.rules;
    size_t n = 0;
    while (n + RULE_RANGES + 1 <= max && !list_empty(&rules->dirty)) {
        struct rule *rule = container_of(rules->dirty.next, struct rule, dirty);
        struct rule_task task;
        if (n == 0) *ticket = rule->first_mark;
        fill_task(&db->cell, &task, rule);
        for (size_t i = 0; i < rule->n_ranges; i++) {
            out[n] = task;
            out[n++].range = rule->range[i];
        }
        if (rule->lost) {
            out[n] = task;
            out[n++].lost = true;
        }
        unmark(rule);
    }
    if (n) rules->taken = *ticket;
    return n;
}

/* The marks below this one have been dealt with. */
static uint64_t oldest_mark(const struct rules *rules)
{
    uint64_t oldest = rules->taken ? rules->taken : rules->n_marks + 1;
    if (list_empty(&rules->dirty)) return oldest;
    uint64_t first = container_of(rules->dirty.next, struct rule, dirty)->first_mark;
    return first < oldest ? first : oldest;
}

static void let_go(struct rules *rules, uint64_t below, lsn at)
{
    for (struct list *next; !list_empty(&rules->waiting);) {
        next = rules->waiting.next;
        struct rule_wait *wait = container_of(next, struct rule_wait, link);
        if (wait->at < at) wait->at = at;
        if (wait->mark >= below) break;
        list_remove(&wait->link);
        wait->done(wait);
    }
    list_each(rest, &rules->waiting)
    {
        struct rule_wait *wait = container_of(rest, struct rule_wait, link);
        if (wait->at < at) wait->at = at;
    }
}

void db_rules_done(struct db *db, uint64_t ticket, lsn at)
{
    struct rules *rules = db->cell.rules;
    DASSERT(rules->taken == ticket);
    (void)ticket;
    rules->taken = 0;
    let_go(rules, oldest_mark(rules), at);
}

void db_rules_failed(struct db *db, uint64_t ticket, const struct rule_task *tasks, size_t n)
{
    struct rules *rules = db->cell.rules;
    db_rules_done(db, ticket, 0);
    for (size_t i = 0; i < n; i++) {
        struct rule *rule = find_rule(rules, tasks[i].rule.source, tasks[i].rule.dest);
        if (!rule) continue;
        rule->lost |= tasks[i].lost;
        if (!range_empty(tasks[i].range)) mark(rules, rule, tasks[i].range.from, tasks[i].range.to);
        else note(rules, rule);
    }
    let_go(rules, UINT64_MAX, 0);
}

void db_rules_wait(struct db *db, struct rule_wait *wait)
{
    struct rules *rules = db->cell.rules;
    wait->mark = rules->n_marks;
    wait->at = 0;
    list_push(&rules->waiting, &wait->link);
    if (!rules_active(&db->cell)) let_go(rules, UINT64_MAX, 0);
    else let_go(rules, oldest_mark(rules), 0);
}

bool rules_busy(const struct cell *cell)
{
    return cell->rules->taken != 0;
}

void rules_close(struct cell *cell)
{
    let_go(cell->rules, UINT64_MAX, 0);
}
