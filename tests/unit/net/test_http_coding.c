/* Goal: gzip and deflate come back as they were, hostile bodies are refused within
 * their limits, and Accept-Encoding is understood. Method: round trips over sizes,
 * each encoding cut at every byte and with a tail, a bomb, a table of headers. */
#include "base/rng.h"
#include "net/http_coding.h"
#include "tests/unit/net/net_suites.h"

static void encode(struct strbuf *out, enum http_coding coding, const char *src, size_t len)
{
    struct iobuf from, to;

    iobuf_init(&from, NULL, NULL, 0);
    iobuf_init(&to, NULL, NULL, 0);
    iobuf_put(&from, src, len);
    ck_assert(http_encode(&to, coding, &from));
    strbuf_init(out, 0);
    ck_assert(strbuf_reserve(out, to.len));
    iobuf_copy(out->ptr, &to);
    out->len = to.len;
    iobuf_release(&from, NULL);
    iobuf_release(&to, NULL);
}

static status decode(struct strbuf *out, enum http_coding coding, const char *src, size_t len,
                     size_t max)
{
    char *exact = malloc(len + (len == 0)); /* one byte too many shows */

    memcpy(exact, src, len);
    strbuf_init(out, 0);
    status st = http_decode(out, coding, slice_of(exact, len), max, NULL);
    free(exact);
    return st;
}

START_TEST(test_http_coding_round_trip_and_damage)
{
    static const size_t lens[] = {0, 1, 100, 5000, 70000, 300000};
    enum http_coding coding = _i ? HTTP_CODING_GZIP : HTTP_CODING_DEFLATE;
    struct rng rng;

    rng_init(&rng, unit_seed());
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        size_t len = lens[i];
        struct strbuf packed, back;
        char *src = malloc(len + 1);
        for (size_t k = 0; k < len; k++) src[k] = (char)("abc "[rng_below(&rng, 4)]);
        encode(&packed, coding, src, len);
        ck_assert_int_eq(decode(&back, coding, packed.ptr, packed.len, len), ST_OK);
        ck_assert_uint_eq(back.len, len);
        if (len) ck_assert_mem_eq(back.ptr, src, len);
        strbuf_release(&back);
        if (len > 0) { /* one byte less than it needs */
            ck_assert_int_eq(decode(&back, coding, packed.ptr, packed.len, len - 1), ST_TOO_LARGE);
            strbuf_release(&back);
        }
        size_t step = packed.len / 64 + 1;
        for (size_t cut = 0; cut < packed.len; cut += step) {
            ck_assert_int_eq(decode(&back, coding, packed.ptr, cut, len), ST_INVALID);
            strbuf_release(&back);
        }
        strbuf_char(&packed, 'x');
        ck_assert_int_eq(decode(&back, coding, packed.ptr, packed.len, len), ST_INVALID);
        strbuf_release(&back);
        strbuf_release(&packed);
        free(src);
    }
}
END_TEST

START_TEST(test_http_coding_takes_members_and_bare_deflate)
{
    struct strbuf one, two, back;

    encode(&one, HTTP_CODING_GZIP, "hello ", 6);
    encode(&two, HTTP_CODING_GZIP, "world", 5);
    strbuf_put(&one, two.ptr, two.len);
    ck_assert_int_eq(decode(&back, HTTP_CODING_GZIP, one.ptr, one.len, 100), ST_OK);
    ck_assert(slice_is(strbuf_view(&back), "hello world"));
    strbuf_release(&back);
    strbuf_release(&one);
    strbuf_release(&two);

    encode(&one, HTTP_CODING_DEFLATE, "bare", 4);
    /* Without the two bytes before and the four behind: a raw stream. */
    ck_assert_int_eq(decode(&back, HTTP_CODING_DEFLATE, one.ptr + 2, one.len - 6, 100), ST_OK);
    ck_assert(slice_is(strbuf_view(&back), "bare"));
    strbuf_release(&back);
    strbuf_release(&one);
}
END_TEST

