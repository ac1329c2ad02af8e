/* Inside of the disk that loses power: nodes with two contents, and what separates
 * them. vfs_crash.c changes the one, vfs_crash_cut.c makes others of it. */
#ifndef TSINK_TESTS_VFS_CRASH_PRIV_H
#define TSINK_TESTS_VFS_CRASH_PRIV_H

#include "base/list.h"
#include "base/lock.h"
#include "base/slice.h"
#include "tests/lib/vfs_crash.h"

enum { CRASH_SECTOR = 512, CRASH_BYTES_MAX = 1 << 30 };

struct crash_node;

struct crash_entry {
    char *name; /* owned */
    struct crash_node *node;
};

/* What a file or directory holds at one moment. */
struct crash_content {
    uint8_t *bytes; /* of a file; owned */
    size_t len, cap;
    struct crash_entry *entries; /* of a directory, by name; owned */
    size_t n_entries, cap_entries;
};

/* Nodes live as long as their disk: pending changes and durable entries may refer to
 * what no path reaches any more. */
struct crash_node {
    struct list link; /* of disk->nodes */
    bool is_dir;
    struct crash_content now;     /* what calls see */
    struct crash_content durable; /* what is certain after power loss */
    struct crash_content cut;     /* while a cut is made: what that one finds */
    struct crash_node *copy;      /* while a cut is made: in the new disk */
    uint64_t prefix;              /* while a cut is made: changes up to this arrived */
    const void *locked_by;        /* the open file that holds the lock */
};

enum crash_change_kind {
    CHANGE_WRITE,  /* bytes at off of node; bytes NULL: zeros */
    CHANGE_LEN,    /* length of node becomes off */
    CHANGE_SET,    /* dir gains name -> node */
    CHANGE_REMOVE, /* dir loses name */
    CHANGE_RENAME, /* from_dir loses from_name, dir gains name -> node */
};

/* One step from durable to now. */
struct crash_change {
    struct list link; /* of disk->pending, oldest first */
    enum crash_change_kind kind;
    uint64_t seq;
    struct crash_node *node, *dir, *from_dir;
    char *name, *from_name; /* owned */
    uint64_t off;
    uint8_t *bytes; /* owned */
    size_t len;
};

struct vfs_crash {
    struct vfs vfs;
    struct mutex mutex; /* everything */
    struct crash_node *root;
    struct list nodes;
    struct list pending;
    uint64_t n_pending, next_seq;
    uint64_t n_changes, stop_after, lie_after;
};

/* malloc that does not come back empty: the tool's own memory must not count among
 * the allocations that a test lets fail. */
void *crash_malloc(size_t size);
char *crash_strndup(const char *src, size_t len);

struct crash_node *crash_node_new(struct vfs_crash *disk, bool is_dir);

void crash_content_set_len(struct crash_content *content, size_t len);
void crash_content_put(struct crash_content *content, uint64_t off, const uint8_t *src,
                       size_t len); /* src NULL: zeros */
void crash_content_copy(struct crash_content *to, const struct crash_content *from);
void crash_content_release(struct crash_content *content);

struct crash_node *crash_entry_get(const struct crash_content *dir, struct slice name);
void crash_entry_set(struct crash_content *dir, struct slice name, struct crash_node *node);
void crash_entry_remove(struct crash_content *dir, struct slice name);

static inline bool crash_is_data(const struct crash_change *change)
{
    return change->kind == CHANGE_WRITE || change->kind == CHANGE_LEN;
}

/* Applies a change to one of the contents of its nodes. */
struct crash_content *crash_content_now(struct crash_node *node);
struct crash_content *crash_content_durable(struct crash_node *node);
struct crash_content *crash_content_cut(struct crash_node *node);
void crash_apply(const struct crash_change *change,
                 struct crash_content *(*of)(struct crash_node *node));

#endif
