/* Goal: rules of ACL SETUSER mean what Redis 7 means by them, and what is printed of a user
 * makes the same user again. Method: a table of rules, what is printed, and commands that
 * are allowed and denied; each user is printed, parsed and printed again. */
#include <string.h>

#include "api/acl.h"
#include "api/command.h"
#include "tests/unit/api/api_suites.h"

/* Words of a literal. */
static size_t split(struct slice *out, const char *text)
{
    size_t n = 0;

    while (*text) {
        size_t len = strcspn(text, " ");
        if (len) out[n++] = slice_of(text, len);
        text += len + (text[len] == ' ');
    }
    return n;
}

static const struct rule_case {
    const char *rules, *want, *allowed, *denied; /* a command line each; NULL: none */
} cases[] = {
    {"", "off resetchannels -@all", NULL, "ping"},
    {"on nopass allkeys allcommands", "on nopass ~* resetchannels +@all", "ts.add k 1 1",
     "publish c m"},
    {"on +@all -@dangerous ~a*", "on ~a* resetchannels +@all -@dangerous", "ts.get ab", "flushall"},
    {"on +@all -@dangerous ~a*", "on ~a* resetchannels +@all -@dangerous", "ping", "ts.get b"},
    {"+config|get", "off resetchannels -@all +config|get", "config get x", "config set x y"},
    {"+config -config|set", "off resetchannels -@all +config -config|set", "config get x",
     "config set x y"},
    {"+config|get +config|set -config", "off resetchannels -@all -config", NULL, "config get x"},
    {"+TS.GET +ts.get ~*", "off ~* resetchannels -@all +ts.get", "ts.get k", "ts.info k"},
    {"%R~r:* %W~w:* +@all", "off %R~r:* %W~w:* resetchannels +@all", "ts.get r:1", "ts.get w:1"},
    {"%R~r:* %W~w:* +@all", "off %R~r:* %W~w:* resetchannels +@all", "ts.add w:1 1 1",
     "ts.add r:1 1 1"},
    {"%R~x %W~x +@all", "off ~x resetchannels +@all", "rename x x", "rename x y"},
    {"&news.* +@all", "off resetchannels &news.* +@all", "publish news.a m", "publish old m"},
    {"&news.* +@all", "off resetchannels &news.* +@all", "psubscribe news.*", "psubscribe news.a*"},
    {"+ts.get ~a (+ts.info ~b)",
     "off ~a resetchannels -@all +ts.get (~b resetchannels -@all +ts.info)",
     "ts.info b", "ts.info a"},
    {"+ts.get ~a (+ts.info ~b)",
     "off ~a resetchannels -@all +ts.get (~b resetchannels -@all +ts.info)",
     "ts.get a", "ts.get b"},
    {"on >x <x nopass resetpass reset", "off resetchannels -@all", NULL, "ping"},
    {"+ts.nrange ~a ~b", "off ~a ~b resetchannels -@all +ts.nrange", "ts.nrange 2 a b - +",
     "ts.nrange 2 a c - +"},
};

static enum acl_verdict verdict(const struct acl_user *user, const char *line)
{
    struct slice words[16];
    size_t idx = 0, n = split(words, line);
    const struct command *cmd = command_of_words(words, n);

    ck_assert_msg(cmd != NULL, "%s", line);
    return acl_user_check(user, cmd, words, n, &idx);
}

static struct acl_user *make(const char *rules)
{
    struct slice words[32];
    struct err err = {.st = ST_OK};
    struct acl_user *user = acl_user_new(SLICE_LIT("u"));
    status st = acl_user_apply(user, words, split(words, rules), &err);

    ck_assert_msg(st == ST_OK, "%s: %s", rules, err.text);
    return user;
}

START_TEST(test_rules)
{
    const struct rule_case *c = &cases[_i];
    struct acl_user *user = make(c->rules);
    struct strbuf text, again;

    strbuf_init(&text, 0);
    strbuf_init(&again, 0);
    acl_user_print(&text, user);
    ck_assert_msg(slice_is(strbuf_view(&text), c->want), "%s: %s", c->rules, strbuf_cstr(&text));
    if (c->allowed)
        ck_assert_msg(verdict(user, c->allowed) == ACL_ALLOWED, "%s: %s", c->rules, c->allowed);
    ck_assert_msg(verdict(user, c->denied) != ACL_ALLOWED, "%s: %s", c->rules, c->denied);
    struct acl_user *second = make(strbuf_cstr(&text));
    acl_user_print(&again, second);
    ck_assert(slice_eq(strbuf_view(&text), strbuf_view(&again)));
    ck_assert_mem_eq(user->root.allowed, second->root.allowed, sizeof(user->root.allowed));
    acl_user_unref(user);
    acl_user_unref(second);
    strbuf_release(&text);
    strbuf_release(&again);
}
END_TEST

START_TEST(test_table_and_log)
{
    struct acl *acl = acl_new();
    struct err err = {.st = ST_OK};
    struct strbuf text, again;
    struct acl_log_entry out[3];

    ck_assert_int_eq(acl_parse(acl, SLICE_LIT("user b on >x\n# c\n\n user a off\n"), &err), ST_OK);
    strbuf_init(&text, 0);
    strbuf_init(&again, 0);
    acl_print(&text, acl);
    ck_assert_int_eq(acl_parse(acl, SLICE_LIT("user a on\nuser a off\n"), &err), ST_INVALID);
    ck_assert_int_eq(acl_parse(acl, SLICE_LIT("nobody a on\n"), &err), ST_INVALID);
    ck_assert_int_eq(acl_parse(acl, strbuf_view(&text), &err), ST_OK);
    acl_print(&again, acl);
    ck_assert(slice_eq(strbuf_view(&text), strbuf_view(&again)));
    ck_assert_ptr_null(acl_authenticate(acl, SLICE_LIT("b"), SLICE_LIT("y")));
    struct acl_user *user = acl_authenticate(acl, SLICE_LIT("b"), SLICE_LIT("x"));
    ck_assert_ptr_nonnull(user);
    ck_assert(acl_remove(acl, SLICE_LIT("b")) && !acl_remove(acl, SLICE_LIT("b")));
    acl_user_unref(user); /* it outlived its place in the table */

    struct acl_log_entry entry = {.object = "x", .user = "b", .first_ms = 1000, .last_ms = 1000};
    for (int i = 0; i < 3 * ACL_LOG_MAX; i++) {
        snprintf(entry.object, sizeof(entry.object), "%d", i / 2);
        acl_log_add(acl, &entry);
    }
    ck_assert_uint_eq(acl_log_read(acl, out, 3), 3);
    ck_assert_uint_eq(out[0].count, 2);
    ck_assert_str_eq(out[0].object, "191");
    acl_log_reset(acl);
    ck_assert_uint_eq(acl_log_read(acl, out, 3), 0);
    strbuf_release(&text);
    strbuf_release(&again);
    acl_free(acl);
}
END_TEST

Suite *suite_acl_rule(void)
{
    Suite *suite = suite_create("acl_rule");
    TCase *tc = tcase_create("acl_rule");

    tcase_add_loop_test(tc, test_rules, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_test(tc, test_table_and_log);
    suite_add_tcase(suite, tc);
    return suite;
}
