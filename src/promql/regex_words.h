/* RE2's complaints about a regular expression in the words of Go's regexp package, which
 * Prometheus' clients know. Pure, any thread. */
#ifndef TSINK_PROMQL_REGEX_WORDS_H
#define TSINK_PROMQL_REGEX_WORDS_H

#include "base/slice.h"
#include "base/strbuf.h"

/* "missing ): a(b" -> "error parsing regexp: missing closing ): `a(b`". What is not in the
 * table keeps its own words behind the prefix. */
void regex_words(struct strbuf *out, struct slice complaint);

#endif
