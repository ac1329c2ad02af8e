/* Listening sockets: accepts on one loop and deals connections out to others, to
 * the one with the fewest. Refuses politely (an -ERR line, a 503) when the
 * protocol's or the source's number of connections is reached or descriptors run
 * short, and pauses for 100 ms when the system has none left.
 *
 * Thread: the accepting loop's.
 */
#ifndef TSINK_NET_LISTENER_H
#define TSINK_NET_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "net/conn.h"
#include "net/loop.h"

enum { LISTENER_BACKLOG = 511, LISTENER_ADDRS_MAX = 16, LISTENER_PAUSE_MS = 100 };

struct listener;

struct listener_opts {
    struct conn_hub *hub;
    struct loop *loop;              /* accepts here */
    struct conn_loop *const *deal;  /* and connections live there; outlives the listener */
    size_t n_deal;
    enum conn_proto proto;
    const char *hosts;  /* blank-separated addresses: "127.0.0.1 ::1"; "*" any IPv4, "::*" any
                           IPv6; a leading '-' makes one optional, as in Redis */
    /* Not NULL: a socket of the file system instead of hosts and port. What lies there is
     * taken away first, if it is a socket. */
    const char *path;
    unsigned mode;      /* of its file; 0: as the process makes files */
    uint16_t port;      /* 0: one that is free, the same for all hosts */
    int backlog;        /* 0: LISTENER_BACKLOG */
};

CHECKED status listener_open(struct listener **out, const struct listener_opts *opts,
                             struct err *err);
void listener_close(struct listener *listener); /* accepts NULL */

/* The port it really listens on. */
uint16_t listener_port(const struct listener *listener);

/* Stops accepting, for an orderly stop; listener_close() follows. */
void listener_stop(struct listener *listener);

/* Whether every address of the list is a loopback address (127/8, ::1, localhost). */
bool listener_is_loopback(const char *hosts);

#endif
