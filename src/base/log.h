/* Structured log: logfmt lines through a queue to the log thread, so that nobody
 * waits for a disk or a terminal. Any thread. The library passes its own sink.
 *
 *     log_info("flush", "segment published", "id=%016llx samples=%zu", id, n);
 *     ts=2026-01-02T03:04:05.678Z level=info room=flush msg="segment published" id=... samples=...
 */
#ifndef TSINK_BASE_LOG_H
#define TSINK_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A line without fields has "" for a format, which gcc would warn of. */
#pragma GCC diagnostic ignored "-Wformat-zero-length"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

/* Where lines go; called by the log thread, or by the caller before log_start(). */
typedef void (*log_sink)(void *ctx, enum log_level level, const char *line, size_t len);

void log_set_level(enum log_level level);
enum log_level log_level_now(void);
void log_set_sink(log_sink sink, void *ctx); /* NULL: stderr */

/* Starts and stops the log thread. Without it lines are written by the caller. A
 * full queue (512 KiB, some 4000 lines) drops and counts. Nothing is allocated for a
 * line. ST_NO_MEMORY, ST_LIMIT. */
CHECKED status log_start(struct err *err);
void log_stop(void); /* writes what is queued, then ends the thread */

/* Lines lost to a full queue since the process began. */
uint64_t log_n_dropped(void);

/* The last lines (at most 8, each cut at 512 bytes), oldest first, for the crash
 * report: takes no lock and may be called in a signal handler, so a line that is being
 * written at this moment may come out mixed. */
void log_recent(void (*each)(void *ctx, const char *line, size_t len), void *ctx);

/* fields is a printf format of key=value pairs and may be "". Control bytes in
 * values are escaped. */
void log_write(enum log_level level, const char *room, const char *msg, const char *fields, ...)
    PRINTF_LIKE(4, 5);

#define log_at(level, ...)                                                                     \
    do {                                                                                       \
        if ((level) >= log_level_now()) log_write(level, __VA_ARGS__);                         \
    } while (0)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

#endif
