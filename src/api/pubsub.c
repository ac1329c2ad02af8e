/* Publish and subscribe. See pubsub.h.
 *
 *     loop -> table of channels, table of patterns
 *     topic -> list of its subscriptions <- session's list of all of its own
 *
 * A message to a channel is one look-up and a walk over the patterns of each loop. A topic
 * goes with its last subscription.
 */
#include "api/pubsub.h"

#include <string.h>

#include "api/multi.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/panic.h"

enum { BUCKETS_MIN = 16 };

struct topic {
    struct topic *next;        /* of its bucket */
    struct list subs;          /* struct sub, by of_topic */
    uint64_t hash;
    size_t len;
    char name[];
};

struct topics {
    struct topic **buckets;    /* a power of two, or NULL */
    size_t n_buckets, n;
};

struct sub {
    struct list of_topic, of_session;
    struct session *session;
    struct topic *topic;
};

struct pubsub_loop {
    struct conn_loop *home;
    struct topics topics[PUBSUB_KINDS];
};

struct pubsub {
    struct app *app;
    _Atomic size_t n_subs;     /* of all loops, monitors among them */
    _Atomic size_t n_monitors;
    size_t n;
    struct pubsub_loop loop[];
};

/* What a session has; made with its first subscription. */
struct subscriber {
    struct pubsub_loop *at;
    struct list subs[PUBSUB_KINDS];
    size_t n[PUBSUB_KINDS];
};

/* --- tables --------------------------------------------------------------------------- */

static struct topic **find_place(const struct topics *topics, struct slice name, uint64_t hash)
{
    if (!topics->n_buckets) return NULL;
    struct topic **at = &topics->buckets[hash & (topics->n_buckets - 1)];
    while (*at && ((*at)->hash != hash || !slice_eq(name, slice_of((*at)->name, (*at)->len))))
        at = &(*at)->next;
    return at;
}

static struct topic *find_topic(const struct topics *topics, struct slice name)
{
    struct topic **at = find_place(topics, name, hash_slice(name));
    return at ? *at : NULL;
}

static bool grow(struct topics *topics)
{
    size_t n = topics->n_buckets ? 2 * topics->n_buckets : BUCKETS_MIN;
    struct topic **buckets = mem_try_array(n, sizeof(struct topic *));

    if (!buckets) return topics->n_buckets > 0; /* longer chains will do */
    memset(buckets, 0, n * sizeof(struct topic *));
    for (size_t i = 0; i < topics->n_buckets; i++) {
        while (topics->buckets[i]) {
            struct topic *topic = topics->buckets[i];
            topics->buckets[i] = topic->next;
            topic->next = buckets[topic->hash & (n - 1)];
            buckets[topic->hash & (n - 1)] = topic;
        }
    }
    mem_free(topics->buckets);
    topics->buckets = buckets;
    topics->n_buckets = n;
    return true;
}

static struct topic *add_topic(struct topics *topics, struct slice name)
{
    if (topics->n >= topics->n_buckets && !grow(topics)) return NULL;
    struct topic *topic = mem_try(sizeof(*topic) + name.len);
    if (!topic) return NULL;
    topic->hash = hash_slice(name);
    topic->len = name.len;
    if (name.len) memcpy(topic->name, name.ptr, name.len);
    list_init(&topic->subs);
    struct topic **bucket = &topics->buckets[topic->hash & (topics->n_buckets - 1)];
    topic->next = *bucket;
    *bucket = topic;
    topics->n++;
    return topic;
}

static void drop_if_empty(struct topics *topics, struct topic *topic)
{
    if (!list_empty(&topic->subs)) return;
    struct topic **at = &topics->buckets[topic->hash & (topics->n_buckets - 1)];
    while (*at != topic) at = &(*at)->next;
    *at = topic->next;
    topics->n--;
    mem_free(topic);
}

/* --- life ------------------------------------------------------------------------------ */

struct pubsub *pubsub_new(struct app *app)
{
    struct pubsub *ps = mem_try_zero(sizeof(*ps) + app->loops.n * sizeof(ps->loop[0]));

