/* Repair of a directory that nobody has open: what is damaged is put aside under
 * quarantine/, never deleted, and the rest made consistent, so that verify_dir() finds
 * nothing and a database opens without salvage.
 *
 *   catalog    without the damaged segments, or rebuilt from the segments' manifests
 *   segment    to quarantine
 *   registry   to quarantine; written anew from the segments and the log
 *   log        files to quarantine; what salvage could read becomes a new log, without
 *              samples of series that nothing defines
 *   deletes    to quarantine; the records that could be read become a new file
 *   database   not possible: the id and the precision are nowhere else
 */
#ifndef TSINK_ENGINE_REPAIR_H
#define TSINK_ENGINE_REPAIR_H

#include "engine/verify.h"

/* Tells what was done, a sentence each. May be NULL. */
typedef void (*repair_said)(void *ctx, const char *text);

/* The caller holds the directory's lock. ST_CORRUPT: something is left that cannot be
 * repaired. Interrupted, it may be run again. */
CHECKED status repair_dir(struct vfs *vfs, repair_said said, void *ctx, struct err *err);

#endif
