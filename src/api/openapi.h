/* The route table as an OpenAPI 3.1 document in YAML. Pure. */
#ifndef TSINK_API_OPENAPI_H
#define TSINK_API_OPENAPI_H

#include "base/strbuf.h"

void openapi_print(struct strbuf *out);

#endif
