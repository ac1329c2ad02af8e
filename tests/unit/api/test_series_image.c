/* Goal: a series' image comes back as it was, and no bytes that are not one are taken or
 * read past. Method: a round trip; every byte changed, cut off and added, with the checksum
 * as it should be, from buffers of the exact length. */
#include <stdlib.h>
#include <string.h>

#include "api/series_image.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "tests/unit/api/api_suites.h"

static struct label labels[] = {{SLICE_LIT("room"), SLICE_LIT("hall")},
                                {SLICE_LIT("empty"), SLICE_LIT("")}};
static ts_time times[] = {INT64_MIN, -5, 0, 7, INT64_MAX};
static union value values[] = {
    {.f64 = 1.5}, {.f64 = -0.0}, {.bits = 0x7ff0000000000002}, {.f64 = 3}, {.f64 = 1e300}};

static const struct series_image image = {
    .labels = labels,
    .n_labels = 2,
    .attrs = {.retention_ms = 5, .expire_ms = 77, .policy = DUP_MAX, .uncompressed = true},
    .has_attrs = true,
    .type = VALUE_F64,
    .pts = {.ts = times, .val = values, .n = 5, .cap = 5}};

static void print(struct strbuf *out)
{
    strbuf_init(out, 0);
    series_image_put(out, &image, PRECISION_MS);
    ck_assert(!out->failed);
}

START_TEST(test_image_round_trip)
{
    struct strbuf text;
    struct arena arena;
    struct series_image back;

    print(&text);
    arena_init(&arena, NULL, 256);
    ck_assert_int_eq(series_image_get(&back, strbuf_view(&text), PRECISION_MS, &arena), ST_OK);
    ck_assert_uint_eq(back.n_labels, 2);
    ck_assert(slice_is(back.labels[0].value, "hall") && back.labels[1].value.len == 0);
    ck_assert(back.has_attrs && back.attrs.expire_ms == 77 && back.attrs.policy == DUP_MAX);
    ck_assert_int_eq(back.type, VALUE_F64);
    ck_assert_uint_eq(back.pts.n, 5);
    ck_assert_mem_eq(back.pts.ts, times, sizeof(times));
    ck_assert_mem_eq(back.pts.val, values, sizeof(values));
    series_image_release(&back);
    ck_assert_int_eq(series_image_get(&back, strbuf_view(&text), PRECISION_NS, &arena), ST_CORRUPT);
    arena_release(&arena);
    strbuf_release(&text);
}
END_TEST

/* The bytes in a buffer of their length, with a checksum that holds. */
static void take(const char *bytes, size_t len)
{
    struct arena arena;
    struct series_image back;
    char *copy = malloc(len);

    memcpy(copy, bytes, len);
    if (len >= 8) store_u64((uint8_t *)copy + len - 8, hash_place(copy, len - 8));
    arena_init(&arena, NULL, 256);
    status st = series_image_get(&back, slice_of(copy, len), PRECISION_MS, &arena);
    ck_assert(st == ST_OK || st == ST_CORRUPT || st == ST_NO_MEMORY);
    if (st == ST_OK) series_image_release(&back);
    arena_release(&arena);
    free(copy);
}

START_TEST(test_image_takes_nothing_else)
{
    struct strbuf text;
    struct arena arena;
    struct series_image back;

    print(&text);
    arena_init(&arena, NULL, 256);
    for (size_t i = 0; i < text.len; i++) {
        char was = text.ptr[i];
        text.ptr[i] = (char)(was ^ 1);
        ck_assert_int_eq(series_image_get(&back, strbuf_view(&text), PRECISION_MS, &arena),
                         ST_CORRUPT);
        for (int v = 0; v < 256; v++) {
            text.ptr[i] = (char)v;
            take(text.ptr, text.len);
        }
        text.ptr[i] = was;
        take(text.ptr, i);
    }
    strbuf_str(&text, "more");
    ck_assert_int_eq(series_image_get(&back, strbuf_view(&text), PRECISION_MS, &arena), ST_CORRUPT);
    arena_release(&arena);
    strbuf_release(&text);
}
END_TEST

Suite *suite_series_image(void)
{
    Suite *suite = suite_create("series_image");
    TCase *tc = tcase_create("series_image");

    tcase_add_test(tc, test_image_round_trip);
    tcase_add_test(tc, test_image_takes_nothing_else);
    suite_add_tcase(suite, tc);
    return suite;
}
