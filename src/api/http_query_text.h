/* The parameter `query` and what is said when it is no expression: for every route that
 * takes one. The call's loop. */
#ifndef TSINK_API_HTTP_QUERY_TEXT_H
#define TSINK_API_HTTP_QUERY_TEXT_H

#include "api/route.h"

/* False: there is none, and the call is answered. */
CHECKED bool http_query_text(struct http_call *call, struct slice *out);

/* The status of a text that was not taken, from that of its parser: one that is too long, too
 * deep or has too large a pattern is as bad as any. */
static inline status http_query_bad(status st)
{
    return st == ST_LIMIT ? ST_INVALID : st;
}

/* Answers a call whose query failed: a text that is no expression, or none that can be asked
 * like that (ST_INVALID), is bad_data of the parameter, the rest as http_call_error() says. */
void http_query_failed(struct http_call *call, status st, const struct err *err);

#endif
