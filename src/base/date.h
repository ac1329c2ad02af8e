/* The calendar in UTC: seconds since 1970 <-> a date. Pure, any thread. */
#ifndef TSINK_BASE_DATE_H
#define TSINK_BASE_DATE_H

#include <stdint.h>

struct date {
    int year, month, day;      /* month and day from 1 */
    int hour, minute, second;
};

/* unix_s: 0 to the end of the year 9999; what lies outside is taken as the nearer end. */
struct date date_of(int64_t unix_s);

#endif
