/* info(): adds labels of info series (target_info unless the second argument names
 * others) to the series of a vector that have the same instance and job.
 *
 * Info series are looked up at the time the vector's own samples come from, with their @
 * and offset. Where several info series of one name fit, the newest sample decides, step
 * by step, so a series whose info changes is continued by another. Labels that a series
 * has are never overwritten; two info series of different names that contradict each
 * other fail the query. A series without any info series stays as it is, unless the
 * second argument asks for a label that such a series cannot have.
 *
 * Series that are info series themselves are not enriched.
 */
#include "promql/eval_priv.h"

struct info_call {
    struct eval *ev;
    const struct frame *frame;
    const struct vector_expr *want;  /* the second argument; may be NULL */
    struct matrix base, info;
    struct label_groups groups;      /* of info series: instance and job */
    size_t *head, *next;             /* info series of a group; their number ends a list */
    size_t *chosen, *previous;       /* info series of the step at hand */
    size_t n_chosen, n_previous;
    struct matrix out;
};

static bool is_info_name(struct slice name)
{
    return name.len > 5 && memcmp(name.ptr + name.len - 5, "_info", 5) == 0;
}

/* Whether a metric of this name is an info metric for the call. */
static bool names_info(const struct vector_expr *want, struct slice name)
{
    bool named = false, positive = false;

    for (size_t i = 0; want && i < want->n_matchers; i++) {
        const struct matcher *m = &want->matchers[i];
        if (!slice_is(m->name, LABEL_NAME)) continue;
        named = true;
        positive = positive || m->op == MATCH_EQ || m->op == MATCH_RE;
        if (!matcher_accepts(m, name)) return false;
    }
    if (!named) return slice_is(name, "target_info");
    return positive || is_info_name(name);
}

/* Whether the call wants this label: one it has a matcher for, or any if it has none. */
static bool wants_label(const struct vector_expr *want, struct slice name)
{
    bool any = true;

    for (size_t i = 0; want && i < want->n_matchers; i++) {
        if (slice_is(want->matchers[i].name, LABEL_NAME)) continue;
        if (slice_eq(want->matchers[i].name, name)) return true;
        any = false;
    }
    return any;
}

/* Whether a series without info may stay. */
static bool may_lack_info(const struct vector_expr *want)
{
    for (size_t i = 0; want && i < want->n_matchers; i++) {
        const struct matcher *m = &want->matchers[i];
        if (!slice_is(m->name, LABEL_NAME) && !matcher_accepts(m, SLICE_LIT(""))) return false;
    }
    return true;
}

static bool has_identity(struct labels set)
{
    return labels_has(set, SLICE_LIT("instance")) || labels_has(set, SLICE_LIT("job"));
}

/* ---- info series ------------------------------------------------------------------- */

struct info_sink {
    struct sink sink;
    struct info_call *call;
};

static status info_put(struct sink *sink, struct column *col)
{
    struct info_call *ic = container_of(sink, struct info_sink, sink)->call;

    if (!names_info(ic->want, labels_get(col->labels, SLICE_LIT(LABEL_NAME)))) return ST_OK;
    if (!has_identity(col->labels)) return ST_OK;
    return matrix_add(ic->ev, ic->frame, &ic->info, col);
}

static status gather_info(struct info_call *ic, const struct expr *call)
{
    static const struct slice identity[] = {{"instance", 8}, {"job", 3}};
    struct eval *ev = ic->ev;
    struct info_sink sink = {{info_put}, ic};
    ts_time *refs = arena_try_array(ev->arena, ic->frame->n, sizeof(*refs));

    if (!refs) return eval_oom(ev);
    for (size_t i = 0; i < ic->frame->n; i++) {
        refs[i] = plan_info_time(call->call.args[0], frame_time(ic->frame, i));
    }
    struct select_args args = {
        .set = ev->sets[call->call.info_select], .refs = refs, .what = SELECT_INFO};
    TRY(eval_select_set(ev, ic->frame, &args, &sink.sink));
    label_groups_init(&ic->groups, ev->arena,
                      (struct label_filter){.names = identity, .n = 2, .keep = true});
    size_t n = ic->info.n;
    ic->head = arena_try_array(ev->arena, n + 1, sizeof(*ic->head));
    ic->next = arena_try_array(ev->arena, n + 1, sizeof(*ic->next));
    ic->chosen = arena_try_array(ev->arena, n + 1, sizeof(*ic->chosen));
    ic->previous = arena_try_array(ev->arena, n + 1, sizeof(*ic->previous));
    if (!ic->head || !ic->next || !ic->chosen || !ic->previous) return eval_oom(ev);
    for (size_t i = n; i-- > 0;) { /* lists grow at their heads: the first series last */
        bool is_new;
        int64_t g = label_groups_add(&ic->groups, ic->info.s[i].labels, &is_new);
        if (g < 0) return eval_oom(ev);
        ic->next[i] = is_new ? n : ic->head[g];
        ic->head[g] = i;
    }
    return ST_OK;
}

