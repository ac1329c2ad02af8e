/* Matchers -> ordinals. See resolve.h.
 *
 * Each matcher becomes a term, which says what the set is cut with:
 *
 *     accepts the empty string?   no: keep the series of the accepted pairs
 *                                 yes: take away the series of the refused pairs
 *     which pairs?                known at once (equality, literals, .+, .*), or found
 *                                 by showing the matcher every value of the name
 *     __key__                     one lookup, or a test of each candidate at the end
 *
 * Terms run in order of kind and then of how many ordinals they hold, so that the set
 * is small before anything dear is looked at. A term whose name has TEST_FACTOR times
 * more values than there are candidates is turned into a test of the candidates.
 *
 * The set is taken over whatever prefixes the lists have published when they are looked
 * at, after n_births was loaded; so every earlier birth is in it (registry.h).
 */
#include "index/resolve.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/panic.h"
#include "index/ordset_priv.h"
#include "index/registry_priv.h"

/* TEST_FACTOR: performance.md 6; a test of a candidate walks its pairs, a value costs a
 * match. UNION_FACTOR: a guess; a test costs some 100 ns, an ordinal of a union 1 to 3. */
enum { TEST_FACTOR = 100, UNION_FACTOR = 64, POLL_STEP = 1024 };

static const struct slice key_name = {LABEL_KEY, sizeof(LABEL_KEY) - 1};
static const struct slice tenant_name = {LABEL_TENANT, sizeof(LABEL_TENANT) - 1};

/* In the order in which they run. */
enum term_kind {
    TERM_KEY,       /* keep one ordinal by its key */
    TERM_PAIRS,     /* keep the series of known pairs */
    TERM_SCAN,      /* keep the series of the pairs that the matcher accepts */
    TERM_NOT_PAIRS, /* take away the series of known pairs */
    TERM_NOT_SCAN,  /* take away the series of the pairs that the matcher refuses */
    TERM_TEST,      /* ask each candidate */
};

struct term {
    enum term_kind kind;
    const struct matcher *m;
    uint32_t name;       /* dictionary id; DICT_NONE: __key__ */
    uint32_t *pairs;     /* TERM_PAIRS, TERM_NOT_PAIRS: owned */
    size_t n_pairs, cap_pairs;
    bool all_pairs;      /* instead of pairs: all the name has */
    uint64_t n_series;   /* most ordinals of the pairs */
};

struct resolver {
    const struct registry *reg;
    const struct resolve_args *args;
    struct matcher tenant;       /* the tenant rule as a matcher */
    struct term *terms;
    size_t n_terms;
    bool nothing;                /* no series can match */
    struct ordset set;
    bool have_set;               /* false: every live series so far */
};

static status poll_cancel(const struct resolver *r)
{
    const _Atomic bool *cancelled = r->args->cancelled;
    return cancelled && atomic_load_explicit(cancelled, memory_order_relaxed) ? ST_CANCELLED
                                                                              : ST_OK;
}

/* ---------------------------------------------------------------- terms */

static status term_pair(struct resolver *r, struct term *term, uint32_t pair)
{
    if (term->n_pairs == term->cap_pairs &&
        !vec_grow((void **)&term->pairs, &term->cap_pairs, term->n_pairs, 1,
                  sizeof(*term->pairs))) {
        return ST_NO_MEMORY;
    }
    term->pairs[term->n_pairs++] = pair;
    term->n_series += postings_len(&pair_at(r->reg, pair)->series);
    return ST_OK;
}

/* The pair of the term's name with this value, if any series ever had it. */
static status term_value(struct resolver *r, struct term *term, struct slice value)
{
    if (value.len == 0) return ST_OK;
    uint32_t id = dict_find(r->reg->values, value);
    if (id == DICT_NONE) return ST_OK;
    uint32_t pair = registry_pair(r->reg, term->name, id);
    return pair == ID_NONE ? ST_OK : term_pair(r, term, pair);
}

static void term_all(struct resolver *r, struct term *term)
{
    term->all_pairs = true;
    term->n_series = registry_n_ordinals(r->reg);
}

