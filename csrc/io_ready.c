/* io_ready.c -- reading and writing when a poller says so.
 *
 * Workload: some ten to a few hundred ready connections a turn, one short read each. A read that
 * fills less than was asked for is the last; the extra one that would say EAGAIN is not made, since
 * level-triggered pollers report again what came since. Writes are tried at once, and the poller is
 * asked for writability only after the kernel refused bytes.
 *
 * Invariant: what the poller watches is conn->watched, changed only by watch(). A descriptor is
 * closed only in io_reap(), so none is reused while events of this turn are looked at. */
#include "io_ready.h"

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

/* Tags that are no connection's: ids stay far below. */
#define TAG_WAKE     UINT64_MAX
#define TAG_LISTENER ((uint64_t)1 << 63)

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int io_open(struct io *io, const char *backend)
{
    *io = (struct io){.wake = {-1, -1}, .reserve = -1, .accepting = true};
    int rc = poller_open(&io->poller, backend);
    if (rc == 0)
        rc = sock_pipe(io->wake);
    if (rc == 0)
        rc = io->poller.ops->set(&io->poller, io->wake[0], 0, IO_READ, TAG_WAKE);
    io->reserve = open_reserve();
    if (rc < 0)
        io_close(io);
    return rc;
}

void io_close(struct io *io)
{
    if (io->poller.ops != NULL)
        io->poller.ops->close(&io->poller);
    int fds[] = {io->wake[0], io->wake[1], io->reserve};
    for (size_t i = 0; i < countof(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    *io = (struct io){.wake = {-1, -1}, .reserve = -1};
}

/* -- what is watched -- */

int io_watch_listener(struct io *io, struct conns *t, uint32_t listener, bool on)
{
    struct listener *l = t->listeners[listener];
    if (l->watched == on || l->fd < 0)
        return 0;
    int rc = io->poller.ops->set(&io->poller, l->fd, l->watched ? IO_READ : 0, on ? IO_READ : 0,
                                 TAG_LISTENER | listener);
    if (rc == 0)
        l->watched = on;
    return rc;
}

static int watch(struct io *io, struct conn *c, unsigned want)
{
    if (want == c->watched)
        return 0;
    int rc = io->poller.ops->set(&io->poller, c->fd, c->watched, want, conn_id(c));
    if (rc == 0)
        c->watched = (uint8_t)want;
    return rc;
}

static void rewatch(struct io *io, struct conns *t, struct conn *c)
{
    int rc = watch(io, c, conn_wants(c));
    if (rc < 0)
        conn_fail(t, c, rc);
}

/* -- accepting -- */

static void pause_accepting(struct io *io, struct conns *t, bool pause)
{
    bool again = pause;
    for (uint32_t i = 0; i < t->listener_count && io->accepting; i++) {
        if (io_watch_listener(io, t, i, !pause) < 0)
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
    if (io->poller.ops->set(&io->poller, fd, 0, IO_READ, conn_id(c)) < 0) {
        c->fd = -1;
        conn_fail(t, c, why);
        return false;
    }
    c->watched = IO_READ;
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

static void admit(struct io *io, struct conns *t, int fd, uint32_t listener)
{
    struct poller *p = &io->poller;
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
    int rc = p->ops->set(p, fd, 0, IO_READ, conn_id(c));
    if (rc < 0) {
        turn_away(t, fd, listener, rc == FL_EFDLIMIT ? FL_EFDLIMIT : FL_EBUSY);
        c->fd = -1;
        conn_fail(t, c, rc);
        return;
    }
    c->watched = IO_READ;
}

static void accept_some(struct io *io, struct conns *t, uint32_t listener)
{
    const struct listener *l = t->listeners[listener];
    for (int i = 0; i < ACCEPT_CAP; i++) {
        int fd = sock_accept(l->fd, l->tcp);
        if (fd >= 0) {
            admit(io, t, fd, listener);
        } else if (fd == -EMFILE || fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM) {
            out_of_descriptors(io, t, listener);
            return;
        } else if (fd == -EAGAIN) {
            return;
        } else if (fd == -EINVAL || fd == -EBADF || fd == -ENOTSOCK) {
            io_watch_listener(io, t, listener, false); /* it listens no more: or we would spin */
            return;
        } /* anything else is a connection that went while it waited: on to the next */
    }
}

/* -- reading and writing -- */

static void read_some(struct conns *t, struct conn *c)
{
    size_t size;
    char *room = conn_room(t, c, &size);
    if (room == NULL) {
        conn_fail(t, c, -ENOMEM);
        return;
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
}

/* Of `asked` bytes n, or -errno, were sent. Returns whether there may be more now. */
static bool wrote(struct conns *t, struct conn *c, ssize_t n, size_t asked)
{
    if (n < 0 && n != -EAGAIN) {
        conn_fail(t, c, (int)n);
        return false;
    }
    bool blocked = n < 0 || (size_t)n < asked;
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
    return wrote(t, c, n, asked);
}

/* Sends of the file at the front what can be sent without waiting for a disk. A file that ends
 * before its time ends the connection: what was promised cannot be sent. */
static bool write_file(struct conns *t, struct conn *c, size_t *budget)
{
    if (*budget == 0) {
        conn_sent(t, c, 0, true); /* the poller says at once whether it takes more: next turn */
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
    return wrote(t, c, sent == 0 ? -EIO : sent, n);
}

static void write_some(struct conns *t, struct conn *c)
{
    size_t budget = SEND_FILE;
    bool more = true;
    while (more && c->out.head != NULL && c->out.head->data != NULL)
        more = wire_file(&c->out) == NULL ? write_bytes(t, c) : write_file(t, c, &budget);
}

static void flush_one(struct io *io, struct conns *t, struct conn *c)
{
    if (!(c->flags & CONN_BLOCKED))
        write_some(t, c);
    if (c->state != CONN_DEAD && c->out.head != NULL && wire_keep(&t->wire, &c->out) < 0)
        conn_fail(t, c, -ENOMEM);
    if (c->state != CONN_DEAD && conn_settle(t, c))
        sock_shutdown(c->fd);
    if (c->state != CONN_DEAD)
        rewatch(io, t, c);
}

void io_flush(struct io *io, struct conns *t)
{
    while (t->dirty != NULL) {
        struct conn *c = t->dirty;
        t->dirty = c->next;
        if (c->state != CONN_DEAD)
            flush_one(io, t, c);
        c->flags &= (uint16_t)~CONN_DIRTY;
        if (c->state == CONN_DEAD) {
            c->next = t->dead;
            t->dead = c;
        }
    }
    wire_reset(&t->wire);
}

/* -- the turn -- */

static void dispatch(struct io *io, struct conns *t, const struct poller_event *ev)
{
    if (ev->tag == TAG_WAKE) {
        io->woken |= sock_drain(io->wake[0], IO_QUIET);
        return;
    }
    if (ev->tag & TAG_LISTENER) {
        if (io->accepting)
            accept_some(io, t, (uint32_t)ev->tag);
        return;
    }
    struct conn *c = conn_find(t, ev->tag);
    if (c == NULL)
        return;
    if ((ev->what & IO_WRITE) && (c->flags & CONN_BLOCKED)) {
        write_some(t, c);
        conn_touch(t, c);
    }
    if ((ev->what & IO_READ) && (c->watched & IO_READ) && c->state != CONN_DEAD)
        read_some(t, c);
}

static bool batch_full(const struct conns *t)
{
    return t->inbox.messages >= CONN_BATCH || inbox_bytes(&t->inbox) >= CONN_BATCH_BYTES;
}

/* What earlier turns left gets half of a batch at most: the rest is for those who just came. */
static void continue_ready(struct conns *t)
{
    struct link now;
    list_init(&now);
    list_move(&now, &t->ready);
    while (!list_empty(&now) && t->inbox.messages < CONN_BATCH / 2 && !batch_full(t))
        conn_continue(t, container_of(now.next, struct conn, ready));
    list_move(&t->ready, &now);
}

/* Looks at events as long as there is room in the batch. The others wait for the next turn, which
 * looks at them before it asks the poller again: so each has its turn, whatever order the poller
 * reports in, and a full batch costs no wait. */
static void dispatch_all(struct io *io, struct conns *t)
{
    while (io->next < io->count && !batch_full(t))
        dispatch(io, t, &io->events[io->next++]);
}

int io_turn(struct io *io, struct conns *t, int timeout_ms)
{
    io->woken = false;
    if (!list_empty(&t->ready))
        timeout_ms = 0;
    if (!io_pending(io)) {
        int n = io->poller.ops->wait(&io->poller, io->events, IO_EVENTS, timeout_ms);
        t->stats.turns++;
        io->woken = n == -EINTR;
        io->next = 0;
        io->count = n < 0 ? 0 : n;
        if (n < 0 && n != -EINTR)
            return n;
    }
    t->now_us = clock_us();
    if (io->accept_after != 0 && t->now_us >= io->accept_after)
        pause_accepting(io, t, false);
    continue_ready(t);
    dispatch_all(io, t);
    return 0;
}

void io_reap(struct io *io, struct conns *t)
{
    while (t->dead != NULL) {
        struct conn *c = t->dead;
        t->dead = c->next;
        if (c->fd >= 0) {
            watch(io, c, 0);
            bool cut = c->why == -ECONNRESET || c->why == -ENOMEM || c->why == FL_ESTALL ||
                       c->why == FL_EUNSENT;
            sock_close(c->fd, cut);
        }
        conn_release(t, c);
    }
}
