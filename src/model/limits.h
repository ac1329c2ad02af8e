/* Limits on what one request may carry (reliability.md 5). Options may lower or
 * raise the defaults; the ceilings are what the formats can hold. */
#ifndef TSINK_MODEL_LIMITS_H
#define TSINK_MODEL_LIMITS_H

#include <stddef.h>
#include <stdint.h>

struct limits {
    uint32_t label_name_len_max;     /* 256 */
    uint32_t label_value_len_max;    /* 16 KiB */
    uint32_t metric_name_len_max;    /* 1 KiB */
    uint32_t labels_max;             /* 64 a series */
    uint32_t batch_series_max;       /* 100,000 */
    uint32_t batch_samples_max;      /* 1,000,000 */
    size_t value_bytes_max;          /* 1 MiB, bytes values */
    size_t key_len_max;              /* 1 KiB, TS.* keys: a label value like others */
};

extern const struct limits limits_default;

#endif
