/* Goal: objects of a span heap are distinct, aligned, keep their bytes; spans and regions
 * without objects go back; charges are what is held; refusals change nothing. Method:
 * random takes and puts of every size class against a table of what is out. */
#include "base/span_heap.h"

#include <string.h>

#include "base/mem.h"
#include "base/panic.h"
#include "base/rng.h"
#include "tests/lib/mem_fault.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

struct object {
    uint8_t *at;
    size_t len;
};

static void check_bytes(const struct object *object, uint8_t want)
{
    for (size_t i = 0; i < object->len; i++)
        if (object->at[i] != want) ck_abort_msg("byte %zu of %zu", i, object->len);
}

START_TEST(test_objects_keep_their_bytes)
{
    enum { N = 2000 };
    static struct object out[N];
    struct account account;
    struct span_heap heap;
    struct rng rng;
    size_t used = 0;

    rng_init(&rng, unit_seed());
    account_init(&account, "test", NULL, 0);
    span_heap_init(&heap, &account);
    for (int step = 0; step < 30000; step++) {
        size_t i = rng_below(&rng, N);
        struct object *object = &out[i];
        if (object->at) {
            check_bytes(object, (uint8_t)i);
            span_heap_put(&heap, object->at, object->len);
            used -= span_heap_room(object->len);
            object->at = NULL;
        } else {
            object->len = 1 + rng_below(&rng, rng_below(&rng, 4) ? 400 : SPAN_OBJECT_MAX + 200);
            object->at = span_heap_try(&heap, object->len);
            ck_assert_ptr_nonnull(object->at);
            ck_assert_uint_eq((uintptr_t)object->at % 8, 0);
            ck_assert_uint_ge(span_heap_room(object->len), object->len);
            memset(object->at, (int)(uint8_t)i, object->len);
            used += span_heap_room(object->len);
        }
        ck_assert_uint_eq(heap.used_bytes, used);
        ck_assert_uint_ge(account_used(&account), used);
    }
    for (size_t i = 0; i < N; i++) {
        if (!out[i].at) continue;
        check_bytes(&out[i], (uint8_t)i);
        span_heap_put(&heap, out[i].at, out[i].len);
        out[i].at = NULL;
    }
    ck_assert_uint_eq(heap.n_spans, 0);
    ck_assert_uint_le(heap.n_regions, 1);
    ck_assert_uint_eq(account_used(&account), 0);
    span_heap_release(&heap);
}
END_TEST

/* A fleet whose objects grow from class to class together must not hold the memory of
 * every class that it has passed. */
START_TEST(test_a_class_uses_what_another_gave_back)
{
    enum { N = 20000 };
    static const size_t sizes[] = {72, 104, 168, 296};
    static void *object[N];
    struct span_heap heap;
    size_t n_regions = 0;

    span_heap_init(&heap, NULL);
    for (size_t i = 0; i < N; i++)
        ck_assert_ptr_nonnull(object[i] = span_heap_try(&heap, sizes[0]));
    for (size_t s = 1; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (size_t i = 0; i < N; i++) {
            void *wider = span_heap_try(&heap, sizes[s]);
            ck_assert_ptr_nonnull(wider);
            span_heap_put(&heap, object[i], sizes[s - 1]);
            object[i] = wider;
        }
        n_regions = N * sizes[s] / SPAN_REGION_LEN;
        ck_assert_uint_le(heap.n_regions, n_regions + n_regions / 10 + 2);
    }
    for (size_t i = 0; i < N; i++) span_heap_put(&heap, object[i], 296);
    ck_assert_uint_eq(heap.n_regions, 1); /* one is kept */
    ck_assert_uint_eq(heap.n_idle_regions, 1);
    span_heap_release(&heap);
    ck_assert_uint_eq(heap.n_regions, 0);
}
END_TEST

/* One object holds each region; what lies between goes back to the system, and comes again
 * empty. (Where regions come from the heap, all spans stay warm.) */
START_TEST(test_idle_spans_hold_no_memory)
{
    enum { LEN = 4080, IN_SPAN = (SPAN_LEN - SPAN_HEAD) / LEN, N = 4 * 64 * IN_SPAN };
    static uint8_t *object[N];
    struct span_heap heap;
    uint8_t *probe = mem_try_region(SPAN_REGION_LEN);
    ck_assert_ptr_nonnull(probe);
    memset(probe, 1, SPAN_REGION_LEN);
    bool goes_back = mem_idle_region(probe + SPAN_LEN, SPAN_LEN);
    ck_assert_uint_eq(probe[SPAN_LEN], goes_back ? 0 : 1);
    ck_assert_uint_eq(probe[SPAN_LEN - 1], 1);
    ck_assert_uint_eq(probe[2 * SPAN_LEN], 1);
    mem_free_region(probe, SPAN_REGION_LEN);

    span_heap_init(&heap, NULL);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i++) {
            ck_assert_ptr_nonnull(object[i] = span_heap_try(&heap, LEN));
            memset(object[i], 0xa5, LEN);
        }
        ck_assert_uint_eq(heap.n_spans, N / IN_SPAN);
        ck_assert_uint_eq(heap.n_regions, 4);
        ck_assert_uint_eq(heap.n_warm, 0);
        for (size_t i = 0; i < N; i++)
            if (i % (64 * IN_SPAN)) span_heap_put(&heap, object[i], LEN);
        ck_assert_uint_eq(heap.n_spans, 4);
        ck_assert_uint_eq(heap.n_regions, 4);
        if (goes_back) ck_assert_uint_le(heap.n_warm, 24);
        else ck_assert_uint_eq(heap.n_warm, 4 * 63);
        for (size_t i = 0; i < N; i += 64 * IN_SPAN) {
            check_bytes(&(struct object){object[i], LEN}, 0xa5);
            span_heap_put(&heap, object[i], LEN);
        }
        ck_assert_uint_eq(heap.n_regions, 1);
        ck_assert_uint_le(heap.n_warm, 64);
    }
    span_heap_release(&heap);
    ck_assert_uint_eq(heap.n_warm, 0);
}
END_TEST

