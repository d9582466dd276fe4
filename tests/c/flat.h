/* flat.h -- what a queue would send, as one run of bytes; holes show as "<ticket>". */
#ifndef FLAT_H
#define FLAT_H

#include <stdio.h>

#include "buf.h"
#include "wire.h"

/* Replaces what is in *out, which belongs to the caller. */
static inline void flatten(const struct queue *q, struct buf *out)
{
    out->len = 0;
    for (const struct span *s = q->head; s != NULL; s = s->next) {
        char hole[32];
        int len = snprintf(hole, sizeof hole, "<%llu>", (unsigned long long)s->ticket);
        buf_put(out, s->data == NULL ? hole : s->data, s->data == NULL ? (size_t)len : s->len);
    }
}

#endif
