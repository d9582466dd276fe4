/* load_http.c -- requests of HTTP/1.1, kept alive: the head that was given, and behind it, if asked
 * for, a body, which is to come back.
 *
 * An answer is right if its status is 200 and its body is, byte for byte, the one that was given or
 * else what was sent; its length may be counted or in chunks. As in load_echo.c, what is sent is a
 * function of the connection and the number of the request.
 *
 * Workload: one path, so heads that are the same for a second, till their date changes. The last
 * head is kept with what it said, and a head that is equal to it is not read again: the client must
 * not be what limits a server that answers many requests at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "load.h"

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
    bool echo;                    /* ... which is to come back */
    char *body;                   /* what an answer holds */
    size_t body_len;
    /* the last head of an answer, and what it said */
    size_t last_len;
    uint64_t last_left;
    uint8_t last_phase;
    char last[LOAD_UNFINISHED];
};

/* -- what is sent -- */

static int body_init(struct http *h, const fl_load_config *config)
{
    h->echo = config->answer == NULL;
    h->body_len = h->echo ? h->sent_len : config->answer_len;
    h->body = malloc(h->body_len + 1);
    if (h->body == NULL)
        return -ENOMEM;
    if (h->echo)
        load_fill(h->body, h->body_len);
    else
        memcpy(h->body, config->answer, h->body_len);
    return 0;
}

static int init(fl_load *l, const fl_load_config *config)
{
    bool plain = config->size == 0 && config->answer != NULL;
    if (config->ask_len == 0 || (config->size < LOAD_STAMP && !plain))
        return -EINVAL;
    struct http *h = calloc(1, sizeof *h);
    if (h == NULL)
        return -ENOMEM;
    l->state = h;
    h->sent_len = config->size;
    h->head_len = config->ask_len;
    h->request_len = h->head_len + h->sent_len;
    if (body_init(h, config) < 0 || load_room(l, h->request_len) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < l->depth; i++) {
        char *request = l->batch + i * h->request_len;
        memcpy(request, config->ask, h->head_len);
        load_fill(request + h->head_len, h->sent_len);
    }
    return 0;
}

static void fini(fl_load *l)
{
    struct http *h = l->state;
    free(h->body);
}

static char *ask(fl_load *l, const struct load_conn *c, size_t *len)
{
    const struct http *h = l->state;
    for (uint32_t i = 0; i < l->depth && h->sent_len > 0; i++)
        load_stamp(l, l->batch + i * h->request_len + h->head_len, c, i);
    *len = l->depth * h->request_len;
    return l->batch;
}

/* -- what comes back; each of these returns how many bytes it used, 0 if it needs more, or an
 * error -- */

static ssize_t finish(fl_load *l, struct load_conn *c, size_t used, uint64_t now)
{
    const struct http *h = l->state;
    if (c->got != h->body_len)
        return load_wrong(l, c, "a body that is too short");
    c->phase = IN_HEAD;
    load_answered(l, c, now);
    return (ssize_t)used;
}

/* Reads the fields of h->last: what follows the head, and how much of it. */
static int read_fields(fl_load *l, const struct load_conn *c)
{
    static const char length[] = "\r\nContent-Length:";
    static const char chunked[] = "\r\nTransfer-Encoding: chunked\r";
    struct http *h = l->state;
    h->last_phase = IN_HEAD;
    for (const char *at = h->last; (at = strstr(at, "\r\n")) != NULL; at += 2) {
        if (strncasecmp(at, length, sizeof length - 1) == 0) {
            h->last_phase = IN_BODY;
            h->last_left = strtoull(at + sizeof length - 1, NULL, 10);
        } else if (strncasecmp(at, chunked, sizeof chunked - 1) == 0) {
            h->last_phase = IN_CHUNK_SIZE;
        }
    }
    return h->last_phase == IN_HEAD ? load_wrong(l, c, "a body of unknown length") : 0;
}

