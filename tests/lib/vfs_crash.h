/* A disk in memory that can lose power.
 *
 *     struct vfs_crash *disk = vfs_crash_new();
 *     vfs_crash_stop_after(disk, n);                    power fails after n changes
 *     run_the_engine(vfs_crash_vfs(disk));
 *     for each variant:
 *         struct vfs_crash *after = vfs_crash_cut(disk, variant, seed);
 *         recover(vfs_crash_vfs(after)); compare with the model;
 *         vfs_crash_free(after);
 *     vfs_crash_free(disk);
 *
 * What it knows, for every file: a durable image and, in order, the writes and
 * length changes since its last sync; for every directory: durable entries and, in
 * order, the entry changes since its last sync_dir. A sync makes one file's data and
 * length durable but not its name; sync_dir makes the names in one directory durable
 * but no content. This is less than ext4 promises and no less than POSIX does. A rename
 * is one change, atomic, that belongs to the directory of its new name: syncing that one
 * makes both halves durable, syncing only the old one may leave it pending.
 *
 * vfs_crash_cut() builds another disk, all durable, from one of these:
 *
 *   DROP_ALL      nothing unsynced arrived
 *   KEEP_ALL      everything did
 *   PREFIX        the first k pending changes in the order in which they were made
 *   PER_FILE      of each file and directory its own prefix: no order between files
 *   BLOCKS        entries as PER_FILE; of pending writes any subset of their 512-byte
 *                 sectors, one of them torn at a random byte
 *   ZEROS         entries arrived and lengths grew, but what was never synced reads as
 *                 zeros (delayed allocation)
 *   STALE         as ZEROS, but reads as old garbage
 *   RENAME_FIRST  entries arrived, no pending content or length did: the zero-length
 *                 file behind a rename without a sync
 *   NO_DIRSYNC    content arrived, no pending entry did
 *   UNLINK_FIRST  pending removals arrived, other pending entries did not; content did
 *
 * k, subsets and torn bytes come from the seed: same disk, same variant, same seed,
 * same result. Locks do not survive. A change is a call that succeeded and altered
 * something: write, truncate, allocate, sync, rename, link, remove, mkdir, sync_dir
 * and an open that made or emptied a file.
 *
 * Any thread; cut while no call is running.
 */
#ifndef TSINK_TESTS_VFS_CRASH_H
#define TSINK_TESTS_VFS_CRASH_H

#include <stdint.h>

#include "base/vfs.h"

enum vfs_crash_variant {
    VFS_CRASH_DROP_ALL, VFS_CRASH_KEEP_ALL, VFS_CRASH_PREFIX, VFS_CRASH_PER_FILE,
    VFS_CRASH_BLOCKS, VFS_CRASH_ZEROS, VFS_CRASH_STALE, VFS_CRASH_RENAME_FIRST,
    VFS_CRASH_NO_DIRSYNC, VFS_CRASH_UNLINK_FIRST, VFS_CRASH_VARIANTS,
};

const char *vfs_crash_variant_name(enum vfs_crash_variant variant); /* "drop-all" */

struct vfs_crash;

struct vfs_crash *vfs_crash_new(void);
void vfs_crash_free(struct vfs_crash *disk); /* after all files are closed */
struct vfs *vfs_crash_vfs(struct vfs_crash *disk);

/* Changes so far. */
uint64_t vfs_crash_n_changes(struct vfs_crash *disk);

/* The power goes after the n-th change from the beginning: every later call, reads
 * too, fails with ST_IO and alters nothing. UINT64_MAX: never. */
void vfs_crash_stop_after(struct vfs_crash *disk, uint64_t n);
bool vfs_crash_stopped(struct vfs_crash *disk);

/* From the n-th change on it lies about syncs: they succeed, and nothing is durable by
 * them. UINT64_MAX: never. */
void vfs_crash_lie_after(struct vfs_crash *disk, uint64_t n);

/* The disk after power loss at this moment; this one stays as it is. */
struct vfs_crash *vfs_crash_cut(struct vfs_crash *disk, enum vfs_crash_variant variant,
                                uint64_t seed);

/* How many changes a cut could lose now. */
uint64_t vfs_crash_n_pending(struct vfs_crash *disk);

/* Damages one non-empty file that matches glob (NULL: any), chosen by the seed, in one
 * of the ways disks do: 1 to 8 bits flipped, a sector zeroed, two sectors swapped, the
 * end cut off, the file gone. Returns what was done ("bits", "sector", "swap", "cut",
 * "lost"), with the path in path[VFS_PATH_MAX] (may be NULL); NULL when no file
 * matches. */
const char *vfs_crash_rot(struct vfs_crash *disk, const char *glob, uint64_t seed, char *path);

#endif
