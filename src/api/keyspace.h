/* The keyspace beside its series: keys that expire, and a key at random.
 *
 * A key's expiry is an attribute of its series (model/batch.h), so it is in the log and in
 * the registry's file; here is only the order in which keys come due. A key that is due is
 * not found any more (ts_key_find) and is deleted by the owner as DEL would, at once.
 *
 *     start, slices -> every entry with an expiry -> heap -> timer -> deletes, one at a time
 *
 * Owner's loop unless a function says "any thread".
 */
#ifndef TSINK_API_KEYSPACE_H
#define TSINK_API_KEYSPACE_H

#include "api/app.h"

#define KEYSPACE_TYPE "TSDB-TYPE" /* what TYPE answers, as the peer's module */

struct keyspace;

/* Before the owner's loop runs; NULL without memory. */
struct keyspace *keyspace_new(struct app *app);
void keyspace_free(struct keyspace *ks); /* no delete is under way; accepts NULL */

/* The database is open: looks for keys with an expiry, in slices. */
void keyspace_begin(struct app *app);

/* The database is about to close: no further key is deleted. */
void keyspace_end(struct app *app);

/* Any thread that may look at the entry. Whether its key is due. */
bool keyspace_is_expired(struct app *app, const struct series_entry *entry);

/* Gives a live series an expiry (wall ms; at or below now: it goes at once), or takes it
 * (0). *at is what the answer waits for. */
CHECKED status keyspace_expire(struct app *app, uint32_t ordinal, int64_t when_ms, lsn *at,
                               struct err *err);

/* DEBUG SET-ACTIVE-EXPIRE: whether keys that are due are deleted. */
void keyspace_set_active(struct app *app, bool active);

/* A live series by chance, or ORDINAL_NONE. */
uint32_t keyspace_random(struct app *app);

/* Keys with an expiry now, and deleted by one since the start. */
uint64_t keyspace_n_expires(const struct app *app);
uint64_t keyspace_n_expired(const struct app *app);

#endif
