/* Figures of commands. See command_stats.h. */
#include "api/command_stats.h"

#include <stdio.h>
#include <string.h>

#include "base/lock.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/vec.h"

struct row {
    struct counter n_calls, n_failed, us;
    _Atomic(struct histogram_us *) times; /* made with the first that took time */
};

struct command_loop_stats {
    struct conn_loop *home;
    struct command_stats *all;
    struct row *rows;          /* by index of commands[] */
};

struct command_stats {
    struct mutex lock;         /* what follows, but for the loops */
    struct slow_call **slow;   /* the newest first */
    size_t n_slow, cap_slow;
    uint64_t last_slow;
    struct latency_event events[LATENCY_EVENTS];
    size_t n;
    struct command_loop_stats loop[];
};

/* --- life ----------------------------------------------------------------------------- */

struct command_stats *command_stats_new(struct app *app)
{
    size_t n = app->loops.n;
    struct command_stats *stats = mem_try_zero(sizeof(*stats) + n * sizeof(stats->loop[0]));

    if (!stats) return NULL;
    mutex_init(&stats->lock, LOCK_LEAF);
    stats->events[0].name = "command";
    stats->events[1].name = "fast-command";
    stats->n = n;
    for (size_t i = 0; i < n; i++) {
        stats->loop[i].home = app->loops.ptr[i];
        stats->loop[i].all = stats;
        stats->loop[i].rows = mem_try_zero(n_commands * sizeof(struct row));
        if (!stats->loop[i].rows) {
            command_stats_free(stats);
            return NULL;
        }
    }
    return stats;
}

static void free_slow(struct slow_call *slow)
{
    for (size_t i = 0; i < slow->n_words; i++) mem_free(slow->words[i]);
    mem_free(slow);
}

void command_stats_free(struct command_stats *stats)
{
    if (!stats) return;
    for (size_t i = 0; i < stats->n; i++) {
        struct row *rows = stats->loop[i].rows;
        for (size_t k = 0; rows && k < n_commands; k++)
            mem_free(atomic_load_explicit(&rows[k].times, memory_order_relaxed));
        mem_free(rows);
    }
    slowlog_reset(stats);
    mem_free(stats->slow);
    mutex_release(&stats->lock);
    mem_free(stats);
}

struct command_loop_stats *command_stats_of(struct command_stats *stats, struct conn_loop *home)
{
    for (size_t i = 0; i < stats->n; i++)
        if (stats->loop[i].home == home) return &stats->loop[i];
    PANIC("a connection of no known loop");
}

/* --- what took long ---------------------------------------------------------------------- */

static bool copy_word(struct slow_call *slow, const struct slice *argv, size_t argc, size_t i)
{
    char text[SLOWLOG_WORD_MAX + 48];
    struct slice word = argv[i];

    if (i == SLOWLOG_WORDS - 1 && argc > SLOWLOG_WORDS) {
        int len = snprintf(text, sizeof(text), "... (%zu more arguments)", argc - i);
        word = slice_of(text, (size_t)len);
    } else if (word.len > SLOWLOG_WORD_MAX) {
        int len = snprintf(text, sizeof(text), "%.*s... (%zu more bytes)", SLOWLOG_WORD_MAX,
                           word.ptr, word.len - SLOWLOG_WORD_MAX);
        word = slice_of(text, (size_t)len);
    }
    slow->words[i] = mem_try(word.len + 1);
    if (!slow->words[i]) return false;
    if (word.len) memcpy(slow->words[i], word.ptr, word.len);
    slow->lens[i] = word.len;
    slow->n_words++;
    return true;
}

static struct slow_call *make_slow(struct call *call, uint64_t us)
{
    struct slow_call *slow = mem_try_zero(sizeof(*slow));
    struct conn_info info;

    if (!slow) return NULL;
    slow->us = us;
    slow->at_s = clock_wall(call->app->clock) / 1000;
    for (size_t i = 0; i < call->argc && i < SLOWLOG_WORDS; i++) {
        if (copy_word(slow, call->argv, call->argc, i)) continue;
        free_slow(slow);
        return NULL;
    }
    conn_info(call->conn, &info);
    snprintf(slow->addr, sizeof(slow->addr), "%s", info.addr);
    snprintf(slow->name, sizeof(slow->name), "%s", info.name);
    return slow;
}

/* Takes slow. */
static void keep_slow(struct command_stats *stats, struct slow_call *slow, size_t max)
{
    mutex_lock(&stats->lock);
    while (stats->n_slow && stats->n_slow >= max) free_slow(stats->slow[--stats->n_slow]);
    bool room = max > 0 && (stats->cap_slow > stats->n_slow ||
                            vec_grow((void **)&stats->slow, &stats->cap_slow, stats->n_slow, 1,
                                     sizeof(stats->slow[0])));
    if (room) {
        memmove(stats->slow + 1, stats->slow, stats->n_slow * sizeof(stats->slow[0]));
        stats->slow[0] = slow;
        stats->n_slow++;
        slow->id = stats->last_slow++;
    } else {
        free_slow(slow);
    }
    mutex_unlock(&stats->lock);
}

