/* Frame: magic, version, type, length and CRC32C around any payload. For files other
 * than the WAL, which has its own. Pure, any thread. Layout: docs/formats/frame.md.
 */
#ifndef TSINK_CODEC_FRAME_H
#define TSINK_CODEC_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { FRAME_HEAD_LEN = 20 };

/* Four letters as they appear in the file: FRAME_MAGIC('T','S','C','K'). */
#define FRAME_MAGIC(a, b, c, d)                                                                \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

struct frame {
    uint32_t magic;
    uint16_t version;
    uint16_t type;          /* the file's own meaning */
    const uint8_t *payload; /* borrowed */
    size_t len;             /* of the payload */
};

/* Writes the FRAME_HEAD_LEN bytes that go before the payload. Cannot fail. */
void frame_put_head(uint8_t dst[FRAME_HEAD_LEN], const struct frame *frame);

/* Reads the frame at src: its head and payload lie within src[0..len), the magic is
 * `magic`, the version is 1..version_max, the payload is at most len_max bytes, the
 * CRC holds. The next frame begins at out->payload + out->len. ST_CORRUPT with the
 * reason; ST_UNSUPPORTED for a version above version_max whose CRC holds. */
CHECKED status frame_read(struct frame *out, const uint8_t *src, size_t len, uint32_t magic,
                          uint16_t version_max, size_t len_max, struct err *err);

#endif
