/* Posting lists of many series at once: no list grown step by step.
 *
 *     count      threads   each a range of ordinals: how many of them each pair has
 *     room       owner     for each pair: a list of that length, or a stretch of memory
 *     deal       threads   the same ranges: ordinals to their pair's room, in their order
 *     fill       owner     from the stretches what is no plain list: the shortest, the
 *                          longest, and those that exist and grow
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
    uint32_t *counts;    /* by pair: ordinals of this range */
    uint32_t **next;     /* by pair: where the next of them goes */
    bool deals;
};

static void run_dealer(void *ctx)
{
    struct dealer *d = ctx;
    const struct registry *reg = d->reg;
    for (uint32_t i = d->from; i < d->to; i++) {
        struct packed list = packed_open(packed_of(reg, entry_at(reg, i)));
        if (d->deals)
            while (list.n > 0) *d->next[packed_next(&list)]++ = i;
        else
            while (list.n > 0) d->counts[packed_next(&list)]++;
    }
}

struct listing {
    struct registry *reg;
    struct dealer *dealers;
    unsigned n;
    uint32_t *stretches;      /* one piece of memory */
    uint32_t **stretch;       /* by pair: its own; NULL: its ordinals are in its list */
};

static size_t count_of(const struct listing *l, uint32_t pair)
{
    size_t sum = 0;
    for (unsigned i = 0; i < l->n; i++) sum += l->dealers[i].counts[pair];
    return sum;
}

/* Whether the pair's ordinals go into a list of their own at once. */
static bool is_plain(const struct registry *reg, uint32_t pair, size_t n)
{
    return n >= POSTINGS_PLAIN_MIN && n <= POSTINGS_PLAIN_MAX &&
           postings_len(&pair_at(reg, pair)->series) == 0;
}

static status make_stretches(struct listing *l)
{
    size_t len = 0;
    for (uint32_t p = 0; p < n_pairs(l->reg); p++) {
        size_t n = count_of(l, p);
        if (n > UINT32_MAX) return ST_LIMIT;
        if (!is_plain(l->reg, p, n)) len += n;
    }
    l->stretches = mem_try_array(len ? len : 1, sizeof(*l->stretches));
    return l->stretches ? ST_OK : ST_NO_MEMORY;
}

/* Where the dealers put the ordinals of each pair. */
static status make_room(struct listing *l)
{
    TRY(make_stretches(l));
    uint32_t *free_stretch = l->stretches;
    for (uint32_t p = 0; p < n_pairs(l->reg); p++) {
        size_t n = count_of(l, p);
        uint32_t *room = free_stretch;
        if (is_plain(l->reg, p, n)) {
            struct postings *post = &pair_at(l->reg, p)->series;
            room = postings_room(post, &l->reg->pool, (uint32_t)n);
            if (!room) return ST_NO_MEMORY;
        } else {
            l->stretch[p] = room;
            free_stretch += n;
        }
        for (unsigned i = 0; i < l->n; i++) {
            l->dealers[i].next[p] = room;
            room += l->dealers[i].counts[p];
        }
    }
    return ST_OK;
}

static bool grow_list(struct registry *reg, uint32_t pair, const uint32_t *ordinals, size_t n)
{
    struct postings *post = &pair_at(reg, pair)->series;
    for (size_t i = 0; i < n; i++) {
        if (!postings_reserve(post, &reg->pool) || !vec_reserve(&reg->due, 1)) return false;
        if (postings_append(post, ordinals[i])) reg->due.ptr[reg->due.len++] = pair;
    }
    return true;
}

static status fill_lists(struct listing *l)
{
    for (uint32_t p = 0; p < n_pairs(l->reg); p++) {
        struct postings *post = &pair_at(l->reg, p)->series;
        size_t n = l->stretch[p] ? count_of(l, p) : 0;
        if (n == 0) continue;
        bool ok = postings_len(post) ? grow_list(l->reg, p, l->stretch[p], n)
                                     : postings_fill(post, &l->reg->pool, l->stretch[p],
                                                     (uint32_t)n);
        if (!ok) return ST_NO_MEMORY;
    }
    return ST_OK;
}

static void release_listing(struct listing *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        mem_free(l->dealers[i].counts);
        mem_free(l->dealers[i].next);
    }
    mem_free(l->stretch);
    mem_free(l->stretches);
}

static status list_range(struct registry *reg, struct dealer *dealers, unsigned n)
{
    struct listing l = {.reg = reg, .dealers = dealers, .n = n};
    size_t n_all = n_pairs(reg) + (size_t)1;
    l.stretch = mem_try_zero(n_all * sizeof(*l.stretch));
    status st = l.stretch ? ST_OK : ST_NO_MEMORY;
    for (unsigned i = 0; i < n; i++) {
        dealers[i].counts = mem_try_zero(n_all * sizeof(*dealers[i].counts));
        dealers[i].next = mem_try_array(n_all, sizeof(*dealers[i].next));
        if (!dealers[i].counts || !dealers[i].next) st = ST_NO_MEMORY;
    }
    if (st == ST_OK) threads_together("load", run_dealer, dealers, sizeof(dealers[0]), n);
    if (st == ST_OK) st = make_room(&l);
    for (unsigned i = 0; i < n; i++) dealers[i].deals = true;
    if (st == ST_OK) threads_together("load", run_dealer, dealers, sizeof(dealers[0]), n);
    if (st == ST_OK) st = fill_lists(&l);
    release_listing(&l);
    return st;
}

/* Pairs that the files know and no series has go with the next purges. */
static status leave_unused(struct registry *reg)
{
    for (uint32_t p = 0; p < n_pairs(reg); p++) {
        if (postings_len(&pair_at(reg, p)->series) > 0) continue;
        if (!vec_push(&reg->leaving, p)) return ST_NO_MEMORY;
        registry_unlink_pair(reg, p);
    }
    return ST_OK;
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
    if (n) TRY(list_range(reg, dealers, n_dealers));
    return leave_unused(reg);
}
