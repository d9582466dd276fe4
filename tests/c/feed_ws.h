/* feed_ws.h -- frames of WebSocket that come in pieces, and what the framing makes of them, as
 * text.
 *
 * The text is "[text]" or "{binary}" for each message, "!big" or "!bad" for one that cannot be
 * expanded, "<ping x>", "<pong x>", "<close 1000 x>" for control frames; then "!" and the close
 * code of an error, or "+N" if N bytes at the end are incomplete. */
#ifndef FEED_WS_H
#define FEED_WS_H

#include "feed.h"
#include "ws_zip.h"

static inline void feed_ws_message(const struct message *m, struct ws_zip *zip, struct buf *text)
{
    struct message copy = *m;
    struct buf inbox = {0};
    copy.zip = zip;
    int rc = m->kind == MESSAGE_WHOLE ? m->status & WS_ZIPPED ? 1 : 0 : -1;
    if (rc < 0) {
        char plain[128], code[16];
        frame_ws_unmask(m, plain);
        buf_put(text,
                m->kind == MESSAGE_PING   ? "<ping "
                : m->kind == MESSAGE_PONG ? "<pong "
                                          : "<close ",
                m->kind == MESSAGE_CLOSE ? 7 : 6);
        if (m->kind == MESSAGE_CLOSE)
            buf_put(text, code, (size_t)snprintf(code, sizeof code, "%d ", m->status));
        size_t skip = m->kind == MESSAGE_CLOSE ? min_size(2, m->len) : 0;
        buf_put(text, plain + skip, m->len - skip);
        buf_put(text, ">", 1);
        return;
    }
    rc = protocol_ws.deliver(&copy, &inbox);
    if (rc < 0) {
        buf_put(text, rc == FL_ELIMIT ? "!big" : "!bad", 4);
        buf_free(&inbox);
        return;
    }
    size_t head = inbox.data[0] == 'z' ? 2 : 5;
    bool is_text = inbox.data[0] != 's';
    buf_put(text, is_text ? "[" : "{", 1);
    buf_put(text, inbox.data + head, inbox.len - head);
    buf_put(text, is_text ? "]" : "}", 1);
    buf_free(&inbox);
}

/* Scans what is there in a copy of exactly its size. Returns the bytes used, or -1 after an error.
 */
static inline ssize_t feed_ws_piece(const struct framing *f, struct ws_zip *zip, struct progress *p,
                                    const char *data, size_t n, const struct copier *by,
                                    struct buf *text)
{
    size_t used = 0;
    while (used < n) {
        struct message m = {0};
        char *copy = by->copy(data + used, n - used);
        ssize_t rc = protocol_ws.scan(f, p, copy, n - used, &m);
        if (rc > 0 || rc == FRAME_CONTROL) {
            feed_ws_message(&m, zip, text);
        } else if (rc < 0) {
            char code[16];
            buf_put(text, code, (size_t)snprintf(code, sizeof code, "!%d", m.status));
        }
        by->drop(copy, n - used);
        if (rc < 0 && rc != FRAME_CONTROL)
            return -1;
        if (rc == 0)
            break;
        used += rc > 0 ? (size_t)rc : 0;
    }
    return (ssize_t)used;
}

/* The first `first` bytes arrive at once, then `each` at a time. Replaces what is in *text. */
static inline void feed_ws(const struct framing *f, struct ws_zip *zip, uint8_t step,
                           const char *data, size_t n, size_t first, size_t each,
                           const struct copier *by, struct buf *text)
{
    struct progress p = {.step = step};
    size_t used = 0;
    text->len = 0;
    for (size_t there = min_size(first, n);; there += min_size(each, n - there)) {
        ssize_t rc = feed_ws_piece(f, zip, &p, data + used, there - used, by, text);
        if (rc < 0)
            return;
        used += (size_t)rc;
        if (there == n)
            break;
    }
    char left[32];
    if (used < n)
        buf_put(text, left, (size_t)snprintf(left, sizeof left, "+%zu", n - used));
}

#endif
