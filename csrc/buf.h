/* buf.h -- a growable run of bytes, written at the end and consumed at the front. Level 1.
 *
 * Used for what must outlive a turn or has no known size: the inbox, an incomplete message.
 * The memory belongs to the buf; pointers into it hold until the next buf_room(). */
#ifndef FL_BUF_H
#define FL_BUF_H

#include <string.h>

#include "base.h"

struct buf {
    char *data;
    size_t len; /* bytes written */
    size_t cap; /* bytes allocated */
};

/* Room for at least n more bytes after the last one. Returns where they go, or NULL when memory
 * is short (the buf is unchanged then). Invalidates earlier pointers. */
char *buf_grow(struct buf *b, size_t n);

static inline char *buf_room(struct buf *b, size_t n)
{
    return likely(b->cap - b->len >= n) ? b->data + b->len : buf_grow(b, n);
}

/* Appends n bytes. Returns 0 or -ENOMEM. */
int buf_put(struct buf *b, const void *data, size_t n);

/* Drops n bytes at the front; what is behind them moves down. */
void buf_consume(struct buf *b, size_t n);

/* Gives the memory back; the buf is empty and may be used again. */
void buf_free(struct buf *b);

#endif
