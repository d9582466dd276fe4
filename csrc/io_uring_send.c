/* io_uring_send.c -- how the driver for completion sends.
 *
 * Workload: a turn's replies are some hundred short sends, one for each connection. They go to the
 * kernel with the wait, and one that went well has no completion at all, unless the connection is
 * to go on with something when it is over: then its completion ends the wait. Large sends and files
 * go by sendmsg() and sendfile(), which take fewer steps for the same copying.
 *
 * Invariants: a send never waits (MSG_DONTWAIT), so it is over when the call that submits it
 * returns; with MSG_WAITALL one that was cut short counts as failed, and has a completion. What is
 * sent lies in the arena or the outbox, and lives no longer than that. One thread. */
#include "io_uring.h"

#if defined(__linux__)

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { SMALL = 16 * 1024 }; /* larger sends are not submitted but done */

/* Whether there is nothing to be done for a connection once its queue is sent. */
static bool rests(const struct conn *c)
{
    return c->state == CONN_OPEN &&
           !(c->flags & (CONN_EOF | CONN_STALLED | CONN_PARKED | CONN_ASKED | CONN_PAUSED)) &&
           (c->watched & IO_READ);
}

static bool submit_send(struct completion *u, struct conn *c)
{
    struct iovec iov[2];
    if (c->out.bytes > SMALL || u->sends == countof(u->sending) ||
        wire_gather(&c->out, iov, 2) != 1 || iov->iov_len != c->out.bytes)
        return false;
    struct uring_sqe *sqe = uring_ask(u, URING_OP_SEND, c->fd, tag_of(OP_SEND, conn_id(c)));
    if (sqe == NULL)
        return false;
    sqe->flags = rests(c) ? URING_SQE_CQE_SKIP : 0;
    sqe->addr = (uintptr_t)iov->iov_base;
    sqe->len = (uint32_t)iov->iov_len;
    sqe->op_flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;
    slot_of(u, c)->ops |= OP_SEND;
    u->sending[u->sends++] = c->index;
    u->urgent = true;
    return true;
}

void uring_flush(struct io *io, struct conns *t, struct conn *c)
{
    bool says = !(c->flags & CONN_BLOCKED) && c->out.head != NULL && c->out.head->data != NULL;
    if (slot_of(io->state, c)->ops & OP_SEND)
        return;
    if (says && submit_send(io->state, c))
        return;
    if (says)
        io_write(t, c);
    io_settle(t, c);
    if (c->state != CONN_DEAD)
        uring_follow(io, t, c);
}

void uring_sent(struct io *io, struct conns *t, struct conn *c, int res)
{
    struct slot *s = slot_of(io->state, c);
    if (!(s->ops & OP_SEND))
        return;
    s->ops &= (uint8_t)~OP_SEND;
    if (c->state == CONN_DEAD) {
        if ((c->flags & CONN_BURIED) && s->ops == 0)
            uring_free_conn(t, c);
        return;
    }
    io_wrote(t, c, res == -EINTR ? -EAGAIN : res, c->out.head->len);
    io_settle(t, c);
    if (c->state != CONN_DEAD)
        uring_follow(io, t, c);
}

/* Tells of sends that have a completion. */
static void scan(struct io *io, struct conns *t)
{
    struct completion *u = io->state;
    uint32_t first, end;
    uring_unseen(&u->ring, &first, &end);
    if ((int32_t)(u->scanned - first) > 0)
        first = u->scanned;
    for (; first != end; first++) {
        struct uring_cqe *cqe = uring_cqe(&u->ring, first);
        if (cqe->user_data >> OP_SHIFT != OP_SEND)
            continue;
        uint32_t index = (uint32_t)cqe->user_data & CONN_INDEX;
        cqe->user_data = 0;
        uring_sent(io, t, conn_at(t, index), cqe->res);
    }
    u->scanned = end;
}

/* The kernel has not taken all that it was given, for want of memory: the sends among that wait for
 * room, like those that it refused one by one. */
static void take_back(struct io *io, struct conns *t)
{
    struct completion *u = io->state;
    uint32_t end = u->ring.tail;
    for (uint32_t i = uring_taken(&u->ring); i != end; i++) {
        struct uring_sqe *sqe = uring_sqe_at(&u->ring, i);
        if (sqe->opcode != URING_OP_SEND || (int32_t)(i - uring_taken(&u->ring)) < 0)
            continue;
        uint32_t index = (uint32_t)sqe->user_data & CONN_INDEX;
        *sqe = (struct uring_sqe){.opcode = URING_OP_NOP};
        uring_sent(io, t, conn_at(t, index), -EAGAIN);
    }
}

/* Makes room for completions that had none. They may not be told now: this may be in the middle of
 * a batch. Returns false when memory is short. */
static bool set_aside(struct completion *u)
{
    uint32_t first, end;
    uring_unseen(&u->ring, &first, &end);
    char *room = buf_room(&u->aside, (end - first) * sizeof(struct uring_cqe));
    if (room == NULL)
        return false;
    for (; first != end; first++) {
        memcpy(u->aside.data + u->aside.len, uring_cqe(&u->ring, first), sizeof(struct uring_cqe));
        u->aside.len += sizeof(struct uring_cqe);
    }
    uring_seen(&u->ring, end);
    return true;
}

void uring_finish_sends(struct io *io, struct conns *t)
{
    struct completion *u = io->state;
    if (u->sends > 0) {
        if (unlikely(u->ring.tail != uring_taken(&u->ring)))
            take_back(io, t);
        scan(io, t);
        for (int i = 0; i < TRIES && unlikely(uring_overflown(&u->ring)) && set_aside(u); i++) {
            uring_enter(&u->ring, 0, 0);
            scan(io, t);
        }
        bool known = !uring_overflown(&u->ring);
        for (uint32_t i = 0; i < u->sends; i++) {
            struct conn *c = conn_at(t, u->sending[i]);
            if (c != NULL && (slot_of(u, c)->ops & OP_SEND))
                uring_sent(io, t, c, known ? (int)c->out.bytes : -ENOMEM);
        }
        u->sends = 0;
    }
    if (t->dirty == NULL)
        wire_reset(&t->wire);
}

#else

typedef int io_uring_send_is_not_of_this_platform;

#endif
