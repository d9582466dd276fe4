/* loop.c -- one thread, one driver, many connections: the turn, and the public API over it.
 *
 * Read this file first. The way of a request: fl_step() -> io_turn() (io.c; io_ready.c: wait, read)
 * -> conn_arrived() (conn_in.c: frame into the inbox) -> Python -> fl_step() -> outbox_apply()
 * (outbox.c: replies to queues) -> io_flush() (io.c; io_ready.c: one send each). What C answers
 * itself (consts.c, site.c) turns back in conn_in.c. frame_*.c is how messages look, and poller_*.c
 * how waiting is done.
 *
 * Invariants: only the thread that opened the loop comes here, but for fl_wake(). Connections are
 * freed in io_reap() alone, when no event of a turn is being looked at. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"
#include "outbox.h"
#include "sock.h"

/* On a thread of the pool. */
static void wake_quietly(void *user)
{
    const fl_loop *l = user;
    const char quiet = IO_QUIET;
    ssize_t n = write(l->io.wake[1], &quiet, 1);
    (void)n; /* a full pipe wakes as well */
}

fl_loop *fl_open(const fl_config *config, int *error)
{
    fl_loop *l = calloc(1, sizeof *l);
    if (l == NULL) {
        *error = -ENOMEM;
        return NULL;
    }
    *error = conns_init(&l->conns, config, clock_us());
    if (*error == 0)
        *error = io_open(&l->io, config->backend);
    if (*error == 0) {
        *error = files_init(&l->files, &l->conns, config->file_threads, config->file_queue,
                            wake_quietly, l);
        if (*error < 0)
            io_close(&l->io);
    }
    if (*error < 0) {
        conns_free(&l->conns);
        free(l);
        return NULL;
    }
    site_init(&l->site, &l->conns, &l->files, config->file_memory);
    l->conns.files = &l->files;
    l->conns.site = &l->site;
    heap_init(&l->timers);
    return l;
}

static void close_all(fl_loop *l)
{
    for (uint32_t i = 0; i < conns_places(&l->conns); i++) {
        struct conn *c = conn_at(&l->conns, i);
        if (c != NULL && c->fd >= 0)
            close(c->fd);
    }
}

static void release(fl_loop *l)
{
    loop_free_places(l);
    site_free(&l->site);
    io_close(&l->io);
    heap_free(&l->timers);
    conns_free(&l->conns);
    free(l);
}

void fl_free(fl_loop *l)
{
    if (l == NULL)
        return;
    /* Listeners go on existing, so the poller must let go of them by name. */
    for (uint32_t i = 0; i < l->conns.listener_count; i++)
        loop_watch_listener(l, i, false);
    files_free(&l->files);
    close_all(l);
    release(l);
}

/* The poller is shared with the parent and must not be told anything: only descriptors are closed.
 */
void fl_forget(fl_loop *l)
{
    files_forget(&l->files);
    close_all(l);
    release(l);
}

/* -- the turn -- */

static int sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Milliseconds until something of ours is due; -1: nothing. */
static int due(const fl_loop *l, uint64_t now)
{
    int ms = sooner(wheel_timeout(&l->conns.wheel, now), heap_timeout(&l->timers, now));
    uint64_t io = io_due(&l->io);
    if (io != 0) {
        uint64_t left = io > now ? io - now : 0;
        ms = sooner(ms, (int)(left / 1000 + 1));
    }
    return ms;
}

static void expire(fl_loop *l)
{
    struct conns *t = &l->conns;
    struct link expired;
    uint32_t slot;
    list_init(&expired);
    wheel_expire(&t->wheel, t->now_us, &expired);
    while (!list_empty(&expired)) {
        struct wheel_item *item = container_of(expired.next, struct wheel_item, link);
        list_remove(&item->link);
        struct conn *c = container_of(item, struct conn, timer);
        conn_expired(t, c, c->flags & CONN_BLOCKED ? sock_queued(c->fd) : 0);
    }
    while (heap_pop(&l->timers, t->now_us, &slot))
        inbox_timer(&t->inbox, slot);
}

static uint64_t unsent(const struct conns *t)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < conns_places(t); i++) {
        const struct conn *c = conn_at(t, i);
        bytes += c == NULL ? 0 : c->out.bytes;
    }
    return bytes;
}

static void send_all(fl_loop *l)
{
    io_flush(&l->io, &l->conns);
    io_reap(&l->io, &l->conns);
}

/* Whoever reads these reads each as it is at some moment, and never half of it. */
static void tell_stats(fl_loop *l)
{
    const fl_stats *s = &l->conns.stats;
    fl_stats *to = l->told;
    if (likely(to == NULL))
        return;
    __atomic_store_n(&to->messages, s->messages, __ATOMIC_RELAXED);
    __atomic_store_n(&to->bytes_in, s->bytes_in, __ATOMIC_RELAXED);
    __atomic_store_n(&to->bytes_out, s->bytes_out, __ATOMIC_RELAXED);
    __atomic_store_n(&to->turns, s->turns, __ATOMIC_RELAXED);
    __atomic_store_n(&to->crossings, s->crossings, __ATOMIC_RELAXED);
    __atomic_store_n(&to->protocol_errors, s->protocol_errors, __ATOMIC_RELAXED);
    __atomic_store_n(&to->unsent, unsent(&l->conns), __ATOMIC_RELAXED);
}

