/* The querier over one database: resolve, pin, capture, read (architecture 6).
 *
 * fetch() may run on any worker, several at a time, and waits for the owner only to pin.
 * It holds a view until querier_done(), so evaluate and let go. Each fetch has its own
 * memory account under the querier's, limited by budget->bytes_max. The sets of one
 * fetch are read by one thread at a time. Labels in sets do not show
 * `__tsink_tenant__`.
 */
#ifndef TSINK_QUERY_QUERIER_LOCAL_H
#define TSINK_QUERY_QUERIER_LOCAL_H

#include "base/account.h"
#include "engine/db.h"
#include "query/querier.h"

/* Borrows db and account (may be NULL), which outlive it. */
struct querier *querier_local_new(struct db *db, struct account *account);
void querier_local_free(struct querier *q); /* no fetch is open */

#endif
