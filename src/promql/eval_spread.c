/* A vector computed by several workers: the series of its one selector are cut into ranges.
 *
 *     owner                              helpers (jobs of the query lane)
 *     evaluates the next range, or       evaluate the next range
 *     puts the columns of the oldest
 *     range into the sink
 *
 * Only expressions that look at one series at a time are cut (pointwise()): the columns of
 * a range are then what the whole would have given for these series. They are put into the
 * sink by one thread, range after range, so what is folded, kept or compared meets its
 * columns in the order of labels, as from one thread: sums are compensated sums in that order,
 * whose rounding no sum of partial sums has. So answers are the same to the bit, whatever the
 * number of workers and however they were delayed. What that costs is the fold, which is not
 * shared: a fraction of decoding and rates.
 *
 * Bounds: a ring of slots, each with the columns of one range in an arena of its own; a range
 * begins when its slot is free. Ranges and slots are claimed under the lock. The owner waits
 * for nobody who has not begun: it evaluates what is next itself, so helpers that come late,
 * or never, cost nothing. They find the spread closed; it lives until the last of their jobs
 * is published.
 *
 * A failure is reported when its range has its turn: the first one in the order of labels.
 * Annotations are merged range by range; only their order is not that of one thread.
 * Each range has a budget of its own for what its readers charge, also where the query has
 * none (a reader without one charges that of its set), which the owner adds up;
 * what a set charges in read() it charges under the lock for reading, because sets that are
 * read without a reader are for one thread.
 */
#include "promql/eval_priv.h"

#include "base/exec.h"
#include "base/lock.h"
#include "base/mem.h"

enum {
    HELPERS_MAX = 64,
    SERIES_MIN = 64,       /* of a set that is worth cutting */
    RANGE_MIN = 16,        /* series of a range */
    RANGE_MAX = 4096,
    RANGE_VALUES = 1 << 18, /* values of a range, at most: 2 MB of columns */
    WORK_MIN = 1 << 17,    /* values and series: below, waking a thread is no gain. A guess */
    SERIES_WORK = 64,      /* what a series costs beside its values. A guess */
};

struct spread;

/* One range under way. */
struct part {
    struct series_set set;       /* the range of the set; ops are the spread's */
    struct spread *spread;
    size_t from;
    struct series_set **sets;    /* the evaluation's, with this one in its place */
    struct arena arena;
    struct eval ev;
    struct query_budget budget;
    uint64_t n_from;             /* samples in the budget when the range began */
    struct err err;
    struct matrix out;
    status st;
    bool done;
};

struct help {
    struct job job;
    struct spread *spread;
};

struct spread {
    struct mutex lock;           /* next to refs, and who owns which slot */
    struct mutex reading;        /* the set, where it is read without a reader */
    struct cond changed;
    struct series_set_ops ops;   /* of the parts' sets */
    struct eval *ev;             /* the owner's. Helpers: what does not change */
    const struct frame *frame;
    const struct expr *e;
    struct series_set *set;
    size_t select;
    size_t *bounds;              /* of the ranges; n_parts + 1 */
    size_t n_parts;
    size_t next;                 /* range that is evaluated next */
    size_t put;                  /* range that is put next */
    uint64_t n_samples;          /* of the query before, and of ranges that were put */
    bool closed;
    unsigned running, refs;
    struct part *slots;
    size_t n_slots;
    unsigned n_helpers;
    struct help helpers[];
};

/* ---- what can be cut -------------------------------------------------------------- */

/* Functions of one series: not those that look at labels of others, or at whether there are
 * any. */
static bool is_series_function(enum function_id id)
{
    if (id >= FUNC_rate && id <= FUNC_predict_linear) return true;
    if (id >= FUNC_avg_over_time && id <= FUNC_quantile_over_time) {
        return id != FUNC_absent_over_time;
    }
    if (id >= FUNC_abs && id <= FUNC_clamp_max) return true;
    if (id >= FUNC_timestamp && id <= FUNC_year) return true;
    return id >= FUNC_histogram_count && id <= FUNC_histogram_stdvar;
}

static bool is_literal(const struct expr *e)
{
    while (e->kind == EXPR_PAREN || e->kind == EXPR_UNARY) {
        e = e->kind == EXPR_PAREN ? e->paren : e->unary.expr;
    }
    return e->kind == EXPR_NUMBER || e->kind == EXPR_STRING;
}

/* The argument that is the call's vector or range; NULL when another one is no literal. */
static const struct expr *series_argument(const struct expr *call)
{
    const struct expr *found = NULL;

    for (size_t i = 0; i < call->call.n_args; i++) {
        const struct expr *arg = call->call.args[i];
        if (is_literal(arg)) continue;
        if (found || arg->type == KIND_SCALAR) return NULL;
        found = arg;
    }
    return found;
}

