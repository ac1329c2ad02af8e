/* Value types. See value.h. */
#include "model/value.h"

#include <math.h>
#include <stddef.h>

#include "base/panic.h"

static const char *const names[] = {
    [VALUE_F64] = "f64",   [VALUE_I64] = "i64",     [VALUE_U64] = "u64",
    [VALUE_BOOL] = "bool", [VALUE_BYTES] = "bytes", [VALUE_HISTOGRAM] = "histogram",
};

bool value_type_valid(unsigned type)
{
    return type >= VALUE_F64 && type <= VALUE_HISTOGRAM;
}

const char *value_type_name(enum value_type type)
{
    return value_type_valid(type) ? names[type] : "unknown";
}

enum value_lane value_lane_of(enum value_type type)
{
    return type == VALUE_BYTES ? LANE_BLOB : LANE_NUMERIC;
}

double value_to_f64(enum value_type type, union value v)
{
    switch (type) {
    case VALUE_F64: return bits_f64(v.bits);
    case VALUE_I64: return (double)(int64_t)v.bits;
    case VALUE_U64: return (double)v.bits;
    case VALUE_BOOL: return v.bits ? 1 : 0;
    case VALUE_BYTES:
    case VALUE_HISTOGRAM: return (double)NAN;
    }
    PANIC("value type %d", (int)type);
}
