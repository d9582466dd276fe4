/* frame_http_reply.c -- Python values as responses.
 *
 * Workload: a str or bytes for a request of HTTP/1.1 that keeps its connection: six copies into
 * room that was asked for once. Whatever else there is takes the longer way, field by field.
 *
 * Invariants: nothing from a handler reaches a head unchecked; the server alone says where a body
 * ends, and what it announced is what it sends: what is too long is cut, and what turns out too
 * short ends the connection. Pure functions, any thread. */
#include "frame_http_reply.h"

#include <errno.h>

#include "date.h"
#include "fastloop.h"
#include "frame.h"
#include "http_bytes.h"

#define BINARY "application/octet-stream"
#define PLAIN  "text/plain; charset=utf-8"

enum { HEX = 16 }; /* digits of the longest chunk size */

struct say {
    const struct framing *f;
    struct exchange *x;
    struct codec_reader *in;
    struct wire *w;
    struct queue *q;
};

/* At most HEX digits. */
static char *write_hex(char *p, uint64_t n)
{
    static const char digits[] = "0123456789abcdef";
    int shift = 0;
    while (shift < 60 && n >> (shift + 4) != 0)
        shift += 4;
    for (; shift >= 0; shift -= 4)
        *p++ = digits[n >> shift & 15];
    return p;
}

/* -- whole responses -- */

int http_complete(struct exchange *x)
{
    x->stage = STAGE_NONE;
    return x->flags & (HTTP_CLOSE | HTTP_OPEN) ? REPLY_LAST : REPLY_SAID;
}

/* Whether a response has no body: RFC 9110, 6.4.1. */
static bool is_mute(const struct exchange *x, int status)
{
    return (x->flags & HTTP_HEAD) || status < 200 || status == 204 || status == 304;
}

/* Says the body behind a head that was written at `head` up to p. */
static int put_whole(const struct say *s, const char *head, const char *p, int status,
                     struct text body)
{
    int rc = wire_commit(s->w, s->q, (size_t)(p - head));
    if (rc == 0 && body.len > 0 && !is_mute(s->x, status))
        rc = wire_body(s->w, s->q, body.at, body.len);
    return rc < 0 ? rc : http_complete(s->x);
}

/* A response that has no fields of its own but its type. */
static int say_simple(const struct say *s, int status, const char *fields, struct text body)
{
    size_t len = strlen(fields);
    char *head = wire_room(s->w, HTTP_BEGIN + len + HTTP_LENGTH + 2);
    if (head == NULL)
        return -ENOMEM;
    char *p = http_begin(head, s->f, s->x, status);
    p = http_write(p, fields, len);
    if (status != 204)
        p = http_length(p, body.len);
    return put_whole(s, head, HTTP_WRITE(p, "\r\n"), status, body);
}

/* The usual response, without a look at what it never needs. */
static int say_plain(const struct say *s, bool text, struct text body)
{
    enum { HEAD = 192 };
    size_t copied = body.len < FRAME_COPY ? body.len : 0;
    char *head = wire_room(s->w, HEAD + copied);
    if (unlikely(head == NULL))
        return -ENOMEM;
    char *p = HTTP_WRITE(head, "HTTP/1.1 200 OK\r\ndate: ");
    p = http_write(p, s->f->http->date->text, DATE_LEN);
    p = text ? HTTP_WRITE(p, "\r\ncontent-type: " PLAIN "\r\ncontent-length: ")
             : HTTP_WRITE(p, "\r\ncontent-type: " BINARY "\r\ncontent-length: ");
    p += frame_decimal(p, (int64_t)body.len);
    p = HTTP_WRITE(p, "\r\n\r\n");
    p = http_write(p, body.at, copied);
    int rc = wire_commit(s->w, s->q, (size_t)(p - head));
    if (rc == 0 && copied < body.len)
        rc = wire_body(s->w, s->q, body.at, body.len);
    s->x->stage = STAGE_NONE;
    return rc;
}

