/* RESP requests: multibulk and inline, read from a growing buffer.
 *
 * Pure and incremental: resp_parse() is given all bytes received since the start
 * of the current request and goes on where it stopped, whatever the pieces in
 * which they came. Arguments are slices into that buffer, so the buffer may move
 * between calls but its bytes may not change. An inline request is unquoted in
 * place, which is why the buffer is not const.
 *
 * A size is checked against its limit before anything is reserved; the argument
 * table grows with arguments received, not announced. Error texts are Redis' own
 * ("Protocol error: ...") where Redis has the case.
 *
 * One parser a connection; no thread of its own.
 */
#ifndef TSINK_NET_RESP_READ_H
#define TSINK_NET_RESP_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/vec.h"

enum {
    RESP_INLINE_MAX = 64 << 10,       /* an inline request or a length line: Redis */
    RESP_ARGS_MAX = 1 << 20,          /* reliability.md 5 */
    RESP_BULK_MAX = 64 << 20,         /* default; settable (decision 31) */
    RESP_UNAUTH_ARGS_MAX = 10,        /* before AUTH: reliability.md 5 */
    RESP_UNAUTH_BULK_MAX = 16 << 10,
    RESP_ERROR_MAX = 128,
};

struct resp_limits {
    size_t n_args_max, bulk_len_max;
    bool unauthenticated; /* apply the RESP_UNAUTH_ limits, too */
};

enum resp_result {
    RESP_MORE,     /* not all here yet */
    RESP_REQUEST,  /* args[0..n_args) and used are set; n_args >= 1 */
    RESP_NOTHING,  /* an empty line or array: skip `used` bytes, no reply */
    RESP_BAD,      /* error is set; answer with it and close */
    RESP_CROSS,    /* somebody speaks HTTP to this port: error is set; close, log */
    RESP_NO_MEMORY /* the argument table could not grow; close */
};

struct resp_parser {
    const struct slice *args;  /* the request; valid until the buffer or the parser changes */
    size_t n_args;
    size_t used;               /* bytes of the buffer that the request took */
    char error[RESP_ERROR_MAX];

    /* Private: where it stopped. */
    size_t pos, scan;
    int64_t n_left, bulk_len;
    VEC(struct slice) table;
};

void resp_parser_init(struct resp_parser *parser);
void resp_parser_release(struct resp_parser *parser);

/* Looks at buf[0..len): all bytes since the start of the request. After
 * RESP_REQUEST and RESP_NOTHING the next call starts a new request at buf + used.
 * After RESP_BAD, RESP_CROSS and RESP_NO_MEMORY only release may follow. */
enum resp_result resp_parse(struct resp_parser *parser, char *buf, size_t len,
                            const struct resp_limits *limits);

/* How large the buffer of the request in hand must become before resp_parse() can
 * get further, at least; 0 when unknown. For reading big bulks in one piece. */
size_t resp_wants(const struct resp_parser *parser);

#endif
