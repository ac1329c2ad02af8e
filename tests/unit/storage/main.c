/* The unit tests of the room storage. */
#include "tests/unit/storage/storage_suites.h"

UNIT_MAIN(suite_wal, suite_wal_replay)
