/* Transactions of a session. See multi.h. */
#include "api/multi.h"

#include <string.h>

#include "api/call.h"
#include "api/ts_key.h"
#include "base/mem.h"
#include "base/panic.h"

enum { ARENA_BLOCK = 4096 };

struct multi *multi_of(struct session *session)
{
    struct multi *multi = session->multi;

    if (multi) return multi;
    multi = mem_try_zero(sizeof(*multi));
    if (!multi) return NULL;
    multi->session = session;
    arena_init(&multi->arena, session->app->net_account, ARENA_BLOCK);
    session->multi = multi;
    return multi;
}

void multi_unwatch(struct multi *multi)
{
    for (size_t i = 0; i < multi->watches.len; i++) mem_free(multi->watches.ptr[i].key);
    vec_clear(&multi->watches);
}

static void clear_queue(struct multi *multi)
{
    multi->open = multi->dirty = multi->broken = false;
    multi->n_bytes = 0;
    vec_clear(&multi->queue);
    arena_release(&multi->arena);
    arena_init(&multi->arena, multi->session->app->net_account, ARENA_BLOCK);
}

void multi_discard(struct multi *multi)
{
    clear_queue(multi);
    multi_unwatch(multi);
}

void multi_free(struct multi *multi)
{
    if (!multi) return;
    multi_unwatch(multi);
    arena_release(&multi->arena);
    for (size_t i = 0; i < multi->pushes.len; i++) iobuf_release(&multi->pushes.ptr[i], NULL);
    vec_release(&multi->pushes);
    vec_release(&multi->queue);
    vec_release(&multi->watches);
    mem_free(multi);
}

/* --- queueing ------------------------------------------------------------------------- */

static bool copy_words(struct multi *multi, const struct call *call, struct slices *out)
{
    struct slice *words = arena_try_array(&multi->arena, call->argc, sizeof(*words));

    if (!words) return false;
    for (size_t i = 0; i < call->argc; i++) {
        struct slice word = call->argv[i];
        char *bytes = arena_try(&multi->arena, word.len + 1);
        if (!bytes) return false;
        if (word.len) memcpy(bytes, word.ptr, word.len);
        words[i] = slice_of(bytes, word.len);
        multi->n_bytes += word.len + sizeof(*words);
    }
    *out = (struct slices){words, call->argc};
    return true;
}

status multi_queue(struct multi *multi, const struct call *call, struct err *err)
{
    struct slices words;
    size_t len = 0;

    for (size_t i = 0; i < call->argc; i++) len += call->argv[i].len + sizeof(struct slice);
    if (multi->queue.len >= MULTI_COMMANDS_MAX || multi->n_bytes + len > MULTI_BYTES_MAX) {
        multi->dirty = true;
        return err_set(err, ST_LIMIT, "the transaction is too long");
    }
    if (copy_words(multi, call, &words) && vec_push(&multi->queue, words)) return ST_OK;
    multi->dirty = true;
    return err_set(err, ST_NO_MEMORY, "no memory for the transaction");
}

/* --- WATCH ---------------------------------------------------------------------------- */

static bool is_watched(const struct multi *multi, struct slice key)
{
    for (size_t i = 0; i < multi->watches.len; i++)
        if (slice_eq(key, slice_of(multi->watches.ptr[i].key, multi->watches.ptr[i].key_len)))
            return true;
    return false;
}

status multi_watch(struct multi *multi, struct slice key, struct err *err)
{
    struct app *app = multi->session->app;
    struct watch watch = {.key_len = key.len, .mark = db_mark(app->db)};
    uint32_t ordinal = ts_key_find(app, key);

    if (is_watched(multi, key)) return ST_OK;
    if (multi->watches.len >= MULTI_WATCHES_MAX)
        return err_set(err, ST_LIMIT, "too many watched keys");
    if (ordinal != ORDINAL_NONE) {
        const struct series_entry *entry = registry_entry(db_registry(app->db), ordinal);
        const struct series_attrs *attrs = entry_attrs(entry);
        watch.id = entry->id;
        watch.has_attrs = attrs != NULL;
        if (attrs) watch.attrs = *attrs;
    }
    watch.key = mem_try(key.len + 1);
    if (!watch.key) return err_set(err, ST_NO_MEMORY, "no memory for a watched key");
    memcpy(watch.key, key.ptr, key.len);
    if (vec_push(&multi->watches, watch)) return ST_OK;
    mem_free(watch.key);
    return err_set(err, ST_NO_MEMORY, "no memory for a watched key");
}

