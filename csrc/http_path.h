/* http_path.h -- targets of requests: reading them, and decoding their paths. Level 2. */
#ifndef FL_HTTP_PATH_H
#define FL_HTTP_PATH_H

#include "base.h"

struct http_request;

/* Reads a target (RFC 9112, 3.2) in origin-form, absolute-form of http or https, or `*` where the
 * method is OPTIONS, and fills r->target, ->path and ->query. `start` is the first byte that may be
 * read. Returns what is behind it, which is a space; NULL: it is malformed. */
const char *http_path_target(const char *p, const char *end, const char *start,
                             struct http_request *r);

/* Whether this is a host and perhaps a port (RFC 3986, 3.2.2), without user information; never if
 * it is empty. */
bool http_path_authority(struct text t);

/* Decodes %xx, once; what is no %xx stays as it is. `out` has room for path.len bytes. Returns how
 * many were written. */
size_t http_path_decode(char *out, struct text path);

/* The host and port that a target in absolute-form names; `other` if it is in another form. */
struct text http_path_host(struct text target, struct text other);

/* Whether these bytes are ASCII. */
bool http_path_ascii(const char *p, size_t n);

/* Writes bytes as UTF-8 in which each byte that is no part of a character is a surrogate, U+DC80 to
 * U+DCFF (Python's surrogateescape, in the form of its surrogatepass). `out` has room for 3 * n
 * bytes. Returns how many were written. */
size_t http_path_escape(char *out, const char *p, size_t n);

/* Writes bytes as UTF-8 in which U+FFFD stands for what is none, once for each start of a character
 * that does not go on (Unicode, 3.9, as Python's errors="replace"). `out` has room for 3 * n bytes;
 * p may be 2 * n bytes behind it. Returns how many were written. */
size_t http_path_replace(char *out, const char *p, size_t n);

#endif
