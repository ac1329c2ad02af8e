/* The log. Byte 0: bit 0 makes the checksums of everything that looks like a frame right,
 * so that the bytes behind them are reached; bit 1 cuts the rest in two files at byte 1's
 * share; bit 2 replays in salvage mode. The rest is what follows the file headers.
 * Checked: what is handed on ascends; what strict replay accepts is accepted again, the
 * same, after a new log was begun behind it. */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/panic.h"
#include "storage/layout.h"
#include "storage/wal.h"
#include "storage/wal_replay.h"
#include "tests/fuzz/fuzz.h"

int fuzz_wal(const uint8_t *src, size_t len);

static const struct database_id db = {{1, 2, 3}};

struct order {
    lsn last;
    uint64_t n;
};

static status check_frame(void *ctx, const struct wal_frame *frame)
{
    struct order *order = ctx;

    ASSERT(frame->seq > order->last || order->n == 0);
    ASSERT(frame->type >= WAL_SERIES && frame->type <= WAL_TYPE_MAX);
    order->last = frame->seq;
    order->n++;
    uint32_t sum = crc32c(0, frame->payload.ptr, frame->payload.len); /* reads all of it */
    __asm__ volatile("" ::"r"(sum));
    return ST_OK;
}

static void seal_frames(uint8_t *bytes, size_t len, uint64_t file_id)
{
    for (size_t at = 0; at + WAL_HEAD_LEN <= len; at++) {
        if (load_u32(bytes + at) != WAL_MAGIC) continue;
        if (load_u32(bytes + at + WAL_OFF_LEN) <= len - at - WAL_HEAD_LEN) {
            wal_frame_seal(bytes + at, file_id);
        }
    }
}

static void put_log(struct vfs *vfs, uint64_t id, const uint8_t *src, size_t len, bool seal)
{
    struct wal_file_head head = {.file_id = id, .session = 1, .db = db};
    uint8_t *bytes = mem_try(WAL_FILE_HEAD_LEN + len);
    struct vfs_file *file;
    layout_path path;

    if (!bytes) return;
    wal_file_head_put(bytes, &head);
    if (len) memcpy(bytes + WAL_FILE_HEAD_LEN, src, len);
    if (seal) seal_frames(bytes + WAL_FILE_HEAD_LEN, len, id);
    layout_wal(path, id);
    ASSERT(vfs_open(vfs, &file, path, VFS_CREATE, NULL) == ST_OK);
    ASSERT(vfs_write(file, 0, bytes, WAL_FILE_HEAD_LEN + len, NULL) == ST_OK);
    vfs_close(file);
    mem_free(bytes);
}

/* Replays; false when it is refused. The replay stays open for the caller. */
static bool replay_log(struct wal_replay **out, struct order *order, struct vfs *vfs,
                       enum wal_replay_mode mode)
{
    struct wal_replay_options opt = {.mode = mode, .db = db};

    *order = (struct order){0};
    if (wal_replay_open(out, vfs, &opt, NULL) != ST_OK) return false;
    ASSERT(wal_replay_each(*out, check_frame, order) == ST_OK);
    return true;
}

int fuzz_wal(const uint8_t *src, size_t len)
{
    struct wal_options opt = {
        .buffer_bytes = 4096, .file_bytes = 4096, .db = db, .clock = clock_system()};
    struct wal_replay *replay;
    struct order order, again;
    struct wal *wal;

    if (len < 2) return 0;
    struct vfs *vfs = vfs_mem_new();
    bool seal = src[0] & 1;
    enum wal_replay_mode mode = src[0] & 4 ? WAL_REPLAY_SALVAGE : WAL_REPLAY_STRICT;
    size_t rest = len - 2, cut = src[0] & 2 ? rest * src[1] / 256 : rest;
    ASSERT(vfs_mkdir_all(vfs, LAYOUT_WAL_DIR, NULL) == ST_OK);
    put_log(vfs, 1, src + 2, cut, seal);
    if (src[0] & 2) put_log(vfs, 2, src + 2 + cut, rest - cut, seal);

    if (replay_log(&replay, &order, vfs, mode)) {
        bool last = wal_replay_last(replay) == UINT64_MAX; /* no number would follow */
        bool opened = !last && wal_open(&wal, vfs, &opt, replay, NULL) == ST_OK;
        wal_replay_close(replay);
        if (opened) {
            ASSERT(wal_close(wal, NULL) == ST_OK);
            if (mode == WAL_REPLAY_STRICT) {
                ASSERT(replay_log(&replay, &again, vfs, mode));
                ASSERT(again.n == order.n && again.last == order.last);
                wal_replay_close(replay);
            }
        }
    }
    vfs_free(vfs);
    return 0;
}

FUZZ_ENTRY(fuzz_wal)
