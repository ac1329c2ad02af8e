/* Counters and histograms that rooms embed in their stats structs. Values only: the
 * names and help texts are rows of the server's metrics.def. Any thread may add and
 * read; reads are not a snapshot across fields.
 */
#ifndef TSINK_BASE_METRIC_H
#define TSINK_BASE_METRIC_H

#include <stdatomic.h>
#include <stdint.h>

struct counter {
    _Atomic uint64_t n;
};

static inline void counter_add(struct counter *counter, uint64_t n)
{
    atomic_fetch_add_explicit(&counter->n, n, memory_order_relaxed);
}

/* As counter_add for a counter that only one thread adds to: no locked instruction. */
static inline void counter_add_alone(struct counter *counter, uint64_t n)
{
    uint64_t now = atomic_load_explicit(&counter->n, memory_order_relaxed);
    atomic_store_explicit(&counter->n, now + n, memory_order_relaxed);
}

static inline uint64_t counter_read(const struct counter *counter)
{
    return atomic_load_explicit(&counter->n, memory_order_relaxed);
}

/* A value that goes up and down. */
struct gauge {
    _Atomic int64_t n;
};

static inline void gauge_add(struct gauge *gauge, int64_t n)
{
    atomic_fetch_add_explicit(&gauge->n, n, memory_order_relaxed);
}

static inline void gauge_set(struct gauge *gauge, int64_t n)
{
    atomic_store_explicit(&gauge->n, n, memory_order_relaxed);
}

static inline int64_t gauge_read(const struct gauge *gauge)
{
    return atomic_load_explicit(&gauge->n, memory_order_relaxed);
}

/* Log-linear buckets of microseconds: 0..15 exactly, then 16 buckets for each power
 * of two, so a value is known to 1/16; up to 2^36 us (19 hours), above that the last
 * bucket. 4.2 KB. */
enum {
    HISTOGRAM_SUB_BITS = 4,
    HISTOGRAM_EXP_MAX = 36,
    HISTOGRAM_BUCKETS = (HISTOGRAM_EXP_MAX - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};

struct histogram_us {
    _Atomic uint64_t bucket[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_us;
    _Atomic uint64_t max_us;
};

/* Zeroed is empty. */
void histogram_us_record(struct histogram_us *h, uint64_t us);
void histogram_us_merge(struct histogram_us *into, const struct histogram_us *from);
void histogram_us_reset(struct histogram_us *h);
uint64_t histogram_us_count(const struct histogram_us *h);
uint64_t histogram_us_sum(const struct histogram_us *h);
uint64_t histogram_us_max(const struct histogram_us *h);

/* The smallest value v such that a part q (0..1) of the records is at most v, as the
 * upper end of its bucket and never above the largest record. 0 when empty. */
uint64_t histogram_us_quantile(const struct histogram_us *h, double q);

/* Records of at most us, counted in whole buckets: a bucket that reaches above us is
 * left out. For cumulative exposition. */
uint64_t histogram_us_at_most(const struct histogram_us *h, uint64_t us);

#endif
