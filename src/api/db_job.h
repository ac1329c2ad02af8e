/* Commands that ask the engine for a job and wait for its end: SAVE, DEBUG FLUSH, WAITAOF.
 *
 *     loop   db_job_call()   owner   begin -> jobs -> done   loop   answer, or the failure
 */
#ifndef TSINK_API_DB_JOB_H
#define TSINK_API_DB_JOB_H

#include "api/call.h"

typedef void (*db_job_begin)(struct db *db, void (*done)(void *ctx, status st), void *ctx);

/* After this loop's earlier writes. answer NULL: OK. The handler returns what this does. */
CHECKED status db_job_call(struct call *call, db_job_begin begin,
                           void (*answer)(struct call *call));

#endif
