/* date.h -- points in time as HTTP writes them, and the present one kept ready. Level 1. */
#ifndef FL_DATE_H
#define FL_DATE_H

#include "base.h"

enum { DATE_LEN = 29 }; /* Sun, 06 Nov 1994 08:49:37 GMT */

/* The present second. All zero before the first date_refresh(). */
struct date {
    int64_t second; /* since 1970 */
    char text[DATE_LEN + 3];
};

/* Reads the clock of the day; writes the text anew if the second is another. The loop calls it once
 * a turn. */
void date_refresh(struct date *d);

/* Writes the IMF-fixdate (RFC 9110, 5.6.7) of a second since 1970: DATE_LEN bytes, no NUL. Seconds
 * outside the years 0 to 9999 are taken for the nearest that is not. Returns the end. */
char *date_format(char *out, int64_t second);

#endif
