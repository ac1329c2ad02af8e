/* Goal: a compressed remote write body is decoded or refused as reliability.md 5 says, and
 * never costs the memory it merely announces. Method: the way a request goes: length,
 * memory, bytes, batch; then the hostile blocks of the table. */
#include "base/panic.h"
#include "codec/compress.h"
#include "codec/snappy.h"
#include "ingest/body.h"
#include "ingest/prom_write.h"
#include "tests/lib/pb_write.h"
#include "tests/unit/ingest/ingest_rig.h"
#include "tests/unit/unit.h"

Suite *suite_snappy_body(void);

enum { BODY_MAX = 64 << 20 };

/* The whole way in. */
static status take(struct rig *rig, const void *src, size_t len)
{
    struct err err = {0};
    size_t body_len = 0;
    status st = snappy_block_len(&body_len, src, len, BODY_MAX, &err);
    if (st != ST_OK) return st;
    char *body = malloc(body_len ? body_len : 1);
    st = snappy_block_decode(body, body_len, src, len, &err);
    if (st == ST_OK) st = rig_decode(rig, prom_write_decode, slice_of(body, body_len));
    free(body);
    return st;
}

START_TEST(test_good_bodies_become_rows)
{
    struct rig rig;
    struct strbuf req, series, text;
    rig_init(&rig);
    strbuf_init(&req, 0);
    strbuf_init(&series, 0);
    strbuf_init(&text, 0);
    pb_label(&series, "__name__", "up");
    pb_sample(&series, 1, RIG_NOW);
    pb_message(&req, 1, &series);
    char *block = malloc(snappy_block_bound(req.len));
    size_t len = snappy_block_encode(block, req.ptr, req.len);
    ck_assert_int_eq(take(&rig, block, len), ST_OK);
    ck_assert_str_eq(rig_text(&rig, &text), "up 1@0;");
    for (size_t cut = 0; cut < len; cut++) ck_assert_int_eq(take(&rig, block, cut), ST_INVALID);
    free(block);
    strbuf_release(&req);
    strbuf_release(&series);
    strbuf_release(&text);
    rig_release(&rig);
}
END_TEST

#define TEXT(lit) lit, sizeof(lit) - 1

static const struct {
    const char *name, *bytes;
    size_t len;
    status st;
} blocks[] = {
    {"empty", TEXT(""), ST_INVALID},
    {"announces 4 GiB in 8 bytes", TEXT("\xff\xff\xff\xff\x0f\x00" "ab"), ST_TOO_LARGE},
    {"announces one byte above the limit", TEXT("\x81\x80\x80\x20\x00" "a"), ST_TOO_LARGE},
    {"announces 64 MiB in 6 bytes", TEXT("\x80\x80\x80\x20\x00" "a"), ST_INVALID},
    {"length of 5 bytes overflows", TEXT("\xff\xff\xff\xff\x1f\x00" "a"), ST_INVALID},
    {"length never ends", TEXT("\xff\xff\xff\xff\xff\xff"), ST_INVALID},
    {"longer than announced", TEXT("\x01\x04" "ab"), ST_INVALID},
    {"shorter than announced", TEXT("\x05\x04" "ab"), ST_INVALID},
    {"copy from before the start", TEXT("\x06\x00" "a\x05\x09"), ST_INVALID},
    {"copy with offset 0", TEXT("\x06\x00" "a\x05\x00"), ST_INVALID},
    {"literal beyond the end", TEXT("\x04\x0c" "ab"), ST_INVALID},
    {"framed stream", TEXT("\xff\x06\x00\x00sNaPpY\x01\x05\x00\x00" "abcde"), ST_INVALID},
    {"sound block, no protobuf", TEXT("\x02\x04" "zz"), ST_PROTOCOL},
};

START_TEST(test_hostile_blocks)
{
    struct rig rig;
    rig_init(&rig);
    char *copy = malloc(blocks[_i].len ? blocks[_i].len : 1);
    memcpy(copy, blocks[_i].bytes, blocks[_i].len);
    status st = take(&rig, copy, blocks[_i].len);
    ck_assert_msg(st == blocks[_i].st, "%s: %s", blocks[_i].name, status_name(st));
    free(copy);
    rig_release(&rig);
}
END_TEST

/* What a queue of vmagent may send: the other coding's name. */
START_TEST(test_codings_under_the_other_name)
{
    char raw[300], packed[400];
    struct err err = {.st = ST_OK};
    memset(raw, 'x', sizeof(raw));
    size_t zstd_len, snappy_len = snappy_block_encode(packed, raw, sizeof(raw));
    struct strbuf out;
    strbuf_init(&out, 0);
    status st = body_decode(&out, BODY_ZSTD, slice_of(packed, snappy_len), 300, &err);
    ck_assert_msg(st == ST_OK && out.len == 300, "%s", err.text);
    st = body_decode(&out, BODY_ZSTD, slice_of(packed, snappy_len - 1), 300, &err);
    ck_assert_int_eq(st, ST_INVALID);
    ck_assert_int_eq(zstd_encode(&zstd_len, packed, sizeof(packed), raw, sizeof(raw), 1), ST_OK);
    strbuf_reset(&out);
    st = body_decode(&out, BODY_SNAPPY, slice_of(packed, zstd_len), 300, &err);
    ck_assert_msg(st == ST_OK && out.len == 300, "%s", err.text);
    strbuf_reset(&out);
    ck_assert_int_eq(body_decode(&out, BODY_ZSTD, slice_of(packed, zstd_len), 300, &err), ST_OK);
    ck_assert_uint_eq(out.len, 300);
    st = body_decode(&out, BODY_ZSTD, slice_of(packed, zstd_len), 299, &err);
    ck_assert_int_eq(st, ST_TOO_LARGE);
    ck_assert_uint_eq(out.len, 300);
    strbuf_release(&out);
}
END_TEST

Suite *suite_snappy_body(void)
{
    Suite *suite = suite_create("snappy_body");
    TCase *tc = tcase_create("snappy_body");
    tcase_add_test(tc, test_good_bodies_become_rows);
    tcase_add_test(tc, test_codings_under_the_other_name);
    tcase_add_loop_test(tc, test_hostile_blocks, 0, ARRAY_LEN(blocks));
    suite_add_tcase(suite, tc);
    return suite;
}
