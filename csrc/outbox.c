/* outbox.c -- applying replies and commands.
 *
 * Workload: hundreds of plain replies and rarely a command. A plain reply costs a look at its first
 * byte, the lookup of its connection and the encoding of its protocol.
 *
 * The bytes come from marshal.dumps() in this process, but their types from the user's handlers:
 * each read is checked, and a wrong type harms only its own connection. */
#include "outbox.h"

#include <errno.h>

#include "clock.h"
#include "site.h"

enum {
    LAST_WORD = 1, /* said, and nothing may follow it */
    PLAIN = -1,    /* in place of an op: the value is no tuple of ours */
};

/* Steps into a tuple that begins with the mark and a number. */
static bool enter(struct codec_reader *r, int64_t *op)
{
    struct codec_reader inside = *r;
    struct codec_value v = {0};
    if (inside.end - inside.at < 7 || inside.at[0] != '(' || inside.at[5] != 'S')
        return false;
    if (codec_read(&inside, &v) < 0 || codec_read(&inside, &v) < 0)
        return false;
    if (codec_read(&inside, &v) < 0 || v.type != CODEC_INTEGER)
        return false;
    *op = v.integer;
    *r = inside;
    return true;
}

int outbox_int(struct codec_reader *r, int64_t *n)
{
    struct codec_value v = {0};
    int rc = codec_read(r, &v);
    *n = v.integer;
    return rc == 0 && v.type != CODEC_INTEGER && v.type != CODEC_BOOL ? FL_EOUTBOX : rc;
}

int outbox_text(struct codec_reader *r, struct text *text)
{
    struct codec_value v = {0};
    int rc = codec_read(r, &v);
    *text = (struct text){v.data, v.len};
    return rc < 0 || (v.type != CODEC_TEXT && v.type != CODEC_BYTES) ? FL_EOUTBOX : 0;
}

/* -- values -- */

/* Whether nothing comes behind what is to be said to q: that is c's queue or fills a hole in it. */
static bool is_last(const struct conn *c, const struct queue *q)
{
    return c->in_flight == 1 && (q == &c->out || c->out.tail->data == NULL);
}

/* Encodes one value of the protocol's own, or a file. Returns as its reply() does. */
static int encode(struct conns *t, struct conn *c, struct exchange *x, struct queue *q,
                  struct codec_reader *r, int64_t op)
{
    const struct framing *f = conn_framing(t, c);
    if (unlikely(op == FL_WS_ACCEPT)) {
        enter(r, &op);
        return conn_upgrade(t, c, x, q, r);
    }
    if (unlikely(op == FL_FILE || op == FL_PART) && f->ws == NULL) {
        enter(r, &op);
        return op == FL_FILE ? site_file(t->site, c, x, q, r) : files_part(t->files, c, x, q, r);
    }
    return f->protocol->reply(f, x, r, &t->wire, q);
}

/* Encodes one value that is the protocol's own, or a file, as op tells. Returns as say() does. */
static int say_plain(struct conns *t, struct conn *c, struct exchange *x, struct queue *q,
                     struct codec_reader *r, int64_t op)
{
    struct codec_reader start = *r;
    struct wire_mark mark = wire_mark(q);
    if (unlikely(c->state == CONN_ENDING) && is_last(c, q))
        x->flags |= HTTP_CLOSE; /* as the peer is to be told */
    x->dialect = c->dialect;
    if (!conn_streams(c))
        x->flags &= (uint8_t)~HTTP_OPEN; /* the body has come to its end meanwhile */
    int rc = encode(t, c, x, q, r, op);
    c->dialect = x->dialect;
    if (likely(rc >= 0))
        return rc == REPLY_LAST ? LAST_WORD : 0;
    wire_undo(&t->wire, q, mark);
    bool last = false;
    if (rc == -ENOMEM) {
        conn_fail(t, c, rc);
    } else {
        inbox_notice(&t->inbox, FL_EVALUE);
        last = x->stage != STAGE_NONE && conn_fault(t, c, x, q);
    }
    *r = start;
    rc = codec_skip(r);
    return rc == 0 && last ? LAST_WORD : rc;
}

/* Encodes one value, which is not FL_LAST, for c to q. Returns as say() does. */
static int say_value(struct conns *t, struct conn *c, struct exchange *x, struct queue *q,
                     struct codec_reader *r)
{
    struct codec_reader inside = *r;
    int64_t op = PLAIN;
    if (enter(&inside, &op) && (op == FL_NOTHING || op == FL_FAULT)) {
        *r = inside;
        return op == FL_FAULT && conn_fault(t, c, x, q) ? LAST_WORD : 0;
    }
    return say_plain(t, c, x, q, r, op);
}

