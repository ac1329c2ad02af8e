/* Goal: zstd bodies round-trip, whole and in pieces; bombs, cuts and garbage are
 * refused within the limit. Method: a few bodies, every way of feeding them. */
#include "base/panic.h"
#include "codec/compress.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

static uint8_t *make_body(size_t n)
{
    uint8_t *body = malloc(n + 1);
    for (size_t i = 0; i < n; i++) body[i] = (uint8_t)(i * i / 1000);
    return body;
}

static uint8_t *compress(size_t *len, const uint8_t *body, size_t n)
{
    uint8_t *out = malloc(zstd_bound(n));
    ck_assert_int_eq(zstd_encode(len, out, zstd_bound(n), body, n, ZSTD_LEVEL_FAST), ST_OK);
    return out;
}

START_TEST(test_one_shot_round_trip)
{
    static const size_t lens[] = {0, 1, 1000, 200000, 3 << 20};
    size_t n = lens[_i], len;
    uint8_t *body = make_body(n), *packed = compress(&len, body, n);
    uint8_t *back = malloc(n + 1);
    struct strbuf out;

    strbuf_init(&out, 0);
    strbuf_str(&out, "kept");
    ck_assert_int_eq(zstd_decode(&out, packed, len, n, NULL), ST_OK);
    ck_assert_uint_eq(out.len, n + 4);
    ck_assert_mem_eq(out.ptr + 4, body, n);
    ck_assert_int_eq(zstd_decode_exact(back, n, packed, len), ST_OK);
    ck_assert_mem_eq(back, body, n);
    if (n > 0) {
        ck_assert_int_eq(zstd_decode_exact(back, n - 1, packed, len), ST_CORRUPT);
        ck_assert_int_eq(zstd_decode_exact(back, n, packed, len - 1), ST_CORRUPT);
        out.len = 4;
        ck_assert_int_eq(zstd_decode(&out, packed, len, n - 1, NULL), ST_TOO_LARGE);
        ck_assert_uint_eq(out.len, 4);
    }
    strbuf_release(&out);
    free(back);
    free(packed);
    free(body);
}
END_TEST

START_TEST(test_too_small_a_buffer_is_a_status)
{
    uint8_t *body = make_body(1000), dst[8];
    size_t len;
    ck_assert_int_eq(zstd_encode(&len, dst, sizeof(dst), body, 1000, 1), ST_TOO_LARGE);
    free(body);
}
END_TEST

START_TEST(test_every_cut_is_refused)
{
    size_t len;
    uint8_t *body = make_body(300), *packed = compress(&len, body, 300);
    struct strbuf out;

    strbuf_init(&out, 0);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, packed, cut);
        ck_assert_msg(zstd_decode(&out, part, cut, 1 << 20, NULL) == ST_INVALID, "cut %zu", cut);
        ck_assert_uint_eq(out.len, 0);
        free(part);
    }
    strbuf_release(&out);
    free(packed);
    free(body);
}
END_TEST

START_TEST(test_garbage_is_refused)
{
    size_t len;
    uint8_t *body = make_body(300), *packed = compress(&len, body, 300);
    uint8_t *more = malloc(len + 3);
    struct strbuf out;
    struct err err = {0};

    strbuf_init(&out, 0);
    memcpy(more, packed, len);
    memcpy(more + len, "xyz", 3);
    ck_assert_int_eq(zstd_decode(&out, more, len + 3, 1 << 20, &err), ST_INVALID);
    ck_assert_int_eq(zstd_decode(&out, "hello, this is text", 19, 1 << 20, &err), ST_INVALID);
    ck_assert_str_eq(err.text, "not zstd");
    strbuf_release(&out);
    free(more);
    free(packed);
    free(body);
}
END_TEST

/* A frame without its size, as a stream makes it, of n zeros. */
static void make_bomb(struct strbuf *bomb, size_t n)
{
    uint8_t *zeros = calloc(1, 1 << 16);
    struct zstd_writer *writer = zstd_writer_new(ZSTD_LEVEL_FAST);

    strbuf_init(bomb, 0);
    for (size_t at = 0; at < n; at += 1 << 16) {
        ck_assert_int_eq(zstd_writer_feed(writer, bomb, zeros, 1 << 16, false), ST_OK);
    }
    ck_assert_int_eq(zstd_writer_feed(writer, bomb, NULL, 0, true), ST_OK);
    zstd_writer_free(writer);
    free(zeros);
}

