/* Frames and file heads of the WAL: bytes <-> structs. See wal_record.h and
 * docs/formats/wal.md. */
#include "storage/wal_record.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/panic.h"

_Static_assert(WAL_OFF_LEN + 4 == WAL_OFF_SEQ, "len is four bytes");
_Static_assert(WAL_OFF_FLAGS + 3 == WAL_HEAD_LEN, "flags and two zero bytes end the head");

#define WAL_FILE_MAGIC 0x4c575354u /* "TSWL" */

enum {
    FILE_OFF_MAGIC = 0,
    FILE_OFF_FORMAT = 4,
    FILE_OFF_ID = 8,
    FILE_OFF_SESSION = 16,
    FILE_OFF_DB = 24,
    FILE_OFF_ZERO = 40,
    FILE_OFF_CRC = 60,
};

uint32_t wal_frame_crc(uint64_t file_id, const uint8_t *src, uint32_t len)
{
    uint8_t seed[16];

    store_u64(seed, file_id);
    memcpy(seed + 8, src + WAL_OFF_SEQ, 8);
    uint32_t crc = crc32c(0, seed, sizeof(seed));
    crc = crc32c(crc, src + WAL_OFF_TYPE, 1);
    crc = crc32c(crc, src + WAL_OFF_LEN, WAL_HEAD_LEN - WAL_OFF_LEN);
    return crc32c(crc, src + WAL_HEAD_LEN, len);
}

void wal_frame_head(uint8_t *dst, enum wal_type type, unsigned flags, lsn seq, uint32_t len)
{
    store_u32(dst + WAL_OFF_MAGIC, WAL_MAGIC);
    dst[WAL_OFF_TYPE] = (uint8_t)type;
    store_u32(dst + WAL_OFF_CRC, 0);
    store_u32(dst + WAL_OFF_LEN, len);
    store_u64(dst + WAL_OFF_SEQ, seq);
    dst[WAL_OFF_FLAGS] = (uint8_t)flags;
    store_u16(dst + WAL_OFF_FLAGS + 1, 0);
}

void wal_frame_seal(uint8_t *frame, uint64_t file_id)
{
    uint32_t len = load_u32(frame + WAL_OFF_LEN);
    store_u32(frame + WAL_OFF_CRC, wal_frame_crc(file_id, frame, len));
}

const char *wal_frame_parse(struct wal_frame *out, size_t *frame_len, uint64_t file_id,
                            const uint8_t *src, size_t len)
{
    if (len < WAL_HEAD_LEN) return "the file ends inside a frame's header";
    if (load_u32(src + WAL_OFF_MAGIC) != WAL_MAGIC) return "no frame begins here";

    uint32_t payload = load_u32(src + WAL_OFF_LEN);
    if (payload < WAL_RUN_LEN || payload > WAL_PAYLOAD_MAX) return "impossible frame length";
    if (payload > len - WAL_HEAD_LEN) return "the file ends inside a frame";
    if (load_u16(src + WAL_OFF_FLAGS + 1) != 0) return "reserved bytes are not zero";
    if (load_u32(src + WAL_OFF_CRC) != wal_frame_crc(file_id, src, payload)) {
        return "the checksum is wrong";
    }
    *out = (struct wal_frame){
        .type = (enum wal_type)src[WAL_OFF_TYPE],
        .flags = src[WAL_OFF_FLAGS],
        .seq = load_u64(src + WAL_OFF_SEQ),
        .run = load_u64(src + WAL_HEAD_LEN),
        .payload = slice_of(src + WAL_HEAD_LEN + WAL_RUN_LEN, payload - WAL_RUN_LEN),
    };
    *frame_len = WAL_HEAD_LEN + (size_t)payload;
    return NULL;
}

/* ---- the head of a file ---- */

void wal_file_head_put(uint8_t dst[WAL_FILE_HEAD_LEN], const struct wal_file_head *head)
{
    memset(dst, 0, WAL_FILE_HEAD_LEN);
    store_u32(dst + FILE_OFF_MAGIC, WAL_FILE_MAGIC);
    store_u32(dst + FILE_OFF_FORMAT, WAL_FORMAT);
    store_u64(dst + FILE_OFF_ID, head->file_id);
    store_u64(dst + FILE_OFF_SESSION, head->session);
    memcpy(dst + FILE_OFF_DB, head->db.bytes, DATABASE_ID_LEN);
    store_u32(dst + FILE_OFF_CRC, crc32c(0, dst, FILE_OFF_CRC));
}

status wal_file_head_get(struct wal_file_head *out, const uint8_t *src, size_t len,
                         struct err *err)
{
    if (len < WAL_FILE_HEAD_LEN) {
        return err_set(err, ST_CORRUPT, "%zu bytes, shorter than the header", len);
    }
    if (load_u32(src + FILE_OFF_MAGIC) != WAL_FILE_MAGIC) {
        return err_set(err, ST_CORRUPT, "not a WAL file");
    }
    if (load_u32(src + FILE_OFF_CRC) != crc32c(0, src, FILE_OFF_CRC)) {
        return err_set(err, ST_CORRUPT, "the header's checksum is wrong");
    }
    uint32_t format = load_u32(src + FILE_OFF_FORMAT);
    if (format > WAL_FORMAT) {
        return err_set(err, ST_UNSUPPORTED, "format %u, this program knows up to %d", format,
                       WAL_FORMAT);
    }
    out->file_id = load_u64(src + FILE_OFF_ID);
    out->session = load_u64(src + FILE_OFF_SESSION);
    memcpy(out->db.bytes, src + FILE_OFF_DB, DATABASE_ID_LEN);
    return ST_OK;
}
