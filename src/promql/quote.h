/* Quoting as Go's strconv does, which is how Prometheus prints strings and how its
 * messages name what they complain about. Pure, any thread. */
#ifndef TSINK_PROMQL_QUOTE_H
#define TSINK_PROMQL_QUOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/strbuf.h"

/* "text", with escapes for what is not printable and \xNN for what is not UTF-8. */
void quote_text(struct strbuf *out, struct slice text);

/* 'r'; a rune above U+10FFFF prints as U+FFFD. */
void quote_rune(struct strbuf *out, uint32_t rune);

/* U+0041 'A' */
void quote_code_point(struct strbuf *out, uint32_t rune);

/* The bytes of a literal with its quotes (" ' or `), in the arena: out->ptr is NULL on
 * refusal. False when the literal is malformed; the lexer lets no such literal pass. */
bool unquote_text(struct slice *out, struct slice literal, struct arena *arena);

#endif
