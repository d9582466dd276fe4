/* loop.c -- one thread, one poller, many connections: the turn, and the public API over it.
 *
 * Read this file first. The way of a request: fl_step() -> io_turn() (io_ready.c: wait, read) ->
 * conn_arrived() (conn_in.c: frame into the inbox) -> Python -> fl_step() -> outbox_apply()
 * (outbox.c: replies to queues) -> io_flush() (io_ready.c: one send each). What C answers itself
 * (consts.c, site.c) turns back in conn_in.c. frame_*.c is how messages look, and poller_*.c how
 * waiting is done.
 *
 * Invariants: only the thread that opened the loop comes here, but for fl_wake(). Connections are
 * freed in io_reap() alone, when no event of a turn is being looked at. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "consts.h"
#include "fastloop.h"
#include "io_ready.h"
#include "outbox.h"
#include "site.h"
#include "sock.h"
#include "ws_zip.h"

/* What a listener of HTTP answers without Python, beside files. */
struct place {
    struct consts consts;
};

struct fl_loop {
    struct conns conns;
    struct io io;
    struct heap timers; /* the user's */
    struct files files;
    struct site site;
    const char *inbox; /* where the caller believes the inbox to be */
    size_t inbox_size;
};

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
    *error = conns_init(&l->conns, config);
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
    l->conns.now_us = clock_us();
    wheel_init(&l->conns.wheel, l->conns.now_us);
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
    for (uint32_t i = 0; i < l->conns.listener_count; i++) {
        struct place *place = l->conns.listeners[i]->site;
        if (place != NULL)
            consts_free(&place->consts);
        free(place);
    }
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
        io_watch_listener(&l->io, &l->conns, i, false);
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

static int describe(struct conns *t, struct listener *l, const fl_listener *spec)
{
    int rc = framing_init(&l->framing, spec->framing, spec->delimiter, spec->delimiter_len,
                          spec->max_message);
    if (rc == 0 && l->framing.protocol == &protocol_ws)
        rc = -EINVAL; /* nothing begins as a WebSocket */
    if (rc < 0 || l->framing.protocol->answer == NULL)
        return rc;
    l->http = (struct http_settings){
        .max_body = spec->max_body,
        .max_line = spec->max_line,
        .max_head = spec->max_head,
        .max_fields = spec->max_fields,
        .max_requests = spec->max_requests,
        .header_ms = spec->header_ms,
        .body_ms = spec->body_ms,
        .body_rate = spec->body_rate,
        .keepalive_ms = spec->keepalive_ms,
        .stream = spec->stream != 0,
        .date = &t->date,
    };
    l->framing.http = &l->http;
    return 0;
}

/* One more listener, with no descriptor yet and no number. NULL when memory is short. */
static struct listener *new_listener(struct conns *t)
{
    struct listener **all = realloc(t->listeners, (t->listener_count + 1) * sizeof(void *));
    if (all == NULL)
        return NULL;
    t->listeners = all;
    struct listener *listener = calloc(1, sizeof *listener);
    if (listener != NULL)
        listener->fd = -1;
    return listener;
}

/* Gives it its number, unless rc is an error: then it is freed. Returns the number or the error. */
static int number(struct conns *t, struct listener *listener, int rc, uint32_t wants)
{
    int n = rc < 0 ? rc : inbox_group(&t->inbox, wants);
    if (n < 0) {
        ws_zip_free(listener->ws.zip);
        free(listener);
        return n;
    }
    t->listeners[n] = listener;
    t->listener_count++;
    return n;
}

static int describe_ws(struct listener *l, const fl_ws *spec)
{
    const struct ws_zip_options zip = {
        .largest = spec->max_message,
        .level = (uint8_t)spec->level,
        .in_bits = 15,
        .out_bits = (uint8_t)spec->window,
    };
    if (spec->window < 9 || spec->window > 15 || spec->level < 1 || spec->level > 9)
        return -EINVAL;
    int rc = framing_init(&l->framing, "ws", NULL, 0, spec->max_message);
    if (rc < 0)
        return rc;
    l->ws = (struct ws_settings){
        .zip = ws_zip_new(&zip),
        .threshold = spec->threshold,
        .ping_ms = spec->ping_ms,
        .pong_ms = spec->pong_ms,
    };
    l->framing.ws = &l->ws;
    return l->ws.zip == NULL ? -ENOMEM : 0;
}

int fl_websocket(fl_loop *l, const fl_ws *spec)
{
    struct listener *listener = new_listener(&l->conns);
    if (listener == NULL)
        return -ENOMEM;
    return number(&l->conns, listener, describe_ws(listener, spec), spec->wants);
}

