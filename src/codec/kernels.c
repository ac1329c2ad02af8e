/* The choice among the sets of kernels. The pointer is the only state: whoever comes
 * first stores it, and all who race store the same, so that no lock is needed. */
#include "codec/kernels.h"

#include <stdatomic.h>

#include "codec/kernels_priv.h"

static _Atomic(const struct kernels *) chosen;

const struct kernels *kernels_nth(unsigned i)
{
    const struct kernels *sets[3] = {&kernels_scalar};
    unsigned n = 1;

#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2")) {
        sets[n++] = &kernels_avx2;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
            __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512vbmi")) {
            sets[n++] = &kernels_avx512;
        }
    }
#endif
    return i < n ? sets[i] : NULL;
}

static const struct kernels *best(void)
{
    const struct kernels *set = &kernels_scalar, *next;
    for (unsigned i = 1; (next = kernels_nth(i)) != NULL; i++) set = next;
    return set;
}

const struct kernels *kernels(void)
{
    const struct kernels *set = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (__builtin_expect(set != NULL, 1)) return set;
    set = best();
    atomic_store_explicit(&chosen, set, memory_order_relaxed);
    return set;
}

void kernels_use(const struct kernels *set)
{
    atomic_store_explicit(&chosen, set ? set : best(), memory_order_relaxed);
}
