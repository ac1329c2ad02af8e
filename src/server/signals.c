/* Signals of the process. See signals.h. */
#include "server/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static _Atomic int n_stops; /* a handler has nothing else to write to */

static void count_stop(int sig)
{
    (void)sig;
    atomic_fetch_add_explicit(&n_stops, 1, memory_order_relaxed);
}

void signals_install(void)
{
    struct sigaction act;
    memset(&act, 0, sizeof(act));
    sigemptyset(&act.sa_mask);
    act.sa_handler = count_stop;
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    act.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
}

int signals_n_stops(void)
{
    return atomic_load_explicit(&n_stops, memory_order_relaxed);
}
