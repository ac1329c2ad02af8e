/* series_index.bin: a snapshot of the registry (docs/formats/registry.md): every live
 * series with id, place, type, attributes, label-set version and labels; names, values
 * and pairs written once; next_id. Blocks are compressed and each carries a CRC32C.
 */
#ifndef TSINK_INDEX_REGISTRY_FILE_H
#define TSINK_INDEX_REGISTRY_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/vfs.h"
#include "index/registry.h"

enum { REGISTRY_FILE_VERSION = 1 };

/* What a save covers, frozen by the owner. */
struct registry_prefix {
    uint64_t n_births;
    series_id next_id;
    uint64_t covers;   /* the engine's own mark, given back by load: the WAL position
                          up to which definitions are in the file */
};

/* Owner: the prefix as of now. */
struct registry_prefix registry_prefix(const struct registry *reg, uint64_t covers);

/* Writes path anew through path + ".tmp", synced and renamed (base/durable.h). Later
 * births, and attributes changed since, may or may not be in it. Worker, as a
 * registered reader; polls *cancelled (may be NULL). */
CHECKED status registry_save(const struct registry *reg, const struct registry_prefix *prefix,
                             const uint8_t database_id[16], struct vfs *vfs, const char *path,
                             const _Atomic bool *cancelled, struct err *err);

/* What load found. */
struct registry_loaded {
    uint8_t database_id[16];
    uint64_t n_series;
    uint64_t covers;
};

/* Adds every series of the file to an empty registry. ST_NOT_FOUND when there is no
 * file; ST_CORRUPT with the place and the reason (then the registry holds a part and
 * must be freed); ST_UNSUPPORTED for a later version. Owner. */
CHECKED status registry_load(struct registry *reg, struct registry_loaded *out,
                             struct vfs *vfs, const char *path, struct err *err);

#endif
