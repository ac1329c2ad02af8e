/* A database on simulated ports, for tests: one thread, a clock set by hand, files in
 * memory (or any vfs), jobs in an order drawn from a seed.
 *
 *     struct db_rig rig;
 *     db_rig_init(&rig, seed);
 *     rig.options.chunk_points = 64;
 *     ck_assert_int_eq(db_rig_open(&rig), ST_OK);
 *     db_rig_put(&rig, "cpu{host=\"a\"}", 1000, 0.5);
 *     db_rig_close(&rig);             clean; after a power cut see vfs_crash.h
 *     db_rig_release(&rig);
 */
#ifndef TSINK_TESTS_DB_RIG_H
#define TSINK_TESTS_DB_RIG_H

#include "engine/db.h"
#include "engine/view.h"
#include "tests/lib/clock_sim.h"
#include "tests/lib/exec_sim.h"

struct db_rig {
    struct db_options options;
    struct db *db;
    struct vfs *vfs;         /* owned unless borrowed is set */
    bool vfs_borrowed;
    struct clock_sim clock;
    struct rng rng;
    struct exec_sim *exec;
    unsigned recover_threads;
    uint64_t seed;
    struct err err;          /* of the last call that failed */
};

void db_rig_init(struct db_rig *rig, uint64_t seed);
void db_rig_init_on(struct db_rig *rig, uint64_t seed, struct vfs *vfs); /* borrows vfs */
void db_rig_release(struct db_rig *rig);

status db_rig_open(struct db_rig *rig);
status db_rig_close(struct db_rig *rig);

/* Runs every job and message. */
void db_rig_settle(struct db_rig *rig);

/* Begins a flush and settles until it is over; the status it ended with. */
status db_rig_flush(struct db_rig *rig);

/* A batch of one series from "name" or "name{a=\"b\"}" (no escapes), without rows; a row
 * is added with batch_add_row(batch, 0, ...). */
struct batch *db_rig_batch(const char *series);
int64_t db_rig_add_series(struct batch *batch, const char *series);

/* Sends it and settles until it is answered; the caller frees it. */
void db_rig_send(struct db_rig *rig, struct batch *batch);

/* A done callback for those who drive a batch themselves: ctx points to a bool. */
void db_rig_done(struct batch *batch);

/* One float sample; the row's result. */
status db_rig_put(struct db_rig *rig, const char *series, ts_time ts, double v);

/* All samples of a series in range, through a view; *out is cleared first. ST_NOT_FOUND:
 * no such series. */
status db_rig_read(struct db_rig *rig, const char *series, struct time_range range,
                   struct points *out, struct arena *arena);

/* The ordinal of a series or ORDINAL_NONE. */
uint32_t db_rig_ordinal(struct db_rig *rig, const char *series);

#endif
