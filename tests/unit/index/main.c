/* The unit tests of src/index. */
#include "tests/unit/index/index_suites.h"

UNIT_MAIN(suite_dict, suite_identity, suite_pair_reader, suite_postings, suite_registry,
          suite_resolve, suite_label_scan, suite_registry_file, suite_registry_starts,
          suite_index_faults, suite_index_threads)
