/* Defaults and ranges of the engine's knobs. See options.h. */
#include "engine/options.h"

#include "engine/exemplars.h"
#include "engine/metadata_store.h"

void db_options_init(struct db_options *options)
{
    *options = (struct db_options){
        .precision = PRECISION_MS,
        .retention_ms = 14LL * 86400 * 1000,
        .future_skew_ms = 15LL * 60 * 1000,
        .wal_sync = DB_WAL_APPEND,
        .wal_sync_interval_ms = 1000,
        .wal_replay = DB_REPLAY_STRICT,
        .wal_file_bytes = 64ull << 20,
        .wal_buffer_bytes = 32ull << 20,
        .wal_flush_bytes = 512ull << 20,
        .wal_size_limit = 1ull << 30,
        .flush_interval_ms = 250,
        .flush_age_ms = 2LL * 3600 * 1000,
        .compaction_interval_ms = 5000,
        .compaction_trigger = 4,
        .compaction_rate = 0,
        .segment_bytes = 1ull << 30,
        .chunk_points = 2048,
        .partition_ms = 3600 * 1000,
        .partition_heads = 8,
        .memory_limit = 0,
        .write_timeout_ms = 10 * 1000, /* a third of what remote writers wait */
        .cardinality_limit = 0,
        .dup_policy = DUP_LAST,
        .exemplars_max = 50000,
        .exemplars_per_series = 128,
        .exemplars_per_request = 512,
        .metadata_max = 100000,
        .fail_fast = true,
        .limits = limits_default,
    };
}

struct range_rule {
    const char *name;
    uint64_t value, low, high;
};

status db_options_check(const struct db_options *o, struct err *err)
{
    const struct range_rule rules[] = {
        {"retention", (uint64_t)o->retention_ms, 0, INT64_MAX / 1000000},
        {"future-skew-window", (uint64_t)o->future_skew_ms, 0, INT64_MAX / 1000000},
        {"wal-sync-interval", (uint64_t)o->wal_sync_interval_ms, 1, 3600 * 1000},
        {"wal-file-size", o->wal_file_bytes, 64 << 10, 4ull << 30},
        {"wal-buffer", o->wal_buffer_bytes, 64 << 10, 4ull << 30},
        {"wal-flush-size", o->wal_flush_bytes, 1 << 10, o->wal_size_limit},
        {"wal-size-limit", o->wal_size_limit, 64 << 10, 1ull << 40},
        {"flush-interval", (uint64_t)o->flush_interval_ms, 1, 3600 * 1000},
        {"flush-age", (uint64_t)o->flush_age_ms, 1, INT64_MAX / 1000000},
        {"compaction-interval", (uint64_t)o->compaction_interval_ms, 1, 24 * 3600 * 1000},
        {"compaction-trigger", o->compaction_trigger, 2, 16},
        {"compaction-rate", o->compaction_rate, 0, 1ull << 40},
        {"segment-size", o->segment_bytes, 64 << 10, 1ull << 40},
        {"write-timeout", (uint64_t)o->write_timeout_ms, 0, 3600 * 1000},
        {"chunk-points", o->chunk_points, 64, 65535},
        {"partition-window", (uint64_t)o->partition_ms, 1, INT64_MAX / 1000000},
        {"max-active-partition-heads-per-series", o->partition_heads, 1, 64},
        {"exemplars-max", o->exemplars_max, 0, EXEMPLARS_MAX},
        {"exemplars-per-series-max", o->exemplars_per_series, 1, EXEMPLARS_PER_SERIES_MAX},
        {"metadata-max", o->metadata_max, 0, METADATA_FAMILIES_MAX},
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        const struct range_rule *r = &rules[i];
        if (r->value < r->low || r->value > r->high)
            return err_set(err, ST_INVALID, "%s is %llu, must lie in %llu..%llu", r->name,
                           (unsigned long long)r->value, (unsigned long long)r->low,
                           (unsigned long long)r->high);
    }
    /* The file that is being written cannot be released: without room for another one
     * writes would be refused for ever. */
    if (o->wal_size_limit / 2 < o->wal_file_bytes)
        return err_set(err, ST_INVALID, "wal-size-limit is %llu, must be twice wal-file-size, %llu",
                       (unsigned long long)o->wal_size_limit,
                       (unsigned long long)o->wal_file_bytes);
    /* The buffer is charged whole: with less, no write would ever be admitted. */
    if (o->memory_limit && o->memory_limit / 2 < o->wal_buffer_bytes)
        return err_set(err, ST_INVALID, "memory-limit is %llu, must be twice wal-buffer, %llu",
                       (unsigned long long)o->memory_limit,
                       (unsigned long long)o->wal_buffer_bytes);
    return ST_OK;
}
