/* Goal: a frame comes back as written, and any damage, cut or foreign frame is
 * refused. Method: one frame, every bit flipped, every cut. */
#include "base/bytes.h"
#include "base/panic.h"
#include "codec/frame.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

#define MAGIC FRAME_MAGIC('T', 'S', 'X', 'Y')

static uint8_t *make_frame(size_t *len, uint16_t version, const char *text)
{
    size_t n = strlen(text);
    uint8_t *bytes = malloc(FRAME_HEAD_LEN + n);
    struct frame frame = {MAGIC, version, 7, bytes + FRAME_HEAD_LEN, n};

    memcpy(bytes + FRAME_HEAD_LEN, text, n);
    frame_put_head(bytes, &frame);
    *len = FRAME_HEAD_LEN + n;
    return bytes;
}

START_TEST(test_round_trip)
{
    size_t len;
    uint8_t *bytes = make_frame(&len, 2, "payload");
    struct frame frame;

    ck_assert_mem_eq(bytes, "TSXY", 4);
    ck_assert_int_eq(frame_read(&frame, bytes, len, MAGIC, 3, 100, NULL), ST_OK);
    ck_assert_uint_eq(frame.version, 2);
    ck_assert_uint_eq(frame.type, 7);
    ck_assert_uint_eq(frame.len, 7);
    ck_assert_mem_eq(frame.payload, "payload", 7);
    free(bytes);
}
END_TEST

START_TEST(test_empty_payload)
{
    size_t len;
    uint8_t *bytes = make_frame(&len, 1, "");
    struct frame frame;
    ck_assert_int_eq(frame_read(&frame, bytes, len, MAGIC, 1, 0, NULL), ST_OK);
    ck_assert_uint_eq(frame.len, 0);
    free(bytes);
}
END_TEST

START_TEST(test_every_flipped_bit_is_refused)
{
    size_t len;
    uint8_t *bytes = make_frame(&len, 1, "some payload");
    struct frame frame;

    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_msg(frame_read(&frame, bytes, len, MAGIC, 9, 1000, NULL) == ST_CORRUPT,
                      "bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(bytes);
}
END_TEST

START_TEST(test_every_cut_is_refused)
{
    size_t len;
    uint8_t *bytes = make_frame(&len, 1, "some payload");
    struct frame frame;

    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, bytes, cut);
        ck_assert_int_eq(frame_read(&frame, part, cut, MAGIC, 1, 1000, NULL), ST_CORRUPT);
        free(part);
    }
    free(bytes);
}
END_TEST

START_TEST(test_foreign_frames_are_refused_in_words)
{
    size_t len;
    struct err err = {0};
    struct frame frame;
    uint8_t *bytes = make_frame(&len, 4, "x");

    ck_assert_int_eq(frame_read(&frame, bytes, len, MAGIC, 3, 100, &err), ST_UNSUPPORTED);
    ck_assert_str_eq(err.text, "frame version 4, this program knows up to 3");
    ck_assert_int_eq(frame_read(&frame, bytes, len, MAGIC + 1, 9, 100, &err), ST_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.text, "magic"));
    ck_assert_int_eq(frame_read(&frame, bytes, len, MAGIC, 9, 0, &err), ST_CORRUPT);
    store_u64(bytes + 8, UINT64_MAX); /* a length that would overflow an addition */
    ck_assert_int_eq(frame_read(&frame, bytes, len, MAGIC, 9, SIZE_MAX, &err), ST_CORRUPT);
    free(bytes);
    bytes = make_frame(&len, 0, "x");
    ck_assert_int_eq(frame_read(&frame, bytes, len, MAGIC, 9, 100, &err), ST_CORRUPT);
    free(bytes);
}
END_TEST

Suite *suite_frame(void)
{
    Suite *s = suite_create("frame");
    TCase *tc = tcase_create("frame");
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_empty_payload);
    tcase_add_test(tc, test_every_flipped_bit_is_refused);
    tcase_add_test(tc, test_every_cut_is_refused);
    tcase_add_test(tc, test_foreign_frames_are_refused_in_words);
    suite_add_tcase(s, tc);
    return s;
}
