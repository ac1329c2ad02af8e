/* The body of a database, for the engine's own files. */
#ifndef TSINK_ENGINE_DB_PRIV_H
#define TSINK_ENGINE_DB_PRIV_H

#include "engine/cell_priv.h"
#include "engine/file_hold.h"
#include "engine/meta_files.h"
#include "storage/catalog.h"
#include "storage/dirlock.h"
#include "storage/registry_catalog.h"
#include "storage/tombstone_file.h"

struct flush_waiter {
    struct list link;
    void (*done)(void *ctx, status st);
    void *ctx;
    uint64_t order;            /* done when this flush is over */
};

struct db {
    struct sink sink;          /* first: the sink port is this database */
    struct cell cell;
    struct db_options options;
    struct db_ports ports;
    struct account account, head_account, registry_account, wal_account;
    struct account exemplar_account, metadata_account;
    struct exemplars *exemplars;
    struct metadata_store *metadata;
    uint64_t meta_written[META_KINDS]; /* versions in the files; of the job with the catalog */
    lsn meta_covered[META_KINDS];      /* by the files that recovery read */
    struct dirlock *lock;
    struct database_file file;
    struct catalog catalog;    /* a flush or expiry job has it while catalog_busy */
    bool catalog_busy;
    struct registry_catalog registry_catalog; /* likewise */
    struct tombstone_file *tombstone_file;
    struct file_hold files;    /* segment directories go through it */
    struct snapshot *snapshot; /* being made, or NULL */
    uint32_t n_snapshot_jobs;  /* lists and removals under way */
    struct list flush_waiters;
    int64_t ticks_per_ms;      /* 0: a tick is a second */
    struct task wal_task;      /* from the WAL thread: acked moved */
    _Atomic bool wal_task_posted;
    uint64_t n_quarantined;
};

#endif
