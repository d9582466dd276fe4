/* load_ws.c -- messages of WebSocket (RFC 6455): each comes back to who sent it ("ws"), or all
 * connections get what the first one sends ("ws-cast").
 *
 * The first thing that a connection says is the request that was given; the answer must be 101 and
 * accept the key of RFC 6455, section 1.3, which that request must have. It counts as no message.
 * Messages are binary, whole, never compressed, and masked, always by the same mask; as in
 * load_echo.c each is a function of its connection, or of the first one, and its number.
 *
 * Workload: one size, so what does not change is laid out once. Masks repeat every 4 bytes and
 * stamps have 16, so only the stamp is masked anew for each message. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

enum phase {
    GREETS, /* must be 0 */
    TALKS,
};

enum {
    HEAD = 14, /* of a frame, at most, with its mask */
    FIN_BINARY = 0x82,
    MASKED = 0x80,
};

static const char mask[4] = {0x37, 0x7a, 0x21, 0x3d};
static const char accepted[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

struct ws {
    size_t size; /* of a message */
    size_t request_len;
    char *request; /* the handshake, owned */
    size_t ask_len, head_len;
    char *answer; /* a frame as it should come, owned; its stamp is that of the message */
    size_t answer_len, answer_head_len;
    bool cast;
};

/* -- what is sent -- */

/* Writes what is in front of a message. Returns its length. */
static size_t frame_head(char *to, size_t size, bool masked)
{
    char flag = masked ? (char)MASKED : 0;
    size_t n = 2;
    to[0] = (char)FIN_BINARY;
    if (size < 126) {
        to[1] = (char)(flag | (char)size);
    } else {
        size_t bytes = size < 65536 ? 2 : 8;
        to[1] = (char)(flag | (bytes == 2 ? 126 : 127));
        for (size_t i = 0; i < bytes; i++)
            to[2 + i] = (char)((uint64_t)size >> 8 * (bytes - 1 - i));
        n += bytes;
    }
    if (masked)
        memcpy(to + n, mask, sizeof mask);
    return n + (masked ? sizeof mask : 0);
}

static void apply_mask(char *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        data[i] = (char)(data[i] ^ mask[i % sizeof mask]);
}

/* Lays out all that stays the same. */
static void lay_out(fl_load *l, struct ws *w)
{
    w->head_len = frame_head(l->batch, w->size, true);
    w->ask_len = w->head_len + w->size;
    load_fill(l->batch + w->head_len + LOAD_STAMP, w->size - LOAD_STAMP);
    apply_mask(l->batch + w->head_len + LOAD_STAMP, w->size - LOAD_STAMP);
    for (uint32_t i = 1; i < l->depth; i++)
        memcpy(l->batch + i * w->ask_len, l->batch, w->ask_len);
    w->answer_head_len = frame_head(w->answer, w->size, false);
    w->answer_len = w->answer_head_len + w->size;
    load_fill(w->answer + w->answer_head_len + LOAD_STAMP, w->size - LOAD_STAMP);
}

static int init(fl_load *l, const fl_load_config *config)
{
    if (config->ask_len == 0 || config->size < LOAD_STAMP)
        return -EINVAL;
    struct ws *w = calloc(1, sizeof *w);
    if (w == NULL)
        return -ENOMEM;
    l->state = w;
    w->cast = l->dialect->together;
    w->size = config->size;
    w->request_len = config->ask_len;
    w->request = malloc(w->request_len);
    w->answer = malloc(HEAD + w->size);
    if (w->request == NULL || w->answer == NULL || load_room(l, HEAD + w->size) < 0)
        return -ENOMEM;
    memcpy(w->request, config->ask, w->request_len);
    lay_out(l, w);
    return 0;
}

static void fini(fl_load *l)
{
    struct ws *w = l->state;
    free(w->request);
    free(w->answer);
}

/* Who says what a connection hears. */
static const struct load_conn *source(const fl_load *l, const struct load_conn *c)
{
    const struct ws *w = l->state;
    return w->cast ? l->conns : c;
}

static char *ask(fl_load *l, const struct load_conn *c, size_t *len)
{
    const struct ws *w = l->state;
    *len = w->request_len;
    if (c->phase == GREETS)
        return w->request;
    *len = 0;
    if (c != source(l, c))
        return NULL;
    *len = l->depth * w->ask_len;
    for (uint32_t i = 0; i < l->depth; i++) {
        char *stamp = l->batch + i * w->ask_len + w->head_len;
        load_stamp(l, stamp, c, i);
        apply_mask(stamp, LOAD_STAMP);
    }
    return l->batch;
}

/* -- what comes back -- */

/* Reads the answer to the handshake. Returns the bytes used, 0 if it is not complete, or an error.
 */
static ssize_t greeted(fl_load *l, struct load_conn *c, const char *data, size_t n)
{
    const char *end = memmem(data, n, "\r\n\r\n", 4);
    if (end == NULL)
        return n >= LOAD_UNFINISHED ? load_wrong(l, c, "a head that is too long") : 0;
    size_t len = (size_t)(end - data) + 4;
    if (memcmp(data, "HTTP/1.1 101 ", 13) != 0)
        return load_wrong(l, c, "another status than 101");
    if (memmem(data, len, accepted, sizeof accepted - 1) == NULL)
        return load_wrong(l, c, "a key that is not that of the request");
    c->phase = TALKS;
    c->answered = l->depth;
    return (ssize_t)len;
}

static ssize_t check(fl_load *l, struct load_conn *c, const char *data, size_t n, uint64_t now)
{
    struct ws *w = l->state;
    ssize_t used = c->phase == GREETS ? greeted(l, c, data, n) : 0;
    if (used < 0 || c->phase == GREETS)
        return used;
    for (const char *at = data + used, *end = data + n; at < end;) {
        if (c->answered == l->depth)
            return load_wrong(l, c, "more than was asked for");
        load_stamp(l, w->answer + w->answer_head_len, source(l, c), c->answered);
        size_t part = min_size(w->answer_len - c->got, (size_t)(end - at));
        if (memcmp(w->answer + c->got, at, part) != 0)
            return load_wrong(l, c, "other bytes than were sent");
        at += part;
        c->got += part;
        if (c->got == w->answer_len)
            load_answered(l, c, now);
    }
    return (ssize_t)n;
}

const struct load_dialect load_ws[] = {
    {"ws", false, init, fini, ask, check},
    {"ws-cast", true, init, fini, ask, check},
    {NULL, false, NULL, NULL, NULL, NULL},
};