static bool same_attrs(const struct watch *watch, const struct series_attrs *attrs)
{
    const struct series_attrs *old = &watch->attrs;

    if (!attrs || !watch->has_attrs) return !attrs && !watch->has_attrs;
    return old->retention_ms == attrs->retention_ms && old->expire_ms == attrs->expire_ms &&
           old->ignore_max_ms == attrs->ignore_max_ms &&
           memcmp(&old->ignore_max_val, &attrs->ignore_max_val, sizeof(double)) == 0 &&
           old->chunk_bytes == attrs->chunk_bytes && old->policy == attrs->policy &&
           old->uncompressed == attrs->uncompressed && old->rule_source == attrs->rule_source &&
           old->rule_bucket_ms == attrs->rule_bucket_ms &&
           old->rule_align_ms == attrs->rule_align_ms && old->rule_agg == attrs->rule_agg;
}

static bool has_changed(struct app *app, const struct watch *watch)
{
    uint32_t ordinal = ts_key_find(app, slice_of(watch->key, watch->key_len));

    if (ordinal == ORDINAL_NONE) return watch->id != 0;
    const struct series_entry *entry = registry_entry(db_registry(app->db), ordinal);
    return entry->id != watch->id || db_touched_since(app->db, ordinal, watch->mark) ||
           !same_attrs(watch, entry_attrs(entry));
}

/* Owner: nobody else writes by RESP from here to the end of the transaction. */
static void check_watches(struct txn_ticket *ticket)
{
    struct multi *multi = container_of(ticket, struct multi, ticket);

    for (size_t i = 0; i < multi->watches.len && !multi->broken; i++)
        multi->broken = has_changed(multi->session->app, &multi->watches.ptr[i]);
}

/* --- EXEC ----------------------------------------------------------------------------- */

static void feed_next(struct conn_feed *feed, const struct slice **args, size_t *n)
{
    struct multi *multi = container_of(feed, struct multi, feed);
    struct slices words = multi->queue.ptr[multi->n_taken++];

    *args = words.ptr;
    *n = words.n;
    /* Further input waits for the end of the last one: until released(). */
    if (feed->n_left == 0) conn_pause(multi->session->conn);
}

static void released(struct txn_ticket *ticket)
{
    struct multi *multi = container_of(ticket, struct multi, ticket);

    multi->running = false;
    multi_discard(multi);
    if (!multi->session->conn) { /* it closed meanwhile and left the session to us */
        session_free(multi->session);
        return;
    }
    for (size_t i = 0; i < multi->pushes.len; i++)
        conn_push(multi->session->conn, &multi->pushes.ptr[i]);
    vec_clear(&multi->pushes);
    conn_resume(multi->session->conn);
}

static void granted(struct txn_ticket *ticket)
{
    struct multi *multi = container_of(ticket, struct multi, ticket);
    struct call *call = multi->exec;

    multi->exec = NULL;
    multi->open = false;
    multi->running = true;
    multi->n_taken = multi->n_ended = 0;
    if (multi->broken || multi->queue.len == 0) {
        if (multi->broken) reply_null_array(&call->reply);
        else reply_array(&call->reply, 0);
        conn_pause(call->conn); /* until released() */
        call_finish(call);
        txn_release(ticket, released);
        return;
    }
    reply_array(&call->reply, multi->queue.len);
    multi->feed = (struct conn_feed){.n_left = multi->queue.len, .next = feed_next};
    conn_set_feed(call->conn, &multi->feed);
    call_finish(call); /* and the feed's commands run */
}

void multi_exec(struct multi *multi, struct call *call)
{
    multi->exec = call;
    multi->ticket = (struct txn_ticket){.txns = call->app->txns,
                                        .conn_id = conn_id(call->conn),
                                        .home = conn_loop_loop(conn_home(call->conn)),
                                        .check = check_watches,
                                        .granted = granted};
    txn_call_waits(call);
    txn_acquire(&multi->ticket);
}

void multi_call_ended(struct multi *multi)
{
    if (++multi->n_ended == multi->queue.len) txn_release(&multi->ticket, released);
}
