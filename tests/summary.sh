#!/bin/sh
# Counts the cases of the last `make check` in a build folder, from the .trs files that
# automake's drivers leave, and ends with one line: N passed, N failed. Exit 1 when
# something failed or nothing ran.
#
#     tests/summary.sh [BUILD]
build=${1:-.}
find "$build/tests" -name '*.trs' | LC_ALL=C sort | xargs awk '
FNR == 1 { test = FILENAME; sub(/^.*\/tests\//, "tests/", test); sub(/\.trs$/, "", test) }
/^:test-result: *(PASS|XFAIL)/ { passed++ }
/^:test-result: *SKIP/ { skipped[test]++ }
/^:test-result: *(FAIL|XPASS|ERROR)/ { failed++; bad[test]++ }
END {
    for (t in skipped) print "skipped: " skipped[t] " in " t
    for (t in bad) print "failed: " bad[t] " in " t " (see " t ".log)"
    printf "%d passed, %d failed\n", passed, failed
    exit failed > 0 || passed == 0
}' /dev/null
