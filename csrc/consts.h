/* consts.h -- answers that never change: constant routes of an HTTP listener. Level 5. */
#ifndef FL_CONSTS_H
#define FL_CONSTS_H

#include "conn.h"

enum { CONSTS_BUCKETS = 64 };

struct consts {
    struct constant *buckets[CONSTS_BUCKETS];
};

/* From now on GET and HEAD of this path get 200 and this body; a later call for the same path wins.
 * Returns 0 or -ENOMEM. */
int consts_set(struct consts *all, const char *path, const char *content_type, const char *body,
               size_t len);

void consts_free(struct consts *all);

/* Answers a request for one of them. Returns as a conn_hook does. */
int consts_answer(const struct consts *all, struct conns *t, struct conn *c,
                  const struct message *m);

#endif
