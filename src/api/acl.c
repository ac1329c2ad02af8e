/* Users by name, their file's text, the log. See acl.h. */
#include "api/acl.h"

#include <stdio.h>
#include <string.h>

#include "base/lock.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/vec.h"

enum { SAME_MS = 60000 /* as Redis: entries of a minute are one */ };

typedef VEC(struct acl_user *) user_vec;

struct acl {
    _Atomic uint64_t generation;
    struct mutex lock;          /* users, log */
    user_vec users;             /* by name */
    struct acl_log_entry *log[ACL_LOG_MAX]; /* the newest first */
    size_t n_log;
    uint64_t last_entry;
};

/* --- users ------------------------------------------------------------------------------ */

static int compare(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Where the user is, or would be. */
static size_t place_of(const user_vec *users, struct slice name, bool *there)
{
    size_t low = 0, high = users->len;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(users->ptr[mid]->name, name) < 0) low = mid + 1;
        else high = mid;
    }
    *there = low < users->len && compare(users->ptr[low]->name, name) == 0;
    return low;
}

static bool put(user_vec *users, struct acl_user *user, struct acl_user **old)
{
    bool there;
    size_t at = place_of(users, user->name, &there);

    *old = NULL;
    if (there) {
        *old = users->ptr[at];
        users->ptr[at] = user;
        return true;
    }
    if (!vec_push(users, user)) return false;
    for (size_t i = users->len - 1; i > at; i--) users->ptr[i] = users->ptr[i - 1];
    users->ptr[at] = user;
    return true;
}

static void release_users(user_vec *users)
{
    for (size_t i = 0; i < users->len; i++) acl_user_unref(users->ptr[i]);
    vec_release(users);
}

static struct acl_user *new_default(void)
{
    static const struct slice rules[] = {
        {"on", 2}, {"nopass", 6}, {"allkeys", 7}, {"allchannels", 11}, {"allcommands", 11}};
    struct acl_user *user = acl_user_new(SLICE_LIT("default"));

    if (user && acl_user_apply(user, rules, ARRAY_LEN(rules), NULL) == ST_OK) return user;
    acl_user_unref(user);
    return NULL;
}

static void changed(struct acl *acl)
{
    atomic_fetch_add_explicit(&acl->generation, 1, memory_order_release);
}

struct acl *acl_new(void)
{
    struct acl *acl = mem_try_zero(sizeof(*acl));
    struct acl_user *user = acl ? new_default() : NULL, *old;

    if (acl) mutex_init(&acl->lock, LOCK_LEAF);
    if (user && put(&acl->users, user, &old)) return acl;
    acl_user_unref(user);
    acl_free(acl);
    return NULL;
}

void acl_free(struct acl *acl)
{
    if (!acl) return;
    acl_log_reset(acl);
    release_users(&acl->users);
    mutex_release(&acl->lock);
    mem_free(acl);
}

uint64_t acl_generation(const struct acl *acl)
{
    return atomic_load_explicit(&acl->generation, memory_order_acquire);
}

struct acl_user *acl_find(struct acl *acl, struct slice name)
{
    bool there;

    mutex_lock(&acl->lock);
    size_t at = place_of(&acl->users, name, &there);
    struct acl_user *user = there ? acl_user_ref(acl->users.ptr[at]) : NULL;
    mutex_unlock(&acl->lock);
    return user;
}

struct acl_user *acl_authenticate(struct acl *acl, struct slice name, struct slice password)
{
    struct acl_user *user = acl_find(acl, name);

    if (user && user->on && acl_user_password_ok(user, password)) return user;
    acl_user_unref(user);
    return NULL;
}

status acl_put(struct acl *acl, struct acl_user *user)
{
    struct acl_user *old;

    mutex_lock(&acl->lock);
    bool ok = put(&acl->users, user, &old);
    mutex_unlock(&acl->lock);
    acl_user_unref(ok ? old : user);
    changed(acl);
    return ok ? ST_OK : ST_NO_MEMORY;
}

bool acl_remove(struct acl *acl, struct slice name)
{
    struct acl_user *old = NULL;
    bool there;

    mutex_lock(&acl->lock);
    size_t at = place_of(&acl->users, name, &there);
    if (there) {
        old = acl->users.ptr[at];
        acl->users.len--;
        for (size_t i = at; i < acl->users.len; i++) acl->users.ptr[i] = acl->users.ptr[i + 1];
    }
    mutex_unlock(&acl->lock);
    acl_user_unref(old);
    if (there) changed(acl);
    return there;
}

status acl_requirepass(struct acl *acl, struct slice password)
{
    struct acl_user *now = acl_find(acl, SLICE_LIT("default"));
    struct acl_user *user = now ? acl_user_copy(now, now->name) : NULL;
    char *rule = mem_try(password.len + 1);
    status st = user && rule ? ST_OK : ST_NO_MEMORY;

    if (st == ST_OK) {
        struct slice rules[] = {SLICE_LIT("resetpass"), SLICE_LIT("nopass")};
        if (password.len) {
            rule[0] = '>';
            memcpy(rule + 1, password.ptr, password.len);
            rules[1] = slice_of(rule, password.len + 1);
        }
        st = acl_user_apply(user, rules, ARRAY_LEN(rules), NULL);
    }
    mem_free(rule);
    acl_user_unref(now);
    if (st == ST_OK) return acl_put(acl, user);
    acl_user_unref(user);
    return st;
}

void acl_each(struct acl *acl, void (*fn)(void *ctx, const struct acl_user *user), void *ctx)
{
    mutex_lock(&acl->lock);
    for (size_t i = 0; i < acl->users.len; i++) fn(ctx, acl->users.ptr[i]);
    mutex_unlock(&acl->lock);
}

