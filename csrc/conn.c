/* conn.c -- the table of connections, and how they begin and end.
 *
 * Workload: thousands of connections, mostly idle, so a place in the table is small and is all that
 * an idle one has. Places are reused last in, first out; pages are never given back.
 *
 * Invariants: a connection is in at most one of the lists dirty, dead and free. Nothing is freed
 * before conn_release(), at the end of a turn. Only the loop's thread comes here. */
#include "conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ws_zip.h"

enum {
    PAGE_BITS = 8,         /* 2^n connections are allocated at once */
    FEW_SLOTS = 64,        /* of the wheel of a loop with one connection */
    INDEX_BITS = 24,       /* of an id; the generation is above */
    GENERATIONS = 1 << 30, /* ids stay below 2^54 */
};

/* -- the table -- */

int conns_init(struct conns *t, const fl_config *config, uint64_t now_us)
{
    bool one = config->role == FL_ROLE_ONE;
    *t = (struct conns){.config = *config, .now_us = now_us};
    t->page_bits = one ? 0 : PAGE_BITS;
    list_init(&t->ready);
    wire_init(&t->wire);
    inbox_init(&t->inbox);
    t->scratch = malloc(CONN_SCRATCH + CONN_TAIL);
    int rc = wheel_init(&t->wheel, now_us, one ? FEW_SLOTS : WHEEL_SLOTS);
    return t->scratch == NULL ? -ENOMEM : rc;
}

uint32_t conns_places(const struct conns *t)
{
    return t->page_count << t->page_bits;
}

static struct conn *place(const struct conns *t, uint32_t n)
{
    return &t->pages[n >> t->page_bits][n & ((1u << t->page_bits) - 1)];
}

void conns_free(struct conns *t)
{
    for (uint32_t i = 0; i < conns_places(t); i++) {
        free(place(t, i)->in);
        wire_drop(&t->wire, &place(t, i)->out);
    }
    for (uint32_t i = 0; i < t->page_count; i++)
        free(t->pages[i]);
    free(t->pages);
    conn_forget_peers(t);
    conn_forget_contexts(t);
    for (uint32_t i = 0; i < t->listener_count; i++) {
        ws_zip_free(t->listeners[i]->ws.zip);
        free(t->listeners[i]);
    }
    free(t->listeners);
    free(t->scratch);
    wheel_free(&t->wheel);
    peers_free(&t->peers);
    topics_free(&t->topics);
    inbox_free(&t->inbox);
    wire_free(&t->wire);
}

static bool more_places(struct conns *t)
{
    uint32_t size = 1u << t->page_bits;
    if (conns_places(t) + size > 1u << INDEX_BITS)
        return false;
    struct conn **pages = realloc(t->pages, (t->page_count + 1) * sizeof(struct conn *));
    if (pages == NULL)
        return false;
    t->pages = pages;
    struct conn *page = calloc(size, sizeof *page);
    if (page == NULL)
        return false;
    pages[t->page_count] = page;
    for (uint32_t i = size; i-- > 0;) {
        page[i].index = conns_places(t) + i;
        page[i].next = t->free;
        t->free = &page[i];
    }
    t->page_count++;
    return true;
}

struct conn *conn_at(const struct conns *t, uint32_t n)
{
    struct conn *c = place(t, n);
    return c->state == CONN_FREE ? NULL : c;
}

uint64_t conn_id(const struct conn *c)
{
    return (uint64_t)c->generation << INDEX_BITS | c->index;
}

struct conn *conn_find(const struct conns *t, uint64_t id)
{
    uint32_t index = (uint32_t)(id & ((1u << INDEX_BITS) - 1));
    if (index >= conns_places(t))
        return NULL;
    struct conn *c = place(t, index);
    bool current = c->generation == id >> INDEX_BITS;
    return current && c->state != CONN_FREE && c->state != CONN_DEAD ? c : NULL;
}

static struct group *group_of(struct conns *t, const struct conn *c)
{
    return &t->inbox.groups[c->listener];
}

struct conn *conn_open(struct conns *t, int fd, uint32_t listener)
{
    if (t->free == NULL && !more_places(t))
        return NULL;
    struct conn *c = t->free;
    t->free = c->next;
    uint32_t index = c->index;
    uint32_t generation = c->generation % (GENERATIONS - 1) + 1;
    _Static_assert(sizeof(struct conn) <= 160, "the memory of an idle connection");
    *c = (struct conn){.index = index, .generation = generation, .fd = fd, .state = CONN_OPEN};
    c->listener = (uint16_t)listener;
    list_init(&c->ready);
    list_init(&c->timer.link);
    conn_clock(t, c);
    t->stats.accepted++;
    t->stats.connections++;
    if (group_of(t, c)->wants & FL_WANT_OPENED)
        inbox_opened(&t->inbox, c->listener, conn_id(c));
    return c;
}

