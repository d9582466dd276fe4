/* io_ready.c -- the driver for readiness: reading and writing when a poller says so.
 *
 * Workload: some ten to a few hundred ready connections a turn, one short read each. A read that
 * fills less than was asked for is the last; the extra one that would say EAGAIN is not made, since
 * level-triggered pollers report again what came since. Writes are tried at once, and the poller is
 * asked for writability only after the kernel refused bytes.
 *
 * Invariant: what the poller watches is conn->watched, changed only by watch(). One thread. */
#include <errno.h>
#include <stdlib.h>

#include "io.h"
#include "poller.h"

enum { EVENTS = 256 };

/* Tags that are no connection's: ids stay far below. */
#define TAG_WAKE     UINT64_MAX
#define TAG_LISTENER ((uint64_t)1 << 63)

struct ready {
    struct poller poller;
    int next, count; /* events that are still to be looked at: from next on, up to count */
    struct poller_event events[EVENTS];
};

static int ready_open(struct io *io, const char *backend)
{
    struct ready *r = calloc(1, sizeof *r);
    if (r == NULL)
        return -ENOMEM;
    int rc = poller_open(&r->poller, backend);
    if (rc == 0) {
        rc = r->poller.ops->set(&r->poller, io->wake[0], 0, IO_READ, TAG_WAKE);
        if (rc < 0)
            r->poller.ops->close(&r->poller);
    }
    if (rc < 0) {
        free(r);
        return rc;
    }
    io->state = r;
    io->backend = r->poller.ops->name;
    return 0;
}

static void ready_close(struct io *io)
{
    struct ready *r = io->state;
    r->poller.ops->close(&r->poller);
    free(r);
}

static int ready_fileno(struct io *io)
{
    struct ready *r = io->state;
    return r->poller.ops->fileno(&r->poller);
}

/* -- what is watched -- */

static int watch_listener(struct io *io, struct conns *t, uint32_t listener, bool on)
{
    struct ready *r = io->state;
    struct listener *l = t->listeners[listener];
    if (l->watched == on || l->fd < 0)
        return 0;
    int rc = r->poller.ops->set(&r->poller, l->fd, l->watched ? IO_READ : 0, on ? IO_READ : 0,
                                TAG_LISTENER | listener);
    if (rc == 0)
        l->watched = on;
    return rc;
}

static int watch(struct ready *r, struct conn *c, unsigned want)
{
    if (want == c->watched)
        return 0;
    int rc = r->poller.ops->set(&r->poller, c->fd, c->watched, want, conn_id(c));
    if (rc == 0)
        c->watched = (uint8_t)want;
    return rc;
}

static int adopt(struct io *io, struct conns *t, struct conn *c)
{
    (void)t;
    return watch(io->state, c, IO_READ);
}

static void bury(struct io *io, struct conns *t, struct conn *c)
{
    if (c->fd >= 0)
        watch(io->state, c, 0);
    io_close_socket(c);
    conn_release(t, c);
}

/* -- the turn -- */

static void flush(struct io *io, struct conns *t, struct conn *c)
{
    if (!(c->flags & CONN_BLOCKED))
        io_write(t, c);
    io_settle(t, c);
    int rc = c->state == CONN_DEAD ? 0 : watch(io->state, c, conn_wants(c));
    if (rc < 0)
        conn_fail(t, c, rc);
}

static int await(struct io *io, struct conns *t, int timeout_ms)
{
    struct ready *r = io->state;
    if (r->next < r->count)
        return 0;
    int n = r->poller.ops->wait(&r->poller, r->events, EVENTS, timeout_ms);
    t->stats.turns++;
    r->next = 0;
    r->count = n < 0 ? 0 : n;
    return n < 0 ? n : 0;
}

static void dispatch(struct io *io, struct conns *t, const struct poller_event *ev)
{
    if (ev->tag == TAG_WAKE) {
        io_drain_wake(io);
        return;
    }
    if (ev->tag & TAG_LISTENER) {
        io_accept(io, t, (uint32_t)ev->tag);
        return;
    }
    struct conn *c = conn_find(t, ev->tag);
    if (c == NULL)
        return;
    if ((ev->what & IO_WRITE) && (c->flags & CONN_BLOCKED)) {
        io_write(t, c);
        conn_touch(t, c);
    }
    if ((ev->what & IO_READ) && (c->watched & IO_READ) && c->state != CONN_DEAD)
        io_read(t, c);
}

/* Looks at events as long as there is room in the batch. The others wait for the next turn, which
 * looks at them before it asks the poller again: so each has its turn, whatever order the poller
 * reports in, and a full batch costs no wait. */
static void deliver(struct io *io, struct conns *t)
{
    struct ready *r = io->state;
    while (r->next < r->count && !io_batch_full(t))
        dispatch(io, t, &r->events[r->next++]);
    io->pending = r->next < r->count;
}

const struct driver io_ready = {
    .open = ready_open,
    .close = ready_close,
    .watch_listener = watch_listener,
    .adopt = adopt,
    .flush = flush,
    .wait = await,
    .deliver = deliver,
    .bury = bury,
    .fileno = ready_fileno,
};
