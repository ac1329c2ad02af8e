/* Payloads of WAL frames: what the engine writes into them and reads back at replay
 * (docs/formats/wal.md, "Payloads"). Encoding goes to a buffer with room for the bound;
 * decoding trusts nothing beyond the frame's checksum. Pure, any thread.
 */
#ifndef TSINK_ENGINE_WAL_PAYLOAD_H
#define TSINK_ENGINE_WAL_PAYLOAD_H

#include "base/slice.h"
#include "base/status.h"
#include "model/agg.h"
#include "model/batch.h"
#include "model/point.h"

enum { ATTRS_BYTES = 80, WAL_ROW_BYTES = 40, WAL_SERIES_BYTES = 64 };

/* Whether attributes may be logged: what attrs_get() takes. */
static inline bool attrs_valid(const struct series_attrs *attrs)
{
    return attrs->retention_ms >= 0 && attrs->ignore_max_ms >= 0 && attrs->expire_ms >= 0 &&
           (unsigned)attrs->policy <= DUP_SUM &&
           (attrs->rule_source == 0 || (attrs->rule_agg < N_AGGS && attrs->rule_bucket_ms > 0 &&
                                        attrs->rule_align_ms >= 0));
}

/* Attributes as 32 bytes, 8 more with an expiry, 40 more with a rule; also what a segment
 * keeps for a series. Returns the bytes written. */
size_t attrs_put(uint8_t dst[ATTRS_BYTES], const struct series_attrs *attrs);
CHECKED status attrs_get(struct series_attrs *out, struct slice src);

/* A series definition. */
struct wal_series {
    series_id id;
    uint64_t place;
    enum value_type type;
    struct slice identity;
    bool has_attrs;
    struct series_attrs attrs;
};
/* At most WAL_SERIES_BYTES + ATTRS_BYTES + identity.len bytes. Returns those written. */
size_t wal_series_put(uint8_t *dst, const struct wal_series *series);
CHECKED status wal_series_each(struct slice payload,
                               status (*each)(void *ctx, const struct wal_series *series),
                               void *ctx);

/* A definition that takes the place of an earlier one of the same id: its labels have
 * changed. At most WAL_RELABEL_BYTES + ATTRS_BYTES + identity.len bytes. */
enum { WAL_RELABEL_BYTES = WAL_SERIES_BYTES + 2 };
size_t wal_relabel_put(uint8_t *dst, const struct wal_series *series, uint16_t version);
CHECKED status wal_relabel_get(struct wal_series *series, uint16_t *version,
                               struct slice payload);

/* A sample. bytes is set for bytes and histogram series, bits for the rest. */
struct wal_row {
    series_id id;
    ts_time ts;
    uint64_t bits;
    struct slice bytes;
    uint8_t type;
};
/* Columns: who (runs of one series), when (differences), what. At most
 * WAL_ROW_BYTES * n + the lengths of all bytes. */
size_t wal_samples_put(uint8_t *dst, const struct wal_row *rows, size_t n);
CHECKED status wal_samples_each(struct slice payload,
                                status (*each)(void *ctx, const struct wal_row *row), void *ctx);

/* A change of attributes. */
size_t wal_attrs_put(uint8_t *dst, series_id id, const struct series_attrs *attrs); /* <= 88 */
CHECKED status wal_attrs_get(series_id *id, struct series_attrs *attrs, struct slice payload);

/* A delete: ids ascending. At most 40 + 10 * n bytes. */
size_t wal_delete_put(uint8_t *dst, const uint64_t *ids, size_t n, struct time_range range,
                      uint64_t order);
CHECKED status wal_delete_get(uint64_t **ids, size_t *n, struct time_range *range,
                              uint64_t *order, struct slice payload); /* mem_free ids */

/* Series that are no more: ids ascending. At most WAL_REMOVE_BYTES * (n + 1) bytes. */
enum { WAL_REMOVE_BYTES = 10 };
size_t wal_remove_put(uint8_t *dst, const uint64_t *ids, size_t n);
CHECKED status wal_remove_get(uint64_t **ids, size_t *n, struct slice payload); /* mem_free ids */

#endif
