/* Users by name, and the log of what was denied.
 *
 * Sessions hold a reference to their user and look again when the generation has risen: a
 * load for each command, no lock. The table and the log are behind one lock that is held
 * for a few microseconds; changes come from the owner's loop alone.
 */
#ifndef TSINK_API_ACL_H
#define TSINK_API_ACL_H

#include "api/acl_user.h"
#include "api/app.h"

struct acl;
struct session;

enum { ACL_USER_NAME_MAX = 256, ACL_LOG_MAX = 128, ACL_LOG_TEXT_MAX = 512 };

/* With the user "default", who is on, without password, and may everything. NULL without
 * memory. */
struct acl *acl_new(void);
void acl_free(struct acl *acl); /* accepts NULL */

uint64_t acl_generation(const struct acl *acl); /* any thread */

/* Any thread. A reference, or NULL. */
struct acl_user *acl_find(struct acl *acl, struct slice name);

/* Any thread. The user, when that is one who is on and whose password it is; or NULL. */
struct acl_user *acl_authenticate(struct acl *acl, struct slice name, struct slice password);

/* Owner. Takes the user, in the place of one of the same name. */
CHECKED status acl_put(struct acl *acl, struct acl_user *user);
bool acl_remove(struct acl *acl, struct slice name); /* false: there is none */

/* Owner. Sets or clears (empty) the one password of "default", as requirepass does. */
CHECKED status acl_requirepass(struct acl *acl, struct slice password);

/* Any thread. Every user by name; fn must not call the acl. */
void acl_each(struct acl *acl, void (*fn)(void *ctx, const struct acl_user *user), void *ctx);

/* The whole table as a file, and back: all lines or none ("line 3: ..."). Owner. Users who
 * are not in the text are gone; "default" is as new when it is not. */
void acl_print(struct strbuf *out, struct acl *acl);
CHECKED status acl_parse(struct acl *acl, struct slice text, struct err *err);

/* --- the log --------------------------------------------------------------------------- */

enum acl_reason { ACL_LOG_COMMAND, ACL_LOG_KEY, ACL_LOG_CHANNEL, ACL_LOG_AUTH };

struct acl_log_entry {
    uint64_t id, count;
    enum acl_reason reason;
    bool in_multi;
    char object[ACL_LOG_TEXT_MAX / 4], user[ACL_LOG_TEXT_MAX / 4], client[ACL_LOG_TEXT_MAX];
    int64_t first_ms, last_ms;  /* wall clock */
};

/* Any thread. A like entry of the last minute is counted up instead. */
void acl_log_add(struct acl *acl, const struct acl_log_entry *entry);
void acl_log_reset(struct acl *acl);
/* Copies at most n, the newest first; returns how many. */
size_t acl_log_read(struct acl *acl, struct acl_log_entry *out, size_t n);

#endif
