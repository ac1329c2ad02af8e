/* Numbers, duration literals, and arithmetic where a duration stands.
 *
 * Inside brackets any arithmetic is allowed, with the precedence and the signs of
 * expressions. After `offset` it must not run on: in `m offset 5m + 2` the sum is one of
 * vectors. So there only a literal, step(), range(), min_of(), max_of() or a parenthesis
 * may stand, each with a sign; Prometheus' grammar has one exception, an unsigned
 * parenthesis (or a second sign), after which operators do belong to the offset, and so
 * have we.
 *
 * Arithmetic on literals is not folded: a tree prints as it was written.
 */
#include "promql/parser_priv.h"

#include <math.h>

#include "base/numfmt.h"

enum { PREC_SUM = 1, PREC_PRODUCT = 2, PREC_POWER = 3 };

#define DURATION_MAX_SECONDS (0x1p63 / 1e9) /* 2^63 ns: what Go's time.Duration holds */

static struct duration_expr *parse_arithmetic(struct parser *p, int min_precedence);

/* ---- literals ------------------------------------------------------------------- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 99;
}

/* Whether every underscore stands between digits (or after 0x). */
static bool underscores_ok(struct slice text)
{
    bool hex = text.len > 2 && text.ptr[0] == '0' && (text.ptr[1] | 0x20) == 'x';

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '_') continue;
        bool before = i > 0 && (digit_of(text.ptr[i - 1]) < (hex ? 16 : 10) || (hex && i == 2));
        bool after = i + 1 < text.len && digit_of(text.ptr[i + 1]) < (hex ? 16 : 10);
        if (!before || !after) return false;
    }
    return true;
}

/* Hexadecimal, or octal by a leading 0: what Go's ParseInt(text, 0, 64) takes besides
 * plain digits. False when it is neither or does not fit 63 bits. */
static bool parse_prefixed(double *out, struct slice text)
{
    uint64_t value = 0, base = 8;
    size_t i = 1;

    if (text.len < 2 || text.ptr[0] != '0') return false;
    if ((text.ptr[1] | 0x20) == 'x') base = 16, i = 2;
    if (i == text.len) return false;
    for (; i < text.len; i++) {
        if (text.ptr[i] == '_') continue;
        uint64_t digit = (uint64_t)digit_of(text.ptr[i]);
        if (digit >= base) return false;
        value = value * base + digit;
        if (value > INT64_MAX) return false;
    }
    *out = (double)value;
    return true;
}

bool parse_number(struct parser *p, double *out, const struct token *t)
{
    struct slice text = t->text;
    char *plain = arena_try(&p->ast->arena, text.len + 1);
    size_t len = 0;

    if (!plain) {
        parser_no_memory(p);
        return false;
    }
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '_') plain[len++] = text.ptr[i];
    bool ok = underscores_ok(text);
    if (ok && parse_prefixed(out, text)) return true;
    if (ok) ok = parse_f64(out, slice_of(plain, len));
    bool named = text.len > 0 && digit_of(text.ptr[0]) > 9 && text.ptr[0] != '.'; /* inf, nan */
    if (ok && (!isinf(*out) || named)) return true;
    parser_fail(p, ST_INVALID, t->start,
                "error parsing number: strconv.ParseFloat: parsing \"" SLICE_FMT "\": %s",
                SLICE_ARG(text), ok ? "value out of range" : "invalid syntax");
    return false;
}

static const struct unit {
    const char *name;
    uint64_t ns;
} units[] = {
    {"y", 365ull * 24 * 3600 * 1000000000}, {"w", 7ull * 24 * 3600 * 1000000000},
    {"d", 24ull * 3600 * 1000000000},       {"h", 3600ull * 1000000000},
    {"m", 60ull * 1000000000},              {"s", 1000000000},
    {"ms", 1000000},
};

static int find_unit(struct slice name)
{
    for (int i = 0; i < (int)(sizeof(units) / sizeof(units[0])); i++)
        if (slice_is(name, units[i].name)) return i;
    return -1;
}

/* Adds the number and unit at *text to *ns; moves past them. Units must come in order:
 * *last is the one before. Complains and returns false. */