static void keep_latency(struct command_stats *stats, struct call *call, uint64_t us)
{
    struct latency_event *event = &stats->events[(call->cmd->flags & CMD_FAST) != 0];
    int64_t at_s = clock_wall(call->app->clock) / 1000;
    uint32_t ms = us / 1000 < UINT32_MAX ? (uint32_t)(us / 1000) : UINT32_MAX;

    mutex_lock(&stats->lock);
    struct latency_sample *last =
        &event->samples[(event->next + LATENCY_SAMPLES - 1) % LATENCY_SAMPLES];
    if (ms > event->max_ms) event->max_ms = ms;
    if (event->n && last->at_s == at_s) {
        if (ms > last->ms) last->ms = ms;
    } else {
        event->samples[event->next] = (struct latency_sample){at_s, ms};
        event->next = (event->next + 1) % LATENCY_SAMPLES;
        if (event->n < LATENCY_SAMPLES) event->n++;
    }
    mutex_unlock(&stats->lock);
}

static void note_time(struct command_loop_stats *ls, struct row *row, struct call *call,
                      uint64_t us)
{
    const struct app_settings *set = app_settings(call->app);
    struct histogram_us *times = atomic_load_explicit(&row->times, memory_order_relaxed);

    counter_add_alone(&row->us, us);
    if (!times) {
        times = mem_try_zero(sizeof(*times));
        atomic_store_explicit(&row->times, times, memory_order_release);
    }
    if (times) histogram_us_record(times, us);
    if (call->cmd->flags & CMD_BLOCKING) return;
    if (set->slowlog_us >= 0 && us >= (uint64_t)set->slowlog_us && set->slowlog_max) {
        struct slow_call *slow = make_slow(call, us);
        if (slow) keep_slow(ls->all, slow, set->slowlog_max);
    }
    if (set->latency_ms > 0 && us / 1000 >= (uint64_t)set->latency_ms)
        keep_latency(ls->all, call, us);
}

void command_stats_add(struct call *call, uint64_t us)
{
    struct command_loop_stats *ls = call->session->stats;

    if (!call->cmd) return;
    struct row *row = &ls->rows[call->cmd - commands];
    counter_add_alone(&row->n_calls, 1);
    if (call->failed) counter_add_alone(&row->n_failed, 1);
    if (us) note_time(ls, row, call, us);
}

/* --- telling --------------------------------------------------------------------------- */

static void reset_counter(struct counter *counter)
{
    atomic_store_explicit(&counter->n, 0, memory_order_relaxed);
}

void command_stats_reset(struct command_stats *stats)
{
    for (size_t i = 0; i < stats->n * n_commands; i++) {
        struct row *row = &stats->loop[i / n_commands].rows[i % n_commands];
        struct histogram_us *times = atomic_load_explicit(&row->times, memory_order_acquire);
        reset_counter(&row->n_calls);
        reset_counter(&row->n_failed);
        reset_counter(&row->us);
        if (times) histogram_us_reset(times);
    }
}

void command_stats_read(const struct command_stats *stats, const struct command *cmd,
                        struct command_figures *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < stats->n; i++) {
        const struct row *row = &stats->loop[i].rows[cmd - commands];
        const struct histogram_us *times = atomic_load_explicit(&row->times, memory_order_acquire);
        out->n_calls += counter_read(&row->n_calls);
        out->n_failed += counter_read(&row->n_failed);
        out->us += counter_read(&row->us);
        if (times) histogram_us_merge(&out->times, times);
    }
}

void command_stats_print(struct strbuf *out, const struct app *app)
{
    struct command_figures *figures = mem_try(sizeof(*figures));

    if (!figures) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < n_commands; i++) {
        command_stats_read(app->command_stats, &commands[i], figures);
        if (!figures->n_calls) continue;
        strbuf_printf(out,
                      "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=0,"
                      "failed_calls=%llu\r\n",
                      commands[i].name, (unsigned long long)figures->n_calls,
                      (unsigned long long)figures->us,
                      (double)figures->us / (double)figures->n_calls,
                      (unsigned long long)figures->n_failed);
    }
    mem_free(figures);
}

size_t slowlog_len(struct command_stats *stats)
{
    mutex_lock(&stats->lock);
    size_t n = stats->n_slow;
    mutex_unlock(&stats->lock);
    return n;
}

void slowlog_reset(struct command_stats *stats)
{
    mutex_lock(&stats->lock);
    while (stats->n_slow) free_slow(stats->slow[--stats->n_slow]);
    mutex_unlock(&stats->lock);
}

size_t slowlog_each(struct command_stats *stats, size_t n,
                    void (*fn)(void *ctx, const struct slow_call *slow), void *ctx)
{
    mutex_lock(&stats->lock);
    if (n > stats->n_slow) n = stats->n_slow;
    for (size_t i = 0; i < n; i++) fn(ctx, stats->slow[i]);
    mutex_unlock(&stats->lock);
    return n;
}

bool latency_read(struct command_stats *stats, size_t i, struct latency_event *out)
{
    if (i >= LATENCY_EVENTS) return false;
    mutex_lock(&stats->lock);
    *out = stats->events[i];
    mutex_unlock(&stats->lock);
    return out->n > 0;
}

size_t latency_reset(struct command_stats *stats, const struct slice *names, size_t n)
{
    size_t n_reset = 0;

    mutex_lock(&stats->lock);
    for (size_t i = 0; i < LATENCY_EVENTS; i++) {
        struct latency_event *event = &stats->events[i];
        bool meant = n == 0;
        for (size_t k = 0; k < n; k++) meant |= slice_is_nocase(names[k], event->name);
        if (!meant || !event->n) continue;
        *event = (struct latency_event){.name = event->name};
        n_reset++;
    }
    mutex_unlock(&stats->lock);
    return n_reset;
}
