/* `_created` lines of OpenMetrics. See prom_created_priv.h.
 *
 * The label sets are compared by a sum of hashes over their labels, without those that tell
 * the series of one metric apart; so their order does not matter, nor where the line stands
 * among those of its family.
 */
#include "ingest/prom_created_priv.h"

#include <stdlib.h>

#include "base/hash.h"

void created_release(struct created *c)
{
    vec_release(&c->rows);
    vec_release(&c->starts);
}

void created_begin(struct created *c, struct slice family, enum metric_type type)
{
    c->family = family;
    c->counts = type == METRIC_COUNTER || type == METRIC_HISTOGRAM || type == METRIC_SUMMARY;
    vec_clear(&c->rows);
    vec_clear(&c->starts);
}

bool created_is(const struct created *c, struct slice name)
{
    return slice_starts(name, c->family) &&
           slice_is(slice_skip(name, c->family.len), "_created");
}

static bool is_member(const struct created *c, struct slice name)
{
    static const char *const ends[] = {"", "_total", "_bucket", "_count", "_sum"};
    if (!slice_starts(name, c->family)) return false;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (slice_is(slice_skip(name, c->family.len), ends[i])) return true;
    return false;
}

uint64_t created_key(const struct label *labels, size_t n, struct slice *name)
{
    uint64_t sum = 0;
    *name = (struct slice){"", 0};
    for (size_t i = 0; i < n; i++) {
        struct slice at = labels[i].name, value = labels[i].value;
        if (slice_is(at, LABEL_NAME)) *name = value;
        else if (value.len && !slice_is(at, LABEL_LE) && !slice_is(at, "quantile"))
            sum += hash_mix(hash_slice(at) + hash_mix(hash_slice(value)));
    }
    return sum;
}

static int by_key(const void *a, const void *b)
{
    const struct created_start *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

void created_sort(struct created *c)
{
    if (c->starts.len > 1)
        qsort(c->starts.ptr, c->starts.len, sizeof(c->starts.ptr[0]), by_key);
}

ts_time created_find(const struct created *c, const struct label *labels, size_t n)
{
    struct slice name;
    struct created_start want = {.key = created_key(labels, n, &name)};
    if (c->starts.len == 0 || !is_member(c, name)) return START_NONE;
    const struct created_start *at =
        bsearch(&want, c->starts.ptr, c->starts.len, sizeof(want), by_key);
    return at ? at->start : START_NONE;
}
