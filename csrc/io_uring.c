/* io_uring.c -- the driver for completion: Linux does the reading and sending, and says what came.
 *
 * Workload: as io_ready.c. All submissions of a turn go to the kernel together with the wait, in
 * one system call. A connection that is busy has a receive that goes on for ever, into buffers that
 * the kernel picks; one that is not has a poll, which costs the kernel a third of the memory. A
 * connection that becomes busy is read by hand until it was heard of twice in a second, and one
 * that was not heard of for a second goes back. So does one whose messages are larger than a
 * buffer, as in bulk plain calls of 64 KiB are the cheaper way; large sends and files go by
 * sendmsg() and sendfile() for the same reason. Listeners are polled, and accepted from by hand: an
 * accept that goes on for ever would drain a backlog beyond any cap, and take connections that
 * nobody sees when the loop ends.
 *
 * Invariants:
 * - A send never waits (MSG_DONTWAIT): it is over when the call that submits it returns. So what it
 *   sends needs to live no longer than that, and never two of one connection are under way.
 * - A connection is closed and freed only when no request of it is in the kernel (slot.ops is 0):
 *   closing a descriptor does not end them, and a number could be reused.
 * - Bytes may come that a connection does not want now: they are stashed, and the receive is
 *   cancelled. The end of a stream that is not wanted is kept in the slot.
 * One thread: the one that waits first. */
#include "io_uring.h"

#if defined(__linux__)

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { END_MS = 1000 }; /* how long to wait for the kernel to let go of a ring */

/* -- open and close -- */

static int uring_driver_open(struct io *io, const char *backend)
{
    if (strcmp(backend, "io_uring") != 0)
        return -ENOENT;
    struct completion *u = calloc(1, sizeof *u);
    if (u == NULL)
        return -ENOMEM;
    int rc = uring_open(&u->ring);
    if (rc < 0) {
        free(u);
        return rc;
    }
    io->state = u;
    io->backend = "io_uring";
    return 0;
}

/* Ends all requests, which hold on to sockets. In the child of a fork() nothing is done: they are
 * the parent's. On another thread than the loop's the kernel refuses it; there it has ended them,
 * or ends them as soon as the ring is closed. */
static void cancel_all(struct completion *u)
{
    uint32_t first, end;
    if (!u->ring.enabled || u->owner != getpid())
        return;
    for (int i = 0; i < TRIES && u->ops > 0; i++) {
        struct uring_sqe *sqe = uring_sqe(&u->ring);
        if (sqe != NULL) {
            sqe->opcode = URING_OP_ASYNC_CANCEL;
            sqe->op_flags = URING_CANCEL_ALL | URING_CANCEL_ANY;
            sqe->user_data = tag_of(OP_CANCEL, 0);
        }
        if (uring_enter(&u->ring, 1, 10) == -EEXIST)
            return;
        uring_unseen(&u->ring, &first, &end);
        for (; first != end; first++) {
            const struct uring_cqe *cqe = uring_cqe(&u->ring, first);
            bool over = !(cqe->flags & URING_CQE_MORE) && cqe->user_data >> OP_SHIFT != OP_CANCEL;
            u->ops -= over && cqe->user_data != 0;
        }
        uring_seen(&u->ring, end);
    }
}

static void uring_driver_close(struct io *io)
{
    struct completion *u = io->state;
    struct pollfd gone = {.fd = io->wake[1]};
    cancel_all(u);
    bool waits = u->ops > 0 && u->ring.enabled && u->owner == getpid();
    uring_close(&u->ring);
    close(io->wake[0]);
    io->wake[0] = -1;
    /* Nobody can read the pipe when the kernel has ended the requests, of which one is for it. */
    if (waits)
        poll(&gone, 1, END_MS);
    buf_free(&u->aside);
    free(u->slots);
    free(u);
}

static int uring_driver_fileno(struct io *io)
{
    struct completion *u = io->state;
    return uring_news(&u->ring);
}

static int adopt(struct io *io, struct conns *t, struct conn *c)
{
    struct completion *u = io->state;
    if (c->index >= u->slot_count) {
        struct slot *slots = realloc(u->slots, conns_places(t) * sizeof *slots);
        if (slots == NULL)
            return -ENOMEM;
        u->slots = slots;
        u->slot_count = conns_places(t);
    }
    *slot_of(u, c) = (struct slot){0};
    if (!uring_poll(u, c->fd, POLLIN, tag_of(OP_POLL, conn_id(c))))
        return -ENOMEM;
    slot_of(u, c)->ops = OP_POLL;
    c->watched = IO_READ;
    return 0;
}

static int watch_listener(struct io *io, struct conns *t, uint32_t listener, bool on)
{
    struct completion *u = io->state;
    struct listener *l = t->listeners[listener];
    if (l->watched == on || l->fd < 0)
        return 0;
    if (!on)
        uring_cancel(u, tag_of(OP_LISTENER, listener));
    else if (!uring_poll(u, l->fd, POLLIN, tag_of(OP_LISTENER, listener)))
        return -ENOMEM;
    l->watched = on;
    return 0;
}

