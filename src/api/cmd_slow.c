/* SLOWLOG and LATENCY (command_stats.h). */
#include <stdio.h>
#include <string.h>

#include "api/cmd_handlers.h"
#include "api/command_stats.h"
#include "base/mem.h"
#include "base/panic.h"

/* --- SLOWLOG ------------------------------------------------------------------------------ */

static void put_slow(void *ctx, const struct slow_call *slow)
{
    struct reply *reply = ctx;

    reply_array(reply, 6);
    reply_u64(reply, slow->id);
    reply_int(reply, slow->at_s);
    reply_u64(reply, slow->us);
    reply_array(reply, slow->n_words);
    for (size_t i = 0; i < slow->n_words; i++)
        reply_bulk(reply, slice_of(slow->words[i], slow->lens[i]));
    reply_text(reply, slow->addr);
    reply_text(reply, slow->name);
}

status cmd_slowlog_get(struct call *call, const void *args)
{
    struct iobuf body;
    struct reply items;
    int64_t n = 10;

    (void)args;
    if (call->argc > 3)
        return call_error(call, "wrong number of arguments for 'slowlog|get' command");
    if (call->argc == 3 && (!arg_int(&n, call->argv[2]) || n < -1))
        return call_error(call, "count should be greater than or equal to -1");
    iobuf_init(&body, NULL, call->app->net_account, 0);
    reply_init(&items, &body, reply_version(&call->reply));
    size_t max = n < 0 ? SIZE_MAX : (size_t)n;
    reply_array(&call->reply, slowlog_each(call->app->command_stats, max, put_slow, &items));
    iobuf_move(call->reply.w.out, &body, NULL);
    return ST_OK;
}

status cmd_slowlog_len(struct call *call, const void *args)
{
    (void)args;
    reply_u64(&call->reply, slowlog_len(call->app->command_stats));
    return ST_OK;
}

status cmd_slowlog_reset(struct call *call, const void *args)
{
    (void)args;
    slowlog_reset(call->app->command_stats);
    reply_ok(&call->reply);
    return ST_OK;
}

/* --- LATENCY ------------------------------------------------------------------------------ */

static const struct latency_sample *newest(const struct latency_event *event)
{
    return &event->samples[(event->next + LATENCY_SAMPLES - 1) % LATENCY_SAMPLES];
}

status cmd_latency_latest(struct call *call, const void *args)
{
    struct latency_event event;
    size_t n = 0;
    bool there[LATENCY_EVENTS];

    (void)args;
    for (size_t i = 0; i < LATENCY_EVENTS; i++)
        n += there[i] = latency_read(call->app->command_stats, i, &event);
    reply_array(&call->reply, n);
    for (size_t i = 0; i < LATENCY_EVENTS; i++) {
        if (!there[i]) continue;
        (void)latency_read(call->app->command_stats, i, &event);
        reply_array(&call->reply, 4);
        reply_text(&call->reply, event.name);
        reply_int(&call->reply, newest(&event)->at_s);
        reply_int(&call->reply, newest(&event)->ms);
        reply_int(&call->reply, event.max_ms);
    }
    return ST_OK;
}

status cmd_latency_history(struct call *call, const void *args)
{
    struct latency_event event;

    (void)args;
    for (size_t i = 0; i < LATENCY_EVENTS; i++) {
        if (!latency_read(call->app->command_stats, i, &event)) continue;
        if (!slice_is_nocase(call->argv[2], event.name)) continue;
        reply_array(&call->reply, event.n);
        for (size_t k = 0; k < event.n; k++) {
            size_t at = (event.next + LATENCY_SAMPLES - event.n + k) % LATENCY_SAMPLES;
            reply_array(&call->reply, 2);
            reply_int(&call->reply, event.samples[at].at_s);
            reply_int(&call->reply, event.samples[at].ms);
        }
        return ST_OK;
    }
    reply_array(&call->reply, 0);
    return ST_OK;
}

