/* feed_http.h -- requests that come in pieces, and what the framing makes of them, as text.
 *
 * The text is "[METHOD PATH QUERY FLAGS]body." for each request that is complete; then "!400" and
 * the like, or "+" if there is a part of another. It must not depend on how the bytes were cut, nor
 * on whether bodies are delivered whole or in pieces. */
#ifndef FEED_HTTP_H
#define FEED_HTTP_H

#include <assert.h>
#include <stdio.h>

#include "date.h"
#include "fastloop.h"
#include "feed.h"
#include "frame.h"
#include "http_environ.h"
#include "http_scope.h"

static inline struct framing http_framing(const struct http_settings *s)
{
    struct framing f;
    int rc = framing_init(&f, "http", NULL, 0, 1 << 20);
    assert(rc == 0);
    (void)rc;
    f.http = s;
    return f;
}

static inline void feed_put(struct buf *text, const char *data, size_t len)
{
    if (len > 0)
        buf_put(text, data, len);
}

/* Flags that depend on what was asked, not on what was here when. */
static inline void feed_flags(uint8_t flags, struct buf *text)
{
    static const char letters[] = "OHCKU";
    for (int i = 0; i < 5; i++) {
        if (flags & 1 << i)
            feed_put(text, letters + i, 1);
    }
    if (flags & HTTP_CHUNKED)
        feed_put(text, "T", 1);
}

/* The next value of a delivered tuple. */
static inline struct codec_value feed_value(struct codec_reader *r, enum codec_type type)
{
    struct codec_value v = {0};
    int rc = codec_read(r, &v);
    assert(rc == 0 && (v.type == type || type == CODEC_MARK));
    (void)rc;
    return v;
}

/* Every form must be written within its room, to be read again whole; what a batch shares counts.
 */
static inline void feed_forms(const struct framing *f, const struct message *given)
{
    static const struct sock_name peer = {65535, 15, "255.255.255.255"};
    for (int form = FL_FORM_WSGI; form <= FL_FORM_ASGI; form++) {
        struct codec_refs refs = {0};
        struct message m = *given;
        struct buf inbox = {0};
        m.form = (uint8_t)form;
        m.peer = &peer;
        if (f->protocol->deliver(&m, &inbox) == 0) {
            struct codec_reader r = {inbox.data, inbox.data + inbox.len};
            size_t room = form == FL_FORM_WSGI ? http_environ_room(&m) : http_scope_room(&m);
            size_t body = m.kind == MESSAGE_HEAD ? 0 : m.http.body_len;
            int rc = codec_skip(&r);
            assert(rc == 0 && r.at == r.end);
            assert(inbox.len <= 2 * CODEC_HEAD + CODEC_INT + room + body);
            (void)rc, (void)room, (void)body;
        }
        buf_free(&inbox);
        m.refs = &refs;
        if (f->protocol->deliver(&m, &inbox) == 0)
            assert(refs.count > 0 && refs.count <= CODEC_SHARED);
        buf_free(&inbox);
    }
}

static inline void feed_request(const struct framing *f, struct message *m, struct buf *text)
{
    struct buf inbox = {0};
    m->id = 77;
    feed_forms(f, m);
    if (f->protocol->deliver(m, &inbox) < 0)
        return;
    struct codec_reader r = {inbox.data, inbox.data + inbox.len};
    struct codec_value tuple = feed_value(&r, CODEC_TUPLE);
    assert(tuple.count == 6);
    feed_put(text, "[", 1);
    for (int i = 0; i < 3; i++) {
        struct codec_value v = feed_value(&r, CODEC_TEXT);
        feed_put(text, v.data, v.len);
        feed_put(text, " ", 1);
    }
    feed_flags(m->http.flags, text);
    feed_put(text, "]", 1);
    struct codec_value head = feed_value(&r, CODEC_BYTES);
    assert(head.len >= 14 && memcmp(head.data + head.len - 2, "\r\n", 2) == 0);
    struct codec_value body = feed_value(&r, CODEC_MARK);
    assert(body.type == (m->kind == MESSAGE_HEAD ? CODEC_NONE : CODEC_BYTES));
    assert((m->kind == MESSAGE_HEAD) == ((m->http.flags & HTTP_OPEN) != 0));
    assert(m->kind == MESSAGE_HEAD || body.len == m->http.body_len);
    assert(m->kind == MESSAGE_HEAD || !(m->http.flags & HTTP_EXPECT));
    feed_put(text, body.data, body.len);
    struct codec_value id = feed_value(&r, CODEC_INTEGER);
    assert(id.integer == 77 && r.at == r.end);
    (void)tuple, (void)head, (void)id;
    buf_free(&inbox);
}

/* Takes the requests at the front of data. *start is where the text of the present one begins.
 * Returns the bytes used, or an error. */
static inline ssize_t feed_requests(const struct framing *f, struct progress *p, const char *data,
                                    size_t n, size_t *start, struct buf *text)
{
    size_t used = 0;
    while (used < n) {
        struct message m = {0};
        ssize_t rc = f->protocol->scan(f, p, data + used, n - used, &m);
        assert(rc <= (ssize_t)(n - used));
        if (rc == FRAME_CONTINUE) {
            assert(!f->http->stream && p->phase == PROGRESS_BODY);
            rc = f->protocol->scan(f, p, data + used, n - used, &m);
            assert(rc == 0);
        }
        if (rc == 0)
            break;
        if (rc < 0) {
            char refusal[8];
            assert(m.status >= 400 && m.len > 0 && m.data != NULL);
            text->len = *start;
            feed_put(text, refusal, (size_t)snprintf(refusal, sizeof refusal, "!%d", m.status));
            return rc;
        }
        used += (size_t)rc;
        if (m.kind == MESSAGE_WHOLE || m.kind == MESSAGE_HEAD)
            feed_request(f, &m, text);
        else
            feed_put(text, m.data, m.len);
        if (m.kind == MESSAGE_WHOLE || m.kind == MESSAGE_END) {
            assert(p->seen == 0 && p->left == 0 && p->phase == PROGRESS_IDLE && p->excess == 0);
            feed_put(text, ".", 1);
            *start = text->len;
        }
    }
    return (ssize_t)used;
}

/* The first `first` bytes arrive at once, then `step` (at least 1) at a time; each time what is not
 * used up yet is scanned in a copy of exactly its size. Replaces what is in *text. */
static inline void feed_http(const struct framing *f, const char *data, size_t n, size_t first,
                             size_t step, const struct copier *by, struct buf *text)
{
    struct progress p = {0};
    size_t used = 0;
    size_t start = 0;
    text->len = 0;
    for (size_t there = first < n ? first : n;; there += min_size(step, n - there)) {
        char *copy = by->copy(data + used, there - used);
        ssize_t rc = feed_requests(f, &p, copy, there - used, &start, text);
        by->drop(copy, there - used);
        if (rc < 0)
            return;
        used += (size_t)rc;
        if (there == n)
            break;
    }
    text->len = start;
    if (used < n || p.phase != PROGRESS_IDLE)
        feed_put(text, "+", 1);
}

#endif
