/* Unit tests of src/server. */
#include "tests/unit/server/server_suites.h"

UNIT_MAIN(suite_config, suite_config_file, suite_metrics)
