/* feed.h -- bytes that come in pieces, and what a framing makes of them, as text.
 *
 * The text is "[message]" for each message, "[a|b|c]" for one of several arguments; then "!proto"
 * or
 * "!limit" and the answer to the peer; or "+N" if N bytes at the end are incomplete. It must not
 * depend on how the bytes were cut, which is what the tests and the fuzzer compare. */
#ifndef FEED_H
#define FEED_H

#include <assert.h>
#include <stdio.h>

#include "fastloop.h"
#include "frame.h"
#include "t.h"

/* How an input is copied so that reading past its end is noticed. */
struct copier {
    char *(*copy)(const void *data, size_t n);
    void (*drop)(char *copy, size_t n);
};

static inline void feed_message(const struct framing *f, const struct message *m, struct buf *text)
{
    struct buf inbox = {0};
    if (f->protocol->deliver(m, &inbox) < 0)
        return;
    struct codec_reader r = {inbox.data, inbox.data + inbox.len};
    struct codec_value v = {0};
    uint32_t items = 0;
    int rc = codec_read(&r, &v);
    assert(rc == 0 && (v.type == CODEC_BYTES || (v.type == CODEC_TUPLE && v.count == m->items)));
    buf_put(text, "[", 1);
    if (v.type == CODEC_BYTES)
        buf_put(text, v.data, v.len);
    for (uint32_t left = v.type == CODEC_TUPLE ? v.count : 0; left > 0; left--) {
        rc = codec_read(&r, &v);
        assert(rc == 0 && v.type == CODEC_BYTES);
        if (items++ > 0)
            buf_put(text, "|", 1);
        buf_put(text, v.data, v.len);
    }
    assert(r.at == r.end);
    buf_put(text, "]", 1);
    buf_free(&inbox);
}

/* Takes the messages at the front of data. Returns the bytes used, or an error. */
static inline ssize_t feed_piece(const struct framing *f, struct progress *p, const char *data,
                                 size_t n, struct buf *text)
{
    size_t used = 0;
    while (used < n) {
        struct message m = {0};
        ssize_t rc = f->protocol->scan(f, p, data + used, n - used, &m);
        assert(rc <= (ssize_t)(n - used));
        if (rc < 0) {
            buf_put(text, rc == FL_EPROTO ? "!proto" : "!limit", 6);
            if (m.len > 0)
                buf_put(text, m.data, m.len);
            return rc;
        }
        assert(rc > 0 ? p->seen == 0 && p->left == 0 : p->seen <= n - used);
        if (rc == 0)
            break;
        used += (size_t)rc;
        if (m.data != NULL)
            feed_message(f, &m, text);
    }
    return (ssize_t)used;
}

/* The first `first` bytes arrive at once, then `step` (at least 1) at a time; each time what is not
 * used up yet is scanned in a copy of exactly its size. Replaces what is in *text. */
static inline void feed(const struct framing *f, const char *data, size_t n, size_t first,
                        size_t step, const struct copier *by, struct buf *text)
{
    struct progress p = {0};
    size_t used = 0;
    text->len = 0;
    for (size_t there = first < n ? first : n;; there += min_size(step, n - there)) {
        char *copy = by->copy(data + used, there - used);
        ssize_t rc = feed_piece(f, &p, copy, there - used, text);
        by->drop(copy, there - used);
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

/* Checks that an input gives this text, cut at every place and byte by byte. */
static inline void feed_check(const struct framing *f, const char *input, size_t n,
                              const struct copier *by, const char *want, size_t want_len)
{
    struct buf text = {0};
    bool same = true;
    for (size_t cut = 0; cut <= n; cut++) {
        feed(f, input, n, cut, n, by, &text);
        same &= CHECK_MEM(text.data, text.len, want, want_len);
    }
    feed(f, input, n, 1, 1, by, &text);
    same &= CHECK_MEM(text.data, text.len, want, want_len);
    if (!same)
        fprintf(stderr, "in the example %.*s\n", (int)n, input);
    buf_free(&text);
}

#endif
