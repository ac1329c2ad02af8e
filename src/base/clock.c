/* The system's clocks. See clock.h. */
#include "base/clock.h"

#include <time.h>

#include "base/panic.h"

static int64_t read_ns(clockid_t id)
{
    struct timespec ts;
    int rc = clock_gettime(id, &ts);
    ASSERT(rc == 0); /* only an unknown clock fails */
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static mono_ns system_mono(struct clock *clock)
{
    (void)clock;
    return read_ns(CLOCK_MONOTONIC);
}

static int64_t system_wall_ns(struct clock *clock)
{
    (void)clock;
    return read_ns(CLOCK_REALTIME);
}

struct clock *clock_system(void)
{
    static struct clock system = {.mono = system_mono, .wall_ns = system_wall_ns};
    return &system;
}

int64_t clock_thread_cpu_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_process_cpu_ns(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}
