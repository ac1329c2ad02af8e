/* database.json: what a data directory is. Written once, when the directory is
 * made; every file inside carries the id, so a file from another database is
 * refused. Any thread, under the directory's lock. */
#ifndef TSINK_STORAGE_DATABASE_FILE_H
#define TSINK_STORAGE_DATABASE_FILE_H

#include <stdint.h>

#include "base/rng.h"
#include "base/status.h"
#include "base/vfs.h"
#include "model/time.h"

enum { DATABASE_FORMAT = 1, DATABASE_ID_LEN = 16 };

struct database_id {
    uint8_t bytes[DATABASE_ID_LEN];
};

struct database_file {
    struct database_id id;
    uint32_t format;           /* DATABASE_FORMAT */
    enum precision precision;
};

/* ST_NOT_FOUND when there is none; ST_CORRUPT; ST_UNSUPPORTED for a newer format,
 * which is left untouched. */
CHECKED status database_file_read(struct database_file *out, struct vfs *vfs, struct err *err);
CHECKED status database_file_write(struct vfs *vfs, const struct database_file *file,
                                   struct err *err);

/* Reads it, or makes a new one with an id drawn from rng. ST_INVALID when the
 * recorded precision is another one. A directory that holds WAL files or segments
 * but no database.json is ST_CORRUPT: its id is lost; so is one that a restore has not
 * finished. */
CHECKED status database_file_open(struct database_file *out, struct vfs *vfs,
                                  enum precision precision, struct rng *rng, struct err *err);

#endif
