/* tsink-check restore SNAPSHOT DIR. Both are named to one vfs at the root of the file
 * system, so that a hard link can lead from one to the other; symbolic links in the way
 * are resolved here, once, because the vfs follows none. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_write.h"
#include "engine/restore.h"
#include "storage/dirlock.h"
#include "utils/tsink-check/check.h"

/* The real path of what is there, without its leading slash. */
static status real_path(char dst[VFS_PATH_MAX], const char *path, struct err *err)
{
    char *real = realpath(path, NULL);
    if (!real) return err_set(err, ST_NOT_FOUND, "there is no %s", path);
    size_t len = strlen(real);
    status st = len > 1 && len <= VFS_PATH_MAX
                    ? ST_OK
                    : err_set(err, ST_INVALID, "%s: the path is too long, or the root", path);
    if (st == ST_OK) memcpy(dst, real + 1, len);
    free(real);
    return st;
}

/* The same for a directory that need not be there: its parent must. */
static status real_target(char dst[VFS_PATH_MAX], const char *path, struct err *err)
{
    char parent[PATH_MAX], up[VFS_PATH_MAX];
    struct err why = {.st = ST_OK};
    if (real_path(dst, path, &why) == ST_OK) return ST_OK;
    if (why.st == ST_INVALID) return err_set(err, why.st, "%s", why.text);
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') len--;
    if (len == 0 || len >= sizeof(parent)) return err_set(err, ST_INVALID, "bad path");
    memcpy(parent, path, len);
    parent[len] = '\0';
    char *slash = strrchr(parent, '/');
    const char *name = slash ? slash + 1 : parent;
    if (slash) *slash = '\0';
    const char *above = !slash ? "." : slash == parent ? "/" : parent;
    status st = strcmp(above, "/") == 0 ? ST_OK : real_path(up, above, err);
    if (st != ST_OK) return st;
    bool at_root = strcmp(above, "/") == 0;
    int n = snprintf(dst, VFS_PATH_MAX, "%s%s%s", at_root ? "" : up, at_root ? "" : "/", name);
    if (n <= 0 || n >= VFS_PATH_MAX) return err_set(err, ST_INVALID, "the path is too long");
    return vfs_path_check(dst, err);
}

static void print_result(const struct check_options *opt, const struct restore_result *res)
{
    if (!opt->json) {
        printf("restored snapshot %s into %s: %llu files, %llu bytes%s\n", res->info.name,
               opt->target, (unsigned long long)res->n_files, (unsigned long long)res->n_bytes,
               res->n_linked ? ", segments linked" : "");
        return;
    }
    struct strbuf text;
    struct json_writer w;
    strbuf_init(&text, 0);
    json_writer_init(&w, &text);
    json_open_object(&w);
    json_field_text(&w, "type", SLICE_LIT("restored"));
    json_field_text(&w, "snapshot", slice_str(res->info.name));
    json_field_text(&w, "target", slice_str(opt->target));
    json_field_u64(&w, "files", res->n_files);
    json_field_u64(&w, "bytes", res->n_bytes);
    json_field_u64(&w, "linked", res->n_linked);
    json_close_object(&w);
    printf("%s\n", strbuf_cstr(&text));
    strbuf_release(&text);
}

int check_restore(const struct check_options *opt)
{
    char from[VFS_PATH_MAX], to[VFS_PATH_MAX];
    struct restore_result result;
    struct restore_options how = {.link = opt->link,
                                  .quick = opt->quick,
                                  .progress = check_progress,
                                  .ctx = (void *)(uintptr_t)opt}; /* only read */
    struct err err = {.st = ST_OK};
    struct vfs *vfs;
    status st = real_path(from, opt->dir, &err);
    if (st == ST_OK) st = real_target(to, opt->target, &err);
    if (st == ST_OK) st = vfs_posix_open(&vfs, "/", &err);
    if (st != ST_OK) return check_fail(opt, opt->dir, st, &err);
    st = restore_run(&result, vfs, from, to, &how, &err);
    vfs_free(vfs);
    if (st != ST_OK) return check_fail(opt, opt->target, st, &err);
    check_progress_end(opt);
    print_result(opt, &result);
    return CHECK_OK;
}
