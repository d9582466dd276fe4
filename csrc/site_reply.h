/* site_reply.h -- responses that send a file, or say why not. Level 4. */
#ifndef FL_SITE_REPLY_H
#define FL_SITE_REPLY_H

#include "frame.h"
#include "frame_http_reply.h"
#include "site_cache.h"
#include "site_request.h"

/* Where a response goes. */
struct site_out {
    const struct framing *framing;
    struct exchange *x;
    struct wire *wire;
    struct queue *q;
};

/* Fields that a handler adds: lines with CRLF. */
struct site_extra {
    struct text lines;
    struct http_given given;
};

/* The response to a request for this file: 200, 206, 304, 412 or 416. Returns REPLY_SAID or
 * REPLY_LAST, or -ENOMEM. */
int site_reply(const struct site_out *out, const struct site_entry *e, const struct site_request *r,
               const struct site_extra *extra);

/* 301 to the same path with a slash behind it. Returns as site_reply(). */
int site_reply_slash(const struct site_out *out, struct text path, struct text query);

/* 405 with what is allowed. Returns as site_reply(). */
int site_reply_method(const struct site_out *out);

#endif
