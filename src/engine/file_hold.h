/* Files that are named no more, and somebody who still needs them: while the hold is
 * taken, segment directories that should go wait, and go when the last holder drops it.
 * A snapshot takes it before it looks at the manifest and drops it when all files have
 * their links, so nothing it wants disappears and nobody waits.
 *
 * What still waits when the process ends is in no catalog: the next start sweeps it.
 * Workers; the calls wait for each other, one removal at most.
 */
#ifndef TSINK_ENGINE_FILE_HOLD_H
#define TSINK_ENGINE_FILE_HOLD_H

#include "base/lock.h"
#include "base/vec.h"
#include "base/vfs.h"
#include "storage/layout.h"

struct file_hold_dir {
    layout_path path;
};

struct file_hold {
    struct mutex mutex;                /* against holders and removals at once */
    struct vfs *vfs;
    uint32_t n_holds;
    VEC(struct file_hold_dir) waiting; /* segment directories */
};

void file_hold_init(struct file_hold *hold, struct vfs *vfs);
void file_hold_release(struct file_hold *hold);

void file_hold_take(struct file_hold *hold);
void file_hold_drop(struct file_hold *hold); /* removes what waited; failures are logged */

/* segment_remove(), now or when the hold is dropped. dir is in no catalog any more. */
CHECKED status file_hold_remove(struct file_hold *hold, const char *dir, struct err *err);

#endif
