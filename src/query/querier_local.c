/* The querier over one database. See querier_local.h.
 *
 *   resolve   as a registered reader: matchers -> ordinals, noting births
 *   pin       still registered: an ordinal may not be born again in between
 *   births    what was born between the two is tested by its labels
 *   capture   every series once, whichever selects want it
 *   label     once a series; each set is a sorted list of indexes
 *   read      engine/view.h, within the select's range
 *
 * A fetch is one object with its own account; done() gives everything back at once.
 * When the journal overflows while capturing, all is done anew, at most three times.
 *
 * Not here: merging memory with segments, deletes, retention (engine/view_read.c).
 */
#include "query/querier_local.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/vec.h"
#include "engine/view.h"
#include "engine/view_reader.h"
#include "index/label_scan.h"
#include "index/resolve.h"
#include "query/fetch_starts.h"

enum { PINS_MAX = 3, POLL_SERIES = 256, EDGE_STEP = 3600 * 1000 };

static const struct slice tenant_name = {LABEL_TENANT, sizeof(LABEL_TENANT) - 1};

struct querier_local {
    struct querier base;
    struct db *db;
    struct account *account; /* may be NULL */
};

/* One select's answer. */
struct local_set {
    struct series_set base;
    struct fetch *fetch;
    const struct select *select;  /* the caller's; valid until done() */
    struct ordinals ordinals;     /* until the set is built */
    uint32_t *series;             /* base.n indexes into fetch->series */
};

struct fetch {
    struct querier_local *ql;
    struct account account;
    struct arena arena;            /* labels, sets, bytes and histograms */
    struct query_budget *budget;
    struct slice tenant;
    struct view *view;             /* NULL before the pin */
    struct captured *series;       /* what any select wants, by ordinal */
    struct labels *labels;         /* of each; made when the first set wants them */
    size_t n_series;
    uint8_t *has;                  /* find_data() of has_range; NULL: not asked for */
    struct time_range has_range;
    bool reads_samples;            /* some select does, and may ask for their starts */
    struct fetch_starts starts;    /* of each of series */
    struct local_set *sets;
    size_t n_sets;
};

static status no_memory(struct err *err)
{
    return err_set(err, ST_NO_MEMORY, "the query needs more memory than it may use");
}

/* ---------------------------------------------------------------- life */

static struct fetch *fetch_new(struct querier_local *ql, struct query_budget *budget,
                               struct slice tenant)
{
    struct fetch *fetch = mem_zalloc(sizeof(*fetch));
    fetch->ql = ql;
    fetch->budget = budget;
    fetch->tenant = tenant;
    account_init(&fetch->account, "fetch", budget->account ? budget->account : ql->account,
                 budget->account ? 0 : budget->bytes_max);
    arena_init(&fetch->arena, &fetch->account, 4096);
    return fetch;
}

static void fetch_free(struct fetch *fetch)
{
    if (!fetch) return;
    for (size_t i = 0; i < fetch->n_sets; i++) ordinals_release(&fetch->sets[i].ordinals);
    if (fetch->view) db_unpin(fetch->ql->db, fetch->view);
    fetch_starts_release(&fetch->starts);
    arena_release(&fetch->arena);
    mem_free(fetch);
}

static struct resolve_args args_of(const struct fetch *fetch, struct matchers matchers)
{
    return (struct resolve_args){.matchers = matchers,
                                 .tenant = fetch->tenant,
                                 .limit = fetch->budget->series_max,
                                 .cancelled = fetch->budget->cancelled,
                                 .account = &((struct fetch *)(uintptr_t)fetch)->account};
}

/* ---------------------------------------------------------------- resolve, pin, capture */

static status resolve_all(struct fetch *fetch, const struct matchers *groups, struct err *err)
{
    const struct registry *reg = db_registry(fetch->ql->db);
    for (size_t i = 0; i < fetch->n_sets; i++) {
        struct resolve_args args = args_of(fetch, groups[i]);
        TRY(resolve(&fetch->sets[i].ordinals, reg, &args, err));
        if (fetch->reads_samples &&
            !fetch_starts_look(&fetch->starts, reg, &fetch->sets[i].ordinals))
            return no_memory(err);
        TRY(budget_poll(fetch->budget, err));
    }
    return ST_OK;
}

