/* Goal: ts-compaction-policy means what the peer's users write, reads back in largest units,
 * and refuses everything else. Method: a table of texts, each parsed, printed and parsed
 * again. */
#include "api/ts_policy.h"
#include "base/panic.h"
#include "tests/unit/api/api_suites.h"

static const struct text {
    const char *in, *out; /* out NULL: refused */
} texts[] = {
    {"", ""},
    {"avg:1m:0", "avg:1m:0"},
    {"AVG:1000m:0m", "avg:1s:0"},
    {"max:60s:48h:30s", "max:1M:2d:30s"},
    {"std.s:86400000m:7d;", "std.s:1d:7d"},
    {"avg:1M:1h;sum:90m:0;twa:1d:365d:6h", "avg:1M:1h;sum:90m:0;twa:1d:365d:6h"},
    {"countNaN:5s:0;countall:5s:0", "countnan:5s:0;countall:5s:0"},
    {"avg:1001m:0", "avg:1001m:0"},
    {"avg", NULL},
    {"avg:1m", NULL},
    {"avg::0", NULL},
    {"avg:0:0", NULL},
    {"avg:-1m:0", NULL},
    {"avg:1:0", NULL},
    {"avg:1x:0", NULL},
    {"avg:1m:1", NULL},
    {"avg:1m:0:1", NULL},
    {"avg:1m:0:1m", NULL}, /* an alignment is less than a bucket */
    {"avg:1m:0:0:0", NULL},
    {"nosuch:1m:0", NULL},
    {"avg:1m:0;;max:1m:0", NULL},
    {";", NULL},
    {"avg:9223372036854775807d:0", NULL},
};

START_TEST(test_texts)
{
    const struct text *t = &texts[_i];
    struct ts_policy_rule rules[TS_POLICY_MAX];
    struct err err = {.st = ST_OK};
    struct strbuf text;
    size_t n;
    status st = ts_policy_parse(rules, &n, slice_str(t->in), &err);
    ck_assert_msg(st == (t->out ? ST_OK : ST_INVALID), "'%s': %s", t->in, err.text);
    if (!t->out) return;
    strbuf_init(&text, 0);
    for (int i = 0; i < 2; i++) {
        strbuf_reset(&text);
        ts_policy_print(&text, rules, n);
        ck_assert_msg(slice_eq(strbuf_view(&text), slice_str(t->out)), "'%s' prints as '%.*s'",
                      t->in, (int)strbuf_view(&text).len, strbuf_view(&text).ptr);
        ck_assert_int_eq(ts_policy_parse(rules, &n, strbuf_view(&text), &err), ST_OK);
    }
    strbuf_release(&text);
}
END_TEST

START_TEST(test_at_most_sixteen)
{
    struct ts_policy_rule rules[TS_POLICY_MAX];
    struct strbuf text;
    size_t n;
    strbuf_init(&text, 0);
    for (int i = 0; i < TS_POLICY_MAX; i++) strbuf_str(&text, "avg:1m:0;");
    ck_assert_int_eq(ts_policy_parse(rules, &n, strbuf_view(&text), NULL), ST_OK);
    ck_assert_uint_eq(n, TS_POLICY_MAX);
    strbuf_str(&text, "avg:1m:0");
    ck_assert_int_eq(ts_policy_parse(rules, &n, strbuf_view(&text), NULL), ST_INVALID);
    strbuf_release(&text);
}
END_TEST

Suite *suite_ts_policy(void)
{
    Suite *s = suite_create("ts_policy");
    TCase *tc = tcase_create("ts_policy");
    tcase_add_loop_test(tc, test_texts, 0, ARRAY_LEN(texts));
    tcase_add_test(tc, test_at_most_sixteen);
    suite_add_tcase(s, tc);
    return s;
}
