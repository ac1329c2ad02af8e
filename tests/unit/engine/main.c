/* Unit tests of room engine. */
#include "tests/unit/unit.h"

Suite *suite_db(void);

UNIT_MAIN(suite_db)