static int reply_bytes(const struct say *s, bool text, struct text body)
{
    if (likely((s->x->flags & (HTTP_CLOSE | HTTP_OPEN | HTTP_KEPT | HTTP_HEAD)) == 0))
        return say_plain(s, text, body);
    const char *type = text ? "content-type: " PLAIN "\r\n" : "content-type: " BINARY "\r\n";
    return say_simple(s, 200, type, body);
}

/* Reads the status and the headers of an escape and begins a head with them at *head, up to *p.
 * Returns the status or an error. */
static int begin_head(const struct say *s, char **head, char **p, struct http_given *given)
{
    struct codec_value status = {0};
    int rc = codec_read(s->in, &status);
    if (rc < 0)
        return rc;
    if (status.type != CODEC_INTEGER || status.integer < 100 || status.integer > 999)
        return FL_EVALUE;
    struct codec_reader ahead = *s->in;
    rc = codec_skip(&ahead);
    if (rc < 0)
        return rc;
    *head =
        wire_room(s->w, HTTP_BEGIN + HTTP_LENGTH + HTTP_GENERAL + (size_t)(ahead.at - s->in->at));
    if (*head == NULL)
        return -ENOMEM;
    *p = http_status(*head, (int)status.integer);
    rc = http_fields(p, s->in, given);
    return rc < 0 ? rc : (int)status.integer;
}

/* FL_HTTP: (status, headers, body) */
static int reply_whole(const struct say *s)
{
    char *head;
    char *p;
    struct http_given given;
    struct codec_value v = {0};
    int status = begin_head(s, &head, &p, &given);
    int rc = status < 0 ? status : codec_read(s->in, &v);
    if (rc < 0)
        return rc;
    if ((v.type != CODEC_BYTES && v.type != CODEC_TEXT && v.type != CODEC_NONE) || status < 200)
        return FL_EVALUE;
    bool mute = is_mute(s->x, status);
    if (given.has_length && given.length != v.len && !(mute && v.len == 0))
        return FL_EVALUE;
    if (given.close)
        s->x->flags |= HTTP_CLOSE;
    p = http_general(p, s->f, s->x, given.date);
    if (status == 304 ? given.has_length : status != 204)
        p = http_length(p, given.has_length ? given.length : v.len);
    return put_whole(s, head, HTTP_WRITE(p, "\r\n"), status, (struct text){v.data, v.len});
}

/* -- responses whose body follows -- */

/* How the body behind this head will end; writes what the client must know of that. */
static char *announce(struct exchange *x, char *p, int status, const struct http_given *given)
{
    x->stage = STAGE_CHUNKED;
    if (is_mute(x, status))
        x->stage = STAGE_MUTE;
    else if (given->has_length)
        x->stage = STAGE_COUNTED;
    else if (x->flags & HTTP_OLD)
        x->stage = STAGE_RAW;
    if (given->has_length && status != 204) {
        x->left = given->length;
        return http_length(p, given->length);
    }
    return x->stage == STAGE_CHUNKED ? HTTP_WRITE(p, "transfer-encoding: chunked\r\n") : p;
}

/* 101: what follows is of another protocol, and only who asked for that may get it. */
static int put_switch(const struct say *s, const char *head, char *p,
                      const struct http_given *given)
{
    if (!(s->x->flags & HTTP_UPGRADE) || given->has_length)
        return FL_EVALUE;
    p = http_general(p, s->f, &(struct exchange){0}, given->date);
    p = HTTP_WRITE(p, "connection: upgrade\r\n\r\n");
    s->x->stage = STAGE_RAW;
    return wire_commit(s->w, s->q, (size_t)(p - head));
}

/* 100 to 199: the response proper is still to come. */
static int put_interim(const struct say *s, const char *head, char *p)
{
    if (s->x->flags & HTTP_OLD) /* RFC 9110, 15.2: must not be sent one */
        return REPLY_SILENT;
    p = HTTP_WRITE(p, "\r\n");
    return wire_commit(s->w, s->q, (size_t)(p - head));
}

