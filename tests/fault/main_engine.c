/* The engine in a hostile world: power cuts, failing calls, no memory, racing readers. */
#include "tests/fault/fault_suites.h"

UNIT_MAIN(suite_crash, suite_bad_disk, suite_corrupt, suite_fault, suite_scenes,
          suite_view_exact)
