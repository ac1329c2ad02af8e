/* Goal: what a reader makes of an identity is what the registry's own look-ups make of its
 * labels, whatever series came before; damaged bytes are refused exactly when
 * labels_from_identity() refuses them. Series added by pairs, in bulk and with threads, are
 * the ones that are added one by one. Method: random series over few names and values,
 * mutated bytes, and registry_check(). */
#include "index/pair_reader.h"

#include "index/registry_priv.h"
#include "tests/unit/index/index_fixture.h"
#include "tests/unit/index/index_suites.h"

static const char *const names[] = {"A",   "__aaa", "__zzz", "host", "hosting", "job",
                                    "mode", "zone", "h",     "node", "x"};

/* Few values of a name are common; some are of one series alone. */
static struct labels random_labels(struct index_fixture *fx, struct rng *rng, uint32_t unique)
{
    char text[1024];
    int len = 0;
    if (rng_below(rng, 8)) len = sprintf(text, "metric_%d", (int)rng_below(rng, 5));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (rng_below(rng, 3) == 0) continue;
        len += sprintf(text + len, "%s%s=%s%d", len ? "," : "", names[i], i % 2 ? "v" : "longer-",
                       (int)rng_below(rng, 4));
    }
    if (rng_below(rng, 3) == 0 || len == 0)
        len += sprintf(text + len, "%sunique=%u", len ? "," : "", unique);
    if (rng_below(rng, 16) == 0) sprintf(text + len, ",key:k%u", unique);
    return fixture_labels(fx, text);
}

static struct slice identity_of(struct labels labels)
{
    size_t len = labels_identity_len(labels);
    uint8_t *bytes = malloc(len ? len : 1); /* exact: a sanitizer sees what reads behind it */
    labels_identity(bytes, labels);
    return slice_of(bytes, len);
}

static uint32_t pair_of(const struct registry *reg, const struct label *label)
{
    uint32_t name = dict_find(reg->names, label->name);
    uint32_t value = dict_find(reg->values, label->value);
    if (name == DICT_NONE || value == DICT_NONE) return PAIR_UNKNOWN;
    return registry_pair(reg, name, value);
}

static void compare(const struct registry *reg, const struct pair_list *list,
                    struct labels labels)
{
    size_t n_unknown = 0;
    ck_assert_uint_eq(list->n, labels.n);
    for (size_t i = 0; i < labels.n; i++) {
        ck_assert_uint_eq(list->pairs[i], pair_of(reg, &labels.ptr[i]));
        if (list->pairs[i] != PAIR_UNKNOWN) continue;
        ck_assert_uint_lt(n_unknown, list->n_unknown);
        ck_assert(slice_eq(list->unknown[n_unknown].name, labels.ptr[i].name));
        ck_assert(slice_eq(list->unknown[n_unknown].value, labels.ptr[i].value));
        n_unknown++;
    }
    ck_assert_uint_eq(list->n_unknown, n_unknown);
}

START_TEST(test_pair_reader_knows_what_the_registry_knows)
{
    enum { SERIES = 3000 };
    static struct slice kept[SERIES];
    struct index_fixture fx;
    struct rng rng;
    fixture_init(&fx);
    rng_init(&rng, unit_seed());
    struct pair_reader *reader = pair_reader_new(fx.reg);
    ck_assert_ptr_nonnull(reader);
    for (uint32_t i = 0; i < SERIES; i++) {
        struct labels labels = random_labels(&fx, &rng, i);
        struct pair_list list;
        kept[i] = identity_of(labels);
        ck_assert_int_eq(pair_reader_read(&list, reader, kept[i]), ST_OK);
        ck_assert_int_eq(list.keyed, labels_get(labels, slice_str(LABEL_KEY)).len > 0);
        if (!list.keyed) compare(fx.reg, &list, labels);
        /* One of two is known to the registry afterwards. */
        if (i % 2 && fixture_find(&fx, labels) == ORDINAL_NONE)
            (void)fixture_add_labels(&fx, labels);
        arena_reset(&fx.arena);
    }
    pair_reader_free(reader);
    for (size_t i = 0; i < SERIES; i++) free((void *)(uintptr_t)kept[i].ptr);
    fixture_release(&fx);
}
END_TEST

static void mutate(struct rng *rng, uint8_t *bytes, size_t *len)
{
    static const uint8_t bad[] = {0, 1, 0x7f, 0x80, 0xff};
    size_t at = rng_below(rng, *len);
    switch (rng_below(rng, 4)) {
    case 0: bytes[at] = bad[rng_below(rng, sizeof(bad))]; break;
    case 1: bytes[at] = (uint8_t)rng_next(rng); break;
    case 2: bytes[at]++; break;
    default: *len = at; break;
    }
}