static status resolve_late(struct fetch *fetch, const struct matchers *groups, struct err *err)
{
    const struct registry *reg = view_registry(fetch->view);
    for (size_t i = 0; i < fetch->n_sets; i++) {
        struct resolve_args args = args_of(fetch, groups[i]);
        TRY(resolve_births(&fetch->sets[i].ordinals, reg, &args, view_births(fetch->view), err));
    }
    return ST_OK;
}

static int cmp_captured(const void *a, const void *b)
{
    uint32_t x = ((const struct captured *)a)->ordinal;
    uint32_t y = ((const struct captured *)b)->ordinal;
    return (x > y) - (x < y);
}

/* Every ordinal of every set, once, ascending. */
static status gather(struct fetch *fetch, struct err *err)
{
    size_t n = 0, n_unique = 0;
    for (size_t i = 0; i < fetch->n_sets; i++) n += fetch->sets[i].ordinals.n;
    struct captured *series = arena_try_array(&fetch->arena, n ? n : 1, sizeof(*series));
    if (!series) return no_memory(err);
    n = 0;
    for (size_t i = 0; i < fetch->n_sets; i++) {
        const struct ordinals *set = &fetch->sets[i].ordinals;
        for (size_t k = 0; k < set->n; k++) series[n++].ordinal = set->ptr[k];
    }
    if (fetch->n_sets > 1 && n > 1) qsort(series, n, sizeof(*series), cmp_captured);
    for (size_t i = 0; i < n; i++) {
        if (n_unique && series[n_unique - 1].ordinal == series[i].ordinal) continue;
        series[n_unique++].ordinal = series[i].ordinal;
    }
    fetch->series = series;
    fetch->n_series = n_unique;
    return ST_OK;
}

/* One try: ST_AGAIN when the journal overflowed. */
static status pin_once(struct fetch *fetch, const struct matchers *groups, struct err *err)
{
    struct db *db = fetch->ql->db;
    int reader = db_reader_enter(db);
    status st = resolve_all(fetch, groups, err);
    if (st == ST_OK) st = db_pin_found(db, reader, &fetch->view, err);
    if (st == ST_OK) st = resolve_late(fetch, groups, err); /* old births may be forgotten */
    db_reader_leave(db, reader); /* the view holds everything from here */
    if (st != ST_OK) return st;
    TRY(gather(fetch, err));
    if (!fetch->reads_samples)
        return view_capture(fetch->view, fetch->series, fetch->n_series, err);
    return fetch_starts_capture(&fetch->starts, fetch->view, fetch->series, fetch->n_series,
                                &fetch->arena, err);
}

/* A lost view takes its ordinals along: without it they may be born again. */
static void unpin(struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->n_sets; i++) ordinals_release(&fetch->sets[i].ordinals);
    fetch_starts_release(&fetch->starts);
    db_unpin(fetch->ql->db, fetch->view);
    fetch->view = NULL;
}

static status resolve_and_pin(struct fetch *fetch, const struct matchers *groups,
                              struct err *err)
{
    for (int i = 0; i < PINS_MAX; i++) {
        status st = pin_once(fetch, groups, err);
        if (st != ST_AGAIN) return st;
        unpin(fetch);
        if (err) *err = (struct err){.st = ST_OK};
    }
    return err_set(err, ST_LIMIT, "too many series change while the query starts");
}

/* ---------------------------------------------------------------- labels */

/* Without the tenant's label, which answers do not show. */
static struct labels visible(struct labels labels)
{
    struct label *ptr = (struct label *)(uintptr_t)labels.ptr; /* ours: just made */
    size_t n = 0;
    for (size_t i = 0; i < labels.n; i++) {
        if (!slice_eq(ptr[i].name, tenant_name)) ptr[n++] = ptr[i];
    }
    return (struct labels){ptr, n};
}

