/* load_same.c -- one message, sent over and over, and the one answer that was given to it once: for
 * handlers that are no echo, in any framing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

struct same {
    size_t ask_len, answer_len;
    char *answer;
};

static int init(fl_load *l, const fl_load_config *config)
{
    if (config->ask_len == 0 || config->answer_len == 0)
        return -EINVAL;
    struct same *s = calloc(1, sizeof *s);
    if (s == NULL)
        return -ENOMEM;
    l->state = s;
    s->ask_len = config->ask_len;
    s->answer_len = config->answer_len;
    s->answer = malloc(s->answer_len);
    if (s->answer == NULL || load_room(l, s->ask_len) < 0)
        return -ENOMEM;
    memcpy(s->answer, config->answer, s->answer_len);
    for (uint32_t i = 0; i < l->depth; i++)
        memcpy(l->batch + i * s->ask_len, config->ask, s->ask_len);
    return 0;
}

static void fini(fl_load *l)
{
    struct same *s = l->state;
    free(s->answer);
}

static char *ask(fl_load *l, const struct load_conn *c, size_t *len)
{
    const struct same *s = l->state;
    (void)c;
    *len = l->depth * s->ask_len;
    return l->batch;
}

static ssize_t check(fl_load *l, struct load_conn *c, const char *data, size_t n, uint64_t now)
{
    const struct same *s = l->state;
    for (size_t done = 0, part; done < n; done += part) {
        if (c->answered == l->depth)
            return load_wrong(l, c, "more than was asked for");
        part = min_size(s->answer_len - c->got, n - done);
        if (memcmp(s->answer + c->got, data + done, part) != 0)
            return load_wrong(l, c, "other bytes than the first time");
        c->got += part;
        if (c->got == s->answer_len)
            load_answered(l, c, now);
    }
    return (ssize_t)n;
}

const struct load_dialect load_same = {"same", false, init, fini, ask, check};
