/* The registry's files (docs/formats/registry.md). A snapshot (series_index.bin) holds
 * every living series with id, place, type, attributes, label-set version and labels;
 * a delta holds what has changed since the file before it: series born, ids that died,
 * attributes. Both write names, values and pairs once, stand alone, are compressed in
 * blocks and have every byte under a CRC32C.
 *
 * Which files count, and in which order, is the caller's to remember
 * (storage/registry_catalog.h); each has a number that rises from file to file. A
 * snapshot has the number of the last delta that it makes superfluous.
 */
#ifndef TSINK_INDEX_REGISTRY_FILE_H
#define TSINK_INDEX_REGISTRY_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/vfs.h"
#include "index/registry.h"

/* What is written, and the oldest that is read. */
enum { REGISTRY_FILE_VERSION = 3, REGISTRY_FILE_OLDEST = 2 };

/* What a save covers, frozen by the owner. */
struct registry_prefix {
    uint64_t n_births;
    series_id next_id; /* series with larger ids, born later, are left out */
    uint64_t covers;   /* the engine's own mark, given back by load: the WAL position
                          up to which definitions are in the files */
    uint64_t number;   /* of the file */
};

/* Owner: the prefix as of now. */
struct registry_prefix registry_prefix(const struct registry *reg, uint64_t covers,
                                       uint64_t number);

/* What a delta tells, beside series born. Ids in any order, also more than once; one
 * that the earlier files do not know is passed over when it is read. */
struct registry_changes {
    uint64_t births_from;      /* registry_n_births() of the save before */
    const series_id *dead;
    size_t n_dead;
    const series_id *attrs;    /* series whose attributes changed */
    size_t n_attrs;
};

/* A file as a list of files remembers it. */
struct registry_part {
    const char *path;
    uint64_t number;
    uint64_t n_bytes;
    uint32_t crc;              /* CRC32C of all bytes */
};

/* Writes path anew through path + ".tmp", synced and renamed (base/durable.h): a
 * snapshot, or with changes a delta, whose cost is that of the changes. Attributes
 * changed since the prefix was taken may or may not be in it. Worker, as a registered
 * reader; polls *cancelled (may be NULL). part (may be NULL) gets length and CRC. */
CHECKED status registry_save(const struct registry *reg, const struct registry_prefix *prefix,
                             const struct registry_changes *changes,
                             const uint8_t database_id[16], struct vfs *vfs, const char *path,
                             const _Atomic bool *cancelled, struct registry_part *part,
                             struct err *err);

/* What load found. */
struct registry_loaded {
    uint8_t database_id[16];
    uint64_t n_series;         /* companions among them */
    uint64_t covers;    /* of the last file */
    uint64_t number;
    size_t n_read;      /* files that counted */
    size_t bad;         /* after a failure: the index of the file */
};

struct registry_load_options {
    const struct registry_part *parts; /* a snapshot, then deltas in order. A snapshot
                                          with a higher number than the list knows is taken
                                          as well, and deltas that it covers are passed over */
    size_t n;
    bool any_bytes;     /* numbers, lengths and CRCs of parts are not known */
    unsigned n_threads; /* 0 and 1: all on the caller's */
};

/* Fills an empty registry with what the files say together. ST_NOT_FOUND when a file is
 * not there; ST_CORRUPT with the place and the reason (then the registry holds a part
 * and must be freed); ST_UNSUPPORTED for a later version. Owner. */
CHECKED status registry_load(struct registry *reg, struct registry_loaded *out,
                             struct vfs *vfs, const struct registry_load_options *opt,
                             struct err *err);

#endif
