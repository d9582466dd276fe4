/* http_head.h -- the head of a request: request line and fields (RFC 9112, 2 to 6). Level 2. */
#ifndef FL_HTTP_HEAD_H
#define FL_HTTP_HEAD_H

#include "base.h"

struct http_settings;
struct message;
struct progress;

/* Reads a whole head in one pass and fills m->http; .body_len is what Content-Length says, .body is
 * left empty. Returns its length, the empty line included. Anything else is refused, also a head
 * whose end is not there yet: then it is for http_head_search() to say what is wrong. */
ssize_t http_head_parse(const struct http_settings *s, const char *data, size_t n,
                        struct message *m);

/* Looks for the end of a head, line by line, and for what is wrong in the lines that are complete,
 * without a second look at any byte: so the verdict does not depend on how the bytes were cut.
 * Returns where the head ends, 0 if more bytes are needed, FL_EPROTO or FL_ELIMIT. A head that
 * passes here may still be refused by http_head_parse().
 *
 * Keeps its place in p->seen, ->left and ->excess, all 0 before the first call. */
ssize_t http_head_search(const struct http_settings *s, struct progress *p, const char *data,
                         size_t n, struct message *m);

/* Makes *p such that http_head_search() looks for the end of trailers that begin at data + at. */
void http_head_trailers(struct progress *p, size_t at);

/* Fills *m for a refusal with this status (RFC 9110, 15.5). Returns FL_ELIMIT or FL_EPROTO. */
int http_refuse(struct message *m, uint16_t status, const char *text);

#endif
