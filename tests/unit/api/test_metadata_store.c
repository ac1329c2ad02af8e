/* Goal: the store keeps the newest word about each family, in order, and stays bounded.
 * Method: puts in any order against what each() then says; the limits; refused memory. */
#include "api/metadata_store.h"
#include "tests/lib/mem_fault.h"
#include "tests/unit/api/api_suites.h"

static struct metric_meta meta(const char *family, enum metric_type type, const char *help,
                               const char *unit)
{
    return (struct metric_meta){.family = slice_str(family),
                                .type = type,
                                .help = slice_str(help),
                                .unit = slice_str(unit)};
}

static void put_line(void *ctx, const struct metric_meta *m)
{
    char *text = ctx;
    size_t len = strlen(text);

    snprintf(text + len, 1024 - len, SLICE_FMT ":%s:" SLICE_FMT ":" SLICE_FMT ";",
             SLICE_ARG(m->family), metric_type_name(m->type), SLICE_ARG(m->help),
             SLICE_ARG(m->unit));
}

static void assert_says(struct metadata_store *store, const char *want)
{
    char text[1024] = "";

    metadata_store_each(store, put_line, text);
    ck_assert_str_eq(text, want);
}

START_TEST(test_metadata_store_newest_word_in_order)
{
    struct metadata_store *store = metadata_store_new();
    char family[] = "up", help[] = "Is it.";
    struct metric_meta m = meta(family, METRIC_GAUGE, help, "");

    assert_says(store, "");
    metadata_store_put(store, &m);
    memset(family, 'x', 2); /* texts are copied */
    memset(help, 'x', 2);
    m = meta("a_total", METRIC_COUNTER, "", "");
    metadata_store_put(store, &m);
    m = meta("zz", METRIC_HISTOGRAM, "h", "seconds");
    metadata_store_put(store, &m);
    assert_says(store, "a_total:counter::;up:gauge:Is it.:;zz:histogram:h:seconds;");
    metadata_store_put(store, &m); /* the same again */
    m = meta("up", METRIC_GAUGE, "A longer text than before.", "bytes");
    metadata_store_put(store, &m);
    assert_says(store, "a_total:counter::;up:gauge:A longer text than before.:bytes;"
                       "zz:histogram:h:seconds;");
    m = meta("up", METRIC_UNKNOWN, "", "");
    metadata_store_put(store, &m);
    assert_says(store, "a_total:counter::;up:unknown::;zz:histogram:h:seconds;");
    metadata_store_free(store);
    metadata_store_free(NULL);
}
END_TEST

struct lengths {
    size_t n, help_max;
};

static void measure(void *ctx, const struct metric_meta *m)
{
    struct lengths *lengths = ctx;

    lengths->n++;
    if (m->help.len > lengths->help_max) lengths->help_max = m->help.len;
}

START_TEST(test_metadata_store_is_bounded)
{
    struct metadata_store *store = metadata_store_new();
    struct lengths lengths = {0, 0};
    char name[32], *longest = calloc(1, METADATA_TEXT_MAX + 2);

    memset(longest, 'h', METADATA_TEXT_MAX + 1);
    struct metric_meta m = meta("", METRIC_GAUGE, "no family", "");
    metadata_store_put(store, &m);
    m = meta(longest, METRIC_GAUGE, "too long a family", "");
    metadata_store_put(store, &m);
    metadata_store_each(store, measure, &lengths);
    ck_assert_uint_eq(lengths.n, 0);
    m = meta("a", METRIC_GAUGE, longest, longest);
    metadata_store_put(store, &m);
    for (int i = 0; i < METADATA_FAMILIES_MAX + 10; i++) {
        snprintf(name, sizeof(name), "m%08d", i); /* ascending: inserts move nothing */
        m = meta(name, METRIC_GAUGE, "", "");
        metadata_store_put(store, &m);
    }
    metadata_store_each(store, measure, &lengths);
    ck_assert_uint_eq(lengths.n, METADATA_FAMILIES_MAX);
    ck_assert_uint_eq(lengths.help_max, METADATA_TEXT_MAX);
    free(longest);
    metadata_store_free(store);
}
END_TEST

START_TEST(test_metadata_store_lives_without_memory)
{
    struct metric_meta old = meta("up", METRIC_GAUGE, "old", "");
    struct metric_meta newer = meta("up", METRIC_GAUGE, "new", "");
    struct metric_meta other = meta("other", METRIC_GAUGE, "", "");

    mem_fault_install();
    int64_t live = mem_fault_live();
    for (uint64_t n = 1;; n++) {
        struct metadata_store *store = metadata_store_new();
        metadata_store_put(store, &old);
        mem_fault_arm(n, 1);
        metadata_store_put(store, &newer);
        metadata_store_put(store, &other);
        bool hit = mem_fault_disarm() > 0;
        if (n == 1) assert_says(store, "other:gauge::;up:gauge:old:;");
        if (n == 2) assert_says(store, "up:gauge:new:;");
        metadata_store_free(store);
        ck_assert_int_eq(mem_fault_live(), live);
        if (!hit) break;
        ck_assert_uint_lt(n, 10);
    }
    mem_fault_arm(1, 0);
    ck_assert_ptr_null(metadata_store_new());
    mem_fault_disarm();
}
END_TEST

Suite *suite_metadata_store(void)
{
    Suite *suite = suite_create("metadata_store");
    TCase *tcase = tcase_create("store");

    tcase_add_test(tcase, test_metadata_store_newest_word_in_order);
    tcase_add_test(tcase, test_metadata_store_is_bounded);
    tcase_add_test(tcase, test_metadata_store_lives_without_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}
