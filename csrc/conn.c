/* conn.c -- one state machine for every driver.
 *
 * Workload: thousands of connections, mostly idle; a busy one gets a few whole messages per read
 * and its replies leave in one send. So an idle connection owns nothing but its struct: reads go to
 * one scratch buffer, are framed in place, and only an incomplete tail is copied to memory of its
 * own.
 *
 * Invariants: a connection is in at most one of the lists dirty, dead and free. Nothing is freed
 * before conn_release(), at the end of a turn. While a connection has a reply outstanding, bytes
 * that make no message wait (CONN_PARKED), so that an error answer cannot overtake a good one. Only
 * the loop's thread comes here. */
#include "conn.h"

#include <errno.h>
#include <stdlib.h>

enum {
    PAGE = 256,            /* connections allocated at once */
    INDEX_BITS = 24,       /* of an id; the generation is above */
    GENERATIONS = 1 << 30, /* ids stay below 2^54 */
    TAIL_COPY = 16 * 1024, /* a tail up to this is cheaper copied in front of the next read */
};

/* -- the table -- */

int conns_init(struct conns *t, const fl_config *config)
{
    *t = (struct conns){.config = *config};
    list_init(&t->ready);
    wire_init(&t->wire);
    inbox_init(&t->inbox);
    t->scratch = malloc(CONN_SCRATCH + TAIL_COPY);
    return t->scratch == NULL ? -ENOMEM : 0;
}

uint32_t conns_places(const struct conns *t)
{
    return t->page_count * PAGE;
}

static struct conn *place(const struct conns *t, uint32_t n)
{
    return &t->pages[n / PAGE][n % PAGE];
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
    free(t->listeners);
    free(t->scratch);
    inbox_free(&t->inbox);
    wire_free(&t->wire);
}

static bool more_places(struct conns *t)
{
    if ((t->page_count + 1) * PAGE > 1u << INDEX_BITS)
        return false;
    struct conn **pages = realloc(t->pages, (t->page_count + 1) * sizeof(struct conn *));
    if (pages == NULL)
        return false;
    t->pages = pages;
    struct conn *page = calloc(PAGE, sizeof *page);
    if (page == NULL)
        return false;
    pages[t->page_count] = page;
    for (int i = PAGE - 1; i >= 0; i--) {
        page[i].index = t->page_count * PAGE + (uint32_t)i;
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
    _Static_assert(sizeof(struct conn) <= 136, "the memory of an idle connection");
    *c = (struct conn){.index = index, .generation = generation, .fd = fd, .state = CONN_OPEN};
    c->listener = (uint16_t)listener;
    list_init(&c->ready);
    list_init(&c->timer.link);
    if (t->config.idle_timeout_ms > 0)
        wheel_file(&t->wheel, &c->timer, wheel_tick(t->now_us, t->config.idle_timeout_ms));
    t->stats.accepted++;
    t->stats.connections++;
    if (group_of(t, c)->wants & FL_WANT_OPENED)
        inbox_opened(&t->inbox, c->listener, conn_id(c));
    return c;
}

void conn_release(struct conns *t, struct conn *c)
{
    c->state = CONN_FREE;
    c->next = t->free;
    t->free = c;
    t->stats.connections--;
    t->stats.closed++;
}

/* -- dying -- */

static void set_why(struct conn *c, int why)
{
    if (c->why == 0)
        c->why = (int16_t)why;
}

static void drop_input(struct conn *c)
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
    drop_input(c);
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
    set_why(c, why);
    die(t, c);
}

void conn_close(struct conns *t, struct conn *c)
{
    if (c->state != CONN_OPEN)
        return;
    c->state = CONN_ENDING;
    c->flags &= (uint8_t)~CONN_PARKED;
    drop_input(c);
    conn_touch(t, c);
}

/* The peer broke the rules: `answer` (may be empty) is the last it gets. */
static void refuse(struct conns *t, struct conn *c, int why, const char *answer, size_t len)
{
    t->stats.protocol_errors++;
    set_why(c, why);
    inbox_notice(&t->inbox, why);
    if (len > 0 && wire_put(&t->wire, &c->out, answer, len) < 0)
        conn_fail(t, c, -ENOMEM);
    conn_close(t, c);
}

/* -- bytes in -- */

static bool may_frame(const struct conn *c)
{
    return c->state == CONN_OPEN && !(c->flags & (CONN_PAUSED | CONN_STALLED)) &&
           c->in_flight < CONN_MESSAGES;
}

static size_t park(struct conn *c, size_t used, unsigned also)
{
    c->flags |= (uint8_t)(CONN_PARKED | also);
    c->progress = (struct progress){0}; /* looked at anew when its turn has come */
    return used;
}

