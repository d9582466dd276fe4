/* load_echo.c -- messages that come back as they were sent: raw, in lines, or as PING of RESP.
 *
 * A message is a function of its connection and its number, so an answer that is lost, doubled,
 * swapped or sent to another connection is noticed. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME = 64 /* at most, around a message */ };

/* What stands around a message, on the way there and on the way back. */
struct echo {
    char ask[FRAME], answer[FRAME];
    const char *end;
    size_t ask_len, answer_len, end_len, size;
    char *filler;   /* what messages hold behind their stamp */
    char *expected; /* scratch: one answer as it should be */
};

static void frame_init(struct echo *e, const char *name)
{
    e->end = "";
    if (strcmp(name, "line") == 0) {
        e->end = "\n";
    } else if (strcmp(name, "resp") == 0) {
        snprintf(e->ask, FRAME, "*2\r\n$4\r\nPING\r\n$%zu\r\n", e->size);
        snprintf(e->answer, FRAME, "$%zu\r\n", e->size);
        e->end = "\r\n";
    } else if (strcmp(name, "raw") != 0) {
        fprintf(stderr, "load: --framing is one of raw, line, resp, http\n");
        exit(2);
    }
    e->ask_len = strlen(e->ask);
    e->answer_len = strlen(e->answer);
    e->end_len = strlen(e->end);
}

static void init(struct load *l)
{
    struct echo *e = l->state = load_allocate(sizeof *e);
    size_t message = (size_t)l->options.size + 2 * FRAME;
    e->size = (size_t)l->options.size;
    frame_init(e, l->options.framing);
    e->filler = load_allocate(e->size);
    e->expected = load_allocate(message);
    load_fill(e->filler, e->size);
    l->batch = load_allocate((size_t)l->options.depth * message);
}

/* Writes message i of the batch between its frame, the n bytes of `head` before it. Returns what
 * comes next. */
static char *put(const struct echo *e, char *to, const char *head, size_t n, const struct conn *c,
                 uint32_t i)
{
    size_t rest = e->size - STAMP;
    memcpy(to, head, n);
    to += n;
    load_stamp(to, c, i);
    memcpy(to + STAMP, e->filler, rest);
    memcpy(to + STAMP + rest, e->end, e->end_len);
    return to + STAMP + rest + e->end_len;
}

static size_t ask(struct load *l, const struct conn *c)
{
    const struct echo *e = l->state;
    char *to = l->batch;
    for (uint32_t i = 0; i < (uint32_t)l->options.depth; i++)
        to = put(e, to, e->ask, e->ask_len, c, i);
    return (size_t)(to - l->batch);
}

static size_t check(struct load *l, struct conn *c, const char *data, size_t n, uint64_t now)
{
    const struct echo *e = l->state;
    const char *at = data, *end = data + n;
    while (at < end) {
        size_t some = (size_t)(end - at);
        char *stop = put(e, e->expected, e->answer, e->answer_len, c, c->answered);
        size_t len = (size_t)(stop - e->expected), part = len - c->got < some ? len - c->got : some;
        if (c->answered == (uint32_t)l->options.depth)
            load_wrong(c, "more than was asked for");
        if (memcmp(e->expected + c->got, at, part) != 0)
            load_wrong(c, "other bytes than were sent");
        at += part;
        c->got += part;
        if (c->got == len)
            load_answered(l, c, now);
    }
    return n;
}

const struct dialect dialect_echo = {init, ask, check};
