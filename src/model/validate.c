/* Rules for labels and times. See validate.h. */
#include "model/validate.h"

#include "base/bits.h"
#include "base/utf8.h"

enum { NAME_SHOWN_MAX = 65 };

/* reliability.md 5, the table of default limits; values of bytes series and keys: 1 MiB
 * and 1 KiB, guesses. */
const struct limits limits_default = {
    .label_name_len_max = 256,
    .label_value_len_max = 16 << 10,
    .metric_name_len_max = 1 << 10,
    .labels_max = 64,
    .batch_series_max = 100000,
    .batch_samples_max = 1000000,
    .value_bytes_max = 1 << 20,
    .key_len_max = 1 << 10,
};

static status check_name(const struct label *l, const struct limits *limits, struct err *err)
{
    if (l->name.len == 0) return err_set(err, ST_BAD_LABEL, "a label has an empty name");
    if (l->name.len > limits->label_name_len_max)
        return err_set(err, ST_BAD_LABEL, "a label name has %zu bytes, the limit is %u",
                       l->name.len, limits->label_name_len_max);
    if (!utf8_valid(l->name)) return err_set(err, ST_BAD_LABEL, "a label name is not UTF-8");
    return ST_OK;
}

static status check_value(const struct label *l, const struct limits *limits, struct err *err)
{
    char shown[NAME_SHOWN_MAX];
    size_t len_max = limits->label_value_len_max;
    if (slice_is(l->name, LABEL_NAME)) len_max = limits->metric_name_len_max;
    if (slice_is(l->name, LABEL_KEY)) len_max = limits->key_len_max;

    (void)utf8_printable(shown, sizeof(shown), l->name);
    if (l->value.len == 0) return err_set(err, ST_BAD_LABEL, "label \"%s\" is empty", shown);
    if (l->value.len > len_max)
        return err_set(err, ST_BAD_LABEL, "label \"%s\" has %zu bytes, the limit is %zu", shown,
                       l->value.len, len_max);
    if (!utf8_valid(l->value))
        return err_set(err, ST_BAD_LABEL, "label \"%s\" is not UTF-8", shown);
    return ST_OK;
}

status validate_labels(struct labels set, const struct limits *limits, bool allow_key,
                       struct err *err)
{
    bool named = false;
    if (set.n > limits->labels_max)
        return err_set(err, ST_BAD_LABEL, "%zu labels, the limit is %u", set.n,
                       limits->labels_max);
    for (size_t i = 0; i < set.n; i++) {
        const struct label *l = &set.ptr[i];
        TRY(check_name(l, limits, err));
        TRY(check_value(l, limits, err));

        bool is_key = slice_is(l->name, LABEL_KEY);
        if (slice_is(l->name, LABEL_TENANT) || slice_is(l->name, LABEL_STARTS) ||
            (is_key && !allow_key))
            return err_set(err, ST_BAD_LABEL, "label \"" SLICE_FMT "\" is reserved",
                           SLICE_ARG(l->name));
        named = named || is_key || slice_is(l->name, LABEL_NAME);
    }
    return named ? ST_OK : err_set(err, ST_BAD_LABEL, "the series has no metric name");
}

struct time_window time_window_at(ts_time now, int64_t retention, int64_t future_skew)
{
    if (retention == 0) return (struct time_window){TS_MIN, TS_MAX};
    return (struct time_window){sat_sub(now, retention), sat_add(now, future_skew)};
}

status validate_time(ts_time t, struct time_window window)
{
    if (t < window.oldest) return ST_TOO_OLD;
    return t > window.newest ? ST_TOO_NEW : ST_OK;
}
