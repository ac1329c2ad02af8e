/* The bytes under a connection: a socket in the clear here, TLS elsewhere. A
 * connection calls through this table and never touches the descriptor itself.
 * One owner, the connection's loop.
 */
#ifndef TSINK_NET_TRANSPORT_H
#define TSINK_NET_TRANSPORT_H

#include <stddef.h>
#include <sys/uio.h>

enum transport_result {
    TRANSPORT_AGAIN = -1, /* wait for the descriptor */
    TRANSPORT_GONE = -2,  /* error: the peer is gone */
};

struct transport;

struct transport_ops {
    /* Bytes read (0: the peer sends no more), or a transport_result. */
    ptrdiff_t (*read)(struct transport *transport, void *dst, size_t len);
    /* Bytes written, or a transport_result. n <= IOV_MAX. */
    ptrdiff_t (*write)(struct transport *transport, const struct iovec *parts, size_t n);
    /* Says good-bye if the protocol has one and frees what the transport holds; the
     * descriptor stays open. */
    void (*close)(struct transport *transport);
};

struct transport {
    const struct transport_ops *ops;
    int fd;
    void *state; /* of the ops: a TLS session */
};

/* The socket as it is. */
void transport_plain(struct transport *transport, int fd);

#endif
