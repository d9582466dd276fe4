/* watch.c -- looking at the stamps of loops, on a thread that waits for nothing else.
 *
 * Workload: a few loops, a look at each of them a few times a second; hardly ever is one overdue. A
 * stay that is too long is seen between once and twice the limit after it began.
 *
 * Threads: one waits, in fl_watch_wait(); any may end that by fl_watch_stop(). Stamps are written
 * by the threads of their loops. What was told of is the waiting thread's alone. */
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "fastloop.h"
#include "sock.h"

struct place {
    watch_stamp since;
    uint64_t told; /* the stay that the caller was last told of */
};

struct fl_watch {
    uint32_t limit_ms;
    uint32_t count, taken;
    int stop[2]; /* a pipe: readable once the watch is to end */
    struct place places[];
};

fl_watch *fl_watch_open(uint32_t limit_ms, uint32_t loops, int *error)
{
    fl_watch *w = calloc(1, sizeof *w + loops * sizeof w->places[0]);
    *error = w == NULL ? -ENOMEM : sock_pipe(w->stop);
    if (*error < 0) {
        free(w);
        return NULL;
    }
    w->limit_ms = limit_ms;
    w->count = loops;
    return w;
}

void fl_watch_free(fl_watch *w)
{
    if (w == NULL)
        return;
    close(w->stop[0]);
    close(w->stop[1]);
    free(w);
}

watch_stamp *watch_take(struct fl_watch *w, int *n)
{
    if (w->taken == w->count)
        return NULL;
    *n = (int)w->taken++;
    return &w->places[*n].since;
}

/* Returns the number of a loop whose caller has been away for too long, or -1. */
static int look(fl_watch *w, uint64_t now)
{
    for (uint32_t i = 0; i < w->taken; i++) {
        struct place *p = &w->places[i];
        uint64_t since = atomic_load_explicit(&p->since, memory_order_relaxed);
        if (since != 0 && since != p->told && now >= since + (uint64_t)w->limit_ms * 1000) {
            p->told = since;
            return (int)i;
        }
    }
    return -1;
}

int fl_watch_wait(fl_watch *w)
{
    struct pollfd end = {.fd = w->stop[0], .events = POLLIN};
    int timeout = 0; /* what is overdue already need not wait */
    for (;;) {
        if (poll(&end, 1, timeout) > 0)
            return -1;
        int n = look(w, clock_us());
        if (n >= 0)
            return n;
        timeout = (int)w->limit_ms;
    }
}

int64_t fl_watch_away(fl_watch *w, int n)
{
    const struct place *p = &w->places[n];
    uint64_t since = atomic_load_explicit(&p->since, memory_order_relaxed);
    return since != p->told ? 0 : (int64_t)(clock_us() - since);
}

void fl_watch_stop(fl_watch *w)
{
    ssize_t n = write(w->stop[1], "", 1);
    (void)n; /* a full pipe is readable as well */
}
