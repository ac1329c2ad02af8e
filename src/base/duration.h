/* Durations as text: "250ms", "5m", "1h30m", "2d". Pure, any thread. */
#ifndef TSINK_BASE_DURATION_H
#define TSINK_BASE_DURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Prometheus' grammar: y w d h m s ms, in that order, each at most once, no sign
 * ("0" is fine too). Result in milliseconds; false on anything else or overflow. */
bool duration_parse_ms(int64_t *out, struct slice text);

/* Prometheus' String(): "1h30m", "5m", "0s". Returns bytes written; room 64. */
size_t duration_print_ms(char *dst, int64_t ms);

/* Sizes for options: 64mb, 2gb, 512, 16kb (powers of 1024, any case). */
bool size_parse(uint64_t *out, struct slice text);
size_t size_print(char *dst, uint64_t bytes);

#endif
