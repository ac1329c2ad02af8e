/* Connections: each sends its batches in order, the next one when all replies of the one
 * before are there. One thread, one epoll.
 *
 * A batch is larger than a socket's buffer, so replies are read while it is still being
 * written: the server may answer the first commands of a pipeline before it has the last.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/numfmt.h"
#include "utils/tsink-benchmark/bench.h"

enum { READ_BYTES = 65536, EVENTS = 64, STALL_MS = 30000 };

struct link {
    int fd;
    const struct batches *all;  /* borrowed */
    size_t next, last;          /* batches of this phase: [next, last) */
    const struct parcel *now;    /* being sent or answered; NULL: none */
    size_t sent;                /* bytes of now */
    uint64_t done_before;       /* replies read when now was begun */
    mono_ns begun;
    bool wants_write;           /* epoll watches for room */
    struct reply_reader reader;
};

struct drive {
    const struct options *opt;
    int epoll;
    size_t n, busy;
    mono_ns deadline;           /* no batch begins after it */
    uint64_t allowed;           /* batches that may still begin */
    mono_ns due;                /* of the next batch, by --pace; 0: not known yet */
    struct link *links;
    char buffer[READ_BYTES];
};

/* --- connecting ---------------------------------------------------------------------- */

int drive_connect(const char *host, uint64_t port, char *err, size_t err_len)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char service[24];
    int fd = -1;
    snprintf(service, sizeof(service), "%llu", (unsigned long long)port);
    int code = getaddrinfo(host, service, &hints, &found);
    if (code != 0) {
        snprintf(err, err_len, "%s: %s", host, gai_strerror(code));
        return -1;
    }
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    if (fd < 0) snprintf(err, err_len, "%s port %s: %s", host, service, strerror(errno));
    freeaddrinfo(found);
    int on = 1;
    if (fd >= 0) (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static bool watch(struct drive *d, struct link *l, int op, bool wants_write)
{
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0),
                                .data.ptr = l};
    l->wants_write = wants_write;
    return epoll_ctl(d->epoll, op, l->fd, &event) == 0;
}

struct drive *drive_open(const struct options *opt, struct batches *all, char *err, size_t err_len)
{
    struct drive *d = calloc(1, sizeof(*d));
    uint64_t port = bench_is_http(opt->mode) ? opt->http_port : opt->port;
    if (d) d->links = calloc(opt->connections, sizeof(*d->links));
    if (!d || !d->links) {
        snprintf(err, err_len, "out of memory");
        free(d);
        return NULL;
    }
    d->opt = opt;
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (; d->n < opt->connections; d->n++) {
        struct link *l = &d->links[d->n];
        l->all = &all[d->n];
        l->reader.http = bench_is_http(opt->mode);
        l->fd = drive_connect(opt->host, port, err, err_len);
        if (l->fd >= 0 && watch(d, l, EPOLL_CTL_ADD, false)) continue;
        if (l->fd >= 0) {
            snprintf(err, err_len, "epoll: %s", strerror(errno));
            close(l->fd);
        }
        drive_close(d);
        return NULL;
    }
    return d;
}

void drive_close(struct drive *d)
{
    if (!d) return;
    for (size_t i = 0; i < d->n; i++) close(d->links[i].fd);
    if (d->epoll >= 0) close(d->epoll);
    free(d->links);
    free(d);
}

/* --- sending and reading --------------------------------------------------------------- */

