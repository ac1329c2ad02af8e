/* Joins: operators between two vectors.
 *
 * Series meet when the labels that on() or ignoring() leave are equal; they form a match
 * group. What Prometheus decides step by step is decided here for all steps at once, with
 * bitmaps: at one step a group may have any number of series on the many side (one unless
 * group_left or group_right says otherwise) and one on the one side. A group that breaks
 * this at any step fails the query, also where a comparison would have dropped the pair.
 *
 * Many side and one side are left and right, but for group_right. fill() lets a side that
 * has nothing at a step in a group take a number.
 *
 * Results of one label set become one series when their steps do not meet.
 */
#include "promql/eval_priv.h"

#include "base/strbuf.h"

/* The series of a side that belong to a group: a list through next[]. */
enum { LIST_END = UINT32_MAX };

struct side {
    struct matrix m;
    uint32_t *next;  /* of each series, in the order of the matrix */
    int64_t *group;  /* of each series */
    uint32_t *head, *tail; /* of each group */
    uint64_t *any;   /* steps at which any series has a value */
};

struct join {
    struct eval *ev;
    const struct frame *frame;
    const struct expr *e;
    const struct vector_matching *how;
    struct label_filter filter;
    struct label_groups groups;
    struct side many, one;
    bool swapped;            /* the one side is the left one */
    bool fill_many, fill_one;
    double fill_many_value, fill_one_value;
    uint64_t *scratch, *steps;
    struct label_groups results;
    struct result *list;
    size_t n, cap;
};

/* What one label set has got so far. */
struct result {
    struct column col;
    uint64_t *matched;       /* pairs that met, dropped by a comparison or not */
    int64_t group;           /* of the first pair */
};

static uint64_t *new_bitmap(struct eval *ev, const struct frame *f)
{
    return arena_try_zero(ev->arena, bitmap_words(f->n) * sizeof(uint64_t));
}

/* ---- sides ------------------------------------------------------------------------ */

static status side_init(struct join *j, struct side *s, const struct expr *e)
{
    struct eval *ev = j->ev;

    TRY(eval_matrix(ev, j->frame, e, &s->m));
    s->next = arena_try_array(ev->arena, s->m.n + 1, sizeof(*s->next));
    s->group = arena_try_array(ev->arena, s->m.n + 1, sizeof(*s->group));
    s->any = new_bitmap(ev, j->frame);
    if (!s->next || !s->group || !s->any) return eval_oom(ev);
    for (size_t i = 0; i < s->m.n; i++) {
        s->group[i] = label_groups_add(&j->groups, s->m.s[i].labels, NULL);
        if (s->group[i] < 0) return eval_oom(ev);
        for (size_t w = 0; w < bitmap_words(j->frame->n); w++) s->any[w] |= s->m.s[i].has[w];
    }
    return ST_OK;
}

static status side_link(struct join *j, struct side *s)
{
    size_t n = j->groups.n;

    s->head = arena_try_array(j->ev->arena, n + 1, sizeof(*s->head));
    s->tail = arena_try_array(j->ev->arena, n + 1, sizeof(*s->tail));
    if (!s->head || !s->tail) return eval_oom(j->ev);
    for (size_t g = 0; g < n; g++) s->head[g] = s->tail[g] = LIST_END;
    for (size_t i = 0; i < s->m.n; i++) {
        int64_t g = s->group[i];
        s->next[i] = LIST_END;
        if (s->head[g] == LIST_END) s->head[g] = (uint32_t)i;
        else s->next[s->tail[g]] = (uint32_t)i;
        s->tail[g] = (uint32_t)i;
    }
    return ST_OK;
}

/* Steps at which any series of the group has a value. */
static void side_presence(const struct join *j, const struct side *s, int64_t g, uint64_t *out)
{
    size_t words = bitmap_words(j->frame->n);

    memset(out, 0, words * sizeof(*out));
    for (uint32_t i = s->head[g]; i != LIST_END; i = s->next[i]) {
        for (size_t w = 0; w < words; w++) out[w] |= s->m.s[i].has[w];
    }
}