/* Two spans have room: what is taken comes from the fuller one, so the other can empty. */
START_TEST(test_objects_come_from_the_fullest_span)
{
    enum { LEN = 480, IN_SPAN = (SPAN_LEN - SPAN_HEAD) / LEN };
    void *at[3 * IN_SPAN];
    struct span_heap heap;
    span_heap_init(&heap, NULL);
    for (size_t i = 0; i < ARRAY_LEN(at); i++) at[i] = span_heap_try(&heap, LEN);
    ck_assert_uint_eq(heap.n_spans, 3);
    for (size_t i = 0; i < IN_SPAN - 1; i++) span_heap_put(&heap, at[2 * IN_SPAN + i], LEN);
    for (size_t i = 0; i < 4; i++) span_heap_put(&heap, at[i], LEN);
    for (size_t i = 0; i < IN_SPAN / 2; i++) span_heap_put(&heap, at[IN_SPAN + i], LEN);
    for (size_t i = 0; i < 4; i++) {
        at[i] = span_heap_try(&heap, LEN);
        ck_assert_uint_eq((uintptr_t)at[i] & ~(uintptr_t)(SPAN_LEN - 1),
                          (uintptr_t)at[IN_SPAN - 1] & ~(uintptr_t)(SPAN_LEN - 1));
    }
    for (size_t i = 0; i < IN_SPAN / 2; i++) {
        at[IN_SPAN + i] = span_heap_try(&heap, LEN);
        ck_assert_uint_eq((uintptr_t)at[IN_SPAN + i] & ~(uintptr_t)(SPAN_LEN - 1),
                          (uintptr_t)at[2 * IN_SPAN - 1] & ~(uintptr_t)(SPAN_LEN - 1));
    }
    span_heap_put(&heap, at[3 * IN_SPAN - 1], LEN);
    ck_assert_uint_eq(heap.n_spans, 2);
    for (size_t i = 0; i < 2 * IN_SPAN; i++) span_heap_put(&heap, at[i], LEN);
    ck_assert_uint_eq(heap.n_spans, 0);
    span_heap_release(&heap);
}
END_TEST

START_TEST(test_refusals)
{
    struct account account;
    struct span_heap heap;

    mem_fault_install();
    account_init(&account, "test", NULL, SPAN_LEN);
    span_heap_init(&heap, &account);
    void *small = span_heap_try(&heap, 40);
    ck_assert_ptr_nonnull(small);
    ck_assert_ptr_null(span_heap_try(&heap, 100));       /* another span is over the limit */
    ck_assert_ptr_null(span_heap_try(&heap, SPAN_OBJECT_MAX + 1));
    ck_assert_uint_eq(account_used(&account), SPAN_LEN);
    span_heap_put(&heap, small, 40);
    ck_assert_uint_eq(account_used(&account), 0);
    void *other = span_heap_try(&heap, 100);
    ck_assert_ptr_nonnull(other);
    span_heap_put(&heap, other, 100);
    span_heap_release(&heap);

    for (uint64_t n = 1; n <= 2; n++) { /* the region's head, the region */
        mem_fault_arm(n, 1);
        ck_assert_ptr_null(span_heap_try(&heap, 8));
        ck_assert_uint_eq(mem_fault_disarm(), 1);
        ck_assert_uint_eq(account_used(&account), 0);
        ck_assert_uint_eq(heap.n_regions, 0);
    }
    account.limit = 0;
    mem_fault_arm(1, 1);
    ck_assert_ptr_null(span_heap_try(&heap, 100000));
    ck_assert_uint_eq(mem_fault_disarm(), 1);
    ck_assert_uint_eq(account_used(&account), 0);
    span_heap_release(&heap);
    span_heap_release(&(struct span_heap){0});
}
END_TEST

Suite *suite_span_heap(void)
{
    Suite *s = suite_create("span_heap");
    TCase *tc = tcase_create("span_heap");
    tcase_add_test(tc, test_objects_keep_their_bytes);
    tcase_add_test(tc, test_a_class_uses_what_another_gave_back);
    tcase_add_test(tc, test_objects_come_from_the_fullest_span);
    tcase_add_test(tc, test_idle_spans_hold_no_memory);
    tcase_add_test(tc, test_refusals);
    suite_add_tcase(s, tc);
    return s;
}
