/* Goal: durations and sizes are Prometheus' and tsink.conf's, no more. Method: tables of
 * text, value and how the value is printed. */
#include "base/duration.h"
#include "base/panic.h"
#include "tests/unit/unit.h"

Suite *suite_duration(void);

static const struct {
    const char *text;
    int64_t ms;        /* -1: refused */
    const char *print; /* NULL: as text */
} durations[] = {
    {"0", 0, "0s"},
    {"0s", 0, NULL},
    {"250ms", 250, NULL},
    {"5s", 5000, NULL},
    {"5m", 300000, NULL},
    {"1h30m", 5400000, NULL},
    {"90m", 5400000, "1h30m"},
    {"2d", 172800000, NULL},
    {"7d", 604800000, "1w"},
    {"8d", 691200000, NULL},
    {"1y", 31536000000, NULL},
    {"1y2w3d4h5m6s7ms", 31536000000 + 2 * 604800000LL + 3 * 86400000LL + 4 * 3600000 + 5 * 60000 +
                            6000 + 7, "382d4h5m6s7ms"},
    {"292y", 292 * 31536000000, NULL},
    {"293y", -1, NULL},
    {"9999999999999999999s", -1, NULL},
    {"9999999999999999999999999s", -1, NULL},
    {"", -1, NULL},
    {"5", -1, NULL},
    {"s", -1, NULL},
    {"5m5h", -1, NULL},
    {"5m5m", -1, NULL},
    {"-5m", -1, NULL},
    {"1.5h", -1, NULL},
    {"5 m", -1, NULL},
    {"5M", -1, NULL},
    {"5mx", -1, NULL},
    {"5us", -1, NULL},
    {"1h30", -1, NULL},
};

START_TEST(test_durations)
{
    const char *text = durations[_i].text;
    char *dst = malloc(64);
    int64_t ms = 1;
    bool ok = duration_parse_ms(&ms, slice_str(text));

    ck_assert_msg(ok == (durations[_i].ms >= 0), "%s", text);
    if (ok) {
        ck_assert_msg(ms == durations[_i].ms, "%s: %lld", text, (long long)ms);
        const char *want = durations[_i].print ? durations[_i].print : text;
        size_t len = duration_print_ms(dst, ms);
        ck_assert_msg(slice_is(slice_of(dst, len), want), "%s: %.*s", text, (int)len, dst);
    } else {
        ck_assert_int_eq(ms, 1);
    }
    free(dst);
}
END_TEST

START_TEST(test_durations_print_at_the_ends)
{
    char dst[64];
    size_t len = duration_print_ms(dst, -5400000);
    ck_assert(slice_is(slice_of(dst, len), "-1h30m"));
    len = duration_print_ms(dst, INT64_MIN);
    ck_assert(len < sizeof(dst) && dst[0] == '-');
}
END_TEST

static const struct {
    const char *text;
    bool ok;
    uint64_t bytes;
    const char *print;
} sizes[] = {
    {"512", true, 512, "512"},
    {"16kb", true, 16384, "16kb"},
    {"64mb", true, 64ull << 20, "64mb"},
    {"2gb", true, 2ull << 30, "2gb"},
    {"2GB", true, 2ull << 30, "2gb"},
    {"1tb", true, 1ull << 40, "1tb"},
    {"1024b", true, 1024, "1kb"},
    {"1536", true, 1536, "1536"},
    {"0", true, 0, "0"},
    {"18446744073709551615", true, UINT64_MAX, "18446744073709551615"},
    {"16777216tb", false, 0, NULL},
    {"", false, 0, NULL},
    {"mb", false, 0, NULL},
    {"-1", false, 0, NULL},
    {"1.5gb", false, 0, NULL},
    {"5pb", false, 0, NULL},
    {"5 mb", false, 0, NULL},
};

START_TEST(test_sizes)
{
    char dst[64];
    uint64_t bytes = 7;
    ck_assert_msg(size_parse(&bytes, slice_str(sizes[_i].text)) == sizes[_i].ok, "%s",
                  sizes[_i].text);
    if (!sizes[_i].ok) {
        ck_assert_uint_eq(bytes, 7);
        return;
    }
    ck_assert_uint_eq(bytes, sizes[_i].bytes);
    size_t len = size_print(dst, bytes);
    ck_assert_msg(slice_is(slice_of(dst, len), sizes[_i].print), "%s", sizes[_i].text);
}
END_TEST

Suite *suite_duration(void)
{
    Suite *suite = suite_create("duration");
    TCase *tc = tcase_create("duration");
    tcase_add_loop_test(tc, test_durations, 0, ARRAY_LEN(durations));
    tcase_add_test(tc, test_durations_print_at_the_ends);
    tcase_add_loop_test(tc, test_sizes, 0, ARRAY_LEN(sizes));
    suite_add_tcase(suite, tc);
    return suite;
}
