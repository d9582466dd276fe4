/* http_environ.h -- requests in the form of WSGI (PEP 3333). Level 2. */
#ifndef FL_HTTP_ENVIRON_H
#define FL_HTTP_ENVIRON_H

#include "base.h"

struct message;

/* How many bytes http_environ_write() takes at most. */
size_t http_environ_room(const struct message *m);

/* Writes a dict of what the request itself says: REQUEST_METHOD, PATH_INFO (decoded, its bytes as
 * characters), QUERY_STRING, RAW_URI (the target as sent), SERVER_PROTOCOL,
 * REMOTE_ADDR and REMOTE_PORT where they are known, and its fields: HTTP_*, CONTENT_TYPE,
 * CONTENT_LENGTH. Of a field that comes again the values are joined. Names with an underscore are
 * left out: nobody could tell them from those with a hyphen. What is the same for all requests of a
 * listener is for Python to add. Returns the end. */
char *http_environ_write(char *p, const struct message *m);

#endif
