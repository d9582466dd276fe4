/* http_field.h -- the fields of a head that was read, one by one, and the names that most of them
 * have. Level 1. */
#ifndef FL_HTTP_FIELD_H
#define FL_HTTP_FIELD_H

#include "base.h"

/* A name that clients know, in the two forms in which applications do. */
struct http_field_name {
    struct text lower;    /* ASGI: as bytes */
    struct text variable; /* WSGI: HTTP_... (RFC 3875, 4.1.18), but for two */
};

enum {
    HTTP_FIELD_NAMES = 64, /* in http_field_names[] */
    HTTP_FIELD_UNKNOWN = HTTP_FIELD_NAMES,

    /* places of some */
    HTTP_FIELD_HOST = 5,
    HTTP_FIELD_COOKIE = 8,
    HTTP_FIELD_UPGRADE = 15,
    HTTP_FIELD_CONTENT_LENGTH = 38,
    HTTP_FIELD_TRANSFER_ENCODING = 54,
};

/* By length, and those of one length by the alphabet. */
extern const struct http_field_name http_field_names[HTTP_FIELD_NAMES];

struct http_field {
    struct text name;
    struct text value; /* without the white space around it */
};

/* A walk over fields: `at` is where the next line begins. The head was accepted by
 * http_head_parse(), so that every line is a name, a colon and a value. */
struct http_walk {
    const char *at;
    const char *end;
};

/* A walk that begins behind the request line. */
struct http_walk http_field_walk(struct text head);

/* Takes the next field. Returns whether there was one. */
bool http_field_next(struct http_walk *w, struct http_field *f);

/* The name's place in http_field_names[], in whatever case, or HTTP_FIELD_UNKNOWN. */
unsigned http_field_known(struct text name);

#endif