/* The operand that is a vector, of an operator with a literal. */
static const struct expr *series_operand(const struct expr *e)
{
    if (e->bin.matching) return NULL;
    if (is_literal(e->bin.rhs)) return e->bin.lhs;
    return is_literal(e->bin.lhs) ? e->bin.rhs : NULL;
}

/* The selector whose series the expression has one by one, or NULL. */
static const struct expr *pointwise(const struct expr *e)
{
    while (e) {
        switch (e->kind) {
        case EXPR_VECTOR: return e;
        case EXPR_MATRIX: return e->matrix.vec;
        case EXPR_SUBQUERY: e = e->subquery.expr; break;
        case EXPR_PAREN: e = e->paren; break;
        case EXPR_UNARY: e = e->unary.expr; break;
        case EXPR_BINARY: e = series_operand(e); break;
        case EXPR_CALL:
            e = is_series_function(e->call.func->id) ? series_argument(e) : NULL;
            break;
        case EXPR_AGGREGATE:
        case EXPR_NUMBER:
        case EXPR_STRING: return NULL;
        }
    }
    return NULL;
}

/* Where names go at once, labels that become the same are looked for over all series. */
static bool is_worth_it(const struct eval *ev, const struct frame *f, const struct series_set *set)
{
    return ev->delayed && set->n >= SERIES_MIN && set->n * (f->n + SERIES_WORK) >= WORK_MIN;
}

/* ---- the set of a range ----------------------------------------------------------- */

static status part_read(struct series_set *set, size_t i, struct points *out, struct err *err)
{
    struct part *part = container_of(set, struct part, set);
    struct spread *s = part->spread;

    mutex_lock(&s->reading);
    status st = s->set->ops->read(s->set, part->from + i, out, err);
    mutex_unlock(&s->reading);
    return st;
}

static status part_last(struct series_set *set, size_t i, struct point *out, bool *found,
                        struct err *err)
{
    struct part *part = container_of(set, struct part, set);
    struct spread *s = part->spread;

    mutex_lock(&s->reading);
    status st = s->set->ops->last(s->set, part->from + i, out, found, err);
    mutex_unlock(&s->reading);
    return st;
}

static status part_starts(struct series_set *set, size_t i, struct points *out, struct err *err)
{
    struct part *part = container_of(set, struct part, set);
    struct spread *s = part->spread;

    mutex_lock(&s->reading);
    status st = s->set->ops->starts(s->set, part->from + i, out, err);
    mutex_unlock(&s->reading);
    return st;
}

struct part_reader {
    struct series_reader base;
    struct series_reader *whole;
    size_t from;
};

static status part_reader_read(struct series_reader *base, size_t i, struct sample_span *out,
                               struct err *err)
{
    struct part_reader *rd = container_of(base, struct part_reader, base);

    return series_reader_read(rd->whole, rd->from + i, out, err);
}

static void part_reader_close(struct series_reader *base)
{
    struct part_reader *rd = container_of(base, struct part_reader, base);

    series_reader_close(rd->whole);
    mem_free(rd);
}

static status part_open_reader(struct series_set *set, struct query_budget *budget,
                               struct series_reader **out, struct err *err)
{
    static const struct series_reader_ops ops = {.read = part_reader_read,
                                                 .close = part_reader_close};
    struct part *part = container_of(set, struct part, set);
    struct series_set *whole = part->spread->set;
    struct series_reader *reader;

    TRY(whole->ops->open_reader(whole, budget, &reader, err));
    if (reader->ops->bound) reader->ops->bound(reader, part->from, part->from + set->n);
    struct part_reader *rd = mem_alloc(sizeof(*rd));
    *rd = (struct part_reader){.base = {&ops}, .whole = reader, .from = part->from};
    *out = &rd->base;
    return ST_OK;
}

/* ---- one range -------------------------------------------------------------------- */

static status part_eval(struct part *part)
{
    struct spread *s = part->spread;
    const struct eval *ev = s->ev;
    size_t n = ev->plan->n_selects;

    part->sets = arena_try_array(&part->arena, n, sizeof(*part->sets));
    if (!part->sets) return eval_oom(&part->ev);
    memcpy(part->sets, ev->sets, n * sizeof(*part->sets));
    part->sets[s->select] = &part->set;
    part->ev.sets = part->sets;
    return eval_matrix(&part->ev, s->frame, s->e, &part->out);
}

