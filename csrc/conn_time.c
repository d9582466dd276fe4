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

void conn_clock(struct conns *t, struct conn *c)
{
    const struct http_settings *http = conn_framing(t, c)->http;
    uint8_t phase = c->progress.phase;
    if (http == NULL || phase == PROGRESS_IDLE) {
        conn_deadline(t, c, http == NULL ? t->config.idle_timeout_ms : http->keepalive_ms);
        c->clock = CONN_CLOCK_IDLE;
    } else if (phase == PROGRESS_HEAD) {
        conn_deadline(t, c, http->header_ms);
        c->clock = CONN_CLOCK_HEAD;
    } else {
        c->body_since = wheel_tick(t->now_us, 0);
        c->body_bytes = 0;
        c->clock = CONN_CLOCK_BODY;
        if (http->body_ms > 0)
            body_deadline(t, c, http);
    }
}

void conn_follow(struct conns *t, struct conn *c, size_t n)
{
    if ((c->flags & CONN_BLOCKED) || c->state != CONN_OPEN)
        return;
    const struct http_settings *http = conn_framing(t, c)->http;
    uint8_t phase = c->progress.phase;
    if (http == NULL || phase == PROGRESS_IDLE) {
        idle_deadline(t, c, http == NULL ? t->config.idle_timeout_ms : http->keepalive_ms);
    } else if (phase == PROGRESS_HEAD) {
        if (c->clock != CONN_CLOCK_HEAD)
            conn_clock(t, c);
    } else if (c->clock != CONN_CLOCK_BODY) {
        conn_clock(t, c);
    } else if (http->body_ms > 0) {
        c->body_bytes = (uint32_t)min_size(c->body_bytes + n, UINT32_MAX);
        body_deadline(t, c, http);
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

void conn_expired(struct conns *t, struct conn *c)
{
    if (c->state == CONN_LINGER) {
        conn_fail(t, c, 0);
    } else if (c->flags & CONN_BLOCKED) {
        inbox_notice(&t->inbox, FL_ESTALL);
        conn_fail(t, c, FL_ESTALL);
    } else if (c->state != CONN_OPEN || !(conn_wants(c) & IO_READ)) {
        conn_clock(t, c); /* it is not the peer who keeps us waiting */
    } else if (c->clock != CONN_CLOCK_IDLE) {
        too_slow(t, c);
    } else if (c->in_flight > 0 || c->out.head != NULL) {
        conn_clock(t, c);
    } else {
        conn_because(c, FL_EIDLE);
        conn_close(t, c);
    }
}