static status make_labels(struct fetch *fetch, struct err *err)
{
    const struct registry *reg = view_registry(fetch->view);
    size_t n = fetch->n_series;
    fetch->labels = arena_try_array(&fetch->arena, n ? n : 1, sizeof(*fetch->labels));
    if (!fetch->labels) return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct labels labels = registry_labels(reg, fetch->series[i].ordinal, &fetch->arena);
        if (!labels.ptr) return no_memory(err);
        fetch->labels[i] = visible(labels);
        if (i % POLL_SERIES == 0) TRY(budget_poll(fetch->budget, err));
    }
    return ST_OK;
}

/* labels_cmp(), made quick by texts that come from one dictionary: the same text is at
 * the same place, so a shared prefix of labels costs no look at its bytes. */
static int cmp_labels(struct labels a, struct labels b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++) {
        const struct label *x = &a.ptr[i], *y = &b.ptr[i];
        int order = x->name.ptr == y->name.ptr ? 0 : slice_cmp(x->name, y->name);
        if (order == 0 && (x->value.ptr != y->value.ptr || x->value.len != y->value.len)) {
            order = slice_cmp(x->value, y->value);
        }
        if (order) return order;
    }
    return (a.n > b.n) - (a.n < b.n);
}

static int cmp_series(const void *a, const void *b, void *arg)
{
    const struct labels *labels = arg;
    return cmp_labels(labels[*(const uint32_t *)a], labels[*(const uint32_t *)b]);
}

/* ---------------------------------------------------------------- sets */

static bool whole(struct time_range range)
{
    return range.from == TS_MIN && range.to == TS_MAX;
}

/* Which of fetch->series have something stored that reaches into the range, a byte each;
 * made once for each range in a row. */
static status find_data(struct fetch *fetch, struct time_range range, struct err *err)
{
    enum { AT_ONCE = 65536 };
    size_t n = fetch->n_series;
    if (fetch->has && fetch->has_range.from == range.from && fetch->has_range.to == range.to)
        return ST_OK;
    if (!fetch->has) fetch->has = arena_try(&fetch->arena, n ? n : 1);
    if (!fetch->has) return no_memory(err);
    fetch->has_range = (struct time_range){TS_MAX, TS_MIN};
    for (size_t i = 0; i < n; i += AT_ONCE) {
        size_t count = n - i < AT_ONCE ? n - i : AT_ONCE;
        TRY(view_reaches(fetch->view, fetch->series + i, count, range, fetch->has + i, err));
        TRY(budget_poll(fetch->budget, err));
    }
    fetch->has_range = range;
    return ST_OK;
}

/* The indexes of the set's series in fetch->series, those without data left out where
 * the select says so. */
static status index_set(struct fetch *fetch, const struct ordinals *ordinals,
                        struct time_range range, bool only_data, uint32_t *out, size_t *n_out,
                        struct err *err)
{
    size_t at = 0, n = 0;
    if (only_data) TRY(find_data(fetch, range, err));
    for (size_t i = 0; i < ordinals->n; i++) {
        while (fetch->series[at].ordinal < ordinals->ptr[i]) at++;
        bool has = !captured_moved(&fetch->series[at]);
        if (has && only_data) has = fetch->has[at];
        if (has) out[n++] = (uint32_t)at;
        if (i % POLL_SERIES == 0) TRY(budget_poll(fetch->budget, err));
    }
    *n_out = n;
    return ST_OK;
}

static status local_read(struct series_set *base, size_t i, struct points *out,
                         struct err *err);
static status local_last(struct series_set *base, size_t i, struct point *out, bool *found,
                         struct err *err);
static status local_starts(struct series_set *base, size_t i, struct points *out,
                           struct err *err);
static status local_open_reader(struct series_set *base, struct query_budget *budget,
                                struct series_reader **out, struct err *err);
