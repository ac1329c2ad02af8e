/* A directory of another vfs as a vfs of its own: what knows only the paths below a
 * data directory works on a snapshot inside it as well. Paths in errors are those of the
 * inner vfs. Threads: as the inner one.
 */
#ifndef TSINK_BASE_VFS_SUB_H
#define TSINK_BASE_VFS_SUB_H

#include "base/vfs.h"

/* dir need not exist yet. Borrows inner, which outlives it; vfs_free() frees the view
 * alone. ST_INVALID when dir is no clean relative path. Returns owned. */
CHECKED status vfs_sub_open(struct vfs **out, struct vfs *inner, const char *dir,
                            struct err *err);

#endif