    if (!ps) return NULL;
    ps->app = app;
    ps->n = app->loops.n;
    for (size_t i = 0; i < ps->n; i++) ps->loop[i].home = app->loops.ptr[i];
    return ps;
}

void pubsub_free(struct pubsub *ps)
{
    if (!ps) return;
    for (size_t i = 0; i < ps->n; i++) {
        for (int k = 0; k < PUBSUB_KINDS; k++) {
            ASSERT(ps->loop[i].topics[k].n == 0);
            mem_free(ps->loop[i].topics[k].buckets);
        }
    }
    mem_free(ps);
}

bool pubsub_has_monitors(const struct pubsub *ps)
{
    return atomic_load_explicit(&ps->n_monitors, memory_order_relaxed) > 0;
}

bool pubsub_has_listeners(const struct pubsub *ps)
{
    return atomic_load_explicit(&ps->n_subs, memory_order_relaxed) > 0;
}

/* --- subscriptions ---------------------------------------------------------------------- */

static struct subscriber *subscriber_of(struct session *session)
{
    struct pubsub *ps = session->app->pubsub;
    struct subscriber *me = session->subscriber;

    if (me) return me;
    me = mem_try_zero(sizeof(*me));
    if (!me) return NULL;
    for (int k = 0; k < PUBSUB_KINDS; k++) list_init(&me->subs[k]);
    for (size_t i = 0; i < ps->n; i++)
        if (ps->loop[i].home == conn_home(session->conn)) me->at = &ps->loop[i];
    ASSERT(me->at);
    session->subscriber = me;
    return me;
}

/* Both lists would do: they are walked side by side, so the shorter one says how long. */
static struct sub *find_sub(struct subscriber *me, struct topic *topic,
                            enum pubsub_kind kind)
{
    struct list *mine = me->subs[kind].next, *its = topic->subs.next;

    while (mine != &me->subs[kind] && its != &topic->subs) {
        struct sub *a = container_of(mine, struct sub, of_session);
        struct sub *b = container_of(its, struct sub, of_topic);
        if (a->topic == topic) return a;
        if (b->session->subscriber == me) return b;
        mine = mine->next;
        its = its->next;
    }
    return NULL;
}

status pubsub_add(struct session *session, struct slice name, enum pubsub_kind kind,
                  struct err *err)
{
    struct subscriber *me = subscriber_of(session);

    if (!me) return err_set(err, ST_NO_MEMORY, "no memory for a subscription");
    if (name.len > PUBSUB_NAME_MAX || me->n[kind] >= PUBSUB_OF_SESSION)
        return err_set(err, ST_LIMIT, "too long a channel, or too many");
    struct topics *topics = &me->at->topics[kind];
    struct topic *topic = find_topic(topics, name);
    if (topic && find_sub(me, topic, kind)) return ST_OK;
    if (!topic) topic = add_topic(topics, name);
    struct sub *sub = topic ? mem_try(sizeof(*sub)) : NULL;
    if (!sub) {
        if (topic) drop_if_empty(topics, topic);
        return err_set(err, ST_NO_MEMORY, "no memory for a subscription");
    }
    *sub = (struct sub){.session = session, .topic = topic};
    list_push(&topic->subs, &sub->of_topic);
    list_push(&me->subs[kind], &sub->of_session);
    me->n[kind]++;
    atomic_fetch_add_explicit(&session->app->pubsub->n_subs, 1, memory_order_relaxed);
    if (kind == PUBSUB_MONITOR)
        atomic_fetch_add_explicit(&session->app->pubsub->n_monitors, 1, memory_order_relaxed);
    return ST_OK;
}

static void drop_sub(struct session *session, struct sub *sub, enum pubsub_kind kind)
{
    struct subscriber *me = session->subscriber;

    list_remove(&sub->of_topic);
    list_remove(&sub->of_session);
    drop_if_empty(&me->at->topics[kind], sub->topic);
    mem_free(sub);
    me->n[kind]--;
    atomic_fetch_sub_explicit(&session->app->pubsub->n_subs, 1, memory_order_relaxed);
    if (kind == PUBSUB_MONITOR)
        atomic_fetch_sub_explicit(&session->app->pubsub->n_monitors, 1, memory_order_relaxed);
}

