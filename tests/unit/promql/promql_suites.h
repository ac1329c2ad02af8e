/* The suites of the front half: text to plan. main.c lists all of the room. */
#ifndef TSINK_TESTS_PROMQL_SUITES_H
#define TSINK_TESTS_PROMQL_SUITES_H

#include "tests/unit/unit.h"

Suite *suite_quote(void);
Suite *suite_lexer(void);
Suite *suite_parser(void);
Suite *suite_typecheck(void);
Suite *suite_printer(void);
Suite *suite_plan(void);

#endif
