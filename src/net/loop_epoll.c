/* Readiness by epoll, level-triggered: what a callback leaves unread is reported
 * again, so a connection may stop in the middle without losing anything. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/panic.h"
#include "net/loop_poll_priv.h"

status poller_open(struct poller *poller, struct err *err)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);

    if (fd < 0) return err_set(err, ST_LIMIT, "epoll_create1: %s", strerror(errno));
    *poller = (struct poller){.fd = fd};
    return ST_OK;
}

void poller_close(struct poller *poller)
{
    if (poller->fd >= 0) close(poller->fd);
    poller->fd = -1;
}

static struct epoll_event event_for(struct loop_fd *lfd)
{
    struct epoll_event event = {.data.ptr = lfd};

    if (lfd->want & LOOP_READ) event.events |= EPOLLIN | EPOLLRDHUP;
    if (lfd->want & LOOP_WRITE) event.events |= EPOLLOUT;
    return event;
}

status poller_add(struct poller *poller, struct loop_fd *lfd, struct err *err)
{
    struct epoll_event event = event_for(lfd);

    if (epoll_ctl(poller->fd, EPOLL_CTL_ADD, lfd->fd, &event) < 0) {
        return err_set(err, ST_LIMIT, "epoll_ctl: %s", strerror(errno));
    }
    return ST_OK;
}

void poller_change(struct poller *poller, struct loop_fd *lfd)
{
    struct epoll_event event = event_for(lfd);

    /* Changing what is registered cannot fail but by a bug of ours. */
    if (epoll_ctl(poller->fd, EPOLL_CTL_MOD, lfd->fd, &event) < 0) {
        PANIC("epoll_ctl(MOD, %d): %s", lfd->fd, strerror(errno));
    }
}

void poller_remove(struct poller *poller, struct loop_fd *lfd)
{
    if (epoll_ctl(poller->fd, EPOLL_CTL_DEL, lfd->fd, NULL) < 0) {
        PANIC("epoll_ctl(DEL, %d): %s", lfd->fd, strerror(errno));
    }
    for (size_t i = poller->at; i < poller->n; i++) {
        if (poller->fetched[i].lfd == lfd) poller->fetched[i].lfd = NULL;
    }
}

size_t poller_wait(struct poller *poller, int timeout_ms)
{
    struct epoll_event events[POLL_BATCH];
    int n = epoll_wait(poller->fd, events, POLL_BATCH, timeout_ms);

    poller->n = poller->at = 0;
    if (n < 0) {
        if (errno != EINTR) PANIC("epoll_wait: %s", strerror(errno));
        return 0;
    }
    for (int i = 0; i < n; i++) {
        unsigned got = 0;
        if (events[i].events & (EPOLLIN | EPOLLRDHUP)) got |= LOOP_READ;
        if (events[i].events & EPOLLOUT) got |= LOOP_WRITE;
        if (events[i].events & (EPOLLERR | EPOLLHUP)) got |= LOOP_ERROR;
        poller->fetched[i] = (struct poll_event){events[i].data.ptr, got};
    }
    poller->n = (size_t)n;
    return poller->n;
}
