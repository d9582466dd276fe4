/* http_chunks.h -- bodies in chunks (RFC 9112, 7.1). Level 2. */
#ifndef FL_HTTP_CHUNKS_H
#define FL_HTTP_CHUNKS_H

#include "base.h"

struct http_settings;
struct message;
struct progress;

/* Reads the first line of a chunk. *size is what it announces; the last chunk's is 0. `*excess` is
 * what the chunks' own bytes take beyond a fair share, and is brought forward; one byte in four has
 * to be of the body, but for the first 64 KiB. Returns the length of the line, 0 if more bytes are
 * needed, or FL_EPROTO with *m filled. */
ssize_t http_chunks_line(const char *data, size_t n, uint64_t *size, uint16_t *excess,
                         struct message *m);

/* Checks as much of the CRLF behind a chunk as is there. Returns 2, 0 if more bytes are needed, or
 * FL_EPROTO. */
ssize_t http_chunks_border(const char *data, size_t n, struct message *m);

/* Looks for the end of a body, trailers included. Returns where it is, 0 if more bytes are needed,
 * FL_EPROTO or FL_ELIMIT with *m filled.
 *
 * Keeps its place in *p; http_chunks_begin() before the first call says where the body begins.
 * ->step is not 0 from then on; ->seen is where the chunk begins that is not complete, ->left how
 * long the body is so far; in the trailers they are what http_head_search() keeps. */
void http_chunks_begin(struct progress *p, size_t at);
ssize_t http_chunks_search(const struct http_settings *s, struct progress *p, const char *data,
                           size_t n, struct message *m);

/* How long the body is without its chunks, which http_chunks_search() found to be right. */
uint64_t http_chunks_measure(struct text body);

/* Writes it without them, as many bytes as http_chunks_measure() says. Returns the end. */
char *http_chunks_join(char *out, struct text body);

#endif