/* Evaluates range k in its slot, which the caller has claimed. */
static void part_run(struct spread *s, size_t k)
{
    struct part *part = &s->slots[k % s->n_slots];
    const struct eval *ev = s->ev;
    const struct series_set *set = s->set;

    part->from = s->bounds[k];
    part->set = (struct series_set){.ops = &s->ops,
                                    .n = s->bounds[k + 1] - part->from,
                                    .labels = set->labels + part->from,
                                    .types = set->types + part->from,
                                    .ids = set->ids + part->from};
    part->err = (struct err){.st = ST_OK};
    part->out = (struct matrix){0};
    part->ev = (struct eval){.plan = ev->plan,
                             .arena = &part->arena,
                             .hist = {.arena = &part->arena},
                             .budget = &part->budget,
                             .delayed = ev->delayed,
                             .err = &part->err};
    annotations_init(&part->ev.annos, &part->arena, ev->annos.query, ev->annos.ticks_per_second);
    arena_init(&part->ev.temp, part->arena.account, 0);
    part->st = part_eval(part);
    arena_release(&part->ev.temp);
}

/* The next range whose slot is free is the caller's; false when there is none now. Under the
 * lock. */
static bool claim(struct spread *s, size_t *k)
{
    if (s->closed || s->next == s->n_parts || s->next >= s->put + s->n_slots) return false;
    *k = s->next++;
    struct part *part = &s->slots[*k % s->n_slots];
    const struct query_budget *of = s->ev->budget;
    part->n_from = s->n_samples;
    part->budget = (struct query_budget){.n_samples = s->n_samples};
    if (of) {
        part->budget = (struct query_budget){.samples_max = of->samples_max,
                                             .bytes_max = of->bytes_max,
                                             .deadline = of->deadline,
                                             .clock = of->clock,
                                             .cancelled = of->cancelled,
                                             .n_samples = s->n_samples};
    }
    return true;
}

/* Under the lock, which is released meanwhile. */
static void evaluate(struct spread *s, size_t k)
{
    s->running++;
    mutex_unlock(&s->lock);
    part_run(s, k);
    mutex_lock(&s->lock);
    s->running--;
    s->slots[k % s->n_slots].done = true;
    cond_broadcast(&s->changed);
}

/* ---- helpers ---------------------------------------------------------------------- */

static void spread_drop(struct spread *s)
{
    mutex_lock(&s->lock);
    bool last = --s->refs == 0;
    mutex_unlock(&s->lock);
    if (!last) return;
    cond_release(&s->changed);
    mutex_release(&s->reading);
    mutex_release(&s->lock);
    mem_free(s);
}

static status help_run(struct job *job)
{
    struct spread *s = container_of(job, struct help, job)->spread;
    size_t k;

    mutex_lock(&s->lock);
    while (!s->closed && s->next < s->n_parts) {
        if (claim(s, &k)) evaluate(s, k);
        else cond_wait(&s->changed, &s->lock);
    }
    mutex_unlock(&s->lock);
    return ST_OK;
}

static void help_publish(struct job *job, status st)
{
    (void)st;
    spread_drop(container_of(job, struct help, job)->spread);
}

static const struct job_ops help_ops = {
    .name = "query part", .lane = JOB_QUERY, .run = help_run, .publish = help_publish};

/* ---- the owner -------------------------------------------------------------------- */

static status part_put(struct spread *s, struct part *part, struct sink *sink)
{
    struct eval *ev = s->ev;
    uint64_t used = part->budget.n_samples - part->n_from;

    if (part->st != ST_OK) {
        if (ev->err) *ev->err = part->err;
        return part->st;
    }
    annotations_merge(&ev->annos, &part->ev.annos);
    ev->n_total += part->ev.n_total;
    if (ev->budget) {
        mutex_lock(&s->reading);
        status st = budget_samples(ev->budget, used, ev->err);
        mutex_unlock(&s->reading);
        TRY(st);
    }
    for (size_t i = 0; i < part->out.n; i++) {
        struct column *col = &part->out.s[i];
        col->hist_temp = col->hist != NULL; /* they go with the slot */
        TRY(eval_poll(ev));
        TRY(sink_put(sink, col));
    }
    return ST_OK;
}

/* Waits for range k, evaluating what is next as long as there is something. */
static void wait_for(struct spread *s, size_t k)
{
    size_t other;

    mutex_lock(&s->lock);
    while (!s->slots[k % s->n_slots].done) {
        if (claim(s, &other)) evaluate(s, other);
        else cond_wait(&s->changed, &s->lock);
    }
    mutex_unlock(&s->lock);
}

