/* The six types of value. In memory a numeric value is 64 bits; bytes and
 * histograms are a pointer to something in somebody's arena. A series has one type for
 * life, fixed by its first write; histograms with the labels of numbers are a second
 * series (labels_hash_as()). Pure, any thread. */
#ifndef TSINK_MODEL_VALUE_H
#define TSINK_MODEL_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/slice.h"

/* On disk and in the API: never renumber. */
enum value_type {
    VALUE_F64 = 1,
    VALUE_I64 = 2,
    VALUE_U64 = 3,
    VALUE_BOOL = 4,
    VALUE_BYTES = 5,
    VALUE_HISTOGRAM = 6,
};

enum value_lane { LANE_NUMERIC, LANE_BLOB, N_LANES };

struct histogram;

/* Which member holds is known from the series' type. */
union value {
    uint64_t bits; /* f64 bits, i64, u64, bool 0 or 1 */
    double f64;    /* the same, of an f64 */
    const struct slice *bytes;
    const struct histogram *hist;
};

/* Prometheus' stale marker: this very NaN (bits 0x7ff0000000000002). */
#define VALUE_STALE_BITS 0x7ff0000000000002ull
#define VALUE_NAN_BITS 0x7ff8000000000001ull /* Prometheus' normal NaN */

static inline bool value_is_stale(uint64_t bits)
{
    return bits == VALUE_STALE_BITS;
}

const char *value_type_name(enum value_type type); /* "f64" ... */
bool value_type_valid(unsigned type);
enum value_lane value_lane_of(enum value_type type); /* bytes: blob, the rest numeric */

/* The value as a double: i64, u64 and bool convert, bytes and histograms are NaN. */
double value_to_f64(enum value_type type, union value v);

#endif
