/* wire.c -- queues of spans over an arena.
 *
 * Workload: each turn a few hundred short replies are appended, sent, and forgotten; most queues
 * are one merged span when they are sent. So appending is a bump of the arena and at most one span
 * from a free list, and nothing is copied twice unless the kernel refuses it.
 *
 * Invariants: a span without an owner points into the arena or the outbox and dies with
 * wire_reset(); a hole has no bytes, and it alone no data; arena memory never moves. One thread. */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

struct chunk {
    struct chunk *older;
    size_t size;
    char data[];
};

enum {
    CHUNK = 128 * 1024, /* more than most turns say; half of a usual L2 cache */
    LEND = 16 * 1024,   /* from here on one more iovec is cheaper than a copy */
    SPARES_AT_ONCE = 64,
};

void wire_init(struct wire *w)
{
    *w = (struct wire){0};
}

static void free_chunks(struct chunk *c)
{
    while (c != NULL) {
        struct chunk *older = c->older;
        free(c);
        c = older;
    }
}

/* Spans come in slabs, so that a broadcast to thousands is not thousands of allocations. */
struct slab {
    struct slab *next;
    struct span spans[SPARES_AT_ONCE];
};

void wire_free(struct wire *w)
{
    free_chunks(w->chunk);
    while (w->slabs != NULL) {
        struct slab *next = w->slabs->next;
        free(w->slabs);
        w->slabs = next;
    }
    *w = (struct wire){0};
}

static bool more_spares(struct wire *w)
{
    struct slab *slab = malloc(sizeof *slab);
    if (slab == NULL)
        return false;
    slab->next = w->slabs;
    w->slabs = slab;
    for (int i = 0; i < SPARES_AT_ONCE; i++) {
        slab->spans[i].next = w->spare;
        w->spare = &slab->spans[i];
    }
    return true;
}

/* -- blobs -- */

struct blob *wire_blob(size_t n)
{
    struct blob *b = n > SIZE_MAX / 2 ? NULL : malloc(sizeof *b + n);
    if (b != NULL)
        *b = (struct blob){.refs = 1, .fd = -1};
    return b;
}

struct blob *wire_blob_of(int fd)
{
    struct blob *b = wire_blob(0);
    if (b != NULL)
        b->fd = fd;
    return b;
}

void wire_unblob(struct blob *b)
{
    if (b == NULL || --b->refs > 0)
        return;
    if (b->fd >= 0)
        close(b->fd);
    free(b);
}

/* -- spans -- */

static bool is_file(const struct span *s)
{
    return s->owner != NULL && s->owner->fd >= 0;
}

static struct span *new_span(struct wire *w, const char *data, size_t len, struct blob *owner)
{
    if (unlikely(w->spare == NULL) && !more_spares(w))
        return NULL;
    struct span *s = w->spare;
    w->spare = s->next;
    *s = (struct span){.data = data, .len = len, .owner = owner};
    if (owner != NULL)
        owner->refs++;
    return s;
}

static void free_span(struct wire *w, struct span *s)
{
    wire_unblob(s->owner);
    s->next = w->spare;
    w->spare = s;
}

static void push(struct queue *q, struct span *s)
{
    if (q->tail == NULL)
        q->head = s;
    else
        q->tail->next = s;
    q->tail = s;
    q->bytes += s->len;
}

static int append(struct wire *w, struct queue *q, const char *data, size_t len, struct blob *owner)
{
    struct span *s = new_span(w, data, len, owner);
    if (s == NULL)
        return -ENOMEM;
    push(q, s);
    return 0;
}

static char *new_chunk(struct wire *w, size_t n)
{
    size_t size = max_size(n, CHUNK);
    struct chunk *c = n > SIZE_MAX / 2 ? NULL : malloc(sizeof *c + size);
    if (c == NULL)
        return NULL;
    c->older = w->chunk;
    c->size = size;
    w->chunk = c;
    w->at = c->data;
    w->end = c->data + size;
    return w->at;
}

char *wire_room(struct wire *w, size_t n)
{
    return likely((size_t)(w->end - w->at) >= n) && w->at != NULL ? w->at : new_chunk(w, n);
}

int wire_commit(struct wire *w, struct queue *q, size_t n)
{
    struct span *tail = q->tail;
    if (tail != NULL && tail->data != NULL && tail->owner == NULL &&
        tail->data + tail->len == w->at) {
        tail->len += n;
        q->bytes += n;
    } else if (append(w, q, w->at, n, NULL) < 0) {
        return -ENOMEM;
    }
    w->at += n;
    return 0;
}

