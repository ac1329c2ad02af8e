/* Goal: the commands of the connection answer as Redis does, in both protocols, on one
 * loop and on several; the table is sound. Method: transcripts over real sockets to an
 * app without a database; the rows checked one by one. */
#include <sys/socket.h>
#include <unistd.h>

#include "api/cmd_handlers.h"
#include "tests/unit/api/api_fixture.h"

static const struct talk {
    const char *say, *hear;
} talks[] = {
    {"PING", "+PONG\r\n"},
    {"ping hello", "$5\r\nhello\r\n"},
    {"PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"},
    {"ECHO x", "$1\r\nx\r\n"},
    {"ECHO", "-ERR wrong number of arguments for 'echo' command\r\n"},
    {"NOPE", "-ERR unknown command 'NOPE', with args beginning with: \r\n"},
    {"nope a \"b c\"", "-ERR unknown command 'nope', with args beginning with: 'a' 'b c' \r\n"},
    {"\"no\\npe\"", "-ERR unknown command 'no?pe', with args beginning with: \r\n"},
    {"client|list", "-ERR unknown command 'client|list', with args beginning with: \r\n"},
    {"SELECT 0", "+OK\r\n"},
    {"SELECT 1", "-ERR DB index is out of range\r\n"},
    {"SELECT x", "-ERR value is not an integer or out of range\r\n"},
    {"AUTH x", "-ERR AUTH <password> called without any password configured for the default "
               "user. Are you sure your configuration is correct?\r\n"},
    {"AUTH default x", "+OK\r\n"},
    {"AUTH joe x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
    {"HELLO 4", "-NOPROTO unsupported protocol version\r\n"},
    {"HELLO x", "-ERR Protocol version is not an integer or out of range\r\n"},
    {"HELLO 3 BOGUS", "-ERR Syntax error in HELLO option 'BOGUS'\r\n"},
    {"HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'\r\n"},
    {"HELLO 3 AUTH joe x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
    {"PING", "+PONG\r\n"},
    {"CLIENT", "-ERR wrong number of arguments for 'client' command\r\n"},
    {"CLIENT BOGUS", "-ERR unknown subcommand 'BOGUS'. Try CLIENT HELP.\r\n"},
    {"CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command\r\n"},
    {"CLIENT GETNAME", "$-1\r\n"},
    {"CLIENT SETNAME ann", "+OK\r\n"},
    {"CLIENT GETNAME", "$3\r\nann\r\n"},
    {"CLIENT SETNAME \"a b\"",
     "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
    {"CLIENT SETINFO LIB-NAME redis-py", "+OK\r\n"},
    {"CLIENT SETINFO LIB-VER \"a b\"",
     "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n"},
    {"CLIENT SETINFO NOPE x", "-ERR Unrecognized option 'NOPE'\r\n"},
    {"CLIENT NO-EVICT on", "+OK\r\n"},
    {"CLIENT NO-TOUCH maybe", "-ERR syntax error\r\n"},
    {"CLIENT MAINT_NOTIFICATIONS ON",
     "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"},
    {"CLIENT LIST TYPE nope", "-ERR Unknown client type 'nope'\r\n"},
    {"CLIENT LIST TYPE master", "$0\r\n\r\n"},
    {"CLIENT LIST ID x", "-ERR Invalid client ID\r\n"},
    {"CLIENT LIST ID 999999", "$0\r\n\r\n"},
    {"CLIENT KILL 1.2.3.4:5", "-ERR No such client\r\n"},
    {"CLIENT KILL ID 0", "-ERR client-id should be greater than 0\r\n"},
    {"CLIENT KILL ID 999999", ":0\r\n"},
    {"CLIENT KILL ID", "-ERR No such client\r\n"},
    {"CLIENT KILL ID 1 ADDR", "-ERR syntax error\r\n"},
    {"CLIENT KILL USER joe", "-ERR No such user 'joe'\r\n"},
    {"CLIENT REPLY maybe", "-ERR syntax error\r\n"},
    {"CLIENT REPLY ON", "+OK\r\n"},
    {"COMMAND BOGUS", "-ERR unknown subcommand 'BOGUS'. Try COMMAND HELP.\r\n"},
    {"COMMAND INFO nope ping", "*2\r\n*-1\r\n*10\r\n$4\r\nping\r\n:-1\r\n*3\r\n+loading\r\n"
     "+stale\r\n+fast\r\n:0\r\n:0\r\n:0\r\n*2\r\n+@fast\r\n+@connection\r\n*0\r\n*0\r\n*0\r\n"},
    {"COMMAND DOCS echo", "*2\r\n$4\r\necho\r\n*8\r\n$7\r\nsummary\r\n$19\r\n"
    "Returns the message\r\n"
     "$5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$10\r\nconnection\r\n$9\r\narguments\r\n*1\r\n"
     "*6\r\n$4\r\nname\r\n$7\r\nmessage\r\n$4\r\ntype\r\n$6\r\nstring\r\n$12\r\ndisplay_text\r\n"
     "$7\r\nmessage\r\n"},
    {"COMMAND DOCS nope", "*0\r\n"},
    {"COMMAND LIST FILTERBY PATTERN ec?o", "*1\r\n$4\r\necho\r\n"},
    {"COMMAND LIST FILTERBY MODULE nope", "*0\r\n"},
    {"COMMAND LIST FILTERBY", "-ERR syntax error\r\n"},
    {"COMMAND GETKEYS nope x", "-ERR Invalid command specified\r\n"},
    {"COMMAND GETKEYS ping", "-ERR The command has no key arguments\r\n"},
    {"RESET", "+RESET\r\n"},
    {"CLIENT GETNAME", "$-1\r\n"},
    {"QUIT", "+OK\r\n"},
};

START_TEST(test_command_transcript)
{
    static const size_t n_io[] = {0, 3};

    fixture_start(n_io[_i]);
    int fd = fixture_client();
    for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
        char line[200];
        snprintf(line, sizeof(line), "%s\r\n", talks[i].say);
        fixture_say(fd, line);
        fixture_hear(fd, talks[i].say, talks[i].hear);
    }
    char *rest = fixture_hear_all(fd);
    ck_assert_str_eq(rest, "");
    free(rest);
    /* The same in one go: order and independence of pieces. */
    fd = fixture_client();
    for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
        fixture_say(fd, talks[i].say);
        fixture_say(fd, "\r\n");
    }
    for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
        fixture_hear(fd, talks[i].say, talks[i].hear);
    }
    close(fd);
    fixture_stop();
}
END_TEST