void pubsub_remove(struct session *session, struct slice name, enum pubsub_kind kind)
{
    struct subscriber *me = session->subscriber;
    struct topic *topic = me ? find_topic(&me->at->topics[kind], name) : NULL;
    struct sub *sub = topic ? find_sub(me, topic, kind) : NULL;

    if (sub) drop_sub(session, sub, kind);
}

size_t pubsub_count(const struct session *session, enum pubsub_kind kind)
{
    return session->subscriber ? session->subscriber->n[kind] : 0;
}

bool pubsub_first(const struct session *session, enum pubsub_kind kind, struct slice *name)
{
    if (!pubsub_count(session, kind)) return false;
    struct list *at = session->subscriber->subs[kind].next;
    const struct topic *topic = container_of(at, struct sub, of_session)->topic;
    *name = slice_of(topic->name, topic->len);
    return true;
}

void pubsub_drop_all(struct session *session)
{
    struct subscriber *me = session->subscriber;

    if (!me) return;
    for (int k = 0; k < PUBSUB_KINDS; k++)
        while (!list_empty(&me->subs[k]))
            drop_sub(session, container_of(me->subs[k].next, struct sub, of_session),
                     (enum pubsub_kind)k);
    mem_free(me);
    session->subscriber = NULL;
}

/* --- delivery --------------------------------------------------------------------------- */

static void push_message(struct session *session, const struct topic *pattern,
                         struct slice channel, struct slice message)
{
    struct iobuf out;
    struct resp_writer w = {.out = &out, .version = session->version};

    iobuf_init(&out, conn_loop_pool(conn_home(session->conn)), session->app->net_account, 0);
    resp_push(&w, pattern ? 4 : 3);
    resp_bulk_str(&w, pattern ? "pmessage" : "message");
    if (pattern) resp_bulk(&w, slice_of(pattern->name, pattern->len));
    resp_bulk(&w, channel);
    resp_bulk(&w, message);
    session_push(session, &out);
}

static uint64_t push_to_all(const struct topic *topic, bool pattern, struct slice channel,
                            struct slice message)
{
    uint64_t n = 0;

    list_each(at, &topic->subs) {
        struct sub *sub = container_of(at, struct sub, of_topic);
        push_message(sub->session, pattern ? topic : NULL, channel, message);
        n++;
    }
    return n;
}

uint64_t pubsub_deliver(struct pubsub *ps, size_t loop, struct slice channel,
                        struct slice message)
{
    struct pubsub_loop *pl = &ps->loop[loop];
    const struct topics *patterns = &pl->topics[1];
    struct topic *topic = find_topic(&pl->topics[0], channel);
    uint64_t n = topic ? push_to_all(topic, false, channel, message) : 0;

    for (size_t i = 0; i < patterns->n_buckets; i++)
        for (topic = patterns->buckets[i]; topic; topic = topic->next)
            if (arg_glob_exact(slice_of(topic->name, topic->len), channel))
                n += push_to_all(topic, true, channel, message);
    return n;
}

uint64_t pubsub_listeners(struct pubsub *ps, size_t loop, struct slice channel)
{
    const struct topic *topic = find_topic(&ps->loop[loop].topics[0], channel);
    uint64_t n = 0;

    if (topic) list_each(at, &topic->subs) n++;
    return n;
}

void pubsub_each(struct pubsub *ps, size_t loop, enum pubsub_kind kind,
                 void (*fn)(void *ctx, struct slice name), void *ctx)
{
    const struct topics *topics = &ps->loop[loop].topics[kind];

    for (size_t i = 0; i < topics->n_buckets; i++)
        for (struct topic *topic = topics->buckets[i]; topic; topic = topic->next)
            fn(ctx, slice_of(topic->name, topic->len));
}

