/* frame_length.c -- messages behind their length: one, two or four bytes, or a LEB128 varint.
 *
 * Workload: binary protocols, messages from a few bytes to many KB. The prefix alone decides
 * whether a message is taken, so nothing is remembered of an incomplete one: reading at most five
 * bytes again costs less than keeping them. Pure functions, any thread. */
#include "frame.h"

#include <errno.h>

#include "fastloop.h"

enum { VARINT_MOST = 5 };

/* Reads a prefix of fixed width. Returns its width, or 0 if it is incomplete. */
static int take_fixed(const struct framing *f, const unsigned char *u, size_t n, uint32_t *len)
{
    if (n < f->width)
        return 0;
    uint32_t value = 0;
    for (int i = 0; i < f->width; i++)
        value = value << 8 | u[f->little_endian ? f->width - 1 - i : i];
    *len = value;
    return f->width;
}

/* The same for a varint. FL_EPROTO if it is over 32 bits or longer than it needs to be: then there
 * would be two ways to say the same. */
static int take_varint(const unsigned char *u, size_t n, uint32_t *len)
{
    uint32_t value = 0;
    for (int i = 0; i < VARINT_MOST && (size_t)i < n; i++) {
        if (i == VARINT_MOST - 1 && u[i] > 0x0f)
            return FL_EPROTO;
        value |= (uint32_t)(u[i] & 0x7f) << (7 * i);
        if (u[i] & 0x80)
            continue;
        if (i > 0 && u[i] == 0)
            return FL_EPROTO;
        *len = value;
        return i + 1;
    }
    return 0;
}

static ssize_t scan(const struct framing *f, struct progress *p, const char *data, size_t n,
                    struct message *m)
{
    const unsigned char *u = (const unsigned char *)data;
    uint32_t len = 0;
    int prefix = f->width == 0 ? take_varint(u, n, &len) : take_fixed(f, u, n, &len);
    if (prefix <= 0)
        return prefix;
    if (len > f->max_message)
        return FL_ELIMIT;
    if (n - (size_t)prefix < len)
        return 0;
    m->data = data + prefix;
    m->len = len;
    *p = (struct progress){0};
    return (ssize_t)len + prefix;
}

/* Writes the prefix of a reply. Returns its width, or FL_EVALUE if the length does not fit. */
static int write_prefix(const struct framing *f, char *out, size_t len)
{
    if (len > UINT32_MAX || (f->width > 0 && (uint64_t)len >> (8 * f->width) != 0))
        return FL_EVALUE;
    int n = 0;
    if (f->width == 0) {
        for (; len >= 0x80; len >>= 7)
            out[n++] = (char)(len | 0x80);
        out[n++] = (char)len;
        return n;
    }
    for (; n < f->width; n++)
        out[n] = (char)(len >> (8 * (f->little_endian ? n : f->width - 1 - n)));
    return n;
}

static int put(const struct framing *f, const char *data, size_t len, struct wire *w,
               struct queue *q)
{
    char prefix[VARINT_MOST];
    int width = write_prefix(f, prefix, len);
    if (width < 0)
        return width;
    if (len >= FRAME_COPY) {
        int rc = wire_put(w, q, prefix, (size_t)width);
        return rc < 0 ? rc : wire_body(w, q, data, len);
    }
    char *room = wire_room(w, len + (size_t)width);
    if (room == NULL)
        return -ENOMEM;
    memcpy(room, prefix, (size_t)width);
    memcpy(room + width, data, len);
    return wire_commit(w, q, len + (size_t)width);
}

static int reply(const struct framing *f, struct exchange *x, struct codec_reader *value,
                 struct wire *w, struct queue *q)
{
    (void)x;
    return frame_reply_bytes(f, value, w, q, put);
}

const struct protocol protocol_length = {
    .name = "length",
    .scan = scan,
    .deliver = frame_deliver_bytes,
    .reply = reply,
};
