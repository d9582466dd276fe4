/* load_http.c -- requests of HTTP/1.1, kept alive: GET of a path, or with --size POST of that many
 * bytes, which are to come back.
 *
 * An answer is right if its status is 200 and its body is, byte for byte, that of the file --expect
 * names or else what was sent; its length may be counted or in chunks. As in load_echo.c, what is
 * sent is a function of the connection and the number of the request.
 *
 * Workload: one path, so heads that are the same for a second, till their date changes. The last
 * head is kept with what it said, and a head that is equal to it is not read again: the client must
 * not be what limits a server that answers many requests at once. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEAD = 256 /* of a request, at most, without its path */ };

enum phase {
    IN_HEAD, /* must be 0 */
    IN_BODY,
    IN_CHUNK_SIZE,
    IN_CHUNK,
    BEHIND_CHUNK, /* the empty line there */
    IN_TRAILER,
};

struct http {
    size_t request_len, head_len; /* of one request */
    size_t sent_len;              /* of its body */
    char *body;                   /* what an answer holds */
    size_t body_len;
    /* the last head of an answer, and what it said */
    size_t last_len;
    uint64_t last_left;
    uint8_t last_phase;
    char last[UNFINISHED];
};

/* -- what is sent -- */

static void read_expected(struct http *h, const char *name)
{
    FILE *file = fopen(name, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) < 0)
        load_die(name);
    h->body_len = (size_t)ftell(file);
    h->body = load_allocate(h->body_len + 1);
    rewind(file);
    if (fread(h->body, 1, h->body_len, file) != h->body_len)
        load_die(name);
    fclose(file);
}

/* Writes the head of a request, which is the same for all. Returns its length. */
static size_t put_head(char *to, size_t room, const struct options *o)
{
    int n = snprintf(to, room, "%s %s HTTP/1.1\r\nHost: %s:%ld\r\n", o->size > 0 ? "POST" : "GET",
                     o->path, o->host, o->port);
    if (o->size > 0)
        n += snprintf(to + n, room - (size_t)n, "Content-Length: %ld\r\n", o->size);
    n += snprintf(to + n, room - (size_t)n, "\r\n");
    return (size_t)n;
}

static void init(struct load *l)
{
    const struct options *o = &l->options;
    struct http *h = l->state = load_allocate(sizeof *h);
    size_t room = HEAD + strlen(o->path), depth = (size_t)o->depth;
    h->sent_len = (size_t)o->size;
    l->batch = load_allocate(depth * (room + h->sent_len));
    h->head_len = put_head(l->batch, room, o);
    h->request_len = h->head_len + h->sent_len;
    load_fill(l->batch + h->head_len, h->sent_len);
    for (size_t i = 1; i < depth; i++)
        memcpy(l->batch + i * h->request_len, l->batch, h->request_len);
    if (o->expect != NULL) {
        read_expected(h, o->expect);
    } else {
        h->body_len = h->sent_len;
        h->body = load_allocate(h->body_len);
        load_fill(h->body, h->body_len);
    }
}

static size_t ask(struct load *l, const struct conn *c)
{
    const struct http *h = l->state;
    uint32_t depth = (uint32_t)l->options.depth;
    for (uint32_t i = 0; i < depth && h->sent_len > 0; i++)
        load_stamp(l->batch + i * h->request_len + h->head_len, c, i);
    return depth * h->request_len;
}

/* -- what comes back; each of these returns how many bytes it used, 0 if it needs more -- */

static size_t finish(struct load *l, struct conn *c, size_t used, uint64_t now)
{
    const struct http *h = l->state;
    if (c->got != h->body_len)
        load_wrong(c, "a body that is too short");
    c->phase = IN_HEAD;
    load_answered(l, c, now);
    return used;
}

