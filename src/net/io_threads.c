/* The loops of a server and which of them take which connections. */
#include "net/io_threads.h"

#include <stdio.h>

#include "base/mem.h"
#include "net/conn_priv.h"

struct io_threads {
    struct loop *loops[IO_THREADS_MAX];          /* the I/O loops; the owner's is the caller's */
    struct conn_loop *conns[IO_THREADS_MAX + 1]; /* the owner's first */
    size_t n, n_conns, n_started;
};

void io_threads_close(struct io_threads *io)
{
    if (!io) return;
    io_threads_stop(io);
    for (size_t i = 0; i < io->n; i++) loop_close(io->loops[i]);
    mem_free(io);
}

static status open_loop(struct io_threads *io, struct conn_hub *hub, struct err *err)
{
    char name[LOOP_NAME_MAX];

    snprintf(name, sizeof(name), "io-%u", (unsigned)io->n % 1000);
    struct loop_opts opts = {.name = name, .clock = hub->clock, .spin_us = LOOP_SPIN_US};
    TRY(loop_open(&io->loops[io->n], &opts, err));
    io->n++;
    TRY(conn_loop_open(&io->conns[io->n_conns], hub, io->loops[io->n - 1], err));
    io->n_conns++;
    return ST_OK;
}

status io_threads_open(struct io_threads **out, struct loop *owner, struct conn_hub *hub,
                       size_t n, struct err *err)
{
    if (n > IO_THREADS_MAX) {
        return err_set(err, ST_INVALID, "io-threads: at most %d", IO_THREADS_MAX);
    }
    struct io_threads *io = mem_zalloc(sizeof(*io));
    status st = conn_loop_open(&io->conns[0], hub, owner, err);
    if (st == ST_OK) io->n_conns = 1;
    while (st == ST_OK && io->n < n) st = open_loop(io, hub, err);
    if (st != ST_OK) {
        io_threads_close(io);
        return st;
    }
    *out = io;
    return ST_OK;
}

status io_threads_start(struct io_threads *io, struct err *err)
{
    for (; io->n_started < io->n; io->n_started++) {
        TRY(loop_start(io->loops[io->n_started], err));
    }
    return ST_OK;
}

void io_threads_stop(struct io_threads *io)
{
    for (size_t i = 0; i < io->n_started; i++) loop_stop(io->loops[i]);
    for (size_t i = 0; i < io->n_started; i++) loop_join(io->loops[i]);
    io->n_started = 0;
    while (io->n_conns > 0) conn_loop_close(io->conns[--io->n_conns]);
}

struct conn_loops io_threads_all(const struct io_threads *io)
{
    return (struct conn_loops){io->conns, io->n_conns};
}

struct conn_loops io_threads_for_resp(const struct io_threads *io)
{
    if (io->n <= 1) return (struct conn_loops){io->conns, 1};
    return (struct conn_loops){io->conns + 1, io->n};
}

struct conn_loops io_threads_for_http(const struct io_threads *io)
{
    if (io->n == 0) return (struct conn_loops){io->conns, 1};
    return (struct conn_loops){io->conns + 1, io->n};
}
