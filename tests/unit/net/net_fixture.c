/* The test server and client; see net_fixture.h. Handlers run on the loops; what the
 * test reads is atomic. Slots that are answered later are kept per loop. */
#include "tests/unit/net/net_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/numfmt.h"
#include "base/panic.h"
#include "net/resp_write.h"

/* ---- Handlers -------------------------------------------------------------------- */

struct later {
    struct later *next;
    struct reply_slot *slot;
    struct slice held;   /* HELD: points into kept input */
    struct conn_loop *home;
};

/* Newest first. One list a loop would be more natural; loops of a test share one
 * under a lock-free rule: only net_on_loops() and handlers of that loop touch theirs. */
static struct later *laters[IO_THREADS_MAX + 1];

static struct net *net_of(struct conn *conn)
{
    return conn_hub_user(conn_hub(conn), conn_proto(conn));
}

static size_t index_of(struct net *net, const struct conn_loop *cl)
{
    struct conn_loops all = io_threads_all(net->io);
    size_t i = 0;

    while (all.ptr[i] != cl) i++;
    return i;
}

static void on_gone(struct reply_slot *slot, void *arg)
{
    struct net *net = arg;

    ck_assert(reply_slot_is_gone(slot));
    atomic_fetch_add(&net->n_gone, 1);
}

static void keep_for_later(struct net *net, struct reply_slot *slot, struct slice held)
{
    struct conn_loop *home = conn_home(reply_slot_conn(slot));
    struct later *later = mem_alloc(sizeof(*later));
    struct later **list = &laters[index_of(net, home)];

    *later = (struct later){.next = *list, .slot = slot, .held = held, .home = home};
    *list = later;
    reply_slot_on_gone(slot, on_gone, net);
    atomic_fetch_add(&net->n_later, 1);
}

static void reply_text(struct reply_slot *slot, struct slice text)
{
    if (reply_slot_answer(slot)) {
        struct http_reply reply = {.status = 200};
        http_reply_text(reply_slot_out(slot), reply_slot_answer(slot), &reply, text);
    } else {
        struct resp_writer w = {.out = reply_slot_out(slot), .version = 2};
        resp_bulk(&w, text);
    }
}

static void release_on_loop(struct conn_loop *cl, void *arg)
{
    struct net *net = arg;
    struct later **list = &laters[index_of(net, cl)];

    while (*list) {
        struct later *later = *list;
        *list = later->next;
        reply_text(later->slot, later->held.len ? later->held : SLICE_LIT("later"));
        reply_slot_finish(later->slot);
        mem_free(later);
        atomic_fetch_sub(&net->n_later, 1);
    }
}

static bool on_opened(struct conn *conn)
{
    struct net *net = net_of(conn);

    conn_set_user(conn, net);
    atomic_fetch_add(&net->n_opened, 1);
    return true;
}

static void on_closed(struct conn *conn)
{
    struct net *net = conn_user(conn);
    atomic_fetch_add(&net->n_closed, 1);
}

static void on_gate_failed(struct conn *conn, struct reply_slot *slot, status st)
{
    (void)conn;
    ck_assert_uint_eq(reply_slot_out(slot)->len, 0);
    if (reply_slot_answer(slot)) {
        struct http_reply reply = {.status = status_http(st)};
        http_reply_text(reply_slot_out(slot), reply_slot_answer(slot), &reply, SLICE_LIT("failed"));
    } else {
        struct resp_writer w = {.out = reply_slot_out(slot), .version = 2};
        resp_errorf(&w, "%s failed", status_resp(st));
    }
}

struct stream {
    struct reply_slot *slot;
    size_t left;
};

static void stream_more(void *arg)
{
    struct stream *stream = arg;
    static const char piece[8192];
    size_t n = stream->left < sizeof(piece) ? stream->left : sizeof(piece);
    struct iobuf part;

    iobuf_init(&part, NULL, NULL, 0);
    iobuf_put(&part, piece, n);
    stream->left -= n;
    const struct http_answer *answer = reply_slot_answer(stream->slot);
    if (answer) http_stream_part(reply_slot_out(stream->slot), answer, &part);
    else reply_slot_take(stream->slot, &part);
    if (stream->left > 0 && !reply_slot_is_gone(stream->slot)) {
        reply_slot_stream(stream->slot, stream_more, stream);
        return;
    }
    if (answer) http_stream_end(reply_slot_out(stream->slot), answer);
    else iobuf_put(reply_slot_out(stream->slot), "\r\n", 2);
    reply_slot_finish(stream->slot);
    mem_free(stream);
}

/* A client that goes away: nobody drains any more, so the stream ends here. */
static void stream_gone(struct reply_slot *slot, void *arg)
{
    struct stream *stream = arg;

    reply_slot_finish(slot);
    mem_free(stream);
}

static void start_stream(struct reply_slot *slot, size_t n)
{
    struct stream *stream = mem_alloc(sizeof(*stream));

    *stream = (struct stream){.slot = slot, .left = n};
    reply_slot_on_gone(slot, stream_gone, stream);
    stream_more(stream);
}

