/* Numbers <-> text. The shortest digits that read back to the same double, in the
 * three layouts that our protocols know. Pure, any thread. */
#ifndef TSINK_BASE_NUMFMT_H
#define TSINK_BASE_NUMFMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { NUMFMT_MAX = 40 }; /* room that every numfmt_* needs */

/* Each returns the bytes written, not NUL-terminated. */

/* Prometheus' HTTP API: fixed for 1e-6 <= |v| < 1e21 and 0, else d.ddde-07;
 * NaN, +Inf, -Inf; -0 stays. */
size_t numfmt_prom(char *dst, double v);

/* Go's strconv 'f' format with shortest digits (never an exponent), as PromQL
 * prints literals and count_values labels: NaN, +Inf, -Inf. */
size_t numfmt_fixed(char *dst, double v, size_t dst_len); /* needs 350 bytes */

/* Go's %v / strconv 'g' with shortest digits: exponent below 1e-4 and from 1e6
 * (Go's own threshold); e+06 style two-digit exponents. */
size_t numfmt_go(char *dst, double v);

/* RESP2 (resp.md 1.3): 0, NaN, Infinity, plain for 1 <= |v| < 1e16 and integers of
 * 17 digits, else d.dddE[-]x. */
size_t numfmt_resp2(char *dst, double v);

/* RESP3: 0.1, 1e+20, nan, inf, -inf. */
size_t numfmt_resp3(char *dst, double v);

size_t numfmt_i64(char *dst, int64_t v);
size_t numfmt_u64(char *dst, uint64_t v);

/* With a comma between thousands, as sentences have it: 11,000. */
size_t numfmt_grouped(char *dst, uint64_t v);

/* All of text, or false. Decimal with optional sign; no blanks. */
bool parse_i64(int64_t *out, struct slice text);
bool parse_u64(uint64_t *out, struct slice text);

/* All of text: decimal or exponent form, optional sign, inf/infinity/nan in any
 * case. Correctly rounded; overflow gives infinity, underflow 0. */
bool parse_f64(double *out, struct slice text);

/* JSON's number grammar only, nan in any case with a sign or without when allow_nan;
 * false on overflow (resp.md 1.3). */
bool parse_f64_json(double *out, struct slice text, bool allow_nan);

#endif
