/* Lexer: PromQL text to tokens.
 *
 * What a character means depends on where it stands: inside braces keywords are plain
 * names, inside brackets a colon separates and letters begin step(), range(), min_of()
 * and max_of() only. Those modes follow from the brackets that were seen, so a token does
 * not depend on the parser. Bad text gives one TOKEN_ERROR with Prometheus' words; the
 * lexer must not be asked again after it. Comments and blanks are skipped.
 *
 * Holds no memory but the error's words. The text must outlive the tokens. One owner.
 */
#ifndef TSINK_PROMQL_LEXER_H
#define TSINK_PROMQL_LEXER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/strbuf.h"
#include "promql/ast.h"

enum token_kind {
    TOKEN_EOF,
    TOKEN_ERROR,
    TOKEN_IDENTIFIER,
    TOKEN_METRIC_IDENTIFIER, /* one with a colon */
    TOKEN_NUMBER,            /* inf and nan too */
    TOKEN_DURATION,
    TOKEN_STRING,            /* with its quotes */
    TOKEN_COMMA, TOKEN_COLON, TOKEN_EQL,
    TOKEN_LPAREN, TOKEN_RPAREN,
    TOKEN_LBRACE, TOKEN_RBRACE,
    TOKEN_LBRACKET, TOKEN_RBRACKET,
    /* operators */
    TOKEN_ADD, TOKEN_SUB, TOKEN_MUL, TOKEN_DIV, TOKEN_MOD, TOKEN_POW,
    TOKEN_EQLC, TOKEN_NEQ, TOKEN_LSS, TOKEN_LTE, TOKEN_GTR, TOKEN_GTE,
    TOKEN_EQL_REGEX, TOKEN_NEQ_REGEX,
    TOKEN_TRIM_UPPER, TOKEN_TRIM_LOWER,
    TOKEN_AT,
#define KEYWORD(token, word, class, where) token,
#include "promql/keywords.def"
#undef KEYWORD
    TOKEN_AGGREGATOR,        /* token.aggregator says which */
    N_TOKENS
};

struct token {
    enum token_kind kind;
    enum aggregator aggregator; /* TOKEN_AGGREGATOR */
    uint32_t start;             /* byte offset of text */
    struct slice text;
};

struct lexer {
    struct slice input;
    size_t pos, start;          /* next byte; first byte of the token being read */
    unsigned paren_depth;
    bool brace_open, bracket_open;
    bool in_duration;           /* just after [ and until a number: see lexer.c */
    bool got_colon, got_duration;
    struct strbuf error;        /* the words of TOKEN_ERROR */
    uint32_t error_start;       /* and its position */
};

void lexer_init(struct lexer *lx, struct slice input);
void lexer_release(struct lexer *lx);

struct token lexer_next(struct lexer *lx);

static inline uint32_t token_end(const struct token *t)
{
    return t->start + (uint32_t)t->text.len;
}

/* Appends what a message calls the token: identifier "x", <op:+>, <by>, end of input. */
void token_describe(struct strbuf *out, const struct token *t);

/* Whether the token may be a metric's name, and a label in a list of labels. */
bool token_is_metric(const struct token *t);
bool token_is_label(const struct token *t);

#endif
