/* database.json. See database_file.h and docs/formats/database.md. */
#include "storage/database_file.h"

#include "base/durable.h"
#include "base/json_write.h"
#include "base/panic.h"
#include "storage/json_file.h"
#include "storage/layout.h"

enum { DATABASE_FILE_MAX = 64 << 10 };

static status parse_members(struct database_file *out, const struct json *obj, struct err *err)
{
    struct database_file file;
    struct slice precision;
    uint64_t format;

    TRY(json_file_u64(&format, obj, "format", err));
    if (format > DATABASE_FORMAT) {
        return err_set(err, ST_UNSUPPORTED, "format %llu, this program knows up to %d",
                       (unsigned long long)format, DATABASE_FORMAT);
    }
    if (format == 0) return err_set(err, ST_CORRUPT, "format 0");
    file.format = (uint32_t)format;
    TRY(json_file_bytes(file.id.bytes, sizeof(file.id.bytes), obj, "id", err));
    TRY(json_file_text(&precision, obj, "precision", err));
    if (!precision_parse(&file.precision, precision)) {
        return err_set(err, ST_CORRUPT, "unknown precision");
    }
    *out = file;
    return ST_OK;
}

status database_file_read(struct database_file *out, struct vfs *vfs, struct err *err)
{
    struct json *root;

    TRY(json_file_read(&root, vfs, LAYOUT_DATABASE, DATABASE_FILE_MAX, err));
    status st = parse_members(out, root, err);
    json_doc_free(root);
    return st == ST_OK ? ST_OK : err_wrap(err, st, LAYOUT_DATABASE);
}

status database_file_write(struct vfs *vfs, const struct database_file *file, struct err *err)
{
    struct strbuf text;
    struct json_writer w;

    strbuf_init(&text, DATABASE_FILE_MAX);
    json_file_begin(&w, &text);
    json_field_u64(&w, "format", file->format);
    json_file_put_bytes(&w, "id", file->id.bytes, sizeof(file->id.bytes));
    json_field_text(&w, "precision", slice_str(precision_name(file->precision)));
    status st = json_file_end(&w, err);
    if (st == ST_OK) st = durable_replace(vfs, LAYOUT_DATABASE, text.ptr, text.len, err);
    strbuf_release(&text);
    return st;
}

/* ---- first opening ---- */

struct look {
    bool found;
};

static status look_wal(void *ctx, const struct vfs_entry *entry)
{
    struct look *look = ctx;
    uint64_t id;
    if (layout_wal_id(&id, entry->name)) look->found = true;
    return ST_OK;
}

static status look_segment(void *ctx, const struct vfs_entry *entry)
{
    struct look *look = ctx;
    uint64_t id;
    if (entry->is_dir && layout_segment_id(&id, entry->name)) look->found = true;
    return ST_OK;
}

static status list_if_there(struct vfs *vfs, const char *dir,
                            status (*each)(void *ctx, const struct vfs_entry *entry),
                            struct look *look, struct err *err)
{
    status st = vfs_list(vfs, dir, each, look, err);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* Data without database.json: its id is lost, and a new one would refuse all files. */
static status refuse_orphans(struct vfs *vfs, struct err *err)
{
    struct look look = {0};
    layout_path dir;

    TRY(list_if_there(vfs, LAYOUT_WAL_DIR, look_wal, &look, err));
    for (unsigned lane = 0; lane < N_LANES; lane++) {
        for (unsigned level = 0; level < SEGMENT_LEVELS; level++) {
            layout_level_dir(dir, (enum value_lane)lane, level);
            TRY(list_if_there(vfs, dir, look_segment, &look, err));
        }
    }
    if (!look.found) return ST_OK;
    return err_set(err, ST_CORRUPT, "there is data, but no " LAYOUT_DATABASE);
}

status database_file_open(struct database_file *out, struct vfs *vfs, enum precision precision,
                          struct rng *rng, struct err *err)
{
    struct database_file file = {.format = DATABASE_FORMAT, .precision = precision};

    if (vfs_exists(vfs, LAYOUT_RESTORING)) {
        return err_set(err, ST_CORRUPT, LAYOUT_RESTORING
                       " is there: a restore into this directory was not finished");
    }
    status st = database_file_read(&file, vfs, err);
    if (st == ST_OK) {
        if (file.precision != precision) {
            return err_set(err, ST_INVALID, "the database has precision %s, asked for is %s",
                           precision_name(file.precision), precision_name(precision));
        }
        *out = file;
        return ST_OK;
    }
    if (st != ST_NOT_FOUND) return st;
    if (err) *err = (struct err){.st = ST_OK};

    TRY(refuse_orphans(vfs, err));
    for (size_t i = 0; i < sizeof(file.id.bytes); i += 8) {
        store_u64(file.id.bytes + i, rng_next(rng));
    }
    TRY(database_file_write(vfs, &file, err));
    *out = file;
    return ST_OK;
}
