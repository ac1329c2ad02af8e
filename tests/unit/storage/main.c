/* The unit tests of the room storage. */
#include "tests/lib/mem_fault.h"
#include "tests/unit/storage/storage_suites.h"

int main(void)
{
    static const unit_suite suites[] = {suite_wal, suite_wal_replay, suite_segment,
                                        suite_golden_segment,
                                        suite_merge, suite_tombstone, suite_catalog,
                                        suite_registry_catalog, suite_payload_file,
                                        suite_storage_crash, suite_storage_memory};

    mem_fault_install();
    return unit_run(suites, sizeof(suites) / sizeof(suites[0]));
}
