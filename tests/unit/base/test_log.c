/* Goal: one call is one line, whatever it holds; nothing is lost unless it is counted.
 * Method: a sink that collects; hostile text; a sink that blocks until the queue is
 * full; threads. */
#include "base/log.h"

#include "base/panic.h"
#include "base/strbuf.h"
#include "base/thread.h"
#include "tests/lib/mem_fault.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

static struct strbuf got;
static size_t n_lines;
static enum log_level last_level;

static void collect(void *ctx, enum log_level level, const char *line, size_t len)
{
    ck_assert_ptr_eq(ctx, &got);
    ck_assert(len > 0 && line[len - 1] == '\n' && !memchr(line, '\n', len - 1));
    strbuf_put(&got, line, len);
    last_level = level;
    n_lines++;
}

static void setup(void)
{
    strbuf_init(&got, 0);
    n_lines = 0;
    log_set_sink(collect, &got);
}

static void teardown(void)
{
    log_set_sink(NULL, NULL);
    strbuf_release(&got);
}

START_TEST(test_the_form_of_a_line)
{
    log_info("flush", "segment published", "id=%04x samples=%d", 10, 7);
    const char *line = strbuf_cstr(&got);
    int year, month, day, hour, minute, second, ms, used = 0;
    ck_assert_int_eq(sscanf(line, "ts=%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &year, &month, &day,
                            &hour, &minute, &second, &ms, &used), 7);
    ck_assert_int_ge(year, 2024);
    ck_assert_str_eq(line + used, "level=info room=flush msg=\"segment published\" "
                                  "id=000a samples=7\n");
    ck_assert_int_eq(last_level, LOG_INFO);
    strbuf_reset(&got);
    log_error("wal", "no fields", "");
    ck_assert_msg(strstr(strbuf_cstr(&got), "level=error room=wal msg=\"no fields\"\n"), "%s",
                  strbuf_cstr(&got));
}
END_TEST

START_TEST(test_levels)
{
    ck_assert_int_eq(log_level_now(), LOG_INFO);
    log_debug("x", "unseen", "");
    ck_assert_uint_eq(n_lines, 0);
    log_set_level(LOG_DEBUG);
    log_debug("x", "seen", "");
    ck_assert_uint_eq(n_lines, 1);
    log_set_level(LOG_OFF);
    log_error("x", "unseen", "");
    ck_assert_uint_eq(n_lines, 1);
    log_set_level(LOG_INFO);
}
END_TEST

static const struct hostile {
    const char *text, *msg, *fields; /* as they appear */
} hostile[] = {
    {"a\nb\r\t\x01\x7f", "a\\nb\\r\\t\\x01\\x7f", "a\\nb\\r\\t\\x01\\x7f"},
    {"\x1b[31mred", "\\x1b[31mred", "\\x1b[31mred"},
    {"quote \" back \\", "quote \\\" back \\\\", "quote \" back \\"},
    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
    {"cut \xc3", "cut \\xc3", "cut \\xc3"},
    {"\xff\xfe", "\\xff\\xfe", "\\xff\\xfe"},
    {"c1 \xc2\x9b" "31m", "c1 \\xc2\\x9b31m", "c1 \\xc2\\x9b31m"},
};

START_TEST(test_hostile_text_stays_in_its_line)
{
    const struct hostile *h = &hostile[_i];
    char want[256];
    log_warn("x", h->text, "k=%s", h->text);
    (void)snprintf(want, sizeof(want), "msg=\"%s\" k=%s\n", h->msg, h->fields);
    ck_assert_msg(strstr(strbuf_cstr(&got), want), "%s", strbuf_cstr(&got));
    ck_assert_uint_eq(n_lines, 1);
}
END_TEST

START_TEST(test_long_lines_are_cut)
{
    static char longer[20000];
    memset(longer, '\n', sizeof(longer) - 1);
    log_info("x", longer, "k=%s", longer);
    ck_assert_uint_eq(n_lines, 1);
    ck_assert_uint_le(got.len, 4096);
}
END_TEST

static void write_lines(void *ctx)
{
    for (int i = 0; i < 1000; i++) log_info("thread", "line", "i=%d sender=%s", i, (char *)ctx);
}