static status put_all(struct spread *s, struct sink *sink)
{
    for (size_t k = 0; k < s->n_parts; k++) {
        struct part *part = &s->slots[k % s->n_slots];
        wait_for(s, k);
        TRY(part_put(s, part, sink));
        arena_reset(&part->arena);
        mutex_lock(&s->lock);
        part->done = false;
        s->n_samples += part->budget.n_samples - part->n_from;
        s->put = k + 1;
        cond_broadcast(&s->changed);
        mutex_unlock(&s->lock);
    }
    return ST_OK;
}

static void spread_close(struct spread *s)
{
    mutex_lock(&s->lock);
    s->closed = true;
    cond_broadcast(&s->changed);
    while (s->running) cond_wait(&s->changed, &s->lock);
    mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->n_slots; i++) arena_release(&s->slots[i].arena);
    spread_drop(s);
}

/* ---- setting up ------------------------------------------------------------------- */

/* Series of the same labels are one to PromQL: they stay together. */
static status cut(struct spread *s)
{
    const struct series_set *set = s->set;
    size_t len = set->n / ((s->n_helpers + 1) * 8);
    size_t len_max = RANGE_VALUES / s->frame->n + 1;

    if (len_max > RANGE_MAX) len_max = RANGE_MAX;
    if (len < RANGE_MIN) len = RANGE_MIN;
    if (len > len_max) len = len_max;
    s->bounds = arena_try_array(s->ev->arena, set->n / len + 2, sizeof(*s->bounds));
    if (!s->bounds) return eval_oom(s->ev);
    s->bounds[0] = 0;
    for (size_t at = 0; at < set->n;) {
        at = set->n - at > len ? at + len : set->n;
        while (at < set->n && labels_eq(set->labels[at - 1], set->labels[at])) at++;
        s->bounds[++s->n_parts] = at;
    }
    return ST_OK;
}

static status make_slots(struct spread *s)
{
    size_t n = 2 * (s->n_helpers + 1);

    s->slots = arena_try_zero(s->ev->arena, n * sizeof(*s->slots));
    if (!s->slots) return eval_oom(s->ev);
    s->n_slots = n;
    for (size_t i = 0; i < n; i++) {
        s->slots[i].spread = s;
        arena_init(&s->slots[i].arena, s->ev->arena->account, 0);
    }
    return ST_OK;
}

/* NULL: no memory. */
static struct spread *spread_new(struct eval *ev, const struct frame *f, const struct expr *e,
                                 size_t select)
{
    unsigned n = ev->n_helpers < HELPERS_MAX ? ev->n_helpers : HELPERS_MAX;
    struct spread *s = mem_try_zero(sizeof(*s) + n * sizeof(s->helpers[0]));
    const struct series_set_ops *ops = ev->sets[select]->ops;

    if (!s) return NULL;
    mutex_init(&s->lock, LOCK_SPREAD);
    mutex_init(&s->reading, LOCK_SPREAD);
    cond_init(&s->changed);
    s->ops = (struct series_set_ops){.read = part_read,
                                     .last = part_last,
                                     .starts = ops->starts ? part_starts : NULL,
                                     .open_reader = ops->open_reader ? part_open_reader : NULL};
    s->ev = ev;
    s->frame = f;
    s->e = e;
    s->set = ev->sets[select];
    s->select = select;
    s->n_samples = ev->budget ? ev->budget->n_samples : 0;
    s->n_helpers = n;
    s->refs = 1;
    return s;
}

static void call_helpers(struct spread *s)
{
    size_t n = s->n_parts - 1 < s->n_helpers ? s->n_parts - 1 : s->n_helpers;

    s->refs += (unsigned)n;
    for (size_t i = 0; i < n; i++) {
        s->helpers[i].spread = s;
        job_init(&s->helpers[i].job, &help_ops);
        exec_submit(s->ev->exec, &s->helpers[i].job);
    }
}

status eval_spread(struct eval *ev, const struct frame *f, const struct expr *e,
                   struct sink *sink)
{
    const struct expr *vec = ev->n_helpers && !(e->invariant && f->n > 1) ? pointwise(e) : NULL;

    if (!vec || !is_worth_it(ev, f, ev->sets[vec->vec.select])) {
        return eval_vector(ev, f, e, sink);
    }
    struct spread *s = spread_new(ev, f, e, vec->vec.select);
    if (!s) return eval_oom(ev);
    status st = cut(s);
    if (st == ST_OK) st = make_slots(s);
    if (st == ST_OK) {
        call_helpers(s);
        st = put_all(s, sink);
    }
    spread_close(s);
    return st;
}