/* ---- what must not be ------------------------------------------------------------- */

static status fail_duplicate(struct join *j, struct labels first, struct labels second)
{
    struct labels part = label_filter_apply(j->ev->arena, &j->filter, second);
    struct strbuf buf;
    status st;

    if (part.n && !part.ptr) return eval_oom(j->ev);
    strbuf_init(&buf, 0);
    strbuf_str(&buf, "found duplicate series for the match group ");
    labels_text(&buf, part);
    strbuf_printf(&buf, " on the %s hand-side of the operation: [", j->swapped ? "left" : "right");
    labels_text(&buf, second);
    strbuf_str(&buf, ", ");
    labels_text(&buf, first);
    strbuf_str(&buf, "];many-to-many matching not allowed: matching labels must be unique on one "
                     "side");
    st = err_set(j->ev->err, ST_EXECUTION, "%s", strbuf_cstr(&buf));
    strbuf_release(&buf);
    return st;
}

/* No group has two series on the one side at a step where the other side has anything. */
static status check_one_side(struct join *j)
{
    size_t words = bitmap_words(j->frame->n);
    bool always = j->fill_many || j->fill_one;

    for (size_t g = 0; g < j->groups.n; g++) {
        uint32_t first = j->one.head[g];
        if (first == LIST_END || j->one.next[first] == LIST_END) continue;
        memset(j->scratch, 0, words * sizeof(*j->scratch));
        for (uint32_t i = first; i != LIST_END; i = j->one.next[i]) {
            const struct column *c = &j->one.m.s[i];
            for (size_t w = 0; w < words; w++) {
                uint64_t twice = j->scratch[w] & c->has[w] & (always ? ~0ull : j->many.any[w]);
                if (!twice) {
                    j->scratch[w] |= c->has[w];
                    continue;
                }
                size_t step = w * 64 + trailing_zeros(twice);
                uint32_t k = first; /* who had that step? */
                while (!bit_get(j->one.m.s[k].has, step)) k = j->one.next[k];
                return fail_duplicate(j, j->one.m.s[k].labels, c->labels);
            }
        }
    }
    return ST_OK;
}

/* ---- results ---------------------------------------------------------------------- */

/* Labels of a pair: the many side's, cut to what was matched on in one-to-one, with what
 * group_x(...) takes from the one side. */
static status pair_labels(struct join *j, struct labels many, struct labels one,
                          struct labels *out)
{
    const struct vector_matching *how = j->how;
    struct arena *arena = j->ev->arena;
    bool arithmetic =
        !binary_op_is_comparison(j->e->bin.op) && !binary_op_is_trim(j->e->bin.op);

    if (arithmetic || (j->e->bin.return_bool && !j->ev->delayed)) {
        many = labels_without_meta(arena, many);
        if (many.n && !many.ptr) return eval_oom(j->ev);
    }
    if (how->card == CARD_ONE_TO_ONE) {
        struct label_filter f = j->filter; /* but ignoring() keeps a name that is still there */
        if (f.keep) {
            many = label_filter_apply(arena, &f, many);
        } else {
            TRY(label_filter_init(&f, arena, how->labels, how->n_labels, false, SLICE_LIT("")));
            many = label_filter_apply(arena, &f, many);
        }
        if (many.n && !many.ptr) return eval_oom(j->ev);
    }
    for (size_t i = 0; i < how->n_include; i++) {
        many = labels_with(arena, many, how->include[i], labels_get(one, how->include[i]));
        if (!many.ptr) return eval_oom(j->ev);
    }
    *out = many;
    return ST_OK;
}

/* The result with these labels; made when there is none. */
static status result_for(struct join *j, struct labels labels, bool drop_name, int64_t group,
                         struct result **out)
{
    struct eval *ev = j->ev;
    bool is_new;
    int64_t at = label_groups_add(&j->results, labels, &is_new);

