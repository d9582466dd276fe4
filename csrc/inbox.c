/* inbox.c -- gathering a batch.
 *
 * Workload: one or two listeners, some ten to a thousand messages a turn, events now and then. The
 * memory is kept from turn to turn, unless one turn needed very much. */
#include "inbox.h"

#include <errno.h>
#include <stdlib.h>

#include "codec.h"
#include "fastloop.h"

enum {
    GROUP_HEAD = 3 * CODEC_HEAD + 2 * CODEC_HEAD, /* tuple, kind, listener, two lists */
    KEEP = 1024 * 1024, /* a buffer that grew beyond this is given back after its turn */
};

void inbox_init(struct inbox *in)
{
    *in = (struct inbox){0};
}

void inbox_free(struct inbox *in)
{
    for (uint32_t i = 0; i < in->count; i++) {
        buf_free(&in->groups[i].items);
        buf_free(&in->groups[i].ids);
        buf_free(&in->groups[i].opened);
        buf_free(&in->groups[i].closed);
    }
    free(in->groups);
    buf_free(&in->timers);
    buf_free(&in->encoded);
    *in = (struct inbox){0};
}

int inbox_group(struct inbox *in, uint32_t wants)
{
    struct group *groups = realloc(in->groups, (in->count + 1) * sizeof *groups);
    if (groups == NULL)
        return -ENOMEM;
    in->groups = groups;
    in->groups[in->count] = (struct group){.wants = wants};
    return (int)in->count++;
}

int inbox_reserve(struct group *g)
{
    return buf_room(&g->ids, sizeof(uint64_t)) == NULL ? -ENOMEM : 0;
}

void inbox_message(struct inbox *in, struct group *g, uint64_t id)
{
    memcpy(g->ids.data + g->ids.len, &id, sizeof id);
    g->ids.len += sizeof id;
    in->messages++;
}

int inbox_opened(struct inbox *in, uint32_t group, uint64_t id)
{
    in->events = true;
    return buf_put(&in->groups[group].opened, &id, sizeof id);
}

int inbox_closed(struct inbox *in, uint32_t group, uint64_t id, int why)
{
    int64_t pair[2] = {(int64_t)id, why};
    in->events = true;
    return buf_put(&in->groups[group].closed, pair, sizeof pair);
}

int inbox_timer(struct inbox *in, uint32_t slot)
{
    int64_t value = slot;
    in->events = true;
    return buf_put(&in->timers, &value, sizeof value);
}

void inbox_notice(struct inbox *in, int code)
{
    int kind = FL_EPROTO - code;
    if (kind >= 0 && kind < INBOX_NOTICES) {
        in->notices[kind]++;
        in->events = true;
    }
}

size_t inbox_bytes(const struct inbox *in)
{
    size_t n = 0;
    for (uint32_t i = 0; i < in->count; i++)
        n += in->groups[i].items.len;
    return n;
}

/* A list of every `stride`-th int64 in b, from the `first` one on. */
static char *put_ints(char *p, const struct buf *b, size_t first, size_t stride)
{
    size_t count = b->len / sizeof(int64_t) / stride;
    p = codec_list(p, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        int64_t n;
        memcpy(&n, b->data + (first + i * stride) * sizeof n, sizeof n);
        p = codec_int(p, n);
    }
    return p;
}

static char *put_head(char *p, enum fl_group kind, int listener)
{
    p = codec_tuple(p, 4);
    p = codec_i32(p, (int32_t)kind);
    return codec_i32(p, listener);
}

static size_t ints_size(const struct buf *b)
{
    return GROUP_HEAD + b->len / sizeof(int64_t) * CODEC_INT;
}

static int put_events(struct buf *out, struct buf *ids, enum fl_group kind, int listener)
{
    char *p = buf_room(out, 2 * ints_size(ids));
    if (p == NULL)
        return -ENOMEM;
    size_t stride = kind == FL_CLOSED ? 2 : 1;
    p = put_head(p, kind, listener);
    p = kind == FL_TIMERS ? codec_none(p) : put_ints(p, ids, 0, stride);
    if (kind == FL_OPENED)
        p = codec_none(p);
    else
        p = put_ints(p, ids, stride - 1, stride);
    out->len = (size_t)(p - out->data);
    ids->len = 0;
    return 1;
}

