/* The durable store of deletes: files of framed records under
 * tombstones.json.store/ (decision 36; docs/formats/tombstones.md). A file is only
 * appended to; when much of it hides nothing any more a new one with what is left
 * takes its place. A torn record at the end is cut; damage before valid records is
 * ST_CORRUPT, because a lost delete would bring data back. One thread at a time.
 */
#ifndef TSINK_STORAGE_TOMBSTONE_FILE_H
#define TSINK_STORAGE_TOMBSTONE_FILE_H

#include <stdint.h>

#include "base/vfs.h"
#include "storage/database_file.h"
#include "storage/layout.h"
#include "storage/tombstone.h"

struct tombstone_file;

/* Opens the newest file, or makes the first one; *set (owned, NULL when empty) is what
 * it holds. */
CHECKED status tombstone_file_open(struct tombstone_file **out, struct tombstones **set,
                                   struct vfs *vfs, const struct database_id *db,
                                   struct err *err);

/* The set of the newest file, without touching anything: what tombstone_file_open() would
 * give. ST_NOT_FOUND when there is no file, ST_CORRUPT. path (may be NULL) gets the file's
 * name. salvage: of a damaged file the records that can be read; *n_lost counts the places
 * skipped (may be NULL). */
CHECKED status tombstone_file_load(struct tombstones **set, layout_path path, bool salvage,
                                   uint64_t *n_lost, struct vfs *vfs,
                                   const struct database_id *db, struct err *err);

/* Appends and syncs. After a failure the file refuses further appends
 * (ST_POISONED) until it is opened again. */
CHECKED status tombstone_file_append(struct tombstone_file *file, const struct delete_rec *rec,
                                     struct err *err);

/* Replaces the content by set. */
CHECKED status tombstone_file_rewrite(struct tombstone_file *file, const struct tombstones *set,
                                      struct err *err);

uint64_t tombstone_file_bytes(const struct tombstone_file *file);
uint64_t tombstone_file_records(const struct tombstone_file *file);
void tombstone_file_close(struct tombstone_file *file); /* accepts NULL */

#endif