/* Keeps: the matcher refuses the empty string. */
static status plan_keep(struct resolver *r, struct term *term)
{
    const struct matcher *m = term->m;
    term->kind = TERM_PAIRS;
    if (m->op == MATCH_EQ) return term_value(r, term, m->value);
    if (m->op == MATCH_NE) { /* != "" */
        term_all(r, term);
        return ST_OK;
    }
    const struct regex_shape *shape = regex_shape(m->re);
    if (m->op == MATCH_RE && shape->n_literals > 0) {
        for (size_t i = 0; i < shape->n_literals; i++) {
            TRY(term_value(r, term, shape->literals[i]));
        }
    } else if (m->op == MATCH_RE && shape->match_nonempty) {
        term_all(r, term);
    } else if (m->op == MATCH_NRE && shape->match_all) {
        r->nothing = true;
    } else {
        term->kind = TERM_SCAN;
        term->n_series = registry_n_ordinals(r->reg);
    }
    return ST_OK;
}

/* Takes away: the matcher accepts the empty string. */
static status plan_take(struct resolver *r, struct term *term)
{
    const struct matcher *m = term->m;
    term->kind = TERM_NOT_PAIRS;
    if (m->op == MATCH_NE) return term_value(r, term, m->value);
    if (m->op == MATCH_EQ) { /* = "" */
        term_all(r, term);
        return ST_OK;
    }
    const struct regex_shape *shape = regex_shape(m->re);
    if (m->op == MATCH_RE && shape->match_all) return ST_OK; /* takes nothing away */
    if (m->op == MATCH_NRE && shape->n_literals > 0) {
        for (size_t i = 0; i < shape->n_literals; i++) {
            TRY(term_value(r, term, shape->literals[i]));
        }
    } else if (m->op == MATCH_NRE && shape->match_nonempty) {
        term_all(r, term);
    } else {
        term->kind = TERM_NOT_SCAN;
        term->n_series = registry_n_ordinals(r->reg);
    }
    return ST_OK;
}

static status plan_term(struct resolver *r, const struct matcher *m)
{
    struct term term = {.m = m, .name = DICT_NONE};
    bool accepts_empty = matcher_accepts(m, (struct slice){"", 0});
    status st = ST_OK;

    if (slice_eq(m->name, key_name)) {
        bool lookup = m->op == MATCH_EQ && m->value.len > 0 && !r->args->all_tenants;
        term.kind = lookup ? TERM_KEY : TERM_TEST;
    } else {
        term.name = dict_find(r->reg->names, m->name);
        if (term.name == DICT_NONE) {
            /* No series has the label: all accept or none. */
            r->nothing |= !accepts_empty;
            return ST_OK;
        }
        st = accepts_empty ? plan_take(r, &term) : plan_keep(r, &term);
    }
    r->terms[r->n_terms++] = term; /* released with the others, also after a failure */
    return st;
}

static int cmp_terms(const void *a, const void *b)
{
    const struct term *x = a, *y = b;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    return (x->n_series > y->n_series) - (x->n_series < y->n_series);
}

static status plan(struct resolver *r)
{
    const struct matchers ms = r->args->matchers;
    r->terms = mem_try_array(ms.n + 1, sizeof(*r->terms));
    if (!r->terms) return ST_NO_MEMORY;

    for (size_t i = 0; i < ms.n && !r->nothing; i++) TRY(plan_term(r, &ms.ptr[i]));
    if (!r->args->all_tenants && !r->nothing) {
        r->tenant = (struct matcher){
            .op = MATCH_EQ, .name = tenant_name, .value = r->args->tenant};
        TRY(plan_term(r, &r->tenant));
    }
    if (r->n_terms > 1) qsort(r->terms, r->n_terms, sizeof(*r->terms), cmp_terms);
    return ST_OK;
}

/* ---------------------------------------------------------------- running terms */

/* Without a term that keeps, everything alive is a candidate. */
static status start_with_all(struct resolver *r)
{
    uint32_t n = registry_n_ordinals(r->reg);
    r->have_set = true;
    TRY(ordset_reserve(&r->set, n ? n : 1));
    for (uint32_t i = 0; i < n; i++) {
        if (entry_visible(entry_at(r->reg, i))) r->set.arr[r->set.n++] = i;
        if (i % (POLL_STEP * 64) == 0) TRY(poll_cancel(r));
    }
    return ST_OK;
}

/* Asks each candidate for its label. */
static status run_test(struct resolver *r, const struct term *term)
{
    TRY(ordset_flatten(&r->set));
    size_t n = 0;
    for (size_t i = 0; i < r->set.n; i++) {
        uint32_t ordinal = r->set.arr[i];
        struct slice value = {"", 0};
        if (term->name == DICT_NONE) {
            value = registry_key(r->reg, ordinal);
        } else {
            uint32_t id = registry_value_of(r->reg, ordinal, term->name);
            if (id != DICT_NONE) value = dict_text(r->reg->values, id);
        }
        if (matcher_accepts(term->m, value)) r->set.arr[n++] = ordinal;
        if (i % POLL_STEP == 0) TRY(poll_cancel(r));
    }
    r->set.n = n;
    return ST_OK;
}

