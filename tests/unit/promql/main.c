/* Unit tests of the room promql. */
#include "tests/unit/promql/promql_suites.h"

UNIT_MAIN(suite_quote, suite_lexer, suite_parser, suite_typecheck, suite_printer, suite_plan)
