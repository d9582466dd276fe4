/* conn.h -- connections: the table they live in (conn.c), and the steps of one: bytes in
 * (conn_in.c), bytes out and what comes next (conn_out.c), deadlines (conn_time.c), the ways of
 * WebSocket (conn_ws.c, conn_context.c), and what their peers are called (conn_peer.c). Level 3.
 *
 * A driver (io.h) does the system calls and tells a connection what happened: bytes arrived,
 * bytes were sent, the peer closed, time is up. The connection frames, queues, and says what it
 * wants next. It never does I/O, so that every driver shares this one state machine.
 *
 * A connection is named by an id, generation and index in one number, which is also its poller tag.
 * An id that is no longer current finds nothing: a late reply is dropped, never misdelivered. */
#ifndef FL_CONN_H
#define FL_CONN_H

#include "date.h"
#include "fastloop.h"
#include "frame.h"
#include "inbox.h"
#include "list.h"
#include "peers.h"
#include "timer.h"
#include "topics.h"
#include "wire.h"

enum {
    CONN_TAIL = 16 * 1024,    /* an incomplete message up to this is copied in front of a read */
    CONN_SCRATCH = 64 * 1024, /* fairness: at most this is read from one connection in a turn */
    CONN_MESSAGES = 64,       /* ... and so many messages of it may be unanswered */
    CONN_BATCH = 1024,        /* messages in one crossing, about; more leave the CPU's cache */
    CONN_BATCH_BYTES = 256 * 1024,
    CONN_INDEX = (1 << 24) - 1, /* the index in an id; the generation is above */
};

enum conn_state {
    CONN_FREE,   /* in the table's free list */
    CONN_OPEN,   /* reading, framing, answering */
    CONN_ENDING, /* no more is read; closes when all is answered and sent */
    CONN_FINAL,  /* the same, and its last reply was said: messages behind that get none */
    CONN_LINGER, /* all is sent and our side is shut; what the peer still says is discarded */
    CONN_AWAY,   /* served elsewhere, by a thread or a process; here it only keeps its place */
    CONN_DEAD,   /* waits for the end of the turn, when it is closed and freed */
};

enum conn_flag {
    CONN_EOF = 1,      /* the peer will send no more */
    CONN_PAUSED = 2,   /* the user wants no messages now */
    CONN_STALLED = 4,  /* above the high-water mark: not read until below the low one */
    CONN_BLOCKED = 8,  /* the kernel took not all; we wait for writability */
    CONN_PARKED = 16,  /* bytes that must wait for earlier replies before they are framed */
    CONN_DIRTY = 32,   /* in the list of connections to flush */
    CONN_WATCHED = 64, /* the user asked to be told when it closes */
    CONN_ALONE = 128,  /* the parked bytes wait until nothing is in flight at all */

    /* HTTP alone */
    CONN_BARRIER = 256,  /* what comes behind the last message waits for its answer */
    CONN_LAST = 512,     /* the last message is the last of all: it closes once that is answered */
    CONN_MORE = 1024,    /* the user waits for the next piece of the body */
    CONN_EXPECT = 2048,  /* the peer waits for 100 (Continue) before it sends the body */
    CONN_ASKED = 4096,   /* the user waits for room to send */
    CONN_LEAVES = 65536, /* the user waits for the peer's end: it is read when nothing is wanted */

    CONN_ROOM = 8192,    /* ... and not for that of a promised reply */
    CONN_TOPICS = 16384, /* it has subscribed to something */
    CONN_PARTED = 32768, /* WebSocket: the close frame was said */

    /* of a driver */
    CONN_BURIED = 131072, /* dead, and freed as soon as nothing of it is under way */
};

/* What the deadline of an open connection is for, beside a write stall. */
enum conn_clock {
    CONN_CLOCK_IDLE,
    CONN_CLOCK_HEAD,
    CONN_CLOCK_BODY,
    CONN_CLOCK_REST,  /* the body's time stands still: the user asks for none of it now */
    CONN_CLOCK_OVER,  /* what it was for is complete: a new one is to be filed */
    CONN_CLOCK_PONG,  /* WebSocket: for the answer to a ping */
    CONN_CLOCK_LEAVE, /* ... for replies that the close frame waits for */
};