static bool take_unit(struct parser *p, uint64_t *ns, struct slice *text, int *last,
                      const struct token *t)
{
    uint64_t value, part;
    size_t digits = 0, letters = 0;

    while (digits < text->len && digit_of(text->ptr[digits]) < 10) digits++;
    bool ok = parse_u64(&value, slice_of(text->ptr, digits));
    *text = slice_skip(*text, digits);
    while (letters < text->len && digit_of(text->ptr[letters]) >= 10) letters++;
    struct slice name = slice_of(text->ptr, letters);
    int unit = find_unit(name);

    if (ok && letters > 0 && unit < 0) {
        parser_fail(p, ST_INVALID, t->start,
                    "unknown unit \"" SLICE_FMT "\" in duration \"" SLICE_FMT "\"", SLICE_ARG(name),
                    SLICE_ARG(t->text));
        return false;
    }
    if (!ok || unit <= *last) {
        parser_fail(p, ST_INVALID, t->start, "not a valid duration string: \"" SLICE_FMT "\"",
                    SLICE_ARG(t->text));
        return false;
    }
    *last = unit;
    *text = slice_skip(*text, letters);
    if (!__builtin_mul_overflow(value, units[unit].ns, &part) &&
        !__builtin_add_overflow(*ns, part, ns) && *ns <= INT64_MAX)
        return true;
    parser_fail(p, ST_INVALID, t->start, "duration out of range");
    return false;
}

bool parse_duration_literal(struct parser *p, double *seconds, const struct token *t)
{
    struct slice text = t->text;
    uint64_t ns = 0;
    int last = -1;

    while (text.len > 0)
        if (!take_unit(p, &ns, &text, &last, t)) return false;
    /* As Go's Duration.Seconds(): whole and fraction apart, for exactness. */
    *seconds = (double)(ns / 1000000000) + (double)(ns % 1000000000) / 1e9;
    return true;
}

/* ---- arithmetic ------------------------------------------------------------------- */

static struct duration_expr *make(struct parser *p, enum duration_op op, uint32_t start,
                                  struct duration_expr *left, struct duration_expr *right)
{
    if (p->st != ST_OK || !parser_count(p, start)) return NULL;
    struct duration_expr *d = arena_try_zero(&p->ast->arena, sizeof(*d));

    if (!d) {
        parser_no_memory(p);
        return NULL;
    }
    d->op = op;
    d->start = start;
    d->end = right ? right->end : left ? left->end : p->last_end;
    d->left = left;
    d->right = right;
    d->height = 1;
    if (left) d->height = (uint16_t)(left->height + 1);
    if (right && right->height >= d->height) d->height = (uint16_t)(right->height + 1);
    if (d->height > PARSER_DEPTH_MAX) {
        parser_fail(p, ST_LIMIT, start, "expression is nested deeper than %d levels",
                    (int)PARSER_DEPTH_MAX);
        return NULL;
    }
    return d;
}

static bool in_range(struct parser *p, double seconds, uint32_t start)
{
    if (seconds <= DURATION_MAX_SECONDS && seconds >= -DURATION_MAX_SECONDS) return true;
    parser_fail(p, ST_INVALID, start, "duration out of range");
    return false;
}

static struct duration_expr *parse_literal(struct parser *p)
{
    struct token t = parser_take(p);
    struct duration_expr *d = make(p, DUR_NUMBER, t.start, NULL, NULL);

    if (!d) return NULL;
    d->as_duration = t.kind == TOKEN_DURATION;
    bool ok = d->as_duration ? parse_duration_literal(p, &d->seconds, &t)
                             : parse_number(p, &d->seconds, &t);
    return ok && in_range(p, d->seconds, t.start) ? d : NULL;
}

/* step(), range(), min_of(a, b), max_of(a, b) */
static struct duration_expr *parse_frame_call(struct parser *p)
{
    static const enum duration_op ops[N_TOKENS] = {
        [TOKEN_STEP] = DUR_STEP, [TOKEN_RANGE] = DUR_RANGE,
        [TOKEN_MIN_OF] = DUR_MIN, [TOKEN_MAX_OF] = DUR_MAX,
    };
    struct token name = parser_take(p);
    struct duration_expr *left = NULL, *right = NULL;

    if (!parser_expect(p, TOKEN_LPAREN)) return NULL;
    if (name.kind == TOKEN_MIN_OF || name.kind == TOKEN_MAX_OF) {
        left = parse_arithmetic(p, PREC_SUM);
        if (!left || !parser_expect(p, TOKEN_COMMA)) return NULL;
        right = parse_arithmetic(p, PREC_SUM);
        if (!right) return NULL;
    }
    if (!parser_expect(p, TOKEN_RPAREN)) return NULL;
    struct duration_expr *d = make(p, ops[name.kind], name.start, left, right);
    if (d) d->end = p->last_end;
    return d;
}

static struct duration_expr *parse_paren(struct parser *p)
{
    (void)parser_take(p);
    struct duration_expr *d = parse_arithmetic(p, PREC_SUM);

    if (!d || !parser_expect(p, TOKEN_RPAREN)) return NULL;
    d->wrapped = true;
    return d;
}

static struct duration_expr *parse_primary(struct parser *p)
{
    switch (parser_peek(p)->kind) {
    case TOKEN_NUMBER:
    case TOKEN_DURATION: return parse_literal(p);
    case TOKEN_STEP:
    case TOKEN_RANGE:
    case TOKEN_MIN_OF:
    case TOKEN_MAX_OF: return parse_frame_call(p);
    case TOKEN_LPAREN: return parse_paren(p);
    default: parser_unexpected(p); return NULL;
    }
}

