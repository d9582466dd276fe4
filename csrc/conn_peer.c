/* conn_peer.c -- what peers are called, for applications that are told with every request.
 *
 * Workload: a look-up for each request, nearly always of a connection that had one before. So the
 * system is asked once for a connection, and its answer is kept as text, beside the table: only
 * listeners whose form of requests wants it pay for that, 52 bytes a connection.
 *
 * Invariant: an entry is of the connection whose generation it has, so nothing needs to be cleared
 * when a place is reused. Only the loop's thread comes here. */
#include <stdlib.h>

#include "conn.h"

enum { PAGE = 256 }; /* entries allocated at once */

struct known_peer {
    uint32_t generation; /* 0: of nobody */
    struct sock_name name;
};

/* The entry of a connection, or NULL when memory is short. */
static struct known_peer *entry_of(struct conns *t, uint32_t index)
{
    uint32_t page = index / PAGE;
    if (page >= t->known_count) {
        struct known_peer **known = realloc(t->known, (page + 1) * sizeof(void *));
        if (known == NULL)
            return NULL;
        t->known = known;
        while (t->known_count <= page)
            t->known[t->known_count++] = NULL;
    }
    if (t->known[page] == NULL)
        t->known[page] = calloc(PAGE, sizeof(struct known_peer));
    return t->known[page] == NULL ? NULL : &t->known[page][index % PAGE];
}

const struct sock_name *conn_peer(struct conns *t, const struct conn *c)
{
    struct known_peer *peer = entry_of(t, c->index);
    if (peer == NULL)
        return NULL;
    if (peer->generation != c->generation) {
        sock_peer_name(c->fd, &peer->name);
        peer->generation = c->generation;
    }
    return peer->name.len == 0 ? NULL : &peer->name;
}

void conn_forget_peers(struct conns *t)
{
    for (uint32_t i = 0; i < t->known_count; i++)
        free(t->known[i]);
    free(t->known);
    t->known = NULL;
    t->known_count = 0;
}
