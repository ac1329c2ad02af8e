/* Goal: a buffer holds what was appended, in order, and a refusal is remembered.
 * Method: appends in all ways; limits; failing memory. */
#include "base/strbuf.h"

#include "tests/lib/mem_fault.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_appends)
{
    struct strbuf buf;
    char want[5000];
    size_t len = 0;

    strbuf_init(&buf, 0);
    ck_assert_str_eq(strbuf_cstr(&buf), "");
    for (int i = 0; i < 500; i++) {
        len += (size_t)snprintf(want + len, sizeof(want) - len, "%d,ab|", i);
        strbuf_printf(&buf, "%d", i);
        strbuf_char(&buf, ',');
        strbuf_str(&buf, "a");
        strbuf_slice(&buf, SLICE_LIT("b"));
        strbuf_put(&buf, "|x", 1);
        strbuf_put(&buf, NULL, 0);
    }
    ck_assert_uint_eq(buf.len, len);
    ck_assert_str_eq(strbuf_cstr(&buf), want);
    ck_assert(slice_is(strbuf_view(&buf), want));
    strbuf_reset(&buf);
    ck_assert_uint_eq(buf.len, 0);
    strbuf_release(&buf);
    ck_assert_ptr_nonnull(strbuf_view(&buf).ptr);
}
END_TEST

START_TEST(test_refusal_is_remembered)
{
    struct strbuf buf;

    strbuf_init(&buf, 4);
    strbuf_printf(&buf, "%s", "abcd");
    ck_assert(!buf.failed); /* exactly the limit, and the NUL does not count */
    ck_assert_str_eq(strbuf_cstr(&buf), "abcd");
    strbuf_char(&buf, 'x');
    ck_assert(buf.failed);
    ck_assert_uint_eq(buf.len, 4);
    ck_assert_str_eq(strbuf_cstr(&buf), "");
    strbuf_reset(&buf);
    strbuf_put(&buf, "abc", 3);
    strbuf_put(&buf, "yy", 2);
    ck_assert(buf.failed);
    strbuf_put(&buf, "z", 1); /* would fit, but something is missing before it */
    ck_assert_uint_eq(buf.len, 3);
    ck_assert(!strbuf_reserve(&buf, SIZE_MAX));
    strbuf_reset(&buf);
    ck_assert(!buf.failed);
    strbuf_release(&buf);

    mem_fault_install();
    strbuf_init(&buf, 0);
    mem_fault_arm(1, 0);
    strbuf_printf(&buf, "%d", 1);
    ck_assert(buf.failed);
    ck_assert_str_eq(strbuf_cstr(&buf), "");
    ck_assert_uint_gt(mem_fault_disarm(), 0);
    strbuf_release(&buf);
}
END_TEST

Suite *suite_strbuf(void)
{
    Suite *suite = suite_create("strbuf");
    TCase *tc = tcase_create("strbuf");
    tcase_add_test(tc, test_appends);
    tcase_add_test(tc, test_refusal_is_remembered);
    suite_add_tcase(suite, tc);
    return suite;
}