/* ---- one series -------------------------------------------------------------------- */

static bool same_name(struct labels a, struct labels b)
{
    return slice_eq(labels_get(a, SLICE_LIT(LABEL_NAME)), labels_get(b, SLICE_LIT(LABEL_NAME)));
}

/* The info series of a group at a step: the newest of each name. */
static status choose_info(struct info_call *ic, int64_t group, size_t step)
{
    ic->n_chosen = 0;
    if (group < 0) return ST_OK;
    for (size_t i = ic->head[group]; i < ic->info.n; i = ic->next[i]) {
        const struct column *c = &ic->info.s[i];
        size_t k = 0;
        if (!bit_get(c->has, step)) continue;
        while (k < ic->n_chosen && !same_name(ic->info.s[ic->chosen[k]].labels, c->labels)) k++;
        if (k == ic->n_chosen) {
            ic->chosen[ic->n_chosen++] = i;
            continue;
        }
        double other = ic->info.s[ic->chosen[k]].val[step];
        if (other == c->val[step]) {
            return err_set(ic->ev->err, ST_EXECUTION,
                           "found duplicate series for info metric " SLICE_FMT,
                           SLICE_ARG(labels_get(c->labels, SLICE_LIT(LABEL_NAME))));
        }
        if (c->val[step] > other) ic->chosen[k] = i;
    }
    return ST_OK;
}

/* The base labels with what the chosen info series add. */
static status enriched(struct info_call *ic, struct labels base, struct labels *out)
{
    struct labels set = base;

    for (size_t k = 0; k < ic->n_chosen; k++) {
        struct labels info = ic->info.s[ic->chosen[k]].labels;
        for (size_t i = 0; i < info.n; i++) {
            struct slice name = info.ptr[i].name, value = info.ptr[i].value;
            if (slice_is(name, LABEL_NAME) || !wants_label(ic->want, name)) continue;
            if (labels_has(base, name)) continue;
            struct slice there = labels_get(set, name);
            if (there.len && !slice_eq(there, value)) {
                return err_set(ic->ev->err, ST_EXECUTION, "conflicting label: " SLICE_FMT,
                               SLICE_ARG(name));
            }
            if (there.len) continue;
            set = labels_with(ic->ev->arena, set, name, value);
            if (!set.ptr) return eval_oom(ic->ev);
        }
    }
    *out = set;
    return ST_OK;
}

static bool choice_changed(const struct info_call *ic)
{
    return ic->n_chosen != ic->n_previous ||
           memcmp(ic->chosen, ic->previous, ic->n_chosen * sizeof(*ic->chosen)) != 0;
}

/* Adds the column to the output, cut where its info changes. */
static status enrich_column(struct info_call *ic, const struct column *col, int64_t group)
{
    const struct frame *f = ic->frame;
    size_t words = bitmap_words(f->n);
    struct column part = *col;
    bool first = true;

    part.has = arena_try_zero(ic->ev->arena, words * sizeof(*part.has));
    if (!part.has) return eval_oom(ic->ev);
    FOR_EACH_BIT(i, col->has, f->n) {
        TRY(choose_info(ic, group, i));
        if (ic->n_chosen == 0 && !may_lack_info(ic->want)) continue;
        if (first || choice_changed(ic)) {
            if (!first) TRY(matrix_add(ic->ev, f, &ic->out, &part));
            memset(part.has, 0, words * sizeof(*part.has));
            TRY(enriched(ic, col->labels, &part.labels));
            memcpy(ic->previous, ic->chosen, ic->n_chosen * sizeof(*ic->chosen));
            ic->n_previous = ic->n_chosen;
            first = false;
        }
        bit_set(part.has, i);
    }
    return matrix_add(ic->ev, f, &ic->out, &part);
}

status fn_info(struct eval *ev, const struct frame *f, const struct expr *call,
               struct sink *sink)
{
    struct info_call ic = {.ev = ev, .frame = f};

    if (call->call.n_args > 1) ic.want = &expr_unwrap(call->call.args[1])->vec;
    TRY(eval_matrix(ev, f, call->call.args[0], &ic.base));
    TRY(gather_info(&ic, call));
    for (size_t i = 0; i < ic.base.n; i++) {
        const struct column *col = &ic.base.s[i];
        TRY(eval_poll(ev));
        if (names_info(ic.want, labels_get(col->labels, SLICE_LIT(LABEL_NAME)))) {
            TRY(matrix_add(ev, f, &ic.out, col));
            continue;
        }
        TRY(enrich_column(&ic, col, label_groups_find(&ic.groups, col->labels)));
    }
    TRY(matrix_join_same(ev, f, &ic.out));
    return matrix_put(ev, &ic.out, sink);
}
