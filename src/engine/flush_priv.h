/* A flush and what its files share. */
#ifndef TSINK_ENGINE_FLUSH_PRIV_H
#define TSINK_ENGINE_FLUSH_PRIV_H

#include "engine/checkpoint.h"
#include "engine/db_priv.h"

enum flush_phase {
    FLUSH_CUTTING,   /* owner, in slices between batches */
    FLUSH_WRITING,   /* job: segments */
    FLUSH_SYNCING,   /* the WAL must be as durable as what was cut */
    FLUSH_NAMING,    /* job: catalog and registry */
    FLUSH_PUBLISHING, /* owner: the segments appear; waits for memory if it must */
    FLUSH_UNLINKING, /* owner: nodes go when no view needs them */
};

struct cut {
    uint32_t ordinal, gen;
    node_word root;          /* when it was cut */
    uint64_t key;            /* shard and place in the order of the segment */
    series_id id;
};

struct flush {
    struct job job;
    struct db *db;
    uint8_t mark;            /* what its nodes carry; outlives the flush */
    enum flush_phase phase;
    uint64_t order;
    const char *why;
    uint32_t next_ordinal, end_ordinal; /* of the cut */
    VEC(struct cut) cuts;
    int reader_slot;         /* of the job that writes */
    uint64_t n_samples;
    lsn begin_lsn, end_lsn;
    uint64_t begin_bytes;    /* of log, ever written */
    mono_ns began;
    uint64_t del_gen;        /* deletes up to here are applied by the run */
    struct tombstones *mem_deletes; /* of the manifest when the run began */
    uint64_t segment_id[N_LANES];
    uint64_t reserve;        /* next_segment_id for the catalog file */
    wall_ms wall_high;       /* likewise */
    struct segment *segment[N_LANES]; /* NULL: no data of that lane */
    uint64_t n_bytes;
    struct manifest *manifest; /* referenced; when the run began */
    VEC(series_id) gone;     /* series of the cut that have no sample left, and no segment */
    VEC(struct delete_rec) deletes; /* the first of cell->pending_deletes, whose ids these are */
    struct checkpoint checkpoint;
    struct meta_cut meta;    /* exemplars and metadata when the run began */
    bool abandoned;          /* the deadline of a close has passed */
    uint64_t version;        /* of the manifest that has the segments */
};

/* flush_write.c: the segments of a cut. Worker. */
CHECKED status flush_write_segments(struct flush *flush, struct err *err);

#endif