START_TEST(test_a_bomb_stops_at_the_limit)
{
    struct strbuf bomb, out;

    make_bomb(&bomb, 16 << 20);
    strbuf_init(&out, 0);
    ck_assert_int_eq(zstd_decode(&out, bomb.ptr, bomb.len, 1 << 20, NULL), ST_TOO_LARGE);
    ck_assert_uint_le(out.cap, 4 << 20);
    ck_assert_uint_eq(out.len, 0);
    ck_assert_int_eq(zstd_decode(&out, bomb.ptr, bomb.len, 16 << 20, NULL), ST_OK);
    ck_assert_uint_eq(out.len, 16 << 20);
    strbuf_release(&out);
    strbuf_release(&bomb);
}
END_TEST

START_TEST(test_a_window_above_8_mib_is_refused)
{
    /* Magic, a descriptor without single segment, and a window of 2^(10 + 20). */
    static const uint8_t wide[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3, 1, 0, 0};
    struct strbuf out;
    strbuf_init(&out, 0);
    ck_assert_int_eq(zstd_decode(&out, wide, sizeof(wide), 1 << 20, NULL), ST_TOO_LARGE);
    strbuf_release(&out);
}
END_TEST

START_TEST(test_streams_in_pieces)
{
    static const size_t pieces[] = {1, 7, 1000, 1 << 20};
    enum { N = 150000 };
    uint8_t *body = make_body(N);
    struct zstd_writer *writer = zstd_writer_new(3);
    struct strbuf packed, out;
    size_t piece = pieces[_i];

    strbuf_init(&packed, 0);
    strbuf_init(&out, 0);
    for (size_t at = 0; at < N; at += piece) {
        size_t n = N - at < piece ? N - at : piece;
        ck_assert_int_eq(zstd_writer_feed(writer, &packed, body + at, n, at + n == N), ST_OK);
    }
    zstd_writer_free(writer);
    struct zstd_reader *reader = zstd_reader_new(N);
    for (size_t at = 0; at < packed.len; at += piece) {
        size_t n = packed.len - at < piece ? packed.len - at : piece;
        ck_assert_int_eq(zstd_reader_feed(reader, &out, packed.ptr + at, n, NULL), ST_OK);
        ck_assert(zstd_reader_done(reader) == (at + n == packed.len));
    }
    ck_assert_int_eq(zstd_reader_feed(reader, &out, NULL, 0, NULL), ST_OK);
    ck_assert(zstd_reader_done(reader));
    ck_assert_uint_eq(out.len, N);
    ck_assert_mem_eq(out.ptr, body, N);
    zstd_reader_free(reader);
    strbuf_release(&out);
    strbuf_release(&packed);
    free(body);
}
END_TEST

START_TEST(test_the_limit_holds_over_all_pieces)
{
    struct strbuf bomb, out;
    struct err err = {0};

    make_bomb(&bomb, 1 << 20);
    strbuf_init(&out, 0);
    struct zstd_reader *reader = zstd_reader_new((1 << 20) - 1);
    status st = ST_OK;
    for (size_t i = 0; i < bomb.len && st == ST_OK; i++) {
        st = zstd_reader_feed(reader, &out, bomb.ptr + i, 1, &err);
    }
    ck_assert_int_eq(st, ST_TOO_LARGE);
    ck_assert_uint_lt(out.len, 1 << 20);
    zstd_reader_free(reader);
    strbuf_release(&out);
    strbuf_release(&bomb);
}
END_TEST

Suite *suite_compress(void)
{
    Suite *s = suite_create("compress");
    TCase *tc = tcase_create("compress");
    tcase_add_loop_test(tc, test_one_shot_round_trip, 0, 5);
    tcase_add_test(tc, test_too_small_a_buffer_is_a_status);
    tcase_add_test(tc, test_every_cut_is_refused);
    tcase_add_test(tc, test_garbage_is_refused);
    tcase_add_test(tc, test_a_bomb_stops_at_the_limit);
    tcase_add_test(tc, test_a_window_above_8_mib_is_refused);
    tcase_add_loop_test(tc, test_streams_in_pieces, 0, 4);
    tcase_add_test(tc, test_the_limit_holds_over_all_pieces);
    suite_add_tcase(s, tc);
    return s;
}
