/* oom.h -- makes the n-th allocation fail.
 *
 * Link with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc. For a function under test:
 *     for (int n = 1; oom_arm(n), rc = f(), oom_disarm(); n++)
 *         CHECK(rc == -ENOMEM);
 * runs f() until it asked for memory fewer than n times. */
#ifndef OOM_H
#define OOM_H

#include <stdbool.h>

/* From now on the n-th allocation (from 1) returns NULL, once; the others succeed. */
void oom_arm(int n);

/* Back to normal. Returns whether an allocation was failed since oom_arm(). */
bool oom_disarm(void);

#endif
