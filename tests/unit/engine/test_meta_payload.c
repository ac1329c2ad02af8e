/* Goal: records come back as they were put, and no other bytes are taken for records.
 * Method: a payload of both kinds, read back; cut at every length and changed at every byte;
 * random bytes from a printed seed. */
#include "engine/meta_payload.h"
#include <math.h>
#include "base/rng.h"
#include "tests/unit/engine/engine_suites.h"

struct seen {
    char text[4096];
    size_t n;
    status give;
};

static status see_exemplar(void *ctx, series_id id, const struct exemplar *ex)
{
    struct seen *seen = ctx;
    struct arena arena;
    arena_init(&arena, NULL, 1024);
    struct labels set = exemplar_labels(ex->labels, &arena);
    seen->n++;
    size_t len = strlen(seen->text);
    snprintf(seen->text + len, sizeof(seen->text) - len, "%" PRIu64 "[%zu] %g@%" PRId64 "%s;", id,
             set.n, ex->value, ex->ts, ex->has_ts ? "" : "?");
    arena_release(&arena);
    return seen->give;
}

static status see_family(void *ctx, const struct metric_meta *meta)
{
    struct seen *seen = ctx;
    seen->n++;
    size_t len = strlen(seen->text);
    if (meta->help.len < 100)
        snprintf(seen->text + len, sizeof(seen->text) - len, SLICE_FMT " %s '" SLICE_FMT "';",
                 SLICE_ARG(meta->family), metric_type_name(meta->type), SLICE_ARG(meta->help));
    return seen->give;
}

static struct meta_taker taker(struct seen *seen)
{
    return (struct meta_taker){see_exemplar, see_family, seen};
}

static const uint8_t labels[] = "\x02\x01" "a\x01" "1\x02" "id\x03" "xyz";

static size_t put_some(uint8_t *dst)
{
    struct exemplar a = {.ts = 5, .value = 1.5, .has_ts = true,
                         .labels = slice_of(labels, sizeof(labels) - 1)};
    struct exemplar b = {.ts = INT64_MIN, .value = -INFINITY, .labels = {"\0", 1}};
    struct metric_meta m = {.family = SLICE_LIT("up"), .help = SLICE_LIT("Is it."),
                            .unit = SLICE_LIT(""), .type = METRIC_GAUGE};
    size_t n = meta_exemplar_put(dst, 7, &a);
    ck_assert_uint_le(n, meta_exemplar_bound(&a));
    size_t more = meta_family_put(dst + n, &m);
    ck_assert_uint_le(more, meta_family_bound(&m));
    n += more;
    return n + meta_exemplar_put(dst + n, UINT64_MAX, &b);
}

START_TEST(test_records_come_back)
{
    uint8_t bytes[256];
    struct seen seen = {.give = ST_OK};
    struct meta_taker t = taker(&seen);
    size_t n = put_some(bytes);
    ck_assert_int_eq(meta_payload_each(slice_of(bytes, n), &t), ST_OK);
    ck_assert_str_eq(seen.text, "7[2] 1.5@5;up gauge 'Is it.';"
                                "18446744073709551615[0] -inf@-9223372036854775808?;");
    ck_assert_int_eq(meta_payload_each(slice_of(bytes, 0), &t), ST_OK);
    /* Who takes nothing checks all the same; what a taker says ends the walk. */
    ck_assert_int_eq(meta_payload_each(slice_of(bytes, n), &(struct meta_taker){0}), ST_OK);
    ck_assert_int_eq(meta_payload_each(slice_of(bytes, n - 1), &(struct meta_taker){0}),
                     ST_CORRUPT);
    seen = (struct seen){.give = ST_NO_MEMORY};
    ck_assert_int_eq(meta_payload_each(slice_of(bytes, n), &t), ST_NO_MEMORY);
    ck_assert_uint_eq(seen.n, 1);
}
END_TEST

/* A copy at its exact length, for the sanitizer. */
static status read_exact(const uint8_t *src, size_t n, struct seen *seen)
{
    uint8_t *copy = malloc(n ? n : 1);
    struct meta_taker t = taker(seen);
    *seen = (struct seen){.give = ST_OK};
    if (n) memcpy(copy, src, n);
    status st = meta_payload_each(slice_of(copy, n), &t);
    free(copy);
    return st;
}

START_TEST(test_hostile_records)
{
    uint8_t bytes[256], bent[256];
    struct seen seen;
    size_t n = put_some(bytes);
    for (size_t cut = 1; cut < n; cut++) {
        status st = read_exact(bytes, cut, &seen);
        ck_assert(st == ST_CORRUPT || seen.n < 3);
    }
    for (size_t i = 0; i < n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(bent, bytes, n);
            bent[i] ^= (uint8_t)(1u << bit);
            status st = read_exact(bent, n, &seen);
            ck_assert(st == ST_OK || st == ST_CORRUPT);
        }
    }
    struct rng rng;
    rng_init(&rng, unit_seed());
    for (int i = 0; i < 50000; i++) {
        size_t len = rng_below(&rng, sizeof(bent));
        for (size_t k = 0; k < len; k++) bent[k] = (uint8_t)rng_below(&rng, k < 2 ? 3 : 256);
        (void)read_exact(bent, len, &seen);
    }
}
END_TEST

static const struct bad {
    const char *what;
    const char *bytes;
    size_t len;
} bads[] = {
    {"a kind that is not there", "\x03", 1},
    {"series 0", "\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0", 28},
    {"flags", "\x01\x02\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0", 28},
    {"labels that are none",
     "\x01\x01\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x05", 28},
    {"a type that is not there", "\x02\x08\x01" "a\0\0", 6},
    {"no family", "\x02\x01\0\0\0", 5},
    {"a family that is not UTF-8", "\x02\x01\x01\xff\0\0", 6},
    {"a text that ends early", "\x02\x01\x01" "a\x05" "abc", 8},
};

START_TEST(test_records_that_make_no_sense)
{
    struct seen seen;
    ck_assert_msg(read_exact((const uint8_t *)bads[_i].bytes, bads[_i].len, &seen) == ST_CORRUPT,
                  "%s", bads[_i].what);
}
END_TEST

Suite *suite_meta_payload(void)
{
    Suite *suite = suite_create("meta_payload");
    TCase *tc = tcase_create("meta_payload");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_records_come_back);
    tcase_add_test(tc, test_hostile_records);
    tcase_add_loop_test(tc, test_records_that_make_no_sense, 0, sizeof(bads) / sizeof(bads[0]));
    suite_add_tcase(suite, tc);
    return suite;
}
