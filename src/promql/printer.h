/* Printer: a tree back to text, in Prometheus' canonical form. parse(print(parse(x)))
 * gives the same tree as parse(x). Pure, any thread. */
#ifndef TSINK_PROMQL_PRINTER_H
#define TSINK_PROMQL_PRINTER_H

#include "base/strbuf.h"
#include "promql/ast.h"

/* Appends the expression; out->failed tells of a refused allocation. */
void expr_print(struct strbuf *out, const struct expr *e);

#endif
