/* Which label names there are, and which values a name has: over all series of a
 * tenant or over a set of ordinals. Sorted, unique; texts live as long as the registry
 * (keys: copied to the arena). `__tsink_tenant__` is never among the names and has no values. Any
 * registered reader.
 */
#ifndef TSINK_INDEX_LABEL_SCAN_H
#define TSINK_INDEX_LABEL_SCAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "index/registry.h"
#include "index/resolve.h"

struct label_scan {
    struct slice *ptr; /* in the arena */
    size_t n;
    bool more;         /* the limit cut the rest off */
};

/* set NULL: every live series (of all tenants: pass a set to see one tenant's).
 * limit 0: none. ST_NO_MEMORY, ST_CANCELLED. */
CHECKED status label_scan_names(struct label_scan *out, const struct registry *reg,
                                const struct ordinals *set, size_t limit,
                                const _Atomic bool *cancelled, struct arena *arena);

CHECKED status label_scan_values(struct label_scan *out, const struct registry *reg,
                                 struct slice name, const struct ordinals *set, size_t limit,
                                 const _Atomic bool *cancelled, struct arena *arena);

#endif