/* -- the turn -- */

static int enable(struct completion *u)
{
    int rc = uring_enable(&u->ring);
    u->owner = getpid();
    return rc;
}

static void submit(struct io *io, struct conns *t, bool all)
{
    struct completion *u = io->state;
    bool any = u->urgent || (all && u->ring.tail != uring_taken(&u->ring));
    if (any && u->ring.enabled) {
        u->urgent = false;
        uring_enter(&u->ring, 0, 0);
    }
    uring_finish_sends(io, t);
}

static int await(struct io *io, struct conns *t, int timeout_ms)
{
    struct completion *u = io->state;
    uint32_t first, end;
    int rc = u->ring.enabled ? 0 : enable(u);
    if (rc < 0)
        return rc;
    if (unlikely(!u->hears))
        u->hears = uring_poll(u, io->wake[0], POLLIN, tag_of(OP_WAKE, 0));
    uring_unseen(&u->ring, &first, &end);
    if (u->aside.len > 0 || first != end)
        timeout_ms = 0;
    u->urgent = false;
    rc = uring_enter(&u->ring, 1, timeout_ms);
    t->stats.turns++;
    uring_read_news(&u->ring);
    uring_finish_sends(io, t);
    return rc == -EBUSY || rc == -EAGAIN || rc == -ENOMEM ? 0 : rc;
}

/* -- what came -- */

/* The stream is at its end (why 0) or failed. */
static void ended(struct completion *u, struct conns *t, struct conn *c, int why)
{
    struct slot *s = slot_of(u, c);
    if (!(conn_wants(c) & IO_READ)) {
        s->heard |= ENDED;
        s->why = (int16_t)why;
        return;
    }
    s->heard &= (uint8_t)~ENDED;
    if (why == 0)
        conn_ended(t, c);
    else
        conn_fail(t, c, why);
}

static void received(struct completion *u, struct conns *t, struct conn *c, const char *data,
                     size_t n)
{
    struct slot *s = slot_of(u, c);
    s->heard |= HEARD;
    if (unlikely(!(conn_wants(c) & IO_READ))) {
        uring_stop_receiving(u, c);
        conn_stash(t, c, data, n);
        return;
    }
    conn_given(t, c, data, n);
    if (c->flags & CONN_PARKED)
        conn_touch(t, c);
    if (unlikely(n == URING_BUFFER)) {
        s->heard &= (uint8_t)~BUSY;
        uring_stop_receiving(u, c);
    }
}

static void on_receive(struct completion *u, struct conns *t, struct conn *c,
                       const struct uring_cqe *cqe)
{
    struct slot *s = slot_of(u, c);
    if (!(cqe->flags & URING_CQE_MORE)) {
        s->ops &= (uint8_t)~OP_RECEIVE;
        s->heard &= (uint8_t)~LEAVING;
        u->busy--;
    }
    bool alive = c->state != CONN_DEAD;
    if (cqe->flags & URING_CQE_BUFFER) {
        uint16_t bid = (uint16_t)(cqe->flags >> URING_CQE_BUFFER_SHIFT);
        if (alive && cqe->res > 0)
            received(u, t, c, uring_buffer(&u->ring, bid), (size_t)cqe->res);
        uring_recycle(&u->ring, bid);
    } else if (cqe->res == -ENOBUFS) {
        s->heard &= (uint8_t)~BUSY; /* read by hand; asking again at once would spin */
    } else if (alive && cqe->res != -ECANCELED && cqe->res != -EINTR) {
        ended(u, t, c, cqe->res);
    }
}

static void on_poll(struct completion *u, struct conns *t, struct conn *c)
{
    struct slot *s = slot_of(u, c);
    if (c->state == CONN_DEAD || !(conn_wants(c) & IO_READ))
        return;
    size_t n = io_read(t, c);
    if ((s->heard & HEARD) && n > 0 && n < URING_BUFFER)
        s->heard |= BUSY;
    s->heard |= HEARD;
}

void uring_free_conn(struct conns *t, struct conn *c)
{
    io_close_socket(c);
    conn_release(t, c);
}

static void on_connection(struct io *io, struct conns *t, enum op op, const struct uring_cqe *cqe)
{
    struct completion *u = io->state;
    struct conn *c = conn_at(t, (uint32_t)cqe->user_data & CONN_INDEX);
    struct slot *s = slot_of(u, c);
    bool buried = c->flags & CONN_BURIED;
    if (op != OP_RECEIVE)
        s->ops &= (uint8_t)~op;
    if (op == OP_RECEIVE) {
        on_receive(u, t, c, cqe);
    } else if (op == OP_POLL) {
        on_poll(u, t, c);
    } else if (op == OP_ROOM && c->state != CONN_DEAD && (c->flags & CONN_BLOCKED)) {
        io_write(t, c);
        conn_touch(t, c);
    } else if (op == OP_END && c->state != CONN_DEAD) {
        ended(u, t, c, s->why);
    }
    if (c->state != CONN_DEAD)
        uring_follow(io, t, c);
    else if (buried && s->ops == 0)
        uring_free_conn(t, c);
}

