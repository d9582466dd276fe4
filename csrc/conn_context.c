/* conn_context.c -- contexts of compression that connections of WebSocket have for themselves.
 *
 * Workload: few listeners let messages refer to earlier ones of their connection ("context
 * takeover"), since that costs 51 to 79 KiB each; where they do, each connection has such a thing,
 * kept beside the table.
 *
 * Invariant: what is compressed with a context leaves in the order in which it was compressed. So
 * whatever stands behind a reply that is only promised is sent as it is. One thread. */
#include <errno.h>
#include <stdlib.h>

#include "conn.h"
#include "ws_zip.h"

enum {
    PAGE = 256, /* entries allocated at once */
    KEEPS = FL_WS_KEEP_IN | FL_WS_KEEP_OUT,
};

/* Makes room in the table of contexts. Returns 0 or -ENOMEM. */
static int make_room(struct conns *t, uint32_t index)
{
    uint32_t count = (index / PAGE + 1) * PAGE;
    if (count <= t->context_count)
        return 0;
    struct ws_zip **all = realloc(t->contexts, count * sizeof(void *));
    if (all == NULL)
        return -ENOMEM;
    t->contexts = all;
    while (t->context_count < count)
        all[t->context_count++] = NULL;
    return 0;
}

int conn_context_begin(struct conns *t, const struct conn *c, uint16_t listener, uint8_t dialect)
{
    const struct framing *f = &t->listeners[listener]->framing;
    const struct ws_zip_options options = {
        .largest = f->max_message,
        .level = f->ws->level,
        .in_bits = dialect & FL_WS_NARROW_IN ? dialect & WS_WINDOW : 15,
        .out_bits = dialect & WS_WINDOW,
        .keep_in = (dialect & FL_WS_KEEP_IN) != 0,
        .keep_out = (dialect & FL_WS_KEEP_OUT) != 0,
    };
    if (!(dialect & KEEPS))
        return 0;
    if (make_room(t, c->index) < 0)
        return -ENOMEM;
    struct ws_zip *zip = t->contexts[c->index] = ws_zip_new(&options);
    return zip == NULL ? -ENOMEM : 0;
}

void conn_context_end(struct conns *t, const struct conn *c)
{
    if (!(c->dialect & KEEPS)) /* which no other protocol's has */
        return;
    ws_zip_free(t->contexts[c->index]);
    t->contexts[c->index] = NULL;
}

struct ws_zip *conn_context_in(const struct conns *t, const struct conn *c)
{
    return c->dialect & FL_WS_KEEP_IN ? t->contexts[c->index] : conn_ws(t, c)->zip;
}

struct ws_zip *conn_context_out(const struct conns *t, const struct conn *c, uint64_t ticket)
{
    return c->dialect & FL_WS_KEEP_OUT && wire_next_ticket(&c->out) == ticket
               ? t->contexts[c->index]
               : NULL;
}

void conn_forget_contexts(struct conns *t)
{
    for (uint32_t i = 0; i < t->context_count; i++)
        ws_zip_free(t->contexts[i]);
    free(t->contexts);
    t->contexts = NULL;
    t->context_count = 0;
}