    if (at < 0) return eval_oom(ev);
    if (is_new) {
        if (j->n == j->cap) {
            size_t cap = j->cap ? j->cap * 2 : 16;
            struct result *list = arena_try_array(ev->arena, cap, sizeof(*list));
            if (!list) return eval_oom(ev);
            if (j->n) memcpy(list, j->list, j->n * sizeof(*list));
            j->list = list;
            j->cap = cap;
        }
        struct result *r = &j->list[j->n++];
        *r = (struct result){.group = group, .matched = new_bitmap(ev, j->frame)};
        TRY(column_init(ev, j->frame, &r->col));
        if (!r->matched) return eval_oom(ev);
        TRY(eval_hold(ev, j->frame->n));
        r->col.labels = labels;
        r->col.drop_name = drop_name;
    }
    *out = &j->list[at];
    return ST_OK;
}

static status put_pair(struct join *j, struct result *r, size_t i, struct binary_value many,
                       struct binary_value one)
{
    struct binary_pair pair;

    TRY(binary_pair(j->ev, j->e, j->swapped ? one : many, j->swapped ? many : one, &pair));
    if (!pair.usable) return ST_OK;
    struct binary_value out = pair.value;
    if (j->e->bin.return_bool) out = (struct binary_value){pair.keep, NULL};
    else if (!pair.keep) return ST_OK;
    if (bit_get(r->col.has, i)) {
        return err_set(j->ev->err, ST_EXECUTION,
                       "vector cannot contain metrics with the same labelset");
    }
    bit_set(r->col.has, i);
    r->col.val[i] = out.v;
    if (out.h) TRY(column_need_hist(j->ev, j->frame, &r->col));
    if (r->col.hist) r->col.hist[i] = out.h;
    return ST_OK;
}

/* Joins two columns, or a column and a number (the other is NULL), at j->steps. */
static status join_pair(struct join *j, int64_t group, const struct column *many,
                        const struct column *one)
{
    struct labels ml = many ? many->labels : (struct labels){0};
    struct labels ol = one ? one->labels : (struct labels){0};
    bool drop_name = j->e->bin.return_bool;
    struct labels labels = {0};
    struct result *r = NULL;

    if (!bit_any(j->steps, j->frame->n)) return ST_OK;
    if (!many) ml = label_filter_apply(j->ev->arena, &j->filter, ol);
    if (!one) ol = label_filter_apply(j->ev->arena, &j->filter, ml);
    if ((ml.n && !ml.ptr) || (ol.n && !ol.ptr)) return eval_oom(j->ev);
    bool keeps = binary_op_is_comparison(j->e->bin.op) || binary_op_is_trim(j->e->bin.op);
    if (keeps && many) drop_name = drop_name || many->drop_name;
    TRY(pair_labels(j, ml, ol, &labels));
    TRY(result_for(j, labels, drop_name, group, &r));
    FOR_EACH_BIT(i, j->steps, j->frame->n) {
        if (bit_get(r->matched, i) && r->group == group) {
            return err_set(j->ev->err, ST_EXECUTION,
                           j->how->card == CARD_ONE_TO_ONE
                               ? "multiple matches for labels: many-to-one matching must be "
                                 "explicit (group_left/group_right)"
                               : "multiple matches for labels: grouping labels must ensure unique "
                                 "matches");
        }
        bit_set(r->matched, i);
        struct binary_value m = {j->fill_many_value, NULL}, o = {j->fill_one_value, NULL};
        if (many) m = (struct binary_value){many->val[i], column_hist(many, i)};
        if (one) o = (struct binary_value){one->val[i], column_hist(one, i)};
        TRY(put_pair(j, r, i, m, o));
    }
    return ST_OK;
}

