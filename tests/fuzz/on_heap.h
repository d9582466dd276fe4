/* on_heap.h -- pieces of input in memory of their own, so that the address sanitizer finds a read
 * past the end of one; to be included behind the header that declares struct copier. */
#ifndef ON_HEAP_H
#define ON_HEAP_H

#include <stdlib.h>
#include <string.h>

#include "buf.h"

static inline char *copy(const void *data, size_t n)
{
    char *p = malloc(n);
    if (p == NULL)
        abort();
    return n == 0 ? p : memcpy(p, data, n);
}

static inline void drop(char *p, size_t n)
{
    (void)n;
    free(p);
}

static const struct copier on_heap = {copy, drop};

static inline void must_match(const struct buf *a, const struct buf *b)
{
    if (a->len != b->len || (a->len > 0 && memcmp(a->data, b->data, a->len) != 0))
        abort();
}

#endif
