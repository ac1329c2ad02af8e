/* Durations and sizes as text. See duration.h. */
#include "base/duration.h"

#include <string.h>
#include <strings.h>

#include "base/numfmt.h"

/* Largest first: a duration names its units in this order. Prometheus keeps durations
 * in nanoseconds, which is where its largest comes from (292 years). */
static const struct unit {
    const char *name;
    int64_t ms;
    bool exact; /* printed only when nothing is left over: 90d, not 12w6d */
} units[] = {
    {"y", 365LL * 86400000, true},
    {"w", 7LL * 86400000, true},
    {"d", 86400000, false},
    {"h", 3600000, false},
    {"m", 60000, false},
    {"s", 1000, false},
    {"ms", 1, false},
};

enum { N_UNITS = sizeof(units) / sizeof(units[0]), UNIT_DIGITS_MAX = 19 };

static const int64_t ms_max = INT64_MAX / 1000000;

static size_t count_digits(struct slice text)
{
    size_t n = 0;
    while (n < text.len && text.ptr[n] >= '0' && text.ptr[n] <= '9') n++;
    return n;
}

/* The unit whose name is the whole run of letters at text, or N_UNITS. */
static size_t find_unit(struct slice text)
{
    size_t len = 0;
    while (len < text.len && text.ptr[len] >= 'a' && text.ptr[len] <= 'z') len++;
    for (size_t i = 0; i < N_UNITS; i++)
        if (slice_is(slice_of(text.ptr, len), units[i].name)) return i;
    return N_UNITS;
}

bool duration_parse_ms(int64_t *out, struct slice text)
{
    int64_t total = 0;
    size_t next = 0; /* the first unit that may still come */

    if (slice_is(text, "0")) {
        *out = 0;
        return true;
    }
    if (text.len == 0) return false;
    while (text.len) {
        int64_t v;
        size_t n = count_digits(text);
        if (n == 0 || n > UNIT_DIGITS_MAX || !parse_i64(&v, slice_of(text.ptr, n))) return false;
        text = slice_skip(text, n);
        size_t unit = find_unit(text);
        if (unit == N_UNITS || unit < next) return false;
        if (__builtin_mul_overflow(v, units[unit].ms, &v)) return false;
        if (__builtin_add_overflow(total, v, &total) || total > ms_max) return false;
        text = slice_skip(text, strlen(units[unit].name));
        next = unit + 1;
    }
    *out = total;
    return true;
}

size_t duration_print_ms(char *dst, int64_t ms)
{
    size_t len = 0;
    uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;

    if (ms == 0) {
        memcpy(dst, "0s", 2);
        return 2;
    }
    if (ms < 0) dst[len++] = '-';
    for (size_t i = 0; i < N_UNITS; i++) {
        uint64_t unit = (uint64_t)units[i].ms;
        if (left < unit || (units[i].exact && left % unit != 0)) continue;
        len += numfmt_u64(dst + len, left / unit);
        size_t name_len = strlen(units[i].name);
        memcpy(dst + len, units[i].name, name_len);
        len += name_len;
        left %= unit;
    }
    return len;
}

/* ---- sizes ---------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned shift;
} sizes[] = {{"tb", 40}, {"gb", 30}, {"mb", 20}, {"kb", 10}};

enum { N_SIZES = sizeof(sizes) / sizeof(sizes[0]) };

bool size_parse(uint64_t *out, struct slice text)
{
    uint64_t v;
    unsigned shift = 0;
    size_t n = count_digits(text);
    struct slice unit = slice_skip(text, n);

    if (n == 0 || !parse_u64(&v, slice_of(text.ptr, n))) return false;
    if (unit.len && !slice_is_nocase(unit, "b")) {
        size_t i = 0;
        while (i < N_SIZES && !slice_is_nocase(unit, sizes[i].name)) i++;
        if (i == N_SIZES) return false;
        shift = sizes[i].shift;
    }
    if (v > UINT64_MAX >> shift) return false;
    *out = v << shift;
    return true;
}

size_t size_print(char *dst, uint64_t bytes)
{
    for (size_t i = 0; i < N_SIZES && bytes; i++) {
        if (bytes & ((1ull << sizes[i].shift) - 1)) continue;
        size_t len = numfmt_u64(dst, bytes >> sizes[i].shift);
        memcpy(dst + len, sizes[i].name, 2);
        return len + 2;
    }
    return numfmt_u64(dst, bytes);
}
