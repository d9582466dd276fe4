/* http_scope.h -- requests in the form of ASGI (HTTP connection scope). Level 2. */
#ifndef FL_HTTP_SCOPE_H
#define FL_HTTP_SCOPE_H

#include "base.h"

struct message;

/* How many bytes http_scope_write() takes at most. */
size_t http_scope_room(const struct message *m);

/* Writes a dict of what the request itself says: http_version, method, path (decoded; what is no
 * UTF-8 is U+FFFD), raw_path, query_string, headers (a list of tuples; names in lower case) and
 * client, (host, port), where it is known; and for a request to switch to WebSocket type, which is
 * "websocket" then. What is the same for all requests of a listener is for Python to add. Returns
 * the end. */
char *http_scope_write(char *p, const struct message *m);

#endif
