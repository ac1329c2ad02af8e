/* The syntax tree of a PromQL expression.
 *
 * A tree belongs to one struct ast: nodes and texts live in its arena, compiled
 * regular expressions in its matchers; ast_release() frees both. parser.h fills it,
 * typecheck.h has seen it (a tree that the parser returns is well typed), printer.h
 * writes it back, plan.h writes the fields marked [plan], the evaluator only reads.
 * One owner at a time; a tree that nobody plans any more may be read by many.
 *
 * Positions are byte offsets into the text that was parsed, [start, end).
 *
 * Durations are signed nanoseconds as written (Go's time.Duration); plan.h turns
 * them into query ticks (see there), the unit of every field marked [plan].
 *
 * How an evaluator finds a selector's series: expr->vec.select is the index of its
 * request in struct plan's selects, and so of its series_set after querier_fetch().
 * For EXPR_MATRIX go through expr->matrix.vec, which is always an EXPR_VECTOR node.
 */
#ifndef TSINK_PROMQL_AST_H
#define TSINK_PROMQL_AST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "model/matcher.h"

enum value_kind { KIND_NONE, KIND_SCALAR, KIND_VECTOR, KIND_MATRIX, KIND_STRING };

enum expr_kind {
    EXPR_NUMBER,
    EXPR_STRING,
    EXPR_VECTOR,    /* m{...} */
    EXPR_MATRIX,    /* m{...}[5m] */
    EXPR_SUBQUERY,  /* e[1h:1m] */
    EXPR_CALL,
    EXPR_AGGREGATE,
    EXPR_BINARY,
    EXPR_UNARY,
    EXPR_PAREN,
};

/* ---- durations ---------------------------------------------------------------- */

enum duration_op {
    DUR_NUMBER,                                  /* ns holds it */
    DUR_NEG,                                     /* operand in left */
    DUR_ADD, DUR_SUB, DUR_MUL, DUR_DIV, DUR_MOD, DUR_POW,
    DUR_STEP, DUR_RANGE,                         /* step() range() */
    DUR_MIN, DUR_MAX,                            /* min_of(l, r) max_of(l, r) */
};

/* Arithmetic where a duration stands: [5m + step()], offset min_of(1m, 2m). */
struct duration_expr {
    enum duration_op op;
    bool as_duration;    /* DUR_NUMBER: written 5m, not 300 */
    bool wrapped;        /* written in parentheses, as (5m) or (step() + 1) */
    double seconds;      /* DUR_NUMBER */
    uint16_t height;     /* of the subtree, at most PARSER_DEPTH_MAX */
    uint32_t start, end;
    struct duration_expr *left, *right; /* NULL where the operator has none */
};

/* A range, a resolution or an offset. */
struct duration {
    int64_t ns;                 /* valid when expr is NULL */
    struct duration_expr *expr; /* NULL: a plain duration or number */
    int64_t ticks;              /* [plan] in query ticks, expr or not */
};

/* ---- modifiers ---------------------------------------------------------------- */

enum at_kind { AT_NONE, AT_TIME, AT_START, AT_END };

/* What may follow a selector or a subquery, in either order. */
struct modifiers {
    bool has_offset;        /* written, and not a literal 0 */
    struct duration offset; /* positive looks back */
    enum at_kind at;
    int64_t at_ms;          /* AT_TIME, as written, in ms */
    int64_t at_ticks;       /* [plan] unless AT_NONE, in query ticks; start() and end()
                               are those of the whole query, also inside a subquery */
    /* The time to look at: (at == AT_NONE ? step's time : at_ticks) - offset.ticks */
};

/* ---- operators and aggregators -------------------------------------------------- */

enum binary_op {
    OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MOD, OP_POW, OP_ATAN2,
    OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE,
    OP_AND, OP_OR, OP_UNLESS,
    OP_TRIM_UPPER, /* </ : native histograms, keep what is below */
    OP_TRIM_LOWER, /* >/ : native histograms, keep what is above */
};

enum match_card { CARD_ONE_TO_ONE, CARD_MANY_TO_ONE, CARD_ONE_TO_MANY, CARD_MANY_TO_MANY };

/* How the elements of two vectors meet. MANY_TO_ONE is group_left, ONE_TO_MANY is
 * group_right, MANY_TO_MANY belongs to the set operators. */
struct vector_matching {
    enum match_card card;
    bool on;                     /* labels are those of on(); else of ignoring() */
    const struct slice *labels;
    size_t n_labels;
    const struct slice *include; /* of group_left(...) and group_right(...) */
    size_t n_include;
    bool has_fill_left, has_fill_right;
    double fill_left, fill_right; /* value that stands for a missing left or right side */
};

/* The order is that of aggregators.def. */
enum aggregator {
#define AGGREGATOR(id, name, param, experimental) id,
#include "promql/aggregators.def"
#undef AGGREGATOR
    N_AGGREGATORS
};

/* ---- functions ------------------------------------------------------------------ */

enum { FUNCTION_ARGS_MAX = 5 };

/* One id per row of functions.def: FUNC_rate, FUNC_sum_over_time... The evaluator
 * makes its own table from the rows' last column. */