/* The pairs of the term's name, or those of them that the matcher accepts (keep) or
 * refuses. */
static status find_pairs(struct resolver *r, struct term *term, bool keep)
{
    struct postings_view view = postings_view(&name_row_at(r->reg, term->name)->pairs);
    uint32_t n_all = view.base_len + view.delta_len;
    uint32_t *ids = mem_try_array(n_all ? n_all : 1, sizeof(*ids));
    if (!ids) return ST_NO_MEMORY;
    postings_view_all(&view, ids);

    size_t n = 0;
    status st = ST_OK;
    for (size_t i = 0; i < n_all && st == ST_OK; i++) {
        if (!term->all_pairs) {
            struct slice value = dict_text(r->reg->values, pair_at(r->reg, ids[i])->value);
            if (matcher_accepts(term->m, value) != keep) continue;
        }
        ids[n++] = ids[i];
        if (i % POLL_STEP == 0) st = poll_cancel(r);
    }
    if (st != ST_OK) {
        mem_free(ids);
        return st;
    }
    mem_free(term->pairs);
    term->pairs = ids;
    term->n_pairs = n;
    term->cap_pairs = n_all;
    return ST_OK;
}

static status apply_pairs(struct resolver *r, const struct term *term, enum ordset_op op)
{
    if (term->n_pairs == 1) {
        struct postings_view view = postings_view(&pair_at(r->reg, term->pairs[0])->series);
        return ordset_list(&r->set, op, &view);
    }
    struct ordset_union all = {.n_bases = 0};
    status st = ST_OK;
    for (size_t i = 0; i < term->n_pairs && st == ST_OK; i++) {
        struct postings_view view = postings_view(&pair_at(r->reg, term->pairs[i])->series);
        st = ordset_union_add(&all, &view);
        if (st == ST_OK && i % POLL_STEP == 0) st = poll_cancel(r);
    }
    struct roaring_bitmap_s *bitmap = ordset_union_finish(&all);
    status st_set = ordset_bitmap(&r->set, st == ST_OK ? op : ORDSET_AND, bitmap);
    return st != ST_OK ? st : st_set;
}

/* Whether a union of the term's lists costs more than asking the candidates. */
static bool union_is_dear(const struct resolver *r, const struct term *term)
{
    if (!r->have_set || term->n_pairs < 2) return false;
    uint64_t most = (uint64_t)ordset_len(&r->set) * UNION_FACTOR, n = 0;
    for (size_t i = 0; i < term->n_pairs && n <= most; i++) {
        n += postings_len(&pair_at(r->reg, term->pairs[i])->series);
    }
    return n > most;
}

static status run_key(struct resolver *r, const struct term *term)
{
    uint32_t ordinal = registry_by_key(r->reg, r->args->tenant, term->m->value);
    if (r->have_set) return run_test(r, term); /* two keys: only if they are the same */
    r->have_set = true;
    TRY(ordset_reserve(&r->set, 1));
    if (ordinal != ORDINAL_NONE) r->set.arr[r->set.n++] = ordinal;
    return ST_OK;
}

static status run_term(struct resolver *r, struct term *term)
{
    bool keep = term->kind == TERM_PAIRS || term->kind == TERM_SCAN;
    bool scan = term->kind == TERM_SCAN || term->kind == TERM_NOT_SCAN;

    if (term->kind == TERM_KEY) return run_key(r, term);
    if (!keep && !r->have_set) TRY(start_with_all(r));
    if (term->kind == TERM_TEST) return run_test(r, term);
    if (scan || term->all_pairs) {
        uint64_t n_values = postings_len(&name_row_at(r->reg, term->name)->pairs);
        if (r->have_set && n_values / TEST_FACTOR > ordset_len(&r->set)) {
            return run_test(r, term);
        }
        TRY(find_pairs(r, term, keep));
    }
    if (union_is_dear(r, term)) return run_test(r, term);
    enum ordset_op op = !keep ? ORDSET_ANDNOT : r->have_set ? ORDSET_AND : ORDSET_IS;
    r->have_set = true;
    return apply_pairs(r, term, op);
}

