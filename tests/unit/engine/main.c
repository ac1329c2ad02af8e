/* Unit tests of room engine. */
#include "tests/unit/engine/engine_suites.h"

UNIT_MAIN(suite_db, suite_flush, suite_history, suite_write)
