/* Routes whose answer only the owner can give: there, and back to the call's loop. */
#ifndef TSINK_API_HTTP_OWNER_H
#define TSINK_API_HTTP_OWNER_H

#include "api/route.h"

/* Runs on the owner: appends the answer's body to out, or fails. It may read the call and
 * its parameters, and change nothing of it. */
typedef status owner_fn(struct http_call *call, struct strbuf *out, struct err *err);

/* Asks fn and answers with what it says: 200 and a body of this type (NULL: JSON), or the
 * error envelope. */
void http_on_owner(struct http_call *call, const char *type, owner_fn *fn);

#endif