/* In one-to-one matching a group has one series a step on the many side too. */
static status check_many_side(struct join *j, int64_t g, uint64_t *one_presence)
{
    size_t words = bitmap_words(j->frame->n);
    const struct side *s = &j->many;

    if (j->how->card != CARD_ONE_TO_ONE || s->next[s->head[g]] == LIST_END) return ST_OK;
    memset(j->steps, 0, words * sizeof(*j->steps));
    for (uint32_t i = s->head[g]; i != LIST_END; i = s->next[i]) {
        for (size_t w = 0; w < words; w++) {
            uint64_t met = s->m.s[i].has[w] & (j->fill_one ? ~0ull : one_presence[w]);
            if (j->steps[w] & met) {
                return err_set(j->ev->err, ST_EXECUTION,
                               "multiple matches for labels: many-to-one matching must be "
                               "explicit (group_left/group_right)");
            }
            j->steps[w] |= met;
        }
    }
    return ST_OK;
}

static status join_series(struct join *j, size_t i)
{
    size_t words = bitmap_words(j->frame->n);
    const struct column *many = &j->many.m.s[i];
    int64_t g = j->many.group[i];

    TRY(eval_poll(j->ev));
    side_presence(j, &j->one, g, j->scratch);
    if (j->many.head[g] == i) TRY(check_many_side(j, g, j->scratch));
    for (uint32_t k = j->one.head[g]; k != LIST_END; k = j->one.next[k]) {
        const struct column *one = &j->one.m.s[k];
        for (size_t w = 0; w < words; w++) j->steps[w] = many->has[w] & one->has[w];
        TRY(join_pair(j, g, many, one));
    }
    if (!j->fill_one) return ST_OK;
    for (size_t w = 0; w < words; w++) j->steps[w] = many->has[w] & ~j->scratch[w];
    return join_pair(j, g, many, NULL);
}

/* What the one side has alone, with a number for the many side. */
static status join_lonely(struct join *j)
{
    size_t words = bitmap_words(j->frame->n);

    for (size_t i = 0; j->fill_many && i < j->one.m.n; i++) {
        side_presence(j, &j->many, j->one.group[i], j->scratch);
        for (size_t w = 0; w < words; w++) j->steps[w] = j->one.m.s[i].has[w] & ~j->scratch[w];
        TRY(join_pair(j, j->one.group[i], NULL, &j->one.m.s[i]));
    }
    return ST_OK;
}

static status join_init(struct join *j)
{
    const struct vector_matching *how = j->how;

    j->swapped = how->card == CARD_ONE_TO_MANY;
    j->fill_many = j->swapped ? how->has_fill_right : how->has_fill_left;
    j->fill_many_value = j->swapped ? how->fill_right : how->fill_left;
    j->fill_one = j->swapped ? how->has_fill_left : how->has_fill_right;
    j->fill_one_value = j->swapped ? how->fill_left : how->fill_right;
    if (label_filter_init(&j->filter, j->ev->arena, how->labels, how->n_labels, how->on,
                          how->on ? SLICE_LIT("") : SLICE_LIT(LABEL_NAME)) != ST_OK) {
        return eval_oom(j->ev);
    }
    label_groups_init(&j->groups, j->ev->arena, j->filter);
    label_groups_init(&j->results, j->ev->arena, (struct label_filter){0});
    j->scratch = new_bitmap(j->ev, j->frame);
    j->steps = new_bitmap(j->ev, j->frame);
    return j->scratch && j->steps ? ST_OK : eval_oom(j->ev);
}

status eval_vector_vector(struct eval *ev, const struct frame *f, const struct expr *e,
                          struct sink *sink)
{
    struct join j = {.ev = ev, .frame = f, .e = e, .how = e->bin.matching};

    TRY(join_init(&j));
    TRY(side_init(&j, j.swapped ? &j.one : &j.many, e->bin.lhs));
    TRY(side_init(&j, j.swapped ? &j.many : &j.one, e->bin.rhs));
    TRY(side_link(&j, &j.many));
    TRY(side_link(&j, &j.one));
    TRY(check_one_side(&j));
    for (size_t i = 0; i < j.many.m.n; i++) TRY(join_series(&j, i));
    TRY(join_lonely(&j));
    for (size_t i = 0; i < j.n; i++) {
        if (bit_any(j.list[i].col.has, f->n)) TRY(sink_put(sink, &j.list[i].col));
    }
    return ST_OK;
}

