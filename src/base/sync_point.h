/* Sync points: named places in the code where a test can stop a thread, so that a
 * race is tested by order and not by luck. SYNC_POINT("flush:before-publish") is
 * nothing in release builds.
 *
 *     sync_point_set("flush:before-publish", wait_for_reader, &gate);
 *     ...
 *     sync_point_clear_all();
 *
 * A callback runs on the thread that passes the point, with no lock held; it may
 * block, and several threads may be in it at once. Any thread.
 */
#ifndef TSINK_BASE_SYNC_POINT_H
#define TSINK_BASE_SYNC_POINT_H

#include <stddef.h>
#include <stdint.h>

#ifdef TSINK_DEV
#define SYNC_POINT(name) sync_point_pass(name)
#else
#define SYNC_POINT(name) ((void)0)
#endif

enum { SYNC_POINT_MAX = 32 }; /* callbacks at a time */

/* Calls fn(ctx) whenever a thread passes the named point; replaces an earlier one.
 * name must stay valid until it is cleared. */
void sync_point_set(const char *name, void (*fn)(void *ctx), void *ctx);

/* Returns when no thread is inside a callback any more (except the caller). */
void sync_point_clear(const char *name);
void sync_point_clear_all(void);

/* Use SYNC_POINT(). */
void sync_point_pass(const char *name);

#endif
