/* The bare receiver: HTTP, decompression and a walk over every field of remote write, and
 * then nothing. Its CPU time is what a server spends before it does anything of its own.
 * One thread; connections are read when poll says so. It trusts its client: a body that
 * cannot be read ends the connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "codec/compress.h"
#include "codec/snappy.h"
#include "ingest/wire.h"
#include "utils/tsink-benchmark/bench.h"

enum { CONNS_MAX = 64, READ_MIN = 64 << 10, BODY_MAX = 64 << 20 };

struct bare_conn {
    struct strbuf in;
};

struct bare {
    struct pollfd fds[1 + CONNS_MAX]; /* the listener is the first */
    struct bare_conn conns[CONNS_MAX];
    size_t n;
    struct strbuf plain;
    uint64_t n_samples, sum; /* so that no walk can be left out */
};

/* --- a body -------------------------------------------------------------------------- */

static bool walk_sample(struct bare *b, struct slice msg)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    while (wire_next(&f, &w)) b->sum += f.bits;
    b->n_samples++;
    return w.why == NULL;
}

static bool walk_label(struct bare *b, struct slice msg)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    while (wire_next(&f, &w)) b->sum += f.bytes.len;
    return w.why == NULL;
}

static bool walk_refs(struct bare *b, struct slice refs)
{
    struct wire w = wire_of(refs);
    uint64_t ref;
    while (w.at < w.end) {
        if (!wire_varint(&ref, &w)) return false;
        b->sum += ref;
    }
    return true;
}

static bool walk_series(struct bare *b, struct slice msg, bool two)
{
    struct wire w = wire_of(msg);
    struct wire_field f;
    bool good = true;
    while (good && wire_next(&f, &w)) {
        if (f.number == 1) good = two ? walk_refs(b, f.bytes) : walk_label(b, f.bytes);
        if (f.number == 2) good = walk_sample(b, f.bytes);
    }
    return good && w.why == NULL;
}

static bool walk_request(struct bare *b, struct slice body, bool two)
{
    struct wire w = wire_of(body);
    struct wire_field f;
    bool good = true;
    while (good && wire_next(&f, &w))
        if (f.number == (two ? 5 : 1)) good = walk_series(b, f.bytes, two);
    return good && w.why == NULL;
}

static bool take_body(struct bare *b, struct slice head, struct slice body)
{
    size_t len = 0;
    bool two = memmem(head.ptr, head.len, "write.v2", 8) != NULL;
    strbuf_reset(&b->plain);
    if (memmem(head.ptr, head.len, "Content-Encoding: zstd", 22)) {
        if (zstd_decode(&b->plain, body.ptr, body.len, BODY_MAX, NULL) != ST_OK) return false;
    } else {
        if (snappy_block_len(&len, body.ptr, body.len, BODY_MAX, NULL) != ST_OK ||
            !strbuf_reserve(&b->plain, len) ||
            snappy_block_decode(b->plain.ptr, len, body.ptr, body.len, NULL) != ST_OK)
            return false;
        b->plain.len = len;
    }
    return walk_request(b, strbuf_view(&b->plain), two);
}

/* --- connections --------------------------------------------------------------------- */

/* The length of the whole request, 0 while its head is not there. */
static size_t request_len(const struct strbuf *in, size_t *head_len)
{
    static const char field[] = "Content-Length: ";
    const char *end = memmem(in->ptr, in->len, "\r\n\r\n", 4);
    if (!end) return 0;
    *head_len = (size_t)(end - in->ptr) + 4;
    const char *at = memmem(in->ptr, *head_len, field, sizeof(field) - 1);
    return *head_len + (at ? strtoul(at + sizeof(field) - 1, NULL, 10) : 0);
}

static bool answer(int fd)
{
    static const char text[] = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";
    return send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL) == (ssize_t)(sizeof(text) - 1);
}

/* Reads once and takes what is whole. False: the connection is over. */
static bool serve_once(struct bare *b, int fd, struct bare_conn *c)
{
    size_t head = 0, whole = c->in.len ? request_len(&c->in, &head) : 0;
    size_t room = whole > c->in.len + READ_MIN ? whole - c->in.len : READ_MIN;
    if (whole > BODY_MAX || !strbuf_reserve(&c->in, room + 1)) return false;
    ssize_t n = recv(fd, c->in.ptr + c->in.len, room, 0);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (n <= 0) return false;
    c->in.len += (size_t)n;
    c->in.ptr[c->in.len] = 0;
    while ((whole = request_len(&c->in, &head)) != 0 && whole <= c->in.len) {
        struct slice body = slice_of(c->in.ptr + head, whole - head);
        if (!take_body(b, slice_of(c->in.ptr, head), body) || !answer(fd)) return false;
        memmove(c->in.ptr, c->in.ptr + whole, c->in.len - whole);
        c->in.len -= whole;
        c->in.ptr[c->in.len] = 0;
    }
    return true;
}

static void take_conn(struct bare *b)
{
    int on = 1, fd = accept4(b->fds[0].fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return;
    if (b->n == CONNS_MAX) {
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    strbuf_init(&b->conns[b->n].in, 0);
    b->fds[++b->n] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void drop_conn(struct bare *b, size_t i)
{
    close(b->fds[1 + i].fd);
    strbuf_release(&b->conns[i].in);
    b->conns[i] = b->conns[b->n - 1];
    b->fds[1 + i] = b->fds[b->n];
    b->n--;
}

static int listen_on(uint64_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(fd, 16) == 0)
        return fd;
    close(fd);
    return -1;
}

int bare_serve(const struct options *opt)
{
    struct bare *b = calloc(1, sizeof(*b));
    int fd = b ? listen_on(opt->http_port) : -1;
    if (fd < 0) {
        fprintf(stderr, "tsink-benchmark: port %llu: %s\n", (unsigned long long)opt->http_port,
                strerror(errno));
        free(b);
        return EXIT_SERVER;
    }
    strbuf_init(&b->plain, 0);
    b->fds[0] = (struct pollfd){.fd = fd, .events = POLLIN};
    for (;;) {
        if (poll(b->fds, (nfds_t)(1 + b->n), -1) < 0 && errno != EINTR) break;
        for (size_t i = b->n; i > 0; i--)
            if (b->fds[i].revents && !serve_once(b, b->fds[i].fd, &b->conns[i - 1]))
                drop_conn(b, i - 1);
        if (b->fds[0].revents) take_conn(b);
    }
    fprintf(stderr, "tsink-benchmark: poll: %s\n", strerror(errno));
    return EXIT_IO;
}
