/* Memory accounts: who holds how much. Accounts form a tree; a charge counts in
 * the account and in all its parents and is refused when any of them would pass
 * its limit. Charge blocks (arenas, slabs, buffers, nodes), not small objects.
 * Any thread: the counters are atomic.
 */
#ifndef TSINK_BASE_ACCOUNT_H
#define TSINK_BASE_ACCOUNT_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/status.h"

struct account {
    const char *name;
    struct account *parent;     /* outlives this one; NULL at the root */
    _Atomic size_t used, peak;  /* bytes */
    _Atomic size_t limit;       /* bytes; 0 means none */
    _Atomic size_t n_refused;
};

void account_init(struct account *acc, const char *name, struct account *parent, size_t limit);

/* Charges bytes, or changes nothing and returns false. acc may be NULL: true. */
CHECKED bool account_charge(struct account *acc, size_t bytes);

/* Charges bytes without looking at limits: for what is already held. */
void account_force(struct account *acc, size_t bytes);
void account_release(struct account *acc, size_t bytes);
size_t account_used(const struct account *acc);

#endif