static void show_monitors(struct pubsub *ps, size_t loop, struct slice line)
{
    const struct topic *topic =
        find_topic(&ps->loop[loop].topics[PUBSUB_MONITOR], slice_of("", 0));

    if (!topic) return;
    list_each(at, &topic->subs) {
        struct session *session = container_of(at, struct sub, of_topic)->session;
        struct iobuf out;
        iobuf_init(&out, conn_loop_pool(conn_home(session->conn)), session->app->net_account, 0);
        iobuf_str(&out, "+");
        iobuf_slice(&out, line);
        iobuf_str(&out, "\r\n");
        session_push(session, &out);
    }
}

/* --- messages for other loops ------------------------------------------------------------- */

struct parcel {
    struct task task;
    struct pubsub *ps;
    bool monitors;             /* the message is a line for them */
    size_t loop, channel_len, message_len;
    char bytes[];
};

static void parcel_arrives(struct task *task)
{
    struct parcel *parcel = container_of(task, struct parcel, task);

    struct slice message = slice_of(parcel->bytes + parcel->channel_len, parcel->message_len);
    if (parcel->monitors) show_monitors(parcel->ps, parcel->loop, message);
    else pubsub_deliver(parcel->ps, parcel->loop, slice_of(parcel->bytes, parcel->channel_len),
                        message);
    mem_free(parcel);
}

static void post_parcel(struct pubsub *ps, size_t loop, struct slice channel,
                        struct slice message, bool monitors)
{
    struct parcel *parcel = mem_try(sizeof(*parcel) + channel.len + message.len);

    if (!parcel) return; /* messages promise nothing */
    *parcel = (struct parcel){.task = {.fn = parcel_arrives},
                              .ps = ps,
                              .monitors = monitors,
                              .loop = loop,
                              .channel_len = channel.len,
                              .message_len = message.len};
    list_init(&parcel->task.link);
    if (channel.len) memcpy(parcel->bytes, channel.ptr, channel.len);
    if (message.len) memcpy(parcel->bytes + channel.len, message.ptr, message.len);
    loop_post(conn_loop_loop(ps->loop[loop].home), &parcel->task);
}

void pubsub_send(struct app *app, struct slice channel, struct slice message)
{
    struct pubsub *ps = app->pubsub;

    if (!ps || !pubsub_has_listeners(ps)) return;
    for (size_t i = 0; i < ps->n; i++) {
        if (loop_is_mine(conn_loop_loop(ps->loop[i].home)))
            pubsub_deliver(ps, i, channel, message);
        else
            post_parcel(ps, i, channel, message, false);
    }
}

void pubsub_tell_monitors(struct app *app, struct slice line)
{
    struct pubsub *ps = app->pubsub;

    for (size_t i = 0; i < ps->n; i++) {
        if (loop_is_mine(conn_loop_loop(ps->loop[i].home))) show_monitors(ps, i, line);
        else post_parcel(ps, i, slice_of("", 0), line, true);
    }
}

/* --- a walk over the loops ----------------------------------------------------------------- */

static void walk_ends(struct task *task)
{
    struct pubsub_walk *walk = container_of(task, struct pubsub_walk, task);
    walk->done(walk);
}

static void walk_on(struct pubsub_walk *walk);

static void walk_visits(struct task *task)
{
    struct pubsub_walk *walk = container_of(task, struct pubsub_walk, task);

    walk->visit(walk, walk->call->app->pubsub, walk->idx++);
    walk_on(walk);
}

static void walk_on(struct pubsub_walk *walk)
{
    struct pubsub *ps = walk->call->app->pubsub;

    if (walk->idx == ps->n) {
        walk->task.fn = walk_ends;
        app_to_loop(walk->home, &walk->task);
        return;
    }
    walk->task.fn = walk_visits;
    app_to_loop(conn_loop_loop(ps->loop[walk->idx].home), &walk->task);
}

struct pubsub_walk *pubsub_walk_new(struct call *call)
{
    struct pubsub_walk *walk = arena_try_zero(&call->arena, sizeof(*walk));

    if (!walk) return NULL;
    walk->call = call;
    walk->home = conn_loop_loop(conn_home(call->conn));
    list_init(&walk->task.link);
    return walk;
}

void pubsub_walk_start(struct pubsub_walk *walk)
{
    walk_on(walk);
}
