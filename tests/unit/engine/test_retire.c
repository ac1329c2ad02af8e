/* Goal: retired memory is freed when, and only when, nobody can reach it. Method: a table
 * of stamps, views and readers; then readers on threads against an owner who retires what
 * they look at (for the thread checker). */
#include "base/mem.h"
#include "base/panic.h"
#include "base/thread.h"
#include "engine/retire.h"
#include "tests/unit/engine/engine_suites.h"

struct item {
    int *freed;
    unsigned kind;
};

/* Both kinds count; the second twice. */
static void free_item(void *ctx, unsigned kind, void *ptr)
{
    struct item *item = ptr;
    ck_assert_ptr_eq(ctx, &free_item);
    ck_assert_uint_eq(kind, item->kind);
    *item->freed += (int)kind;
    free(item);
}

static void init_list(struct retire_list *list)
{
    retire_init(list, free_item, (void *)(uintptr_t)&free_item);
}

static void retire_kind(struct retire_list *list, int *freed, unsigned kind, size_t bytes)
{
    struct item *item = malloc(sizeof(*item));
    *item = (struct item){freed, kind};
    retire_push(list, kind, item, bytes);
}

static void retire_one(struct retire_list *list, int *freed)
{
    retire_kind(list, freed, 1, 10);
}

START_TEST(test_views_block_what_was_retired_after_them)
{
    struct retire_list list;
    int freed = 0;
    init_list(&list);
    retire_one(&list, &freed);                   /* stamp 1 */
    atomic_fetch_add(&list.epoch, 1);            /* a view is pinned at 1: now 2 */
    retire_one(&list, &freed);                   /* stamp 2: the view may see it */
    ck_assert_uint_eq(retire_collect(&list, 1, 100), 1);
    ck_assert_int_eq(freed, 1);
    ck_assert_uint_eq(retire_collect(&list, 1, 100), 0);
    ck_assert_uint_eq(retire_collect(&list, 2, 100), 1);
    ck_assert_int_eq(freed, 2);
    ck_assert_uint_eq(list.n_items, 0);
    retire_release(&list);
}
END_TEST

START_TEST(test_readers_block_their_epoch_and_later_ones)
{
    struct retire_list list;
    int freed = 0;
    init_list(&list);
    retire_one(&list, &freed);
    atomic_fetch_add(&list.epoch, 1);
    int slot = reader_enter(&list);              /* at 2 */
    retire_one(&list, &freed);                   /* stamp 2 */
    ck_assert_uint_eq(retire_collect(&list, UINT64_MAX, 100), 1);
    ck_assert_uint_eq(retire_collect(&list, UINT64_MAX, 100), 0);
    int second = reader_enter(&list);
    ck_assert_int_ne(slot, second);
    reader_leave(&list, slot);
    retire_one(&list, &freed);                   /* stamp 3 or more: blocked by second */
    ck_assert_uint_le(retire_collect(&list, UINT64_MAX, 100), 1);
    reader_leave(&list, second);
    while (retire_collect(&list, UINT64_MAX, 1)) { /* one at a time */
    }
    ck_assert_int_eq(freed, 3);
    retire_release(&list);
}
END_TEST

/* Who reads for long lets go of what came and went since it last looked. */
START_TEST(test_a_renewed_reader_holds_back_only_what_comes)
{
    struct retire_list list;
    int freed = 0;
    init_list(&list);
    int slot = reader_enter(&list);
    retire_one(&list, &freed);
    ck_assert_uint_eq(retire_collect(&list, UINT64_MAX, 100), 0); /* raises the epoch */
    reader_renew(&list, slot);
    retire_one(&list, &freed);
    ck_assert_uint_eq(retire_collect(&list, UINT64_MAX, 100), 1);
    ck_assert_uint_eq(retire_collect(&list, UINT64_MAX, 100), 0);
    reader_leave(&list, slot);
    ck_assert_uint_eq(retire_collect(&list, UINT64_MAX, 100), 1);
    ck_assert_int_eq(freed, 2);
    retire_release(&list);
}
END_TEST

