/* Queries under way and slow ones. See query_table.h. */
#include "api/query_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/panic.h"

const struct query_tag query_tags[QUERY_TAGS] = {
    {"X-Dashboard-Uid", "dashboardUid"},
    {"X-Dashboard-Title", "dashboardTitle"},
    {"X-Panel-Id", "panelId"},
    {"X-Panel-Title", "panelTitle"},
    {"X-Panel-Plugin-Id", "panelPluginId"},
    {"X-Datasource-Uid", "datasourceUid"},
    {"X-Query-Group-Id", "queryGroupId"},
    {"X-Grafana-Org-Id", "grafanaOrgId"},
    {"X-Grafana-User", "grafanaUser"},
    {"X-Rule-Uid", "ruleUid"},
    {"X-Rule-Name", "ruleName"},
    {"X-Scope-OrgID", "scopeOrgId"},
};

/* A slow query, copied. */
struct slow_query {
    struct query_note note;       /* its texts point into what follows */
    mono_ns took;
    struct query_outcome outcome;
    char text[QUERY_TEXT_MAX];
    char tags[QUERY_TAGS][QUERY_TAG_MAX];
};

struct query_table {
    struct mutex lock;
    struct list active;
    uint64_t last_id;
    struct slow_query *slow;      /* a ring */
    size_t n_slow;                /* kept since the start */
};

struct query_table *query_table_new(void)
{
    struct query_table *table = mem_try_zero(sizeof(*table));
    if (!table) return NULL;
    table->slow = mem_try_array(QUERY_SLOW_MAX, sizeof(*table->slow));
    if (!table->slow) {
        mem_free(table);
        return NULL;
    }
    mutex_init(&table->lock, LOCK_LEAF);
    list_init(&table->active);
    return table;
}

void query_table_free(struct query_table *table)
{
    if (!table) return;
    ASSERT(list_empty(&table->active));
    mutex_release(&table->lock);
    mem_free(table->slow);
    mem_free(table);
}

/* --- entering ------------------------------------------------------------------------ */

static void copy_text(char *dst, size_t size, struct slice text)
{
    size_t len = text.len < size ? text.len : size - 1;
    if (len) memcpy(dst, text.ptr, len);
    dst[len] = '\0';
}

static void take_request(struct query_note *note, const struct http_request *req)
{
    copy_text(note->kind, sizeof(note->kind), req->path);
    if (note->text.len == 0) note->text = req->query;
    for (size_t i = 0; i < QUERY_TAGS; i++) {
        const struct http_field *field = http_field_named(req, query_tags[i].field);
        note->tags[i] = field ? field->value : (struct slice){"", 0};
    }
}

void query_note_fill(struct query_note *note, struct reply_slot *slot)
{
    const struct http_request *req = reply_slot_request(slot);
    struct conn_info info;
    conn_info(reply_slot_conn(slot), &info);
    copy_text(note->client, sizeof(note->client), slice_str(info.addr));
    if (req) take_request(note, req);
    else if (!note->kind[0]) copy_text(note->kind, sizeof(note->kind), slice_str(info.command));
}

void query_table_enter(struct query_table *table, struct query_note *note, struct job *job)
{
    note->job = job;
    mutex_lock(&table->lock);
    note->id = ++table->last_id;
    list_push(&table->active, &note->link);
    mutex_unlock(&table->lock);
}

/* --- leaving ------------------------------------------------------------------------- */

/* Copies note and outcome; the copy borrows nothing. */
static void keep(struct slow_query *slow, const struct query_note *note, mono_ns took,
                 const struct query_outcome *outcome)
{
    slow->note = (struct query_note){.id = note->id,
                                     .has_range = note->has_range,
                                     .start_ms = note->start_ms,
                                     .end_ms = note->end_ms,
                                     .step_ms = note->step_ms,
                                     .began_ms = note->began_ms};
    memcpy(slow->note.kind, note->kind, sizeof(note->kind));
    memcpy(slow->note.client, note->client, sizeof(note->client));
    copy_text(slow->text, sizeof(slow->text), note->text);
    slow->note.text = slice_str(slow->text);
    for (size_t i = 0; i < QUERY_TAGS; i++) {
        copy_text(slow->tags[i], sizeof(slow->tags[i]), note->tags[i]);
        slow->note.tags[i] = slice_str(slow->tags[i]);
    }
    slow->took = took;
    slow->outcome = *outcome;
}

