/* conn_time.c -- how long a connection may take for what it does.
 *
 * Workload: each connection has one deadline in the wheel, which nearly always is the idle one; it
 * is renewed by a store at every arrival and hardly ever comes. A request that arrives in parts
 * gets a deadline that does not move with each byte, so that nobody can hold a connection by
 * sending a byte now and then.
 *
 * Invariant: while the kernel refuses bytes (CONN_BLOCKED) the deadline is that of a write, filed
 * by conn_sent(). One thread. */
#include "conn.h"

void conn_deadline(struct conns *t, struct conn *c, uint32_t after_ms)
{
    if (after_ms == 0)
        wheel_remove(&t->wheel, &c->timer);
    else
        wheel_file(&t->wheel, &c->timer, wheel_tick(t->now_us, after_ms));
}

/* A body has body_ms to begin and between any two arrivals, and on the whole what it takes at
 * body_rate on top of that: a client that trickles is cut off, a slow line is not. */
static void body_deadline(struct conns *t, struct conn *c, const struct http_settings *http)
{
    uint32_t due = wheel_tick(t->now_us, http->body_ms);
    if (http->body_rate > 0) {
        uint64_t ms = http->body_ms + (uint64_t)c->body_bytes * 1000 / http->body_rate;
        uint64_t whole = c->body_since + ms / WHEEL_TICK_MS + 1;
        due = whole < due ? (uint32_t)whole : due;
    }
    wheel_file(&t->wheel, &c->timer, due);
}

/* How long it may say nothing, or does before it gets a ping. */
static uint32_t idle_ms(const struct conns *t, const struct conn *c)
{
    const struct framing *f = conn_framing(t, c);
    if (f->http != NULL)
        return f->http->keepalive_ms;
    return f->ws != NULL && f->ws->ping_ms > 0 ? f->ws->ping_ms : t->config.idle_timeout_ms;
}

static void idle_deadline(struct conns *t, struct conn *c, uint32_t after_ms)
{
    if (c->clock == CONN_CLOCK_IDLE && after_ms == 0)
        return;
    if (c->clock == CONN_CLOCK_IDLE)
        c->timer.deadline =
            wheel_tick(t->now_us, after_ms); /* later than before: a store will do */
    else
        conn_deadline(t, c, after_ms);
    c->clock = CONN_CLOCK_IDLE;
}

/* Starts the body's time, stops it while the user asks for no piece, and goes on with it then: what
 * the user takes is not the peer's time. */
static void body_clock(struct conns *t, struct conn *c, size_t n)
{
    uint32_t now = wheel_tick(t->now_us, 0);
    bool rests = conn_streams(c) && !(c->flags & CONN_MORE);
    uint8_t clock = rests ? CONN_CLOCK_REST : CONN_CLOCK_BODY;
    if (c->clock != CONN_CLOCK_BODY && c->clock != CONN_CLOCK_REST) {
        c->body_since = rests ? 0 : now;
        c->body_bytes = 0;
    } else if (c->clock != clock) {
        c->body_since = now - c->body_since; /* from a point in time to how long, or back */
    }
    c->clock = clock;
    c->body_bytes = (uint32_t)min_size(c->body_bytes + n, UINT32_MAX);
}

static void file_body(struct conns *t, struct conn *c, const struct http_settings *http)
{
    if (c->clock == CONN_CLOCK_REST || http->body_ms == 0)
        conn_deadline(t, c, 0);
    else
        body_deadline(t, c, http);
}

void conn_clock(struct conns *t, struct conn *c)
{
    const struct http_settings *http = conn_framing(t, c)->http;
    uint8_t phase = c->progress.phase;
    if (c->clock == CONN_CLOCK_LEAVE) {
        conn_deadline(t, c, (uint32_t)max_size(t->config.linger_ms, 1));
    } else if (http == NULL || phase == PROGRESS_IDLE) {
        conn_deadline(t, c, idle_ms(t, c));
        c->clock = CONN_CLOCK_IDLE;
    } else if (phase == PROGRESS_HEAD) {
        conn_deadline(t, c, http->header_ms);
        c->clock = CONN_CLOCK_HEAD;
    } else {
        body_clock(t, c, 0);
        file_body(t, c, http);
    }
}

void conn_follow(struct conns *t, struct conn *c, size_t n)
{
    const struct http_settings *http = conn_framing(t, c)->http;
    uint8_t phase = c->progress.phase;
    bool blocked = (c->flags & CONN_BLOCKED) != 0;
    if (c->state != CONN_OPEN)
        return;
    if (http != NULL && phase >= PROGRESS_BODY) {
        body_clock(t, c, n);
        if (!blocked)
            file_body(t, c, http);
    } else if (blocked) {
        return;
    } else if (http == NULL || phase == PROGRESS_IDLE) {
        idle_deadline(t, c, idle_ms(t, c));
    } else if (c->clock != CONN_CLOCK_HEAD) {
        conn_clock(t, c);
    }
}

/* A message, or its body, took too long to arrive. */
static void too_slow(struct conns *t, struct conn *c)
{
    struct message m = {.status = 408, .data = "the request took too long to arrive"};
    if (conn_streams(c)) {
        inbox_notice(&t->inbox, FL_ESLOW);
        conn_fail_body(t, c, FL_ESLOW);
        conn_touch(t, c);
    } else if (c->in_flight > 0 || c->out.head != NULL) {
        conn_because(c, FL_ESLOW);
        conn_close(t, c); /* it is not at fault for what was asked before */
    } else {
        conn_refuse(t, c, FL_ESLOW, &m);
    }
}

/* The kernel asks for more only when a good part of what it holds is gone: that can take a slow
 * peer longer than the write timeout, and is no stall as long as it gets less. */
static void stalled(struct conns *t, struct conn *c, int held)
{
    if (held >= 0 && held < c->held) {
        c->held = held;
        conn_deadline(t, c, t->config.write_timeout_ms);
    } else {
        inbox_notice(&t->inbox, FL_ESTALL);
        conn_fail(t, c, FL_ESTALL);
    }
}

void conn_expired(struct conns *t, struct conn *c, int held)
{
    if (c->state == CONN_LINGER) {
        conn_fail(t, c, 0);
    } else if (c->flags & CONN_BLOCKED) {
        stalled(t, c, held);
    } else if (conn_ws_expired(t, c)) {
        return;
    } else if (c->state != CONN_OPEN || !(conn_wants(c) & IO_READ)) {
        conn_in_time(c); /* it is not the peer who keeps us waiting */
        conn_clock(t, c);
    } else if (c->clock != CONN_CLOCK_IDLE) {
        too_slow(t, c);
    } else if (c->in_flight > 0 || c->out.head != NULL) {
        conn_clock(t, c);
    } else {
        conn_because(c, FL_EIDLE);
        conn_close(t, c);
    }
}
