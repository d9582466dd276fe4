/* io_block.c -- the driver for a thread or a process that serves one connection and nothing else:
 * it blocks until that can be read or written, reads, and writes.
 *
 * Workload: a request, its answer, and a long wait; three system calls for each. Beside its
 * connection it waits only for what may interrupt that: the wake-up pipe, and the leash, whose
 * other end is the process that handed the connection over.
 *
 * Invariant: one connection at a time, in block.only until it is buried. One thread. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"

enum { WAKE, LEASH, CONNECTION, COUNT };

struct block {
    struct conn *only; /* NULL: none yet, or no more */
    struct pollfd fds[COUNT];
};

static int block_open(struct io *io, const char *backend)
{
    if (strcmp(backend, "block") != 0)
        return -ENOENT;
    struct block *b = calloc(1, sizeof *b);
    if (b == NULL)
        return -ENOMEM;
    for (int i = 0; i < COUNT; i++)
        b->fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    b->fds[WAKE].fd = io->wake[0];
    io->state = b;
    io->backend = "block";
    return 0;
}

static void block_close(struct io *io)
{
    free(io->state);
}

/* Its connections come by fl_adopt(): listeners only describe them. */
static int watch_listener(struct io *io, struct conns *t, uint32_t listener, bool on)
{
    (void)io, (void)t, (void)listener, (void)on;
    return 0;
}

static int adopt(struct io *io, struct conns *t, struct conn *c)
{
    struct block *b = io->state;
    (void)t;
    if (b->only != NULL)
        return -EBUSY;
    b->only = c;
    c->watched = IO_READ;
    return 0;
}

static void bury(struct io *io, struct conns *t, struct conn *c)
{
    struct block *b = io->state;
    if (b->only == c)
        b->only = NULL;
    io_close_socket(c);
    conn_release(t, c);
}

/* -- the turn -- */

static void flush(struct io *io, struct conns *t, struct conn *c)
{
    (void)io;
    if (!(c->flags & CONN_BLOCKED))
        io_write(t, c);
    io_settle(t, c);
    c->watched = (uint8_t)conn_wants(c);
}

static int await(struct io *io, struct conns *t, int timeout_ms)
{
    struct block *b = io->state;
    unsigned want = b->only == NULL ? 0 : b->only->watched;
    struct pollfd *p = &b->fds[CONNECTION];
    p->fd = want == 0 ? -1 : b->only->fd; /* else a hang-up would be reported for ever */
    p->events = (short)((want & IO_READ ? POLLIN : 0) | (want & IO_WRITE ? POLLOUT : 0));
    b->fds[LEASH].fd = io->leash > 0 ? io->leash : -1;
    int n = poll(b->fds, COUNT, timeout_ms);
    int rc = n < 0 ? -errno : 0;
    t->stats.turns++;
    for (int i = 0; n < 0 && i < COUNT; i++)
        b->fds[i].revents = 0;
    return rc;
}

static void cut(struct io *io, struct conns *t, struct conn *c)
{
    io->leash = 0;
    io->cut = true;
    if (c != NULL)
        conn_fail(t, c, FL_ESTOP);
}

static void deliver(struct io *io, struct conns *t)
{
    struct block *b = io->state;
    struct conn *c = b->only;
    int what = b->fds[CONNECTION].revents;
    if (b->fds[WAKE].revents != 0)
        io_drain_wake(io);
    if (b->fds[LEASH].revents != 0)
        cut(io, t, c);
    for (int i = 0; i < COUNT; i++)
        b->fds[i].revents = 0;
    if (c == NULL || what == 0 || c->state == CONN_DEAD)
        return;
    if ((what & ~POLLIN) && (c->flags & CONN_BLOCKED)) {
        io_write(t, c);
        conn_touch(t, c);
    }
    if ((what & ~POLLOUT) && (c->watched & IO_READ) && c->state != CONN_DEAD)
        io_read(t, c);
}

static int no_fileno(struct io *io)
{
    (void)io;
    return -1;
}

const struct driver io_block = {
    .open = block_open,
    .close = block_close,
    .watch_listener = watch_listener,
    .adopt = adopt,
    .flush = flush,
    .wait = await,
    .deliver = deliver,
    .bury = bury,
    .fileno = no_fileno,
};