/* Some 150 bytes, and nothing else while it is idle: no buffer, no Python object. */
struct conn {
    struct link ready;       /* in conns.ready: has bytes to frame although none arrive */
    struct wheel_item timer; /* idle, a message that is too slow, write stall or linger */
    uint32_t index;
    struct queue out;  /* what it is to be sent */
    struct conn *next; /* in conns.dirty, conns.dead or the free list */
    char *in;          /* owned: an incomplete message; NULL most of the time */
    uint32_t in_len, in_cap;
    struct progress progress;
    int fd;
    uint32_t generation;
    uint32_t in_flight;  /* messages that have no reply yet */
    int16_t why;         /* FL_E* or -errno it closes for, or a close code; 0: none */
    int16_t body_why;    /* the same, why a body in pieces goes on no more */
    uint32_t peer;       /* its place in conns.peers; 0: it is not counted */
    uint32_t requests;   /* HTTP: how many so far */
    uint32_t body_since; /* tick since which a body is awaited; while that rests: for how many */
    uint32_t body_bytes; /* ... and what came since */
    int32_t held;        /* while blocked: bytes the kernel held for the peer when that was noted */
    uint32_t flags;      /* CONN_* */
    uint16_t listener;
    uint8_t state;
    uint8_t dialect;
    uint8_t watched; /* IO_* the poller has */
    uint8_t clock;   /* CONN_CLOCK_* */
};

/* What conn_hook returns. */
enum {
    CONN_PASSED,   /* it is Python's */
    CONN_ANSWERED, /* the answer, or a hole for it, is in c->out */
    CONN_WAITS,    /* not before c->in_flight is 0: ask again then */
};

/* Answers a request without Python, if it can: from a constant route or from files. */
struct conns;
typedef int conn_hook(void *site, struct conns *t, struct conn *c, const struct message *m);

struct listener {
    int fd; /* borrowed from the caller of fl_listen(); -1: connections come in another way */
    struct framing framing;
    struct http_settings http; /* framing.http points here if this is HTTP */
    struct ws_settings ws;     /* framing.ws if this is WebSocket */
    conn_hook *answer;         /* NULL: everything is Python's */
    void *site;                /* of the hook, which owns it */
    bool tcp;
    bool watched;
};

/* The table, and everything the connections of a loop share. */
struct conns {
    struct conn **pages;
    uint32_t page_count;
    uint32_t page_bits;        /* a page has 2^n places */
    struct known_peer **known; /* by index, as pages; see conn_peer.c */
    uint32_t known_count;
    struct ws_zip **contexts; /* by index; see conn_context.c */
    uint32_t context_count;
    struct conn *free;
    struct conn *dirty;
    struct conn *dead;
    struct link ready;
    struct wheel wheel;
    struct wire wire;
    struct inbox inbox;
    struct listener **listeners;
    uint32_t listener_count;
    struct date date; /* refreshed once a turn */
    struct peers peers;
    struct topics topics;
    struct files *files; /* of the loop, for those above: see files.h */
    struct site *site;   /* ... see site.h */
    fl_config config;
    fl_stats stats;
    uint64_t now_us; /* read once a turn */
    char *scratch;   /* SCRATCH bytes: where reads go */
};

/* Returns 0 or -ENOMEM: then conns_free() is still to be called. */
int conns_init(struct conns *t, const fl_config *config, uint64_t now_us);
void conns_free(struct conns *t);

/* A new connection of a listener on this descriptor, which it owns from now on. NULL when memory is
 * short (the descriptor stays the caller's). */
struct conn *conn_open(struct conns *t, int fd, uint32_t listener);

uint64_t conn_id(const struct conn *c);

/* The connection with this id if it is current and not dead, or NULL. */
struct conn *conn_find(const struct conns *t, uint64_t id);

/* It is served elsewhere from now on; its descriptor is no longer read here. */
void conn_away(struct conns *t, struct conn *c);

