/* Counters and sizes, gathered. */
#include <string.h>

#include "engine/db_priv.h"

void db_stats(struct db *db, struct db_stats *out)
{
    struct cell *cell = &db->cell;
    struct wal_stats wal;
    wal_stats(cell->wal, &wal);
    *out = cell->stats;
    memcpy(out->jobs, cell->jobs, sizeof(out->jobs));
    out->n_views_live = 0;
    list_each(at, &cell->views) out->n_views_live++;
    out->n_segments = cell->manifest->n_segments;
    out->n_segment_bytes = out->n_segment_samples = 0;
    for (unsigned level = 0; level < SEGMENT_LEVELS; level++) out->n_segments_at[level] = 0;
    for (size_t i = 0; i < cell->manifest->n_segments; i++) {
        const struct segment_info *info = segment_info(cell->manifest->segments[i]);
        out->n_segment_bytes += info->n_bytes;
        out->n_segment_samples += info->n_points;
        out->n_segments_at[info->level]++;
    }
    struct registry_counts counts = registry_counts(cell->registry);
    out->n_series = counts.n_series;
    out->n_ordinals = registry_n_ordinals(cell->registry);
    out->n_series_dead = counts.n_dead;
    out->n_label_pairs = counts.n_pairs;
    out->n_label_texts = counts.n_names + (uint64_t)counts.n_values;
    out->n_delete_records = tombstones_count(cell->manifest->deletes);
    out->compacting = cell->compact != NULL;
    out->retention_suspended = cell->clock.suspended;
    out->n_clock_jumps = cell->clock.n_jumps;
    out->n_unflushed = cell->n_unflushed;
    out->n_retired = cell->retire.n_items;
    out->n_retired_bytes = cell->retire.n_bytes;
    out->n_journal_max = cell->journal.n_max;
    out->head_bytes = account_used(&db->head_account);
    out->registry_bytes = account_used(&db->registry_account);
    out->list_bytes = account_used(&cell->list_account);
    out->wal_buffer_bytes = account_used(&db->wal_account);
    out->memory_used = cell_memory_used(cell);
    out->memory_limit = db->options.memory_limit;
    out->wal_bytes = wal.n_bytes;
    out->wal_frames = wal.n_frames;
    out->wal_syncs = wal.n_syncs;
    out->wal_sync_ns = wal.sync_ns;
    out->wal_live_bytes = wal.live_bytes;
    out->n_quarantined = db->n_quarantined;
    out->snapshot_running = db->snapshot != NULL;
    exemplars_stats(db->exemplars, &out->exemplars);
    metadata_store_stats(db->metadata, &out->metadata);
    out->exemplar_bytes = account_used(&db->exemplar_account);
    out->metadata_bytes = account_used(&db->metadata_account);
}

void db_segments(struct db *db, void (*fn)(void *ctx, const struct db_segment *segment), void *ctx)
{
    const struct manifest *manifest = db->cell.manifest;
    enum precision precision = db->options.precision;
    for (size_t i = 0; i < manifest->n_segments; i++) {
        const struct segment_info *info = segment_info(manifest->segments[i]);
        struct db_segment seg = {.id = info->id,
                                 .level = info->level,
                                 .min_ms = time_to_ms(info->ts.from, precision),
                                 .max_ms = time_to_ms(info->ts.to, precision),
                                 .n_series = info->n_series,
                                 .n_chunks = info->n_chunks,
                                 .n_samples = info->n_points,
                                 .n_bytes = info->n_bytes};
        fn(ctx, &seg);
    }
}
