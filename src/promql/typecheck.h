/* Type check of a parsed tree, with Prometheus' words. Also settles what the types
 * decide: set operators become many-to-many, matching goes where a side is a scalar, and
 * info()'s label selector may be empty. Pure, any thread; the tree is changed. */
#ifndef TSINK_PROMQL_TYPECHECK_H
#define TSINK_PROMQL_TYPECHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "promql/ast.h"

/* False at the first thing that is wrong: *start is its position in the text, what is
 * wrong is appended to out. */
bool typecheck(struct ast *ast, uint32_t *start, struct strbuf *out);

#endif
