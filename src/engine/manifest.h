/* Manifest: the immutable set of segments and deletes that a view sees. A flush, a
 * delete or an expiry builds the next version beside the current one; publishing is
 * one pointer assignment on the owner. References are taken and dropped by the owner;
 * readers are covered by their view's reference.
 */
#ifndef TSINK_ENGINE_MANIFEST_H
#define TSINK_ENGINE_MANIFEST_H

#include <stdint.h>

#include "model/value.h"
#include "storage/segment.h"
#include "storage/tombstone.h"

struct manifest {
    uint64_t version;
    uint32_t n_refs;              /* owner */
    size_t n_segments;
    struct tombstones *deletes;   /* of segments, by flush order; referenced, may be NULL */
    struct tombstones *mem_deletes; /* of memory nodes: `order` is the delete's generation,
                                     * so a node of del_gen g is asked for with g + 1 */
    struct segment *segments[];   /* referenced; ascending order_max, so later wins */
};

/* What the next version has more and less than the one before. */
struct manifest_change {
    struct segment *const *add;   /* referenced anew */
    size_t n_add;
    struct segment *const *drop;  /* by identity */
    size_t n_drop;
    struct tombstones *deletes, *mem_deletes; /* referenced anew; replace the old ones */
};

/* NULL when memory is refused. One reference. base NULL: version 1 of nothing. */
struct manifest *manifest_next(const struct manifest *base, const struct manifest_change *change);
void manifest_ref(struct manifest *manifest);
void manifest_unref(struct manifest *manifest);

#endif