static intptr_t hand_over(fl_loop *l)
{
    tell_stats(l);
    struct inbox *in = &l->conns.inbox;
    if (!inbox_waiting(in))
        return 0;
    ssize_t n = inbox_encode(in);
    if (n < 0)
        return n;
    if (n >= FL_MOVED)
        return -EMSGSIZE;
    l->conns.stats.crossings++;
    bool moved = in->encoded.data != l->inbox || in->encoded.cap != l->inbox_size;
    l->inbox = in->encoded.data;
    l->inbox_size = in->encoded.cap;
    return moved ? n + FL_MOVED : n;
}

static intptr_t step(fl_loop *l, const char *outbox, size_t len, int timeout_ms)
{
    struct conns *t = &l->conns;
    uint64_t now = t->now_us = clock_us(); /* handlers may have taken long: deadlines count anew */
    date_refresh(&t->date);
    int rc = outbox_apply(t, &l->timers, outbox, len);
    outbox_end(t);
    send_all(l);
    tell_stats(l);
    if (rc < 0) {
        io_submit(&l->io, t, false);
        return rc;
    }
    if (loop_over(l))
        timeout_ms = 0;
    uint64_t until = timeout_ms < 0 ? UINT64_MAX : now + (uint64_t)timeout_ms * 1000;
    do {
        int left = until == UINT64_MAX ? -1 : (int)((until - now + 999) / 1000);
        bool more = inbox_waiting(&t->inbox) || files_left(&l->files);
        rc = io_turn(&l->io, t, more ? 0 : sooner(left, due(l, now)));
        if (rc < 0)
            return rc;
        now = t->now_us;
        date_refresh(&t->date);
        files_collect(&l->files);
        expire(l);
        send_all(l);
        tell_stats(l);
    } while (!inbox_waiting(&t->inbox) && !l->io.woken && now < until && !loop_over(l));
    io_submit(&l->io, t, false);
    return hand_over(l);
}

intptr_t fl_step(fl_loop *l, const char *outbox, size_t len, int timeout_ms)
{
    watch_return(l->away);
    intptr_t n = step(l, outbox, len, timeout_ms);
    watch_leave(l->away, l->conns.now_us);
    return n;
}

int fl_flush(fl_loop *l, const char *outbox, size_t len)
{
    l->conns.now_us = clock_us();
    int rc = outbox_apply(&l->conns, &l->timers, outbox, len);
    if (rc < 0) /* replies may be lost: those still to come would be taken for them */
        outbox_end(&l->conns);
    send_all(l);
    io_submit(&l->io, &l->conns, false);
    watch_leave(l->away, l->conns.now_us); /* the slow slice is over, another begins */
    return rc;
}

int fl_watch_add(fl_watch *w, fl_loop *l)
{
    int n = -ENOSPC;
    l->away = watch_take(w, &n);
    return n;
}

const char *fl_inbox(fl_loop *l)
{
    return l->inbox;
}

size_t fl_inbox_size(fl_loop *l)
{
    return l->inbox_size;
}

/* -- beside the turn -- */

void fl_wake(fl_loop *l)
{
    ssize_t n = write(l->io.wake[1], "", 1);
    (void)n; /* a full pipe wakes as well */
}

int fl_wake_fd(fl_loop *l)
{
    return l->io.wake[1];
}

int fl_fileno(fl_loop *l)
{
    return l->io.driver->fileno(&l->io);
}

int fl_timeout(fl_loop *l)
{
    struct conns *t = &l->conns;
    io_submit(&l->io, t, true);
    if (t->dirty != NULL || !list_empty(&t->ready) || inbox_waiting(&t->inbox) || l->io.pending ||
        files_left(&l->files))
        return 0;
    return due(l, clock_us());
}

void fl_drain(fl_loop *l)
{
    struct conns *t = &l->conns;
    for (uint32_t i = 0; i < t->listener_count; i++)
        loop_watch_listener(l, i, false);
    l->io.accepting = false;
    for (uint32_t i = 0; i < conns_places(t); i++) {
        struct conn *c = conn_at(t, i);
        if (c != NULL)
            conn_drain(t, c);
    }
    io_submit(&l->io, t, false); /* the listeners are the caller's again */
}

int fl_alive(fl_loop *l, uint64_t id)
{
    const struct conn *c = conn_find(&l->conns, id);
    if (c == NULL || c->state >= CONN_LINGER)
        return 0;
    /* After its last request a connection of HTTP still takes the responses. */
    return c->state == CONN_OPEN || (conn_framing(&l->conns, c)->http != NULL && c->in_flight > 0);
}

int64_t fl_unsent(fl_loop *l, uint64_t id)
{
    const struct conn *c = conn_find(&l->conns, id);
    return c == NULL ? -ENOTCONN : (int64_t)c->out.bytes;
}

int fl_address(fl_loop *l, uint64_t id, int peer, char *out, size_t size)
{
    const struct conn *c = conn_find(&l->conns, id);
    return c == NULL ? -ENOTCONN : sock_address(c->fd, peer != 0, out, size);
}

void fl_read_stats(fl_loop *l, fl_stats *out)
{
    *out = l->conns.stats;
    out->unsent = unsent(&l->conns);
}

void fl_tell_stats(fl_loop *l, fl_stats *to)
{
    l->told = to;
    tell_stats(l);
}

const char *fl_backend(fl_loop *l)
{
    return l->io.backend;
}

int fl_fallback(fl_loop *l)
{
    return l->io.fallback;
}
