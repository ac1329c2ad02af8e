/* The grammar of ACL SETUSER. See acl_user.h.
 *
 * Rules about commands are applied to the bits at once and remembered as text: one that
 * names the same command or category as an earlier one takes its place, and +@all and -@all
 * take the place of all. So the text, applied from the left, gives the bits again.
 */
#include <string.h>

#include "api/acl_user.h"
#include "api/command.h"
#include "base/panic.h"
#include "base/sha256.h"

static const char unknown_command[] = "Unknown command or category name in ACL";
static const char bad_hash[] = "The password hash must be exactly 64 characters and contain only "
                               "lowercase hexadecimal characters";
static const char no_memory[] = "no memory";
static const char bad_syntax[] = "Syntax error";

/* --- lists ----------------------------------------------------------------------------- */

static bool append(struct acl_user *user, struct acl_text **list, struct slice text,
                   unsigned perms)
{
    struct acl_text *item = arena_try_zero(&user->arena, sizeof(*item));

    if (!item) return false;
    item->text = arena_copy(&user->arena, text);
    item->perms = perms;
    while (*list) list = &(*list)->next;
    *list = item;
    return item->text.ptr != NULL;
}

static struct acl_text **find(struct acl_text **list, struct slice text)
{
    while (*list && !slice_eq((*list)->text, text)) list = &(*list)->next;
    return list;
}

/* --- commands -------------------------------------------------------------------------- */

static void set_bit(struct acl_selector *sel, const struct command *cmd, bool allow)
{
    size_t i = (size_t)(cmd - commands);
    uint64_t bit = 1ull << (i % 64);

    ASSERT(i < ACL_COMMANDS_MAX);
    if (allow) sel->allowed[i / 64] |= bit;
    else sel->allowed[i / 64] &= ~bit;
}

static void set_all(struct acl_selector *sel, bool allow)
{
    for (size_t i = 0; i < n_commands; i++) set_bit(sel, &commands[i], allow);
    sel->rules = NULL;
    sel->all_commands = allow;
}

/* A command with its subcommands, or "container|sub"; false when there is none. */
static bool set_command(struct acl_selector *sel, struct slice name, bool allow)
{
    bool found = false;

    for (size_t i = 0; i < n_commands; i++) {
        struct slice container, sub, whole = slice_str(commands[i].name);
        command_split_name(&commands[i], &container, &sub);
        bool mine = slice_is_nocase(name, commands[i].name) ||
                    (whole.len > name.len && sub.len && container.len == name.len &&
                     strncasecmp(name.ptr, container.ptr, name.len) == 0);
        if (mine) set_bit(sel, &commands[i], allow);
        found |= mine;
    }
    return found;
}

static bool set_category(struct acl_selector *sel, struct slice name, bool allow)
{
    unsigned bit = command_category(name);

    if (!bit) return false;
    for (size_t i = 0; i < n_commands; i++)
        if (commands[i].acl & bit) set_bit(sel, &commands[i], allow);
    return true;
}

/* Takes away the rules that a new one about the same name, or one of its subcommands,
 * makes void. */
static void forget_rules(struct acl_selector *sel, struct slice name)
{
    struct acl_text **at = &sel->rules;

    while (*at) {
        struct slice old = slice_skip((*at)->text, 1);
        bool same = old.len >= name.len && strncasecmp(old.ptr, name.ptr, name.len) == 0 &&
                    (old.len == name.len || old.ptr[name.len] == '|');
        if (same) *at = (*at)->next;
        else at = &(*at)->next;
    }
}

static const char *command_rule(struct acl_user *user, struct acl_selector *sel,
                                struct slice rule)
{
    bool allow = rule.ptr[0] == '+';
    struct slice name = slice_skip(rule, 1);
    bool category = name.len > 0 && name.ptr[0] == '@';