/* ---- and, or, unless -------------------------------------------------------------- */

/* For each match group, the steps at which a side has anything. */
struct presence {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    struct label_groups groups;
    uint64_t **has;
    size_t cap;
    struct sink *to;         /* of mask_put and of an `or`'s left side */
    enum binary_op op;
};

static status presence_add(struct presence *p, const struct column *col)
{
    struct eval *ev = p->ev;
    bool is_new;
    int64_t g = label_groups_add(&p->groups, col->labels, &is_new);

    if (g < 0) return eval_oom(ev);
    if (is_new) {
        if ((size_t)g >= p->cap) {
            size_t cap = p->cap ? p->cap * 2 : 16;
            uint64_t **has = arena_try_array(ev->arena, cap, sizeof(*has));
            if (!has) return eval_oom(ev);
            if (g) memcpy(has, p->has, (size_t)g * sizeof(*has));
            p->has = has;
            p->cap = cap;
        }
        p->has[g] = new_bitmap(ev, p->frame);
        if (!p->has[g]) return eval_oom(ev);
    }
    for (size_t w = 0; w < bitmap_words(p->frame->n); w++) p->has[g][w] |= col->has[w];
    return ST_OK;
}

static status presence_put(struct sink *sink, struct column *col)
{
    struct presence *p = container_of(sink, struct presence, sink);

    TRY(presence_add(p, col));
    return p->to ? sink_put(p->to, col) : ST_OK;
}

/* Keeps of a column what the groups allow. */
static status mask_put(struct sink *sink, struct column *col)
{
    struct presence *p = container_of(sink, struct presence, sink);
    int64_t g = label_groups_find(&p->groups, col->labels);

    for (size_t w = 0; w < bitmap_words(p->frame->n); w++) {
        uint64_t there = g < 0 ? 0 : p->has[g][w];
        col->has[w] &= p->op == OP_AND ? there : ~there;
    }
    return bit_any(col->has, p->frame->n) ? sink_put(p->to, col) : ST_OK;
}

struct keep_sink {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    struct matrix m;
};

static status keep_put(struct sink *sink, struct column *col)
{
    struct keep_sink *k = container_of(sink, struct keep_sink, sink);

    return matrix_add(k->ev, k->frame, &k->m, col);
}

status eval_set(struct eval *ev, const struct frame *f, const struct expr *e,
                struct sink *sink)
{
    const struct vector_matching *how = e->bin.matching;
    struct presence p = {.sink = {presence_put}, .ev = ev, .frame = f, .op = e->bin.op};
    struct keep_sink both = {.sink = {keep_put}, .ev = ev, .frame = f};
    struct label_filter filter;

    if (label_filter_init(&filter, ev->arena, how->labels, how->n_labels, how->on,
                          how->on ? SLICE_LIT("") : SLICE_LIT(LABEL_NAME)) != ST_OK) {
        return eval_oom(ev);
    }
    label_groups_init(&p.groups, ev->arena, filter);
    if (e->bin.op != OP_OR) { /* what the right side has decides over the left */
        TRY(eval_vector(ev, f, e->bin.rhs, &p.sink));
        p.sink.put = mask_put;
        p.to = sink;
        return eval_vector(ev, f, e->bin.lhs, &p.sink);
    }
    p.to = &both.sink;
    TRY(eval_vector(ev, f, e->bin.lhs, &p.sink));
    p.sink.put = mask_put;
    TRY(eval_vector(ev, f, e->bin.rhs, &p.sink));
    TRY(matrix_join_same(ev, f, &both.m));
    return matrix_put(ev, &both.m, sink);
}
