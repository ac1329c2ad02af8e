/* A frame of the WAL: 24 bytes, then the payload (docs/formats/wal.md).
 *
 *     0     4  5     9     13        21     22   24       32
 *     | TSFR |ty| crc | len |  seq    |flags | 0  | run id | payload ...
 *
 * The CRC32C is begun with (file id, seq) and covers type, length, sequence, flags
 * and payload: a frame is valid at one place of one file only, so the stale bytes
 * of a recycled file never pass. Pure, any thread.
 */
#ifndef TSINK_STORAGE_WAL_RECORD_H
#define TSINK_STORAGE_WAL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "storage/database_file.h"

/* The sequence number of a frame, from 1, never reused. 0: none. */
typedef uint64_t lsn;

enum {
    WAL_OFF_MAGIC = 0,
    WAL_OFF_TYPE = 4,
    WAL_OFF_CRC = 5,
    WAL_OFF_LEN = 9,
    WAL_OFF_SEQ = 13,
    WAL_OFF_FLAGS = 21,
    WAL_HEAD_LEN = 24,
    WAL_RUN_LEN = 8,                /* the run id, first bytes of every payload */
    WAL_PAYLOAD_MAX = 64 << 20,     /* run id included */
};

#define WAL_MAGIC 0x52465354u /* "TSFR" */

/* On disk: never renumber. Adding one: WAL_TYPE_MAX, docs/formats/wal.md, recovery. */
enum wal_type {
    WAL_SERIES = 1,   /* series definitions */
    WAL_SAMPLES = 2,
    WAL_ATTRS = 3,    /* retention, policy, label-set version of series */
    WAL_DELETE = 4,
    WAL_META = 5,     /* metadata and exemplars */
    WAL_POLICY = 6,   /* rollup policies and rules */
    WAL_REMOVE = 7,   /* series that are no more */
    WAL_RELABEL = 8,  /* other labels for a series that exists */
    WAL_TYPE_MAX = WAL_RELABEL,
    WAL_MARK = 127,   /* of the log itself, never handed on: see WAL_BARRIER */
};

enum wal_flag {
    WAL_COMMIT = 1,   /* the last frame of its run; set by the caller */
    WAL_FIRST = 2,    /* the first frame of its run; set by wal_end() */
    WAL_BARRIER = 4,  /* all frames before this one were synced before it was written */
    WAL_CLEAN = 8,    /* mark at a clean close: nothing follows in this file */
};

struct wal_frame {
    enum wal_type type;
    unsigned flags;
    lsn seq;
    uint64_t run;          /* 0: the frame stands alone */
    struct slice payload;  /* without the run id; points into the source */
};

/* The CRC of the frame at src: header (its crc field is not read) and len bytes. */
uint32_t wal_frame_crc(uint64_t file_id, const uint8_t *src, uint32_t len);

/* Writes the header of a frame whose payload (len bytes with the run id) follows
 * it; the CRC comes with wal_frame_seal(). */
void wal_frame_head(uint8_t *dst, enum wal_type type, unsigned flags, lsn seq, uint32_t len);
void wal_frame_seal(uint8_t *frame, uint64_t file_id);

/* Why bytes are no frame: a constant sentence, or NULL when they are one. On NULL
 * *out is set and *frame_len is header and payload; the type may be one that this
 * program does not know. Hostile input is fine. */
const char *wal_frame_parse(struct wal_frame *out, size_t *frame_len, uint64_t file_id,
                            const uint8_t *src, size_t len);

/* The first 64 bytes of a WAL file. */
enum { WAL_FILE_HEAD_LEN = 64, WAL_FORMAT = 1 };

struct wal_file_head {
    uint64_t file_id;
    uint64_t session;       /* files of one process run share it */
    struct database_id db;
};

void wal_file_head_put(uint8_t dst[WAL_FILE_HEAD_LEN], const struct wal_file_head *head);

/* ST_CORRUPT, or ST_UNSUPPORTED for a newer format. */
CHECKED status wal_file_head_get(struct wal_file_head *out, const uint8_t *src, size_t len,
                                 struct err *err);

#endif