static void on_listener(struct io *io, struct conns *t, uint32_t listener, int res)
{
    struct completion *u = io->state;
    struct listener *l = t->listeners[listener];
    if (!l->watched || res == -ECANCELED) /* if it is watched again, then by another poll */
        return;
    io_accept(io, t, listener);
    if (!l->watched || uring_poll(u, l->fd, POLLIN, tag_of(OP_LISTENER, listener)))
        return;
    l->watched = false; /* not for ever */
    io->accept_after = t->now_us + URING_LOOK;
}

static void dispatch(struct io *io, struct conns *t, const struct uring_cqe *cqe)
{
    struct completion *u = io->state;
    enum op op = (enum op)(cqe->user_data >> OP_SHIFT);
    if (op == 0 || op == OP_CANCEL || op == OP_SEND)
        return; /* what was sent was told before */
    u->ops -= !(cqe->flags & URING_CQE_MORE);
    if (op == OP_WAKE) {
        io_drain_wake(io);
        u->hears = uring_poll(u, io->wake[0], POLLIN, tag_of(OP_WAKE, 0));
        u->urgent = true; /* the end of the loop may come next, which needs it in the kernel */
    } else if (op == OP_LISTENER) {
        on_listener(io, t, (uint32_t)cqe->user_data, cqe->res);
    } else {
        on_connection(io, t, op, cqe);
    }
}

/* Looks for connections whose receive costs memory for nothing. */
static void look_for_idle(struct io *io, struct conns *t)
{
    struct completion *u = io->state;
    for (uint32_t i = 0; i < u->slot_count; i++) {
        struct slot *s = &u->slots[i];
        struct conn *c = conn_at(t, i);
        if (c == NULL)
            continue;
        if ((s->ops & OP_RECEIVE) && !(s->heard & HEARD)) {
            s->heard &= (uint8_t)~BUSY;
            uring_stop_receiving(u, c);
        }
        s->heard &= (uint8_t)~HEARD;
    }
    io->tidy_after = u->busy > 0 ? t->now_us + URING_LOOK : 0;
}

/* What was set aside comes first, being older. */
static void deliver_aside(struct io *io, struct conns *t)
{
    struct completion *u = io->state;
    size_t at = 0;
    struct uring_cqe cqe;
    while (at < u->aside.len && !io_batch_full(t)) {
        memcpy(&cqe, u->aside.data + at, sizeof cqe);
        at += sizeof cqe;
        dispatch(io, t, &cqe);
    }
    buf_consume(&u->aside, at);
    if (u->aside.len == 0)
        buf_free(&u->aside);
}

static void deliver_all(struct io *io, struct conns *t)
{
    struct completion *u = io->state;
    uint32_t first, end;
    if (unlikely(u->aside.len > 0))
        deliver_aside(io, t);
    uring_unseen(&u->ring, &first, &end);
    while (first != end && u->aside.len == 0 && !io_batch_full(t)) {
        struct uring_cqe cqe = *uring_cqe(&u->ring, first++);
        dispatch(io, t, &cqe);
    }
    uring_publish(&u->ring);
    uring_seen(&u->ring, first);
    io->pending = first != end || u->aside.len > 0;
}

static void deliver(struct io *io, struct conns *t)
{
    deliver_all(io, t);
    if (io->tidy_after != 0 && t->now_us >= io->tidy_after)
        look_for_idle(io, t);
}

/* Ends what is under way; the peer is told by a shutdown at once, unless it is to get a reset. */
static void bury(struct io *io, struct conns *t, struct conn *c)
{
    struct completion *u = io->state;
    if (c->fd < 0 || c->index >= u->slot_count || slot_of(u, c)->ops == 0) {
        uring_free_conn(t, c);
        return;
    }
    static const enum op ops[] = {OP_RECEIVE, OP_POLL, OP_ROOM, OP_END};
    bool ending = true;
    for (size_t i = 0; i < countof(ops); i++) {
        if (slot_of(u, c)->ops & ops[i])
            ending &= uring_cancel(u, tag_of(ops[i], conn_id(c)));
    }
    if (!io_cuts(c) || !ending)
        shutdown(c->fd, SHUT_RDWR); /* which ends them as well */
    c->flags |= CONN_BURIED;
}

const struct driver io_uring = {
    .open = uring_driver_open,
    .close = uring_driver_close,
    .watch_listener = watch_listener,
    .adopt = adopt,
    .flush = uring_flush,
    .submit = submit,
    .wait = await,
    .deliver = deliver,
    .bury = bury,
    .fileno = uring_driver_fileno,
};

#else

#include <errno.h>

static int no_such_thing(struct io *io, const char *backend)
{
    (void)io, (void)backend;
    return -ENOENT;
}

const struct driver io_uring = {.open = no_such_thing};

#endif
