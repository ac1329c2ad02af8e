/* Versions of the set of segments. See manifest.h. */
#include "engine/manifest.h"

#include "base/mem.h"

static bool dropped(const struct manifest_change *change, const struct segment *seg)
{
    for (size_t i = 0; i < change->n_drop; i++)
        if (change->drop[i] == seg) return true;
    return false;
}

/* Keeps ascending order_max; a segment of a later flush comes later. */
static void insert(struct manifest *m, struct segment *seg)
{
    size_t at = m->n_segments++;
    while (at > 0 &&
           segment_info(m->segments[at - 1])->order_max > segment_info(seg)->order_max) {
        m->segments[at] = m->segments[at - 1];
        at--;
    }
    m->segments[at] = segment_ref(seg);
}

struct manifest *manifest_next(const struct manifest *base, const struct manifest_change *change)
{
    size_t n = (base ? base->n_segments : 0) + change->n_add;
    struct manifest *m = mem_try(sizeof(*m) + n * sizeof(m->segments[0]));
    if (!m) return NULL;

    *m = (struct manifest){.version = base ? base->version + 1 : 1, .n_refs = 1};
    for (size_t i = 0; base && i < base->n_segments; i++)
        if (!dropped(change, base->segments[i]))
            m->segments[m->n_segments++] = segment_ref(base->segments[i]);
    for (size_t i = 0; i < change->n_add; i++) insert(m, change->add[i]);
    m->deletes = tombstones_ref(change->deletes);
    m->mem_deletes = tombstones_ref(change->mem_deletes);
    return m;
}

void manifest_ref(struct manifest *manifest)
{
    manifest->n_refs++;
}

void manifest_unref(struct manifest *manifest)
{
    if (!manifest || --manifest->n_refs > 0) return;
    for (size_t i = 0; i < manifest->n_segments; i++) segment_unref(manifest->segments[i]);
    tombstones_unref(manifest->deletes);
    tombstones_unref(manifest->mem_deletes);
    mem_free(manifest);
}
