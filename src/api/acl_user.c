/* Users: life, passwords, questions, printing. The grammar is in acl_rule.c. */
#include "api/acl_user.h"

#include <string.h>

#include "api/command.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/sha256.h"

enum { ARENA_BLOCK = 1024 };

/* --- life ---------------------------------------------------------------------------- */

struct acl_user *acl_user_new(struct slice name)
{
    struct acl_user *user = mem_try_zero(sizeof(*user));

    if (!user) return NULL;
    atomic_init(&user->refs, 1);
    arena_init(&user->arena, NULL, ARENA_BLOCK);
    user->name = arena_copy(&user->arena, name);
    if (user->name.ptr) return user;
    acl_user_unref(user);
    return NULL;
}

struct acl_user *acl_user_ref(struct acl_user *user)
{
    atomic_fetch_add_explicit(&user->refs, 1, memory_order_relaxed);
    return user;
}

void acl_user_unref(struct acl_user *user)
{
    if (!user || atomic_fetch_sub_explicit(&user->refs, 1, memory_order_acq_rel) > 1) return;
    arena_release(&user->arena);
    mem_free(user);
}

/* False without memory. */
static bool copy_texts(struct arena *arena, struct acl_text **to, const struct acl_text *from)
{
    for (; from; from = from->next, to = &(*to)->next) {
        *to = arena_try_zero(arena, sizeof(**to));
        if (!*to) return false;
        (*to)->perms = from->perms;
        (*to)->text = arena_copy(arena, from->text);
        if (!(*to)->text.ptr) return false;
    }
    *to = NULL;
    return true;
}

static bool copy_selector(struct arena *arena, struct acl_selector *to,
                          const struct acl_selector *from)
{
    *to = *from;
    to->next = NULL;
    return copy_texts(arena, &to->rules, from->rules) &&
           copy_texts(arena, &to->keys, from->keys) &&
           copy_texts(arena, &to->channels, from->channels);
}

struct acl_user *acl_user_copy(const struct acl_user *user, struct slice name)
{
    struct acl_user *copy = acl_user_new(name);

    if (!copy) return NULL;
    copy->on = user->on;
    copy->nopass = user->nopass;
    copy->can_all = user->can_all;
    bool ok = copy_texts(&copy->arena, &copy->passwords, user->passwords) &&
              copy_selector(&copy->arena, &copy->root, &user->root);
    struct acl_selector **at = &copy->root.next;
    for (const struct acl_selector *sel = user->root.next; ok && sel; sel = sel->next) {
        *at = arena_try_zero(&copy->arena, sizeof(**at));
        ok = *at && copy_selector(&copy->arena, *at, sel);
        if (ok) at = &(*at)->next;
    }
    if (ok) return copy;
    acl_user_unref(copy);
    return NULL;
}

/* --- passwords ------------------------------------------------------------------------ */

/* In a time that does not tell where they differ. */
static bool same_hash(struct slice a, const char *b)
{
    unsigned diff = a.len != SHA256_HEX_LEN;

    for (size_t i = 0; i < SHA256_HEX_LEN && i < a.len; i++) diff |= (unsigned)(a.ptr[i] ^ b[i]);
    return diff == 0;
}

bool acl_user_password_ok(const struct acl_user *user, struct slice password)
{
    char hash[SHA256_HEX_LEN];
    bool ok = user->nopass;

    sha256_hex(hash, password);
    for (const struct acl_text *at = user->passwords; at; at = at->next)
        ok |= same_hash(at->text, hash);
    return ok;
}

/* --- questions ------------------------------------------------------------------------- */

static bool key_matches(const struct acl_selector *sel, struct slice key, unsigned perms)
{
    if (sel->all_keys) return true;
    for (const struct acl_text *at = sel->keys; at; at = at->next)
        if ((at->perms & perms) == perms && arg_glob_exact(at->text, key)) return true;
    return false;
}

/* A pattern that is subscribed to must be one of the user's; a channel must match one. */
static bool channel_matches(const struct acl_selector *sel, struct slice name, bool pattern)
{
    if (sel->all_channels) return true;
    for (const struct acl_text *at = sel->channels; at; at = at->next)
        if (pattern ? slice_eq(at->text, name) : arg_glob_exact(at->text, name)) return true;
    return false;
}

static bool allows_keys(const struct acl_selector *sel, const struct command *cmd,
                        const struct slice *argv, size_t argc, size_t *idx)
{
    for (size_t i = command_next_key(cmd, argv, argc, 0); i;
         i = command_next_key(cmd, argv, argc, i)) {
        if (key_matches(sel, argv[i], command_key_perms(cmd, i))) continue;
        *idx = i;
        return false;
    }
    return true;
}

