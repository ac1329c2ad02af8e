/* Goal: a cursor gives each field once and never leaves its bytes. Method: a table of
 * messages with the fields in them or the damage. */
#include "base/panic.h"
#include "ingest/wire.h"
#include "tests/unit/unit.h"

Suite *suite_wire(void);

#define TEXT(lit) lit, sizeof(lit) - 1

static const struct {
    const char *bytes;
    size_t len;
    int n_fields;
    const char *why; /* NULL: sound */
} messages[] = {
    {TEXT(""), 0, NULL},
    {TEXT("\x08\x01"), 1, NULL},
    {TEXT("\x08\x96\x01\x12\x02hi"), 2, NULL},
    {TEXT("\x09" "12345678" "\x15" "1234"), 2, NULL},
    {TEXT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 1, NULL},
    {TEXT("\xf8\xff\xff\xff\x0f\x01"), 1, NULL}, /* the largest number */
    {TEXT("\x12\x00"), 1, NULL},
    {TEXT("\x08"), 0, "varint"},
    {TEXT("\x08\x80"), 0, "varint"},
    {TEXT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), 0, "varint"},
    {TEXT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 0, "varint"},
    {TEXT("\x80"), 0, "tag"},
    {TEXT("\x00\x01"), 0, "field number"},
    {TEXT("\x02\x01x"), 0, "field number"},
    {TEXT("\x80\x80\x80\x80\x10\x01"), 0, "field number"}, /* 2^29 */
    {TEXT("\x09" "1234567"), 0, "early"},
    {TEXT("\x15" "123"), 0, "early"},
    {TEXT("\x12\x03hi"), 0, "beyond"},
    {TEXT("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"), 0, "beyond"},
    {TEXT("\x12\x80"), 0, "length"},
    {TEXT("\x12"), 0, "length"},
    {TEXT("\x0b\x0c"), 0, "group"},
    {TEXT("\x0c"), 0, "group"},
    {TEXT("\x0e\x01"), 0, "group"},
    {TEXT("\x0f\x01"), 0, "group"},
    {TEXT("\x08\x01\x12\x09x"), 1, "beyond"},
};

START_TEST(test_fields_and_damage)
{
    char *bytes = malloc(messages[_i].len ? messages[_i].len : 1);
    memcpy(bytes, messages[_i].bytes, messages[_i].len);
    struct wire w = wire_of(slice_of(bytes, messages[_i].len));
    struct wire_field f;
    int n = 0;
    while (wire_next(&f, &w)) n++;
    ck_assert_msg(n == messages[_i].n_fields, "row %d: %d fields", _i, n);
    ck_assert_msg((w.why == NULL) == (messages[_i].why == NULL), "row %d: %s", _i, w.why);
    if (w.why) ck_assert_msg(strstr(w.why, messages[_i].why), "row %d: %s", _i, w.why);
    ck_assert(!wire_next(&f, &w)); /* stays at the end, or at the damage */
    free(bytes);
}
END_TEST

START_TEST(test_values)
{
    struct wire w = wire_of(SLICE_LIT("\x08\x96\x01\x12\x02hi\x19\1\0\0\0\0\0\0\0\x25\2\0\0\0"));
    struct wire_field f;
    ck_assert(wire_next(&f, &w) && f.number == 1 && f.type == WIRE_VARINT && f.bits == 150);
    ck_assert(wire_next(&f, &w) && f.number == 2 && slice_is(f.bytes, "hi"));
    ck_assert(wire_is(&w, &f, WIRE_BYTES));
    ck_assert(wire_next(&f, &w) && f.number == 3 && f.bits == 1);
    ck_assert(wire_next(&f, &w) && f.number == 4 && f.type == WIRE_FIXED32 && f.bits == 2);
    ck_assert(!wire_is(&w, &f, WIRE_VARINT) && w.why);
}
END_TEST

Suite *suite_wire(void)
{
    Suite *suite = suite_create("wire");
    TCase *tc = tcase_create("wire");
    tcase_add_loop_test(tc, test_fields_and_damage, 0, ARRAY_LEN(messages));
    tcase_add_test(tc, test_values);
    suite_add_tcase(suite, tc);
    return suite;
}