int wire_put(struct wire *w, struct queue *q, const void *data, size_t n)
{
    char *room = wire_room(w, n);
    if (room == NULL)
        return -ENOMEM;
    memcpy(room, data, n);
    return wire_commit(w, q, n);
}

int wire_body(struct wire *w, struct queue *q, const void *data, size_t n)
{
    return n < LEND ? wire_put(w, q, data, n) : append(w, q, data, n, NULL);
}

int wire_hole(struct wire *w, struct queue *q, uint64_t ticket, const struct exchange *x)
{
    if (append(w, q, NULL, 0, NULL) < 0)
        return -ENOMEM;
    q->tail->ticket = ticket;
    q->tail->exchange = *x;
    return 0;
}

/* The hole with this ticket, or NULL; *before is the span in front of it, NULL at the head. */
static struct span *find_hole(const struct queue *q, uint64_t ticket, struct span **before)
{
    struct span *hole = q->head;
    *before = NULL;
    while (hole != NULL && (hole->data != NULL || hole->ticket != ticket)) {
        *before = hole;
        hole = hole->next;
    }
    return ticket == 0 ? NULL : hole;
}

struct exchange *wire_exchange(const struct queue *q, uint64_t ticket)
{
    struct span *before;
    struct span *hole = find_hole(q, ticket, &before);
    return hole == NULL ? NULL : &hole->exchange;
}

struct exchange *wire_first(const struct queue *q, uint64_t *ahead)
{
    struct span *s = q->head;
    for (*ahead = 0; s != NULL && s->data != NULL; s = s->next)
        *ahead += s->len;
    return s == NULL ? NULL : &s->exchange;
}

uint64_t wire_next_ticket(const struct queue *q)
{
    const struct span *s = q->head;
    while (s != NULL && s->data != NULL)
        s = s->next;
    return s == NULL ? 0 : s->ticket;
}

void wire_unhole(struct wire *w, struct queue *q)
{
    struct span **at = &q->head;
    q->tail = NULL;
    while (*at != NULL) {
        struct span *s = *at;
        if (s->data == NULL) {
            *at = s->next;
            free_span(w, s);
        } else {
            q->tail = s;
            at = &s->next;
        }
    }
}

uint32_t wire_holes(const struct queue *q)
{
    uint32_t holes = 0;
    for (const struct span *s = q->head; s != NULL; s = s->next)
        holes += s->data == NULL;
    return holes;
}

void wire_cut(struct wire *w, struct queue *q, uint64_t ticket)
{
    struct span *before;
    struct span *hole = find_hole(q, ticket, &before);
    while (hole != NULL && hole->next != NULL) {
        struct span *s = hole->next;
        hole->next = s->next;
        q->bytes -= s->len;
        free_span(w, s);
    }
    if (hole != NULL)
        q->tail = hole;
}

static void link_all(struct queue *q, struct queue *more)
{
    if (more->head == NULL)
        return;
    if (q->tail == NULL)
        q->head = more->head;
    else
        q->tail->next = more->head;
    q->tail = more->tail;
    q->bytes += more->bytes;
}

bool wire_fill(struct wire *w, struct queue *q, uint64_t ticket, struct queue *filling, bool close)
{
    struct span *before;
    struct span *hole = find_hole(q, ticket, &before);
    bool found = hole != NULL;
    if (!found) {
        link_all(q, filling);
    } else {
        struct span *behind = close ? hole->next : hole;
        struct queue front = {before == NULL ? NULL : q->head, before, q->bytes};
        struct queue back = {behind, behind == NULL ? NULL : q->tail, 0};
        if (before != NULL)
            before->next = NULL;
        if (close)
            free_span(w, hole);
        link_all(&front, filling);
        link_all(&front, &back);
        *q = front;
    }
    *filling = (struct queue){0};
    return found;
}

int wire_lend(struct wire *w, struct queue *q, struct blob *blob, uint64_t offset, size_t n)
{
    if (n == 0)
        return 0;
    bool file = blob->fd >= 0;
    if (append(w, q, file ? blob->data : blob->data + offset, n, blob) < 0)
        return -ENOMEM;
    if (file)
        q->tail->file.offset = offset;
    return 0;
}

