/* io_ready.h -- the driver for readiness: a poller says what can be done, this does it. Level 4.
 *
 * Does the system calls of accepting, reading, writing and closing, and tells the connections
 * (conn.h) what came of it. */
#ifndef FL_IO_READY_H
#define FL_IO_READY_H

#include "conn.h"
#include "poller.h"

enum {
    IO_EVENTS = 256,
    IO_QUIET = -1, /* a byte in the pipe that ends a wait, but is no wake-up for the caller */
};

struct io {
    struct poller poller;
    int wake[2];           /* a pipe: fl_wake(), signals and the pool write, the loop reads */
    int reserve;           /* a descriptor to give up when there are no more */
    uint64_t accept_after; /* accepting pauses until then; 0: it does not */
    bool accepting;
    bool woken;
    int next, count; /* events that are still to be looked at: from next on, up to count */
    struct poller_event events[IO_EVENTS];
};

/* Whether there are events that the last turn had no room for. */
static inline bool io_pending(const struct io *io)
{
    return io->next < io->count;
}

int io_open(struct io *io, const char *backend);
void io_close(struct io *io);

/* Watches a listener, or stops watching it. */
int io_watch_listener(struct io *io, struct conns *t, uint32_t listener, bool on);

/* Sends what the connections in t->dirty have to say, one send each, and settles them. */
void io_flush(struct io *io, struct conns *t);

/* Waits, accepts and reads. Sets io->woken after a wake-up or a signal. Returns 0 or the poller's
 * -errno. */
int io_turn(struct io *io, struct conns *t, int timeout_ms);

/* Closes and frees the connections in t->dead. */
void io_reap(struct io *io, struct conns *t);

#endif
