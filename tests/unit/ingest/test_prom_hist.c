/* Goal: histogram messages become what they say, in either kind and any packing, or are
 * refused with a reason. Method: messages by hand against the struct. */
#include <math.h>

#include "base/bits.h"
#include "base/panic.h"
#include "ingest/prom_hist.h"
#include "ingest/prom_write.h"
#include "tests/lib/pb_write.h"
#include "tests/unit/unit.h"

Suite *suite_prom_hist(void);

static struct strbuf msg;
static struct arena arena;

static void set_up(void)
{
    strbuf_init(&msg, 0);
    arena_init(&arena, NULL, 0);
}

static void tear_down(void)
{
    strbuf_release(&msg);
    arena_release(&arena);
}

static int64_t start; /* of the last message decoded */

static status decode(const struct histogram **h, int64_t *ms, struct err *err)
{
    const char *why = NULL;
    const uint8_t *where = NULL;
    *err = (struct err){.st = ST_OK};
    status st = prom_hist_decode(h, ms, &start, &arena, strbuf_view(&msg), &why, &where, err);
    ck_assert_int_eq(st == ST_PROTOCOL, why != NULL);
    return st;
}

static void put_span(uint32_t number, int32_t offset, uint32_t n)
{
    struct strbuf span;
    strbuf_init(&span, 0);
    if (offset) pb_sint(&span, 1, offset);
    pb_varint(&span, 2, n);
    pb_message(&msg, number, &span);
    strbuf_release(&span);
}

static void put_deltas(uint32_t number, const int64_t *deltas, size_t n, bool packed)
{
    struct strbuf all;
    strbuf_init(&all, 0);
    for (size_t i = 0; i < n; i++) {
        if (packed) pb_raw_varint(&all, zigzag(deltas[i]));
        else pb_sint(&msg, number, deltas[i]);
    }
    if (packed) pb_message(&msg, number, &all);
    strbuf_release(&all);
}

START_TEST(test_integer_histograms)
{
    const struct histogram *h;
    struct err err;
    int64_t ms;
    bool packed = _i;
    pb_varint(&msg, 1, 21);
    pb_double(&msg, 3, 18.4);
    pb_sint(&msg, 4, -1);
    pb_double(&msg, 5, 0.001);
    pb_varint(&msg, 6, 2);
    put_span(11, 0, 2);
    put_span(11, 1, 2);
    put_deltas(12, (int64_t[]){1, 1, -1, 0}, 4, packed);
    put_span(8, -3, 1);
    put_deltas(9, (int64_t[]){5}, 1, packed);
    pb_varint(&msg, 14, 2);
    pb_varint(&msg, 15, 1700);
    pb_varint(&msg, 17, 99);
    ck_assert_int_eq(decode(&h, &ms, &err), ST_OK);
    ck_assert_int_eq(start, 99);
    ck_assert(h->is_int && h->count == 21 && h->sum == 18.4 && h->schema == -1 && ms == 1700);
    ck_assert(h->zero_threshold == 0.001 && h->zero_count == 2 && h->reset == HIST_RESET_NO);
    static const double want[] = {1, 2, 1, 1};
    ck_assert(h->pos.n_spans == 2 && h->pos.n_counts == 4);
    ck_assert_mem_eq(h->pos.counts, want, sizeof(want));
    ck_assert(h->neg.spans[0].offset == -3 && h->neg.counts[0] == 5);
}
END_TEST

START_TEST(test_float_histograms)
{
    const struct histogram *h;
    struct err err;
    int64_t ms;
    double counts[] = {0.5, NAN};
    pb_double(&msg, 2, 7.5);
    pb_double(&msg, 7, 1.5);
    put_span(11, 4, 2);
    if (_i) pb_bytes(&msg, 13, slice_of(counts, sizeof(counts)));
    else for (int i = 0; i < 2; i++) pb_double(&msg, 13, counts[i]);
    put_deltas(12, (int64_t[]){9, 9, 9}, 3, true); /* of the other kind: not meant */
    pb_text(&msg, 17, "a field of somebody else's");
    ck_assert_int_eq(decode(&h, &ms, &err), ST_OK);
    ck_assert_int_eq(start, 0);
    ck_assert(!h->is_int && h->count == 7.5 && h->zero_count == 1.5 && ms == 0);
    ck_assert(h->pos.n_counts == 2 && h->pos.counts[0] == 0.5 && isnan(h->pos.counts[1]));
}
END_TEST

