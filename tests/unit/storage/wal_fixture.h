/* What the WAL's tests share: frames with a payload that tells what it should be, and
 * replay into an array. */
#ifndef TSINK_TESTS_WAL_FIXTURE_H
#define TSINK_TESTS_WAL_FIXTURE_H

#include "base/panic.h"
#include "base/vec.h"
#include "storage/wal.h"
#include "storage/wal_replay.h"
#include "tests/lib/clock_sim.h"
#include "tests/unit/storage/storage_suites.h"

struct seen_frame {
    lsn seq;
    enum wal_type type;
    uint64_t run;
    size_t len;
};

struct seen {
    VEC(struct seen_frame) frames;
};

struct wal_fixture {
    struct vfs *vfs;
    struct clock_sim clock;
    struct wal_options opt;
    struct wal *wal;
    int n_notified;
};

extern const struct database_id wal_fixture_db;

/* 12 KiB of ring, files of 16 KiB, mode append. */
void wal_fixture_init(struct wal_fixture *fix, struct vfs *vfs);

/* Replays strictly and opens behind it; asserts. */
void wal_fixture_open(struct wal_fixture *fix);
void wal_fixture_close(struct wal_fixture *fix); /* asserts that it is clean */

/* A frame whose payload of len bytes depends on its lsn; asserts that there is room. */
lsn wal_fixture_put(struct wal *wal, enum wal_type type, uint64_t run, unsigned flags,
                    size_t len);
void wal_fixture_fill(uint8_t *dst, size_t len, lsn seq);

/* Publishes and steps until there is nothing to do. */
void wal_fixture_flush(struct wal *wal);

struct wal_replay_options wal_fixture_replay_options(enum wal_replay_mode mode);

/* All frames that replay hands on; asserts that each payload is what was written. */
void wal_fixture_see(struct seen *seen, const struct wal_replay *replay);

#endif
