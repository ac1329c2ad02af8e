/* Goal: keys of TS.* commands and series find each other as resp.md 5.2 says: names are
 * derived, the key is a label that stays hidden, and series without a key have their
 * selector as one. Method: tables of keys and labels; a database in memory that holds
 * series of both kinds. */
#include "api/ts_key.h"
#include "base/log.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/api/api_suites.h"

static struct db_rig rig;
static struct app app;
static struct app_settings settings;

static void setup(void)
{
    log_set_level(LOG_ERROR);
    db_rig_init(&rig, 1);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    settings = (struct app_settings){.ts_metric_label = "metric"};
    memset(&app, 0, sizeof(app));
    app.db = rig.db;
    atomic_store(&app.settings, &settings);
}

static void teardown(void)
{
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}

/* --- names ----------------------------------------------------------------------- */

static const struct name_case {
    const char *key, *name, *value; /* a label, or NULL */
    enum ts_name_mode mode;
    const char *want; /* all labels of the series made */
} names[] = {
    {"temperature:3:11", NULL, NULL, TS_NAME_DERIVE,
     "temperature{__key__=\"temperature:3:11\"}"},
    {"cpu{host=1", NULL, NULL, TS_NAME_DERIVE, "cpu{__key__=\"cpu{host=1\"}"},
    {"a/b", NULL, NULL, TS_NAME_DERIVE, "a{__key__=\"a/b\"}"},
    {"a b", NULL, NULL, TS_NAME_DERIVE, "a{__key__=\"a b\"}"},
    {"a\tb", NULL, NULL, TS_NAME_DERIVE, "a{__key__=\"a\tb\"}"},
    {"a.b-c", NULL, NULL, TS_NAME_DERIVE, "a_b_c{__key__=\"a.b-c\"}"},
    {"\xc3\xa9t\xc3\xa9", NULL, NULL, TS_NAME_DERIVE, "__t__{__key__=\"\xc3\xa9t\xc3\xa9\"}"},
    {"9lives", NULL, NULL, TS_NAME_DERIVE, "ts_9lives{__key__=\"9lives\"}"},
    {":x", NULL, NULL, TS_NAME_DERIVE, "ts_{__key__=\":x\"}"},
    {"k:1", "metric", "heat", TS_NAME_DERIVE, "heat{__key__=\"k:1\",metric=\"heat\"}"},
    {"k:1", "__name__", "own", TS_NAME_DERIVE, "own{__key__=\"k:1\"}"},
    {"k:1", "room", "hall", TS_NAME_DERIVE, "k{__key__=\"k:1\",room=\"hall\"}"},
    {"k:1", NULL, NULL, TS_NAME_KEY, "k:1{__key__=\"k:1\"}"},
    {"k:1", "metric", "heat", TS_NAME_KEY, "heat{__key__=\"k:1\",metric=\"heat\"}"},
    {"k:1", NULL, NULL, TS_NAME_NONE, "{__key__=\"k:1\"}"},
    {"k:1", "metric", "heat", TS_NAME_NONE, "heat{__key__=\"k:1\",metric=\"heat\"}"},
};

static int64_t make_series(struct batch *batch, const char *key, const char *name,
                           const char *value, struct err *err)
{
    struct label label = {slice_str(name ? name : ""), slice_str(value ? value : "")};
    int64_t at = batch_add_series(batch);

    ck_assert_int_ge(at, 0);
    status st = ts_key_series(&app, batch, &batch->series[at], slice_str(key), &label,
                              name != NULL, err);
    return st == ST_OK ? at : -1;
}

START_TEST(test_ts_key_names_of_new_series)
{
    const struct name_case *c = &names[_i];
    struct batch *batch = batch_new(NULL);
    struct strbuf text;
    struct err err = {.st = ST_OK};

    settings.ts_name_mode = c->mode;
    int64_t at = make_series(batch, c->key, c->name, c->value, &err);
    ck_assert_msg(at >= 0, "%s: %s", c->key, err.text);
    const struct batch_series *series = &batch->series[at];
    ck_assert_uint_eq(series->ordinal, ORDINAL_NONE);
    ck_assert_uint_eq(series->name->identity.len, labels_identity_len(series->name->labels));
    strbuf_init(&text, 0);
    labels_print(&text, series->name->labels);
    ck_assert_msg(slice_is(strbuf_view(&text), c->want), "%s: %.*s, not %s", c->key,
                  (int)text.len, text.ptr, c->want);
    strbuf_release(&text);
    batch_free(batch);
}
END_TEST

