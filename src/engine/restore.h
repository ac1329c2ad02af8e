/* Restoring a snapshot: a verified copy of it as a data directory of its own. Nothing is
 * running there; a program of its own, or a test. */
#ifndef TSINK_ENGINE_RESTORE_H
#define TSINK_ENGINE_RESTORE_H

#include "storage/linkset.h"

struct restore_options {
    bool link;                 /* segments by hard link, where the file system can */
    bool quick;                /* verify checksums, but do not decode chunks */
    const _Atomic bool *cancelled; /* may be NULL */
    void (*progress)(void *ctx, const char *phase, uint64_t done, uint64_t total); /* bytes */
    void *ctx;
};

struct restore_result {
    struct snapshot_info info;
    uint64_t n_files, n_bytes, n_linked;
};

/* Verifies the snapshot at `from`, copies it to `to`, verifies that. Both are directories
 * below vfs; `to` is made when it is missing, its parent must be there. Until all is
 * done `to` holds a mark with which no database opens it; a failure leaves mark and
 * files. ST_EXISTS: `to` is not empty; ST_CORRUPT, ST_NOT_FOUND: the snapshot. */
CHECKED status restore_run(struct restore_result *out, struct vfs *vfs, const char *from,
                           const char *to, const struct restore_options *opt, struct err *err);

#endif
