/* A series as a value: what COPY carries over and DUMP prints (resp.md 3).
 *
 *     "TSDI"  version 1  precision  type  length and bytes of the attributes (engine/wal_payload.h)
 *     varint n, n times a label: varint length, name, varint length, value
 *     varint n, n times zigzag varint: the time, as its difference to the one before
 *     n times 8 bytes: the values' bits
 *     u16 1, u64 xxh64 (seed 0) of everything before it
 *
 * Labels are those that people gave: without the key and what followed from it. Series of
 * bytes and histograms have no image. Everything is little-endian. Worker; decoding trusts
 * nothing.
 */
#ifndef TSINK_API_SERIES_IMAGE_H
#define TSINK_API_SERIES_IMAGE_H

#include "api/work.h"
#include "model/point.h"

struct series_image {
    struct label *labels;      /* in the work's arena */
    size_t n_labels;
    struct series_attrs attrs; /* its expiry included */
    bool has_attrs;
    enum value_type type;
    struct points pts;         /* ascending */
};

/* Of the series of a key, as it is now; *found false: there is none. */
CHECKED status series_image_read(struct series_image *out, struct query_work *work,
                                 struct slice key, bool *found);
void series_image_release(struct series_image *image); /* accepts a zeroed struct */

void series_image_put(struct strbuf *out, const struct series_image *image,
                      enum precision precision);

/* ST_CORRUPT when it is not what series_image_put() made for this precision. */
CHECKED status series_image_get(struct series_image *out, struct slice src,
                                enum precision precision, struct arena *arena);

#endif
