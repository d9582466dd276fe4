/* conn_out.c -- bytes out, and what a connection does next.
 *
 * Workload: the replies of a connection leave in one send, after which it is read on. A connection
 * that is to be sent something is in the list of dirty ones once, however often it is touched.
 *
 * Invariant: every change of what a connection waits for goes through conn_touch(), so that
 * conn_settle() and the driver look at it before the next wait. One thread. */
#include <errno.h>

#include "conn.h"

void conn_touch(struct conns *t, struct conn *c)
{
    if ((c->flags & CONN_DIRTY) || c->state == CONN_DEAD)
        return;
    c->flags |= CONN_DIRTY;
    c->next = t->dirty;
    t->dirty = c;
}

void conn_sent(struct conns *t, struct conn *c, size_t n, bool blocked)
{
    t->stats.bytes_out += n;
    wire_sent(&t->wire, &c->out, n);
    bool was_blocked = (c->flags & CONN_BLOCKED) != 0;
    if (blocked) {
        c->flags |= CONN_BLOCKED;
        if (n > 0 || !was_blocked)
            conn_deadline(t, c, t->config.write_timeout_ms);
    } else if (was_blocked) {
        c->flags &= (uint32_t)~CONN_BLOCKED;
        conn_clock(t, c);
    } else if (conn_framing(t, c)->http != NULL) {
        conn_follow(t, c, 0); /* the time between two requests begins now */
    }
}

void conn_replied(struct conns *t, struct conn *c)
{
    c->in_flight--;
    if (unlikely(c->state != CONN_OPEN))
        conn_farewell(t, c);
    /* One that is read as before and has nothing to say needs no flush. */
    if (c->out.head != NULL || c->state != CONN_OPEN || !(c->watched & IO_READ) ||
        (c->flags & CONN_PARKED))
        conn_touch(t, c);
}

bool conn_fault(struct conns *t, struct conn *c, struct exchange *x, struct queue *q)
{
    const struct framing *f = conn_framing(t, c);
    const char *fault = f->protocol->fault;
    bool until_close = f->http != NULL && x->stage == STAGE_RAW;
    int rc = REPLY_LAST;
    if (f->protocol->answer != NULL)
        rc = f->protocol->answer(f, x, 500, NULL, &t->wire, q);
    else if (fault != NULL && wire_put(&t->wire, q, fault, strlen(fault)) == 0)
        rc = REPLY_SAID;
    if (rc == REPLY_SAID || rc == REPLY_SILENT)
        return false;
    if (f->ws != NULL)
        conn_because(c, WS_FAILED);
    if (until_close)
        conn_fail(t, c, -ECONNRESET);
    else
        conn_close(t, c);
    return true;
}

void conn_pause(struct conns *t, struct conn *c, bool on)
{
    if (on)
        c->flags |= CONN_PAUSED;
    else
        c->flags &= (uint32_t)~CONN_PAUSED;
    conn_touch(t, c);
}

/* -- what next -- */

unsigned conn_wants(const struct conn *c)
{
    unsigned wants = c->flags & CONN_BLOCKED ? IO_WRITE : 0;
    if (c->flags & CONN_EOF)
        return wants;
    if (c->state == CONN_AWAY)
        return c->fd >= 0 ? IO_READ : 0; /* the end of who serves it */
    bool reads = conn_streams(c) ? (c->flags & CONN_MORE) && c->state == CONN_OPEN
                                 : conn_may_frame(c) && !(c->flags & CONN_PARKED);
    /* What one says that is about to be closed is discarded. */
    bool leaves = (c->flags & CONN_LEAVES) && c->state != CONN_OPEN;
    if (reads || leaves || c->state == CONN_LINGER)
        wants |= IO_READ;
    return wants;
}

static void update_stall(struct conns *t, struct conn *c)
{
    if (c->out.bytes > t->config.high_water)
        c->flags |= CONN_STALLED;
    else if (c->out.bytes <= t->config.low_water)
        c->flags &= (uint32_t)~CONN_STALLED;
}

/* Tells whoever fills the first hole that there is room. What is behind it does not count: it
 * cannot be sent before. */
static void tell_room(struct conns *t, struct conn *c)
{
    uint64_t ahead;
    struct exchange *x = wire_first(&c->out, &ahead);
    if (x == NULL) {
        if (c->state == CONN_OPEN) /* else who asked may have been cut off: is told at the end */
            c->flags &= (uint32_t)~CONN_ASKED;
    } else if (x->asked && ahead <= t->config.low_water) {
        x->asked = false;
        inbox_room(&t->inbox, conn_id(c), (int64_t)ahead);
    }
}

/* Goes on with bytes that had to wait: plain messages as soon as half the places are free, an error
 * when everything before it is answered. */
static void resume(struct conns *t, struct conn *c)
{
    uint32_t free_at = c->flags & CONN_ALONE ? 0 : CONN_MESSAGES / 2;
    if (!(c->flags & CONN_PARKED) || !conn_may_frame(c) || c->in_flight > free_at)
        return;
    if (!list_linked(&c->ready))
        list_append(&t->ready, &c->ready);
}

/* Whether a peer of WebSocket went without a close frame, and all that could still be said to it is
 * promised only: a handler that goes on for long must not keep its connection. */
static bool is_abandoned(const struct conns *t, const struct conn *c)
{
    return conn_ws(t, c) != NULL && c->state != CONN_LINGER && !(c->flags & CONN_PARKED) &&
           (c->out.head == NULL || c->out.head->data == NULL) &&
           c->in_flight == wire_holes(&c->out);
}

bool conn_settle(struct conns *t, struct conn *c)
{
    update_stall(t, c);
    if (c->flags & CONN_ASKED)
        tell_room(t, c);
    if ((c->flags & CONN_ROOM) && c->out.bytes <= t->config.low_water) {
        c->flags &= (uint32_t)~CONN_ROOM;
        inbox_room(&t->inbox, conn_id(c), (int64_t)c->out.bytes);
    }
    resume(t, c);
    if ((c->flags & CONN_EOF) && is_abandoned(t, c)) {
        conn_fail(t, c, WS_ABNORMAL);
        return false;
    }
    if ((c->flags & CONN_PARKED) || c->out.head != NULL || c->in_flight > 0)
        return false;
    if (c->state != CONN_LINGER && (c->flags & CONN_EOF)) {
        conn_fail(t, c, 0);
        return false;
    }
    if (c->state != CONN_ENDING && c->state != CONN_FINAL)
        return false;
    c->state = CONN_LINGER;
    conn_deadline(t, c, (uint32_t)max_size(t->config.linger_ms, 1));
    return true;
}

void conn_ask(struct conns *t, struct conn *c, uint64_t ticket)
{
    struct exchange *x = wire_exchange(&c->out, ticket);
    if (ticket == 0) {
        c->flags |= CONN_ROOM;
        conn_touch(t, c);
        return;
    }
    if (x == NULL) {
        inbox_room(&t->inbox, conn_id(c), -ENOTCONN);
        return;
    }
    x->asked = true;
    c->flags |= CONN_ASKED;
    conn_touch(t, c);
}
