/* Goal: metric types have remote write's numbers and the API's words. */
#include "base/panic.h"
#include "model/metadata.h"
#include "tests/unit/unit.h"

Suite *suite_metadata(void);

static const char *const words[] = {"unknown",        "counter", "gauge", "histogram",
                                    "gaugehistogram", "summary", "info",  "stateset"};

START_TEST(test_types_have_words)
{
    enum metric_type type = METRIC_INFO;
    ck_assert_uint_eq(ARRAY_LEN(words), N_METRIC_TYPES);
    for (unsigned i = 0; i < N_METRIC_TYPES; i++) {
        ck_assert_str_eq(metric_type_name((enum metric_type)i), words[i]);
        ck_assert(metric_type_parse(&type, slice_str(words[i])));
        ck_assert_uint_eq(type, i);
    }
    ck_assert(metric_type_parse(&type, SLICE_LIT("untyped")) && type == METRIC_UNKNOWN);
    ck_assert(!metric_type_parse(&type, SLICE_LIT("Counter")));
    ck_assert(!metric_type_parse(&type, SLICE_LIT("")));
    ck_assert_str_eq(metric_type_name((enum metric_type)99), "unknown");
}
END_TEST

Suite *suite_metadata(void)
{
    Suite *suite = suite_create("metadata");
    TCase *tc = tcase_create("metadata");
    tcase_add_test(tc, test_types_have_words);
    suite_add_tcase(suite, tc);
    return suite;
}
