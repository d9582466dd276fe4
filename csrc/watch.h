/* watch.h -- notices callers of loops that do not come back. Level 1.
 *
 * A loop writes a stamp when it hands its caller a batch, and takes it back with the next call: two
 * plain stores a turn. A thread of the caller's sleeps here and looks at the stamps now and then.
 */
#ifndef FL_WATCH_H
#define FL_WATCH_H

#include <stdatomic.h>

#include "base.h"

/* Since when the caller is away, in us of clock_us(); 0: it is not. Written by the loop's thread.
 */
typedef _Atomic uint64_t watch_stamp;

static inline void watch_leave(watch_stamp *stamp, uint64_t now_us)
{
    if (stamp != NULL)
        atomic_store_explicit(stamp, now_us, memory_order_relaxed);
}

static inline void watch_return(watch_stamp *stamp)
{
    watch_leave(stamp, 0);
}

struct fl_watch;

/* The next stamp, which lives as long as the watch, and its number in *n. NULL: all are taken. */
watch_stamp *watch_take(struct fl_watch *w, int *n);

#endif
