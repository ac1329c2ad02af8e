/* Queries under way, and the slow ones of late: what an operator looks at, and where a query
 * is cancelled. A query is in the table from query_work_start() until its finish is due.
 *
 * A note borrows its texts from the request, which is held until the query is answered;
 * whoever lists does so under the table's lock, and a note leaves before that. What is kept
 * of a slow query is copied, cut to fit. Any thread.
 */
#ifndef TSINK_API_QUERY_TABLE_H
#define TSINK_API_QUERY_TABLE_H

#include <stdatomic.h>

#include "base/clock.h"
#include "base/exec.h"
#include "base/json_write.h"
#include "base/list.h"
#include "net/conn.h"

struct query_table;

enum {
    QUERY_TAGS = 12,         /* rows of query_tags */
    QUERY_TAG_MAX = 96,      /* bytes kept of one; a guess at titles */
    QUERY_TEXT_MAX = 2048,   /* of an expression; a guess: most are shorter */
    QUERY_SLOW_MAX = 128,    /* slow queries kept */
};

/* Request fields that say whose query it is: Grafana's. */
struct query_tag {
    const char *field, *key; /* "X-Dashboard-Uid", "dashboardUid" */
};
extern const struct query_tag query_tags[QUERY_TAGS];

/* A query as the table knows it. Zeroed, then text and times by whoever starts it. */
struct query_note {
    struct list link;
    uint64_t id;                  /* from 1 */
    struct slice text;            /* the expression; empty: none */
    bool has_range;
    int64_t start_ms, end_ms, step_ms;
    char kind[64];                /* path or command */
    char client[CONN_ADDR_MAX];
    struct slice tags[QUERY_TAGS];
    struct job *job;              /* to be cancelled */
    int64_t began_ms;             /* wall time */
    mono_ns began;
    _Atomic mono_ns started;      /* on its worker; 0: it waits */
};

/* What a query took and came to. */
struct query_outcome {
    mono_ns ended;
    status st;
    uint64_t n_series, n_samples, n_bytes;
};

struct query_table *query_table_new(void); /* NULL when memory is refused */
void query_table_free(struct query_table *table); /* empty; accepts NULL */

/* The loop of slot's connection: who asks and how, from the request; a kind that is there
 * stays. */
void query_note_fill(struct query_note *note, struct reply_slot *slot);

/* Enters the note under a new id; cancelling the query cancels the job. */
void query_table_enter(struct query_table *table, struct query_note *note, struct job *job);

/* Takes the note out. When the query took slow_ns or longer (0: never) it is kept and
 * logged; says whether. */
bool query_table_leave(struct query_table *table, struct query_note *note,
                       const struct query_outcome *outcome, mono_ns slow_ns);

/* Cancels the query with this id; false when there is none. */
bool query_table_cancel(struct query_table *table, uint64_t id);

/* Appends a JSON list: the oldest first; the slow ones, the slowest first, at most limit of
 * them (0: all). */
void query_table_active(struct query_table *table, struct json_writer *w, mono_ns now);
void query_table_slow(struct query_table *table, struct json_writer *w, size_t limit);

#endif