int fl_listen(fl_loop *l, int fd, const fl_listener *spec)
{
    struct conns *t = &l->conns;
    int rc = sock_adopt(fd);
    if (rc < 0)
        return rc;
    struct listener *listener = new_listener(t);
    if (listener == NULL)
        return -ENOMEM;
    listener->fd = fd;
    listener->tcp = rc == 1;
    int n = number(t, listener, describe(t, listener, spec), spec->wants);
    if (n < 0)
        return n;
    rc = io_watch_listener(&l->io, t, (uint32_t)n, l->io.accepting);
    return rc < 0 ? rc : n;
}

static int answer(void *site, struct conns *t, struct conn *c, const struct message *m)
{
    const struct place *place = site;
    int rc = consts_answer(&place->consts, t, c, m);
    return rc == CONN_PASSED ? site_answer(t->site, c, m) : rc;
}

/* The place of a listener, made when it is first needed. NULL with *error set. */
static struct place *place_of(fl_loop *l, int listener, int *error)
{
    bool known = listener >= 0 && (uint32_t)listener < l->conns.listener_count;
    struct listener *of = known ? l->conns.listeners[listener] : NULL;
    *error = -EINVAL;
    if (of == NULL || of->framing.http == NULL)
        return NULL;
    *error = -ENOMEM;
    if (of->site == NULL) {
        of->site = calloc(1, sizeof(struct place));
        of->answer = of->site == NULL ? NULL : answer;
    }
    return of->site;
}

int fl_constant(fl_loop *l, int listener, const char *path, const char *content_type,
                const char *body, size_t len)
{
    int error;
    struct place *place = place_of(l, listener, &error);
    return place == NULL ? error : consts_set(&place->consts, path, content_type, body, len);
}

int fl_mount(fl_loop *l, int listener, const char *prefix, const char *directory,
             const fl_static *options)
{
    int error;
    if (place_of(l, listener, &error) == NULL)
        return error;
    return site_mount(&l->site, (uint32_t)listener, prefix, directory, options);
}

int fl_except(fl_loop *l, int listener, const char *path, int below)
{
    int error;
    if (place_of(l, listener, &error) == NULL)
        return error;
    return site_except(&l->site, (uint32_t)listener, path, below != 0);
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
    if (l->io.accept_after != 0) {
        uint64_t left = l->io.accept_after > now ? l->io.accept_after - now : 0;
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
        conn_expired(t, container_of(item, struct conn, timer));
    }
    while (heap_pop(&l->timers, t->now_us, &slot))
        inbox_timer(&t->inbox, slot);
}

static void send_all(fl_loop *l)
{
    io_flush(&l->io, &l->conns);
    io_reap(&l->io, &l->conns);
}

static intptr_t hand_over(fl_loop *l)
{
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

intptr_t fl_step(fl_loop *l, const char *outbox, size_t len, int timeout_ms)
{
    struct conns *t = &l->conns;
    uint64_t now = t->now_us = clock_us(); /* handlers may have taken long: deadlines count anew */
    date_refresh(&t->date);
    int rc = outbox_apply(t, &l->timers, outbox, len);
    outbox_end(t);
    send_all(l);
    if (rc < 0)
        return rc;
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
    } while (!inbox_waiting(&t->inbox) && !l->io.woken && now < until);
    return hand_over(l);
}

int fl_flush(fl_loop *l, const char *outbox, size_t len)
{
    l->conns.now_us = clock_us();
    int rc = outbox_apply(&l->conns, &l->timers, outbox, len);
    send_all(l);
    return rc;
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
    return l->io.poller.ops->fileno(&l->io.poller);
}

int fl_timeout(fl_loop *l)
{
    const struct conns *t = &l->conns;
    if (t->dirty != NULL || !list_empty(&t->ready) || inbox_waiting(&t->inbox) ||
        io_pending(&l->io) || files_left(&l->files))
        return 0;
    return due(l, clock_us());
}

void fl_drain(fl_loop *l)
{
    struct conns *t = &l->conns;
    for (uint32_t i = 0; i < t->listener_count; i++)
        io_watch_listener(&l->io, t, i, false);
    l->io.accepting = false;
    for (uint32_t i = 0; i < conns_places(t); i++) {
        struct conn *c = conn_at(t, i);
        if (c != NULL)
            conn_drain(t, c);
    }
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
    out->unsent = 0;
    for (uint32_t i = 0; i < conns_places(&l->conns); i++) {
        const struct conn *c = conn_at(&l->conns, i);
        out->unsent += c == NULL ? 0 : c->out.bytes;
    }
}

const char *fl_backend(fl_loop *l)
{
    return l->io.poller.ops->name;
}
