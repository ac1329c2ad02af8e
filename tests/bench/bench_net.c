/* CPU per request of the network layer: a PING-like echo over loopback at several
 * pipeline depths. One loop answers on its own thread; this thread sends and reads.
 * Printed: requests a second and CPU nanoseconds of the server's thread for each.
 *
 *     bench_net [requests per depth, default 2,000,000] */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/panic.h"
#include "net/io_threads.h"
#include "net/listener.h"
#include "net/resp_write.h"

enum { DEPTH_MAX = 64 };

static void answer(struct conn *conn, struct reply_slot *slot, const struct slice *args, size_t n)
{
    struct resp_writer w = {.out = reply_slot_out(slot), .version = 2};

    (void)conn, (void)args, (void)n;
    resp_simple(&w, "PONG");
    reply_slot_finish(slot);
}

static bool opened(struct conn *conn)
{
    conn_set_trusted(conn, true);
    return true;
}

struct cpu_probe {
    struct task task;
    _Atomic int64_t ns;
};

static void probe(struct task *task)
{
    atomic_store(&container_of(task, struct cpu_probe, task)->ns, clock_thread_cpu_ns());
}

/* CPU time of the loop's thread so far. */
static int64_t loop_cpu_ns(struct loop *loop)
{
    struct cpu_probe p = {.task = {.fn = probe}, .ns = -1};

    loop_post(loop, &p.task);
    while (atomic_load(&p.ns) < 0) usleep(100);
    return atomic_load(&p.ns);
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT(fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
    return fd;
}

static void read_fully(int fd, size_t len)
{
    char bytes[DEPTH_MAX * 16];

    while (len > 0) {
        ssize_t n = recv(fd, bytes, len < sizeof(bytes) ? len : sizeof(bytes), 0);
        ASSERT(n > 0);
        len -= (size_t)n;
    }
}

static void measure(struct loop *loop, uint16_t port, size_t depth, size_t n)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    char batch[DEPTH_MAX * sizeof(ping)];
    size_t ping_len = sizeof(ping) - 1;
    int fd = connect_to(port);

    for (size_t i = 0; i < depth; i++) memcpy(batch + i * ping_len, ping, ping_len);
    if (depth == 1) n /= 20; /* a round trip each: enough is enough */
    int64_t cpu = loop_cpu_ns(loop);
    mono_ns began = clock_mono(clock_system());
    for (size_t done = 0; done < n; done += depth) {
        ASSERT(send(fd, batch, depth * ping_len, MSG_NOSIGNAL) == (ssize_t)(depth * ping_len));
        read_fully(fd, depth * 7);
    }
    double s = (double)(clock_mono(clock_system()) - began) / 1e9;
    cpu = loop_cpu_ns(loop) - cpu;
    printf("ping -P %-3zu %10.0f requests/s %8.0f ns CPU a request\n", depth, (double)n / s,
           (double)cpu / (double)n);
    close(fd);
}

int main(int argc, char **argv)
{
    static const struct conn_handler handler = {.opened = opened, .resp_request = answer};
    static const size_t depths[] = {1, 16, 64};
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000000;
    struct conn_hub_opts hub_opts = {0};
    struct loop_opts loop_opts = {.name = "owner", .spin_us = LOOP_SPIN_US};
    struct conn_hub *hub = NULL;
    struct loop *loop = NULL;
    struct io_threads *io = NULL;
    struct listener *listener = NULL;

    ASSERT(conn_hub_open(&hub, &hub_opts, NULL) == ST_OK);
    conn_hub_set_handler(hub, CONN_RESP, &handler, NULL);
    ASSERT(loop_open(&loop, &loop_opts, NULL) == ST_OK);
    ASSERT(io_threads_open(&io, loop, hub, 0, NULL) == ST_OK);
    struct conn_loops deal = io_threads_for_resp(io);
    struct listener_opts opts = {.hub = hub, .loop = loop, .deal = deal.ptr, .n_deal = deal.n,
                                 .hosts = "127.0.0.1"};
    ASSERT(listener_open(&listener, &opts, NULL) == ST_OK);
    ASSERT(loop_start(loop, NULL) == ST_OK);
    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        measure(loop, listener_port(listener), depths[i], n);
    }
    loop_stop(loop);
    loop_join(loop);
    listener_close(listener);
    io_threads_close(io);
    loop_close(loop);
    conn_hub_close(hub);
    return 0;
}