START_TEST(test_command_hello_changes_the_protocol)
{
    fixture_start(1);
    int fd = fixture_client();
    fixture_say(fd, "HELLO 3 AUTH default x SETNAME ann\r\nCLIENT GETNAME\r\n"
             "CLIENT LIST ID 99\r\nHELLO\r\n");
    fixture_hear(fd, "HELLO 3", "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\n"
        "version\r\n$5\r\n7.4.0\r\n"
         "$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n"
         "$6\r\nmaster\r\n$7\r\nmodules\r\n*1\r\n%2\r\n$4\r\nname\r\n$10\r\n"
         "timeseries\r\n$3\r\nver\r\n"
         ":80600\r\n");
    fixture_hear(fd, "CLIENT GETNAME", "$3\r\nann\r\n");
    fixture_hear(fd, "CLIENT LIST", "=4\r\ntxt:\r\n");
    fixture_hear(fd, "HELLO", "%7\r\n");
    close(fd);
    fd = fixture_client();
    fixture_say(fd, "HELLO 2\r\n");
    fixture_hear(fd, "HELLO 2", "*14\r\n");
    close(fd);
    fixture_stop();
}
END_TEST

START_TEST(test_command_client_list_and_kill)
{
    static const size_t n_io[] = {0, 3};

    fixture_start(n_io[_i]);
    int a = fixture_client(), b = fixture_client(), c = fixture_client();
    fixture_say(a, "CLIENT SETNAME ann\r\nCLIENT ID\r\n");
    fixture_say(b, "CLIENT SETNAME bob\r\n");
    fixture_say(c, "CLIENT SETINFO LIB-NAME lib\r\nCLIENT ID\r\n");
    fixture_hear(a, "a", "+OK\r\n:");
    fixture_hear(b, "b", "+OK\r\n");
    fixture_hear(c, "c", "+OK\r\n:");
    int probe = fixture_client();
    fixture_say(probe, "CLIENT LIST\r\nQUIT\r\n");
    char *all = fixture_hear_all(probe);
    ck_assert_ptr_nonnull(strstr(all, " name=ann "));
    ck_assert_ptr_nonnull(strstr(all, " name=bob "));
    ck_assert_ptr_nonnull(strstr(all, " lib-name=lib "));
    ck_assert_ptr_nonnull(strstr(all, " cmd=client|list "));
    free(all);
    /* All but me, from me. */
    fixture_say(b, "CLIENT KILL TYPE normal\r\n");
    fixture_hear(b, "CLIENT KILL TYPE", ":2\r\n");
    char byte[64];
    while (recv(a, byte, sizeof(byte), 0) > 0) continue;
    while (recv(c, byte, sizeof(byte), 0) > 0) continue;
    close(a);
    close(c);
    /* Me: the answer arrives, then the end. */
    fixture_say(b, "CLIENT KILL TYPE normal SKIPME no\r\nPING\r\n");
    fixture_hear(b, "CLIENT KILL SKIPME no", ":1\r\n");
    all = fixture_hear_all(b);
    ck_assert_str_eq(all, "");
    free(all);
    fixture_stop();
}
END_TEST

START_TEST(test_command_reply_modes)
{
    fixture_start(0);
    int fd = fixture_client();
    fixture_say(fd, "CLIENT REPLY SKIP\r\nPING one\r\nPING two\r\nCLIENT REPLY OFF\r\n"
             "PING three\r\nNOPE\r\n"
            "CLIENT LIST\r\nCLIENT REPLY SKIP\r\nPING\r\nCLIENT REPLY ON\r\nPING four\r\n");
    fixture_hear(fd, "replies", "$3\r\ntwo\r\n+OK\r\n$4\r\nfour\r\n");
    close(fd);
    fixture_stop();
}
END_TEST

