/* Log-linear histogram. See metric.h.
 *
 * A value of w bits (w > 4) goes to the group of its highest bit, and in the group to
 * the bucket of the four bits that follow it:
 *
 *     value  0 .. 15     buckets 0 .. 15, one each
 *     value 16 .. 31     buckets 16 .. 31, one each
 *     value 32 .. 63     buckets 32 .. 47, two values each
 *     value 64 .. 127    buckets 48 .. 63, four values each
 */
#include "base/metric.h"

#include "base/bits.h"

enum { SUB = 1 << HISTOGRAM_SUB_BITS };

static unsigned bucket_of(uint64_t us)
{
    if (us < SUB) return (unsigned)us;
    unsigned shift = bit_width(us) - 1 - HISTOGRAM_SUB_BITS;
    unsigned idx = ((shift + 1) << HISTOGRAM_SUB_BITS) + (unsigned)(us >> shift) - SUB;
    return idx < HISTOGRAM_BUCKETS ? idx : HISTOGRAM_BUCKETS - 1;
}

/* The largest value of a bucket. */
static uint64_t bucket_top(unsigned idx)
{
    if (idx < SUB) return idx;
    if (idx == HISTOGRAM_BUCKETS - 1) return UINT64_MAX;
    unsigned shift = (idx >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t low = (uint64_t)(SUB + (idx & (SUB - 1))) << shift;
    return low + (UINT64_C(1) << shift) - 1;
}

static uint64_t load(const _Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void raise_max(struct histogram_us *h, uint64_t us)
{
    uint64_t max = load(&h->max_us);
    while (us > max && !atomic_compare_exchange_weak_explicit(
                           &h->max_us, &max, us, memory_order_relaxed, memory_order_relaxed)) {
    }
}

void histogram_us_record(struct histogram_us *h, uint64_t us)
{
    atomic_fetch_add_explicit(&h->bucket[bucket_of(us)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, us, memory_order_relaxed);
    raise_max(h, us);
}

void histogram_us_merge(struct histogram_us *into, const struct histogram_us *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t n = load(&from->bucket[i]);
        if (n) atomic_fetch_add_explicit(&into->bucket[i], n, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&into->sum_us, load(&from->sum_us), memory_order_relaxed);
    raise_max(into, load(&from->max_us));
}

void histogram_us_reset(struct histogram_us *h)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        atomic_store_explicit(&h->bucket[i], 0, memory_order_relaxed);
    atomic_store_explicit(&h->sum_us, 0, memory_order_relaxed);
    atomic_store_explicit(&h->max_us, 0, memory_order_relaxed);
}

uint64_t histogram_us_count(const struct histogram_us *h)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) n += load(&h->bucket[i]);
    return n;
}

uint64_t histogram_us_sum(const struct histogram_us *h)
{
    return load(&h->sum_us);
}

uint64_t histogram_us_max(const struct histogram_us *h)
{
    return load(&h->max_us);
}

uint64_t histogram_us_quantile(const struct histogram_us *h, double q)
{
    uint64_t n = histogram_us_count(h), seen = 0, max = load(&h->max_us);
    if (n == 0) return 0;

    double want = q * (double)n;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t here = load(&h->bucket[i]);
        seen += here;
        if (here > 0 && (double)seen >= want) {
            uint64_t top = bucket_top(i);
            return top < max ? top : max;
        }
    }
    return max;
}

uint64_t histogram_us_at_most(const struct histogram_us *h, uint64_t us)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && bucket_top(i) <= us; i++)
        n += load(&h->bucket[i]);
    return n;
}
