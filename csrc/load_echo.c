/* load_echo.c -- messages that come back as they were sent: raw, in lines, or as PING of RESP.
 *
 * A message is a function of its connection and its number, so an answer that is lost, doubled,
 * swapped or sent to another connection is noticed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

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
    }
    e->ask_len = strlen(e->ask);
    e->answer_len = strlen(e->answer);
    e->end_len = strlen(e->end);
}

static int init(fl_load *l, const fl_load_config *config)
{
    if (config->size < LOAD_STAMP)
        return -EINVAL;
    struct echo *e = calloc(1, sizeof *e);
    if (e == NULL)
        return -ENOMEM;
    l->state = e;
    e->size = config->size;
    frame_init(e, config->dialect);
    e->filler = malloc(e->size);
    e->expected = malloc(e->size + 2 * FRAME);
    if (e->filler == NULL || e->expected == NULL)
        return -ENOMEM;
    load_fill(e->filler, e->size);
    return load_room(l, e->size + 2 * FRAME);
}

static void fini(fl_load *l)
{
    struct echo *e = l->state;
    free(e->filler);
    free(e->expected);
}

/* Writes message i of the batch between its frame, the n bytes of `head` before it. Returns what
 * comes next. */
static char *put(const fl_load *l, char *to, const char *head, size_t n, const struct load_conn *c,
                 uint32_t i)
{
    const struct echo *e = l->state;
    size_t rest = e->size - LOAD_STAMP;
    memcpy(to, head, n);
    to += n;
    load_stamp(l, to, c, i);
    memcpy(to + LOAD_STAMP, e->filler, rest);
    memcpy(to + LOAD_STAMP + rest, e->end, e->end_len);
    return to + LOAD_STAMP + rest + e->end_len;
}

static char *ask(fl_load *l, const struct load_conn *c, size_t *len)
{
    const struct echo *e = l->state;
    char *to = l->batch;
    for (uint32_t i = 0; i < l->depth; i++)
        to = put(l, to, e->ask, e->ask_len, c, i);
    *len = (size_t)(to - l->batch);
    return l->batch;
}

static ssize_t check(fl_load *l, struct load_conn *c, const char *data, size_t n, uint64_t now)
{
    const struct echo *e = l->state;
    const char *at = data, *end = data + n;
    while (at < end) {
        if (c->answered == l->depth)
            return load_wrong(l, c, "more than was asked for");
        char *stop = put(l, e->expected, e->answer, e->answer_len, c, c->answered);
        size_t len = (size_t)(stop - e->expected);
        size_t part = min_size(len - c->got, (size_t)(end - at));
        if (memcmp(e->expected + c->got, at, part) != 0)
            return load_wrong(l, c, "other bytes than were sent");
        at += part;
        c->got += part;
        if (c->got == len)
            load_answered(l, c, now);
    }
    return (ssize_t)n;
}

const struct load_dialect load_echoes[] = {
    {"raw", false, init, fini, ask, check},
    {"line", false, init, fini, ask, check},
    {"resp", false, init, fini, ask, check},
    {NULL, false, NULL, NULL, NULL, NULL},
};
