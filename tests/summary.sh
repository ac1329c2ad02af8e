#!/bin/sh
# Counts the cases of the last `make check` in a build folder, from the .trs files that
# automake's drivers leave, and ends with one line: N passed, N failed. Exit 1 when
# something failed or nothing ran.
#
#     tests/summary.sh [BUILD]
build=${1:-.}
find "$build/tests" -name '*.trs' -exec cat {} + | awk '
/^:test-result: *(PASS|XFAIL)/ { passed++ }
/^:test-result: *SKIP/ { skipped++; sub(/^[^ ]* *SKIP */, ""); print "skipped: " $0 }
/^:test-result: *(FAIL|XPASS|ERROR)/ { failed++; sub(/^:test-result: */, ""); print $0 }
END {
    printf "%d passed, %d failed\n", passed, failed
    exit failed > 0 || passed == 0
}'
