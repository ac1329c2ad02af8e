/* Who has how many series. Texts are interned, so a pair is known by its two addresses,
 * and counting is a table of addresses. See cardinality.h. */
#include "engine/cardinality.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/panic.h"

enum { POLL_EVERY = 1024, SLOTS_MIN = 1024 };

struct count_table {
    struct name_count *slots;  /* n 0: free */
    size_t cap, used;
};

static uint64_t hash_pair(const char *name, const char *value)
{
    return hash_mix((uint64_t)(uintptr_t)name * 31 + hash_mix((uint64_t)(uintptr_t)value));
}

static struct name_count *find_slot(struct name_count *slots, size_t cap, struct slice name,
                                    struct slice value)
{
    size_t at = hash_pair(name.ptr, value.ptr) & (cap - 1);
    while (slots[at].n && (slots[at].name.ptr != name.ptr || slots[at].value.ptr != value.ptr))
        at = (at + 1) & (cap - 1);
    return &slots[at];
}

static bool grow(struct count_table *table)
{
    size_t cap = table->cap ? table->cap * 2 : SLOTS_MIN;
    struct name_count *slots = mem_try_array(cap, sizeof(*slots));
    if (!slots) return false;
    memset(slots, 0, cap * sizeof(*slots));
    for (size_t i = 0; i < table->cap; i++)
        if (table->slots[i].n)
            *find_slot(slots, cap, table->slots[i].name, table->slots[i].value) = table->slots[i];
    mem_free(table->slots);
    table->slots = slots;
    table->cap = cap;
    return true;
}

/* Adds n to the entry; *fresh says whether it is new. */
static bool count(struct count_table *table, struct slice name, struct slice value, uint64_t n,
                  bool *fresh)
{
    if (table->used * 2 >= table->cap && !grow(table)) return false;
    struct name_count *slot = find_slot(table->slots, table->cap, name, value);
    *fresh = slot->n == 0;
    if (*fresh) {
        table->used++;
        slot->name = name;
        slot->value = value;
    }
    slot->n += n;
    return true;
}

static int larger_first(const void *a, const void *b)
{
    const struct name_count *x = a, *y = b;
    if (x->n != y->n) return x->n > y->n ? -1 : 1;
    int order = slice_cmp(x->name, y->name);
    return order ? order : slice_cmp(x->value, y->value);
}

/* Texts go with their last series: copies stay. */
static status copy_texts(struct name_counts *out, struct arena *arena)
{
    for (size_t i = 0; i < out->n; i++) {
        out->ptr[i].name = arena_copy(arena, out->ptr[i].name);
        out->ptr[i].value = arena_copy(arena, out->ptr[i].value);
        if (!out->ptr[i].name.ptr || !out->ptr[i].value.ptr) return ST_NO_MEMORY;
    }
    return ST_OK;
}

static status top(struct count_table *table, size_t limit, struct arena *arena,
                  struct name_counts *out)
{
    size_t n = 0;
    for (size_t i = 0; i < table->cap; i++)
        if (table->slots[i].n) table->slots[n++] = table->slots[i];
    if (n) qsort(table->slots, n, sizeof(table->slots[0]), larger_first);
    table->cap = 0; /* sorted now: a table no more */
    if (n > limit) n = limit;
    out->ptr = arena_try_array(arena, n + 1, sizeof(*out->ptr));
    if (!out->ptr) return ST_NO_MEMORY;
    if (n) memcpy(out->ptr, table->slots, n * sizeof(*out->ptr));
    out->n = n;
    return copy_texts(out, arena);
}

struct tables {
    struct count_table metric, pair, values, bytes;
};

static bool count_series(struct tables *t, struct labels labels, struct cardinality *out)
{
    bool fresh, ignored;
    out->n_series++;
    for (size_t i = 0; i < labels.n; i++) {
        struct slice name = labels.ptr[i].name, value = labels.ptr[i].value;
        if (slice_is(name, LABEL_KEY)) continue; /* one a series: says nothing */
        if (!count(&t->pair, name, value, 1, &fresh)) return false;
        out->n_pairs += fresh;
        if (slice_is(name, LABEL_NAME) &&
            !count(&t->metric, value, (struct slice){"", 0}, 1, &ignored))
            return false;
        if (fresh && (!count(&t->values, name, (struct slice){"", 0}, 1, &ignored) ||
                      !count(&t->bytes, name, (struct slice){"", 0}, value.len, &ignored)))
            return false;
    }
    return true;
}

static status walk(struct db *db, const _Atomic bool *cancelled, struct tables *t,
                   struct cardinality *out)
{
    const struct registry *reg = db_registry(db);
    struct arena scratch;
    status st = ST_OK;
    arena_init(&scratch, NULL, 4096);
    uint32_t n = registry_n_ordinals(reg);
    for (uint32_t i = 0; i < n && st == ST_OK; i++) {
        if (i % POLL_EVERY == 0 && cancelled &&
            atomic_load_explicit(cancelled, memory_order_relaxed))
            st = ST_CANCELLED;
        if (!entry_visible(registry_entry(reg, i))) continue;
        struct labels labels = registry_labels(reg, i, &scratch);
        if ((labels.n && !labels.ptr) || !count_series(t, labels, out)) st = ST_NO_MEMORY;
        arena_reset(&scratch);
    }
    arena_release(&scratch);
    return st;
}

status db_cardinality(struct db *db, size_t limit, const _Atomic bool *cancelled,
                      struct arena *arena, struct cardinality *out)
{
    struct tables t;
    memset(&t, 0, sizeof(t));
    *out = (struct cardinality){.n_series = 0};
    int slot = db_reader_enter(db);
    status st = walk(db, cancelled, &t, out);
    if (st == ST_OK) st = top(&t.metric, limit, arena, &out->by_metric);
    if (st == ST_OK) st = top(&t.pair, limit, arena, &out->by_pair);
    if (st == ST_OK) st = top(&t.values, limit, arena, &out->values_by_name);
    if (st == ST_OK) st = top(&t.bytes, limit, arena, &out->bytes_by_name);
    db_reader_leave(db, slot);
    mem_free(t.metric.slots);
    mem_free(t.pair.slots);
    mem_free(t.values.slots);
    mem_free(t.bytes.slots);
    return st;
}
