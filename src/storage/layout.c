/* Spelling of paths. See layout.h for the tree. Ids are 16 lower-case hex digits, so
 * that the order of names is the order of ids. */
#include "storage/layout.h"

#include <stdio.h>

#include "base/panic.h"

static const char *const lane_names[N_LANES] = {
    [LANE_NUMERIC] = "lane_numeric",
    [LANE_BLOB] = "lane_blob",
};

static const char *const tier_names[N_TIERS] = {
    [TIER_HOT] = "hot",
    [TIER_WARM] = "warm",
    [TIER_COLD] = "cold",
};

enum { HEX_ID_LEN = 16 };

const char *layout_lane_name(enum value_lane lane)
{
    ASSERT((unsigned)lane < N_LANES);
    return lane_names[lane];
}

const char *layout_tier_name(enum layout_tier tier)
{
    ASSERT((unsigned)tier < N_TIERS);
    return tier_names[tier];
}

bool layout_lane_parse(enum value_lane *out, struct slice text)
{
    for (unsigned i = 0; i < N_LANES; i++) {
        if (!slice_is(text, lane_names[i])) continue;
        *out = (enum value_lane)i;
        return true;
    }
    return false;
}

bool layout_tier_parse(enum layout_tier *out, struct slice text)
{
    for (unsigned i = 0; i < N_TIERS; i++) {
        if (!slice_is(text, tier_names[i])) continue;
        *out = (enum layout_tier)i;
        return true;
    }
    return false;
}

/* ---- paths ---- */

static void print_path(layout_path out, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void print_path(layout_path out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(out, VFS_PATH_MAX, fmt, args);
    va_end(args);
    ASSERT(n > 0 && n < VFS_PATH_MAX);
}

void layout_wal(layout_path out, uint64_t id)
{
    print_path(out, LAYOUT_WAL_DIR "/wal-%016llx.log", (unsigned long long)id);
}

void layout_wal_spare(layout_path out, uint64_t id)
{
    print_path(out, LAYOUT_WAL_DIR "/wal-%016llx.log.tmp", (unsigned long long)id);
}

void layout_level_dir(layout_path out, enum value_lane lane, unsigned level)
{
    ASSERT(level < SEGMENT_LEVELS);
    print_path(out, "%s/l%u", layout_lane_name(lane), level);
}

void layout_segment(layout_path out, enum value_lane lane, unsigned level, uint64_t id)
{
    ASSERT(level < SEGMENT_LEVELS);
    print_path(out, "%s/l%u/seg-%016llx", layout_lane_name(lane), level,
               (unsigned long long)id);
}

void layout_segment_staging(layout_path out, enum value_lane lane, unsigned level, uint64_t id)
{
    ASSERT(level < SEGMENT_LEVELS);
    print_path(out, LAYOUT_STAGING_DIR "/%s-l%u-%016llx", layout_lane_name(lane), level,
               (unsigned long long)id);
}

void layout_registry_delta(layout_path out, uint64_t id)
{
    print_path(out, LAYOUT_REGISTRY_DELTA_DIR "/delta-%016llx.bin", (unsigned long long)id);
}

void layout_tombstones(layout_path out, uint64_t id)
{
    print_path(out, LAYOUT_TOMBSTONE_DIR "/deletes-%016llx.log", (unsigned long long)id);
}

void layout_snapshot(layout_path out, const char *name)
{
    print_path(out, LAYOUT_SNAPSHOT_DIR "/%s", name);
}

void layout_snapshot_staging(layout_path out, const char *name)
{
    print_path(out, LAYOUT_STAGING_DIR "/snapshot-%s", name);
}

void layout_tier_level_dir(layout_path out, enum layout_tier tier, enum value_lane lane,
                           unsigned level)
{
    ASSERT(level < SEGMENT_LEVELS);
    print_path(out, "%s/%s/segments/L%u", layout_tier_name(tier), layout_lane_name(lane),
               level);
}

void layout_tier_segment(layout_path out, enum layout_tier tier, enum value_lane lane,
                         unsigned level, uint64_t id)
{
    ASSERT(level < SEGMENT_LEVELS);
    print_path(out, "%s/%s/segments/L%u/seg-%016llx", layout_tier_name(tier),
               layout_lane_name(lane), level, (unsigned long long)id);
}

status layout_join(layout_path out, const char *dir, struct slice name, struct err *err)
{
    layout_path path;
    size_t dir_len = strlen(dir);

    if (dir_len + 1 + name.len >= sizeof(path)) {
        return err_set(err, ST_INVALID, "path below %s is too long", dir);
    }
    memcpy(path, dir, dir_len);
    path[dir_len] = '/';
    memcpy(path + dir_len + 1, name.ptr, name.len);
    path[dir_len + 1 + name.len] = '\0';
    if (memchr(name.ptr, '\0', name.len)) {
        return err_set(err, ST_INVALID, "NUL in a name below %s", dir);
    }
    TRY(vfs_path_check(path, err));
    memcpy(out, path, dir_len + 1 + name.len + 1);
    return ST_OK;
}

/* ---- ids from names ---- */

static bool parse_id(uint64_t *out, struct slice name, const char *before, const char *after)
{
    size_t n_before = strlen(before), n_after = strlen(after);
    uint64_t id = 0;

    if (name.len != n_before + HEX_ID_LEN + n_after) return false;
    if (memcmp(name.ptr, before, n_before) != 0) return false;
    if (memcmp(name.ptr + n_before + HEX_ID_LEN, after, n_after) != 0) return false;
    for (size_t i = 0; i < HEX_ID_LEN; i++) {
        char c = name.ptr[n_before + i];
        unsigned digit;
        if (c >= '0' && c <= '9') digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f') digit = (unsigned)(c - 'a') + 10;
        else return false;
        id = id << 4 | digit;
    }
    *out = id;
    return true;
}

bool layout_wal_id(uint64_t *out, struct slice name)
{
    return parse_id(out, name, "wal-", ".log");
}

bool layout_segment_id(uint64_t *out, struct slice name)
{
    return parse_id(out, name, "seg-", "");
}

bool layout_tombstones_id(uint64_t *out, struct slice name)
{
    return parse_id(out, name, "deletes-", ".log");
}

bool layout_registry_delta_id(uint64_t *out, struct slice name)
{
    return parse_id(out, name, "delta-", ".bin");
}

/* ---- directories ---- */

status layout_make_dirs(struct vfs *vfs, struct err *err)
{
    static const char *const dirs[] = {LAYOUT_WAL_DIR, LAYOUT_STAGING_DIR, LAYOUT_TOMBSTONE_DIR,
                                       LAYOUT_REGISTRY_DELTA_DIR};
    layout_path path;

    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) TRY(vfs_mkdir_all(vfs, dirs[i], err));
    for (unsigned lane = 0; lane < N_LANES; lane++) {
        for (unsigned level = 0; level < SEGMENT_LEVELS; level++) {
            layout_level_dir(path, (enum value_lane)lane, level);
            TRY(vfs_mkdir_all(vfs, path, err));
        }
    }
    return ST_OK;
}

