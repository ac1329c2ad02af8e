/* Goal: what /metrics prints from its table is exposition text that a scraper takes.
 * Method: loops over metrics.def itself: names, suffixes, families in one piece, no line
 * twice. That every row is a 64-bit word is asserted where the rows are read. */
#include <stdbool.h>

#include "tests/unit/server/server_suites.h"

enum kind { COUNTER, GAUGE };

static const struct row {
    enum kind kind;
    double scale;
    const char *name, *labels, *help;
} rows[] = {
#define METRIC(kind_, field, scale_, name_, labels_, help_) {kind_, scale_, name_, labels_, help_},
#include "server/metrics.def"
#undef METRIC
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

static bool ends_with(const char *text, const char *tail)
{
    size_t len = strlen(text), n = strlen(tail);
    return len >= n && strcmp(text + len - n, tail) == 0;
}

START_TEST(test_metrics_names_say_what_they_are)
{
    const struct row *row = &rows[_i];

    ck_assert_msg(row->name[strspn(row->name, "abcdefghijklmnopqrstuvwxyz_")] == 0, "%s",
                  row->name);
    ck_assert_msg(strncmp(row->name, "tsink_", 6) == 0 || strncmp(row->name, "process_", 8) == 0,
                  "%s", row->name);
    ck_assert_msg((row->kind == COUNTER) == ends_with(row->name, "_total"), "%s", row->name);
    /* Durations are kept in nanoseconds, moments in milliseconds; both become seconds. */
    ck_assert_msg(row->scale == 1 || row->scale == 1e3 || row->scale == 1e9, "%s", row->name);
    if (row->scale == 1e3)
        ck_assert_msg(ends_with(row->name, "_timestamp_seconds"), "%s", row->name);
    if (row->scale == 1e9)
        ck_assert_msg(ends_with(row->name, row->kind == COUNTER ? "_seconds_total" : "_seconds"),
                      "%s", row->name);
    ck_assert_msg(ends_with(row->help, ".") && !strpbrk(row->help, "\\\n"), "%s", row->name);
}
END_TEST

START_TEST(test_metrics_families_are_in_one_piece)
{
    const struct row *row = &rows[_i];

    for (int i = 0; i < _i; i++) {
        if (strcmp(rows[i].name, row->name) != 0) continue;
        ck_assert_msg(strcmp(rows[_i - 1].name, row->name) == 0, "%s is interrupted", row->name);
        ck_assert_msg(strcmp(rows[i].labels, row->labels) != 0, "%s{%s} twice", row->name,
                      row->labels);
        ck_assert_msg(rows[i].kind == row->kind && strcmp(rows[i].help, row->help) == 0, "%s",
                      row->name);
        ck_assert_msg(row->labels[0] && rows[i].labels[0], "%s: a row has no label", row->name);
    }
}
END_TEST

Suite *suite_metrics(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tcase = tcase_create("table");

    tcase_add_loop_test(tcase, test_metrics_names_say_what_they_are, 0, N_ROWS);
    tcase_add_loop_test(tcase, test_metrics_families_are_in_one_piece, 0, N_ROWS);
    suite_add_tcase(suite, tcase);
    return suite;
}