    if (slice_is_nocase(name, "@all")) {
        set_all(sel, allow);
        return NULL;
    }
    bool known = category ? set_category(sel, slice_skip(name, 1), allow)
                          : name.len > 0 && set_command(sel, name, allow);
    if (!known) return unknown_command;
    forget_rules(sel, name);
    char *lower = arena_try(&user->arena, rule.len);
    if (!lower) return no_memory;
    for (size_t i = 0; i < rule.len; i++) {
        char c = rule.ptr[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    return append(user, &sel->rules, slice_of(lower, rule.len), 0) ? NULL : no_memory;
}

/* --- keys and channels -------------------------------------------------------------------- */

static const char *key_rule(struct acl_user *user, struct acl_selector *sel, struct slice rule)
{
    unsigned perms = 0;
    size_t at = 0;

    if (rule.ptr[0] == '%') {
        for (at = 1; at < rule.len && rule.ptr[at] != '~'; at++) {
            if (rule.ptr[at] == 'R' || rule.ptr[at] == 'r') perms |= ACL_KEY_READ;
            else if (rule.ptr[at] == 'W' || rule.ptr[at] == 'w') perms |= ACL_KEY_WRITE;
            else return bad_syntax;
        }
        if (!perms || at == rule.len) return bad_syntax;
    } else {
        perms = ACL_KEY_BOTH;
    }
    struct slice pattern = slice_skip(rule, at + 1);
    if (sel->all_keys)
        return "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does "
               "not have any effect. Try 'resetkeys' to start with an empty list of patterns";
    if (slice_is(pattern, "*") && perms == ACL_KEY_BOTH) {
        sel->all_keys = true;
        sel->keys = NULL;
        return NULL;
    }
    struct acl_text *old = *find(&sel->keys, pattern);
    if (old) old->perms |= perms;
    return old || append(user, &sel->keys, pattern, perms) ? NULL : no_memory;
}

static const char *channel_rule(struct acl_user *user, struct acl_selector *sel,
                                struct slice rule)
{
    struct slice pattern = slice_skip(rule, 1);

    if (sel->all_channels)
        return "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and "
               "does not have any effect. Try 'resetchannels' to start with an empty list of "
               "channels";
    if (slice_is(pattern, "*")) {
        sel->all_channels = true;
        sel->channels = NULL;
        return NULL;
    }
    if (*find(&sel->channels, pattern)) return NULL;
    return append(user, &sel->channels, pattern, 0) ? NULL : no_memory;
}

/* What a selector may say, root or not. NULL: done; else what is wrong. */
static const char *selector_rule(struct acl_user *user, struct acl_selector *sel,
                                 struct slice rule)
{
    if (slice_is_nocase(rule, "allcommands")) set_all(sel, true);
    else if (slice_is_nocase(rule, "nocommands")) set_all(sel, false);
    else if (slice_is_nocase(rule, "allkeys")) sel->all_keys = true, sel->keys = NULL;
    else if (slice_is_nocase(rule, "resetkeys")) sel->all_keys = false, sel->keys = NULL;
    else if (slice_is_nocase(rule, "allchannels")) sel->all_channels = true, sel->channels = NULL;
    else if (slice_is_nocase(rule, "resetchannels"))
        sel->all_channels = false, sel->channels = NULL;
    else if (rule.len == 0) return bad_syntax;
    else if (rule.ptr[0] == '+' || rule.ptr[0] == '-') return command_rule(user, sel, rule);
    else if (rule.ptr[0] == '~' || rule.ptr[0] == '%') return key_rule(user, sel, rule);
    else if (rule.ptr[0] == '&') return channel_rule(user, sel, rule);
    else return bad_syntax;
    return NULL;
}

/* --- passwords ----------------------------------------------------------------------------- */

static bool is_hash(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) return false;
    }
    return text.len == SHA256_HEX_LEN;
}

static const char *password_rule(struct acl_user *user, struct slice rule)
{
    char hex[SHA256_HEX_LEN];
    struct slice hash = slice_skip(rule, 1);
    bool plain = rule.ptr[0] == '>' || rule.ptr[0] == '<';

    if (plain) {
        sha256_hex(hex, hash);
        hash = slice_of(hex, sizeof(hex));
    }
    if (!is_hash(hash)) return bad_hash;
    struct acl_text **old = find(&user->passwords, hash);
    if (rule.ptr[0] == '<' || rule.ptr[0] == '!') {
        if (!*old) return "The password you are trying to remove from the user does not exist";
        *old = (*old)->next;
        return NULL;
    }
    user->nopass = false;
    return *old || append(user, &user->passwords, hash, 0) ? NULL : no_memory;
}

