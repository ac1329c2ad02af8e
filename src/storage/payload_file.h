/* A file of payloads under checksums that is replaced as a whole: what a store in memory
 * holds, written now and then, while the log has what came since (docs/formats/exemplars.md).
 * Frames (codec/frame.h): a head {what, covered lsn, database}, one for each payload, an end
 * {their number}. Without its end a file is damaged: it got its name when it was complete.
 *
 *     payload_file_begin -> add ... -> finish, or abort
 *
 * A worker, under the directory's lock.
 */
#ifndef TSINK_STORAGE_PAYLOAD_FILE_H
#define TSINK_STORAGE_PAYLOAD_FILE_H

#include "base/slice.h"
#include "base/vfs.h"
#include "storage/database_file.h"
#include "storage/wal_record.h"

enum { PAYLOAD_FILE_FORMAT = 1, PAYLOAD_LEN_MAX = 4 << 20 };

/* On disk: never renumber. */
enum payload_kind { PAYLOAD_EXEMPLARS = 1, PAYLOAD_METADATA = 2 };

/* Where the file of a kind is. */
const char *payload_file_path(enum payload_kind kind);

struct payload_writer;

/* covered: everything that frames of the log up to here say is in it. */
CHECKED status payload_file_begin(struct payload_writer **out, struct vfs *vfs,
                                  enum payload_kind kind, const struct database_id *db,
                                  lsn covered, struct err *err);

/* At most PAYLOAD_LEN_MAX bytes. */
CHECKED status payload_file_add(struct payload_writer *w, struct slice payload, struct err *err);

/* Synced, in place of the file before it. Frees the writer also when it fails. */
CHECKED status payload_file_finish(struct payload_writer *w, struct err *err);
void payload_file_abort(struct payload_writer *w); /* accepts NULL */

/* Checks all of it, then calls each for every payload until it fails. ST_NOT_FOUND: there is
 * no such file, and *covered is 0. ST_CORRUPT, ST_UNSUPPORTED for a newer format. */
CHECKED status payload_file_read(lsn *covered, struct vfs *vfs, enum payload_kind kind,
                                 const struct database_id *db,
                                 status (*each)(void *ctx, struct slice payload), void *ctx,
                                 struct err *err);

#endif
