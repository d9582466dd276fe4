/* site_date.h -- reads times in HTTP fields (RFC 9110, 5.6.7). Level 1. */
#ifndef FL_SITE_DATE_H
#define FL_SITE_DATE_H

#include "base.h"

/* Reads any of the three forms of HTTP-date. Returns false for what is none. A year of two digits
 * lies between 1970 and 2069. */
bool site_date_read(struct text value, int64_t *seconds);

#endif
