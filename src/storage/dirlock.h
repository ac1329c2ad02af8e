/* One process at a time in a data directory: an exclusive lock on .process.lock
 * that dies with the process. The file holds the pid of the holder, for the
 * message that the second one prints. Any thread. */
#ifndef TSINK_STORAGE_DIRLOCK_H
#define TSINK_STORAGE_DIRLOCK_H

#include "base/status.h"
#include "base/vfs.h"

struct dirlock;

/* ST_LOCKED names the holder's pid. Returns owned. */
CHECKED status dirlock_open(struct dirlock **out, struct vfs *vfs, struct err *err);

/* The same without writing anything, for programs that only look: as long as it is open
 * no database opens there. *out is NULL when nobody ever locked this directory. */
CHECKED status dirlock_look(struct dirlock **out, struct vfs *vfs, struct err *err);
void dirlock_close(struct dirlock *lock); /* accepts NULL */

#endif