static void put_bytes(struct iobuf *out, size_t n)
{
    static const char piece[4096];

    while (n > 0) {
        size_t len = n < sizeof(piece) ? n : sizeof(piece);
        iobuf_put(out, piece, len);
        n -= len;
    }
}

static void on_resp(struct conn *conn, struct reply_slot *slot, const struct slice *args, size_t n)
{
    struct net *net = net_of(conn);
    struct resp_writer w = {.out = reply_slot_out(slot), .version = 2};
    uint64_t number = 0;

    atomic_fetch_add(&net->n_requests, 1);
    if (n > 1) (void)parse_u64(&number, args[1]);
    if (slice_is(args[0], "LATER")) {
        keep_for_later(net, slot, slice_of("", 0));
        return;
    }
    if (slice_is(args[0], "HELD")) {
        reply_slot_hold_input(slot);
        keep_for_later(net, slot, args[1]);
        return;
    }
    if (slice_is(args[0], "STREAM")) {
        resp_errorf(&w, "begin");
        start_stream(slot, number);
        return;
    }
    if (slice_is(args[0], "ECHO")) resp_bulk(&w, args[1]);
    else if (slice_is(args[0], "BYTES")) put_bytes(w.out, number);
    else resp_simple(&w, "OK");
    if (slice_is(args[0], "TRUST")) conn_set_trusted(conn, true);
    if (slice_is(args[0], "PAUSE")) conn_pause(conn);
    if (slice_is(args[0], "QUIT")) reply_slot_close_after(slot);
    if (slice_is(args[0], "NAME")) conn_set_name(conn, args[1]);
    if (slice_is(args[0], "DIE")) conn_kill(conn);
    if (slice_is(args[0], "PARK")) reply_slot_finish_at(slot, number);
    else reply_slot_finish(slot);
}

static bool on_head(struct conn *conn, struct reply_slot *slot, const struct http_request *req,
                    struct http_limits *limits)
{
    (void)conn;
    if (slice_is(req->path, "/small")) limits->body_len_max = 10;
    if (slice_is(req->path, "/optional")) limits->length_optional = true;
    if (!slice_is(req->path, "/refuse")) return true;
    struct http_reply reply = {.status = 403};
    http_reply_text(reply_slot_out(slot), reply_slot_answer(slot), &reply, SLICE_LIT("no"));
    reply_slot_finish(slot);
    return false;
}

static void on_http(struct conn *conn, struct reply_slot *slot, const struct http_request *req)
{
    struct net *net = net_of(conn);
    uint64_t number = 0;

    atomic_fetch_add(&net->n_requests, 1);
    (void)parse_u64(&number, req->query);
    if (slice_is(req->path, "/later")) {
        reply_slot_hold_input(slot);
        keep_for_later(net, slot, req->body);
        return;
    }
    if (slice_is(req->path, "/stream")) {
        http_stream_begin(reply_slot_out(slot), reply_slot_answer(slot),
                          &(struct http_reply){.status = 200});
        start_stream(slot, number);
        return;
    }
    struct strbuf text;
    strbuf_init(&text, 0);
    strbuf_printf(&text, "%s " SLICE_FMT " ", http_method_name(req->method), SLICE_ARG(req->path));
    strbuf_slice(&text, req->body);
    reply_text(slot, strbuf_view(&text));
    strbuf_release(&text);
    if (slice_is(req->path, "/park")) reply_slot_finish_at(slot, number);
    else reply_slot_finish(slot);
}

static const struct conn_handler resp_handler = {
    .opened = on_opened, .resp_request = on_resp, .gate_failed = on_gate_failed,
    .closed = on_closed};
static const struct conn_handler http_handler = {
    .opened = on_opened, .http_head = on_head, .http_request = on_http,
    .gate_failed = on_gate_failed, .closed = on_closed};

/* ---- The server ------------------------------------------------------------------- */

void net_init(struct net *net, size_t n_io)
{
    struct conn_hub_opts hub_opts = {.account = &net->account};
    struct loop_opts loop_opts = {.name = "owner"};

    *net = (struct net){0};
    account_init(&net->account, "net", NULL, 0);
    ck_assert_int_eq(conn_hub_open(&net->hub, &hub_opts, NULL), ST_OK);
    conn_hub_set_handler(net->hub, CONN_RESP, &resp_handler, net);
    conn_hub_set_handler(net->hub, CONN_HTTP, &http_handler, net);
    ck_assert_int_eq(loop_open(&net->owner, &loop_opts, NULL), ST_OK);
    ck_assert_int_eq(io_threads_open(&net->io, net->owner, net->hub, n_io, NULL), ST_OK);
    struct conn_loops all = io_threads_all(net->io);
    for (size_t i = 0; i < all.n; i++) loop_set_gate(conn_loop_loop(all.ptr[i]), &net->gate);
}

