/* Frames: 20 bytes of head, then the payload. The CRC covers the head before it and
 * the payload, so that a flipped bit in a length or a type is noticed as well.
 * Layout: docs/formats/frame.md. */
#include "codec/frame.h"

#include "base/bytes.h"
#include "base/crc32c.h"

enum {
    FRAME_OFF_MAGIC = 0,
    FRAME_OFF_VERSION = 4,
    FRAME_OFF_TYPE = 6,
    FRAME_OFF_LEN = 8,
    FRAME_OFF_CRC = 16,
};

static uint32_t frame_crc(const uint8_t *head, const uint8_t *payload, size_t len)
{
    return crc32c(crc32c(0, head, FRAME_OFF_CRC), payload, len);
}

void frame_put_head(uint8_t dst[FRAME_HEAD_LEN], const struct frame *frame)
{
    store_u32(dst + FRAME_OFF_MAGIC, frame->magic);
    store_u16(dst + FRAME_OFF_VERSION, frame->version);
    store_u16(dst + FRAME_OFF_TYPE, frame->type);
    store_u64(dst + FRAME_OFF_LEN, frame->len);
    store_u32(dst + FRAME_OFF_CRC, frame_crc(dst, frame->payload, frame->len));
}

status frame_read(struct frame *out, const uint8_t *src, size_t len, uint32_t magic,
                  uint16_t version_max, size_t len_max, struct err *err)
{
    if (len < FRAME_HEAD_LEN) {
        return err_set(err, ST_CORRUPT, "%zu bytes are no frame head", len);
    }
    uint64_t payload_len = load_u64(src + FRAME_OFF_LEN);
    if (load_u32(src + FRAME_OFF_MAGIC) != magic) {
        return err_set(err, ST_CORRUPT, "frame magic is %08x, not %08x",
                       load_u32(src + FRAME_OFF_MAGIC), magic);
    }
    if (payload_len > len_max || payload_len > len - FRAME_HEAD_LEN) {
        return err_set(err, ST_CORRUPT, "frame of %llu bytes where %zu are left and %zu allowed",
                       (unsigned long long)payload_len, len - FRAME_HEAD_LEN, len_max);
    }
    const uint8_t *payload = src + FRAME_HEAD_LEN;
    uint32_t crc = frame_crc(src, payload, (size_t)payload_len);
    if (crc != load_u32(src + FRAME_OFF_CRC)) {
        return err_set(err, ST_CORRUPT, "frame CRC is %08x, its head says %08x", crc,
                       load_u32(src + FRAME_OFF_CRC));
    }
    uint16_t version = load_u16(src + FRAME_OFF_VERSION);
    if (version == 0) return err_set(err, ST_CORRUPT, "frame version 0");
    if (version > version_max) {
        return err_set(err, ST_UNSUPPORTED, "frame version %u, this program knows up to %u",
                       version, version_max);
    }
    *out = (struct frame){
        .magic = magic,
        .version = version,
        .type = load_u16(src + FRAME_OFF_TYPE),
        .payload = payload,
        .len = (size_t)payload_len,
    };
    return ST_OK;
}
