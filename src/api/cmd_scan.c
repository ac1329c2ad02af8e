/* KEYS and SCAN.
 *
 * A cursor is an ordinal: a series keeps its own while it lives, so one that is there from
 * the first call of a scan to the last is reported once; one that comes or goes meanwhile
 * may be reported or not. Cursors need no state in the server and are good for ever.
 *
 * Both run as query jobs that are registered readers of the index for a slice at a time.
 */
#include <stdio.h>

#include "api/cmd_handlers.h"
#include "api/keyspace.h"
#include "api/ts_key.h"
#include "api/ts_read.h"

enum {
    SLICE_ORDINALS = 4096, /* looked at before memory may be retired again: a guess */
    SCAN_COUNT = 10,       /* without COUNT, as Redis */
    SCAN_DEAD = 16,        /* ordinals without a series that count as one with */
};

struct scan_args {
    uint32_t at;           /* the first ordinal to look at */
    uint64_t count;        /* series to look at; UINT64_MAX: all */
    struct slice match;    /* ptr NULL: everything */
    bool no_type;          /* TYPE names another one: nothing is reported */
    bool keys;             /* KEYS: no cursor in the answer */
};

struct scan {
    const struct scan_args *args;
    struct app *app;
    struct reply keys;     /* into body */
    struct iobuf body;
    struct strbuf key;
    size_t n;
    uint64_t looked;       /* weighed: SCAN_DEAD each */
    uint32_t at;
};

static void look_at(struct scan *scan, const struct registry *reg, uint32_t ordinal)
{
    const struct series_entry *entry = registry_entry(reg, ordinal);

    if (!entry_visible(entry) || keyspace_is_expired(scan->app, entry)) {
        scan->looked++;
        return;
    }
    scan->looked += SCAN_DEAD;
    strbuf_reset(&scan->key);
    ts_key_print(&scan->key, reg, ordinal);
    struct slice key = strbuf_view(&scan->key);
    if (scan->key.failed) scan->body.failed = true;
    if (scan->args->no_type) return;
    if (scan->args->match.ptr && !arg_glob_exact(scan->args->match, key)) return;
    reply_bulk(&scan->keys, key);
    scan->n++;
}

/* False when the end of the ordinals was reached. */
static bool slice_of_keys(struct scan *scan, uint64_t look_max)
{
    struct db *db = scan->app->db;
    int slot = db_reader_enter(db);
    const struct registry *reg = db_registry(db);
    uint32_t n_ordinals = registry_n_ordinals(reg);

    for (size_t i = 0; i < SLICE_ORDINALS && scan->at < n_ordinals; i++) {
        if (scan->looked >= look_max) break;
        look_at(scan, reg, scan->at++);
    }
    db_reader_leave(db, slot);
    return scan->at < n_ordinals;
}

static status run_scan(struct ts_read *read)
{
    const struct scan_args *args = read->args;
    struct scan scan = {.args = args, .app = read->work.app, .at = args->at};
    uint64_t look_max = args->count < UINT64_MAX / SCAN_DEAD ? args->count * SCAN_DEAD : UINT64_MAX;
    status st = ST_OK;
    bool more;
    char cursor[16];

    iobuf_init(&scan.body, NULL, read->work.out.account, 0);
    reply_init(&scan.keys, &scan.body, reply_version(&read->reply));
    strbuf_init(&scan.key, 0);
    do {
        more = slice_of_keys(&scan, look_max);
        st = budget_poll(&read->work.budget, &read->work.err);
    } while (st == ST_OK && more && scan.looked < look_max && !scan.body.failed);
    strbuf_release(&scan.key);
    if (st == ST_OK && scan.body.failed)
        st = err_set(&read->work.err, ST_NO_MEMORY, "no memory for the keys");
    if (st == ST_OK) {
        if (!args->keys) {
            reply_array(&read->reply, 2);
            snprintf(cursor, sizeof(cursor), "%u", more ? scan.at : 0);
            reply_text(&read->reply, cursor);
        }
        reply_array(&read->reply, scan.n);
        iobuf_move(read->reply.w.out, &scan.body, NULL);
    }
    iobuf_release(&scan.body, NULL);
    return st;
}

status cmd_keys(struct call *call, const void *argp)
{
    struct scan_args *args = arena_try_zero(&call->arena, sizeof(*args));

    (void)argp;
    if (!args) return ST_NO_MEMORY;
    args->match = call->argv[1];
    args->count = UINT64_MAX;
    args->keys = true;
    return ts_read_start(call, args, 0, run_scan);
}

static status parse_scan(struct call *call, struct scan_args *args)
{
    int64_t cursor, count;

    if (!arg_int(&cursor, call->argv[1]) || cursor < 0) return call_error(call, "invalid cursor");
    args->at = cursor < ORDINAL_NONE ? (uint32_t)cursor : ORDINAL_NONE;
    args->count = SCAN_COUNT;
    for (size_t i = 2; i < call->argc; i += 2) {
        struct slice word = call->argv[i];
        if (i + 1 == call->argc) return call_error(call, "syntax error");
        struct slice value = call->argv[i + 1];
        if (slice_is_nocase(word, "COUNT")) {
            if (!arg_int(&count, value))
                return call_error(call, "value is not an integer or out of range");
            if (count < 1) return call_error(call, "syntax error");
            args->count = (uint64_t)count;
        } else if (slice_is_nocase(word, "MATCH")) {
            args->match = value;
        } else if (slice_is_nocase(word, "TYPE")) {
            args->no_type = !slice_is_nocase(value, KEYSPACE_TYPE);
        } else {
            return call_error(call, "syntax error");
        }
    }
    return ST_OK;
}

status cmd_scan(struct call *call, const void *argp)
{
    struct scan_args *args = arena_try_zero(&call->arena, sizeof(*args));

    (void)argp;
    if (!args) return ST_NO_MEMORY;
    TRY(parse_scan(call, args));
    return ts_read_start(call, args, 0, run_scan);
}
