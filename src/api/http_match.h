/* match[] parameters as selectors. The call's loop takes them; any one thread may then
 * match with them. */
#ifndef TSINK_API_HTTP_MATCH_H
#define TSINK_API_HTTP_MATCH_H

#include "api/route.h"
#include "model/matcher.h"
#include "promql/parser.h"

struct http_matches {
    struct ast *asts;         /* one a match[]; outlive the call, which an answer ends */
    struct matchers *groups;  /* in the call's arena; point into the trees */
    size_t n;
};

/* How many the call has. */
size_t http_matches_count(const struct http_call *call);

/* Parses every match[] into *out, which is zeroed and which the caller releases, also after
 * a failure. */
CHECKED status http_matches_parse(struct http_call *call, struct http_matches *out,
                                  struct err *err);

/* What Prometheus says before a complaint about match[] on most routes. */
#define HTTP_MATCH_BAD "invalid parameter \"match[]\": "

/* The same; false: the call is answered with an error that begins with head. */
CHECKED bool http_matches_take(struct http_call *call, struct http_matches *out,
                               const char *head);
void http_matches_release(struct http_matches *matches); /* accepts a zeroed struct */

#endif