enum function_id {
#define FUNCTION(name, n_args, args, variadic, ret, experimental, fn) FUNC_##name,
#include "promql/functions.def"
#undef FUNCTION
    N_FUNCTIONS
};

struct function {
    const char *name;
    enum function_id id;
    uint8_t n_args;                          /* entries of args */
    enum value_kind args[FUNCTION_ARGS_MAX];
    /* 0: exactly n_args. Else the last type may be absent or repeated: at least
     * n_args - 1, at most n_args - 1 + variadic arguments; -1: no upper bound. */
    int8_t variadic;
    enum value_kind ret;
    bool experimental;
};

extern const struct function functions[N_FUNCTIONS]; /* indexed by function_id */

/* NULL when there is none; names are case-sensitive. */
const struct function *function_find(struct slice name);

/* ---- nodes ---------------------------------------------------------------------- */

struct expr;

struct vector_expr {
    struct slice name;         /* metric name as written before the braces; empty when it is
                                  missing or in the braces ({"a.b"}: a matcher only) */
    struct matcher *matchers;  /* in written order, the one of name last */
    size_t n_matchers;
    bool may_be_empty;         /* info()'s second argument: needs no non-empty matcher */
    struct modifiers mod;      /* the matrix's too */
    bool anchored, smoothed;
    bool counts;               /* [plan] of histograms only count and sum are looked at */
    size_t select;             /* [plan] index in plan->selects */
};

struct matrix_expr {
    struct expr *vec;          /* EXPR_VECTOR; offset, @, anchored are there */
    struct duration range;
};

struct subquery_expr {
    struct expr *expr;
    struct duration range;
    bool has_step;             /* [5m:] has none: the default is used */
    struct duration step;      /* [plan] ticks is set either way */
    struct modifiers mod;
};

struct call_expr {
    const struct function *func;
    struct expr **args;
    size_t n_args;
    size_t info_select;        /* [plan] info(): its info series, in plan->selects */
};

struct aggregate_expr {
    enum aggregator op;
    struct expr *expr;
    struct expr *param;            /* NULL when the aggregator has none */
    bool without;                  /* labels are those of without(); else of by() */
    const struct slice *grouping;  /* as written; may hold duplicates */
    size_t n_grouping;
};

struct binary_expr {
    enum binary_op op;
    bool return_bool;
    struct expr *lhs, *rhs;
    struct vector_matching *matching; /* NULL unless both sides are vectors */
    uint32_t op_start, op_end;        /* position of the operator */
};

struct unary_expr {
    bool negative;             /* else a plus, which changes nothing */
    struct expr *expr;
};

struct number_expr {
    double value;              /* durations in seconds */
    bool as_duration;          /* written 5m: printed so */
};

struct expr {
    enum expr_kind kind;
    enum value_kind type;      /* what it evaluates to */
    uint16_t height;           /* of the subtree, at least 1, at most PARSER_DEPTH_MAX */
    uint32_t start, end;
    /* [plan] The value is the same at every step: evaluate once, at any step, and repeat.
     * Set on the roots of the largest such subtrees only (below them it is false), and
     * once more below a subquery, whose steps are its own. Never on literals, on nodes of
     * KIND_MATRIX (their @ says it), nor on the selector that is timestamp()'s argument. */
    bool invariant;
    union {
        struct vector_expr vec;
        struct matrix_expr matrix;
        struct subquery_expr subquery;
        struct call_expr call;
        struct aggregate_expr agg;
        struct binary_expr bin;
        struct unary_expr unary;
        struct expr *paren;
        struct number_expr number;
        struct slice string;
    };
};

struct ast {
    struct arena arena;
    struct slice text;         /* a copy of what was parsed, for positions */
    struct expr *root;
    size_t n_nodes;
    struct expr **vectors;     /* every EXPR_VECTOR in the order of the text */
    size_t n_vectors, cap_vectors;
};

void ast_init(struct ast *ast, struct account *account);
void ast_release(struct ast *ast); /* accepts a zeroed struct */

/* A node of the tree, zeroed but for kind; NULL when the arena refuses. An EXPR_VECTOR is
 * entered in vectors, so that its regular expressions are freed whatever happens. */
CHECKED struct expr *ast_node(struct ast *ast, enum expr_kind kind);

/* Sets height from the children. */
void expr_measure(struct expr *e);

/* The expression under any number of parentheses. */
struct expr *expr_unwrap(struct expr *e);

/* The i-th child (sub-expressions in the order of the text), NULL at the end. A matrix
 * has its vector selector, an aggregation its parameter before its expression. */
struct expr *expr_child(const struct expr *e, size_t i);

/* "scalar" "vector" "matrix" "string" "none": the JSON resultType words. */
const char *value_kind_name(enum value_kind kind);

/* "scalar" "instant vector" "range vector" "string": for messages. */
const char *value_kind_text(enum value_kind kind);

const char *binary_op_text(enum binary_op op);
bool binary_op_is_comparison(enum binary_op op);
bool binary_op_is_trim(enum binary_op op);
bool binary_op_is_set(enum binary_op op);
const char *aggregator_name(enum aggregator op);
enum value_kind aggregator_param(enum aggregator op); /* KIND_NONE: takes no parameter */

#endif