static status run_terms(struct resolver *r)
{
    for (size_t i = 0; i < r->n_terms; i++) {
        if (r->have_set && ordset_len(&r->set) == 0) break;
        TRY(poll_cancel(r));
        TRY(run_term(r, &r->terms[i]));
    }
    if (!r->have_set) TRY(start_with_all(r));
    TRY(ordset_flatten(&r->set));
    if (atomic_load_explicit(&r->reg->dead.n, memory_order_acquire) == 0) return ST_OK;
    size_t n = 0;
    for (size_t i = 0; i < r->set.n; i++) {
        if (!ordinal_bits_has(&r->reg->dead, r->set.arr[i])) r->set.arr[n++] = r->set.arr[i];
    }
    r->set.n = n;
    return ST_OK;
}

/* ---------------------------------------------------------------- the doors */

static status check_limit(const struct resolve_args *args, size_t n, struct err *err)
{
    if (args->limit == 0 || n <= args->limit) return ST_OK;
    return err_set(err, ST_LIMIT, "the selector matches %zu series, the limit is %zu", n,
                   args->limit);
}

status resolve(struct ordinals *out, const struct registry *reg,
               const struct resolve_args *args, struct err *err)
{
    struct resolver r = {.reg = reg, .args = args};
    uint64_t n_births = registry_n_births(reg); /* before any list is looked at */
    ordset_init(&r.set, args->account);

    status st = plan(&r);
    if (st == ST_OK && !r.nothing) st = run_terms(&r);
    for (size_t i = 0; i < r.n_terms; i++) mem_free(r.terms[i].pairs);
    mem_free(r.terms);
    if (st == ST_OK) st = check_limit(args, r.set.n, err);
    if (st != ST_OK) {
        ordset_release(&r.set);
        return err_wrap(err, st, "resolving matchers");
    }
    *out = (struct ordinals){.ptr = r.set.arr,
                             .n = r.set.n,
                             .cap = r.set.cap,
                             .n_births = n_births,
                             .account = args->account};
    return ST_OK;
}

bool resolve_test(const struct registry *reg, uint32_t ordinal, const struct resolve_args *args)
{
    if (!entry_visible(entry_at(reg, ordinal))) return false;
    for (size_t i = 0; i < args->matchers.n; i++) {
        const struct matcher *m = &args->matchers.ptr[i];
        if (!matcher_accepts(m, registry_label(reg, ordinal, m->name))) return false;
    }
    return args->all_tenants ||
           slice_eq(registry_label(reg, ordinal, tenant_name), args->tenant);
}

static int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool has(const struct ordinals *set, size_t n, uint32_t ordinal)
{
    return bsearch(&ordinal, set->ptr, n, sizeof(ordinal), cmp_u32) != NULL;
}

status resolve_births(struct ordinals *out, const struct registry *reg,
                      const struct resolve_args *args, uint64_t n_births, struct err *err)
{
    size_t n_before = out->n;
    struct ordset set = {
        .arr = out->ptr, .n = out->n, .cap = out->cap, .account = out->account};
    status st = ST_OK;

    for (uint64_t i = out->n_births; i < n_births && st == ST_OK; i++) {
        uint32_t ordinal = registry_birth(reg, i);
        if (!resolve_test(reg, ordinal, args) || (n_before && has(out, n_before, ordinal))) {
            continue;
        }
        if (set.n == set.cap) st = ordset_reserve(&set, set.cap ? set.cap * 2 : 16);
        out->ptr = set.arr;
        out->cap = set.cap;
        if (st == ST_OK) set.arr[set.n++] = ordinal;
        out->n = set.n;
    }
    if (st == ST_OK && out->n > n_before) {
        /* An ordinal may have been born twice in the stretch. */
        qsort(out->ptr, out->n, sizeof(*out->ptr), cmp_u32);
        size_t n = 0;
        for (size_t i = 0; i < out->n; i++) {
            if (n == 0 || out->ptr[n - 1] != out->ptr[i]) out->ptr[n++] = out->ptr[i];
        }
        out->n = n;
    }
    if (st == ST_OK) st = check_limit(args, out->n, err);
    if (st != ST_OK) return err_wrap(err, st, "resolving new series");
    out->n_births = n_births;
    return ST_OK;
}

void ordinals_release(struct ordinals *set)
{
    account_release(set->account, set->cap * sizeof(*set->ptr));
    mem_free(set->ptr);
    *set = (struct ordinals){.ptr = NULL};
}