/* --- as text ------------------------------------------------------------------------------ */

static void print_one(void *ctx, const struct acl_user *user)
{
    struct strbuf *out = ctx;

    strbuf_str(out, "user ");
    strbuf_slice(out, user->name);
    strbuf_char(out, ' ');
    acl_user_print(out, user);
    strbuf_char(out, '\n');
}

void acl_print(struct strbuf *out, struct acl *acl)
{
    acl_each(acl, print_one, out);
}

/* Words of a line, separated by blanks, in the arena. */
static struct slice *split(struct arena *arena, struct slice line, size_t *n)
{
    struct slice *words = arena_try_array(arena, line.len / 2 + 2, sizeof(*words));

    *n = 0;
    if (!words) return NULL;
    for (size_t at = 0; at < line.len;) {
        size_t len = 0;
        while (at + len < line.len && !strchr(" \t\r", line.ptr[at + len])) len++;
        if (len) words[(*n)++] = slice_of(line.ptr + at, len);
        at += len + 1;
    }
    return words;
}

static status parse_line(user_vec *users, struct arena *arena, struct slice line,
                         struct err *err)
{
    size_t n;
    struct slice *words = split(arena, line, &n);
    struct acl_user *old;

    if (!words) return ST_NO_MEMORY;
    if (n == 0 || words[0].ptr[0] == '#') return ST_OK;
    if (n < 2 || !slice_is(words[0], "user"))
        return err_set(err, ST_INVALID, "should start with user keyword followed by the username");
    if (words[1].len > ACL_USER_NAME_MAX)
        return err_set(err, ST_INVALID, "too long a username");
    struct acl_user *user = acl_user_new(words[1]);
    if (!user) return ST_NO_MEMORY;
    status st = acl_user_apply(user, words + 2, n - 2, err);
    if (st == ST_OK && put(users, user, &old)) {
        if (!old) return ST_OK;
        acl_user_unref(old);
        return err_set(err, ST_INVALID, "the user is there twice");
    }
    acl_user_unref(user);
    return st == ST_OK ? ST_NO_MEMORY : st;
}

static status parse_text(user_vec *users, struct slice text, struct err *err)
{
    struct arena arena;
    struct acl_user *user = new_default(), *old;
    bool there;
    status st = ST_OK;

    arena_init(&arena, NULL, 4096);
    for (size_t line_no = 1; st == ST_OK && text.len; line_no++) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        st = parse_line(users, &arena, slice_of(text.ptr, len), err);
        if (st != ST_OK) st = err_wrap(err, st, "line %zu", line_no);
        text = slice_skip(text, end ? len + 1 : len);
        arena_reset(&arena);
    }
    arena_release(&arena);
    (void)place_of(users, SLICE_LIT("default"), &there);
    if (st == ST_OK && !there && user && put(users, user, &old)) return ST_OK;
    acl_user_unref(user);
    return st == ST_OK && !there ? ST_NO_MEMORY : st;
}

status acl_parse(struct acl *acl, struct slice text, struct err *err)
{
    user_vec users = {0};
    status st = parse_text(&users, text, err);

    if (st == ST_OK) {
        mutex_lock(&acl->lock);
        user_vec old = acl->users;
        acl->users = users;
        users = old;
        mutex_unlock(&acl->lock);
        changed(acl);
    }
    release_users(&users);
    return st;
}

/* --- the log -------------------------------------------------------------------------------- */

static bool is_like(const struct acl_log_entry *a, const struct acl_log_entry *b)
{
    return a->reason == b->reason && a->in_multi == b->in_multi &&
           strcmp(a->object, b->object) == 0 && strcmp(a->user, b->user) == 0 &&
           b->last_ms - a->last_ms <= SAME_MS;
}

/* Moves entry i to the front. */
static void to_front(struct acl *acl, size_t i)
{
    struct acl_log_entry *entry = acl->log[i];

    for (; i > 0; i--) acl->log[i] = acl->log[i - 1];
    acl->log[0] = entry;
}

void acl_log_add(struct acl *acl, const struct acl_log_entry *entry)
{
    size_t i = 0;

    mutex_lock(&acl->lock);
    while (i < acl->n_log && !is_like(acl->log[i], entry)) i++;
    if (i < acl->n_log) {
        struct acl_log_entry *old = acl->log[i];
        old->count++;
        old->last_ms = entry->last_ms;
        memcpy(old->client, entry->client, sizeof(old->client));
        to_front(acl, i);
    } else {
        if (acl->n_log == ACL_LOG_MAX) i = ACL_LOG_MAX - 1; /* the oldest's place */
        else acl->log[acl->n_log] = mem_try(sizeof(*entry));
        if (acl->log[i]) {
            if (i == acl->n_log) acl->n_log++;
            *acl->log[i] = *entry;
            acl->log[i]->id = acl->last_entry++;
            acl->log[i]->count = 1;
            to_front(acl, i);
        }
    }
    mutex_unlock(&acl->lock);
}

void acl_log_reset(struct acl *acl)
{
    mutex_lock(&acl->lock);
    while (acl->n_log) mem_free(acl->log[--acl->n_log]);
    mutex_unlock(&acl->lock);
}

size_t acl_log_read(struct acl *acl, struct acl_log_entry *out, size_t n)
{
    mutex_lock(&acl->lock);
    if (n > acl->n_log) n = acl->n_log;
    for (size_t i = 0; i < n; i++) out[i] = *acl->log[i];
    mutex_unlock(&acl->lock);
    return n;
}