static const struct series_set_ops local_set_ops = {.read = local_read,
                                                    .last = local_last,
                                                    .starts = local_starts,
                                                    .open_reader = local_open_reader};

static status build_set(struct local_set *set, struct err *err)
{
    struct fetch *fetch = set->fetch;
    const struct select *select = set->select;
    size_t n = set->ordinals.n;
    set->series = arena_try_array(&fetch->arena, n ? n : 1, sizeof(*set->series));
    if (!set->series) return no_memory(err);
    bool only_data =
        select->hint.labels_only && !select->keep_empty && !whole(select->range);
    TRY(index_set(fetch, &set->ordinals, select->range, only_data, set->series, &n, err));
    ordinals_release(&set->ordinals);
    TRY(budget_series(fetch->budget, n, err));
    if (n > 1) qsort_r(set->series, n, sizeof(*set->series), cmp_series, fetch->labels);

    struct labels *labels = arena_try_array(&fetch->arena, n ? n : 1, sizeof(*labels));
    enum value_type *types = arena_try_array(&fetch->arena, n ? n : 1, sizeof(*types));
    uint64_t *ids = arena_try_array(&fetch->arena, n ? n : 1, sizeof(*ids));
    if (!labels || !types || !ids) return no_memory(err);
    const struct registry *reg = view_registry(fetch->view);
    for (size_t i = 0; i < n; i++) {
        const struct series_entry *entry =
            registry_entry(reg, fetch->series[set->series[i]].ordinal);
        labels[i] = fetch->labels[set->series[i]];
        types[i] = (enum value_type)entry->type;
        ids[i] = entry->id;
    }
    set->base = (struct series_set){
        .ops = &local_set_ops, .n = n, .labels = labels, .types = types, .ids = ids};
    return ST_OK;
}

/* ---------------------------------------------------------------- reading */

/* The newest sample before the range, if there is one. */
static status read_before(struct local_set *set, const struct captured *series,
                          struct points *out, struct err *err)
{
    struct fetch *fetch = set->fetch;
    struct time_range range = set->select->range;
    struct point pt;
    bool found = false;
    if (range.from == TS_MIN) return ST_OK;
    TRY(view_last(fetch->view, series, (struct time_range){TS_MIN, range.from - 1}, &pt, &found,
                  &fetch->arena, err));
    return !found || points_push(out, pt.ts, pt.val) ? ST_OK : no_memory(err);
}

/* The oldest sample after the range: looked for in windows that double, up to the end of
 * what is stored. */
static status read_after(struct local_set *set, const struct captured *series,
                         struct points *out, struct err *err)
{
    struct fetch *fetch = set->fetch;
    struct series_extent extent;
    if (set->select->range.to == TS_MAX) return ST_OK;
    TRY(view_extent(fetch->view, series, &extent, err));
    int64_t step = EDGE_STEP;
    ts_time from = set->select->range.to + 1;
    if (from < extent.range.from) from = extent.range.from;
    size_t n = out->n;
    while (out->n == n && !range_empty(extent.range) && from <= extent.range.to) {
        struct time_range window = {from, sat_add(from, step)};
        TRY(view_read(fetch->view, series, window, out, &fetch->arena, err));
        if (window.to == TS_MAX) break;
        from = window.to + 1;
        step = sat_add(step, step);
        TRY(budget_poll(fetch->budget, err));
    }
    if (out->n > n) out->n = n + 1;
    return ST_OK;
}

static status local_read(struct series_set *base, size_t i, struct points *out, struct err *err)
{
    struct local_set *set = container_of(base, struct local_set, base);
    struct fetch *fetch = set->fetch;
    const struct captured *series = &fetch->series[set->series[i]];
    size_t n_before = out->n;
    TRY(budget_poll(fetch->budget, err));
    status st = set->select->edges ? read_before(set, series, out, err) : ST_OK;
    if (st == ST_OK) {
        st = view_read(fetch->view, series, set->select->range, out, &fetch->arena, err);
    }
    if (st == ST_OK && set->select->edges) st = read_after(set, series, out, err);
    if (st == ST_OK) st = budget_samples(fetch->budget, out->n - n_before, err);
    if (st != ST_OK) out->n = n_before;
    return st;
}

