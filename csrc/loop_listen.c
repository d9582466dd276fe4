/* loop_listen.c -- where a loop listens, and what is known there: framings, options, and what is
 * answered without Python.
 *
 * Workload: once for each address, when a server starts. Numbers of listeners are those of the
 * inbox's groups, from 0 on, and none is ever given back.
 *
 * Each function is called by the thread of its loop. */
#include <errno.h>
#include <stdlib.h>

#include "consts.h"
#include "loop.h"
#include "sock.h"
#include "ws_zip.h"

/* What a listener of HTTP answers without Python, beside files. */
struct place {
    struct consts consts;
};

int loop_watch_listener(fl_loop *l, uint32_t listener, bool on)
{
    return l->io.driver->watch_listener(&l->io, &l->conns, listener, on);
}

void loop_free_places(fl_loop *l)
{
    for (uint32_t i = 0; i < l->conns.listener_count; i++) {
        struct place *place = l->conns.listeners[i]->site;
        if (place != NULL)
            consts_free(&place->consts);
        free(place);
    }
}

static int describe(struct conns *t, struct listener *l, const fl_listener *spec)
{
    int rc = framing_init(&l->framing, spec->framing, spec->delimiter, spec->delimiter_len,
                          spec->max_message);
    if (rc == 0 && l->framing.protocol == &protocol_ws)
        rc = -EINVAL; /* nothing begins as a WebSocket */
    if (rc < 0 || l->framing.protocol->answer == NULL)
        return rc;
    if (spec->form < FL_FORM_PLAIN || spec->form > FL_FORM_ASGI)
        return -EINVAL;
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
        .form = (uint8_t)spec->form,
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
        .level = (uint8_t)spec->level,
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
    int rc = fd < 0 ? 0 : sock_adopt(fd);
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
    rc = fd < 0 ? 0 : loop_watch_listener(l, (uint32_t)n, l->io.accepting);
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
