/* What the peer says for a refused row or series (resp.md 1.4, 2). Pure. */
#ifndef TSINK_API_TS_ERROR_H
#define TSINK_API_TS_ERROR_H

#include "api/reply.h"
#include "base/panic.h"
#include "base/status.h"

static inline const char *ts_error_text(status st)
{
    static const struct {
        status st;
        const char *text;
    } rows[] = {
        {ST_DUPLICATE,
         "TSDB: Error at upsert, update is not supported when DUPLICATE_POLICY is set to BLOCK "
         "mode, or either current or new value is NaN and DUPLICATE_POLICY is MAX/MIN/SUM"},
        {ST_TOO_OLD, "TSDB: Timestamp is older than retention"},
        {ST_NOT_FOUND, "TSDB: the key is not a TSDB key"},
        {ST_EXISTS, "TSDB: key already exists"},
        {ST_BAD_VALUE, "TSDB: invalid value"},
        {ST_INVALID, "TSDB: invalid timestamp"},
        {ST_PROTOCOL, "TSDB: invalid timestamp, must be a nonnegative integer"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].st == st) return rows[i].text;
    return status_text(st);
}

/* The error of a row, as a whole reply or an element of one. */
static inline void ts_reply_error(struct reply *reply, status st)
{
    resp_errorf(&reply->w, "%s %s", status_resp(st), ts_error_text(st));
}

#endif
