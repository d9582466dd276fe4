/* conn_in.c -- bytes in: from what was read to messages in the inbox.
 *
 * Workload: a busy connection gets a few whole messages per read. Reads go to one scratch buffer
 * for all connections and are framed in place; only an incomplete tail is copied to memory of the
 * connection's own.
 *
 * Invariants: while a connection has a reply outstanding, bytes that make no message wait
 * (CONN_PARKED), so that an answer of ours cannot overtake one of Python's. A body in pieces is
 * framed one piece at a time, each when the user asks for it; the connection is not read meanwhile.
 * Only the loop's thread comes here. */
#include <errno.h>
#include <stdlib.h>

#include "conn.h"

static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

enum verdict {
    TAKEN,
    WAITS, /* its turn comes when nothing is in flight */
    ENDED, /* nothing behind it counts any more */
    WRONG, /* it turned out to be no message */
};

/* -- one message -- */

static int push(struct conns *t, struct conn *c, struct message *m)
{
    struct group *g = &t->inbox.groups[c->listener];
    const struct framing *f = conn_framing(t, c);
    m->id = conn_id(c);
    if (f->http != NULL && f->http->form != FL_FORM_PLAIN) {
        m->form = f->http->form;
        m->refs = inbox_refs(&t->inbox, c->listener);
        m->peer = conn_peer(t, c);
    }
    int rc = inbox_reserve(g) < 0 ? -ENOMEM : f->protocol->deliver(m, &g->items);
    if (unlikely(rc < 0)) {
        if (rc == -ENOMEM)
            conn_fail(t, c, rc);
        return rc;
    }
    inbox_message(&t->inbox, g, conn_id(c), m->http.flags);
    t->stats.messages++;
    c->in_flight++;
    return 0;
}

/* A part of a body. With the last one its end is told in the same breath. */
static enum verdict take_piece(struct conns *t, struct conn *c, const struct message *m)
{
    bool end = m->kind == MESSAGE_END;
    c->flags &= (uint32_t) ~(CONN_MORE | CONN_EXPECT);
    int rc = end && m->len == 0 ? 0 : inbox_piece(&t->inbox, conn_id(c), m->data, m->len);
    if (end) {
        rc = rc < 0 ? rc : inbox_piece(&t->inbox, conn_id(c), NULL, 0);
        conn_in_time(c);
    }
    if (rc < 0)
        conn_fail(t, c, rc);
    else if (end && (c->flags & CONN_LAST))
        conn_close(t, c);
    return c->state == CONN_OPEN ? TAKEN : ENDED;
}

/* Lets the listener's hook answer. Returns what that does. */
static int answer_here(struct conns *t, struct conn *c, const struct message *m)
{
    const struct listener *l = t->listeners[c->listener];
    int rc = l->answer == NULL ? CONN_PASSED : l->answer(l->site, t, c, m);
    if (rc < 0) {
        conn_fail(t, c, rc);
    } else if (rc == CONN_ANSWERED) {
        t->stats.messages++;
        conn_touch(t, c);
        if (c->out.bytes > t->config.high_water) /* a small request may have a large answer */
            c->flags |= CONN_STALLED;
        if (m->http.flags & (HTTP_CLOSE | HTTP_OPEN))
            conn_close(t, c);
    }
    return rc;
}

static enum verdict take_request(struct conns *t, struct conn *c, struct message *m)
{
    const struct http_settings *http = conn_framing(t, c)->http;
    bool more = http->max_requests == 0 || c->requests + 1 < http->max_requests;
    if (!more && !(m->http.flags & HTTP_UPGRADE))
        m->http.flags |= HTTP_CLOSE;
    bool whole = m->kind == MESSAGE_WHOLE;
    if (!whole && (m->http.flags & HTTP_EXPECT) && c->in_flight > 0)
        return WAITS;
    int rc = answer_here(t, c, m);
    if (rc == CONN_WAITS)
        return WAITS;
    c->requests++;
    conn_in_time(c);
    if (rc == CONN_PASSED) {
        if (push(t, c, m) < 0)
            return ENDED;
        if (m->http.flags & HTTP_CLOSE)
            c->flags |= CONN_LAST;
        if (m->http.flags & (HTTP_UPGRADE | HTTP_OPEN))
            c->flags |= CONN_BARRIER;
        if (!whole && (m->http.flags & HTTP_EXPECT))
            c->flags |= CONN_EXPECT;
        if (whole && (m->http.flags & HTTP_CLOSE))
            conn_close(t, c);
    }
    return c->state == CONN_OPEN ? TAKEN : ENDED;
}

