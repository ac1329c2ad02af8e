/* From a directory to an open database. See recover.c. */
#ifndef TSINK_ENGINE_RECOVER_H
#define TSINK_ENGINE_RECOVER_H

#include "base/status.h"

struct db;

/* db has options, ports, accounts and an empty cell. On failure the caller closes what
 * was opened. The thread that opens. */
CHECKED status recover(struct db *db, struct err *err);

#endif