/* --- users ---------------------------------------------------------------------------------- */

static void reset(struct acl_user *user)
{
    user->on = user->nopass = false;
    user->passwords = NULL;
    user->root = (struct acl_selector){.next = NULL};
}

/* "(rules)": one more selector. */
static const char *add_selector(struct acl_user *user, struct slice rule)
{
    struct acl_selector *sel = arena_try_zero(&user->arena, sizeof(*sel));
    struct acl_selector **last = &user->root.next;
    struct slice rest = slice_of(rule.ptr + 1, rule.len - 2);

    if (!sel) return no_memory;
    while (rest.len) {
        size_t n = 0;
        while (n < rest.len && rest.ptr[n] != ' ') n++;
        const char *why = n ? selector_rule(user, sel, slice_of(rest.ptr, n)) : NULL;
        if (why) return why;
        rest = slice_skip(rest, n < rest.len ? n + 1 : n);
    }
    while (*last) last = &(*last)->next;
    *last = sel;
    return NULL;
}

static const char *user_rule(struct acl_user *user, struct slice rule)
{
    char first = rule.len ? rule.ptr[0] : '\0';

    if (slice_is_nocase(rule, "on")) user->on = true;
    else if (slice_is_nocase(rule, "off")) user->on = false;
    else if (slice_is_nocase(rule, "nopass")) user->nopass = true, user->passwords = NULL;
    else if (slice_is_nocase(rule, "resetpass")) user->nopass = false, user->passwords = NULL;
    else if (slice_is_nocase(rule, "reset")) reset(user);
    else if (slice_is_nocase(rule, "clearselectors")) user->root.next = NULL;
    else if (slice_is_nocase(rule, "sanitize-payload") ||
             slice_is_nocase(rule, "skip-sanitize-payload"))
        return NULL; /* every payload is checked */
    else if (first == '>' || first == '<' || first == '#' || first == '!')
        return password_rule(user, rule);
    else if (first == '(' && rule.ptr[rule.len - 1] == ')') return add_selector(user, rule);
    else return selector_rule(user, &user->root, rule);
    return NULL;
}

static bool may_everything(const struct acl_user *user)
{
    const struct acl_selector *sel = &user->root;

    for (size_t i = 0; i < n_commands; i++)
        if (!((sel->allowed[i / 64] >> (i % 64)) & 1)) return false;
    return sel->all_keys && sel->all_channels;
}

/* A selector with blanks came in several words: "(+get" "~x)". Joins them in the arena. */
static status join_selector(struct acl_user *user, const struct slice *rules, size_t n,
                            size_t *used, struct slice *out, struct err *err)
{
    size_t len = 0, k = 0;

    for (bool closed = false; !closed; k++) {
        if (k == n)
            return err_set(err, ST_INVALID, "Unmatched parenthesis in acl selector starting at "
                           "'" SLICE_FMT "'.", (int)(rules[0].len < 64 ? rules[0].len : 64),
                           rules[0].ptr);
        len += rules[k].len + 1;
        closed = rules[k].len > 0 && rules[k].ptr[rules[k].len - 1] == ')';
    }
    char *text = arena_try(&user->arena, len);
    if (!text) return err_set(err, ST_NO_MEMORY, "no memory for a selector");
    len = 0;
    for (size_t i = 0; i < k; i++) {
        if (i) text[len++] = ' ';
        memcpy(text + len, rules[i].ptr, rules[i].len);
        len += rules[i].len;
    }
    *out = slice_of(text, len);
    *used = k;
    return ST_OK;
}

status acl_user_apply(struct acl_user *user, const struct slice *rules, size_t n,
                      struct err *err)
{
    for (size_t i = 0; i < n;) {
        struct slice rule = rules[i];
        size_t used = 1;
        if (rule.len && rule.ptr[0] == '(')
            TRY(join_selector(user, rules + i, n - i, &used, &rule, err));
        const char *why = user_rule(user, rule);
        if (why)
            return err_set(err, ST_INVALID, "Error in ACL SETUSER modifier '" SLICE_FMT "': %s",
                           (int)(rule.len < 64 ? rule.len : 64), rule.ptr, why);
        i += used;
    }
    user->can_all = may_everything(user);
    return ST_OK;
}
