/* A PromQL tree over several lines, as Prometheus' /api/v1/format_query lays it out: what
 * fits on a line of 100 bytes stays on one, else an operator, a call or a pair of brackets
 * has its parts on lines of their own, two blanks further in. Pure, any thread. */
#ifndef TSINK_API_EXPR_LAYOUT_H
#define TSINK_API_EXPR_LAYOUT_H

#include "base/strbuf.h"
#include "promql/ast.h"

/* Appends the expression; parsing what comes out gives the same tree. */
void expr_layout(struct strbuf *out, const struct expr *e);

#endif
