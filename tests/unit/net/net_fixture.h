/* A server that knows a few words, on real sockets, and a client that expects.
 *
 * RESP: PING; ECHO x; BYTES n (n bytes); LATER (answered by RELEASE, which answers
 * the newest first); PARK gate; HELD x (answered by RELEASE from held input); TRUST;
 * STREAM n (n bytes in pieces as they drain); PAUSE (answers OK, takes nothing more until
 * net_resume()); QUIT.
 * HTTP: /echo (method, path, body); /later; /park?gate; /refuse (403 at the head);
 * /small (body limit 10); /optional; /stream.
 * The loops run on their own threads; the owner's too. */
#ifndef TSINK_TESTS_NET_FIXTURE_H
#define TSINK_TESTS_NET_FIXTURE_H

#include <stdatomic.h>

#include "net/io_threads.h"
#include "net/listener.h"
#include "tests/unit/net/net_suites.h"

enum { NET_LATER_MAX = 4096 };

struct net {
    struct account account;
    struct conn_hub *hub;
    struct loop *owner;
    struct io_threads *io;
    struct listener *resp, *http;
    uint16_t resp_port, http_port;
    _Atomic uint64_t gate;
    /* Counted by handlers. */
    _Atomic int n_opened, n_closed, n_requests, n_gone, n_later;
};

/* Limits may be changed between init and start. */
void net_init(struct net *net, size_t n_io);
void net_start(struct net *net);
void net_stop(struct net *net); /* asserts that all memory and connections are gone */

struct conn_limits net_limits(struct net *net, enum conn_proto proto);
void net_set_limits(struct net *net, enum conn_proto proto, struct conn_limits limits);

/* Runs fn(arg) on every loop that has connections and waits for it. */
void net_on_loops(struct net *net, void (*fn)(struct conn_loop *cl, void *arg), void *arg);
void net_release(struct net *net);            /* answers all LATER and HELD, newest first */
void net_raise(struct net *net, uint64_t gate); /* and wakes, as the WAL thread does */
void net_resume(struct net *net);             /* every paused connection */

/* Client: blocking sockets with a deadline of 10 s. */
int client_open(uint16_t port);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const void *bytes, size_t len);
void client_expect(int fd, const char *text);   /* exactly these bytes come next */
void client_expect_end(int fd);                 /* the server closes */
void client_expect_silence(int fd);             /* nothing for 50 ms */
char *client_read_all(int fd, size_t *len);     /* until the end; free it */

/* Waits until the condition holds, at most 10 s. */
#define net_wait(cond)                                                                         \
    do {                                                                                       \
        int tries_ = 0;                                                                        \
        while (!(cond)) {                                                                      \
            ck_assert_msg(tries_++ < 10000, "waited too long for %s", #cond);                  \
            usleep(1000);                                                                      \
        }                                                                                      \
    } while (0)

#endif
