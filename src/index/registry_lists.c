/* Posting lists of many series at once: no list grown step by step.
 *
 *     count      threads   each a range of ordinals: how many of them each pair has
 *     deal       threads   the same ranges: ordinals to where their pair's begin, so that
 *                          they lie there in their order
 *     fill       owner     each list once, at its full length; one that exists grows
 *
 * Between registry_bulk_begin() and registry_bulk_end() nobody looks at a list. Series that
 * die meanwhile are put in as well: a purge takes them out with their ordinal, as always.
 */
#include "base/mem.h"
#include "base/panic.h"
#include "base/thread.h"
#include "index/registry_priv.h"

enum { THREADS_MAX = 8, ORDINALS_A_THREAD = 4096 };

struct dealer {
    struct registry *reg;
    uint32_t from, to;
    uint32_t *at;        /* by pair: counts, then where the next ordinal goes */
    uint32_t *ordinals;  /* NULL: counting */
};

static void run_dealer(void *ctx)
{
    struct dealer *d = ctx;
    const struct registry *reg = d->reg;
    uint32_t *at = d->at;
    for (uint32_t i = d->from; i < d->to; i++) {
        struct packed list = packed_open(packed_of(reg, entry_at(reg, i)));
        if (d->ordinals)
            while (list.n > 0) d->ordinals[at[packed_next(&list)]++] = i;
        else
            while (list.n > 0) at[packed_next(&list)]++;
    }
}

/* Counts become places; starts[p] is where the ordinals of pair p begin, n + 1 of them. */
static status place_counts(uint32_t *starts, struct dealer *dealers, unsigned n, uint32_t n_all)
{
    uint32_t sum = 0;
    for (uint32_t p = 0; p < n_all; p++) {
        starts[p] = sum;
        for (unsigned i = 0; i < n; i++) {
            uint32_t here = dealers[i].at[p];
            dealers[i].at[p] = sum;
            if (__builtin_add_overflow(sum, here, &sum)) return ST_LIMIT;
        }
    }
    starts[n_all] = sum;
    return ST_OK;
}

static bool grow_list(struct registry *reg, uint32_t pair, const uint32_t *ordinals, uint32_t n)
{
    struct postings *post = &pair_at(reg, pair)->series;
    for (uint32_t i = 0; i < n; i++) {
        if (!postings_reserve(post, &reg->pool) || !vec_reserve(&reg->due, 1)) return false;
        if (postings_append(post, ordinals[i])) reg->due.ptr[reg->due.len++] = pair;
    }
    return true;
}

static status fill_lists(struct registry *reg, const uint32_t *starts, const uint32_t *ordinals)
{
    for (uint32_t p = 0; p < n_pairs(reg); p++) {
        struct postings *post = &pair_at(reg, p)->series;
        const uint32_t *own = ordinals + starts[p];
        uint32_t n = starts[p + 1] - starts[p];
        if (n == 0) continue;
        bool ok = postings_len(post) ? grow_list(reg, p, own, n)
                                     : postings_fill(post, &reg->pool, own, n);
        if (!ok) return ST_NO_MEMORY;
    }
    return ST_OK;
}

static status list_range(struct registry *reg, struct dealer *dealers, unsigned n)
{
    uint32_t n_all = n_pairs(reg);
    uint32_t *starts = mem_try_array(n_all + (size_t)1, sizeof(*starts)), *ordinals = NULL;
    status st = starts ? ST_OK : ST_NO_MEMORY;
    for (unsigned i = 0; i < n; i++) {
        dealers[i].at = mem_try_zero((n_all + (size_t)1) * sizeof(uint32_t));
        if (!dealers[i].at) st = ST_NO_MEMORY;
    }
    if (st == ST_OK) threads_together("load", run_dealer, dealers, sizeof(dealers[0]), n);
    if (st == ST_OK) st = place_counts(starts, dealers, n, n_all);
    if (st == ST_OK) {
        ordinals = mem_try_array(starts[n_all] ? starts[n_all] : 1, sizeof(*ordinals));
        if (!ordinals) st = ST_NO_MEMORY;
    }
    for (unsigned i = 0; i < n; i++) dealers[i].ordinals = ordinals;
    if (st == ST_OK) threads_together("load", run_dealer, dealers, sizeof(dealers[0]), n);
    for (unsigned i = 0; i < n; i++) mem_free(dealers[i].at);
    if (st == ST_OK) st = fill_lists(reg, starts, ordinals);
    mem_free(starts);
    mem_free(ordinals);
    return st;
}

void registry_bulk_begin(struct registry *reg)
{
    ASSERT(!reg->bulk);
    reg->bulk = true;
    reg->unlisted = registry_n_ordinals(reg);
}

status registry_bulk_end(struct registry *reg, unsigned n_threads)
{
    struct dealer dealers[THREADS_MAX];
    uint32_t from = reg->unlisted, n = registry_n_ordinals(reg) - from;
    ASSERT(reg->bulk);
    unsigned n_dealers = n / ORDINALS_A_THREAD + 1;
    if (n_threads > THREADS_MAX) n_threads = THREADS_MAX;
    if (n_dealers > n_threads) n_dealers = n_threads > 1 ? n_threads : 1;
    for (unsigned i = 0; i < n_dealers; i++)
        dealers[i] = (struct dealer){.reg = reg,
                                     .from = from + (uint32_t)((uint64_t)n * i / n_dealers),
                                     .to = from + (uint32_t)((uint64_t)n * (i + 1) / n_dealers)};
    reg->bulk = false;
    return n ? list_range(reg, dealers, n_dealers) : ST_OK;
}
