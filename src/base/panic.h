/* Assertions. ASSERT stays on in release builds: damage stops before it reaches
 * the disk. DASSERT is for the dear ones and exists in dev builds only. Bytes
 * from disk or network never meet an assertion before a check. Any thread.
 */
#ifndef TSINK_BASE_PANIC_H
#define TSINK_BASE_PANIC_H

#include <stddef.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Writes one report (reason, place, build, last log lines, backtrace) to stderr and to the hook,
 * then aborts. */
_Noreturn void panic_at(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Called once with the report's text before the process ends; async-signal-safe
 * functions only. Set once at start; NULL for none. */
void panic_set_hook(void (*hook)(const char *text, size_t len));

/* Installs the handlers that turn SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT
 * into the same report. For programs, never for the library. */
void panic_catch_signals(void);

#define PANIC(...) panic_at(__FILE__, __LINE__, __VA_ARGS__)
#define ASSERT(cond)                                                                           \
    do {                                                                                       \
        if (unlikely(!(cond))) PANIC("assertion failed: %s", #cond);                           \
    } while (0)

#ifdef TSINK_DEV
#define DASSERT(cond) ASSERT(cond)
#else
#define DASSERT(cond) ((void)sizeof(!(cond)))
#endif

#endif
