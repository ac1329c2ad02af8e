/* Goal: a configuration file says what it means, names the line of a mistake, survives
 * being rewritten, and tsink.conf is the table. Method: tables of texts with the value or
 * the error they lead to; rewriting every option into the manual and reading it again. */
#include <stdio.h>
#include <unistd.h>

#include "server/config.h"
#include "tests/unit/server/server_suites.h"

static const struct config_row *row_of(const char *name)
{
    const struct config_row *row = config_row(slice_str(name));

    ck_assert_msg(row != NULL, "%s", name);
    return row;
}

static void assert_prints(const struct config *cfg, const char *name, const char *want,
                          const char *said)
{
    struct strbuf text;

    strbuf_init(&text, 0);
    config_print(&text, cfg, row_of(name));
    ck_assert_msg(slice_is(strbuf_view(&text), want), "%s: '%.*s', not '%s'", said, (int)text.len,
                  text.ptr, want);
    strbuf_release(&text);
}

static const struct file_case {
    const char *name, *text;
    const char *option, *value; /* what is then in force, or */
    const char *words;          /* what the error says */
} files[] = {
    {"nothing", "", "port", "6380", NULL},
    {"a comment", "# port 1\n  # port 2\n", "port", "6380", NULL},
    {"one line", "port 7000\n", "port", "7000", NULL},
    {"no end of line", "port 7000", "port", "7000", NULL},
    {"blanks and tabs", "\t port \t 7000 \t\n", "port", "7000", NULL},
    {"lines of another system", "port 7000\r\nhz-is-not\r", NULL, NULL, "f.conf:2: unknown option"},
    {"carriage returns", "port 7000\r\n\r\n", "port", "7000", NULL},
    {"the last one counts", "port 1\nport 2\n", "port", "2", NULL},
    {"any case", "PORT 7000\n", "port", "7000", NULL},
    {"double quotes", "data-path \" a b \"\n", "data-path", " a b ", NULL},
    {"single quotes", "data-path 'a # b'\n", "data-path", "a # b", NULL},
    {"a text with blanks", "bind 127.0.0.1 ::1\n", "bind", "127.0.0.1 ::1", NULL},
    {"nothing in quotes", "cors-origin \"\"\n", "cors-origin", "", NULL},
    {"one quote", "data-path \"\n", "data-path", "\"", NULL},
    {"unknown option", "port 1\n\nno-such 1\n", NULL, NULL, "f.conf:3: unknown option 'no-such'"},
    {"bad value", "# a\nport x\n", NULL, NULL, "f.conf:2: port: 'x' is not a number in 0..65535"},
    {"no value", "port\n", NULL, NULL, "f.conf:1: port: '' is not a number"},
    {"a fixed one", "databases 16\n", NULL, NULL, "f.conf:1: databases cannot be set"},
    {"a value of two words", "port 1 2\n", NULL, NULL, "f.conf:1: port: '1 2' is not"},
};

START_TEST(test_config_file_is_read_or_names_the_line)
{
    const struct file_case *c = &files[_i];
    struct config cfg;
    struct err err = {.st = ST_OK};

    config_init(&cfg);
    status st = config_parse_text(&cfg, "f.conf", slice_str(c->text), &err);
    if (c->words) {
        ck_assert_msg(st != ST_OK && strstr(err.text, c->words), "%s: %s", c->name, err.text);
        return;
    }
    ck_assert_msg(st == ST_OK, "%s: %s", c->name, err.text);
    assert_prints(&cfg, c->option, c->value, c->name);
}
END_TEST

/* --- the command line -------------------------------------------------------------- */