/* FL_HTTP_START: (status, headers) */
static int reply_start(const struct say *s)
{
    char *head;
    char *p;
    struct http_given given;
    int status = begin_head(s, &head, &p, &given);
    if (status < 0)
        return status;
    if (status == 101)
        return put_switch(s, head, p, &given);
    if (status < 200)
        return put_interim(s, head, p);
    if (given.close)
        s->x->flags |= HTTP_CLOSE;
    p = announce(s->x, p, status, &given);
    if (s->x->stage == STAGE_RAW)
        s->x->flags |= HTTP_CLOSE;
    /* A request whose body is still to come may be read to its end while this is sent. */
    const struct exchange kept = {.flags = s->x->flags & (uint8_t)~HTTP_OPEN};
    p = http_general(p, s->f, &kept, given.date);
    return wire_commit(s->w, s->q, (size_t)(HTTP_WRITE(p, "\r\n") - head));
}

int http_chunk(struct wire *w, struct queue *q, uint64_t n)
{
    char *room = wire_room(w, HEX + 2);
    if (room == NULL)
        return -ENOMEM;
    return wire_commit(w, q, (size_t)(HTTP_WRITE(write_hex(room, n), "\r\n") - room));
}

static int put_chunk(const struct say *s, struct text piece)
{
    size_t copied = piece.len < FRAME_COPY ? piece.len : 0;
    char *room = wire_room(s->w, HEX + 2 + copied + 2);
    if (room == NULL)
        return -ENOMEM;
    char *p = write_hex(room, piece.len);
    p = HTTP_WRITE(p, "\r\n");
    if (copied == piece.len)
        return wire_commit(s->w, s->q,
                           (size_t)(HTTP_WRITE(http_write(p, piece.at, copied), "\r\n") - room));
    int rc = wire_commit(s->w, s->q, (size_t)(p - room));
    if (rc == 0)
        rc = wire_body(s->w, s->q, piece.at, piece.len);
    return rc < 0 ? rc : wire_put(s->w, s->q, "\r\n", 2);
}

/* What is beyond the announced length would be taken for the next response: it is cut. */
static int put_counted(const struct say *s, struct text piece)
{
    size_t len = min_size(piece.len, s->x->left);
    int rc = len == 0 ? 0 : wire_body(s->w, s->q, piece.at, len);
    s->x->left -= len;
    if (rc < 0 || len == piece.len)
        return rc;
    s->x->stage = STAGE_NONE;
    return REPLY_LAST;
}

static int put_piece(const struct say *s, const struct codec_value *v)
{
    struct text piece = {v->data, v->len};
    if (v->type != CODEC_BYTES && v->type != CODEC_TEXT)
        return FL_EVALUE;
    switch (s->x->stage) {
    case STAGE_CHUNKED: return piece.len == 0 ? 0 : put_chunk(s, piece);
    case STAGE_COUNTED: return put_counted(s, piece);
    case STAGE_RAW: return piece.len == 0 ? 0 : wire_body(s->w, s->q, piece.at, piece.len);
    case STAGE_MUTE: return 0;
    default: return REPLY_LAST; /* an earlier piece was too long */
    }
}

static int put_pieces(const struct say *s, uint32_t count)
{
    int rc = 0;
    for (; rc >= 0 && count > 0; count--) {
        struct codec_value v = {0};
        rc = codec_read(s->in, &v);
        if (rc == 0)
            rc = put_piece(s, &v);
    }
    return rc;
}

/* The last chunk, and trailers if there are any: fields behind the body (RFC 9112, 7.1.2). Only a
 * body in chunks has a place for them; with any other they are dropped, as that allows. */