static bool is_sign(struct parser *p)
{
    return parser_is(p, TOKEN_ADD) || parser_is(p, TOKEN_SUB);
}

/* A sign belongs to a literal, and a plus changes nothing. */
static struct duration_expr *apply_sign(struct parser *p, const struct token *sign,
                                        struct duration_expr *d)
{
    if (!d) return NULL;
    if (d->op == DUR_NUMBER) {
        if (sign->kind == TOKEN_SUB) d->seconds = 0 - d->seconds; /* no duration is -0 */
        d->start = sign->start;
        return in_range(p, d->seconds, sign->start) ? d : NULL;
    }
    return sign->kind == TOKEN_SUB ? make(p, DUR_NEG, sign->start, d, NULL) : d;
}

static struct duration_expr *parse_signed(struct parser *p)
{
    if (!is_sign(p)) return parse_primary(p);
    struct token sign = parser_take(p);
    return apply_sign(p, &sign, parse_arithmetic(p, PREC_POWER));
}

static int operator_of(enum duration_op *op, enum token_kind kind)
{
    switch (kind) {
    case TOKEN_ADD: *op = DUR_ADD; return PREC_SUM;
    case TOKEN_SUB: *op = DUR_SUB; return PREC_SUM;
    case TOKEN_MUL: *op = DUR_MUL; return PREC_PRODUCT;
    case TOKEN_DIV: *op = DUR_DIV; return PREC_PRODUCT;
    case TOKEN_MOD: *op = DUR_MOD; return PREC_PRODUCT;
    case TOKEN_POW: *op = DUR_POW; return PREC_POWER;
    default: return 0;
    }
}

/* The operators after an operand that has been read. */
static struct duration_expr *parse_operations(struct parser *p, struct duration_expr *left,
                                              int min_precedence)
{
    while (left) {
        enum duration_op op;
        int precedence = operator_of(&op, parser_peek(p)->kind);
        if (precedence == 0 || precedence < min_precedence) return left;

        struct token t = parser_take(p);
        struct duration_expr *right =
            parse_arithmetic(p, precedence == PREC_POWER ? precedence : precedence + 1);
        if (!right) return NULL;
        bool zero = right->op == DUR_NUMBER && right->seconds == 0;
        if (zero && op == DUR_DIV) parser_fail(p, ST_INVALID, t.start, "division by zero");
        if (zero && op == DUR_MOD) parser_fail(p, ST_INVALID, t.start, "modulo by zero");
        left = make(p, op, left->start, left, right);
    }
    return NULL;
}

static struct duration_expr *parse_arithmetic(struct parser *p, int min_precedence)
{
    if (!parser_enter(p, parser_peek(p)->start)) return NULL;
    struct duration_expr *d = parse_operations(p, parse_signed(p), min_precedence);
    parser_leave(p);
    return p->st == ST_OK ? d : NULL;
}

/* ---- entries -------------------------------------------------------------------- */

/* A literal is settled here; arithmetic waits for the query's frame (plan.c). */
static void settle(struct duration *out, struct duration_expr *d)
{
    *out = (struct duration){0};
    if (d->op != DUR_NUMBER) {
        out->expr = d;
        return;
    }
    double ns = round(d->seconds * 1e9);
    out->ns = ns >= 0x1p63 ? INT64_MAX : ns <= -0x1p63 ? INT64_MIN : (int64_t)ns;
}

bool parse_positive_duration(struct parser *p, struct duration *out)
{
    struct duration_expr *d = parse_arithmetic(p, PREC_SUM);

    if (!d) return false;
    if (d->op == DUR_NUMBER && d->seconds <= 0) {
        parser_fail(p, ST_INVALID, d->start, "duration must be greater than 0");
        return false;
    }
    settle(out, d);
    return true;
}

bool parse_offset_duration(struct parser *p, struct duration *out)
{
    struct duration_expr *d;

    if (!parser_enter(p, parser_peek(p)->start)) return false;
    if (is_sign(p)) {
        struct token sign = parser_take(p);
        if (is_sign(p))
            d = parse_operations(p, apply_sign(p, &sign, parse_arithmetic(p, PREC_POWER)),
                                 PREC_SUM);
        else
            d = apply_sign(p, &sign, parse_primary(p));
    } else if (parser_is(p, TOKEN_LPAREN)) {
        d = parse_operations(p, parse_primary(p), PREC_SUM);
    } else {
        d = parse_primary(p);
    }
    parser_leave(p);
    if (!d || p->st != ST_OK) return false;
    settle(out, d);
    return true;
}