static const struct args_case {
    const char *name;
    int argc;
    const char *argv[4];
    const char *option, *value, *words;
} argses[] = {
    {"nothing", 0, {NULL}, "port", "6380", NULL},
    {"an option", 2, {"--port", "7000"}, "port", "7000", NULL},
    {"two options", 4, {"--port", "7000", "--http-port", "0"}, "http-port", "0", NULL},
    {"no value", 1, {"--port"}, NULL, NULL, "--port needs a value"},
    {"an unknown one", 2, {"--prot", "1"}, NULL, NULL, "unknown option '--prot'"},
    {"a bad value", 2, {"--port", "-5"}, NULL, NULL, "port: '-5' is not a number"},
    {"one dash", 2, {"-p", "1"}, NULL, NULL, "options are written --name value"},
    {"a file that is not there", 1, {"no/such/file.conf"}, NULL, NULL, "no/such"},
};

START_TEST(test_config_command_line)
{
    const struct args_case *c = &argses[_i];
    struct config cfg;
    const char *file = "unset";
    char words[4][64], *argv[4];
    struct err err = {.st = ST_OK};

    config_init(&cfg);
    for (int i = 0; i < 4; i++) {
        argv[i] = words[i];
        snprintf(words[i], sizeof(words[i]), "%s", i < c->argc ? c->argv[i] : "");
    }
    status st = config_parse_args(&cfg, c->argc, argv, &file, &err);
    if (c->words) {
        ck_assert_msg(st != ST_OK && strstr(err.text, c->words), "%s: %s", c->name, err.text);
        return;
    }
    ck_assert_msg(st == ST_OK, "%s: %s", c->name, err.text);
    ck_assert_ptr_null(file);
    assert_prints(&cfg, c->option, c->value, c->name);
}
END_TEST

START_TEST(test_config_command_line_wins_over_the_file)
{
    char path[] = "unit_server_conf_XXXXXX", option[] = "--port", value[] = "7002";
    char *argv[] = {path, option, value};
    const char text[] = "port 7000\nhttp-port 7001\n", *file = NULL;
    struct config cfg;
    struct err err = {.st = ST_OK};
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    config_init(&cfg);
    status st = config_parse_args(&cfg, 3, argv, &file, &err);
    unlink(path);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    ck_assert_str_eq(file, path);
    assert_prints(&cfg, "port", "7002", "command line");
    assert_prints(&cfg, "http-port", "7001", "file");
}
END_TEST

/* --- the manual ---------------------------------------------------------------------- */

static void assert_same(const struct config *a, const struct config *b)
{
    for (size_t i = 0; i < config_n_rows; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->type == CONFIG_FIXED) continue;
        const char *x = (const char *)a + row->off, *y = (const char *)b + row->off;
        ck_assert_msg(memcmp(x, y, row->size) == 0, "%s", row->name);
    }
}

START_TEST(test_config_manual_is_tsink_conf)
{
    const char *top = getenv("TSINK_TOP");
    char path[1024];
    struct strbuf manual;

    snprintf(path, sizeof(path), "%s/tsink.conf", top ? top : ".");
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s: run from the top of the tree or set TSINK_TOP", path);
    char *text = calloc(1, 1 << 20);
    size_t len = fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    strbuf_init(&manual, 0);
    config_manual(&manual);
    ck_assert_msg(slice_eq(strbuf_view(&manual), slice_of(text, len)),
                  "tsink.conf is not what --print-config prints");
    strbuf_release(&manual);
    free(text);
}
END_TEST

START_TEST(test_config_manual_means_the_presets)
{
    struct config cfg, presets;
    struct strbuf manual;
    struct err err = {.st = ST_OK};

    strbuf_init(&manual, 0);
    config_manual(&manual);
    config_init(&presets);
    config_init(&cfg);
    cfg.port = 1; /* the file puts it back */
    ck_assert_msg(config_parse_text(&cfg, "manual", strbuf_view(&manual), &err) == ST_OK, "%s",
                  err.text);
    assert_same(&cfg, &presets);
    strbuf_release(&manual);
}
END_TEST

/* --- rewriting ----------------------------------------------------------------------- */

