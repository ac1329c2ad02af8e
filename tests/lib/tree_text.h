/* A syntax tree as nested lists, for comparing trees: everything that is in the tree but
 * positions and what plan.h writes.
 *
 *     -a{b="c"}[5m] offset 1m * 2   ->   (* (- (matrix 300s (select a b="c" offset 60s))) 2)
 */
#ifndef TSINK_TESTS_TREE_TEXT_H
#define TSINK_TESTS_TREE_TEXT_H

#include "base/strbuf.h"
#include "promql/ast.h"

void tree_text(struct strbuf *out, const struct expr *e);

#endif