/* Delivers the messages at the front of data. Returns the bytes used up; what is left is
 * incomplete, or parked until earlier messages are answered. */
static size_t frame(struct conns *t, struct conn *c, const char *data, size_t len)
{
    const struct framing *f = conn_framing(t, c);
    struct group *g = group_of(t, c);
    size_t used = 0;
    while (used < len) {
        struct message m = {0};
        if (!may_frame(c))
            return park(c, used, 0);
        ssize_t n = f->protocol->scan(f, &c->progress, data + used, len - used, &m);
        if (n == 0)
            break;
        if (n < 0 && c->in_flight > 0)
            return park(c, used, CONN_BROKEN);
        if (n < 0) {
            refuse(t, c, (int)n, m.data, m.len);
            return len;
        }
        used += (size_t)n;
        if (m.data == NULL)
            continue;
        if (inbox_reserve(g) < 0 || f->protocol->deliver(&m, &g->items) < 0) {
            conn_fail(t, c, -ENOMEM);
            return len;
        }
        inbox_message(&t->inbox, g, conn_id(c), m.http.flags);
        t->stats.messages++;
        c->in_flight++;
    }
    return used;
}

/* Keeps what framing left over, which lies in the scratch buffer or in c->in itself. */
static void keep_tail(struct conns *t, struct conn *c, const char *data, size_t len)
{
    if (c->state != CONN_OPEN)
        return;
    if (len == 0) {
        free(c->in);
        c->in = NULL;
        c->in_len = c->in_cap = 0;
        return;
    }
    if (c->in == NULL) {
        c->in = malloc(len);
        if (c->in == NULL) {
            conn_fail(t, c, -ENOMEM);
            return;
        }
        c->in_cap = (uint32_t)len;
    }
    memmove(c->in, data, len);
    c->in_len = (uint32_t)len;
    if (len <= TAIL_COPY && c->in_cap > 4 * TAIL_COPY) { /* the big message it grew for is gone */
        char *smaller = realloc(c->in, TAIL_COPY);
        c->in = smaller == NULL ? c->in : smaller;
        c->in_cap = smaller == NULL ? c->in_cap : TAIL_COPY;
    }
}

char *conn_room(struct conns *t, struct conn *c, size_t *size)
{
    *size = CONN_SCRATCH;
    if (c->in_len <= TAIL_COPY) {
        if (c->in_len > 0)
            memcpy(t->scratch, c->in, c->in_len);
        return t->scratch + c->in_len;
    }
    if (c->in_cap - c->in_len < CONN_SCRATCH) {
        size_t cap = max_size((size_t)c->in_cap * 2, c->in_len + CONN_SCRATCH);
        char *in = cap > UINT32_MAX ? NULL : realloc(c->in, cap);
        if (in == NULL)
            return NULL;
        c->in = in;
        c->in_cap = (uint32_t)cap;
    }
    return c->in + c->in_len;
}

static void idle_from_now(struct conns *t, struct conn *c)
{
    if (t->config.idle_timeout_ms > 0 && !(c->flags & CONN_BLOCKED))
        c->timer.deadline = wheel_tick(t->now_us, t->config.idle_timeout_ms);
}

void conn_arrived(struct conns *t, struct conn *c, size_t n)
{
    t->stats.bytes_in += n;
    if (c->state != CONN_OPEN)
        return;
    idle_from_now(t, c);
    bool in_place = c->in_len > TAIL_COPY;
    const char *data = in_place ? c->in : t->scratch;
    size_t len = c->in_len + n;
    if (!in_place && c->in != NULL && c->in_cap < len) {
        free(c->in); /* too small for what may be left over */
        c->in = NULL;
        c->in_cap = 0;
    }
    c->in_len = 0;
    size_t used = frame(t, c, data, len);
    keep_tail(t, c, data + used, len - used);
}

void conn_continue(struct conns *t, struct conn *c)
{
    list_remove(&c->ready);
    c->flags &= (uint8_t) ~(CONN_PARKED | CONN_BROKEN);
    if (c->in == NULL || c->state != CONN_OPEN)
        return;
    size_t used = frame(t, c, c->in, c->in_len);
    if (c->state == CONN_OPEN)
        keep_tail(t, c, c->in + used, c->in_len - used);
    conn_touch(t, c);
}

void conn_ended(struct conns *t, struct conn *c)
{
    c->flags |= CONN_EOF;
    if (c->state == CONN_LINGER)
        die(t, c);
    else
        conn_touch(t, c);
}

/* -- bytes out -- */