struct sweep {
    struct vfs *vfs;
    const char *dir;
    bool everything; /* or only *.tmp */
    struct err *err;
};

static status sweep_entry(void *ctx, const struct vfs_entry *entry)
{
    const struct sweep *sweep = ctx;
    struct slice tail = SLICE_LIT(".tmp");
    layout_path path;

    bool is_tmp = entry->name.len > tail.len &&
                  slice_eq(slice_skip(entry->name, entry->name.len - tail.len), tail);
    if (!sweep->everything && (!is_tmp || entry->is_dir)) return ST_OK;
    TRY(layout_join(path, sweep->dir, entry->name, sweep->err));
    if (entry->is_dir) return vfs_remove_tree(sweep->vfs, path, sweep->err);
    return vfs_remove(sweep->vfs, path, sweep->err);
}

static status sweep_dir(struct vfs *vfs, const char *dir, bool everything, struct err *err)
{
    struct sweep sweep = {.vfs = vfs, .dir = dir, .everything = everything, .err = err};

    status st = vfs_list(vfs, dir, sweep_entry, &sweep, err);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* The data directory itself: its .tmp files, whose names need no joining. */
static status sweep_root_entry(void *ctx, const struct vfs_entry *entry)
{
    static const char *const names[] = {LAYOUT_DATABASE ".tmp", LAYOUT_CATALOG ".tmp",
                                        LAYOUT_REGISTRY ".tmp", LAYOUT_REGISTRY_CATALOG ".tmp",
                                        LAYOUT_EXEMPLARS ".tmp", LAYOUT_METADATA ".tmp"};
    struct sweep *sweep = ctx;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_is(entry->name, names[i])) return vfs_remove(sweep->vfs, names[i], sweep->err);
    }
    return ST_OK;
}

status layout_sweep(struct vfs *vfs, struct err *err)
{
    static const char *const tmp_dirs[] = {LAYOUT_WAL_DIR, LAYOUT_TOMBSTONE_DIR,
                                           LAYOUT_REGISTRY_DELTA_DIR};
    struct sweep root = {.vfs = vfs, .err = err};

    TRY(vfs_list(vfs, ".", sweep_root_entry, &root, err));
    TRY(sweep_dir(vfs, LAYOUT_STAGING_DIR, true, err));
    for (size_t i = 0; i < ARRAY_LEN(tmp_dirs); i++) TRY(sweep_dir(vfs, tmp_dirs[i], false, err));
    return ST_OK;
}