/* Encodes the value that comes next for c to q. Returns 0; LAST_WORD if c closes after it; or
 * FL_EOUTBOX: anything else that is wrong ends in an answer or a close of this connection alone. */
static int say(struct conns *t, struct conn *c, struct exchange *x, struct queue *q,
               struct codec_reader *r)
{
    struct codec_reader inside = *r;
    int64_t op;
    bool last = false;
    while (enter(&inside, &op) && op == FL_LAST) { /* twice is no more than once */
        *r = inside;
        last = true;
        x->flags |= HTTP_CLOSE;
    }
    int rc = say_value(t, c, x, q, r);
    if (last)
        conn_close(t, c);
    return rc == 0 && last ? LAST_WORD : rc;
}

/* What was said to q, with this result, takes the place of a reply, and nothing can follow it
 * there. A response of HTTP that is not complete is the handler's fault. Returns as say(). */
static int conclude(struct conns *t, struct conn *c, struct exchange *x, struct queue *q, int rc)
{
    if (likely(x->stage == STAGE_NONE) || conn_framing(t, c)->http == NULL)
        return rc;
    if (rc < 0 || c->state == CONN_DEAD)
        return rc;
    inbox_notice(&t->inbox, FL_EVALUE);
    return conn_fault(t, c, x, q) ? LAST_WORD : rc;
}

/* A message whose handler says nothing is answered all the same. */
static void fail(struct conns *t, struct conn *c, struct exchange *x)
{
    if (conn_fault(t, c, x, &c->out))
        conn_finish(t, c, wire_holes(&c->out) + 1);
    conn_replied(t, c);
}

static int say_later(struct conns *t, struct conn *c, struct exchange *x, struct codec_reader *r)
{
    int64_t ticket;
    int rc = outbox_int(r, &ticket);
    if (rc < 0 || ticket == 0) {
        fail(t, c, x);
        return FL_EOUTBOX;
    }
    if (wire_hole(&t->wire, &c->out, (uint64_t)ticket, x) < 0)
        conn_fail(t, c, -ENOMEM);
    conn_touch(t, c);
    return 0;
}

/* The reply to the next message of the batch. */
static int reply(struct conns *t, struct codec_reader *r)
{
    uint64_t id;
    struct exchange x = {0};
    if (!inbox_reply(&t->inbox, &id, &x.flags))
        return FL_EOUTBOX;
    struct conn *c = conn_find(t, id);
    if (c == NULL || c->state >= CONN_FINAL)
        return codec_skip(r);
    bool plain = *r->at != '(';
    struct codec_reader inside = *r;
    int64_t op;
    if (unlikely(c->dialect & FL_WS_KEEP_OUT))
        x.zip = conn_context_out(t, c, 0);
    if (!plain && enter(&inside, &op) && op == FL_LATER) {
        *r = inside;
        return say_later(t, c, &x, r);
    }
    int rc = plain ? say_plain(t, c, &x, &c->out, r, PLAIN) : say(t, c, &x, &c->out, r);
    rc = conclude(t, c, &x, &c->out, rc);
    if (rc == LAST_WORD)
        conn_finish(t, c, wire_holes(&c->out) + 1);
    if (c->state != CONN_DEAD)
        conn_replied(t, c);
    return rc;
}

/* -- commands -- */

bool outbox_has_room(struct conns *t, struct conn *c)
{
    if (t->config.max_unsent == 0 || c->out.bytes <= t->config.max_unsent ||
        c->out.bytes - wire_in_files(&c->out) <= t->config.max_unsent)
        return true;
    inbox_notice(&t->inbox, FL_EUNSENT);
    conn_fail(t, c, FL_EUNSENT);
    return false;
}

/* What was said to q takes the place of the hole. */
static void fill(struct conns *t, struct conn *c, int64_t ticket, struct queue *q, bool last)
{
    if (last) /* messages that have no hole yet lie behind it: they do not count */
        wire_cut(&t->wire, &c->out, (uint64_t)ticket);
    wire_fill(&t->wire, &c->out, (uint64_t)ticket, q, true);
    if (last) /* the hole itself, and those of files that it was filled with */
        conn_finish(t, c, wire_holes(&c->out) + 1);
    conn_replied(t, c);
}

