/* Listening sockets.
 *
 * A connection is counted before it is dealt out, so that the limits hold also for
 * those on their way. The count of a source address lives in one of 4096 counters of the
 * protocol, chosen by a keyed hash of the address (of the /64 for IPv6): two heavy sources
 * share one with odds of 1 in 4096 and nobody outside can aim for it; in return
 * there is no table to grow, lock or clean.
 *
 * When accept() fails for want of descriptors the pending connection stays pending
 * and would be reported for ever: the listener looks away for 100 ms.
 */
#include "net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/panic.h"
#include "net/conn_priv.h"

enum { ACCEPTS_A_TURN = 64, HOST_MAX = 64 };

struct socket {
    struct loop_fd lfd;
    struct listener *listener;
};

struct listener {
    struct conn_hub *hub;
    struct loop *loop;
    struct conn_loop *const *deal;
    size_t n_deal;
    enum conn_proto proto;
    uint16_t port;
    int backlog;
    struct timer pause;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": none; goes at the stop */
    size_t n_sockets;
    struct socket sockets[LISTENER_ADDRS_MAX];
};

/* ---- Accepting ------------------------------------------------------------------- */

static void set_option(int fd, int level, int name, int value)
{
    /* Comfort only: a socket without it works. */
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

static int source_of(const struct sockaddr_storage *addr, enum conn_proto proto)
{
    uint64_t hash;

    if (addr->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)addr;
        hash = hash64(&in->sin_addr, sizeof(in->sin_addr));
    } else if (addr->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)addr;
        hash = hash64(&in6->sin6_addr, 8);
    } else {
        return CONN_SOURCE_NONE;
    }
    return (int)proto * CONN_SOURCES + (int)(hash % CONN_SOURCES);
}

/* Tells the client why, if that fits into the socket's buffer, and closes. */
static void turn_away(const struct listener *listener, int fd, const char *why)
{
    char text[256];
    int len;

    if (listener->proto == CONN_RESP) {
        len = snprintf(text, sizeof(text), "-ERR %s\r\n", why);
    } else {
        len = snprintf(text, sizeof(text),
                       "HTTP/1.1 503 %s\r\nContent-Length: %zu\r\nRetry-After: 1\r\n"
                       "Connection: close\r\n\r\n%s\n",
                       http_reason(503), strlen(why) + 1, why);
    }
    (void)send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static struct conn_loop *least_loaded(const struct listener *listener)
{
    struct conn_loop *best = listener->deal[0];

    for (size_t i = 1; i < listener->n_deal; i++) {
        if (conn_loop_count(listener->deal[i]) < conn_loop_count(best)) best = listener->deal[i];
    }
    return best;
}

static size_t count_all(const struct conn_hub *hub)
{
    int64_t n = 0;

    for (int proto = 0; proto < CONN_PROTOS; proto++) n += gauge_read(&hub->stats[proto].n_open);
    return n > 0 ? (size_t)n : 0;
}

static void set_tcp_options(int fd, const struct conn_limits *limits)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!limits->keepalive_s) return;
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)limits->keepalive_s);
}

static void take(struct listener *listener, int fd, const struct sockaddr_storage *addr)
{
    struct conn_hub *hub = listener->hub;
    const struct conn_limits *limits = conn_hub_limits(hub, listener->proto);
    struct conn_stats *stats = &hub->stats[listener->proto];
    int source =
        limits->n_source_max ? source_of(addr, listener->proto) : CONN_SOURCE_NONE;

    if ((size_t)gauge_read(&stats->n_open) >= limits->n_conns_max) {
        counter_add(&stats->n_over_max, 1);
        turn_away(listener, fd, "max number of clients reached");
        return;
    }
    if (count_all(hub) >= hub->fds_max) {
        counter_add(&stats->n_over_fds, 1);
        turn_away(listener, fd, "max number of clients reached");
        return;
    }
    if (source != CONN_SOURCE_NONE) {
        uint32_t n = atomic_fetch_add_explicit(&hub->sources[source], 1, memory_order_relaxed);
        if (n >= limits->n_source_max) {
            atomic_fetch_sub_explicit(&hub->sources[source], 1, memory_order_relaxed);
            counter_add(&stats->n_over_source, 1);
            turn_away(listener, fd, "max number of clients of one address reached");
            return;
        }
    }
    if (addr->ss_family != AF_UNIX) set_tcp_options(fd, limits);
    if (!conn_deal(least_loaded(listener), fd, listener->proto, source)) {
        counter_add(&stats->n_no_memory, 1);
    }
}

