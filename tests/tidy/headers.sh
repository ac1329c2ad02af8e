#!/bin/sh
# Compiles every header of src/ alone: it must include what it needs. Two at a time.
#
#     headers.sh [TOP]     prints the compiler's complaints; exit 1 when there are any
top=${1:-$(dirname "$0")/../..}
cd "$top" || exit 1
find src -name '*.h' | LC_ALL=C sort | xargs -P 2 -I '{}' sh -c '
    printf "#include \"%s\"\n" "${1#src/}" |
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Isrc -Wall -Wextra -Werror -fsyntax-only -x c - ||
    { echo "headers: $1 does not compile alone"; exit 1; }' sh '{}'
