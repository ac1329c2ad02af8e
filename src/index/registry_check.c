/* registry_check(): the registry's invariants, walked. Each says in words what it found
 * first. The sums in step 3 and 4 make sets equal: every member of a list has the pair,
 * and the list has as many live members as there are live series with the pair. */
#include <inttypes.h>
#include <roaring/roaring.h>

#include "base/mem.h"
#include "index/registry_priv.h"

static const struct slice tenant_name = {LABEL_TENANT, sizeof(LABEL_TENANT) - 1};

#define BROKEN(...) err_set(err, ST_CORRUPT, __VA_ARGS__)

/* 1. A live series is found by id, identity and key, and its labels are canonical. */
static status check_series(const struct registry *reg, uint32_t ordinal, struct arena *arena,
                           struct err *err)
{
    const struct series_entry *entry = entry_at(reg, ordinal);
    if (entry->id == 0 || entry->id >= reg->next_id) {
        return BROKEN("series %u: id %" PRIu64 ", next is %" PRIu64, ordinal, entry->id,
                      reg->next_id);
    }
    if (registry_by_id(reg, entry->id) != ordinal) {
        return BROKEN("series %u: not found by its id %" PRIu64, ordinal, entry->id);
    }
    struct labels labels = registry_labels(reg, ordinal, arena);
    if (!labels.ptr) return ST_NO_MEMORY;
    for (size_t i = 1; i < labels.n; i++) {
        if (slice_cmp(labels.ptr[i - 1].name, labels.ptr[i].name) < 0) continue;
        return BROKEN("series %u: labels out of order", ordinal);
    }
    size_t len = labels_identity_len(labels);
    uint8_t *identity = arena_try(arena, len ? len : 1);
    if (!identity) return ST_NO_MEMORY;
    labels_identity(identity, labels);
    struct hash128 hash = hash128(identity, len);
    if (registry_find(reg, slice_of(identity, len), hash, entry->type) != ordinal) {
        return BROKEN("series %u: not found by its identity", ordinal);
    }
    if (!(entry_flags(entry) & SERIES_KEYED)) return ST_OK;
    struct slice key = registry_key(reg, ordinal);
    if (registry_by_key(reg, labels_get(labels, tenant_name), key) == ordinal) return ST_OK;
    return BROKEN("series %u: not found by its key " SLICE_FMT, ordinal, SLICE_ARG(key));
}

/* 2. Live and dead add up. have[pair] becomes the number of live series with it. */
static status check_entries(const struct registry *reg, uint32_t *have, struct err *err)
{
    uint64_t n_live = 0, n_keyed = 0, n_hidden = 0;
    struct arena arena;
    status st = ST_OK;
    arena_init(&arena, NULL, 4096);
    for (uint32_t i = 0; i < registry_n_ordinals(reg) && st == ST_OK; i++) {
        const struct series_entry *entry = entry_at(reg, i);
        bool live = entry_live(entry);
        if (live && ordinal_bits_has(&reg->dead, i)) {
            st = BROKEN("series %u: alive and in the dead set", i);
        } else if (live) {
            struct packed list = packed_open(packed_of(reg, entry));
            bool hidden = entry_flags(entry) & SERIES_HIDDEN;
            if (hidden && (!list.keyed || list.n))
                st = BROKEN("series %u: a companion with labels", i);
            while (list.n > 0) have[packed_next(&list)]++;
            n_live++;
            n_keyed += list.keyed && !hidden;
            n_hidden += hidden;
            if (st == ST_OK) st = check_series(reg, i, &arena, err);
            arena_reset(&arena);
        }
    }
    arena_release(&arena);
    if (st != ST_OK) return st;
    if (n_live != reg->n_series) {
        return BROKEN("%" PRIu64 " live series, counted %" PRIu64, n_live, reg->n_series);
    }
    if (n_keyed != atomic_load(&reg->n_keyed)) return BROKEN("keyed series miscounted");
    if (n_hidden != atomic_load(&reg->n_hidden)) return BROKEN("companions miscounted");
    return ST_OK;
}

struct member_check {
    const struct registry *reg;
    uint32_t pair, n_live;
    bool stranger;
};