static int put_messages(struct buf *out, struct group *g, int listener)
{
    bool with_ids = (g->wants & FL_WANT_IDS) != 0;
    char *p = buf_room(out, GROUP_HEAD + g->items.len + (with_ids ? ints_size(&g->ids) : 0));
    if (p == NULL)
        return -ENOMEM;
    p = put_head(p, FL_MESSAGES, listener);
    p = with_ids ? put_ints(p, &g->ids, 0, 1) : codec_none(p);
    p = codec_list(p, (uint32_t)(g->ids.len / sizeof(uint64_t)));
    memcpy(p, g->items.data, g->items.len);
    out->len = (size_t)(p + g->items.len - out->data);
    g->items.len = 0;
    if (g->items.cap > KEEP)
        buf_free(&g->items);
    return 1;
}

static int put_notices(struct buf *out, struct inbox *in)
{
    uint32_t kinds = 0;
    for (int i = 0; i < INBOX_NOTICES; i++)
        kinds += in->notices[i] > 0;
    if (kinds == 0)
        return 0;
    char *p = buf_room(out, GROUP_HEAD + kinds * (CODEC_HEAD + 2 * CODEC_INT));
    if (p == NULL)
        return -ENOMEM;
    p = codec_none(put_head(p, FL_NOTICES, -1));
    p = codec_list(p, kinds);
    for (int i = 0; i < INBOX_NOTICES; i++) {
        if (in->notices[i] == 0)
            continue;
        p = codec_int(codec_int(codec_tuple(p, 2), FL_EPROTO - i), in->notices[i]);
        in->notices[i] = 0;
    }
    out->len = (size_t)(p - out->data);
    return 1;
}

/* The groups of one listener, in the order things happened: came, spoke, went. */
static int put_listener(struct buf *out, struct inbox *in, uint32_t i)
{
    struct group *g = &in->groups[i];
    int groups = 0, rc = 0;
    if (g->opened.len > 0 && (rc = put_events(out, &g->opened, FL_OPENED, (int)i)) > 0)
        groups += rc;
    if (rc >= 0 && g->ids.len > 0 && (rc = put_messages(out, g, (int)i)) > 0)
        groups += rc;
    if (rc >= 0 && g->closed.len > 0 && (rc = put_events(out, &g->closed, FL_CLOSED, (int)i)) > 0)
        groups += rc;
    return rc < 0 ? rc : groups;
}

ssize_t inbox_encode(struct inbox *in)
{
    struct buf *out = &in->encoded;
    if (out->cap > KEEP)
        buf_free(out);
    out->len = 0;
    if (buf_room(out, CODEC_HEAD) == NULL)
        return -ENOMEM;
    out->len = CODEC_HEAD;
    int groups = 0, rc = 0;
    for (uint32_t i = 0; i < in->count && rc >= 0; i++)
        groups += (rc = put_listener(out, in, i));
    if (rc >= 0 && in->timers.len > 0)
        groups += (rc = put_events(out, &in->timers, FL_TIMERS, -1));
    if (rc >= 0)
        groups += (rc = put_notices(out, in));
    if (rc < 0)
        return rc;
    codec_list(out->data, (uint32_t)groups);
    in->messages = 0;
    in->events = false;
    in->replying = 0;
    return (ssize_t)out->len;
}

bool inbox_reply(struct inbox *in, uint64_t *id)
{
    while (in->replying < in->count) {
        struct group *g = &in->groups[in->replying];
        if (g->replied < g->ids.len / sizeof *id) {
            memcpy(id, g->ids.data + g->replied++ * sizeof *id, sizeof *id);
            return true;
        }
        g->ids.len = 0;
        g->replied = 0;
        in->replying++;
    }
    return false;
}

void inbox_settled(struct inbox *in)
{
    for (uint32_t i = 0; i < in->count; i++) {
        in->groups[i].ids.len = 0;
        in->groups[i].replied = 0;
    }
    in->replying = 0;
}