START_TEST(test_ts_key_metric_label_may_be_off)
{
    struct batch *batch = batch_new(NULL);
    struct err err = {.st = ST_OK};

    settings.ts_metric_label[0] = 0;
    int64_t at = make_series(batch, "k:1", "metric", "heat", &err);
    ck_assert_int_ge(at, 0);
    ck_assert(slice_is(labels_get(batch->series[at].name->labels, SLICE_LIT(LABEL_NAME)), "k"));
    batch_free(batch);
}
END_TEST

static const struct refusal {
    const char *what;
    size_t key_len;
    const char *key, *name, *value, *words;
} refusals[] = {
    {"an empty key", 0, "", NULL, NULL, "a key has 1 to 1024 bytes"},
    {"a long key", 1025, NULL, NULL, NULL, "a key has 1 to 1024 bytes"},
    {"a broken key", 2, "\xc3(", NULL, NULL, "valid UTF-8"},
    {"the key's own label", 1, "k", "__key__", "other", "reserved"},
    {"the tenant's label", 1, "k", "__tsink_tenant__", "other", ""},
};

START_TEST(test_ts_key_refuses)
{
    const struct refusal *c = &refusals[_i];
    struct batch *batch = batch_new(NULL);
    struct err err = {.st = ST_OK};
    char longest[1025];
    struct label label = {slice_str(c->name ? c->name : ""), slice_str(c->value ? c->value : "")};

    memset(longest, 'k', sizeof(longest));
    int64_t at = batch_add_series(batch);
    ck_assert_int_ge(at, 0);
    status st = ts_key_series(&app, batch, &batch->series[at],
                              slice_of(c->key ? c->key : longest, c->key_len), &label,
                              c->name != NULL, &err);
    ck_assert_msg(st == ST_BAD_LABEL, "%s: %s", c->what, status_name(st));
    ck_assert_msg(strstr(err.text, c->words), "%s: %s", c->what, err.text);
    batch_free(batch);
}
END_TEST

/* --- what is shown ---------------------------------------------------------------- */

START_TEST(test_ts_key_hidden_labels)
{
    static const struct {
        const char *name, *metric; /* label values; NULL: not there */
        enum ts_name_mode mode;
        bool keyed, hidden;
    } cases[] = {
        {"k", NULL, TS_NAME_DERIVE, true, true},      /* derived */
        {"own", NULL, TS_NAME_DERIVE, true, false},   /* given by the user */
        {"heat", "heat", TS_NAME_DERIVE, true, true}, /* from the metric label */
        {"heat", "cold", TS_NAME_DERIVE, true, false},
        {"k:1", NULL, TS_NAME_KEY, true, true},
        {"k", NULL, TS_NAME_KEY, true, false},
        {"k", NULL, TS_NAME_NONE, true, false},
        {"k", NULL, TS_NAME_DERIVE, false, false}, /* no series of TS.* */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct label labels[4];
        size_t n = 0;
        if (cases[i].keyed) labels[n++] = (struct label){SLICE_LIT(LABEL_KEY), SLICE_LIT("k:1")};
        labels[n++] = (struct label){SLICE_LIT(LABEL_NAME), slice_str(cases[i].name)};
        if (cases[i].metric)
            labels[n++] = (struct label){SLICE_LIT("metric"), slice_str(cases[i].metric)};
        struct labels set = {labels, n};
        settings.ts_name_mode = cases[i].mode;
        ck_assert_msg(ts_label_is_hidden(&settings, set, SLICE_LIT(LABEL_NAME)) == cases[i].hidden,
                      "case %zu", i);
        ck_assert(ts_label_is_hidden(&settings, set, SLICE_LIT(LABEL_KEY)));
        ck_assert(ts_label_is_hidden(&settings, set, SLICE_LIT(LABEL_TENANT)));
        ck_assert(!ts_label_is_hidden(&settings, set, SLICE_LIT("metric")));
    }
}
END_TEST