static int put_end(const struct say *s, bool trailers)
{
    struct codec_reader ahead = *s->in;
    struct http_given given;
    int rc = trailers ? codec_skip(&ahead) : 0;
    if (rc < 0)
        return rc;
    bool chunked = s->x->stage == STAGE_CHUNKED;
    char *room = wire_room(s->w, 5 + (size_t)(ahead.at - s->in->at));
    if (room == NULL)
        return -ENOMEM;
    char *p = HTTP_WRITE(room, "0\r\n");
    if (trailers)
        rc = http_fields(&p, s->in, &given);
    if (rc < 0 || !chunked)
        return rc;
    return wire_commit(s->w, s->q, (size_t)(HTTP_WRITE(p, "\r\n") - room));
}

/* FL_HTTP_END: () or (trailers) */
static int reply_end(const struct say *s, bool trailers)
{
    struct exchange *x = s->x;
    bool whole = x->stage == STAGE_MUTE || x->stage == STAGE_CHUNKED ||
                 (x->stage == STAGE_COUNTED && x->left == 0);
    int rc = put_end(s, trailers);
    if (rc < 0)
        return rc;
    rc = http_complete(x);
    return whole ? rc : REPLY_LAST;
}

/* -- what Python says -- */

/* The tuple's head was read. */
static int reply_escape(const struct say *s, uint32_t count)
{
    struct codec_value mark = {0};
    struct codec_value op = {0};
    const bool begun = s->x->stage != STAGE_NEW;
    int rc = count < 2 ? FL_EVALUE : codec_read(s->in, &mark);
    if (rc == 0)
        rc = mark.type == CODEC_MARK ? codec_read(s->in, &op) : FL_EVALUE;
    if (rc < 0)
        return rc;
    if (op.type != CODEC_INTEGER)
        return FL_EVALUE;
    if (op.integer == FL_HTTP && count == 5 && !begun)
        return reply_whole(s);
    if (op.integer == FL_HTTP_START && count == 4 && !begun)
        return reply_start(s);
    if (op.integer == FL_HTTP_END && (count == 2 || count == 3) && begun)
        return reply_end(s, count == 3);
    return FL_EVALUE;
}

static bool at_mark(const struct codec_reader *in)
{
    return in->at < in->end && *in->at == 'S';
}

static int reply_value(const struct say *s)
{
    struct codec_value v = {0};
    int rc = codec_read(s->in, &v);
    if (unlikely(rc < 0))
        return rc;
    if (likely(s->x->stage == STAGE_NEW)) {
        if (v.type == CODEC_BYTES || v.type == CODEC_TEXT)
            return reply_bytes(s, v.type == CODEC_TEXT, (struct text){v.data, v.len});
        if (v.type == CODEC_NONE)
            return say_simple(s, 204, "", (struct text){NULL, 0});
    }
    if (s->x->stage == STAGE_NONE)
        return FL_EVALUE;
    if (v.type == CODEC_TUPLE && v.count > 0 && at_mark(s->in))
        return reply_escape(s, v.count);
    if (s->x->stage == STAGE_NEW)
        return FL_EVALUE;
    if (v.type == CODEC_LIST || v.type == CODEC_TUPLE)
        return put_pieces(s, v.count);
    return put_piece(s, &v);
}

int http_reply(const struct framing *f, struct exchange *x, struct codec_reader *value,
               struct wire *w, struct queue *q)
{
    const struct exchange before = *x;
    int rc = reply_value(&(struct say){f, x, value, w, q});
    if (unlikely(rc < 0))
        *x = before;
    return rc;
}

int http_answer(const struct framing *f, struct exchange *x, int status, const char *text,
                struct wire *w, struct queue *q)
{
    if (x->stage == STAGE_NONE)
        return REPLY_SILENT;
    if (x->stage != STAGE_NEW) {
        x->stage = STAGE_NONE;
        return REPLY_LAST;
    }
    if (text == NULL)
        text = http_reason(status);
    const char *fields = status == 503 ? "content-type: " PLAIN "\r\nretry-after: 1\r\n"
                                       : "content-type: " PLAIN "\r\n";
    const struct say s = {f, x, NULL, w, q};
    return say_simple(&s, status, fields, (struct text){text, strlen(text)});
}
