/* io_uring_ask.c -- what the driver for completion asks of the kernel for a connection.
 *
 * Workload: a busy connection asks once, for a receive that goes on. Submissions only fill in a
 * queue; the kernel is entered by the wait, or here if the queue is full.
 *
 * Invariant: slot.ops has a bit for each request from here until its last completion was looked at.
 * One thread. */
#include "io_uring.h"

#if defined(__linux__)

#include <errno.h>
#include <poll.h>

struct uring_sqe *uring_ask(struct completion *u, int opcode, int fd, uint64_t tag)
{
    struct uring_sqe *sqe = uring_sqe(&u->ring);
    for (int i = 0; i < TRIES && unlikely(sqe == NULL) && u->ring.enabled; i++) {
        uring_enter(&u->ring, 0, 0);
        sqe = uring_sqe(&u->ring);
    }
    if (unlikely(sqe == NULL))
        return NULL;
    sqe->opcode = (uint8_t)opcode;
    sqe->fd = fd;
    sqe->user_data = tag;
    return sqe;
}

bool uring_poll(struct completion *u, int fd, unsigned events, uint64_t tag)
{
    struct uring_sqe *sqe = uring_ask(u, URING_OP_POLL_ADD, fd, tag);
    if (sqe == NULL)
        return false;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    events = events << 16; /* the kernel reads two halves */
#endif
    sqe->op_flags = events;
    u->ops++;
    return true;
}

bool uring_cancel(struct completion *u, uint64_t tag)
{
    struct uring_sqe *sqe = uring_ask(u, URING_OP_ASYNC_CANCEL, -1, tag_of(OP_CANCEL, 0));
    if (sqe == NULL)
        return false;
    sqe->flags = URING_SQE_CQE_SKIP;
    sqe->addr = tag;
    u->urgent = true;
    return true;
}

static void begin(struct conns *t, struct conn *c, struct slot *s, enum op op, bool begun)
{
    if (begun)
        s->ops |= (uint8_t)op;
    else
        conn_fail(t, c, -ENOMEM);
}

static bool receive(struct completion *u, const struct conn *c)
{
    struct uring_sqe *sqe = uring_ask(u, URING_OP_RECV, c->fd, tag_of(OP_RECEIVE, conn_id(c)));
    if (sqe == NULL)
        return false;
    sqe->flags = URING_SQE_BUFFER_SELECT;
    sqe->ioprio = URING_RECV_MULTISHOT | URING_RECV_POLL_FIRST;
    u->ops++;
    u->busy++;
    return true;
}

void uring_stop_receiving(struct completion *u, const struct conn *c)
{
    struct slot *s = slot_of(u, c);
    if (!(s->ops & OP_RECEIVE) || (s->heard & LEAVING))
        return;
    if (uring_cancel(u, tag_of(OP_RECEIVE, conn_id(c))))
        s->heard |= LEAVING;
}

/* An end that was kept is wanted now: it comes back as a completion, since here, in the middle of a
 * flush, nothing may change. */
static bool bring_end(struct completion *u, const struct conn *c)
{
    if (uring_ask(u, URING_OP_NOP, -1, tag_of(OP_END, conn_id(c))) == NULL)
        return false;
    u->ops++;
    return true;
}

void uring_follow(struct io *io, struct conns *t, struct conn *c)
{
    struct completion *u = io->state;
    struct slot *s = slot_of(u, c);
    unsigned wants = conn_wants(c);
    c->watched = (uint8_t)wants;
    if ((wants & IO_WRITE) && !(s->ops & OP_ROOM))
        begin(t, c, s, OP_ROOM, uring_poll(u, c->fd, POLLOUT, tag_of(OP_ROOM, conn_id(c))));
    if (!(wants & IO_READ) || (s->ops & (OP_RECEIVE | OP_POLL | OP_END)))
        return;
    if (s->heard & ENDED)
        begin(t, c, s, OP_END, bring_end(u, c));
    else if (s->heard & BUSY)
        begin(t, c, s, OP_RECEIVE, receive(u, c));
    else
        begin(t, c, s, OP_POLL, uring_poll(u, c->fd, POLLIN, tag_of(OP_POLL, conn_id(c))));
    if (u->busy > 0 && io->tidy_after == 0)
        io->tidy_after = t->now_us + URING_LOOK;
}

#else

typedef int io_uring_ask_is_not_of_this_platform;

#endif
