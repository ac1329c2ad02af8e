/* The suites of fault_engine; see main_engine.c. */
#ifndef TSINK_TESTS_FAULT_SUITES_H
#define TSINK_TESTS_FAULT_SUITES_H

#include "tests/unit/unit.h"

Suite *suite_bad_disk(void);
Suite *suite_corrupt(void);
Suite *suite_crash(void);
Suite *suite_fault(void);
Suite *suite_scenes(void);
Suite *suite_view_exact(void);

/* TSINK_ROUNDS, or so many: usually, with TSINK_LONG=1. */
static inline long fault_rounds(long usual, long in_long)
{
    const char *text = getenv("TSINK_ROUNDS");
    if (text) return strtol(text, NULL, 10);
    return getenv("TSINK_LONG") ? in_long : usual;
}

#endif
