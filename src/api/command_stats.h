/* How often commands ran and how long they took: INFO commandstats, LATENCY HISTOGRAM; and
 * the two records of what took long: SLOWLOG and LATENCY.
 *
 * Each loop counts its own calls, so counting shares nothing. A command that was answered
 * at once costs two stores and is counted as 0 us; only those that went away (to the owner,
 * to a job, into a batch) are measured, from the turn in which they came to their end.
 */
#ifndef TSINK_API_COMMAND_STATS_H
#define TSINK_API_COMMAND_STATS_H

#include "api/command.h"

struct command_stats;
struct command_loop_stats;

struct command_stats *command_stats_new(struct app *app); /* NULL without memory */
void command_stats_free(struct command_stats *stats);     /* accepts NULL */
struct command_loop_stats *command_stats_of(struct command_stats *stats, struct conn_loop *home);

/* The call's loop: a call has ended. us 0: at once. */
void command_stats_add(struct call *call, uint64_t us);

/* Any thread. */
void command_stats_reset(struct command_stats *stats);

struct command_figures {
    uint64_t n_calls, n_failed, us;
    struct histogram_us times;     /* without those that were answered at once */
};
void command_stats_read(const struct command_stats *stats, const struct command *cmd,
                        struct command_figures *out);

/* INFO's lines "cmdstat_...". */
void command_stats_print(struct strbuf *out, const struct app *app);

/* --- slow ones: any thread, a lock for each ---------------------------------------- */

enum {
    SLOWLOG_WORDS = 32,        /* as Redis: the last one says how many more there were */
    SLOWLOG_WORD_MAX = 128,
    LATENCY_SAMPLES = 160,     /* of an event, one a second; as Redis */
    LATENCY_EVENTS = 2,
};

struct slow_call {
    uint64_t id, us;
    int64_t at_s;              /* wall clock */
    size_t n_words;
    char *words[SLOWLOG_WORDS]; /* texts of their own, with their lengths */
    size_t lens[SLOWLOG_WORDS];
    char addr[CONN_ADDR_MAX], name[CONN_NAME_MAX];
};

size_t slowlog_len(struct command_stats *stats);
void slowlog_reset(struct command_stats *stats);
/* fn for at most n, the newest first; it must not call back. Returns how many. */
size_t slowlog_each(struct command_stats *stats, size_t n,
                    void (*fn)(void *ctx, const struct slow_call *slow), void *ctx);

struct latency_sample {
    int64_t at_s;
    uint32_t ms;
};

struct latency_event {
    const char *name;          /* command, fast-command */
    struct latency_sample samples[LATENCY_SAMPLES]; /* a ring */
    size_t n, next;
    uint32_t max_ms;
};

/* A copy of event i; false: there is no such event, or nothing in it. */
bool latency_read(struct command_stats *stats, size_t i, struct latency_event *out);
/* Clears the events of these names (n 0: all); returns how many had something. */
size_t latency_reset(struct command_stats *stats, const struct slice *names, size_t n);

#endif
