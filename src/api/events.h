/* Keyspace events: what happened to keys, told to whoever subscribes (resp.md 2.20).
 *
 * The option notify-keyspace-events says which: K and E choose the channels
 * (__keyspace@0__:key carries the event, __keyevent@0__:event the key), the other letters
 * the classes. Off costs a load. Any loop's thread.
 */
#ifndef TSINK_API_EVENTS_H
#define TSINK_API_EVENTS_H

#include "api/app.h"
#include "base/strbuf.h"

struct call;

enum event_class {
    EVENT_KEYSPACE = 1 << 0, /* K */
    EVENT_KEYEVENT = 1 << 1, /* E */
    EVENT_GENERIC = 1 << 2,  /* g */
    EVENT_EXPIRED = 1 << 3,  /* x */
    EVENT_MODULE = 1 << 4,   /* d: TS.* */
};

/* The option's text to and from bits; letters of types that are not here ($lshzetmn) are
 * kept. False: a letter that Redis does not know. */
bool events_parse(uint32_t *bits, struct slice text);
void events_print(struct strbuf *out, uint32_t bits);

/* Tells of one event, when anybody wants to hear of its class. */
void events_tell(struct app *app, enum event_class class, const char *event, struct slice key);

/* Of a TS.* command that has ended: its event on each of its keys, unless it failed. */
void events_of_call(struct call *call);

#endif