/* Another value than the preset, within the range. */
static void change(struct config *cfg, const struct config_row *row)
{
    struct config presets;
    char number[64];
    struct err err = {.st = ST_OK};
    const char *candidates[] = {number, "yes", "no", " 'odd\" text ", "0.000000125",
                                "avg:1m:0", "KEA", NULL};
    const struct config_name *name = row->names;

    config_init(&presets);
    snprintf(number, sizeof(number), "%lld%s", (long long)(row->low + (row->high - row->low) / 3),
             row->type == CONFIG_DURATION ? "ms" : "");
    for (size_t i = 0; candidates[i] || (name && name->name); i++) {
        const char *value = candidates[i] ? candidates[i] : name++->name;
        if (!candidates[i]) i--;
        if (config_set(cfg, row, slice_str(value), &err) == ST_OK &&
            memcmp((char *)cfg + row->off, (char *)&presets + row->off, row->size) != 0)
            return;
    }
    ck_abort_msg("%s: no other value found", row->name);
}

static void check_rewrite(struct slice old)
{
    struct config cfg, back;
    struct strbuf once, twice;
    struct err err = {.st = ST_OK};

    strbuf_init(&once, 0);
    strbuf_init(&twice, 0);
    config_init(&cfg);
    config_init(&back);
    for (size_t i = 0; i < config_n_rows; i++)
        if (config_rows[i].type != CONFIG_FIXED) change(&cfg, &config_rows[i]);
    config_rewrite(&once, old, &cfg);
    ck_assert_msg(config_parse_text(&back, "rewritten", strbuf_view(&once), &err) == ST_OK, "%s",
                  err.text);
    assert_same(&back, &cfg);
    config_rewrite(&twice, strbuf_view(&once), &cfg);
    ck_assert(slice_eq(strbuf_view(&twice), strbuf_view(&once)));
    strbuf_release(&once);
    strbuf_release(&twice);
}

START_TEST(test_config_rewrite_keeps_every_change)
{
    struct strbuf manual;

    strbuf_init(&manual, 0);
    config_manual(&manual);
    check_rewrite(slice_of("", 0));
    check_rewrite(strbuf_view(&manual));
    strbuf_release(&manual);
}
END_TEST

START_TEST(test_config_rewrite_keeps_the_rest_of_the_file)
{
    static const char old[] = "# mine\n\nport 7000\n  log-level  warn\nport 7001\n# end";
    static const char want[] =
        "# mine\n\nport 7005\nlog-level info\n# end\nquery-timeout 5s\n";
    struct config cfg;
    struct strbuf out;
    struct err err = {.st = ST_OK};

    strbuf_init(&out, 0);
    config_init(&cfg);
    ck_assert_int_eq(config_set(&cfg, row_of("port"), SLICE_LIT("7005"), &err), ST_OK);
    ck_assert_int_eq(config_set(&cfg, row_of("query-timeout"), SLICE_LIT("5s"), &err), ST_OK);
    config_rewrite(&out, slice_str(old), &cfg);
    ck_assert_str_eq(strbuf_cstr(&out), want);
    strbuf_release(&out);
}
END_TEST

Suite *suite_config_file(void)
{
    Suite *suite = suite_create("config_file");
    TCase *read = tcase_create("read"), *written = tcase_create("written");

    tcase_add_loop_test(read, test_config_file_is_read_or_names_the_line, 0,
                        sizeof(files) / sizeof(files[0]));
    tcase_add_loop_test(read, test_config_command_line, 0, sizeof(argses) / sizeof(argses[0]));
    tcase_add_test(read, test_config_command_line_wins_over_the_file);
    suite_add_tcase(suite, read);
    tcase_add_test(written, test_config_manual_is_tsink_conf);
    tcase_add_test(written, test_config_manual_means_the_presets);
    tcase_add_test(written, test_config_rewrite_keeps_every_change);
    tcase_add_test(written, test_config_rewrite_keeps_the_rest_of_the_file);
    suite_add_tcase(suite, written);
    return suite;
}
