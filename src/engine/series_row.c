/* See series_row.h. */
#include "engine/series_row.h"

status series_row(struct segment_series *out, uint8_t attrs_bytes[ATTRS_BYTES],
                  const struct registry *reg, uint32_t ordinal, struct arena *arena)
{
    const struct series_entry *entry = registry_entry(reg, ordinal);
    const struct series_attrs *attrs = entry_attrs(entry);
    struct labels labels = registry_labels(reg, ordinal, arena);
    if (labels.n && !labels.ptr) return ST_NO_MEMORY;
    uint8_t *identity = arena_try(arena, labels_identity_len(labels));
    if (!identity) return ST_NO_MEMORY;
    *out = (struct segment_series){
        .id = entry->id,
        .place = entry->place,
        .type = (enum value_type)entry->type,
        .labels_version = entry->label_version,
        .identity = slice_of(identity, labels_identity(identity, labels))};
    if (attrs) {
        size_t len = attrs_put(attrs_bytes, attrs);
        out->attrs = slice_of(attrs_bytes, len);
    }
    return ST_OK;
}
