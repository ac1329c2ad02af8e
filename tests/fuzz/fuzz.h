/* Fuzz harnesses. Each fuzz_<x>.c has one entry that feeds bytes to a parser and
 * checks what must hold of anything it accepts; returning 0 means nothing. The same
 * file serves two programs:
 *
 *     make fuzz      libFuzzer, which calls LLVMFuzzerTestOneInput (FUZZ_LIBFUZZER)
 *     make check     tests/fuzz/replay.c, which feeds it the files of a corpus and
 *                    random changes to them
 */
#ifndef TSINK_TESTS_FUZZ_H
#define TSINK_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* The entry under the name that both programs know. */
int LLVMFuzzerTestOneInput(const uint8_t *src, size_t len);

#define FUZZ_ENTRY(entry)                                                                      \
    int LLVMFuzzerTestOneInput(const uint8_t *src, size_t len)                                 \
    {                                                                                          \
        return entry(src, len);                                                                \
    }

/* Likewise for an entry that takes milliseconds: the replay gives it 1/divisor of the
 * changes and random inputs. */
extern const unsigned fuzz_divisor __attribute__((weak));

#define FUZZ_ENTRY_SLOW(entry, divisor)                                                        \
    const unsigned fuzz_divisor = divisor;                                                     \
    FUZZ_ENTRY(entry)

#endif
