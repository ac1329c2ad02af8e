/* A vfs whose calls fail by rule. Wraps any other (vfs_mem, vfs_posix, vfs_crash),
 * which it borrows.
 *
 *     struct vfs *disk = vfs_mem_new();
 *     struct vfs_fault *fault = vfs_fault_new(disk, seed);
 *     vfs_fault_add(fault, &(struct vfs_fault_rule){
 *         .ops = VFS_OP(SYNC), .glob = "wal/?*", .nth = 3, .st = ST_IO});
 *     db_open(..., vfs_fault_vfs(fault));
 *
 * The third sync of a file below wal/ fails, once. To walk through every call of an
 * operation: count them first with vfs_fault_n_calls(), then fail the first, the
 * second... each in a fresh run.
 *
 * A rule looks at calls of its operations on paths that match its glob (of rename
 * and link: either path), and counts them for itself. The first rule that fires
 * decides. A failed call does nothing to the disk, except a write with short_max
 * (a part is written first) and a sync with drop_dirty.
 *
 * After a failed sync a file is poisoned, as vfs.h promises for every vfs.
 * Any thread.
 */
#ifndef TSINK_TESTS_VFS_FAULT_H
#define TSINK_TESTS_VFS_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vfs.h"

enum vfs_op {
    VFS_OP_OPEN, VFS_OP_READ, VFS_OP_WRITE, VFS_OP_SYNC, VFS_OP_TRUNCATE, VFS_OP_ALLOCATE,
    VFS_OP_LEN, VFS_OP_MAP, VFS_OP_LOCK, VFS_OP_RENAME, VFS_OP_LINK, VFS_OP_REMOVE,
    VFS_OP_MKDIR, VFS_OP_SYNC_DIR, VFS_OP_LIST, VFS_OP_SPACE, VFS_OPS,
};

/* For masks: VFS_OP(WRITE) | VFS_OP(SYNC). */
#define VFS_OP(name) (1u << VFS_OP_##name)
enum {
    VFS_OP_ALL = (1 << VFS_OPS) - 1,
    /* What can change the disk. Opening for writing counts as a change. */
    VFS_OP_CHANGES = 1 << VFS_OP_WRITE | 1 << VFS_OP_SYNC | 1 << VFS_OP_TRUNCATE |
                     1 << VFS_OP_ALLOCATE | 1 << VFS_OP_RENAME | 1 << VFS_OP_LINK |
                     1 << VFS_OP_REMOVE | 1 << VFS_OP_MKDIR | 1 << VFS_OP_SYNC_DIR,
};

struct vfs_fault_rule {
    unsigned ops;        /* mask of VFS_OP() */
    const char *glob;    /* fnmatch pattern, '*' also matches '/'; NULL: every path */
    uint64_t nth;        /* fires from the nth matching call on (1..); 0: see p */
    uint64_t times;      /* at most so many firings; 0: once when nth is set, else any */
    bool forever;        /* with nth: fires on every call from the nth on */
    double p;            /* with nth 0: fires with this probability, from the seed */
    status st;           /* what the call returns; ST_OK makes the rule only count */
    size_t short_max;    /* a failing write first writes min(short_max, len - 1) bytes */
    bool drop_dirty;     /* a failing sync takes back what was written through this file
                          * since its last sync, as Linux does when it drops pages; add
                          * the rule before those writes */
};

struct vfs_fault;

struct vfs_fault *vfs_fault_new(struct vfs *inner, uint64_t seed);
void vfs_fault_free(struct vfs_fault *fault); /* after all files are closed; not inner */
struct vfs *vfs_fault_vfs(struct vfs_fault *fault);

/* Copies the rule (glob must stay valid) and returns its number. At most 32 rules. */
unsigned vfs_fault_add(struct vfs_fault *fault, const struct vfs_fault_rule *rule);
/* What space() says is free at most; UINT64_MAX: what the inner one says. */
void vfs_fault_set_free(struct vfs_fault *fault, uint64_t bytes);
void vfs_fault_clear(struct vfs_fault *fault); /* all rules */

/* Calls of the operations in the mask since the beginning or the last reset,
 * failing ones too. */
uint64_t vfs_fault_n_calls(struct vfs_fault *fault, unsigned ops);
void vfs_fault_reset_calls(struct vfs_fault *fault);

/* How often rules fired: one rule, all. */
uint64_t vfs_fault_n_fired(struct vfs_fault *fault, unsigned rule);
uint64_t vfs_fault_n_fired_all(struct vfs_fault *fault);

/* Called before each call, after counting, e.g. to make the disk slow by moving a
 * clock or to stop at a place; NULL for none. No lock is held. */
void vfs_fault_set_watch(struct vfs_fault *fault,
                         void (*watch)(void *ctx, enum vfs_op op, const char *path), void *ctx);

#endif
