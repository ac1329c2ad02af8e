#include "tests/fault/fault_suites.h"
Suite *suite_fault(void) { return suite_create("fault"); }
