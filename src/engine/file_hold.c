/* See file_hold.h. The mutex is held while a directory is removed, so that a holder that
 * comes at that moment finds it whole or gone, never half. */
#include "engine/file_hold.h"

#include <string.h>

#include "base/log.h"
#include "base/panic.h"
#include "storage/segment.h"

void file_hold_init(struct file_hold *hold, struct vfs *vfs)
{
    *hold = (struct file_hold){.vfs = vfs};
    mutex_init(&hold->mutex, LOCK_FILE_HOLD);
}

void file_hold_release(struct file_hold *hold)
{
    mutex_release(&hold->mutex);
    vec_release(&hold->waiting);
}

void file_hold_take(struct file_hold *hold)
{
    mutex_lock(&hold->mutex);
    hold->n_holds++;
    mutex_unlock(&hold->mutex);
}

void file_hold_drop(struct file_hold *hold)
{
    mutex_lock(&hold->mutex);
    ASSERT(hold->n_holds > 0);
    if (--hold->n_holds == 0) {
        for (size_t i = 0; i < hold->waiting.len; i++) {
            struct err err = {.st = ST_OK};
            status st = segment_remove(hold->vfs, hold->waiting.ptr[i].path, &err);
            if (st != ST_OK)
                log_warn("engine", "a segment stays until the next start", "path=%s reason=\"%s\"",
                         hold->waiting.ptr[i].path, err_text(&err, st));
        }
        vec_release(&hold->waiting);
    }
    mutex_unlock(&hold->mutex);
}

status file_hold_remove(struct file_hold *hold, const char *dir, struct err *err)
{
    struct file_hold_dir at;
    size_t len = strlen(dir);
    status st;

    if (len >= sizeof(at.path)) return err_set(err, ST_INVALID, "path is too long");
    memcpy(at.path, dir, len + 1);
    mutex_lock(&hold->mutex);
    if (hold->n_holds == 0)
        st = segment_remove(hold->vfs, dir, err);
    else
        st = vec_push(&hold->waiting, at)
                 ? ST_OK
                 : err_set(err, ST_NO_MEMORY, "%s stays until the next start", dir);
    mutex_unlock(&hold->mutex);
    return st;
}