/* Of WebSocket. Only expanding a message may show that it is none. */
static enum verdict take_ws(struct conns *t, struct conn *c, struct message *m)
{
    int rc = 0;
    m->zip = conn_context_in(t, c);
    switch (m->kind) {
    case MESSAGE_PING: conn_pong(t, c, m); break;
    case MESSAGE_PONG: break; /* that it came is all there is to know */
    case MESSAGE_CLOSE: conn_left(t, c, m); break;
    default: rc = push(t, c, m);
    }
    if (rc == FL_EPROTO || rc == FL_ELIMIT) {
        m->status = rc == FL_ELIMIT ? WS_TOO_BIG : WS_NOT_TEXT;
        m->data = rc == FL_ELIMIT ? "a message over the maximum size" : "a message with bad bytes";
        m->len = strlen(m->data);
        return WRONG;
    }
    return rc == 0 && c->state == CONN_OPEN ? TAKEN : ENDED;
}

static enum verdict take(struct conns *t, struct conn *c, struct message *m)
{
    if (conn_ws(t, c) != NULL)
        return take_ws(t, c, m);
    if (m->kind >= MESSAGE_PIECE)
        return take_piece(t, c, m);
    if (conn_framing(t, c)->http != NULL)
        return take_request(t, c, m);
    return push(t, c, m) < 0 ? ENDED : TAKEN;
}

/* -- framing -- */

/* Leaves the bytes from `used` on for later: until there is room for another message, or, `also`
 * CONN_ALONE, until nothing is in flight. */
static size_t park(const struct conns *t, struct conn *c, size_t used, unsigned also)
{
    c->flags |= (uint32_t)(CONN_PARKED | also);
    if (conn_ws(t, c) == NULL)              /* whose pings between fragments were answered */
        c->progress = (struct progress){0}; /* looked at anew when its turn has come */
    return used;
}

/* What scan() returned is no message. Returns the bytes used up. */
static size_t stop(struct conns *t, struct conn *c, ssize_t why, const struct message *m,
                   size_t used, size_t len)
{
    if (conn_streams(c)) {
        t->stats.protocol_errors++;
        inbox_notice(&t->inbox, (int)why);
        conn_fail_body(t, c, (int)why);
        return len;
    }
    if (c->in_flight > 0 && conn_ws(t, c) == NULL)
        return park(t, c, used, CONN_ALONE);
    if (why != FRAME_CONTINUE) {
        conn_refuse(t, c, (int)why, m);
        return len;
    }
    if (wire_put(&t->wire, &c->out, go_on, sizeof go_on - 1) < 0)
        conn_fail(t, c, -ENOMEM);
    conn_touch(t, c);
    return used;
}

/* Whether what comes next may be framed now; it may have to be parked instead. */
static bool held(struct conn *c)
{
    if (likely(!(c->flags & CONN_BARRIER)))
        return false;
    if (conn_streams(c))
        return !(c->flags & CONN_MORE) || c->body_why != 0;
    if (c->in_flight == 0)
        c->flags &= (uint32_t)~CONN_BARRIER;
    return c->in_flight > 0;
}

/* Delivers the messages at the front of data. Returns the bytes used up; what is left is
 * incomplete, or parked until earlier messages are answered, or a body's next piece. */
