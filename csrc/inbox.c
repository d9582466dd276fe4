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

static void events_free(struct events *e)
{
    buf_free(&e->ids);
    buf_free(&e->items);
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
    buf_free(&in->room);
    buf_free(&in->left);
    events_free(&in->pieces);
    events_free(&in->files);
    events_free(&in->reasons);
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

int inbox_room(struct inbox *in, uint64_t id, int64_t unsent)
{
    int64_t pair[2] = {(int64_t)id, unsent};
    in->events = true;
    return buf_put(&in->room, pair, sizeof pair);
}

int inbox_left(struct inbox *in, uint64_t id)
{
    int64_t pair[2] = {(int64_t)id, 0};
    in->events = true;
    return buf_put(&in->left, pair, sizeof pair);
}

/* Adds an event whose item is `size` bytes at most. Returns where that goes, or NULL; the caller
 * moves items.len on. */
static char *add_event(struct inbox *in, struct events *e, int64_t id, size_t size)
{
    char *room = buf_room(&e->items, size);
    if (room == NULL || buf_put(&e->ids, &id, sizeof id) < 0)
        return NULL;
    in->events = true;
    return room;
}

static int add_bytes(struct inbox *in, struct events *e, int64_t id, const char *data, size_t len)
{
    char *room = add_event(in, e, id, CODEC_HEAD + len);
    if (room == NULL)
        return -ENOMEM;
    codec_bytes(room, data, (uint32_t)len);
    e->items.len += CODEC_HEAD + len;
    return 0;
}

static int add_error(struct inbox *in, struct events *e, int64_t id, int why)
{
    char *room = add_event(in, e, id, CODEC_INT);
    if (room == NULL)
        return -ENOMEM;
    e->items.len += (size_t)(codec_int(room, why) - room);
    return 0;
}

int inbox_piece(struct inbox *in, uint64_t id, const char *data, size_t len)
{
    if (data != NULL)
        return add_bytes(in, &in->pieces, (int64_t)id, data, len);
    char *room = add_event(in, &in->pieces, (int64_t)id, 1);
    if (room == NULL)
        return -ENOMEM;
    codec_none(room);
    in->pieces.items.len++;
    return 0;
}

int inbox_piece_failed(struct inbox *in, uint64_t id, int why)
{
    return add_error(in, &in->pieces, (int64_t)id, why);
}

int inbox_reason(struct inbox *in, uint64_t id, const char *text, size_t len)
{
    char *room = add_event(in, &in->reasons, (int64_t)id, CODEC_HEAD + len);
    if (room == NULL)
        return -ENOMEM;
    memcpy(codec_text_head(room, (uint32_t)len), text, len);
    in->reasons.items.len += CODEC_HEAD + len;
    return 0;
}

int inbox_file(struct inbox *in, uint32_t slot, const char *data, ssize_t len)
{
    if (len < 0)
        return add_error(in, &in->files, slot, (int)len);
    return add_bytes(in, &in->files, slot, data, (size_t)len);
}

size_t inbox_bytes(const struct inbox *in)
{
    size_t n = in->pieces.items.len + in->files.items.len;
    for (uint32_t i = 0; i < in->count; i++)
        n += in->groups[i].items.len;
    return n;
}

static uint64_t id_of(uint64_t entry)
{
    return entry & (((uint64_t)1 << INBOX_FLAGS_SHIFT) - 1);
}

/* A list of every `stride`-th int64 in b, from the `first` one on. */
static char *put_ints(char *p, const struct buf *b, size_t first, size_t stride)
{
    size_t count = b->len / sizeof(int64_t) / stride;
    p = codec_list(p, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        int64_t n;
        memcpy(&n, b->data + (first + i * stride) * sizeof n, sizeof n);
        p = codec_int(p, stride == 1 ? (int64_t)id_of((uint64_t)n) : n);
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

static size_t listener_size(const struct group *g)
{
    return ints_size(&g->opened) + ints_size(&g->ids) + g->items.len + ints_size(&g->closed);
}

static size_t notices_size(void)
{
    return GROUP_HEAD + INBOX_NOTICES * (CODEC_HEAD + 2 * CODEC_INT);
}

static char *put_events(char *p, struct buf *ids, enum fl_group kind, int listener)
{
    size_t stride = kind == FL_CLOSED || kind == FL_ROOM || kind == FL_LEFT ? 2 : 1;
    p = put_head(p, kind, listener);
    p = kind == FL_TIMERS ? codec_none(p) : put_ints(p, ids, 0, stride);
    if (kind == FL_OPENED)
        p = codec_none(p);
    else
        p = put_ints(p, ids, stride - 1, stride);
    ids->len = 0;
    return p;
}

static char *put_messages(char *p, struct group *g, int listener)
{
    p = put_head(p, FL_MESSAGES, listener);
    p = g->wants & FL_WANT_IDS ? put_ints(p, &g->ids, 0, 1) : codec_none(p);
    p = codec_list(p, (uint32_t)(g->ids.len / sizeof(uint64_t)));
    memcpy(p, g->items.data, g->items.len);
    p += g->items.len;
    g->items.len = 0;
    if (g->items.cap > KEEP)
        buf_free(&g->items);
    return p;
}

static char *put_notices(char *p, struct inbox *in, uint32_t kinds)
{
    p = codec_none(put_head(p, FL_NOTICES, -1));
    p = codec_list(p, kinds);
    for (int i = 0; i < INBOX_NOTICES; i++) {
        if (in->notices[i] == 0)
            continue;
        p = codec_int(codec_int(codec_tuple(p, 2), FL_EPROTO - i), in->notices[i]);
        in->notices[i] = 0;
    }
    return p;
}

static char *put_answers(char *p, struct events *e, enum fl_group kind)
{
    uint32_t count = (uint32_t)(e->ids.len / sizeof(int64_t));
    p = put_ints(put_head(p, kind, -1), &e->ids, 0, 1);
    p = codec_list(p, count);
    memcpy(p, e->items.data, e->items.len);
    p += e->items.len;
    e->ids.len = e->items.len = 0;
    if (e->items.cap > KEEP)
        buf_free(&e->items);
    return p;
}

/* The groups of one listener, in the order things happened: came, spoke, went. */
static char *put_listener(char *p, struct group *g, int listener, uint32_t *groups)
{
    *groups += (g->opened.len > 0) + (g->ids.len > 0) + (g->closed.len > 0);
    if (g->opened.len > 0)
        p = put_events(p, &g->opened, FL_OPENED, listener);
    if (g->ids.len > 0)
        p = put_messages(p, g, listener);
    if (g->closed.len > 0)
        p = put_events(p, &g->closed, FL_CLOSED, listener);
    return p;
}

/* An empty buf with all the room that encoding may take, so that it cannot fail half way. */
static char *encoding_room(struct inbox *in)
{
    size_t size = CODEC_HEAD + ints_size(&in->timers) + notices_size() + ints_size(&in->room);
    size += ints_size(&in->left) + ints_size(&in->pieces.ids) + in->pieces.items.len;
    size += ints_size(&in->files.ids) + in->files.items.len;
    size += ints_size(&in->reasons.ids) + in->reasons.items.len;
    for (uint32_t i = 0; i < in->count; i++)
        size += listener_size(&in->groups[i]);
    if (in->encoded.cap > KEEP)
        buf_free(&in->encoded);
    in->encoded.len = 0;
    return buf_room(&in->encoded, size);
}

/* The groups that belong to no listener. */
static char *put_others(char *p, struct inbox *in, uint32_t *groups)
{
    uint32_t kinds = 0;
    for (int i = 0; i < INBOX_NOTICES; i++)
        kinds += in->notices[i] > 0;
    *groups += (in->pieces.ids.len > 0) + (in->files.ids.len > 0) + (in->room.len > 0) +
               (in->left.len > 0) + (in->timers.len > 0) + (kinds > 0);
    if (in->pieces.ids.len > 0)
        p = put_answers(p, &in->pieces, FL_BODY);
    if (in->files.ids.len > 0)
        p = put_answers(p, &in->files, FL_FILES);
    if (in->room.len > 0)
        p = put_events(p, &in->room, FL_ROOM, -1);
    if (in->left.len > 0)
        p = put_events(p, &in->left, FL_LEFT, -1);
    if (in->timers.len > 0)
        p = put_events(p, &in->timers, FL_TIMERS, -1);
    if (kinds > 0)
        p = put_notices(p, in, kinds);
    return p;
}

ssize_t inbox_encode(struct inbox *in)
{
    char *start = encoding_room(in);
    if (start == NULL)
        return -ENOMEM;
    char *p = start + CODEC_HEAD;
    uint32_t groups = in->reasons.ids.len > 0;
    if (groups > 0)
        p = put_answers(p, &in->reasons, FL_REASONS);
    for (uint32_t i = 0; i < in->count; i++)
        p = put_listener(p, &in->groups[i], (int)i, &groups);
    p = put_others(p, in, &groups);
    codec_list(start, groups);
    in->encoded.len = (size_t)(p - start);
    if (in->sharing > 0)
        in->refs = (struct codec_refs){0};
    in->sharing = 0;
    in->messages = 0;
    in->events = false;
    in->replying = 0;
    return (ssize_t)in->encoded.len;
}

bool inbox_reply(struct inbox *in, uint64_t *id, uint8_t *flags)
{
    if (in->messages > 0) /* nobody has seen this batch */
        return false;
    while (in->replying < in->count) {
        struct group *g = &in->groups[in->replying];
        if (g->replied < g->ids.len / sizeof *id) {
            memcpy(id, g->ids.data + g->replied++ * sizeof *id, sizeof *id);
            *flags = (uint8_t)(*id >> INBOX_FLAGS_SHIFT);
            *id = id_of(*id);
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
    if (in->messages > 0)
        return;
    for (uint32_t i = 0; i < in->count; i++) {
        in->groups[i].ids.len = 0;
        in->groups[i].replied = 0;
    }
    in->replying = 0;
}