static void log_slow(const struct query_note *note, mono_ns took,
                     const struct query_outcome *outcome)
{
    enum { TEXT_SHOWN = 400 };
    char tags[QUERY_TAGS * (QUERY_TAG_MAX + 32)] = "";
    size_t len = 0, shown = note->text.len < TEXT_SHOWN ? note->text.len : TEXT_SHOWN;
    for (size_t i = 0; i < QUERY_TAGS; i++) {
        int n = (int)(note->tags[i].len < QUERY_TAG_MAX ? note->tags[i].len : QUERY_TAG_MAX);
        if (n) len += (size_t)snprintf(tags + len, sizeof(tags) - len, " %s=\"%.*s\"",
                                       query_tags[i].key, n, note->tags[i].ptr);
    }
    log_warn("query", "slow query",
             "ms=%lld status=%s series=%llu samples=%llu kind=%s client=%s query=\"%.*s\"%s",
             (long long)(took / 1000000), status_name(outcome->st),
             (unsigned long long)outcome->n_series, (unsigned long long)outcome->n_samples,
             note->kind, note->client, (int)shown, shown ? note->text.ptr : "", tags);
}

bool query_table_leave(struct query_table *table, struct query_note *note,
                       const struct query_outcome *outcome, mono_ns slow_ns)
{
    mono_ns took = outcome->ended - note->began;
    bool slow = slow_ns > 0 && took >= slow_ns;
    mutex_lock(&table->lock);
    list_remove(&note->link);
    if (slow) keep(&table->slow[table->n_slow++ % QUERY_SLOW_MAX], note, took, outcome);
    mutex_unlock(&table->lock);
    if (slow) log_slow(note, took, outcome);
    return slow;
}

bool query_table_cancel(struct query_table *table, uint64_t id)
{
    bool found = false;
    mutex_lock(&table->lock);
    list_each(at, &table->active) {
        struct query_note *note = container_of(at, struct query_note, link);
        if (note->id != id) continue;
        job_cancel(note->job);
        found = true;
        break;
    }
    mutex_unlock(&table->lock);
    return found;
}

/* --- listing ------------------------------------------------------------------------- */

static void put_note(struct json_writer *w, const struct query_note *note)
{
    json_field_u64(w, "id", note->id);
    json_field_text(w, "kind", slice_str(note->kind));
    json_field_text(w, "query", note->text);
    if (note->has_range) {
        json_field_f64(w, "start", (double)note->start_ms / 1000);
        json_field_f64(w, "end", (double)note->end_ms / 1000);
        json_field_f64(w, "step", (double)note->step_ms / 1000);
    }
    json_field_text(w, "client", slice_str(note->client));
    json_field_f64(w, "began", (double)note->began_ms / 1000);
    for (size_t i = 0; i < QUERY_TAGS; i++)
        if (note->tags[i].len) json_field_text(w, query_tags[i].key, note->tags[i]);
}

void query_table_active(struct query_table *table, struct json_writer *w, mono_ns now)
{
    json_open_array(w);
    mutex_lock(&table->lock);
    list_each(at, &table->active) {
        const struct query_note *note = container_of(at, struct query_note, link);
        mono_ns started = atomic_load_explicit(&note->started, memory_order_relaxed);
        json_open_object(w);
        put_note(w, note);
        json_field_f64(w, "elapsedSeconds", (double)(now - note->began) / 1e9);
        json_field_bool(w, "running", started != 0);
        json_field_bool(w, "cancelled", job_cancelled(note->job));
        json_close_object(w);
    }
    mutex_unlock(&table->lock);
    json_close_array(w);
}

static int slowest_first(const void *a, const void *b)
{
    const struct slow_query *const *x = a, *const *y = b;
    if ((*x)->took != (*y)->took) return (*x)->took > (*y)->took ? -1 : 1;
    return (*x)->note.id < (*y)->note.id ? -1 : 1;
}

void query_table_slow(struct query_table *table, struct json_writer *w, size_t limit)
{
    const struct slow_query *order[QUERY_SLOW_MAX];
    json_open_array(w);
    mutex_lock(&table->lock);
    size_t n = table->n_slow < QUERY_SLOW_MAX ? table->n_slow : QUERY_SLOW_MAX;
    for (size_t i = 0; i < n; i++) order[i] = &table->slow[i];
    qsort(order, n, sizeof(order[0]), slowest_first);
    if (limit && n > limit) n = limit;
    for (size_t i = 0; i < n; i++) {
        json_open_object(w);
        put_note(w, &order[i]->note);
        json_field_f64(w, "durationSeconds", (double)order[i]->took / 1e9);
        json_field_text(w, "status", slice_str(status_name(order[i]->outcome.st)));
        json_field_u64(w, "series", order[i]->outcome.n_series);
        json_field_u64(w, "samples", order[i]->outcome.n_samples);
        json_field_u64(w, "bytes", order[i]->outcome.n_bytes);
        json_close_object(w);
    }
    mutex_unlock(&table->lock);
    json_close_array(w);
}