int wire_share(struct wire *w, struct queue *q, const struct queue *shared)
{
    for (const struct span *s = shared->head; s != NULL; s = s->next) {
        if (append(w, q, s->data, s->len, s->owner) < 0)
            return -ENOMEM;
        q->tail->file = s->file;
    }
    return 0;
}

struct wire_mark wire_mark(const struct queue *q)
{
    return (struct wire_mark){q->tail, q->tail == NULL ? 0 : q->tail->len, q->bytes};
}

static void free_from(struct wire *w, struct span *s)
{
    while (s != NULL) {
        struct span *next = s->next;
        free_span(w, s);
        s = next;
    }
}

void wire_undo(struct wire *w, struct queue *q, struct wire_mark mark)
{
    if (mark.tail == NULL) {
        wire_drop(w, q);
        return;
    }
    free_from(w, mark.tail->next);
    mark.tail->next = NULL;
    mark.tail->len = mark.len;
    q->tail = mark.tail;
    q->bytes = mark.bytes;
}

int wire_gather(const struct queue *q, struct iovec *iov, int max)
{
    int n = 0;
    for (const struct span *s = q->head; s != NULL && s->data != NULL && n < max; s = s->next) {
        if (is_file(s))
            break;
        iov[n++] = (struct iovec){(void *)(uintptr_t)s->data, s->len};
    }
    return n;
}

struct span *wire_file(const struct queue *q)
{
    return q->head != NULL && is_file(q->head) ? q->head : NULL;
}

int wire_hold(struct wire *w, struct queue *q, uint64_t ticket)
{
    struct span *s = new_span(w, NULL, 0, NULL);
    if (s == NULL)
        return -ENOMEM;
    s->ticket = ticket;
    s->next = q->head;
    q->head = s;
    if (q->tail == NULL)
        q->tail = s;
    return 0;
}

uint64_t wire_in_files(const struct queue *q)
{
    uint64_t bytes = 0;
    for (const struct span *s = q->head; s != NULL; s = s->next)
        bytes += is_file(s) ? s->len : 0;
    return bytes;
}

void wire_sent(struct wire *w, struct queue *q, size_t n)
{
    q->bytes -= n;
    while (q->head != NULL && q->head->data != NULL && n >= q->head->len) {
        struct span *s = q->head;
        n -= s->len;
        q->head = s->next;
        free_span(w, s);
    }
    if (q->head == NULL) {
        q->tail = NULL;
    } else if (n > 0) {
        q->head->len -= n;
        if (is_file(q->head))
            q->head->file.offset += n;
        else
            q->head->data += n;
    }
}

/* All borrowed bytes of a queue go to one blob: they came in one turn and leave together. */
int wire_keep(struct wire *w, struct queue *q)
{
    size_t borrowed = 0;
    for (struct span *s = q->head; s != NULL; s = s->next)
        borrowed += s->owner == NULL ? s->len : 0;
    if (borrowed == 0)
        return 0;
    struct blob *blob = wire_blob(borrowed);
    if (blob == NULL)
        return -ENOMEM;
    struct span *last = NULL; /* the span that ends where the blob's used part ends */
    struct span *next;
    q->tail = NULL;
    for (struct span *s = q->head; s != NULL; s = next) {
        next = s->next;
        if (s->data == NULL || s->owner != NULL) {
            last = NULL;
            q->tail = s;
            continue;
        }
        memcpy(blob->data + blob->len, s->data, s->len);
        s->data = blob->data + blob->len;
        blob->len += s->len;
        if (last != NULL) { /* neighbours become one span */
            last->len += s->len;
            last->next = next;
            free_span(w, s);
            continue;
        }
        s->owner = blob;
        blob->refs++;
        q->tail = last = s;
    }
    wire_unblob(blob); /* the spans hold it now */
    return 0;
}

void wire_drop(struct wire *w, struct queue *q)
{
    free_from(w, q->head);
    *q = (struct queue){0};
}

void wire_reset(struct wire *w)
{
    struct chunk *c = w->chunk;
    if (c == NULL)
        return;
    /* One chunk of the usual size stays; a turn that said more gives the rest back. */
    while (c->older != NULL) {
        struct chunk *older = c->older;
        free(c);
        c = older;
    }
    if (c->size > CHUNK) {
        free(c);
        w->chunk = NULL;
        w->at = w->end = NULL;
        return;
    }
    w->chunk = c;
    w->at = c->data;
    w->end = c->data + c->size;
}