status cmd_latency_reset(struct call *call, const void *args)
{
    struct slices names = call_words(call);

    (void)args;
    reply_u64(&call->reply, latency_reset(call->app->command_stats, names.ptr, names.n));
    return ST_OK;
}

status cmd_latency_doctor(struct call *call, const void *args)
{
    struct latency_event event;
    struct strbuf text;
    long long threshold = app_settings(call->app)->latency_ms;

    (void)args;
    strbuf_init(&text, 0);
    if (threshold <= 0)
        strbuf_str(&text, "Latency is not watched: CONFIG SET latency-monitor-threshold "
                          "<milliseconds> switches it on.\n");
    for (size_t i = 0; i < LATENCY_EVENTS; i++) {
        if (!latency_read(call->app->command_stats, i, &event)) continue;
        strbuf_printf(&text, "%s: %zu seconds with one over %lld ms, the longest took %u ms; "
                             "SLOWLOG GET may name it.\n",
                      event.name, event.n, threshold, event.max_ms);
    }
    if (text.len == 0)
        strbuf_printf(&text, "No command has taken %lld ms or more.\n", threshold);
    if (text.failed) call->reply.w.out->failed = true;
    else reply_verbatim(&call->reply, strbuf_view(&text));
    strbuf_release(&text);
    return ST_OK;
}

/* --- HISTOGRAM: powers of two, each with how many took at most so long -------------------- */

enum { POWERS = 36 };

static uint64_t at_most(const struct command_figures *figures, unsigned power)
{
    uint64_t n_timed = histogram_us_count(&figures->times);
    uint64_t n_at_once = figures->n_calls > n_timed ? figures->n_calls - n_timed : 0;

    return n_at_once + histogram_us_at_most(&figures->times, 1ull << power);
}

static void put_histogram(struct reply *reply, const struct command *cmd,
                          const struct command_figures *figures)
{
    uint64_t before = 0;
    size_t n = 0;

    for (unsigned power = 0; power < POWERS; power++) {
        uint64_t now = at_most(figures, power);
        n += now != before;
        before = now;
    }
    reply_text(reply, cmd->name);
    reply_map(reply, 2);
    reply_text(reply, "calls");
    reply_u64(reply, figures->n_calls);
    reply_text(reply, "histogram_usec");
    reply_map(reply, n);
    before = 0;
    for (unsigned power = 0; power < POWERS; power++) {
        uint64_t now = at_most(figures, power);
        if (now != before) {
            reply_u64(reply, 1ull << power);
            reply_u64(reply, now);
        }
        before = now;
    }
}

/* A container names its subcommands, too. */
static bool is_meant(const struct command *cmd, struct slices names)
{
    struct slice container, sub;

    command_split_name(cmd, &container, &sub);
    for (size_t i = 0; i < names.n; i++) {
        if (slice_is_nocase(names.ptr[i], cmd->name)) return true;
        if (sub.len && names.ptr[i].len == container.len &&
            strncasecmp(names.ptr[i].ptr, container.ptr, container.len) == 0)
            return true;
    }
    return names.n == 0;
}

status cmd_latency_histogram(struct call *call, const void *args)
{
    struct slices names = call_words(call);
    struct command_figures *figures = mem_try(sizeof(*figures));
    struct iobuf body;
    struct reply items;
    size_t n = 0;

    (void)args;
    if (!figures) return err_set(&call->err, ST_NO_MEMORY, "no memory for figures");
    iobuf_init(&body, NULL, call->app->net_account, 0);
    reply_init(&items, &body, reply_version(&call->reply));
    for (size_t i = 0; i < n_commands; i++) {
        if (!is_meant(&commands[i], names)) continue;
        command_stats_read(call->app->command_stats, &commands[i], figures);
        if (!figures->n_calls) continue;
        put_histogram(&items, &commands[i], figures);
        n++;
    }
    reply_map(&call->reply, n);
    iobuf_move(call->reply.w.out, &body, NULL);
    mem_free(figures);
    return ST_OK;
}