static void look_away(struct listener *listener, int why)
{
    log_warn("net", "cannot accept connections", "port=%u error=\"%s\"", listener->port,
             strerror(why));
    counter_add(&listener->hub->stats[listener->proto].n_over_fds, 1);
    for (size_t i = 0; i < listener->n_sockets; i++) {
        loop_want(listener->loop, &listener->sockets[i].lfd, 0);
    }
    timer_set(loop_wheel(listener->loop), &listener->pause, LISTENER_PAUSE_MS);
}

static void look_again(struct timer *timer)
{
    struct listener *listener = container_of(timer, struct listener, pause);

    for (size_t i = 0; i < listener->n_sockets; i++) {
        loop_want(listener->loop, &listener->sockets[i].lfd, LOOP_READ);
    }
}

static void on_pending(struct loop_fd *lfd, unsigned events)
{
    struct listener *listener = container_of(lfd, struct socket, lfd)->listener;

    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage addr = {0};
        socklen_t len = sizeof(addr);
        int fd = accept4(lfd->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take(listener, fd, &addr);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            look_away(listener, errno);
        }
        /* Whatever else: nothing pending, or one that gave up meanwhile. */
        if (errno != ECONNABORTED && errno != EINTR) return;
    }
}

/* ---- Opening ---------------------------------------------------------------------- */

static bool parse_host(struct sockaddr_storage *addr, socklen_t *len, const char *host,
                       uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    *addr = (struct sockaddr_storage){0};
    if (strcmp(host, "*") == 0) host = "0.0.0.0";
    if (strcmp(host, "::*") == 0) host = "::";
    if (strcmp(host, "localhost") == 0) host = "127.0.0.1";
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
        memcpy(addr, &in, *len = sizeof(in));
        return true;
    }
    if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
        memcpy(addr, &in6, *len = sizeof(in6));
        return true;
    }
    return false;
}

/* A bound, listening socket, or -1 with errno. *port becomes the real one. */
static int listen_on(const struct sockaddr_storage *addr, socklen_t len, int backlog,
                     uint16_t *port)
{
    struct sockaddr_storage bound;
    socklen_t bound_len = sizeof(bound);
    int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) return -1;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (addr->ss_family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (bind(fd, (const struct sockaddr *)addr, len) < 0 || listen(fd, backlog) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &bound_len) < 0) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    const struct sockaddr_in *in = (const void *)&bound;
    const struct sockaddr_in6 *in6 = (const void *)&bound;
    if (bound.ss_family != AF_UNIX)
        *port = ntohs(bound.ss_family == AF_INET ? in->sin_port : in6->sin6_port);
    return fd;
}

/* Watches fd, which is taken. */
static status add_socket(struct listener *listener, int fd, struct err *err)
{
    struct socket *sock = &listener->sockets[listener->n_sockets];

    *sock = (struct socket){.lfd = {.fd = fd, .want = LOOP_READ, .ready = on_pending},
                            .listener = listener};
    status st = loop_watch(listener->loop, &sock->lfd, err);
    if (st == ST_OK) listener->n_sockets++;
    else close(fd);
    return st;
}

static status add_path(struct listener *listener, const char *path, unsigned mode,
                       struct err *err)
{
    struct sockaddr_storage addr = {.ss_family = AF_UNIX};
    struct sockaddr_un *un = (void *)&addr;
    struct stat there;
    uint16_t no_port = 0;
    size_t len = strlen(path);

    if (len >= sizeof(un->sun_path))
        return err_set(err, ST_INVALID, "unix socket '%s': the path is too long", path);
    memcpy(un->sun_path, path, len + 1);
    if (lstat(path, &there) == 0 && S_ISSOCK(there.st_mode)) unlink(path);
    int fd = listen_on(&addr, sizeof(*un), listener->backlog, &no_port);
    if (fd < 0)
        return err_set(err, ST_IO, "cannot listen on %s: %s", path, strerror(errno));
    memcpy(listener->path, path, len + 1);
    if (mode && chmod(path, mode) < 0) {
        int why = errno;
        close(fd);
        return err_set(err, ST_IO, "%s: cannot set its mode: %s", path, strerror(why));
    }
    return add_socket(listener, fd, err);
}

