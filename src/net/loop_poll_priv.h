/* The kernel's side of a loop: which descriptors are ready. One file an operating
 * system; loop_epoll.c is Linux. The loop's thread only. */
#ifndef TSINK_NET_LOOP_POLL_PRIV_H
#define TSINK_NET_LOOP_POLL_PRIV_H

#include <stddef.h>

#include "base/status.h"
#include "net/loop.h"

enum { POLL_BATCH = 128 }; /* events fetched at once */

struct poll_event {
    struct loop_fd *lfd; /* NULL: unwatched since */
    unsigned events;
};

struct poller {
    int fd;
    size_t n, at;        /* fetched, and the one in hand */
    struct poll_event fetched[POLL_BATCH];
};

CHECKED status poller_open(struct poller *poller, struct err *err);
void poller_close(struct poller *poller);
CHECKED status poller_add(struct poller *poller, struct loop_fd *lfd, struct err *err);
void poller_change(struct poller *poller, struct loop_fd *lfd);
void poller_remove(struct poller *poller, struct loop_fd *lfd);

/* Fills fetched[] and n; returns n. A signal is like nothing. */
size_t poller_wait(struct poller *poller, int timeout_ms);

#endif