/* A part of a response of HTTP; also after the last request of a connection. */
static int send_part(struct conns *t, struct conn *c, int64_t ticket, struct codec_reader *r)
{
    struct exchange *x = wire_exchange(&c->out, (uint64_t)ticket);
    struct queue q = {0};
    if (x == NULL || x->stage == STAGE_NONE || !outbox_has_room(t, c))
        return codec_skip(r);
    int rc = say(t, c, x, &q, r);
    if (c->state == CONN_DEAD)
        wire_drop(&t->wire, &q);
    else if (rc == LAST_WORD && x->stage == STAGE_NONE)
        fill(t, c, ticket, &q, true);
    else
        wire_fill(&t->wire, &c->out, (uint64_t)ticket, &q, false);
    conn_touch(t, c);
    return rc;
}

static int send_value(struct conns *t, struct conn *c, int64_t ticket, struct codec_reader *r)
{
    if (c != NULL && ticket != 0 && conn_framing(t, c)->http != NULL)
        return send_part(t, c, ticket, r);
    if (c == NULL || c->state != CONN_OPEN || !outbox_has_room(t, c))
        return codec_skip(r);
    if (conn_ws(t, c) != NULL) /* a reply that takes its time holds up nothing else */
        ticket = (int64_t)conn_ahead(t, c);
    struct queue q = {0};
    struct queue *to = ticket == 0 ? &c->out : &q;
    struct exchange x = {.stage = STAGE_NONE};
    if (unlikely(c->dialect & FL_WS_KEEP_OUT))
        x.zip = conn_context_out(t, c, (uint64_t)ticket);
    int rc = say(t, c, &x, to, r);
    if (c->state == CONN_DEAD) {
        wire_drop(&t->wire, &q);
        return rc;
    }
    if (ticket != 0)
        wire_fill(&t->wire, &c->out, (uint64_t)ticket, &q, false);
    conn_touch(t, c);
    return rc;
}

static int fill_value(struct conns *t, struct conn *c, int64_t ticket, struct codec_reader *r)
{
    struct exchange *x = c == NULL ? NULL : wire_exchange(&c->out, (uint64_t)ticket);
    if (x == NULL)
        return codec_skip(r);
    struct queue q = {0};
    if (unlikely(c->dialect & FL_WS_KEEP_OUT))
        x->zip = conn_context_out(t, c, (uint64_t)ticket);
    int rc = conclude(t, c, x, &q, say(t, c, x, &q, r));
    if (c->state == CONN_DEAD)
        wire_drop(&t->wire, &q);
    else
        fill(t, c, ticket, &q, rc == LAST_WORD);
    conn_touch(t, c);
    return rc;
}

/* FL_SUBSCRIBE, FL_UNSUBSCRIBE, FL_WS_CLOSE: what follows is a text. */
static int text_command(struct conns *t, int64_t op, struct codec_reader *r)
{
    struct text text;
    int64_t id, code = 0;
    if (outbox_int(r, &id) < 0 || (op == FL_WS_CLOSE && outbox_int(r, &code) < 0) ||
        outbox_text(r, &text) < 0)
        return FL_EOUTBOX;
    struct conn *c = conn_find(t, (uint64_t)id);
    if (c == NULL)
        return 0;
    if (op == FL_UNSUBSCRIBE) {
        topics_quit(&t->topics, text, c->index);
    } else if (op == FL_SUBSCRIBE) {
        c->flags |= CONN_TOPICS;
        if (topics_join(&t->topics, text, c->index, conn_id(c)) < 0)
            conn_fail(t, c, -ENOMEM);
    } else if (conn_ws(t, c) != NULL) {
        conn_part(t, c, (uint16_t)code, text);
    } else {
        conn_close(t, c);
    }
    return 0;
}

static int timer_command(struct heap *timers, int64_t op, struct codec_reader *r)
{
    int64_t slot, after;
    if (outbox_int(r, &slot) < 0 || slot < 0 || slot > INT32_MAX)
        return FL_EOUTBOX;
    if (op == FL_CANCEL) {
        heap_cancel(timers, (uint32_t)slot);
        return 0;
    }
    if (outbox_int(r, &after) < 0)
        return FL_EOUTBOX;
    return heap_set(timers, (uint32_t)slot, clock_us() + (uint64_t)(after < 0 ? 0 : after));
}

