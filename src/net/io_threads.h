/* The loops of a server: the owner's and n I/O loops on threads of their own.
 *
 * With n = 0 there is only the owner's loop, and every connection lives there. A
 * listener deals its connections to a set of loops: io_threads_deal() picks the
 * one with the fewest. RESP goes to the owner's loop while n <= 1, HTTP to the I/O
 * loops (decision 2): the two sets below.
 *
 * Thread: the maker's, before the loops run and after they stopped.
 */
#ifndef TSINK_NET_IO_THREADS_H
#define TSINK_NET_IO_THREADS_H

#include <stddef.h>

#include "base/status.h"
#include "net/conn.h"
#include "net/loop.h"

enum { IO_THREADS_MAX = 64 };

struct io_threads;

/* Makes n I/O loops beside the owner's, each with its share of the hub's
 * connections. Nothing runs yet. */
CHECKED status io_threads_open(struct io_threads **out, struct loop *owner,
                               struct conn_hub *hub, size_t n, struct err *err);

/* Starts the threads of the I/O loops; the owner's loop is run by its caller. */
CHECKED status io_threads_start(struct io_threads *io, struct err *err);

/* Stops and joins the I/O threads, then closes every connection: the owner's loop
 * must have stopped running. Requests must have been finished or cancelled. */
void io_threads_stop(struct io_threads *io);
void io_threads_close(struct io_threads *io); /* accepts NULL */

/* All loops, the owner's first; and the two sets to deal to. */
struct conn_loops {
    struct conn_loop *const *ptr;
    size_t n;
};
struct conn_loops io_threads_all(const struct io_threads *io);
struct conn_loops io_threads_for_resp(const struct io_threads *io);
struct conn_loops io_threads_for_http(const struct io_threads *io);

#endif
