#!/bin/sh
# Builds the harnesses for libFuzzer and runs each for a while. Needs clang.
#
#     FUZZ="chunk snappy" FUZZ_SECONDS=60 make fuzz
#
# Crashes are left in build-fuzz/; a good one becomes a file of tests/fuzz/corpus/<name>.
top=$(cd "$(dirname "$0")/../.." && pwd)
cc=${CC_FUZZ:-clang}
cxx=$(echo "$cc" | sed 's/clang/clang++/')
out=$PWD/build-fuzz
names=${FUZZ:-$(cd "$top/tests/fuzz" && ls fuzz_*.c | sed 's/fuzz_\(.*\)\.c/\1/')}
# pointer-overflow counts an offset of 0 on NULL, which empty columns have and later C allows
flags="-g -O1 -DTSINK_DEV=1 -D_GNU_SOURCE -I$top/src -I$top -fsanitize=fuzzer-no-link,address,undefined \
    -fno-sanitize=pointer-overflow -fno-sanitize-recover=undefined"
libs="-lzstd -lsnappy -lz -lxxhash -ljansson -lre2 -lroaring -lprotobuf-c -lssl -lcrypto -lm -lpthread"

command -v "$cc" >/dev/null || { echo "fuzz: $cc is missing; on Debian: apt-get install clang" >&2; exit 1; }
mkdir -p "$out" && cd "$out" || exit 1
# an object is as old as the headers it may have seen
[ -z "$(find "$top/src" "$top/tests" \( -name '*.h' -o -name '*.def' \) -newer stamp 2>&1)" ] || rm -f ./*.o
touch stamp
objects=
for source in "$top"/src/base/*.c "$top"/src/model/*.c "$top"/src/codec/*.c "$top"/src/index/*.c \
    "$top"/src/storage/*.c "$top"/src/engine/*.c "$top"/src/promql/*.c \
    "$top"/src/query/query_budget.c "$top"/src/ingest/*.c "$top"/src/net/*.c "$top"/tests/lib/clock_sim.c \
    "$top"/tests/lib/db_*.c "$top"/tests/lib/exec_sim.c "$top"/tests/lib/histogram_parse.c \
    "$top"/tests/lib/mem_fault.c "$top"/tests/lib/pb_write.c "$top"/tests/lib/querier_mem.c \
    "$top"/tests/lib/series_text.c \
    "$top"/tests/lib/model_db.c "$top"/tests/lib/tree_text.c "$top"/tests/lib/vfs_*.c; do
    object=$(basename "$source" .c).o
    [ "$object" -nt "$source" ] || $cc -std=gnu11 $flags -c "$source" -o "$object" || exit 1
    objects="$objects $object"
done
$cxx -std=c++17 $flags -c "$top/src/base/cxx_shim.cc" -o cxx_shim.o || exit 1
for name in $names; do
    $cc -std=gnu11 $flags -c "$top/tests/fuzz/fuzz_$name.c" -o "fuzz_$name.o" || exit 1
    $cxx -fsanitize=fuzzer,address,undefined -o "fuzz_$name" "fuzz_$name.o" $objects cxx_shim.o $libs || exit 1
    mkdir -p "corpus_$name"
    seeds=$top/tests/fuzz/corpus/$name
    [ -d "$seeds" ] || seeds=
    echo "fuzz: $name"
    "./fuzz_$name" -max_total_time="${FUZZ_SECONDS:-30}" -print_final_stats=1 "corpus_$name" $seeds || exit 1
done
