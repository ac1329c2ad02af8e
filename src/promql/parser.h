/* Parser: PromQL text to a typed tree (ast.h).
 *
 * The grammar is Prometheus 3.x's, experimental parts included, and errors are said in
 * its words with its positions: "1:5: parse error: unclosed left parenthesis", line and
 * column counted from 1, columns in bytes. A tree that comes out has passed the type
 * check (typecheck.h).
 *
 * Hostile text is safe: recursion is limited to PARSER_DEPTH_MAX, the tree to
 * PARSER_NODES_MAX nodes, the text to PARSER_TEXT_MAX bytes. Pure, any thread.
 */
#ifndef TSINK_PROMQL_PARSER_H
#define TSINK_PROMQL_PARSER_H

#include "base/slice.h"
#include "base/status.h"
#include "promql/ast.h"

enum {
    PARSER_TEXT_MAX = 64 << 10, /* bytes (reliability.md 5) */
    PARSER_DEPTH_MAX = 128,     /* nested constructs */
    PARSER_NODES_MAX = 10000,   /* nodes of one tree, duration expressions' included */
};

/* What the tree may use. Zeroed: everything (decision 20). */
struct parser_options {
    bool stable; /* experimental functions and syntax are refused */
};

/* Fills *ast, which the caller has initialised and releases, also after a failure.
 * opt may be NULL. ST_INVALID with "line:col: parse error: text"; ST_LIMIT when the text
 * is too long or the tree too deep or too large, in the same form; ST_NO_MEMORY. */
CHECKED status promql_parse(struct ast *ast, struct slice text, const struct parser_options *opt,
                            struct err *err);

/* Parses a lone selector, as match[] of the API: a metric name or braces, no modifiers.
 * The root is an EXPR_VECTOR. Refuses what promql_parse refuses. */
CHECKED status promql_parse_selector(struct ast *ast, struct slice text, struct err *err);

#endif