static status local_last(struct series_set *base, size_t i, struct point *out, bool *found,
                         struct err *err)
{
    struct local_set *set = container_of(base, struct local_set, base);
    struct fetch *fetch = set->fetch;
    TRY(budget_poll(fetch->budget, err));
    return view_last(fetch->view, &fetch->series[set->series[i]], set->select->range, out, found,
                     &fetch->arena, err);
}

static status local_starts(struct series_set *base, size_t i, struct points *out,
                           struct err *err)
{
    const struct local_set *set = container_of(base, struct local_set, base);
    const struct fetch *fetch = set->fetch;
    if (!fetch->starts.of) return ST_OK;
    TRY(budget_poll(fetch->budget, err));
    return fetch_starts_read(&fetch->starts, fetch->view, set->series[i], set->select->range, out,
                             err);
}

/* ---------------------------------------------------------------- readers */

/* Series whose chunks are looked up at once: few at first, for who reads only one, and in the
 * end so many that those of one block of a segment's index meet, though their order is
 * another. Fewer where series have many chunks, because what is known of each is held. */
enum { EXPECT_MIN = 16, EXPECT_MAX = 4096, EXPECT_CHUNKS = 32768 };

struct local_reader {
    struct series_reader base;
    struct local_set *set;
    struct query_budget *budget;
    struct view_reader *columns;
    size_t first, n, cap;          /* those expected */
    size_t most;                   /* at once */
    size_t end;                    /* behind the last that is asked for */
    const struct captured **expected; /* room for `most`, or all */
};

static status expect_from(struct local_reader *rd, size_t i, struct err *err)
{
    const struct local_set *set = rd->set;
    size_t left = rd->end - i;
    size_t n = left < rd->cap ? left : rd->cap;

    for (size_t k = 0; k < n; k++) {
        rd->expected[k] = &set->fetch->series[set->series[i + k]];
    }
    rd->n = 0;
    TRY(view_reader_expect(rd->columns, rd->expected, n, err));
    rd->first = i;
    rd->n = n;
    rd->cap = rd->cap * 4 < rd->most ? rd->cap * 4 : rd->most;
    return ST_OK;
}

static status local_reader_read(struct series_reader *base, size_t i, struct sample_span *out,
                                struct err *err)
{
    struct local_reader *rd = container_of(base, struct local_reader, base);

    TRY(budget_poll(rd->budget, err));
    if (i < rd->first || i - rd->first >= rd->n) TRY(expect_from(rd, i, err));
    TRY(view_reader_read(rd->columns, i - rd->first, out, err));
    return budget_samples(rd->budget, out->n, err);
}

static void local_reader_close(struct series_reader *base)
{
    struct local_reader *rd = container_of(base, struct local_reader, base);

    view_reader_close(rd->columns);
    mem_free(rd->expected);
    mem_free(rd);
}

static void local_reader_bound(struct series_reader *base, size_t from, size_t to)
{
    struct local_reader *rd = container_of(base, struct local_reader, base);

    DASSERT(from < to && to <= rd->set->base.n);
    rd->end = to;
    rd->cap = to - from < rd->most ? to - from : rd->most;
}

static const struct series_reader_ops local_reader_ops = {.read = local_reader_read,
                                                          .close = local_reader_close,
                                                          .bound = local_reader_bound};

static status local_open_reader(struct series_set *base, struct query_budget *budget,
                                struct series_reader **out, struct err *err)
{
    struct local_set *set = container_of(base, struct local_set, base);
    struct view_reader *columns;

