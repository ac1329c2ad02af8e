/* The suites of fault_engine; see main_engine.c. */
#ifndef TSINK_TESTS_FAULT_SUITES_H
#define TSINK_TESTS_FAULT_SUITES_H

#include "tests/unit/unit.h"

Suite *suite_corrupt(void);
Suite *suite_crash(void);
Suite *suite_fault(void);
Suite *suite_view_exact(void);

/* TSINK_ROUNDS, or so many. */
static inline long fault_rounds(long usual)
{
    const char *text = getenv("TSINK_ROUNDS");
    return text ? strtol(text, NULL, 10) : usual;
}

#endif
