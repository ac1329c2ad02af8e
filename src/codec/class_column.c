/* Columns of class streams: what decimal.h takes apart, coded by entropy.h. See
 * class_column_priv.h. */
#include "codec/class_column_priv.h"

#include <string.h>

#include "codec/codec_priv.h"

size_t class_column_bound(size_t n)
{
    return decimal_bound(n) + VARINT_MAX + 2 * entropy_bound(n);
}

size_t class_column_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n,
                           struct work *work)
{
    struct decimal_parts parts;
    uint64_t *words = work_words(work, n);

    if (!words || decimal_scratch_reserve(&work->decimal, n) != ST_OK) return SIZE_MAX;
    decimal_split(&parts, dst, type, val, n, &work->decimal, entropy_guess);
    size_t at = parts.head_len;
    if (parts.n_streams == 2) {
        uint8_t *body = dst + at + VARINT_MAX;
        size_t first = entropy_encode(body, parts.r[0], parts.n_r[0], words);
        at += varint_put(dst + at, first);
        memmove(dst + at, body, first);
        at += first;
    }
    size_t last = parts.n_streams - 1;
    return at + entropy_encode(dst + at, parts.r[last], parts.n_r[last], words);
}

status class_reader_open(struct class_reader *rd, enum value_type type, size_t n,
                         const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    size_t used;
    uint64_t first_len;

    TRY(decimal_join_open(&rd->decimal, type, n, &used, src, len));
    (void)span_take(&in, used);
    size_t n_streams = decimal_join_streams(&rd->decimal);
    if (n_streams == 2) {
        if (!span_varint(&first_len, &in)) return ST_CORRUPT;
        const uint8_t *first = span_take(&in, first_len);
        if (!first) return ST_CORRUPT;
        TRY(entropy_open(&rd->stream[0], first, (size_t)first_len));
    }
    return entropy_open(&rd->stream[n_streams - 1], in.src, in.len);
}

status class_reader_next(struct class_reader *rd, union value *val, size_t *n)
{
    size_t n_streams = decimal_join_streams(&rd->decimal);

    for (size_t k = 0; k < n_streams; k++) {
        entropy_next(&rd->stream[k], rd->r[k], decimal_join_wants(&rd->decimal, k));
    }
    TRY(decimal_join(&rd->decimal, val, n, rd->r[0], rd->r[1]));
    bool end = rd->decimal.at == rd->decimal.n;
    for (size_t k = 0; end && k < n_streams; k++) TRY(entropy_done(&rd->stream[k]));
    return ST_OK;
}