static void free_called(void *ptr, void *arg)
{
    ck_assert_ptr_eq(ptr, arg);
    ++*(int *)ptr;
}

/* More than a block of the list holds, in and out in turns; bytes and items add up. */
START_TEST(test_bytes_and_order_across_blocks)
{
    enum { N = 3000 };
    struct retire_list list;
    int freed = 0, called = 0;
    size_t bytes = 0, n = 0, n_freed = 0;
    init_list(&list);
    for (size_t i = 0; i < N; i++) {
        if (i % 7 == 0) retire_call(&list, free_called, &called, &called, i);
        else retire_kind(&list, &freed, 1 + i % 2, i);
        bytes += i;
        if (i % 5 == 0) atomic_fetch_add(&list.epoch, i == 1000 ? UINT32_MAX + 5ull : 1);
        if (i % 100 != 99) continue;
        for (size_t k = retire_collect(&list, UINT64_MAX, 60); k > 0; k--) bytes -= n_freed++;
        n = i + 1 - n_freed;
        ck_assert_uint_eq(list.n_items, n);
        ck_assert_uint_eq(list.n_bytes, bytes);
    }
    ck_assert_uint_eq(n, N - N / 100 * 60);
    retire_release(&list);
    ck_assert_uint_eq(list.n_items, 0);
    ck_assert_uint_eq(list.n_bytes, 0);
    int want = 0, n_calls = 0;
    for (int i = 0; i < N; i++) {
        if (i % 7) want += 1 + i % 2;
        else n_calls++;
    }
    ck_assert_int_eq(freed, want);
    ck_assert_int_eq(called, n_calls);
}
END_TEST

/* The owner swaps a block and retires the old one, which is scribbled over when freed. */
enum { SWAPS = 3000, THREADS = 3 };
struct block {
    uint64_t a, b;
};
static struct retire_list shared;
static _Atomic(struct block *) current;
static _Atomic bool over;
static _Atomic int n_wrong;

static void free_block(void *ctx, unsigned kind, void *ptr)
{
    struct block *block = ptr;
    (void)ctx;
    (void)kind;
    block->b = block->a + 1;
    free(block);
}

static struct block *new_block(uint64_t v)
{
    struct block *block = calloc(1, sizeof(*block));
    block->a = block->b = v;
    return block;
}

static void read_blocks(void *ctx)
{
    (void)ctx;
    while (!atomic_load(&over)) {
        int slot = reader_enter(&shared);
        struct block *block = atomic_load_explicit(&current, memory_order_acquire);
        if (block->a != block->b) atomic_fetch_add(&n_wrong, 1);
        reader_leave(&shared, slot);
    }
}

START_TEST(test_readers_never_see_freed_memory)
{
    struct thread threads[THREADS];
    retire_init(&shared, free_block, NULL);
    atomic_store(&current, new_block(0));
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(thread_start(&threads[i], "reader", read_blocks, NULL, NULL), ST_OK);
    for (uint64_t i = 1; i <= SWAPS; i++) {
        struct block *old = atomic_exchange(&current, new_block(i));
        retire_push(&shared, 1, old, sizeof(*old));
        (void)retire_collect(&shared, UINT64_MAX, 100);
    }
    atomic_store(&over, true);
    for (int i = 0; i < THREADS; i++) thread_join(&threads[i]);
    ck_assert_int_eq(atomic_load(&n_wrong), 0);
    (void)retire_collect(&shared, UINT64_MAX, SIZE_MAX);
    ck_assert_uint_eq(shared.n_items, 0); /* nobody reads: nothing is held back */
    retire_release(&shared);
    free(atomic_load(&current));
}
END_TEST

Suite *suite_retire(void)
{
    Suite *s = suite_create("retire");
    TCase *tc = tcase_create("retire");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_views_block_what_was_retired_after_them);
    tcase_add_test(tc, test_readers_block_their_epoch_and_later_ones);
    tcase_add_test(tc, test_a_renewed_reader_holds_back_only_what_comes);
    tcase_add_test(tc, test_bytes_and_order_across_blocks);
    tcase_add_test(tc, test_readers_never_see_freed_memory);
    suite_add_tcase(s, tc);
    return s;
}
