/* The calendar. See date.h. Days are counted by the lengths of the months, beginning in
 * March, so that the leap day is the last of its year; 400 years have 146,097 days. */
#include "base/date.h"

enum { DAYS_400 = 146097, DAYS_TO_MARCH_0 = 719468 }; /* 0000-03-01 to 1970-01-01 */

struct date date_of(int64_t unix_s)
{
    static const int64_t last = 253402300799; /* 9999-12-31T23:59:59Z */
    int64_t s = unix_s < 0 ? 0 : unix_s > last ? last : unix_s;
    int64_t days = s / 86400 + DAYS_TO_MARCH_0, in_day = s % 86400;
    int64_t era = days / DAYS_400, day = days % DAYS_400;

    /* Years of this era: a quarter of 1461 days, but for the 100th, 200th and 300th. */
    int64_t year = (day - day / 1460 + day / 36524 - day / (DAYS_400 - 1)) / 365;
    day -= 365 * year + year / 4 - year / 100;
    int64_t month = (5 * day + 2) / 153; /* from March, 0..11 */
    return (struct date){
        .year = (int)(400 * era + year + (month >= 10)),
        .month = (int)(month < 10 ? month + 3 : month - 9),
        .day = (int)(day - (153 * month + 2) / 5 + 1),
        .hour = (int)(in_day / 3600),
        .minute = (int)(in_day / 60 % 60),
        .second = (int)(in_day % 60),
    };
}
