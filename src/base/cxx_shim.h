/* The only door to C++: RE2, and the standard library's exact conversions between
 * doubles and text. Used by regex.c and numfmt.c alone. Any thread. */
#ifndef TSINK_BASE_CXX_SHIM_H
#define TSINK_BASE_CXX_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum shim_re_result { SHIM_RE_OK, SHIM_RE_BAD, SHIM_RE_TOO_LARGE, SHIM_RE_NO_MEMORY };

struct shim_re;

/* Compiles ptr[0..len) with dot matching newline. max_mem bounds program and automaton
 * in bytes. On SHIM_RE_BAD why gets RE2's reason, NUL-terminated. Returns owned. */
enum shim_re_result shim_re_new(struct shim_re **out, const char *ptr, size_t len,
                                int64_t max_mem, char *why, size_t why_len);
void shim_re_free(struct shim_re *re);
int shim_re_program_size(const struct shim_re *re); /* instructions */

/* Whether all of text matches. */
bool shim_re_match(const struct shim_re *re, const char *text, size_t len);

/* As above with groups 0..n-1 (n <= 33); a group that took no part has ptr NULL. */
bool shim_re_groups(const struct shim_re *re, const char *text, size_t len, const char **ptrs,
                    size_t *lens, size_t n);
size_t shim_re_n_groups(const struct shim_re *re);
int shim_re_group_index(const struct shim_re *re, const char *name, size_t len); /* or -1 */
bool shim_re_has_double_names(const struct shim_re *re); /* two groups of one name */

/* Shortest digits of a finite v that read back to it: d[.ddd]e[+-]xx, with a sign when
 * negative. Returns bytes written; dst has room for 32. */
size_t shim_f64_scientific(char *dst, double v);

enum shim_f64_result { SHIM_F64_OK, SHIM_F64_RANGE, SHIM_F64_BAD };

/* Reads all of ptr[0..len), decimal digits with '.' and exponent and '-' but no other
 * sign, correctly rounded. SHIM_F64_RANGE: beyond the largest or below the smallest. */
enum shim_f64_result shim_f64_parse(double *out, const char *ptr, size_t len);

#ifdef __cplusplus
}
#endif

#endif
