/* Goal: a hash gives the pair that was put last, until it is removed; stale entries
 * give way when the table moves; memory refused changes nothing. Method: random
 * histories against a plain array, with the check after each thousand steps. */
#include "index/identity.h"

#include "base/rng.h"
#include "base/thread.h"
#include "tests/unit/index/index_fixture.h"
#include "tests/unit/index/index_suites.h"

static void drop_now(void *ctx, void (*free_fn)(void *, void *), void *ptr, void *arg,
                     size_t bytes)
{
    (void)ctx;
    (void)bytes;
    free_fn(ptr, arg);
}

static const struct reclaim drop = {drop_now, NULL};

/* gens[ordinal] is the generation that lives. */
static bool gen_stale(const void *ctx, uint32_t ordinal, uint32_t gen)
{
    return ((const uint32_t *)ctx)[ordinal] != gen;
}

static struct hash128 hash_of(uint64_t key)
{
    return hash128(&key, sizeof(key));
}

static void check_ok(const struct identity *table)
{
    struct err err = {.st = ST_OK};
    status st = identity_check(table, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
}

START_TEST(test_identity_random_history)
{
    enum { KEYS = 6000, STEPS = 60000 };
    static uint32_t gens[KEYS], ordinals[KEYS]; /* ordinal 0: not there */
    static uint32_t live[KEYS + 1];
    struct account account;
    struct rng rng;
    account_init(&account, "identity", NULL, 0);
    rng_init(&rng, unit_seed());
    struct identity *table = identity_new(&account, &drop, gen_stale, live);
    for (size_t i = 0; i <= KEYS; i++) live[i] = 1;
    memset(ordinals, 0, sizeof(ordinals));

    for (size_t step = 0; step < STEPS; step++) {
        size_t key = rng_below(&rng, KEYS);
        uint32_t ordinal = 1 + (uint32_t)rng_below(&rng, KEYS), gen;
        if (rng_below(&rng, 4) == 0) {
            identity_remove(table, hash_of(key));
            ordinals[key] = 0;
        } else {
            ck_assert(identity_put(table, hash_of(key), ordinal, live[ordinal]));
            ordinals[key] = ordinal;
            gens[key] = live[ordinal];
        }
        size_t look = rng_below(&rng, KEYS);
        bool found = identity_get(table, hash_of(look), &ordinal, &gen);
        ck_assert_msg(found == (ordinals[look] != 0), "step %zu key %zu", step, look);
        if (found) ck_assert(ordinal == ordinals[look] && gen == gens[look]);
        if (step % 1000 == 0) check_ok(table);
    }
    identity_free(table);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

START_TEST(test_identity_drops_the_stale_when_it_moves)
{
    enum { ROUNDS = 60, KEYS = 1000 };
    static uint32_t live[KEYS];
    struct account account;
    account_init(&account, "identity", NULL, 0);
    struct identity *table = identity_new(&account, &drop, gen_stale, live);
    size_t most = 0;

    /* Each round's names replace the last one's: 60,000 puts, 1,000 alive. */
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        for (uint32_t i = 0; i < KEYS; i++) {
            live[i] = round;
            ck_assert(identity_put(table, hash_of((uint64_t)round * KEYS + i), i, round));
        }
        if (identity_len(table) > most) most = identity_len(table);
        for (uint32_t i = 0; i < KEYS; i++) {
            uint32_t ordinal, gen;
            bool hit = identity_get(table, hash_of((uint64_t)round * KEYS + i), &ordinal, &gen);
            if (!hit || ordinal != i || gen != round) ck_abort_msg("round %u, key %u", round, i);
        }
        check_ok(table);
    }
    ck_assert_msg(most < 16 * KEYS, "%zu entries for %d alive", most, KEYS);
    ck_assert_uint_lt(account_used(&account), 64 * 16 * KEYS);
    identity_free(table);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

START_TEST(test_identity_comes_to_rest_without_puts)
{
    enum { KEYS = 20000 };
    static uint32_t live[1];
    struct account account;
    account_init(&account, "identity", NULL, 0);
    struct identity *table = identity_new(&account, &drop, gen_stale, live);
    uint32_t ordinal, gen;
    uint64_t two = 0, one = 0;

    identity_move(table); /* nothing to do */
    /* Until a put has just begun a move: then both tables are charged. */
    for (uint64_t key = 0; key < KEYS; key++) {
        uint64_t before = account_used(&account);
        ck_assert(identity_put(table, hash_of(key), 0, 0));
        if (account_used(&account) > before && key > KEYS / 2) {
            two = account_used(&account);
            break;
        }
    }
    ck_assert_uint_ne(two, 0);
    size_t n = identity_len(table);
    for (size_t i = 0; i < KEYS; i++) {
        identity_move(table);
        if (i % 16 == 0) check_ok(table);
    }
    one = account_used(&account);
    ck_assert_uint_lt(one, two); /* the old one is gone */
    ck_assert_uint_eq(identity_len(table), n);
    for (uint64_t key = 0; key < n; key++)
        ck_assert(identity_get(table, hash_of(key), &ordinal, &gen));
    ck_assert(!identity_get(table, hash_of(n), &ordinal, &gen));
    identity_free(table);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

START_TEST(test_identity_several_names_for_one_series)
{
    static uint32_t live[10] = {0, 0, 0, 0, 0, 0, 0, 9};
    struct account account;
    account_init(&account, "identity", NULL, 0);
    struct identity *table = identity_new(&account, &drop, gen_stale, live);
    uint32_t ordinal, gen;

    ck_assert(!identity_get(table, hash_of(1), &ordinal, &gen));
    identity_remove(table, hash_of(1));
    identity_prefetch(table, hash_of(1));
    for (uint64_t key = 1; key <= 5; key++) ck_assert(identity_put(table, hash_of(key), 7, 9));
    for (uint64_t key = 1; key <= 5; key++) {
        ck_assert(identity_get(table, hash_of(key), &ordinal, &gen));
        ck_assert(ordinal == 7 && gen == 9);
    }
    size_t n = identity_len(table);
    ck_assert(identity_put(table, hash_of(3), 7, 9)); /* nothing new */
    ck_assert_uint_eq(identity_len(table), n);
    /* A hash of all zeroes is a hash like others. */
    struct hash128 zero = {0, 0};
    ck_assert(!identity_get(table, zero, &ordinal, &gen));
    ck_assert(identity_put(table, zero, 7, 9));
    ck_assert(identity_get(table, zero, &ordinal, &gen));
    identity_free(table);
}
END_TEST

START_TEST(test_identity_refused_memory_changes_nothing)
{
    static uint32_t live[4096];
    struct account account;
    account_init(&account, "identity", NULL, 40000);
    struct identity *table = identity_new(&account, &drop, gen_stale, live);
    uint64_t n = 0;
    uint32_t ordinal, gen;

    while (identity_put(table, hash_of(n), 0, 0)) n++;
    ck_assert_uint_gt(n, 100);
    ck_assert(!identity_get(table, hash_of(n), &ordinal, &gen));
    ck_assert(identity_get(table, hash_of(n - 1), &ordinal, &gen));
    ck_assert(!identity_reserve(table, 100000));
    check_ok(table);
    atomic_store(&account.limit, 0);
    ck_assert(identity_reserve(table, 100000));
    for (uint64_t i = 0; i <= n; i++) ck_assert(identity_put(table, hash_of(i), 1, 0));
    check_ok(table);
    identity_free(table);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

struct filler {
    struct identity *table;
    uint32_t from, to;
    uint32_t n_in;
};

static void run_filler(void *ctx)
{
    struct filler *filler = ctx;
    for (uint32_t i = filler->from; i < filler->to; i++)
        filler->n_in += identity_fill(filler->table, hash_of(i), i, i + 1);
}

/* Ranges that overlap: of each key one thread brings in one. */
START_TEST(test_identity_is_filled_by_several_threads)
{
    enum { KEYS = 40000, N = 4, OVERLAP = 500 };
    struct filler fillers[N];
    struct account account;
    uint32_t n_in = 0, ordinal, gen;
    account_init(&account, "identity", NULL, 0);
    static uint32_t live[KEYS];
    for (uint32_t i = 0; i < KEYS; i++) live[i] = i + 1;
    struct identity *table = identity_new(&account, &drop, gen_stale, live);
    ck_assert(identity_reserve(table, KEYS));
    for (uint32_t i = 0; i < N; i++) {
        uint32_t from = i * (KEYS / N);
        fillers[i] = (struct filler){
            .table = table, .from = i ? from - OVERLAP : 0, .to = from + KEYS / N};
    }
    threads_together("fill", run_filler, fillers, sizeof(fillers[0]), N);
    for (size_t i = 0; i < N; i++) n_in += fillers[i].n_in;
    identity_filled(table, n_in);
    ck_assert_uint_eq(n_in, KEYS);
    ck_assert_uint_eq(identity_len(table), KEYS);
    check_ok(table);
    for (uint32_t i = 0; i < KEYS; i++) {
        ck_assert(identity_get(table, hash_of(i), &ordinal, &gen));
        ck_assert(ordinal == i && gen == i + 1);
    }
    for (uint32_t i = KEYS; i < 2 * KEYS; i++)
        ck_assert(!identity_get(table, hash_of(i), &ordinal, &gen));
    for (uint32_t i = 0; i < KEYS; i++) /* grows as ever */
        ck_assert(identity_put(table, hash_of(KEYS + i), i, i + 1));
    check_ok(table);
    identity_free(table);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

Suite *suite_identity(void)
{
    Suite *suite = suite_create("identity");
    TCase *tc = tcase_create("identity");
    tcase_add_test(tc, test_identity_random_history);
    tcase_add_test(tc, test_identity_drops_the_stale_when_it_moves);
    tcase_add_test(tc, test_identity_is_filled_by_several_threads);
    tcase_add_test(tc, test_identity_comes_to_rest_without_puts);
    tcase_add_test(tc, test_identity_several_names_for_one_series);
    tcase_add_test(tc, test_identity_refused_memory_changes_nothing);
    suite_add_tcase(suite, tc);
    return suite;
}