START_TEST(test_pair_reader_refuses_what_is_no_identity)
{
    enum { SERIES = 4000 };
    static struct slice kept[SERIES];
    struct index_fixture fx;
    struct rng rng;
    size_t n_bad = 0, n_good = 0;
    fixture_init(&fx);
    rng_init(&rng, unit_seed());
    struct pair_reader *reader = pair_reader_new(fx.reg);
    for (uint32_t i = 0; i < SERIES; i++) {
        struct labels labels = random_labels(&fx, &rng, 7), read;
        struct pair_list list;
        if (i % 8 == 0 && fixture_find(&fx, labels) == ORDINAL_NONE &&
            registry_by_key(fx.reg, SLICE_LIT(""), SLICE_LIT("k7")) == ORDINAL_NONE)
            (void)fixture_add_labels(&fx, labels);
        kept[i] = identity_of(labels);
        if (i % 2) mutate(&rng, (uint8_t *)(uintptr_t)kept[i].ptr, &kept[i].len);
        status want = labels_from_identity(&read, &fx.arena, kept[i]);
        status st = pair_reader_read(&list, reader, kept[i]);
        ck_assert_msg(st == want, "series %u: %s, not %s", i, status_name(st), status_name(want));
        if (st == ST_OK && !list.keyed) compare(fx.reg, &list, read);
        n_bad += st != ST_OK;
        n_good += st == ST_OK;
        arena_reset(&fx.arena);
    }
    ck_assert_uint_gt(n_bad, SERIES / 20);
    ck_assert_uint_gt(n_good, SERIES / 2);
    pair_reader_free(reader);
    for (size_t i = 0; i < SERIES; i++) free((void *)(uintptr_t)kept[i].ptr);
    fixture_release(&fx);
}
END_TEST

/* Spellings of series i of the test below: some lists are long, some short, one has all. */
static struct labels bulk_labels(struct index_fixture *fx, uint32_t i)
{
    char text[96];
    sprintf(text, "m%u,all=yes,few=%u,some=%u,own=%u", i % 3, i / 2, i % 50, i);
    return fixture_labels(fx, text);
}

static void add_by_pairs(struct index_fixture *fx, struct pair_reader *reader, uint32_t i)
{
    struct labels labels = bulk_labels(fx, i);
    size_t len = labels_identity_len(labels);
    uint8_t *bytes = arena_try(&fx->arena, len);
    uint32_t ordinal;
    struct pair_list list;
    labels_identity(bytes, labels);
    struct slice identity = slice_of(bytes, len);
    ck_assert_int_eq(pair_reader_read(&list, reader, identity), ST_OK);
    struct series_new make = {.identity = identity,
                              .hash = hash128(bytes, len),
                              .place = labels_place(labels, identity),
                              .id = i + 1,
                              .type = VALUE_F64};
    ck_assert_int_eq(registry_add_pairs(&ordinal, fx->reg, &make, &list), ST_OK);
    ck_assert_uint_eq(ordinal, i);
}

/* A third is there before, then come more, some of which die, and at the end all are in
 * their lists. */
START_TEST(test_bulk_makes_the_same_registry)
{
    enum { BEFORE = 5000, SERIES = 15000 };
    static const unsigned n_threads[] = {1, 3, 64};
    struct index_fixture fx;
    struct err err = {.st = ST_OK};
    fixture_init(&fx);
    struct pair_reader *reader = pair_reader_new(fx.reg);
    for (uint32_t i = 0; i < BEFORE; i++) (void)fixture_add_labels(&fx, bulk_labels(&fx, i));
    registry_bulk_begin(fx.reg);
    for (uint32_t i = BEFORE; i < SERIES; i++) add_by_pairs(&fx, reader, i);
    for (uint32_t i = 100; i < SERIES; i += 1000) registry_remove(fx.reg, i);
    ck_assert_int_eq(registry_bulk_end(fx.reg, n_threads[_i]), ST_OK);
    ck_assert_msg(registry_check(fx.reg, &err) == ST_OK, "%s", err.text);
    for (uint32_t i = 0; i < SERIES; i++) {
        struct labels labels = bulk_labels(&fx, i), back;
        bool dead = i % 1000 == 100;
        ck_assert_uint_eq(fixture_find(&fx, labels), dead ? ORDINAL_NONE : i);
        back = registry_labels(fx.reg, i, &fx.arena);
        ck_assert(dead || labels_eq(labels, back));
        if (i % 64 == 0) arena_reset(&fx.arena);
    }
    /* From here on all is as ever: births, folds, purges. */
    for (uint32_t i = SERIES; i < SERIES + 100; i++)
        (void)fixture_add_labels(&fx, bulk_labels(&fx, i));
    fixture_fold(&fx);
    while (fixture_purge(&fx)) fixture_grace(&fx);
    ck_assert_msg(registry_check(fx.reg, &err) == ST_OK, "%s", err.text);
    pair_reader_free(reader);
    fixture_release(&fx);
}
END_TEST

Suite *suite_pair_reader(void)
{
    Suite *suite = suite_create("pair_reader");
    TCase *tc = tcase_create("pair_reader");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_pair_reader_knows_what_the_registry_knows);
    tcase_add_test(tc, test_pair_reader_refuses_what_is_no_identity);
    tcase_add_loop_test(tc, test_bulk_makes_the_same_registry, 0, 3);
    suite_add_tcase(suite, tc);
    return suite;
}
