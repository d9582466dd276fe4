/* wire.h -- bytes on their way out: queues of spans, and the memory or files they lie in. Level 1.
 *
 * A reply is encoded once, into an arena that lives until the end of the flush, and each
 * connection's queue holds spans: views of that arena, of the outbox itself (large bodies are not
 * copied), or of a shared blob. Most turns send everything and free nothing but the spans; what the
 * kernel refuses is moved to a blob by wire_keep() before the arena is emptied. Replies that follow
 * each other in the arena and in one queue merge into one span, so a pipelined batch is one send.
 *
 * A span may be a hole: the place of a reply that an async handler has not given yet. Nothing
 * behind a hole is sent before it is filled; that keeps replies in the order of the requests. */
#ifndef FL_WIRE_H
#define FL_WIRE_H

#include "base.h"

struct iovec;

/* Bytes that several queues may share: in memory, or in an open file. Spans hold references, and so
 * may others; with the last one the memory is freed and the file closed. The count is the loop's:
 * other threads may make a blob and hand it over, no more. */
struct blob {
    uint32_t refs;
    int fd; /* owned; -1: the bytes are in data */
    size_t len;
    char data[];
};

/* A blob with room for n bytes, or one of an open file: its fd is owned by the blob from then on.
 * The caller has the only reference. NULL when memory is short. */
struct blob *wire_blob(size_t n);
struct blob *wire_blob_of(int fd);

/* Gives a reference back. NULL is none. */
void wire_unblob(struct blob *b);

struct ws_zip;

/* What encoding a reply must know of the message it is for, and how far that reply has come. Kept
 * in the hole of a reply that comes later. What the fields say is the protocol's business. */
struct exchange {
    union {
        uint64_t left;      /* HTTP: bytes still to come of a body with a length */
        struct ws_zip *zip; /* WebSocket: its own context; NULL: none of its own, or not here */
    };
    uint8_t
        dialect;   /* RESP 2 or 3, WebSocket's window and FL_WS_*; 0 at first. Of the connection */
    uint8_t flags; /* HTTP_*: of the request */
    uint8_t stage; /* HTTP: what was said so far; 0: nothing */
    bool asked;    /* of a hole: somebody waits until there is room ahead of it */
};

struct span {
    struct span *next;
    const char *data; /* NULL for a hole; of a file it means nothing */
    size_t len;
    uint64_t ticket;    /* of a hole; 0 otherwise */
    struct blob *owner; /* holds a reference; NULL: borrowed until wire_reset() */
    union {
        struct exchange exchange; /* of a hole */
        struct {
            uint64_t offset; /* of a file: where the bytes begin, */
            uint64_t warm;   /* and up to where they were read lately: sending does not wait */
        } file;
    };
};

struct queue {
    struct span *head;
    struct span *tail;
    size_t bytes;
};

struct wire {
    struct chunk *chunk; /* the one being filled; older ones behind it */
    char *at;
    char *end;
    struct span *spare; /* free spans */
    struct slab *slabs; /* what all spans were allocated in */
};

void wire_init(struct wire *w);
void wire_free(struct wire *w);

/* Room for n contiguous bytes at the end of the arena, to be claimed by wire_commit(). NULL when
 * memory is short. */
char *wire_room(struct wire *w, size_t n);

/* Appends to q the n bytes that were just written at wire_room(). Returns 0 or -ENOMEM. */
int wire_commit(struct wire *w, struct queue *q, size_t n);

/* Copies n bytes to the arena and appends them to q. Returns 0 or -ENOMEM. */
int wire_put(struct wire *w, struct queue *q, const void *data, size_t n);

/* Appends bytes of the outbox: lent, not copied, if they are many; copied if they are few. The
 * memory must hold until wire_reset(). Returns 0 or -ENOMEM. */
int wire_body(struct wire *w, struct queue *q, const void *data, size_t n);

/* Appends a hole with this ticket (not 0), which keeps *x. Returns 0 or -ENOMEM. */
int wire_hole(struct wire *w, struct queue *q, uint64_t ticket, const struct exchange *x);

/* Puts all of `filling` in front of the hole with this ticket, and removes the hole if `close` is
 * set; at the end of q where there is no such hole. `filling` is empty afterwards. Returns whether
 * the hole was there. */
bool wire_fill(struct wire *w, struct queue *q, uint64_t ticket, struct queue *filling, bool close);

/* What the hole with this ticket keeps, valid until it is filled; NULL: there is no such hole. */
struct exchange *wire_exchange(const struct queue *q, uint64_t ticket);

/* What the first hole keeps, with the bytes in front of it in *ahead; NULL: there is no hole. */
struct exchange *wire_first(const struct queue *q, uint64_t *ahead);

/* The ticket of the first hole; 0: there is none. */
uint64_t wire_next_ticket(const struct queue *q);

/* Removes all holes: what is behind them may be sent. */
void wire_unhole(struct wire *w, struct queue *q);

/* How many holes are in q. */
uint32_t wire_holes(const struct queue *q);

/* Drops everything behind the hole with this ticket. */
void wire_cut(struct wire *w, struct queue *q, uint64_t ticket);

/* Appends views of all of `shared` to q, which keep its blobs alive. Returns 0 or -ENOMEM; what was
 * appended before memory ran short stays. */
int wire_share(struct wire *w, struct queue *q, const struct queue *shared);

/* Appends n bytes of a blob, from `offset` on. Returns 0 or -ENOMEM. */
int wire_lend(struct wire *w, struct queue *q, struct blob *blob, uint64_t offset, size_t n);

/* A place to come back to when encoding a reply fails half way. */
struct wire_mark {
    struct span *tail;
    size_t len;
    size_t bytes;
};
struct wire_mark wire_mark(const struct queue *q);
void wire_undo(struct wire *w, struct queue *q, struct wire_mark mark);

/* Fills up to max entries with what may be sent now, in order, up to the first hole or file. */
int wire_gather(const struct queue *q, struct iovec *iov, int max);

/* The span at the front if it is of a file, or NULL. */
struct span *wire_file(const struct queue *q);

/* Puts a hole in front of everything. Returns 0 or -ENOMEM. */
int wire_hold(struct wire *w, struct queue *q, uint64_t ticket);

/* How many bytes of q are in files: they cost no memory. */
uint64_t wire_in_files(const struct queue *q);

/* Drops the first n bytes, which were sent. */
void wire_sent(struct wire *w, struct queue *q, size_t n);

/* Moves every borrowed byte of q into blobs, so that q outlives the arena and the outbox. Returns
 * 0, or -ENOMEM with q as it was. */
int wire_keep(struct wire *w, struct queue *q);

/* Drops everything in q. */
void wire_drop(struct wire *w, struct queue *q);

/* Empties the arena. No queue may hold a borrowed span any more. */
void wire_reset(struct wire *w);

#endif