    DASSERT(!set->select->edges);
    TRY(view_reader_open(&columns, set->fetch->view, set->select->range, &set->fetch->account,
                         err));
    size_t chunks = view_reader_chunks(columns), n = set->base.n;
    size_t most = chunks < EXPECT_CHUNKS ? EXPECT_CHUNKS / chunks : 1;
    if (most > EXPECT_MAX) most = EXPECT_MAX;
    size_t room = n < most ? n + 1 : most;
    const struct captured **expected = mem_try_array(room, sizeof(*expected));
    if (!expected) {
        view_reader_close(columns);
        return no_memory(err);
    }
    struct local_reader *rd = mem_alloc(sizeof(*rd));
    *rd = (struct local_reader){.base = {&local_reader_ops},
                                .set = set,
                                .budget = budget ? budget : set->fetch->budget,
                                .columns = columns,
                                .cap = most < EXPECT_MIN ? most : EXPECT_MIN,
                                .most = most,
                                .end = n,
                                .expected = expected};
    *out = &rd->base;
    return ST_OK;
}

/* ---------------------------------------------------------------- the port */

static status make_sets(struct fetch *fetch, size_t n, struct err *err)
{
    fetch->sets = arena_try_zero(&fetch->arena, (n ? n : 1) * sizeof(*fetch->sets));
    if (!fetch->sets) return no_memory(err);
    fetch->n_sets = n;
    for (size_t i = 0; i < n; i++) fetch->sets[i].fetch = fetch;
    return ST_OK;
}

static status fetch_all(struct fetch *fetch, const struct select *selects, size_t n,
                        struct err *err)
{
    TRY(make_sets(fetch, n, err));
    struct matchers *groups = arena_try_array(&fetch->arena, n ? n : 1, sizeof(*groups));
    if (!groups) return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        fetch->sets[i].select = &selects[i];
        groups[i] = selects[i].matchers;
        fetch->reads_samples |= !selects[i].hint.labels_only;
    }
    TRY(resolve_and_pin(fetch, groups, err));
    TRY(make_labels(fetch, err));
    for (size_t i = 0; i < n; i++) TRY(build_set(&fetch->sets[i], err));
    return ST_OK;
}

static status local_fetch(struct querier *q, struct fetch **out, struct series_set **sets,
                          const struct select *selects, size_t n, struct slice tenant,
                          struct query_budget *budget, struct err *err)
{
    struct querier_local *ql = container_of(q, struct querier_local, base);
    TRY(budget_poll(budget, err));
    struct fetch *fetch = fetch_new(ql, budget, tenant);
    status st = fetch_all(fetch, selects, n, err);
    budget->n_bytes += atomic_load_explicit(&fetch->account.peak, memory_order_relaxed);
    if (st != ST_OK) {
        fetch_free(fetch);
        return st;
    }
    for (size_t i = 0; i < n; i++) sets[i] = &fetch->sets[i].base;
    *out = fetch;
    return ST_OK;
}

static void local_done(struct querier *q, struct fetch *fetch)
{
    (void)q;
    fetch_free(fetch);
}

/* ---------------------------------------------------------------- label texts */

/* The ordinals of all groups that have data in range, as a set to scan. */
static status scan_set(struct fetch *fetch, struct time_range range, struct ordinals *out,
                       struct err *err)
{
    uint32_t *ptr = arena_try_array(&fetch->arena, fetch->n_series ? fetch->n_series : 1,
                                    sizeof(*ptr));
    if (!ptr) return no_memory(err);
    size_t n = 0;
    bool all = whole(range);
    if (!all) TRY(find_data(fetch, range, err));
    for (size_t i = 0; i < fetch->n_series; i++) {
        if (all || fetch->has[i]) ptr[n++] = fetch->series[i].ordinal;
        if (i % POLL_SERIES == 0) TRY(budget_poll(fetch->budget, err));
    }
    *out = (struct ordinals){.ptr = ptr, .n = n};
    return ST_OK;
}

