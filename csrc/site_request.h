/* site_request.h -- what a request for a file asks beyond its path: conditions, ranges, encodings
 * (RFC 9110, 12.5.3, 13 and 14). Level 1. Pure: views in, decisions out. */
#ifndef FL_SITE_REQUEST_H
#define FL_SITE_REQUEST_H

#include "base.h"

enum site_coding {
    SITE_PLAIN,
    SITE_BROTLI, /* what all clients accept as well is chosen in this order */
    SITE_ZSTD,
    SITE_GZIP,
    SITE_CODINGS,
};

enum site_field {
    SITE_ACCEPT_ENCODING,
    SITE_RANGE,
    SITE_IF_RANGE,
    SITE_IF_MATCH,
    SITE_IF_NONE_MATCH,
    SITE_IF_MODIFIED_SINCE,
    SITE_IF_UNMODIFIED_SINCE,
    SITE_FIELDS,
};

/* The fields of a request's head that matter here: views of it. */
struct site_request {
    struct text head;                /* request line and fields, each ended by CRLF */
    struct text fields[SITE_FIELDS]; /* the first value of each; .at NULL: there is none */
    uint8_t repeated;                /* bit n: field n came more than once */
    uint8_t codings;                 /* accepted ones, see site_request_coding() */
};

void site_request_read(struct site_request *r, struct text head);

/* The n-th coding (from 0) of those that the client accepts, best first; SITE_PLAIN: no more. */
static inline enum site_coding site_request_coding(uint8_t codings, unsigned n)
{
    return (enum site_coding)(n < 3 ? codings >> (2 * n) & 3 : SITE_PLAIN);
}

/* What a client has or wants is compared with. */
struct site_version {
    struct text etag; /* with its quotes; strong */
    int64_t modified; /* seconds since 1970 */
};

/* Weighs the conditions in the order of RFC 9110, 13.2.2. Returns 200 (also where the range, if
 * any, is to be looked at), 304 or 412; with *ranged whether If-Range allows a range. */
int site_request_weigh(const struct site_request *r, const struct site_version *v, bool *ranged);

enum { SITE_RANGES = 16 };

struct site_range {
    uint64_t first, last; /* both included */
};

/* The ranges of size bytes that are asked for, those that touch each other joined. Returns how
 * many; 0: send everything (nothing asked, more than SITE_RANGES of them, or more bytes than there
 * are); -1: none of them exists, or the field is malformed. */
int site_request_ranges(const struct site_request *r, uint64_t size,
                        struct site_range ranges[SITE_RANGES]);

#endif