void conn_release(struct conns *t, struct conn *c)
{
    c->state = CONN_FREE;
    if (c->peer != 0)
        peers_leave(&t->peers, c->peer);
    c->next = t->free;
    t->free = c;
    t->stats.connections--;
    t->stats.closed++;
}

/* -- elsewhere -- */

void conn_away(struct conns *t, struct conn *c)
{
    c->state = CONN_AWAY;
    wheel_remove(&t->wheel, &c->timer);
}

void conn_return(struct conns *t, struct conn *c, int fd, int why)
{
    const char *busy = conn_framing(t, c)->protocol->busy;
    struct message m = {.status = 503, .data = busy == NULL ? "too busy" : busy};
    m.len = busy == NULL ? 0 : (uint32_t)strlen(busy);
    c->fd = fd;
    c->state = CONN_OPEN;
    t->stats.refused++;
    conn_refuse(t, c, why, &m);
}

/* -- dying -- */

void conn_because(struct conn *c, int why)
{
    if (c->why == 0)
        c->why = (int16_t)why;
}

void conn_forget_input(struct conn *c)
{
    free(c->in);
    c->in = NULL;
    c->in_len = c->in_cap = 0;
    list_remove(&c->ready);
}

static void die(struct conns *t, struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
    conn_forget_input(c);
    conn_fail_body(t, c, c->why == 0 ? -ECONNRESET : c->why);
    if (c->flags & (CONN_ASKED | CONN_ROOM))
        inbox_room(&t->inbox, conn_id(c), -ENOTCONN);
    if (c->flags & CONN_TOPICS)
        topics_quit_all(&t->topics, c->index);
    conn_context_end(t, c);
    wire_drop(&t->wire, &c->out);
    wheel_remove(&t->wheel, &c->timer);
    if ((group_of(t, c)->wants & FL_WANT_CLOSED) || (c->flags & CONN_WATCHED))
        inbox_closed(&t->inbox, c->listener, conn_id(c), c->why);
    if (!(c->flags & CONN_DIRTY)) { /* a dirty one moves over when its list is flushed */
        c->next = t->dead;
        t->dead = c;
    }
}

void conn_fail(struct conns *t, struct conn *c, int why)
{
    conn_because(c, why);
    die(t, c);
}

void conn_close(struct conns *t, struct conn *c)
{
    if (c->state != CONN_OPEN)
        return;
    c->state = CONN_ENDING;
    c->flags &= (uint32_t)~CONN_PARKED;
    conn_forget_input(c);
    conn_fail_body(t, c, -ECONNABORTED);
    conn_farewell(t, c);
    conn_touch(t, c);
}

void conn_refuse(struct conns *t, struct conn *c, int why, const struct message *m)
{
    const struct framing *f = conn_framing(t, c);
    struct exchange x = {.flags = HTTP_CLOSE | (m->http.flags & (HTTP_OLD | HTTP_HEAD))};
    int rc = 0;
    t->stats.protocol_errors += why == FL_EPROTO || why == FL_ELIMIT;
    inbox_notice(&t->inbox, why);
    if (f->ws != NULL) {
        conn_leave(t, c, m->status, (struct text){m->data, m->len});
        return;
    }
    conn_because(c, why);
    if (f->protocol->answer != NULL)
        rc = f->protocol->answer(f, &x, m->status, m->data, &t->wire, &c->out);
    else if (m->len > 0)
        rc = wire_put(&t->wire, &c->out, m->data, m->len);
    if (rc < 0)
        conn_fail(t, c, rc);
    conn_close(t, c);
}

void conn_drain(struct conns *t, struct conn *c)
{
    if (conn_ws(t, c) != NULL)
        conn_leave(t, c, WS_AWAY, (struct text){NULL, 0});
    else if (c->state == CONN_OPEN && conn_streams(c) && c->body_why == 0)
        c->flags |= CONN_LAST;
    else
        conn_close(t, c);
}

void conn_finish(struct conns *t, struct conn *c, uint32_t waiting)
{
    conn_close(t, c);
    if (c->state != CONN_ENDING && c->state != CONN_FINAL)
        return;
    c->state = CONN_FINAL;
    c->in_flight = waiting;
}
