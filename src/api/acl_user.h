/* A user of the command port: passwords, and what may be run on which keys and channels.
 *
 * A user is immutable once it is published; ACL SETUSER makes a changed copy. It has a root
 * selector and maybe more: a command is allowed when one of them allows all of it.
 *
 * The grammar of rules is that of Redis 7 (ACL SETUSER):
 *
 *     on off nopass resetpass >password <password #hash !hash reset
 *     +command +container|sub -command +@category -@category allcommands nocommands
 *     ~pattern %R~pattern %W~pattern %RW~pattern allkeys resetkeys
 *     &pattern allchannels resetchannels   (selector) clearselectors
 *
 * Pure but for the count of references; any thread may look at a published one.
 */
#ifndef TSINK_API_ACL_USER_H
#define TSINK_API_ACL_USER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"
#include "base/strbuf.h"

struct command;

enum { ACL_COMMANDS_MAX = 512, ACL_WORDS = ACL_COMMANDS_MAX / 64 };
enum { ACL_KEY_READ = 1, ACL_KEY_WRITE = 2, ACL_KEY_BOTH = 3 };

/* A rule, a pattern or a password's hash. */
struct acl_text {
    struct acl_text *next;
    unsigned perms;            /* of a key pattern */
    struct slice text;
};

struct acl_selector {
    struct acl_selector *next;
    uint64_t allowed[ACL_WORDS]; /* by index of commands[] */
    struct acl_text *rules;    /* what led there, for people */
    bool all_commands;         /* the rules begin with +@all, not -@all */
    bool all_keys, all_channels;
    struct acl_text *keys, *channels;
};

struct acl_user {
    _Atomic unsigned refs;
    struct arena arena;
    struct slice name;
    bool on, nopass;
    bool can_all;              /* may run everything on everything */
    struct acl_text *passwords; /* hex of SHA-256 */
    struct acl_selector root;
};

/* An off user who may nothing, with one reference; NULL without memory. */
struct acl_user *acl_user_new(struct slice name);
struct acl_user *acl_user_copy(const struct acl_user *user, struct slice name);
struct acl_user *acl_user_ref(struct acl_user *user);
void acl_user_unref(struct acl_user *user); /* accepts NULL */

/* Applies rules before the user is published. The failure says which and why, as Redis:
 * "Error in ACL SETUSER modifier '+x': Unknown command or category name in ACL". */
CHECKED status acl_user_apply(struct acl_user *user, const struct slice *rules, size_t n,
                              struct err *err);

/* Whether the password is one of the user's (not whether the user is on). */
bool acl_user_password_ok(const struct acl_user *user, struct slice password);

enum acl_verdict { ACL_ALLOWED, ACL_NO_COMMAND, ACL_NO_KEY, ACL_NO_CHANNEL };

/* argv: all words. *idx: the key or channel that is denied. */
enum acl_verdict acl_user_check(const struct acl_user *user, const struct command *cmd,
                                const struct slice *argv, size_t argc, size_t *idx);

/* Whether the user may read (write) a key; all keys. */
bool acl_user_may(const struct acl_user *user, struct slice key, unsigned perms);
bool acl_user_may_all(const struct acl_user *user, unsigned perms);

/* The parts of ACL GETUSER, and all of them as ACL LIST and the file have them. */
void acl_print_commands(struct strbuf *out, const struct acl_selector *sel);
void acl_print_keys(struct strbuf *out, const struct acl_selector *sel);
void acl_print_channels(struct strbuf *out, const struct acl_selector *sel);
void acl_user_print(struct strbuf *out, const struct acl_user *user); /* without "user NAME" */

#endif
