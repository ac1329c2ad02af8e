/* Goal: readers on other threads see every series born before the count they loaded,
 * and nothing that is not theirs, while the owner adds, removes, folds and purges.
 * Method: one owner, two resolving readers and one that probes identities, each
 * registered by a counter so that retired memory is freed as soon as no reader that
 * saw it is left; under the thread sanitizer the same code shows every race.
 *
 * Series i has the labels all=1, mod=<i % 7>, own=<i>; odd series never die. A reader
 * that resolves {mod="k"} must find every odd i = k (mod 7) below its births. */
#include <stdatomic.h>

#include "base/thread.h"
#include "tests/unit/index/index_fixture.h"
#include "tests/unit/index/index_suites.h"

enum { SERIES = 12000, READERS = 3, MODS = 7, GRACE_EVERY = 200 };

/* A reader's registration: the epoch it began in, 0 when idle (architecture 7). */
static _Atomic uint64_t epochs[READERS];
static _Atomic uint64_t epoch = 1;
static _Atomic bool stop;
static _Atomic uint64_t n_found, n_rounds;

static void reader_enter(size_t me)
{
    atomic_store(&epochs[me], atomic_load(&epoch));
    atomic_thread_fence(memory_order_seq_cst);
}

static void reader_leave(size_t me)
{
    atomic_store_explicit(&epochs[me], 0, memory_order_release);
}

struct waiting {
    struct retired what;
    uint64_t epoch;
};

static struct waiting *queue;
static size_t n_queue, cap_queue;

static void retire(void *ctx, void (*free_fn)(void *, void *), void *ptr, void *arg,
                   size_t bytes)
{
    (void)ctx;
    if (n_queue == cap_queue) {
        cap_queue = cap_queue ? cap_queue * 2 : 64;
        queue = realloc(queue, cap_queue * sizeof(*queue));
    }
    queue[n_queue++] = (struct waiting){{free_fn, ptr, arg, bytes}, atomic_load(&epoch)};
}

/* Frees what was retired before the oldest reader entered. */
static void grace(void)
{
    uint64_t oldest = atomic_fetch_add(&epoch, 1) + 1;
    atomic_thread_fence(memory_order_seq_cst);
    for (size_t i = 0; i < READERS; i++) {
        uint64_t at = atomic_load_explicit(&epochs[i], memory_order_acquire);
        if (at && at < oldest) oldest = at;
    }
    size_t n = 0;
    for (; n < n_queue && queue[n].epoch < oldest; n++) {
        queue[n].what.free_fn(queue[n].what.ptr, queue[n].what.arg);
    }
    /* Freeing may retire more; it is behind what was there. */
    if (n) memmove(queue, queue + n, (n_queue - n) * sizeof(*queue));
    n_queue -= n;
}

struct reader {
    const struct registry *reg;
    size_t me;
};

static uint64_t number_of(const struct registry *reg, uint32_t ordinal)
{
    struct slice own = registry_label(reg, ordinal, SLICE_LIT("own"));
    char text[32] = "";
    memcpy(text, own.ptr, own.len < 31 ? own.len : 31);
    return strtoull(text, NULL, 10);
}

/* Births are in order of number, so birth b is series b. */
static void resolve_once(const struct reader *rd, unsigned mod, const char *spelling, bool *seen)
{
    struct matcher m;
    char value[8];
    snprintf(value, sizeof(value), spelling, mod);
    bool regex = strchr(spelling, '[') != NULL;
    status st = matcher_init(&m, regex ? MATCH_RE : MATCH_EQ, SLICE_LIT("mod"),
                             slice_str(value), NULL);
    ck_assert_int_eq(st, ST_OK);
    struct resolve_args args = {.matchers = {&m, 1}};
    struct ordinals got = {.ptr = NULL};
    memset(seen, 0, SERIES);

    reader_enter(rd->me);
    st = resolve(&got, rd->reg, &args, NULL);
    ck_assert_int_eq(st, ST_OK);
    for (size_t i = 0; i < got.n; i++) {
        uint64_t number = number_of(rd->reg, got.ptr[i]);
        ck_assert_uint_lt(number, SERIES);
        ck_assert_uint_eq(number % MODS, mod);
        seen[number] = true;
    }
    reader_leave(rd->me);
    for (uint64_t i = mod; i < got.n_births; i += MODS) {
        if (i % 2) ck_assert_msg(seen[i], "series %" PRIu64 " of %" PRIu64, i, got.n_births);
    }
    atomic_fetch_add(&n_found, got.n);
    atomic_fetch_add(&n_rounds, 1);
    ordinals_release(&got);
    matcher_release(&m);
}

