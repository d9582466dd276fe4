/* site_date.c -- reading dates, without the C library's locale and time zones.
 *
 * Workload: a conditional request has one, in the form that we sent. The calendar is counted from
 * the 1st of March, so that the leap day is the last of its year, in eras of 400 years, which all
 * have the same number of days. Pure: any thread. */
#include "site_date.h"

#include <string.h>

enum {
    ERA_DAYS = 146097,
    EPOCH = 719468, /* days from the 1st of March of year 0 to 1970 */
};

static const char days[] = "Sun\0Mon\0Tue\0Wed\0Thu\0Fri\0Sat";
static const char months[] = "Jan\0Feb\0Mar\0Apr\0May\0Jun\0Jul\0Aug\0Sep\0Oct\0Nov\0Dec";

struct date_time {
    int year, month, day, hour, minute, second; /* month from 0 */
};

static int64_t days_of(int year, int month, int day)
{
    int64_t y = month < 2 ? year - 1 : year;
    int64_t m = month < 2 ? month + 10 : month - 2;
    int64_t era = y / 400;
    int64_t in_era = y - era * 400;
    int64_t in_year = (153 * m + 2) / 5 + day - 1;
    return era * ERA_DAYS + in_era * 365 + in_era / 4 - in_era / 100 + in_year - EPOCH;
}

/* Each form is a pattern, in which a letter stands for a digit of a part, `b` for the
 * month's name, `_` for a digit or space of the day, and anything else for itself. */

static int month_of(const char *at)
{
    for (int m = 0; m < 12; m++) {
        if (memcmp(at, months + m * 4, 3) == 0)
            return m;
    }
    return -1;
}

static bool read_digit(char c, int *n)
{
    *n = *n * 10 + (c - '0');
    return c >= '0' && c <= '9';
}

static bool read_form(const char *at, const char *form, struct date_time *t)
{
    for (; *form != '\0'; form++, at++) {
        bool ok = true;
        switch (*form) {
        case 'Y': ok = read_digit(*at, &t->year); break;
        case 'D': ok = read_digit(*at, &t->day); break;
        case 'h': ok = read_digit(*at, &t->hour); break;
        case 'm': ok = read_digit(*at, &t->minute); break;
        case 's': ok = read_digit(*at, &t->second); break;
        case '_': ok = *at == ' ' || read_digit(*at, &t->day); break;
        case 'b':
            t->month = month_of(at);
            ok = t->month >= 0;
            form += 2; /* "bbb" */
            at += 2;
            break;
        default: ok = *at == *form;
        }
        if (!ok)
            return false;
    }
    return true;
}

static bool exists(const struct date_time *t)
{
    static const char lengths[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = t->year % 4 == 0 && (t->year % 100 != 0 || t->year % 400 == 0);
    int last = t->month == 1 && !leap ? 28 : lengths[t->month];
    return t->year >= 1 && t->day >= 1 && t->day <= last && t->hour < 24 && t->minute < 60 &&
           t->second <= 60; /* 60: a leap second */
}

/* The name of a day that text begins with, long or short; returns its length, 0: none. It is not
 * compared with the date: senders that get it wrong mean the date. */
static size_t day_name(struct text value)
{
    static const char *const rest[7] = {"day", "day", "sday", "nesday", "rsday", "day", "urday"};
    for (size_t d = 0; d < 7 && value.len > 16; d++) {
        if (memcmp(value.at, days + d * 4, 3) != 0)
            continue;
        size_t more = strlen(rest[d]);
        return memcmp(value.at + 3, rest[d], more) == 0 ? 3 + more : 3;
    }
    return 0;
}

bool site_date_read(struct text value, int64_t *seconds)
{
    struct date_time t = {0};
    size_t name = day_name(value);
    const char *at = value.at + name;
    size_t len = value.len - name;
    bool ok = false;
    if (name == 3 && len == 26)
        ok = read_form(at, ", DD bbb YYYY hh:mm:ss GMT", &t);
    else if (name == 3 && len == 21)
        ok = read_form(at, " bbb _D hh:mm:ss YYYY", &t);
    else if (name > 3 && len == 24) {
        ok = read_form(at, ", DD-bbb-YY hh:mm:ss GMT", &t);
        t.year += t.year < 70 ? 2000 : 1900;
    }
    if (!ok || !exists(&t))
        return false;
    *seconds = days_of(t.year, t.month, t.day) * 86400 + t.hour * 3600 + t.minute * 60 + t.second;
    return true;
}
