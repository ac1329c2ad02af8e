/* Looking through the snapshots that are there, and removing one. See snapshot.h. Both are
 * jobs: they read and change directories. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "base/vfs_sub.h"
#include "engine/db_priv.h"
#include "engine/snapshot.h"

enum { LIST_MAX = 65536 };

struct list_job {
    struct job job;
    struct db *db;
    VEC(struct snapshot_entry) entries;
    snapshot_listed done;
    void *ctx;
};

/* Only names are gathered here; the files are read behind the listing. */
static status see_snapshot(void *ctx, const struct vfs_entry *entry)
{
    struct list_job *list = ctx;
    struct snapshot_entry found = {.st = ST_OK};
    if (!entry->is_dir || !snapshot_name_ok(entry->name)) return ST_OK;
    memcpy(found.info.name, entry->name.ptr, entry->name.len);
    if (list->entries.len >= LIST_MAX) return ST_LIMIT;
    return vec_push(&list->entries, found) ? ST_OK : ST_NO_MEMORY;
}

static status read_entry(struct list_job *list, struct snapshot_entry *entry, struct err *err)
{
    struct snapshot_info info;
    struct linkset set;
    layout_path path;
    struct vfs *dir;
    layout_snapshot(path, entry->info.name);
    TRY(vfs_sub_open(&dir, list->db->ports.vfs, path, err));
    entry->st = snapshot_read(&info, &set, dir, err);
    vfs_free(dir);
    if (entry->st == ST_NO_MEMORY) return entry->st;
    if (entry->st != ST_OK) return ST_OK;
    entry->n_bytes = set.n_bytes;
    entry->n_files = set.n;
    linkset_release(&set);
    memcpy(info.name, entry->info.name, sizeof(info.name)); /* it may have been renamed */
    entry->info = info;
    return ST_OK;
}

static status list_run(struct job *job)
{
    struct list_job *list = container_of(job, struct list_job, job);
    status st = vfs_list(list->db->ports.vfs, LAYOUT_SNAPSHOT_DIR, see_snapshot, list, &job->err);
    if (st == ST_NOT_FOUND) return ST_OK;
    for (size_t i = 0; st == ST_OK && i < list->entries.len; i++) {
        if (job_cancelled(job)) return err_set(&job->err, ST_CANCELLED, "cancelled");
        st = read_entry(list, &list->entries.ptr[i], &job->err);
    }
    return st;
}

static void list_publish(struct job *job, status st)
{
    struct list_job *list = container_of(job, struct list_job, job);
    list->db->n_snapshot_jobs--;
    list->done(list->ctx, st, list->entries.ptr, st == ST_OK ? list->entries.len : 0, &job->err);
    vec_release(&list->entries);
    mem_free(list);
}

static const struct job_ops list_ops = {.name = "snapshot: list",
                                        .lane = JOB_MAINTENANCE,
                                        .run = list_run,
                                        .publish = list_publish};

void db_snapshot_list(struct db *db, snapshot_listed done, void *ctx)
{
    struct err err = {.st = ST_OK};
    if (db->cell.closing) {
        done(ctx, err_set(&err, ST_CLOSED, "the database is closing"), NULL, 0, &err);
        return;
    }
    struct list_job *list = mem_zalloc(sizeof(*list));
    list->db = db;
    list->done = done;
    list->ctx = ctx;
    db->n_snapshot_jobs++;
    job_init(&list->job, &list_ops);
    exec_submit(db_exec(db), &list->job);
}

/* ---- removal ---------------------------------------------------------------------- */

struct delete_job {
    struct job job;
    struct db *db;
    layout_path path, staging;
    snapshot_deleted done;
    void *ctx;
};

/* Back to a staging name first: from there the next start sweeps what a crash leaves. */
static status delete_run(struct job *job)
{
    struct delete_job *del = container_of(job, struct delete_job, job);
    struct vfs *vfs = del->db->ports.vfs;
    TRY(vfs_remove_tree(vfs, del->staging, &job->err));
    status st = vfs_rename(vfs, del->path, del->staging, &job->err);
    if (st == ST_NOT_FOUND) return err_set(&job->err, st, "there is no such snapshot");
    if (st == ST_OK) st = vfs_sync_dir(vfs, LAYOUT_STAGING_DIR, &job->err);
    if (st == ST_OK) st = vfs_sync_dir(vfs, LAYOUT_SNAPSHOT_DIR, &job->err);
    return st == ST_OK ? vfs_remove_tree(vfs, del->staging, &job->err) : st;
}

static void delete_publish(struct job *job, status st)
{
    struct delete_job *del = container_of(job, struct delete_job, job);
    del->db->n_snapshot_jobs--;
    del->done(del->ctx, st, &job->err);
    mem_free(del);
}

static const struct job_ops delete_ops = {.name = "snapshot: delete",
                                          .lane = JOB_MAINTENANCE,
                                          .run = delete_run,
                                          .publish = delete_publish};

void db_snapshot_delete(struct db *db, struct slice name, snapshot_deleted done, void *ctx)
{
    struct err err = {.st = ST_OK};
    char text[SNAPSHOT_NAME_MAX + sizeof("deleted-")];
    if (db->cell.closing) {
        done(ctx, err_set(&err, ST_CLOSED, "the database is closing"), &err);
        return;
    }
    if (!snapshot_name_ok(name)) {
        done(ctx, err_set(&err, ST_INVALID, "not the name of a snapshot"), &err);
        return;
    }
    struct delete_job *del = mem_zalloc(sizeof(*del));
    del->db = db;
    del->done = done;
    del->ctx = ctx;
    memcpy(text, "deleted-", 8);
    memcpy(text + 8, name.ptr, name.len);
    text[8 + name.len] = '\0';
    layout_snapshot_staging(del->staging, text);
    layout_snapshot(del->path, text + 8);
    db->n_snapshot_jobs++;
    job_init(&del->job, &delete_ops);
    exec_submit(db_exec(db), &del->job);
}