/* Finds the end of a head that differs from the last one, and puts it in its place. Returns 1, 0 if
 * it is not complete, or an error. */
static int learn_head(fl_load *l, struct load_conn *c, const char *data, size_t n)
{
    struct http *h = l->state;
    const char *end = memmem(data, n, "\r\n\r\n", 4);
    size_t len = end != NULL ? (size_t)(end - data) + 4 : n;
    if (len >= LOAD_UNFINISHED)
        return load_wrong(l, c, "a head that is too long");
    if (end == NULL)
        return 0;
    memcpy(h->last, data, len);
    h->last[len] = '\0';
    h->last_len = len;
    if (strncmp(h->last, "HTTP/1.1 200 ", 13) != 0)
        return load_wrong(l, c, "another status than 200");
    int rc = read_fields(l, c);
    return rc < 0 ? rc : 1;
}

static ssize_t read_head(fl_load *l, struct load_conn *c, const char *data, size_t n, uint64_t now)
{
    const struct http *h = l->state;
    if (c->answered == l->depth)
        return load_wrong(l, c, "more than was asked for");
    if (h->last_len == 0 || n < h->last_len || memcmp(h->last, data, h->last_len) != 0) {
        int rc = learn_head(l, c, data, n);
        if (rc <= 0)
            return rc;
    }
    c->phase = h->last_phase;
    c->left = h->last_left;
    if (c->phase == IN_BODY && c->left == 0)
        return finish(l, c, h->last_len, now);
    return (ssize_t)h->last_len;
}

static ssize_t read_body(fl_load *l, struct load_conn *c, const char *data, size_t n, uint64_t now)
{
    const struct http *h = l->state;
    size_t part = c->left < n ? (size_t)c->left : n;
    if (h->echo && c->got < LOAD_STAMP)
        load_stamp(l, h->body, c, c->answered);
    if (part > h->body_len - c->got || memcmp(h->body + c->got, data, part) != 0)
        return load_wrong(l, c, "another body");
    c->got += part;
    c->left -= part;
    if (c->left > 0)
        return (ssize_t)part;
    if (c->phase == IN_BODY)
        return finish(l, c, part, now);
    c->phase = BEHIND_CHUNK;
    return (ssize_t)part;
}

/* Reads a line of what chunks are made of. */
static ssize_t read_line(fl_load *l, struct load_conn *c, const char *data, size_t n, uint64_t now)
{
    const char *end = memmem(data, n, "\r\n", 2);
    size_t used = end != NULL ? (size_t)(end - data) + 2 : 0;
    if (end == NULL)
        return n >= LOAD_UNFINISHED ? load_wrong(l, c, "a line that is too long") : 0;
    if (c->phase == IN_CHUNK_SIZE) {
        c->left = strtoull(data, NULL, 16);
        c->phase = c->left > 0 ? IN_CHUNK : IN_TRAILER;
    } else if (c->phase == BEHIND_CHUNK) {
        c->phase = IN_CHUNK_SIZE;
    } else if (end == data) {
        return finish(l, c, used, now);
    }
    return (ssize_t)used;
}

static ssize_t step(fl_load *l, struct load_conn *c, const char *data, size_t n, uint64_t now)
{
    switch ((enum phase)c->phase) {
    case IN_HEAD: return read_head(l, c, data, n, now);
    case IN_BODY:
    case IN_CHUNK: return read_body(l, c, data, n, now);
    default: return read_line(l, c, data, n, now);
    }
}

static ssize_t check(fl_load *l, struct load_conn *c, const char *data, size_t n, uint64_t now)
{
    size_t done = 0;
    for (ssize_t used = 1; done < n && used != 0; done += (size_t)used) {
        used = step(l, c, data + done, n - done, now);
        if (used < 0)
            return used;
    }
    return (ssize_t)done;
}

const struct load_dialect load_http = {"http", false, init, fini, ask, check};
