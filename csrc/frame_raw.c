/* frame_raw.c -- no framing: a message is what there is, a reply is its bytes.
 *
 * Workload: relays and protocols that a handler takes apart itself; messages are what one read
 * brought. Pure functions, any thread. */
#include "frame.h"

static ssize_t scan(const struct framing *f, struct progress *p, const char *data, size_t n,
                    struct message *m)
{
    m->data = data;
    m->len = min_size(n, f->max_message);
    *p = (struct progress){0};
    return (ssize_t)m->len;
}

static int put(const struct framing *f, const char *data, size_t len, struct wire *w,
               struct queue *q)
{
    (void)f;
    return len == 0 ? 0 : wire_body(w, q, data, len); /* a span of no bytes would never be sent */
}

static int reply(const struct framing *f, struct exchange *x, struct codec_reader *value,
                 struct wire *w, struct queue *q)
{
    (void)x;
    return frame_reply_bytes(f, value, w, q, put);
}

const struct protocol protocol_raw = {
    .name = "raw",
    .scan = scan,
    .deliver = frame_deliver_bytes,
    .reply = reply,
};
