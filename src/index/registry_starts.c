/* Companions: hidden series that keep the start timestamps of others.
 *
 * A companion has no pair: it is in no posting list and in no list of a name's values. Its
 * text (model/label.h, "companion") lies with its entry, where a keyed series has its key,
 * and it is found by its identity, which its parent's id and place make. So what reads names
 * never meets one, but for walks over ordinals, and those look at SERIES_HIDDEN.
 *
 * SERIES_STARTED on the parent says that it is worth asking. It is not in any file: who has
 * loaded a registry links them (engine/starts.c).
 */
#include "index/registry_priv.h"

uint32_t registry_starts(const struct registry *reg, uint32_t ordinal)
{
    const struct series_entry *parent = entry_at(reg, ordinal);
    struct starts_name name;
    if (!(entry_flags(parent) & SERIES_STARTED)) return ORDINAL_NONE;
    starts_name_make(&name, parent->id, parent->place);
    struct hash128 hash = hash128(name.identity, STARTS_IDENTITY_LEN);
    return registry_find(reg, slice_of(name.identity, STARTS_IDENTITY_LEN), hash, VALUE_I64);
}

uint32_t registry_parent(const struct registry *reg, uint32_t ordinal)
{
    const struct series_entry *entry = entry_at(reg, ordinal);
    uint64_t parent, place;
    if (!(entry_flags(entry) & SERIES_HIDDEN)) return ORDINAL_NONE;
    struct packed list = packed_open(packed_of(reg, entry));
    if (!starts_value_parse(packed_key(&list), &parent, &place)) return ORDINAL_NONE;
    return registry_by_id(reg, parent);
}

void registry_set_started(struct registry *reg, uint32_t ordinal, bool started)
{
    struct series_entry *entry = entry_at(reg, ordinal);
    uint8_t flags = entry_flags(entry) & (uint8_t)~SERIES_STARTED;
    atomic_store_explicit(&entry->flags, flags | (started ? SERIES_STARTED : 0),
                          memory_order_release);
}

uint32_t registry_n_hidden(const struct registry *reg)
{
    return atomic_load_explicit(&reg->n_hidden, memory_order_acquire);
}
