/* See wal_fixture.h. */
#include "tests/unit/storage/wal_fixture.h"

const struct database_id wal_fixture_db = {{0xdb, 1, 2, 3, 4, 5, 6, 7, 8, 9}};

static void count_notice(void *ctx)
{
    ((struct wal_fixture *)ctx)->n_notified++;
}

void wal_fixture_init(struct wal_fixture *fix, struct vfs *vfs)
{
    *fix = (struct wal_fixture){.vfs = vfs};
    clock_sim_init(&fix->clock, 1767225600000);
    fix->opt = (struct wal_options){
        .sync = WAL_SYNC_APPEND,
        .buffer_bytes = 12 << 10,
        .file_bytes = 16 << 10,
        .db = wal_fixture_db,
        .clock = &fix->clock.clock,
        .notify = count_notice,
        .notify_ctx = fix,
    };
}

struct wal_replay_options wal_fixture_replay_options(enum wal_replay_mode mode)
{
    return (struct wal_replay_options){.mode = mode, .db = wal_fixture_db};
}

void wal_fixture_open(struct wal_fixture *fix)
{
    struct wal_replay_options opt = wal_fixture_replay_options(WAL_REPLAY_STRICT);
    struct wal_replay *replay;
    struct err err = {.st = ST_OK};

    status st = wal_replay_open(&replay, fix->vfs, &opt, &err);
    ck_assert_msg(st == ST_OK, "replay: %s", err.text);
    st = wal_open(&fix->wal, fix->vfs, &fix->opt, replay, &err);
    ck_assert_msg(st == ST_OK, "open: %s", err.text);
    wal_replay_close(replay);
}

void wal_fixture_close(struct wal_fixture *fix)
{
    struct err err = {.st = ST_OK};
    status st = wal_close(fix->wal, &err);
    ck_assert_msg(st == ST_OK, "close: %s", err.text);
    fix->wal = NULL;
}

void wal_fixture_fill(uint8_t *dst, size_t len, lsn seq)
{
    for (size_t i = 0; i < len; i++) dst[i] = (uint8_t)(seq * 31 + i * 7 + (i >> 8));
}

lsn wal_fixture_put(struct wal *wal, enum wal_type type, uint64_t run, unsigned flags,
                    size_t len)
{
    uint8_t *dst = wal_begin(wal, len + 3); /* a little more than is used */

    ck_assert_ptr_nonnull(dst);
    lsn seq = wal_end(wal, type, flags, run, len);
    wal_fixture_fill(dst, len, seq); /* not published yet, so still ours */
    return seq;
}

void wal_fixture_flush(struct wal *wal)
{
    wal_publish(wal);
    while (wal_step(wal)) {
    }
}

static status see_frame(void *ctx, const struct wal_frame *frame)
{
    struct seen *seen = ctx;
    struct seen_frame one = {frame->seq, frame->type, frame->run, frame->payload.len};
    uint8_t *expect = malloc(one.len + 1);

    wal_fixture_fill(expect, one.len, one.seq);
    ck_assert_msg(memcmp(expect, frame->payload.ptr, one.len) == 0,
                  "frame %" PRIu64 " holds something else", one.seq);
    free(expect);
    ck_assert(vec_push(&seen->frames, one));
    return ST_OK;
}

void wal_fixture_see(struct seen *seen, const struct wal_replay *replay)
{
    *seen = (struct seen){0};
    ck_assert_int_eq(wal_replay_each(replay, see_frame, seen), ST_OK);
}
