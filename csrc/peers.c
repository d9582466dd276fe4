/* peers.c -- a table of addresses and their number of connections.
 *
 * Workload: one lookup per accepted connection, and only where a limit is set. Addresses come from
 * the network, and whoever may choose many of them must not be able to make lookups slow; with at
 * least as many buckets as addresses, and connections that cost an attacker more than us, a
 * multiplicative hash does.
 *
 * Invariant: a place keeps its number while it has a connection, since connections remember it;
 * growing moves buckets, not places. One thread. */
#include "peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 64 };

void peers_free(struct peers *p)
{
    free(p->places);
    free(p->buckets);
    *p = (struct peers){0};
}

static uint32_t bucket_of(const unsigned char *address, uint32_t size)
{
    uint64_t high, low;
    memcpy(&high, address, 8);
    memcpy(&low, address + 8, 8);
    uint64_t hash = (high ^ (low * 0x9e3779b97f4a7c15u)) * 0xd6e8feb86659fd93u;
    return (uint32_t)(hash >> 32) & (size - 1);
}

static void link_place(struct peers *p, uint32_t place)
{
    uint32_t *bucket = &p->buckets[bucket_of(p->places[place].address, p->size)];
    p->places[place].next = *bucket;
    *bucket = place;
}

/* Twice as many places; all old ones but place 0 are in use. */
static int grow(struct peers *p)
{
    uint32_t size = p->size == 0 ? FIRST_SIZE : p->size * 2;
    uint32_t *buckets = size == 0 ? NULL : calloc(size, sizeof *buckets);
    struct peer *places = buckets == NULL ? NULL : realloc(p->places, size * sizeof *places);
    if (places == NULL) {
        free(buckets);
        return -ENOMEM;
    }
    free(p->buckets);
    uint32_t used = p->size;
    *p = (struct peers){places, buckets, size, 0};
    for (uint32_t i = 1; i < used; i++)
        link_place(p, i);
    for (uint32_t i = size - 1; i > 0 && i >= used; i--) {
        places[i] = (struct peer){.next = p->free};
        p->free = i;
    }
    return 0;
}

int64_t peers_enter(struct peers *p, const unsigned char address[PEERS_ADDRESS], uint32_t limit)
{
    uint32_t place = p->size == 0 ? 0 : p->buckets[bucket_of(address, p->size)];
    while (place != 0 && memcmp(p->places[place].address, address, PEERS_ADDRESS) != 0)
        place = p->places[place].next;
    if (place == 0) {
        if (p->free == 0 && grow(p) < 0)
            return -ENOMEM;
        place = p->free;
        p->free = p->places[place].next;
        memcpy(p->places[place].address, address, PEERS_ADDRESS);
        p->places[place].connections = 0;
        link_place(p, place);
    }
    if (p->places[place].connections >= limit)
        return 0;
    p->places[place].connections++;
    return place;
}

void peers_leave(struct peers *p, uint32_t place)
{
    struct peer *peer = &p->places[place];
    if (--peer->connections > 0)
        return;
    uint32_t *from = &p->buckets[bucket_of(peer->address, p->size)];
    while (*from != place)
        from = &p->places[*from].next;
    *from = peer->next;
    peer->next = p->free;
    p->free = place;
}
