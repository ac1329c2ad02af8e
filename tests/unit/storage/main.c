/* The unit tests of the room storage. */
#include "tests/unit/unit.h"

Suite *suite_wal(void);

UNIT_MAIN(suite_wal)
