/* Status codes and the sentence that travels with them.
 *
 * A function that can fail returns `status` and is CHECKED. The row in
 * status.def gives each code its HTTP status, its RESP word, whether a retry can
 * help, and a sentence. `struct err` gathers the particulars on the way up:
 * err_set() where the failure is noticed, err_wrap() where somebody knows more.
 * The one who stops passing an error on logs it or answers with it. Any thread.
 */
#ifndef TSINK_BASE_STATUS_H
#define TSINK_BASE_STATUS_H

#include <stdarg.h>
#include <stdbool.h>

#define STATUS(code, value, http, resp, retry, text) code = value,
typedef enum status {
#include "base/status.def"
} status;
#undef STATUS

#define CHECKED __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_idx, arg_idx) __attribute__((format(printf, fmt_idx, arg_idx)))

/* Returns a failed status at once. Only where nothing is held. */
#define TRY(expr)                                                                              \
    do {                                                                                       \
        status try_st_ = (expr);                                                               \
        if (try_st_ != ST_OK) return try_st_;                                                  \
    } while (0)

enum { ERR_TEXT_MAX = 512 };

/* What went wrong, for a person. Zeroed means: nothing said yet. */
struct err {
    status st;
    char text[ERR_TEXT_MAX];
};

const char *status_name(status st); /* "ST_INVALID" */
const char *status_text(status st); /* the sentence of the row */
const char *status_resp(status st); /* the RESP word */
int status_http(status st);
bool status_retry(status st);

/* Sets the text and returns st. err may be NULL. */
status err_set(struct err *err, status st, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "fmt: " before what is already said and returns st. */
status err_wrap(struct err *err, status st, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The text, or the row's sentence when nothing was said. */
const char *err_text(const struct err *err, status st);

#endif
