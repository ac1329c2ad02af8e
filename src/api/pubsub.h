/* Publish and subscribe: who listens to which channel, and getting messages to them.
 *
 * Each loop has the subscriptions of its own connections; a message visits the loops that
 * have any. A delivery is a push of the connection (net/conn.h): behind the answers that
 * were finished before it, and never inside a transaction's.
 *
 * The connection's loop, but for pubsub_send(), which any loop's thread may call.
 */
#ifndef TSINK_API_PUBSUB_H
#define TSINK_API_PUBSUB_H

#include "api/call.h"
#include "base/strbuf.h"
#include "base/vec.h"

enum {
    PUBSUB_NAME_MAX = 1 << 20, /* bytes of a channel or pattern */
    PUBSUB_OF_SESSION = 1 << 20, /* subscriptions of a connection */
};

struct pubsub;

/* What a session listens to. A monitor gets every command (MONITOR), under an empty name. */
enum pubsub_kind { PUBSUB_CHANNEL, PUBSUB_PATTERN, PUBSUB_MONITOR, PUBSUB_KINDS };

/* Before connections open; NULL without memory. */
struct pubsub *pubsub_new(struct app *app);
void pubsub_free(struct pubsub *ps); /* no session is left; accepts NULL */

/* Whether anybody listens to anything: any thread. */
bool pubsub_has_listeners(const struct pubsub *ps);

/* Adds or removes one; false when it was so already. ST_NO_MEMORY, ST_LIMIT. */
CHECKED status pubsub_add(struct session *session, struct slice name,
                          enum pubsub_kind kind, struct err *err);
void pubsub_remove(struct session *session, struct slice name, enum pubsub_kind kind);

/* How many channels, patterns the session listens to; the first one's name. */
size_t pubsub_count(const struct session *session, enum pubsub_kind kind);
bool pubsub_first(const struct session *session, enum pubsub_kind kind, struct slice *name);
static inline bool pubsub_is_on(const struct session *session)
{
    return pubsub_count(session, PUBSUB_CHANNEL) + pubsub_count(session, PUBSUB_PATTERN) > 0;
}

void pubsub_drop_all(struct session *session); /* RESET, and at the end */

/* Whether anybody monitors: any thread. The line goes to all who do, as a simple string. */
bool pubsub_has_monitors(const struct pubsub *ps);
void pubsub_tell_monitors(struct app *app, struct slice line);

/* To all listeners; nobody waits for it. */
void pubsub_send(struct app *app, struct slice channel, struct slice message);

/* PUBLISH: the same, and done() on the loop of the call, which is call_later_alone(). */
struct pubsub_walk {
    struct task task;
    struct call *call;
    struct loop *home;
    size_t idx;
    /* On each loop. */
    void (*visit)(struct pubsub_walk *walk, struct pubsub *ps, size_t loop);
    void (*done)(struct pubsub_walk *walk);
    struct slice channel, message;
    uint64_t n;
    VEC(uint64_t) counts;      /* NUMSUB */
    VEC(struct strbuf) names;  /* CHANNELS */
};
struct pubsub_walk *pubsub_walk_new(struct call *call); /* in the call's arena; NULL: refused */
void pubsub_walk_start(struct pubsub_walk *walk);

/* For visit(): delivers, and counts the receivers; listeners of a channel; channels that
 * match (pattern ptr NULL: all); patterns of this loop that no loop before it has. */
uint64_t pubsub_deliver(struct pubsub *ps, size_t loop, struct slice channel,
                        struct slice message);
uint64_t pubsub_listeners(struct pubsub *ps, size_t loop, struct slice channel);
void pubsub_each(struct pubsub *ps, size_t loop, enum pubsub_kind kind,
                 void (*fn)(void *ctx, struct slice name), void *ctx);

#endif
