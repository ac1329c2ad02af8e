/* Publish: the one way a file or directory gets its final name. Write in staging,
 * sync the file, rename, sync the directory; nothing else renames. A crash leaves
 * the old file or the new one, and at worst a staging name for the next start to
 * sweep. Any thread. */
#ifndef TSINK_BASE_DURABLE_H
#define TSINK_BASE_DURABLE_H

#include "base/vfs.h"

/* Replaces the file at path by src[0..len), atomically and durably. The staging
 * name is path + ".tmp". */
CHECKED status durable_replace(struct vfs *vfs, const char *path, const void *src, size_t len,
                               struct err *err);

/* Gives the synced file `staging` its final name, in place of what had it: renames,
 * syncs the directory. For files too long to be held in memory. */
CHECKED status durable_rename_file(struct vfs *vfs, const char *staging, const char *path,
                                   struct err *err);

/* Gives the synced directory `staging` its final name: syncs it, renames, syncs
 * both parents. Its files must have been synced. */
CHECKED status durable_rename_dir(struct vfs *vfs, const char *staging, const char *path,
                                  struct err *err);

#endif