static bool check_member(uint32_t ordinal, void *arg)
{
    struct member_check *mc = arg;
    if (ordinal_bits_has(&mc->reg->dead, ordinal)) return true;
    if (ordinal >= registry_n_ordinals(mc->reg) || !entry_live(entry_at(mc->reg, ordinal))) {
        mc->stranger = true;
        return false;
    }
    struct packed list = packed_open(packed_of(mc->reg, entry_at(mc->reg, ordinal)));
    while (list.n > 0) {
        if (packed_next(&list) != mc->pair) continue;
        mc->n_live++;
        return true;
    }
    mc->stranger = true;
    return false;
}

/* 3. A list holds exactly the live series with its pair, and otherwise only dead ones. */
static status check_list(const struct registry *reg, uint32_t id, uint32_t have,
                         struct err *err)
{
    struct postings_view view = postings_view(&pair_at(reg, id)->series);
    roaring_bitmap_t *all = postings_bitmap(&view);
    if (!all) return ST_NO_MEMORY;
    struct member_check mc = {.reg = reg, .pair = id};
    bool unique =
        roaring_bitmap_get_cardinality(all) == (uint64_t)view.base_len + view.delta_len;
    roaring_iterate(all, check_member, &mc);
    roaring_bitmap_free(all);

    if (!unique) return BROKEN("pair %u: a series is in its list twice", id);
    if (mc.stranger) return BROKEN("pair %u: a series in its list does not have it", id);
    if (mc.n_live == have) return ST_OK;
    return BROKEN("pair %u: %u live series in its list, %u have it", id, mc.n_live, have);
}

/* 4. Each pair is found, and is in the list of its name once. Those that nobody has may be
 * on their way: in the list of their name, but not found. */
static status check_pairs(const struct registry *reg, uint8_t *listed, struct err *err)
{
    for (size_t name = 0; name < segvec_len(&reg->name_rows); name++) {
        struct postings_view view = postings_view(&name_row_at(reg, (uint32_t)name)->pairs);
        uint32_t n = view.base_len + view.delta_len;
        uint32_t *ids = mem_try_array(n ? n : 1, sizeof(*ids));
        if (!ids) return ST_NO_MEMORY;
        postings_view_all(&view, ids);
        status st = ST_OK;
        for (uint32_t i = 0; i < n && st == ST_OK; i++) {
            if (ids[i] >= n_pairs(reg) || pair_at(reg, ids[i])->name != name || listed[ids[i]]++)
                st = BROKEN("name %zu: pair %u does not belong there", name, ids[i]);
        }
        mem_free(ids);
        TRY(st);
    }
    uint32_t n_found = 0;
    for (uint32_t i = 0; i < n_pairs(reg); i++) {
        const struct pair *pair = pair_at(reg, i);
        bool found = pair->name != PAIR_FREE && registry_pair(reg, pair->name, pair->value) == i;
        if (found && !listed[i]) return BROKEN("pair %u: not in the list of its name", i);
        if (!found && postings_len(&pair->series) > 0)
            return BROKEN("pair %u: not found by name and value", i);
        n_found += found;
    }
    if (n_found == n_pairs(reg) - reg->n_pairs_gone) return ST_OK;
    return BROKEN("%u pairs are found, %u of %u are gone", n_found, reg->n_pairs_gone,
                  n_pairs(reg));
}

status registry_check(const struct registry *reg, struct err *err)
{
    TRY(identity_check(reg->identity, err));
    uint8_t *listed = mem_try_zero(n_pairs(reg) + (size_t)1);
    if (!listed) return ST_NO_MEMORY;
    status pairs = check_pairs(reg, listed, err);
    mem_free(listed);
    TRY(pairs);
    uint32_t *have = mem_try_zero((n_pairs(reg) + (size_t)1) * sizeof(*have));
    if (!have) return ST_NO_MEMORY;
    status st = check_entries(reg, have, err);
    for (uint32_t i = 0; i < n_pairs(reg) && st == ST_OK; i++) {
        st = check_list(reg, i, have[i], err);
    }
    mem_free(have);
    if (st != ST_OK) return st;

    /* 5. Births name ordinals, at least one for each live series. */
    uint64_t n_births = registry_n_births(reg);
    if (n_births < reg->n_series) return BROKEN("fewer births than live series");
    for (uint64_t i = registry_first_birth(reg); i < n_births; i++) {
        if (registry_birth(reg, i) < registry_n_ordinals(reg)) continue;
        return BROKEN("birth %" PRIu64 ": no such ordinal", i);
    }
    return ST_OK;
}