START_TEST(test_the_thread_writes_what_was_queued)
{
    static char names[2][4] = {"one", "two"};
    struct thread threads[2];
    ck_assert_int_eq(log_start(NULL), ST_OK);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(thread_start(&threads[i], "log-test", write_lines, names[i], NULL),
                         ST_OK);
    for (int i = 0; i < 2; i++) thread_join(&threads[i]);
    log_stop();
    ck_assert_uint_eq(n_lines, 2000);
    ck_assert_uint_eq(log_n_dropped(), 0);
    log_info("x", "after", ""); /* by the caller again */
    ck_assert_uint_eq(n_lines, 2001);
    log_stop();
    ck_assert_int_eq(log_start(NULL), ST_OK);
    log_info("x", "again", "");
    log_stop();
    ck_assert_uint_eq(n_lines, 2002);
}
END_TEST

static void join_line(void *ctx, const char *line, size_t len)
{
    strbuf_put(ctx, line, len);
}

START_TEST(test_recent_lines)
{
    static char longer[1000];
    struct strbuf recent;

    strbuf_init(&recent, 0);
    log_recent(join_line, &recent);
    ck_assert_uint_eq(recent.len, 0);
    memset(longer, 'x', sizeof(longer) - 1);
    for (int i = 0; i < 11; i++) log_info("x", "line", "i=%d %s", i, i == 10 ? longer : "");
    log_recent(join_line, &recent);
    const char *text = strbuf_cstr(&recent);
    ck_assert(!strstr(text, "i=2 ") && strstr(text, "i=3 \n") && strstr(text, "i=10 xxx"));
    ck_assert_int_eq(text[recent.len - 1], '\n'); /* also where it was cut */
    ck_assert_uint_lt(recent.len, 8 * 512);
    strbuf_release(&recent);
}
END_TEST

static struct {
    struct mutex mutex;
    struct cond cond;
    bool entered, go_on;
} gate;

static void block_first(void *ctx, enum log_level level, const char *line, size_t len)
{
    mutex_lock(&gate.mutex);
    gate.entered = true;
    cond_broadcast(&gate.cond);
    while (!gate.go_on) cond_wait(&gate.cond, &gate.mutex);
    mutex_unlock(&gate.mutex);
    collect(ctx, level, line, len);
}

START_TEST(test_full_queue_drops_and_says_so)
{
    enum { SENT = 20000 };
    mutex_init(&gate.mutex, LOCK_LEAF);
    cond_init(&gate.cond);
    log_set_sink(block_first, &got);
    ck_assert_int_eq(log_start(NULL), ST_OK);
    log_info("x", "first", "");
    mutex_lock(&gate.mutex);
    while (!gate.entered) cond_wait(&gate.cond, &gate.mutex);
    mutex_unlock(&gate.mutex);
    for (int i = 0; i < SENT; i++) log_info("x", "flood", "i=%d", i);
    uint64_t dropped = log_n_dropped();
    ck_assert_uint_gt(dropped, 0);
    ck_assert_uint_lt(dropped, SENT);
    mutex_lock(&gate.mutex);
    gate.go_on = true;
    cond_broadcast(&gate.cond);
    mutex_unlock(&gate.mutex);
    log_stop();
    char want[64];
    (void)snprintf(want, sizeof(want), "msg=\"lines lost\" n=%llu\n", (unsigned long long)dropped);
    ck_assert_msg(strstr(strbuf_cstr(&got), want), "no %s", want);
    ck_assert_uint_eq(n_lines, 1 + SENT - dropped + 1);
}
END_TEST

START_TEST(test_start_without_memory)
{
    mem_fault_install();
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fault_arm(nth, 1);
        ck_assert_int_eq(log_start(NULL), ST_NO_MEMORY);
        (void)mem_fault_disarm();
    }
    ck_assert(strbuf_reserve(&got, 1000)); /* the sink's own */
    mem_fault_arm(1, 0);                   /* a line needs none */
    log_info("x", "still here", "k=%d", 1);
    ck_assert_uint_eq(mem_fault_disarm(), 0);
    ck_assert_uint_eq(mem_fault_count(), 0);
    ck_assert_uint_eq(n_lines, 1);
}
END_TEST

Suite *suite_log(void)
{
    Suite *suite = suite_create("log");
    TCase *tc = tcase_create("log");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_the_form_of_a_line);
    tcase_add_test(tc, test_levels);
    tcase_add_loop_test(tc, test_hostile_text_stays_in_its_line, 0, ARRAY_LEN(hostile));
    tcase_add_test(tc, test_long_lines_are_cut);
    tcase_add_test(tc, test_recent_lines);
    tcase_add_test(tc, test_the_thread_writes_what_was_queued);
    tcase_add_test(tc, test_full_queue_drops_and_says_so);
    tcase_add_test(tc, test_start_without_memory);
    suite_add_tcase(suite, tc);
    return suite;
}
