/* What the parser's sources share. A function that reports gives NULL or false when it
 * has failed; the first failure is kept and later ones change nothing, so callers only
 * have to stop.
 *
 * The message for an unexpected token depends on where one is: struct place is the
 * innermost construct that has something to say, set on entry and put back on exit.
 */
#ifndef TSINK_PROMQL_PARSER_PRIV_H
#define TSINK_PROMQL_PARSER_PRIV_H

#include "promql/lexer.h"
#include "promql/parser.h"

struct place {
    const char *in;       /* "aggregation"; NULL: nothing is said */
    const char *expected; /* NULL: nothing is said */
};

struct parser {
    struct lexer lexer;
    struct token token;        /* the look-ahead, when has_token */
    bool has_token;
    uint32_t last_end;         /* end of the last consumed token */
    struct ast *ast;
    const struct place *place;
    unsigned depth;            /* of the recursion */
    bool stable;
    status st;                 /* of the first failure */
    uint32_t error_start;
    struct strbuf error;       /* its words */
};

/* ---- parser.c ------------------------------------------------------------------- */

/* The look-ahead, read when it is asked for and not before: a bad token must not hide a
 * complaint about what precedes it. TOKEN_ERROR once something has failed. */
const struct token *parser_peek(struct parser *p);
struct token parser_take(struct parser *p);
bool parser_is(struct parser *p, enum token_kind kind);
bool parser_accept(struct parser *p, enum token_kind kind);
bool parser_expect(struct parser *p, enum token_kind kind); /* complains at p->place */

/* Failures. st is ST_INVALID, ST_LIMIT or ST_NO_MEMORY. */
void parser_fail(struct parser *p, status st, uint32_t start, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
void parser_unexpected(struct parser *p);
void parser_no_memory(struct parser *p);
void parser_experimental(struct parser *p, uint32_t start, const char *fmt, ...)
    PRINTF_LIKE(3, 4); /* fails only when p->stable */

/* A level deeper; false when that is one too many. */
bool parser_enter(struct parser *p, uint32_t start);
void parser_leave(struct parser *p);

/* A node, or NULL when memory or the tree's limits refuse. */
struct expr *parser_node(struct parser *p, enum expr_kind kind, uint32_t start);
bool parser_count(struct parser *p, uint32_t start); /* something else that costs a node */
struct expr *parser_done(struct parser *p, struct expr *e); /* measures and checks depth */

bool parser_unquote(struct parser *p, struct slice *out, const struct token *t);

/* ---- parser_expr.c -------------------------------------------------------------- */

struct expr *parse_expr(struct parser *p);

/* `(a, b)` after by, on, group_left...; texts in the arena. */
bool parse_label_list(struct parser *p, const struct slice **out, size_t *n);

/* ---- parser_selector.c ---------------------------------------------------------- */

/* A metric (already taken, or NULL) and its braces. */
struct expr *parse_selector(struct parser *p, const struct token *metric);

/* Any number of [..], offset, @, anchored and smoothed after e. */
struct expr *parse_suffixes(struct parser *p, struct expr *e);

/* ---- parser_duration.c ---------------------------------------------------------- */

bool parse_number(struct parser *p, double *out, const struct token *t);  /* NUMBER */
bool parse_duration_literal(struct parser *p, double *seconds, const struct token *t);

/* In brackets: any arithmetic; a literal must be positive. */
bool parse_positive_duration(struct parser *p, struct duration *out);

/* After offset: a signed literal, a call or a parenthesis. */
bool parse_offset_duration(struct parser *p, struct duration *out);

#endif
