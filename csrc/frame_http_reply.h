/* frame_http_reply.h -- responses of HTTP: from Python's values, the server's own, and the parts of
 * a head that others need who write responses themselves. Level 2. */
#ifndef FL_FRAME_HTTP_REPLY_H
#define FL_FRAME_HTTP_REPLY_H

#include "base.h"

struct codec_reader;
struct exchange;
struct framing;
struct queue;
struct wire;

/* The reply() of protocol_http. Takes
 *   bytes, str         at first: a whole response 200; later: a piece of the body
 *   None               at first: a response 204
 *   list of bytes, str later: pieces
 *   FL_HTTP, FL_HTTP_START, FL_HTTP_END
 * A complete response leaves x->stage at STAGE_NONE: whatever else is said to it is FL_EVALUE. An
 * interim response (100 to 199 but 101) in FL_HTTP_START leaves it at STAGE_NEW. */
int http_reply(const struct framing *f, struct exchange *x, struct codec_reader *value,
               struct wire *w, struct queue *q);

/* The answer() of protocol_http: `text` as text/plain; NULL: the reason phrase. With a
 * response begun it says nothing and returns REPLY_LAST, so that nobody takes what was sent for
 * the whole. */
int http_answer(const struct framing *f, struct exchange *x, int status, const char *text,
                struct wire *w, struct queue *q);

/* Says the beginning of a chunk of n bytes, which are to follow, and a CRLF behind them. Returns 0
 * or -ENOMEM. */
int http_chunk(struct wire *w, struct queue *q, uint64_t n);

/* -- parts of a head: each writes at p, with the CRLF of its line, and returns the end -- */

enum {
    HTTP_STATUS = 64,  /* the most that http_status() writes */
    HTTP_GENERAL = 64, /* ... http_general() */
    HTTP_BEGIN = HTTP_STATUS + HTTP_GENERAL,
    HTTP_LENGTH = 40,
};

/* The status line. `status` is 100 to 999. */
char *http_status(char *p, int status);

/* Date (unless `dated`: it has one already), and Connection as the exchange needs it: `close` for
 * HTTP_CLOSE and HTTP_OPEN, `keep-alive` for HTTP_KEPT. */
char *http_general(char *p, const struct framing *f, const struct exchange *x, bool dated);

/* Both of them: how most responses begin. Fields and an empty line are to follow. */
char *http_begin(char *p, const struct framing *f, const struct exchange *x, int status);

/* Content-Length. */
char *http_length(char *p, uint64_t n);

/* What http_fields() met and did not write, or must not be written again. */
struct http_given {
    uint64_t length; /* of content-length, if has_length */
    bool has_length;
    bool date;    /* was written */
    bool type;    /* content-type: was written */
    bool close;   /* connection: close */
    bool upgrade; /* connection: upgrade */
};

/* Reads a list or tuple of (name, value) pairs, str or bytes, and writes them as fields, but for
 * Content-Length, Connection and Transfer-Encoding, which the server says itself. What it writes is
 * shorter than what it reads: room for in->end - in->at, or what codec_skip() measures, suffices.
 * *given is filled anew. Returns 0; FL_EVALUE for a name or a value that HTTP does not allow; or
 * FL_EOUTBOX. */
int http_fields(char **p, struct codec_reader *in, struct http_given *given);

/* The response was said whole: returns REPLY_SAID or, if the connection ends with it, REPLY_LAST,
 * and sets the stage to STAGE_NONE. */
int http_complete(struct exchange *x);

/* Of the statuses that are registered; "" for others. */
const char *http_reason(int status);

#endif
