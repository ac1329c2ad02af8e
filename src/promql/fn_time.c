/* Time functions: the evaluation time, sample times, parts of a civil date (UTC), and the
 * query's own frame. Dates are computed here, without the C library's calendar: no
 * locale, no time zone, no lock.
 */
#include "promql/eval_priv.h"

/* ---- calendar --------------------------------------------------------------------- */

struct civil {
    int64_t year;
    int month, day; /* from 1 */
    int weekday;    /* 0: Sunday */
    int yearday;    /* from 1 */
    int hour, minute;
};

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Counts days in eras of 400 years that begin on 1 March, so that the leap day is the
 * last of its year: 146097 days an era, 719468 from 0000-03-01 to 1970-01-01. rest is
 * the seconds of the day. */
static struct civil civil_of(int64_t days, int64_t rest)
{
    struct civil c;
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
                           day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153; /* months from March */

    c.day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    c.month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    c.year = year_of_era + era * 400 + (c.month <= 2);
    c.weekday = (int)((days % 7 + 11) % 7); /* 1970-01-01 was a Thursday */
    c.yearday = c.day;
    for (int m = 1; m < c.month; m++) c.yearday += month_days(c.year, m);
    c.hour = (int)(rest / 3600);
    c.minute = (int)(rest / 60 % 60);
    return c;
}

/* ---- parts of a date -------------------------------------------------------------- */

typedef double (*date_fn)(const struct civil *c);

/* What is no number of seconds that fits 64 bits counts as the smallest one, and times are
 * counted from the year -292277022399, modulo 2^64: so do Prometheus' dates of such values
 * come out on common machines. */
static double date_part(double value, date_fn fn)
{
    const uint64_t epoch = 9223372028715321600u; /* seconds from that year to 1970 */
    bool fits = value >= -0x1p63 && value < 0x1p63;
    uint64_t since = (fits ? (uint64_t)(int64_t)value : 1ull << 63) + epoch;
    struct civil c = civil_of((int64_t)(since / 86400) - (int64_t)(epoch / 86400),
                              (int64_t)(since % 86400));
    return fn(&c);
}

struct date_sink {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    date_fn fn;
    struct sink *to;
};

static status date_put(struct sink *sink, struct column *col)
{
    struct date_sink *s = container_of(sink, struct date_sink, sink);

    (void)column_drop_hist(s->frame, col);
    if (!bit_any(col->has, s->frame->n)) return ST_OK;
    FOR_EACH_BIT(i, col->has, s->frame->n) col->val[i] = date_part(col->val[i], s->fn);
    TRY(column_drop_name(s->ev, col));
    return sink_put(s->to, col);
}

static status put_times(struct eval *ev, const struct frame *f, struct sink *sink)
{
    struct column col;

    TRY(column_init(ev, f, &col));
    for (size_t i = 0; i < f->n; i++) {
        col.val[i] = plan_seconds(ev->plan, frame_time(f, i));
        bit_set(col.has, i);
    }
    return sink_put(sink, &col);
}

/* Of the values of the vector, or of the evaluation time. */
static status date_call(struct eval *ev, const struct frame *f, const struct expr *call,
                        struct sink *sink, date_fn fn)
{
    struct date_sink date = {{date_put}, ev, f, fn, sink};

    if (call->call.n_args) return eval_vector(ev, f, call->call.args[0], &date.sink);
    return put_times(ev, f, &date.sink);
}

#define DATE_FUNCTION(name, part)                                                              \
    static double date_##name(const struct civil *c)                                           \
    {                                                                                          \
        return (double)(part);                                                                 \
    }                                                                                          \
    status fn_##name(struct eval *ev, const struct frame *f, const struct expr *call,          \
                     struct sink *sink)                                                        \
    {                                                                                          \
        return date_call(ev, f, call, sink, date_##name);                                      \
    }

DATE_FUNCTION(minute, c->minute)
DATE_FUNCTION(hour, c->hour)
DATE_FUNCTION(day_of_week, c->weekday)
DATE_FUNCTION(day_of_month, c->day)
DATE_FUNCTION(day_of_year, c->yearday)
DATE_FUNCTION(days_in_month, month_days(c->year, c->month))
DATE_FUNCTION(month, c->month)
DATE_FUNCTION(year, c->year)

/* ---- times ------------------------------------------------------------------------ */

status fn_time(struct eval *ev, const struct frame *f, const struct expr *call,
               struct sink *sink)
{
    (void)call;
    return put_times(ev, f, sink);
}

struct timestamp_sink {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    bool evaluation;  /* the step's time; else val has the sample's */
    struct sink *to;
};

static status timestamp_put(struct sink *sink, struct column *col)
{
    struct timestamp_sink *s = container_of(sink, struct timestamp_sink, sink);

    if (s->evaluation) {
        col->hist = NULL; /* a histogram has a time like any sample */
        FOR_EACH_BIT(i, col->has, s->frame->n) {
            col->val[i] = plan_seconds(s->ev->plan, frame_time(s->frame, i));
        }
    }
    TRY(column_drop_name(s->ev, col));
    return sink_put(s->to, col);
}

/* A selector's samples have their own times, anything else the evaluation's. */
status fn_timestamp(struct eval *ev, const struct frame *f, const struct expr *call,
                    struct sink *sink)
{
    struct timestamp_sink put = {{timestamp_put}, ev, f, true, sink};
    const struct expr *arg = expr_unwrap(call->call.args[0]);

    if (arg->kind != EXPR_VECTOR) return eval_vector(ev, f, arg, &put.sink);
    put.evaluation = false;
    return eval_select(ev, f, arg, SELECT_TIME, &put.sink);
}

/* Samples have starts, what an expression made has none. */
status fn_start_timestamp(struct eval *ev, const struct frame *f, const struct expr *call,
                          struct sink *sink)
{
    struct timestamp_sink put = {{timestamp_put}, ev, f, false, sink};
    const struct expr *arg = expr_unwrap(call->call.args[0]);

    if (arg->kind != EXPR_VECTOR) return ST_OK;
    return eval_select(ev, f, arg, SELECT_START, &put.sink);
}

/* ---- the query's frame ------------------------------------------------------------ */

static status put_constant(struct eval *ev, const struct frame *f, double v, struct sink *sink)
{
    struct column col;

    TRY(column_init(ev, f, &col));
    for (size_t i = 0; i < f->n; i++) {
        col.val[i] = v;
        bit_set(col.has, i);
    }
    return sink_put(sink, &col);
}

status fn_start(struct eval *ev, const struct frame *f, const struct expr *call,
                struct sink *sink)
{
    (void)call;
    return put_constant(ev, f, plan_seconds(ev->plan, ev->plan->start), sink);
}

status fn_end(struct eval *ev, const struct frame *f, const struct expr *call, struct sink *sink)
{
    (void)call;
    return put_constant(ev, f, plan_seconds(ev->plan, ev->plan->end), sink);
}

status fn_step(struct eval *ev, const struct frame *f, const struct expr *call,
               struct sink *sink)
{
    (void)call;
    return put_constant(ev, f, (double)ev->plan->interval_ms / 1000, sink);
}

status fn_range(struct eval *ev, const struct frame *f, const struct expr *call,
                struct sink *sink)
{
    (void)call;
    return put_constant(ev, f, plan_seconds(ev->plan, ev->plan->end - ev->plan->start), sink);
}
