/* Columns to feed the codecs with: named shapes of timestamps and of values, drawn
 * from a seed. Shared by the tests of blocks and chunks. */
#ifndef TSINK_TESTS_CODEC_SHAPES_H
#define TSINK_TESTS_CODEC_SHAPES_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/rng.h"
#include "model/point.h"

enum tick_shape {
    TICKS_STEADY,  /* every 15 s, in ms */
    TICKS_JITTER,  /* the same, up to 20 ms late */
    TICKS_MISSING, /* the same, one in fifty absent */
    TICKS_BURSTS,  /* a few ms apart, then minutes of nothing */
    TICKS_DRIFT,   /* the interval grows by a little */
    TICKS_WILD,    /* anywhere in 64 bits */
    N_TICK_SHAPES,
};

enum value_shape {
    VALUES_CONSTANT,
    VALUES_COUNTER, /* whole, rising */
    VALUES_GAUGE,   /* two decimals, up and down */
    VALUES_NOISE,   /* any bits: NaN, infinities, denormals, -0 */
    N_VALUE_SHAPES,
};

const char *tick_shape_name(enum tick_shape shape);
const char *value_shape_name(enum value_shape shape);

/* Fills ts[0..n), strictly ascending. */
void shape_ticks(ts_time *ts, size_t n, enum tick_shape shape, struct rng *rng);

/* Fills val[0..n) with values of the type; what they point to is in the arena. */
void shape_values(union value *val, size_t n, enum value_type type, enum value_shape shape,
                  struct rng *rng, struct arena *arena);

/* One assertion for all: each one made costs Check a message. */
void assert_ascending(const ts_time *ts, size_t n);

/* Ends the test when the values differ in any bit. */
void assert_same_values(const union value *a, const union value *b, size_t n,
                        enum value_type type, const char *name);

#endif
