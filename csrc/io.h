/* io.h -- the drivers: who does the system calls of a loop, and what all of them share. Level 4.
 *
 * A driver accepts, reads, writes and closes, each in its own way, and tells the connections
 * (conn.h) what came of it. There is one state machine of a connection and one policy of accepting;
 * a driver is only how it is waited. One thread uses a struct io, the one that turns the loop. */
#ifndef FL_IO_H
#define FL_IO_H

#include "conn.h"

enum {
    IO_QUIET = -1, /* a byte in the pipe that ends a wait, but is no wake-up for the caller */
};

struct driver;

struct io {
    const struct driver *driver; /* NULL: it is not open */
    void *state;                 /* the driver's own, owned by it */
    const char *backend;         /* the name of what is in use; the driver's, for ever */
    int wake[2];                 /* a pipe: fl_wake(), signals and the pool write, the loop reads */
    int reserve;                 /* a descriptor to give up when there are no more */
    int leash;             /* io_block: ends all when its other end closes; 0: there is none */
    uint64_t accept_after; /* accepting pauses until then; 0: it does not */
    bool accepting;
    bool woken;
    bool cut;     /* the leash ended all */
    bool pending; /* the last turn had no room for all that it was told: do not wait */
};

struct driver {
    /* Sets io->state and io->backend, and watches io->wake[0]. Returns 0; -ENOENT if `backend` is
     * not one of this driver or of this platform; or -errno: it does not work here. */
    int (*open)(struct io *io, const char *backend);

    /* Frees io->state. The connections are closed by then, in the child of a fork() as well. */
    void (*close)(struct io *io);

    /* Watches a listener, or stops watching it. */
    int (*watch_listener)(struct io *io, struct conns *t, uint32_t listener, bool on);

    /* Begins to read from a new connection. Returns 0, or an error: c->fd stays the caller's. */
    int (*adopt)(struct io *io, struct conns *t, struct conn *c);

    /* Sends what one connection in t->dirty has to say, settles it (io_settle()), and sees to what
     * it wants next. It may have died before. */
    void (*flush)(struct io *io, struct conns *t, struct conn *c);

    /* Waits, but only if !io->pending; tells the connections nothing yet. Returns 0 or -errno, of
     * which -EINTR is a signal. */
    int (*wait)(struct io *io, struct conns *t, int timeout_ms);

    /* Tells the connections what the wait brought, as long as there is room (io_batch_full()). Sets
     * io->pending if that was not all, and io->woken after a byte in the pipe (io_drain_wake()). */
    void (*deliver)(struct io *io, struct conns *t);

    /* A dead connection is to be closed (io_close_socket()) and freed (conn_release()). */
    void (*bury)(struct io *io, struct conns *t, struct conn *c);

    /* A descriptor that is readable when there is something to deliver, or -1. */
    int (*fileno)(struct io *io);
};

/* -- for the loop -- */

/* Opens the driver of this backend. Returns 0, -ENOENT for a name that is unknown or not of this
 * platform, or -errno. */
int io_open(struct io *io, const char *backend);
void io_close(struct io *io);

/* Sends what the connections in t->dirty have to say, one send each, and settles them. */
void io_flush(struct io *io, struct conns *t);

/* Waits, accepts and reads. Sets io->woken after a wake-up or a signal. Returns 0 or -errno. */
int io_turn(struct io *io, struct conns *t, int timeout_ms);

/* Closes and frees the connections in t->dead. */
void io_reap(struct io *io, struct conns *t);

/* Microseconds of the clock when a turn is due for the driver's own sake; 0: never. */
static inline uint64_t io_due(const struct io *io)
{
    return io->accept_after;
}

/* -- for drivers -- */

/* Takes a connected socket in, or tells its peer why not, as the limits say. */
void io_admit(struct io *io, struct conns *t, int fd, uint32_t listener);

/* Accepts what waits at a listener, up to a cap. */
void io_accept(struct io *io, struct conns *t, uint32_t listener);

/* What to do after accept() failed. Returns whether to go on at once. */
bool io_accept_failed(struct io *io, struct conns *t, uint32_t listener, int error);

/* Reads once from a connection, without waiting, and tells it. */
void io_read(struct conns *t, struct conn *c);

/* Sends what the kernel takes without waiting, and tells the connection. */
void io_write(struct conns *t, struct conn *c);

/* After a send: keeps what is left of the queue, and moves on if all is said. */
void io_settle(struct conns *t, struct conn *c);

/* Closes the socket of a dead connection, if it has one, as why it died demands. */
void io_close_socket(const struct conn *c);

/* Reads the pipe empty and notes whether somebody wanted the caller's attention. */
void io_drain_wake(struct io *io);

/* Whether this batch takes no more messages. */
static inline bool io_batch_full(const struct conns *t)
{
    return t->inbox.messages >= CONN_BATCH || inbox_bytes(&t->inbox) >= CONN_BATCH_BYTES;
}

#endif
