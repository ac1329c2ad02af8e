/* Every knob of the engine, with its default and its range. Units are in the names;
 * durations of data (retention, skew, partitions) are milliseconds and are converted
 * to ticks once, at open. The server fills this from its configuration, the library
 * from the caller. */
#ifndef TSINK_ENGINE_OPTIONS_H
#define TSINK_ENGINE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "model/batch.h"
#include "model/limits.h"
#include "model/time.h"

enum db_wal_sync { DB_WAL_APPEND, DB_WAL_PERIODIC, DB_WAL_OFF };
enum db_wal_replay { DB_REPLAY_STRICT, DB_REPLAY_SALVAGE };

struct db_options {
    enum precision precision;
    int64_t retention_ms;       /* 0: for ever */
    int64_t future_skew_ms;
    enum db_wal_sync wal_sync;
    int64_t wal_sync_interval_ms;
    enum db_wal_replay wal_replay;
    uint64_t wal_file_bytes;    /* length of one preallocated file */
    uint64_t wal_buffer_bytes;  /* between the owner and the WAL thread */
    uint64_t wal_flush_bytes;   /* logged since the last flush began: starts the next */
    uint64_t wal_size_limit;    /* live WAL at which writes are refused; at least two files */
    int64_t flush_interval_ms;  /* how often the triggers are looked at */
    int64_t flush_age_ms;       /* unflushed data older than this starts a flush */
    int64_t compaction_interval_ms; /* how often compaction is looked at, at least */
    uint32_t compaction_trigger; /* segments of a level that are merged, 2..16 */
    uint64_t compaction_rate;   /* bytes a second that compaction reads; 0: no limit */
    uint64_t segment_bytes;     /* a segment of the last level is cut at about this */
    uint32_t chunk_points;      /* samples in a sealed chunk, 64..65535 */
    int64_t partition_ms;       /* late samples are told apart by windows of this length */
    uint32_t partition_heads;   /* such windows in one late lane, 1..64 */
    uint64_t memory_limit;      /* bytes; 0: none; else at least twice wal_buffer_bytes */
    int64_t write_timeout_ms;   /* longest wait of a write for memory, then it is refused */
    uint64_t cardinality_limit; /* live series; 0: none */
    enum dup_policy dup_policy; /* of series that set none */
    uint32_t exemplars_max;     /* kept in all; 0: none */
    uint32_t exemplars_per_series; /* 1..EXEMPLARS_PER_SERIES_MAX */
    uint32_t exemplars_per_request; /* kept of one batch by whoever decodes it */
    uint32_t metadata_max;      /* metric families */
    bool fail_fast;             /* refuse writes after repeated background failures */
    struct limits limits;
};

void db_options_init(struct db_options *options);

/* ST_INVALID names the option that is out of range. */
CHECKED status db_options_check(const struct db_options *options, struct err *err);

#endif
