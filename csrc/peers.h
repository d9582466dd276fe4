/* peers.h -- how many connections each address has. Level 2. */
#ifndef FL_PEERS_H
#define FL_PEERS_H

#include "base.h"

enum { PEERS_ADDRESS = 16 }; /* bytes of an address, IPv4 ones mapped into IPv6 */

struct peer {
    unsigned char address[PEERS_ADDRESS];
    uint32_t connections; /* 0: this place is free */
    uint32_t next;        /* of the same bucket, or the next free place; 0: none */
};

/* All zero to begin with. Nothing is allocated before the first peers_enter(). */
struct peers {
    struct peer *places; /* place 0 is never used */
    uint32_t *buckets;   /* the first place of each, or 0 */
    uint32_t size;       /* places, and buckets: a power of two, or 0 */
    uint32_t free;       /* the first free place, or 0 */
};

void peers_free(struct peers *p);

/* One more connection from this address. Returns its place, which stays the same until the last of
 * its connections left; 0 if it has `limit` of them already, or -ENOMEM. */
int64_t peers_enter(struct peers *p, const unsigned char address[PEERS_ADDRESS], uint32_t limit);

/* One connection fewer at a place that peers_enter() returned. */
void peers_leave(struct peers *p, uint32_t place);

#endif