static size_t frame(struct conns *t, struct conn *c, const char *data, size_t len)
{
    const struct framing *f = conn_framing(t, c);
    size_t used = 0;
    while (used < len) {
        if (!conn_may_frame(c) && !conn_streams(c))
            return park(t, c, used, 0);
        if (f->ws != NULL && inbox_bytes(&t->inbox) > CONN_BATCH_BYTES)
            return park(t, c, used, 0); /* few bytes may have become many */
        if (held(c))
            return conn_streams(c) ? used : park(t, c, used, CONN_ALONE);
        struct message m; /* not all of it is cleared: it is large, and this is done per message */
        m.data = NULL;
        m.len = 0;
        m.items = m.status = m.kind = m.form = 0;
        m.http.flags = 0;
        ssize_t n = f->protocol->scan(f, &c->progress, data + used, len - used, &m);
        if (n == 0)
            break;
        if (unlikely(n == FRAME_CONTROL)) {
            if (take(t, c, &m) == ENDED)
                return len;
            continue;
        }
        if (n < 0) {
            used = stop(t, c, n, &m, used, len);
            if (n == FRAME_CONTINUE && !(c->flags & CONN_PARKED) && c->state == CONN_OPEN)
                continue;
            return used;
        }
        if (m.data != NULL) {
            enum verdict v = take(t, c, &m);
            if (v == WAITS)
                return park(t, c, used, CONN_ALONE);
            if (v == ENDED)
                return len;
            if (v == WRONG)
                return stop(t, c, m.status == WS_TOO_BIG ? FL_ELIMIT : FL_EPROTO, &m, used, len);
        }
        used += (size_t)n;
    }
    return used;
}

/* Keeps what framing left over, which lies in the scratch buffer or in c->in itself. */
static void keep_tail(struct conns *t, struct conn *c, const char *data, size_t len)
{
    if (c->state != CONN_OPEN)
        return;
    if (len == 0) {
        free(c->in);
        c->in = NULL;
        c->in_len = c->in_cap = 0;
        return;
    }
    if (c->in == NULL) {
        c->in = malloc(len);
        if (c->in == NULL) {
            conn_fail(t, c, -ENOMEM);
            return;
        }
        c->in_cap = (uint32_t)len;
    }
    memmove(c->in, data, len);
    c->in_len = (uint32_t)len;
    if (len <= CONN_TAIL && c->in_cap > 4 * CONN_TAIL) { /* the big message it grew for is gone */
        char *smaller = realloc(c->in, CONN_TAIL);
        c->in = smaller == NULL ? c->in : smaller;
        c->in_cap = smaller == NULL ? c->in_cap : CONN_TAIL;
    }
}

/* -- what the driver tells -- */

char *conn_room(struct conns *t, struct conn *c, size_t *size)
{
    *size = CONN_SCRATCH;
    if (c->in_len <= CONN_TAIL) {
        if (c->in_len > 0)
            memcpy(t->scratch, c->in, c->in_len);
        return t->scratch + c->in_len;
    }
    if (c->in_cap - c->in_len < CONN_SCRATCH) {
        size_t cap = max_size((size_t)c->in_cap * 2, c->in_len + CONN_SCRATCH);
        char *in = cap > UINT32_MAX ? NULL : realloc(c->in, cap);
        if (in == NULL)
            return NULL;
        c->in = in;
        c->in_cap = (uint32_t)cap;
    }
    return c->in + c->in_len;
}

/* Of the bytes at `data`, all that was not framed yet, the last n came now. */
static void take_in(struct conns *t, struct conn *c, const char *data, size_t len, size_t n)
{
    c->in_len = 0;
    size_t used = frame(t, c, data, len);
    keep_tail(t, c, data + used, len - used);
    conn_follow(t, c, n);
}

void conn_arrived(struct conns *t, struct conn *c, size_t n)
{
    t->stats.bytes_in += n;
    if (c->state != CONN_OPEN)
        return;
    bool in_place = c->in_len > CONN_TAIL;
    const char *data = in_place ? c->in : t->scratch;
    size_t len = c->in_len + n;
    if (!in_place && c->in != NULL && c->in_cap < len) {
        free(c->in); /* too small for what may be left over */
        c->in = NULL;
        c->in_cap = 0;
    }
    take_in(t, c, data, len, n);
}

void conn_given(struct conns *t, struct conn *c, const char *data, size_t n)
{
    if (likely(c->in_len == 0)) {
        t->stats.bytes_in += n;
        if (c->state == CONN_OPEN)
            take_in(t, c, data, n, n);
        return;
    }
    size_t size;
    char *room = conn_room(t, c, &size);
    if (room == NULL) {
        conn_fail(t, c, -ENOMEM);
        return;
    }
    memcpy(room, data, n);
    conn_arrived(t, c, n);
}

