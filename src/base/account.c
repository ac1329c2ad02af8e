/* Memory accounts. See account.h. */
#include "base/account.h"

#include "base/panic.h"

void account_init(struct account *acc, const char *name, struct account *parent, size_t limit)
{
    *acc = (struct account){.name = name, .parent = parent};
    atomic_store_explicit(&acc->limit, limit, memory_order_relaxed);
}

static void raise_peak(struct account *acc, size_t used)
{
    size_t peak = atomic_load_explicit(&acc->peak, memory_order_relaxed);
    while (used > peak &&
           !atomic_compare_exchange_weak_explicit(&acc->peak, &peak, used, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

static bool charge_one(struct account *acc, size_t bytes, bool forced)
{
    size_t used = atomic_fetch_add_explicit(&acc->used, bytes, memory_order_relaxed) + bytes;
    size_t limit = atomic_load_explicit(&acc->limit, memory_order_relaxed);
    if (!forced && limit && used > limit) {
        atomic_fetch_sub_explicit(&acc->used, bytes, memory_order_relaxed);
        atomic_fetch_add_explicit(&acc->n_refused, 1, memory_order_relaxed);
        return false;
    }
    raise_peak(acc, used);
    return true;
}

bool account_charge(struct account *acc, size_t bytes)
{
    for (struct account *at = acc; at; at = at->parent) {
        if (charge_one(at, bytes, false)) continue;
        for (struct account *back = acc; back != at; back = back->parent)
            atomic_fetch_sub_explicit(&back->used, bytes, memory_order_relaxed);
        return false;
    }
    return true;
}

void account_force(struct account *acc, size_t bytes)
{
    for (; acc; acc = acc->parent) (void)charge_one(acc, bytes, true);
}

void account_release(struct account *acc, size_t bytes)
{
    for (; acc; acc = acc->parent) {
        size_t before = atomic_fetch_sub_explicit(&acc->used, bytes, memory_order_relaxed);
        DASSERT(before >= bytes);
        (void)before;
    }
}

size_t account_used(const struct account *acc)
{
    return atomic_load_explicit(&acc->used, memory_order_relaxed);
}
