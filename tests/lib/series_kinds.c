/* The ranges were chosen so that the entropy of the differences is that of the table
 * in the performance design (3.1, last column). */
#include "tests/lib/series_kinds.h"

#include "base/bytes.h"

static const struct {
    const char *name;
    unsigned share;
} kinds[N_SERIES_KINDS] = {
    [KIND_CONSTANT] = {"constant", 30},       [KIND_IDLE] = {"idle", 15},
    [KIND_EVENTS] = {"events", 10},           [KIND_BYTES] = {"bytes", 8},
    [KIND_CENTISECONDS] = {"centiseconds", 12}, [KIND_PAGES] = {"pages", 10},
    [KIND_TWO_DECIMALS] = {"two_decimals", 8}, [KIND_ACCUMULATED] = {"accumulated", 3},
    [KIND_NOISE] = {"noise", 2},              [KIND_SMALL] = {"small", 2},
};

const char *kind_name(enum series_kind kind)
{
    return kinds[kind].name;
}

unsigned kind_share(enum series_kind kind)
{
    return kinds[kind].share;
}

/* -most..most */
static int64_t step_within(struct rng *rng, int64_t most)
{
    return (int64_t)rng_below(rng, (uint64_t)(2 * most + 1)) - most;
}

static double next_value(enum series_kind kind, int64_t *whole, double *sum, struct rng *rng)
{
    switch (kind) {
    case KIND_CONSTANT:
        return (double)*whole;
    case KIND_IDLE:
        if (rng_below(rng, 25) == 0) *whole += 1 + (int64_t)rng_below(rng, 2);
        return (double)*whole;
    case KIND_EVENTS:
        *whole += 200 + (int64_t)rng_below(rng, 95);
        return (double)*whole;
    case KIND_BYTES:
        *whole += 500000 + (int64_t)rng_below(rng, 200000);
        return (double)*whole;
    case KIND_CENTISECONDS:
        *whole += (int64_t)rng_below(rng, 230);
        return (double)*whole / 100;
    case KIND_PAGES:
        if (rng_below(rng, 5) > 1) *whole += step_within(rng, 40);
        return (double)*whole * 4096;
    case KIND_TWO_DECIMALS:
        *whole += step_within(rng, 12);
        return (double)*whole / 100;
    case KIND_ACCUMULATED:
        *sum += (double)rng_below(rng, 5000) / 1000;
        return *sum;
    case KIND_NOISE:
        return 1000 * rng_unit(rng);
    case KIND_SMALL:
        return (double)rng_below(rng, 8);
    case N_SERIES_KINDS:
        break;
    }
    return 0;
}

void kind_fill(union value *val, size_t n, enum series_kind kind, struct rng *rng)
{
    int64_t whole = 100000 + (int64_t)rng_below(rng, 1000000);
    double sum = (double)whole / 10;

    for (size_t i = 0; i < n; i++) val[i].bits = f64_bits(next_value(kind, &whole, &sum, rng));
}