static void read_main(void *ctx)
{
    const struct reader *rd = ctx;
    bool *seen = malloc(SERIES);
    for (unsigned round = (unsigned)rd->me; !atomic_load(&stop); round++) {
        resolve_once(rd, round % MODS, round % 3 ? "%u" : "[%u]", seen);
    }
    resolve_once(rd, 3, "%u", seen); /* at least one with everything there */
    free(seen);
}

static struct hash128 name_hash(uint64_t i)
{
    return hash128(&i, sizeof(i));
}

/* Probes the learnt names: what is found is a series that was there. */
static void probe_main(void *ctx)
{
    const struct reader *rd = ctx;
    struct rng rng;
    rng_init(&rng, 5);
    uint64_t n_hits = 0;
    while (!atomic_load(&stop)) {
        uint32_t ordinal, gen;
        reader_enter(rd->me);
        uint64_t n_births = registry_n_births(rd->reg);
        uint64_t i = n_births ? rng_below(&rng, n_births) : 0;
        bool hit = identity_get(registry_identity(rd->reg), name_hash(i), &ordinal, &gen);
        if (n_births > 1 && i % 2) ck_assert_msg(hit, "series %" PRIu64, i);
        if (hit && i % 2) ck_assert_uint_eq(number_of(rd->reg, ordinal), i);
        reader_leave(rd->me);
        n_hits += hit;
    }
    atomic_fetch_add(&n_found, n_hits);
}

static void own(struct index_fixture *fx)
{
    static uint32_t ordinals[SERIES];
    for (uint32_t i = 0; i < SERIES; i++) {
        char text[64];
        snprintf(text, sizeof(text), "all=1,mod=%u,own=%u", i % MODS, i);
        struct labels labels = fixture_labels(fx, text);
        size_t len = labels_identity_len(labels);
        uint8_t *identity = arena_try(&fx->arena, len);
        labels_identity(identity, labels);
        /* The name is learnt first under the ordinal to come: the births a probe has
         * loaded must all be in the table. */
        struct series_new make = {.labels = labels, .identity = slice_of(identity, len),
                                  .hash = name_hash(i), .place = i, .type = VALUE_F64};
        ck_assert_int_eq(registry_add(&ordinals[i], fx->reg, &make), ST_OK);
        arena_reset(&fx->arena);
        if (i % 2 == 0 && i >= 1000) registry_remove(fx->reg, ordinals[i - 1000]);
        if (i % 50 == 0) {
            while (registry_rebuild_due(fx->reg)) {
                struct registry_rebuild *rb = registry_rebuild_plan(fx->reg);
                registry_rebuild_publish(fx->reg, rb, registry_rebuild_run(rb, NULL));
            }
        }
        if (i % 600 == 599) (void)fixture_purge(fx); /* maybe nothing to do */
        if (i % GRACE_EVERY == 0) grace();
    }
}

START_TEST(test_readers_see_every_birth_they_loaded)
{
    struct index_fixture fx;
    struct thread threads[READERS] = {{.started = false}};
    struct reader readers[READERS];
    fixture_init(&fx);
    registry_free(fx.reg);
    fx.rc = (struct reclaim){retire, NULL};
    fx.reg = registry_new(&fx.account, &fx.rc);

    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){fx.reg, i};
        ck_assert_int_eq(thread_start(&threads[i], "reader", i < 2 ? read_main : probe_main,
                                      &readers[i], NULL), ST_OK);
    }
    own(&fx);
    atomic_store(&stop, true);
    for (size_t i = 0; i < READERS; i++) thread_join(&threads[i]);
    printf("# %" PRIu64 " resolutions, %" PRIu64 " found\n", atomic_load(&n_rounds),
           atomic_load(&n_found));
    ck_assert_uint_gt(atomic_load(&n_found), 0);

    grace();
    while (n_queue) grace();
    ck_assert_uint_eq(registry_n_births(fx.reg), SERIES);
    registry_free(fx.reg);
    ck_assert_uint_eq(account_used(&fx.account), 0);
    arena_release(&fx.arena);
    free(queue);
}
END_TEST

Suite *suite_index_threads(void)
{
    Suite *suite = suite_create("index_threads");
    TCase *tc = tcase_create("index_threads");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_readers_see_every_birth_they_loaded);
    suite_add_tcase(suite, tc);
    return suite;
}
