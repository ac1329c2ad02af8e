/* Results as Prometheus' HTTP API prints them (ecosystem.md 2.2). Pure, any thread. */
#ifndef TSINK_API_PROMJSON_H
#define TSINK_API_PROMJSON_H

#include "base/json_write.h"
#include "promql/promvalue.h"

/* {"status":"success","data":{"resultType":...,"result":...}[,"warnings"][,"infos"]}.
 * limit > 0 keeps the first limit series and says so in a warning. */
void promjson_result(struct strbuf *out, const struct promql_result *result, size_t limit);

/* {"a":"b",...} */
void promjson_labels(struct json_writer *w, struct labels labels);

/* {"status":"error","errorType":type,"error":text} */
void promjson_error(struct strbuf *out, const char *type, struct slice text);

/* Unix seconds as Prometheus prints them: 1.5, 1435781451.781. Returns the bytes; dst has
 * room for NUMFMT_MAX. */
size_t promjson_time(char *dst, int64_t ms);

#endif
