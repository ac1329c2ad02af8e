/* Unit tests of room engine. */
#include "tests/unit/engine/engine_suites.h"

UNIT_MAIN(suite_db, suite_history)
