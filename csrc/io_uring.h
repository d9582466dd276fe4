/* io_uring.h -- the parts of the driver for completion, among themselves: what it keeps
 * (io_uring.c), what it asks of the kernel (io_uring_ask.c), how it sends (io_uring_send.c).
 * Level 5. */
#ifndef FL_IO_URING_H
#define FL_IO_URING_H

#include "buf.h"
#include "io.h"
#include "uring.h"

/* What a completion is of: bits in slot.ops, and the upper byte of its tag, above the id. */
enum op {
    OP_RECEIVE = 1,
    OP_POLL = 2,  /* for reading */
    OP_ROOM = 4,  /* for writing */
    OP_SEND = 8,  /* over when the kernel was entered */
    OP_END = 16,  /* nothing in the kernel: comes back at once, for an end that was kept */
    OP_WAKE = 32, /* these are no connection's */
    OP_LISTENER = 64,
    OP_CANCEL = 128,
};

enum heard {
    HEARD = 1,   /* of it since the last look */
    BUSY = 2,    /* read by a receive that goes on, not by polls */
    LEAVING = 4, /* its receive is being cancelled */
    ENDED = 8,   /* the stream is at its end, or failed: told when it is wanted */
};

enum {
    OP_SHIFT = 56,
    URING_LOOK = 1000000, /* us between two looks for connections that are busy no more */
    TRIES = 8,            /* ... to get from the kernel what it had no room for */
};

struct slot {
    uint8_t ops;
    uint8_t heard;
    int16_t why; /* with ENDED: 0, or -errno */
};

struct completion {
    struct uring ring;
    struct slot *slots; /* by the connection's index */
    uint32_t slot_count;
    uint32_t sends;             /* since the kernel was entered, */
    uint32_t sending[URING_SQ]; /* ... and the indices of their connections */
    uint32_t busy;              /* connections with OP_RECEIVE */
    uint32_t scanned;           /* completions up to this were looked at for sends */
    uint32_t ops;               /* requests in the kernel, but for OP_CANCEL */
    struct buf aside; /* struct uring_cqe: taken from the ring to make room, and not told yet */
    bool hears;       /* the pipe is polled */
    bool urgent;      /* there is something to be submitted that should not wait for handlers */
    pid_t owner;
};

static inline uint64_t tag_of(enum op op, uint64_t what)
{
    return (uint64_t)op << OP_SHIFT | what;
}

static inline struct slot *slot_of(const struct completion *u, const struct conn *c)
{
    return &u->slots[c->index];
}

/* -- io_uring_ask.c -- */

/* A submission; makes room by submitting what is there. NULL: the kernel takes nothing now. */
struct uring_sqe *uring_ask(struct completion *u, int opcode, int fd, uint64_t tag);

/* Asks for one completion when poll() would report `events`. Returns whether it was asked. */
bool uring_poll(struct completion *u, int fd, unsigned events, uint64_t tag);

/* Ends what has this tag, which completes then. Returns whether it was asked. */
bool uring_cancel(struct completion *u, uint64_t tag);

/* Ends the receive of a connection, if there is one. */
void uring_stop_receiving(struct completion *u, const struct conn *c);

/* Begins what the connection wants and is not under way. What it wants no more is left alone: it
 * ends by itself, or with the first byte that comes. */
void uring_follow(struct io *io, struct conns *t, struct conn *c);

/* -- io_uring_send.c -- */

/* Has the bytes of a connection sent when the kernel is entered next, or sends them. */
void uring_flush(struct io *io, struct conns *t, struct conn *c);

/* After the kernel was entered: tells connections what was sent, and empties the arena, of which no
 * queue holds bytes any more. */
void uring_finish_sends(struct io *io, struct conns *t);

/* A send is over: `res` bytes of it, or -errno. */
void uring_sent(struct io *io, struct conns *t, struct conn *c, int res);

/* -- io_uring.c -- */

/* Closes and frees a connection of which nothing is under way. */
void uring_free_conn(struct conns *t, struct conn *c);

#endif