/* As much of the batch as the socket takes. */
static bool push(struct drive *d, struct link *l)
{
    while (l->sent < l->now->len) {
        const char *at = l->all->bytes.ptr + l->now->off + l->sent;
        ssize_t n = send(l->fd, at, l->now->len - l->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return l->wants_write || watch(d, l, EPOLL_CTL_MOD, true);
        if (n < 0) return false;
        l->sent += (size_t)n;
    }
    return !l->wants_write || watch(d, l, EPOLL_CTL_MOD, false);
}

/* With --pace, which has one connection: sleeps until the next batch is due. A batch that
 * had to wait for the one before was begun when it was due, late or not. */
static mono_ns wait_due(struct drive *d)
{
    mono_ns now = clock_mono(clock_system());
    if (d->opt->pace == 0) return now;
    if (d->due == 0) d->due = now;
    mono_ns due = d->due < d->deadline ? d->due : d->deadline;
    struct timespec rest = {.tv_sec = (due - now) / 1000000000,
                            .tv_nsec = (due - now) % 1000000000};
    if (due > now) (void)nanosleep(&rest, NULL);
    return due;
}

/* Begins the next batch, if there is one and time for it. */
static bool begin(struct drive *d, struct link *l)
{
    l->begun = wait_due(d);
    bool repeats = d->opt->mode == BENCH_PING;
    if ((l->next == l->last && !repeats) || d->allowed == 0 || l->begun >= d->deadline) {
        l->now = NULL;
        d->busy--;
        return true;
    }
    l->now = &l->all->list[repeats ? 0 : l->next++];
    if (d->due) d->due += (mono_ns)(1e9 * (double)l->now->samples / (double)d->opt->pace);
    d->allowed--;
    l->sent = 0;
    l->done_before = l->reader.n_done;
    return push(d, l);
}

static bool settle(struct drive *d, struct link *l, struct figures *f)
{
    uint64_t done = l->reader.n_done - l->done_before;
    if (!l->now || done > l->now->replies) return false; /* a reply nobody asked for */
    if (done < l->now->replies || l->sent < l->now->len) return true;
    hist_add(&f->latency, (uint64_t)(clock_mono(clock_system()) - l->begun));
    f->batches++;
    f->replies += done;
    f->samples += l->now->samples;
    return begin(d, l);
}

/* False with err: the connection is of no use any more. */
static bool pull(struct drive *d, struct link *l, struct figures *f, char *err, size_t err_len)
{
    ssize_t n = recv(l->fd, d->buffer, sizeof(d->buffer), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n <= 0) {
        snprintf(err, err_len, "the server closed a connection%s%s", n < 0 ? ": " : "",
                 n < 0 ? strerror(errno) : "");
        return false;
    }
    if (replies_feed(&l->reader, d->buffer, (size_t)n) && settle(d, l, f)) return true;
    snprintf(err, err_len, "the server sent what is no answer to the request: %.80s",
             l->reader.line);
    return false;
}

/* --- phases ---------------------------------------------------------------------------- */

static void collect_errors(const struct drive *d, struct figures *f)
{
    f->refused = 0;
    for (size_t i = 0; i < d->n; i++) {
        f->refused += d->links[i].reader.n_refused;
        if (!f->first_error && d->links[i].reader.first_error[0])
            f->first_error = d->links[i].reader.first_error;
    }
}

static bool begin_all(struct drive *d, enum drive_phase phase)
{
    bool by_time = phase == DRIVE_RUN && d->opt->requests == 0 && d->opt->rounds == 0 &&
                   d->opt->mode != BENCH_REPLAY;
    d->allowed = phase == DRIVE_RUN && d->opt->requests ? d->opt->requests : UINT64_MAX;
    d->deadline = by_time ? clock_mono(clock_system()) + (mono_ns)d->opt->seconds * 1000000000
                          : INT64_MAX;
    d->busy = d->n;
    d->due = 0;
    for (size_t i = 0; i < d->n; i++) {
        struct link *l = &d->links[i];
        l->next = phase == DRIVE_CREATE ? 0 : l->all->n_create;
        l->last = phase == DRIVE_CREATE ? l->all->n_create : l->all->n;
        if (!begin(d, l)) return false;
    }
    return true;
}

/* Whether some connection had nothing left to send before the run was over. */
static bool is_used_up(const struct drive *d)
{
    bool out = false;
    for (size_t i = 0; i < d->n; i++) out |= d->links[i].next == d->links[i].last;
    return out && d->opt->mode != BENCH_PING && d->opt->requests == 0 && d->opt->rounds == 0 &&
           d->opt->mode != BENCH_REPLAY;
}

bool drive_phase(struct drive *d, enum drive_phase phase, struct figures *f, char *err,
                 size_t err_len)
{
    struct epoll_event events[EVENTS];
    if (!begin_all(d, phase)) {
        snprintf(err, err_len, "sending: %s", strerror(errno));
        return false;
    }
    while (d->busy > 0) {
        int n = epoll_wait(d->epoll, events, EVENTS, STALL_MS);
        if (n == 0) {
            snprintf(err, err_len, "no answer within %d s", STALL_MS / 1000);
            return false;
        }
        for (int i = 0; i < n; i++) {
            struct link *l = events[i].data.ptr;
            if ((events[i].events & EPOLLOUT) && l->now && !push(d, l)) {
                snprintf(err, err_len, "sending: %s", strerror(errno));
                return false;
            }
            if ((events[i].events & ~(uint32_t)EPOLLOUT) && !pull(d, l, f, err, err_len))
                return false;
        }
    }
    f->used_up = is_used_up(d);
    collect_errors(d, f);
    return true;
}

/* --- the server's process ---------------------------------------------------------------- */

uint64_t drive_server_pid(const struct options *opt)
{
    static const char ask[] = "INFO server\r\n", key[] = "process_id:";
    char text[8192], err[BENCH_TEXT_MAX];
    size_t len = 0;
    uint64_t pid = 0;
    struct timeval patience = {.tv_sec = 5};
    int fd = drive_connect(opt->host, opt->port, err, sizeof(err));
    if (fd < 0) return 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof(ask) - 1)) goto out;
    while (pid == 0 && len < sizeof(text) - 1) {
        ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
        if (n <= 0) break;
        len += (size_t)n;
        text[len] = 0;
        const char *at = strstr(text, key), *end = at ? strstr(at, "\r\n") : NULL;
        if (!end) continue;
        at += sizeof(key) - 1;
        if (!parse_u64(&pid, slice_of(at, (size_t)(end - at)))) break;
    }
out:
    close(fd);
    return pid;
}
