/* Structured log. See log.h.
 *
 * A line is formatted by its caller and copied into a buffer under a lock that is held
 * for that copy. There are two buffers: the log thread takes the full one, leaves its
 * empty one, and writes without the lock. Nothing is allocated for a line, so the log
 * works when memory is short. A line that finds no room is dropped and counted, and
 * the log thread says how many were lost.
 *
 * logfmt: values after the fields' own format are the caller's; what log.c guarantees
 * is that one call is one line. Control bytes, and bytes that are not UTF-8, are
 * escaped as \n, \t, \xhh wherever they stand; in msg also quotes and backslashes.
 *
 * The only writable state of the process besides the allocator's hooks and the crash
 * report's: a log that must be passed around would be in every argument list.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/thread.h"
#include "base/utf8.h"

enum {
    BUFFER_BYTES = 512 << 10,
    LINE_LEN_MAX = 4096, /* longer lines are cut */
    FIELDS_LEN_MAX = 3072,
    RECORD_HEAD_LEN = 8, /* length and level before each line in a buffer */
};

/* The end of the log, kept for the crash report. */
enum { RECENT_LINES = 8, RECENT_LEN_MAX = 512 };

struct buffer {
    char *bytes; /* owned; BUFFER_BYTES */
    size_t len;
};

static struct {
    _Atomic int level;
    _Atomic uint64_t n_dropped;
    struct mutex mutex; /* the rest */
    struct cond changed;
    struct buffer fill;  /* lines wait here */
    struct buffer spare; /* the log thread's while it writes */
    bool started, stopping;
    log_sink sink;
    void *sink_ctx;
    struct thread thread;
    struct {
        size_t len;
        char text[RECENT_LEN_MAX];
    } recent[RECENT_LINES];
    _Atomic size_t n_recent; /* lines ever */
} state = {
    .level = LOG_INFO,
    .mutex = {.raw = PTHREAD_MUTEX_INITIALIZER, .rank = LOCK_LOG},
    .changed = {.raw = PTHREAD_COND_INITIALIZER},
};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&state.level, (int)level, memory_order_relaxed);
}

enum log_level log_level_now(void)
{
    return (enum log_level)atomic_load_explicit(&state.level, memory_order_relaxed);
}

uint64_t log_n_dropped(void)
{
    return atomic_load_explicit(&state.n_dropped, memory_order_relaxed);
}

void log_set_sink(log_sink sink, void *ctx)
{
    mutex_lock(&state.mutex);
    state.sink = sink;
    state.sink_ctx = ctx;
    mutex_unlock(&state.mutex);
}

/* ---- one line ---- */

struct text {
    char bytes[LINE_LEN_MAX];
    size_t len;
};

static void put(struct text *line, const char *src, size_t len)
{
    /* The last byte is kept for the newline. */
    size_t room = sizeof(line->bytes) - 1 - line->len;
    if (len > room) len = room;
    memcpy(line->bytes + line->len, src, len);
    line->len += len;
}

static void put_escape(struct text *line, unsigned char c)
{
    char escape[5];
    int n = c == '\n'   ? snprintf(escape, sizeof(escape), "\\n")
            : c == '\r' ? snprintf(escape, sizeof(escape), "\\r")
            : c == '\t' ? snprintf(escape, sizeof(escape), "\\t")
                        : snprintf(escape, sizeof(escape), "\\x%02x", c);
    put(line, escape, (size_t)n);
}

/* Text that cannot end the line or reach a terminal as a command. */
static void put_clean(struct text *line, struct slice src, bool quoted)
{
    uint32_t rune;
    for (size_t n; (n = utf8_next(&rune, src)) > 0; src = slice_skip(src, n)) {
        unsigned char c = (unsigned char)src.ptr[0];
        if (n == 1 && (c < 0x20 || c >= 0x7f)) {
            put_escape(line, c);
        } else if (n == 2 && rune < 0xa0) { /* C1 controls */
            put_escape(line, c);
            put_escape(line, (unsigned char)src.ptr[1]);
        } else {
            if (quoted && (c == '"' || c == '\\')) put(line, "\\", 1);
            put(line, src.ptr, n);
        }
    }
}

static void put_head(struct text *line, enum log_level level, const char *room)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    wall_ms now = clock_wall(clock_system());
    time_t seconds = (time_t)(now / 1000);
    char head[128];
    struct tm tm;

    (void)gmtime_r(&seconds, &tm);
    int n = snprintf(head, sizeof(head),
                     "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03dZ level=%s room=%s msg=\"",
                     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                     tm.tm_sec, (int)(now % 1000),
                     names[(unsigned)level < ARRAY_LEN(names) ? (unsigned)level : LOG_ERROR],
                     room);
    put(line, head, n < (int)sizeof(head) ? (size_t)n : sizeof(head) - 1);
}

static void format_line(struct text *line, enum log_level level, const char *room,
                        const char *msg, struct slice fields)
{
    line->len = 0;
    put_head(line, level, room);
    put_clean(line, slice_str(msg), true);
    put(line, "\"", 1);
    if (fields.len > 0) {
        put(line, " ", 1);
        put_clean(line, fields, false);
    }
    line->bytes[line->len++] = '\n';
}

/* ---- where lines go ---- */

static void write_stderr(const char *src, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, src, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return; /* nobody listens, and there is no other place to say so */
        src += n;
        len -= (size_t)n;
    }
}

static void deliver(log_sink sink, void *ctx, enum log_level level, const char *text, size_t len)
{
    if (sink)
        sink(ctx, level, text, len);
    else
        write_stderr(text, len);
}

