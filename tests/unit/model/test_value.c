/* Goal: types keep their numbers and convert as documented. Method: one table. */
#include <math.h>

#include "base/panic.h"
#include "model/value.h"
#include "tests/unit/unit.h"

Suite *suite_value(void);

static const struct {
    enum value_type type;
    unsigned number;
    const char *name;
    enum value_lane lane;
    uint64_t bits;
    double v;
} rows[] = {
    {VALUE_F64, 1, "f64", LANE_NUMERIC, 0x3ff8000000000000, 1.5},
    {VALUE_I64, 2, "i64", LANE_NUMERIC, (uint64_t)-7, -7},
    {VALUE_U64, 3, "u64", LANE_NUMERIC, UINT64_MAX, 18446744073709551615.0},
    {VALUE_BOOL, 4, "bool", LANE_NUMERIC, 1, 1},
    {VALUE_BYTES, 5, "bytes", LANE_BLOB, 0, NAN},
    {VALUE_HISTOGRAM, 6, "histogram", LANE_NUMERIC, 0, NAN},
};

START_TEST(test_types)
{
    union value v = {.bits = rows[_i].bits};
    double got = value_to_f64(rows[_i].type, v);
    ck_assert_uint_eq(rows[_i].type, rows[_i].number);
    ck_assert_str_eq(value_type_name(rows[_i].type), rows[_i].name);
    ck_assert_int_eq(value_lane_of(rows[_i].type), rows[_i].lane);
    ck_assert(value_type_valid(rows[_i].type));
    ck_assert(isnan(rows[_i].v) ? isnan(got) : got == rows[_i].v);
}
END_TEST

START_TEST(test_unknown_types_and_the_stale_marker)
{
    ck_assert(!value_type_valid(0) && !value_type_valid(7));
    ck_assert_str_eq(value_type_name((enum value_type)0), "unknown");
    ck_assert(value_is_stale(VALUE_STALE_BITS) && !value_is_stale(VALUE_NAN_BITS));
    ck_assert(isnan(value_to_f64(VALUE_F64, (union value){.bits = VALUE_STALE_BITS})));
}
END_TEST

Suite *suite_value(void)
{
    Suite *suite = suite_create("value");
    TCase *tc = tcase_create("value");
    tcase_add_loop_test(tc, test_types, 0, ARRAY_LEN(rows));
    tcase_add_test(tc, test_unknown_types_and_the_stale_marker);
    suite_add_tcase(suite, tc);
    return suite;
}
