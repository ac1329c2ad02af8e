/* Port: time. Real clocks in programs, clocks set by hand in tests. The two kinds
 * are never compared with each other. Any thread. */
#ifndef TSINK_BASE_CLOCK_H
#define TSINK_BASE_CLOCK_H

#include <stdint.h>

typedef int64_t mono_ns; /* monotonic, since an arbitrary start */
typedef int64_t wall_ms; /* since 1970-01-01 UTC */

struct clock {
    mono_ns (*mono)(struct clock *clock);
    int64_t (*wall_ns)(struct clock *clock); /* nanoseconds since 1970-01-01 UTC */
};

struct clock *clock_system(void);

static inline mono_ns clock_mono(struct clock *clock)
{
    return clock->mono(clock);
}

static inline wall_ms clock_wall(struct clock *clock)
{
    return clock->wall_ns(clock) / 1000000;
}

/* CPU time used by the calling thread and by the process, in nanoseconds. */
int64_t clock_thread_cpu_ns(void);
int64_t clock_process_cpu_ns(void);

#endif
