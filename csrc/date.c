/* date.c -- IMF-fixdate.
 *
 * Workload: every response has a date, so the present second's text is kept; it is written once a
 * second, whatever the clock of the day does in between. A struct date belongs to one thread. */
#include "date.h"

#include <string.h>
#include <time.h>

static char *two(char *p, int n)
{
    p[0] = (char)('0' + n / 10);
    p[1] = (char)('0' + n % 10);
    return p + 2;
}

static char *word(char *p, const char *text, size_t len)
{
    memcpy(p, text, len);
    return p + len;
}

char *date_format(char *out, int64_t second)
{
    static const char days[] = "Sun, Mon, Tue, Wed, Thu, Fri, Sat, ";
    static const char months[] = " Jan  Feb  Mar  Apr  May  Jun  Jul  Aug  Sep  Oct  Nov  Dec ";
    const int64_t earliest = -62167219200; /* the first second of the year 0 */
    const int64_t latest = 253402300799;   /* the last one of 9999 */
    time_t when = (time_t)(second < earliest ? earliest : second > latest ? latest : second);
    struct tm tm;
    gmtime_r(&when, &tm);
    char *p = word(out, days + (ptrdiff_t)tm.tm_wday * 5, 5);
    p = two(p, tm.tm_mday);
    p = word(p, months + (ptrdiff_t)tm.tm_mon * 5, 5);
    p = two(p, (tm.tm_year + 1900) / 100);
    p = two(p, (tm.tm_year + 1900) % 100);
    *p++ = ' ';
    p = two(p, tm.tm_hour);
    *p++ = ':';
    p = two(p, tm.tm_min);
    *p++ = ':';
    p = two(p, tm.tm_sec);
    return word(p, " GMT", 4);
}

void date_refresh(struct date *d)
{
    int64_t now = time(NULL); /* where there is a coarse clock it is of that: about a nanosecond */
    if (now == d->second && d->text[0] != '\0')
        return;
    d->second = now;
    date_format(d->text, d->second);
}