void conn_touch(struct conns *t, struct conn *c)
{
    if ((c->flags & CONN_DIRTY) || c->state == CONN_DEAD)
        return;
    c->flags |= CONN_DIRTY;
    c->next = t->dirty;
    t->dirty = c;
}

static void file_deadline(struct conns *t, struct conn *c, uint32_t after_ms)
{
    if (after_ms == 0)
        wheel_remove(&t->wheel, &c->timer);
    else
        wheel_file(&t->wheel, &c->timer, wheel_tick(t->now_us, after_ms));
}

void conn_sent(struct conns *t, struct conn *c, size_t n, bool blocked)
{
    t->stats.bytes_out += n;
    wire_sent(&t->wire, &c->out, n);
    bool was_blocked = (c->flags & CONN_BLOCKED) != 0;
    if (blocked) {
        c->flags |= CONN_BLOCKED;
        if (n > 0 || !was_blocked)
            file_deadline(t, c, t->config.write_timeout_ms);
    } else if (was_blocked) {
        c->flags &= (uint8_t)~CONN_BLOCKED;
        file_deadline(t, c, t->config.idle_timeout_ms);
    }
}

void conn_replied(struct conns *t, struct conn *c)
{
    c->in_flight--;
    /* One that is read as before and has nothing to say needs no flush. */
    if (c->out.head != NULL || c->state != CONN_OPEN || !(c->watched & IO_READ) ||
        (c->flags & CONN_PARKED))
        conn_touch(t, c);
}

bool conn_fault(struct conns *t, struct conn *c, struct exchange *x, struct queue *q)
{
    const struct framing *f = conn_framing(t, c);
    const char *fault = f->protocol->fault;
    if (f->protocol->answer != NULL &&
        f->protocol->answer(f, x, 500, NULL, &t->wire, q) == REPLY_SAID)
        return false;
    if (fault != NULL && wire_put(&t->wire, q, fault, strlen(fault)) == 0)
        return false;
    conn_close(t, c);
    return true;
}

void conn_finish(struct conns *t, struct conn *c, uint32_t waiting)
{
    conn_close(t, c);
    if (c->state != CONN_ENDING)
        return;
    c->state = CONN_FINAL;
    c->in_flight = waiting;
}

void conn_pause(struct conns *t, struct conn *c, bool on)
{
    if (on)
        c->flags |= CONN_PAUSED;
    else
        c->flags &= (uint8_t)~CONN_PAUSED;
    conn_touch(t, c);
}

/* -- what next -- */

unsigned conn_wants(const struct conn *c)
{
    unsigned wants = c->flags & CONN_BLOCKED ? IO_WRITE : 0;
    if (c->flags & CONN_EOF)
        return wants;
    if (c->state == CONN_LINGER || (may_frame(c) && !(c->flags & CONN_PARKED)))
        wants |= IO_READ;
    return wants;
}

static void update_stall(const struct conns *t, struct conn *c)
{
    if (c->out.bytes > t->config.high_water)
        c->flags |= CONN_STALLED;
    else if (c->out.bytes <= t->config.low_water)
        c->flags &= (uint8_t)~CONN_STALLED;
}

/* Goes on with bytes that had to wait: plain messages as soon as half the places are free, an error
 * when everything before it is answered. */
static void resume(struct conns *t, struct conn *c)
{
    uint32_t free_at = c->flags & CONN_BROKEN ? 0 : CONN_MESSAGES / 2;
    if (!(c->flags & CONN_PARKED) || !may_frame(c) || c->in_flight > free_at)
        return;
    if (!list_linked(&c->ready))
        list_append(&t->ready, &c->ready);
}

bool conn_settle(struct conns *t, struct conn *c)
{
    update_stall(t, c);
    resume(t, c);
    if ((c->flags & CONN_PARKED) || c->out.head != NULL || c->in_flight > 0)
        return false;
    if (c->state != CONN_LINGER && (c->flags & CONN_EOF)) {
        die(t, c);
        return false;
    }
    if (c->state != CONN_ENDING && c->state != CONN_FINAL)
        return false;
    c->state = CONN_LINGER;
    file_deadline(t, c, (uint32_t)max_size(t->config.linger_ms, 1));
    return true;
}

void conn_expired(struct conns *t, struct conn *c)
{
    if (c->state == CONN_LINGER) {
        die(t, c);
    } else if (c->flags & CONN_BLOCKED) {
        inbox_notice(&t->inbox, FL_ESTALL);
        conn_fail(t, c, FL_ESTALL);
    } else if (c->in_flight > 0 || c->out.head != NULL) {
        file_deadline(t, c, t->config.idle_timeout_ms);
    } else {
        set_why(c, FL_EIDLE);
        conn_close(t, c);
    }
}
