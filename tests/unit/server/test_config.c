/* Goal: each row of config.def takes what it says and nothing else, and what it prints it
 * reads back. Method: loops over the table: presets, both ends of each range, one beyond
 * each end, every name of an enumeration, and texts that no type takes. */
#include <stdio.h>

#include "server/config.h"
#include "tests/unit/server/server_suites.h"

static bool same_field(const struct config *a, const struct config *b,
                       const struct config_row *row)
{
    return memcmp((const char *)a + row->off, (const char *)b + row->off, row->size) == 0;
}

static struct slice printed(struct strbuf *buf, const struct config *cfg,
                            const struct config_row *row)
{
    strbuf_reset(buf);
    config_print(buf, cfg, row);
    return strbuf_view(buf);
}

/* Sets, prints, reads back: the same field. */
static void takes(const struct config_row *row, const char *value)
{
    struct config cfg, back;
    struct strbuf text;
    struct err err = {.st = ST_OK};

    strbuf_init(&text, 0);
    config_init(&cfg);
    config_init(&back);
    ck_assert_msg(config_set(&cfg, row, slice_str(value), &err) == ST_OK, "%s %s: %s", row->name,
                  value, err.text);
    struct slice out = printed(&text, &cfg, row);
    ck_assert_msg(config_set(&back, row, out, &err) == ST_OK, "%s %s printed as '%.*s': %s",
                  row->name, value, (int)out.len, out.ptr, err.text);
    ck_assert_msg(same_field(&cfg, &back, row), "%s %s printed as '%.*s'", row->name, value,
                  (int)out.len, out.ptr);
    strbuf_release(&text);
}

/* Refuses with the option's name and the value in its words, and changes nothing. */
static void refuses(const struct config_row *row, struct slice value, const char *words)
{
    struct config cfg, before;
    struct err err = {.st = ST_OK};

    config_init(&cfg);
    config_init(&before);
    ck_assert_msg(config_set(&cfg, row, value, &err) == ST_INVALID, "%s '%.*s'", row->name,
                  (int)value.len, value.ptr);
    ck_assert_msg(strstr(err.text, row->name) && strstr(err.text, "is not") &&
                      strstr(err.text, words),
                  "%s '%.*s': %s", row->name, (int)value.len, value.ptr, err.text);
    ck_assert_msg(same_field(&cfg, &before, row), "%s '%.*s'", row->name, (int)value.len,
                  value.ptr);
}

/* --- one row at a time, by type -------------------------------------------------- */

static const char *number(char *dst, size_t room, const struct config_row *row, int64_t v)
{
    snprintf(dst, room, "%lld%s", (long long)v, row->type == CONFIG_DURATION ? "ms" : "");
    return dst;
}

static void check_number(const struct config_row *row)
{
    char text[64];

    takes(row, number(text, sizeof(text), row, row->low));
    takes(row, number(text, sizeof(text), row, row->high));
    takes(row, number(text, sizeof(text), row, row->low + (row->high - row->low) / 3));
    refuses(row, slice_str(number(text, sizeof(text), row, row->low - 1)), "in ");
    refuses(row, slice_str(number(text, sizeof(text), row, row->high + 1)), "in ");
    refuses(row, SLICE_LIT("99999999999999999999999"), "in ");
    refuses(row, SLICE_LIT("12x"), "in ");
    refuses(row, SLICE_LIT(""), "in ");
    if (row->low == -1 && row->type == CONFIG_INT) takes(row, "auto");
    else refuses(row, SLICE_LIT("auto"), "in ");
    if (row->type == CONFIG_SIZE) refuses(row, SLICE_LIT("1parsec"), "a size");
    if (row->type == CONFIG_DURATION) refuses(row, SLICE_LIT("5 m"), "a duration");
}

static void check_enum(const struct config_row *row)
{
    char upper[64];

    ck_assert_ptr_nonnull(row->names);
    for (const struct config_name *n = row->names; n->name; n++) {
        size_t len = strlen(n->name);
        takes(row, n->name);
        for (size_t i = 0; i <= len; i++)
            upper[i] = n->name[i] >= 'a' && n->name[i] <= 'z' ? (char)(n->name[i] - 32)
                                                              : n->name[i];
        takes(row, upper);
        refuses(row, SLICE_LIT("neither"), n->name);
    }
    refuses(row, SLICE_LIT(""), "one of");
}

