/* frame_resp_reply.c -- Python values as RESP2 or RESP3.
 *
 * Workload: one short scalar nearly always: a status, a bulk string, an integer, None. Each is
 * written with one wire_room() and one wire_commit(), which merge with the reply before. Containers
 * are walked by recursion, to a fixed depth. Pure functions, any thread. */
#include "frame_resp.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fastloop.h"

enum {
    DEEPEST = 32,             /* containers in containers */
    HEAD = FRAME_DECIMAL + 3, /* a type, a number, CRLF */
    REAL = 32,                /* the longest float */
    STATUS = 64 * 1024,       /* a longer text is a bulk string */
};

struct reply {
    struct codec_reader *in;
    struct wire *w;
    struct queue *q;
    uint8_t *dialect;
};

static int encode(const struct reply *r, int depth);

static bool resp3(const struct reply *r)
{
    return *r->dialect == 3;
}

static char *write_crlf(char *p)
{
    p[0] = '\r';
    p[1] = '\n';
    return p + 2;
}

/* At most HEAD bytes. */
static char *write_head(char *p, char type, int64_t n)
{
    *p++ = type;
    if (likely(n >= 0 && n <= 9))
        *p++ = (char)('0' + n);
    else
        p += frame_decimal(p, n);
    return write_crlf(p);
}

static int put_head(const struct reply *r, char type, int64_t n)
{
    char *room = wire_room(r->w, HEAD);
    if (room == NULL)
        return -ENOMEM;
    return wire_commit(r->w, r->q, (size_t)(write_head(room, type, n) - room));
}

static int put_text(const struct reply *r, const char *text)
{
    return wire_put(r->w, r->q, text, strlen(text));
}

static int put_long_bulk(const struct reply *r, const char *data, size_t len)
{
    int rc = put_head(r, '$', (int64_t)len);
    if (rc == 0)
        rc = wire_body(r->w, r->q, data, len);
    return rc < 0 ? rc : put_text(r, "\r\n");
}

/* The run that data begins goes on to `end`. */
static int put_bulk(const struct reply *r, const char *data, size_t len, const char *end)
{
    if (len >= FRAME_COPY)
        return put_long_bulk(r, data, len);
    char *room = wire_room(r->w, HEAD + len + CODEC_STEP);
    if (room == NULL)
        return -ENOMEM;
    char *p = write_head(room, '$', (int64_t)len);
    p = write_crlf(codec_copy_bytes(p, data, len, end));
    return wire_commit(r->w, r->q, (size_t)(p - room));
}

/* One line: the text of a status or an error. */
static int put_line(const struct reply *r, char type, const char *data, size_t len)
{
    char *room = wire_room(r->w, 1 + len + 2);
    if (room == NULL)
        return -ENOMEM;
    room[0] = type;
    memcpy(room + 1, data, len);
    if (type == '-') {
        for (char *p = room + 1; p < room + 1 + len; p++)
            *p = *p == '\r' || *p == '\n' ? ' ' : *p;
    }
    return wire_commit(r->w, r->q, (size_t)(write_crlf(room + 1 + len) - room));
}

static int put_status(const struct reply *r, const char *data, size_t len)
{
    if (len > STATUS || memchr(data, '\n', len) != NULL || memchr(data, '\r', len) != NULL)
        return put_bulk(r, data, len, data + len);
    return put_line(r, '+', data, len);
}

/* The shortest decimal that reads back as the same float. Returns its length. */
static int format_real(char out[REAL], double real)
{
    if (isnan(real))
        return snprintf(out, REAL, "nan");
    if (isinf(real))
        return snprintf(out, REAL, real < 0 ? "-inf" : "inf");
    int len = 0;
    for (int digits = 15; digits <= 17; digits++) {
        len = snprintf(out, REAL, "%.*g", digits, real);
        if (strtod(out, NULL) == real)
            break;
    }
    char *comma = memchr(out, ',', (size_t)len); /* some locales' decimal point */
    if (comma != NULL)
        *comma = '.';
    return len;
}

static int put_real(const struct reply *r, double real)
{
    char text[REAL];
    int len = format_real(text, real);
    return resp3(r) ? put_line(r, ',', text, (size_t)len)
                    : put_bulk(r, text, (size_t)len, text + len);
}

static int put_items(const struct reply *r, char type, uint64_t count, uint64_t values, int depth)
{
    if (depth >= DEEPEST)
        return FL_EVALUE;
    int rc = put_head(r, type, (int64_t)count);
    for (; rc == 0 && values > 0; values--)
        rc = encode(r, depth + 1);
    return rc;
}

