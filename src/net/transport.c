/* The socket as it is. SIGPIPE is kept away by MSG_NOSIGNAL. */
#include "net/transport.h"

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>

static ptrdiff_t outcome(ssize_t n)
{
    if (n >= 0) return n;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? TRANSPORT_AGAIN
                                                                     : TRANSPORT_GONE;
}

static ptrdiff_t plain_read(struct transport *transport, void *dst, size_t len)
{
    return outcome(recv(transport->fd, dst, len, 0));
}

static ptrdiff_t plain_write(struct transport *transport, const struct iovec *parts, size_t n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = n};

    return outcome(sendmsg(transport->fd, &msg, MSG_NOSIGNAL));
}

static void plain_close(struct transport *transport)
{
    transport->state = NULL;
}

void transport_plain(struct transport *transport, int fd)
{
    static const struct transport_ops ops = {plain_read, plain_write, plain_close};

    *transport = (struct transport){.ops = &ops, .fd = fd};
}
