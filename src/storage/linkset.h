/* Link set: the list of all files of a snapshot, with length and CRC32C, under its own
 * checksum (docs/formats/snapshot.md); and the ways a file gets into another directory.
 *
 *     linkset_place     a file into another directory, by hard link or by copy
 *     linkset_scan      the list of what a directory holds: reads every byte
 *     snapshot_write    snapshot.json: what the snapshot is, and the list
 *     snapshot_read
 *     linkset_compare   whether a directory holds exactly the files of a list
 *
 * A hard link shares the bytes, so only files that are never written again may be
 * linked; the rest is copied. Nothing here publishes: who builds a directory renames it
 * last. One owner at a time; nothing is shared between lists.
 */
#ifndef TSINK_STORAGE_LINKSET_H
#define TSINK_STORAGE_LINKSET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/vfs.h"
#include "storage/database_file.h"
#include "storage/layout.h"
#include "storage/wal_record.h"

enum {
    SNAPSHOT_FORMAT = 1,
    SNAPSHOT_NAME_MAX = 64,       /* bytes of a name */
    LINKSET_FILES_MAX = 1 << 20,
    LINKSET_DEPTH_MAX = 8,        /* directories below a snapshot; ours are 3 deep */
};

struct linkset_file {
    const char *path;             /* below the directory; in the arena */
    uint64_t len;
    uint32_t crc;
};

struct linkset {
    struct arena arena;
    struct linkset_file *files;   /* in byte order of their paths */
    size_t n, cap;
    uint64_t n_bytes;             /* of all files */
};

/* What a long walk over files looks at and tells. All may be NULL. */
struct linkset_watch {
    const _Atomic bool *cancelled;
    void (*progress)(void *ctx, uint64_t bytes_more); /* bytes read or linked */
    void *ctx;
};

void linkset_init(struct linkset *set);
void linkset_release(struct linkset *set);

/* The file at path, or NULL. */
const struct linkset_file *linkset_find(const struct linkset *set, const char *path);

/* Adds every file of the vfs but snapshot.json, the lock, quarantine/ and the mark of a
 * restore, reading each
 * for its CRC; set is empty before. ST_CANCELLED, ST_LIMIT. */
CHECKED status linkset_scan(struct linkset *set, struct vfs *vfs,
                            const struct linkset_watch *watch, struct err *err);

/* Whether the vfs holds the files of the list, byte for byte, and no others. ST_CORRUPT
 * names the first that differs. */
CHECKED status linkset_compare(const struct linkset *set, struct vfs *vfs,
                               const struct linkset_watch *watch, struct err *err);

/* Puts the file at `from` to `to`, which must not exist, both below vfs, making the
 * directories of `to`. link: by hard link where the file system can, else by a synced
 * copy; *copied tells (may be NULL). The names become durable with linkset_sync_dirs(). */
CHECKED status linkset_place(struct vfs *vfs, const char *from, const char *to, bool link,
                             bool *copied, const struct linkset_watch *watch, struct err *err);

/* Syncs dir and every directory below it. */
CHECKED status linkset_sync_dirs(struct vfs *vfs, const char *dir, struct err *err);

/* ---- snapshot.json ---- */

struct snapshot_info {
    char name[SNAPSHOT_NAME_MAX + 1];
    int64_t created_ms;           /* wall clock, Unix */
    struct database_file db;
    lsn cut;                      /* the last frame of the log that it holds */
    bool has_head;                /* with what was not in segments yet */
    uint64_t n_segments, n_series, n_points; /* points: of the segments */
};

/* Whether text may be the name of a snapshot: 1 to SNAPSHOT_NAME_MAX of A-Z a-z 0-9 . _ -
 * and no dot first. */
bool snapshot_name_ok(struct slice text);

CHECKED status snapshot_write(struct vfs *vfs, const struct snapshot_info *info,
                              const struct linkset *set, struct err *err);

/* set may be NULL: only the info. ST_NOT_FOUND, ST_CORRUPT, ST_UNSUPPORTED. */
CHECKED status snapshot_read(struct snapshot_info *info, struct linkset *set, struct vfs *vfs,
                             struct err *err);

#endif
