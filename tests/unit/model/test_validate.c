/* Goal: each rule of reliability.md 5 for labels and times, from both sides. */
#include "base/panic.h"
#include "model/validate.h"
#include "tests/unit/unit.h"

Suite *suite_validate(void);

#define L(name, value) {SLICE_LIT(name), SLICE_LIT(value)}
#define NAMED L("__name__", "up")

static const struct {
    struct label set[3];
    size_t n;
    bool allow_key;
    const char *why; /* NULL: good */
} rows[] = {
    {{NAMED}, 1, false, NULL},
    {{NAMED, L("a.b", "gr\xc3\xbc\xc3\x9f")}, 2, false, NULL},
    {{NAMED, L("__meta", "x")}, 2, false, NULL},
    {{L("__key__", "k")}, 1, true, NULL},
    {{L("__key__", "k"), NAMED}, 2, false, "reserved"},
    {{L("__key__", "k")}, 1, false, "reserved"},
    {{NAMED, L("__tsink_tenant__", "x")}, 2, true, "reserved"},
    {{NAMED, L("__tsink_starts__", "x")}, 2, true, "\"__tsink_starts__\" is reserved"},
    {{L("a", "b")}, 1, false, "no metric name"},
    {{NAMED}, 0, true, "no metric name"},
    {{L("", "x"), NAMED}, 2, false, "empty name"},
    {{NAMED, L("a", "")}, 2, false, "\"a\" is empty"},
    {{NAMED, L("a\xff", "x")}, 2, false, "not UTF-8"},
    {{NAMED, L("a", "\xc3")}, 2, false, "\"a\" is not UTF-8"},
    {{L("__name__", "\xff")}, 1, false, "not UTF-8"},
};

START_TEST(test_labels)
{
    struct err err = {0};
    status st = validate_labels((struct labels){rows[_i].set, rows[_i].n}, &limits_default,
                                rows[_i].allow_key, &err);
    ck_assert_msg((st == ST_OK) == (rows[_i].why == NULL), "row %d: %s", _i, err.text);
    if (rows[_i].why) {
        ck_assert_int_eq(st, ST_BAD_LABEL);
        ck_assert_msg(strstr(err.text, rows[_i].why), "row %d: %s", _i, err.text);
    }
}
END_TEST

static status check_one(struct slice name, struct slice value)
{
    struct label set[2] = {NAMED, {name, value}};
    bool metric = slice_is(name, "__name__");
    bool key = slice_is(name, "__key__");
    return validate_labels((struct labels){metric || key ? set + 1 : set, metric || key ? 1 : 2},
                           &limits_default, true, NULL);
}

START_TEST(test_sizes_at_their_limits)
{
    char *text = malloc(20000);
    memset(text, 'x', 20000);
    const struct limits *l = &limits_default;
    struct {
        const char *name;
        size_t max;
    } values[] = {{"a", l->label_value_len_max},
                  {"__name__", l->metric_name_len_max},
                  {"__key__", l->key_len_max}};

    ck_assert_int_eq(check_one(slice_of(text, l->label_name_len_max), SLICE_LIT("v")), ST_OK);
    ck_assert_int_eq(check_one(slice_of(text, l->label_name_len_max + 1), SLICE_LIT("v")),
                     ST_BAD_LABEL);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct slice name = slice_str(values[i].name);
        ck_assert_int_eq(check_one(name, slice_of(text, values[i].max)), ST_OK);
        ck_assert_int_eq(check_one(name, slice_of(text, values[i].max + 1)), ST_BAD_LABEL);
    }
    free(text);
}
END_TEST

START_TEST(test_number_of_labels)
{
    struct label set[65];
    char names[65][8];
    for (size_t i = 0; i < 65; i++) {
        snprintf(names[i], sizeof(names[i]), "l%02zu", i);
        set[i] = (struct label){slice_str(names[i]), SLICE_LIT("v")};
    }
    set[0].name = SLICE_LIT("__name__");
    ck_assert_int_eq(validate_labels((struct labels){set, 64}, &limits_default, false, NULL),
                     ST_OK);
    ck_assert_int_eq(validate_labels((struct labels){set, 65}, &limits_default, false, NULL),
                     ST_BAD_LABEL);
}
END_TEST

START_TEST(test_times)
{
    struct time_window w = time_window_at(1000000, 1000, 50);
    ck_assert_int_eq(validate_time(999000, w), ST_OK);
    ck_assert_int_eq(validate_time(998999, w), ST_TOO_OLD);
    ck_assert_int_eq(validate_time(1000050, w), ST_OK);
    ck_assert_int_eq(validate_time(1000051, w), ST_TOO_NEW);
    ck_assert_int_eq(validate_time(TS_MIN, w), ST_TOO_OLD);
    ck_assert_int_eq(validate_time(TS_MAX, w), ST_TOO_NEW);
    w = time_window_at(1000000, 0, 50); /* keep everything, accept everything */
    ck_assert_int_eq(validate_time(TS_MIN, w), ST_OK);
    ck_assert_int_eq(validate_time(TS_MAX, w), ST_OK);
    w = time_window_at(TS_MAX - 1, INT64_MAX, 50); /* no overflow at the ends */
    ck_assert_int_eq(validate_time(TS_MAX, w), ST_OK);
    ck_assert_int_eq(validate_time(-2, w), ST_TOO_OLD);
}
END_TEST

Suite *suite_validate(void)
{
    Suite *suite = suite_create("validate");
    TCase *tc = tcase_create("validate");
    tcase_add_loop_test(tc, test_labels, 0, ARRAY_LEN(rows));
    tcase_add_test(tc, test_sizes_at_their_limits);
    tcase_add_test(tc, test_number_of_labels);
    tcase_add_test(tc, test_times);
    suite_add_tcase(suite, tc);
    return suite;
}
