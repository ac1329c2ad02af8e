/* Restoring. See restore.h.
 *
 *   verify   the snapshot: its list of files, then what they say (verify_dir)
 *   mark     restore.incomplete in the target, durable before the first file
 *   copy     every file of the list, synced; then the directories
 *   verify   the target against the list
 *   unmark   from here a database may be opened there
 *
 * Only segments may be hard links: they are never written again, and the rest is. The
 * snapshot's own manifest stays behind: the target is a database, no snapshot.
 */
#include "engine/restore.h"

#include <string.h>

#include "base/durable.h"
#include "base/vfs_sub.h"
#include "engine/verify.h"

struct restore {
    struct vfs *vfs, *from_vfs, *to_vfs;
    const char *from, *to;
    const struct restore_options *opt;
    struct restore_result *out;
    struct linkset set;
    const char *phase;
    uint64_t done, total;
    struct err *err;
};

static void count_bytes(void *ctx, uint64_t bytes)
{
    struct restore *r = ctx;
    r->done += bytes;
    if (r->opt->progress) r->opt->progress(r->opt->ctx, r->phase, r->done, r->total);
}

static void begin_phase(struct restore *r, const char *phase)
{
    r->phase = phase;
    r->done = 0;
    r->total = r->set.n_bytes;
    count_bytes(r, 0);
}

static status compare(struct restore *r, struct vfs *vfs, const char *phase)
{
    struct linkset_watch watch = {
        .cancelled = r->opt->cancelled, .progress = count_bytes, .ctx = r};
    begin_phase(r, phase);
    return linkset_compare(&r->set, vfs, &watch, r->err);
}

static status verify_source(struct restore *r)
{
    struct verify_options opt = {.quick = r->opt->quick, .cancelled = r->opt->cancelled};
    struct verify_report report;
    TRY(snapshot_read(&r->out->info, &r->set, r->from_vfs, r->err));
    TRY(compare(r, r->from_vfs, "verify the snapshot"));
    status st = verify_dir(&report, r->from_vfs, &opt, r->err);
    if (st == ST_NOT_FOUND) return err_set(r->err, ST_CORRUPT, "it holds no database");
    if (st == ST_OK && memcmp(&report.db.id, &r->out->info.db.id, sizeof(report.db.id)) != 0)
        return err_set(r->err, ST_CORRUPT, "its list belongs to another database");
    return st;
}

static status refuse_entry(void *ctx, const struct vfs_entry *entry)
{
    struct restore *r = ctx;
    if (entry->is_dir && slice_is(entry->name, "lost+found")) return ST_OK; /* a mount point */
    if (slice_is(entry->name, LAYOUT_RESTORING))
        return err_set(r->err, ST_EXISTS, "the target holds a restore that was cut short; "
                       "remove what is in it first");
    return err_set(r->err, ST_EXISTS, "the target is not empty: there is " SLICE_FMT,
                   SLICE_ARG(entry->name));
}

static status make_target(struct restore *r)
{
    struct err why = {.st = ST_OK};
    char parent[VFS_PATH_MAX];
    status st = vfs_list(r->vfs, r->to, refuse_entry, r, r->err);
    if (st == ST_NOT_FOUND) {
        st = vfs_mkdir(r->vfs, r->to, &why);
        vfs_parent(parent, r->to);
        if (st == ST_OK) st = vfs_sync_dir(r->vfs, parent, &why);
        if (st != ST_OK) return err_set(r->err, st, "%s", err_text(&why, st));
    }
    if (st != ST_OK) return st;
    static const char text[] = "A restore into this directory has not been finished.\n";
    return durable_replace(r->to_vfs, LAYOUT_RESTORING, text, sizeof(text) - 1, r->err);
}

static bool may_link(const char *path)
{
    for (unsigned lane = 0; lane < N_LANES; lane++) {
        const char *name = layout_lane_name((enum value_lane)lane);
        size_t len = strlen(name);
        if (strncmp(path, name, len) == 0 && path[len] == '/') return true;
    }
    return false;
}

static status copy_files(struct restore *r)
{
    struct linkset_watch watch = {
        .cancelled = r->opt->cancelled, .progress = count_bytes, .ctx = r};
    begin_phase(r, "copy");
    for (size_t i = 0; i < r->set.n; i++) {
        const struct linkset_file *file = &r->set.files[i];
        layout_path from, to;
        bool copied;
        TRY(layout_join(from, r->from, slice_str(file->path), r->err));
        TRY(layout_join(to, r->to, slice_str(file->path), r->err));
        TRY(linkset_place(r->vfs, from, to, r->opt->link && may_link(file->path), &copied,
                          &watch, r->err));
        r->out->n_files++;
        r->out->n_bytes += file->len;
        r->out->n_linked += !copied;
    }
    return linkset_sync_dirs(r->vfs, r->to, r->err);
}

static status run(struct restore *r)
{
    status st = verify_source(r);
    if (st != ST_OK) return err_wrap(r->err, st, "the snapshot cannot be used");
    TRY(make_target(r));
    TRY(copy_files(r));
    st = compare(r, r->to_vfs, "verify the copy");
    if (st != ST_OK) return err_wrap(r->err, st, "the copy differs");
    TRY(vfs_remove(r->to_vfs, LAYOUT_RESTORING, r->err));
    return vfs_sync_dir(r->vfs, r->to, r->err);
}

status restore_run(struct restore_result *out, struct vfs *vfs, const char *from, const char *to,
                   const struct restore_options *opt, struct err *err)
{
    struct restore r = {
        .vfs = vfs, .from = from, .to = to, .opt = opt, .out = out, .err = err};
    *out = (struct restore_result){0};
    status st = vfs_sub_open(&r.from_vfs, vfs, from, err);
    if (st == ST_OK) st = vfs_sub_open(&r.to_vfs, vfs, to, err);
    if (st == ST_OK) st = run(&r);
    linkset_release(&r.set);
    vfs_free(r.from_vfs);
    vfs_free(r.to_vfs);
    return st;
}
