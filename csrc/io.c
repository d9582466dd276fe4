/* io.c -- what all drivers share: which one, whom to accept, the order of a turn.
 *
 * Workload: accepting is rare beside reading; what is done for each event and each reply is a call
 * of the driver and the few steps here.
 *
 * Invariant: a descriptor is closed only in io_reap(), or by the driver after it, so none is reused
 * while events of a turn are looked at. One thread. */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"
#include "files.h"
#include "sock.h"

enum {
    ACCEPT_CAP = 64,       /* connections taken from one listener in a turn */
    ACCEPT_PAUSE = 100000, /* us without accepting when there are no descriptors left */
    REFUSALS = 64,         /* connections over the limit that are told so properly, at a time */
    SEND_VECTORS = 64,
    SEND_FILE = 2 * FILES_WINDOW, /* fairness: at most this of files is sent in one go */
};

extern const struct driver io_block;
extern const struct driver io_ready;
extern const struct driver io_uring;

/* Asked in this order for the one that knows a backend's name. */
static const struct driver *const drivers[] = {&io_block, &io_uring, &io_ready};

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int open_driver(struct io *io, const char *backend)
{
    int rc = -ENOENT;
    for (size_t i = 0; i < countof(drivers) && rc == -ENOENT; i++) {
        rc = drivers[i]->open(io, backend);
        if (rc == 0)
            io->driver = drivers[i];
    }
    return rc;
}

static int open_any(struct io *io, const char *backend, bool other)
{
    *io = (struct io){.wake = {-1, -1}, .reserve = -1, .accepting = true};
    int rc = sock_pipe(io->wake);
    if (rc == 0)
        rc = open_driver(io, backend);
    if (rc < 0 && rc != -ENOENT && other && strcmp(backend, "io_uring") == 0) {
        io->fallback = rc;
        rc = open_driver(io, "auto");
    }
    if (io->driver != &io_block) /* which accepts nothing */
        io->reserve = open_reserve();
    if (rc < 0)
        io_close(io);
    return rc;
}

int io_open(struct io *io, const char *backend)
{
    return open_any(io, backend, true);
}

int io_probe(const char *backend)
{
    struct io io;
    int rc = open_any(&io, backend, false);
    if (rc == 0)
        io_close(&io);
    return rc;
}

