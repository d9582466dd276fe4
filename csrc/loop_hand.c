/* loop_hand.c -- handing connections over, from the loop that accepts to one that serves a single
 * one.
 *
 * Workload: once for each connection. The place that a connection keeps where it was accepted is
 * what the limits count; it is given back when whoever serves it says so, or dies.
 *
 * Each function is called by the thread of its loop. */
#include <errno.h>
#include <unistd.h>

#include "loop.h"

bool loop_over(const fl_loop *l)
{
    const struct conns *t = &l->conns;
    return unlikely(t->config.role == FL_ROLE_ONE) && t->stats.connections == 0 &&
           (l->io.cut || (l->timers.count == 0 && list_empty(&l->files.jobs)));
}

static struct conn *away(fl_loop *l, uint64_t id)
{
    struct conn *c = conn_find(&l->conns, id);
    return c != NULL && c->state == CONN_AWAY ? c : NULL;
}

int fl_hand(fl_loop *l, uint64_t id)
{
    struct conn *c = away(l, id);
    if (c == NULL || c->fd < 0 || c->watched != 0) /* what is watched is held, not its own */
        return -ENOTCONN;
    int fd = c->fd;
    c->fd = -1;
    return fd;
}

int fl_hold(fl_loop *l, uint64_t id, int fd)
{
    struct conn *c = away(l, id);
    if (c == NULL || c->fd >= 0)
        return -ENOTCONN;
    c->fd = fd;
    int rc = l->io.driver->adopt(&l->io, &l->conns, c);
    if (rc < 0)
        c->fd = -1;
    return rc;
}

void fl_left(fl_loop *l, uint64_t id)
{
    struct conn *c = away(l, id);
    if (c != NULL)
        conn_fail(&l->conns, c, 0);
}

void fl_return(fl_loop *l, uint64_t id, int fd)
{
    struct conns *t = &l->conns;
    struct conn *c = away(l, id);
    if (c == NULL || c->fd >= 0) {
        close(fd);
        return;
    }
    conn_return(t, c, fd, FL_ESPAWN);
    int rc = l->io.driver->adopt(&l->io, t, c);
    if (rc < 0)
        conn_fail(t, c, rc);
}

int fl_adopt(fl_loop *l, int fd, int listener, int leash)
{
    struct conns *t = &l->conns;
    if (listener < 0 || (uint32_t)listener >= t->listener_count)
        return -EINVAL;
    struct conn *c = conn_open(t, fd, (uint32_t)listener);
    if (c == NULL)
        return -ENOMEM;
    int rc = l->io.driver->adopt(&l->io, t, c);
    if (rc < 0) {
        c->fd = -1;
        conn_fail(t, c, rc);
        return rc;
    }
    l->io.leash = leash;
    return 0;
}

int fl_over(fl_loop *l)
{
    return loop_over(l) && !inbox_waiting(&l->conns.inbox);
}