START_TEST(test_http_coding_bombs_end_at_the_limit)
{
    size_t len = 50u << 20;
    char *zeros = calloc(1, len);
    struct strbuf packed, back;

    encode(&packed, HTTP_CODING_GZIP, zeros, len);
    ck_assert_uint_lt(packed.len, 1u << 20);
    ck_assert_int_eq(decode(&back, HTTP_CODING_GZIP, packed.ptr, packed.len, 1 << 20),
        ST_TOO_LARGE);
    ck_assert_uint_le(back.cap, 4u << 20);
    strbuf_release(&back);
    if (len / packed.len > HTTP_RATIO_MAX) {
        ck_assert_int_eq(decode(&back, HTTP_CODING_GZIP, packed.ptr, packed.len, 64 << 20),
                         ST_TOO_LARGE);
        strbuf_release(&back);
    }
    strbuf_release(&packed);
    free(zeros);
}
END_TEST

START_TEST(test_http_coding_random_bytes_never_decode_wildly)
{
    struct rng rng;
    char bytes[200];

    rng_init(&rng, unit_seed());
    for (int i = 0; i < 2000; i++) {
        struct strbuf back;
        size_t len = rng_below(&rng, sizeof(bytes));
        for (size_t k = 0; k < len; k++) bytes[k] = (char)rng_next(&rng);
        if (len > 3 && i % 2) memcpy(bytes, "\x1f\x8b\x08", 3);
        status st = decode(&back, i % 3 ? HTTP_CODING_GZIP : HTTP_CODING_DEFLATE, bytes, len,
            10000);
        ck_assert(st == ST_OK || st == ST_INVALID || st == ST_TOO_LARGE);
        ck_assert_uint_le(back.len, 10001);
        strbuf_release(&back);
    }
}
END_TEST

START_TEST(test_http_coding_names)
{
    static const struct {
        const char *text;
        enum http_coding coding;
    } accepted[] = {
        {"", HTTP_CODING_IDENTITY},
        {"gzip", HTTP_CODING_GZIP},
        {"deflate, gzip", HTTP_CODING_GZIP},
        {"deflate", HTTP_CODING_DEFLATE},
        {"gzip;q=0.5, deflate", HTTP_CODING_DEFLATE},
        {"gzip;q=0", HTTP_CODING_IDENTITY},
        {"gzip;q=0.0, *", HTTP_CODING_DEFLATE},
        {"*", HTTP_CODING_GZIP},
        {"*;q=0", HTTP_CODING_IDENTITY},
        {"snappy", HTTP_CODING_IDENTITY},
        {"identity;q=1, gzip ; q=0.001", HTTP_CODING_GZIP},
        {"gzip;q=2", HTTP_CODING_IDENTITY},
        {"GZIP", HTTP_CODING_GZIP},
    };

    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        ck_assert_msg(http_coding_accepted(slice_str(accepted[i].text)) == accepted[i].coding,
                      "%s", accepted[i].text);
    }
    ck_assert_int_eq(http_coding_of(SLICE_LIT("x-gzip")), HTTP_CODING_GZIP);
    ck_assert_int_eq(http_coding_of(SLICE_LIT("")), HTTP_CODING_IDENTITY);
    ck_assert_int_eq(http_coding_of(SLICE_LIT("snappy")), HTTP_CODING_OTHER);
    struct strbuf out;
    strbuf_init(&out, 0);
    ck_assert_int_eq(http_decode(&out, HTTP_CODING_OTHER, SLICE_LIT("x"), 10, NULL),
        ST_UNSUPPORTED);
    ck_assert_int_eq(http_decode(&out, HTTP_CODING_IDENTITY, SLICE_LIT("xyz"), 2, NULL),
        ST_TOO_LARGE);
    ck_assert_int_eq(http_decode(&out, HTTP_CODING_IDENTITY, SLICE_LIT("xy"), 2, NULL), ST_OK);
    ck_assert(slice_is(strbuf_view(&out), "xy"));
    strbuf_release(&out);
}
END_TEST

Suite *suite_http_coding(void)
{
    Suite *suite = suite_create("http_coding");
    TCase *tc = tcase_create("http_coding");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_http_coding_round_trip_and_damage, 0, 2);
    tcase_add_test(tc, test_http_coding_takes_members_and_bare_deflate);
    tcase_add_test(tc, test_http_coding_bombs_end_at_the_limit);
    tcase_add_test(tc, test_http_coding_random_bytes_never_decode_wildly);
    tcase_add_test(tc, test_http_coding_names);
    suite_add_tcase(suite, tc);
    return suite;
}