/* --- finding --------------------------------------------------------------------- */

static void add_keyed(const char *key)
{
    struct batch *batch = batch_new(NULL);
    struct err err = {.st = ST_OK};
    int64_t at = make_series(batch, key, "room", "hall", &err);

    ck_assert_msg(at >= 0, "%s: %s", key, err.text);
    ck_assert(batch_add_row(batch, (size_t)at, 1000, (union value){.bits = 0}, 0));
    db_rig_send(&rig, batch);
    ck_assert_int_eq(batch->st, ST_OK);
    batch_free(batch);
}

static void assert_prints(uint32_t ordinal, const char *want)
{
    struct strbuf text;

    strbuf_init(&text, 0);
    ts_key_print(&text, db_registry(rig.db), ordinal);
    ck_assert_msg(slice_is(strbuf_view(&text), want), "%.*s, not %s", (int)text.len, text.ptr,
                  want);
    strbuf_release(&text);
}

START_TEST(test_ts_key_finds_both_kinds)
{
    static const char *const none[] = {"temp", "temp:2", "up", "up{job=\"b\"}", "up{}",
                                       "up{job=\"a\"} ", "up{job=~\"a\"}", "up{job=\"a\",x=\"\"",
                                       "{}", "}", "{"};

    add_keyed("temp:1");
    add_keyed("odd{x}");
    ck_assert_int_eq(db_rig_put(&rig, "up{job=\"a\"}", 1000, 1), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "plain", 1000, 1), ST_OK);

    uint32_t temp = ts_key_find(&app, SLICE_LIT("temp:1"));
    ck_assert_uint_ne(temp, ORDINAL_NONE);
    assert_prints(temp, "temp:1");
    uint32_t odd = ts_key_find(&app, SLICE_LIT("odd{x}")); /* a key first, a selector second */
    ck_assert_uint_ne(odd, ORDINAL_NONE);
    assert_prints(odd, "odd{x}");

    uint32_t up = ts_key_find(&app, SLICE_LIT("up{job=\"a\"}"));
    ck_assert_uint_eq(up, db_rig_ordinal(&rig, "up{job=\"a\"}"));
    assert_prints(up, "up{job=\"a\"}");
    ck_assert_uint_eq(ts_key_find(&app, SLICE_LIT("{__name__=\"up\", job=\"a\"}")), up);
    assert_prints(db_rig_ordinal(&rig, "plain"), "plain");
    ck_assert_uint_eq(ts_key_find(&app, SLICE_LIT("plain{}")), db_rig_ordinal(&rig, "plain"));
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        ck_assert_msg(ts_key_find(&app, slice_str(none[i])) == ORDINAL_NONE, "%s", none[i]);
}
END_TEST

START_TEST(test_ts_key_of_a_series_that_is_there)
{
    struct batch *batch = batch_new(NULL);
    struct err err = {.st = ST_OK};

    add_keyed("temp:1");
    int64_t at = make_series(batch, "temp:1", "other", "labels", &err);
    ck_assert_int_ge(at, 0);
    ck_assert_uint_eq(batch->series[at].ordinal, ts_key_find(&app, SLICE_LIT("temp:1")));
    ck_assert_ptr_null(batch->series[at].name); /* nothing will be made */
    batch_free(batch);
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *suite_ts_key(void)
{
    Suite *suite = suite_create("ts_key");
    TCase *tcase = tcase_create("keys");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, test_ts_key_names_of_new_series, 0, N(names));
    tcase_add_test(tcase, test_ts_key_metric_label_may_be_off);
    tcase_add_loop_test(tcase, test_ts_key_refuses, 0, N(refusals));
    tcase_add_test(tcase, test_ts_key_hidden_labels);
    tcase_add_test(tcase, test_ts_key_finds_both_kinds);
    tcase_add_test(tcase, test_ts_key_of_a_series_that_is_there);
    suite_add_tcase(suite, tcase);
    return suite;
}
