/* A rate of bytes a second that work in the background keeps to. The account is kept by
 * the clock that is passed in; waiting is on real time, in naps, so that whoever cancels
 * the work does not wait for it. One thread. */
#ifndef TSINK_ENGINE_RATE_H
#define TSINK_ENGINE_RATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"

struct rate {
    uint64_t per_s;        /* bytes; 0: no limit */
    mono_ns free_at;       /* when what was taken so far is paid for */
};

void rate_init(struct rate *rate, uint64_t per_s, mono_ns now);

/* Takes bytes and returns how long to wait until they are paid for, in ns: 0 while no
 * more than a tenth of a second's worth was taken ahead. Pure. */
int64_t rate_take(struct rate *rate, uint64_t bytes, mono_ns now);

/* Sleeps about as long, or until *cancelled. A worker, never the owner. */
void rate_nap(int64_t ns, const _Atomic bool *cancelled);

#endif
