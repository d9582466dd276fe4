/* topics.h -- who has subscribed to what. Level 2. */
#ifndef FL_TOPICS_H
#define FL_TOPICS_H

#include "base.h"

struct topic;
struct subscription;

/* All zero to begin with. Nothing is allocated before the first topics_join(). */
struct topics {
    struct topic **buckets;
    uint32_t size;            /* buckets: a power of two, or 0 */
    uint32_t count;           /* topics */
    struct subscription **of; /* the first of each connection, by its index */
    uint32_t of_size;
};

void topics_free(struct topics *t);

/* The connection with this index and id subscribes; twice is once. Returns 0 or -ENOMEM. */
int topics_join(struct topics *t, struct text name, uint32_t index, uint64_t id);

/* Its subscription ends; all of them end. Harmless if there are none. */
void topics_quit(struct topics *t, struct text name, uint32_t index);
void topics_quit_all(struct topics *t, uint32_t index);

/* Who has subscribed, one after the other: topics_first() or NULL, and with each its id and the
 * next, or NULL. Nobody may quit but the one whose id was told last. */
struct subscription *topics_first(const struct topics *t, struct text name);
struct subscription *topics_next(const struct subscription *s, uint64_t *id);

#endif