void conn_stash(struct conns *t, struct conn *c, const char *data, size_t n)
{
    t->stats.bytes_in += n;
    if (c->state != CONN_OPEN)
        return;
    if (c->in_cap - c->in_len < n) {
        size_t cap = max_size((size_t)c->in_cap * 2, c->in_len + n);
        char *in = cap > UINT32_MAX ? NULL : realloc(c->in, cap);
        if (in == NULL) {
            conn_fail(t, c, -ENOMEM);
            return;
        }
        c->in = in;
        c->in_cap = (uint32_t)cap;
    }
    memcpy(c->in + c->in_len, data, n);
    c->in_len += (uint32_t)n;
    if (!conn_streams(c)) /* a body's next piece is asked for */
        c->flags |= CONN_PARKED;
    conn_touch(t, c);
}

void conn_continue(struct conns *t, struct conn *c)
{
    list_remove(&c->ready);
    c->flags &= (uint32_t) ~(CONN_PARKED | CONN_ALONE);
    if (c->in == NULL || c->state != CONN_OPEN)
        return;
    size_t used = frame(t, c, c->in, c->in_len);
    if (c->state == CONN_OPEN)
        keep_tail(t, c, c->in + used, c->in_len - used);
    if ((c->flags & CONN_EOF) && (c->in == NULL || (c->flags & CONN_MORE)))
        conn_fail_body(t, c, -ECONNRESET); /* what is left makes no piece */
    conn_follow(t, c, 0);
    conn_touch(t, c);
}

static void tell_left(struct conns *t, struct conn *c)
{
    c->flags &= (uint16_t)~CONN_LEAVES;
    if (inbox_left(&t->inbox, conn_id(c)) < 0)
        conn_fail(t, c, -ENOMEM);
}

void conn_await_end(struct conns *t, struct conn *c)
{
    c->flags |= CONN_WATCHED | CONN_LEAVES;
    if (c->flags & CONN_EOF)
        tell_left(t, c);
    conn_touch(t, c);
}

void conn_ended(struct conns *t, struct conn *c)
{
    c->flags |= CONN_EOF;
    if (c->flags & CONN_LEAVES)
        tell_left(t, c);
    if (c->in == NULL)
        conn_fail_body(t, c, -ECONNRESET);
    else if ((c->flags & CONN_MORE) && !list_linked(&c->ready))
        list_append(&t->ready, &c->ready);
    if (c->state == CONN_LINGER)
        conn_fail(t, c, 0);
    else
        conn_touch(t, c);
}

/* -- a body in pieces -- */

void conn_fail_body(struct conns *t, struct conn *c, int why)
{
    if (!conn_streams(c))
        return;
    if (c->body_why == 0)
        c->body_why = (int16_t)why;
    if (c->flags & CONN_MORE)
        inbox_piece_failed(&t->inbox, conn_id(c), c->body_why);
    c->flags &= (uint32_t)~CONN_MORE;
}

/* Says 100 (Continue) ahead of the response, unless that has begun. Without a hole for it the
 * response was not even promised, and nothing is behind the answers of before. */
static void say_go_on(struct conns *t, struct conn *c)
{
    const struct span *own = c->out.head;
    struct queue q = {0};
    while (own != NULL && (own->data != NULL || !(own->exchange.flags & HTTP_EXPECT)))
        own = own->next;
    c->flags &= (uint32_t)~CONN_EXPECT;
    if (own != NULL && own->exchange.stage != STAGE_NEW)
        return;
    if (wire_put(&t->wire, &q, go_on, sizeof go_on - 1) < 0)
        conn_fail(t, c, -ENOMEM);
    else
        wire_fill(&t->wire, &c->out, own == NULL ? 0 : own->ticket, &q, false);
}

void conn_more(struct conns *t, struct conn *c)
{
    if (!conn_streams(c)) { /* the end was told, and is told to whoever asks again */
        if (inbox_piece(&t->inbox, conn_id(c), NULL, 0) < 0)
            conn_fail(t, c, -ENOMEM);
        return;
    }
    c->flags |= CONN_MORE;
    if (c->body_why != 0) {
        conn_fail_body(t, c, c->body_why);
        return;
    }
    if (c->flags & CONN_EXPECT)
        say_go_on(t, c);
    if (c->in != NULL && !list_linked(&c->ready))
        list_append(&t->ready, &c->ready);
    conn_follow(t, c, 0);
    conn_touch(t, c);
}
