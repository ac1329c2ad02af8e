/* Goal: a list keeps the order of its pushes whatever is removed. Method: a table of
 * elements, some taken out from the middle, the ends, and twice. */
#include "base/list.h"

#include "base/panic.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

struct item {
    int value;
    struct list link;
};

START_TEST(test_order)
{
    struct item items[10];
    struct list head;
    int want = 0;

    list_init(&head);
    ck_assert(list_empty(&head));
    ck_assert_ptr_null(list_pop(&head));
    for (int i = 0; i < 10; i++) {
        items[i].value = i;
        list_push(&head, &items[i].link);
    }
    list_remove(&items[0].link);
    list_remove(&items[9].link);
    list_remove(&items[4].link);
    list_remove(&items[4].link); /* a removed node is a list of its own */
    static const int left[] = {1, 2, 3, 5, 6, 7, 8};
    list_each(at, &head) ck_assert_int_eq(container_of(at, struct item, link)->value, left[want++]);
    ck_assert_int_eq(want, 7);
    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(container_of(list_pop(&head), struct item, link)->value, left[i]);
    ck_assert(list_empty(&head));
}
END_TEST

Suite *suite_list(void)
{
    Suite *suite = suite_create("list");
    TCase *tc = tcase_create("list");
    tcase_add_test(tc, test_order);
    suite_add_tcase(suite, tc);
    return suite;
}