void net_start(struct net *net)
{
    struct conn_loops resp = io_threads_for_resp(net->io), http = io_threads_for_http(net->io);
    struct listener_opts opts = {.hub = net->hub, .loop = net->owner, .hosts = "127.0.0.1"};
    struct err err = {0};

    opts.proto = CONN_RESP;
    opts.deal = resp.ptr;
    opts.n_deal = resp.n;
    ck_assert_msg(listener_open(&net->resp, &opts, &err) == ST_OK, "%s", err.text);
    opts.proto = CONN_HTTP;
    opts.deal = http.ptr;
    opts.n_deal = http.n;
    ck_assert_msg(listener_open(&net->http, &opts, &err) == ST_OK, "%s", err.text);
    net->resp_port = listener_port(net->resp);
    net->http_port = listener_port(net->http);
    ck_assert_int_eq(io_threads_start(net->io, NULL), ST_OK);
    ck_assert_int_eq(loop_start(net->owner, NULL), ST_OK);
}

void net_stop(struct net *net)
{
    loop_stop(net->owner);
    loop_join(net->owner);
    listener_close(net->resp);
    listener_close(net->http);
    for (size_t i = 0; i < sizeof(laters) / sizeof(laters[0]); i++) {
        while (laters[i]) { /* abandoned: the loops are gone */
            struct later *later = laters[i];
            laters[i] = later->next;
            mem_free(later);
        }
    }
    io_threads_close(net->io);
    loop_close(net->owner);
    for (int proto = 0; proto < CONN_PROTOS; proto++) {
        struct conn_stats stats;
        conn_hub_stats(net->hub, (enum conn_proto)proto, &stats);
        ck_assert_int_eq(gauge_read(&stats.n_open), 0);
    }
    conn_hub_close(net->hub);
    ck_assert_int_eq(atomic_load(&net->n_opened), atomic_load(&net->n_closed));
    ck_assert_uint_eq(account_used(&net->account), 0);
}

struct conn_limits net_limits(struct net *net, enum conn_proto proto)
{
    return *conn_hub_limits(net->hub, proto);
}

void net_set_limits(struct net *net, enum conn_proto proto, struct conn_limits limits)
{
    ck_assert_int_eq(conn_hub_set_limits(net->hub, proto, &limits), ST_OK);
}

struct errand {
    struct task task;
    struct conn_loop *cl;
    void (*fn)(struct conn_loop *cl, void *arg);
    void *arg;
    _Atomic bool done;
};

static void run_errand(struct task *task)
{
    struct errand *errand = container_of(task, struct errand, task);

    errand->fn(errand->cl, errand->arg);
    atomic_store(&errand->done, true);
}

void net_on_loops(struct net *net, void (*fn)(struct conn_loop *cl, void *arg), void *arg)
{
    struct conn_loops all = io_threads_all(net->io);

    for (size_t i = 0; i < all.n; i++) {
        struct errand errand = {
            .task = {.fn = run_errand}, .cl = all.ptr[i], .fn = fn, .arg = arg};
        loop_post(conn_loop_loop(all.ptr[i]), &errand.task);
        net_wait(atomic_load(&errand.done));
    }
}

void net_release(struct net *net)
{
    net_on_loops(net, release_on_loop, net);
}

void net_raise(struct net *net, uint64_t gate)
{
    struct conn_loops all = io_threads_all(net->io);

    atomic_store_explicit(&net->gate, gate, memory_order_release);
    for (size_t i = 0; i < all.n; i++) loop_gate_wake(conn_loop_loop(all.ptr[i]));
}

static void resume_one(struct conn *conn, void *ctx)
{
    (void)ctx;
    conn_resume(conn);
}

static void resume_on_loop(struct conn_loop *cl, void *arg)
{
    conn_each(cl, resume_one, arg);
}

void net_resume(struct net *net)
{
    net_on_loops(net, resume_on_loop, NULL);
}

/* ---- The client ------------------------------------------------------------------- */

int client_open(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval deadline = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline)), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

void client_send_bytes(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        ck_assert_msg(n > 0, "send: %s", strerror(errno));
        at += n;
        len -= (size_t)n;
    }
}

void client_send(int fd, const char *text)
{
    client_send_bytes(fd, text, strlen(text));
}

void client_expect(int fd, const char *text)
{
    size_t len = strlen(text), have = 0;
    char *got = calloc(1, len + 1);

    while (have < len) {
        ssize_t n = recv(fd, got + have, len - have, 0);
        ck_assert_msg(n > 0, "%s after '%s', expected '%s'", n == 0 ? "end" : strerror(errno), got,
                      text);
        have += (size_t)n;
    }
    ck_assert_str_eq(got, text);
    free(got);
}

void client_expect_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);

    ck_assert_msg(n == 0 || (n < 0 && errno == ECONNRESET), "not the end: %zd %s", n,
                  n < 0 ? strerror(errno) : "");
    close(fd);
}

void client_expect_silence(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&poll_fd, 1, 50), 0);
}

char *client_read_all(int fd, size_t *len)
{
    struct strbuf all;
    char piece[65536];
    ssize_t n;

    strbuf_init(&all, 0);
    while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) strbuf_put(&all, piece, (size_t)n);
    ck_assert_msg(n == 0 || errno == ECONNRESET, "recv: %s", strerror(errno));
    close(fd);
    (void)strbuf_cstr(&all);
    *len = all.len;
    return all.ptr;
}
