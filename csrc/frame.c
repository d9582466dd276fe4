/* frame.c -- protocols by name, and what those have in common whose message is a run of bytes.
 *
 * Workload: framing_init() runs once a listener; the replies of raw, line and length are nearly
 * always one bytes object. Everything here is pure: no state but what is passed in. Any thread. */
#include "frame.h"

#include <errno.h>

#include "fastloop.h"

enum { LARGEST_MAXIMUM = 1 << 30 }; /* offsets in a message fit the uint32_t of struct progress */

static const struct kind {
    const char *name;
    const struct protocol *protocol;
    uint8_t width;
    bool little_endian;
} kinds[] = {
    {"raw", &protocol_raw, 0, false},     {"line", &protocol_line, 0, false},
    {"u8", &protocol_length, 1, false},   {"u16be", &protocol_length, 2, false},
    {"u16le", &protocol_length, 2, true}, {"u32be", &protocol_length, 4, false},
    {"u32le", &protocol_length, 4, true}, {"varint", &protocol_length, 0, false},
    {"resp", &protocol_resp, 0, false},   {"http", &protocol_http, 0, false},
    {"ws", &protocol_ws, 0, false},
};

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < countof(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    return NULL;
}

int framing_init(struct framing *f, const char *name, const char *delimiter, size_t delimiter_len,
                 size_t max_message)
{
    const struct kind *kind = find_kind(name);
    if (kind == NULL || max_message == 0 || max_message > LARGEST_MAXIMUM)
        return -EINVAL;
    if (delimiter != NULL && (delimiter_len == 0 || delimiter_len > sizeof f->delimiter))
        return -EINVAL;
    *f = (struct framing){
        .protocol = kind->protocol,
        .max_message = max_message,
        .delimiter_len = delimiter == NULL ? 1 : (uint8_t)delimiter_len,
        .strip_cr = delimiter == NULL,
        .width = kind->width,
        .little_endian = kind->little_endian,
    };
    memcpy(f->delimiter, delimiter == NULL ? "\n" : delimiter, f->delimiter_len);
    return 0;
}

size_t frame_decimal(char *out, int64_t n)
{
    char digits[FRAME_DECIMAL];
    char *p = digits + sizeof digits;
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (n < 0)
        *--p = '-';
    size_t len = (size_t)(digits + sizeof digits - p);
    memcpy(out, p, len);
    return len;
}

int frame_deliver_bytes(const struct message *m, struct buf *inbox)
{
    char *room = buf_room(inbox, CODEC_HEAD + m->len);
    if (room == NULL)
        return -ENOMEM;
    codec_bytes(room, m->data, (uint32_t)m->len);
    inbox->len += CODEC_HEAD + m->len;
    return 0;
}

typedef int put_bytes(const struct framing *f, const char *data, size_t len, struct wire *w,
                      struct queue *q);

/* Returns 0, 1 for None, or an error. */
static int put_value(const struct framing *f, const struct codec_value *v, struct wire *w,
                     struct queue *q, put_bytes *put)
{
    char digits[FRAME_DECIMAL];
    switch (v->type) {
    case CODEC_BYTES:
    case CODEC_TEXT: return put(f, v->data, v->len, w, q);
    case CODEC_INTEGER: return put(f, digits, frame_decimal(digits, v->integer), w, q);
    case CODEC_NONE: return 1;
    default: return FL_EVALUE;
    }
}

int frame_reply_bytes(const struct framing *f, struct codec_reader *value, struct wire *w,
                      struct queue *q, put_bytes *put)
{
    struct codec_value v = {0};
    int rc = codec_read(value, &v);
    if (rc < 0)
        return rc;
    if (v.type != CODEC_LIST && v.type != CODEC_TUPLE)
        return put_value(f, &v, w, q, put);
    int silent = 1;
    for (uint32_t left = v.count; left > 0; left--) {
        struct codec_value item = {0};
        rc = codec_read(value, &item);
        if (rc == 0)
            rc = put_value(f, &item, w, q, put);
        if (rc < 0)
            return rc;
        silent &= rc;
    }
    return silent;
}
