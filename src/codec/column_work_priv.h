/* Memory that coders of whole columns work in: taken for a call and given back, so that
 * a thread that decodes a million chunks allocates once. Private to codec. */
#ifndef TSINK_CODEC_COLUMN_WORK_PRIV_H
#define TSINK_CODEC_COLUMN_WORK_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "codec/compress.h"
#include "codec/decimal.h"

enum { WORK_BUFFERS = 2 };

struct work {
    uint64_t *words;
    size_t n_words;
    uint8_t *bytes[WORK_BUFFERS];
    size_t n_bytes[WORK_BUFFERS];
    struct decimal_scratch decimal;
    struct zstd_pack *zstd; /* made when it is first wanted */
};

/* Any thread; NULL when memory is refused. What is taken belongs to the caller. */
struct work *work_take(void);
void work_give(struct work *work); /* accepts NULL */

/* Room for n words or bytes with anything in them, until the next call for the same
 * buffer; NULL when memory is refused. */
CHECKED uint64_t *work_words(struct work *work, size_t n);
CHECKED uint8_t *work_bytes(struct work *work, unsigned buffer, size_t n);
CHECKED struct zstd_pack *work_zstd(struct work *work);

#endif