/* What was away could not be served there: it is turned away, on this descriptor. */
void conn_return(struct conns *t, struct conn *c, int fd, int why);

/* All connections by index: the n-th or NULL if that place is free; n < conns_places(). */
uint32_t conns_places(const struct conns *t);
struct conn *conn_at(const struct conns *t, uint32_t n);

/* What its peer is called, looked up once; valid until it is closed. NULL: it has no address, or
 * that cannot be told. */
const struct sock_name *conn_peer(struct conns *t, const struct conn *c);
void conn_forget_peers(struct conns *t);

static inline const struct framing *conn_framing(const struct conns *t, const struct conn *c)
{
    return &t->listeners[c->listener]->framing;
}

static inline const struct ws_settings *conn_ws(const struct conns *t, const struct conn *c)
{
    return conn_framing(t, c)->ws;
}

/* Whether a body in pieces is under way: what comes is part of it. */
static inline bool conn_streams(const struct conn *c)
{
    return c->progress.phase == PROGRESS_STREAM;
}

/* Whether messages may be framed at all; how many more is a matter of conn_in.c. */
static inline bool conn_may_frame(const struct conn *c)
{
    return c->state == CONN_OPEN && !(c->flags & (CONN_PAUSED | CONN_STALLED)) &&
           c->in_flight < CONN_MESSAGES;
}

/* -- what happened to it -- */

/* Where the driver is to read to, and how much at most. NULL when memory is short. */
char *conn_room(struct conns *t, struct conn *c, size_t *size);

/* n bytes were read to conn_room(): frames the messages in them. */
void conn_arrived(struct conns *t, struct conn *c, size_t n);

/* n bytes, at most CONN_SCRATCH, were read to memory of the driver's: frames them, there if it can.
 */
void conn_given(struct conns *t, struct conn *c, const char *data, size_t n);

/* The same, although it is not to be read now: keeps them until it is. */
void conn_stash(struct conns *t, struct conn *c, const char *data, size_t n);

/* Frames what earlier turns left; the driver calls it for each connection in t->ready. */
void conn_continue(struct conns *t, struct conn *c);

/* The peer will send no more. */
void conn_ended(struct conns *t, struct conn *c);

/* n bytes of the queue were sent; `blocked` if the kernel would not take all. */
void conn_sent(struct conns *t, struct conn *c, size_t n, bool blocked);

/* A blocked one: the kernel holds so many bytes for the peer now (< 0: it does not tell). */
static inline void conn_holds(struct conn *c, int held)
{
    c->held = held;
}

/* It is over at once: `why` is -errno, or FL_E*. What is unsent is lost. */
void conn_fail(struct conns *t, struct conn *c, int why);

/* Its deadline came. Of a blocked one `held` tells what conn_holds() does: fewer bytes than before
 * are a peer that takes what it is sent, though too slowly for the kernel to ask for more. */
void conn_expired(struct conns *t, struct conn *c, int held);

/* -- what it wants -- */

/* IO_READ and IO_WRITE as it stands now. */
unsigned conn_wants(const struct conn *c);

/* After a flush: moves on to the next state if everything is said. Returns whether the driver is to
 * shut down our side of the socket now. */
bool conn_settle(struct conns *t, struct conn *c);

/* -- what the user says -- */

/* Puts it in the list of connections to flush and settle. */
void conn_touch(struct conns *t, struct conn *c);

/* One message has its reply: the place in the queue is taken. */
void conn_replied(struct conns *t, struct conn *c);

/* No more messages; closes once all is answered and sent. */
void conn_close(struct conns *t, struct conn *c);

/* What was just said is its last reply: closes once that is sent. `waiting` messages, those in
 * front of it and its own, are still to be counted by conn_replied(); the others get no reply. */
void conn_finish(struct conns *t, struct conn *c, uint32_t waiting);

/* No more messages than the one that is arriving in pieces, if any; then as conn_close(). */
void conn_drain(struct conns *t, struct conn *c);

/* The handler failed: the protocol's error, or, where it has none or it would come too late, a
 * close; a reset, if a close would be taken for the end of the response. Returns whether that was
 * the last reply. */
