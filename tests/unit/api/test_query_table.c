/* Goal: queries are listed while they are under way and no longer, the slow ones are kept,
 * the slowest first, the oldest given up first, and a query is cancelled by its id alone.
 * Method: notes made by hand; lists read back as JSON. */
#include <stdio.h>

#include "api/query_table.h"
#include "base/json_read.h"
#include "base/log.h"
#include "tests/unit/api/api_suites.h"

static const struct job_ops no_ops = {.name = "none"};

static void begin(struct query_note *note, struct query_table *table, struct job *job,
                  const char *text)
{
    *note = (struct query_note){.text = slice_str(text), .began = 1000, .began_ms = 1500};
    snprintf(note->kind, sizeof(note->kind), "/api/v1/query");
    note->tags[0] = SLICE_LIT("board");
    job_init(job, &no_ops);
    query_table_enter(table, note, job);
}

static bool leave(struct query_table *table, struct query_note *note, mono_ns took)
{
    struct query_outcome outcome = {.ended = note->began + took, .st = ST_OK, .n_samples = 5};
    return query_table_leave(table, note, &outcome, 100);
}

static struct json *list(struct query_table *table, bool slow, size_t limit)
{
    struct strbuf text;
    struct json_writer w;
    struct json *doc;

    strbuf_init(&text, 0);
    json_writer_init(&w, &text);
    if (slow) query_table_slow(table, &w, limit);
    else query_table_active(table, &w, 2000001000);
    ck_assert_int_eq(json_doc_parse(&doc, strbuf_view(&text), 1 << 24, NULL), ST_OK);
    strbuf_release(&text);
    return doc;
}

static void check_text(const struct json *row, const char *key, const char *want)
{
    struct slice text = {"", 0};
    ck_assert_msg(json_get_text(&text, json_member(row, key)), "no %s", key);
    ck_assert_msg(slice_is(text, want), "%s: %.*s", key, (int)text.len, text.ptr);
}

static double number(const struct json *row, const char *key)
{
    double v = -1;
    ck_assert_msg(json_get_f64(&v, json_member(row, key)), "no %s", key);
    return v;
}

START_TEST(test_query_table_active)
{
    struct query_table *table = query_table_new();
    struct query_note notes[3];
    struct job jobs[3];
    bool yes;

    for (int i = 0; i < 3; i++) begin(&notes[i], table, &jobs[i], "up");
    atomic_store(&notes[2].started, 1);
    ck_assert(!leave(table, &notes[1], 99));
    ck_assert(query_table_cancel(table, notes[0].id));
    ck_assert(!query_table_cancel(table, notes[1].id)); /* gone */
    ck_assert(!query_table_cancel(table, 99));
    ck_assert(job_cancelled(&jobs[0]) && !job_cancelled(&jobs[1]) && !job_cancelled(&jobs[2]));

    struct json *doc = list(table, false, 0);
    ck_assert_uint_eq(json_count(doc), 2);
    for (size_t i = 0; i < 2; i++) {
        const struct json *row = json_element(doc, i);
        ck_assert_double_eq(number(row, "id"), i ? 3 : 1);
        ck_assert_double_eq(number(row, "elapsedSeconds"), 2);
        ck_assert_double_eq(number(row, "began"), 1.5);
        check_text(row, "query", "up");
        check_text(row, "dashboardUid", "board");
        ck_assert(json_member(row, "panelId") == NULL && json_member(row, "start") == NULL);
        ck_assert(json_get_bool(&yes, json_member(row, "running")) && yes == (i == 1));
        ck_assert(json_get_bool(&yes, json_member(row, "cancelled")) && yes == (i == 0));
    }
    json_doc_free(doc);
    ck_assert(!leave(table, &notes[0], 0));
    ck_assert(!leave(table, &notes[2], 0));
    doc = list(table, false, 0);
    ck_assert_uint_eq(json_count(doc), 0);
    json_doc_free(doc);
    query_table_free(table);
}
END_TEST

START_TEST(test_query_table_slow)
{
    struct query_table *table = query_table_new();
    struct query_note note;
    struct job job;
    char text[QUERY_TEXT_MAX + 100];

    log_set_level(LOG_OFF);
    for (int i = 0; i < QUERY_SLOW_MAX + 10; i++) {
        snprintf(text, sizeof(text), "q%d", i);
        begin(&note, table, &job, text);
        note.has_range = true;
        ck_assert(leave(table, &note, i == 20 ? 1000000 : 100 + i));
    }
    begin(&note, table, &job, "quick");
    ck_assert(!leave(table, &note, 99));
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    begin(&note, table, &job, text); /* longer than what is kept */
    ck_assert(leave(table, &note, 100));
    memset(text, 'y', sizeof(text) - 1); /* the request is gone */
    log_set_level(LOG_INFO);

    struct json *doc = list(table, true, 0);
    ck_assert_uint_eq(json_count(doc), QUERY_SLOW_MAX);
    check_text(json_element(doc, 0), "query", "q20");
    check_text(json_element(doc, 0), "status", "ST_OK");
    check_text(json_element(doc, 0), "dashboardUid", "board");
    ck_assert_double_eq(number(json_element(doc, 0), "durationSeconds"), 0.001);
    ck_assert_double_eq(number(json_element(doc, 0), "samples"), 5);
    ck_assert_double_eq(number(json_element(doc, 0), "step"), 0);
    snprintf(text, sizeof(text), "q%d", QUERY_SLOW_MAX + 9);
    check_text(json_element(doc, 1), "query", text);
    memset(text, 'x', QUERY_TEXT_MAX - 1);
    text[QUERY_TEXT_MAX - 1] = '\0';
    check_text(json_element(doc, QUERY_SLOW_MAX - 1), "query", text);
    json_doc_free(doc);

    doc = list(table, true, 3);
    ck_assert_uint_eq(json_count(doc), 3);
    json_doc_free(doc);
    query_table_free(table);
}
END_TEST

/* With a threshold of 0 nothing is slow. */
START_TEST(test_query_table_slow_is_off)
{
    struct query_table *table = query_table_new();
    struct query_note note;
    struct query_outcome outcome = {.ended = INT64_MAX / 2, .st = ST_OK};
    struct job job;

    begin(&note, table, &job, "up");
    ck_assert(!query_table_leave(table, &note, &outcome, 0));
    struct json *doc = list(table, true, 0);
    ck_assert_uint_eq(json_count(doc), 0);
    json_doc_free(doc);
    query_table_free(table);
}
END_TEST

Suite *suite_query_table(void)
{
    Suite *suite = suite_create("query_table");
    TCase *tc = tcase_create("table");

    tcase_add_test(tc, test_query_table_active);
    tcase_add_test(tc, test_query_table_slow);
    tcase_add_test(tc, test_query_table_slow_is_off);
    suite_add_tcase(suite, tc);
    return suite;
}
