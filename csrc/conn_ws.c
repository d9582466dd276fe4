/* conn_ws.c -- what a connection of WebSocket does beside messages: it begins as one of HTTP, keeps
 * asking whether its peer is there, and says goodbye.
 *
 * Workload: a handshake and a close for each connection, a ping now and then. Pings of the peer are
 * answered here, so that no handler can be too slow for them.
 *
 * Invariants: a close frame is the last thing that is said, once (CONN_PARTED), and c->why is its
 * code; nothing goes between the bytes of one frame, since queues hold whole frames. Who only waits
 * for a promised reply holds up neither pongs nor what others send: these go ahead of its hole.
 * One thread. */
#include <errno.h>

#include "conn.h"
#include "ws_bytes.h"
#include "ws_zip.h"

static const struct text nothing = {NULL, 0};

uint64_t conn_ahead(const struct conns *t, const struct conn *c)
{
    return conn_ws(t, c) != NULL && c->in_flight > 0 ? wire_next_ticket(&c->out) : 0;
}

/* Says all of q, ahead of what is only promised. */
static void say(struct conns *t, struct conn *c, struct queue *q, int rc)
{
    if (rc < 0) {
        wire_drop(&t->wire, q);
        conn_fail(t, c, rc);
        return;
    }
    wire_fill(&t->wire, &c->out, conn_ahead(t, c), q, false);
    conn_touch(t, c);
}

/* -- pings -- */

void conn_pong(struct conns *t, struct conn *c, const struct message *m)
{
    struct queue q = {0};
    say(t, c, &q, frame_ws_pong(m, &t->wire, &q));
    if (c->out.bytes > t->config.high_water) /* who asks without end must take the answers */
        c->flags |= CONN_STALLED;
}

/* Asks whether the peer is still there. Anything that comes is an answer. */
static void ping(struct conns *t, struct conn *c, const struct ws_settings *ws)
{
    struct queue q = {0};
    say(t, c, &q, frame_ws_ping(&t->wire, &q));
    if (c->state != CONN_OPEN)
        return;
    c->clock = ws->pong_ms == 0 ? CONN_CLOCK_IDLE : CONN_CLOCK_PONG;
    conn_deadline(t, c, ws->pong_ms == 0 ? ws->ping_ms : ws->pong_ms);
}

bool conn_ws_expired(struct conns *t, struct conn *c)
{
    static const struct text silent = {"no answer to a ping", 19};
    const struct ws_settings *ws = conn_ws(t, c);
    if (ws == NULL)
        return false;
    if (c->clock == CONN_CLOCK_LEAVE) {
        conn_part(t, c, WS_NORMAL, nothing);
        return true;
    }
    if (c->state != CONN_OPEN || !(conn_wants(c) & IO_READ))
        return false;
    if (c->clock == CONN_CLOCK_PONG) {
        inbox_notice(&t->inbox, FL_EIDLE);
        conn_leave(t, c, WS_FAILED, silent);
    } else if (ws->ping_ms == 0) {
        conn_leave(t, c, WS_AWAY, nothing);
    } else {
        ping(t, c, ws);
    }
    return true;
}

/* -- the end -- */

/* Why it ends, in words, for whoever is told that it did. */
static void tell_reason(struct conns *t, struct conn *c, struct text reason)
{
    bool asked = (t->inbox.groups[c->listener].wants & FL_WANT_CLOSED) || (c->flags & CONN_WATCHED);
    if (c->why == 0 && reason.len > 0 && asked)
        inbox_reason(&t->inbox, conn_id(c), reason.at, reason.len);
}

static void say_close(struct conns *t, struct conn *c, struct text reason)
{
    struct queue q = {0};
    uint16_t code = c->why > 0 ? (uint16_t)c->why : WS_FAILED;
    c->flags |= CONN_PARTED;
    say(t, c, &q, frame_ws_close(code, reason, &t->wire, &q));
}

void conn_farewell(struct conns *t, struct conn *c)
{
    bool ends = c->state == CONN_ENDING || c->state == CONN_FINAL;
    if (conn_ws(t, c) == NULL || !ends || c->in_flight > 0 || (c->flags & CONN_PARTED))
        return;
    conn_because(c, WS_NORMAL);
    say_close(t, c, nothing);
}

