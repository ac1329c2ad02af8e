/* Verification: of an open database (db_check() in db.h, DEBUG CHECK) and of a directory
 * that nobody has open (tsink-check, snapshots after they were written). What both look
 * at is looked at by the same code: segments, and what they say of series.
 *
 * verify_dir() changes nothing. It goes on after a finding, so that one run names all
 * that is damaged; a finding names the file or directory that a person, or repair.h,
 * has to do something about.
 */
#ifndef TSINK_ENGINE_VERIFY_H
#define TSINK_ENGINE_VERIFY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/vfs.h"
#include "index/registry.h"
#include "storage/catalog.h"
#include "storage/database_file.h"

/* What a finding is about, and so what can be done. */
enum verify_part {
    VERIFY_DATABASE,   /* database.json: nothing can be opened without it */
    VERIFY_CATALOG,
    VERIFY_SEGMENT,    /* path: its directory */
    VERIFY_REGISTRY,
    VERIFY_WAL,
    VERIFY_DELETES,
    VERIFY_EXEMPLARS,
    VERIFY_METADATA,
    VERIFY_PARTS,
};

const char *verify_part_name(enum verify_part part); /* "segment" */

struct verify_finding {
    enum verify_part part;
    const char *path;          /* below the data directory */
    status st;                 /* ST_CORRUPT, ST_UNSUPPORTED, ST_NOT_FOUND, ST_IO */
    const char *text;          /* with the place, where one is known */
};

struct verify_options {
    bool quick;                /* checksums of chunks, but not their content */
    const _Atomic bool *cancelled; /* may be NULL */
    /* All but done may be called many times; may be NULL. */
    void (*finding)(void *ctx, const struct verify_finding *finding);
    void (*note)(void *ctx, const char *text); /* unusual, and no damage */
    void (*progress)(void *ctx, const char *phase, uint64_t done, uint64_t total); /* bytes */
    void *ctx;
};

struct verify_report {
    struct database_file db;   /* zeroed when it could not be read */
    uint64_t n_findings, n_io_errors;
    struct verify_level {
        uint64_t n_segments, n_chunks, n_points, n_bytes;
    } levels[N_LANES][SEGMENT_LEVELS];
    struct time_range ts;      /* of all segments; empty: none */
    uint64_t n_points;         /* of all segments */
    uint64_t n_series;         /* of the registry with the log's definitions */
    uint64_t n_series_missing; /* of segments, not in the registry file: recovery adds them */
    uint64_t n_wal_files, n_wal_frames, n_wal_bytes, n_wal_samples, torn_bytes;
    uint64_t n_deletes;        /* (series, range) */
    uint64_t n_exemplars, n_families; /* in their files */
    uint64_t n_quarantined;
    uint64_t registry_bytes;
};

/* ST_OK: nothing was found. ST_CORRUPT: there are findings; the first is in err. Other
 * statuses: it could not be done to the end (ST_NO_MEMORY, ST_CANCELLED), or the vfs
 * holds no data directory (ST_NOT_FOUND). Worker, or a program of its own. */
CHECKED status verify_dir(struct verify_report *out, struct vfs *vfs,
                          const struct verify_options *opt, struct err *err);

/* ---- shared parts ---- */

/* A segment, alone and against the registry (NULL: alone): its checksums, its order,
 * its sums; ids below the registry's next one; a series that both know has the same
 * identity and type. *n_missing (may be NULL) counts series that the registry does not
 * know, but for those below dead_below: they have died. ST_CORRUPT. */
CHECKED status verify_segment(struct segment *seg, const struct registry *reg,
                              series_id dead_below, bool quick, uint64_t *n_missing,
                              const _Atomic bool *cancelled, struct err *err);

/* A registry of its own, outside of any database, for one thread. NULL: no memory. */
struct registry *verify_registry_new(void);

/* Adds a series to such a registry unless its id is known. ST_CORRUPT. */
CHECKED status verify_adopt(struct registry *reg, series_id id, uint64_t place,
                            enum value_type type, uint32_t label_version,
                            struct slice identity, const struct series_attrs *attrs);

/* The same for a definition of the log. A name that was born again belongs to the larger
 * id, as recovery has it: *dead is the id that lost it, or 0. */
struct wal_series;
CHECKED status verify_define(struct registry *reg, const struct wal_series *series,
                             series_id *dead);

/* The same for a WAL_RELABEL frame's payload. */
CHECKED status verify_relabel(struct registry *reg, struct slice payload, series_id *dead);

#endif