START_TEST(test_custom_bounds)
{
    const struct histogram *h;
    struct err err;
    int64_t ms;
    double bounds[] = {1, 2.5};
    pb_varint(&msg, 1, 6);
    pb_sint(&msg, 4, HIST_SCHEMA_CUSTOM);
    put_span(11, 0, 3);
    put_deltas(12, (int64_t[]){1, 1, 1}, 3, true);
    pb_bytes(&msg, 16, slice_of(bounds, sizeof(bounds)));
    ck_assert_int_eq(decode(&h, &ms, &err), ST_OK);
    ck_assert(h->n_custom == 2 && h->custom[1] == 2.5 && h->pos.counts[2] == 3);
}
END_TEST

START_TEST(test_unacceptable_histograms)
{
    const struct histogram *h;
    struct err err;
    int64_t ms;
    static const char *const whys[] = {"schema", "negative", "negative", "buckets", "out of range",
                                       "overlaps", "more than", "more than"};
    pb_varint(&msg, 15, 5);
    switch (_i) {
    case 0: pb_sint(&msg, 4, 9); break;
    case 1: put_span(11, 0, 2); put_deltas(12, (int64_t[]){1, -2}, 2, true); break;
    case 2:
        put_span(11, 0, 2);
        put_deltas(12, (int64_t[]){INT64_MAX, INT64_MAX}, 2, true);
        break;
    case 3: put_span(11, 0, 2); put_deltas(12, (int64_t[]){1}, 1, true); break;
    case 4: put_span(11, 0, UINT32_MAX); break;
    case 5:
        put_span(8, 0, 1);
        put_span(8, -1, 1);
        put_deltas(9, (int64_t[]){1, 1}, 2, true);
        break;
    case 6: {
        char zeros[PROM_WRITE_BUCKETS_MAX + 1] = {0};
        pb_bytes(&msg, 12, slice_of(zeros, sizeof(zeros)));
        break;
    }
    case 7:
        for (int i = 0; i <= PROM_WRITE_BUCKETS_MAX; i++) pb_text(&msg, 11, "");
        break;
    }
    ck_assert_int_eq(decode(&h, &ms, &err), ST_BAD_VALUE);
    ck_assert_msg(strstr(err.text, whys[_i]), "row %d: %s", _i, err.text);
    ck_assert_int_eq(ms, 5);
}
END_TEST

START_TEST(test_damaged_messages)
{
    const struct histogram *h;
    struct err err;
    int64_t ms;
    switch (_i) {
    case 0: pb_double(&msg, 1, 5); break;
    case 1: pb_varint(&msg, 2, 5); break;
    case 2: pb_varint(&msg, 3, 5); break;
    case 3: pb_double(&msg, 15, 5); break;
    case 4: pb_text(&msg, 14, "x"); break;
    case 5: pb_varint(&msg, 11, 5); break;
    case 6: pb_text(&msg, 11, "\x08"); break;
    case 7: pb_text(&msg, 11, "\x09" "12345678"); break;
    case 8: pb_text(&msg, 12, "\x80"); break;
    case 9: pb_double(&msg, 12, 5); break;
    case 10: pb_text(&msg, 13, "1234567"); break;
    case 11: pb_varint(&msg, 13, 5); break;
    case 12: pb_text(&msg, 16, "123456789"); break;
    case 13: pb_varint(&msg, 16, 1); break;
    case 14: pb_tag(&msg, 0, PB_VARINT); break;
    case 15: pb_tag(&msg, 20, PB_GROUP); break;
    }
    ck_assert_int_eq(decode(&h, &ms, &err), ST_PROTOCOL);
}
END_TEST

Suite *suite_prom_hist(void)
{
    Suite *suite = suite_create("prom_hist");
    TCase *tc = tcase_create("prom_hist");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, test_integer_histograms, 0, 2);
    tcase_add_loop_test(tc, test_float_histograms, 0, 2);
    tcase_add_test(tc, test_custom_bounds);
    tcase_add_loop_test(tc, test_unacceptable_histograms, 0, 8);
    tcase_add_loop_test(tc, test_damaged_messages, 0, 16);
    suite_add_tcase(suite, tc);
    return suite;
}
