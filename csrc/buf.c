/* buf.c -- growing a run of bytes.
 *
 * Workload: the inbox is filled and emptied every turn at much the same size, so memory is kept and
 * grows by doubling; incomplete messages are few and are freed as soon as they are complete. */
#include "buf.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST = 512 };

char *buf_grow(struct buf *b, size_t n)
{
    if (n > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
        return NULL;
    size_t cap = max_size(b->cap, FIRST);
    while (cap - b->len < n)
        cap *= 2;
    char *data = realloc(b->data, cap);
    if (data == NULL)
        return NULL;
    b->data = data;
    b->cap = cap;
    return data + b->len;
}

int buf_put(struct buf *b, const void *data, size_t n)
{
    char *room = buf_room(b, n);
    if (room == NULL)
        return -ENOMEM;
    memcpy(room, data, n);
    b->len += n;
    return 0;
}

void buf_consume(struct buf *b, size_t n)
{
    b->len -= n;
    if (b->len > 0)
        memmove(b->data, b->data + n, b->len);
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}
