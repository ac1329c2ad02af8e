/* A PromQL tree as Prometheus' /api/v1/parse_query gives it: nodes by their `type`, children,
 * matchers, times in milliseconds. Durations that are expressions have no value before a
 * query knows its step: they are 0, as there. Pure, any thread. */
#ifndef TSINK_API_EXPR_JSON_H
#define TSINK_API_EXPR_JSON_H

#include "base/strbuf.h"
#include "promql/ast.h"

/* Appends the tree; its depth is at most the parser's. */
void expr_json(struct strbuf *out, const struct expr *e);

#endif