static status scan(struct fetch *fetch, struct slice name, struct time_range range,
                   size_t limit, struct label_scan *out, struct err *err)
{
    const struct registry *reg = view_registry(fetch->view);
    const _Atomic bool *cancelled = fetch->budget->cancelled;
    struct ordinals set;
    TRY(scan_set(fetch, range, &set, err));
    status st = name.len ? label_scan_values(out, reg, name, &set, limit, cancelled,
                                             &fetch->arena)
                         : label_scan_names(out, reg, &set, limit, cancelled, &fetch->arena);
    return st == ST_NO_MEMORY ? no_memory(err) : st;
}

/* Texts for the caller, who keeps them longer than the view. */
static status copy_texts(const struct label_scan *from, struct arena *arena, struct slice **out,
                         struct err *err)
{
    struct slice *texts = arena_try_array(arena, from->n ? from->n : 1, sizeof(*texts));
    if (!texts) return no_memory(err);
    for (size_t i = 0; i < from->n; i++) {
        texts[i] = arena_copy(arena, from->ptr[i]);
        if (!texts[i].ptr) return no_memory(err);
    }
    *out = texts;
    return ST_OK;
}

/* Over everything the lists of names and values tell it all, without a look at series;
 * only while no tenant but the default one has any. */
static bool scan_is_cheap(const struct registry *reg, size_t n_groups, struct time_range range,
                          struct slice tenant)
{
    return n_groups == 0 && whole(range) && tenant.len == 0 &&
           !registry_has_name(reg, tenant_name);
}

static status scan_everything(struct querier_local *ql, struct slice name, size_t limit,
                              struct query_budget *budget, struct arena *arena,
                              struct slice **out, size_t *n_out, bool *more, struct err *err)
{
    const struct registry *reg = db_registry(ql->db);
    struct label_scan found;
    int reader = db_reader_enter(ql->db);
    status st = name.len
                    ? label_scan_values(&found, reg, name, NULL, limit, budget->cancelled, arena)
                    : label_scan_names(&found, reg, NULL, limit, budget->cancelled, arena);
    if (st == ST_NO_MEMORY) st = no_memory(err);
    if (st == ST_OK) st = copy_texts(&found, arena, out, err);
    db_reader_leave(ql->db, reader);
    if (st != ST_OK) return st;
    *n_out = found.n;
    *more = found.more;
    return ST_OK;
}

static status local_label_texts(struct querier *q, struct slice name,
                                const struct matchers *groups, size_t n_groups,
                                struct time_range range, struct slice tenant, size_t limit,
                                struct arena *arena, struct slice **out, size_t *n_out,
                                bool *more, struct query_budget *budget, struct err *err)
{
    static const struct matchers everything = {.n = 0};
    struct querier_local *ql = container_of(q, struct querier_local, base);
    TRY(budget_poll(budget, err));
    if (scan_is_cheap(db_registry(ql->db), n_groups, range, tenant)) {
        return scan_everything(ql, name, limit, budget, arena, out, n_out, more, err);
    }
    struct fetch *fetch = fetch_new(ql, budget, tenant);
    struct label_scan found = {.n = 0};

    status st = make_sets(fetch, n_groups ? n_groups : 1, err);
    if (st == ST_OK) st = resolve_and_pin(fetch, n_groups ? groups : &everything, err);
    if (st == ST_OK) st = budget_series(budget, fetch->n_series, err);
    if (st == ST_OK) st = scan(fetch, name, range, limit, &found, err);
    if (st == ST_OK) st = copy_texts(&found, arena, out, err);
    if (st == ST_OK) {
        *n_out = found.n;
        *more = found.more;
    }
    fetch_free(fetch);
    return st;
}

static const struct querier_ops local_ops = {
    .fetch = local_fetch, .done = local_done, .label_texts = local_label_texts};

struct querier *querier_local_new(struct db *db, struct account *account)
{
    struct querier_local *ql = mem_alloc(sizeof(*ql));
    *ql = (struct querier_local){.base = {&local_ops}, .db = db, .account = account};
    return &ql->base;
}

void querier_local_free(struct querier *q)
{
    if (q) mem_free(container_of(q, struct querier_local, base));
}