/* Reads the fields of h->last: what follows the head, and how much of it. */
static void read_fields(struct http *h, const struct conn *c)
{
    static const char length[] = "\r\nContent-Length:",
                      chunked[] = "\r\nTransfer-Encoding: chunked\r";
    h->last_phase = IN_HEAD;
    for (const char *at = h->last; (at = strstr(at, "\r\n")) != NULL; at += 2) {
        if (strncasecmp(at, length, sizeof length - 1) == 0) {
            h->last_phase = IN_BODY;
            h->last_left = strtoull(at + sizeof length - 1, NULL, 10);
        } else if (strncasecmp(at, chunked, sizeof chunked - 1) == 0) {
            h->last_phase = IN_CHUNK_SIZE;
        }
    }
    if (h->last_phase == IN_HEAD)
        load_wrong(c, "a body of unknown length");
}

static size_t read_head(struct load *l, struct conn *c, const char *data, size_t n, uint64_t now)
{
    struct http *h = l->state;
    if (c->answered == (uint32_t)l->options.depth)
        load_wrong(c, "more than was asked for");
    if (h->last_len == 0 || n < h->last_len || memcmp(h->last, data, h->last_len) != 0) {
        const char *end = memmem(data, n, "\r\n\r\n", 4);
        size_t len = end != NULL ? (size_t)(end - data) + 4 : n;
        if (len >= UNFINISHED)
            load_wrong(c, "a head that is too long");
        if (end == NULL)
            return 0;
        memcpy(h->last, data, len);
        h->last[len] = '\0';
        h->last_len = len;
        if (strncmp(h->last, "HTTP/1.1 200 ", 13) != 0)
            load_wrong(c, "another status than 200");
        read_fields(h, c);
    }
    c->phase = h->last_phase;
    c->left = h->last_left;
    return c->phase == IN_BODY && c->left == 0 ? finish(l, c, h->last_len, now) : h->last_len;
}

static size_t read_body(struct load *l, struct conn *c, const char *data, size_t n, uint64_t now)
{
    const struct http *h = l->state;
    size_t part = c->left < n ? (size_t)c->left : n;
    if (h->sent_len > 0 && l->options.expect == NULL && c->got < STAMP)
        load_stamp(h->body, c, c->answered);
    if (part > h->body_len - c->got || memcmp(h->body + c->got, data, part) != 0)
        load_wrong(c, "another body");
    c->got += part;
    c->left -= part;
    if (c->left > 0)
        return part;
    if (c->phase == IN_BODY)
        return finish(l, c, part, now);
    c->phase = BEHIND_CHUNK;
    return part;
}

/* Reads a line of what chunks are made of. */
static size_t read_line(struct load *l, struct conn *c, const char *data, size_t n, uint64_t now)
{
    const char *end = memmem(data, n, "\r\n", 2);
    size_t used = end != NULL ? (size_t)(end - data) + 2 : 0;
    if (end == NULL && n >= UNFINISHED)
        load_wrong(c, "a line that is too long");
    if (end == NULL)
        return 0;
    if (c->phase == IN_CHUNK_SIZE) {
        c->left = strtoull(data, NULL, 16);
        c->phase = c->left > 0 ? IN_CHUNK : IN_TRAILER;
    } else if (c->phase == BEHIND_CHUNK) {
        c->phase = IN_CHUNK_SIZE;
    } else if (end == data) {
        return finish(l, c, used, now);
    }
    return used;
}

static size_t step(struct load *l, struct conn *c, const char *data, size_t n, uint64_t now)
{
    switch ((enum phase)c->phase) {
    case IN_HEAD: return read_head(l, c, data, n, now);
    case IN_BODY:
    case IN_CHUNK: return read_body(l, c, data, n, now);
    default: return read_line(l, c, data, n, now);
    }
}

static size_t check(struct load *l, struct conn *c, const char *data, size_t n, uint64_t now)
{
    size_t done = 0;
    for (size_t used = 1; done < n && used > 0; done += used)
        used = step(l, c, data + done, n - done, now);
    return done;
}

const struct dialect dialect_http = {init, ask, check};
