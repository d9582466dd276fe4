/* frame_line.c -- messages that end with a delimiter.
 *
 * Workload: short lines, several to a read, LF in front of everything else; so the search is one
 * memchr(). A line that trickles in is searched on from where the last search ended, and it is
 * given up as soon as it must be longer than the maximum, not when its end comes. Pure functions,
 * any thread. */
#include "frame.h"

#include <errno.h>

#include "fastloop.h"

static const char *find(const struct framing *f, const char *from, size_t n)
{
    if (likely(f->delimiter_len == 1))
        return memchr(from, f->delimiter[0], n);
    return memmem(from, n, f->delimiter, f->delimiter_len);
}

/* How many bytes at the end of a line without its delimiter may yet turn out to be part of one. */
static size_t undecided(const struct framing *f, const char *data, size_t n)
{
    if (f->strip_cr)
        return data[n - 1] == '\r' ? 1 : 0;
    size_t k = min_size(f->delimiter_len - 1u, n);
    while (k > 0 && memcmp(data + n - k, f->delimiter, k) != 0)
        k--;
    return k;
}

static ssize_t scan(const struct framing *f, struct progress *p, const char *data, size_t n,
                    struct message *m)
{
    if (n <= p->seen)
        return 0;
    const char *end = find(f, data + p->seen, n - p->seen);
    if (end == NULL) {
        p->seen = (uint32_t)(n - min_size(n, f->delimiter_len - 1u));
        return n - undecided(f, data, n) > f->max_message ? FL_ELIMIT : 0;
    }
    size_t len = (size_t)(end - data);
    ssize_t used = (ssize_t)(len + f->delimiter_len);
    if (f->strip_cr && len > 0 && data[len - 1] == '\r')
        len--;
    if (len > f->max_message)
        return FL_ELIMIT;
    m->data = data;
    m->len = len;
    *p = (struct progress){0};
    return used;
}

static int put(const struct framing *f, const char *data, size_t len, struct wire *w,
               struct queue *q)
{
    if (len >= FRAME_COPY) {
        int rc = wire_body(w, q, data, len);
        return rc < 0 ? rc : wire_put(w, q, f->delimiter, f->delimiter_len);
    }
    char *room = wire_room(w, len + f->delimiter_len);
    if (room == NULL)
        return -ENOMEM;
    memcpy(room, data, len);
    memcpy(room + len, f->delimiter, f->delimiter_len);
    return wire_commit(w, q, len + f->delimiter_len);
}

static int reply(const struct framing *f, struct exchange *x, struct codec_reader *value,
                 struct wire *w, struct queue *q)
{
    (void)x;
    return frame_reply_bytes(f, value, w, q, put);
}

const struct protocol protocol_line = {
    .name = "line",
    .scan = scan,
    .deliver = frame_deliver_bytes,
    .reply = reply,
};