/* Holds the lock. A cut line keeps its newline. */
static void remember(const struct text *line)
{
    size_t n = atomic_load_explicit(&state.n_recent, memory_order_relaxed);
    size_t len = line->len < RECENT_LEN_MAX ? line->len : RECENT_LEN_MAX;

    memcpy(state.recent[n % RECENT_LINES].text, line->bytes, len);
    state.recent[n % RECENT_LINES].text[len - 1] = '\n';
    state.recent[n % RECENT_LINES].len = len;
    atomic_store_explicit(&state.n_recent, n + 1, memory_order_release);
}

/* Without the lock on purpose: the thread that died may hold it. */
__attribute__((no_sanitize("thread"))) void
log_recent(void (*each)(void *ctx, const char *line, size_t len), void *ctx)
{
    size_t n = atomic_load_explicit(&state.n_recent, memory_order_acquire);

    for (size_t i = n < RECENT_LINES ? 0 : n - RECENT_LINES; i < n; i++) {
        size_t len = state.recent[i % RECENT_LINES].len;
        if (len <= RECENT_LEN_MAX) each(ctx, state.recent[i % RECENT_LINES].text, len);
    }
}

/* Copies the line to the buffer. Holds the lock. */
static void append(const struct text *line, enum log_level level)
{
    struct buffer *to = &state.fill;
    if (BUFFER_BYTES - to->len < RECORD_HEAD_LEN + line->len) {
        atomic_fetch_add_explicit(&state.n_dropped, 1, memory_order_relaxed);
        return;
    }
    store_u32(to->bytes + to->len, (uint32_t)line->len);
    store_u32(to->bytes + to->len + 4, (uint32_t)level);
    memcpy(to->bytes + to->len + RECORD_HEAD_LEN, line->bytes, line->len);
    if (to->len == 0) cond_signal(&state.changed);
    to->len += RECORD_HEAD_LEN + line->len;
}

void log_write(enum log_level level, const char *room, const char *msg, const char *fields, ...)
{
    char rest[FIELDS_LEN_MAX];
    struct text line;
    va_list ap;

    va_start(ap, fields);
    int n = vsnprintf(rest, sizeof(rest), fields, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof(rest) ? (size_t)n : sizeof(rest) - 1;

    format_line(&line, level, room, msg, slice_of(rest, len));

    mutex_lock(&state.mutex);
    bool started = state.started;
    log_sink sink = state.sink;
    void *ctx = state.sink_ctx;
    remember(&line);
    if (started) append(&line, level);
    mutex_unlock(&state.mutex);
    if (!started) deliver(sink, ctx, level, line.bytes, line.len);
}

/* ---- the log thread ---- */

static void report_drops(uint64_t *reported, log_sink sink, void *ctx)
{
    char fields[32];
    struct text line;
    uint64_t n = log_n_dropped();
    if (n == *reported) return;

    int len = snprintf(fields, sizeof(fields), "n=%llu", (unsigned long long)(n - *reported));
    *reported = n;
    format_line(&line, LOG_WARN, "log", "lines lost", slice_of(fields, (size_t)len));
    deliver(sink, ctx, LOG_WARN, line.bytes, line.len);
}

static void deliver_all(struct buffer *from, log_sink sink, void *ctx)
{
    for (size_t at = 0; at < from->len;) {
        size_t len = load_u32(from->bytes + at);
        enum log_level level = (enum log_level)load_u32(from->bytes + at + 4);
        deliver(sink, ctx, level, from->bytes + at + RECORD_HEAD_LEN, len);
        at += RECORD_HEAD_LEN + len;
    }
    from->len = 0;
}

static void log_main(void *unused)
{
    uint64_t reported = log_n_dropped();
    (void)unused;

    mutex_lock(&state.mutex);
    while (!state.stopping || state.fill.len > 0) {
        if (state.fill.len == 0) {
            cond_wait(&state.changed, &state.mutex);
            continue;
        }
        struct buffer taken = state.fill;
        state.fill = state.spare;
        log_sink sink = state.sink;
        void *ctx = state.sink_ctx;
        mutex_unlock(&state.mutex);

        deliver_all(&taken, sink, ctx);
        report_drops(&reported, sink, ctx);

        mutex_lock(&state.mutex);
        state.spare = taken;
    }
    /* From here on callers write their own lines again. */
    state.started = false;
    mutex_unlock(&state.mutex);
}

static void free_buffers(void)
{
    mem_free(state.fill.bytes);
    mem_free(state.spare.bytes);
    state.fill = state.spare = (struct buffer){0};
}

status log_start(struct err *err)
{
    status st = ST_OK;

    ASSERT(!state.thread.started);
    struct buffer fill = {.bytes = mem_try(BUFFER_BYTES)};
    struct buffer spare = {.bytes = mem_try(BUFFER_BYTES)};

    mutex_lock(&state.mutex);
    state.fill = fill;
    state.spare = spare;
    state.stopping = false;
    if (!fill.bytes || !spare.bytes) st = err_set(err, ST_NO_MEMORY, "log: no memory");
    /* The thread begins with a lock, so nobody queues before we know that it runs. */
    if (st == ST_OK) st = thread_start(&state.thread, "log", log_main, NULL, err);
    state.started = st == ST_OK;
    if (st != ST_OK) free_buffers();
    mutex_unlock(&state.mutex);
    return st;
}

void log_stop(void)
{
    mutex_lock(&state.mutex);
    bool running = state.thread.started;
    state.stopping = true;
    cond_signal(&state.changed);
    mutex_unlock(&state.mutex);
    if (!running) return;

    thread_join(&state.thread);
    free_buffers();
}
