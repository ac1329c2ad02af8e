/* Results as Prometheus' HTTP API prints them (ecosystem.md 2.2). Pure, any thread. */
#ifndef TSINK_API_PROMJSON_H
#define TSINK_API_PROMJSON_H

#include "base/json_write.h"
#include "promql/promvalue.h"

/* What a query took, for the parameter `stats`. Seconds. */
struct promjson_stats {
    double queued, prepared, evaluated; /* waited; parsed and fetched; evaluated */
    bool per_step;                      /* of an instant query: its samples at its time */
};

/* {"status":"success","data":{"resultType":...,"result":...[,"stats"]}[,"warnings"][,"infos"]}.
 * limit > 0 keeps the first limit series and says so in a warning. stats may be NULL. */
void promjson_result(struct strbuf *out, const struct promql_result *result, size_t limit,
                     const struct promjson_stats *stats);

/* Who takes a long text while it is made: full() is called when there is much of it, and
 * leaves out empty, or failed. */
struct promjson_drain {
    void (*full)(struct promjson_drain *drain, struct strbuf *out);
};

/* The same in parts; what is in out at the end is the last. */
void promjson_result_parts(struct strbuf *out, const struct promql_result *result, size_t limit,
                           const struct promjson_stats *stats, struct promjson_drain *drain);

/* {"a":"b",...} */
void promjson_labels(struct json_writer *w, struct labels labels);

/* {"status":"error","errorType":type,"error":text} */
void promjson_error(struct strbuf *out, const char *type, struct slice text);

/* Unix seconds as Prometheus prints them: 1.5, 1435781451.781. Returns the bytes; dst has
 * room for NUMFMT_MAX. */
size_t promjson_time(char *dst, int64_t ms);

#endif