static status add_host(struct listener *listener, const char *host, struct err *err)
{
    struct sockaddr_storage addr;
    socklen_t len = 0;
    bool optional = host[0] == '-';

    if (optional) host++;
    if (listener->n_sockets == LISTENER_ADDRS_MAX) {
        return err_set(err, ST_LIMIT, "more than %d addresses to bind", LISTENER_ADDRS_MAX);
    }
    if (!parse_host(&addr, &len, host, listener->port)) {
        return err_set(err, ST_INVALID, "bind address '%s' is no IPv4 or IPv6 address", host);
    }
    int fd = listen_on(&addr, len, listener->backlog, &listener->port);
    if (fd < 0) {
        int why = errno;
        if (optional && (why == EADDRNOTAVAIL || why == EAFNOSUPPORT)) return ST_OK;
        return err_set(err, ST_IO, "cannot listen on %s port %u: %s", host, listener->port,
                       strerror(why));
    }
    return add_socket(listener, fd, err);
}

/* Copies the next word of *at to host; false at the end. A word too long is cut and
 * so no address. */
static bool next_host(const char **at, char host[HOST_MAX])
{
    *at += strspn(*at, " ");
    size_t len = strcspn(*at, " ");
    if (len == 0) return false;
    snprintf(host, HOST_MAX, "%.*s", (int)len, *at);
    *at += len;
    return true;
}

status listener_open(struct listener **out, const struct listener_opts *opts, struct err *err)
{
    const char *at = opts->hosts;
    char host[HOST_MAX];

    ASSERT(opts->n_deal > 0 && opts->hub->handler[opts->proto]);
    struct listener *listener = mem_zalloc(sizeof(*listener));
    listener->hub = opts->hub;
    listener->loop = opts->loop;
    listener->deal = opts->deal;
    listener->n_deal = opts->n_deal;
    listener->proto = opts->proto;
    listener->port = opts->port;
    listener->backlog = opts->backlog ? opts->backlog : LISTENER_BACKLOG;
    timer_init(&listener->pause, look_again);
    status st = opts->path ? add_path(listener, opts->path, opts->mode, err) : ST_OK;
    while (st == ST_OK && !opts->path && next_host(&at, host)) st = add_host(listener, host, err);
    if (st != ST_OK) {
        listener_close(listener);
        return st;
    }
    if (listener->n_sockets == 0) {
        listener_close(listener);
        return err_set(err, ST_INVALID, "no address to listen on in '%s'", opts->hosts);
    }
    *out = listener;
    return ST_OK;
}

void listener_stop(struct listener *listener)
{
    timer_cancel(loop_wheel(listener->loop), &listener->pause);
    for (size_t i = 0; i < listener->n_sockets; i++) {
        int fd = listener->sockets[i].lfd.fd;
        loop_unwatch(listener->loop, &listener->sockets[i].lfd);
        close(fd);
    }
    listener->n_sockets = 0;
    if (listener->path[0]) unlink(listener->path);
    listener->path[0] = '\0';
}

void listener_close(struct listener *listener)
{
    if (!listener) return;
    listener_stop(listener);
    mem_free(listener);
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->port;
}

bool listener_is_loopback(const char *hosts)
{
    char host[HOST_MAX];
    bool any = false;

    while (next_host(&hosts, host)) {
        struct sockaddr_storage addr;
        socklen_t len = 0;
        if (!parse_host(&addr, &len, host[0] == '-' ? host + 1 : host, 0)) return false;
        if (addr.ss_family == AF_INET) {
            const struct sockaddr_in *in = (const void *)&addr;
            if ((ntohl(in->sin_addr.s_addr) >> 24) != 127) return false;
        } else {
            const struct sockaddr_in6 *in6 = (const void *)&addr;
            if (!IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr)) return false;
        }
        any = true;
    }
    return any;
}