bool conn_fault(struct conns *t, struct conn *c, struct exchange *x, struct queue *q);

/* Stops or resumes reading from it. */
void conn_pause(struct conns *t, struct conn *c, bool on);

/* The user takes the next piece of the body: is told one, or the end, both, or an error. */
void conn_more(struct conns *t, struct conn *c);

/* The user wants to be told when the peer will send no more. */
void conn_await_end(struct conns *t, struct conn *c);

/* The user wants to be told when there is room ahead of the hole with this ticket; 0: when no more
 * than low_water bytes wait in all. */
void conn_ask(struct conns *t, struct conn *c, uint64_t ticket);

/* WebSocket: the hole that what is sent now goes in front of; 0: none, it goes to the end. */
uint64_t conn_ahead(const struct conns *t, const struct conn *c);

/* WebSocket: says the close frame, and nothing behind it. Promised replies are not waited for. */
void conn_part(struct conns *t, struct conn *c, uint16_t code, struct text reason);

/* Encodes to q, in place of the response to a request, the reader's (listener, window, response
 * with status 101), and makes c a connection of that listener, which is of WebSocket; a window of 0
 * is none: nothing is compressed. Returns as a protocol's reply() does. */
int conn_upgrade(struct conns *t, struct conn *c, struct exchange *x, struct queue *q,
                 struct codec_reader *in);

/* WebSocket: its own context, to compress what goes in front of the hole with this ticket (0: to
 * the end); NULL: it has none, or what goes there cannot make use of it. */
struct ws_zip *conn_context_out(const struct conns *t, const struct conn *c, uint64_t ticket);

/* -- among these files -- */

/* Makes the context, if any, that it needs to speak this dialect as one of a listener of WebSocket.
 * Returns 0 or -ENOMEM. */
int conn_context_begin(struct conns *t, const struct conn *c, uint16_t listener, uint8_t dialect);
void conn_context_end(struct conns *t, const struct conn *c);

/* What expands its peer's messages. */
struct ws_zip *conn_context_in(const struct conns *t, const struct conn *c);

/* Frees those of all connections. */
void conn_forget_contexts(struct conns *t);

/* Sets why it closes, if nothing did before. */
void conn_because(struct conn *c, int why);

/* Gives back what arrived and is not framed. */
void conn_forget_input(struct conn *c);

/* Files the deadline for what it does now, anew. */
void conn_clock(struct conns *t, struct conn *c);

/* After n bytes, or whenever else that may have changed: moves on to the deadline that fits what
 * was begun. One that is absolute stays. */
void conn_follow(struct conns *t, struct conn *c, size_t n);

/* What the deadline was for is complete. */
static inline void conn_in_time(struct conn *c)
{
    if (c->clock != CONN_CLOCK_IDLE)
        c->clock = CONN_CLOCK_OVER;
}

/* Files its deadline so far from now; 0: none. */
void conn_deadline(struct conns *t, struct conn *c, uint32_t after_ms);

/* The peer broke the rules, as m->status and m->data say: that is the last it gets. */
void conn_refuse(struct conns *t, struct conn *c, int why, const struct message *m);

/* The body in pieces goes on no more: whoever waits for it is told. */
void conn_fail_body(struct conns *t, struct conn *c, int why);

/* WebSocket: it ends with this code, once replies that are not promised too long are said. */
void conn_leave(struct conns *t, struct conn *c, uint16_t code, struct text reason);

/* WebSocket: the peer says that it leaves; it asks whether we are there. */
void conn_left(struct conns *t, struct conn *c, const struct message *m);
void conn_pong(struct conns *t, struct conn *c, const struct message *m);

/* WebSocket: says the close frame if all else is said and it is to end. */
void conn_farewell(struct conns *t, struct conn *c);

/* WebSocket: its deadline came. Returns whether that was its business. */
bool conn_ws_expired(struct conns *t, struct conn *c);

/* Frees a dead connection, after the driver closed its descriptor. */
void conn_release(struct conns *t, struct conn *c);

#endif
