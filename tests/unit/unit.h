/* One program a room: its main.c names the suites.
 *
 *     UNIT_MAIN(suite_arena, suite_vfs)
 *
 * Each test_<file>.c defines `Suite *suite_<file>(void)`. UNIT_ONLY=<suite name> in
 * the environment runs one suite; TSINK_SEED sets the seed of random tests. */
#ifndef TSINK_TESTS_UNIT_H
#define TSINK_TESTS_UNIT_H

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef Suite *(*unit_suite)(void);

/* The seed of this run, printed once: a failing random test is repeated with
 * TSINK_SEED=<it>. */
static inline uint64_t unit_seed(void)
{
    const char *text = getenv("TSINK_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 20260101;
    printf("# TSINK_SEED=%" PRIu64 "\n", seed);
    return seed;
}

static inline int unit_run(const unit_suite *suites, size_t n)
{
    SRunner *runner = srunner_create(NULL);
    for (size_t i = 0; i < n; i++) srunner_add_suite(runner, suites[i]());
    if (getenv("UNIT_TAP")) srunner_set_tap(runner, "-");
    srunner_run(runner, getenv("UNIT_ONLY"), NULL, getenv("UNIT_TAP") ? CK_SILENT : CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#define UNIT_MAIN(...)                                                                         \
    int main(void)                                                                             \
    {                                                                                          \
        static const unit_suite suites[] = {__VA_ARGS__};                                      \
        return unit_run(suites, sizeof(suites) / sizeof(suites[0]));                           \
    }

#endif