static void check_text(const struct config_row *row)
{
    char longest[CONFIG_TEXT_MAX + 1];

    ck_assert_uint_le(row->size, sizeof(longest) - 1);
    memset(longest, 'x', sizeof(longest));
    longest[row->size - 1] = 0;
    takes(row, longest);
    takes(row, "");
    takes(row, "a b\tc # 'd' \"e\"");
    longest[row->size - 1] = 'x';
    refuses(row, slice_of(longest, row->size), "a short line of text");
    refuses(row, SLICE_LIT("a\nb"), "a short line of text");
    refuses(row, slice_of("a\0b", 3), "a short line of text");
}

static void check_float(const struct config_row *row)
{
    static const char *const good[] = {"0", "1.5", "1e-9", "0.1", "123456789.123456789", "1e300"};
    static const char *const bad[] = {"", "-1", "nan", "1,5", "x"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) takes(row, good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuses(row, slice_str(bad[i]), "a number >= 0");
}

START_TEST(test_config_rows_take_their_range_and_nothing_else)
{
    const struct config_row *row = &config_rows[_i];
    struct config cfg;
    struct err err = {.st = ST_OK};

    switch (row->type) {
    case CONFIG_YESNO:
        takes(row, "yes");
        takes(row, "No");
        refuses(row, SLICE_LIT("maybe"), "yes or no");
        refuses(row, SLICE_LIT(""), "yes or no");
        return;
    case CONFIG_INT:
    case CONFIG_COUNT:
    case CONFIG_COUNT32:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_MILLIS: check_number(row); return;
    case CONFIG_ENUM:
    case CONFIG_ENUM8: check_enum(row); return;
    case CONFIG_TEXT: check_text(row); return;
    case CONFIG_FLOAT: check_float(row); return;
    case CONFIG_COMPACTION:
        takes(row, "");
        takes(row, "avg:1m:0;max:1h:30d:10m");
        refuses(row, SLICE_LIT("avg"), "avg");
        refuses(row, SLICE_LIT("median:1m:0"), "median");
        return;
    case CONFIG_EVENTS:
        takes(row, "");
        takes(row, "KEA");
        refuses(row, SLICE_LIT("K?"), "letters of KEA");
        return;
    case CONFIG_FIXED:
        config_init(&cfg);
        ck_assert_int_eq(config_set(&cfg, row, slice_str(row->preset), &err), ST_DENIED);
        ck_assert_ptr_nonnull(strstr(err.text, row->name));
        return;
    }
    ck_abort_msg("%s: type %d", row->name, (int)row->type);
}
END_TEST

START_TEST(test_config_presets_print_as_they_are_written)
{
    const struct config_row *row = &config_rows[_i];
    struct config cfg;
    struct strbuf text;

    if (row->type != CONFIG_FIXED) takes(row, row->preset);
    if (row->type == CONFIG_DURATION) return; /* 60s prints as 1m */
    strbuf_init(&text, 0);
    config_init(&cfg);
    struct slice out = printed(&text, &cfg, row);
    const char *want = row->type == CONFIG_FLOAT ? "0.000000" : row->preset;
    ck_assert_msg(slice_is(out, want), "%s: '%.*s', not '%s'", row->name, (int)out.len, out.ptr,
                  want);
    strbuf_release(&text);
}
END_TEST

START_TEST(test_config_rows_are_sound)
{
    const struct config_row *row = &config_rows[_i];
    char upper[64];
    size_t len = strlen(row->name);

    ck_assert_uint_lt(len, sizeof(upper));
    for (size_t i = 0; i <= len; i++)
        upper[i] = row->name[i] >= 'a' && row->name[i] <= 'z' ? (char)(row->name[i] - 32)
                                                              : row->name[i];
    ck_assert_ptr_eq(config_row(slice_str(row->name)), row); /* no name twice */
    ck_assert_ptr_eq(config_row(slice_str(upper)), row);
    ck_assert_uint_le(row->off + row->size, sizeof(struct config));
    ck_assert_msg(len && row->text[0] && row->text[strlen(row->text) - 1] == '.', "%s: '%s'",
                  row->name, row->text);
    for (int i = 0; i < _i; i++) /* groups are not interleaved */
        if (strcmp(config_rows[i].group, row->group) == 0)
            ck_assert_msg(strcmp(config_rows[_i - 1].group, row->group) == 0, "%s", row->name);
    ck_assert_ptr_null(config_row(SLICE_LIT("no-such-option")));
    ck_assert_ptr_null(config_row(SLICE_LIT("")));
}
END_TEST

/* --- together -------------------------------------------------------------------- */

static const struct together {
    const char *name;
    const char *set[4]; /* name, value, ... */
    status st;
    const char *words;
} togethers[] = {
    {"presets", {NULL}, ST_OK, ""},
    {"one port for both", {"port", "7000", "http-port", "7000"}, ST_INVALID, "7000"},
    {"both ports off", {"port", "0", "http-port", "0"}, ST_OK, ""},
    {"open to the world", {"bind", "0.0.0.0"}, ST_DENIED, "protected-mode"},
    {"open and meant", {"bind", "0.0.0.0", "protected-mode", "no"}, ST_OK, ""},
    {"one of two is open", {"bind", "127.0.0.1 10.0.0.1"}, ST_DENIED, "protected-mode"},
    {"both loopbacks", {"bind", "127.0.0.1 -::1"}, ST_OK, ""},
    {"an odd chunk size", {"ts-chunk-size-bytes", "49"}, ST_INVALID, "multiple of 8"},
    {"nobody for queries", {"query-threads", "0"}, ST_INVALID, "query-threads must be auto"},
    {"a prefix", {"http-prefix", "/a-b/c.d"}, ST_OK, ""},
    {"a prefix without a slash", {"http-prefix", "a"}, ST_INVALID, "http-prefix"},
    {"a prefix that ends in one", {"http-prefix", "/a/"}, ST_INVALID, "http-prefix"},
    {"only a slash", {"http-prefix", "/"}, ST_INVALID, "http-prefix"},
    {"two slashes", {"http-prefix", "/a//b"}, ST_INVALID, "http-prefix"},
    {"a prefix with an escape", {"http-prefix", "/a%20b"}, ST_INVALID, "http-prefix"},
    {"external labels", {"external-labels", "a=\"x\", \"b.c\"='y'"}, ST_OK, ""},
    {"labels without quotes", {"external-labels", "a=x"}, ST_INVALID, "external-labels"},
    {"a label that is a pattern", {"external-labels", "a=~\"x\""}, ST_INVALID, "external-labels"},
    {"a label twice", {"external-labels", "a=\"x\", a=\"y\""}, ST_INVALID, "external-labels"},
    {"a name among the labels", {"external-labels", "__name__=\"x\""}, ST_INVALID,
     "external-labels"},
    {"origins", {"cors-origin", "https?://(a|b)[.]example"}, ST_OK, ""},
    {"no origins", {"cors-origin", ""}, ST_OK, ""},
    {"no pattern", {"cors-origin", "*"}, ST_INVALID, "cors-origin"},
    {"flush behind the limit", {"wal-flush-size", "2gb", "wal-size-limit", "1gb"}, ST_INVALID,
     "wal-flush-size"},
};

START_TEST(test_config_check_sees_what_no_row_can)
{
    const struct together *t = &togethers[_i];
    struct config cfg;
    struct err err = {.st = ST_OK};

    config_init(&cfg);
    for (size_t i = 0; i + 1 < 4 && t->set[i]; i += 2)
        ck_assert_msg(config_set(&cfg, config_row(slice_str(t->set[i])), slice_str(t->set[i + 1]),
                                 &err) == ST_OK,
                      "%s: %s", t->name, err.text);
    ck_assert_msg(config_check(&cfg, &err) == t->st, "%s: %s", t->name, err.text);
    ck_assert_msg(strstr(err.text, t->words), "%s: %s", t->name, err.text);
}
END_TEST

Suite *suite_config(void)
{
    Suite *suite = suite_create("config");
    TCase *rows = tcase_create("rows"), *all = tcase_create("together");

    tcase_add_loop_test(rows, test_config_rows_take_their_range_and_nothing_else, 0,
                        (int)config_n_rows);
    tcase_add_loop_test(rows, test_config_presets_print_as_they_are_written, 0,
                        (int)config_n_rows);
    tcase_add_loop_test(rows, test_config_rows_are_sound, 0, (int)config_n_rows);
    suite_add_tcase(suite, rows);
    tcase_add_loop_test(all, test_config_check_sees_what_no_row_can, 0,
                        sizeof(togethers) / sizeof(togethers[0]));
    suite_add_tcase(suite, all);
    return suite;
}
