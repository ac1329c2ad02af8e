/* Damaged files are put aside under quarantine/, never deleted and never written
 * over: a person decides. A name there is "<n>-<what>", n counting up. Each has a
 * note <name>.reason.txt beside it. Any thread, under the directory's lock. */
#ifndef TSINK_STORAGE_QUARANTINE_H
#define TSINK_STORAGE_QUARANTINE_H

#include "base/status.h"
#include "base/vfs.h"
#include "storage/layout.h"

/* Renames the file or directory at path to its place in quarantine/, which is
 * returned in to (may be NULL), and makes both durable. */
CHECKED status quarantine_move(layout_path to, struct vfs *vfs, const char *path,
                               const char *reason, struct err *err);

/* The same for a file that stays in use: copies it. */
CHECKED status quarantine_copy(layout_path to, struct vfs *vfs, const char *path,
                               const char *reason, struct err *err);

/* Entries there, notes not counted. */
CHECKED status quarantine_count(size_t *out, struct vfs *vfs, struct err *err);

#endif