void conn_leave(struct conns *t, struct conn *c, uint16_t code, struct text reason)
{
    if (c->state != CONN_OPEN)
        return;
    tell_reason(t, c, reason);
    conn_because(c, code);
    if (c->in_flight == 0)
        say_close(t, c, reason);
    conn_close(t, c);
    if (c->in_flight > 0 && c->state == CONN_ENDING) {
        c->clock = CONN_CLOCK_LEAVE;
        conn_clock(t, c);
    }
}

void conn_part(struct conns *t, struct conn *c, uint16_t code, struct text reason)
{
    if (c->state >= CONN_LINGER || (c->flags & CONN_PARTED))
        return;
    tell_reason(t, c, reason);
    conn_because(c, code);
    wire_unhole(&t->wire, &c->out);
    say_close(t, c, reason);
    conn_finish(t, c, 0);
}

void conn_left(struct conns *t, struct conn *c, const struct message *m)
{
    char plain[128];
    frame_ws_unmask(m, plain);
    struct text reason = {plain + 2, m->len < 2 ? 0 : m->len - 2};
    tell_reason(t, c, reason);
    conn_because(c, m->status);
    conn_leave(t, c, m->status, nothing);
}

/* -- the beginning -- */

/* Whether this listener may take over connections of HTTP. */
static bool is_target(const struct conns *t, int64_t listener)
{
    return listener >= 0 && listener < t->listener_count &&
           t->listeners[listener]->framing.ws != NULL;
}

/* A window, maybe with FL_WS_*; or 0. */
static bool is_dialect(int64_t bits)
{
    bool sound = bits > 0 && bits < 2 * FL_WS_NARROW_IN && (bits & WS_WINDOW) >= 9;
    return bits == 0 || (sound && ws_zip_works());
}

static void move(struct conns *t, struct conn *c, uint16_t listener, uint8_t dialect)
{
    c->listener = listener;
    c->dialect = dialect;
    c->progress = (struct progress){.step = dialect == 0 ? 0 : WS_MAY_BE_ZIPPED};
    c->flags &= (uint32_t) ~(CONN_BARRIER | CONN_LAST | CONN_EXPECT);
    c->clock = CONN_CLOCK_OVER;
    if (!(c->flags & CONN_BLOCKED))
        conn_clock(t, c);
    if (t->inbox.groups[listener].wants & FL_WANT_OPENED)
        inbox_opened(&t->inbox, listener, conn_id(c));
}

int conn_upgrade(struct conns *t, struct conn *c, struct exchange *x, struct queue *q,
                 struct codec_reader *in)
{
    const struct framing *f = conn_framing(t, c);
    struct codec_value listener = {0}, bits = {0};
    int rc = codec_read(in, &listener);
    rc = rc < 0 ? rc : codec_read(in, &bits);
    if (rc < 0)
        return rc;
    bool sound = listener.type == CODEC_INTEGER && is_target(t, listener.integer) &&
                 bits.type == CODEC_INTEGER && is_dialect(bits.integer);
    if (!sound || f->http == NULL || x->stage != STAGE_NEW || !(x->flags & HTTP_UPGRADE))
        return FL_EVALUE;
    if (c->state != CONN_OPEN) { /* stopping */
        rc = f->protocol->answer(f, x, 503, NULL, &t->wire, q);
        return rc < 0 ? rc : codec_skip(in) < 0 ? FL_EOUTBOX : rc;
    }
    rc = f->protocol->reply(f, x, in, &t->wire, q);
    if (rc < 0 || x->stage != STAGE_RAW)
        return rc < 0 ? rc : FL_EVALUE;
    rc = conn_context_begin(t, c, (uint16_t)listener.integer, (uint8_t)bits.integer);
    if (rc < 0)
        return rc;
    x->stage = STAGE_NONE;
    move(t, c, (uint16_t)listener.integer, x->dialect = (uint8_t)bits.integer);
    return REPLY_SAID;
}