static int put_dict(const struct reply *r, uint32_t pairs, int depth)
{
    uint64_t values = 2 * (uint64_t)pairs;
    int rc = put_items(r, resp3(r) ? '%' : '*', resp3(r) ? pairs : values, values, depth);
    struct codec_value end;
    return rc < 0 ? rc : codec_read(r->in, &end);
}

/* -- escape tuples: what has no Python type of its own -- */

static int put_error(const struct reply *r)
{
    struct codec_value text = {0};
    int rc = codec_read(r->in, &text);
    if (rc < 0)
        return rc;
    if (text.type != CODEC_BYTES && text.type != CODEC_TEXT)
        return FL_EVALUE;
    return put_line(r, '-', text.data, text.len);
}

static int put_push(const struct reply *r)
{
    struct codec_value list = {0};
    int rc = codec_read(r->in, &list);
    if (rc < 0)
        return rc;
    if (list.type != CODEC_LIST && list.type != CODEC_TUPLE)
        return FL_EVALUE;
    return put_items(r, resp3(r) ? '>' : '*', list.count, list.count, 0);
}

/* Redis' own way to send members with scores. */
static int put_pairs(const struct reply *r)
{
    struct codec_value list = {0};
    int rc = codec_read(r->in, &list);
    if (rc < 0)
        return rc;
    if (list.type != CODEC_LIST || list.count % 2 != 0)
        return FL_EVALUE;
    if (!resp3(r))
        return put_items(r, '*', list.count, list.count, 0);
    rc = put_head(r, '*', list.count / 2);
    for (uint32_t left = list.count / 2; rc == 0 && left > 0; left--)
        rc = put_items(r, '*', 2, 2, 1);
    return rc;
}

static int put_hello(const struct reply *r)
{
    struct codec_value version = {0};
    int rc = codec_read(r->in, &version);
    if (rc < 0)
        return rc;
    if (version.type != CODEC_INTEGER || (version.integer != 2 && version.integer != 3))
        return FL_EVALUE;
    *r->dialect = (uint8_t)version.integer;
    return encode(r, 1);
}

/* A tuple's head was read; the mark was not. Only an error may stand inside another value. */
static int put_escape(const struct reply *r, uint32_t count, int depth)
{
    struct codec_value mark = {0};
    struct codec_value op = {0};
    int rc = codec_read(r->in, &mark);
    if (rc == 0 && count >= 2)
        rc = codec_read(r->in, &op);
    if (rc < 0)
        return rc;
    if (op.type != CODEC_INTEGER)
        return FL_EVALUE;
    if (op.integer == FL_RESP_ERROR && count == 3)
        return put_error(r);
    if (op.integer == FL_RESP_PUSH && count == 3 && depth == 0)
        return put_push(r);
    if (op.integer == FL_RESP_PAIRS && count == 3 && depth == 0)
        return put_pairs(r);
    if (op.integer == FL_RESP_HELLO && count == 4 && depth == 0)
        return put_hello(r);
    return FL_EVALUE;
}

static bool at_mark(const struct reply *r)
{
    struct codec_reader ahead = *r->in;
    struct codec_value first = {0};
    return codec_read(&ahead, &first) == 0 && first.type == CODEC_MARK;
}

static int encode(const struct reply *r, int depth)
{
    struct codec_value v = {0};
    int rc = codec_read(r->in, &v);
    if (unlikely(rc < 0))
        return rc;
    switch (v.type) {
    case CODEC_BYTES: return put_bulk(r, v.data, v.len, r->in->end);
    case CODEC_TEXT: return put_status(r, v.data, v.len);
    case CODEC_INTEGER: return put_head(r, ':', v.integer);
    case CODEC_NONE: return put_text(r, resp3(r) ? "_\r\n" : "$-1\r\n");
    case CODEC_BOOL:
        if (resp3(r))
            return put_text(r, v.integer ? "#t\r\n" : "#f\r\n");
        return put_head(r, ':', v.integer);
    case CODEC_FLOAT: return put_real(r, v.real);
    case CODEC_TUPLE:
        if (v.count > 0 && at_mark(r))
            return put_escape(r, v.count, depth);
        return put_items(r, '*', v.count, v.count, depth);
    case CODEC_LIST: return put_items(r, '*', v.count, v.count, depth);
    case CODEC_SET: return put_items(r, resp3(r) ? '~' : '*', v.count, v.count, depth);
    case CODEC_DICT: return put_dict(r, v.count, depth);
    default: return FL_EVALUE;
    }
}

int resp_reply(const struct framing *f, struct exchange *x, struct codec_reader *value,
               struct wire *w, struct queue *q)
{
    (void)f;
    const uint8_t before = x->dialect;
    int rc = encode(&(struct reply){value, w, q, &x->dialect}, 0);
    if (rc < 0)
        x->dialect = before;
    return rc;
}
