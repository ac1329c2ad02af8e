/* Named threads. A started thread has all signals blocked that come from outside
 * (the program's main thread takes them) and must be joined by its starter. Any thread.
 */
#ifndef TSINK_BASE_THREAD_H
#define TSINK_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/status.h"

enum { THREAD_NAME_MAX = 16 }; /* with its NUL; the kernel's limit */

/* Stays where it is from start to join. Zeroed: never started. */
struct thread {
    pthread_t raw;
    bool started;
    char name[THREAD_NAME_MAX];
    void (*main)(void *ctx);
    void *ctx;
};

/* Runs main(ctx) on a new thread. ST_LIMIT when the system refuses one. A longer
 * name is cut. */
CHECKED status thread_start(struct thread *thread, const char *name, void (*main)(void *ctx),
                            void *ctx, struct err *err);

/* Waits for its end. Accepts one that was never started or is already joined. */
void thread_join(struct thread *thread);

enum { THREADS_TOGETHER_MAX = 16 };

/* Runs fn on each of n contexts (1..THREADS_TOGETHER_MAX) of `size` bytes at ctx, the last
 * one on the caller's thread and the others on threads of their own, and returns when all
 * have ended. Without a thread for one the caller runs it as well. */
void threads_together(const char *name, void (*fn)(void *ctx), void *ctx, size_t size,
                      unsigned n);

/* Runs fn once on each of n contexts, on the caller's thread and others, `most` in
 * all: each takes the next context when it is done with one. The caller begins with the
 * first. Returns when all have ended. */
void threads_share(const char *name, void (*fn)(void *ctx), void *ctx, size_t size, unsigned n,
                   unsigned most);

/* A number for the calling thread, unique while the process lives and never 0. */
uint64_t thread_self(void);

/* The calling thread's name; "main" when thread_start() did not make it. */
const char *thread_name(void);

/* One turn of a spin loop. */
static inline void thread_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