START_TEST(test_command_help_and_whole_tables_are_well_formed)
{
    char expected[64];

    fixture_start(0);
    int fd = fixture_client();
    fixture_say(fd, "CLIENT HELP\r\nCOMMAND\r\nCOMMAND DOCS\r\nCOMMAND COUNT\r\n"
        "COMMAND LIST\r\nQUIT\r\n");
    char *all = fixture_hear_all(fd);
    ck_assert_ptr_eq(strstr(all, "*"), all);
    ck_assert_ptr_nonnull(strstr(all, "+CLIENT <subcommand> [<arg> [value] [opt] ...]. "
                                      "Subcommands are:\r\n+GETNAME\r\n"));
    size_t n = 0;
    for (size_t i = 0; i < n_commands; i++) n += !command_is_sub(&commands[i]);
    snprintf(expected, sizeof(expected), ":%zu\r\n*%zu\r\n$3\r\nacl\r\n", n, n);
    ck_assert_ptr_nonnull(strstr(all, expected));
    size_t len = strlen(all);
    ck_assert_str_eq(all + len - 5, "+OK\r\n");
    free(all);
    fixture_stop();
}
END_TEST

START_TEST(test_command_rows_are_sound)
{
    for (size_t i = 0; i < n_commands; i++) {
        const struct command *cmd = &commands[i];
        struct slice name, sub;
        if (i > 0) ck_assert_msg(strcmp(commands[i - 1].name, cmd->name) < 0, "%s", cmd->name);
        for (const char *c = cmd->name; *c; c++) ck_assert(!(*c >= 'A' && *c <= 'Z'));
        command_split_name(cmd, &name, &sub);
        const struct command *top = command_find(name);
        ck_assert_msg(top != NULL, "%s", cmd->name);
        if (sub.len == 0) {
            ck_assert_ptr_eq(top, cmd);
        } else {
            ck_assert_msg((top->flags & CMD_CONTAINER) != 0, "%s", cmd->name);
            ck_assert_ptr_eq(command_find_sub(top, sub), cmd);
        }
        ck_assert_msg(cmd->handle || (cmd->flags & CMD_CONTAINER), "%s", cmd->name);
        ck_assert_msg(cmd->arity != 0 && cmd->summary[0] && cmd->since[0], "%s", cmd->name);
        ck_assert_msg(cmd->summary[strlen(cmd->summary) - 1] != '.', "%s", cmd->name);
        ck_assert_msg((cmd->first_key > 0) == (cmd->key_step > 0), "%s", cmd->name);
        ck_assert_msg(!cmd->shape || cmd->shape->size <= ARGS_SIZE_MAX, "%s", cmd->name);
        ck_assert_msg(!((cmd->flags & CMD_WRITE) && (cmd->flags & CMD_READONLY)), "%s", cmd->name);
    }
    ck_assert_ptr_null(command_find(SLICE_LIT("")));
    ck_assert_ptr_null(command_find(SLICE_LIT("pin")));
    ck_assert_ptr_null(command_find(SLICE_LIT("pingg")));
    ck_assert_ptr_null(command_find(slice_of("ping\0", 5)));
}
END_TEST

START_TEST(test_command_names_and_arity)
{
    static const struct {
        const char *name;
        size_t argc;
        bool ok;
    } rows[] = {
        {"ts.add", 3, false},  {"TS.ADD", 4, true}, {"Ts.Add", 20, true}, {"ts.del", 4, true},
        {"ts.del", 3, false},  {"ts.del", 5, false}, {"ping", 1, true},   {"ping", 2, true},
        {"dbsize", 1, true},   {"DBSIZE", 2, false}, {"ts.queryrange", 7, false},
        {"ts.queryrange", 8, true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct command *cmd = command_find(slice_str(rows[i].name));
        ck_assert_msg(cmd && command_arity_ok(cmd, rows[i].argc) == rows[i].ok, "%s %zu",
                      rows[i].name, rows[i].argc);
    }
    const struct command *config = command_find(SLICE_LIT("config"));
    ck_assert_ptr_nonnull(command_find_sub(config, SLICE_LIT("GeT")));
    ck_assert_ptr_null(command_find_sub(config, SLICE_LIT("getname"))); /* of another one */
    ck_assert_ptr_null(command_find_sub(config, SLICE_LIT("")));
    ck_assert_ptr_null(command_find(SLICE_LIT("config|get")));
}
END_TEST

Suite *suite_command(void)
{
    Suite *suite = suite_create("command");
    TCase *tc = tcase_create("command");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, test_command_transcript, 0, 2);
    tcase_add_test(tc, test_command_hello_changes_the_protocol);
    tcase_add_loop_test(tc, test_command_client_list_and_kill, 0, 2);
    tcase_add_test(tc, test_command_reply_modes);
    tcase_add_test(tc, test_command_help_and_whole_tables_are_well_formed);
    tcase_add_test(tc, test_command_rows_are_sound);
    tcase_add_test(tc, test_command_names_and_arity);
    suite_add_tcase(suite, tc);
    return suite;
}
