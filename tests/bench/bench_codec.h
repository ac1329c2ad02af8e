/* What the parts of bench_codec share: one chunk measured, and lines printed. */
#ifndef TSINK_TESTS_BENCH_CODEC_H
#define TSINK_TESTS_BENCH_CODEC_H

#include <stddef.h>

#include "codec/chunk.h"

/* The process's CPU time. */
double now_ns(void);

/* Bytes of one chunk, and the least nanoseconds of some rounds, for all its points. */
struct chunk_cost {
    double ticks, values;
    double encode_ns, decode_ns;
};

/* Ends the program when what comes back is not what went in. */
void measure_chunk(struct chunk_cost *out, enum value_type type, const ts_time *ts,
                   const union value *val, size_t n, enum chunk_effort effort, int rounds);

const char *effort_name(enum chunk_effort effort);

/* `bench_codec hist`: series of native histograms. */
void bench_hists(void);

/* `bench_codec record FILE`: the series of a recording of tsink-benchmark. Returns the
 * exit code. */
int bench_record(const char *path);

#endif