static bool allows_channels(const struct acl_selector *sel, const struct command *cmd,
                            const struct slice *argv, size_t argc, size_t *idx)
{
    static const struct speaker {
        const char *name;
        size_t last;
        bool pattern;
    } speakers[] = {{"publish", 1, false}, {"subscribe", SIZE_MAX, false},
                    {"psubscribe", SIZE_MAX, true}};

    if (!(cmd->acl & ACL_PUBSUB) || sel->all_channels) return true;
    for (size_t k = 0; k < ARRAY_LEN(speakers); k++) {
        if (strcmp(cmd->name, speakers[k].name) != 0) continue;
        for (size_t i = 1; i < argc && i <= speakers[k].last; i++) {
            if (channel_matches(sel, argv[i], speakers[k].pattern)) continue;
            *idx = i;
            return false;
        }
    }
    return true;
}

static enum acl_verdict check_selector(const struct acl_selector *sel, const struct command *cmd,
                                       const struct slice *argv, size_t argc, size_t *idx)
{
    size_t i = (size_t)(cmd - commands);
    bool allowed = (sel->allowed[i / 64] >> (i % 64)) & 1;

    if (!allowed && !(cmd->flags & CMD_NO_AUTH)) return ACL_NO_COMMAND;
    if (!allows_keys(sel, cmd, argv, argc, idx)) return ACL_NO_KEY;
    if (!allows_channels(sel, cmd, argv, argc, idx)) return ACL_NO_CHANNEL;
    return ACL_ALLOWED;
}

enum acl_verdict acl_user_check(const struct acl_user *user, const struct command *cmd,
                                const struct slice *argv, size_t argc, size_t *idx)
{
    enum acl_verdict worst = ACL_NO_COMMAND;

    if (user->can_all) return ACL_ALLOWED;
    for (const struct acl_selector *sel = &user->root; sel; sel = sel->next) {
        enum acl_verdict verdict = check_selector(sel, cmd, argv, argc, idx);
        if (verdict == ACL_ALLOWED) return verdict;
        if (verdict > worst) worst = verdict;
    }
    return worst;
}

bool acl_user_may(const struct acl_user *user, struct slice key, unsigned perms)
{
    for (const struct acl_selector *sel = &user->root; sel; sel = sel->next)
        if (key_matches(sel, key, perms)) return true;
    return false;
}

bool acl_user_may_all(const struct acl_user *user, unsigned perms)
{
    for (const struct acl_selector *sel = &user->root; sel; sel = sel->next) {
        if (sel->all_keys) return true;
        for (const struct acl_text *at = sel->keys; at; at = at->next)
            if ((at->perms & perms) == perms && slice_is(at->text, "*")) return true;
    }
    return false;
}

/* --- printing -------------------------------------------------------------------------- */

void acl_print_commands(struct strbuf *out, const struct acl_selector *sel)
{
    strbuf_str(out, sel->all_commands ? "+@all" : "-@all");
    for (const struct acl_text *at = sel->rules; at; at = at->next) {
        strbuf_char(out, ' ');
        strbuf_slice(out, at->text);
    }
}

void acl_print_keys(struct strbuf *out, const struct acl_selector *sel)
{
    static const char *const marks[] = {"", "%R", "%W", ""};

    if (sel->all_keys) strbuf_str(out, "~*");
    for (const struct acl_text *at = sel->all_keys ? NULL : sel->keys; at; at = at->next) {
        if (at != sel->keys) strbuf_char(out, ' ');
        strbuf_printf(out, "%s~", marks[at->perms & ACL_KEY_BOTH]);
        strbuf_slice(out, at->text);
    }
}

void acl_print_channels(struct strbuf *out, const struct acl_selector *sel)
{
    if (sel->all_channels) strbuf_str(out, "&*");
    for (const struct acl_text *at = sel->all_channels ? NULL : sel->channels; at; at = at->next) {
        if (at != sel->channels) strbuf_char(out, ' ');
        strbuf_char(out, '&');
        strbuf_slice(out, at->text);
    }
}

static void print_selector(struct strbuf *out, const struct acl_selector *sel)
{
    if (sel->all_keys || sel->keys) {
        acl_print_keys(out, sel);
        strbuf_char(out, ' ');
    }
    if (!sel->all_channels) strbuf_str(out, "resetchannels ");
    if (sel->all_channels || sel->channels) {
        acl_print_channels(out, sel);
        strbuf_char(out, ' ');
    }
    acl_print_commands(out, sel);
}

void acl_user_print(struct strbuf *out, const struct acl_user *user)
{
    strbuf_str(out, user->on ? "on " : "off ");
    if (user->nopass) strbuf_str(out, "nopass ");
    for (const struct acl_text *at = user->passwords; at; at = at->next) {
        strbuf_char(out, '#');
        strbuf_slice(out, at->text);
        strbuf_char(out, ' ');
    }
    print_selector(out, &user->root);
    for (const struct acl_selector *sel = user->root.next; sel; sel = sel->next) {
        strbuf_str(out, " (");
        print_selector(out, sel);
        strbuf_char(out, ')');
    }
}