void io_close(struct io *io)
{
    if (io->driver != NULL)
        io->driver->close(io);
    int fds[] = {io->wake[0], io->wake[1], io->reserve};
    for (size_t i = 0; i < countof(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    *io = (struct io){.wake = {-1, -1}, .reserve = -1};
}

void io_drain_wake(struct io *io)
{
    io->woken |= sock_drain(io->wake[0], IO_QUIET);
}

/* -- accepting -- */

static void pause_accepting(struct io *io, struct conns *t, bool pause)
{
    bool again = pause;
    for (uint32_t i = 0; i < t->listener_count && io->accepting; i++) {
        if (io->driver->watch_listener(io, t, i, !pause) < 0)
            again = true; /* no memory for it now: later, or it would be deaf for ever */
    }
    io->accept_after = again ? t->now_us + ACCEPT_PAUSE : 0;
}

/* A connection that cannot be served gets the protocol's word for it, if there is one. */
static void turn_away(struct conns *t, int fd, uint32_t listener, int why)
{
    const char *busy = t->listeners[listener]->framing.protocol->busy;
    if (busy != NULL) {
        struct iovec iov = {(void *)(uintptr_t)busy, strlen(busy)};
        sock_send(fd, &iov, 1);
        sock_shutdown(fd);
    }
    sock_close(fd, false);
    t->stats.refused++;
    inbox_notice(&t->inbox, why);
}

/* Where the protocol has a proper answer, as HTTP's 503, the connection is taken in for it: a close
 * with the request unread would reset the connection and the answer be lost. Returns whether. */
static bool refuse(struct io *io, struct conns *t, int fd, uint32_t listener, int why)
{
    struct message m = {.status = 503, .data = "too many connections"};
    if (t->listeners[listener]->framing.protocol->answer == NULL ||
        t->stats.connections >= t->config.max_connections + REFUSALS)
        return false;
    struct conn *c = conn_open(t, fd, listener);
    if (c == NULL)
        return false;
    if (io->driver->adopt(io, t, c) < 0) {
        c->fd = -1;
        conn_fail(t, c, why);
        return false;
    }
    t->stats.refused++;
    conn_refuse(t, c, why, &m);
    return true;
}

/* No descriptor left: the reserve is given up to take what waits and turn it away; otherwise the
 * peers would hang and the listener be reported for ever. Then a pause. */
static void out_of_descriptors(struct io *io, struct conns *t, uint32_t listener)
{
    if (io->reserve >= 0)
        close(io->reserve);
    for (int i = 0; i < ACCEPT_CAP; i++) {
        int fd = sock_accept(t->listeners[listener]->fd, false);
        if (fd < 0)
            break;
        turn_away(t, fd, listener, FL_EFILES);
    }
    io->reserve = open_reserve();
    pause_accepting(io, t, true);
}

/* Counts the peer's address where that is limited. Returns its place, 0 where it is not counted,
 * or an error. */
static int64_t count_peer(struct conns *t, int fd)
{
    unsigned char key[PEERS_ADDRESS];
    if (t->config.max_per_address == 0 || !sock_peer_key(fd, key))
        return 0;
    int64_t place = peers_enter(&t->peers, key, t->config.max_per_address);
    return place == 0 ? FL_EPEER : place;
}

void io_admit(struct io *io, struct conns *t, int fd, uint32_t listener)
{
    bool full = t->stats.connections >= t->config.max_connections;
    int64_t peer = full ? FL_EBUSY : count_peer(t, fd);
    if (peer < 0) {
        int why = peer == FL_EPEER ? FL_EPEER : FL_EBUSY;
        if (!refuse(io, t, fd, listener, why))
            turn_away(t, fd, listener, why);
        return;
    }
    struct conn *c = conn_open(t, fd, listener);
    if (c == NULL) {
        if (peer > 0)
            peers_leave(&t->peers, (uint32_t)peer);
        turn_away(t, fd, listener, FL_EBUSY);
        return;
    }
    c->peer = (uint32_t)peer;
    if (t->config.role == FL_ROLE_ACCEPT) {
        conn_away(t, c);
        return;
    }
    int rc = io->driver->adopt(io, t, c);
    if (rc < 0) {
        turn_away(t, fd, listener, rc == FL_EFDLIMIT ? FL_EFDLIMIT : FL_EBUSY);
        c->fd = -1;
        conn_fail(t, c, rc);
    }
}

bool io_accept_failed(struct io *io, struct conns *t, uint32_t listener, int error)
{
    switch (error) {
    case -EAGAIN: return false;
    case -EMFILE:
    case -ENFILE:
    case -ENOBUFS:
    case -ENOMEM: out_of_descriptors(io, t, listener); return false;
    case -EINVAL:
    case -EBADF:
    case -ENOTSOCK: /* it listens no more: or we would spin */
        io->driver->watch_listener(io, t, listener, false);
        return false;
    default: return true; /* a connection that went while it waited: on to the next */
    }
}

void io_accept(struct io *io, struct conns *t, uint32_t listener)
{
    const struct listener *l = t->listeners[listener];
    for (int i = 0; i < ACCEPT_CAP && io->accepting; i++) {
        int fd = sock_accept(l->fd, l->tcp);
        if (fd >= 0)
            io_admit(io, t, fd, listener);
        else if (!io_accept_failed(io, t, listener, fd))
            return;
    }
}

/* -- reading and writing -- */

size_t io_read(struct conns *t, struct conn *c)
{
    size_t size;
    char *room = conn_room(t, c, &size);
    if (room == NULL) {
        conn_fail(t, c, -ENOMEM);
        return 0;
    }
    ssize_t n = sock_read(c->fd, room, size);
    if (n > 0)
        conn_arrived(t, c, (size_t)n);
    else if (n == 0)
        conn_ended(t, c);
    else if (n != -EAGAIN)
        conn_fail(t, c, (int)n);
    if (c->flags & CONN_PARKED)
        conn_touch(t, c);
    return n < 0 ? 0 : (size_t)n;
}

bool io_wrote(struct conns *t, struct conn *c, ssize_t n, size_t asked)
{
    if (n < 0 && n != -EAGAIN) {
        conn_fail(t, c, (int)n);
        return false;
    }
    bool blocked = n < 0 || (size_t)n < asked;
    if (blocked)
        conn_holds(c, sock_queued(c->fd));
    conn_sent(t, c, n < 0 ? 0 : (size_t)n, blocked);
    return !blocked;
}

static bool write_bytes(struct conns *t, struct conn *c)
{
    struct iovec iov[SEND_VECTORS];
    size_t asked = 0;
    int count = wire_gather(&c->out, iov, SEND_VECTORS);
    for (int i = 0; i < count; i++)
        asked += iov[i].iov_len;
    /* The head of a response goes into one segment with the file that follows. */
    bool more = asked < c->out.bytes && wire_in_files(&c->out) > 0;
    ssize_t n = more ? sock_send_more(c->fd, iov, count) : sock_send(c->fd, iov, count);
    return io_wrote(t, c, n, asked);
}

/* Sends of the file at the front what can be sent without waiting for a disk. A file that ends
 * before its time ends the connection: what was promised cannot be sent. */
static bool write_file(struct conns *t, struct conn *c, size_t *budget)
{
    if (*budget == 0) {
        conn_holds(c, sock_queued(c->fd));
        conn_sent(t, c, 0, true); /* the kernel says at once whether it takes more: next turn */
        return false;
    }
    ssize_t ready = files_ready(t->files, c);
    if (ready <= 0) {
        if (ready < 0)
            conn_fail(t, c, (int)ready);
        return false;
    }
    const struct span *file = wire_file(&c->out);
    size_t n = min_size((size_t)ready, *budget);
    ssize_t sent = sock_send_file(c->fd, file->owner->fd, file->file.offset, n);
    *budget -= n;
    return io_wrote(t, c, sent == 0 ? -EIO : sent, n);
}

void io_write(struct conns *t, struct conn *c)
{
    size_t budget = SEND_FILE;
    bool more = true;
    while (more && c->out.head != NULL && c->out.head->data != NULL)
        more = wire_file(&c->out) == NULL ? write_bytes(t, c) : write_file(t, c, &budget);
}

void io_settle(struct conns *t, struct conn *c)
{
    if (c->state != CONN_DEAD && c->out.head != NULL && wire_keep(&t->wire, &c->out) < 0)
        conn_fail(t, c, -ENOMEM);
    if (c->state != CONN_DEAD && conn_settle(t, c))
        sock_shutdown(c->fd);
}

bool io_cuts(const struct conn *c)
{
    return c->why == -ECONNRESET || c->why == -ENOMEM || c->why == FL_ESTALL ||
           c->why == FL_EUNSENT;
}

void io_close_socket(const struct conn *c)
{
    if (c->fd >= 0)
        sock_close(c->fd, io_cuts(c));
}

/* -- the turn -- */

void io_flush(struct io *io, struct conns *t)
{
    while (t->dirty != NULL) {
        struct conn *c = t->dirty;
        t->dirty = c->next;
        if (c->state != CONN_DEAD)
            io->driver->flush(io, t, c);
        c->flags &= (uint32_t)~CONN_DIRTY;
        if (c->state == CONN_DEAD) {
            c->next = t->dead;
            t->dead = c;
        }
    }
    if (io->driver->submit == NULL)
        wire_reset(&t->wire);
}

/* What earlier turns left gets half of a batch at most: the rest is for those who just came. */
static void continue_ready(struct conns *t)
{
    struct link now;
    list_init(&now);
    list_move(&now, &t->ready);
    while (!list_empty(&now) && t->inbox.messages < CONN_BATCH / 2 && !io_batch_full(t))
        conn_continue(t, container_of(now.next, struct conn, ready));
    list_move(&t->ready, &now);
}

int io_turn(struct io *io, struct conns *t, int timeout_ms)
{
    io->woken = false;
    if (!list_empty(&t->ready))
        timeout_ms = 0;
    int rc = io->driver->wait(io, t, timeout_ms);
    io->woken = rc == -EINTR;
    if (rc < 0 && rc != -EINTR)
        return rc;
    t->now_us = clock_us();
    if (io->accept_after != 0 && t->now_us >= io->accept_after)
        pause_accepting(io, t, false);
    continue_ready(t);
    io->driver->deliver(io, t);
    return 0;
}

void io_reap(struct io *io, struct conns *t)
{
    while (t->dead != NULL) {
        struct conn *c = t->dead;
        t->dead = c->next;
        io->driver->bury(io, t, c);
    }
}