/* Who asks for an answer gets one, also where there is no connection any more. */
static int gone(struct conns *t, int64_t op, uint64_t id)
{
    if (op == FL_MORE)
        return inbox_piece_failed(&t->inbox, id, -ENOTCONN);
    return op == FL_ASK ? inbox_room(&t->inbox, id, -ENOTCONN) : 0;
}

static int connection_command(struct conns *t, int64_t op, struct codec_reader *r)
{
    int64_t id, argument = 0;
    bool plain = op == FL_WATCH || op == FL_LEAVE || op == FL_MORE;
    if (outbox_int(r, &id) < 0 || (!plain && outbox_int(r, &argument) < 0))
        return FL_EOUTBOX;
    struct conn *c = conn_find(t, (uint64_t)id);
    if (unlikely(c != NULL && c->state == CONN_AWAY)) /* the driver may not even know of it */
        c = NULL;
    if (op == FL_SEND)
        return send_value(t, c, argument, r);
    if (op == FL_FILL)
        return fill_value(t, c, argument, r);
    if (c == NULL)
        return gone(t, op, (uint64_t)id);
    if (op == FL_MORE)
        conn_more(t, c);
    else if (op == FL_LEAVE)
        conn_await_end(t, c);
    else if (op == FL_ASK)
        conn_ask(t, c, (uint64_t)argument);
    else if (op == FL_CLOSE && argument)
        conn_fail(t, c, -ECONNRESET);
    else if (op == FL_CLOSE && conn_ws(t, c) != NULL)
        conn_part(t, c, WS_NORMAL, (struct text){NULL, 0});
    else if (op == FL_CLOSE)
        conn_close(t, c);
    else if (op == FL_PAUSE)
        conn_pause(t, c, argument != 0);
    else
        c->flags |= CONN_WATCHED;
    return 0;
}

static int obey(struct conns *t, struct heap *timers, int64_t op, struct codec_reader *r)
{
    switch (op) {
    case FL_SEND:
    case FL_FILL:
    case FL_CLOSE:
    case FL_PAUSE:
    case FL_ASK:
    case FL_MORE:
    case FL_LEAVE:
    case FL_WATCH: return connection_command(t, op, r);
    case FL_READ: return files_read(t->files, r);
    case FL_CAST: return outbox_broadcast(t, r);
    case FL_PUBLISH: return outbox_publish(t, r);
    case FL_SUBSCRIBE:
    case FL_UNSUBSCRIBE:
    case FL_WS_CLOSE: return text_command(t, op, r);
    case FL_TIMER:
    case FL_CANCEL: return timer_command(timers, op, r);
    default: return FL_EOUTBOX;
    }
}

/* One with an argument of the wrong type is left out: it may be the mistake of one handler, and
 * what others said lies behind it. */
static int command(struct conns *t, struct heap *timers, struct codec_reader *r)
{
    struct codec_reader start = *r;
    int64_t op = PLAIN;
    enter(r, &op);
    int rc = obey(t, timers, op, r);
    if (likely(rc != FL_EOUTBOX))
        return rc;
    *r = start;
    inbox_notice(&t->inbox, FL_EVALUE);
    return codec_skip(r);
}

void outbox_end(struct conns *t)
{
    uint64_t id;
    struct exchange x = {0};
    while (inbox_reply(&t->inbox, &id, &x.flags)) {
        struct conn *c = conn_find(t, id);
        if (c == NULL || c->state >= CONN_FINAL)
            continue;
        x.stage = STAGE_NEW;
        fail(t, c, &x);
    }
    inbox_settled(&t->inbox);
}

static int apply(struct conns *t, struct heap *timers, struct codec_reader *r)
{
    struct codec_reader inside = *r;
    int64_t op;
    if (r->at == r->end)
        return FL_EOUTBOX;
    if (*r->at == '(' && enter(&inside, &op) && op >= FL_SEND)
        return command(t, timers, r);
    return reply(t, r);
}

int outbox_apply(struct conns *t, struct heap *timers, const char *data, size_t len)
{
    struct codec_reader r = {data, data + len};
    struct codec_value list = {0};
    int first = 0;
    if (len == 0)
        return 0;
    if (codec_read(&r, &list) < 0 || list.type != CODEC_LIST)
        return FL_EOUTBOX;
    for (uint32_t left = list.count; left > 0; left--) {
        struct codec_reader start = r;
        int rc = apply(t, timers, &r);
        if (likely(rc >= 0))
            continue;
        first = first == 0 ? rc : first;
        r = start;
        if (codec_skip(&r) < 0) /* who knows where the next value begins */
            return FL_EOUTBOX;
    }
    return first;
}
