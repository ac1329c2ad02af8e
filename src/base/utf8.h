/* UTF-8 checks and steps. Pure, any thread. */
#ifndef TSINK_BASE_UTF8_H
#define TSINK_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF. */
bool utf8_valid(struct slice text);

/* Decodes the rune at text and returns its bytes; 0 at the end; an invalid byte
 * gives U+FFFD and 1. */
size_t utf8_next(uint32_t *rune, struct slice text);

/* Encodes and returns the bytes (1 to 4); dst has room for 4. */
size_t utf8_put(char *dst, uint32_t rune);

/* A copy for messages, NUL-terminated, cut to dst_len - 1 bytes: whatever is not printable
 * ASCII becomes '?', so that no message carries raw input. Returns dst. */
const char *utf8_printable(char *dst, size_t dst_len, struct slice text);

#endif
